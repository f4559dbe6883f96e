"""What is sent to PayPal: only what was asked for, our marks, exact amounts, and never a card number."""

from __future__ import annotations

from typing import Any

import pytest

from bridge_payments.errors import AmountNotRepresentable, InvalidRequest
from bridge_payments.models import CaptureMethod, Money
from bridge_payments.providers.base import CaptureRequest, IntentRequest, RefundRequest
from bridge_payments.providers.paypal.forms import (
    capture_form,
    checked_id,
    checked_method,
    create_form,
    is_stored,
    refund_form,
)
from bridge_payments.providers.paypal.money import CURRENCIES, from_paypal, to_paypal


def asked(**more: Any) -> IntentRequest:
    facts = {"amount": Money(2000, "USD"), "payment_id": "pay_1", "reference": "r" * 20}
    return IntentRequest(**{**facts, **more})


def test_an_order_carries_our_marks_and_nothing_that_was_not_asked_for() -> None:
    assert create_form(asked()) == {
        "intent": "CAPTURE",
        "purchase_units": [
            {
                "amount": {"currency_code": "USD", "value": "20.00"},
                "custom_id": "pay_1",
                "invoice_id": "r" * 20,
            }
        ],
    }


def test_a_way_back_makes_an_order_for_paypals_own_page() -> None:
    form = create_form(asked(return_url="https://shop.example/back", capture_method=CaptureMethod.MANUAL))
    assert form["intent"] == "AUTHORIZE"
    context = form["payment_source"]["paypal"]["experience_context"]
    assert (context["return_url"], context["cancel_url"]) == ("https://shop.example/back",) * 2


