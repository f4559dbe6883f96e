"""The two halves of the webhooks: signed events in, deliveries out."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import load
from serve import HOOKS
from table import Table, compared

from bridge_payments.stores.base import PaymentQuery
from bridge_payments.stores.sql import SQLStore
from bridge_payments.testing.servers import Postgres

__all__ = ["INGEST", "OUT", "STUCK", "measure"]

HERE: Final = Path(__file__).parent
INGEST: Final = "signed Stripe events in, {}"
STUCK: Final = "processing stuck, {}"
STEADY: Final = 100.0
"""Events a second, where as many as possible are not what is measured."""
OUT: Final = "deliveries to a local sink"
SECRET: Final = "whsec_bench"
OBJECT: Final[dict[str, Any]] = {
    "id": "pi_3Bench", "object": "payment_intent", "amount": 5500, "amount_capturable": 0,
    "amount_details": {"tip": {}}, "amount_received": 5500, "application": None,
    "automatic_payment_methods": {"allow_redirects": "always", "enabled": True}, "canceled_at": None,
    "cancellation_reason": None, "capture_method": "automatic_async", "client_secret": "pi_3Bench_secret_x",
    "confirmation_method": "automatic", "created": 1700000000, "currency": "usd", "customer": None,
    "description": "Two tickets", "excluded_payment_method_types": None, "last_payment_error": None,
    "latest_charge": "ch_3Bench", "livemode": False, "metadata": {"cart": "c-77", "channel": "web"},
    "next_action": None, "on_behalf_of": None, "payment_method": "pm_1Bench",
    "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
    "payment_method_types": ["card"], "processing": None, "receipt_email": None, "review": None,
    "setup_future_usage": None, "shipping": None, "source": None, "statement_descriptor": None,
    "status": "succeeded", "transfer_data": None, "transfer_group": None,
}  # fmt: skip


def wires(count: int, *, path: str, run: str, about: Sequence[str] = ()) -> list[bytes]:
    """Return *count* requests, each a signed event of its own: *about* these, or payments unknown to us."""
    made, moment = [], str(int(time.time()))
    for number in range(count):
        intent = about[number % len(about)] if about else f"pi_{run}_{number}"
        event = {
            "id": f"evt_{run}_{number}", "object": "event", "api_version": "2026-10-28",
            "created": int(moment),
            "data": {"object": OBJECT | {"id": intent}}, "livemode": False,
            "pending_webhooks": 1, "request": {"id": None, "idempotency_key": None},
            "type": "payment_intent.succeeded",
        }  # fmt: skip
        body = json.dumps(event, indent=2).encode()
        signature = hmac.new(SECRET.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
        head = (
            f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
            f"stripe-signature: t={moment},v1={signature}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


def measure(
    table: Table, *, rounds: int, count: int, folder: Path, postgres: Postgres | None, bench: Any
) -> None:
    """Add the rows of both halves."""
    with contextlib.ExitStack() as stack:
        sink, silent = (stack.enter_context(bench.running("sink.py", *more))[0] for more in ((), ("silent",)))
        places = {"SQLite": [f"sqlite:///{folder}/{name}.db" for name in (*HOOKS, "stuck")]}
        if postgres is not None:
            template = stack.enter_context(postgres.database())
            asyncio.run(bench.prepared(postgres.url_of(template)))
            places["PostgreSQL"] = [
                postgres.url_of(stack.enter_context(postgres.database(template))) for _ in (*HOOKS, "stuck")
            ]
        for url in places["SQLite"]:
            asyncio.run(bench.prepared(url))
        for place, urls in places.items():
            _ingest(table, place, urls, rounds=rounds, count=count, silent=silent, bench=bench)
        outs = (
            [postgres.url_of(stack.enter_context(postgres.database())) for _ in range(rounds)]
            if postgres
            else []
        )
        asked = {
            "sink": f"http://127.0.0.1:{sink}/", "rounds": rounds, "count": count * 2,
            "sqlite": f"sqlite:///{folder}/out", "postgresql": outs,
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "deliver.py", json.dumps(asked)], cwd=HERE, check=True, stdout=subprocess.PIPE
        )
    found: dict[str, list[dict[str, float]]] = json.loads(done.stdout)
    floor = found["transport alone"]
    for name, figures in found.items():
        table.add(OUT, name, **load.median_of(figures), **compared(figures, floor))


def _ingest(
    table: Table, place: str, urls: list[str], *, rounds: int, count: int, silent: str, bench: Any
) -> None:
    with contextlib.ExitStack() as stack:
        ports = {}
        for name, url in zip((*HOOKS, "stuck"), urls, strict=True):
            program = "hooks, worker inside" if name == "stuck" else name
            [port] = stack.enter_context(
                bench.running("serve.py", program, url, f"http://127.0.0.1:{silent}")
            )
            ports[name] = int(port)
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in ports}
        steady: list[dict[str, float]] = []
        known = asyncio.run(_known(urls[-1]))
        for turn in range(rounds + 1):
            for name, port in ports.items():
                path = "/hooks" if name == "raw hooks" else "/bridge-payment/webhooks/stripe"
                about = known if name == "stuck" else ()  # its worker waits for what became of these
                asked = wires(count if turn else 50, path=path, run=f"{turn}", about=about)
                done = asyncio.run(load.run_each(port, asked))
                if turn:
                    runs[name].append(done.figures)
            asked = wires(count // 10, path=path, run=f"{turn}_steady", about=known)
            done = asyncio.run(load.run_each(ports["stuck"], asked, per_second=STEADY))
            if turn:
                steady.append(done.figures)
    floor = runs["raw hooks"]
    for name in ("hooks", "raw hooks"):
        what = INGEST.format(place)
        table.add(what, _NAMES[name], **load.median_of(runs[name]), **compared(runs[name], floor))
    table.add(STUCK.format(place), "as many as it takes", **load.median_of(runs["stuck"]))
    table.add(STUCK.format(place), f"{STEADY:.0f} a second", **load.median_of(steady))


async def _known(url: str) -> list[str]:
    """Return the provider's names of payments that are in the database."""
    store = SQLStore(url)
    page = await store.run(lambda unit: unit.payments.list(PaymentQuery(limit=1000)), write=False)
    await store.aclose()
    return [str(payment.provider_intent_id) for payment in page.items]


_NAMES: Final = {"hooks": "raw webhook route", "raw hooks": "the verification and a bare INSERT"}
