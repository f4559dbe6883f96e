"""The floor of the inbox: the same verification, and one bare INSERT."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .raw_asgi import _answer, _body

SECRET = "whsec_bench"
_TABLE = (
    "CREATE TABLE IF NOT EXISTS bare_webhooks"
    " (provider text, event text, body text, PRIMARY KEY (provider, event))"
)
_ADD = "INSERT INTO bare_webhooks VALUES ({}, {}, {}) ON CONFLICT DO NOTHING"


class App:
    def __init__(self, database: str, gateway: str) -> None:
        self._database = database

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        body = await _body(receive)
        header = next(value.decode() for name, value in scope["headers"] if name == b"stripe-signature")
        parts = dict(part.split("=", 1) for part in header.split(","))
        signed = parts["t"].encode() + b"." + body
        wanted = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted, parts["v1"]) or abs(time.time() - int(parts["t"])) > 300:
            await _answer(send, 401, b"{}")
            return
        event = json.loads(body)
        await self._add("stripe", event["id"], body.decode())
        await _answer(send, 200, b'{"received":true}')

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        await self._open()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _open(self) -> None:
        if self._database.startswith("postgresql"):
            import asyncpg

            self._pool = await asyncpg.create_pool(self._database, min_size=10, max_size=10)
            await self._pool.execute(_TABLE)
            return
        self._thread = ThreadPoolExecutor(1)
        await self._in_thread(self._connect)

    async def _add(self, *values: str) -> None:
        if self._database.startswith("postgresql"):
            await self._pool.execute(_ADD.format("$1", "$2", "$3"), *values)
        else:
            await self._in_thread(self._insert, values)

    async def _close(self) -> None:
        if self._database.startswith("postgresql"):
            await self._pool.close()

    async def _in_thread(self, work: Any, *given: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work, *given)

    def _connect(self) -> None:
        path = self._database.removeprefix("sqlite:///")
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=15)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute(_TABLE)

    def _insert(self, values: tuple[str, ...]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute(_ADD.format("?", "?", "?"), values)
        self._connection.execute("COMMIT")