@pytest.mark.parametrize("method", ["pm_card_visa", "4111111111111111", "PAYPAL", "token"])
def test_a_payment_method_is_a_known_word_or_kept_and_never_a_number(method: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        create_form(asked(payment_method=method))
    assert method not in str(refused.value)


@pytest.mark.parametrize("token", ["8kk8451t", "kqmvtzhr", "QWFHRTYVBNMLKJHGD", "75937429", "1p3-9f_k"])
def test_what_is_kept_may_be_named_by_any_letters_and_digits(token: str) -> None:
    assert is_stored(checked_method(token))
    assert "payment_source" not in create_form(asked(payment_method=token))


def test_venmo_gets_no_addresses_because_it_takes_none() -> None:
    form = create_form(asked(payment_method="venmo", return_url="https://shop.example/back"))
    assert form["payment_source"] == {"venmo": {"experience_context": {}}}


def test_what_is_to_be_kept_is_said_with_the_order_its_payer_agrees_to() -> None:
    with pytest.raises(InvalidRequest, match="what"):
        create_form(asked(setup_future_usage="off_session"))
    card = create_form(asked(setup_future_usage="off_session", payment_method="card", customer="cus1"))
    assert card["payment_source"]["card"]["attributes"] == {
        "vault": {"store_in_vault": "ON_SUCCESS"},
        "customer": {"id": "cus1"},
    }
    wallet = create_form(asked(setup_future_usage="off_session", return_url="https://shop.example/back"))
    assert wallet["payment_source"]["paypal"]["attributes"]["vault"] == {
        "store_in_vault": "ON_SUCCESS",
        "usage_type": "MERCHANT",
        "permit_multiple_payment_tokens": True,
    }
    kept = create_form(
        asked(payment_method="8kk8451t", setup_future_usage="off_session", return_url="https://x.y/z")
    )
    assert "payment_source" not in kept, "what is kept is charged by the capture"


@pytest.mark.parametrize(
    "extra",
    [
        {"intent": "AUTHORIZE"},
        {"processing_instruction": "ORDER_COMPLETE_ON_PAYMENT_APPROVAL"},
        {"purchase_units": [{"custom_id": "x"}]},
        {"purchase_units": [{"invoice_id": "x"}]},
        {"purchase_units": [{"payee": {"merchant_id": "x"}}]},
        {"purchase_units": [{"payment_instruction": {}}]},
        {"purchase_units": [{"amount": {"value": "0.01"}}]},
        {"purchase_units": [{"amount": {"currency_code": "JPY"}}]},
        {"purchase_units": [{}, {}]},
        {"purchase_units": {}},
        {"payment_source": {"card": {"number": "4111111111111111"}}},
        {"payment_source": {"paypal": {"vault_id": "x"}}},
        {"payment_source": {"paypal": {"attributes": {"vault": {}}}}},
        {"payment_source": {"token": {"id": "x", "type": "BILLING_AGREEMENT"}}},
        {"payment_source": "paypal"},
    ],
)
def test_extra_cannot_change_the_money_the_marks_or_whose_card_it_is(extra: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        create_form(asked(extra=extra))
    assert "4111" not in str(refused.value)


def test_extra_adds_to_what_the_payer_is_shown() -> None:
    extra = {
        "payment_source": {
            "paypal": {"experience_context": {"brand_name": "Cups"}, "email_address": "a@b.c"}
        },
        "purchase_units": [{"soft_descriptor": "CUPS"}],
    }
    form = create_form(asked(extra=extra, return_url="https://shop.example/back"))
    wallet = form["payment_source"]["paypal"]
    assert wallet["email_address"] == "a@b.c"
    assert wallet["experience_context"]["brand_name"] == "Cups"
    assert wallet["experience_context"]["return_url"] == "https://shop.example/back"
    assert form["purchase_units"][0]["soft_descriptor"] == "CUPS"


def test_texts_are_cut_where_paypal_cuts_them() -> None:
    form = create_form(asked(description="x" * 200))
    assert len(form["purchase_units"][0]["description"]) == 127
    refund = refund_form(
        RefundRequest(
            payment="ORDER1", refund_id="ref_1", amount=Money(1, "USD"), reference="r" * 20, reason="y" * 300
        )
    )
    assert len(refund["note_to_payer"]) == 255


def test_a_refund_always_says_how_much_and_which_order() -> None:
    refund = refund_form(
        RefundRequest(payment="ORDER1", refund_id="ref_1", amount=Money(1, "USD"), reference="r" * 20)
    )
    assert refund == {
        "amount": {"currency_code": "USD", "value": "0.01"},
        "invoice_id": "r" * 20,
        "custom_id": "ORDER1.ref_1",
    }


def test_a_capture_is_final_unless_it_is_said_not_to_be() -> None:
    form = capture_form(CaptureRequest(payment="ORDER1", amount=Money(701, "USD")), reference="r" * 20)
    assert form == {
        "amount": {"currency_code": "USD", "value": "7.01"},
        "invoice_id": "r" * 20,
        "final_capture": True,
    }


@pytest.mark.parametrize("value", ["", None, "a/b", "a b", "../x", "a?b", "ä"])
def test_an_identity_that_would_address_something_else_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest):
        checked_id(value, "payment")


# --- money ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "value"),
    [
        (Money(1, "USD"), "0.01"),
        (Money(99, "EUR"), "0.99"),
        (Money(100, "EUR"), "1.00"),
        (Money(123456789, "GBP"), "1234567.89"),
        (Money(2000, "JPY"), "2000"),
        (Money(200000, "HUF"), "2000"),
        (Money(100, "TWD"), "1"),
    ],
)
def test_amounts_are_written_exactly_and_read_back(amount: Money, value: str) -> None:
    assert to_paypal(amount) == {"currency_code": amount.currency, "value": value}
    assert from_paypal(to_paypal(amount)) == amount


@pytest.mark.parametrize("amount", [Money(150, "HUF"), Money(1, "TWD")])
def test_what_has_no_exact_form_is_refused_and_not_rounded(amount: Money) -> None:
    with pytest.raises(AmountNotRepresentable):
        to_paypal(amount)


@pytest.mark.parametrize("currency", ["KWD", "RUB", "BTC", "INR"])
def test_a_currency_that_paypal_does_not_charge_is_refused(currency: str) -> None:
    with pytest.raises(InvalidRequest, match=currency):
        to_paypal(Money(1000, currency))


@pytest.mark.needs("specs")
def test_the_currencies_are_those_that_paypal_lists(require: Any) -> None:
    import json

    facts = json.loads((require("specs") / "money" / "currency_exponents.json").read_text())
    assert set(facts["paypal_supported"]) == CURRENCIES
    whole = {code for code in CURRENCIES if "." not in to_paypal(Money(10000, code))["value"]}
    assert set(facts["paypal_no_decimals"]) == whole
