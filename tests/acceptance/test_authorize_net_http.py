"""Three days of a shop with Authorize.net, over HTTP and with faults: each ends with the same two ledgers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import anet_ledger
import pytest
from anet import open_account
from databases import migrate
from hosts import MOUNTS, Conversation, who

from bridge_payments import AuthBridge, Bridge, PaymentEngine
from bridge_payments.sandbox.authorize_net import FakeAuthorizeNet
from bridge_payments.settings import Settings
from bridge_payments.stores.sql import SQLStore
from bridge_payments.transport import Transport

GUEST = {"email": "grace@example.com", "name": "Grace"}
ROOT = {"x-session-id": "root"}


@pytest.fixture(scope="module")
def listening() -> Iterator[FakeAuthorizeNet]:
    with FakeAuthorizeNet() as gateway:
        gateway.webhooks.off = True
        yield gateway


@pytest.fixture
def gateway(listening: FakeAuthorizeNet) -> FakeAuthorizeNet:
    listening.reset()
    return listening


class Shop:
    def __init__(self, bridge: Bridge, gateway: FakeAuthorizeNet, database: Path) -> None:
        self.bridge, self.gateway, self.database = bridge, gateway, database
        self.talk = Conversation(MOUNTS["starlette"](bridge))

    def data(self, method: str, path: str, body: object = b"", /, **headers: str) -> Any:
        answer = self.talk.ask(method, path, body, **headers)
        assert answer.status < 300, answer.body
        return answer.json["data"]

    def begin(self, cents: int, **more: Any) -> str:
        order = {"total_cents": cents, "currency": "USD", "guest_data": GUEST, **more}
        return str(self.data("POST", "/payments/intents", order)["id"])

    def confirm(self, payment: str, card: str = "visa") -> Any:
        body = {"payment_method_id": self.gateway.token(card)}
        return self.talk.ask("POST", f"/payments/intents/{payment}/confirm", body)

    def seen(self, payment: str) -> Any:
        return self.data("GET", f"/payments/{payment}", **ROOT)

    def hear(self, *, backwards: bool = False, copies: int = 1) -> None:
        """Receive everything that the gateway told, some of it again and again."""
        events = self.gateway.events()
        for event in (reversed(events) if backwards else events) if copies else ():
            headers, body = self.gateway.signed_webhook(event)
            sent = {name.replace("-", "_"): value for name, value in headers.items()}
            for _ in range(copies):
                assert self.talk.ask("POST", "/webhooks/authorize_net", body, **sent).status == 200

    def work(self, *, minutes: float = 30) -> None:
        """Let time pass, with the worker at it."""
        for _ in range(int(minutes / 1.5)):
            self.gateway.clock.move(timedelta(seconds=90))
            self.bridge.blocking.call(self.bridge.run_worker, once=True)

    def differences(self) -> str:
        script = [sys.executable, anet_ledger.__file__, str(self.database), self.gateway.url]
        return subprocess.run(script, check=False, capture_output=True, text=True).stdout


@pytest.fixture
def shop(gateway: FakeAuthorizeNet, tmp_path: Path) -> Iterator[Shop]:
    database = tmp_path / "payments.db"
    migrate(f"sqlite:///{database}")
    transport = Transport()
    store = SQLStore(f"sqlite:///{database}", clock=gateway.clock)
    engine = PaymentEngine(
        store,
        {"authorize_net": open_account(gateway, transport, encoder="json")},
        settings=Settings(default_provider="authorize_net", inprocess_worker=False),
        clock=gateway.clock,
        transport=transport,
    )
    bridge = Bridge(engine, auth=AuthBridge(who))
    yield Shop(bridge, gateway, database)
    bridge.blocking.call(transport.aclose)
    bridge.blocking.call(store.aclose)
    bridge.close()


def test_answers_that_are_lost_and_events_that_come_backwards_twice(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    for fault in ("drop_after", "half_answer", "drop_before", "error_before"):
        payment = shop.begin(1999)
        gateway.spoil(fault, "*Transaction")
        answer = shop.confirm(payment)
        assert answer.status == 200, "an unknown outcome is no error (rule 28)"
        assert answer.json["data"]["status"] == "processing"
    shop.hear(backwards=True, copies=2)
    shop.work()
    assert len(gateway.charges()) == 2
    assert shop.differences() == ""


def test_refunds_before_and_after_settlement_with_the_connection_cut(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    whole, part, later = (shop.begin(cents) for cents in (1000, 2000, 3000))
    for payment in (whole, part, later):
        assert shop.confirm(payment).json["data"]["status"] == "succeeded"
    gateway.lose_next_answer("voidTransaction")
    shop.talk.ask("POST", f"/payments/{whole}/refund", {"amount_cents": 1000}, **ROOT, idempotency_key="r1")
    waiting = shop.data(
        "POST", f"/payments/{part}/refund", {"amount_cents": 700}, **ROOT, idempotency_key="r2"
    )
    assert waiting["status"] != "succeeded", "it has not settled"
    shop.work()
    gateway.settle()
    gateway.lose_next_answer("refundTransaction")
    shop.talk.ask("POST", f"/payments/{later}/refund", {"amount_cents": 100}, **ROOT, idempotency_key="r3")
    shop.work(minutes=60 * 3)
    gateway.refund_in_dashboard(str(shop.seen(later)["provider_payment_id"]), "2.00")
    shop.hear()
    shop.work(minutes=3)
    assert [str(each["amount"]) for each in gateway.refunds()] == ["1.00", "7.00", "2.00"]
    assert shop.differences() == ""


def test_holds_that_are_collected_released_and_reviewed_and_cards_that_are_refused(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    held = [shop.begin(5000, capture_method="manual") for _ in range(3)]
    for payment in held:
        assert shop.confirm(payment).json["data"]["status"] == "requires_capture"
    gateway.lose_next_answer("priorAuthCaptureTransaction")
    shop.talk.ask("POST", f"/payments/{held[0]}/capture", {"amount_cents": 1200}, **ROOT)
    gateway.lose_next_answer("voidTransaction")
    shop.talk.ask("POST", f"/payments/{held[1]}/cancel", {}, **ROOT)
    gateway.void_in_dashboard(str(shop.seen(held[2])["provider_payment_id"]))
    refused = shop.begin(800)
    assert shop.confirm(refused, "declined").json["code"] == "payment_declined"
    assert shop.confirm(refused, "wrong_code").json["code"] == "payment_declined"
    assert shop.confirm(refused).json["data"]["status"] == "succeeded"
    gateway.hold_next(2)
    good, bad = shop.begin(900), shop.begin(950)
    for payment in (good, bad):
        assert shop.confirm(payment).json["data"]["status"] == "processing"
    gateway.review(str(shop.seen(good)["provider_payment_id"]), approved=True)
    gateway.review(str(shop.seen(bad)["provider_payment_id"]), approved=False)
    shop.hear(copies=3)
    shop.work()
    assert [shop.seen(each)["status"] for each in (*held, refused, good, bad)] == [
        "succeeded", "canceled", "canceled", "succeeded", "succeeded", "pending",
    ]  # fmt: skip
    assert shop.differences() == ""


def test_the_ledgers_are_told_apart(shop: Shop, gateway: FakeAuthorizeNet) -> None:
    payment = shop.begin(1000)
    shop.confirm(payment)
    assert shop.differences() == ""
    gateway.void_in_dashboard(gateway.charges()[0]["id"])
    assert "given back" in shop.differences()
