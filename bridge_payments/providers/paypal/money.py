"""How PayPal writes money: decimal strings, and three currencies without decimals that ISO gives two."""

from __future__ import annotations

from typing import Final

from ...errors import InvalidRequest
from ...models import Money
from .objects import Json

__all__ = ["CURRENCIES", "exponent_of", "from_paypal", "to_paypal"]

# What a PayPal account may charge in (2026-11, https://developer.paypal.com/api/rest/reference/currency-codes).
# BRL, CNY and MYR work inside their country only; then PayPal itself refuses.
CURRENCIES: Final = frozenset(
    """
    AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF ILS JPY MXN MYR NOK NZD PHP PLN SEK SGD THB TWD USD
    """.split()
)

# DECIMALS_NOT_SUPPORTED otherwise (2026-11, the same page). ISO 4217 gives HUF and TWD two decimals.
_WHOLE: Final = frozenset({"HUF", "JPY", "TWD"})


def exponent_of(currency: str) -> int:
    """Return how many decimals PayPal takes of *currency*. Refuses what PayPal does not charge."""
    if currency not in CURRENCIES:
        raise InvalidRequest(f"PayPal does not charge {currency}", field="currency")
    return 0 if currency in _WHOLE else 2


def to_paypal(amount: Money) -> dict[str, str]:
    """Return PayPal's amount. Raises AmountNotRepresentable instead of rounding."""
    exponent = exponent_of(amount.currency)
    digits = str(amount.to_units(exponent=exponent)).rjust(exponent + 1, "0")
    value = f"{digits[:-exponent]}.{digits[-exponent:]}" if exponent else digits
    return {"currency_code": amount.currency, "value": value}


def from_paypal(amount: Json) -> Money:
    """Read PayPal's amount, also one in a currency that could not be charged to-day."""
    return Money.from_decimal(str(amount["value"]), amount["currency_code"])
