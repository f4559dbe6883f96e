"""What the store adds to each database's driver: the same rows through `Store` and by hand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from table import Table, compared

from bridge_payments.models import Payment, new_id
from bridge_payments.stores.base import PaymentQuery, Unit
from bridge_payments.stores.sql import SQLStore
from bridge_payments.stores.sql.rows import event_row, payment_row
from bridge_payments.stores.sql.tables import outbox, payments
from bridge_payments.testing.servers import (
    Postgres,
    ServerMissing,
    running_mariadb,
    running_sqld,
)
from bridge_payments.testing.stores.samples import a_payment, an_event

__all__ = ["measure"]

_KEPT: Final = 60
"""Payments of the user whose newest twenty are listed."""
_USER: Final = "bench"

Do = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class Hand:
    """One way to the database: the three things that are done, and how to end it."""

    write: Do
    get: Do
    list: Do
    close: Do


def _new() -> Payment:
    return a_payment(user_id=_USER, provider_intent_id=new_id("pi"), client_secret="pi_secret_0123456789")


async def through_the_store(url: str, known: str) -> Hand:
    store = SQLStore(url)

    async def write() -> None:
        payment = _new()
        event = an_event(payment)

        def work(unit: Unit) -> None:
            unit.payments.add(payment)
            unit.events.add(event)

        await store.run(work)

    query = PaymentQuery(user_id=_USER)
    return Hand(
        write,
        lambda: store.run(lambda unit: unit.payments.get(known), write=False),
        lambda: store.run(lambda unit: unit.payments.list(query), write=False),
        store.aclose,
    )


class Sentences:
    """The SQL that the store sends, as a driver takes it: its rows come back as tuples and stay that."""

    def __init__(self, mark: Callable[[int], str]) -> None:
        def insert(table: sa.Table) -> tuple[str, list[str]]:
            names = [column.name for column in table.columns]
            quoted = ", ".join(names)
            marks = ", ".join(mark(number) for number in range(1, len(names) + 1))
            return f"INSERT INTO {table.name} ({quoted}) VALUES ({marks})", names

        columns = ", ".join(column.name for column in payments.columns)
        whole = "(SELECT count(*) FROM (SELECT id FROM provider_payments WHERE user_id = {} LIMIT 10000) t)"
        self.payment, self._payment = insert(payments)
        self.event, self._event = insert(outbox)
        self.reference = (
            "INSERT INTO payment_references (provider_id, kind, reference, payment_id)"
            f" VALUES ({mark(1)}, {mark(2)}, {mark(3)}, {mark(4)})"
        )
        self.get = f"SELECT {columns} FROM provider_payments WHERE id = {mark(1)}"
        self.list = (
            f"SELECT {columns}, {whole.format(mark(1))} FROM provider_payments"
            f" WHERE user_id = {mark(2)} ORDER BY id DESC LIMIT 20"
        )

    def rows(self, *, utc: bool) -> list[tuple[str, list[Any]]]:
        """Return what one payment with its event is: sentences and their values."""
        payment = _new()
        rows = [payment_row(payment), event_row(an_event(payment))]
        rows[1].setdefault("available_at", payment.created_at)

        def value(row: Mapping[str, Any], name: str) -> Any:
            found = row.get(name)
            if hasattr(found, "isoformat") and not utc:
                return found.replace(tzinfo=None).isoformat(" ", "microseconds")
            return found

        told = [payment.provider_id, "intent", payment.provider_intent_id, payment.id]
        return [
            (self.payment, [value(rows[0], name) for name in self._payment]),
            (self.reference, told),
            (self.event, [value(rows[1], name) for name in self._event]),
        ]


async def by_asyncpg(url: str, known: str) -> Hand:
    import asyncpg

    pool = await asyncpg.create_pool(url, min_size=1, max_size=1)
    say = Sentences("${}".format)

    async def write() -> None:
        async with pool.acquire() as connection, connection.transaction():
            for sql, values in say.rows(utc=True):
                await connection.execute(sql, *values)

    return Hand(
        write,
        lambda: pool.fetchrow(say.get, known),
        lambda: pool.fetch(say.list, _USER, _USER),
        pool.close,
    )


async def by_psycopg(url: str, known: str) -> Hand:
    import psycopg

    connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
    say = Sentences(lambda _: "%s")

    async def write() -> None:
        async with connection.transaction():
            for sql, values in say.rows(utc=True):
                await connection.execute(sql, values)

    async def read(sql: str, *values: str) -> Any:
        return await (await connection.execute(sql, values)).fetchall()

    return Hand(write, lambda: read(say.get, known), lambda: read(say.list, _USER, _USER), connection.close)


async def by_asyncmy(url: str, known: str) -> Hand:
    import asyncmy

    parts = sa.make_url(url)
    connection = await asyncmy.connect(
        host=parts.host, port=parts.port, user=parts.username, db=parts.database, autocommit=True
    )
    say = Sentences(lambda _: "%s")

    async def write() -> None:
        await connection.begin()
        async with connection.cursor() as cursor:
            for sql, values in say.rows(utc=False):
                await cursor.execute(sql, values)
        await connection.commit()

    async def read(sql: str, *values: str) -> Any:
        async with connection.cursor() as cursor:
            await cursor.execute(sql, values)
            return await cursor.fetchall()

    return Hand(
        write, lambda: read(say.get, known), lambda: read(say.list, _USER, _USER), connection.ensure_closed
    )


def _in_this_thread(connection: Any, say: Sentences, known: str, *, begin: str) -> Hand:
    """A blocking driver, called where we are: nobody else has to be served meanwhile."""

    async def write() -> None:
        cursor = connection.cursor()
        cursor.execute(begin)
        for sql, values in say.rows(utc=False):
            cursor.execute(sql, values)
        cursor.execute("COMMIT")

    async def read(sql: str, *values: str) -> Any:
        cursor = connection.cursor()
        cursor.execute(sql, values)
        return cursor.fetchall()

    async def close() -> None:
        connection.close()

    return Hand(write, lambda: read(say.get, known), lambda: read(say.list, _USER, _USER), close)


async def by_pymysql(url: str, known: str) -> Hand:
    import pymysql

    parts = sa.make_url(url)
    connection = pymysql.connect(
        host=parts.host,
        port=parts.port or 3306,
        user=parts.username,
        database=parts.database,
        autocommit=True,
    )
    return _in_this_thread(connection, Sentences(lambda _: "%s"), known, begin="BEGIN")


async def by_sqlite3(url: str, known: str) -> Hand:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    connection.execute("PRAGMA synchronous=FULL")
    return _in_this_thread(connection, Sentences(lambda _: "?"), known, begin="BEGIN IMMEDIATE")


async def by_hrana(url: str, known: str) -> Hand:
    """The protocol by hand: one request with what belongs together, over the client that the library has."""
    from bridge_payments.transport import Transport

    transport = Transport()
    address = url.replace("libsql://", "http://").partition("?")[0] + "/v2/pipeline"
    say = Sentences(lambda _: "?")

    def cell(value: Any) -> dict[str, Any]:
        match value:
            case None:
                return {"type": "null"}
            case bool() | int():
                return {"type": "integer", "value": str(int(value))}
            case _:
                return {"type": "text", "value": str(value)}

    async def ask(*sentences: tuple[str, list[Any]]) -> Any:
        requests = [
            {"type": "execute", "stmt": {"sql": sql, "args": [cell(value) for value in values]}}
            for sql, values in sentences
        ]
        body = json.dumps({"baton": None, "requests": [*requests, {"type": "close"}]}).encode()
        answer = await transport.request("POST", address, content=body)
        assert all(each["type"] == "ok" for each in json.loads(answer.content)["results"])
        return answer

    return Hand(
        lambda: ask(("BEGIN IMMEDIATE", []), *say.rows(utc=False), ("COMMIT", [])),
        lambda: ask((say.get, [known])),
        lambda: ask((say.list, [_USER, _USER])),
        transport.aclose,
    )


Make = Callable[[str, str], Awaitable[Hand]]


@contextlib.contextmanager
def _databases(folder: Path, postgres: Postgres | None) -> Any:
    """Yield how each driver is called, the URL of its database, and its own hand."""
    with contextlib.ExitStack() as stack:
        found: dict[str, tuple[str, str, Make]] = {}
        if postgres is not None:
            name = stack.enter_context(postgres.database())
            plain = postgres.url_of(name)
            found["asyncpg"] = (postgres.url_of(name, "asyncpg"), plain, by_asyncpg)
            found["psycopg"] = (postgres.url_of(name, "psycopg"), plain, by_psycopg)
        with contextlib.suppress(ServerMissing):
            mariadb = stack.enter_context(running_mariadb())
            name = stack.enter_context(mariadb.database())
            for driver, make in (("asyncmy", by_asyncmy), ("pymysql", by_pymysql)):
                found[driver] = (mariadb.url_of(name, driver), mariadb.url_of(name, driver), make)
        lite = f"sqlite:///{folder}/stores.db"
        found["sqlite3"] = (lite, lite, by_sqlite3)
        with contextlib.suppress(ServerMissing):
            sqld = stack.enter_context(running_sqld())
            found["libsql"] = (sqld.url, sqld.url, by_hrana)
        yield found


async def _filled(url: str) -> str:
    store = SQLStore(url)
    await store.upgrade()
    known = [_new() for _ in range(_KEPT)]

    def add(unit: Unit) -> None:
        for payment in known:
            unit.payments.add(payment)

    await store.run(add)
    await store.aclose()
    return known[0].id


@contextlib.asynccontextmanager
async def _hands(urls: tuple[str, str, Make]) -> AsyncIterator[dict[str, Hand]]:
    url, plain, make = urls
    known = await _filled(url)
    hands = {"raw": await make(plain, known), "store": await through_the_store(url, known)}
    try:
        yield hands
    finally:
        for hand in hands.values():
            await hand.close()


async def _block(do: Do, count: int) -> dict[str, float]:
    latencies, cpu, began = [], time.process_time(), time.perf_counter()
    for _ in range(count):
        start = time.perf_counter()
        await do()
        latencies.append(time.perf_counter() - start)
    took, spent = time.perf_counter() - began, time.process_time() - cpu
    return {"rate": count / took, "cpu": spent / count * 1000, "p50": statistics.median(latencies) * 1000}


async def _rounds(
    urls: tuple[str, str, Make], rounds: int, count: int
) -> dict[str, dict[str, list[dict[str, float]]]]:
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    async with _hands(urls) as hands:
        for turn in range(rounds + 1):
            for what in ("write", "get", "list"):
                for name, hand in hands.items():
                    figures = await _block(getattr(hand, what), count if turn else max(count // 5, 5))
                    if turn:  # the first one warms up
                        found.setdefault(what, {}).setdefault(name, []).append(figures)
    return found


def measure(table: Table, *, rounds: int, count: int, folder: Path, postgres: Postgres | None) -> None:
    """Add a row for each driver and each thing that is done; the driver alone is the floor."""
    named = {"write": "payment + event, written", "get": "get by id", "list": "newest 20 of a user"}
    with _databases(folder, postgres) as databases:
        by_driver = {driver: asyncio.run(_rounds(urls, rounds, count)) for driver, urls in databases.items()}
    for what, said in named.items():
        for driver, found in by_driver.items():
            for name, runs in found[what].items():
                medians = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
                shown = driver if name == "raw" else f"{driver}, Store"
                table.add(said, shown, **medians, **compared(runs, found[what]["raw"]))
