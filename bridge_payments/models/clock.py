"""Time is passed in: a clock is a function that returns the moment, aware and in UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

__all__ = ["Clock", "MovableClock", "utc_now"]

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return this moment in UTC."""
    return datetime.now(UTC)


class MovableClock:
    """A clock for tests and the sandbox: it runs with the real one and can be moved forward."""

    def __init__(self, base: Clock = utc_now) -> None:
        self._base = base
        self.offset: timedelta = timedelta()

    def __call__(self) -> datetime:
        return self._base() + self.offset

    def move(self, by: timedelta) -> None:
        """Move this clock forward by *by*."""
        self.offset += by
