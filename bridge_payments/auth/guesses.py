"""Whoever makes up sessions: after so many that were refused, none of theirs is asked about any more."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..errors import RateLimited
from .limits import MemoryCounters, network_of

__all__ = ["Guesses", "NotAskedAbout"]


class NotAskedAbout(RateLimited):
    """A credential from where too many were refused: where a stranger may ask, it counts as none."""


class Guesses:
    """Counts, per address and window, the different credentials that were refused. Of this process only.

    A credential that is remembered as good is not stopped by it: behind one address there may be an office.
    """

    def __init__(self, most: int, *, window: float = 900.0, now: Callable[[], float] = time.time) -> None:
        self._most = most
        self._window = window
        self._now = now
        self._counters = MemoryCounters(now=now)

    def check(self, peer: str | None) -> None:
        """Raise NotAskedAbout when too many credentials from there were refused."""
        if self._counters.count(_name(peer), self._window, 0) >= self._most:
            left = self._window - self._now() % self._window
            raise NotAskedAbout("Too many invalid credentials; try again later", retry_after=int(left) + 1)

    def count(self, peer: str | None) -> None:
        """Remember that a credential from there was refused."""
        self._counters.count(_name(peer), self._window)


def _name(peer: str | None) -> str:
    return network_of(peer or "")
