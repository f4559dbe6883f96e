"""Partitions by date for large installations: ranges of ids are ranges of dates, because ids are drawn in
the order of time. The statements are written, never executed: when to move millions of rows is the
operator's to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from ...errors import ConfigurationError
from ...models.ids import id_bounds
from .tables import outbox, payments

__all__ = ["PARTITIONED", "partition_sql"]

PARTITIONED: Final = {payments.name: (payments, "pay"), outbox.name: (outbox, "evt")}
"""Tables that grow with the sales, and the prefix of their ids. A unique index of a partitioned table must
contain the id, so that whatever has one besides it stays whole."""


def partition_sql(dialect: str, *, since: datetime, months: int) -> str:
    """Return the statements that partition the tables by month, from *since* on for *months*.

    On PostgreSQL the tables are made anew and their rows copied, in one transaction; on MySQL and
    MariaDB an ALTER TABLE copies them. Both keep writers waiting meanwhile: begin early, or at night.
    """
    writers = {"postgresql": _postgresql, "mysql": _mysql, "mariadb": _mysql}
    if dialect not in writers:
        raise ConfigurationError(f"{dialect} has no partitions")
    starts = list(_months(since, months + 1))
    lines = [
        line for table, prefix in PARTITIONED.values() for line in writers[dialect](table, prefix, starts)
    ]
    return "".join(f"{line};\n" for line in lines)


def _months(since: datetime, count: int) -> Iterator[datetime]:
    first = since.year * 12 + since.month - 1
    for number in range(first, first + count):
        yield datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)


def _postgresql(table: sa.Table, prefix: str, starts: Sequence[datetime]) -> Iterator[str]:
    # No default partition: with one, a list in the order of ids would have to merge all of them.
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    old = f"{table.name}_whole"
    yield "BEGIN"
    yield f"ALTER TABLE {table.name} RENAME TO {old}"
    for index in table.indexes:
        yield f"DROP INDEX {index.name}"
    yield f"ALTER TABLE {old} RENAME CONSTRAINT pk_{table.name} TO pk_{old}"
    yield f"{_made(CreateTable(table), dialect)} PARTITION BY RANGE (id)"
    bounds = ["MINVALUE", *(f"'{id_bounds(prefix, start)}'" for start in starts[1:]), "MAXVALUE"]
    for number, (low, high) in enumerate(pairwise(bounds)):
        name = f"{table.name}_{starts[number]:%Y%m}" if number < len(starts) - 1 else f"{table.name}_later"
        yield f"CREATE TABLE {name} PARTITION OF {table.name} FOR VALUES FROM ({low}) TO ({high})"
    for index in sorted(table.indexes, key=lambda each: str(each.name)):
        yield _made(CreateIndex(index), dialect)
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    yield f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {old}"  # noqa: S608 - our own names
    yield f"DROP TABLE {old}"
    yield "COMMIT"


def _mysql(table: sa.Table, prefix: str, starts: Sequence[datetime]) -> Iterator[str]:
    parts = [
        f"PARTITION p{start:%Y%m} VALUES LESS THAN ('{id_bounds(prefix, end)}')"
        for start, end in pairwise(starts)
    ]
    parts.append("PARTITION later VALUES LESS THAN (MAXVALUE)")
    yield f"ALTER TABLE {table.name} PARTITION BY RANGE COLUMNS (id) ({', '.join(parts)})"


def _made(statement: CreateTable | CreateIndex, dialect: Dialect) -> str:
    return str(statement.compile(dialect=dialect)).strip()
