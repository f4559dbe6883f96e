"""Stored payment methods and their set-ups: what we send, and what Stripe's mean in our words. Pure.

A method belongs to a customer, or Stripe takes it for one payment only. A set-up (SetupIntent) asks the
payer's bank for later charges; attaching asks nobody, and is for who will be there when it is charged
(2026-11, https://docs.stripe.com/payments/save-and-reuse).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ...errors import InvalidRequest
from ...models import NextAction, NextActionKind, PaymentMethodStatus
from ..base import BillingDetails, PaymentMethodRequest, PaymentMethodUpdate, ProviderMethod
from .declines import decline_from, says_why
from .forms import REFERENCE, UPDATE_REFERENCE, Form, checked_id, chosen, marked
from .next_actions import next_action_of
from .objects import Json, reference_of, stamp_of, text_of

__all__ = [
    "METHOD_ID",
    "SETUP_STATUS",
    "attach_form",
    "billing_form",
    "details_of",
    "is_attached_only",
    "is_free",
    "is_setup",
    "method_from",
    "setup_form",
    "setup_from",
    "update_form",
]

METHOD_ID: Final = "bridge_payment_method_id"

# (2026-11, https://docs.stripe.com/payments/setup-intents#lifecycle). A refused one waits for another method,
# as an intent does.
SETUP_STATUS: Final[Mapping[str, PaymentMethodStatus]] = {
    "requires_payment_method": PaymentMethodStatus.REQUIRES_ACTION,
    "requires_confirmation": PaymentMethodStatus.REQUIRES_ACTION,
    "requires_action": PaymentMethodStatus.REQUIRES_ACTION,
    "processing": PaymentMethodStatus.PENDING,
    "succeeded": PaymentMethodStatus.ACTIVE,
    "canceled": PaymentMethodStatus.FAILED,
}

_TYPES: Final[Mapping[str, str]] = {
    "card": "credit_card",
    "us_bank_account": "bank_account",
    "sepa_debit": "bank_account",
    "bacs_debit": "bank_account",
    "au_becs_debit": "bank_account",
    "acss_debit": "bank_account",
}

_ADDRESS: Final = ("line1", "line2", "city", "state", "postal_code", "country")


# --- what we send ---------------------------------------------------------------------------------


def is_setup(reference: str) -> bool:
    return reference.startswith("seti_")


def is_attached_only(token: str | None, *, off_session: bool) -> bool:
    """Whether nobody has to be asked; a confirmation token cannot be attached, only confirmed."""
    return token is not None and token.startswith("pm_") and not off_session


def setup_form(request: PaymentMethodRequest) -> Form:
    """A set-up; with a token it is confirmed at once, and without a page to return to redirects are off."""
    form: Form = {
        "customer": _customer(request),
        "usage": "off_session" if request.off_session else "on_session",
        "metadata": marked(
            request.metadata, {METHOD_ID: request.payment_method_id, REFERENCE: request.reference}
        ),
        "expand": ["payment_method"],
    }
    if request.token is None:
        return form
    form |= {**chosen(request.token), "confirm": True}
    if request.return_url is not None:
        form["return_url"] = request.return_url
    else:
        form["automatic_payment_methods"] = {"enabled": True, "allow_redirects": "never"}
    return form


def attach_form(request: PaymentMethodRequest) -> Form:
    return {"customer": _customer(request)}


def _customer(request: PaymentMethodRequest) -> str:
    if request.customer is None:
        raise InvalidRequest("Stripe keeps a payment method with a customer only", field="customer_id")
    return checked_id(request.customer, "customer")


def billing_form(billing: BillingDetails, *, method_id: str, reference: str) -> Form:
    """Who is billed by a method that was just stored, with our marks, which attaching does not take."""
    return {"billing_details": _billed(billing), "metadata": {METHOD_ID: method_id, REFERENCE: reference}}


def update_form(request: PaymentMethodUpdate, *, reference: str) -> Form:
    """The change, stamped with the operation, so that a lost update can be told from one that never ran."""
    form: Form = {"metadata": marked(request.metadata or {}, {UPDATE_REFERENCE: reference})}
    if request.billing is not None:
        form["billing_details"] = _billed(request.billing)
    return form


def _billed(billing: BillingDetails) -> Form:
    who = {name: getattr(billing, name) for name in ("name", "email", "phone")}
    where = {name: getattr(billing, name) for name in _ADDRESS}
    form: Form = {name: value for name, value in who.items() if value is not None}
    if address := {name: value for name, value in where.items() if value is not None}:
        form["address"] = address
    return form


# --- what it means --------------------------------------------------------------------------------


def method_from(method: Json, *, request_id: str | None = None) -> ProviderMethod:
    """Read a PaymentMethod: one that belongs to nobody is not stored, or is not any more.

    Raises KeyError, TypeError or ValueError for what is not a PaymentMethod.
    """
    if method["object"] != "payment_method":
        raise ValueError("not a payment method")
    customer = reference_of(method.get("customer"))
    return ProviderMethod(
        reference=text_of(method["id"]),
        **details_of(method),
        customer=customer,
        status=PaymentMethodStatus.ACTIVE if customer else PaymentMethodStatus.DELETED,
        saved=customer is not None,
        payment_method_id=stamp_of(method, METHOD_ID),
        our_reference=stamp_of(method, REFERENCE),
        request_id=request_id,
        raw=method,
    )


def setup_from(setup: Json, *, request_id: str | None = None) -> ProviderMethod:
    """Read a SetupIntent: the method that came of it, or itself while the payer still has to agree.

    Raises KeyError, TypeError or ValueError for what is not a SetupIntent.
    """
    if setup["object"] != "setup_intent":
        raise ValueError("not a setup intent")
    # A word that we do not know waits for the next read.
    status = SETUP_STATUS.get(setup["status"], PaymentMethodStatus.PENDING)
    shown = setup.get("payment_method")
    done = status is PaymentMethodStatus.ACTIVE
    error = setup.get("last_setup_error") or {}
    open_still = status is PaymentMethodStatus.REQUIRES_ACTION
    if done and isinstance(shown, Mapping) and reference_of(shown.get("customer")) is None:
        # It was detached since, or could not be kept (seen at once after some successes).
        status = PaymentMethodStatus.DELETED
    return ProviderMethod(
        reference=text_of(reference_of(shown) if done else setup["id"]),
        **(details_of(shown) if isinstance(shown, Mapping) else {}),
        customer=reference_of(setup.get("customer")),
        status=status,
        saved=status is PaymentMethodStatus.ACTIVE,
        setup=text_of(setup["id"]),
        client_secret=setup.get("client_secret") if open_still else None,
        next_action=_next_action(setup) if open_still else None,
        decline=decline_from(error) if says_why(error) and not done else None,
        payment_method_id=stamp_of(setup, METHOD_ID),
        our_reference=stamp_of(setup, REFERENCE),
        request_id=request_id,
        raw=setup,
    )


def _next_action(setup: Json) -> NextAction:
    """Without an action of the bank it is the browser's turn: to name a method, or to confirm."""
    if setup["status"] == "requires_action":
        return next_action_of(setup.get("next_action"))
    return NextAction(kind=NextActionKind.USE_SDK)


