"""Refunds and disputes, as they are asked for and as a provider answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ...models import DisputeStatus, Money, RefundStatus

__all__ = ["KnownRefund", "ProviderDispute", "ProviderRefund", "RefundRequest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRequest:
    """Give captured money back."""

    payment: str
    """The provider's reference of the intent."""
    refund_id: str
    """Our id."""
    amount: Money
    """Mandatory: a refund without an amount refunds everything at most providers."""
    reference: str
    """Our 20 characters, to be carried by the provider's object."""
    charge: str | None = None
    """The provider's reference of the captured charge, where it differs from the intent."""
    reason: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRefund:
    """A refund as the provider sees it."""

    reference: str
    payment: str | None
    amount: Money
    status: RefundStatus
    our_reference: str | None = None
    refund_id: str | None = None
    """Our id, when the object carries it."""
    reason: str | None = None
    failure: str | None = None
    raw: object = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderDispute:
    """A dispute as the provider sees it."""

    reference: str
    amount: Money
    """What is disputed, in the payment's currency."""
    status: DisputeStatus
    payment: str | None = None
    """The provider's reference of the intent, where the object says it."""
    charge: str | None = None
    reason: str | None = None
    provider_status: str | None = None
    evidence_due_by: datetime | None = None
    created_at: datetime | None = None
    raw: object = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRefund:
    """One refund of a payment, as our books have it."""

    id: str
    amount: Money
    status: RefundStatus
    reference: str | None = None
    """The provider's; None while it has not answered, or for a refund that waits."""
