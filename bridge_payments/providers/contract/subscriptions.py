"""Subscriptions, as they are asked for and as a provider answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ...models import BillingInterval, Money, NextAction, SubscriptionStatus
from .declines import Decline, Unrecognised
from .payments import ProviderPayment

__all__ = [
    "ProviderSubscription",
    "SubscriptionCancellation",
    "SubscriptionPause",
    "SubscriptionRequest",
    "SubscriptionResumption",
    "SubscriptionUpdate",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRequest:
    """Begin a subscription. A change is a `SubscriptionUpdate`."""

    subscription_id: str
    """Our id."""
    reference: str
    """Our 20 characters, to be carried by the provider's object."""
    amount: Money
    """What is charged each time."""
    interval: BillingInterval
    interval_count: int = 1
    customer: str | None = None
    """The provider's references, as in all requests."""
    payment_method: str | None = field(default=None, repr=False)
    trial_days: int = 0
    name: str = "Subscription"
    """What the payer reads on an approval page or an invoice."""
    description: str | None = None
    return_url: str | None = None
    email: str | None = field(default=None, repr=False)
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)
    wish: str | None = None
    """Names what the caller asked for, alike in every try under one Idempotency-Key; None without one. An
    operation is one try: what it made on the way, and left behind, is found again by this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionUpdate:
    """What may change; None means unchanged."""

    subscription: str
    amount: Money | None = None
    """The price from the next period on."""
    interval: BillingInterval | None = None
    """As it is recorded, with `interval_count`, where a new price needs it."""
    interval_count: int | None = None
    customer: str | None = None
    payment_method: str | None = field(default=None, repr=False)
    description: str | None = None
    metadata: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionCancellation:
    """End a subscription, now or at the end of its period."""

    subscription: str
    at_period_end: bool = True
    """Where the provider can only end it at once, that is what it does, and the answer says so."""
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionPause:
    """Bill nothing until it is resumed."""

    subscription: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionResumption:
    """Go on after a pause, or take back a cancellation at the period's end."""

    subscription: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSubscription:
    """A subscription as the provider sees it, in our words."""

    reference: str
    status: SubscriptionStatus | Unrecognised
    amount: Money | None = None
    """What is charged each time, where the object says it."""
    interval: BillingInterval | None = None
    interval_count: int = 1
    current_period_start: datetime | None = None
    current_period_end: datetime | None = None
    cancel_at_period_end: bool = False
    canceled_at: datetime | None = None
    trial_end: datetime | None = None
    next_billing_date: datetime | None = None
    customer: str | None = None
    payment_method: str | None = field(default=None, repr=False)
    client_secret: str | None = field(default=None, repr=False)
    """Of the first payment, for the payer's browser."""
    next_action: NextAction | None = None
    decline: Decline | None = None
    charges: tuple[ProviderPayment, ...] | None = None
    """What it has collected, newest first, as far as the read says; None when it does not.

    Each becomes one Payment, unique on (account, `ProviderPayment.reference`), whoever sees it first.
    """
    livemode: bool | None = None
    subscription_id: str | None = None
    """Our id, when the object carries it."""
    our_reference: str | None = None
    provider_status: str | None = None
    created_at: datetime | None = None
    request_id: str | None = None
    raw: object = field(default=None, repr=False, compare=False)
