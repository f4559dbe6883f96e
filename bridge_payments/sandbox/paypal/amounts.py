"""Reading amounts as PayPal does: strings with as many decimals as the currency takes, above zero."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

from .books import Json
from .problems import invalid, refused

__all__ = ["read", "value_of", "write"]

# (2026-11, https://developer.paypal.com/api/rest/reference/currency-codes)
_CURRENCIES: Final = frozenset(
    "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF ILS JPY MXN MYR NOK NZD PHP PLN SEK SGD THB TWD USD".split()
)
_WHOLE: Final = frozenset({"HUF", "JPY", "TWD"})
_VALUE: Final = re.compile(r"((-?[0-9]+)|(-?([0-9]+)?[.][0-9]+))")  # the published pattern of `value`


def read(amount: Any) -> tuple[str, Decimal]:
    """Return currency and value. Raises what PayPal answers to anything else."""
    if not isinstance(amount, dict):
        raise invalid("MISSING_REQUIRED_PARAMETER", "A required field is missing.")
    currency, value = amount.get("currency_code"), amount.get("value")
    if not isinstance(currency, str) or not isinstance(value, str):
        raise invalid("MISSING_REQUIRED_PARAMETER", "A required field is missing.")
    if len(currency) != 3 or not _VALUE.fullmatch(value) or len(value) > 32:
        raise invalid("INVALID_PARAMETER_SYNTAX", "The value of a field does not conform to the format.")
    if currency not in _CURRENCIES:
        raise refused("INVALID_CURRENCY_CODE", "Currency code is invalid or is not currently supported.")
    decimals = len(value.partition(".")[2])
    if currency in _WHOLE and decimals:
        raise refused("DECIMALS_NOT_SUPPORTED", "Currency does not support decimals.")
    if decimals > 2:
        raise refused("DECIMAL_PRECISION", "The value of the field should not be more than two decimals.")
    read_value = Decimal(value)
    if read_value <= 0:
        raise refused("CANNOT_BE_ZERO_OR_NEGATIVE", "Must be greater than zero.")
    return currency, read_value


def write(currency: str, value: Decimal) -> Json:
    return {"currency_code": currency, "value": f"{value:.0f}" if currency in _WHOLE else f"{value:.2f}"}


def value_of(thing: Json) -> Decimal:
    """Return the value of an object of our own books."""
    return Decimal(thing["amount"]["value"])
