"""
Payments are being made while their database goes away: what callers hear, and what the books say afterwards.

The judges are the gateway's own books, and `bridge-payments db check`.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pymysql
import pytest
import sqlalchemy as sa
from databases import migrate
from hosts import PREFIX, who
from starlette.applications import Starlette

from bridge_payments import AuthBridge, Bridge, PaymentEngine, Settings
from bridge_payments.models import MovableClock, PaymentStatus
from bridge_payments.mounts.starlette import payments_mount
from bridge_payments.providers.dummy import DummyGateway, DummyProvider
from bridge_payments.stores.base import PaymentQuery
from bridge_payments.stores.sql import SQLStore
from bridge_payments.stores.sql.tables import operations, slots
from bridge_payments.testing.servers import MySQL, Postgres, running_mariadb, running_postgres

pytestmark = pytest.mark.anyio

ADA = {"x-session-id": "ada"}
PATIENCE = 120.0
"""Seconds until a test gives up; no test waits for them."""


# --- a database of the test's own, and how it fails -----------------------------------------------


@dataclass
class Database:
    server: Postgres | MySQL
    url: str
    """With the driver."""

    @property
    def name(self) -> str:
        return str(sa.make_url(self.url).database)

    def cut(self) -> None:
        """End every session, as a proxy or an administrator does."""
        if isinstance(self.server, Postgres):
            self.server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE datname = '{self.name}' AND pid <> pg_backend_pid()"
            )
            return
        ours = f"SELECT id FROM information_schema.processlist WHERE db = '{self.name}'"
        for (number,) in self.server.execute(ours):
            with suppress(pymysql.OperationalError):  # it has ended meanwhile
                self.server.execute(f"KILL {number}")

    @asynccontextmanager
    async def stuck(self) -> AsyncIterator[None]:
        """Let nobody read or write a payment while the block lasts."""
        engine = sa.create_engine(self.url.replace("+asyncpg", "+psycopg").replace("+asyncmy", "+pymysql"))
        postgres = isinstance(self.server, Postgres)
        lock = (
            "LOCK TABLE provider_payments IN ACCESS EXCLUSIVE MODE"
            if postgres
            else "LOCK TABLES provider_payments WRITE"
        )
        with engine.connect() as connection:
            await asyncio.to_thread(connection.exec_driver_sql, lock)
            yield
            if not postgres:
                connection.exec_driver_sql("UNLOCK TABLES")
        engine.dispose()


@pytest.fixture(scope="module")
def durable_postgres(require: Callable[[str], Any]) -> Iterator[Postgres]:
    with running_postgres(require("postgresql"), durable=True) as server:
        yield server


@pytest.fixture(scope="module")
def durable_mariadb(require: Callable[[str], Any]) -> Iterator[MySQL]:
    with running_mariadb(require("mariadb"), durable=True) as server:
        yield server


@pytest.fixture(params=["asyncpg", "psycopg", "asyncmy"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    kind = "durable_mariadb" if request.param == "asyncmy" else "durable_postgres"
    server: Postgres | MySQL = request.getfixturevalue(kind)
    with server.database() as name:
        url = server.url_of(name, request.param)
        migrate(url)
        yield Database(server, url)


# --- a shop, and payers who come again when they are told to --------------------------------------


@dataclass
class Shop:
    bridge: Bridge
    providers: dict[str, DummyProvider]
    gateway: DummyGateway
    clock: MovableClock
    client: httpx.AsyncClient
    heard: Counter[int] = field(default_factory=Counter)
    """How often each status was answered."""
    told_paid: set[str] = field(default_factory=set)
    """Payments of which a payer heard that they succeeded."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at every answer."""

    async def ask(self, path: str, body: object, key: str) -> tuple[int, Any]:
        answer = await self.client.post(path, json=body, headers={**ADA, "idempotency-key": key})
        self.heard[answer.status_code] += 1
        self.news.set()
        said = answer.json()
        if answer.status_code == 503:
            expected = {"success": False, "error": "Service Unavailable", "status": 503}
            assert {name: said[name] for name in expected} == expected
            assert said["code"] in ("store_error", "unavailable")
            assert int(answer.headers["retry-after"]) > 0
            known = ("The database does not answer", "The outcome is not known yet")
            assert said["message"].startswith(known), said
        else:
            assert answer.status_code in (200, 201, 409), said
        return answer.status_code, said

    async def order(self, key: str) -> None:
        """Make a payment and pay it; the payer asks again under the same key until there is an answer."""
        order = {"total_cents": 1500, "currency": "usd", "reference_code": key}
        payment = await self._until_answered("/payments/intents", order, f"{key}-create")
        if payment is None:
            return
        body = {"payment_method_id": "dummy_ok"}
        paid = await self._until_answered(
            f"/payments/intents/{payment['id']}/confirm", body, f"{key}-confirm"
        )
        if paid is not None and paid["status"] == "succeeded":
            self.told_paid.add(payment["id"])
            self.news.set()

    async def _until_answered(self, path: str, body: object, key: str) -> dict[str, Any] | None:
        while True:
            status, said = await self.ask(path, body, key)
            if status == 409:
                return None  # somebody is at it: reconciliation
            if status != 503:
                found: dict[str, Any] = said["data"]
                return found
            await asyncio.sleep(0.02)

    @asynccontextmanager
    async def rush(self, payers: int) -> AsyncIterator[None]:
        """Let so many order one thing after the other while the block lasts."""
        leaving = asyncio.Event()

        async def buy(name: int) -> None:
            number = 0
            while not leaving.is_set():
                number += 1
                await self.order(f"order-{name}-{number}")

        async with asyncio.TaskGroup() as group:
            for name in range(payers):
                group.create_task(buy(name))
            yield
            leaving.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self.news.clear()
                await self.news.wait()

    async def until_paid(self, more: int) -> None:
        """Return when so many more payers have heard that they paid."""
        before = len(self.told_paid)
        await self.until(lambda: len(self.told_paid) >= before + more)

    async def must_have_kept_its_books(self, url: str) -> None:
        """Let another instance finish what is open, and look."""
        store = SQLStore(url, clock=self.clock)
        engine = PaymentEngine(store, self.providers, settings=self.bridge.settings, clock=self.clock)
        for _ in range(14):
            self.clock.move(timedelta(seconds=30))
            await engine.reconcile()
        assert list(await engine.list_unknown()) == []
        assert await store.integrity() == []
        assert await store.differences() == []

        def rows(unit: Any) -> Any:
            connection = unit.payments._session._connection
            found, before = [], None
            while page := unit.payments.list(PaymentQuery(limit=100, before_id=before)).items:
                found.extend(page)
                before = page[-1].id
            told = {each.id: [e.type for e in unit.events.for_subject(each.id)] for each in found}
            open_ones = connection.scalar(sa.select(sa.func.count()).select_from(slots))
            states = Counter(connection.scalars(sa.select(operations.c.state)))
            return found, told, open_ones, states

        payments, told, open_ones, states = await store.run(rows, write=False)
        assert (open_ones, states["unknown"], states["reserved"]) == (0, 0, 0)
        paid = {each.id for each in payments if each.status is PaymentStatus.SUCCEEDED}
        assert paid >= self.told_paid, "a payer was told of a payment that the books do not have"
        intents = Counter(charge["intent"] for charge in self.gateway.charges)
        assert set(intents.values()) <= {1}, "a payer was charged twice"
        assert set(intents) == {each.provider_intent_id for each in payments if each.id in paid}
        assert {each.provider_intent_id for each in payments} - {None} == set(self.gateway.intents), (
            "the gateway has an intent that nobody here knows"
        )
        assert len({each.reference_code for each in payments}) == len(payments), (
            "an order became two payments"
        )
        for payment in payments:
            assert told[payment.id].count("payment.success") == (payment.id in paid)
        await engine.aclose()
        await store.aclose()


