"""What the dashboard draws: figures over time, how things are now, the whole story of one payment."""

from __future__ import annotations

from .admin import CurrencyFigures, OperationOut
from .base import Moment, Output
from .endpoints import DeliveryOut, ReceivedOut
from .refunds import RefundOut

__all__ = [
    "AccountFigures",
    "AdminSeries",
    "AdminVitals",
    "CacheRate",
    "DeliveryRate",
    "EventOut",
    "IntervalFigures",
    "LastCall",
    "OpenOutcomes",
    "PaymentTimeline",
    "ResponseTimes",
    "SuccessRate",
]


class SuccessRate(Output):
    """Of payments begun in a time: how many were collected, and how many ended without."""

    completed: int
    """Collected, given back since or not."""
    failed: int
    """Failed and canceled ones."""
    pending: int
    """What may still be paid. It does not count in the rate."""
    success_rate: float | None
    """completed / (completed + failed), from 0 to 1; null where none has ended."""


class IntervalFigures(SuccessRate):
    """Payments that were begun in one interval, as they are now."""

    begins_at: Moment
    ends_at: Moment
    volumes: list[CurrencyFigures]
    """Per currency: amounts of several add up to nothing."""


class AccountFigures(SuccessRate):
    provider_id: str | None
    """null: payments that no account has seen."""


class AdminSeries(Output):
    days: int
    interval_seconds: int
    """An hour or a day. Intervals begin on the hour or at midnight, UTC; the last one has not ended."""
    intervals: list[IntervalFigures]
    total: IntervalFigures
    accounts: list[AccountFigures]


class DeliveryRate(Output):
    """Of deliveries made in a time: how many got through."""

    delivered: int
    dead: int
    """Given up after every try, or nobody there to tell."""
    pending: int
    delivery_rate: float | None
    """delivered / (delivered + dead), from 0 to 1; null where none has ended."""


class CacheRate(Output):
    """Of this process only: how often who asks was remembered."""

    hits: int
    misses: int
    hit_rate: float | None


class ResponseTimes(Output):
    """How long the last requests of this process took. Those of admins and of monitors are not counted."""

    count: int
    """At most the last thousand."""
    p50_ms: float
    """Half of them took no longer."""
    p95_ms: float


class LastCall(Output):
    """The last call of one account's provider that this process made. None is made to find out."""

    provider_id: str
    at: Moment
    outcome: str
    answered: bool
    """Whether the provider said anything; a decline is an answer, too."""
    milliseconds: float


class OpenOutcomes(Output):
    count: int
    """Instructions whose outcome is not known yet; at most a hundred are counted."""
    oldest_at: Moment | None


class AdminVitals(Output):
    """How it is now. Cheap enough for a page that reloads itself."""

    days: int
    payments: SuccessRate
    webhooks: DeliveryRate
    cache: CacheRate
    responses: ResponseTimes | None
    """null before the first request, and where the dashboard is not served."""
    calls: list[LastCall]
    unknown: OpenOutcomes


class EventOut(Output):
    """One event that we told, and to whom."""

    id: str
    type: str
    created_at: Moment
    version: int | None
    """Of the payment, when it happened."""
    deliveries: list[DeliveryOut]


class PaymentTimeline(Output):
    """Everything that happened to one payment: what was asked, what was heard, what was told."""

    operations: list[OperationOut]
    refunds: list[RefundOut]
    events: list[EventOut]
    """The newest hundred, oldest first."""
    received: list[ReceivedOut]
    """Webhooks of the provider about it, the newest hundred, oldest first."""
