"""What is written and read back: JSON of our own, event snapshots, and no client secret in either.

Both stores use it, so that what works in memory works in a database.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final, TypeVar, cast

from ..errors import StoreError
from ..models import (
    Address,
    AddressType,
    BillingInterval,
    CaptureMethod,
    Customer,
    Dispute,
    DisputeStatus,
    Event,
    GuestData,
    NextAction,
    NextActionKind,
    Payment,
    PaymentFlag,
    PaymentMethod,
    PaymentMethodStatus,
    PaymentStatus,
    Refund,
    RefundStatus,
    Subscription,
    SubscriptionStatus,
    email_key,
)

__all__ = [
    "ENUMS",
    "OPERATION_OUTCOME",
    "decode_event",
    "decode_next_action",
    "dumps",
    "encode_event",
    "encode_next_action",
    "guest_from",
    "guest_key",
    "loads",
    "own",
    "own_payment",
    "own_refund",
    "owner_key",
    "plain",
    "told",
]

R = TypeVar("R", bound="Customer | PaymentMethod | Address | Subscription | Dispute")

ENUMS: Final[Mapping[type, Mapping[str, type[Enum]]]] = {
    Customer: {},
    PaymentMethod: {"status": PaymentMethodStatus},
    Address: {"address_type": AddressType},
    Subscription: {"status": SubscriptionStatus, "billing_interval": BillingInterval},
    Dispute: {"status": DisputeStatus},
}
"""Which fields of a record are words of a closed set."""

OPERATION_OUTCOME: Final = (
    "state",
    "steps",
    "refund_id",
    "error_code",
    "error_message",
    "decline_code",
    "request_id",
    "resolution",
    "finished_at",
    "updated_at",
)
"""What `OperationRepository.save` writes: the rest of an operation is settled when it is reserved."""


def dumps(value: object) -> str:
    """Return *value* as JSON, without any client secret in it.

    ASCII on purpose: it survives every character set, lone surrogates and PostgreSQL's refusal of NUL.
    """
    try:
        return json.dumps(_without_secrets(value), default=_plain, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError):
        # `from None`: the message of the encoder may quote the value.
        raise StoreError(f"a {type(value).__name__} has something in it that is not JSON") from None


def loads(text: str) -> Any:
    return json.loads(text)


def plain(value: Any) -> Any:
    """Return *value* as it would come back from a database: a copy, JSON types only."""
    return loads(dumps(value)) if value else value


def guest_key(email: str | None) -> str | None:
    """Return the form in which guest e-mail addresses are compared; each database folds in its own way."""
    return email_key(email) if email is not None else None


def owner_key(*, user_id: str | None, guest_email: str | None) -> str | None:
    """Return the one text that names an owner: a user, else a guest's address."""
    if user_id is not None:
        return f"user:{user_id}"
    return f"guest:{guest_key(guest_email)}" if guest_email is not None else None


# --- events ---------------------------------------------------------------------------------------


def told(event: Event) -> Event:
    """Return *event* as it is kept: snapshots without secrets, plain data."""
    payment = event.payment
    if payment is not None:
        payment = replace(own_payment(payment), client_secret=None, next_action=_told_action(payment))
    refund = own_refund(event.refund) if event.refund is not None else None
    rows = {name: _told_row(row) for name in _SNAPSHOTS if (row := getattr(event, name)) is not None}
    return replace(event, payment=payment, refund=refund, data=plain(event.data), **rows)


def _told_row(row: Any) -> Any:
    row = own(row)
    if isinstance(row, PaymentMethod | Subscription):
        return replace(row, client_secret=None, next_action=_told_action(row))
    return row


def _told_action(row: Payment | PaymentMethod | Subscription) -> NextAction | None:
    return decode_next_action(encode_next_action(row.next_action, row.client_secret), None)


def encode_event(event: Event) -> str:
    """Return the snapshots and the data of *event* as one JSON text."""
    document: dict[str, Any] = {}
    if event.payment is not None:
        document["payment"] = {name: getattr(event.payment, name) for name in _PAYMENT_FIELDS}
        document["payment"]["next_action"] = _told_action(event.payment)
    if event.refund is not None:
        document["refund"] = {name: getattr(event.refund, name) for name in _REFUND_FIELDS}
    for name in _SNAPSHOTS:
        if (row := getattr(event, name)) is not None:
            told_row = _told_row(row)
            document[name] = {
                field.name: getattr(told_row, field.name) for field in fields(told_row) if field.compare
            }
    if event.data:
        document["data"] = event.data
    if event.trace is not None:
        document["trace"] = event.trace
    return dumps(document)


def decode_event(text: str, *, id: str, type: str, created_at: datetime) -> Event:  # noqa: A002
    """Read what `encode_event` wrote, in this version or another: unknown names are passed over."""
    document = loads(text)
    payment, refund = document.get("payment"), document.get("refund")
    return Event(
        id=id,
        type=type,
        created_at=created_at,
        payment=_payment(payment) if payment is not None else None,
        refund=_refund(refund) if refund is not None else None,
        **{name: _row(type_, document[name]) for name, type_ in _SNAPSHOTS.items() if name in document},
        data=document.get("data", {}),
        trace=document.get("trace"),
    )


# --- parts of a payment ---------------------------------------------------------------------------

_SECRET_MARK: Final = "{client_secret}"
_SECRET_IN_URL: Final = re.compile(r"(client_secret=)[^&#]+")


