"""
What is measured, by name: one table, from which the exposition, the OpenTelemetry instruments and the
documentation come.

`Meters` turns activities into figures. Where they go is a `Sink`: `prometheus.py` or `otel.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from .observing import Activity, Kind, Observer

__all__ = ["METRICS", "PREFIX", "Meters", "Metric", "Sample", "Sink"]

PREFIX: Final = "bridge_payments"


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure: its name without the prefix, what it is, its labels."""

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    help: str
    labels: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """As a Prometheus query spells it: counters end in ``_total``."""
        return f"{PREFIX}_{self.name}" + ("_total" if self.kind == "counter" else "")


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a gauge, or of a counter that is kept elsewhere, at this moment."""

    metric: str
    """The metric's `name`."""
    value: float
    labels: Mapping[str, str]


# --- counted and timed as things happen -------------------------------------------------------------

HTTP_REQUESTS: Final = Metric(
    "http_requests", "counter", "Requests of our HTTP API that were answered.", ("method", "route", "status")
)
HTTP_DURATION: Final = Metric(
    "http_request_duration_seconds", "histogram", "From a request to its answer.", ("method", "route")
)
PAYMENTS: Final = Metric(
    "payments",
    "counter",
    "Attempts to pay that ended: succeeded, declined (may be tried again), failed and canceled (for good).",
    ("provider", "outcome"),
)
EVENTS: Final = Metric(
    "events", "counter", "Events of the outbox, each counted once, by who finds it.", ("type", "provider")
)
OPERATIONS: Final = Metric(
    "operations", "counter", "Instructions, by the state that was recorded.", ("provider", "verb", "outcome")
)
CALLS: Final = Metric(
    "provider_calls", "counter", "Calls of a provider, by how they ended.", ("provider", "verb", "outcome")
)
CALL_DURATION: Final = Metric(
    "provider_call_duration_seconds", "histogram", "One call of a provider.", ("provider", "verb")
)
WEBHOOKS_RECEIVED: Final = Metric(
    "webhooks_received",
    "counter",
    "What providers sent: received, duplicate, or the code of the refusal.",
    ("provider", "outcome"),
)
INBOX: Final = Metric(
    "inbox_processed",
    "counter",
    "Received webhooks that were looked at.",
    ("provider", "outcome"),
)
DELIVERIES: Final = Metric(
    "webhook_deliveries",
    "counter",
    "Attempts to tell an endpoint: delivered, pending (failed, tried again later) or dead (given up).",
    ("endpoint", "outcome"),
)
DELIVERY_DURATION: Final = Metric(
    "webhook_delivery_duration_seconds", "histogram", "One attempt to tell an endpoint.", ("endpoint",)
)

# --- read when somebody asks ------------------------------------------------------------------------

PAYMENT_SUCCESS: Final = Metric(
    "payment_success_ratio", "gauge", "succeeded / (succeeded + declined + failed), since this process began."
)
DELIVERY_SUCCESS: Final = Metric(
    "webhook_delivery_ratio", "gauge", "Delivered attempts / all attempts, since this process began."
)
CACHE_HIT_RATIO: Final = Metric(
    "cache_hit_ratio", "gauge", "Hits / look-ups of every cache together, since this process began."
)
CACHE_LOOKUPS: Final = Metric(
    "cache_lookups",
    "counter",
    "Look-ups of a cache: hit, miss, or joined (waited for somebody else's miss).",
    ("cache", "outcome"),
)
CACHE_ENTRIES: Final = Metric("cache_entries", "gauge", "What a cache remembers.", ("cache",))
UPTIME: Final = Metric("uptime_seconds", "gauge", "Since this process loaded the library.")
MEMORY: Final = Metric("memory_usage_bytes", "gauge", "Memory of this process.", ("type",))
PROVIDER_HEALTH: Final = Metric(
    "provider_health", "gauge", "1 if the last call was answered, 0 if its outcome is unknown.", ("provider",)
)
PROVIDER_LATENCY: Final = Metric(
    "provider_latency_ms", "gauge", "The last call of a provider, in milliseconds.", ("provider",)
)
DATABASE_UP: Final = Metric("database_up", "gauge", "Whether the database answered just now.")
UNKNOWN_AGE: Final = Metric(
    "oldest_unknown_operation_seconds", "gauge", "Age of the oldest instruction of unknown outcome; 0: none."
)
UNKNOWN: Final = Metric("unknown_operations", "gauge", "Instructions of unknown outcome.")
OPEN: Final = Metric("open_operations", "gauge", "Instructions that are not finished.")
OUTBOX_DEPTH: Final = Metric("outbox_events", "gauge", "Events that have no deliveries yet.")
OUTBOX_AGE: Final = Metric("outbox_oldest_seconds", "gauge", "Age of the oldest of them; 0: none.")
PENDING: Final = Metric("pending_deliveries", "gauge", "Deliveries that are due or wait for another try.")
PENDING_AGE: Final = Metric(
    "pending_deliveries_oldest_seconds", "gauge", "Age of the oldest of them; 0: none."
)
INBOX_DEPTH: Final = Metric("inbox_entries", "gauge", "Received webhooks that are not worked off.")
INBOX_AGE: Final = Metric("inbox_oldest_seconds", "gauge", "Age of the oldest of them; 0: none.")
DEAD_DELIVERIES: Final = Metric("dead_deliveries", "gauge", "Deliveries that were given up.")
DEAD_INBOX: Final = Metric("dead_inbox_entries", "gauge", "Received webhooks that were given up.")

