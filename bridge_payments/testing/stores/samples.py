"""Records to store, and the loop in which each promise is tried on a new, empty store."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from ...models import (
    Clock,
    Delivery,
    DeliveryState,
    Event,
    InboxEntry,
    InboxState,
    MovableClock,
    Operation,
    OperationState,
    Payment,
    PaymentStatus,
    Refund,
    RefundStatus,
    Verb,
    new_id,
    new_reference,
)
from ...stores.base import Store, Unit

__all__ = [
    "NOW",
    "Promises",
    "a_delivery",
    "a_payment",
    "a_refund",
    "an_entry",
    "an_event",
    "an_operation",
    "keep",
    "on_a_store",
]

NOW: Final = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)

T = TypeVar("T", bound="Promises")


class Promises(ABC):
    @abstractmethod
    def make_store(self, clock: Clock) -> Store:
        """Return a store with nothing in it, whose leases and due times follow *clock*."""


def on_a_store(test: Callable[[T, Store, MovableClock], Awaitable[None]]) -> Callable[[T], None]:
    """Try *test* on a new store with a clock that stands still unless it is moved."""

    async def tried(self: T) -> None:
        clock = MovableClock(lambda: NOW)
        store = self.make_store(clock)
        await store.upgrade()
        try:
            await test(self, store, clock)
        finally:
            await store.aclose()

    def run(self: T) -> None:
        asyncio.run(tried(self))

    # Not functools.wraps: pytest would look through it and take `store` for a fixture.
    run.__name__, run.__qualname__, run.__doc__ = test.__name__, test.__qualname__, test.__doc__
    return run


def a_payment(**changes: Any) -> Payment:
    total = changes.pop("total", 2000)
    payment = Payment(
        id=new_id("pay"),
        provider_id="dummy",
        status=PaymentStatus.PENDING,
        currency="USD",
        subtotal_cents=total,
        tax_cents=0,
        discount_cents=0,
        total_cents=total,
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(payment, **changes)


def an_operation(payment_id: str, **changes: Any) -> Operation:
    operation = Operation(
        id=new_id("op"),
        subject_id=payment_id,
        provider_id="dummy",
        verb=Verb.CONFIRM,
        state=OperationState.RESERVED,
        reference=new_reference(),
        created_at=NOW,
        updated_at=NOW,
        inputs={"amount": 2000},
        inputs_hash="0" * 64,
        lease_token="mine",
    )
    return replace(operation, **changes)


def a_refund(payment_id: str, **changes: Any) -> Refund:
    refund = Refund(
        id=new_id("re"),
        payment_id=payment_id,
        provider_id="dummy",
        amount_cents=500,
        currency="USD",
        status=RefundStatus.PENDING,
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(refund, **changes)


def an_event(payment: Payment | None = None, **changes: Any) -> Event:
    event = Event(id=new_id("evt"), type="payment.created", created_at=NOW, payment=payment)
    return replace(event, **changes)


def a_delivery(event_id: str, **changes: Any) -> Delivery:
    delivery = Delivery(
        id=new_id("dlv"),
        event_id=event_id,
        event_type="payment.created",
        endpoint="shop",
        state=DeliveryState.PENDING,
        created_at=NOW,
    )
    return replace(delivery, **changes)


def an_entry(**changes: Any) -> InboxEntry:
    entry = InboxEntry(
        id=new_id("wh"),
        provider_id="dummy",
        provider_event_id=new_id("evt"),
        event_type="payment_intent.succeeded",
        state=InboxState.RECEIVED,
        created_at=NOW,
    )
    return replace(entry, **changes)


async def keep(store: Store, *records: Payment | Refund | Event | Delivery | InboxEntry) -> None:
    """Add *records*, in this order, in one unit of work."""

    def work(unit: Unit) -> None:
        for record in records:
            match record:
                case Payment():
                    unit.payments.add(record)
                case Refund():
                    unit.refunds.add(record)
                case Event():
                    unit.events.add(record)
                case Delivery():
                    assert unit.deliveries.add(record)
                case InboxEntry():
                    assert unit.inbox.add(record)

    await store.run(work)
