"""
One process of a shop that does whatever comes to its mind: python racer.py < what-to-do.json

It confirms, captures, cancels, refunds, reads, hears of and reconciles the same payments as its brothers, in
an order that its seed says. It says how often it did what, or is killed.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from datetime import timedelta
from typing import Any

import httpx

from bridge_payments.engine import PaymentEngine
from bridge_payments.errors import BridgeError, StoreError
from bridge_payments.messages import Request
from bridge_payments.models import MovableClock
from bridge_payments.providers.stripe import StripeProvider
from bridge_payments.sandbox.stripe.webhooks import sign
from bridge_payments.settings import Settings
from bridge_payments.stores.sql import SQLStore
from bridge_payments.transport import Transport

__all__ = ["engine_of"]

SECRET = "whsec_rounds"
CARDS = ("pm_card_visa", "pm_card_visa", "pm_card_chargeDeclined")


def engine_of(todo: dict[str, Any]) -> PaymentEngine:
    clock = MovableClock()
    clock.move(timedelta(seconds=todo["offset"]))
    transport = Transport()
    provider = StripeProvider(
        secret_key=todo["secret_key"], webhook_secrets=[SECRET], transport=transport, api_base=todo["gateway"]
    )
    store = SQLStore(todo["database"], clock=clock)
    return PaymentEngine(store, {"stripe": provider}, settings=Settings(), clock=clock, transport=transport)


class Racer:
    def __init__(self, engine: PaymentEngine, todo: dict[str, Any]) -> None:
        self.engine, self.todo = engine, todo
        self.dice = random.Random(todo["seed"])
        self.count: Counter[str] = Counter()

    async def run(self) -> None:
        for number in range(self.todo["steps"]):
            await asyncio.gather(*(self.step(f"{self.todo['seed']}-{number}-{lane}") for lane in range(3)))

    async def step(self, key: str) -> None:
        dice, engine = self.dice, self.engine
        payment = dice.choice(self.todo["payments"])
        what = dice.choice(
            ("confirm", "confirm", "capture", "cancel", "refund", "refund", "sync", "hear", "work")
        )
        card, amount = dice.choice(CARDS), dice.choice((300, 700, 1000, 2000))
        key = dice.choice((key, f"shared {what} {payment}"))  # sometimes another process has asked the same
        try:
            match what:
                case "confirm":
                    await engine.confirm_payment(payment, payment_method=card, idempotency_key=f"{key}{card}")
                case "capture":
                    await engine.capture_payment(
                        payment, amount_cents=amount, idempotency_key=f"{key}{amount}"
                    )
                case "cancel" if dice.random() < 0.3:
                    await engine.cancel_payment(payment, idempotency_key=key)
                case "refund":
                    await engine.refund_payment(
                        payment, amount_cents=amount, idempotency_key=f"{key}{amount}"
                    )
                case "sync":
                    await engine.sync_payment(payment)
                case "hear":
                    await self.hear()
                case _:
                    await engine.process_inbox()
                    await engine.reconcile()
        except StoreError:
            raise
        except BridgeError as error:
            self.count[type(error).__name__] += 1
        else:
            self.count[what] += 1

    async def hear(self) -> None:
        """Receive some of the gateway's webhooks, whichever come, as often as they come."""
        async with httpx.AsyncClient(
            base_url=self.todo["gateway"], headers={"x-sandbox-control": "1"}, trust_env=False
        ) as desk:
            events = (await desk.get("/_control/books")).json()["events"]
        for event in self.dice.sample(events, min(3, len(events))):
            body = json.dumps(event).encode()
            header = sign(body, SECRET, timestamp=int(self.engine.clock().timestamp()))
            request = Request(
                method="POST", path="/webhooks/stripe", headers={"stripe-signature": header}, body=body
            )
            await self.engine.receive_webhook("stripe", request)
        await self.engine.process_inbox()


async def main(todo: dict[str, Any]) -> Counter[str]:
    engine = engine_of(todo)
    racer = Racer(engine, todo)
    await racer.run()
    await engine.aclose()
    await engine.transport.aclose()
    await engine.store.aclose()
    return racer.count


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(json.load(sys.stdin)))) + "\n")
