"""What an order of PayPal's means: which words are money, which are promises, and which we do not know."""

from __future__ import annotations

from typing import Any

import pytest

from bridge_payments.errors import InvalidRequest
from bridge_payments.models import Money, NextActionKind, PaymentStatus, RefundStatus
from bridge_payments.providers.base import DECLINE_CODES, UNRECOGNISED
from bridge_payments.providers.paypal.mapping import (
    DECLINES,
    event_from,
    held_authorization,
    merged,
    payment_from,
    reference_from,
    refund_from,
)

RISK = "DECLINED_BY_RISK_FRAUD_FILTERS"
REFERENCE = "ref00000000000000001"


def usd(value: str) -> dict[str, str]:
    return {"currency_code": "USD", "value": value}


def capture(status: str = "COMPLETED", value: str = "20.00", **more: Any) -> dict[str, Any]:
    return {
        "id": f"CAP{more.pop('n', 1)}", "status": status, "amount": usd(value),
        "create_time": "2026-11-23T10:00:00Z", **more,
    }  # fmt: skip


def hold(status: str = "CREATED", value: str = "20.00", **more: Any) -> dict[str, Any]:
    return {"id": "AUTH1", "status": status, "amount": usd(value), **more}


def order(status: str = "CREATED", *, intent: str = "CAPTURE", **more: Any) -> dict[str, Any]:
    payments = {name: more.pop(name) for name in ("captures", "authorizations", "refunds") if name in more}
    return {
        "id": "ORDER1",
        "intent": intent,
        "status": status,
        "purchase_units": [
            {
                "reference_id": "default", "amount": usd("20.00"), "custom_id": "pay_1",
                "invoice_id": REFERENCE, **({"payments": payments} if payments else {}),
            }
        ],
        "create_time": "2026-11-23T09:59:00Z",
        "links": [{"href": "https://www.paypal.com/checkoutnow?token=ORDER1", "rel": "approve"}],
        **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "means"),
    [
        ("CREATED", PaymentStatus.REQUIRES_ACTION),
        ("PAYER_ACTION_REQUIRED", PaymentStatus.REQUIRES_ACTION),
        ("APPROVED", PaymentStatus.REQUIRES_CONFIRMATION),
        ("SAVED", PaymentStatus.REQUIRES_CONFIRMATION),
        ("VOIDED", PaymentStatus.CANCELED),
        ("COMPLETED", PaymentStatus.PROCESSING),
        ("TELEPORTED", UNRECOGNISED),
    ],
)
def test_an_order_of_which_nothing_was_paid(status: str, means: Any) -> None:
    payment = payment_from(order(status))
    assert payment.status is means
    assert (payment.captured, payment.authorized, payment.refunded, payment.charge) == (0, 0, 0, None)
    assert (payment.our_reference, payment.payment_id) == (REFERENCE, "pay_1")


def test_only_who_still_has_to_approve_is_sent_to_the_approval_page() -> None:
    action = payment_from(order("CREATED")).next_action
    assert action is not None
    assert (action.kind, action.url) == (
        NextActionKind.REDIRECT, "https://www.paypal.com/checkoutnow?token=ORDER1",
    )  # fmt: skip
    assert payment_from(order("APPROVED")).next_action is None
    without = payment_from(order("CREATED", links=[])).next_action
    assert without is not None
    assert without.kind is NextActionKind.USE_SDK


def test_a_card_in_the_hosted_fields_leaves_nothing_for_the_payer_to_do() -> None:
    seen = payment_from(order("CREATED", payment_source={"card": {"last_digits": "1111"}}))
    assert seen.status is PaymentStatus.REQUIRES_CONFIRMATION


@pytest.mark.parametrize(
    ("status", "means", "collected", "refunded"),
    [
        ("COMPLETED", PaymentStatus.SUCCEEDED, 2000, 0),
        ("PARTIALLY_REFUNDED", PaymentStatus.SUCCEEDED, 2000, 0),
        ("REFUNDED", PaymentStatus.SUCCEEDED, 2000, 2000),
        ("PENDING", PaymentStatus.PROCESSING, 0, 0),
        ("DECLINED", PaymentStatus.FAILED, 0, 0),
        ("FAILED", PaymentStatus.FAILED, 0, 0),
        ("SPARKLING", UNRECOGNISED, 0, 0),
    ],
)
def test_a_capture_decides_and_not_its_order(status: str, means: Any, collected: int, refunded: int) -> None:
    payment = payment_from(order("COMPLETED", captures=[capture(status)]))
    assert payment.status is means
    assert (payment.captured, payment.refunded) == (collected, refunded)
    assert payment.provider_status == f"capture {status}"


