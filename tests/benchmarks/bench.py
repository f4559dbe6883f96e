"""
Everything in one table, measured in one run.

    python tests/benchmarks/bench.py            all of it, about five minutes
    python tests/benchmarks/bench.py --quick    small numbers, to see that it runs
    python tests/benchmarks/bench.py --only http

The variants take turns, round by round, so that a busy second of the machine meets all of them; every
figure is the median of its rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import hooks
import imports
import load
import sessions
import stores
from load import Ask
from seed import BUYER, READER, seed
from serve import ASGI, WSGI
from table import Table, compared

from bridge_payments.stores.sql import SQLStore
from bridge_payments.testing.servers import Postgres, ServerMissing, running_postgres

HERE: Final = Path(__file__).parent
PREFIX: Final = "/bridge-payment/payments"
NEW: Final = {
    "total_cents": 5500,
    "currency": "USD",
    "description": "Two tickets",
    "reference_code": "order-1042",
    "metadata": {"cart": "c-77", "channel": "web"},
}
PARTS: Final = ("imports", "auth", "stores", "calls", "http", "hooks")
FLOORS: Final = {"raw asgi": "raw asgi", "raw flask": "raw flask", "flask": "raw flask"}


@dataclass(frozen=True, slots=True)
class Size:
    rounds: int
    pairs: int
    reads: int
    lists: int
    creates: int
    hooks: int
    stores: int


FULL: Final = Size(rounds=5, pairs=60, reads=240, lists=120, creates=100, hooks=1000, stores=40)
QUICK: Final = Size(rounds=2, pairs=10, reads=40, lists=20, creates=20, hooks=200, stores=10)


# --- processes ------------------------------------------------------------------------------------


@contextlib.contextmanager
def running(*command: str) -> Iterator[list[str]]:
    """Run one of our programs until the block ends; yield the words of its first line: port, and so on."""
    process = subprocess.Popen([sys.executable, *command], cwd=HERE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline().split()
        if not line:
            raise RuntimeError(f"{' '.join(command)} did not start")
        yield line
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:  # it waits for a gateway that never answers, which is the point
            process.kill()
            process.wait(10)


@contextlib.contextmanager
def gateway(*options: str) -> Iterator[list[str]]:
    with running("gateway.py", *options) as (port, *more):
        yield [f"http://127.0.0.1:{port}", *more]


async def prepared(url: str) -> str:
    store = SQLStore(url)
    await store.upgrade()
    known = await seed(store)
    await store.aclose()
    return known


# --- the three parts --------------------------------------------------------------------------------


def measure_imports(table: Table, size: Size) -> None:
    for name, figures in imports.measured(imports.ROUNDS if size is FULL else 2).items():
        table.add("import", name, p50=figures[0], mib=figures[1])


def measure_calls(table: Table, size: Size, folder: Path, postgres: Postgres | None) -> None:
    """The engine beside the SDK: create and confirm, one after the other."""
    with contextlib.ExitStack() as stack:
        [constant] = stack.enter_context(gateway())
        stateful, key = stack.enter_context(gateway("stateful"))
        sqlite = f"sqlite:///{folder}/calls.db"
        asyncio.run(prepared(sqlite))
        asked: dict[str, Any] = {
            "gateway": constant, "stateful": stateful, "key": key, "rounds": size.rounds, "count": size.pairs,
            "sqlite": sqlite, "postgresql": None,
        }  # fmt: skip
        if postgres is not None:
            asked["postgresql"] = postgres.url_of(stack.enter_context(postgres.database()))
            asyncio.run(prepared(asked["postgresql"]))
        done = subprocess.run(
            [sys.executable, "calls.py", json.dumps(asked)], cwd=HERE, check=True, stdout=subprocess.PIPE
        )
    rounds: dict[str, list[dict[str, float]]] = json.loads(done.stdout)
    bare = rounds["sdk, its httpx client"]
    for name, figures in rounds.items():
        table.add("create + confirm", name, **load.median_of(figures))
    for name, figures in rounds.items():
        if name.startswith("engine") and not name.endswith("fake"):
            added = [
                {key: one[key] - two[key] for key in one} for one, two in zip(figures, bare, strict=True)
            ]
            table.add("added to the sdk", name, **(load.median_of(added) | {"rate": None}))


def measure_http(table: Table, size: Size, postgres: Postgres) -> None:
    """Every application over the same database server, one at a time."""
    with contextlib.ExitStack() as stack:
        [constant] = stack.enter_context(gateway())
        template = stack.enter_context(postgres.database())
        known = asyncio.run(prepared(postgres.url_of(template)))
        ports = {}
        for name in (*ASGI, *WSGI):
            url = postgres.url_of(stack.enter_context(postgres.database(template)))
            [port] = stack.enter_context(running("serve.py", name, url, constant))
            ports[name] = int(port)
        rounds = asyncio.run(_http_rounds(ports, size, known))
        memory = asyncio.run(_memory(ports))
    for what, by_name in rounds.items():
        for name, figures in by_name.items():
            floor = by_name[FLOORS.get(name, "raw asgi")]
            table.add(what, name, **load.median_of(figures), **compared(figures, floor))
    for name, mebibytes in memory.items():
        table.add("memory after all that", name, mib=mebibytes)


async def _http_rounds(
    ports: dict[str, int], size: Size, known: str
) -> dict[str, dict[str, list[dict[str, float]]]]:
    work = {
        "GET /payments/{id}": (Ask("GET", f"{PREFIX}/{known}", READER), size.reads),
        "GET /payments": (Ask("GET", PREFIX, READER), size.lists),
        "POST /payments/intents": (
            Ask("POST", f"{PREFIX}/intents", BUYER, json.dumps(NEW).encode()),
            size.creates,
        ),
    }
    await _must_agree(ports, [asked for asked, _ in work.values()])
    rounds: dict[str, dict[str, list[dict[str, float]]]] = {
        what: {name: [] for name in ports} for what in work
    }
    for turn in range(size.rounds + 1):
        for what, (asked, count) in work.items():
            for name, port in ports.items():
                if name.endswith("worker inside") and asked.method == "GET":
                    continue
                done = await load.run(port, asked, count if turn else max(count // 5, 8))
                if turn:  # the first one warms up
                    rounds[what][name].append(done.figures)
    return {what: {name: runs for name, runs in by.items() if runs} for what, by in rounds.items()}


async def _must_agree(ports: dict[str, int], asks: list[Ask]) -> None:
    """All applications say the same: else they were not compared at the same work."""
    for asked in asks:
        shapes = {name: _shape(await load.ask(port, asked)) for name, port in ports.items()}
        if others := [name for name, shape in shapes.items() if shape != shapes["starlette"]]:
            raise RuntimeError(f"{asked.method} {asked.path}: {others} answer otherwise")


def _shape(value: Any, name: str = "") -> str:
    """Return *value* without what differs by nature: times, and the ids of new payments."""
    if isinstance(value, dict):
        return str(sorted((key, _shape(item, key)) for key, item in value.items()))
    if isinstance(value, list):
        return str([_shape(item) for item in value])
    varies = name in ("id", "client_secret", "provider_intent_id", "version") or name.endswith("_at")
    return str(type(value).__name__ if varies else value)


async def _memory(ports: dict[str, int]) -> dict[str, float]:
    asked = Ask("GET", "/usage", "")
    return {name: (await load.ask(port, asked))["mebibytes"] for name, port in ports.items()}


# --- everything ---------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=PARTS, action="append")
    options = parser.parse_args()
    size, parts = (QUICK if options.quick else FULL), options.only or PARTS
    table, began, busy = Table(), time.monotonic(), os.getloadavg()[0]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bridge-bench-")))
        postgres = None
        try:
            postgres = stack.enter_context(running_postgres())
        except ServerMissing as missing:
            print(f"without PostgreSQL: {missing}", file=sys.stderr)
        if "imports" in parts:
            measure_imports(table, size)
        if "auth" in parts:
            sessions.measure(table, rounds=size.rounds)
        if "stores" in parts:
            stores.measure(
                table,
                rounds=min(size.rounds, 5),
                count=size.stores,
                folder=folder,
                postgres=postgres,
            )
        if "calls" in parts:
            measure_calls(table, size, folder, postgres)
        if "http" in parts and postgres is not None:
            measure_http(table, size, postgres)
        if "hooks" in parts:
            hooks.measure(
                table,
                rounds=min(size.rounds, 5),
                count=size.hooks,
                folder=folder,
                postgres=postgres,
                bench=sys.modules[__name__],
            )
    http = "httptools" if importlib.util.find_spec("httptools") else "h11"
    print(table)
    print(
        f"\n{platform.python_implementation()} {platform.python_version()}, {platform.machine()}, "
        f"{os.cpu_count()} cores, load {busy:.1f} at the beginning; {http} in uvicorn; "
        f"medians of {size.rounds} rounds; {time.monotonic() - began:.0f} seconds"
    )


if __name__ == "__main__":
    main()
