"""PayPal's vault (v3): what is asked of it, and what its set-up tokens and payment tokens mean. Pure.

A set-up token is what a payer agrees to; a payment token is made of it once and can be charged
(2026-11, https://developer.paypal.com/api/payment-tokens/v3).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...errors import InvalidRequest
from ...models import NextAction, NextActionKind, PaymentMethodStatus
from ..base import BillingDetails, PaymentMethodRequest, ProviderMethod
from .objects import Json, items_of, link_of, text_of, text_or_none

__all__ = [
    "KEPT",
    "SETUP_STATUS",
    "alike",
    "charge_source",
    "keeping",
    "kept_from_order",
    "method_from",
    "payment_token_form",
    "setup_form",
    "setup_from",
    "source_of",
    "tokens_of",
]

Form = dict[str, Any]

KEPT: Final[Mapping[str, str]] = {
    "card": "credit_card",
    "credit_card": "credit_card",
    "paypal": "paypal",
    "venmo": "venmo",
}
"""What can be kept, by the words of a request: PayPal's own and ours."""

_SOURCES: Final[Mapping[str, str]] = {"card": "credit_card", "paypal": "paypal", "venmo": "venmo"}

# (2026-11, paypal-server-sdk 2.4.0, PaymentTokenStatus.)
SETUP_STATUS: Final[Mapping[str, PaymentMethodStatus]] = {
    "CREATED": PaymentMethodStatus.REQUIRES_ACTION,
    "PAYER_ACTION_REQUIRED": PaymentMethodStatus.REQUIRES_ACTION,
    "APPROVED": PaymentMethodStatus.REQUIRES_ACTION,
    "VAULTED": PaymentMethodStatus.ACTIVE,
    "TOKENIZED": PaymentMethodStatus.ACTIVE,
}

_EXPIRY: Final = re.compile(r"([0-9]{4})-([0-9]{2})")


# --- what we send -----------------------------------------------------------------------------------


def setup_form(request: PaymentMethodRequest) -> Form:
    """Begin a set-up. A wallet's payer agrees on PayPal's page, a card is typed into PayPal's fields."""
    word = KEPT.get(request.payment_type)
    if word is None:
        raise InvalidRequest(
            f"PayPal keeps {', '.join(sorted(KEPT))}, and not {request.payment_type}", field="payment_type"
        )
    source = next(name for name, ours in _SOURCES.items() if ours == word)
    details: Form = {}
    if source == "card":
        if request.billing is not None and (address := _address(request.billing)):
            details["billing_address"] = address
        if request.billing is not None and request.billing.name:
            details["name"] = request.billing.name[:300]
        details["verification_method"] = "SCA_WHEN_REQUIRED"
    else:
        if request.return_url is None:
            raise InvalidRequest("A wallet's payer has to come back from PayPal's page", field="return_url")
        # Without permission for several, a payer's account is one token for two users of the shop, and who
        # deletes it deletes it for both.
        details |= {"usage_type": "MERCHANT", "permit_multiple_payment_tokens": True}
    if request.return_url is not None:
        details["experience_context"] = {"return_url": request.return_url, "cancel_url": request.return_url}
    return {"customer": _customer(request), "payment_source": {source: details}}


def payment_token_form(setup: str) -> Form:
    return {"payment_source": {"token": {"id": setup, "type": "SETUP_TOKEN"}}}


def keeping(wallet: str, *, customer: str | None) -> Form:
    """What an order's source says when it is to be kept once it has paid."""
    vault: Form = {"store_in_vault": "ON_SUCCESS"}
    if wallet != "card":
        vault |= {"usage_type": "MERCHANT", "permit_multiple_payment_tokens": True}
    return {"vault": vault, **({"customer": {"id": customer}} if customer else {})}


def charge_source(source: str, vault_id: str, *, off_session: bool) -> Form:
    """Name what is kept as what pays.

    A card's network wants to know who began it (2026-11, checkout_orders_v2 2.32, card_stored_credential).
    """
    details: Form = {"vault_id": vault_id}
    if source == "card":
        details["stored_credential"] = {
            "payment_initiator": "MERCHANT" if off_session else "CUSTOMER",
            "payment_type": "UNSCHEDULED" if off_session else "ONE_TIME",
            "usage": "SUBSEQUENT",
        }
    return {source: details}


def _customer(request: PaymentMethodRequest) -> Form:
    """Our id of the method goes where PayPal gives it back; its own id of the customer is its answer.

    (2026-11, https://developer.paypal.com/sdk/vault/v2/definitions/setup_token_request)
    """
    if request.customer is not None:
        return {"id": request.customer}
    return {"merchant_customer_id": request.payment_method_id}


