"""The check that every test is under: a connection that is not given back is noticed, whoever lent it."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa
from leaks import every_connection_comes_back

from bridge_payments.stores.sql import SQLStore
from bridge_payments.testing.stores.samples import a_payment, keep


def test_a_connection_that_is_kept_is_told_and_what_is_given_back_is_not(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/shop.db")
    with every_connection_comes_back(), engine.connect():
        pass
    kept = []
    with pytest.raises(AssertionError, match="nobody gave back"), every_connection_comes_back():
        kept.append(engine.connect())
    with every_connection_comes_back():  # told once, and not of every test that follows
        pass
    kept[0].close()
    engine.dispose()


def test_a_unit_that_never_ends_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        store = SQLStore(f"sqlite:///{tmp_path}/shop.db")
        await store.upgrade()
        entered, leave = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def work(unit: object) -> None:
            loop.call_soon_threadsafe(entered.set)
            asyncio.run_coroutine_threadsafe(leave.wait(), loop).result()

        async def begin() -> asyncio.Future[None]:
            stays = asyncio.ensure_future(store.run(work))
            await entered.wait()
            return stays

        with ExitStack() as under:
            under.enter_context(pytest.raises(AssertionError, match="nobody gave back"))
            under.enter_context(every_connection_comes_back())
            stays = await begin()
        leave.set()
        await stays
        with every_connection_comes_back():
            await keep(store, a_payment())
        await store.aclose()

    asyncio.run(main())
