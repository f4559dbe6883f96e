"""A database finds its rows by an index, in every statement that the promises of a store lead to."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
import sqlalchemy as sa
from databases import migrate

from bridge_payments.models import Clock, PaymentStatus
from bridge_payments.stores.base import PaymentQuery, Unit
from bridge_payments.stores.sql import SQLStore
from bridge_payments.stores.sql.tables import metadata
from bridge_payments.testing.servers import Postgres
from bridge_payments.testing.stores import StoreConformance

ROWS = 20_000
FEW = ("state", "status", "provider_id", "currency", "type", "event_type", "endpoint", "verb", "noun", "kind")
"""Columns with few different values; every other text is nearly unique."""
OWNED = ("user_id", "guest_email_key", "customer_id", "organization_id", "subject_id", "payment_id")
DUE = ("available_at", "due_at", "next_sync_at", "client_secret_expires_at", "client_secret")

WHOLE = {
    "a word anywhere in a text": re.compile(r" LIKE "),
    "everybody's payments in another order than that of their ids": re.compile(
        r"ORDER BY provider_payments\.(updated_at|total_cents) "
    ),
    "an admin's figures of everything": re.compile(
        r"GROUP BY (provider_payments\.status|outbox\.type|provider_webhooks\.state)"
    ),
}
"""What reads a whole table and is said to, on the page about databases, with how to narrow it."""
SMALL = {"provider_webhook_endpoints", "webhook_endpoint_health", "scheduled_jobs", "bridge_payments_version"}
"""As many rows as an installation has endpoints and jobs."""
NEARLY_ALL = ("(deleted_at IS NULL)",)
"""Conditions that hardly any row fails: whoever looks for some rows stops soon."""


class QuicklyMade(SQLStore):
    async def upgrade(self) -> None:
        await self._lane.run(metadata.create_all)  # a tenth of the time that the migrations take

    async def check(self) -> None:
        """It is of this very code."""


class Suite(StoreConformance):
    def make_store(self, clock: Clock) -> SQLStore:
        return QuicklyMade("sqlite://", clock=clock)


@contextmanager
def remembered() -> Iterator[list[tuple[sa.Executable, Any]]]:
    """Yield the statements that are executed in the block, each once, with the values that it came with."""
    found: list[tuple[sa.Executable, Any]] = []
    known: set[int] = set()

    def remember(conn: object, statement: sa.Executable, many: Any, values: Any, options: object) -> None:
        if isinstance(statement, sa.Select | sa.Update | sa.Delete) and id(statement) not in known:
            known.add(id(statement))
            found.append((statement, many[0] if many else values))

    sa.event.listen(sa.Engine, "before_execute", remember)
    try:
        yield found
    finally:
        sa.event.remove(sa.Engine, "before_execute", remember)


@cache
def of_the_suite() -> list[tuple[sa.Executable, Any]]:
    suite = Suite()
    with remembered() as found:
        for name in dir(suite):
            if name.startswith("test_"):
                getattr(suite, name)()
    # Where a test moves the clock, ids do not tell when their rows were made: see `of_dates`.
    return [each for each in found if "created_from" not in each[1] and "created_to" not in each[1]]


@cache
def of_dates() -> list[tuple[sa.Executable, Any]]:
    """Return lists of some days and weeks, as a store asks whose clock is the database's."""
    day = datetime(2026, 3, 4, tzinfo=UTC)
    dates = {"created_from": day, "created_to": day + timedelta(days=7)}

    def look(unit: Unit) -> None:
        unit.payments.list(PaymentQuery(**dates))
        unit.payments.list(PaymentQuery(**dates, descending=False))
        unit.payments.list(PaymentQuery(**dates, user_id="u1"))
        unit.payments.list(PaymentQuery(**dates, statuses=frozenset({PaymentStatus.FAILED})))

    async def main() -> None:
        store = SQLStore("sqlite://")
        await store.upgrade()
        await store.run(look, write=False)
        await store.aclose()

    with remembered() as found:
        asyncio.run(main())
    return [each for each in found if "first_id" in str(each[1])]


