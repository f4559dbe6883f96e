"""LibSQL over HTTP against a real `sqld`: whole integers, transactions that are given up, servers that go."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa

from bridge_payments.errors import StoreError
from bridge_payments.seam import watched
from bridge_payments.stores.base import Unit
from bridge_payments.stores.sql import SQLStore
from bridge_payments.stores.sql.tables import TABLES
from bridge_payments.testing.servers import Sqld, running_sqld
from bridge_payments.testing.stores.samples import a_payment, an_event, keep

pytestmark = pytest.mark.anyio


@pytest.fixture
def url(sqld: Sqld) -> Iterator[str]:
    yield sqld.url
    sqld.execute(*(f"DELETE FROM {table}" for table in sorted(TABLES)))


def connection_of(unit: Any) -> sa.Connection:
    connection: sa.Connection = unit.payments._session._connection
    return connection


def stream_of(unit: Any) -> Any:
    return connection_of(unit).connection.driver_connection.stream  # type: ignore[union-attr]


async def test_integers_texts_and_bytes_come_back_as_they_were(url: str) -> None:
    store = SQLStore(url)
    values = [2**53 + 1, 2**63 - 1, -(2**63), 0, True, None, 1.5, "🙈\x00é", b"\x00\xff" * 3, b""]

    def ask(unit: Unit) -> list[Any]:
        marks = ", ".join("?" * len(values))
        (row,) = connection_of(unit).exec_driver_sql(f"SELECT {marks}", tuple(values)).all()
        return list(row)

    assert await store.run(ask, write=False) == values
    await store.aclose()


def sessions() -> set[int]:
    """The HTTP sessions of this process that are open."""
    found = (each for each in gc.get_objects() if isinstance(each, aiohttp.ClientSession))
    return {id(each) for each in found if not each.closed}


async def test_a_store_that_is_closed_leaves_no_connection_open(url: str) -> None:
    store, before = SQLStore(url), sessions()
    await store.check()
    assert sessions() - before
    await store.aclose()
    assert not sessions() - before


async def test_a_read_is_one_request_and_a_write_begins_with_its_first_statement(url: str) -> None:
    store, payment = SQLStore(url), a_payment()
    await store.check()
    sent: list[str] = []

    def watch(point: str, what: str) -> None:
        if point == "send":
            sent.append(what)

    with watched(watch):
        await store.run(lambda unit: unit.payments.get("pay_1"), write=False)
        assert len(sent) == 1
        await store.run(lambda unit: unit.payments.add(payment))
        assert len(sent) == 3, "BEGIN travels with the INSERT; COMMIT closes the stream"
    await store.aclose()


@pytest.mark.slow
async def test_a_transaction_that_the_server_gave_up_runs_again(url: str) -> None:
    store, payment = SQLStore(url), a_payment()
    tries: list[int] = []

    def work(unit: Unit) -> None:
        tries.append(1)
        unit.payments.add(payment)
        if len(tries) == 1:
            stream_of(unit).baton = "nobody's"
        unit.events.add(an_event(payment))

    await store.run(work)
    assert len(tries) == 2
    assert await store.run(lambda unit: unit.payments.get(payment.id), write=False) == payment
    await store.aclose()


@pytest.mark.slow
async def test_a_writer_that_takes_too_long_makes_room_and_loses_nothing(url: str) -> None:
    """The server ends a transaction after five seconds if another one waits."""
    slow, quick, late, early = SQLStore(url), SQLStore(url), a_payment(), a_payment()
    tries: list[int] = []
    other: list[asyncio.Task[None]] = []
    loop = asyncio.get_running_loop()

    def work(unit: Unit) -> None:
        tries.append(1)
        unit.payments.add(late)
        if len(tries) == 1:
            other.append(loop.create_task(keep(quick, early)))
            sa.util.await_only(asyncio.wait(other))
        unit.events.add(an_event(late))

    await slow.run(work)
    assert len(tries) == 2
    for payment in (late, early):
        found = await slow.run(lambda u, one=payment: u.payments.get(one.id), write=False)  # type: ignore[misc]
        assert found == payment
    await slow.aclose()
    await quick.aclose()


async def test_a_server_that_goes_away_loses_half_of_nothing_and_is_used_again(
    require: Callable[[str], Path],
) -> None:
    with running_sqld(require("sqld")) as server:
        store, kept, torn = SQLStore(server.url), a_payment(), a_payment()
        await store.upgrade()
        await keep(store, kept)

        def work(unit: Unit) -> None:
            unit.payments.add(torn)
            server.stop()
            unit.events.add(an_event(torn))

        with pytest.raises(StoreError, match="5 times"):
            await store.run(work)
        await asyncio.to_thread(server.start)
        found = await store.run(lambda unit: [unit.payments.get(each.id) for each in (kept, torn)])
        assert found == [kept, None]

        def cut(point: str, _what: str) -> None:
            if point == "commit":
                server.stop()

        with watched(cut), pytest.raises(StoreError, match="look the row up"):
            await keep(store, torn)
        await asyncio.to_thread(server.start)
        assert await store.run(lambda unit: unit.payments.get(torn.id), write=False) is None
        await store.aclose()


async def test_what_went_wrong_is_told_without_the_token(url: str) -> None:
    for wrong in ("libsql://127.0.0.1:1?tls=0&authToken=hunter2", "libsql://:hunter2@127.0.0.1:1?tls=0"):
        store = SQLStore(wrong)
        with pytest.raises(StoreError) as caught:
            await store.check()
        seen = f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
        assert "hunter2" not in seen
        await store.aclose()


async def test_its_clock_is_asked_and_its_tables_are_ours(url: str) -> None:
    store = SQLStore(url)
    assert abs(await store.clock_skew()) < 1
    assert await store.hints() == []
    assert await store.differences() == []
    await store.check()
    await store.aclose()
