"""
Customers, methods, subscriptions and conversions on real databases: raced by two installations, and killed
at every place where something is committed, sent or received.

The judge is the gateway's own books.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from databases import migrate

from bridge_payments import Money
from bridge_payments.engine import PaymentEngine
from bridge_payments.errors import InvalidRequest, OperationInProgress, Unavailable
from bridge_payments.messages import Request
from bridge_payments.models import (
    DisputeStatus,
    GuestData,
    MovableClock,
    PaymentStatus,
    Principal,
    SubscriptionStatus,
)
from bridge_payments.providers.dummy import DummyGateway, DummyProvider
from bridge_payments.providers.dummy.inbox import SIGNATURE, sign
from bridge_payments.seam import passing, watched
from bridge_payments.settings import Settings
from bridge_payments.stores.base import CustomerQuery, PaymentMethodQuery, PaymentQuery, SubscriptionQuery
from bridge_payments.stores.sql import SQLStore

pytestmark = pytest.mark.anyio

ADA = Principal.user("ada", email="ada@example.com", email_verified=True)
ANYBODY = Principal.anonymous(peer="192.0.2.7")


class Watched(DummyGateway):
    """A gateway whose wire passes the seam."""

    def post(self, path: str, body: Any, *, key: str) -> dict[str, Any]:
        passing("send", path)
        answer = super().post(path, body, key=key)
        passing("receive", path)
        return answer


@dataclass
class Shop:
    engine: PaymentEngine
    gateway: DummyGateway
    clock: MovableClock

    async def settle(self) -> None:
        for _ in range(14):
            self.clock.move(timedelta(seconds=30))
            await self.engine.process_inbox()
            await self.engine.reconcile()


@asynccontextmanager
async def opened(url: str, gateway: DummyGateway, clock: MovableClock) -> AsyncIterator[Shop]:
    """One installation on the database of *url*."""
    store = SQLStore(url, clock=clock) if url.startswith("sqlite") else SQLStore(url)
    settings = Settings(allow_sandbox=True, default_provider="dummy")
    engine = PaymentEngine(store, {"dummy": DummyProvider(gateway)}, settings=settings, clock=clock)
    try:
        yield Shop(engine, gateway, clock)
    finally:
        await engine.aclose()
        await store.aclose()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite(template: Path, tmp_path: Path) -> str:
    shutil.copy(template, tmp_path / "shop.db")
    return f"sqlite:///{tmp_path / 'shop.db'}"


@pytest.fixture(params=["sqlite", "database"], ids=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def shops(url: str) -> AsyncIterator[list[Shop]]:
    """Two installations that share a database and an account."""
    clock = MovableClock()
    gateway = DummyGateway(clock=clock)
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(opened(url, gateway, clock)) for _ in range(2)]


def delivery(event: dict[str, Any]) -> Request:
    body = json.dumps(event).encode()
    headers = {SIGNATURE: sign(body, "dummy-webhook-secret")}
    return Request(method="POST", path="/webhooks/dummy", headers=headers, body=body)


async def at_once(shops: list[Shop], ask: Any, *, times: int = 8) -> list[Any]:
    """Let both installations ask at the same moment; a caller who is told to come again does."""

    async def one(shop: Shop) -> Any:
        while True:
            try:
                return await ask(shop.engine)
            except OperationInProgress:
                await asyncio.sleep(0.01)

    return await asyncio.gather(*(one(shops[number % 2]) for number in range(times)))


# --- what a database has no room for ---


async def test_the_longest_key_is_a_key_and_an_endless_address_is_refused(shops: list[Shop]) -> None:
    """SQLite keeps a text of any length; others would answer as if they were down."""
    engine, key = shops[0].engine, "k" * 255
    methods = [
        await engine.create_payment_method(token="dummy_ok", idempotency_key=key, principal=ADA)
        for _ in range(2)
    ]
    assert methods[0].id == methods[1].id
    begun = await engine.create_subscription(
        Money(900, "USD"), payment_method="dummy_ok", idempotency_key=key, principal=ADA
    )
    assert begun.status is SubscriptionStatus.ACTIVE
    with pytest.raises(InvalidRequest):
        await engine.update_payment_method(methods[0].id, billing_address_id="0" * 65)
    theirs = await engine.update_payment_method(methods[0].id, billing_address_id="0" * 64)
    assert theirs.billing_address_id == "0" * 64, "an address of the merchant's own books"


# --- two installations, one database -----------------------------------------------------------------


async def test_a_payers_whole_life_is_the_same_on_every_database(shops: list[Shop]) -> None:
    shop, gateway = shops[0], shops[0].gateway
    engine = shop.engine
    address = await engine.create_address(
        line1="1 Way", city="Town", postal_code="1", country="us", principal=ADA
    )
    method = await engine.create_payment_method(
        token="dummy_ok", billing_address_id=address.id, is_default=True, principal=ADA
    )
    payment = await engine.charge_saved_method(
        Money(2000, "USD"), payment_method=method.id, idempotency_key="order-1"
    )
    gateway.dispute(payment.provider_intent_id or "")
    disputed = await engine.sync_payment(payment.id)
    assert disputed.disputed_cents == 2000
    (dispute,) = await engine.store.run(lambda unit: unit.disputes.for_payment(payment.id))
    gateway.decide(dispute.provider_dispute_id, won=True)
    assert (await engine.sync_payment(payment.id)).disputed_cents == 0
    (dispute,) = await engine.store.run(lambda unit: unit.disputes.for_payment(payment.id))
    assert (dispute.status, dispute.closed_at is not None) == (DisputeStatus.WON, True)
    told = [event.type for event in await engine.list_events(payment.id)]
    assert told[-2:] == ["dispute.opened", "dispute.closed"]

    subscription = await engine.create_subscription(
        Money(900, "USD"), payment_method=method.id, trial_days=7, principal=ADA
    )
    paused = await engine.pause_subscription(subscription.id, principal=ADA)
    assert paused.status is SubscriptionStatus.PAUSED
    resumed = await engine.resume_subscription(subscription.id, principal=ADA)
    again = await engine.get_subscription(subscription.id, principal=ADA)
    assert again == resumed
    await engine.cancel_subscription(subscription.id, at_period_end=False, principal=ADA)
    await engine.delete_payment_method(method.id, principal=ADA)
    gone = await engine.delete_customer(method.customer_id or "", principal=ADA)
    assert gone.is_deleted
    assert gateway.methods == gateway.customers == {}


async def test_callers_of_two_installations_make_one_customer_and_one_method_and_one_charge(
    shops: list[Shop],
) -> None:
    gateway = shops[0].gateway
    customers = await at_once(shops, lambda engine: engine.create_customer(principal=ADA))
    assert len({each.customer.id for each in customers}) == len(gateway.customers) == 1
    methods = await at_once(
        shops,
        lambda engine: engine.create_payment_method(token="dummy_ok", idempotency_key="m", principal=ADA),
    )
    assert len({method.id for method in methods}) == len(gateway.methods) == 1
    charges = await at_once(
        shops,
        lambda engine: engine.charge_saved_method(
            Money(500, "USD"), payment_method=methods[0].id, idempotency_key="order-1"
        ),
    )
    assert len({charge.id for charge in charges}) == len(gateway.charges) == 1
    subscriptions = await at_once(
        shops,
        lambda engine: engine.create_subscription(
            Money(900, "USD"), payment_method=methods[0].id, idempotency_key="s", principal=ADA
        ),
    )
    assert len({each.id for each in subscriptions}) == len(gateway.subscriptions) == 1
    defaults = [
        await shops[0].engine.create_payment_method(token="dummy_ok", principal=ADA) for _ in range(4)
    ]
    await asyncio.gather(
        *(
            shops[number % 2].engine.set_default_payment_method(method.id, principal=ADA)
            for number, method in enumerate(defaults)
        )
    )
    listed = await shops[0].engine.list_payment_methods(PaymentMethodQuery(limit=50), principal=ADA)
    assert sum(method.is_default for method in listed.items) == 1


async def test_a_renewal_that_everybody_sees_at_once_is_one_payment_and_one_success(
    shops: list[Shop],
) -> None:
    engine, gateway = shops[0].engine, shops[0].gateway
    subscription = await engine.create_subscription(
        Money(900, "USD"), payment_method="dummy_ok", principal=ADA
    )
    seen = len(gateway.events)
    shops[0].clock.move(timedelta(days=32))
    assert gateway.bill() == 1
    for event in gateway.events[seen:]:
        await engine.receive_webhook("dummy", delivery(event))
    await asyncio.gather(
        *(shop.engine.process_inbox() for shop in shops),
        *(shop.engine.sweep() for shop in shops),
        *(shop.engine.sync_subscription(subscription.id) for shop in shops * 3),
    )
    page = await engine.list_payments(PaymentQuery(), principal=ADA)
    assert len(page.items) == len(gateway.charges) == 2
    for payment in page.items:
        told = [event.type for event in await engine.list_events(payment.id)]
        assert (payment.status, told.count("payment.success")) == (PaymentStatus.SUCCEEDED, 1)
    events = await engine.store.run(lambda unit: unit.events.for_subject(subscription.id))
    assert [event.type for event in events].count("subscription.renewed") == 1


async def test_two_installations_convert_each_row_of_a_guest_once(shops: list[Shop]) -> None:
    guest = GuestData(email="ADA@example.com", name="Ada")
    for _ in range(5):
        await shops[0].engine.create_payment_intent(Money(500, "USD"), guest=guest, principal=ANYBODY)
    await shops[0].engine.create_subscription(
        Money(900, "USD"), payment_method="dummy_ok", guest=guest, principal=ANYBODY
    )
    results = await asyncio.gather(
        *(shop.engine.convert_guest("ada@example.com", principal=ADA) for shop in shops)
    )
    payments = [row for each in results for row in each.payments]
    assert len(payments) == len(set(payments)) == 6
    mine = shops[1].engine
    assert (await mine.list_payments(PaymentQuery(), principal=ADA)).total == 6
    assert (await mine.list_customers(CustomerQuery(), principal=ADA)).total == 1
    assert (await mine.list_subscriptions(SubscriptionQuery(), principal=ADA)).total == 1


# --- killed wherever something is committed, sent or received ------------------------------------------


class Killed(BaseException):
    """The process is gone: nothing after this line is executed by it."""


PLACES = ("commit", "committed", "send", "receive")


async def subscribe(engine: PaymentEngine) -> Any:
    """Three operations: a customer, a stored method, a subscription with its first charge."""
    return await engine.create_subscription(
        Money(900, "USD"), payment_method="dummy_ok", idempotency_key="k", principal=ADA
    )


async def forget(engine: PaymentEngine) -> Any:
    """A method is deleted, and its customer."""
    (method,) = (await engine.list_payment_methods(PaymentMethodQuery(), principal=ADA)).items
    await engine.delete_payment_method(method.id, idempotency_key="d", principal=ADA)
    return await engine.delete_customer(method.customer_id or "", idempotency_key="c", principal=ADA)


async def change(engine: PaymentEngine) -> Any:
    """A subscription is canceled."""
    (row,) = (await engine.list_subscriptions(SubscriptionQuery(), principal=ADA)).items
    if not row.cancel_at_period_end:
        await engine.cancel_subscription(row.id, idempotency_key="c", principal=ADA)
    return row


async def passes(shop: Shop, work: Any, *, die_at: int | None = None) -> int:
    """Do *work*, dying at the n-th place; return how many places were passed."""
    count = 0

    def watcher(point: str, what: str) -> None:
        nonlocal count
        if point not in PLACES:
            return
        count += 1
        if die_at is not None and count >= die_at:
            raise Killed

    with watched(watcher), suppress(Killed):
        await work(shop.engine)
    return count


@pytest.mark.parametrize(
    "impatient",
    [pytest.param(False, id="patient"), pytest.param(True, id="impatient", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("work", [subscribe, forget, change], ids=lambda work: work.__name__)
async def test_whoever_dies_wherever_nobody_is_made_or_charged_twice(
    template: Path, tmp_path: Path, work: Any, impatient: bool
) -> None:
    total = None
    number = 0
    while total is None or number <= total:
        shutil.copy(template, tmp_path / f"{number}.db")
        url = f"sqlite:///{tmp_path / f'{number}.db'}"
        clock = MovableClock()
        gateway = Watched(clock=clock)
        async with opened(url, gateway, clock) as before:
            if work is change:
                await subscribe(before.engine)
            if work is forget:
                await before.engine.create_payment_method(token="dummy_ok", principal=ADA)
        async with opened(url, gateway, clock) as shop:
            count = await passes(shop, work, die_at=number or None)
        total = count if total is None else total
        async with opened(url, gateway, clock) as shop:
            if impatient:
                with suppress(OperationInProgress, Unavailable, ValueError):
                    await work(shop.engine)
            await shop.settle()
            await check(shop, work)
        number += 1
    assert total >= 6


async def check(shop: Shop, work: Any) -> None:
    engine, gateway = shop.engine, shop.gateway
    assert list(await engine.list_unknown()) == []
    if work is forget:
        # What was begun is finished by reconciliation; what was not, by the client.
        while (await engine.list_payment_methods(PaymentMethodQuery(), principal=ADA)).total:
            await work(engine)
        for customer in (await engine.list_customers(CustomerQuery(), principal=ADA)).items:
            await engine.delete_customer(customer.id, principal=ADA)
        assert gateway.methods == gateway.customers == {}
        return
    answer = await work(engine)
    assert answer.unknown_operation_id is None
    sizes = [len(each) for each in (gateway.customers, gateway.methods, gateway.subscriptions)]
    assert (sizes, len(gateway.charges)) == ([1, 1, 1], 1)
    page = await engine.list_payments(PaymentQuery(), principal=ADA)
    assert [payment.status for payment in page.items] == [PaymentStatus.SUCCEEDED]
    (row,) = [
        each
        for each in (await engine.list_subscriptions(SubscriptionQuery(), principal=ADA)).items
        if not each.has_ended
    ]
    assert row.cancel_at_period_end is (work is change)
    events = await engine.store.run(lambda unit: unit.events.for_subject(page.items[0].id))
    assert [event.type for event in events].count("payment.success") == 1
