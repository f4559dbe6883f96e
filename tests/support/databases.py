"""Fixtures: a PostgreSQL of this run's own, and databases on it that are migrated and empty.

A conftest that wants them imports them by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge_payments.stores.sql import SQLStore
from bridge_payments.testing.servers import Postgres, running_postgres

__all__ = ["database", "migrate", "migrated", "postgres"]


def migrate(url: str) -> None:
    """Bring the database of *url* up to the code."""

    async def upgrade() -> None:
        store = SQLStore(url)
        await store.upgrade()
        await store.aclose()

    asyncio.run(upgrade())


@pytest.fixture(scope="session")
def postgres(require: Callable[[str], Path]) -> Iterator[Postgres]:
    with running_postgres(require("postgresql")) as server:
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> Iterator[str]:
    """A database that every test gets a copy of: migrating once is enough."""
    with postgres.database() as name:
        migrate(postgres.url_of(name))
        yield name


@pytest.fixture
def database(postgres: Postgres, migrated: str) -> Iterator[str]:
    """The URL of a migrated and empty database."""
    with postgres.database(template=migrated) as name:
        yield postgres.url_of(name)