@asynccontextmanager
async def opened(database: Database, **options: Any) -> AsyncIterator[Shop]:
    clock = MovableClock()
    gateway = DummyGateway(clock=clock)
    store = SQLStore(database.url, clock=clock, **options)
    settings = Settings(allow_sandbox=True, default_provider="dummy", rate_limit_enabled=False)
    providers = {"dummy": DummyProvider(gateway)}
    engine = PaymentEngine(store, providers, settings=settings, clock=clock)
    bridge = Bridge(engine, auth=AuthBridge(who))
    app = Starlette(routes=[payments_mount(bridge, PREFIX)])
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url=f"http://shop.example{PREFIX}", timeout=None
    )
    async with client, bridge:
        yield Shop(bridge, providers, gateway, clock, client)


# --- what happens ---------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stopped", "crashed"])
async def test_a_server_that_comes_back_finds_every_payer_served_once(database: Database, how: str) -> None:
    async with opened(database) as shop:
        async with shop.rush(8):
            await shop.until_paid(8)
            told = [signal.SIGKILL] if how == "crashed" else []
            await asyncio.to_thread(database.server.stop, *told)
            before = shop.heard[503]
            await shop.until(lambda: shop.heard[503] >= before + 20)
            await asyncio.to_thread(database.server.start)
            await shop.until_paid(16)
        await shop.must_have_kept_its_books(database.url)


async def test_sessions_ended_again_and_again_cost_nobody_a_payment(database: Database) -> None:
    async with opened(database) as shop:
        async with shop.rush(8):
            for _ in range(6):
                await shop.until_paid(3)
                await asyncio.to_thread(database.cut)
            await shop.until_paid(8)
        await shop.must_have_kept_its_books(database.url)


async def test_fifty_callers_share_two_connections_and_nobody_is_turned_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge_payments.stores.sql.urls._WAIT_SECONDS", PATIENCE)  # however slow the machine
    async with opened(database, connections=2) as shop:
        async with shop.rush(50):
            await shop.until_paid(75)
        assert set(shop.heard) <= {200, 201}, shop.heard
        await shop.must_have_kept_its_books(database.url)


async def test_callers_who_wait_for_a_full_pool_hear_of_it_and_are_served_afterwards(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge_payments.stores.sql.urls._WAIT_SECONDS", 0.5)
    async with opened(database, connections=2) as shop:
        monkeypatch.undo()
        async with shop.rush(50):
            await shop.until_paid(10)
            async with database.stuck():
                before = shop.heard[503]
                await shop.until(lambda: shop.heard[503] >= before + 48)
            await shop.until_paid(60)
        await shop.must_have_kept_its_books(database.url)


async def test_a_server_that_says_nothing_holds_nobody_up_for_ever(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is closed and nothing refused: a cable was cut, or a machine stands still."""
    monkeypatch.setattr("bridge_payments.stores.sql.engines._UNIT_SECONDS", 1.0)
    async with opened(database) as shop:
        async with shop.rush(8):
            await shop.until_paid(8)
            with database.server.frozen():
                before = shop.heard[503]
                await shop.until(lambda: shop.heard[503] >= before + 12)
            await shop.until_paid(16)
        await shop.must_have_kept_its_books(database.url)
