"""What Stripe says of a payment is what we record: the sums, the state, the reason, the next step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bridge_payments.models import Money, NextActionKind, PaymentStatus, RefundStatus
from bridge_payments.providers.base import DECLINE_CODES, UNRECOGNISED
from bridge_payments.providers.stripe.mapping import (
    DECLINES,
    STATUS,
    next_action_from,
    payment_from,
    refund_from,
)

Make = Callable[..., dict[str, Any]]


def test_a_fresh_intent_is_pending_and_carries_our_marks(intent: Make) -> None:
    payment = payment_from(intent(), request_id="req_1")
    assert payment.status is PaymentStatus.PENDING
    assert payment.amount == Money(2000, "USD")
    assert (payment.payment_id, payment.our_reference) == ("pay_1", "ref00000000000000001")
    assert (payment.authorized, payment.captured, payment.refunded, payment.disputed) == (0, 0, 0, 0)
    assert (payment.client_secret, payment.livemode, payment.request_id) == (
        "pi_1_secret_abc",
        False,
        "req_1",
    )
    assert payment.refunds == (), "an intent without a charge has no refunds, and that is known"


def test_secrets_are_not_in_the_repr(intent: Make) -> None:
    assert "secret_abc" not in repr(payment_from(intent()))


def test_a_status_that_is_new_is_unrecognised_and_never_pending(intent: Make) -> None:
    assert payment_from(intent(status="requires_blood_test")).status is UNRECOGNISED


def test_an_authorisation_is_held_and_not_collected(intent: Make, charge: Make) -> None:
    held = charge(captured=False, amount_captured=0)
    payment = payment_from(intent(status="requires_capture", amount_capturable=2000, latest_charge=held))
    assert (payment.status, payment.authorized, payment.captured) == (PaymentStatus.REQUIRES_CAPTURE, 2000, 0)


def test_a_paid_intent_shows_its_charge_and_its_wallet(paid: Make) -> None:
    payment = payment_from(paid())
    assert (payment.captured, payment.charge) == (2000, "ch_1")
    assert payment.method is not None
    assert (payment.method.reference, payment.method.type, payment.method.last_four) == (
        "pm_1",
        "credit_card",
        "4242",
    )
    assert (payment.method.brand, payment.method.wallet_type) == ("visa", "apple_pay")
    assert (payment.method.expiry_month, payment.method.expiry_year) == (8, 2031)


def test_a_released_authorisation_is_not_a_refund(intent: Make, charge: Make, refund: Make) -> None:
    """Older versions of the API report it as one; a merchant's refunds would not add up."""
    released = charge(
        captured=False, amount_refunded=2000, refunded=True, refunds={"data": [refund(amount=2000)]}
    )
    payment = payment_from(intent(status="canceled", latest_charge=released))
    assert (payment.status, payment.captured, payment.refunded) == (PaymentStatus.CANCELED, 0, 0)
    assert payment.refunds == ()


def test_refunds_count_unless_they_failed(paid: Make, refund: Make, listing: Make) -> None:
    refunds = listing(
        refund(id="re_1", amount=300, status="pending"),
        refund(id="re_2", amount=200, status="requires_action"),
        refund(id="re_3", amount=700, status="failed"),
        refund(id="re_4", amount=600, status="canceled"),
        refund(id="re_5", amount=100, status="succeeded"),
    )
    payment = payment_from(paid(charge={"amount_refunded": 600, "refunds": refunds}))
    assert payment.refunded == 600
    assert payment.refunds is not None
    assert [each.status for each in payment.refunds] == [
        RefundStatus.PENDING,
        RefundStatus.PENDING,
        RefundStatus.FAILED,
        RefundStatus.CANCELED,
        RefundStatus.SUCCEEDED,
    ]


def test_half_a_list_of_refunds_is_not_taken_for_all_of_them(paid: Make, refund: Make, listing: Make) -> None:
    some = paid(charge={"amount_refunded": 900, "refunds": listing(refund(amount=100), has_more=True)})
    payment = payment_from(some)
    assert (payment.refunded, payment.refunds) == (900, None)
    whole = payment_from(some, refunds=[refund(id="re_1", amount=100), refund(id="re_2", amount=800)])
    assert (whole.refunded, len(whole.refunds or ())) == (900, 2)


def test_an_answer_that_does_not_spell_out_the_charge_says_nothing_of_refunds(intent: Make) -> None:
    payment = payment_from(intent(status="succeeded", amount_received=2000, latest_charge="ch_1"))
    assert (payment.charge, payment.refunds) == ("ch_1", None)


@pytest.mark.parametrize(
    ("status", "taken"),
    [
        ("needs_response", 2000),
        ("under_review", 2000),
        ("lost", 2000),
        ("won", 0),
        ("prevented", 0),
        ("warning_needs_response", 0),
        ("warning_closed", 0),
    ],
)
def test_a_dispute_counts_while_it_has_the_money(paid: Make, dispute: Make, status: str, taken: int) -> None:
    disputed = paid(charge={"disputed": True})
    assert payment_from(disputed, disputes=[dispute(status=status)]).disputed == taken


