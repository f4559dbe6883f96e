"""Work by the clock: one process of the fleet at a time, and none of it lost with the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from bridge_payments import jobs
from bridge_payments.jobs import Done, Job, run_if_due
from bridge_payments.models import MovableClock, ScheduledJob
from bridge_payments.stores import Store
from bridge_payments.stores.memory import MemoryStore
from bridge_payments.stores.sql import SQLStore

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "sql"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Store, MovableClock]]:
    clock = MovableClock()
    store: Store = MemoryStore(clock) if request.param == "memory" else SQLStore("sqlite://", clock=clock)
    await store.upgrade()
    yield store, clock
    await store.aclose()


async def row(store: Store) -> ScheduledJob:
    (found,) = await store.run(lambda unit: unit.jobs.list(), write=False)
    return found


async def test_of_many_processes_one_does_it_and_the_next_time_is_when_it_is_due(place: Any) -> None:
    store, clock = place
    at_it, most, runs = 0, 0, 0

    async def work(note: str | None) -> Done:
        nonlocal at_it, most, runs
        at_it, runs = at_it + 1, runs + 1
        most = max(most, at_it)
        for _ in range(20):
            await asyncio.sleep(0)
        at_it -= 1
        return Done(1)

    job = Job("clean", 600.0, work)
    for _ in range(3):
        assert sum(await asyncio.gather(*(run_if_due(store, job) for _ in range(8)))) == 1
        clock.move(timedelta(seconds=601))
    assert (most, runs) == (1, 3)


async def test_a_job_goes_on_where_its_last_run_ended(place: Any) -> None:
    store, clock = place
    heard: list[str | None] = []

    async def work(note: str | None) -> Done:
        heard.append(note)
        return Done(0, f"{len(heard)}")

    for _ in range(3):
        await run_if_due(store, Job("clean", 60.0, work))
        clock.move(timedelta(seconds=61))
    assert heard == [None, "1", "2"]


async def test_a_failure_is_written_down_and_tried_again_soon(place: Any) -> None:
    store, clock = place

    async def work(note: str | None) -> Done:
        raise RuntimeError("the words of an error may hold anything")

    assert await run_if_due(store, Job("clean", 36000.0, work)) == 0
    failed = await row(store)
    assert (failed.error, failed.lease_until) == ("RuntimeError", None)
    assert clock() + timedelta(seconds=50) < failed.due_at <= clock() + timedelta(seconds=60)


async def test_a_process_that_is_stopped_gives_its_job_back_at_once(place: Any) -> None:
    store, _ = place
    begun = asyncio.Event()

    async def work(note: str | None) -> Done:
        begun.set()
        return await asyncio.Future()

    async def other(note: str | None) -> Done:
        return Done(7)

    running = asyncio.create_task(run_if_due(store, Job("clean", 600.0, work)))
    await begun.wait()
    assert await run_if_due(store, Job("clean", 600.0, other)) == 0
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await run_if_due(store, Job("clean", 600.0, other)) == 7


async def test_a_long_run_keeps_its_lease_and_one_that_lost_it_is_cut_off(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, clock = place
    monkeypatch.setattr(jobs, "LEASE_SECONDS", 0.03)
    begun, cut_off = asyncio.Event(), asyncio.Event()

    async def work(note: str | None) -> Done:
        begun.set()
        try:
            return await asyncio.Future()
        finally:
            cut_off.set()

    running = asyncio.create_task(run_if_due(store, Job("clean", 600.0, work)))
    await begun.wait()
    leased = (await row(store)).lease_until
    clock.move(timedelta(seconds=0.02))
    async with asyncio.timeout(10):
        while (await row(store)).lease_until == leased:  # noqa: ASYNC110 - a row signals nobody
            await asyncio.sleep(0.01)
    clock.move(timedelta(seconds=1))  # as if this process had been frozen; another one takes over
    taken = await store.run(lambda unit: unit.jobs.take("clean", lease_seconds=60, token="other"))
    assert taken is not None
    async with asyncio.timeout(10):
        await cut_off.wait()
    assert await running == 0
    assert (await row(store)).finished_at is None, "whoever lost the lease wrote nothing"
