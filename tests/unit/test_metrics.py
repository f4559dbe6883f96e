"""The figures: what a monitor reads after payments, declines, calls without an answer and deliveries."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bridge_payments import Event, Money, PaymentDeclined, Principal, Request, Settings
from bridge_payments.auth import AuthBridge
from bridge_payments.caching import Cache
from bridge_payments.errors import ConfigurationError, StoreError
from bridge_payments.http import Router
from bridge_payments.telemetry import Activity, Kind, Observer
from bridge_payments.telemetry.metrics import METRICS
from bridge_payments.testing import bridge
from bridge_payments.testing.practice import PracticeBridge

prometheus_client = pytest.importorskip("prometheus_client")

from prometheus_client.parser import text_string_to_metric_families  # noqa: E402 - after the skip

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}


def who(request: Request) -> Principal:
    kind = request.header("x-kind", "admin")
    return Principal.anonymous() if kind == "nobody" else Principal.admin("root")


@pytest.fixture
async def shop() -> AsyncIterator[PracticeBridge]:
    async with bridge(auth=AuthBridge(who)) as shop:
        yield shop


async def ask(shop: PracticeBridge, method: str, path: str, **body: Any) -> tuple[int, Any]:
    request = Request(method=method, path=path, headers=JSON, body=json.dumps(body).encode() if body else b"")
    answer = await Router(shop).answer(request)
    return answer.status, json.loads(answer.body)


async def text(shop: PracticeBridge) -> str:
    answer = await Router(shop).answer(Request(method="GET", path="/health/metrics"))
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return answer.body.decode()


Figures = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


def read(exposition: str) -> Figures:
    return {
        (sample.name.removeprefix("bridge_payments_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    }


def figure(figures: Figures, name: str, **labels: str) -> float | None:
    return figures.get((name, tuple(sorted(labels.items()))))


async def pay(shop: PracticeBridge, method: str = "dummy_ok") -> str:
    payment = await shop.engine.create_payment_intent(Money(2000, "USD"), provider="dummy")
    await shop.engine.confirm_payment(payment.id, payment_method=method)
    return payment.id


async def test_the_four_figures_that_everybody_asks_for_are_in_the_text(shop: PracticeBridge) -> None:
    told: list[str] = []

    @shop.webhooks.on("payment.success")
    async def ship(event: Event) -> None:
        told.append(event.id)

    for _ in range(3):
        await pay(shop)
    with pytest.raises(PaymentDeclined):
        await pay(shop, "dummy_declined")
    await shop.work()
    assert (await ask(shop, "GET", "/payments"))[0] == 200

    figures = read(await text(shop))

    assert figure(figures, "payment_success_ratio") == 0.75
    assert figure(figures, "payments_total", provider="dummy", outcome="succeeded") == 3
    assert figure(figures, "payments_total", provider="dummy", outcome="declined") == 1
    assert figure(figures, "webhook_delivery_ratio") == 1.0
    assert figure(figures, "webhook_deliveries_total", endpoint="ship", outcome="delivered") == len(told) == 3
    assert figure(figures, "http_requests_total", method="GET", route="/payments", status="200") == 1
    assert figure(figures, "http_request_duration_seconds_count", method="GET", route="/payments") == 1
    assert (
        figure(figures, "operations_total", provider="dummy", verb="confirm_payment", outcome="succeeded")
        == 3
    )
    assert (
        figure(figures, "provider_calls_total", provider="dummy", verb="confirm_payment", outcome="declined")
        == 1
    )
    assert figure(figures, "provider_health", provider="dummy") == 1
    assert figure(figures, "database_up") == 1


async def test_what_waits_is_shown_with_its_age_and_goes_when_it_is_done(shop: PracticeBridge) -> None:
    payment = await shop.engine.create_payment_intent(Money(2000, "USD"), provider="dummy")
    shop.gateway.lose_next_answer()
    await shop.engine.confirm_payment(payment.id, payment_method="dummy_ok")
    shop.move(seconds=90)

    figures = read(await text(shop))

    assert figure(figures, "unknown_operations") == 1
    assert figure(figures, "oldest_unknown_operation_seconds") == 90
    assert figure(figures, "outbox_events") == 1
    assert figure(figures, "outbox_oldest_seconds") == 90
    assert figure(figures, "provider_health", provider="dummy") == 0
    labels = {"provider": "dummy", "verb": "confirm_payment"}
    assert figure(figures, "provider_calls_total", outcome="unknown", **labels) == 1
    assert figure(figures, "operations_total", outcome="unknown", **labels) == 1

    await shop.work()
    shop._queues.clear()  # instead of five seconds

    figures = read(await text(shop))
    assert figure(figures, "unknown_operations") == 0
    assert figure(figures, "oldest_unknown_operation_seconds") == 0
    assert figure(figures, "outbox_events") == 0
    assert figure(figures, "operations_total", outcome="succeeded", **labels) == 1


async def test_received_webhooks_are_counted_by_what_became_of_them(shop: PracticeBridge) -> None:
    await pay(shop)
    await shop.deliver_webhook()
    await shop.deliver_webhook(shop.gateway.events[-1]["id"])
    forged = Request(method="POST", path="/webhooks/dummy", body=b"{}", headers={"x-signature": "forged"})
    assert (await Router(shop).answer(forged)).status in (400, 401)

    figures = read(await text(shop))

    received = {
        dict(labels)["outcome"]: value
        for (name, labels), value in figures.items()
        if name == "webhooks_received_total"
    }
    assert received["received"] >= 1
    assert received["duplicate"] == 1
    assert received["invalid_signature"] == 1
    assert figure(figures, "inbox_processed_total", provider="dummy", outcome="processed")


async def test_every_metric_of_the_table_is_named_in_the_text_after_a_day_with_everything(
    shop: PracticeBridge,
) -> None:
    @shop.webhooks.on("payment.*")
    def ship(event: Event) -> None: ...

    await pay(shop)
    await shop.deliver_webhook()

    exposition = await text(shop)

    described = {line.split()[2] for line in exposition.splitlines() if line.startswith("# TYPE")}
    cached = {
        "cache_hit_ratio",
        "cache_lookups",
        "cache_entries",
    }  # a function as the login remembers nothing
    assert {metric.full_name for metric in METRICS if metric.name not in cached} <= described


async def test_no_label_holds_what_a_stranger_or_a_payer_made_up(shop: PracticeBridge) -> None:
    await Router(shop).answer(Request(method="BREW", path="/payments/4242424242424242"))
    await Router(shop).answer(Request(method="GET", path="/payments/guest/ana@example.com"))
    await Router(shop).answer(Request(method="GET", path="/no/such/path"))

    exposition = await text(shop)

    assert "BREW" not in exposition
    assert "4242" not in exposition
    assert "ana" not in exposition
    assert "such" not in exposition


async def test_without_metrics_the_page_says_so_and_nobody_observes() -> None:
    async with bridge(settings=Settings(metrics_enabled=False, rate_limit_enabled=False)) as shop:
        status, body = await ask(shop, "GET", "/health/metrics")

        assert (status, body["error"]) == (404, "Metrics are disabled")
        assert shop.watch.observers == ()
        with pytest.raises(ConfigurationError):
            await shop.exposition()


async def test_a_database_that_is_away_is_a_figure_and_no_error(
    shop: PracticeBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise StoreError("the database is away")

    monkeypatch.setattr(shop.engine.store, "run", away)

    figures = read(await text(shop))

    assert figure(figures, "database_up") == 0
    assert figure(figures, "outbox_events") is None, "not known is not nothing"


async def test_the_queues_are_counted_once_however_many_ask(
    shop: PracticeBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    backlog = shop.engine.backlog

    async def counted() -> Any:
        asked.append(1)
        return await backlog()

    monkeypatch.setattr(shop.engine, "backlog", counted)

    await asyncio.gather(*(text(shop) for _ in range(20)))

    assert len(asked) == 1


async def test_an_observer_that_fails_breaks_no_payment(
    shop: PracticeBridge, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Observer):
        def started(self, activity: Activity) -> None:
            raise RuntimeError("no room")

        finished = started

        def counted(self, what: str, labels: Mapping[str, str]) -> None:
            raise RuntimeError("no room")

    shop.observe(Broken())

    with caplog.at_level(logging.ERROR, "bridge_payments.telemetry"):
        await pay(shop)

    assert "an observer failed" in caplog.text
    assert figure(
        read(await text(shop)),
        "operations_total",
        provider="dummy",
        verb="confirm_payment",
        outcome="succeeded",
    )


async def test_an_application_hears_of_work_with_an_observer_of_its_own(shop: PracticeBridge) -> None:
    heard: list[tuple[Kind, str, str]] = []

    class Mine(Observer):
        def finished(self, activity: Activity) -> None:
            heard.append((activity.kind, activity.name, activity.outcome))

    shop.observe(Mine())
    await pay(shop)

    assert heard == [
        (Kind.CALL, "create_payment_intent", "ok"),
        (Kind.OPERATION, "create_payment_intent", "succeeded"),
        (Kind.CALL, "confirm_payment", "ok"),
        (Kind.OPERATION, "confirm_payment", "succeeded"),
    ]


ONE_OF_SEVERAL = """
import asyncio
from bridge_payments.testing import bridge
from bridge_payments.telemetry import Kind