ASK = {"postgresql": "EXPLAIN (FORMAT JSON)", "mysql": "EXPLAIN FORMAT=JSON", "sqlite": "EXPLAIN QUERY PLAN"}


def plans(engine: sa.Engine, statements: Iterable[tuple[sa.Executable, Any]]) -> dict[str, Any]:
    """Return what the database would do, in its own form, by what it is asked."""
    explained: dict[str, Any] = {}
    dialect = "mysql" if engine.dialect.name == "mariadb" else engine.dialect.name

    def explain(conn: object, cursor: Any, sql: str, values: Any, context: object, many: bool) -> None:
        if sql.startswith(("SELECT", "UPDATE", "DELETE")):
            cursor.execute(f"{ASK[dialect]} {sql}", values[0] if many else values)
            told = cursor.fetchall()
            match dialect:
                case "postgresql":
                    explained[sql] = told[0][0][0]["Plan"]
                case "mysql":
                    explained[sql] = json.loads(told[0][0])
                case "sqlite":
                    explained[sql] = [line for *_, line in told]

    with engine.connect() as connection:
        if dialect == "postgresql":
            # What has an index is to be found by it, however few the rows of a test are.
            connection.exec_driver_sql("SET enable_seqscan = off")
        sa.event.listen(connection, "before_cursor_execute", explain)
        for statement, values in statements:
            with connection.begin_nested() as savepoint:
                connection.execute(statement, values)
                savepoint.rollback()
    return explained


def filler(table: sa.Table) -> str:
    """Return the INSERT that fills *table* with rows that look like a busy year's."""
    values = []
    for column in table.columns:
        name = column.name
        if column.primary_key and len(table.primary_key) == 1:
            values.append(f"left('{name}', 5) || n")
            continue
        match column.type:
            case sa.BigInteger() | sa.Integer():
                value = "0"
            case sa.Double():
                value = "1"
            case sa.Boolean():
                value = "n % 2 = 0"
            case _ if name in DUE and column.nullable:
                text = f"'{name[0]}' || n" if name == "client_secret" else "now() - n * interval '1 minute'"
                value = f"CASE WHEN n % 100 = 0 THEN {text} END"
            case _ if name.endswith(
                ("_at", "_by", "_until", "_since", "_start", "_end", "_deadline", "_date")
            ):
                value = "now() - n * interval '1 minute'"
            case _ if name in FEW:
                value = f"'{name[0]}' || n % 5" if name != "currency" else "'USD'"
            case _ if name in OWNED:
                value = f"'{name[0]}' || n / 20"
            case _:
                value = f"left('{name}', 5) || n"
        values.append(value)
    # A short column takes what fits: it is nobody's key.
    names = [column.name for column in table.columns]
    listed = ", ".join(
        f"left({value}, {length})"
        if (length := getattr(column.type, "length", None)) and length < 20
        else value
        for column, value in zip(table.columns, values, strict=True)
    )
    return f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {listed} FROM generate_series(1, {ROWS}) n"


@pytest.fixture
def engine(postgres: Postgres) -> Iterator[sa.Engine]:
    with postgres.database() as name:
        migrate(postgres.url_of(name))
        postgres.execute("; ".join(map(filler, metadata.sorted_tables)), database=name)
        postgres.execute("VACUUM ANALYZE", database=name)
        engine = sa.create_engine(postgres.url_of(name, "psycopg"))
        yield engine
        engine.dispose()


def reads(node: dict[str, Any], *, stops: bool = False) -> Iterator[str]:
    """Yield what of a plan may look at every row of a table.

    *stops* says that whoever is above takes as many rows as it wants, and no more.
    """
    kind, has = node["Node Type"], node.get("Filter", "")
    along_an_index = kind.startswith("Index") and "Index Cond" not in node
    only_the_open = node.get("Index Name", "").endswith(("_due", "_secrets"))  # as small as the queue
    small = node.get("Relation Name") in SMALL
    if (
        not small
        and (kind == "Seq Scan" or (along_an_index and not only_the_open))
        and not (stops and (not has or has in NEARLY_ALL))
    ):
        yield f"{kind} of {node['Relation Name']} {has}"
    passes = kind in ("Limit", "Subquery Scan", "Result", "Append", "LockRows")
    for part in node.get("Plans", ()):
        yield from reads(part, stops=kind == "Limit" or (stops and passes))


