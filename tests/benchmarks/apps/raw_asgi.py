"""A handler written for the server itself, with asyncpg and our transport."""

from __future__ import annotations

import json
from typing import Any

import asyncpg

from bridge_payments.transport import Transport

from . import raw

SQL = raw.Statements("$")


class App:
    def __init__(self, database: str, gateway: str) -> None:
        self._database = database
        self._intents = gateway + "/v1/payment_intents"
        self._transport = Transport()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        user = next((value.decode() for name, value in scope["headers"] if name == b"x-user"), None)
        if user is None:
            await _answer(send, 401, b"{}")
            return
        path = scope["path"]
        if scope["method"] == "POST" and path == raw.PREFIX + "/intents":
            status, body = await self._create(await _body(receive), user)
        elif path == raw.PREFIX:
            rows = await self._pool.fetch(SQL.page, user, user, raw.LIMIT, 0)
            status, body = 200, raw.many(rows, user)
        else:
            row = await self._pool.fetchrow(SQL.get, path[len(raw.PREFIX) + 1 :])
            if row is None:
                status, body = 404, b"{}"
            else:
                status, body = (200, raw.one(row, user)) if row["user_id"] == user else (403, b"{}")
        await _answer(send, status, body)

    async def _create(self, body: bytes, user: str) -> tuple[int, bytes]:
        row = raw.new_row(json.loads(body), user)
        await self._pool.execute(SQL.add, *raw.added(row))
        headers, form = raw.form_of(row)
        answer = await self._transport.request("POST", self._intents, headers=headers, content=form)
        answer.raise_for_status()
        await self._pool.execute(SQL.save, *raw.answered(row, answer.json()))
        return 200, raw.created(row)

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        self._pool = await asyncpg.create_pool(self._database, min_size=10, max_size=10)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._pool.close()
        await self._transport.aclose()
        await send({"type": "lifespan.shutdown.complete"})


async def _body(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _answer(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
