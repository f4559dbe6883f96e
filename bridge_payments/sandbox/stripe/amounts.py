"""Which amounts and currencies this gateway charges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ...models import exponent_of
from .forms import Params
from .parameters import CURRENCIES
from .problems import invalid

__all__ = ["amount_of"]

# Below these Stripe refuses a charge (2026-11, https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts).
_MINIMUM: Final[Mapping[str, int]] = {
    "usd": 50,
    "eur": 50,
    "gbp": 30,
    "jpy": 50,
    "chf": 50,
    "cad": 50,
    "aud": 50,
}


def amount_of(params: Params) -> tuple[int, str]:
    """Read amount and currency within Stripe's bounds."""
    amount = params.required_integer("amount")
    currency = params.required_text("currency").lower()
    if currency not in CURRENCIES:
        raise invalid(f"Invalid currency: {currency}.", param="currency")
    minimum = _MINIMUM.get(currency, 1)
    if amount < 1:
        raise invalid(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param="amount"
        )
    if amount < minimum:
        raise invalid(
            f"Amount must be at least {minimum} of the smallest unit of {currency}.",
            code="amount_too_small",
            param="amount",
        )
    if amount > 99_999_999:
        raise invalid("Amount must be no more than 99999999.", code="amount_too_large", param="amount")
    # Three-decimal amounts end in 0; ISK and UGX keep two decimals that must be 00
    # (2026-11, https://docs.stripe.com/currencies#special-cases).
    step = 10 if exponent_of(currency.upper()) == 3 else 100 if currency in ("isk", "ugx") else 1
    if amount % step:
        raise invalid(f"Amounts in {currency} must be divisible by {step}.", param="amount")
    return amount, currency
