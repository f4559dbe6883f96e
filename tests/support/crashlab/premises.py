"""What the processes of one shop share: a database, a gateway and a clock."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import httpx

from bridge_payments.engine import PaymentEngine
from bridge_payments.messages import Request
from bridge_payments.models import (
    Event,
    MovableClock,
    Operation,
    Payment,
    Refund,
)
from bridge_payments.settings import Settings
from bridge_payments.stores.base import PaymentQuery, Unit
from bridge_payments.stores.sql import SQLStore
from bridge_payments.transport import Transport
from bridge_payments.webhooks import WebhookDispatcher

from .accounts import ACCOUNTS, Account

__all__ = ["RETURN_URL", "Address", "Row", "Shop", "move", "open_shop", "open_shops", "until"]

RETURN_URL = "https://shop.example/thanks"

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Everything is on loopback, and reading the world's roots costs a child more than all that it does."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a process of the shop finds what it shares with the others."""

    database: str
    gateway: str
    secret_key: str = field(default="", repr=False)
    webhook_secret: str = field(default="whsec_crash", repr=False)
    kind: str = "stripe"
    """Whose gateway it is."""
    account: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What else the gateway gave to the shop, by the name of it."""
    diary: str = ""
    """The file into which the shop's own handler writes the id of every event that it is told."""
    offset: float = 0.0
    """Seconds by which everybody's clock has been moved: ours, the database's and the gateway's."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One payment with everything that hangs on it."""

    payment: Payment
    operations: tuple[Operation, ...] = ()
    refunds: tuple[Refund, ...] = ()
    events: tuple[Event, ...] = ()

    @property
    def told(self) -> list[str]:
        return [event.type for event in self.events]


@dataclass
class Shop:
    """One process of the shop."""

    address: Address
    engine: PaymentEngine
    store: SQLStore
    clock: MovableClock
    dispatcher: WebhookDispatcher
    desk: httpx.AsyncClient = field(repr=False)
    """The gateway's controls."""
    seen: set[str] = field(default_factory=set)
    """Events that were delivered."""

    @property
    def account(self) -> Account:
        return ACCOUNTS[self.address.kind]

    async def control(self, what: str, **wish: Any) -> Any:
        answer = await self.desk.post(f"/_control/{what}", json=wish)
        answer.raise_for_status()
        return answer.json()

    async def books(self) -> dict[str, Any]:
        answer = await self.desk.get("/_control/books")
        answer.raise_for_status()
        return dict(answer.json())

    async def move(self, **by: float) -> None:
        """Let time pass for us, for the database and for the gateway."""
        await move([self], timedelta(**by).total_seconds())

    async def deliver(self, event: Mapping[str, Any]) -> None:
        """Receive one signed webhook, once."""
        identity = self.account.event_id(event)
        if identity not in self.seen:
            self.seen.add(identity)
            await self.engine.receive_webhook(self.address.kind, self.signed(event))

    def signed(self, event: Mapping[str, Any]) -> Request:
        return self.account.webhook(self, event)

    async def work(self) -> None:
        """One round of everything that runs in the background."""
        await self.engine.process_inbox(limit=1000)
        await self.engine.reconcile(limit=1000)
        await self.engine.sweep(limit=1000)
        if self.address.diary:
            await self.tell()

    async def tell(self) -> None:
        """Tell the shop's own handler everything that is written and not told."""
        while await self.dispatcher.run_once(limit=1000):
            pass

    async def rows(self) -> list[Row]:
        def read(unit: Unit) -> list[Row]:
            page = unit.payments.list(PaymentQuery(limit=100_000, descending=False))
            return [
                Row(
                    payment=payment,
                    operations=tuple(unit.operations.for_subject(payment.id)),
                    refunds=tuple(unit.refunds.for_payment(payment.id)),
                    events=tuple(unit.events.for_subject(payment.id)),
                )
                for payment in page.items
            ]

        return await self.store.run(read, write=False)

    async def row(self, payment_id: str) -> Row:
        return next(row for row in await self.rows() if row.payment.id == payment_id)

    async def payment(self, payment_id: str) -> Payment:
        found = await self.store.run(lambda unit: unit.payments.get(payment_id), write=False)
        assert found is not None
        return found

    def moved(self) -> Address:
        """Return the address with the time as it is here now, for the next process."""
        return replace(self.address, offset=self.clock.offset.total_seconds())


@asynccontextmanager
async def open_shop(address: Address, *, approve: Any = None, **settings: Any) -> AsyncIterator[Shop]:
    """Open one process's engine, store and connections, and close them in the end."""
    clock = MovableClock()
    clock.move(timedelta(seconds=address.offset))
    store = SQLStore(address.database, clock=clock)
    transport = Transport(tls=_NO_TLS)
    engine = PaymentEngine(
        store,
        {address.kind: ACCOUNTS[address.kind].provider(address, transport)},
        approve=approve,
        settings=Settings(**{"guest_max_payments_per_email": 0, **settings}),
        clock=clock,
        transport=transport,
    )
    async with httpx.AsyncClient(
        base_url=address.gateway,
        headers={"x-sandbox-control": "1"},
        trust_env=False,
        verify=_NO_TLS,
        # The gateway may close a connection that is kept at the moment at which it is used again.
        limits=httpx.Limits(max_keepalive_connections=0),
    ) as desk:
        try:
            yield Shop(
                address=address,
                engine=engine,
                store=store,
                clock=clock,
                dispatcher=_dispatcher(store, clock, address.diary),
                desk=desk,
            )
        finally:
            await engine.aclose()
            await transport.aclose()
            await store.aclose()


def _dispatcher(store: SQLStore, clock: MovableClock, diary: str) -> WebhookDispatcher:
    """Return one whose only listener writes the event down before it says that it has heard."""
    dispatcher = WebhookDispatcher(store, clock=clock)

    async def heard(event: Event) -> None:
        file = os.open(diary, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{event.id}\n".encode())
        os.close(file)

    dispatcher.on("*", name="diary")(heard)
    return dispatcher


@asynccontextmanager
async def open_shops(addresses: Iterable[Address]) -> AsyncIterator[dict[str, Shop]]:
    """Open one shop for each database; all of them share the gateway. Returns them by database."""
    async with AsyncExitStack() as opened:
        distinct = {address.database: address for address in addresses}
        yield {
            name: await opened.enter_async_context(open_shop(address)) for name, address in distinct.items()
        }


async def move(shops: Collection[Shop], seconds: float) -> None:
    """Let time pass for every shop, and once for their gateway."""
    for shop in shops:
        shop.clock.move(timedelta(seconds=seconds))
    await next(iter(shops)).control("clock", seconds=seconds)


def until(what: str, *, seconds: float = 30.0) -> Iterator[None]:
    """Look again and again, up to a deadline."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.002)
    raise AssertionError(f"waited {seconds:.0f} s and never: {what}")
