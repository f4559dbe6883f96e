"""A gateway's API on the wire: reads a request, lets a fault spoil it, answers."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from .courier import Courier
from .faults import Fault, FaultKind, Faults

__all__ = ["Answered", "Call", "Service", "build_app"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Names in lower case."""
    body: bytes = field(default=b"", repr=False)


class Answered(Protocol):
    """What an API answers."""

    @property
    def status(self) -> int: ...

    @property
    def body(self) -> bytes: ...

    @property
    def headers(self) -> dict[str, str]: ...


class Service(Protocol):
    """An API without a wire. Everything but `caller` is called under `lock`."""

    @property
    def lock(self) -> threading.RLock: ...

    def caller(self, call: Call) -> str | None:
        """Return who asks: ``server``, ``browser``, or None for nobody it knows."""

    def serve(self, call: Call, fault: FaultKind | None, status: int) -> Answered:
        """Answer; a *fault* that is an answer of its own (an error, a limit) is given instead, or after."""

    def log(self, call: Call, answer: Any, fault: str | None) -> None: ...

    def occupy(self, call: Call) -> bool:
        """Put the request's key in use without executing; return whether it was free."""

    def release(self, call: Call) -> None:
        """Take that back."""


def build_app(
    service: Service,
    *,
    prefixes: tuple[str, ...],
    faults: Faults,
    courier: Courier | None,
    beside: list[BaseRoute],
    cors: Mapping[str, str],
    keep: Callable[[], None] = lambda: None,
) -> App:
    """Return the ASGI application of one gateway: the API under *prefixes*, and what stands *beside* it.

    *keep* writes the books down. It runs before anybody hears of a change, in the loop that also sends the
    webhooks: a gateway that is killed right after its answer still knows what it answered.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if courier is None:
            yield
            return
        delivering = asyncio.create_task(courier.run())
        yield
        delivering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await delivering

    others = Starlette(
        routes=[
            *beside,
            Route("/favicon.ico", lambda _: Response(status_code=204)),
            Route("/", lambda _: Response("A sandbox payment gateway. Nothing here moves money.\n")),
        ],
        lifespan=lifespan,
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        # The API is served by hand and not by the framework: a fault must be able to cut the connection.
        if scope["type"] == "http" and scope["path"].startswith(prefixes):
            await _Conversation(service, faults, cors, keep, scope=scope, receive=receive, send=send).hold()
        elif scope["type"] == "http" and scope["method"] in _CHANGING:
            await others(scope, receive, _keeping(keep, send))
        else:
            await others(scope, receive, send)

    return app


_CHANGING: Final = ("POST", "PATCH", "DELETE")


def _keeping(keep: Callable[[], None], send: Send) -> Send:
    async def kept(message: Message) -> None:
        if message["type"] == "http.response.start":
            keep()
        await send(message)

    return kept


class _Conversation:
    """One request to the API and what becomes of it."""

    def __init__(
        self,
        service: Service,
        faults: Faults,
        cors: Mapping[str, str],
        keep: Callable[[], None],
        *,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self._service, self._faults, self._cors, self._keep = service, faults, cors, keep
        self._scope, self._receive, self._send = scope, receive, send

    async def hold(self) -> None:
        call = await self._read()
        if call.method == "OPTIONS":
            await self._start(204, dict(self._cors))
            await self._send({"type": "http.response.body", "body": b""})
            return
        service = self._service
        fault = self._faults.take(call.method, call.path, service.caller(call) or "nobody")
        answer: Answered | None = None
        if fault is None or fault.kind not in (FaultKind.DROP_BEFORE, FaultKind.HANG_BEFORE):
            if fault is not None and fault.kind is FaultKind.SLOW:
                await self._dawdle(call, fault)
            with service.lock:
                answer = service.serve(call, fault.kind if fault else None, fault.status if fault else 500)
            if call.method in _CHANGING:
                self._keep()
        with service.lock:
            service.log(call, answer, fault.kind if fault else None)
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

    async def _dawdle(self, call: Call, fault: Fault) -> None:
        """Keep the key in use for a while before anything is executed."""
        with self._service.lock:
            mine = self._service.occupy(call)
        await self._pause(fault.seconds)
        if mine:
            with self._service.lock:
                self._service.release(call)

    async def _pause(self, seconds: float) -> None:
        """Wait until the time is over, the client gave up or the switches were cleared."""
        before = self._faults.cleared
        gone = asyncio.ensure_future(self._gone())
        deadline = asyncio.get_running_loop().time() + seconds
        while not gone.done() and self._faults.cleared == before:
            rest = deadline - asyncio.get_running_loop().time()
            if rest <= 0:
                break
            await asyncio.wait({gone}, timeout=min(rest, 0.1))
        gone.cancel()

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _reply(self, answer: Answered | None, fault: Fault | None) -> None:
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
                answer.status, answer.headers | {"content-length": str(len(answer.body))} | dict(self._cors)
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
