"""What a charge was paid with, as its answer and its transaction show it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..base import ProviderMethod
from .answers import Json, many, text_of
from .profiles import reference_of_pair

__all__ = ["method_of", "method_of_answer"]

_WALLETS: Final = {"COMMON.APPLE.INAPP.PAYMENT": "apple_pay", "COMMON.GOOGLE.INAPP.PAYMENT": "google_pay"}


def _stored(shown: object) -> dict[str, Any]:
    """Return what is said of the stored method that was charged; nothing where it was a token."""
    if not isinstance(shown, Mapping):
        return {}
    customer, method = (text_of(shown.get(f"customer{kind}Id")) for kind in ("Profile", "PaymentProfile"))
    if customer is None or method is None:
        return {}
    return {"reference": reference_of_pair(customer, method), "customer": customer, "saved": True}


def method_of_answer(response: Json, payload: Json) -> ProviderMethod | None:
    number, brand = text_of(response.get("accountNumber")), text_of(response.get("accountType"))
    if number is None:
        return None
    payment = payload.get("payment")
    opaque = payment.get("opaqueData") if isinstance(payment, Mapping) else None
    bank = brand == "eCheck"
    facts: dict[str, Any] = {"reference": str(text_of(response.get("transId")))}
    return ProviderMethod(
        type="bank_account" if bank else "credit_card",
        brand=None if bank else brand,
        last_four=number[-4:],
        wallet_type=_WALLETS.get(str(opaque.get("dataDescriptor"))) if isinstance(opaque, Mapping) else None,
        **{**facts, **_stored(_asked_profile(payload))},
    )


def _asked_profile(payload: Json) -> Json:
    """Return the stored method that was charged, in the words of what shows one."""
    profile = payload.get("profile")
    if not isinstance(profile, Mapping):
        return {}
    method = profile["paymentProfile"]["paymentProfileId"]
    return {"customerProfileId": profile["customerProfileId"], "customerPaymentProfileId": method}


def method_of(transaction: Json) -> ProviderMethod | None:
    payment = transaction.get("payment")
    shown: Json = payment if isinstance(payment, Mapping) else {}
    facts: dict[str, Any] = {
        "reference": str(text_of(transaction["transId"])), **_stored(transaction.get("profile"))
    }  # fmt: skip
    for card in many(shown.get("creditCard")):
        return ProviderMethod(
            brand=text_of(card.get("cardType")),
            last_four=(text_of(card.get("cardNumber")) or "")[-4:] or None,
            **facts,
        )
    for account in many(shown.get("bankAccount")):
        last_four = (text_of(account.get("accountNumber")) or "")[-4:] or None
        return ProviderMethod(type="bank_account", last_four=last_four, **facts)
    return None
