"""The decisions as tables of values."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_payments.engine import rules, settlement
from bridge_payments.errors import IllegalState, InvalidRequest
from bridge_payments.models import Money, Payment, PaymentStatus, Refund, RefundStatus, Verb
from bridge_payments.providers.base import Decline, ProviderPayment, ProviderRefund

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def a_payment(**more) -> Payment:
    values = {
        "id": "pay_1",
        "provider_id": "dummy",
        "status": PaymentStatus.PENDING,
        "currency": "USD",
        "subtotal_cents": 1000,
        "tax_cents": 0,
        "discount_cents": 0,
        "total_cents": 1000,
        "created_at": NOW,
        "updated_at": NOW,
        "provider_intent_id": "pi_1",
        "reference": "r" * 20,
    }
    return Payment(**{**values, **more})


def a_truth(status=PaymentStatus.PENDING, **more) -> ProviderPayment:
    values = {"reference": "pi_1", "status": status, "amount": Money(1000, "USD"), "our_reference": "r" * 20}
    return ProviderPayment(**{**values, **more})


@pytest.mark.parametrize(
    ("given", "priced"),
    [
        ({"subtotal": 1000}, (1000, 0, 0, 1000)),
        ({"total": 1000}, (1000, 0, 0, 1000)),
        ({"subtotal": 1000, "tax": 80}, (1000, 80, 0, 1080)),
        ({"subtotal": 1000, "discount": 100}, (1000, 0, 100, 900)),
        ({"subtotal": 1000, "tax": 80, "discount": 100}, (1000, 80, 100, 980)),
        ({"total": 1080, "tax": 80}, (1000, 80, 0, 1080)),
        ({"total": 900, "discount": 100}, (1000, 0, 100, 900)),
        ({"total": 980, "tax": 80, "discount": 100}, (1000, 80, 100, 980)),
        ({"subtotal": 1000, "total": 1000}, (1000, 0, 0, 1000)),
        ({"subtotal": 1000, "tax": 80, "discount": 100, "total": 980}, (1000, 80, 100, 980)),
    ],
)
def test_a_price_is_completed_from_what_was_given(given, priced):
    found = rules.price(**given)
    assert (found.subtotal, found.tax, found.discount, found.total) == priced


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"tax": 80},
        {"discount": 80},
        {"tax": 80, "discount": 80},
        {"subtotal": 1000, "total": 1001},
        {"subtotal": 1000, "tax": 1, "total": 1000},
        {"subtotal": 100, "discount": 101},
        {"total": 100, "tax": 101},
        {"subtotal": -1},
        {"subtotal": 10, "tax": -1},
    ],
)
def test_a_price_that_does_not_balance_is_refused_and_not_repaired(given):
    with pytest.raises(InvalidRequest):
        rules.price(**given)


@given(*(st.none() | st.integers(-5, 50) for _ in range(4)))
def test_every_price_that_is_accepted_balances(subtotal, tax, discount, total):
    try:
        found = rules.price(subtotal=subtotal, tax=tax, discount=discount, total=total)
    except InvalidRequest:
        return
    assert found.total == found.subtotal + found.tax - found.discount
    assert min(found.subtotal, found.tax, found.discount, found.total) >= 0
    assert subtotal in (None, found.subtotal)
    assert total in (None, found.total)


@pytest.mark.parametrize(("verb", "status"), list(itertools.product(rules.ALLOWED, PaymentStatus)))
def test_the_state_machine_is_the_table(verb, status):
    payment = a_payment(status=status)
    if status in rules.ALLOWED[verb]:
        rules.check_state(verb, payment)
    else:
        with pytest.raises(IllegalState) as refusal:
            rules.check_state(verb, payment)
        assert refusal.value.details["current_status"] == status.value


@pytest.mark.parametrize("verb", list(rules.ALLOWED))
def test_a_payment_under_review_is_left_alone(verb):
    for status in rules.ALLOWED[verb]:
        with pytest.raises(IllegalState, match="review"):
            rules.check_state(verb, a_payment(status=status, review=True))


def test_no_caller_leaves_a_final_state():
    for status in (PaymentStatus.FAILED, PaymentStatus.CANCELED, PaymentStatus.REFUNDED):
        assert not any(status in allowed for allowed in rules.ALLOWED.values())
    assert Verb.CREATE not in rules.ALLOWED


# --- settlement: the provider outranks every local state -------------------------------------------


@pytest.mark.parametrize("before", list(PaymentStatus))
def test_a_success_that_was_read_at_the_provider_beats_every_local_state(before):
    settled = settlement.merge(
        a_payment(status=before), a_truth(PaymentStatus.SUCCEEDED, captured=1000, authorized=1000), NOW
    )
    assert settled.payment.status is PaymentStatus.SUCCEEDED
    assert [event.type for event in settled.events] == ["payment.success"]


def test_a_returned_payment_fails_after_its_success_and_what_was_captured_stays_known():
    paid = a_payment(status=PaymentStatus.SUCCEEDED, captured_cents=1000, authorized_cents=1000, paid_at=NOW)
    settled = settlement.merge(paid, a_truth(PaymentStatus.FAILED), NOW)
    assert (settled.payment.status, settled.payment.captured_cents) == (PaymentStatus.FAILED, 1000)
    (event,) = settled.events
    assert (event.type, event.data["after_success"]) == ("payment.failed", True)


def test_a_refund_that_failed_at_the_provider_gives_its_share_back():
    refund = Refund(
        id="ref_1",
        payment_id="pay_1",
        provider_id="dummy",
        amount_cents=400,
        currency="USD",
        status=RefundStatus.SUCCEEDED,
        provider_refund_id="re_1",
        created_at=NOW,
        updated_at=NOW,
    )
    paid = a_payment(
        status=PaymentStatus.PARTIALLY_REFUNDED,
        captured_cents=1000,
        authorized_cents=1000,
        refunded_cents=400,
        refund_reserved_cents=400,
        paid_at=NOW,
    )
    failed = ProviderRefund(
        reference="re_1", payment="pi_1", amount=Money(400, "USD"), status=RefundStatus.FAILED
    )
    truth = a_truth(PaymentStatus.SUCCEEDED, captured=1000, authorized=1000, refunded=0, refunds=(failed,))
    settled = settlement.merge(paid, truth, NOW, refunds=(refund,))
    row = settled.payment
    assert (row.status, row.refunded_cents, row.refund_reserved_cents) == (PaymentStatus.SUCCEEDED, 0, 0)
    assert [event.type for event in settled.events] == ["refund.failed"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"reference": "pi_2"},
        {"our_reference": "x" * 20},
        {"payment_id": "pay_2"},
        {"amount": Money(999, "USD")},
        {"amount": Money(1000, "EUR")},
        {"livemode": True},
    ],
)
def test_money_of_another_object_is_stored_as_a_mismatch_and_never_as_success(wrong):
    truth = a_truth(PaymentStatus.SUCCEEDED, **{"captured": 1000, "livemode": False, **wrong})
    settled = settlement.merge(a_payment(livemode=False), truth, NOW)
    assert (settled.payment.status, settled.payment.captured_cents) == (PaymentStatus.PROCESSING, 0)
    assert [event.type for event in settled.events] == ["payment.mismatch"]
    again = settlement.merge(settled.payment, truth, NOW)
    assert again.events == ()


_HALF_HELD = {"status": PaymentStatus.REQUIRES_CAPTURE, "captured": 400, "authorized": 600}
_REST_RELEASED = {"status": PaymentStatus.CANCELED, "captured": 400}


@pytest.mark.parametrize("before", list(PaymentStatus))
@pytest.mark.parametrize("answers", [[_REST_RELEASED], [_HALF_HELD, _REST_RELEASED]])
def test_a_cancel_after_a_part_was_collected_leaves_it_paid_with_that_part(before, answers):
    payment, told = a_payment(status=before), []
    for answer in (*answers, _REST_RELEASED):
        settled = settlement.merge(payment, a_truth(**answer), NOW)
        payment, told = settled.payment, [*told, *(event.type for event in settled.events)]
    assert (payment.status, payment.captured_cents) == (PaymentStatus.SUCCEEDED, 400)
    assert payment.completed_at == NOW
    assert (payment.next_sync_at, payment.client_secret) == (None, None), "it is final"
    assert told.count("payment.success") == 1
    assert not {"payment.canceled", "payment.failed"} & {*told}
    assert rules.check_refund(payment, None, force=False) == 400


@pytest.mark.parametrize(
    ("refunded", "status"), [(100, PaymentStatus.PARTIALLY_REFUNDED), (400, PaymentStatus.REFUNDED)]
)
def test_what_was_given_back_of_a_collected_part_counts_after_a_cancel(refunded, status):
    settled = settlement.merge(a_payment(), a_truth(**_REST_RELEASED, refunded=refunded), NOW)
    assert (settled.payment.status, settled.payment.refundable_cents) == (status, 400 - refunded)


def test_a_part_of_another_price_is_a_mismatch_after_a_cancel_too():
    truth = a_truth(**_REST_RELEASED, amount=Money(999, "USD"))
    settled = settlement.merge(a_payment(), truth, NOW)
    assert (settled.payment.status, settled.payment.captured_cents) == (PaymentStatus.PROCESSING, 0)
    assert [event.type for event in settled.events] == ["payment.mismatch"]


def test_a_cancel_of_what_nobody_collected_is_a_cancel():
    held = a_payment(status=PaymentStatus.REQUIRES_CAPTURE, authorized_cents=1000)
    settled = settlement.merge(held, a_truth(PaymentStatus.CANCELED), NOW)
    assert settled.payment.status is PaymentStatus.CANCELED
    assert [event.type for event in settled.events] == ["payment.canceled"]


_ANSWERS = [
    a_truth(PaymentStatus.PENDING),
    a_truth(PaymentStatus.PENDING, decline=Decline(code="declined", message="no", reference="ch_1")),
    a_truth(PaymentStatus.REQUIRES_ACTION),
    a_truth(PaymentStatus.PROCESSING),
    a_truth(PaymentStatus.SUCCEEDED, captured=1000, authorized=1000),
]


@pytest.mark.parametrize("order", list(itertools.permutations(range(len(_ANSWERS)))))
def test_whatever_was_read_before_the_last_read_decides_and_success_is_told_once(order):
    payment, told = a_payment(), []
    for index in (*order, len(_ANSWERS) - 1, len(_ANSWERS) - 1):
        settled = settlement.merge(payment, _ANSWERS[index], NOW)
        payment, told = settled.payment, [*told, *(event.type for event in settled.events)]
    assert payment.status is PaymentStatus.SUCCEEDED
    assert payment.captured_cents == 1000
    assert (told.count("payment.success"), told.count("payment.failed")) == (1, told.count("payment.failed"))
    assert told.count("payment.failed") <= 1
