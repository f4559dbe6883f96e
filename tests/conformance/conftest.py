"""What the conformance suites run against."""

from __future__ import annotations

import os
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path

import pytest

pytest.register_assert_rewrite("bridge_payments.testing.stores")

from databases import (  # noqa: E402 - after the line above
    VERSIONS,
    database,
    emptied,
    mariadb,
    migrated,
    mysql,
    partitioned,
    partitioned_mariadb,
    pgbouncer,
    postgres,
    sqld,
)
from leaks import returned_connections  # noqa: E402 - the same
from processes import heard, tell  # noqa: E402 - the same

__all__ = [
    "database",
    "emptied",
    "mariadb",
    "migrated",
    "mysql",
    "partitioned",
    "partitioned_mariadb",
    "pgbouncer",
    "postgres",
    "returned_connections",
    "sqld",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--big", action="store_true", help="tens of thousands of rows where hundreds do")


@pytest.fixture
def counts(request: pytest.FixtureRequest) -> dict[str, int]:
    """How many rows and rounds the tests with several processes take."""
    if request.config.getoption("--big", default=False):
        return {"processes": 8, "drained": 50_000, "lost": 10_000, "rounds": 150}
    return {"processes": 4, "drained": 1_600, "lost": 800, "rounds": 10}


SUITES = {
    "TestMemory": ("memory", ""),
    "TestSQLiteFile": ("sqlite", "a file"),
    "TestSQLiteInMemory": ("sqlite", "in memory"),
    "TestPostgreSQLWithAsyncpg": ("postgresql", "asyncpg"),
    "TestPostgreSQLWithPsycopg": ("postgresql", "psycopg"),
    "TestPgBouncerWithAsyncpg": ("pgbouncer", "asyncpg"),
    "TestPgBouncerWithPsycopg": ("pgbouncer", "psycopg"),
    "TestMariaDB": ("mariadb", "asyncmy"),
    "TestMariaDBBlocking": ("mariadb", "pymysql"),
    "TestPartitionedPostgreSQL": ("postgresql", "partitioned by month"),
    "TestPartitionedMariaDB": ("mariadb", "partitioned by month"),
    "TestMySQL": ("mysql", "asyncmy"),
    "TestLibSQL": ("sqld", "HTTP"),
}


def pytest_sessionfinish(session: pytest.Session) -> None:
    tell(session.config, "versions", VERSIONS)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say on which databases the store's promises were tried, and tell whoever started the run."""
    versions = dict(ChainMap(*heard(config, "versions")))
    kept, broken = (_databases(terminalreporter, outcome, versions) for outcome in ("passed", "failed"))
    if not kept | broken:
        return
    line = f"the store's promises were kept on {', '.join(sorted(kept - broken)) or 'none'}"
    if broken:
        line += f"; broken on {', '.join(sorted(broken))}"
    terminalreporter.write_line(line)
    if told := os.environ.get("BRIDGE_RAN"):
        with Path(told).open("a") as lines:
            lines.write(f"{line}\n")


def _databases(reporter: pytest.TerminalReporter, outcome: str, versions: Mapping[str, str]) -> set[str]:
    nodes = (report.nodeid for report in reporter.getreports(outcome))
    suites = {node.split("::")[1] for node in nodes if "conformance/test_stores" in node}
    named = (SUITES.get(suite, (suite, "")) for suite in suites)
    return {f"{versions.get(name, name)}{f' ({how})' if how else ''}" for name, how in named}
