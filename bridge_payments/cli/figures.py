"""The figures of a process without an HTTP API, for Prometheus: one page, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from ..bridge import Bridge
from ..errors import ConfigurationError

__all__ = ["figures_served"]

_PATIENCE: Final = 10.0
_LONGEST: Final = 16 * 1024
_PATHS: Final = frozenset({"/metrics", "/health/metrics"})


@asynccontextmanager
async def figures_served(bridge: Bridge) -> AsyncIterator[int | None]:
    """Serve them at METRICS_PORT meanwhile; yield the port, None where none is set or nothing is measured.

    Raises: ConfigurationError if the port cannot be had.
    """
    port, host = bridge.settings.metrics_port, bridge.settings.host
    if port is None or bridge.metrics is None:
        yield None
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_PATIENCE):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                writer.write(await _answer(bridge, head))
                await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(answer, host, port, limit=_LONGEST)
    except OSError as error:
        raise ConfigurationError(
            invalid={"METRICS_PORT": f"cannot be listened on: {error.strerror}"}
        ) from None
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _answer(bridge: Bridge, head: str) -> bytes:
    first, *lines = head.split("\r\n")
    method, _, rest = first.partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    if path not in _PATHS or method not in ("GET", "HEAD"):
        return _message("404 Not Found", "text/plain", b"" if method == "HEAD" else b"not found\n")
    fields = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    body, content_type = await bridge.exposition(accept=headers.get("accept", ""))
    return _message("200 OK", content_type, b"" if method == "HEAD" else body)


def _message(status: str, content_type: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode("latin-1") + body
