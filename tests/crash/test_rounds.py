"""
Four processes do whatever they like with the same payments, and one of them is killed meanwhile.

Confirmed, captured, canceled, given back, read, heard of and reconciled in an order that a seed says. After
each round, with a worker that comes later, the gateway's books and our rows have to say the same.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from databases import database, migrate, migrated, postgres
from racer import engine_of
from stripe_books import books_agree

from bridge_payments.sandbox.stripe import FakeStripe

__all__ = ["database", "migrated", "postgres"]

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

FULL = bool(os.environ.get("BRIDGE_FULL"))
"""Minutes instead of seconds: `nox -s crash -- --full` sets it."""
ROUNDS, STEPS, PROCESSES, PAYMENTS = (20, 60, 4, 8) if FULL else (1, 10, 4, 4)
SCRIPT = Path(__file__).parents[1] / "support" / "racer.py"
AMOUNT = 2000


DATABASES = [
    pytest.param("postgresql", marks=pytest.mark.needs("postgresql")),
    *(["sqlite"] if FULL else []),
]


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "postgresql":
        yield request.getfixturevalue("database")
        return
    found = f"sqlite:///{tmp_path / 'shop.db'}"
    yield found


async def begun(engine: Any) -> list[str]:
    made = []
    for number in range(PAYMENTS):
        more = {"capture_method": "manual"} if number % 2 else {}
        payment = await engine.create_payment_intent(
            total_cents=AMOUNT, currency="USD", return_url="https://shop.example/thanks", **more
        )
        made.append(payment.id)
    return made


async def start(todo: dict[str, Any]) -> asyncio.subprocess.Process:
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None
    child.stdin.write(json.dumps(todo).encode())
    child.stdin.close()
    return child


async def test_whatever_four_processes_do_money_moves_once(url: str) -> None:
    if url.startswith("sqlite"):
        await asyncio.to_thread(migrate, url)
    counted: Counter[str] = Counter()
    with FakeStripe() as gateway:
        gateway.webhooks.off = True
        for number in range(1, ROUNDS + 1):
            dice = random.Random(number)
            todo: dict[str, Any] = {
                "gateway": gateway.url, "secret_key": gateway.secret_key, "database": url, "steps": STEPS,
                "offset": gateway.clock.offset.total_seconds(),
            }  # fmt: skip
            engine = engine_of(todo)
            todo["payments"] = await begun(engine)
            children = [await start({**todo, "seed": number * 100 + each}) for each in range(PROCESSES)]
            try:
                # One is killed somewhere in the middle of its work, and another takes its place.
                for _ in range(200):
                    if len(gateway.requests()) > PAYMENTS + dice.randrange(5, 15):
                        break
                    await asyncio.sleep(0.05)
                with suppress(ProcessLookupError):
                    children[0].kill()
                children.append(await start({**todo, "seed": number * 100 + 99}))
                for child in children[1:]:
                    said, _ = await child.communicate()
                    assert child.returncode == 0
                    counted.update(json.loads(said))
            finally:
                for child in children:
                    with suppress(ProcessLookupError):
                        child.kill()
                    await child.wait()
            for _ in range(4):
                engine.clock.move(timedelta(minutes=10))  # type: ignore[attr-defined] # a clock that can be moved
                gateway.clock.move(timedelta(minutes=10))
                await engine.process_inbox(limit=1000)
                await engine.reconcile(limit=1000)
                await engine.sweep(limit=1000)
            await books_agree(engine, gateway, todo["payments"])
            await engine.aclose()
            await engine.transport.aclose()
            await engine.store.aclose()
    assert counted["confirm"], counted
    assert counted["refund"] + counted["capture"] + counted["cancel"], counted
