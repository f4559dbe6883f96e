"""Partitions by date for large installations: ranges of ids are ranges of dates, because ids are drawn in
the order of time. The statements are written, never executed: when to move millions of rows is the
operator's to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from ...errors import ConfigurationError
from ...models.ids import id_bounds
from .tables import outbox, payments

__all__ = ["PARTITIONED", "is_partition", "missing_sql", "partition_sql"]

PARTITIONED: Final = {payments.name: (payments, "pay"), outbox.name: (outbox, "evt")}
"""Tables that grow with the sales, and the prefix of their ids. A unique index of a partitioned table must
contain the id, so that whatever has one besides it stays whole."""

_PARTITION: Final = re.compile(rf"(?:{'|'.join(PARTITIONED)})_(?:\d{{6}}|later)")

_OF_POSTGRESQL: Final = sa.text(
    "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits AS i"
    " JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass(:name)"
)
_OF_MYSQL: Final = sa.text(
    "SELECT partition_name, partition_description FROM information_schema.partitions"
    " WHERE table_schema = DATABASE() AND table_name = :name AND partition_name IS NOT NULL"
)


class _Found(NamedTuple):
    """How far a table is partitioned already."""

    until: str
    """The smallest id that is in none of its months."""
    later: str | None
    """The partition of all ids from there on; None if somebody dropped it."""
    rows: int
    """How many are in it: they came when their month had no partition yet."""


def is_partition(name: str) -> bool:
    """Tell whether that is what a month of one of our tables is called: on PostgreSQL it is a table."""
    return _PARTITION.fullmatch(name) is not None


def missing_sql(connection: sa.Connection, *, now: datetime, months: int) -> str:
    """Return the statements after which there are partitions for *months* from *now* on, whatever there is.

    The months that a database has stay as they are. What is in ``later`` moves into its months.
    """
    dialect = connection.dialect.name
    writers = {"postgresql": _divided_postgresql, "mysql": _divided_mysql, "mariadb": _divided_mysql}
    end = list(_months(now, months + 1))[-1]
    text = []
    for table, prefix in PARTITIONED.values():
        found = _found(connection, table) if dialect in writers else None
        if found is None:
            text.append(partition_sql(dialect, since=now, months=months, tables=[table.name]))
            continue
        begin = _drawn_at(found.until)
        if found.until != id_bounds(prefix, next(_months(begin, 1))):
            raise ConfigurationError(f"the partitions of {table.name} are not months: divide them by hand")
        starts = list(_months(begin, (end.year - begin.year) * 12 + end.month - begin.month + 1))
        if len(starts) < 2:
            text.append(f"-- {table.name} has partitions until {begin:%Y-%m}: there is nothing to do\n")
            continue
        if found.rows:
            text.append(
                f"-- {found.later} holds {found.rows} rows. They move into their months,\n"
                "-- and writers wait meanwhile: run this when few come.\n"
            )
        text += [f"{line};\n" for line in writers[dialect](table, prefix, starts, found)]
    return "".join(text)


def partition_sql(
    dialect: str, *, since: datetime, months: int, tables: Sequence[str] = tuple(PARTITIONED)
) -> str:
    """Return the statements that partition the tables by month, from *since* on for *months*.

    On PostgreSQL the tables are made anew and their rows copied, in one transaction; on MySQL and
    MariaDB an ALTER TABLE copies them. Both keep writers waiting meanwhile: begin early, or at night.
    """
    writers = {"postgresql": _postgresql, "mysql": _mysql, "mariadb": _mysql}
    if dialect not in writers:
        raise ConfigurationError(f"{dialect} has no partitions")
    starts = list(_months(since, months + 1))
    lines = [line for name in tables for line in writers[dialect](*PARTITIONED[name], starts)]
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
    yield from _moved(table, old)
    yield "COMMIT"


def _divided_postgresql(
    table: sa.Table, prefix: str, starts: Sequence[datetime], found: _Found
) -> Iterator[str]:
    old = f"{table.name}_divided"
    yield "BEGIN"
    if found.later:
        yield f"ALTER TABLE {table.name} DETACH PARTITION {found.later}"
        yield f"ALTER TABLE {found.later} RENAME TO {old}"
    bounds = [*(f"'{id_bounds(prefix, start)}'" for start in starts), "MAXVALUE"]
    names = [*(f"{table.name}_{start:%Y%m}" for start in starts[:-1]), f"{table.name}_later"]
    for name, (low, high) in zip(names, pairwise(bounds), strict=True):
        yield f"CREATE TABLE {name} PARTITION OF {table.name} FOR VALUES FROM ({low}) TO ({high})"
    if found.later:
        yield from _moved(table, old)
    yield "COMMIT"


def _moved(table: sa.Table, old: str) -> Iterator[str]:
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    yield f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {old}"  # noqa: S608 - our own names
    yield f"DROP TABLE {old}"


def _mysql(table: sa.Table, prefix: str, starts: Sequence[datetime]) -> Iterator[str]:
    yield f"ALTER TABLE {table.name} PARTITION BY RANGE COLUMNS (id) ({_parts(prefix, starts)})"


def _divided_mysql(table: sa.Table, prefix: str, starts: Sequence[datetime], found: _Found) -> Iterator[str]:
    what = f"REORGANIZE PARTITION {found.later} INTO" if found.later else "ADD PARTITION"
    yield f"ALTER TABLE {table.name} {what} ({_parts(prefix, starts)})"


def _parts(prefix: str, starts: Sequence[datetime]) -> str:
    parts = [
        f"PARTITION p{start:%Y%m} VALUES LESS THAN ('{id_bounds(prefix, end)}')"
        for start, end in pairwise(starts)
    ]
    return ", ".join([*parts, "PARTITION later VALUES LESS THAN (MAXVALUE)"])


# --- what there is --------------------------------------------------------------------------------


def _found(connection: sa.Connection, table: sa.Table) -> _Found | None:
    """Return how far *table* is partitioned; None where it is not at all."""
    of_postgresql = connection.dialect.name == "postgresql"
    rows = connection.execute(_OF_POSTGRESQL if of_postgresql else _OF_MYSQL, {"name": table.name}).all()
    if not rows:
        return None
    ends = re.findall(r"'(\w+-[0-9a-f-]+)'", " ".join(str(bound) for _, bound in rows))
    if not ends or any(bound == "DEFAULT" for _, bound in rows):
        raise ConfigurationError(f"the partitions of {table.name} are not months: divide them by hand")
    # A bound of PostgreSQL names both of its ends, so that the last month's end is `later`'s beginning.
    quote = connection.dialect.identifier_preparer.quote
    later = next((quote(name) for name, bound in rows if "MAXVALUE" in str(bound)), None)
    statement = sa.select(sa.func.count()).select_from(table).where(table.c.id >= max(ends))
    return _Found(max(ends), later, int(connection.execute(statement).scalar_one()))


def _drawn_at(bound: str) -> datetime:
    """Return the first moment whose ids are not below *bound*: their milliseconds are in front."""
    drawn = int(bound.partition("_")[2].replace("-", "")[:12], 16)
    return datetime.fromtimestamp(drawn / 1000, UTC)


def _made(statement: CreateTable | CreateIndex, dialect: Dialect) -> str:
    return str(statement.compile(dialect=dialect)).strip()