@pytest.mark.parametrize(
    ("status", "means", "held"),
    [
        ("CREATED", PaymentStatus.REQUIRES_CAPTURE, 2000),
        ("PENDING", PaymentStatus.PROCESSING, 0),
        ("DENIED", PaymentStatus.FAILED, 0),
        ("VOIDED", PaymentStatus.CANCELED, 0),
        ("SPARKLING", UNRECOGNISED, 0),
    ],
)
def test_only_an_authorisation_that_holds_money_can_be_captured(status: str, means: Any, held: int) -> None:
    payment = payment_from(order("COMPLETED", intent="AUTHORIZE", authorizations=[hold(status)]))
    assert (payment.status, payment.authorized, payment.captured) == (means, held, 0)


@pytest.mark.parametrize(
    ("word", "captures", "held", "means"),
    [
        ("PARTIALLY_CAPTURED", [capture(value="7.00")], 1300, PaymentStatus.REQUIRES_CAPTURE),
        ("PARTIALLY_CAPTURED", [capture(value="7.00", final_capture=True)], 0, PaymentStatus.SUCCEEDED),
        ("CAPTURED", [capture(final_capture=True)], 0, PaymentStatus.SUCCEEDED),
        ("VOIDED", [capture(value="7.00")], 0, PaymentStatus.SUCCEEDED),
        ("CREATED", [capture("DECLINED", final_capture=True)], 2000, PaymentStatus.REQUIRES_CAPTURE),
        ("PARTIALLY_CAPTURED", [capture("PENDING", value="7.00")], 1300, PaymentStatus.PROCESSING),
    ],
)  # fmt: skip
def test_what_is_left_of_an_authorisation(word: str, captures: Any, held: int, means: PaymentStatus) -> None:
    payment = payment_from(
        order("COMPLETED", intent="AUTHORIZE", authorizations=[hold(word)], captures=captures)
    )
    assert (payment.authorized, payment.status) == (held, means)


def test_the_newest_authorisation_is_the_one_that_is_captured_or_released() -> None:
    old = hold(id="OLD", create_time="2026-11-20T00:00:00Z")
    new = hold(id="NEW", create_time="2026-11-23T00:00:00Z")
    seen = held_authorization(order("COMPLETED", authorizations=[new, old]))
    assert seen is not None
    assert seen["id"] == "NEW"
    assert held_authorization(order("COMPLETED", authorizations=[hold("VOIDED")])) is None


def test_a_refused_attempt_on_an_order_that_can_still_be_paid_is_an_attempt() -> None:
    payment = payment_from(order("APPROVED", captures=[capture("DECLINED")]))
    assert payment.status is PaymentStatus.PENDING
    assert payment.decline is not None
    assert payment.decline.reference == "CAP1"


def test_a_decline_before_a_success_is_not_the_payments_decline() -> None:
    captures = [capture("DECLINED", n=1), capture(n=2, create_time="2026-11-23T11:00:00Z")]
    payment = payment_from(order("COMPLETED", captures=captures))
    assert (payment.status, payment.decline, payment.charge) == (PaymentStatus.SUCCEEDED, None, "CAP2")


@pytest.mark.parametrize(
    ("attempt", "code", "theirs"),
    [
        ({"processor_response": {"response_code": "5120"}}, "insufficient_funds", "5120"),
        ({"processor_response": {"response_code": "9999"}}, "declined", "9999"),
        ({"status_details": {"reason": RISK}}, "fraudulent", RISK),
        ({}, "declined", "DECLINED"),
    ],
)  # fmt: skip
def test_why_a_card_was_declined(attempt: Any, code: str, theirs: str) -> None:
    decline = payment_from(order("COMPLETED", captures=[capture("DECLINED", **attempt)])).decline
    assert decline is not None
    assert (decline.code, decline.provider_code) == (code, theirs)


def test_every_decline_is_said_in_the_words_of_all_providers() -> None:
    assert set(DECLINES.values()) <= DECLINE_CODES


def test_held_for_review_is_said_and_other_waiting_is_not_review() -> None:
    for reason, review in (("PENDING_REVIEW", True), ("ECHECK", False)):
        captures = [capture("PENDING", status_details={"reason": reason})]
        assert payment_from(order("COMPLETED", captures=captures)).review is review


def test_money_taken_back_by_a_bank_counts_though_no_refund_is_listed() -> None:
    payment = payment_from(order("COMPLETED", captures=[capture("REFUNDED")], refunds=[]))
    assert (payment.captured, payment.refunded) == (2000, 2000)


