"""
What a million payments cost beside ten thousand: one query of each kind, as ratios.

    python tests/benchmarks/million.py [--rows 1000000] [--database sqlite|postgresql]

Payments of twelve months, 1 in 50 to be swept, and as many events, 1000 of them untold. Rows are copied
by the database itself from one that the store wrote. SQLite, and a PostgreSQL of the script's own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bridge_payments.models import PaymentStatus
from bridge_payments.stores.base import PaymentQuery, Unit
from bridge_payments.stores.sql import SQLStore
from bridge_payments.stores.sql.tables import outbox, payments
from bridge_payments.testing.servers import running_postgres
from bridge_payments.testing.stores.samples import a_payment, an_event

SMALL = 10_000
EACH = 100
"""Payments of one user."""
ROUNDS = 200
FIRST = 1_764_288_000_000  # 2025-11-28, in milliseconds
YEAR = 365 * 86_400_000
MONTH = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Kind:
    """How a dialect counts and writes."""

    numbers: str
    hexadecimal: str
    """Of an expression in so many digits."""
    moment: str


KINDS = {
    "sqlite": Kind(
        "WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < {last})",
        "printf('%0{digits}x', {value})",
        "strftime('%Y-%m-%d %H:%M:%f', {ms} / 1000.0, 'unixepoch') || '000'",
    ),
    "postgresql": Kind(
        "WITH n AS (SELECT n::bigint AS n FROM generate_series(0, {last}) n)",
        "lpad(to_hex({value}), {digits}, '0')",
        "to_timestamp({ms} / 1000.0)",
    ),
}


def copies(table: sa.Table, dialect: str, rows: int) -> str:
    """Return the INSERT that makes *rows* copies of the one row of *table*, each with what is its own."""
    kind = KINDS[dialect]
    prefix = "pay" if table is payments else "evt"
    ms = f"({FIRST} + n.n * {YEAR // rows})"
    high = kind.hexadecimal.format(digits=8, value=f"{ms} / 65536")
    low = kind.hexadecimal.format(digits=4, value=f"{ms} % 65536")
    tail = kind.hexadecimal.format(digits=12, value="n.n")
    own = {
        "id": f"'{prefix}_' || {high} || '-' || {low} || '-7000-8000-' || {tail}",
        "created_at": kind.moment.format(ms=ms),
        "updated_at": kind.moment.format(ms=ms),
        "reference": "'r' || n.n",
        "provider_intent_id": "'pi_' || n.n",
        "provider_payment_id": "'ch_' || n.n",
        "user_id": f"'user_' || (n.n * 7919 % {rows // EACH})",
        "status": "CASE WHEN n.n % 20 = 0 THEN 'failed' ELSE 'succeeded' END",
        "next_sync_at": f"CASE WHEN n.n % 50 = 0 THEN {kind.moment.format(ms=ms)} END",
        "available_at": f"CASE WHEN n.n % {max(rows // 1000, 1)} = 0 THEN {kind.moment.format(ms=ms)} END",
        "subject_id": "'pay_' || n.n",
    }
    names = [column.name for column in table.columns]
    values = ", ".join(own.get(name, f't."{name}"') for name in names)
    columns = ", ".join(f'"{name}"' for name in names)
    numbers = kind.numbers.format(last=rows - 1)
    select = f"SELECT {values} FROM n, (SELECT * FROM {table.name} LIMIT 1) t"
    return f"INSERT INTO {table.name} ({columns}) {numbers} {select}"


async def fill(url: str, rows: int) -> None:
    store = SQLStore(url)
    await store.upgrade()
    payment = a_payment(provider_intent_id="pi_template", status=PaymentStatus.SUCCEEDED, captured_cents=2000)
    await store.run(lambda unit: (unit.payments.add(payment), unit.events.add(an_event(payment))))

    def copy(connection: sa.Connection) -> None:
        for table in (payments, outbox):
            sql = copies(table, connection.dialect.name, rows)
            formats = connection.dialect.paramstyle in ("format", "pyformat")
            connection.exec_driver_sql(sql.replace("%", "%%") if formats else sql)
        connection.commit()

    def tidy(connection: sa.Connection) -> None:
        # What autovacuum does by itself in the minutes after: without it, no index answers alone.
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql("VACUUM ANALYZE" if connection.dialect.name == "postgresql" else "ANALYZE")

    for step in (copy, tidy):
        await store._lane.run(step, patient=True)  # no unit of work may take so long
    await store.aclose()


class Questions:
    """One of each kind; the claims give back what they took, so that each finds the same."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._at = 0

    def __iter__(self) -> Iterator[tuple[str, Callable[[Unit], Any], bool]]:
        yield "by the provider's reference", self.by_reference, False
        yield "newest 20 of a user", self.newest, False
        yield "admin's list of a status, counted", self.filtered, False
        yield "admin's list of a month, counted", self.month, False
        yield "claim 20 due events", lambda unit: unit.events.claim_untold(limit=20, lease_seconds=0), True
        yield "claim 20 due payments", lambda unit: unit.payments.claim_due(limit=20, lease_seconds=0), True

    def _next(self) -> int:
        self._at = (self._at + 7919) % self._rows
        return self._at

    def by_reference(self, unit: Unit) -> Any:
        return unit.payments.get_by_reference("dummy", f"pi_{self._next()}")

    def newest(self, unit: Unit) -> Any:
        return unit.payments.list(PaymentQuery(user_id=f"user_{self._next() % (self._rows // EACH)}"))

    def filtered(self, unit: Unit) -> Any:
        return unit.payments.list(PaymentQuery(statuses=frozenset({PaymentStatus.FAILED})))

    def month(self, unit: Unit) -> Any:
        query = PaymentQuery(created_from=MONTH, created_to=MONTH + timedelta(days=30))
        return unit.payments.list(query)


