"""Many workers and one queue: nothing taken twice while leases hold, nothing lost, whoever dies."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge_payments.models import new_id
from bridge_payments.stores.base import Unit
from bridge_payments.stores.sql import SQLStore
from bridge_payments.testing.servers import MySQL
from bridge_payments.testing.stores.samples import a_delivery

WORKER = """
import asyncio, json, sys
from bridge_payments.models import DeliveryState, new_id
from bridge_payments.stores.sql import SQLStore

url, lease, mode = sys.argv[1], float(sys.argv[2]), sys.argv[3]

async def main():
    store = SQLStore(url)
    await store.check()
    print("ready", flush=True); sys.stdin.readline()
    claimed, done, number = [], [], 0
    while True:
        number += 1
        token = new_id("w")
        rows = await store.run(lambda u: u.deliveries.claim_due(limit=100, lease_seconds=lease, token=token))
        claimed += [(row.id, row.event_id) for row in rows]
        if mode == "hold" and rows:
            print(json.dumps([row.id for row in rows]), flush=True)
            sys.stdin.readline()  # for ever: it is killed here
        pending = lambda u: u.deliveries.list(state=DeliveryState.PENDING, limit=1)
        if not rows:
            if not await store.run(pending, write=False):
                break
            await asyncio.sleep(0.05)  # somebody else's lease, or one that has to run out
            continue
        if mode == "lose" and number == 1:
            # What a stopped process or a cut cable does: the lease runs out while the rows are in its hands.
            print("holding", flush=True)
            while await store.run(pending, write=False):
                await asyncio.sleep(0.05)

        def finish(unit):
            return [
                row.id for row in rows
                if unit.deliveries.finish(row, token=token, state=DeliveryState.DELIVERED)
            ]

        done += await store.run(finish)
    await store.aclose()
    print(json.dumps({"claimed": claimed, "done": done}))

asyncio.run(main())
"""


def start(url: str, lease: float, mode: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, url, str(lease), mode]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def ready(worker: subprocess.Popen[str]) -> None:
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n", worker.communicate()[1]


def go(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin is not None
    worker.stdin.write("go\n")
    worker.stdin.flush()


def drain(url: str, *, lease: float, workers: int, losers: int = 0) -> list[dict[str, Any]]:
    """Let *workers* empty the queue; *losers* of them take rows first and find that others told them."""
    modes = ["lose"] * losers + ["work"] * (workers - losers)
    fleet = [start(url, lease, mode) for mode in modes]
    try:
        for worker in fleet:
            ready(worker)
        for worker, mode in zip(fleet, modes, strict=True):
            go(worker)
            if mode == "lose":
                assert worker.stdout is not None
                assert worker.stdout.readline() == "holding\n"
        answers = [worker.communicate(timeout=900) for worker in fleet]
    finally:
        for worker in fleet:
            worker.kill()
    assert [worker.returncode for worker in fleet] == [0] * workers, [error for _, error in answers]
    return [json.loads(out) for out, _ in answers]


def fill(url: str, rows: int) -> set[str]:
    """Put *rows* deliveries of as many events into the queue; return their ids."""

    async def main() -> set[str]:
        store = SQLStore(url)
        await store.upgrade()
        ids: set[str] = set()
        for _ in range(0, rows, 1000):
            deliveries = [a_delivery(new_id("evt")) for _ in range(min(1000, rows - len(ids)))]

            def add(unit: Unit) -> None:
                for delivery in deliveries:  # noqa: B023
                    unit.deliveries.add(delivery)

            await store.run(add)
            ids.update(delivery.id for delivery in deliveries)
        await store.aclose()
        return ids

    return asyncio.run(main())


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/payments.db"
    elif request.param == "postgresql":
        yield request.getfixturevalue("database")
    else:
        server: MySQL = request.getfixturevalue("mariadb")
        with request.getfixturevalue("emptied")(server) as name:
            yield server.url_of(name)


def test_many_workers_take_each_row_once_and_leave_none(url: str, counts: dict[str, int]) -> None:
    ids = fill(url, counts["drained"])
    answers = drain(url, lease=600, workers=counts["processes"])
    claimed = Counter(row for answer in answers for row, _ in answer["claimed"])
    done = Counter(row for answer in answers for row in answer["done"])
    assert set(claimed.values()) == {1}, "a row was taken twice while its lease held"
    assert set(claimed) == set(done) == ids
    assert set(done.values()) == {1}


def test_rows_whose_lease_was_lost_are_acknowledged_once_under_the_same_id(
    url: str, counts: dict[str, int]
) -> None:
    ids = fill(url, counts["lost"])
    answers = drain(url, lease=1.0, workers=counts["processes"], losers=counts["processes"] // 2)
    claimed = [tuple(row) for answer in answers for row in answer["claimed"]]
    done = Counter(row for answer in answers for row in answer["done"])
    assert len(claimed) >= len(ids) + 100 * (counts["processes"] // 2), "no lease was lost: nothing was tried"
    assert {row for row, _ in claimed} == set(done) == ids
    assert set(done.values()) == {1}, "two workers acknowledged one row"
    assert len({event for _, event in claimed}) == len(ids), "a repeat carried another id"


def test_what_a_killed_worker_held_is_taken_after_its_lease(url: str) -> None:
    ids = fill(url, 150)
    victim = start(url, 2.0, "hold")
    ready(victim)
    go(victim)
    assert victim.stdout is not None
    held = json.loads(victim.stdout.readline())
    victim.kill()
    victim.communicate()
    assert len(held) == 100
    answers = drain(url, lease=600, workers=2)
    claimed = Counter(row for answer in answers for row, _ in answer["claimed"])
    assert set(claimed) == ids
    assert set(claimed.values()) == {1}
