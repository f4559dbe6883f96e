"""Acme's words in ours, and ours in Acme's. Pure: values in, values out, nothing awaited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bridge_payments import (
    Money,
    ProviderDeclined,
    ProviderError,
    ProviderEvent,
    ProviderStateConflict,
)
from bridge_payments.models import CaptureMethod, PaymentStatus, RefundStatus
from bridge_payments.providers.base import (
    UNRECOGNISED,
    Decline,
    IntentRequest,
    ProviderPayment,
    ProviderRefund,
    ProviderStatus,
    RefundRequest,
)

CURRENCIES: Final = frozenset({"USD", "EUR", "JPY", "KWD"})

STATUS: Final[Mapping[str, ProviderStatus]] = {
    "new": PaymentStatus.PENDING,
    "held": PaymentStatus.REQUIRES_CAPTURE,
    "paid": PaymentStatus.SUCCEEDED,
    "void": PaymentStatus.CANCELED,
}
REFUND_STATUS: Final = {"done": RefundStatus.SUCCEEDED, "failed": RefundStatus.FAILED}
DECLINES: Final = {"no_funds": "insufficient_funds", "expired": "expired_card", "refused": "declined"}


# --- what we send: amounts as text, because a float is not an amount --------------------------------


def body_for_intent(request: IntentRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "amount": str(request.amount.to_decimal()),
        "currency": request.amount.currency,
        "hold": request.capture_method is CaptureMethod.MANUAL,
        # Read back by `payment_from`: it is how a payment is known to be ours, and how a lost one is found.
        "ref": request.reference,
        "payment_id": request.payment_id,
        "description": request.description,
        **request.extra,
    }
    return {**body, "method": request.payment_method} if request.confirm else body


def body_for_refund(request: RefundRequest) -> dict[str, Any]:
    return {
        "charge": request.payment,
        "amount": str(request.amount.to_decimal()),
        "ref": request.reference,
        "refund_id": request.refund_id,
    }


# --- what we read -----------------------------------------------------------------------------------


def payment_from(charge: Mapping[str, Any]) -> ProviderPayment:
    amount = _money(charge["amount"], charge)
    refunds = tuple(refund_from(refund, charge) for refund in charge["refunds"])
    return ProviderPayment(
        reference=charge["id"],
        status=STATUS.get(charge["state"], UNRECOGNISED),  # never a guess
        amount=amount,
        authorized=_money(charge["held"], charge).minor_units,
        captured=_money(charge["collected"], charge).minor_units,
        refunded=sum(each.amount.minor_units for each in refunds if each.status is RefundStatus.SUCCEEDED),
        livemode=not charge["test"],
        our_reference=charge["ref"],
        payment_id=charge["payment_id"],
        decline=_decline(charge["last_refusal"]) if charge["state"] == "new" else None,
        refunds=refunds,
        provider_status=charge["state"],
        raw=charge,
    )


def refund_from(refund: Mapping[str, Any], charge: Mapping[str, Any]) -> ProviderRefund:
    return ProviderRefund(
        reference=refund["id"],
        payment=charge["id"],
        amount=_money(refund["amount"], charge),
        status=REFUND_STATUS.get(refund["state"], RefundStatus.PENDING),  # keeps its share until we know
        our_reference=refund["ref"],
        refund_id=refund["refund_id"],
        raw=refund,
    )


def event_from(event: Mapping[str, Any], body: str) -> ProviderEvent:
    return ProviderEvent(
        id=event["id"],
        type=event["type"],
        reference=event["charge"]["id"],
        livemode=not event["charge"]["test"],
        our_reference=event["charge"]["ref"],
        body=body,  # Acme puts no secret into it
    )


def error_from(status: int, body: Any) -> ProviderError | None:
    """Read a refusal; None leaves it to the HTTP status."""
    code = body.get("code") if isinstance(body, dict) else None
    if status == 402 and isinstance(code, str):
        return ProviderDeclined(
            "The payment method was declined",
            decline_code=DECLINES.get(code, "declined"),
            payment=body.get("charge"),
            attempt=body.get("attempt"),
            provider_code=code,
            http_status=status,
        )
    if code == "wrong_state":
        return ProviderStateConflict("The charge is in another state", provider_code=code)
    return None


def _decline(refusal: Mapping[str, Any] | None) -> Decline | None:
    if refusal is None:
        return None
    return Decline(
        code=DECLINES.get(refusal["code"], "declined"),
        message="The payment method was declined",
        provider_code=refusal["code"],
        reference=refusal["attempt"],  # two reads of one attempt carry the same
    )


def _money(text: str, charge: Mapping[str, Any]) -> Money:
    return Money.from_decimal(text, charge["currency"])
