"""A refund: captured money given back. It has its own identity and its own key, and may be pending."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from .money import Money

__all__ = ["Refund", "RefundStatus"]


class RefundStatus(StrEnum):
    """How far a refund is, and how it ended."""

    PENDING = "pending"
    """Reserved, sent, or accepted by the provider and not yet settled. Keeps its share reserved."""
    WAITING = "waiting"
    """Cannot be given back yet (not settled at the provider); will be tried again by itself."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """One row of `refunds`: captured money of one payment that goes back, as the provider last said.

    `amount_cents` counts minor units of `currency`, which is the payment's.
    """

    id: str
    payment_id: str
    provider_id: str
    amount_cents: int
    currency: str
    status: RefundStatus
    created_at: datetime
    updated_at: datetime
    operation_id: str | None = None
    """None for a refund that was made elsewhere, in the provider's dashboard for instance."""
    provider_refund_id: str | None = None
    reason: str | None = None
    error_message: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    version: int = 1

    @property
    def amount(self) -> Money:
        """What is given back."""
        return Money(self.amount_cents, self.currency)

    @property
    def keeps_its_share(self) -> bool:
        """Whether the payment must keep this amount reserved: anything but a definite no."""
        return self.status not in (RefundStatus.FAILED, RefundStatus.CANCELED)

    @property
    def is_open(self) -> bool:
        """Whether it has yet to be seen how it ends."""
        return self.status in (RefundStatus.PENDING, RefundStatus.WAITING)
