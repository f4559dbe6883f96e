"""A shop on a database that does something to it, at a gateway that nothing happens to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from bridge_payments.engine import PaymentEngine
from bridge_payments.errors import ConcurrentUpdate, OperationInProgress, StoreError, Unavailable
from bridge_payments.models import MovableClock, OperationState, PaymentStatus, RefundStatus
from bridge_payments.providers.dummy import DummyGateway, DummyProvider
from bridge_payments.settings import Settings
from bridge_payments.stores.base import PaymentQuery
from bridge_payments.stores.sql import SQLStore

__all__ = ["FLOWS", "House", "check", "insist", "open_house"]

KEY = "of the client"


@dataclass
class House:
    """The shop, its gateway, and the one payment that it is about."""

    engine: PaymentEngine
    gateway: DummyGateway
    clock: MovableClock
    payment_id: str = field(default="", init=False)

    async def begin(self, *, paid: bool, **more: Any) -> None:
        payment = await self.engine.create_payment_intent(total_cents=2000, currency="USD", **more)
        self.payment_id = payment.id
        if paid:
            await self.engine.confirm_payment(payment.id, payment_method="dummy_ok")

    async def rows(self) -> list[Any]:
        def read(unit: Any) -> list[Any]:
            page = unit.payments.list(PaymentQuery(limit=100))
            return [
                (row, unit.operations.for_subject(row.id), unit.refunds.for_payment(row.id))
                for row in page.items
            ]

        return await self.engine.store.run(read, write=False)


@asynccontextmanager
async def open_house(url: str) -> AsyncIterator[House]:
    clock = MovableClock()
    gateway = DummyGateway(clock=clock)
    engine = PaymentEngine(
        SQLStore(url, clock=clock),
        {"dummy": DummyProvider(gateway)},
        settings=Settings(allow_sandbox=True, guest_max_payments_per_email=0),
        clock=clock,
    )
    try:
        yield House(engine, gateway, clock)
    finally:
        await engine.aclose()
        await engine.store.aclose()


async def create(house: House) -> object:
    return await house.engine.create_payment_intent(total_cents=2000, currency="USD", idempotency_key=KEY)


async def create_and_confirm(house: House) -> object:
    return await house.engine.create_payment_intent(
        total_cents=2000, currency="USD", confirm=True, payment_method="dummy_ok", idempotency_key=KEY
    )


async def confirm(house: House) -> object:
    return await house.engine.confirm_payment(
        house.payment_id, payment_method="dummy_ok", idempotency_key=KEY
    )


async def capture(house: House) -> object:
    return await house.engine.capture_payment(house.payment_id, amount_cents=1500, idempotency_key=KEY)


async def cancel(house: House) -> object:
    return await house.engine.cancel_payment(house.payment_id, idempotency_key=KEY)


async def refund(house: House) -> object:
    return await house.engine.refund_payment(house.payment_id, amount_cents=600, idempotency_key=KEY)


Act = Callable[[House], Awaitable[object]]
Held = {"capture_method": "manual"}
FLOWS: dict[str, tuple[Act, dict[str, Any] | None, PaymentStatus, int, int]] = {
    # What is asked, what was before, and how it ends: status, collected, given back.
    "create": (create, None, PaymentStatus.PENDING, 0, 0),
    "create+confirm": (create_and_confirm, None, PaymentStatus.SUCCEEDED, 2000, 0),
    "confirm": (confirm, {"paid": False}, PaymentStatus.SUCCEEDED, 2000, 0),
    "capture": (capture, {"paid": True, **Held}, PaymentStatus.SUCCEEDED, 1500, 0),
    "cancel": (cancel, {"paid": True, **Held}, PaymentStatus.CANCELED, 0, 0),
    "refund": (refund, {"paid": True}, PaymentStatus.PARTIALLY_REFUNDED, 2000, 600),
}


async def insist(house: House, act: Act) -> None:
    """Be the client: come again with the same key for as long as it is told to, and the worker meanwhile."""
    for _ in range(12):
        try:
            answer = await act(house)
        except (OperationInProgress, Unavailable, StoreError, ConcurrentUpdate):
            answered = False
        else:
            unknown = getattr(answer, "unknown_operation_id", None)
            answered = unknown is None and getattr(answer, "status", None) is not RefundStatus.PENDING
        if answered:
            return
        await house.engine.reconcile()
        house.clock.move(timedelta(seconds=61))
    raise AssertionError("the client never got its answer")


def check(
    house: House, rows: list[Any], intents: int, status: PaymentStatus, captured: int, refunded: int
) -> None:
    """Require that both books say the same of the one payment, that it ended so, and that nothing is open."""
    assert len(house.gateway.intents) == intents, "an intent that nobody knows, or one too many"
    living = [each for each in rows if each[0].provider_intent_id is not None]
    assert len(living) == 1
    ((row, operations, refunds),) = living
    assert (row.status, row.captured_cents, row.refunded_cents) == (status, captured, refunded)
    assert [each.state for each in operations if each.is_open] == []
    assert sum(each.state is OperationState.SUCCEEDED for each in operations) >= 1
    (intent,) = house.gateway.intents.values()
    assert (intent["captured"], len(house.gateway.charges)) == (captured, 1 if captured else 0)
    assert sum(each["amount"] for each in house.gateway.refunds.values()) == refunded
    assert row.refund_reserved_cents == refunded == sum(each.amount_cents for each in refunds)
