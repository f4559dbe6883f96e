"""An amount is exact or it is refused: a factor of 100, or a rounded cent, is somebody's money."""

from __future__ import annotations

import dataclasses
import decimal
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iso4217 import Currency

from bridge_payments.errors import AmountNotRepresentable, InvalidRequest
from bridge_payments.models import EXPONENTS, MAX_MINOR_UNITS, Money, exponent_of

CODES = sorted({currency.code for currency in Currency} | set(EXPONENTS))

amounts = st.integers(-MAX_MINOR_UNITS, MAX_MINOR_UNITS)
codes = st.sampled_from(CODES)


# --- the table -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "currency", [currency for currency in Currency if currency.exponent is not None], ids=str
)
def test_every_iso_currency_has_isos_exponent(currency: Currency) -> None:
    assert exponent_of(currency.code) == currency.exponent


def test_the_table_holds_nothing_but_exceptions_that_iso_knows() -> None:
    known = {currency.code: currency.exponent for currency in Currency}

    assert {code: known.get(code) for code in EXPONENTS} == EXPONENTS
    assert 2 not in EXPONENTS.values()


@pytest.fixture
def facts(require: Callable[[str], Path]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((require("specs") / "money" / "currency_exponents.json").read_text())
    return found


def test_what_providers_call_zero_decimal_is_so_here_unless_the_provider_differs(
    facts: dict[str, Any],
) -> None:
    """MGA is Stripe's exception (ISO: 2, because its fifth is no decimal); its adapter overrides it."""
    zero = set(facts["stripe_zero_decimal"]) | set(facts["active_merchant_stripe_without_fractions"])

    assert {code for code in zero if exponent_of(code) != 0} == {"MGA"}


def test_three_decimal_currencies_of_stripe_have_three(facts: dict[str, Any]) -> None:
    assert {exponent_of(code) for code in facts["stripe_three_decimal"]} == {3}


def test_display_precision_is_not_taken_for_money(facts: dict[str, Any]) -> None:
    """CLDR shows these without decimals; whoever charges by that charges a hundredth."""
    trap = set(facts["cldr_trap_zero_in_babel_but_two_in_stripe"])

    assert {code for code in trap if exponent_of(code) == 0} == {"ISK"}, "ISO says 0 for ISK, Stripe says 2"
    assert exponent_of("IQD") == 3, "ISO says 3; no provider here settles it"


def test_paypals_whole_unit_currencies_need_its_own_exponent(facts: dict[str, Any]) -> None:
    assert {code: exponent_of(code) for code in facts["paypal_no_decimals"]} == {"HUF": 2, "JPY": 0, "TWD": 2}


# --- identities ------------------------------------------------------------------------------------


@given(amounts, codes)
def test_an_amount_survives_its_decimal_form(units: int, code: str) -> None:
    money = Money(units, code)

    assert Money.from_decimal(money.to_decimal(), code) == money
    assert Money.from_decimal(f"{money.to_decimal():f}", code) == money
    assert -money.to_decimal().as_tuple().exponent == exponent_of(code)


@given(amounts, codes, st.integers(0, 6))
def test_an_amount_survives_a_providers_units_or_is_refused(units: int, code: str, exponent: int) -> None:
    money = Money(units, code)
    difference = exponent - exponent_of(code)
    try:
        provider = money.to_units(exponent=exponent)
    except AmountNotRepresentable:
        assert difference < 0
        assert units % 10**-difference != 0, "refused although it has an exact form"
    else:
        assert provider * 10 ** max(-difference, 0) == units * 10 ** max(difference, 0)
        assert Money.from_units(provider, code, exponent=exponent) == money


@given(amounts, codes)
def test_the_callers_decimal_context_changes_nothing(units: int, code: str) -> None:
    """A host that computes with six digits must not shorten what its payers pay."""
    with decimal.localcontext(decimal.Context(prec=3, rounding=decimal.ROUND_UP)):
        money = Money(units, code)

        assert Money.from_decimal(money.to_decimal(), code) == money
        assert Money.from_units(money.to_units(exponent=4), code, exponent=4) == money


@given(st.decimals(allow_nan=True, allow_infinity=True), codes)
def test_a_decimal_is_read_exactly_or_refused(value: Decimal, code: str) -> None:
    try:
        money = Money.from_decimal(value, code)
    except InvalidRequest:
        return
    assert money.to_decimal() == value


# --- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("0.001", "USD"),
        ("20.005", "EUR"),
        ("0.1", "JPY"),
        ("100.50", "KRW"),
        ("1.5", "ISK"),
        ("1.0001", "KWD"),
        ("0.5", "XAF"),
        (Decimal("0.009"), "HUF"),
        (
            Decimal("20.0000000000000000000000000000001"),
            "USD",
        ),  # 33 digits: the default context rounds them away
        (Decimal("1e-100"), "USD"),
    ],
)
def test_a_fraction_of_the_smallest_unit_is_refused_never_rounded(value: str | Decimal, code: str) -> None:
    with pytest.raises(AmountNotRepresentable):
        Money.from_decimal(value, code)


