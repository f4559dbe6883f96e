"""How this process is doing, for the dashboard: its last requests, its last calls of providers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from .observing import Activity, Kind, Observer

__all__ = ["Called", "Pulse", "Times"]

_KEPT: Final = 1000
_NOT_PAYING: Final = ("/admin", "/health")
"""Routes that are not counted: whoever looks at figures would change them."""
_SILENT: Final = frozenset({"unknown", "never_sent", "error"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long the last requests took, in milliseconds."""

    count: int
    """At most the last thousand."""
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """The last call of one account."""

    at: datetime
    outcome: str
    answered: bool
    """Whether the provider said anything: a decline is an answer, too."""
    milliseconds: float


class Pulse(Observer):
    """Keeps the last thousand durations, and the last call of each account."""

    def __init__(self, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._seconds: deque[float] = deque(maxlen=_KEPT)
        self._calls: dict[str, Called] = {}

    def finished(self, activity: Activity) -> None:
        if activity.kind is Kind.REQUEST:
            if not str(activity.facts.get("route", "")).startswith(_NOT_PAYING):
                self._seconds.append(activity.seconds)
        elif activity.kind is Kind.CALL:
            self._calls[str(activity.facts.get("provider"))] = Called(
                at=self._clock(),
                outcome=activity.outcome,
                answered=activity.outcome not in _SILENT,
                milliseconds=round(activity.seconds * 1000, 1),
            )

    @property
    def times(self) -> Times | None:
        """How long requests take; None before the first one."""
        ordered = sorted(self._seconds)
        if not ordered:
            return None
        return Times(count=len(ordered), p50_ms=_at(ordered, 0.5), p95_ms=_at(ordered, 0.95))

    @property
    def calls(self) -> Mapping[str, Called]:
        """The last call of each account that was called, by its id."""
        return dict(self._calls)


def _at(ordered: list[float], share: float) -> float:
    return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000, 1)
