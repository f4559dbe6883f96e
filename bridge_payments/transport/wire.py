"""
httpx's transport over aiohttp's connections: it knows whether a byte left, and it asks once.

httpx's own pool costs up to eight times as much CPU under concurrency, and the published bridge
between the two libraries reports a server that read the request and then hung up as a connect
error, which a caller would take for permission to charge again.
"""

from __future__ import annotations

import asyncio
import io
import socket
import ssl
from collections.abc import Collection, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from ..seam import passing
from .addresses import not_public, refusal
from .lease import LeaseOver, check_lease

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

__all__ = ["AddressRefused", "AiohttpTransport", "RequestRefused"]

_KEEP_ALIVE: Final = 15.0
"""Seconds. Shorter than any provider keeps an idle connection, so that they rarely close one under us."""

_LARGE: Final = 2**16

_AUTOMATIC: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_OURS: Final = frozenset({b"content-length", b"transfer-encoding", b"connection"})
"""Headers that describe the connection or the framing: aiohttp writes them for the body it sends."""


_UNDONE: Final = frozenset({b"content-encoding", b"content-length"})
"""Headers of a compressed answer that say nothing true of the decompressed one."""


class RequestRefused(httpx.ConnectError):
    """Refused before a connection was opened: the request itself cannot be sent."""


class AddressRefused(RequestRefused):
    """The URL leads to an address that is not public. Nothing was sent."""


class _NotPublic(OSError):
    """What the resolver and the socket factory raise: aiohttp wraps nothing but OSErrors."""


class _Hidden(Exception):
    """An error that aiohttp must not see, because it would send a GET, PUT or DELETE a second time."""


class _TooLarge(Exception):
    pass


class _Attempt:
    """What is known of one request on its way."""

    __slots__ = ("queued", "sent", "what")

    def __init__(self, what: str) -> None:
        self.what = what
        self.queued = True
        self.sent = False


_attempt: ContextVar[_Attempt] = ContextVar("bridge_payments_attempt")


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends each request at most once and reads the whole answer, within one deadline.

    `httpx.ConnectError`, `ConnectTimeout` and `PoolTimeout` mean that no byte of the request left.
    Every other error means that the outcome is unknown. Of a request's httpx timeout, ``read`` is
    the deadline for everything together and ``connect`` the deadline for reaching the server.
    """

    def __init__(
        self,
        *,
        connect_timeout: float,
        total_timeout: float,
        max_connections: int,
        max_bytes: int,
        tls: ssl.SSLContext,
        proxy: str | None = None,
        public_only: bool = False,
        allow_hosts: Collection[str] = (),
    ) -> None:
        self._connect_timeout = connect_timeout
        self._total_timeout = total_timeout
        self._max_bytes = max_bytes
        self._tls = tls
        self._proxy = proxy
        self._public_only = public_only
        self._allow_hosts = frozenset(host.lower() for host in allow_hosts)
        self._slots = asyncio.Semaphore(max_connections)
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        # An error is raised outside its except block: aiohttp's errors hold URLs and headers, and a
        # traceback that shows the context would show those.
        path = "/…" if self._public_only else request.url.path  # the path of a chat webhook is its secret
        attempt = _Attempt(f"{request.method} {request.url.host}{path}")
        try:
            return await self._handle(request, attempt)
        except httpx.TransportError as error:
            failure: httpx.TransportError = error
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the caller has to learn whether a byte left
            failure = _failure(error, attempt, request.url.host)
        raise failure from None

    async def aclose(self) -> None:
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    async def _handle(self, request: httpx.Request, attempt: _Attempt) -> httpx.Response:
        body = await request.aread()
        url, headers = _url_of(request), _headers_of(request)
        guarded = self._guards(url)
        limits = request.extensions.get("timeout") or {}
        total = limits.get("read") or self._total_timeout
        connect = min(limits.get("connect") or self._connect_timeout, total)
        async with asyncio.timeout(total):
            async with asyncio.timeout(connect):
                await self._slots.acquire()
            attempt.queued = False
            try:
                token = _attempt.set(attempt)
                try:
                    return await self._exchange(request, url, headers, body, connect=connect, guarded=guarded)
                finally:
                    _attempt.reset(token)
            finally:
                self._slots.release()

    async def _exchange(
        self,
        request: httpx.Request,
        url: URL,
        headers: list[tuple[str, str]],
        body: bytes,
        *,
        connect: float,
        guarded: bool,
    ) -> httpx.Response:
        limit = int(request.extensions.get("max_bytes") or self._max_bytes)
        async with self._session(guarded).request(
            request.method,
            url,
            # aiohttp writes bytes at one go and warns when they are many; a file is written in parts.
            data=body or None if len(body) < _LARGE else io.BytesIO(body),
            headers=headers,
            skip_auto_headers=_AUTOMATIC,
            allow_redirects=False,
            proxy=self._proxy,
            timeout=aiohttp.ClientTimeout(total=None, connect=connect, ceil_threshold=float("inf")),
        ) as answer:
            content = await _read(answer, limit)
            passing("receive", _attempt.get().what)
            return _response(answer, content)

    def _guards(self, url: URL) -> bool:
        """Return whether the address is to be checked; refuse a literal here, which no resolver sees."""
        host = (url.raw_host or "").lower()
        if not self._public_only or host in self._allow_hosts:
            return False
        if host.replace(".", "").isdigit() or ":" in host:
            why = refusal(host, [host])
            if why:
                raise AddressRefused(why)
        return True

    def _session(self, guarded: bool) -> aiohttp.ClientSession:
        session = self._sessions.get(guarded)
        if session is None:
            session = self._sessions[guarded] = aiohttp.ClientSession(
                connector=_Connector(
                    ssl=self._tls,
                    limit=0,
                    keepalive_timeout=_KEEP_ALIVE,
                    resolver=_PublicResolver() if guarded else ThreadedResolver(),
                    socket_factory=_public_socket if guarded else None,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                middlewares=(_once,),
            )
        return session


class _Connector(aiohttp.TCPConnector):
    """Hands out connections that are fit for a request, and knows the moment before its first byte."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._used: WeakSet[ResponseHandler] = WeakSet()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        while not await self._fit(connection):
            connection.close()
            connection = await super().connect(req, traces, timeout)
        try:
            attempt = _attempt.get()
            passing("send", attempt.what)
            check_lease()
            attempt.sent = True
        except BaseException:
            connection.close()
            raise
        return connection

    async def _fit(self, connection: Connection) -> bool:
        protocol = connection.protocol
        if protocol is None:
            return False
        if protocol not in self._used:
            self._used.add(protocol)
            return True
        # The server may have closed this idle connection, or have sent an answer that nobody asked
        # for (a 408 on its way out), and the loop has not looked yet. Two turns let it look.
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        except BaseException:
            connection.close()
            raise
        return protocol.is_connected() and not protocol.should_close


