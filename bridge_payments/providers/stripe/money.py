"""How Stripe counts money: its exponents, which are not ISO's, and what it refuses to charge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ...errors import AmountNotRepresentable, InvalidRequest
from ...models import Money

__all__ = ["CURRENCIES", "MAXIMUM_UNITS", "MINIMUM_AMOUNTS", "exponent_of", "from_stripe", "to_stripe"]

# Amounts without decimals (2026-11, https://docs.stripe.com/currencies#zero-decimal). MGA has two
# decimals in ISO 4217. UGX stands in this list of theirs too, but the special cases below it govern
# charges, and those want two decimals.
_ZERO_DECIMAL: Final = frozenset("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split())

# Three decimals of which the last must be 0 (2026-11, https://docs.stripe.com/currencies#three-decimal).
_THREE_DECIMAL: Final = frozenset("BHD JOD KWD OMR TND".split())

# No decimals in ISO 4217, two at Stripe, always 00 (2026-11, https://docs.stripe.com/currencies#special-cases).
# HUF and TWD are whole for payouts only; a charge has two decimals.
_TWO_DECIMAL_WHOLE: Final = frozenset("ISK UGX".split())

# Presentment currencies (2026-11, https://docs.stripe.com/currencies#presentment-currencies). An account
# may charge fewer of them; then Stripe answers 400. IQD and LYD are not offered: no exponent is known.
CURRENCIES: Final = (
    frozenset(
        """
        AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BIF BMD BND BOB BRL BSD BWP BYN BZD CAD
        CDF CHF CLP CNY COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD
        HKD HNL HTG HUF IDR ILS INR ISK JMD JPY KES KGS KHR KMF KRW KYD KZT LAK LBP LKR LRD LSL MAD MDL
        MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN PYG
        QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE SOS SRD STD SZL THB TJS TOP TRY TTD TWD TZS UAH
        UGX USD UYU UZS VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW
        """.split()
    )
    | _THREE_DECIMAL
)

# Smallest charge, in our minor units (2026-11, https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts).
MINIMUM_AMOUNTS: Final[Mapping[str, int]] = {
    **dict.fromkeys("AUD BRL CAD CHF EUR INR NZD SGD USD".split(), 50),
    **dict.fromkeys("AED MYR PLN RON".split(), 200),
    **dict.fromkeys("NOK SEK".split(), 300),
    **dict.fromkeys("MXN THB".split(), 10_00),
    "BGN": 100,
    "CZK": 15_00,
    "DKK": 250,
    "GBP": 30,
    "HKD": 400,
    "HUF": 175_00,
    "JPY": 50,
}

# Twelve digits for IDR, eight for most; what lies between, Stripe refuses itself
# (2026-11, https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts; `amount` in stripe 16.1.0).
MAXIMUM_UNITS: Final = 999_999_999_999


def exponent_of(currency: str) -> int:
    """Return how many decimals Stripe's unit of *currency* has. Refuses what Stripe does not charge."""
    if currency not in CURRENCIES:
        raise InvalidRequest(f"Currency {currency} is not supported by Stripe", field="currency")
    if currency in _ZERO_DECIMAL:
        return 0
    return 3 if currency in _THREE_DECIMAL else 2


def to_stripe(amount: Money) -> int:
    """Return Stripe's count of units. Raises AmountNotRepresentable instead of rounding."""
    units = amount.to_units(exponent=exponent_of(amount.currency))
    step = 10 if amount.currency in _THREE_DECIMAL else 100 if amount.currency in _TWO_DECIMAL_WHOLE else 1
    if units % step:
        raise AmountNotRepresentable(
            f"{amount}: Stripe takes no smaller step of {amount.currency}", field="amount"
        )
    return units


def from_stripe(units: int, currency: str) -> Money:
    """Read Stripe's count of units, in any letter case of the currency."""
    code = currency.upper()
    return Money.from_units(units, code, exponent=exponent_of(code))
