"""The store in memory, where a dict has to behave like a database: threads, and no half of anything."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

from bridge_payments.stores import MemoryStore
from bridge_payments.stores.base import Unit
from bridge_payments.testing.stores.samples import a_payment, keep


def test_threads_wait_for_each_other() -> None:
    store, payment = MemoryStore(), a_payment()
    asyncio.run(keep(store, payment))

    def count(unit: Unit) -> None:
        found = unit.payments.get(payment.id)
        assert found is not None
        changed = replace(found, sync_count=found.sync_count + 1)
        assert unit.payments.save(changed, expected_version=found.version)

    async def counting() -> None:
        for _ in range(100):
            await store.run(count)

    threads = [threading.Thread(target=lambda: asyncio.run(counting())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = asyncio.run(store.run(lambda unit: unit.payments.get(payment.id)))
    assert found is not None
    assert found.sync_count == 400


def test_a_cancelled_caller_that_had_not_begun_wrote_nothing() -> None:
    async def main() -> None:
        store, payment = MemoryStore(), a_payment()
        caller = asyncio.ensure_future(keep(store, payment))
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.wait([caller])
        assert await store.run(lambda unit: unit.payments.get(payment.id)) in (None, payment)

    asyncio.run(main())
