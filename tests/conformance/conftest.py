"""What the conformance suites run against."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("bridge_payments.testing.stores")

from bridge_payments.stores.sql import SQLStore  # noqa: E402 - after the line above
from bridge_payments.testing.servers import Postgres, running_postgres  # noqa: E402


@pytest.fixture(scope="session")
def postgres(require: Callable[[str], Path]) -> Iterator[Postgres]:
    with running_postgres(require("postgresql")) as server:
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> Iterator[str]:
    """A database that every test gets a copy of: migrating once is enough."""

    async def migrate(url: str) -> None:
        store = SQLStore(url)
        await store.upgrade()
        await store.aclose()

    with postgres.database() as name:
        asyncio.run(migrate(postgres.url_of(name)))
        yield name


@pytest.fixture
def database(postgres: Postgres, migrated: str) -> Iterator[str]:
    """The URL of a migrated and empty database."""
    with postgres.database(template=migrated) as name:
        yield postgres.url_of(name)