@pytest.mark.needs("postgresql")
def test_no_statement_of_the_suite_reads_a_whole_table(engine: sa.Engine) -> None:
    found = {sql: list(reads(plan)) for sql, plan in plans(engine, of_the_suite()).items()}
    assert len(found) > 100
    only_what_is_said(found, WHOLE)


@pytest.mark.needs("postgresql")
def test_a_list_of_some_dates_is_a_range_of_ids(engine: sa.Engine) -> None:
    """Its page, and its count in three parts, whoever's payments they are."""
    found = plans(engine, of_dates())
    assert len(found) == 4
    for sql, plan in found.items():
        ranges = [node.get("Index Cond", "").replace("(id)::text", "id") for node in nodes(plan)]
        assert sum("id >=" in each and "id <" in each for each in ranges) == 4, (sql, ranges)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def only_what_is_said(found: dict[str, list[str]], said: dict[str, re.Pattern[str]]) -> None:
    """Fail on what reads more than it needs and is not in *said*, and on what is there and does not."""
    whole = {sql: reading for sql, reading in found.items() if reading}
    unknown = [
        f"{reading}: … {sql[sql.find('FROM') :]}"
        for sql, reading in whole.items()
        if not any(known.search(sql) for known in said.values())
    ]
    assert not unknown, "\n\n".join(unknown)
    for why, known in said.items():
        assert any(known.search(sql) for sql in whole), f"no longer: {why}"


# --- SQLite ---------------------------------------------------------------------------------------

SORTED = {
    "one user's rows": re.compile(r"user_id = \?"),
    "rows of one reference": re.compile(r"ORDER BY CASE WHEN"),
    "deliveries of one event": re.compile(r"webhook_deliveries\.event_id = \?"),
    "deliveries to no endpoint": re.compile(r"endpoint IN \(SELECT 1 FROM \(SELECT 1\)"),
    "what is open": re.compile(r"operations\.due_at IS NOT NULL"),
    "payments of a time, added up": re.compile(r"AS interval_number"),
}
"""What SQLite sorts, because it is little or asked for as a whole."""
SORTED_WHOLE = {
    "several statuses at once": re.compile(r"status IN \(\?, \?\)"),
    "no status at all": re.compile(r"status IN \(SELECT 1 FROM \(SELECT 1\)"),
    "one account's webhooks, counted by state": re.compile(r"provider_id = \? GROUP BY"),
}
"""What SQLite sorts and may be much; said on the page about databases."""


def reads_of_sqlite(sql: str, plan: list[str]) -> Iterator[str]:
    """Yield what of a plan may look at every row of a table, or sorts what it found."""
    filtered = re.search(r"WHERE (?!provider_customers\.deleted_at IS NULL\s+(LIMIT|ORDER))", sql)
    sorts = [line for line in plan if "TEMP B-TREE" in line]
    yield from sorts
    for line in plan:
        table = line.removeprefix("SCAN ").split(" ")[0]
        # From one end of a table without a condition: as many rows as are wanted.
        stops = not filtered and " LIMIT " in sql and not sorts
        if line.startswith("SCAN ") and table in metadata.tables and table not in SMALL and not stops:
            yield line


def test_no_statement_of_the_suite_reads_a_whole_table_of_sqlite() -> None:
    engine = sa.create_engine("sqlite://")
    metadata.create_all(engine)
    planned = plans(engine, asked())
    engine.dispose()
    for sql, plan in planned.items():
        # Of either of two columns: each by its index, and not all that the account has by one of another.
        assert "ORDER BY CASE WHEN" not in sql or "MULTI-INDEX OR" in plan, (sql, plan)
    found = {sql: list(reads_of_sqlite(sql, plan)) for sql, plan in planned.items()}
    assert len(found) > 100
    only_what_is_said(found, {**WHOLE, **SORTED, **SORTED_WHOLE})


def asked() -> list[tuple[sa.Executable, Any]]:
    return [*of_the_suite(), *of_dates()]
