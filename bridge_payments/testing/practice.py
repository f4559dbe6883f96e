"""A whole bridge for an application's own tests: no money moves, and the clock goes as they say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from ..auth import AuthBridge
from ..bridge import Bridge
from ..engine import Approve, PaymentEngine, WebhookReceipt
from ..messages import Request
from ..models import MovableClock
from ..providers.dummy import DummyGateway, DummyProvider
from ..providers.dummy.inbox import SIGNATURE, sign
from ..settings import Settings
from ..stores import MemoryStore
from ..webhooks import WebhookDispatcher

__all__ = ["PracticeBridge", "bridge"]

_SECRET: Final = "practice-webhook-secret"


class PracticeBridge(Bridge):
    """A `Bridge` on memory and the dummy provider. Nothing happens behind a test's back: it says `work`.

    Methods of payment: ``dummy_ok``, ``dummy_challenge``, ``dummy_declined``, ``dummy_insufficient``,
    ``dummy_expired``. `gateway` shows what was charged, and can be told to misbehave.
    """

    def __init__(
        self,
        *,
        approve: Approve | None = None,
        auth: AuthBridge | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.clock: MovableClock = MovableClock()
        self.gateway: DummyGateway = DummyGateway(clock=self.clock)
        store = MemoryStore(clock=self.clock)
        settings = (settings or Settings(rate_limit_enabled=False)).model_copy(
            update={"allow_sandbox": True, "default_provider": "dummy", "inprocess_worker": False}
        )
        provider = DummyProvider(self.gateway, webhook_secret=_SECRET)
        engine = PaymentEngine(
            store, {"dummy": provider}, approve=approve, settings=settings, clock=self.clock
        )
        super().__init__(engine, auth=auth, webhooks=WebhookDispatcher(store, clock=self.clock))
        self._delivered = 0

    def move(self, **by: float) -> None:
        """Let time pass: ``move(hours=2)``."""
        self.clock.move(timedelta(**by))

    async def work(self) -> None:
        """Do the background work that is due now: handlers, inbox, reconciliation, sweep, clean-up."""
        await self.run_worker(once=True)

    async def deliver_webhook(self, event: str | None = None) -> Sequence[WebhookReceipt]:
        """Let the gateway send what it has not sent yet, or *event* (an id or a type) again, and work it off.

        Webhooks arrive only by this: a test decides when, how often, and in which order.
        """
        if event is None:
            chosen = self.gateway.events[self._delivered :]
            self._delivered = len(self.gateway.events)
        else:
            chosen = [each for each in self.gateway.events if event in (each["id"], each["type"])][-1:]
            if not chosen:
                raise LookupError(f"the gateway announced no {event}")
        receipts = [await self.engine.receive_webhook("dummy", _delivery(each)) for each in chosen]
        await self.work()
        return receipts


def bridge(
    *,
    approve: Approve | None = None,
    auth: AuthBridge | None = None,
    settings: Settings | None = None,
) -> PracticeBridge:
    """Return a bridge to test an application with: no network, no database, no extra.

    Use it as any `Bridge`: mount it, ``async with bridge() as shop``, or from plain functions
    ``shop.call(shop.engine.create_payment_intent, …)`` and at the end ``shop.close()``.
    """
    return PracticeBridge(approve=approve, auth=auth, settings=settings)


def _delivery(event: dict[str, Any]) -> Request:
    body = json.dumps(event).encode()
    headers = {SIGNATURE: sign(body, _SECRET), "content-type": "application/json"}
    return Request(method="POST", path="/webhooks/dummy", headers=headers, body=body)