@pytest.mark.parametrize(
    "value",
    [
        20.0,
        0.1,
        float("nan"),
        float("inf"),
        True,
        "NaN",
        "sNaN",
        "Infinity",
        "-inf",
        "",
        " ",
        "twenty",
        "1,000.00",
        "1_000",
        " 20.00",
        "20.00\n",
        "2e3",
        "0x10",
        "٢٠",
        "--1",
        "1.",
        ".5",
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("-Infinity"),
        Decimal("1e400"),
        Decimal("1e999999"),
        "9" * 5000,
    ],
)
def test_what_is_not_an_amount_is_refused(value: Any) -> None:
    with pytest.raises(AmountNotRepresentable):
        Money.from_decimal(value, "USD")


@pytest.mark.parametrize("units", [20.0, "20", True, None, Decimal(20), float("nan")])
def test_only_an_integer_counts_units(units: Any) -> None:
    with pytest.raises(InvalidRequest):
        Money(units, "USD")
    with pytest.raises(AmountNotRepresentable):
        Money.from_units(units, "USD", exponent=2)


@pytest.mark.parametrize("code", ["", "US", "USDT", "U$D", "123", "ÜSD", "usd ", "USD\n", None, 840])
def test_only_three_letters_are_a_currency(code: Any) -> None:
    with pytest.raises(InvalidRequest):
        Money(100, code)


@pytest.mark.parametrize("units", [MAX_MINOR_UNITS + 1, -MAX_MINOR_UNITS - 1, 10**30])
def test_an_amount_that_a_browser_would_round_is_refused(units: int) -> None:
    with pytest.raises(InvalidRequest):
        Money(units, "USD")
    with pytest.raises(InvalidRequest):
        Money.from_units(units, "USD", exponent=2)


# --- the currencies that bite ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("money", "decimal_form", "exponent", "provider"),
    [
        (Money(2000, "USD"), "20.00", 2, 2000),
        (Money(2000, "JPY"), "2000", 0, 2000),
        (Money(2000, "KWD"), "2.000", 3, 2000),
        (Money(1000, "KWD"), "1.000", 2, 100),
        (Money(500, "ISK"), "500", 2, 50000),  # Stripe counts ISK and UGX in hundredths
        (Money(500, "UGX"), "500", 2, 50000),
        (Money(50000, "MGA"), "500.00", 0, 500),  # Stripe counts MGA in whole units
        (Money(50000, "HUF"), "500.00", 0, 500),  # PayPal takes whole forints
        (Money(12345, "CLF"), "1.2345", 4, 12345),
    ],
)
def test_amounts_in_a_providers_units(money: Money, decimal_form: str, exponent: int, provider: int) -> None:
    assert f"{money.to_decimal():f}" == decimal_form
    assert str(money) == f"{decimal_form} {money.currency}"
    assert money.to_units(exponent=exponent) == provider
    assert Money.from_units(provider, money.currency, exponent=exponent) == money


@pytest.mark.parametrize(
    ("money", "exponent"), [(Money(50050, "HUF"), 0), (Money(1005, "KWD"), 2), (Money(1, "MGA"), 0)]
)
def test_an_amount_without_a_form_in_a_providers_units_is_refused(money: Money, exponent: int) -> None:
    with pytest.raises(AmountNotRepresentable):
        money.to_units(exponent=exponent)


def test_a_provider_that_says_a_fraction_of_a_krona_is_not_believed() -> None:
    with pytest.raises(AmountNotRepresentable):
        Money.from_units(50050, "ISK", exponent=2)


# --- sums ------------------------------------------------------------------------------------------


def test_sums_and_comparisons_stay_within_one_currency() -> None:
    assert Money(150, "usd") + Money(50, "USD") - Money(1, "USD") == Money(199, "USD")
    assert Money(1, "USD") < Money(2, "USD") <= Money(2, "USD")
    for operation in ("__add__", "__sub__", "__lt__", "__le__"):
        with pytest.raises(InvalidRequest):
            getattr(Money(1, "USD"), operation)(Money(1, "EUR"))


def test_an_amount_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Money(1, "USD").minor_units = 2  # type: ignore[misc]
