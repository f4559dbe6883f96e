"""Traces: what a payment did, joined to the trace of the host, and linked across processes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest

from bridge_payments import Event, Money, Principal, Request
from bridge_payments.auth import AuthBridge
from bridge_payments.http import Router
from bridge_payments.seam import traced, traced_by
from bridge_payments.testing import bridge
from bridge_payments.testing.practice import PracticeBridge, _delivery

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from bridge_payments.telemetry.otel import OpenTelemetry

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}


class Seen:
    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        self.meters = MeterProvider([self._reader])

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def span(self, name: str) -> ReadableSpan:
        [found] = [span for span in self.spans if span.name == f"bridge_payments.{name}"]
        return found

    def figures(self) -> dict[str, Any]:
        data = self._reader.get_metrics_data()
        assert data is not None
        return {
            metric.name.removeprefix("bridge_payments."): [
                (dict(point.attributes or {}), getattr(point, "value", None))
                for point in metric.data.data_points
            ]
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def seen() -> Iterator[Seen]:
    yield Seen()
    traced_by(None)


@pytest.fixture
async def shop(seen: Seen) -> AsyncIterator[PracticeBridge]:
    async with bridge(auth=AuthBridge(lambda request: Principal.admin("root"))) as shop:
        shop.observe(OpenTelemetry(tracer_provider=seen.tracers, meter_provider=seen.meters))
        yield shop


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent is not None else None


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.trace_id


def linked(span: ReadableSpan) -> list[int]:
    return [link.context.trace_id for link in span.links]


async def ask(shop: PracticeBridge, path: str, headers: dict[str, str] | None = None, **body: Any) -> Any:
    request = Request(
        method="POST", path=path, headers=JSON | (headers or {}), body=json.dumps(body).encode()
    )
    answer = await Router(shop).answer(request)
    return json.loads(answer.body)["data"]


async def test_request_instruction_and_call_are_one_trace_below_the_hosts(
    shop: PracticeBridge, seen: Seen
) -> None:
    with seen.tracers.get_tracer("host").start_as_current_span("POST /checkout") as host:
        await ask(shop, "/payments/intents", total_cents=2000, currency="USD", provider_id="dummy")

    request = seen.span("request POST /payments/intents")
    operation = seen.span("operation create_payment_intent")
    call = seen.span("call create_payment_intent")
    assert parent_of(request) == host.get_span_context().span_id
    assert parent_of(operation) == id_of(request)
    assert parent_of(call) == id_of(operation)
    assert {trace_of(each) for each in (request, operation, call)} == {host.get_span_context().trace_id}
    assert (request.kind, call.kind) == (SpanKind.INTERNAL, SpanKind.CLIENT)
    assert call.attributes is not None
    assert call.attributes["bridge_payments.provider"] == "dummy"
    assert call.attributes["bridge_payments.outcome"] == "ok"


async def test_a_call_from_python_joins_the_hosts_trace_without_any_request(
    shop: PracticeBridge, seen: Seen
) -> None:
    with seen.tracers.get_tracer("host").start_as_current_span("nightly") as host:
        await shop.engine.create_payment_intent(Money(2000, "USD"), provider="dummy")

    assert parent_of(seen.span("operation create_payment_intent")) == host.get_span_context().span_id


async def test_a_host_that_traces_nothing_leaves_the_callers_trace_to_us(
    shop: PracticeBridge, seen: Seen
) -> None:
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await ask(
        shop,
        "/payments/intents",
        {"traceparent": caller},
        total_cents=2000,
        currency="USD",
        provider_id="dummy",
    )
    await ask(shop, "/payments/intents", {"traceparent": "00-zz"}, total_cents=1, currency="USD")

    first, second = [span for span in seen.spans if span.name.startswith("bridge_payments.request")]
    assert f"{trace_of(first):032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert first.kind is SpanKind.SERVER
    assert second.parent is None, "what is no traceparent is passed over"


async def test_webhook_and_delivery_are_linked_to_what_they_follow_from(
    shop: PracticeBridge, seen: Seen
) -> None:
    @shop.webhooks.on("payment.success")
    async def ship(event: Event) -> None: ...

    payment = await ask(shop, "/payments/intents", total_cents=2000, currency="USD", provider_id="dummy")
    await ask(shop, f"/payments/intents/{payment['id']}/confirm", payment_method_id="dummy_ok")
    await Router(shop).answer(_delivery(shop.gateway.events[-1]))
    await shop.work()

    confirm = seen.span("request POST /payments/intents/{payment_id}/confirm")
    received = seen.span("request POST /webhooks/{id}")
    [worked_off] = [span for span in seen.spans if span.name.startswith("bridge_payments.inbox")]
    assert linked(worked_off) == [trace_of(received)]
    assert linked(seen.span("delivery payment.success")) == [trace_of(confirm)]


async def test_a_later_look_up_is_linked_to_the_request_that_lost_its_answer(
    shop: PracticeBridge, seen: Seen
) -> None:
    payment = await ask(shop, "/payments/intents", total_cents=2000, currency="USD", provider_id="dummy")
    shop.gateway.lose_next_answer()
    await ask(shop, f"/payments/intents/{payment['id']}/confirm", payment_method_id="dummy_ok")
    shop.move(minutes=5)
    await shop.work()

    asked, found = [span for span in seen.spans if span.name == "bridge_payments.operation confirm_payment"]
    assert linked(found) == [trace_of(asked)]
    assert trace_of(found) != trace_of(asked)
    call = seen.span("call confirm_payment")
    assert call.status.status_code is StatusCode.ERROR
    assert call.attributes is not None
    assert call.attributes["bridge_payments.outcome"] == "unknown"
    assert call.events == (), "no exception with its sentence"


async def test_the_trace_is_kept_with_rows_and_told_to_nobody(shop: PracticeBridge, seen: Seen) -> None:
    told: list[Event] = []
    shop.webhooks.on("payment.created")(told.append)

    payment = await ask(shop, "/payments/intents", total_cents=2000, currency="USD", provider_id="dummy")
    await shop.work()

    request = seen.span("request POST /payments/intents")
    [operation] = await shop.engine.list_operations(payment["id"])
    assert f"{trace_of(request):032x}" in operation.steps["-trace"]
    assert "trace" not in json.dumps(payment)
    [event] = told
    assert event.trace is not None
    from bridge_payments.webhooks.payloads import body_for

    assert event.trace.encode() not in body_for(event)
    assert traced() is None, "outside of any span there is none"


async def test_the_figures_are_instruments_too(shop: PracticeBridge, seen: Seen) -> None:
    payment = await shop.engine.create_payment_intent(Money(2000, "USD"), provider="dummy")
    await shop.engine.confirm_payment(payment.id, payment_method="dummy_ok")
    await shop.work()
    [tracer] = [observer for observer in shop.watch.observers if observer.reads]
    tracer.read(await shop.readings())

    figures = seen.figures()

    assert ({"provider": "dummy", "outcome": "succeeded"}, 1) in figures["payments"]
    assert figures["payment_success_ratio"] == [({}, 1.0)]
    assert figures["unknown_operations"] == [({}, 0.0)]
    assert figures["provider_call_duration_seconds"]
