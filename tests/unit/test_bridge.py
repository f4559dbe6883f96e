"""The bridge's own life: it begins when it is asked to, ends cleanly, and may begin again."""

from __future__ import annotations

import asyncio

from bridge_payments import Bridge, PaymentEngine, Settings
from bridge_payments.providers.dummy import DummyProvider
from bridge_payments.stores import MemoryStore


def a_bridge(**settings: bool) -> Bridge:
    return Bridge(
        PaymentEngine(
            MemoryStore(), {"dummy": DummyProvider()}, settings=Settings(allow_sandbox=True, **settings)
        )
    )


def workers() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "bridge-payments-worker"]


def test_many_that_start_it_at_once_start_one_worker() -> None:
    async def live() -> None:
        bridge = a_bridge()
        await asyncio.gather(*(bridge.start() for _ in range(8)))
        assert len(workers()) == 1
        await bridge.aclose()
        assert workers() == []

    asyncio.run(live())


def test_it_lives_in_one_event_loop_after_another() -> None:
    """A script that calls `asyncio.run` twice."""
    bridge = a_bridge()

    async def live() -> None:
        await asyncio.gather(*(bridge.start() for _ in range(8)))
        bridge.wake()
        await asyncio.sleep(0.01)  # long enough for the worker to look and to wait
        assert len(workers()) == 1
        await bridge.aclose()

    for _ in range(3):
        asyncio.run(live())
    assert not bridge.started


def test_a_worker_may_run_where_the_bridge_never_started() -> None:
    bridge = a_bridge(inprocess_worker=False)

    async def work() -> None:
        worker = asyncio.create_task(bridge.run_worker())
        await asyncio.sleep(0.01)
        worker.cancel()
        await asyncio.wait({worker})
        await bridge.aclose()
        assert worker.cancelled()

    for _ in range(2):
        asyncio.run(work())


def test_a_commit_at_the_last_moment_does_not_keep_it_alive() -> None:
    """Wake-up and end in the same turn of the loop: the end counts."""

    async def live() -> None:
        bridge = a_bridge()
        await bridge.start()
        await asyncio.sleep(0.01)  # its queues are empty by now, and it waits
        bridge.wake()
        async with asyncio.timeout(5):
            await bridge.aclose()
        assert workers() == []

    asyncio.run(live())
