"""Flask under gunicorn, as a shop runs it: preloaded, two processes of eight threads, on PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from serving import Server, serve, until

from bridge_payments.models import PaymentStatus
from bridge_payments.sandbox.stripe import FakeStripe
from bridge_payments.stores.base import PaymentQuery
from bridge_payments.stores.sql import SQLStore

REQUESTS = 2000
CLIENTS = 16
WORKERS = 2
POOL = 10
"""The connections that one process may open."""

COMMAND = (
    "gunicorn",
    "shopfront:flask_app()",
    "--bind=127.0.0.1:{port}",
    f"--workers={WORKERS}",
    "--threads=8",
    "--worker-class=gthread",
    "--preload",
    "--graceful-timeout=20",
    "--log-level=info",
)
RETURN = "https://shop.example/thanks"

HOOKS = """
def post_fork(server, worker):
    bridge = worker.app.wsgi().extensions["bridge"]
    bridge.call(bridge.start)

def worker_exit(server, worker):
    worker.app.wsgi().extensions["bridge"].close()
"""


@pytest.fixture(scope="module")
def gateway() -> Iterator[FakeStripe]:
    with FakeStripe() as gateway:
        yield gateway


class Sessions:
    """What a database knows of its clients."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))

    def states(self) -> Counter[str]:
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.text(
                    "SELECT state FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    " AND backend_type = 'client backend'"  # and not the one that vacuums
                )
            )
            return Counter(str(state) for (state,) in rows)

    def close(self) -> None:
        self._engine.dispose()


@pytest.fixture
def sessions(database: str) -> Iterator[Sessions]:
    sessions = Sessions(database)
    yield sessions
    sessions.close()


@contextmanager
def shop(folder: Path, database: str, gateway: FakeStripe, *more: str, **env: str) -> Iterator[Server]:
    gateway.reset(endpoints=True)
    settings = {
        "DATABASE_URL": database,
        "STRIPE_SECRET_KEY": gateway.secret_key,
        "STRIPE_WEBHOOK_SECRET": "whsec_gunicorn",
        "STRIPE_API_BASE": gateway.url,
        "ENABLED_PROVIDERS": "stripe",
    }
    with serve((*COMMAND, *more), folder, {**settings, **env}) as server:
        yield server


def a_customer(server: Server, number: int) -> list[tuple[str, int]]:
    """Five requests as a browser makes them; return what was asked and answered."""
    me = {"x_session_id": f"customer-{number}"}
    heard = []

    def ask(what: str, method: str, path: str, body: object = None, **headers: str) -> Any:
        answer = server.ask(method, path, body, **me, **headers)
        heard.append((what, answer.status))
        return answer.json["data"] if answer.status < 300 else {}

    body = {"total_cents": 100 + number, "currency": "eur", "reference_code": f"order-{number}"}
    payment = ask("create", "POST", "/payments/intents", body, idempotency_key=f"create-{number}")
    target = f"/payments/intents/{payment.get('id')}"
    ask("read", "GET", target)
    card = "pm_card_chargeDeclined" if number % 10 == 0 else "pm_card_visa"
    ask("confirm", "POST", f"{target}/confirm", {"payment_method_id": card, "return_url": RETURN})
    ask("sync", "POST", f"{target}/sync", {})
    ask("list", "GET", "/payments?limit=5")
    return heard


def at_work(server: Server) -> dict[int, dict[str, int]]:
    """What runs in each process, asked until each has answered."""
    found: dict[int, dict[str, int]] = {}
    for _ in range(200):
        said = server.ask("GET", "/work", root=True).json
        found[said["pid"]] = said
        if len(found) == WORKERS:
            break
    return found


def at_rest(server: Server) -> dict[int, dict[str, int]]:
    """What has to run: one event loop and one worker in each process."""
    return {pid: {"pid": pid, "workers": 1, "loops": 1} for pid in server.children()}


