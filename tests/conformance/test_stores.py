"""Every store of ours holds what `stores/base.py` promises, and so may anybody's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import Lending

from bridge_payments.models import Clock
from bridge_payments.stores import MemoryStore, Store
from bridge_payments.stores.sql import SQLStore
from bridge_payments.stores.sql.tables import TABLES
from bridge_payments.testing.servers import MySQL, Postgres, Sqld
from bridge_payments.testing.stores import StoreConformance


class TestMemory(StoreConformance):
    def make_store(self, clock: Clock) -> Store:
        return MemoryStore(clock)


class TestSQLiteFile(StoreConformance):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "payments.db"

    def make_store(self, clock: Clock) -> Store:
        return SQLStore(f"sqlite:///{self.path}", clock=clock)


class TestSQLiteInMemory(StoreConformance):
    def make_store(self, clock: Clock) -> Store:
        return SQLStore("sqlite://", clock=clock)


class OnPostgres(StoreConformance):
    driver: str

    @pytest.fixture(autouse=True)
    def database(self, postgres: Postgres, migrated: str) -> Iterator[None]:
        with postgres.database(template=migrated) as name:
            self.url = postgres.url_of(name, self.driver)
            yield

    def make_store(self, clock: Clock) -> Store:
        return SQLStore(self.url, clock=clock)


class TestPostgreSQLWithAsyncpg(OnPostgres):
    driver = "asyncpg"


class TestPostgreSQLWithPsycopg(OnPostgres):
    driver = "psycopg"


class BehindPgBouncer(OnPostgres):
    """In transaction mode: the next transaction is on another connection of the server."""

    @pytest.fixture(autouse=True)
    def pooled(self, database: None, pgbouncer: Postgres) -> None:
        self.url = pgbouncer.url_of(self.url.partition("?")[0].rpartition("/")[2], self.driver)

    def make_store(self, clock: Clock) -> Store:
        return SQLStore(self.url, clock=clock, pooler=True)


class TestPgBouncerWithAsyncpg(BehindPgBouncer):
    driver = "asyncpg"


class TestPgBouncerWithPsycopg(BehindPgBouncer):
    driver = "psycopg"


class OnMySQL(StoreConformance):
    """One database for all of them, emptied in between: making its tables takes longer than most tests."""

    driver = "asyncmy"

    @pytest.fixture(autouse=True)
    def database(self, emptied: Lending, server: MySQL) -> Iterator[None]:
        with emptied(server) as name:
            self.url = server.url_of(name, self.driver)
            yield

    def make_store(self, clock: Clock) -> Store:
        return SQLStore(self.url, clock=clock)


class TestMariaDB(OnMySQL):
    @pytest.fixture
    def server(self, mariadb: MySQL) -> MySQL:
        return mariadb


class TestMariaDBBlocking(TestMariaDB):
    driver = "pymysql"


class TestMySQL(OnMySQL):
    @pytest.fixture
    def server(self, mysql: MySQL) -> MySQL:
        return mysql


class TestLibSQL(StoreConformance):
    @pytest.fixture(autouse=True)
    def database(self, sqld: Sqld) -> Iterator[None]:
        self.url = sqld.url
        yield
        sqld.execute(*(f"DELETE FROM {table}" for table in sorted(TABLES)))

    def make_store(self, clock: Clock) -> Store:
        return SQLStore(self.url, clock=clock)


class TestPartitionedPostgreSQL(OnPostgres):
    driver = "asyncpg"

    @pytest.fixture(autouse=True)
    def database(self, postgres: Postgres, partitioned: str) -> Iterator[None]:
        with postgres.database(template=partitioned) as name:
            self.url = postgres.url_of(name, self.driver)
            yield


class TestPartitionedMariaDB(StoreConformance):
    @pytest.fixture(autouse=True)
    def database(self, mariadb: MySQL, partitioned_mariadb: str) -> Iterator[None]:
        self.url = mariadb.url_of(partitioned_mariadb)
        yield
        mariadb.execute(*(f"DELETE FROM {table}" for table in sorted(TABLES)), database=partitioned_mariadb)

    def make_store(self, clock: Clock) -> Store:
        return SQLStore(self.url, clock=clock)
