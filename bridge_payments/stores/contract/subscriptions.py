"""Subscriptions: what the provider bills again and again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol

from ...models import Subscription, SubscriptionStatus
from .lists import Listing, OwnedQuery

__all__ = ["SubscriptionQuery", "SubscriptionRepository"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionQuery(OwnedQuery):
    """`search` is part of the id, the guest's address or the description."""

    ORDERS: ClassVar[tuple[str, ...]] = ("created_at", "updated_at", "status")

    customer_id: str | None = None
    statuses: frozenset[SubscriptionStatus] | None = None


class SubscriptionRepository(Protocol):
    """Rows of `provider_subscriptions`."""

    def get(self, subscription_id: str) -> Subscription | None:
        """Return one subscription."""

    def get_by_reference(self, provider_id: str, reference: str) -> Subscription | None:
        """Find by the provider's reference within one account."""

    def get_by_our_reference(self, reference: str) -> Subscription | None:
        """Find by `Subscription.reference`, our 20 characters."""

    def add(self, subscription: Subscription) -> None:
        """Insert under a new id."""

    def save(self, subscription: Subscription, *, expected_version: int) -> bool:
        """As `PaymentRepository.save`. A provider's reference is held by one row per account."""

    def list(self, query: SubscriptionQuery) -> Listing[Subscription]:
        """Return one page."""

    def claim_due(self, *, limit: int, lease_seconds: float) -> Sequence[Subscription]:
        """As `PaymentRepository.claim_due`, by `next_sync_at`."""

    def with_stale_secrets(self, *, before: datetime, limit: int) -> Sequence[Subscription]:
        """Return subscriptions whose client secret expired before *before*."""
