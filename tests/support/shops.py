"""One installation with the dummy provider behind one mount, on a clock that stands still."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hosts import MOUNTS, Conversation, who

from bridge_payments import AuthBridge, Bridge, PaymentEngine, Settings
from bridge_payments.providers.dummy import DummyGateway, DummyProvider
from bridge_payments.stores import MemoryStore
from bridge_payments.testing.mounts import Answer

__all__ = ["ADA", "EVE", "GUEST", "NOW", "ORDER", "ROOT", "Shop", "open_shop"]

NOW = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
ADA = {"x-session-id": "ada"}
EVE = {"x-session-id": "eve"}
ROOT = {"x-session-id": "root"}
GUEST = {"email": "grace@example.com", "name": "Grace"}
ORDER = {"total_cents": 5500, "currency": "usd", "reference_code": "order-1"}


@dataclass
class Shop:
    """One installation behind one mount."""

    bridge: Bridge
    gateway: DummyGateway
    talk: Conversation

    def ask(self, method: str, path: str, body: object = b"", /, **headers: str) -> Answer:
        return self.talk.ask(method, path, body, **headers)

    def new(self, body: object = ORDER, **headers: str) -> dict[str, Any]:
        answer = self.ask("POST", "/payments/intents", body, **headers)
        assert answer.status == 201, answer.body
        data: dict[str, Any] = answer.json["data"]
        return data

    def pay(self, payment: str, method: str = "dummy_ok", **headers: str) -> Answer:
        return self.ask(
            "POST", f"/payments/intents/{payment}/confirm", {"payment_method_id": method}, **headers
        )

    def work(self) -> None:
        """Let the background work run once."""
        self.bridge.blocking.call(self.bridge.run_worker, once=True)


def open_shop(mount: str, **settings: Any) -> Shop:
    gateway = DummyGateway(clock=lambda: NOW)
    engine = PaymentEngine(
        MemoryStore(clock=lambda: NOW),
        {"dummy": DummyProvider(gateway)},
        settings=Settings(
            allow_sandbox=True,
            default_provider="dummy",
            inprocess_worker=False,
            rate_limit_window=1e9,  # ends in years, and not between two shops whose answers are compared
            **settings,
        ),
        clock=lambda: NOW,
    )
    bridge = Bridge(engine, auth=AuthBridge(who))
    return Shop(bridge, gateway, Conversation(MOUNTS[mount](bridge)))
