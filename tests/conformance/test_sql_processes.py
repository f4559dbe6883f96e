"""Several processes, as under gunicorn: one wins each race, and nobody hears of an error."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bridge_payments.models import Operation, Payment
from bridge_payments.stores.base import PaymentQuery, Unit
from bridge_payments.stores.sql import SQLStore

RACER = """
import asyncio, json, sys
from datetime import timedelta
from bridge_payments.models import new_id, utc_now
from bridge_payments.stores.base import IdempotencyRecord
from bridge_payments.stores.sql import SQLStore
from bridge_payments.testing.stores.samples import a_payment, an_operation

url, rounds = sys.argv[1], int(sys.argv[2])

async def main():
    store = SQLStore(url)
    if rounds == 0:
        print("ready", flush=True); sys.stdin.readline()
        await store.upgrade()
    else:
        await store.check()
        print("ready", flush=True); sys.stdin.readline()
    reserved, created, claimed = [], [], []
    for number in range(rounds):
        operation = an_operation(f"pay_{number}")
        holder = await store.run(lambda unit: unit.operations.reserve(operation, lease_seconds=60))
        reserved.append((operation.id, holder))
        payment = a_payment(user_id="racer")
        record = IdempotencyRecord(
            scope="s", key=f"key {number}", body_hash="h", operation_id=None, subject_id=payment.id,
            created_at=utc_now(),
        )
        def create(unit):
            stored = unit.idempotency.put(record)
            if stored == record:
                unit.payments.add(payment)
            return stored.subject_id
        created.append(await store.run(create))
    while rounds:
        due = await store.run(lambda unit: unit.payments.claim_due(limit=3, lease_seconds=600))
        if not due:
            break
        claimed.extend(payment.id for payment in due)
    await store.aclose()
    print(json.dumps({"reserved": reserved, "created": created, "claimed": claimed}))

asyncio.run(main())
"""


def race(url: str, rounds: int, processes: int) -> list[dict[str, Any]]:
    command = [sys.executable, "-W", "error", "-c", RACER, url, str(rounds)]
    pipe = subprocess.PIPE
    racers = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(processes)
    ]
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n", racer.communicate()[1]
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        answers = [racer.communicate(timeout=120) for racer in racers]
    finally:
        for racer in racers:
            racer.kill()
    assert [racer.returncode for racer in racers] == [0] * processes, [error for _, error in answers]
    return [json.loads(out) for out, _ in answers]


async def prepare(url: str, payments: Sequence[Payment]) -> None:
    store = SQLStore(url)
    await store.upgrade()

    def work(unit: Unit) -> None:
        for payment in payments:
            unit.payments.add(payment)

    await store.run(work)
    await store.aclose()


async def look(url: str, rounds: int) -> tuple[list[str], list[str], Sequence[Operation]]:
    store = SQLStore(url)

    def work(unit: Unit) -> Any:
        created = [p.id for p in unit.payments.list(PaymentQuery(user_id="racer", limit=999)).items]
        holders = [unit.operations.holder_of(f"pay_{number}") for number in range(rounds)]
        return created, holders, unit.operations.list_open(limit=999)

    found: tuple[list[str], list[str], Sequence[Operation]] = await store.run(work, write=False)
    await store.aclose()
    return found


@pytest.fixture(params=["sqlite", "asyncpg", "psycopg", "asyncmy"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/payments.db"
        return
    if request.param == "asyncmy":
        server = request.getfixturevalue("mariadb")
        with request.getfixturevalue("emptied")(server) as name:
            yield server.url_of(name)
        return
    database: str = request.getfixturevalue("database")
    yield database.replace("postgresql://", f"postgresql+{request.param}://")


def test_many_processes_agree_on_one_winner_each_time(url: str, counts: dict[str, int]) -> None:
    from bridge_payments.testing.stores.samples import NOW, a_payment

    rounds = counts["rounds"]
    due = [a_payment(next_sync_at=NOW) for _ in range(40)]
    asyncio.run(prepare(url, due))
    answers = race(url, rounds, counts["processes"])
    created, holders, opened = asyncio.run(look(url, rounds))

    for number in range(rounds):
        tries = [answer["reserved"][number] for answer in answers]
        winners = [operation for operation, holder in tries if holder is None]
        assert winners == [holders[number]]
        assert {holder for _, holder in tries} == {None, winners[0]}
        assert len({answer["created"][number] for answer in answers}) == 1
    assert len(opened) == rounds
    assert sorted(created) == sorted(answers[0]["created"])

    claims = Counter(payment for answer in answers for payment in answer["claimed"])
    assert claims == Counter(payment.id for payment in due), "a row was swept twice, or never"


@pytest.mark.parametrize("driver", ["sqlite", "asyncpg", "asyncmy"])
def test_four_processes_upgrade_at_once(driver: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if driver == "sqlite":
        race(f"sqlite:///{tmp_path}/new.db", 0, 4)
        return
    server = request.getfixturevalue("postgres" if driver == "asyncpg" else "mariadb")
    with server.database() as name:
        race(server.url_of(name), 0, 4)