@pytest.mark.parametrize(
    ("word", "means", "counts"),
    [
        ("COMPLETED", RefundStatus.SUCCEEDED, 300),
        ("PENDING", RefundStatus.PENDING, 300),
        ("FAILED", RefundStatus.FAILED, 0),
        ("CANCELLED", RefundStatus.CANCELED, 0),
        ("SPARKLING", RefundStatus.PENDING, 300),
    ],
)
def test_a_refund_that_is_not_a_definite_no_keeps_its_share(
    word: str, means: RefundStatus, counts: int
) -> None:
    refunds = [{"id": "REF1", "status": word, "amount": usd("3.00"), "custom_id": "ORDER1.ref_1"}]
    payment = payment_from(order("COMPLETED", captures=[capture()], refunds=refunds))
    assert payment.refunds is not None
    assert (payment.refunds[0].status, payment.refunds[0].refund_id) == (means, "ref_1")
    assert payment.refunded == counts


def test_an_answer_without_an_amount_takes_the_amount_that_was_asked() -> None:
    answer = {"id": "REF1", "status": "COMPLETED"}
    assert refund_from(answer, asked=Money(300, "USD")).amount == Money(300, "USD")
    with pytest.raises(ValueError, match="no known amount"):
        refund_from(answer)


@pytest.mark.parametrize(
    "change",
    [
        {"purchase_units": []},
        {"purchase_units": [{"amount": usd("1.00")}, {"amount": usd("2.00")}]},
        {"purchase_units": [{"amount": {"currency_code": "USD", "value": "1.005"}}]},
        {"id": ""},
        {"status": None},
    ],
)
def test_what_is_no_order_of_ours_is_not_read(change: dict[str, Any]) -> None:
    with pytest.raises((ValueError, InvalidRequest)):
        payment_from({**order(), **change})


def test_a_merchants_own_invoice_number_is_no_claim_of_ours() -> None:
    theirs = order()
    theirs["purchase_units"][0]["invoice_id"] = "INVOICE-123"
    assert payment_from(theirs).our_reference is None


def test_a_short_answer_is_read_with_what_the_order_said_before() -> None:
    short = {
        "id": "ORDER1",
        "status": "COMPLETED",
        "purchase_units": [{"reference_id": "default", "payments": {"captures": [capture()]}}],
    }
    payment = payment_from(merged(order("APPROVED"), short))
    assert (payment.status, payment.amount, payment.payment_id) == (
        PaymentStatus.SUCCEEDED, Money(2000, "USD"), "pay_1",
    )  # fmt: skip
    with pytest.raises(ValueError, match="another order"):
        merged(order(), {**short, "id": "ORDER2"})


# --- events ---------------------------------------------------------------------------------------


def event(kind: str, resource: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "WH-1", "event_type": kind, "resource": resource, "resource_version": "2.0", **more}


UP = {"links": [{"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/CAP1"}]}


@pytest.mark.parametrize(
    ("kind", "resource", "leads_to"),
    [
        ("CHECKOUT.ORDER.APPROVED", {"id": "ORDER1"}, "ORDER1"),
        (
            "PAYMENT.CAPTURE.COMPLETED",
            {"id": "CAP1", "supplementary_data": {"related_ids": {"order_id": "ORDER1"}}},
            "ORDER1",
        ),
        ("PAYMENT.CAPTURE.COMPLETED", {"id": "CAP1", "status": "COMPLETED"}, "CAP1"),
        ("PAYMENT.CAPTURE.REFUNDED", {"id": "REF1", "status": "COMPLETED", **UP}, "CAP1"),
        ("PAYMENT.CAPTURE.REFUNDED", {"id": "REF1", "custom_id": "ORDER1.ref_9", **UP}, "ORDER1"),
        ("PAYMENT.CAPTURE.REFUNDED", {"id": "REF1", "custom_id": "cart.7", **UP}, "CAP1"),
        (
            "CUSTOMER.DISPUTE.CREATED",
            {"dispute_id": "PP-D-1", "disputed_transactions": [{"seller_transaction_id": "CAP1"}]},
            "CAP1",
        ),
        ("PAYMENT.CAPTURE.DENIED", {"id": "OLD1", "state": "denied"}, None),
        ("BILLING.PLAN.CREATED", {"id": "P-1"}, None),
        ("CUSTOMER.DISPUTE.CREATED", {}, None),
    ],
)
def test_an_event_leads_to_its_order_or_at_least_to_its_capture(
    kind: str, resource: dict[str, Any], leads_to: str | None
) -> None:
    assert reference_from(event(kind, resource)) == leads_to


def test_an_event_says_whose_it_is() -> None:
    told = event_from(event("CHECKOUT.ORDER.APPROVED", order()), livemode=True, body="{}")
    assert (told.id, told.reference, told.our_reference, told.livemode, told.api_version) == (
        "WH-1", "ORDER1", REFERENCE, True, "2.0",
    )  # fmt: skip
