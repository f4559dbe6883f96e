"""The switches over HTTP, for tests in another process and for whoever prefers curl."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from .gateway import FakeStripe

__all__ = ["routes"]

_HEADER = "x-sandbox-control"
"""Any value. A page of another origin cannot send it without asking, and is not answered when it asks."""


def routes(gateway: FakeStripe) -> list[Route]:
    desk = _Desk(gateway)
    both = ["GET", "POST", "DELETE"]
    return [
        Route("/_control/faults", _guarded(desk.faults), methods=both),
        Route("/_control/webhooks", _guarded(desk.webhooks), methods=["GET", "POST"]),
        Route("/_control/books", _guarded(desk.books), methods=["GET", "DELETE"]),
        Route("/_control/requests", _guarded(desk.requests)),
        Route("/_control/clock", _guarded(desk.clock), methods=["POST"]),
        Route("/_control/settings", _guarded(desk.settings), methods=["POST"]),
    ]


class _Desk:
    def __init__(self, gateway: FakeStripe) -> None:
        self._gateway = gateway

    async def faults(self, method: str, wish: dict[str, Any]) -> dict[str, Any]:
        if method == "POST":
            self._gateway.faults.add(wish.pop("kind"), **wish)
        elif method == "DELETE":
            self._gateway.faults.clear()
        return {"faults": self._gateway.faults.describe()}

    async def webhooks(self, method: str, wish: dict[str, Any]) -> dict[str, Any]:
        couriers = self._gateway.webhooks
        if "url" in wish:
            endpoint = couriers.add(wish["url"], secret=wish.get("secret"))
            return {"url": endpoint.url, "secret": endpoint.secret}
        for name in ("off", "copies", "delay", "reorder"):
            if name in wish:
                setattr(couriers, name, wish[name])
        if wish.get("pause"):
            couriers.pause()
        if wish.get("resume"):
            couriers.resume()
        if order := wish.get("deliver"):
            await anyio.to_thread.run_sync(couriers.deliver_all, order)
        return {
            "endpoints": [endpoint.url for endpoint in couriers.endpoints],
            "held": len(couriers.held()),
            "attempts": [asdict(attempt) for attempt in couriers.attempts[-100:]],
            "off": couriers.off,
            "paused": couriers.paused,
            "copies": couriers.copies,
            "delay": couriers.delay,
            "reorder": couriers.reorder,
        }

    async def books(self, method: str, wish: dict[str, Any]) -> dict[str, Any]:
        if method == "DELETE":
            self._gateway.reset()
        return {
            "intents": self._gateway.intents(),
            "charges": self._gateway.charges(),
            "refunds": self._gateway.refunds(),
            "events": self._gateway.events(),
            "keys": sorted(self._gateway.keys()),
        }

    async def requests(self, method: str, wish: dict[str, Any]) -> dict[str, Any]:
        return {"requests": [asdict(exchange) for exchange in self._gateway.requests()]}

    async def clock(self, method: str, wish: dict[str, Any]) -> dict[str, Any]:
        self._gateway.clock.move(timedelta(seconds=float(wish["seconds"])))
        return {"now": self._gateway.clock().isoformat()}

    async def settings(self, method: str, wish: dict[str, Any]) -> dict[str, Any]:
        if "charge_every_request" in wish:
            self._gateway.charge_every_request = bool(wish["charge_every_request"])
        if "hold_next" in wish:
            self._gateway.hold_next(int(wish["hold_next"]))
        if "settle" in wish:
            self._gateway.settle(wish["settle"], succeeded=wish.get("succeeded", True))
        return {"charge_every_request": self._gateway.charge_every_request}


def _guarded(
    deed: Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]],
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if _HEADER not in request.headers:
            return JSONResponse({"error": f"send the header {_HEADER}"}, status_code=403)
        try:
            wish = json.loads(await request.body() or b"{}")
            return JSONResponse(await deed(request.method, dict(wish)))
        except (KeyError, TypeError, ValueError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, status_code=400)

    return endpoint
