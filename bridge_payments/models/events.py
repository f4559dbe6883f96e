"""Events: what we tell (Event, Delivery) and what a provider told us (ProviderEvent, InboxEntry)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from ..seam import traced
from .customers import Customer
from .disputes import Dispute
from .payment_methods import PaymentMethod
from .payments import Payment
from .refunds import Refund
from .subscriptions import Subscription

__all__ = [
    "EVENT_TYPES",
    "Delivery",
    "DeliveryState",
    "Event",
    "InboxEntry",
    "InboxState",
    "Noun",
    "ProviderEvent",
]

EVENT_TYPES: Final = (
    "payment.created",
    "payment.processing",
    "payment.requires_action",
    "payment.requires_capture",
    "payment.success",
    "payment.failed",
    "payment.canceled",
    "payment.refunded",
    "payment.mismatch",
    "refund.created",
    "refund.succeeded",
    "refund.failed",
    "dispute.opened",
    "dispute.closed",
    "customer.created",
    "customer.updated",
    "customer.deleted",
    "payment_method.created",
    "payment_method.updated",
    "payment_method.deleted",
    "subscription.created",
    "subscription.updated",
    "subscription.renewed",
    "subscription.payment_failed",
    "subscription.trial_will_end",
    "subscription.cancelled",
    "webhook.disabled",
    "webhook.test",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened, written in the transaction that made it happen.

    What it is about is there as a full snapshot of that moment, without its client secret. Told at least
    once, in no order: deduplicate by `id`, order by the snapshot's `version`.
    """

    id: str
    type: str
    created_at: datetime
    payment: Payment | None = None
    refund: Refund | None = None
    dispute: Dispute | None = None
    customer: Customer | None = None
    payment_method: PaymentMethod | None = None
    subscription: Subscription | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    """What this type adds: ``final`` and ``decline_code`` of `payment.failed` for instance."""
    trace: str | None = field(default_factory=traced, repr=False, compare=False)
    """The ``traceparent`` of the work that made it happen, where that was traced; never told."""

    @property
    def subject_id(self) -> str | None:
        """Return the id in whose history this belongs: the payment's, also for its refunds and disputes."""
        for about in (self.payment, self.refund, self.dispute):
            if about is not None:
                return about.id if isinstance(about, Payment) else about.payment_id
        row = self.subscription or self.payment_method or self.customer
        return row.id if row is not None else None


class Noun(StrEnum):
    """What a provider's event is about: which of our tables has the row, and what is read again."""

    PAYMENT = "payment"
    """Refunds and disputes, too: they are read with their payment."""
    PAYMENT_METHOD = "payment_method"
    CUSTOMER = "customer"
    SUBSCRIPTION = "subscription"
    """Invoices, too: they are read with their subscription."""


class DeliveryState(StrEnum):
    """How far one event is on its way to one endpoint."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    """Given up after the last attempt; can be redelivered by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event on its way to one endpoint."""

    id: str
    event_id: str
    event_type: str
    endpoint: str
    state: DeliveryState
    created_at: datetime
    attempts: int = 0
    available_at: datetime | None = None
    delivered_at: datetime | None = None
    status_code: int | None = None
    error: str | None = None
    claim_token: str | None = field(default=None, repr=False)


class InboxState(StrEnum):
    """What became of a received webhook."""

    RECEIVED = "received"
    PARKED = "parked"
    """Names an object that we do not know yet; asked again later."""
    PROCESSED = "processed"
    IGNORED = "ignored"
    """Not ours, or nothing that we act on."""
    DEAD = "dead"
    """Failed every time; kept with its traceback for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEvent:
    """What a verified webhook says. A hint: the object is always read again at the provider."""

    id: str
    """The provider's id of the event: unique per account, for ever."""
    type: str
    reference: str | None
    """The object to read again; None when the event names nothing we keep."""
    noun: Noun = Noun.PAYMENT
    """What `reference` is a reference of. A refund's or dispute's event names its payment where it can."""
    livemode: bool | None = None
    our_reference: str | None = None
    """Our 20 characters, when the object carries them: proves that it is this installation's."""
    api_version: str | None = None
    created_at: datetime | None = None
    body: str = field(default="", repr=False)
    """The body as it may be stored: client secrets blanked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxEntry:
    """One row of `provider_webhooks`: kept for good, so that a late copy is recognised."""

    id: str
    provider_id: str
    provider_event_id: str
    event_type: str
    state: InboxState
    created_at: datetime
    reference: str | None = None
    noun: Noun = Noun.PAYMENT
    our_reference: str | None = None
    livemode: bool | None = None
    api_version: str | None = None
    payload: str = field(default="", repr=False)
    payload_hash: str = ""
    """SHA-256 of the bytes as received."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    attempts: int = 0
    available_at: datetime | None = None
    claim_token: str | None = field(default=None, repr=False)
    error_message: str | None = field(default=None, repr=False)
    payment_id: str | None = None
    processed_at: datetime | None = None