def details_of(shown: Json) -> dict[str, Any]:
    """Read what may be shown of a method, from itself or from the charge that was made with it."""
    kind = shown.get("type") or "card"
    # A charge with a wallet keeps the card's details under `card`, and names the wallet there.
    details: Json = shown.get(kind) or {}
    year, month = details.get("exp_year"), details.get("exp_month")
    return {
        "type": _TYPES.get(kind, kind),
        "brand": details.get("brand") or details.get("bank_name"),
        "last_four": details.get("last4"),
        "expiry_month": month if isinstance(month, int) else None,
        "expiry_year": year if isinstance(year, int) else None,
        "wallet_type": (details.get("wallet") or {}).get("type"),
    }


def is_free(thing: Json) -> bool:
    """Whether a payer may bring it: a method that belongs to nobody, or a token of one (rule 22).

    A confirmation token can stand for a stored method, which its preview then shows with its customer
    (2026-11, https://docs.stripe.com/api/confirmation_tokens/object).
    """
    if thing["object"] == "confirmation_token":
        return not _owner(thing.get("payment_method_preview") or {})
    return thing["object"] == "payment_method" and not _owner(thing)


def _owner(method: Json) -> str | None:
    return reference_of(method.get("customer")) or reference_of(method.get("customer_account"))