class _PublicResolver(AbstractResolver):
    """Resolves once and refuses a name of which any address is not public."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if why := refusal(host, [result["host"] for result in found]):
            raise _NotPublic(why)
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _public_socket(address: Any) -> socket.socket:
    """The last wall: whatever path led here, this is the address that will be connected to."""
    family, kind, protocol, _, peer = address
    if why := not_public(str(peer[0])):
        raise _NotPublic(f"an address that is not public ({why})")
    return socket.socket(family, kind, protocol)


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await send(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Hidden from error


async def _read(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    chunks, size = [], 0
    async for chunk in answer.content.iter_any():  # decompressed: the limit holds against a small bomb
        size += len(chunk)
        if size > limit:
            raise _TooLarge(f"the answer is larger than {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _response(answer: aiohttp.ClientResponse, content: bytes) -> httpx.Response:
    headers = list(answer.raw_headers)
    if "Content-Encoding" in answer.headers:
        headers = [(name, value) for name, value in headers if name.lower() not in _UNDONE]
    return httpx.Response(answer.status, headers=headers, content=content, extensions=_extensions(answer))


def _extensions(answer: aiohttp.ClientResponse) -> Mapping[str, Any]:
    return {"reason_phrase": (answer.reason or "").encode("ascii", "replace")}


def _url_of(request: httpx.Request) -> URL:
    if request.url.scheme not in ("http", "https") or not request.url.host:
        raise RequestRefused("only http and https URLs with a host can be sent to")
    url = URL(str(request.url), encoded=True)
    return url.with_user(None) if url.raw_user is not None else url  # httpx made it an Authorization header


def _headers_of(request: httpx.Request) -> list[tuple[str, str]]:
    headers = []
    for name, value in request.headers.raw:
        if any(byte in value for byte in b"\r\n\0"):
            raise RequestRefused("a header contains a line break")
        if name.lower() not in _OURS:
            headers.append((name.decode("ascii"), value.decode("utf-8", "surrogateescape")))
    return headers


def _failure(error: Exception, attempt: _Attempt, host: str) -> httpx.TransportError:
    """Say in httpx's words what became of the request. `attempt.sent` decides, not the class of the error."""
    cause = error.__cause__ if isinstance(error, _Hidden) and error.__cause__ else error
    if not attempt.sent:
        return _never_sent(cause, attempt, host)
    if isinstance(cause, TimeoutError):
        return httpx.ReadTimeout("no complete answer before the deadline")
    if isinstance(cause, _TooLarge):
        return httpx.RemoteProtocolError(str(cause))
    if isinstance(cause, aiohttp.ServerDisconnectedError):
        return httpx.RemoteProtocolError("the server hung up without an answer")
    if isinstance(cause, aiohttp.ClientPayloadError):
        return httpx.RemoteProtocolError("the answer breaks off or cannot be decoded")
    if isinstance(cause, aiohttp.ClientResponseError):
        return httpx.RemoteProtocolError("the answer is not HTTP")
    return httpx.ReadError(f"the connection broke after the request had left ({type(cause).__name__})")


def _never_sent(cause: BaseException, attempt: _Attempt, host: str) -> httpx.TransportError:
    if isinstance(cause, TimeoutError):
        if attempt.queued:
            return httpx.PoolTimeout("no free connection before the deadline")
        return httpx.ConnectTimeout(f"no connection to {host} before the deadline")
    if isinstance(cause, LeaseOver):
        return httpx.ConnectError(str(cause))
    inner = getattr(cause, "os_error", None) or getattr(cause, "certificate_error", None) or cause
    if isinstance(inner, _NotPublic):
        return AddressRefused(str(inner))
    if isinstance(inner, ssl.SSLCertVerificationError):
        return httpx.ConnectError(f"the certificate of {host} is not valid: {inner.verify_message}")
    reason = getattr(inner, "strerror", None) or type(inner).__name__
    return httpx.ConnectError(f"no connection to {host}: {reason}")
