"""
Mount on Starlette, or on any ASGI host, or run alone.

    app = Starlette(
        routes=[payments_mount(bridge, "/bridge-payment"), *health_routes(bridge)],
        lifespan=bridge.lifespan,
    )

Starlette does not run the lifespan of what is mounted: hence ``lifespan=bridge.lifespan``. A request that
finds the bridge not started says so in the log, once, and starts it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.routing import Match, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ..http import HEALTH_ROUTES, Router
from .asgi import Disconnected, Served, below, send_response

if TYPE_CHECKING:
    from ..bridge import Bridge

__all__ = ["health_routes", "payments_app", "payments_mount"]


def payments_app(bridge: Bridge) -> ASGIApp:
    """Return every route as an ASGI application; unknown paths below its prefix are answered here too."""
    return _App(Served(bridge, Router(bridge)))


def payments_mount(bridge: Bridge, prefix: str) -> Mount:
    """Return the route of Starlette under which every path is answered here."""
    return _Mount(prefix, app=payments_app(bridge))


def health_routes(bridge: Bridge) -> list[Route]:
    """Return the health routes for the root of the host, where monitors look."""
    app = _App(Served(bridge, Router(bridge, HEALTH_ROUTES)))
    return [Route(route.path, endpoint=app, include_in_schema=False) for route in HEALTH_ROUTES]


class _Mount(Mount):
    """The framework's own ends at a newline and answers such paths with a page of its own."""

    def __init__(self, path: str, app: ASGIApp) -> None:
        super().__init__(path, app=app)
        self.path_regex = re.compile(self.path_regex.pattern, re.DOTALL)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match the bare prefix, too: the framework would send its callers on to the slash."""
        found, inner = super().matches(scope)
        if found is Match.NONE and scope["type"] == "http" and not scope["path"].endswith("/"):
            found, inner = super().matches({**scope, "path": scope["path"] + "/"})
            if inner.get("root_path") != scope["path"]:
                return Match.NONE, {}
        return found, inner


class _App:
    def __init__(self, served: Served) -> None:
        self._served = served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                body = await self._served.read_body(receive)
            except Disconnected:
                return
            path, prefix = below(scope)
            await send_response(send, await self._served.answer(scope, body, path=path, prefix=prefix))
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._served.bridge.start()
        except Exception as error:  # noqa: BLE001 - the server is told, and stops
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._served.bridge.aclose()
        await send({"type": "lifespan.shutdown.complete"})
