"""Three days of a shop with Stripe, over HTTP and with faults: each ends with the same two ledgers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import stripe_ledger
from merchants import ADA, ROOT, Merchant, open_merchant

from bridge_payments.errors import PaymentDeclined
from bridge_payments.providers.stripe import StripeProvider
from bridge_payments.sandbox.stripe import FakeStripe
from bridge_payments.transport import Transport

SECRET = "whsec_http_0001"
BACK = "https://shop.example/back"
MONTH = timedelta(days=31)


@pytest.fixture(scope="module")
def listening() -> Iterator[FakeStripe]:
    with FakeStripe() as gateway:
        gateway.webhooks.off = True
        yield gateway


@pytest.fixture
def gateway(listening: FakeStripe) -> FakeStripe:
    listening.reset()
    return listening


@pytest.fixture
def shop(gateway: FakeStripe, tmp_path: Path) -> Iterator[Merchant]:
    def account(transport: Transport) -> StripeProvider:
        return StripeProvider(
            secret_key=gateway.secret_key, webhook_secrets=[SECRET], transport=transport, api_base=gateway.url
        )

    with open_merchant(gateway, "stripe", account, folder=tmp_path, ledger=stripe_ledger) as shop:
        yield shop


def hear(shop: Merchant, **how: Any) -> None:
    def signed(event: Any) -> tuple[Mapping[str, str], bytes]:
        return shop.gateway.signed_webhook(event, secret=SECRET)  # type: ignore[no-any-return]

    shop.hear(signed, **how)


def pay(shop: Merchant, payment: str, card: str = "pm_card_visa") -> Any:
    return shop.confirm(payment, {"payment_method_id": shop.gateway.new_method(card), "return_url": BACK})


def test_cards_that_decline_holds_that_are_collected_and_refunds_with_every_answer_lost(
    shop: Merchant, gateway: FakeStripe
) -> None:
    begun = []
    for fault in ("drop_before", "drop_after", "half_answer", "unreadable", "error_before"):
        gateway.faults.add(fault, path="/v1/payment_intents")
        begun.append(shop.begin(2000)["id"])
    assert len(gateway.intents()) == len(begun), "a create that is lost is repeated, and makes one"
    refused = pay(shop, begun[0], "pm_card_visa_chargeDeclinedInsufficientFunds")
    assert refused.json["code"] == "payment_declined"
    for payment, fault in zip(
        begun, ("drop_before", "drop_after", "half_answer", "error_after"), strict=False
    ):
        gateway.faults.add(fault, path="*/confirm")
        answer = pay(shop, payment)
        assert answer.status == 200, "an unknown outcome is no error (rule 28)"
        assert answer.json["data"]["status"] == "processing"
    gateway.faults.add("error_before", path="*/confirm", status=503)
    pay(shop, begun[4])
    challenged = shop.begin(1500)["id"]
    asked = pay(shop, challenged, "pm_card_threeDSecure2Required").json["data"]
    assert asked["status"] == "requires_action"
    gateway.authenticate(asked["provider_intent_id"])
    hear(shop, copies=2)
    shop.work()

    held = [shop.begin(5000, capture_method="manual")["id"] for _ in range(3)]
    for payment in held:
        assert pay(shop, payment).json["data"]["status"] == "requires_capture"
    assert shop.differences() == "", "what is held is the same in both"
    gateway.lose_next_answer("*/capture")
    shop.ask("POST", f"/payments/{held[0]}/capture", {"amount_cents": 1200}, **ROOT)
    gateway.faults.add("error_after", path="*/cancel")
    shop.ask("POST", f"/payments/{held[1]}/cancel", {}, **ROOT)
    gateway.cancel_in_dashboard(str(shop.seen(held[2])["provider_intent_id"]))
    hear(shop, copies=3)
    shop.work()

    for number, fault in enumerate(("drop_after", "error_after", "half_answer"), start=1):
        gateway.faults.add(fault, path="/v1/refunds")
        shop.refund(begun[number], 300 + number, f"refund-{number}")
    shop.work()
    gateway.faults.add("drop_before", path="/v1/refunds")
    shop.refund(begun[1], 99, "refund-4")
    shop.work()
    gateway.refund_in_dashboard(str(shop.seen(held[0])["provider_intent_id"]), 200)
    gateway.dispute(str(shop.seen(challenged)["provider_intent_id"]), 500)
    hear(shop, copies=2)
    shop.work()
    hear(shop, again=True)
    shop.work()
    assert [shop.seen(each)["status"] for each in (*begun, challenged, *held)] == [
        "pending", "partially_refunded", "partially_refunded", "partially_refunded", "pending",
        "succeeded", "partially_refunded", "canceled", "canceled",
    ]  # fmt: skip
    assert sum(each["amount_captured"] for each in gateway.charges(paid=True)) == 3 * 2000 + 1500 + 1200
    assert sorted(each["amount"] for each in gateway.refunds()) == [99, 200, 301, 302, 303]
    assert shop.unfinished() == []
    assert shop.differences() == ""


def test_a_customer_keeps_a_card_and_is_charged_while_away(shop: Merchant, gateway: FakeStripe) -> None:
    gateway.lose_next_answer("/v1/customers")
    gateway.faults.add("error_after", path="/v1/setup_intents")
    card = {"payment_method_token": gateway.new_method(), "type": "card"}
    kept = shop.insist("/payment-methods", card, **ADA, idempotency_key="keep-1")
    assert kept["status"] == "active"
    away = gateway.new_method("pm_card_authenticationRequiredOnSetup")
    other = shop.insist(
        "/payment-methods",
        {"payment_method_token": away, "type": "card", "return_url": BACK},
        **ADA,
        idempotency_key="keep-2",
    )
    assert other["status"] == "requires_action"
    hear(shop, copies=2)
    for fault in ("drop_before", "drop_after", "half_answer", "error_after"):
        gateway.faults.add(fault, path="/v1/payment_intents")
        paid = shop.charge(kept["id"], 900)
        assert (paid.status, paid.unknown_operation_id is None) == ("processing", False)
    gateway.authenticate(gateway.setups()[-1]["id"])
    hear(shop, copies=2)
    shop.work()
    assert shop.charge(other["id"], 700).captured_cents == 700
    later = shop.insist(
        "/payment-methods",
        {"payment_method_token": gateway.new_method("pm_card_chargeCustomerFail"), "type": "card"},
        **ADA,
        idempotency_key="keep-3",
    )
    with pytest.raises(PaymentDeclined):
        shop.charge(later["id"], 800)
    gateway.lose_next_answer("*/detach")
    shop.ask("DELETE", f"/payment-methods/{kept['id']}", **ADA)
    hear(shop, copies=2, again=True)
    shop.work()
    assert len(gateway.customers()) == 1
    assert {each["id"] for each in gateway.methods(stored=True)} == {
        each["provider_payment_method_id"] for each in shop.data("GET", "/payment-methods", **ADA)
    }
    assert sum(each["amount_captured"] for each in gateway.charges(paid=True)) == 3 * 900 + 700
    assert shop.unfinished() == []
    assert shop.differences() == ""


def test_a_subscription_over_a_year_with_a_pause_and_an_end(shop: Merchant, gateway: FakeStripe) -> None:
    card = {"payment_method_token": gateway.new_method(), "type": "card"}
    method = shop.insist("/payment-methods", card, **ADA)
    gateway.lose_next_answer("/v1/products")
    gateway.faults.add("half_answer", path="/v1/subscriptions")
    tea = {"price_cents": 900, "currency": "usd", "payment_method_id": method["id"]}
    begun = shop.insist("/subscriptions", tea, **ADA, idempotency_key="tea")
    path = f"/subscriptions/{begun['id']}"
    collected = 1

    def a_month(*, paid: bool = True) -> None:
        nonlocal collected
        gateway.clock.move(MONTH)
        gateway.bill()
        collected += paid

    assert begun["status"] == "active"
    hear(shop, copies=2)
    a_month()
    hear(shop, copies=2)
    a_month()
    shop.deafen()  # no webhook of this month arrives
    gateway.lose_next_answer("/v1/subscriptions/*")
    shop.ask("POST", f"{path}/pause", {}, **ADA)
    shop.work()
    assert shop.data("GET", path, **ADA)["status"] == "paused"
    for _ in range(2):
        a_month(paid=False)
        hear(shop)
    gateway.faults.add("error_after", path="/v1/subscriptions/*")
    shop.ask("POST", f"{path}/resume", {}, **ADA)
    shop.work()
    assert shop.data("GET", path, **ADA)["status"] == "active"
    a_month()
    a_month()
    hear(shop, copies=2)
    renewal = next(each for each in shop.data("GET", "/payments", **ROOT) if each["status"] == "succeeded")
    gateway.lose_next_answer("/v1/refunds")
    shop.refund(renewal["id"], 250, "refund")
    shop.work()
    gateway.lose_next_answer("/v1/subscriptions/*")
    shop.ask("POST", f"{path}/cancel", {}, **ADA)
    shop.work()
    assert shop.data("GET", path, **ADA)["cancel_at_period_end"] is True
    a_month(paid=False)
    hear(shop, copies=2)
    hear(shop, again=True)
    shop.work(minutes=3)
    assert shop.data("GET", path, **ADA)["status"] == "canceled"
    assert sum(each["amount_captured"] for each in gateway.charges(paid=True)) == 900 * collected
    assert (len(gateway.subscriptions()), len(gateway.products()), len(gateway.customers())) == (1, 1, 1)
    assert shop.unfinished() == []
    assert shop.differences() == ""


def test_the_ledgers_are_told_apart(shop: Merchant, gateway: FakeStripe) -> None:
    method = shop.insist(
        "/payment-methods", {"payment_method_token": gateway.new_method(), "type": "card"}, **ADA
    )
    shop.insist(
        "/subscriptions", {"price_cents": 900, "currency": "usd", "payment_method_id": method["id"]}, **ADA
    )
    paid = shop.charge(method["id"], 1000)
    assert shop.refund(paid.id, 100, "refund").status == 201
    assert shop.differences() == ""
    for tampering, told in (
        ("UPDATE provider_payments SET captured_cents = 999", "taken with"),
        ("UPDATE refunds SET provider_refund_id = 're_other'", "the refund"),
        ("UPDATE provider_payments SET provider_intent_id = 'pi_other'", "taken with"),
        ("DELETE FROM provider_customers", "the customer"),
        ("UPDATE provider_payment_methods SET status = 'inactive'", "the method"),
        ("UPDATE provider_subscriptions SET status = 'past_due'", "the subscription"),
        ("UPDATE provider_payments SET subscription_id = NULL", "collected by"),
    ):
        assert told in shop.differences(tampering), tampering