METRICS: Final[tuple[Metric, ...]] = tuple(
    value for value in dict(globals()).values() if isinstance(value, Metric)
)
"""Every figure, in the order of this file. Those of the database are counted up to 10,000."""


# --- from work to figures ---------------------------------------------------------------------------


class Sink(Protocol):
    """Where figures go."""

    def add(self, metric: Metric, labels: Sequence[str]) -> None:
        """Count one. *labels* are the values, in the metric's order."""

    def observe(self, metric: Metric, labels: Sequence[str], seconds: float) -> None:
        """Keep a duration."""


_PAYMENT_OUTCOMES: Final = {
    "payment.success": "succeeded",
    "payment.failed": "declined",
    "payment.canceled": "canceled",
}
_LOST: Final = frozenset({"unknown", "never_sent", "error"})


class Meters(Observer):
    """Counts and times for one *sink*."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._tally: Counter[str] = Counter()
        self._providers: dict[str, tuple[bool, float]] = {}

    def finished(self, activity: Activity) -> None:
        facts, sink = activity.facts, self._sink
        match activity.kind:
            case Kind.REQUEST:
                method, route = facts["method"], facts["route"]
                sink.add(HTTP_REQUESTS, (method, route, activity.outcome))
                sink.observe(HTTP_DURATION, (method, route), activity.seconds)
            case Kind.CALL:
                provider, verb = facts["provider"], facts["verb"]
                sink.add(CALLS, (provider, verb, activity.outcome))
                sink.observe(CALL_DURATION, (provider, verb), activity.seconds)
                if activity.outcome != "unsupported":
                    self._providers[provider] = activity.outcome not in _LOST, activity.seconds
            case Kind.INBOX:
                sink.add(INBOX, (facts["provider"], activity.outcome))
            case Kind.DELIVERY:
                sink.observe(DELIVERY_DURATION, (facts["endpoint"],), activity.seconds)

    def counted(self, what: str, labels: Mapping[str, str]) -> None:
        match what:
            case "operation":
                self._sink.add(OPERATIONS, (labels["provider"], labels["verb"], labels["outcome"]))
            case "webhook":
                self._sink.add(WEBHOOKS_RECEIVED, (labels["provider"], labels["outcome"]))
            case "delivery":
                self._sink.add(DELIVERIES, (labels["endpoint"], labels["outcome"]))
                self._tally["delivered" if labels["outcome"] == "delivered" else "undelivered"] += 1
            case "event":
                self._sink.add(EVENTS, (labels["type"], labels["provider"]))
                if outcome := _PAYMENT_OUTCOMES.get(labels["type"]):
                    outcome = "failed" if labels.get("final") else outcome
                    self._sink.add(PAYMENTS, (labels["provider"], outcome))
                    self._tally[outcome] += 1

    def samples(self) -> list[Sample]:
        """Return what follows from the counters: the ratios of this process, and providers' health."""
        tally = self._tally
        found = [
            Sample(metric.name, part / whole, {})
            for metric, part, whole in (
                (
                    PAYMENT_SUCCESS,
                    tally["succeeded"],
                    tally["succeeded"] + tally["declined"] + tally["failed"],
                ),
                (DELIVERY_SUCCESS, tally["delivered"], tally["delivered"] + tally["undelivered"]),
            )
            if whole
        ]
        for provider, (answered, seconds) in self._providers.items():
            found.append(Sample(PROVIDER_HEALTH.name, float(answered), {"provider": provider}))
            found.append(Sample(PROVIDER_LATENCY.name, round(seconds * 1000, 1), {"provider": provider}))
        return found
