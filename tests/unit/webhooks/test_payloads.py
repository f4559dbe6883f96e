from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from bridge_payments.models import Event, Payment, Refund, RefundStatus
from bridge_payments.webhooks.formats import body_for_discord, body_for_slack
from bridge_payments.webhooks.payloads import body_for

MakeEvent = Callable[..., Event]


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
        assert b"Payment mismatch" in render(event)
