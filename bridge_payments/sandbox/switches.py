"""The switches that every gateway has, over HTTP: for tests in another process, and for curl."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..models import MovableClock
from .courier import Courier
from .faults import Faults

__all__ = ["Switches", "guarded"]

_HEADER: Final = "x-sandbox-control"
"""Any value. A page of another origin cannot send it without asking, and is not answered when it asks."""

Deed = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


class Switches:
    def __init__(self, *, faults: Faults, courier: Courier, clock: MovableClock) -> None:
        self._faults, self._courier, self._clock = faults, courier, clock

    async def faults(self, method: str, wish: dict[str, Any]) -> dict[str, Any]:
        if method == "POST":
            self._faults.add(wish.pop("kind"), **wish)
        elif method == "DELETE":
            self._faults.clear()
        return {"faults": self._faults.describe()}

    async def webhooks(self, method: str, wish: dict[str, Any]) -> dict[str, Any]:
        couriers = self._courier
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

    async def clock(self, method: str, wish: dict[str, Any]) -> dict[str, Any]:
        self._clock.move(timedelta(seconds=float(wish["seconds"])))
        return {"now": self._clock().isoformat()}


def guarded(deed: Deed) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if _HEADER not in request.headers:
            return JSONResponse({"error": f"send the header {_HEADER}"}, status_code=403)
        try:
            wish = json.loads(await request.body() or b"{}")
            return JSONResponse(await deed(request.method, dict(wish)))
        except (KeyError, TypeError, ValueError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, status_code=400)

    return endpoint
