"""The jobs of the crash proof: a story's beginning, the deed that is killed, and whoever comes next."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bridge_payments.engine import asking
from bridge_payments.models import Customer, Operation, PaymentMethod, Subscription
from bridge_payments.seam import Point, watched
from bridge_payments.stores.base import (
    CustomerQuery,
    PaymentMethodQuery,
    PaymentQuery,
    SubscriptionQuery,
    Unit,
)

from .premises import Address, Row, Shop, move, open_shop, open_shops
from .stories import STORIES, Client

__all__ = ["Ours", "Pass", "begin", "live", "ours_of", "read_diary", "recover", "storm"]

Pass = tuple[Point, str]
"""One pass of the seam."""

_PATIENCE = 40
_MANY = 100_000
_WORD = re.compile(r"[A-Za-z0-9_-]{8,}")


@dataclass(kw_only=True)
class Ours:
    """Everything that one database says in the end."""

    payments: list[Row]
    customers: list[Customer]
    """Those that are not deleted."""
    methods: list[PaymentMethod]
    """What the payers see as theirs."""
    subscriptions: list[Subscription]
    open: list[Operation]
    events: list[str]
    """Ids of all events."""
    diary: list[str]
    """Ids of the events that the shop's handler was told, with every repetition."""


async def begin(
    _: Connection, story: str, addresses: Mapping[str, Address], clients: Mapping[str, Client]
) -> tuple[dict[str, Client], dict[str, Address]]:
    """Bring each order to where its interruption begins; return the clients and the addresses by then."""
    telling = STORIES[story]
    made = {name: replace(client) for name, client in clients.items()}
    async with open_shops(addresses.values()) as shops:
        for name, client in made.items():
            if telling.prepare is not None:
                await telling.prepare(shops[addresses[name].database], client)
            client.asked = 0
        await move(shops.values(), telling.lapse)
        if telling.later is not None:
            for name, client in made.items():
                await telling.later(shops[addresses[name].database], client)
        return made, {name: shops[address.database].moved() for name, address in addresses.items()}


async def live(
    link: Connection,
    address: Address,
    story: str,
    client: Client,
    *,
    die_at: int = 0,
    stop_at: Point | None = None,
    deadline: float = asking.CALL_DEADLINE,
) -> list[Pass]:
    """Do it, and be killed at pass *die_at*, having said which it is; with 0 live, and return every pass.

    At the first pass of *stop_at* it says so and stands still, until somebody lets it go on.
    """
    asking.CALL_DEADLINE = deadline  # type: ignore[misc] # a process of its own
    passes: list[Pass] = []
    stands = False

    def watcher(point: Point, what: str) -> None:
        nonlocal stands
        passes.append((point, what))
        if len(passes) == die_at:
            link.send(("said", (point, what)))
            os.kill(os.getpid(), signal.SIGKILL)
        if point == stop_at and not stands:
            stands = True
            link.send(("said", (point, what)))
            os.kill(os.getpid(), signal.SIGSTOP)

    async with open_shop(address) as shop:
        with watched(watcher):
            await STORIES[story].attempt(shop, client)
    return passes


async def storm(_: Connection, address: Address, *, copies: int, seed: int) -> int:
    """Bring *copies* of every event of the gateway at once, in an order that *seed* says; return how many."""
    async with open_shop(address) as shop:
        deliveries = [shop.signed(event) for event in (await shop.books())["events"]] * copies
        random.Random(seed).shuffle(deliveries)
        receive = shop.engine.receive_webhook
        await asyncio.gather(*(receive(address.kind, delivery) for delivery in deliveries))
        await shop.engine.process_inbox(limit=1000)
        return len(deliveries)


