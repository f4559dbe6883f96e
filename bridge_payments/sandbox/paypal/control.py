"""The switches over HTTP, for tests in another process and for whoever prefers curl."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from ..switches import Switches, guarded

if TYPE_CHECKING:
    from .gateway import FakePayPal

__all__ = ["routes"]


def routes(gateway: FakePayPal) -> list[Route]:
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
    def __init__(self, gateway: FakePayPal) -> None:
        super().__init__(faults=gateway.faults, courier=gateway.webhooks, clock=gateway.clock)
        self._gateway = gateway

    async def books(self, method: str, wish: dict[str, Any]) -> dict[str, Any]:
        if method == "DELETE":
            self._gateway.reset()
        return {
            "orders": self._gateway.orders(),
            "captures": self._gateway.captures(),
            "authorizations": self._gateway.authorizations(),
            "refunds": self._gateway.refunds(),
            "payment_tokens": self._gateway.payment_tokens(),
            "subscriptions": self._gateway.subscriptions(),
            "collected": self._gateway.collected(),
            "disputes": self._gateway.disputes(),
            "events": self._gateway.events(),
        }

    async def requests(self, method: str, wish: dict[str, Any]) -> dict[str, Any]:
        return {"requests": [asdict(exchange) for exchange in self._gateway.requests("/v")]}

    async def settings(self, method: str, wish: dict[str, Any]) -> dict[str, Any]:
        if "charge_every_request" in wish:
            self._gateway.charge_every_request = bool(wish["charge_every_request"])
        if "approve" in wish:
            self._gateway.approve(wish["approve"], wish.get("instrument", "balance"))
        if "settle" in wish:
            self._gateway.settle(wish["settle"], succeeded=wish.get("succeeded", True))
        if "hold_refunds" in wish:
            self._gateway.hold_refunds(int(wish["hold_refunds"]))
        if "agree" in wish:
            self._gateway.agree(wish["agree"], wish.get("instrument", "balance"))
        if "subscribe" in wish:
            self._gateway.subscribe(wish["subscribe"], wish.get("instrument", "balance"))
        if "capture" in wish:
            self._gateway.capture_elsewhere(wish["capture"])
        if wish.get("bill"):
            self._gateway.bill()
        if "dispute" in wish:
            self._gateway.open_dispute(wish["dispute"])
        if "resolve" in wish:
            self._gateway.resolve_dispute(wish["resolve"], wish["outcome"])
        return {"charge_every_request": self._gateway.charge_every_request}