def test_a_dispute_that_nobody_listed_counts_as_a_whole(paid: Make) -> None:
    """Too much refuses a refund; too little would give money away twice."""
    assert payment_from(paid(charge={"disputed": True})).disputed == 2000


def test_zero_decimal_sums_are_read_in_our_minor_units(paid: Make) -> None:
    payment = payment_from(
        paid(currency="mga", charge={"currency": "mga", "amount_refunded": 5, "refunds": None})
    )
    assert (payment.amount, payment.captured, payment.refunded) == (Money(200_000, "MGA"), 200_000, 500)


# --- declines -------------------------------------------------------------------------------------


def declined(intent: Make, **error: Any) -> Any:
    return payment_from(intent(last_payment_error={"type": "card_error", "message": "No.", **error})).decline


def test_a_decline_leaves_the_intent_payable_and_says_which_attempt_it_was(intent: Make) -> None:
    decline = declined(intent, code="card_declined", decline_code="insufficient_funds", charge="ch_9")
    assert (decline.code, decline.provider_code, decline.reference) == (
        "insufficient_funds",
        "insufficient_funds",
        "ch_9",
    )


def test_an_unknown_decline_code_is_still_a_decline(intent: Make) -> None:
    decline = declined(intent, code="card_declined", decline_code="new_in_2031")
    assert (decline.code, decline.provider_code) == ("declined", "new_in_2031")


def test_a_failed_authentication_without_a_charge_is_named_by_its_method(intent: Make) -> None:
    decline = declined(intent, code="payment_intent_authentication_failure", payment_method={"id": "pm_7"})
    assert (decline.code, decline.reference) == (
        "authentication_failed",
        "pm_7:payment_intent_authentication_failure",
    )


def test_the_charge_remembers_a_decline_that_an_update_cleared(intent: Make, charge: Make) -> None:
    failed = charge(status="failed", captured=False, failure_code="expired_card", failure_message="Expired.")
    decline = payment_from(intent(latest_charge=failed)).decline
    assert decline is not None
    assert (decline.code, decline.reference) == ("expired_card", "ch_1")


def test_a_failed_charge_under_a_challenge_is_not_a_refusal(intent: Make, charge: Make) -> None:
    failed = charge(status="failed", captured=False, failure_code="authentication_required")
    assert payment_from(intent(status="requires_action", latest_charge=failed)).decline is None


def test_a_success_carries_no_old_decline(paid: Make) -> None:
    assert payment_from(paid(last_payment_error={"code": "card_declined", "charge": "ch_0"})).decline is None


def test_every_code_we_translate_to_is_one_of_the_shared_words() -> None:
    assert set(DECLINES.values()) <= DECLINE_CODES
    assert set(STATUS.values()) <= set(PaymentStatus)


# --- next actions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "kind", "url"),
    [
        (
            {
                "type": "redirect_to_url",
                "redirect_to_url": {"url": "https://b.example/3ds", "return_url": "https://s"},
            },
            NextActionKind.REDIRECT,
            "https://b.example/3ds",
        ),
        (
            {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "x", "url": "https://no"}},
            NextActionKind.USE_SDK,
            None,
        ),
        (
            {"type": "oxxo_display_details", "oxxo_display_details": {"hosted_voucher_url": "https://v"}},
            NextActionKind.REDIRECT,
            "https://v",
        ),
        (
            {
                "type": "verify_with_microdeposits",
                "verify_with_microdeposits": {"hosted_verification_url": "https://m"},
            },
            NextActionKind.REDIRECT,
            "https://m",
        ),
        ({"type": "blik_authorize", "blik_authorize": {}}, NextActionKind.USE_SDK, None),
        ({"type": "new_in_2031"}, NextActionKind.USE_SDK, None),
        (None, NextActionKind.USE_SDK, None),
    ],
)
def test_every_next_action_is_a_page_or_a_job_for_the_script(
    action: Any, kind: NextActionKind, url: str | None
) -> None:
    found = next_action_from(action, PaymentStatus.REQUIRES_ACTION)
    assert found is not None
    assert (found.kind, found.url) == (kind, url)


def test_nothing_is_to_be_done_in_any_other_state() -> None:
    assert next_action_from({"type": "use_stripe_sdk"}, PaymentStatus.SUCCEEDED) is None


# --- refunds --------------------------------------------------------------------------------------


def test_a_refund_is_read_with_our_marks(refund: Make) -> None:
    read = refund_from(refund(status="failed", failure_reason="expired_or_canceled_card"))
    assert (read.refund_id, read.our_reference, read.payment) == ("ref_1", "ref00000000000000009", "pi_1")
    assert (read.amount, read.status, read.failure) == (
        Money(500, "USD"),
        RefundStatus.FAILED,
        "expired_or_canceled_card",
    )


def test_a_refund_in_a_state_that_is_new_keeps_its_share(refund: Make) -> None:
    assert refund_from(refund(status="on_its_way")).status is RefundStatus.PENDING


@pytest.mark.parametrize(
    "nonsense",
    [{}, {"object": "charge"}, {"object": "payment_intent"}, {"object": "payment_intent", "id": ""}],
)
def test_what_is_no_payment_is_never_read_as_one(nonsense: dict[str, Any]) -> None:
    with pytest.raises((KeyError, ValueError)):
        payment_from(nonsense)
