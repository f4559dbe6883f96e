"""How Authorize.net counts money: in major units, in the one currency of the account."""

from __future__ import annotations

from typing import Final

from ...models import Money
from .answers import text_of

__all__ = ["CURRENCIES", "cents_of", "from_gateway", "to_gateway"]

# What merchant accounts are opened in; one account has one of them and charges no other
# (2026-11, https://support.authorize.net/knowledgebase/Knowledgearticle/?code=000001210).
# All of them have two decimals.
CURRENCIES: Final = frozenset("AUD CAD CHF DKK EUR GBP NOK NZD PLN SEK USD ZAR".split())


def to_gateway(amount: Money) -> str:
    return f"{amount.to_decimal():f}"


def from_gateway(value: object, currency: str) -> Money:
    """Read an amount: "5.00" in XML, 5.0 in JSON. Raises AmountNotRepresentable for more decimals."""
    text = text_of(value)
    if text is None:
        raise ValueError("an amount is missing")
    whole, _, fraction = text.partition(".")
    return Money.from_decimal(f"{whole}.{fraction.rstrip('0')[:9] or '0'}", currency)


def cents_of(value: object, currency: str) -> int:
    """Read an amount that may be missing, as minor units."""
    return 0 if text_of(value) is None else from_gateway(value, currency).minor_units
