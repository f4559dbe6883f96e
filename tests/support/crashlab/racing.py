"""The jobs of the races: processes that do whatever comes to their minds with the same payments."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

import httpx

from bridge_payments.errors import BridgeError, StoreError
from bridge_payments.providers.base import Capability

from .lives import Ours, ours_of
from .premises import RETURN_URL, Address, Shop, move, open_shop

__all__ = ["Raced", "begin", "put_in_order", "race"]

AMOUNT: Final = 2000
LANES: Final = 3
"""How many things each process does at the same time."""

_SEVERAL: Final = {"payment_method_options": {"card": {"request_multicapture": "if_available"}}}
_DEEDS: Final = (
    "confirm", "confirm", "confirm", "capture", "capture", "cancel", "refund", "refund", "refund", "sync",
    "hear", "work", "night",
)  # fmt: skip


@dataclass(frozen=True)
class Raced:
    """One payment that everybody reaches for."""

    id: str
    several: bool
    """Whether it may be captured in parts."""
    card: str | None
    """What several processes may bring at once to pay with."""


async def begin(_: Connection, address: Address, count: int) -> list[Raced]:
    """Make payments: collected at once, held, and held to be captured in parts where that can be had."""
    async with open_shop(address) as shop:
        parts = Capability.MULTI_CAPTURE in shop.engine.provider(address.kind).capabilities
        made = []
        for number in range(count):
            several = parts and number % 4 == 3
            payment = await shop.engine.create_payment_intent(
                total_cents=AMOUNT, currency="USD", reference_code=f"raced-{number}", return_url=RETURN_URL,
                capture_method="manual" if number % 2 else "automatic", extra=_SEVERAL if several else None,
            )  # fmt: skip
            made.append(Raced(payment.id, several, await shop.account.card(shop)))
        return made


async def race(
    _: Connection, address: Address, payments: Sequence[Raced], *, seed: int, steps: int
) -> Counter[str]:
    """Do *steps* things in an order that the seed says; return how often what was done or refused."""
    async with open_shop(address) as shop:
        racer = _Racer(shop, payments, seed)
        for number in range(steps):
            await asyncio.gather(*(racer.step(f"{seed}-{number}-{lane}") for lane in range(LANES)))
        return racer.count


async def put_in_order(_: Connection, address: Address) -> Ours:
    """Be the worker that comes when every lease is over, and stays for two days."""
    async with open_shop(address) as shop:
        for seconds in (*shop.account.rounds, 600, 3600, 90_000, 90_000):
            await move([shop], seconds)
            await shop.work()
        return await ours_of(shop)


class _Racer:
    def __init__(self, shop: Shop, payments: Sequence[Raced], seed: int) -> None:
        self.shop, self.payments = shop, payments
        self.dice = random.Random(seed)
        self.count: Counter[str] = Counter()

    async def step(self, key: str) -> None:
        payment, what = self.dice.choice(self.payments), self.dice.choice(_DEEDS)
        if self.dice.random() < 0.5:  # another process has asked the same, or is going to
            key = f"shared {what} {payment.id}"
        try:
            await getattr(self, what)(payment, key)
        except StoreError:
            raise
        except BridgeError as error:
            self.count[type(error).__name__] += 1
        else:
            self.count[what] += 1

    async def confirm(self, payment: Raced, key: str) -> None:
        declined = self.dice.random() < 0.3
        card = payment.card
        if declined or not key.startswith("shared"):
            card = await self.shop.account.card(self.shop, declined=declined)
        with suppress(httpx.HTTPStatusError):  # the payer's page is closed: it was paid, or given up
            await self.shop.account.agree(self.shop, await self.shop.payment(payment.id), declined=declined)
        await self.shop.engine.confirm_payment(
            payment.id, payment_method=card, idempotency_key=f"{key} {card}"
        )

    async def capture(self, payment: Raced, key: str) -> None:
        amount, final = self._amount(), not payment.several or self.dice.random() < 0.2
        await self.shop.engine.capture_payment(
            payment.id, amount_cents=amount, final=final, idempotency_key=f"{key} {amount} {final}"
        )

    async def cancel(self, payment: Raced, key: str) -> None:
        if payment.several or self.dice.random() < 0.3:
            await self.shop.engine.cancel_payment(payment.id, idempotency_key=key)

    async def refund(self, payment: Raced, key: str) -> None:
        amount = self._amount()
        await self.shop.engine.refund_payment(
            payment.id, amount_cents=amount, idempotency_key=f"{key} {amount}"
        )

    async def sync(self, payment: Raced, key: str) -> None:
        await self.shop.engine.sync_payment(payment.id)

    async def hear(self, payment: Raced, key: str) -> None:
        """Some webhooks arrive, whatever they are about, again and again."""
        events: list[Any] = (await self.shop.books())["events"]
        for event in self.dice.sample(events, min(3, len(events))):
            await self.shop.engine.receive_webhook(self.shop.address.kind, self.shop.signed(event))
        await self.shop.engine.process_inbox()

    async def work(self, payment: Raced, key: str) -> None:
        await self.shop.work()

    async def night(self, payment: Raced, key: str) -> None:
        await self.shop.account.settle(self.shop)

    def _amount(self) -> int:
        return self.dice.choice((300, 700, 1000, AMOUNT))
