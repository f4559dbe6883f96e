"""What a subscriber reads: an event and the full snapshot of its payment, without any client secret."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from ..models import Event, GuestData, Payment, Refund

__all__ = ["body_for", "payment_data", "refund_data", "snapshot"]

_NEVER: Final = frozenset({"client_secret", "clientsecret"})
"""Dropped at any depth, whoever put it there."""


def body_for(event: Event) -> bytes:
    """Return the body of every attempt to tell *event*: a function of the event alone.

    Keys are sorted so that a store which returns mappings in another order changes no byte, and so
    a subscriber may compare bodies of two copies.
    """
    return json.dumps(_envelope(event), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def payment_data(payment: Payment) -> dict[str, Any]:
    """Return the snapshot of *payment*.

    Left out on purpose: the client secret, and the payer's next action, whose URL may contain one.
    """
    return {
        "id": payment.id,
        "version": payment.version,
        "status": payment.status.value,
        "livemode": payment.livemode,
        "provider_id": payment.provider_id,
        "provider_intent_id": payment.provider_intent_id,
        "provider_payment_id": payment.provider_payment_id,
        "provider_status": payment.provider_status,
        "currency": payment.currency,
        "amount_cents": payment.total_cents,
        "subtotal_cents": payment.subtotal_cents,
        "tax_cents": payment.tax_cents,
        "discount_cents": payment.discount_cents,
        "total_cents": payment.total_cents,
        "authorized_cents": payment.authorized_cents,
        "captured_cents": payment.captured_cents,
        "refunded_cents": payment.refunded_cents,
        "refund_reserved_cents": payment.refund_reserved_cents,
        "disputed_cents": payment.disputed_cents,
        "capture_method": payment.capture_method.value,
        "setup_future_usage": payment.setup_future_usage,
        "requires_action": payment.next_action is not None,
        "decline_code": payment.decline_code,
        "provider_decline_code": payment.provider_decline_code,
        "error_message": payment.error_message,
        "flag": payment.flag.value if payment.flag else None,
        "review": payment.review,
        "user_id": payment.user_id,
        "organization_id": payment.organization_id,
        "project_id": payment.project_id,
        "order_id": payment.order_id,
        "subscription_id": payment.subscription_id,
        "customer_id": payment.customer_id,
        "payment_method_id": payment.payment_method_id,
        "billing_address_id": payment.billing_address_id,
        "is_guest_payment": payment.is_guest_payment,
        "guest_email": payment.guest_email,
        "guest_data": _guest(payment.guest_data),
        "description": payment.description,
        "concept": payment.concept,
        "reference_code": payment.reference_code,
        "category": payment.category,
        "tags": payment.tags,
        "metadata": _plain(payment.metadata),
        "applied_coupons": _plain(payment.applied_coupons),
        "is_manual_payment": payment.is_manual_payment,
        "manual_payment_method": payment.manual_payment_method,
        "manual_payment_reference": payment.manual_payment_reference,
        "manual_payment_date": _plain(payment.manual_payment_date),
        "created_at": _plain(payment.created_at),
        "updated_at": _plain(payment.updated_at),
        "paid_at": _plain(payment.paid_at),
        "completed_at": _plain(payment.completed_at),
    }


def refund_data(refund: Refund) -> dict[str, Any]:
    """Return the snapshot of *refund*."""
    return {
        "id": refund.id,
        "version": refund.version,
        "payment_id": refund.payment_id,
        "provider_id": refund.provider_id,
        "provider_refund_id": refund.provider_refund_id,
        "operation_id": refund.operation_id,
        "status": refund.status.value,
        "amount_cents": refund.amount_cents,
        "currency": refund.currency,
        "reason": refund.reason,
        "error_message": refund.error_message,
        "metadata": _plain(refund.metadata),
        "created_at": _plain(refund.created_at),
        "updated_at": _plain(refund.updated_at),
    }


_TOLD: Final[Mapping[str, Sequence[str]]] = {
    # What is not named here is not told: client secrets, the payer's next action, what the provider charges.
    "dispute": (
        "id version payment_id provider_id provider_dispute_id amount_cents currency status provider_status"
        " reason evidence_due_by created_at updated_at closed_at"
    ).split(),
    "customer": (
        "id version provider_id provider_customer_id user_id organization_id email name phone is_guest"
        " guest_email guest_name default_payment_method_id metadata created_at updated_at"
    ).split(),
    "payment_method": (
        "id version provider_id payment_type status customer_id user_id organization_id wallet_type"
        " card_brand last_four expiry_month expiry_year alias is_default billing_address_id is_guest"
        " guest_email guest_name decline_code error_message metadata created_at updated_at"
    ).split(),
    "subscription": (
        "id version status livemode provider_id provider_subscription_id provider_status currency"
        " subtotal_cents tax_cents discount_cents total_cents billing_interval interval_multiplier user_id"
        " organization_id project_id customer_id payment_method_id product_id billing_address_id"
        " current_period_start current_period_end cancel_at_period_end canceled_at trial_end"
        " next_billing_date decline_code error_message description concept reference_code category tags"
        " is_guest_subscription guest_email metadata created_at updated_at"
    ).split(),
}


def snapshot(noun: str, row: object) -> dict[str, Any]:
    """Return the snapshot of a dispute, a customer, a payment method or a subscription."""
    return {name: _plain(getattr(row, name, None)) for name in _TOLD[noun]}


def _envelope(event: Event) -> dict[str, Any]:
    parts: dict[str, dict[str, Any]] = {}
    if event.payment is not None:
        parts["payment"] = payment_data(event.payment)
    if event.refund is not None:
        parts["refund"] = refund_data(event.refund)
    for noun in _TOLD:
        if (row := getattr(event, noun)) is not None:
            parts[noun] = snapshot(noun, row)
    # `data` is what the event is about; refunds and disputes are told with their payment.
    family = event.type.partition(".")[0]
    subject = family if family in parts and family not in ("refund", "dispute") else "payment"
    data = parts.pop(subject, {}) | parts
    for name, value in event.data.items():
        # What the type adds fills gaps only: a snapshot field always says what the row said.
        if data.get(name) is None and name not in _NEVER:
            data[name] = _plain(value)
    return {
        "id": event.id,
        "event": event.type,
        "type": event.type,
        "created_at": _plain(event.created_at),
        "timestamp": int(event.created_at.timestamp()),
        "data": data,
    }


def _guest(guest: GuestData | None) -> dict[str, str | None] | None:
    return {"email": guest.email, "name": guest.name, "phone": guest.phone} if guest else None


def _plain(value: Any) -> Any:
    """Return *value* as JSON values; what JSON does not know becomes its text."""
    match value:
        case Enum():
            return value.value
        case None | bool() | str() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case Mapping():
            return {str(k): _plain(v) for k, v in value.items() if str(k).lower() not in _NEVER}
        case Sequence() if not isinstance(value, bytes | bytearray):
            return [_plain(item) for item in value]
        case _:
            return str(value)
