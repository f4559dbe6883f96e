"""Traces and figures through OpenTelemetry's API (extra ``otel``); the program chooses where they go."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from ..errors import MissingExtra
from ..seam import traced_by
from .metrics import METRICS, PREFIX, Meters, Metric, Sample
from .observing import Activity, Kind, Observer, error_facts

__all__ = ["OpenTelemetry"]

_NAME: Final = "bridge_payments"
_FAILED: Final = frozenset({"unknown", "never_sent", "error", "failed", "dead"})


class OpenTelemetry(Observer):
    """Spans for every activity, below the span of the host that is current, and the figures as instruments.

    Without *tracer_provider* and *meter_provider* those of the process are used. A received webhook, a
    later look-up and a delivery begin traces of their own, in whatever process they happen: they are
    *linked* to the work that they follow from, whose ``traceparent`` was kept with the row.

    Raises: MissingExtra without opentelemetry-api.
    """

    def __init__(self, *, tracer_provider: Any = None, meter_provider: Any = None) -> None:
        try:
            from opentelemetry import metrics, trace
        except ImportError:
            raise MissingExtra("otel", needed_for="OpenTelemetry") from None
        self._trace = trace
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider)
        self._kinds = {
            Kind.REQUEST: trace.SpanKind.SERVER,
            Kind.OPERATION: trace.SpanKind.INTERNAL,
            Kind.CALL: trace.SpanKind.CLIENT,
            Kind.INBOX: trace.SpanKind.CONSUMER,
            Kind.DELIVERY: trace.SpanKind.PRODUCER,
        }
        self._open: dict[int, Any] = {}
        self._meters = Meters(
            _Instruments(metrics.get_meter(_NAME, meter_provider=meter_provider), self._gauges)
        )
        self._read: Sequence[Sample] = ()
        traced_by(_current_traceparent)

    reads = True

    # --- spans ------------------------------------------------------------------------------------

    def started(self, activity: Activity) -> None:
        """Begin a span and make it the current one."""
        trace = self._trace
        kind, context = self._kinds[activity.kind], None
        if activity.kind is Kind.REQUEST:
            if trace.get_current_span().get_span_context().is_valid:
                kind = trace.SpanKind.INTERNAL  # the host's own server span is around it
            elif parent := _context_of(activity.parent or ""):
                context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
        manager = self._tracer.start_as_current_span(
            f"{PREFIX}.{activity.kind} {activity.name}",
            context=context,
            kind=kind,
            links=list(_links(activity.links)),
            record_exception=False,
            set_status_on_exception=False,
        )
        span = manager.__enter__()
        self._open[id(activity)] = manager, span

    def finished(self, activity: Activity) -> None:
        """End its span, with facts, outcome and error codes; and count."""
        manager, span = self._open.pop(id(activity), (None, None))
        if span is not None and manager is not None:
            facts = {**activity.facts, "outcome": activity.outcome}
            if activity.error is not None:
                # Codes only: the sentence of an exception may quote a payer.
                facts.update(error_facts(activity.error))
            for name, value in facts.items():
                if value is not None:
                    span.set_attribute(f"{PREFIX}.{name}", value if isinstance(value, _PLAIN) else str(value))
            if activity.outcome in _FAILED or (activity.kind is Kind.REQUEST and activity.outcome >= "5"):
                span.set_status(self._trace.StatusCode.ERROR)
            manager.__exit__(None, None, None)
        self._meters.finished(activity)

    def counted(self, what: str, labels: Any) -> None:
        """Count."""
        self._meters.counted(what, labels)

    # --- figures that are read --------------------------------------------------------------------

    def read(self, samples: Sequence[Sample]) -> None:
        """Take over what was read of caches, process and queues; the SDK asks for it in its own time."""
        self._read = samples

    def _gauges(self, metric: Metric) -> Iterator[Sample]:
        return (sample for sample in (*self._meters.samples(), *self._read) if sample.metric == metric.name)


_PLAIN: Final = (bool, int, float, str)


class _Instruments:
    """The metrics of the table as instruments."""

    def __init__(self, meter: Any, read: Callable[[Metric], Iterable[Sample]]) -> None:
        self._kept: dict[str, Any] = {}
        for metric in METRICS:
            name = f"{PREFIX}.{metric.name}"
            if metric.kind == "histogram":
                self._kept[metric.name] = meter.create_histogram(name, unit="s", description=metric.help)
            elif metric.kind == "counter" and metric.name != "cache_lookups":
                self._kept[metric.name] = meter.create_counter(name, description=metric.help)
            else:
                create = (
                    meter.create_observable_counter
                    if metric.kind == "counter"
                    else meter.create_observable_gauge
                )
                create(name, callbacks=[_observed(metric, read)], description=metric.help)

    def add(self, metric: Metric, labels: Sequence[str]) -> None:
        self._kept[metric.name].add(1, dict(zip(metric.labels, labels, strict=True)))

    def observe(self, metric: Metric, labels: Sequence[str], seconds: float) -> None:
        self._kept[metric.name].record(seconds, dict(zip(metric.labels, labels, strict=True)))


def _observed(metric: Metric, read: Callable[[Metric], Iterable[Sample]]) -> Callable[[Any], Any]:
    from opentelemetry.metrics import Observation

    def callback(_: Any) -> Iterator[Observation]:
        for sample in read(metric):
            yield Observation(sample.value, dict(sample.labels))

    return callback


# --- contexts ---------------------------------------------------------------------------------------


def _current_traceparent() -> str | None:
    """Return the W3C ``traceparent`` of the current span; None outside of one."""
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def _links(parents: Iterable[str]) -> Iterator[Any]:
    from opentelemetry import trace

    for parent in parents:
        if (context := _context_of(parent)) is not None:
            yield trace.Link(context)


_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


def _context_of(traceparent: str) -> Any:
    """Read a ``traceparent``; None where it is not one."""
    from opentelemetry import trace

    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in match.groups())
    context = trace.SpanContext(trace_id, span_id, is_remote=True, trace_flags=trace.TraceFlags(flags))
    return context if context.is_valid else None
