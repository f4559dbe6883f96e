from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from bridge_payments.models import (
    BillingInterval,
    Customer,
    Dispute,
    DisputeStatus,
    Event,
    Payment,
    PaymentMethod,
    PaymentMethodStatus,
    Refund,
    RefundStatus,
    Subscription,
    SubscriptionStatus,
)
from bridge_payments.webhooks.formats import body_for_discord, body_for_slack
from bridge_payments.webhooks.payloads import body_for

MakeEvent = Callable[..., Event]
SECRET = "sub_1_secret_NOBODYSEESTHIS"


def refund_of(payment: Payment) -> Refund:
    return Refund(
        id="rf_1",
        payment_id=payment.id,
        provider_id="stripe",
        amount_cents=500,
        currency="USD",
        status=RefundStatus.SUCCEEDED,
        created_at=payment.created_at,
        updated_at=payment.updated_at,
        reason="too <small>",
    )


def test_a_subscriber_reads_the_envelope_of_the_contract(make_event: MakeEvent) -> None:
    event = make_event(created_at=datetime(2026, 3, 1, 13, 0, tzinfo=timezone(timedelta(hours=1))))
    body = json.loads(body_for(event))
    assert list(body) == sorted(["id", "event", "type", "created_at", "timestamp", "data"])
    assert body["id"] == event.id
    assert body["event"] == body["type"] == "payment.success"
    assert body["created_at"] == "2026-03-01T12:00:00.000Z"
    assert body["timestamp"] == int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp())


def test_a_subscriber_can_order_by_version_and_needs_no_second_request(
    make_event: MakeEvent, payment: Payment
) -> None:
    data = json.loads(body_for(make_event()))["data"]
    assert data["id"] == payment.id
    assert data["version"] == 7
    assert data["status"] == "succeeded"
    assert (data["amount_cents"], data["total_cents"], data["captured_cents"]) == (2000, 2000, 2000)
    assert data["reference_code"] == "order-1"
    assert data["livemode"] is False
    assert data["metadata"]["color"] == "blue"
    assert data["guest_data"] == {"email": "ada@example.com", "name": "Ada", "phone": None}
    assert data["paid_at"] == "2026-03-01T12:00:00.000Z"


@pytest.mark.parametrize("render", [body_for, body_for_slack, body_for_discord])
def test_no_format_carries_a_client_secret_from_anywhere(
    render: Callable[[Event], bytes], make_event: MakeEvent
) -> None:
    secret = "pi_123_secret_NOBODYSEESTHIS"
    event = make_event(data={"client_secret": secret, "object": {"client_secret": secret}})
    body = render(event)
    assert secret.encode() not in body
    assert b"client_secret" not in body.lower()


def test_what_an_event_adds_never_replaces_what_the_row_said(make_event: MakeEvent) -> None:
    event = make_event(
        "payment.failed", data={"final": False, "decline_code": "expired_card", "status": "lie"}
    )
    data = json.loads(body_for(event))["data"]
    assert data["final"] is False
    assert data["decline_code"] == "expired_card"
    assert data["status"] == "succeeded"


def test_a_refund_event_carries_the_refund_and_its_payment(make_event: MakeEvent, payment: Payment) -> None:
    data = json.loads(body_for(make_event("refund.succeeded", refund=refund_of(payment))))["data"]
    assert data["refund"]["amount_cents"] == 500
    assert data["refund"]["status"] == "succeeded"
    assert data["id"] == data["refund"]["payment_id"] == payment.id


def test_the_bytes_do_not_depend_on_the_order_in_which_a_store_returns_a_mapping(
    make_event: MakeEvent, payment: Payment
) -> None:
    one = make_event(payment=replace(payment, metadata={"a": 1, "b": {"c": 2, "d": 3}}))
    other = replace(one, payment=replace(payment, metadata={"b": {"d": 3, "c": 2}, "a": 1}))
    assert body_for(one) == body_for(other)


def test_values_that_json_does_not_know_become_text(make_event: MakeEvent, payment: Payment) -> None:
    event = make_event(
        payment=replace(payment, metadata={"d": Decimal("1.10"), "nan": float("nan"), "t": (1, 2), "f": 1.5})
    )
    assert json.loads(body_for(event))["data"]["metadata"] == {
        "d": "1.10",
        "nan": "nan",
        "t": [1, 2],
        "f": 1.5,
    }


def test_an_event_without_a_payment_is_told_with_its_own_facts(make_event: MakeEvent) -> None:
    event = make_event("payment.mismatch", payment=None, data={"reference": "pi_9"})
    assert json.loads(body_for(event))["data"] == {"reference": "pi_9"}
    for render in (body_for_slack, body_for_discord):
        assert b"Payment does not match our books" in render(event)


def test_what_is_told_of_payers_methods_and_subscriptions_is_the_whole_row_but_its_secrets(
    make_event: Any, payment: Payment
) -> None:
    now = payment.created_at
    common: dict[str, Any] = {"provider_id": "stripe", "created_at": now, "updated_at": now}
    subscription = Subscription(
        id="sub_1", customer_id="cus_1", status=SubscriptionStatus.ACTIVE, subtotal_cents=999,
        total_cents=999, currency="EUR", billing_interval=BillingInterval.MONTHLY, client_secret=SECRET,
        **common,
    )  # fmt: skip
    method = PaymentMethod(
        id="pm_1", payment_type="credit_card", status=PaymentMethodStatus.ACTIVE, client_secret=SECRET,
        provider_payment_method_id="pm_CHARGEABLE", last_four="4242", **common,
    )  # fmt: skip
    customer = Customer(id="cus_1", email="ada@example.com", **common)
    dispute = Dispute(
        id="dp_1", payment_id=payment.id, provider_dispute_id="du_1", amount_cents=500, currency="USD",
        status=DisputeStatus.OPEN, **common,
    )  # fmt: skip

    def told(type_: str, **parts: Any) -> Any:
        body = body_for(make_event(type_, **({"payment": None} | parts)))
        assert SECRET.encode() not in body
        assert b"CHARGEABLE" not in body
        return json.loads(body)["data"]

    renewed = told("subscription.renewed", subscription=subscription, payment=payment)
    assert (renewed["id"], renewed["status"], renewed["billing_interval"]) == ("sub_1", "active", "monthly")
    assert renewed["payment"]["id"] == payment.id
    assert told("payment_method.created", payment_method=method)["last_four"] == "4242"
    assert told("customer.created", customer=customer)["email"] == "ada@example.com"
    opened = told("dispute.opened", payment=payment, dispute=dispute)
    assert (opened["id"], opened["dispute"]["amount_cents"]) == (payment.id, 500)
