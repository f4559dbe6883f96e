"""What it costs to know who asks, when it is remembered: CPU of this process, in quiet runs of many."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any, Final

from table import Table

from bridge_payments.auth import AuthBridge, FlowlessLogin
from bridge_payments.auth.flowless import Identity
from bridge_payments.messages import Request

__all__ = ["measure"]

_COUNT: Final = 20_000
_REQUEST: Final = Request(
    method="GET",
    path="/payments",
    headers={"x-session-id": "sess_0123456789abcdef", "user-agent": "bench", "accept": "*/*"},
    peer="192.0.2.7",
)


class _Flowless:
    """Answers at once, and counts: while the measuring goes on it must not be asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def ask(self, credential: Any, seen: Any) -> Identity:
        self.asked += 1
        return Identity(id="ada", email="ada@example.com", is_verified=True)


async def _blocks(rounds: int) -> dict[str, list[float]]:
    flowless = _Flowless()
    login = FlowlessLogin(flowless)  # type: ignore[arg-type]
    bridge = AuthBridge(chain=[login])
    await bridge.identify(_REQUEST)
    [key] = [login._carriers.find(_REQUEST).key]  # type: ignore[union-attr]
    cache = login._known[login._carriers.find(_REQUEST).kind]  # type: ignore[union-attr]

    async def whole() -> None:
        for _ in range(_COUNT):
            await bridge.identify(_REQUEST)

    async def hashed() -> None:
        find, hit = login._carriers.find, cache.hit
        for _ in range(_COUNT):
            hit(find(_REQUEST).key)  # type: ignore[union-attr]

    async def hit_only() -> None:
        hit = cache.hit
        for _ in range(_COUNT):
            hit(key)

    work: dict[str, Callable[[], Any]] = {
        "the cache's hit": hit_only,
        "found, hashed, hit": hashed,
        "AuthBridge.identify": whole,
    }
    found: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds + 1):
        for name, block in work.items():
            began = time.process_time()
            await block()
            if turn:  # the first one warms up
                found[name].append((time.process_time() - began) / _COUNT * 1000)
    assert flowless.asked == 1, "a request with a remembered session makes no outbound call"
    return found


def measure(table: Table, *, rounds: int) -> None:
    """Add one row per part of the way. A thousandth of a millisecond has no column: it stands in the name."""
    for name, figures in asyncio.run(_blocks(rounds)).items():
        table.add("remembered session", f"{name}: {statistics.median(figures) * 1000:.2f} µs CPU")
