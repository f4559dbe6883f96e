"""Refunds on the wire."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from ...models import RefundStatus
from .base import Input, Moment, Output, PositiveCents

__all__ = ["RefundOut", "RefundPayment"]


class RefundPayment(Input):
    """How much to give back."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={"examples": [{"amount_cents": 1000, "reason": "requested_by_customer"}]}
    )

    amount_cents: PositiveCents | None = None
    """Everything that is left without it."""
    reason: Annotated[str, Field(max_length=255)] | None = None
    force: bool = False
    """Refund although a dispute is open."""


class RefundOut(Output):
    """Money given back; `pending` and `waiting` keep their share reserved until the provider says no."""

    id: str
    payment_id: str
    provider_id: str
    provider_refund_id: str | None
    amount_cents: int
    currency: str
    status: RefundStatus
    reason: str | None
    metadata: dict[str, Any]
    operation_id: str | None
    created_at: Moment
    updated_at: Moment
