"""A connection to a database that breaks at a COMMIT: before the server heard it, or after it was done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

import sqlalchemy as sa

__all__ = ["Severed", "severed"]

Moment = Literal["undone", "done"]


@dataclass
class Severed:
    """A stretch of wire that speaks no protocol: it knows the word COMMIT when it passes."""

    url: str
    """How the store reaches the database through it."""
    at: int = 0
    """Which COMMIT from now on is cut; 0 for none."""
    moment: Moment = "undone"
    commits: int = 0
    """How many passed, the one that was cut included, since the last order."""
    wires: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self, at: int, moment: Moment) -> None:
        self.at, self.moment, self.commits = at, moment, 0

    @property
    def was_cut(self) -> bool:
        return 0 < self.at <= self.commits


@asynccontextmanager
async def severed(url: str) -> AsyncIterator[Severed]:
    """Stand between a store and the database of *url*, which names its driver."""
    given = sa.make_url(url)
    socket = given.query.get("host")

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if socket:
            return await asyncio.open_unix_connection(f"{socket}/.s.PGSQL.{given.query.get('port', 5432)}")
        return await asyncio.open_connection(given.host, given.port)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, server = await connect()
        wire.wires |= {writer, server}
        back = asyncio.ensure_future(_copy(answers, writer))
        try:
            while data := await reader.read(65536):
                if b"COMMIT" in data.upper():
                    wire.commits += 1
                    if wire.commits == wire.at:
                        if wire.moment == "done":
                            back.cancel()
                            await asyncio.wait({back})
                            server.write(data)
                            await server.drain()
                            await answers.read(65536)  # it is done, and nobody hears of it
                        return
                server.write(data)
                await server.drain()
        except OSError:
            pass
        finally:
            back.cancel()
            for end in (writer, server):
                wire.wires.discard(end)
                with suppress(OSError, RuntimeError):
                    end.transport.abort() if end is writer else end.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    query = {name: value for name, value in given.query.items() if name not in ("host", "port")}
    through = given.set(host="127.0.0.1", port=port, query=query)
    wire = Severed(through.render_as_string(hide_password=False))
    try:
        yield wire
    finally:
        listening.close()
        for end in list(wire.wires):
            end.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