def _address(billing: BillingDetails) -> Form | None:
    """PayPal's address needs a country; without one there is none."""
    if billing.country is None:
        return None
    given = {
        "address_line_1": billing.line1,
        "address_line_2": billing.line2,
        "admin_area_2": billing.city,
        "admin_area_1": billing.state,
        "postal_code": billing.postal_code,
        "country_code": billing.country.upper(),
    }
    return {name: value for name, value in given.items() if value}


# --- what PayPal answers ----------------------------------------------------------------------------


def source_of(token: Json) -> str:
    """Return what kind of instrument is kept. Raises ValueError for one that this version does not know."""
    sources: list[str] = [name for name in token["payment_source"] if name in _SOURCES]
    if len(sources) != 1:
        raise ValueError("not a card, a PayPal account or a Venmo account")
    return sources[0]


def method_from(token: Json, *, setup: str | None = None, request_id: str | None = None) -> ProviderMethod:
    """Read a payment token: what is kept and can be charged."""
    source = source_of(token)
    return ProviderMethod(
        reference=text_of(token["id"]),
        **_shown(source, token["payment_source"][source]),
        customer=_customer_of(token),
        status=PaymentMethodStatus.ACTIVE,
        saved=True,
        setup=setup,
        payment_method_id=_ours(token),
        request_id=request_id,
        raw=token,
    )


def setup_from(token: Json, *, request_id: str | None = None) -> ProviderMethod:
    """Read a set-up token. A word that we do not know is still the payer's to resolve, or nobody's."""
    source = source_of(token)
    page = link_of(token, "approve", "payer-action")
    word = text_of(token["status"])
    waits = SETUP_STATUS.get(word) is PaymentMethodStatus.REQUIRES_ACTION
    action = None
    if waits and word != "APPROVED":
        action = (
            NextAction(kind=NextActionKind.REDIRECT, url=page)
            if page is not None
            else NextAction(kind=NextActionKind.USE_SDK)
        )
    reference = text_of(token["id"])
    return ProviderMethod(
        reference=reference,
        **_shown(source, token["payment_source"][source] or {}),
        customer=_customer_of(token),
        status=PaymentMethodStatus.REQUIRES_ACTION,
        setup=reference,
        next_action=action,
        payment_method_id=_ours(token),
        request_id=request_id,
        raw=token,
    )


def kept_from_order(source: str, details: Json) -> ProviderMethod | None:
    """Return what an order says of the instrument that it was told to keep; None until it is kept."""
    vault = (details.get("attributes") or {}).get("vault") or {}
    identity = text_or_none(vault.get("id"))
    if identity is None:
        return None
    return ProviderMethod(
        reference=identity,
        **_shown(source, details),
        customer=text_or_none((vault.get("customer") or {}).get("id")),
        saved=True,
    )


def alike(setup: Json, tokens: Sequence[Json]) -> list[Json]:
    """Return the tokens of one customer that can have been made of *setup*, by all that it shows."""
    ours = _ours(setup)
    source = source_of(setup)
    marks = _marks(source, setup["payment_source"][source] or {})
    return [
        token
        for token in tokens
        if source in token["payment_source"]
        and (
            _ours(token) == ours
            if ours is not None and _ours(token) is not None
            else _marks(source, token["payment_source"][source]) == marks
        )
    ]


def _marks(source: str, details: Json) -> tuple[object, ...]:
    names = ("last_digits", "brand", "expiry") if source == "card" else ("payer_id", "email_address")
    return tuple(details.get(name) for name in names)


def _shown(source: str, details: Json) -> dict[str, Any]:
    expiry = _EXPIRY.fullmatch(text_or_none(details.get("expiry")) or "")
    brand = text_or_none(details.get("brand"))
    return {
        "type": _SOURCES[source],
        "brand": brand.lower() if brand else None,
        "last_four": text_or_none(details.get("last_digits")),
        "expiry_year": int(expiry[1]) if expiry else None,
        "expiry_month": int(expiry[2]) if expiry else None,
        "wallet_type": None if source == "card" else source,
    }


def _customer_of(token: Json) -> str | None:
    return text_or_none((token.get("customer") or {}).get("id"))


def _ours(token: Json) -> str | None:
    return text_or_none((token.get("customer") or {}).get("merchant_customer_id"))


def tokens_of(listing: Json) -> Sequence[Json]:
    return items_of(listing, "payment_tokens")
