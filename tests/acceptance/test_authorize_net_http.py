"""Three days of a shop with Authorize.net, over HTTP and with faults: each ends with the same two ledgers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anet_ledger
import pytest
from anet import open_account
from merchants import ROOT, Merchant, open_merchant

from bridge_payments.providers.authorize_net import AuthorizeNetProvider
from bridge_payments.sandbox.authorize_net import FakeAuthorizeNet
from bridge_payments.testing.mounts import Answer
from bridge_payments.transport import Transport


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
    """A merchant with Authorize.net."""

    def __init__(self, merchant: Merchant) -> None:
        self.talk, self.data, self.seen = merchant, merchant.data, merchant.seen
        self.differences = merchant.differences

    def begin(self, cents: int, **more: Any) -> str:
        return str(self.talk.begin(cents, **more)["id"])

    def confirm(self, payment: str, card: str = "visa") -> Answer:
        return self.talk.confirm(payment, {"payment_method_id": self.talk.gateway.token(card)})

    def work(self, *, minutes: float = 30) -> None:
        self.talk.work(minutes=minutes)  # what this gateway does not list is believed absent after 15

    def hear(self, **how: Any) -> None:
        self.talk.hear(self.talk.gateway.signed_webhook, **how)


@pytest.fixture
def shop(gateway: FakeAuthorizeNet, tmp_path: Path) -> Iterator[Shop]:
    def account(transport: Transport) -> AuthorizeNetProvider:
        return open_account(gateway, transport, encoder="json")

    with open_merchant(gateway, "authorize_net", account, folder=tmp_path, ledger=anet_ledger) as merchant:
        yield Shop(merchant)


def test_answers_that_are_lost_and_events_that_come_backwards_twice(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    for fault in ("drop_after", "half_answer", "drop_before", "error_before"):
        payment = shop.begin(1999)
        gateway.spoil(fault, "*Transaction")
        answer = shop.confirm(payment)
        assert answer.status == 200, "an unknown outcome is no error (rule 28)"
        assert answer.json["data"]["status"] == "processing"
    shop.hear(copies=2)
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
