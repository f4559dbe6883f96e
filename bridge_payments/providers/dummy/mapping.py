"""The dummy gateway's words in ours, and ours in its. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from ...errors import (
    ProviderDeclined,
    ProviderNotFound,
    ProviderRejected,
    ProviderStateConflict,
    ProviderUnknown,
)
from ...models import (
    CaptureMethod,
    DisputeStatus,
    Money,
    NextAction,
    NextActionKind,
    Noun,
    PaymentStatus,
    ProviderEvent,
    RefundStatus,
)
from ..base import (
    UNRECOGNISED,
    Decline,
    IntentRequest,
    ProviderDispute,
    ProviderMethod,
    ProviderPayment,
    ProviderRefund,
    ProviderStatus,
    RefundRequest,
)
from .vault import Refused

__all__ = ["body_for_intent", "body_for_refund", "error_from", "event_from", "payment_from", "refund_from"]

STATUS: Final[Mapping[str, ProviderStatus]] = {
    "open": PaymentStatus.PENDING,
    "challenge": PaymentStatus.REQUIRES_ACTION,
    "held": PaymentStatus.REQUIRES_CAPTURE,
    "paid": PaymentStatus.SUCCEEDED,
    "canceled": PaymentStatus.CANCELED,
}

DECLINES: Final[Mapping[str, str]] = {
    "do_not_honor": "declined",
    "not_enough_money": "insufficient_funds",
    "card_too_old": "expired_card",
    "challenge_failed": "authentication_failed",
    "payer_needed": "authentication_required",
}


def body_for_intent(request: IntentRequest) -> dict[str, Any]:
    return {
        "amount": request.amount.minor_units,
        "currency": request.amount.currency,
        "manual": request.capture_method is CaptureMethod.MANUAL,
        "confirm": request.confirm,
        "method": request.payment_method,
        "customer": request.customer,
        "off_session": request.off_session,
        "keep": request.setup_future_usage is not None,
        "metadata": dict(request.metadata),
        **request.extra,
    }


def body_for_refund(request: RefundRequest) -> dict[str, Any]:
    return {
        "intent": request.payment,
        "amount": request.amount.minor_units,
        "metadata": {**request.metadata, "reference": request.reference, "refund_id": request.refund_id},
    }


def payment_from(intent: Mapping[str, Any]) -> ProviderPayment:
    status = STATUS.get(intent["state"], UNRECOGNISED)
    refunds = tuple(refund_from(refund) for refund in intent.get("refunds", ()))
    disputes = tuple(_dispute_from(dispute) for dispute in intent.get("disputes", ()))
    last = intent["last_decline"]
    return ProviderPayment(
        reference=intent["id"],
        status=status,
        amount=Money(intent["amount"], intent["currency"]),
        authorized=intent["authorized"] if intent["state"] == "held" else 0,
        captured=intent["captured"],
        refunded=sum(refund.amount.minor_units for refund in refunds),
        charge=intent["id"] if intent["captured"] else None,
        client_secret=intent["secret"],
        livemode=False,
        our_reference=intent["metadata"].get("bridge_reference"),
        payment_id=intent["metadata"].get("bridge_payment_id"),
        next_action=NextAction(kind=NextActionKind.USE_SDK) if intent["state"] == "challenge" else None,
        decline=_decline(last) if last else None,
        refunds=refunds,
        disputed=sum(each.amount.minor_units for each in disputes if each.status is not DisputeStatus.WON),
        disputes=disputes,
        method=_kept(intent.get("kept")),
        customer=intent.get("customer"),
        subscription=intent.get("subscription"),
        created_at=datetime.fromtimestamp(intent["created"], UTC),
        provider_status=intent["state"],
        raw=intent,
    )


def _kept(method: Mapping[str, Any] | None) -> ProviderMethod | None:
    if method is None:
        return None
    return ProviderMethod(
        reference=method["id"],
        brand="visa",
        last_four=method["last4"],
        expiry_month=12,
        expiry_year=2040,
        customer=method["customer"],
        saved=True,
    )


def _dispute_from(dispute: Mapping[str, Any]) -> ProviderDispute:
    return ProviderDispute(
        reference=dispute["id"],
        amount=Money(dispute["amount"], dispute["currency"]),
        status=DisputeStatus(dispute["state"]),
        payment=dispute["intent"],
        provider_status=dispute["state"],
        raw=dispute,
    )


def _decline(last: Mapping[str, Any]) -> Decline:
    code = last["code"]
    return Decline(
        code=DECLINES.get(code, "declined"),
        message="The payment method was declined",
        provider_code=code,
        reference=last["attempt"],
    )


def refund_from(refund: Mapping[str, Any]) -> ProviderRefund:
    return ProviderRefund(
        reference=refund["id"],
        payment=refund["intent"],
        amount=Money(refund["amount"], refund["currency"]),
        status=RefundStatus.SUCCEEDED if refund["state"] == "done" else RefundStatus.PENDING,
        our_reference=refund["metadata"].get("reference"),
        refund_id=refund["metadata"].get("refund_id"),
        raw=refund,
    )


def event_from(event: Mapping[str, Any], body: str) -> ProviderEvent:
    if "noun" in event:
        row = event["object"]
        return ProviderEvent(
            id=event["id"],
            type=event["type"],
            reference=row["id"],
            noun=Noun(event["noun"]),
            livemode=False,
            our_reference=row.get("metadata", {}).get("bridge_reference"),
            body=body.replace(row["secret"], "[removed]") if "secret" in row else body,
        )
    intent = event["intent"]
    return ProviderEvent(
        id=event["id"],
        type=event["type"],
        reference=intent["id"],
        livemode=False,
        our_reference=intent["metadata"].get("bridge_reference"),
        body=body.replace(intent["secret"], "[removed]"),
    )


def error_from(refused: Refused, *, repeat: bool) -> Exception:
    """Say what the engine may conclude from a no."""
    if repeat:
        return ProviderUnknown("a repeat was refused, which proves nothing", provider_code=refused.code)
    if refused.code in DECLINES:
        return ProviderDeclined(
            refused.message,
            decline_code=DECLINES[refused.code],
            provider_code=refused.code,
            payment=refused.details.get("intent"),
            attempt=refused.details.get("attempt"),
        )
    kind = {
        "no_such_intent": ProviderNotFound,
        "no_such_object": ProviderNotFound,
        "wrong_state": ProviderStateConflict,
    }.get(refused.code, ProviderRejected)
    return kind(refused.message, provider_code=refused.code)
