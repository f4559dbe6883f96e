"""A subscription: recurring billing that the provider runs. We mirror it and never charge a renewal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from .money import Money
from .payments import GuestData, NextAction

__all__ = ["ENDED_SUBSCRIPTION_STATUSES", "BillingInterval", "Subscription", "SubscriptionStatus"]


class SubscriptionStatus(StrEnum):
    """How far a subscription is, and how it ended: a closed set. `provider_status` is the provider's word."""

    INCOMPLETE = "incomplete"
    """The first payment, or the payer's approval, is still missing."""
    INCOMPLETE_EXPIRED = "incomplete_expired"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    UNPAID = "unpaid"
    PAUSED = "paused"
    CANCELED = "canceled"


ENDED_SUBSCRIPTION_STATUSES: Final = frozenset(
    {SubscriptionStatus.CANCELED, SubscriptionStatus.INCOMPLETE_EXPIRED}
)


class BillingInterval(StrEnum):
    """The unit in which periods of a subscription are counted."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    YEARLY = "yearly"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One row of `provider_subscriptions`: what the provider charges each period, as it last said.

    Whatever ends in ``_cents`` counts minor units of `currency`. Each charge becomes a payment of its own.
    """

    id: str
    provider_id: str
    customer_id: str | None
    """Our customer; None where the provider keeps none for a subscription."""
    status: SubscriptionStatus
    subtotal_cents: int
    total_cents: int
    currency: str
    billing_interval: BillingInterval
    created_at: datetime
    updated_at: datetime
    tax_cents: int = 0
    discount_cents: int = 0
    interval_multiplier: int = 1
    """1 to 12: every so many intervals."""
    provider_subscription_id: str | None = None
    reference: str | None = None
    """Our 20 characters, carried by the provider's object: how one without a row is recognised."""
    payment_method_id: str | None = None
    product_id: str | None = None
    user_id: str | None = None
    organization_id: str | None = None
    project_id: str | None = None
    billing_address_id: str | None = None
    current_period_start: datetime | None = None
    current_period_end: datetime | None = None
    cancel_at_period_end: bool = False
    canceled_at: datetime | None = None
    trial_end: datetime | None = None
    next_billing_date: datetime | None = None
    next_action: NextAction | None = None
    client_secret: str | None = field(default=None, repr=False)
    """Of the first payment, for the payer's browser. Never in a list."""
    client_secret_expires_at: datetime | None = None
    decline_code: str | None = None
    error_message: str | None = None
    provider_status: str | None = None
    """The provider's own word."""
    livemode: bool | None = None
    description: str | None = None
    concept: str | None = None
    reference_code: str | None = None
    category: str | None = None
    tags: str | None = None
    is_guest_subscription: bool = False
    guest_email: str | None = field(default=None, repr=False)
    guest_data: GuestData | None = field(default=None, repr=False)
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    next_sync_at: datetime | None = None
    """When the sweep reads it next: a day after each period's end at the latest (rule 13)."""
    version: int = 1

    unknown_operation_id: str | None = field(default=None, compare=False)
    """Not stored: names the open operation in an answer whose outcome is unknown."""

    @property
    def total(self) -> Money:
        """What is charged each time."""
        return Money(self.total_cents, self.currency)

    @property
    def has_ended(self) -> bool:
        """Whether nothing is billed for it any more."""
        return self.status in ENDED_SUBSCRIPTION_STATUSES
