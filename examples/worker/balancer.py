"""A load balancer, as small as one can be. Yours is nginx, or your cloud's."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def balanced(ports: Sequence[int], port: int = 0) -> AsyncIterator[int]:
    """Give each connection to the next instance that takes it; yield the port where it listens."""
    turns = deque(ports)
    open_now: set[asyncio.Task[None] | None] = set()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        open_now.add(task)
        try:
            for _ in ports:
                turns.rotate(-1)
                with suppress(OSError):
                    inside, outside = await asyncio.open_connection("127.0.0.1", turns[0])
                    await asyncio.gather(_pipe(reader, outside), _pipe(inside, writer))
                    return
        except asyncio.CancelledError:
            return
        finally:
            writer.close()
            open_now.discard(task)

    server = await asyncio.start_server(connection, "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in open_now:
            if task is not None:
                task.cancel()


async def _pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    except OSError:
        return
    finally:
        target.close()
