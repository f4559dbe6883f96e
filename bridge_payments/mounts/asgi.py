"""From an ASGI scope to a Request and back: what the ASGI mounts share. Imports no framework."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from ..http import Router
from ..http.peers import Proxies
from ..http.problems import BodyTimedOut
from ..messages import Request, Response

if TYPE_CHECKING:
    from ..bridge import Bridge

__all__ = [
    "Disconnected",
    "Receive",
    "Scope",
    "Send",
    "Served",
    "below",
    "headers_of",
    "query_of",
    "send_response",
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_MAX_QUERY_FIELDS: Final = 100


class Disconnected(Exception):
    """The caller went away before it had said everything: there is nobody to answer."""


class Served:
    """A router behind an ASGI server."""

    def __init__(self, bridge: Bridge, router: Router) -> None:
        self.bridge = bridge
        self.router = router
        self._proxies = Proxies.of(bridge.settings.trusted_proxies)
        self._patience = bridge.settings.request_timeout

    async def read_body(self, receive: Receive) -> bytes | None:
        """Read the body, at most one byte over the limit; None when it does not arrive in time.

        Raises: Disconnected.
        """
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Disconnected
                    chunk: bytes = message.get("body", b"")
                    chunks.append(chunk)
                    size += len(chunk)
                    if size > self.router.max_body or not message.get("more_body", False):
                        return b"".join(chunks)[: self.router.max_body + 1]
        except TimeoutError:
            return None

    async def answer(self, scope: Scope, body: bytes | None, *, path: str, prefix: str) -> Response:
        """Answer one request; *path* is below the mount's *prefix*."""
        headers = headers_of(scope["headers"])
        client = scope.get("client")
        neighbour = client[0] if client else None
        peer, scheme = self._proxies.seen(neighbour, scope.get("scheme", "http"), headers)
        request = Request(
            method=scope["method"],
            path=path,
            headers=headers,
            query=query_of(scope.get("query_string", b"")),
            body=body or b"",
            peer=peer,
            scheme=scheme,
            prefix=self._proxies.prefix(neighbour, headers, prefix),
        )
        return await self.router.answer(request, refusal=BodyTimedOut() if body is None else None)


def below(scope: Scope) -> tuple[str, str]:
    """Return the path below the mount, and the mount's prefix."""
    path: str = scope["path"]
    prefix: str = scope.get("root_path", "").rstrip("/")
    if prefix and (path == prefix or path.startswith(prefix + "/")):
        path = path[len(prefix) :]
    return path or "/", prefix


def headers_of(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by lower-case name; repeated ones are joined as RFC 9110 has it."""
    headers: dict[str, str] = {}
    for name_bytes, value_bytes in raw:
        name, value = name_bytes.decode("latin-1").lower(), value_bytes.decode("latin-1")
        if name in headers:
            value = headers[name] + ("; " if name == "cookie" else ",") + value
        headers[name] = value
    return headers


def query_of(raw: bytes) -> Mapping[str, str]:
    """Return the query's fields; of a repeated one the first."""
    if not raw:
        return {}
    try:
        fields = parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS)
    except ValueError:
        return {}
    return dict(reversed(fields))


async def send_response(send: Send, response: Response) -> None:
    """Send *response* as it is."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