async def main():
    async with bridge() as shop:
        with shop.watch.activity(Kind.CALL, "capture_payment", provider="dummy", verb="capture_payment"):
            pass
        text, _ = await shop.exposition()
        print(text.decode())

asyncio.run(main())
"""


def test_where_several_processes_share_a_folder_one_shows_the_counters_of_all(tmp_path: Path) -> None:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    told = [
        subprocess.run(
            [sys.executable, "-c", ONE_OF_SEVERAL],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(3)
    ]

    labels = {"provider": "dummy", "verb": "capture_payment", "outcome": "ok"}
    assert [figure(read(text), "provider_calls_total", **labels) for text in told] == [1, 2, 3]
    assert figure(read(told[-1]), "database_up") == 1


async def test_hits_of_caches_are_in_the_text(shop: PracticeBridge, monkeypatch: pytest.MonkeyPatch) -> None:
    async def load() -> str:
        return "ada"

    sessions: Cache[str, str] = Cache(max_entries=9, ttl=60)
    for _ in range(4):
        await sessions.get("s", load)
    monkeypatch.setattr(shop.auth, "stats", lambda: {"sessions": sessions.stats})

    figures = read(await text(shop))

    assert figure(figures, "cache_hit_ratio") == 0.75
    assert figure(figures, "cache_lookups_total", cache="sessions", outcome="hit") == 3
    assert figure(figures, "cache_lookups_total", cache="sessions", outcome="miss") == 1
    assert figure(figures, "cache_entries", cache="sessions") == 1
