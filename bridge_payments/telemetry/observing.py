"""
The seam for metrics and traces: work says when it begins, how it ended and how long it took.

Each piece of work is an `Activity`. When it ends, one line is logged, and whoever observes is told:
`telemetry.prometheus` counts, `telemetry.otel` traces, and an application may bring an `Observer` of its
own (``bridge.observe(mine)``). Where nobody observes, an activity costs about a microsecond.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar, Token
from enum import StrEnum
from types import TracebackType
from typing import Any, ClassVar, Final, Self

__all__ = ["Activity", "Kind", "Observer", "Watch", "error_facts", "note"]


class Kind(StrEnum):
    """What an activity is, and the last part of its logger's name: ``bridge_payments.request``."""

    REQUEST = "request"
    """One request of our HTTP API. Facts: method, route, status, principal, request_id, cache_hit."""
    OPERATION = "operation"
    """One instruction, from its reserve to its record. Facts: provider, verb, operation_id, subject_id."""
    CALL = "call"
    """One call of a provider's adapter. Facts: provider, verb, operation_id, remote_request_id."""
    INBOX = "inbox"
    """One received webhook, worked off. Facts: provider, event_type, entry_id."""
    DELIVERY = "delivery"
    """One attempt to tell one endpoint of one event. Facts: endpoint, event_type, event_id, delivery_id."""


class Activity:
    """One piece of work, as a context manager. Whoever does it sets `outcome` and adds `facts`.

    Facts are for lines and traces: ids, never a secret, an e-mail address or an amount. Metrics take
    only those of few values (provider, verb, route, status, endpoint, outcome).
    """

    __slots__ = (
        "_began",
        "_token",
        "_watch",
        "error",
        "facts",
        "kind",
        "links",
        "name",
        "outcome",
        "parent",
        "seconds",
    )

    def __init__(
        self,
        watch: Watch,
        kind: Kind,
        name: str,
        facts: dict[str, Any],
        *,
        links: tuple[str, ...] = (),
        parent: str | None = None,
    ) -> None:
        self._watch = watch
        self._began = 0.0
        self._token: Token[Activity | None] | None = None
        self.kind: Kind = kind
        self.name: str = name
        """Of few different values: a route's template, a verb, the type of an event."""
        self.facts: dict[str, Any] = facts
        self.links: tuple[str, ...] = links
        """What this work follows from, where that was traced: ``traceparent`` values."""
        self.parent: str | None = parent
        """The ``traceparent`` that came with a request, from whoever sent it."""
        self.outcome: str = ""
        self.seconds: float = 0.0
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        self._began = time.perf_counter()
        for observer in self._watch.observers:
            _tell(observer.started, self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._began
        if error is not None:
            self.error = error
        if not self.outcome:
            self.outcome = "ok" if error is None else _outcome(error)
        for observer in reversed(self._watch.observers):
            _tell(observer.finished, self)
        if self._token is not None:
            _current.reset(self._token)
            self._token = None
        _log(self)


class Observer:
    """Somebody who is told of work: override what you want to hear.

    Methods must be quick and must not block. An observer that raises breaks nothing: its error is logged.
    """

    reads: ClassVar[bool] = False
    """Whether it wants `read`."""

    def read(self, samples: Sequence[Any]) -> None:
        """Every half minute where background work is done: caches, process, and what waits."""

    def started(self, activity: Activity) -> None:
        """It begins; what is known of it by now is in its facts."""

    def finished(self, activity: Activity) -> None:
        """It has ended: `outcome`, `seconds`, `error` and all facts are there."""

    def counted(self, what: str, labels: Mapping[str, str]) -> None:
        """Something was committed that has no duration: an ``operation`` reached a state, an ``event``
        of the outbox was seen for the first time, a ``webhook`` was received."""


class Watch:
    """Who observes one bridge. Engine, HTTP API and dispatcher share one."""

    def __init__(self) -> None:
        self.observers: tuple[Observer, ...] = ()

    def add(self, observer: Observer) -> None:
        """Tell *observer*, too."""
        self.observers = (*self.observers, observer)

    def activity(
        self,
        kind: Kind,
        name: str,
        /,
        *,
        links: tuple[str, ...] = (),
        parent: str | None = None,
        **facts: Any,
    ) -> Activity:
        """Return an activity, to be entered: ``with watch.activity(Kind.CALL, "capture") as seen:``."""
        return Activity(self, kind, name, facts, links=links, parent=parent)

    def count(self, what: str, /, **labels: str) -> None:
        """Say that something was committed."""
        for observer in self.observers:
            try:
                observer.counted(what, labels)
            except Exception:  # noqa: BLE001 - a figure that cannot be kept breaks no payment
                _failed.exception("an observer failed to count")


_current: ContextVar[Activity | None] = ContextVar("bridge_payments_activity", default=None)
_failed: Final = logging.getLogger("bridge_payments.telemetry")


def note(**facts: Any) -> None:
    """Add facts to the activity under way, from wherever they are known; nothing happens outside of one."""
    activity = _current.get()
    if activity is not None:
        activity.facts.update(facts)


def _tell(method: Callable[[Activity], None], activity: Activity) -> None:
    try:
        method(activity)
    except Exception:  # noqa: BLE001 - a figure that cannot be kept breaks no payment
        _failed.exception("an observer failed")


# --- outcomes and lines -----------------------------------------------------------------------------

_OUTCOMES: Final = {
    "ProviderNeverSent": "never_sent",
    "ProviderUnknown": "unknown",
    "ProviderDeclined": "declined",
    "ProviderNotFound": "not_found",
    "ProviderStateConflict": "conflict",
    "ProviderRejected": "rejected",
    "UnsupportedOperation": "unsupported",
    "TimeoutError": "unknown",
    "CancelledError": "canceled",
}


def _outcome(error: BaseException) -> str:
    """Return the word for *error*, or for its nearest ancestor that has one."""
    return next(
        (_OUTCOMES[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _OUTCOMES), "error"
    )


_LOGGERS: Final = {kind: logging.getLogger(f"bridge_payments.{kind}") for kind in Kind}
_WARNED: Final = {Kind.CALL: frozenset({"unknown", "never_sent", "error", "unreadable"})}
"""What of a kind is a warning. Other lines are INFO: what failed is logged where it is decided, too."""


def _log(activity: Activity) -> None:
    warned = activity.outcome in _WARNED.get(activity.kind, ())
    level = logging.WARNING if warned else logging.INFO
    logger = _LOGGERS[activity.kind]
    if not logger.isEnabledFor(level):
        return
    extra = {name: value for name, value in activity.facts.items() if value is not None}
    extra["outcome"] = activity.outcome
    extra["duration_ms"] = round(activity.seconds * 1000, 1)
    if activity.error is not None:
        extra.update(error_facts(activity.error))
    logger.log(level, "%s %s", activity.name, activity.outcome, extra=extra)


def error_facts(error: BaseException) -> dict[str, Any]:
    """Return our code and the provider's of an error: what a search is for. No sentences."""
    found: dict[str, Any] = {"error": type(error).__name__, "error_code": getattr(error, "code", None)}
    for name in ("provider_code", "decline_code", "provider_decline_code", "http_status"):
        found[name] = getattr(error, name, None)
    found["remote_request_id"] = getattr(error, "request_id", None)
    return {name: value for name, value in found.items() if value is not None}
