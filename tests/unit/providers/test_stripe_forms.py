"""Nothing is sent that was not asked for, and nothing may be asked for that changes whose money moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bridge_payments.errors import InvalidRequest
from bridge_payments.models import CaptureMethod, Money
from bridge_payments.providers.base import (
    CancelRequest,
    CaptureRequest,
    ConfirmRequest,
    IntentRequest,
    RefundRequest,
    UpdateRequest,
)
from bridge_payments.providers.stripe.forms import (
    cancel_form,
    capture_form,
    checked_id,
    confirm_form,
    create_form,
    refund_form,
    update_form,
)

OURS = {"bridge_payment_id": "pay_1", "bridge_reference": "ref1"}


def create(**changes: Any) -> Mapping[str, Any]:
    return create_form(
        IntentRequest(**{"amount": Money(2000, "USD"), "payment_id": "pay_1", "reference": "ref1", **changes})
    )


def refund(**changes: Any) -> Mapping[str, Any]:
    facts = {"payment": "pi_1", "refund_id": "ref_1", "amount": Money(500, "USD"), "reference": "r1"}
    return refund_form(RefundRequest(**{**facts, **changes}))


def test_the_smallest_create_is_amount_currency_and_our_marks() -> None:
    """Wallets need no parameter, and a parameter that nobody asked for is one that can be refused."""
    assert create() == {"amount": 2000, "currency": "usd", "metadata": OURS}


def test_a_create_says_everything_that_was_asked_for() -> None:
    asked = create(
        capture_method=CaptureMethod.MANUAL,
        confirm=True,
        payment_method="pm_1",
        customer="cus_1",
        setup_future_usage="off_session",
        return_url="https://shop.example/back",
        description="Ten apples",
        metadata={"order": "7"},
    )
    assert asked == {
        "amount": 2000,
        "currency": "usd",
        "metadata": {"order": "7", **OURS},
        "capture_method": "manual",
        "customer": "cus_1",
        "payment_method": "pm_1",
        "setup_future_usage": "off_session",
        "description": "Ten apples",
        "confirm": True,
        "expand": ["latest_charge"],
        "return_url": "https://shop.example/back",
    }


def test_a_confirm_without_a_way_back_declines_redirects_instead_of_being_refused() -> None:
    assert create(confirm=True, payment_method="pm_1")["automatic_payment_methods"] == {
        "enabled": True,
        "allow_redirects": "never",
    }
    assert "automatic_payment_methods" not in create(confirm=True, extra={"payment_method_types": ["card"]})
    assert "return_url" not in create(return_url="https://shop.example/back"), (
        "Stripe takes it with a confirm only"
    )


def test_a_confirmation_token_goes_where_stripe_takes_it() -> None:
    assert create(confirm=True, payment_method="ctoken_1")["confirmation_token"] == "ctoken_1"
    asked = confirm_form(ConfirmRequest(payment="pi_1", amount=Money(1, "USD"), payment_method="ctoken_1"))
    assert asked == {"confirmation_token": "ctoken_1", "expand": ["latest_charge"]}


@pytest.mark.parametrize(
    "extra",
    [
        {"amount": 1},
        {"currency": "jpy"},
        {"customer": "cus_other"},
        {"capture_method": "manual"},
        {"confirm": True},
        {"payment_method": "pm_of_somebody"},
        {"payment_method_options": {"card": {"capture_method": "manual"}}},
        {"idempotency_key": "another"},
        {"metadata": {"bridge_reference": "of another payment"}},
        {"metadata": {"bridge_anything": "x"}},
        {"metadata": "none"},
        {"metadata[bridge_reference]": "by the back door"},
        {"amount ": 1},
        {"": 1},
        {"transfer_data": {"amount]": 1}},
    ],
)
def test_extra_never_replaces_the_money_or_our_marks(extra: Mapping[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        create(extra=extra)
    assert refused.value.field in ("extra", "metadata")


def test_extra_adds_what_only_stripe_knows_and_is_merged_last() -> None:
    asked = create(
        description="ours", extra={"description": "theirs", "off_session": True, "metadata": {"a": "b"}}
    )
    assert (asked["description"], asked["off_session"]) == ("theirs", True)
    assert asked["metadata"] == {"a": "b", **OURS}


@pytest.mark.parametrize(
    "metadata", [{"bridge_reference": "x"}, {"bridge_new": "x"}, {"a[b]": "x"}, {"": "x"}]
)
def test_a_merchants_metadata_cannot_carry_our_marks(metadata: Mapping[str, str]) -> None:
    for make in (lambda: create(metadata=metadata), lambda: refund(metadata=metadata)):
        with pytest.raises(InvalidRequest):
            make()


@pytest.mark.parametrize("metadata", [{"bridge_update": "x"}, {"bridge_new": "x"}, {"a[b]": "x"}, {"": "x"}])
def test_an_update_cannot_be_stamped_by_the_merchant(metadata: Mapping[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        update_form(UpdateRequest(payment="pi_1", metadata=metadata), reference="u1")


def test_the_engine_may_name_the_payment_on_a_refund_and_on_an_update() -> None:
    assert refund(metadata={"bridge_payment_id": "pay_1"})["metadata"]["bridge_payment_id"] == "pay_1"
    change = UpdateRequest(
        payment="pi_1", metadata={"bridge_payment_id": "pay_1", "bridge_reference": "ref1"}
    )
    assert update_form(change, reference="u1")["metadata"] == {**OURS, "bridge_update": "u1"}


def test_our_own_marks_may_already_be_in_the_metadata() -> None:
    assert create(metadata=OURS)["metadata"] == OURS


def test_an_update_says_the_change_with_its_currency_and_stamps_it() -> None:
    assert update_form(UpdateRequest(payment="pi_1"), reference="u1") == {"metadata": {"bridge_update": "u1"}}
    asked = update_form(
        UpdateRequest(payment="pi_1", amount=Money(500, "JPY"), description="", customer="cus_1"),
        reference="u1",
    )
    assert asked == {
        "amount": 500,
        "currency": "jpy",
        "description": "",
        "customer": "cus_1",
        "metadata": {"bridge_update": "u1"},
    }


def test_a_capture_always_says_its_amount_and_only_an_unfinished_one_says_so() -> None:
    last = capture_form(CaptureRequest(payment="pi_1", amount=Money(700, "USD")), reference="c1")
    assert last == {"amount_to_capture": 700, "expand": ["latest_charge"]}
    first = capture_form(
        CaptureRequest(payment="pi_1", amount=Money(700, "USD"), final=False), reference="c1"
    )
    assert first == {**last, "final_capture": False, "metadata": {"bridge_capture": "c1"}}


def test_a_cancel_passes_on_only_reasons_that_stripe_knows() -> None:
    assert (
        cancel_form(CancelRequest(payment="pi_1", reason="abandoned"))["cancellation_reason"] == "abandoned"
    )
    assert "cancellation_reason" not in cancel_form(CancelRequest(payment="pi_1", reason="changed my mind"))


def test_a_refund_always_says_its_amount_and_whose_it_is() -> None:
    """Without an amount Stripe refunds everything."""
    marks = {"bridge_refund_id": "ref_1", "bridge_reference": "r1"}
    assert refund() == {"payment_intent": "pi_1", "amount": 500, "metadata": marks}
    assert refund(reason="duplicate")["reason"] == "duplicate"
    assert refund(reason="broken apple")["metadata"] == {**marks, "bridge_reason": "broken apple"}


@pytest.mark.parametrize(
    "nonsense", [None, "", " ", "pi_1/refunds", "pi_1?x=1", "../x", "pi 1", "pi_ü", "pi_1\n"]
)
def test_what_cannot_be_an_identity_never_becomes_a_path(nonsense: str | None) -> None:
    """An empty identity addresses the list of all payments."""
    with pytest.raises(InvalidRequest):
        checked_id(nonsense, "payment")