async def recover(
    _: Connection,
    story: str,
    addresses: Mapping[str, Address],
    clients: Mapping[str, Client],
    *,
    impatient: frozenset[str] = frozenset(),
    told: frozenset[str] = frozenset(),
    answered: bool = True,
) -> dict[str, Ours]:
    """
    Be the next worker, and the clients that come again; return what each database says in the end.

    The *impatient* come at once, while the dead process still holds its lease. The webhooks of *told*
    arrive, everybody else's are lost. In the end every client comes until it has its answer.
    """
    telling = STORIES[story]
    for client in clients.values():
        client.asked += 1  # by the process that died
    async with open_shops(addresses.values()) as shops:
        account = next(iter(shops.values())).account

        async def attempt(name: str) -> bool:
            return await telling.attempt(shops[addresses[name].database], clients[name])

        async def tick(seconds: float) -> None:
            await move(shops.values(), seconds)
            if told:
                await _deliver(shops, told)
            await asyncio.gather(*(shop.work() for shop in shops.values()))

        for name in sorted(impatient):
            await attempt(name)
        for seconds in account.rounds:
            await tick(seconds)
        waiting = sorted(clients)
        for _round in range(_PATIENCE if answered else 0):
            waiting = [name for name in waiting if not await attempt(name)]
            if not waiting:
                break
            await tick(account.patience)
        assert not (answered and waiting), f"still without an answer: {waiting}"
        for seconds in (*telling.rests, 600, 600):
            await tick(seconds)
        return {name: await ours_of(shop) for name, shop in shops.items()}


async def ours_of(shop: Shop) -> Ours:
    """Read everything that a shop's database says, and its diary."""
    payments = await shop.rows()

    def read(unit: Unit) -> Ours:
        customers = unit.customers.list(CustomerQuery(limit=_MANY)).items
        methods = unit.payment_methods.list(PaymentMethodQuery(limit=_MANY)).items
        subscriptions = unit.subscriptions.list(SubscriptionQuery(limit=_MANY)).items
        events = [event.id for row in payments for event in row.events]
        subjects = [row.id for rows in (customers, methods, subscriptions) for row in rows]
        events.extend(event.id for subject in subjects for event in unit.events.for_subject(subject))
        return Ours(
            payments=payments,
            customers=[each for each in customers if each.deleted_at is None],
            methods=list(methods),
            subscriptions=list(subscriptions),
            open=list(unit.operations.list_open(limit=_MANY)),
            events=events,
            diary=[],
        )

    ours = await shop.store.run(read, write=False)
    ours.diary = read_diary(Path(shop.address.diary))
    return ours


def read_diary(diary: Path) -> list[str]:
    """Return the ids of all events that were told; nobody makes a diary of nothing."""
    return diary.read_text().split() if diary.exists() else []


# --- webhooks -------------------------------------------------------------------------------------


async def _deliver(shops: Mapping[str, Shop], told: frozenset[str]) -> None:
    """Bring every new event about the orders of *told* to the shop that has the order."""
    events = (await next(iter(shops.values())).books())["events"]
    for shop in shops.values():
        names = await _names(shop)
        mine = {word for name in told for word in names.get(name, ())}
        for event in events:
            if not mine.isdisjoint(_words(event)):
                await shop.deliver(event)


async def _names(shop: Shop) -> Mapping[str, set[str]]:
    """Return by what names each order's objects may be called in an event: ours and the gateway's."""

    def read(unit: Unit) -> Mapping[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        orders: dict[str, str] = {}

        def add(order: str | None, row_id: str, *names: str | None) -> None:
            if order is not None:
                orders[row_id] = order
                found[order].update(name for name in (row_id, *names) if name)
                found[order].update(each.reference for each in unit.operations.for_subject(row_id))

        for customer in unit.customers.list(CustomerQuery(limit=_MANY)).items:
            owner = customer.user_id or (customer.guest_email or "").partition("@")[0] or None
            add(owner, customer.id, customer.provider_customer_id)
        for method in unit.payment_methods.list(PaymentMethodQuery(limit=_MANY)).items:
            names = (method.provider_payment_method_id, method.provider_setup_id)
            add(method.user_id, method.id, *names)
        for subscription in unit.subscriptions.list(SubscriptionQuery(limit=_MANY)).items:
            names = (subscription.provider_subscription_id, subscription.reference)
            add(subscription.reference_code, subscription.id, *names)
        for payment in unit.payments.list(PaymentQuery(limit=_MANY)).items:
            names = (payment.provider_intent_id, payment.provider_payment_id)
            order = payment.reference_code or orders.get(payment.subscription_id or "")
            add(order, payment.id, payment.reference, *names)
        return found

    return await shop.store.run(read, write=False)


def _words(event: Any) -> set[str]:
    return set(_WORD.findall(str(event)))
