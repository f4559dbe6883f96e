"""The switches over HTTP, for tests in another process and for whoever prefers curl."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from ..switches import Switches, guarded

if TYPE_CHECKING:
    from .gateway import FakeStripe

__all__ = ["routes"]


def routes(gateway: FakeStripe) -> list[Route]:
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
    def __init__(self, gateway: FakeStripe) -> None:
        super().__init__(faults=gateway.faults, courier=gateway.webhooks, clock=gateway.clock)
        self._gateway = gateway

    async def books(self, method: str, wish: dict[str, Any]) -> dict[str, Any]:
        if method == "DELETE":
            self._gateway.reset()
        return {
            "intents": self._gateway.intents(),
            "charges": self._gateway.charges(),
            "refunds": self._gateway.refunds(),
            "customers": self._gateway.customers(),
            "payment_methods": self._gateway.methods(),
            "setup_intents": self._gateway.setups(),
            "subscriptions": self._gateway.subscriptions(),
            "invoices": self._gateway.invoices(),
            "disputes": self._gateway.disputes(),
            "events": self._gateway.events(),
            "keys": sorted(self._gateway.keys()),
        }

    async def requests(self, method: str, wish: dict[str, Any]) -> dict[str, Any]:
        return {"requests": [asdict(exchange) for exchange in self._gateway.requests()]}

    async def settings(self, method: str, wish: dict[str, Any]) -> dict[str, Any]:
        if "charge_every_request" in wish:
            self._gateway.charge_every_request = bool(wish["charge_every_request"])
        if "hold_next" in wish:
            self._gateway.hold_next(int(wish["hold_next"]))
        if "dispute" in wish:
            self._gateway.dispute(wish["dispute"], wish.get("amount"), inquiry=bool(wish.get("inquiry")))
        if "close_dispute" in wish:
            self._gateway.close_dispute(wish["close_dispute"], won=bool(wish.get("won")))
        if wish.get("bill"):
            self._gateway.bill()
        if "settle" in wish:
            self._gateway.settle(wish["settle"], succeeded=wish.get("succeeded", True))
        return {"charge_every_request": self._gateway.charge_every_request}
