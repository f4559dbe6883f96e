"""What we send to Stripe: one function per call, and only what was asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ...errors import InvalidRequest
from ..base import CancelRequest, CaptureRequest, ConfirmRequest, IntentRequest, RefundRequest, UpdateRequest
from .money import to_stripe

__all__ = [
    "CAPTURE_REFERENCE",
    "CHARGE",
    "CHARGE_AND_REFUNDS",
    "PAYMENT_ID",
    "REFERENCE",
    "REFUND_ID",
    "UPDATE_REFERENCE",
    "Form",
    "cancel_form",
    "capture_form",
    "checked_id",
    "chosen",
    "confirm_form",
    "create_form",
    "marked",
    "refund_form",
    "update_form",
]

Form = dict[str, Any]

PAYMENT_ID: Final = "bridge_payment_id"
REFERENCE: Final = "bridge_reference"
REFUND_ID: Final = "bridge_refund_id"
UPDATE_REFERENCE: Final = "bridge_update"
CAPTURE_REFERENCE: Final = "bridge_capture"
REASON: Final = "bridge_reason"

CHARGE: Final = ["latest_charge"]
CHARGE_AND_REFUNDS: Final = ["latest_charge.refunds"]
# A Charge has not carried its refunds by itself since 2022-11-15
# (https://docs.stripe.com/changelog/2022-11-15/deprecates-charges-auto-expand).

_ID: Final = re.compile(r"[A-Za-z0-9_-]+")
_NAME: Final = re.compile(r"[A-Za-z0-9_]+")
_RESERVED: Final = "bridge_"
_NAMES: Final = frozenset(
    f"{_RESERVED}{noun}"
    for noun in (
        "payment_id",
        "refund_id",
        "customer_id",
        "payment_method_id",
        "subscription_id",
        "reference",
    )
)

_CANCEL_REASONS: Final = frozenset({"abandoned", "duplicate", "fraudulent", "requested_by_customer"})
_REFUND_REASONS: Final = frozenset({"duplicate", "fraudulent", "requested_by_customer"})

# What `extra` may not say: whose money, how much of it, and whether it moves now (rule 26).
_MONEY_FIELDS: Final = frozenset(
    """
    amount amount_to_capture amount_to_confirm capture_method confirm confirmation_token currency customer
    customer_account expand idempotency_key payment_method
    """.split()
)


def checked_id(value: str | None, noun: str) -> str:
    """Return *value* if it can be an identity at Stripe: an empty one would address the list instead."""
    if not value or not _ID.fullmatch(value):
        raise InvalidRequest(f"{noun} is not an identity that Stripe could have given", field=noun)
    return value


def create_form(request: IntentRequest) -> Form:
    """Only what was asked for. Wallets need nothing: the methods of the dashboard are on by default.

    Since 2023-08-16 an intent without `automatic_payment_methods` has them enabled, Apple Pay and
    Google Pay included (https://docs.stripe.com/changelog/2023-08-16/automatic-payment-methods).
    A confirm on the server without a `return_url` is refused while a method may redirect, so then,
    and only then, redirects are declined.
    """
    form: Form = {
        "amount": to_stripe(request.amount),
        "currency": request.amount.currency.lower(),
        "metadata": marked(request.metadata, {PAYMENT_ID: request.payment_id, REFERENCE: request.reference}),
    }
    if request.capture_method != "automatic":
        form["capture_method"] = str(request.capture_method)
    if request.customer is not None:
        form["customer"] = checked_id(request.customer, "customer")
    if request.payment_method is not None:
        form.update(chosen(request.payment_method))
    for name in ("setup_future_usage", "description"):
        if (value := getattr(request, name)) is not None:
            form[name] = value
    if request.confirm:
        form["confirm"] = True
        form["expand"] = CHARGE
        if request.off_session:
            form["off_session"] = True
        if request.return_url is not None:
            form["return_url"] = request.return_url
        elif not {"payment_method_types", "automatic_payment_methods", "return_url"} & request.extra.keys():
            form["automatic_payment_methods"] = {"enabled": True, "allow_redirects": "never"}
    return _with_extra(form, request.extra)


def update_form(request: UpdateRequest, *, reference: str) -> Form:
    """The change, stamped with the operation, so that a lost update can be told from one that never ran."""
    form: Form = {"metadata": marked(request.metadata or {}, {UPDATE_REFERENCE: reference})}
    if request.amount is not None:
        form["amount"] = to_stripe(request.amount)
        form["currency"] = request.amount.currency.lower()
    if request.customer is not None:
        form["customer"] = checked_id(request.customer, "customer")
    for name in ("description", "setup_future_usage"):
        if (value := getattr(request, name)) is not None:
            form[name] = value
    return form


def confirm_form(request: ConfirmRequest) -> Form:
    form: Form = {"expand": CHARGE}
    if request.payment_method is not None:
        form.update(chosen(request.payment_method))
    if request.setup_future_usage is not None:
        form["setup_future_usage"] = request.setup_future_usage
    if request.return_url is not None:
        form["return_url"] = request.return_url
    return form


def capture_form(request: CaptureRequest, *, reference: str) -> Form:
    """One capture of several is stamped with its operation; the last one closes the intent, which shows."""
    form: Form = {"amount_to_capture": to_stripe(request.amount), "expand": CHARGE}
    if not request.final:
        form["final_capture"] = False
        form["metadata"] = {CAPTURE_REFERENCE: reference}
    return form


def cancel_form(request: CancelRequest) -> Form:
    """A reason of our own words stays in our row: Stripe takes four of its own."""
    form: Form = {"expand": CHARGE}
    if request.reason in _CANCEL_REASONS:
        form["cancellation_reason"] = request.reason
    return form


def refund_form(request: RefundRequest) -> Form:
    """The amount is always said: without it Stripe refunds everything."""
    ours = {REFUND_ID: request.refund_id, REFERENCE: request.reference}
    form: Form = {
        "payment_intent": checked_id(request.payment, "payment"),
        "amount": to_stripe(request.amount),
    }
    if request.reason in _REFUND_REASONS:
        form["reason"] = request.reason
    elif request.reason:
        ours[REASON] = request.reason[:500]
    form["metadata"] = marked(request.metadata, ours)
    return form


def chosen(reference: str) -> Form:
    """Name what is paid with: a payment method, or a confirmation token of Stripe's script."""
    checked_id(reference, "payment_method")
    if reference.startswith("ctoken_"):
        return {"confirmation_token": reference}
    return {"payment_method": reference}


def marked(
    merchants: Mapping[str, str], ours: Mapping[str, str], *, names: frozenset[str] = _NAMES
) -> dict[str, str]:
    """Return the merchant's metadata with our marks. It may hold *names* of ours, and replaces no mark."""
    for key, value in merchants.items():
        # The engine names its object on everything it sends; it has refused such keys of a merchant's.
        named = key in ours or key in names
        if key.startswith(_RESERVED) and not (named and ours.get(key, value) == value):
            raise InvalidRequest(f"metadata.{key} is reserved", field="metadata")
        if not key or "[" in key or "]" in key:
            raise InvalidRequest("a metadata key has square brackets or is empty", field="metadata")
    return {**merchants, **ours}


def _with_extra(form: Form, extra: Mapping[str, Any]) -> Form:
    """Merge *extra* last; it adds to metadata and replaces anything else that is not about money."""
    refused = sorted({*_MONEY_FIELDS & extra.keys(), *_nested_names(extra, {"capture_method"})})
    if refused:
        raise InvalidRequest(f"extra may not set {', '.join(refused)}", field="extra")
    for name in _names(extra):
        if not _NAME.fullmatch(name):
            raise InvalidRequest("extra has a name that is not one of Stripe's", field="extra")
    rest = {name: value for name, value in extra.items() if name != "metadata"}
    added = extra.get("metadata", {})
    if not isinstance(added, Mapping):
        raise InvalidRequest("extra.metadata is a mapping", field="extra")
    return {
        **form,
        **rest,
        "metadata": {**form["metadata"], **marked(added, form["metadata"], names=frozenset())},
    }


def _names(extra: Mapping[str, Any]) -> Iterable[str]:
    """Every parameter name in *extra*; the keys of metadata are the merchant's and are not names."""
    for name, value in extra.items():
        yield name
        if name != "metadata":
            for item in value if isinstance(value, list | tuple) else (value,):
                if isinstance(item, Mapping):
                    yield from _names(item)


def _nested_names(extra: Mapping[str, Any], wanted: set[str]) -> set[str]:
    return wanted & set(_names(extra))
