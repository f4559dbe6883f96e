"""What doctor reads off a PostgreSQL server: its clock, and whether it may forget what it confirmed."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from bridge_payments.stores.sql import SQLStore

pytestmark = pytest.mark.anyio


async def test_a_server_on_this_machine_has_our_clock_and_forgets_nothing(database: str) -> None:
    store = SQLStore(database)
    assert abs(await store.clock_skew()) < 1
    await store.aclose()


async def test_a_server_that_confirms_before_it_writes_is_named(database: str) -> None:
    engine = create_async_engine(sa.make_url(database).set(drivername="postgresql+asyncpg"))

    @sa.event.listens_for(engine.sync_engine, "connect")
    def careless(connection: object, record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        cursor.execute("SET synchronous_commit = off")
        cursor.close()

    store = SQLStore(engine)
    assert any(hint.startswith("synchronous_commit is off") for hint in await store.hints())
    await store.aclose()
    await engine.dispose()