async def paid(database: str) -> dict[str, int]:
    store = SQLStore(database)
    try:
        first = await store.run(lambda unit: unit.payments.list(PaymentQuery(limit=1000)), write=False)
        unknown = await store.run(lambda unit: unit.operations.list_open(limit=10), write=False)
    finally:
        await store.aclose()
    assert unknown == []
    return {
        one.provider_intent_id or one.id: one.captured_cents
        for one in first.items
        if one.status is PaymentStatus.SUCCEEDED
    }


def test_two_thousand_requests(
    tmp_path: Path, database: str, gateway: FakeStripe, sessions: Sessions
) -> None:
    most, done = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.05):
            most = max(most, sessions.states().total())

    with shop(tmp_path, database, gateway) as server:
        assert until(lambda: len(server.children()) == WORKERS)
        children = server.children()
        assert sessions.states().total() == 0, "loading the application connects to nothing"
        watching = threading.Thread(target=watch)
        watching.start()
        try:
            with ThreadPoolExecutor(CLIENTS) as clients:
                customers = clients.map(lambda n: a_customer(server, n), range(REQUESTS // 5))
                heard = Counter(itertools.chain.from_iterable(customers))
        finally:
            done.set()
            watching.join()

        orders = REQUESTS // 5
        declined = orders // 10
        assert heard == {
            ("create", 201): orders,
            ("read", 200): orders,
            ("confirm", 200): orders - declined,
            ("confirm", 400): declined,
            ("sync", 200): orders,
            ("list", 200): orders,
        }
        assert 0 < most <= WORKERS * POOL, "every process keeps to its pool"

        assert at_work(server) == at_rest(server)
        # Nothing is held between requests. The background work may be in the middle of a look of its own.
        assert until(lambda: set(sessions.states()) == {"idle"})

        books = asyncio.run(paid(database))
        taken = {charge["payment_intent"]: charge["amount_captured"] for charge in gateway.charges(paid=True)}
        assert books == taken
        assert len(gateway.charges(paid=True)) == orders - declined, "nobody was charged twice"

        # Told once, by whichever process came first: created, and then paid or declined.
        assert until(lambda: len(server.diary()) >= 2 * orders)
        told = server.diary()
        assert len({line["event"] for line in told}) == len(told) == 2 * orders
        assert {line["pid"] for line in told} == children, "each process has its part in the background work"

        assert server.stop() == 0
        assert until(lambda: not sessions.states()), "no connection outlives its process"
        assert all(not Path(f"/proc/{pid}").exists() for pid in children)
        assert "Traceback" not in server.log()
        assert "ERROR" not in server.log()


def test_a_parent_that_was_at_work_before_it_forked_harms_no_child(
    tmp_path: Path, database: str, gateway: FakeStripe, sessions: Sessions
) -> None:
    """An application that calls the bridge while it is loaded: loop, pool and worker exist at the fork."""
    with shop(tmp_path, database, gateway, SHOP_STARTS="before the fork") as server:
        with ThreadPoolExecutor(CLIENTS) as clients:
            heard = Counter(
                itertools.chain.from_iterable(clients.map(lambda n: a_customer(server, n), range(1, 10)))
            )
        assert {status for _, status in heard} == {200, 201}
        assert at_work(server) == {pid: {"pid": pid, "workers": 1, "loops": 1} for pid in server.children()}
        assert until(lambda: len(server.diary()) >= 18)
        assert len({line["event"] for line in server.diary()}) == len(server.diary()) == 18
        assert server.stop() == 0
        assert until(lambda: not sessions.states())
        assert "Traceback" not in server.log()


def test_gunicorns_hooks_begin_and_end_the_work_without_a_request(
    tmp_path: Path, database: str, gateway: FakeStripe, sessions: Sessions
) -> None:
    (tmp_path / "hooks.py").write_text(HOOKS)
    with shop(tmp_path, database, gateway, "--config=hooks.py") as server:
        # Nobody has asked for a payment, and both are at work and have been at the database.
        assert at_work(server) == at_rest(server)
        assert until(lambda: sessions.states().total() >= WORKERS)
        assert server.stop() == 0
        assert until(lambda: not sessions.states())
        assert "Traceback" not in server.log()
