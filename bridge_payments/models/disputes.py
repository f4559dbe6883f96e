"""A dispute: the payer's bank takes money back, or asks whether it should."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from .money import Money

__all__ = ["Dispute", "DisputeStatus"]


class DisputeStatus(StrEnum):
    """Who has the disputed money, and whether that is decided."""

    OPEN = "open"
    """Money is held back, or may be: evidence is asked for or under review."""
    WON = "won"
    LOST = "lost"
    CLOSED = "closed"
    """Ended without money moving: an inquiry that was answered, a case that was withdrawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """One row of `disputes`. Made by the provider alone; read again like everything that it says."""

    id: str
    payment_id: str
    provider_id: str
    provider_dispute_id: str
    """Unique per account."""
    amount_cents: int
    currency: str
    status: DisputeStatus
    created_at: datetime
    updated_at: datetime
    reason: str | None = None
    provider_status: str | None = None
    """The provider's own word."""
    evidence_due_by: datetime | None = None
    closed_at: datetime | None = None
    version: int = 1

    @property
    def amount(self) -> Money:
        """What the payer's bank took, or wants."""
        return Money(self.amount_cents, self.currency)
