"""Refunds over HTTP: the merchant's, never the payer's."""

from __future__ import annotations

from typing import Final

from ...errors import (
    AccessDenied,
    IdempotencyMismatch,
    IllegalState,
    NotAuthenticated,
    NotFound,
    OperationInProgress,
    RateLimited,
    Unavailable,
    UnsupportedOperation,
)
from ..envelope import Reply
from ..route import Access, Call, Key, Route, Text
from ..schemas.refunds import RefundOut, RefundPayment
from .payments import payment_id

__all__ = ["REFUND_ROUTES"]


async def refund_payment(call: Call) -> Reply:
    """Give captured money back, all that is left or part of it.

    Needs an Idempotency-Key. While the provider has not said how it ended the status is `pending`, and the
    amount stays reserved.
    """
    body = call.given(RefundPayment)
    refund = await call.bridge.engine.refund_payment(
        payment_id(call),
        amount_cents=body.amount_cents,
        reason=body.reason,
        force=body.force,
        idempotency_key=call.idempotency_key,
        principal=call.principal,
    )
    return Reply(data=RefundOut.model_validate(refund))


REFUND_ROUTES: Final = (
    Route(
        methods=("POST",),
        path="/payments/{payment_id}/refund",
        noun="refunds",
        handler=refund_payment,
        takes=RefundPayment,
        returns=RefundOut,
        status=201,
        access=Access.ADMIN,
        key=Key.REQUIRED,
        errors=(
            NotAuthenticated,
            AccessDenied,
            NotFound,
            IllegalState,
            UnsupportedOperation,
            OperationInProgress,
            IdempotencyMismatch,
            RateLimited,
            Unavailable,
        ),
        texts={NotFound: Text("Payment not found", "Payment not found")},
    ),
)
