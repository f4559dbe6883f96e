"""What the payer sees is what Stripe is asked for: no currency is off by a factor."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge_payments.errors import AmountNotRepresentable, InvalidRequest
from bridge_payments.models import Money
from bridge_payments.providers.stripe import StripeProvider
from bridge_payments.providers.stripe.money import (
    CURRENCIES,
    MAXIMUM_UNITS,
    MINIMUM_AMOUNTS,
    exponent_of,
    from_stripe,
    to_stripe,
)
from bridge_payments.transport import Transport


@pytest.mark.parametrize(
    ("major", "currency", "units"),
    [
        ("20.00", "USD", 2000),
        ("2000", "JPY", 2000),
        ("5", "ISK", 500),
        ("5", "UGX", 500),
        ("5.00", "MGA", 5),
        ("1.250", "KWD", 1250),
        ("175.00", "HUF", 17500),
        ("30.50", "TWD", 3050),
        ("0.01", "RSD", 1),
        ("1.00", "LAK", 100),
    ],
)
def test_an_amount_goes_out_in_stripes_units_and_comes_back_as_it_was(
    major: str, currency: str, units: int
) -> None:
    amount = Money.from_decimal(major, currency)
    assert to_stripe(amount) == units
    assert from_stripe(units, currency.lower()) == amount


@pytest.mark.parametrize(("minor", "currency"), [(1251, "KWD"), (1, "BHD"), (550, "MGA"), (199, "TND")])
def test_what_has_no_exact_form_at_stripe_is_refused_and_never_rounded(minor: int, currency: str) -> None:
    with pytest.raises(AmountNotRepresentable):
        to_stripe(Money(minor, currency))


@pytest.mark.parametrize("currency", ["IQD", "LYD", "CLF", "XAU", "ABC"])
def test_a_currency_that_stripe_does_not_charge_is_refused_before_anything_is_sent(currency: str) -> None:
    with pytest.raises(InvalidRequest, match=currency):
        to_stripe(Money(1000, currency))


def test_every_currency_survives_both_directions() -> None:
    for currency in CURRENCIES:
        for units in (1000, 123_000):
            assert to_stripe(from_stripe(units, currency)) == units, currency


def test_no_amount_made_of_units_is_off_for_a_whole_unit_currency() -> None:
    """Fifty aurar do not exist: an object with such an amount was not made by us and is not misread."""
    with pytest.raises(AmountNotRepresentable):
        from_stripe(550, "isk")


@pytest.mark.needs("specs")
def test_the_exponents_are_the_published_ones(require: Any) -> None:
    facts = json.loads((require("specs") / "money" / "currency_exponents.json").read_text())
    # UGX is in both of Stripe's tables; the special case governs charges.
    assert {code for code in CURRENCIES if exponent_of(code) == 0} == set(facts["stripe_zero_decimal"]) - {
        "UGX"
    }
    assert {code for code in CURRENCIES if exponent_of(code) == 3} == set(facts["stripe_three_decimal"])
    assert all(exponent_of(code) == 2 for code in facts["stripe_two_decimal_but_whole_units_only"])


def test_a_total_below_stripes_minimum_is_refused_before_anything_is_written() -> None:
    account = StripeProvider(secret_key="sk_test_1", transport=Transport())
    for currency, minimum in MINIMUM_AMOUNTS.items():
        account.check_amount(Money(minimum, currency))
        with pytest.raises(InvalidRequest, match="minimum"):
            account.check_amount(Money(minimum - 1, currency))
    with pytest.raises(InvalidRequest):
        account.check_amount(Money(0, "XPF"))


def test_an_amount_that_no_currency_takes_is_refused_before_anything_is_written() -> None:
    account = StripeProvider(secret_key="sk_test_1", transport=Transport())
    account.check_amount(Money(MAXIMUM_UNITS, "IDR"))
    with pytest.raises(InvalidRequest, match="more than Stripe charges"):
        account.check_amount(Money(MAXIMUM_UNITS + 1, "IDR"))