async def measure(url: str, rows: int) -> dict[str, float]:
    store = SQLStore(url)
    taken: dict[str, float] = {}
    sample = sa.select(payments.c.id).order_by(payments.c.reference).limit(ROUNDS)
    ids = await store.run(
        lambda u: list(u.payments._session._connection.execute(sample).scalars()), write=False
    )  # type: ignore[attr-defined]

    async def timed(name: str, works: list[Callable[[Unit], Any]], write: bool) -> None:
        seconds = []
        for work in works:
            began = time.perf_counter()
            await store.run(work, write=write)
            seconds.append(time.perf_counter() - began)
        taken[name] = statistics.median(seconds[len(seconds) // 5 :])  # the first warm the caches

    await timed("get by id", [lambda unit, one=one: unit.payments.get(one) for one in ids], False)
    for name, work, write in Questions(rows):
        await timed(name, [work] * (ROUNDS if not write else ROUNDS // 4), write)
    await store.aclose()
    return taken


async def table(make: Callable[[], contextlib.AbstractContextManager[str]], rows: int) -> list[str]:
    found = []
    for count in (SMALL, rows):
        with make() as url:
            began = time.monotonic()
            await fill(url, count)
            filled = time.monotonic() - began
            found.append(await measure(url, count))
            print(f"{count} rows were made in {filled:.0f} s", flush=True)
    small, large = found
    return [
        f"| {name} | {one * 1e6:.0f} µs | {large[name] * 1e6:.0f} µs | {large[name] / one:.2f} |"
        for name, one in small.items()
    ]


@contextlib.contextmanager
def on_sqlite() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="bridge-million-") as folder:
        yield f"sqlite:///{Path(folder) / 'payments.db'}"


@contextlib.contextmanager
def on_postgresql() -> Iterator[str]:
    # A quarter of a small server's memory: with the tests' 32 MB, what is measured is that they are little.
    with running_postgres(shared_buffers="1GB") as server, server.database() as database:
        yield server.url_of(database)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database", choices=tuple(KINDS), action="append")
    options = parser.parse_args()
    places = {"sqlite": on_sqlite, "postgresql": on_postgresql}
    for name in options.database or KINDS:
        lines = asyncio.run(table(places[name], options.rows))
        load = os.getloadavg()[0]
        print(f"\n| {name}, load {load:.1f} | {SMALL} rows | {options.rows} rows | ratio |")
        print("|---|---|---|---|", *lines, sep="\n", flush=True)


if __name__ == "__main__":
    main()
