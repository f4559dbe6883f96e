"""The load: a closed loop over a few kept connections, from this process to one server at a time."""

from __future__ import annotations

import asyncio
import json
import math
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

CONNECTIONS: Final = 8


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, written out once."""

    method: str
    path: str
    user: str
    body: bytes = b""

    def wire(self) -> bytes:
        head = f"{self.method} {self.path} HTTP/1.1\r\nhost: bench\r\nx-user: {self.user}\r\n"
        if self.body:
            head += f"content-type: application/json\r\ncontent-length: {len(self.body)}\r\n"
        return head.encode() + b"\r\n" + self.body


@dataclass(frozen=True, slots=True)
class Run:
    """What one block of requests, or of calls, came to."""

    seconds: float
    cpu: float
    latencies: Sequence[float]

    @property
    def figures(self) -> dict[str, float]:
        count = len(self.latencies)
        return {
            "rate": count / self.seconds,
            "p50": 1000 * percentile(self.latencies, 50),
            "p95": 1000 * percentile(self.latencies, 95),
            "p99": 1000 * percentile(self.latencies, 99),
            "cpu": 1000 * self.cpu / count,
        }


def percentile(values: Iterable[float], rank: float) -> float:
    """Return the smallest value that *rank* percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(rank / 100 * len(ordered)) - 1, 0)]


def median_of(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median round of each figure by itself."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


async def ask(port: int, request: Ask) -> Any:
    """Send one request and return its JSON."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return json.loads(await _exchange(reader, writer, request.wire()))
    finally:
        writer.close()


async def run(port: int, request: Ask, count: int) -> Run:
    """Send *request* *count* times over all connections; the server says what CPU that cost it."""
    return await run_each(port, [request.wire()] * count)


async def run_each(port: int, wires: Sequence[bytes], *, per_second: float | None = None) -> Run:
    """Send each of *wires* once over all connections, as fast as they are answered or at a steady rate.

    At a steady rate the latency counts from when a request was due, not from when a connection was free.
    """
    before = (await ask(port, Ask("GET", "/usage", "")))["cpu"]
    rest = iter(enumerate(wires))
    latencies: list[float] = []

    async def visitor() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number, wire in rest:
            due = time.perf_counter()
            if per_second:
                due = began + number / per_second
                await asyncio.sleep(max(due - time.perf_counter(), 0))
            await _exchange(reader, writer, wire)
            latencies.append(time.perf_counter() - due)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(visitor() for _ in range(CONNECTIONS)))
    seconds = time.perf_counter() - began
    after = (await ask(port, Ask("GET", "/usage", "")))["cpu"]
    return Run(seconds, after - before, latencies)


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wire: bytes) -> bytes:
    writer.write(wire)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    _, _, length = head.partition(b"content-length:")
    body = await reader.readexactly(int(length.split(b"\r\n", 1)[0]))
    if not head.startswith((b"http/1.1 200", b"http/1.1 201")):
        raise RuntimeError(
            f"{wire.splitlines()[0]!r} was answered with {head.splitlines()[0]!r} {body[:300]!r}"
        )
    return body
