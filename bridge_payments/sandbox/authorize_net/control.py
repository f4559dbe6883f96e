"""The switches over HTTP, for tests in another process and for whoever prefers curl."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from ..switches import Switches, guarded

if TYPE_CHECKING:
    from .gateway import FakeAuthorizeNet

__all__ = ["routes"]


def routes(gateway: FakeAuthorizeNet) -> list[Route]:
    desk = _Desk(gateway)
    both = ["GET", "POST", "DELETE"]
    return [
        Route("/_control/faults", guarded(desk.faults), methods=both),
        Route("/_control/webhooks", guarded(desk.webhooks), methods=["GET", "POST"]),
        Route("/_control/books", guarded(desk.books), methods=["GET", "DELETE"]),
        Route("/_control/requests", guarded(desk.requests)),
        Route("/_control/clock", guarded(desk.clock), methods=["POST"]),
        Route("/_control/settings", guarded(desk.settings), methods=["POST"]),
    ]


class _Desk(Switches):
    def __init__(self, gateway: FakeAuthorizeNet) -> None:
        super().__init__(faults=gateway.faults, courier=gateway.webhooks, clock=gateway.clock)
        self._gateway = gateway

    async def books(self, method: str, wish: dict[str, Any]) -> dict[str, Any]:
        if method == "DELETE":
            self._gateway.reset()
        return self._gateway.describe()

    async def requests(self, method: str, wish: dict[str, Any]) -> dict[str, Any]:
        return {"requests": [asdict(exchange) for exchange in self._gateway.requests()]}

    async def settings(self, method: str, wish: dict[str, Any]) -> dict[str, Any]:
        if wish.get("settle"):
            self._gateway.settle()
        if wish.get("collect"):
            self._gateway.collect()
        if "hold_next" in wish:
            self._gateway.hold_next(int(wish["hold_next"]))
        if "review" in wish:
            self._gateway.review(str(wish["review"]), approved=bool(wish.get("approved", True)))
        if "test_mode" in wish:
            self._gateway.test_mode = bool(wish["test_mode"])
        return {"test_mode": self._gateway.test_mode}
