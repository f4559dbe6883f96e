"""When a delivery is tried again, and when it is given up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random
from typing import Final

__all__ = ["DEFAULT_SCHEDULE", "JITTER", "MAX_RETRY_AFTER", "next_delay", "read_retry_after", "schedule_of"]

_SECOND, _MINUTE, _HOUR = 1.0, 60.0, 3600.0

DEFAULT_SCHEDULE: Final[tuple[float, ...]] = (
    0 * _SECOND,
    5 * _SECOND,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    10 * _HOUR,
)
"""Seconds before each try, counted from the one before: eight tries in 27 h 35 m 05 s."""

JITTER: Final = 0.2
"""Each wait is drawn from ±20 %: endpoints that failed together do not come back together."""

MAX_RETRY_AFTER: Final = 24 * _HOUR
"""A subscriber may slow us down by a day, not silence an event for ever."""


def schedule_of(length: int) -> tuple[float, ...]:
    """Return a schedule of *length* tries: the default's beginning, or its last wait repeated."""
    wanted = max(length, 1)
    extra = max(wanted - len(DEFAULT_SCHEDULE), 0)
    return DEFAULT_SCHEDULE[:wanted] + (DEFAULT_SCHEDULE[-1],) * extra


def next_delay(
    schedule: Sequence[float], *, attempts: int, retry_after: float | None, random: Random
) -> float | None:
    """Return the seconds until the next try after *attempts* failed ones, or None to give up.

    A subscriber's own wish can make the wait longer, never shorter.
    """
    if attempts >= len(schedule):
        return None
    wait = schedule[attempts] * random.uniform(1 - JITTER, 1 + JITTER)
    return max(wait, min(retry_after or 0.0, MAX_RETRY_AFTER))


def read_retry_after(value: str | None, *, now: datetime) -> float | None:
    """Read a Retry-After header, seconds or an HTTP date; None when it is absent or nonsense."""
    text = (value or "").strip()
    if not text or len(text) > 64:  # longer is nonsense, and int() of a huge digit string is expensive
        return None
    if text.replace(".", "", 1).isdecimal():  # Discord answers fractions of a second
        return min(float(text), MAX_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:  # "-0000" in an HTTP date still means GMT
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), MAX_RETRY_AFTER)
