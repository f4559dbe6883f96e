"""The gateway on the wire: reads a request, lets a fault spoil it, answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from . import control, pages
from .api import Answer, Call
from .faults import Fault, FaultKind
from .problems import Problem

if TYPE_CHECKING:
    from .gateway import FakeStripe

__all__ = ["build_app"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# Stripe's API answers browsers of every origin, as its own script needs (2026-11, seen on api.stripe.com).
_CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, POST, DELETE, OPTIONS",
    "access-control-allow-headers": "authorization, content-type, idempotency-key, stripe-version",
    "access-control-expose-headers": "Request-Id, Idempotent-Replayed",
    "access-control-max-age": "300",
}


def build_app(gateway: FakeStripe) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Return the ASGI application of one gateway."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        courier = asyncio.create_task(gateway.webhooks.run())
        yield
        courier.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await courier

    beside = Starlette(
        routes=[
            *pages.routes(gateway),
            *control.routes(gateway),
            Mount("/_static", StaticFiles(directory=pages.STATIC)),
            Route("/favicon.ico", lambda _: Response(status_code=204)),
            Route("/", lambda _: Response("A sandbox payment gateway. Nothing here moves money.\n")),
        ],
        lifespan=lifespan,
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        # The API is served by hand and not by the framework: a fault must be able to cut the connection.
        if scope["type"] == "http" and scope["path"].startswith("/v1/"):
            await _Conversation(gateway, scope, receive, send).hold()
        else:
            await beside(scope, receive, send)

    return app


class _Conversation:
    """One request to the API and what becomes of it."""

    def __init__(self, gateway: FakeStripe, scope: Scope, receive: Receive, send: Send) -> None:
        self._gateway, self._scope, self._receive, self._send = gateway, scope, receive, send

    async def hold(self) -> None:
        call = await self._read()
        if call.method == "OPTIONS":
            await self._start(204, _CORS)
            await self._send({"type": "http.response.body", "body": b""})
            return
        api = self._gateway.api
        fault = self._gateway.faults.take(call.method, call.path, api.caller(call) or "nobody")
        answer: Answer | None = None
        if fault is None or fault.kind not in (FaultKind.DROP_BEFORE, FaultKind.HANG_BEFORE):
            if fault is not None and fault.kind is FaultKind.SLOW:
                await self._dawdle(call, fault)
            with self._gateway.books.lock:
                answer = self._answer(call, fault)
        with self._gateway.books.lock:
            api.log(call, answer, fault.kind if fault else None)
        await self._reply(answer, fault)

    async def _read(self) -> Call:
        body = b""
        more = True
        while more:
            message = await self._receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._scope["headers"]
        }
        return Call(
            method=self._scope["method"],
            path=self._scope["path"],
            query=self._scope["query_string"].decode("latin-1"),
            headers=headers,
            body=body,
        )

    def _answer(self, call: Call, fault: Fault | None) -> Answer:
        api = self._gateway.api
        broken = "An unknown error occurred."
        match fault.kind if fault else None:
            case FaultKind.ERROR_BEFORE:
                assert fault is not None
                return api.turn_away(Problem(fault.status, "api_error", broken, remembered=False))
            case FaultKind.RATE_LIMITED:
                message = "Request rate limit exceeded."
                return api.turn_away(
                    Problem(429, "invalid_request_error", message, code="rate_limit", remembered=False)
                )
            case FaultKind.KEY_IN_USE:
                message = "There is currently another in-progress request using this Idempotent Key."
                return api.turn_away(
                    Problem(
                        409, "idempotency_error", message, code="idempotency_key_in_use", remembered=False
                    )
                )
            case FaultKind.ERROR_STORED:
                return api.answer(call, refuse=Problem(500, "api_error", broken, remembered=True))
            case FaultKind.ERROR_AFTER:
                return api.answer(call, spoil=Problem(500, "api_error", broken, remembered=True))
            case _:
                return api.answer(call)

    async def _dawdle(self, call: Call, fault: Fault) -> None:
        """Keep the key in use for a while before anything is executed."""
        with self._gateway.books.lock:
            mine = self._gateway.api.occupy(call)
        await self._pause(fault.seconds)
        if mine:
            with self._gateway.books.lock:
                self._gateway.api.keys.forget(call.headers["idempotency-key"])

    async def _pause(self, seconds: float) -> None:
        """Wait until the time is over, the client gave up or the switches were cleared."""
        before = self._gateway.faults.cleared
        gone = asyncio.ensure_future(self._gone())
        deadline = asyncio.get_running_loop().time() + seconds
        while not gone.done() and self._gateway.faults.cleared == before:
            rest = deadline - asyncio.get_running_loop().time()
            if rest <= 0:
                break
            await asyncio.wait({gone}, timeout=min(rest, 0.1))
        gone.cancel()

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _reply(self, answer: Answer | None, fault: Fault | None) -> None:
        if fault is not None and fault.kind in (FaultKind.HANG_BEFORE, FaultKind.HANG_AFTER):
            await self._pause(600)
            await self._cut()
        elif answer is None or (fault is not None and fault.kind is FaultKind.DROP_AFTER):
            await self._cut()
        elif fault is not None and fault.kind is FaultKind.UNREADABLE:
            page = b"<!doctype html><title>Gateway</title><h1>Service temporarily unavailable</h1>"
            await self._start(200, {"content-type": "text/html"})
            await self._send({"type": "http.response.body", "body": page})
        elif fault is not None and fault.kind is FaultKind.HALF_ANSWER:
            await self._start(answer.status, answer.headers | {"content-length": str(len(answer.body))})
            half = answer.body[: len(answer.body) // 2]
            await self._send({"type": "http.response.body", "body": half, "more_body": True})
            await self._cut()
        else:
            await self._start(
                answer.status, answer.headers | {"content-length": str(len(answer.body))} | _CORS
            )
            await self._send({"type": "http.response.body", "body": answer.body})

    async def _start(self, status: int, headers: dict[str, str]) -> None:
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def _cut(self) -> None:
        """Close the connection under the client. ASGI has no word for that; uvicorn has."""
        cycle = getattr(self._send, "__self__", None)
        transport = getattr(cycle, "transport", None)
        if transport is None:
            raise RuntimeError("this server does not show its transport: run the gateway with uvicorn")
        transport.close()
        await self._gone()
