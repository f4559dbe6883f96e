"""The merchant's own view over HTTP: what it counts and what it shows. Who gets it: test_doors."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from bridge_payments import AuthBridge, Bridge, Money, PaymentEngine, Principal, Settings
from bridge_payments.auth import FlowlessLogin
from bridge_payments.auth.flowless import Identity
from bridge_payments.http import Router
from bridge_payments.messages import Request
from bridge_payments.models import MovableClock
from bridge_payments.providers.dummy import DummyGateway, DummyProvider
from bridge_payments.stores import MemoryStore

pytestmark = pytest.mark.anyio


class Flowless:
    """Knows one admin."""

    async def ask(self, credential: Any, seen: Any) -> Identity:
        return Identity(id="root", user_type="admin")


@dataclass
class Office:
    gateway: DummyGateway
    engine: PaymentEngine
    router: Router
    clock: MovableClock

    async def ask(self, method: str, path: str, *, body: object = None, **query: str) -> tuple[int, Any]:
        headers = {"content-type": "application/json", "x-session-id": "sess_of_root"}
        sent = b"" if body is None else json.dumps(body).encode()
        answer = await self.router.answer(
            Request(method=method, path=path, headers=headers, query=query, peer="192.0.2.7", body=sent)
        )
        return answer.status, json.loads(answer.body)

    async def paid(self, cents: int, currency: str = "USD", method: str = "dummy_ok") -> str:
        payment = await self.engine.create_payment_intent(
            Money(cents, currency), principal=Principal.user("ada"), description=f"order of {cents}"
        )
        await self.engine.confirm_payment(payment.id, payment_method=method)
        return payment.id


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    clock = MovableClock()
    settings = Settings(allow_sandbox=True, default_provider="dummy", inprocess_worker=False)
    gateway = DummyGateway(clock=clock)
    engine = PaymentEngine(
        MemoryStore(clock=clock), {"dummy": DummyProvider(gateway)}, settings=settings, clock=clock
    )
    login = FlowlessLogin(Flowless())  # type: ignore[arg-type]
    bridge = Bridge(engine, auth=AuthBridge(chain=[login]), settings=settings)
    yield Office(gateway, engine, Router(bridge), clock)
    await bridge.aclose()


async def test_the_figures_are_those_of_the_books(office: Office) -> None:
    await office.paid(5500)
    back = await office.paid(1000)
    await office.engine.refund_payment(back, amount_cents=400, idempotency_key="r")
    await office.paid(700, "EUR")
    canceled = await office.engine.create_payment_intent(Money(900, "USD"))
    await office.engine.cancel_payment(canceled.id)
    await office.engine.create_payment_intent(Money(900, "USD"))
    status, found = await office.ask("GET", "/admin/stats")
    assert status == 200
    counts = found["data"]["payments"]
    assert {name: counts[name] for name in ("total", "completed", "failed", "pending")} == {
        "total": 5, "completed": 3, "failed": 1, "pending": 1,
    }  # fmt: skip
    assert found["data"]["revenue"] == [
        {"currency": "EUR", "captured_cents": 700, "refunded_cents": 0, "net_cents": 700},
        {"currency": "USD", "captured_cents": 6500, "refunded_cents": 400, "net_cents": 6100},
    ]
    assert len(found["data"]["recent_payments"]) == 5
    assert "secret" not in json.dumps(found)


async def test_everybodys_payments_are_listed_and_shown_without_secrets(office: Office) -> None:
    paid = await office.paid(5500)
    opened = await office.engine.create_payment_intent(Money(900, "USD"), principal=Principal.user("bob"))
    _, found = await office.ask("GET", "/admin/payments", limit="1000")
    assert [one["id"] for one in found["data"]["payments"]] == [opened.id, paid]
    assert found["data"]["pagination"] == {"page": 1, "limit": 100, "total": 2, "pages": 1}
    _, found = await office.ask("GET", "/admin/payments", status="completed", provider="dummy")
    assert [one["id"] for one in found["data"]["payments"]] == [paid]
    assert (await office.ask("GET", "/admin/payments", provider="stripe"))[1]["data"]["payments"] == []
    status, one = await office.ask("GET", f"/admin/payments/{opened.id}")
    assert (status, one["data"]["user_id"], one["data"]["client_secret"]) == (200, "bob", None)


async def test_money_by_hand_is_written_down_and_settled_by_an_admin(office: Office) -> None:
    by_hand = {
        "total_cents": 900,
        "currency": "USD",
        "is_manual_payment": True,
        "manual_payment_method": "cash",
    }
    _, made = await office.ask("POST", "/payments/intents", body=by_hand)
    due = made["data"]["id"]
    assert (made["data"]["status"], made["data"]["provider_id"]) == ("pending", None)
    status, paid = await office.ask("POST", f"/payments/{due}/capture", body={})
    assert (status, paid["data"]["status"], paid["data"]["captured_amount_cents"]) == (200, "succeeded", 900)
    assert paid["data"]["capture_status"] == "captured"
    assert (await office.ask("POST", f"/payments/{due}/cancel", body={}))[0] == 400
    status, one = await office.ask("GET", f"/admin/payments/{due}/timeline")
    assert status == 200
    assert "payment.success" in json.dumps(one)

    _, made = await office.ask("POST", "/payments/intents", body=by_hand)
    status, ended = await office.ask("POST", f"/payments/{made['data']['id']}/cancel", body={})
    assert (status, ended["data"]["status"]) == (200, "canceled")
    assert office.gateway.requests == []


async def test_an_unknown_outcome_is_shown_and_looked_up_on_request(office: Office) -> None:
    payment = await office.engine.create_payment_intent(Money(5500, "USD"))
    office.gateway.lose_next_answer()
    unsure = await office.engine.confirm_payment(payment.id, payment_method="dummy_ok")
    operation = unsure.unknown_operation_id
    _, listed = await office.ask("GET", "/admin/unknown")
    assert [one["id"] for one in listed["data"]] == [operation]
    status, shown = await office.ask("GET", f"/admin/operations/{operation}")
    assert status == 200
    assert (shown["data"]["verb"], shown["data"]["subject_id"]) == ("confirm_payment", payment.id)
    assert "dummy_ok" not in json.dumps(shown), "its inputs stay inside"
    office.clock.move(timedelta(minutes=5))
    status, done = await office.ask("POST", f"/admin/operations/{operation}/look-up")
    assert (status, done["data"]["state"], done["data"]["resolution"]) == (
        200,
        "succeeded",
        "found at the provider",
    )
    assert (await office.engine.get_payment(payment.id)).is_paid
    assert len(office.gateway.charges) == 1
    again = await office.ask("POST", f"/admin/operations/{operation}/look-up")
    assert (again[0], again[1]["data"]["state"]) == (200, "succeeded")
    assert (await office.ask("GET", "/admin/unknown"))[1]["data"] == []
    assert (await office.ask("POST", "/admin/operations/op_9/look-up"))[0] == 404


async def test_an_operator_resolves_what_the_provider_cannot_tell_and_is_named(office: Office) -> None:
    payment = await office.engine.create_payment_intent(Money(5500, "USD"))
    office.gateway.fail_next("broken_before")
    unsure = await office.engine.confirm_payment(payment.id, payment_method="dummy_ok")
    path = f"/admin/operations/{unsure.unknown_operation_id}/resolve"
    absent = {"outcome": "not_executed", "evidence": "support says so, case 42"}
    for body in ({}, {"outcome": "paid", "evidence": "x"}, {"outcome": "executed", "evidence": "x"}):
        status, said = await office.ask("POST", path, body=body)
        assert (status, said["success"]) == (400, False), said
    office.clock.move(timedelta(seconds=61))
    status, said = await office.ask("POST", path, body=absent)
    assert (status, said["error"]) == (409, "Operation in progress")
    status, said = await office.ask(
        "POST", path, body={"outcome": "executed", "provider_reference": "in_9", "evidence": "I think"}
    )
    assert (status, said["error"]) == (409, "Conflict")
    office.clock.move(timedelta(minutes=5))
    status, said = await office.ask("POST", path, body=absent)
    assert (status, said["data"]["state"]) == (200, "abandoned")
    last = said["data"]["statements"][-1]
    assert (last["by"], last["outcome"], last["evidence"], last["provider_reference"]) == (
        "admin:root",
        "not_executed",
        "support says so, case 42",
        None,
    )
    assert len(said["data"]["statements"]) == 3, "what was not believed is kept, too"
    assert (await office.ask("POST", path, body=absent))[0] == 409, "it is resolved already"
    assert (await office.ask("POST", "/admin/operations/op_9/resolve", body=absent))[0] == 404


async def test_what_is_remembered_is_shown_and_forgotten(office: Office) -> None:
    for _ in range(3):
        await office.ask("GET", "/admin/health")
    _, found = await office.ask("GET", "/admin/cache/stats")
    sessions = found["data"]["cache_stats"]["sessions"]
    assert (sessions["size"], sessions["hits"], sessions["misses"]) == (1, 3, 1)
    status, said = await office.ask("DELETE", "/admin/cache")
    assert (status, said["data"]["message"]) == (200, "Cache cleared successfully")
    _, found = await office.ask("GET", "/admin/cache")
    assert found["data"]["cache_stats"]["sessions"]["misses"] == 2


async def test_the_overview_names_what_there_is(office: Office) -> None:
    status, found = await office.ask("GET", "/admin")
    assert status == 200
    assert "GET /admin/stats" in found["data"]["endpoints"]["admin"]
    assert found["data"]["providers"] == ["dummy"]
