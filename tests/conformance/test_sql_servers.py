"""What only a real server does: deadlocks, dead connections, clocks, and engines of somebody else."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from databases import Lending
from sqlalchemy.ext.asyncio import create_async_engine

from bridge_payments.errors import StoreError
from bridge_payments.models import utc_now
from bridge_payments.seam import watched
from bridge_payments.stores.base import Unit
from bridge_payments.stores.sql import SQLStore
from bridge_payments.testing.servers import MySQL
from bridge_payments.testing.stores.samples import (
    a_delivery,
    a_payment,
    an_entry,
    an_event,
    an_operation,
    keep,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncpg", "psycopg", "asyncmy"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param != "asyncmy":
        database: str = request.getfixturevalue("database")
        yield database.replace("postgresql://", f"postgresql+{request.param}://")
        return
    server: MySQL = request.getfixturevalue("mariadb")
    with request.getfixturevalue("emptied")(server) as name:
        yield server.url_of(name, request.param)


def connection_of(unit: Any) -> sa.Connection:
    connection: sa.Connection = unit.payments._session._connection
    return connection


def is_mysql(url: str) -> bool:
    return url.startswith(("mariadb", "mysql"))


def blocking(url: str) -> sa.Engine:
    """An engine of ours that looks at the server from outside of the store."""
    return sa.create_engine(url.replace("+asyncpg", "+psycopg").replace("+asyncmy", "+pymysql"))


def number_of(unit: Unit) -> int:
    """The server's number of the unit's connection."""
    connection = connection_of(unit)
    mysql = connection.dialect.name != "postgresql"
    return int(connection.scalar(sa.text("SELECT CONNECTION_ID()" if mysql else "SELECT pg_backend_pid()")))


def kill(url: str, number: int) -> None:
    engine = blocking(url)
    with engine.connect() as connection:
        if is_mysql(url):
            connection.exec_driver_sql(f"KILL CONNECTION {number}")
            alive = sa.text("SELECT count(*) FROM information_schema.processlist WHERE id = :number")
            while connection.scalar(alive, {"number": number}):
                pass
        else:
            connection.execute(sa.text("SELECT pg_terminate_backend(:number, 5000)"), {"number": number})
    engine.dispose()


def test_a_deadlock_runs_the_unit_again_and_both_are_kept(url: str) -> None:
    first, second = a_payment(), a_payment()
    meet = threading.Barrier(2, timeout=30)
    tries: list[str] = []

    def change(name: str, one: str, other: str) -> None:
        def work(unit: Unit) -> None:
            tries.append(name)
            for number, payment_id in enumerate((one, other)):
                payment = unit.payments.get(payment_id)
                assert payment is not None
                changed = replace(payment, sync_count=payment.sync_count + 1)
                if number == 1 and len(tries) <= 2:
                    meet.wait()
                assert unit.payments.save(changed, expected_version=payment.version)

        async def main() -> None:
            store = SQLStore(url)
            try:
                while True:
                    try:
                        await store.run(work)
                    except AssertionError:  # the version moved on between read and save: read again
                        continue
                    return
            finally:
                await store.aclose()

        asyncio.run(main())

    async def begin() -> None:
        store = SQLStore(url)
        await keep(store, first, second)
        await store.aclose()

    async def count() -> list[int]:
        store = SQLStore(url)
        found = await store.run(lambda u: [u.payments.get(each.id) for each in (first, second)])
        await store.aclose()
        return [payment.sync_count for payment in found if payment is not None]

    asyncio.run(begin())
    threads = [
        threading.Thread(target=change, args=("a", first.id, second.id)),
        threading.Thread(target=change, args=("b", second.id, first.id)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert asyncio.run(count()) == [2, 2]
    assert len(tries) >= 3, "there was no deadlock to survive"


async def test_a_connection_that_dies_inside_a_unit_costs_nobody_anything(url: str) -> None:
    store, payment = SQLStore(url), a_payment()
    tries: list[int] = []

    def work(unit: Unit) -> None:
        tries.append(1)
        unit.payments.add(payment)
        if len(tries) == 1:
            kill(url, number_of(unit))
        unit.events.add(an_event(payment))

    await store.run(work)
    assert len(tries) == 2
    assert await store.run(lambda unit: unit.payments.get(payment.id), write=False) == payment
    assert len(await store.run(lambda unit: unit.events.for_subject(payment.id), write=False)) == 1
    await store.aclose()


async def test_a_server_that_goes_away_each_time_is_given_up_after_some_tries(url: str) -> None:
    store = SQLStore(url)
    tries: list[int] = []

    def work(unit: Unit) -> None:
        tries.append(1)
        kill(url, number_of(unit))
        unit.payments.add(a_payment())

    with pytest.raises(StoreError, match="5 times"):
        await store.run(work)
    assert len(tries) == 5
    await store.aclose()


async def test_connections_killed_while_idle_are_replaced_unnoticed(url: str) -> None:
    store, payment = SQLStore(url), a_payment()
    await keep(store, payment)
    for write in (True, False):
        kill(url, await store.run(number_of, write=False))
        found = await store.run(lambda unit: unit.payments.get(payment.id), write=write)
        assert found == payment
    await store.aclose()


async def test_a_lost_answer_to_the_commit_is_told_and_never_run_again(url: str) -> None:
    store, killer, payment = SQLStore(url), SQLStore(url), a_payment()
    tries: list[int] = []
    pids: list[int] = []

    def work(unit: Unit) -> None:
        tries.append(1)
        pids.append(number_of(unit))
        unit.payments.add(payment)

    def cut(point: str, what: str) -> None:
        if point == "commit" and what == "work":
            kill(url, pids[-1])

    with watched(cut), pytest.raises(StoreError, match="may have been kept: look the row up") as caught:
        await store.run(work)
    assert "undid" not in caught.value.message
    assert len(tries) == 1
    assert await killer.run(lambda unit: unit.payments.get(payment.id), write=False) is None
    await store.aclose()
    await killer.aclose()


async def test_leases_are_written_and_compared_on_the_servers_clock(url: str) -> None:
    store = SQLStore(url)
    operation = an_operation("pay_1")
    before = utc_now()
    await store.run(lambda unit: unit.operations.reserve(operation, lease_seconds=0.05))
    found = await store.run(lambda unit: unit.operations.get(operation.id), write=False)
    assert found is not None
    assert found.lease_until is not None
    assert timedelta() < found.lease_until - before < timedelta(seconds=30)
    claimed: list[Any] = []
    async with asyncio.timeout(10):
        while not claimed:
            claimed.extend(
                await store.run(lambda u: u.operations.claim_due(limit=1, lease_seconds=60, token="t"))
            )
    assert claimed[0].lease_until - utc_now() > timedelta(seconds=30)
    assert await store.run(lambda u: u.operations.claim_due(limit=1, lease_seconds=60, token="t2")) == []
    await store.aclose()


async def test_words_of_the_url_reach_the_server(url: str) -> None:
    if is_mysql(url):
        told, asked = {"init_command": "SET @shop = 'shop'"}, "@shop"
    else:
        told = {"application_name": "sh", "options": "-csearch_path=op", "sslmode": "prefer"}
        asked = "current_setting('application_name') || current_setting('search_path')"
    store = SQLStore(sa.make_url(url).update_query_dict({"connect_timeout": "7", **told}))
    assert await store.run(lambda u: connection_of(u).scalar(sa.text(f"SELECT {asked}"))) == "shop"
    await store.aclose()


LEVELS = {
    "postgresql": sa.text("SELECT current_setting('transaction_isolation')"),
    "mariadb": sa.text("SELECT lower(replace(@@tx_isolation, '-', ' '))"),
}


async def test_an_engine_that_is_not_ours_keeps_its_level_and_stays_open(url: str) -> None:
    its_own = sa.create_engine(blocking(url).url, isolation_level="REPEATABLE READ", pool_size=3)
    parallel = create_async_engine(url, isolation_level="REPEATABLE READ")
    level = LEVELS[its_own.dialect.name]
    for engine in (its_own, parallel):
        store, payment = SQLStore(engine), a_payment()
        await keep(store, payment)
        seen = await store.run(lambda unit: connection_of(unit).execute(level).scalar())
        assert seen == "read committed"
        assert await store.run(lambda u: u.payments.get(payment.id), write=False) == payment  # noqa: B023
        await asyncio.gather(
            *(
                store.run(lambda u: u.operations.reserve(an_operation("pay_1"), lease_seconds=1))
                for _ in range(9)
            )
        )
        await store.aclose()
    with its_own.connect() as connection:
        assert connection.execute(level).scalar() == "repeatable read"
    async with parallel.connect() as connection:
        assert (await connection.execute(level)).scalar() == "repeatable read"
    its_own.dispose()
    await parallel.dispose()


async def test_a_refusal_shows_neither_values_nor_statement(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store = SQLStore(url)
    payment = a_payment(client_secret="s3cr3t", guest_email="joe@private.example")
    await keep(store, payment)
    wrongs = [payment, a_payment(concept="s3cr3t" * 99)]
    if not is_mysql(url):
        wrongs.append(a_payment(description="s3cr3t \x00"))  # PostgreSQL's text ends at a zero
    for wrong in wrongs:
        with pytest.raises(StoreError) as caught:
            await keep(store, wrong)
        seen = f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
        assert "s3cr3t" not in seen
        assert "private" not in seen
    assert "s3cr3t" not in caplog.text
    await store.aclose()


async def test_a_server_that_is_away_is_a_store_error_without_the_password(url: str) -> None:
    away = sa.make_url(url).set(password="hunter2", database="no_such_database")
    nowhere = away.set(port=1) if is_mysql(url) else away.set(query={"host": "/nowhere"})
    for wrong in (away, nowhere):
        store = SQLStore(wrong)
        with pytest.raises(StoreError) as caught:
            await store.run(lambda unit: unit.payments.get("pay_1"), write=False)
        assert "hunter2" not in repr(caught.value)
        with pytest.raises(StoreError):
            await store.check()
        await store.aclose()


@pytest.mark.parametrize(("ready", "connections", "opened"), [(0, None, 1), (3, None, 3), (5, 2, 2)])
async def test_so_many_connections_are_open_before_the_first_payer_comes(
    url: str, ready: int, connections: int | None, opened: int
) -> None:
    store = SQLStore(url, ready=ready, connections=connections)
    await store.check()
    pool: Any = store._lane.engine().sync_engine.pool  # type: ignore[attr-defined]
    assert (pool.checkedin(), pool.checkedout()) == (opened, 0)
    await store.aclose()


async def test_the_schema_is_what_the_tables_say(url: str) -> None:
    store = SQLStore(url)
    assert await store.differences() == []
    await store.aclose()


async def test_a_reading_unit_opens_no_transaction(database: str) -> None:
    store = SQLStore(database)
    begun = sa.text("SELECT now()")  # the beginning of the transaction

    def look(unit: Unit) -> bool:
        unit.payments.get("pay_1")
        times = {connection_of(unit).execute(begun).scalar() for _ in range(2)}
        return len(times) == 2

    assert await store.run(look, write=False), "BEGIN and ROLLBACK are two more round trips"
    assert not await store.run(look)
    await store.aclose()


# --- what only MySQL and MariaDB do ---------------------------------------------------------------


@pytest.fixture
def mariadb_url(emptied: Lending, mariadb: MySQL) -> Iterator[str]:
    with emptied(mariadb) as name:
        yield mariadb.url_of(name, "asyncmy")


async def test_a_blocking_driver_gives_a_silent_server_up_but_not_in_what_takes_long(
    mariadb_url: str,
) -> None:
    store = SQLStore(mariadb_url.replace("+asyncmy", "+pymysql") + "?read_timeout=1")
    tries: list[int] = []

    def work(unit: Any) -> None:
        tries.append(1)
        unit.payments._session.rows("sleep", sa.select(sa.func.sleep(1.5)))

    with pytest.raises(StoreError, match="sleep: the database said nothing for too long"):
        await store.run(work)
    assert len(tries) == 1, "whoever calls has waited long enough"
    slept = sa.select(sa.func.sleep(1.2))
    assert await store._lane.run(lambda connection: connection.scalar(slept), patient=True) == 0
    await store.aclose()


async def test_a_server_that_cuts_too_long_values_is_told_not_to(mariadb: MySQL, mariadb_url: str) -> None:
    (before,) = mariadb.execute("SELECT @@GLOBAL.sql_mode")
    mariadb.execute("SET GLOBAL sql_mode = ''")
    try:
        store = SQLStore(mariadb_url)
        with pytest.raises(StoreError):
            await keep(store, a_payment(concept="x" * 101))
        await store.aclose()
    finally:
        mariadb.execute(f"SET GLOBAL sql_mode = '{before[0]}'")


async def test_a_server_without_skip_locked_is_asked_once_and_its_workers_share_all_the_same(
    mariadb_url: str,
) -> None:
    """The real server refuses the sentence, because a word in it is changed on the way."""
    engine = create_async_engine(mariadb_url, isolation_level="READ COMMITTED")
    asked: list[str] = []

    @sa.event.listens_for(engine.sync_engine, "before_cursor_execute", retval=True)
    def unknown(conn: object, cursor: object, sql: str, values: object, *_: object) -> tuple[str, object]:
        if "SKIP LOCKED" in sql:
            asked.append(sql)
        return sql.replace("SKIP LOCKED", "SKIP LOCKD"), values

    store = SQLStore(engine)
    events = [an_event(a_payment()) for _ in range(90)]
    entries = [an_entry() for _ in range(30)]
    await keep(store, *events, *(a_delivery(event.id) for event in events[:30]), *entries)
    await keep(store, *(a_payment(next_sync_at=utc_now() - timedelta(hours=1)) for _ in range(30)))
    operations = [an_operation(f"pay_{number}") for number in range(30)]
    for operation in operations:
        await store.run(lambda unit, one=operation: unit.operations.reserve(one, lease_seconds=0))  # type: ignore[misc]

    async def drain(claim: Callable[[Unit], Sequence[Any]]) -> list[str]:
        taken: list[str] = []
        while rows := await store.run(claim):
            taken.extend(row.id for row in rows)
        return taken

    claims: list[tuple[int, Callable[[Unit], Sequence[Any]]]] = [
        (90, lambda unit: unit.events.claim_untold(limit=4, lease_seconds=600)),
        (30, lambda unit: unit.deliveries.claim_due(limit=4, lease_seconds=600, token="t")),
        (30, lambda unit: unit.inbox.claim_due(limit=4, lease_seconds=600, token="t")),
        (30, lambda unit: unit.payments.claim_due(limit=4, lease_seconds=600)),
        (30, lambda unit: unit.operations.claim_due(limit=4, lease_seconds=600, token="t")),
    ]
    for count, claim in claims:
        shares = await asyncio.gather(*(drain(claim) for _ in range(4)))
        taken = [each for share in shares for each in share]
        left = await drain(claim)  # each worker may have given up while another held the last rows
        assert len(set(taken + left)) == len(taken + left) == count
    assert 0 < len(asked) <= 4, "each of the workers asks at most once"
    await store.aclose()
    await engine.dispose()


async def test_an_upgrade_that_is_over_keeps_nobody_waiting(request: pytest.FixtureRequest) -> None:
    """MySQL's lock outlives its transaction, and names are the whole server's."""
    server: MySQL = request.getfixturevalue("mariadb")
    with server.database() as one, server.database() as other:
        stores = [SQLStore(server.url_of(name, "asyncmy")) for name in (one, other, one)]
        for store in stores:
            async with asyncio.timeout(40):  # the lock is waited for longer than that
                await store.upgrade()
        for name in (one, other):
            lock = f"bridge_payments_version {name}"
            assert server.execute(f"SELECT IS_USED_LOCK('{lock}')") == [(None,)]
        for store in stores:
            await store.aclose()