def encode_next_action(action: NextAction | None, client_secret: str | None) -> dict[str, Any] | None:
    """Return *action* for JSON, with a mark where its URL holds the client secret.

    The challenge page of a provider can carry the secret in its address. The mark keeps
    the secret in one column, so that deleting it there deletes it.
    """
    if action is None:
        return None
    url = action.url
    if url is not None:
        if client_secret:
            url = url.replace(client_secret, _SECRET_MARK)
        url = _SECRET_IN_URL.sub(rf"\1{_SECRET_MARK}", url)
    return {"kind": action.kind.value, "url": url, "return_url": action.return_url}


def decode_next_action(document: Mapping[str, Any] | None, client_secret: str | None) -> NextAction | None:
    """Read what `encode_next_action` wrote; without the secret such a URL leads nowhere and is left out."""
    if document is None:
        return None
    url = document.get("url")
    if url is not None and _SECRET_MARK in url:
        url = url.replace(_SECRET_MARK, client_secret) if client_secret else None
    return NextAction(kind=NextActionKind(document["kind"]), url=url, return_url=document.get("return_url"))


def guest_from(document: Mapping[str, Any] | None) -> GuestData | None:
    if document is None:
        return None
    return GuestData(email=document["email"], name=document.get("name"), phone=document.get("phone"))


def own_payment(payment: Payment) -> Payment:
    """Return a copy that shares nothing changeable with the caller's."""
    coupons = payment.applied_coupons
    return replace(
        payment,
        unknown_operation_id=None,
        payment_method_saved=False,
        metadata=plain(payment.metadata),
        applied_coupons=tuple(plain(list(coupons))) if coupons is not None else None,
    )


def own_refund(refund: Refund) -> Refund:
    return replace(refund, metadata=plain(refund.metadata))


def own(row: R) -> R:
    """Return a copy that shares nothing changeable with the caller's."""
    if isinstance(row, Dispute):
        return row
    if isinstance(row, Subscription):
        row = replace(row, unknown_operation_id=None)
    return cast("R", replace(row, metadata=plain(row.metadata)))


# --- snapshots ------------------------------------------------------------------------------------

_PAYMENT_FIELDS: Final = tuple(
    field.name
    for field in fields(Payment)
    if field.compare  # what is not compared is not stored
)
_REFUND_FIELDS: Final = tuple(field.name for field in fields(Refund))
_SNAPSHOTS: Final[Mapping[str, type]] = {
    "dispute": Dispute,
    "customer": Customer,
    "payment_method": PaymentMethod,
    "subscription": Subscription,
}
"""The other fields of an `Event` that hold a record."""
_MOMENTS: Final = frozenset(
    {
        "created_at",
        "updated_at",
        "client_secret_expires_at",
        "manual_payment_date",
        "paid_at",
        "canceled_at",
        "closed_at",
        "completed_at",
        "current_period_end",
        "current_period_start",
        "deleted_at",
        "evidence_due_by",
        "next_billing_date",
        "next_sync_at",
        "trial_end",
    }
)


def _known(document: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    values = {name: document[name] for name in names if name in document}
    for name in _MOMENTS & values.keys():
        if values[name] is not None:
            values[name] = datetime.fromisoformat(values[name])
    return values


def _payment(document: Mapping[str, Any]) -> Payment:
    values = _known(document, _PAYMENT_FIELDS)
    values["status"] = PaymentStatus(values["status"])
    values["capture_method"] = CaptureMethod(values["capture_method"])
    values["flag"] = PaymentFlag(values["flag"]) if values.get("flag") else None
    values["next_action"] = decode_next_action(values.get("next_action"), None)
    values["guest_data"] = guest_from(values.get("guest_data"))
    if values.get("applied_coupons") is not None:
        values["applied_coupons"] = tuple(values["applied_coupons"])
    return Payment(**values)


def _refund(document: Mapping[str, Any]) -> Refund:
    values = _known(document, _REFUND_FIELDS)
    values["status"] = RefundStatus(values["status"])
    return Refund(**values)


def _row(type_: type, document: Mapping[str, Any]) -> Any:
    values = _known(document, [field.name for field in fields(type_)])
    for name, enum in ENUMS[type_].items():
        values[name] = enum(values[name])
    if "next_action" in values:
        values["next_action"] = decode_next_action(values["next_action"], None)
    if "guest_data" in values:
        values["guest_data"] = guest_from(values["guest_data"])
    return type_(**values)


# --- JSON -----------------------------------------------------------------------------------------


def _without_secrets(value: Any) -> Any:
    # Every JSON column passes here, so the promise that only `client_secret` ever holds one does not
    # depend on everybody who fills `inputs`, `steps` or `data`.
    if value is None or isinstance(value, str | int):  # most values, and far cheaper to ask than the next
        return value
    if isinstance(value, Mapping):
        return {name: _without_secrets(item) for name, item in value.items() if not _is_secret(name)}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_without_secrets(item) for item in value]
    return value


def _is_secret(name: object) -> bool:
    return isinstance(name, str) and name.replace("_", "").lower().endswith("clientsecret")


def _plain(value: object) -> object:
    match value:
        case datetime():
            if value.tzinfo is None:
                raise TypeError("naive datetime")
            return value.astimezone(UTC).isoformat()
        case date() | Decimal():
            return str(value)
        case Enum():
            return value.value
        case GuestData():
            return {"email": value.email, "name": value.name, "phone": value.phone}
        case NextAction():
            return encode_next_action(value, None)
        case set() | frozenset():
            return sorted(value)
    raise TypeError(type(value).__name__)
