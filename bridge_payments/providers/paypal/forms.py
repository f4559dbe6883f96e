"""What we send to PayPal: one function per call, and only what was asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ...errors import InvalidRequest
from ...models import CaptureMethod
from ..base import CaptureRequest, IntentRequest, RefundRequest
from .money import to_paypal
from .vault import keeping

__all__ = [
    "METHODS",
    "Form",
    "capture_form",
    "checked_id",
    "checked_method",
    "create_form",
    "is_stored",
    "refund_form",
    "refund_mark",
]

Form = dict[str, Any]

METHODS: Final = frozenset({"card", "paypal", "venmo"})
"""What `payment_method` may say besides a stored method: the payer is asked by PayPal itself."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]+")
# (2026-11, vault_payment_tokens_v3 3.1, vault_id: at most 36.) PayPal draws them of letters and digits, so
# some are of letters alone. What has no digit and is shorter than its examples is a word that nobody knows;
# digits alone in such a number are a card's.
_VAULT_ID: Final = re.compile(r"(?=.*[0-9])(?![0-9]{12,19}$)[A-Za-z0-9_-]{4,36}|[A-Za-z]{7,36}")
_RESERVED: Final = "bridge_"

# PayPal keeps 127 characters of both (2026-11, https://developer.paypal.com/docs/api/orders/v2/#orders_create
# and https://developer.paypal.com/docs/api/payments/v2/#captures_refund).
_DESCRIPTION: Final = 127
_NOTE: Final = 255

# What `extra` may say (rule 26): how the payer is asked and what is shown, never whose money, how much of it,
# whether it moves now, whose card it is, or the marks by which we find it again.
_EXTRA: Final = frozenset({"application_context", "payment_source", "purchase_units"})
_EXTRA_UNIT: Final = frozenset({"amount", "description", "items", "shipping", "soft_descriptor"})
_EXTRA_WALLET: Final = frozenset({"address", "email_address", "experience_context", "name", "phone"})


def checked_id(value: str | None, noun: str) -> str:
    """Return *value* if it can be an identity at PayPal: an empty one would address the list instead."""
    if not value or not _ID.fullmatch(value):
        raise InvalidRequest(f"{noun} is not an identity that PayPal could have given", field=noun)
    return value


def checked_method(value: str | None) -> str | None:
    """Return *value* if it is one of `METHODS`, or can be what is kept in the vault."""
    if value is not None and not (value in METHODS or _VAULT_ID.fullmatch(value)):
        raise InvalidRequest(
            f"Say one of {', '.join(sorted(METHODS))} to have PayPal ask, a stored method, or nothing",
            field="payment_method",
        )
    return value


def is_stored(method: str | None) -> bool:
    """Whether *method* names something kept, and not who asks the payer."""
    return method is not None and method not in METHODS


def create_form(request: IntentRequest) -> Form:
    """An order of one purchase unit that carries our marks where PayPal gives them back.

    A wallet that is named, or a `return_url`, makes an order for that wallet's own page. Without either
    the order is open for PayPal's script in the browser: its buttons and its card fields choose the source.
    What is to be kept has to be said now, because its payer agrees to it with the payment.
    """
    method = checked_method(request.payment_method)
    stored = is_stored(method)
    wallet = None if stored else method or ("paypal" if request.return_url else None)
    keep = request.setup_future_usage is not None and not stored
    if keep and wallet is None:
        raise InvalidRequest(
            f"To be kept, it has to be known what: say one of {', '.join(sorted(METHODS))}",
            field="payment_method",
        )
    unit: Form = {
        "amount": to_paypal(request.amount),
        "custom_id": request.payment_id,
        "invoice_id": request.reference,
    }
    if request.description:
        unit["description"] = request.description[:_DESCRIPTION]
    form: Form = {
        "intent": "AUTHORIZE" if request.capture_method is CaptureMethod.MANUAL else "CAPTURE",
        "purchase_units": [unit],
    }
    if wallet in ("paypal", "venmo"):
        form["payment_source"] = {wallet: {"experience_context": _experience(wallet, request.return_url)}}
    if keep and wallet is not None:
        source = form.setdefault("payment_source", {}).setdefault(wallet, {})
        source["attributes"] = keeping(wallet, customer=request.customer)
    return _with_extra(form, request.extra)


def capture_form(request: CaptureRequest, *, reference: str) -> Form:
    """The invoice number is the operation's reference: a lost capture is told from any other by it."""
    return {
        "amount": to_paypal(request.amount),
        "invoice_id": reference,
        "final_capture": request.final,
    }


def refund_form(request: RefundRequest) -> Form:
    """The amount is always said: without it PayPal refunds everything."""
    form: Form = {
        "amount": to_paypal(request.amount),
        "invoice_id": request.reference,
        "custom_id": refund_mark(request.payment, request.refund_id),
    }
    if request.reason:
        form["note_to_payer"] = request.reason[:_NOTE]
    return form


def refund_mark(order: str, refund_id: str) -> str:
    """Return what a refund carries: its event names the capture at most, and not the order.

    Of letters, digits and ``-_.,`` only (2026-11, payments_payment_v2 2.12, the refund that is answered).
    """
    return f"{order}.{refund_id}"


def _experience(wallet: str, return_url: str | None) -> Form:
    """PAY_NOW: the payer sees the amount that is final, and confirms it once."""
    context: Form = {"user_action": "PAY_NOW"} if wallet == "paypal" else {}
    if return_url is not None and wallet == "paypal":
        # Venmo's own page is reached through PayPal's script only and takes no addresses
        # (2026-11, checkout_orders_v2 2.32, venmo_wallet_experience_context).
        context |= {"return_url": return_url, "cancel_url": return_url}
    return context


def _with_extra(form: Form, extra: Mapping[str, Any]) -> Form:
    """Merge *extra* last; it adds to what the payer is shown and replaces nothing of the money."""
    if refused := sorted(set(extra) - _EXTRA):
        raise InvalidRequest(f"extra may not set {', '.join(refused)}", field="extra")
    merged = dict(form)
    if "application_context" in extra:
        merged["application_context"] = _mapping(extra["application_context"], "application_context")
    if "purchase_units" in extra:
        units = extra["purchase_units"]
        if not isinstance(units, list | tuple) or len(units) != 1:
            raise InvalidRequest("extra.purchase_units is a list of one mapping", field="extra")
        merged["purchase_units"] = [_with_unit(form["purchase_units"][0], _mapping(units[0], "unit"))]
    for wallet, given in _mapping(extra.get("payment_source", {}), "payment_source").items():
        details = _allowed(_mapping(given, "payment_source"), _EXTRA_WALLET)
        sources = merged.setdefault("payment_source", {})
        before = sources.get(wallet, {})
        experience = {**before.get("experience_context", {}), **details.get("experience_context", {})}
        merged["payment_source"] = {
            **sources,
            wallet: {**before, **details, **({"experience_context": experience} if experience else {})},
        }
    return merged


def _with_unit(unit: Form, added: Mapping[str, Any]) -> Form:
    details = _allowed(added, _EXTRA_UNIT)
    if "amount" in details:
        details["amount"] = {
            **unit["amount"],
            **_allowed(_mapping(details["amount"], "amount"), frozenset({"breakdown"})),
        }
    return {**unit, **details}


def _mapping(value: object, noun: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"extra: {noun} is a mapping", field="extra")
    return value


def _allowed(given: Mapping[str, Any], names: frozenset[str]) -> Form:
    if refused := sorted(set(given) - names):
        raise InvalidRequest(f"extra may not set {', '.join(refused)}", field="extra")
    return dict(given)
