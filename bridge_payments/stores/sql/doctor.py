"""For operators: how far the database's clock is off, and whether its commits survive a power cut."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa

from ...models import Clock, utc_now

__all__ = ["clock_skew", "hints"]

_NOW: Final = {
    "postgresql": sa.text("SELECT clock_timestamp()"),
    "mysql": sa.text("SELECT UTC_TIMESTAMP(6)"),
    "mariadb": sa.text("SELECT UTC_TIMESTAMP(6)"),
    "libsql": sa.text("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')"),
}


def clock_skew(connection: sa.Connection, *, clock: Clock = utc_now) -> float:
    """Return by how many seconds the database's clock is ahead; SQLite uses this machine's."""
    ask = _NOW.get(_kind(connection))
    if ask is None:
        return 0.0
    before = clock()
    theirs = connection.execute(ask).scalar_one()
    middle = before + (clock() - before) / 2
    if isinstance(theirs, str):
        theirs = datetime.fromisoformat(theirs)
    assert isinstance(theirs, datetime)
    return (theirs.replace(tzinfo=theirs.tzinfo or UTC) - middle).total_seconds()


def hints(connection: sa.Connection) -> list[str]:
    """Return, a sentence each, what lets this database forget a commit that it confirmed."""
    match _kind(connection):
        case "postgresql":
            return _of_postgresql(connection)
        case "mysql" | "mariadb":
            return _of_mysql(connection)
        case "sqlite":
            return _of_sqlite(connection)
        case _:
            return []


def _kind(connection: sa.Connection) -> str:
    """Return the dialect's name, or ``libsql``: a SQLite whose files and clock are another machine's."""
    return "libsql" if connection.dialect.driver == "libsql" else connection.dialect.name


def _of_postgresql(connection: sa.Connection) -> list[str]:
    wrong = {
        "synchronous_commit": "the last commits can be lost in a crash, and with them a reserved charge",
        "fsync": "a crash can destroy the database",
    }
    return [
        f"{name} is off: {why}; set it to on"
        for name, why in wrong.items()
        if connection.execute(sa.text(f"SHOW {name}")).scalar_one() == "off"
    ]


def _of_mysql(connection: sa.Connection) -> list[str]:
    flush = int(connection.execute(sa.text("SELECT @@innodb_flush_log_at_trx_commit")).scalar_one())
    if flush == 1:
        return []
    return [f"innodb_flush_log_at_trx_commit is {flush}: the last second's commits can be lost; set it to 1"]


def _of_sqlite(connection: sa.Connection) -> list[str]:
    found = []
    if int(connection.execute(sa.text("PRAGMA synchronous")).scalar_one()) < 2:
        found.append("synchronous is below FULL: the last commits can be lost in a power cut")
    journal = connection.execute(sa.text("PRAGMA journal_mode")).scalar_one()
    if journal not in ("wal", "memory"):
        found.append(f"journal_mode is {journal}: readers and writers wait for each other; use WAL")
    return found
