"""
The connection to the database breaks at a COMMIT, and nobody here knows whether it was done.

Each COMMIT of each way in which money moves is cut, once before the server hears it and once after it was
done. The client comes again with its Idempotency-Key, reconciliation runs, and both books must agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from databases import Lending, database, emptied, mariadb, migrated, postgres
from severed import Severed, severed

from bridge_payments.engine import PaymentEngine
from bridge_payments.errors import ConcurrentUpdate, OperationInProgress, StoreError, Unavailable
from bridge_payments.models import MovableClock, OperationState, PaymentStatus, RefundStatus
from bridge_payments.providers.dummy import DummyGateway, DummyProvider
from bridge_payments.settings import Settings
from bridge_payments.stores.base import PaymentQuery
from bridge_payments.stores.sql import SQLStore
from bridge_payments.testing.servers import MySQL

__all__ = ["database", "emptied", "mariadb", "migrated", "postgres"]

pytestmark = pytest.mark.anyio

KEY = "of the client"
MOST_COMMITS = 6
"""More than any of these takes: where it ends is seen, not known."""


class House:
    """A shop behind a wire that can be cut, and a gateway that nothing happens to."""

    def __init__(self, wire: Severed, engine: PaymentEngine, gateway: DummyGateway) -> None:
        self.wire, self.engine, self.gateway = wire, engine, gateway
        self.payment_id = ""

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
    async with severed(url) as wire:
        store = SQLStore(wire.url, clock=clock)
        gateway = DummyGateway(clock=clock)
        engine = PaymentEngine(
            store,
            {"dummy": DummyProvider(gateway)},
            settings=Settings(allow_sandbox=True, guest_max_payments_per_email=0),
            clock=clock,
        )
        try:
            yield House(wire, engine, gateway)
        finally:
            wire.cut(0, "undone")
            await engine.aclose()
            await store.aclose()


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


@pytest.fixture(
    params=[
        pytest.param("postgresql", marks=pytest.mark.needs("postgresql")),
        pytest.param("mariadb", marks=pytest.mark.needs("mariadb")),
    ]
)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "postgresql":
        given: str = request.getfixturevalue("database")
        yield given.replace("postgresql://", "postgresql+asyncpg://")
        return
    server: MySQL = request.getfixturevalue("mariadb")
    lend: Lending = request.getfixturevalue("emptied")
    with lend(server) as name:
        yield server.url_of(name, "asyncmy")


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
        house.engine.clock.move(timedelta(seconds=61))  # type: ignore[attr-defined] # the clock of this test
    raise AssertionError("the client never got its answer")


@pytest.mark.parametrize("moment", ["undone", "done"])
@pytest.mark.parametrize("flow", FLOWS)
async def test_a_commit_of_which_nobody_knows_costs_nobody_anything(url: str, flow: str, moment: Any) -> None:
    act, before, status, captured, refunded = FLOWS[flow]
    async with open_house(url) as house:
        seen: Counter[str] = Counter()
        for at in range(1, MOST_COMMITS):
            if before is not None:
                await house.begin(**before)
            made = len(house.gateway.intents)
            house.wire.cut(at, moment)
            try:
                await act(house)
            except (Unavailable, StoreError):
                seen["told to come again"] += 1
            cut = house.wire.was_cut
            house.wire.cut(0, moment)
            if not cut:
                break
            seen["cut"] += 1
            await insist(house, act)
            await house.engine.reconcile()
            check(house, await house.rows(), made + (before is None), status, captured, refunded)
            await start_over(house, url)
        assert seen["cut"] >= 2, "both transactions of an operation were to be cut"


def check(
    house: House, rows: list[Any], intents: int, status: PaymentStatus, captured: int, refunded: int
) -> None:
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


async def start_over(house: House, url: str) -> None:
    """Empty both books: each cut begins with nothing."""
    from bridge_payments.stores.sql.tables import metadata

    def empty(unit: Any) -> None:
        for table in metadata.sorted_tables:
            if table.name != "alembic_version":
                unit.payments._session._connection.execute(table.delete())

    await house.engine.store.run(empty)
    for books in (house.gateway.intents, house.gateway.refunds, house.gateway.charges):
        books.clear()  # type: ignore[attr-defined] # dictionaries and a list
