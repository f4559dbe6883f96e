"""What one attempt to tell came to, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

from ..models import DeliveryState, EndpointHealth, SwitchedOff
from .schedule import next_delay, read_retry_after

__all__ = [
    "MAX_FAILING",
    "MIN_FAILURES",
    "Outcome",
    "answered",
    "decide",
    "failed",
    "kills_its_worker",
    "reason_to_switch_off",
]

MAX_FAILING: Final = timedelta(days=5)
"""After so long without one success an endpoint is told nothing more."""
MIN_FAILURES: Final = 12
"""Fewer prove nothing: an endpoint that hears twice a week may have had one bad minute on both days."""

_GONE: Final = 410
_RETRIED: Final = frozenset({408, 429})
_MAX_TEXT: Final = 200
_MAX_CRASHES: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one attempt went."""

    delivered: bool = False
    retry: bool = True
    """Whether another try could go better."""
    gone: bool = False
    """The subscriber asked never to be told again."""
    status_code: int | None = None
    error: str | None = None
    """A few words for an operator; never the answer's body, never an address."""
    retry_after: float | None = None


def answered(status: int, headers: Mapping[str, str], *, now: datetime) -> Outcome:
    """Judge an HTTP answer. A redirect is a failure: following it would tell a stranger."""
    if 200 <= status < 300:
        return Outcome(delivered=True, retry=False, status_code=status)
    if 400 <= status < 500 and status not in _RETRIED:
        return Outcome(
            retry=False,
            gone=status == _GONE,
            status_code=status,
            error="gone: endpoint switched off" if status == _GONE else f"refused with {status}",
        )
    return Outcome(
        status_code=status,
        error=f"redirect {status} is not followed" if 300 <= status < 400 else f"answered {status}",
        retry_after=read_retry_after(headers.get("retry-after"), now=now),
    )


def failed(error: str) -> Outcome:
    """Judge an attempt that brought no answer."""
    return Outcome(error=error[:_MAX_TEXT])


def decide(
    outcome: Outcome, *, attempts: int, schedule: Sequence[float], random: Random
) -> tuple[DeliveryState, float | None]:
    """Return the state that follows, and in how many seconds to try again when it is pending."""
    if outcome.delivered:
        return DeliveryState.DELIVERED, None
    wait = (
        next_delay(schedule, attempts=attempts, retry_after=outcome.retry_after, random=random)
        if outcome.retry
        else None
    )
    return (DeliveryState.DEAD, None) if wait is None else (DeliveryState.PENDING, wait)


def kills_its_worker(attempts: int, schedule: Sequence[float]) -> bool:
    """Say whether a delivery was begun so often without any outcome that it must be ending the process."""
    return attempts > len(schedule) + _MAX_CRASHES


def reason_to_switch_off(outcome: Outcome, health: EndpointHealth, *, now: datetime) -> SwitchedOff | None:
    """Say why an endpoint should be told nothing more, after a failed attempt; None if it should."""
    if outcome.gone:
        return SwitchedOff.GONE
    if health.failing_since is None or health.failures < MIN_FAILURES:
        return None
    return SwitchedOff.FAILING if now - health.failing_since >= MAX_FAILING else None
