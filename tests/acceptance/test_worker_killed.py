"""
A worker is killed at any moment, again and again, and everybody is told of everything.

`bridge-payments worker` runs in a process of its own and is ended by SIGKILL while it delivers to a sink that
fails a third of the time: it answers 503, or hangs up without an answer, or takes the event and hangs up.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import migrate
from serving import HERE
from standardwebhooks import Webhook

from bridge_payments.models import DeliveryState, Event, Money, Payment, PaymentStatus, new_id, utc_now
from bridge_payments.stores.sql import SQLStore
from bridge_payments.webhooks import new_signing_secret

PATIENCE = 150.0


@dataclass
class Sink:
    """A subscriber in a thread of its own, that fails a third of the time."""

    secret: str = field(default_factory=new_signing_secret)
    url: str = ""
    accepted: Counter[str] = field(default_factory=Counter)
    bodies: dict[str, set[str]] = field(default_factory=dict)
    failed: Counter[str] = field(default_factory=Counter)
    forged: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    @contextmanager
    def listening(self) -> Iterator[None]:
        loop, ready = asyncio.new_event_loop(), threading.Event()

        async def serve() -> None:
            self._over = asyncio.Event()
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            async with server:
                self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks"
                ready.set()
                await self._over.wait()

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
        thread.start()
        assert ready.wait(10)
        yield
        loop.call_soon_threadsafe(self._over.set)
        thread.join(10)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                headers = {
                    name.lower(): value
                    for name, value in (line.split(": ", 1) for line in head.rstrip().split("\r\n")[1:])
                }
                body = await reader.readexactly(int(headers["content-length"]))
                luck = self.chance.random()
                if luck < 0.12:
                    self.failed["answered 503"] += 1
                    writer.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n")
                    continue
                if luck < 0.24:
                    self.failed["hung up"] += 1
                    break
                self._accept(headers, body)
                if luck < 0.34:
                    self.failed["took it and hung up"] += 1
                    break
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def _accept(self, headers: dict[str, str], body: bytes) -> None:
        name = headers["webhook-id"]
        try:
            told = Webhook(self.secret).verify(body, headers)
            assert told["id"] == name
        except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not ours
            self.forged += 1
            return
        self.accepted[name] += 1
        self.bodies.setdefault(name, set()).add(hashlib.sha256(body).hexdigest())


class Fleet:
    """Worker processes on one database."""

    def __init__(self, url: str, sink: Sink, folder: Path) -> None:
        self.url, self.sink, self.folder = url, sink, folder
        self.kills = 0
        self.log = (folder / "workers.log").open("ab")
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        main = "import sys; from bridge_payments.cli import main; sys.exit(main(sys.argv[1:]))"
        command = [sys.executable, "-c", main, "worker", "--app", "tellings:bridge"]
        self.running.append(
            subprocess.Popen(
                command,
                cwd=self.folder,
                env={
                    "PATH": os.environ.get("PATH", os.defpath),
                    "PYTHONPATH": str(HERE),
                    "DATABASE_URL": self.url,
                    "SINK_URL": self.sink.url,
                    "SINK_SECRET": self.sink.secret,
                },
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=self.log,
            )
        )

    def kill(self) -> None:
        """Kill the oldest worker, in the middle of whatever it does."""
        worker = self.running.pop(0)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        self.kills += 1

    def stop(self) -> list[int]:
        codes = []
        for worker in self.running:
            worker.send_signal(signal.SIGTERM)
            codes.append(worker.wait(30))
        self.running = []
        self.log.close()
        return codes


async def happen(url: str, count: int) -> set[str]:
    """Let *count* payments succeed, as the engine writes it down."""
    store, names = SQLStore(url), set()
    now = utc_now()
    for start in range(0, count, 500):
        events = []
        for number in range(start, min(start + 500, count)):
            payment = Payment(
                id=new_id("pay"), provider_id="dummy", status=PaymentStatus.SUCCEEDED, currency="USD",
                subtotal_cents=2000, tax_cents=0, discount_cents=0, total_cents=2000, created_at=now,
                updated_at=now, reference_code=f"order-{number}", description=str(Money(2000, "USD")),
            )  # fmt: skip
            events.append(Event(id=new_id("evt"), type="payment.success", created_at=now, payment=payment))
        await store.run(lambda unit, events=events: [unit.events.add(event) for event in events])
        names |= {event.id for event in events}
    await store.aclose()
    return names


def forget_leases(url: str) -> None:
    """Let time pass for who died: what a dead worker had claimed is due."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for table in ("webhook_deliveries", "outbox"):
            connection.execute(
                sa.text(f"UPDATE {table} SET available_at = :early WHERE available_at > :now"),
                {"early": "2026-01-01 00:00:00.000000", "now": "2026-01-01 00:00:01.000000"},
            )
    engine.dispose()


async def states(url: str) -> Counter[str]:
    store = SQLStore(url)
    found = await store.run(lambda unit: unit.deliveries.list(limit=100_000), write=False)
    await store.aclose()
    return Counter(delivery.state.value for delivery in found)


def tell(url: str, folder: Path, *, events: int, kills: int, workers: int, wait_for_leases: bool) -> str:
    """Tell *events* events with *workers* workers of which *kills* are killed; return the figures."""
    sink, chance = Sink(), random.Random(3)
    with sink.listening():
        names = asyncio.run(happen(url, events))
        fleet = Fleet(url, sink, folder)
        began = time.monotonic()
        try:
            for _ in range(workers):
                fleet.start()
            while fleet.kills < kills and len(sink.accepted) < events:
                before, deadline = sum(sink.accepted.values()), time.monotonic() + 30
                while sum(sink.accepted.values()) == before and time.monotonic() < deadline:
                    time.sleep(0.005)  # until the next one is at work, so that every kill meets somebody
                time.sleep(chance.random() * events / 10_000)
                fleet.kill()
                fleet.start()
                if not wait_for_leases:
                    forget_leases(url)
            end = time.monotonic() + PATIENCE
            while asyncio.run(states(url))["delivered"] < events and time.monotonic() < end:
                time.sleep(0.5)
        finally:
            codes = fleet.stop()
        took = time.monotonic() - began
    assert asyncio.run(states(url)) == Counter({DeliveryState.DELIVERED.value: events})
    assert set(sink.accepted) == names, "an event was lost, or one came that never happened"
    assert all(len(bodies) == 1 for bodies in sink.bodies.values()), "two copies of one event differ"
    assert sink.forged == 0
    assert set(codes) <= {0}, (folder / "workers.log").read_text()[-3000:]
    failures = ", ".join(f"{how_many} times it {how}" for how, how_many in sorted(sink.failed.items()))
    copies = sum(sink.accepted.values()) - len(sink.accepted)
    return (
        f"{events} events, {fleet.kills} kills: {len(sink.accepted)} arrived at least once, {copies} copies, "
        f"each under its own id; {failures}; {took:.0f} s"
    )


def test_a_killed_worker_loses_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path / 'payments.db'}"
    migrate(url)
    told = tell(url, tmp_path, events=400, kills=3, workers=1, wait_for_leases=False)
    with capsys.disabled():
        sys.stdout.write(f"\nkill -9, SQLite: {told}\n")


@pytest.mark.slow
def test_ten_thousand_deliveries_outlive_every_kill(
    tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """On PostgreSQL, two workers at a time, and the leases of the dead run out by the clock."""
    told = tell(database, tmp_path, events=10_000, kills=20, workers=2, wait_for_leases=True)
    with capsys.disabled():
        sys.stdout.write(f"\nkill -9, PostgreSQL: {told}\n")
