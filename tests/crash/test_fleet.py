"""
Two instances and two workers on one PostgreSQL, and one of the four dies, again and again.

Clients pay through a load balancer meanwhile, and come again with the same Idempotency-Key until they are
answered. BRIDGE_SEED chooses who dies when. Afterwards the gateway's books and our rows have to say the same.
"""

from __future__ import annotations

import asyncio
import os
import random
import runpy
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from crashlab.books import audit
from crashlab.lives import read_diary
from crashlab.premises import Address, Shop, open_shop
from databases import database, migrated, postgres
from fleet import Fleet
from hosts import PREFIX

from bridge_payments.sandbox.stripe import FakeStripe

__all__ = ["database", "migrated", "postgres"]

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.needs("postgresql")]

FULL = bool(os.environ.get("BRIDGE_FULL"))
"""Minutes instead of seconds: `nox -s crash -- --full` sets it."""
ROUNDS, DEATHS, CLIENTS = (5, 12, 6) if FULL else (1, 4, 3)
SEED = int(os.environ.get("BRIDGE_SEED", "1"))
TRIES = 40
PATIENCE = 120
EXAMPLE = Path(__file__).parents[2] / "examples" / "worker" / "balancer.py"
balanced: Callable[..., AbstractAsyncContextManager[int]] = runpy.run_path(str(EXAMPLE))["balanced"]


@dataclass
class Order:
    """What a client wants, and how far it has come."""

    name: str
    customer: str
    in_one: bool
    """Made and confirmed by one request."""
    declined_first: bool
    gives_back: bool
    payment: str | None = None
    paid: bool = False
    done: bool = False


class Client:
    """Comes again with the same key, whoever did not answer, until it is answered."""

    def __init__(self, http: httpx.AsyncClient, counted: Counter[str]) -> None:
        self.http, self.counted = http, counted

    async def live(self, order: Order) -> None:
        """Bring *order* as far as it goes now."""
        if not order.paid:
            order.paid = await self._pay(order)
        if order.paid:
            order.done = not order.gives_back or await self._give_back(order)

    async def _pay(self, order: Order) -> bool:
        if order.payment is None or order.in_one:
            body: dict[str, Any] = {"amount_cents": 2000, "currency": "USD", "reference_code": order.name}
            body["return_url"] = "https://shop.example/thanks"
            if order.in_one:
                body |= {"confirm": True, "payment_method_id": "pm_card_visa"}
            made = await self._ask(order, "/payments/intents", body, "make")
            if made is None:
                return False
            order.payment = made["id"]
            if order.in_one:
                return bool(made["status"] == "succeeded")
        cards = ["pm_card_chargeDeclined"] if order.declined_first else []
        for card in [*cards, "pm_card_visa"]:
            path = f"/payments/intents/{order.payment}/confirm"
            said = await self._ask(order, path, {"payment_method_id": card}, card)
            if said is None:
                return False
        return bool(said and said["status"] == "succeeded")

    async def _give_back(self, order: Order) -> bool:
        path = f"/payments/{order.payment}/refund"
        said = await self._ask(order, path, {"amount_cents": 500}, "back", session="root")
        return said is not None and said["status"] == "succeeded"

    async def _ask(
        self, order: Order, path: str, body: dict[str, Any], step: str, *, session: str | None = None
    ) -> dict[str, Any] | None:
        """Return what was answered, "status": "declined" for a decline; None if nobody knew."""
        headers = {"idempotency-key": f"{order.name} {step}".replace(" ", "-")}
        headers["x-session-id"] = session or order.customer
        for _ in range(TRIES):
            try:
                answer = await self.http.post(PREFIX + path, json=body, headers=headers)
            except httpx.TransportError:
                self.counted["not answered"] += 1
            else:
                self.counted[str(answer.status_code)] += 1
                said = answer.json()
                if answer.status_code < 300:
                    data: dict[str, Any] = said["data"]
                    return data
                if step == "pm_card_chargeDeclined" and answer.status_code == 400:
                    return {"status": "declined"}
                assert answer.status_code in {409, 503}, answer.text
            await asyncio.sleep(0.1)
        return None


async def shopping(client: Client, number: int, seed: int, orders: list[Order], over: asyncio.Event) -> None:
    dice = random.Random(seed * 100 + number)
    count = 0
    while not over.is_set():
        count += 1
        in_one = dice.random() < 0.5
        order = Order(
            name=f"order-{number}-{count}",
            customer=f"customer-{number}",
            in_one=in_one,
            declined_first=not in_one and dice.random() < 0.2,
            gives_back=dice.random() < 0.3,
        )
        orders.append(order)
        await client.live(order)


async def striking(fleet: Fleet, gateway: FakeStripe, seed: int) -> list[str]:
    """Kill one after the other in the middle of the load; everybody has a turn before somebody has two."""
    dice = random.Random(seed)
    died: list[str] = []
    turn: list[str] = []
    for _ in range(DEATHS):
        turn = turn or dice.sample(sorted(fleet.commands), len(fleet.commands))
        goal = len(gateway.requests()) + dice.randrange(5, 25)
        for _ in range(PATIENCE * 50):
            if len(gateway.requests()) >= goal:
                break
            await asyncio.sleep(0.02)
        else:
            raise AssertionError(f"nothing goes on after {died}:\n{fleet.log()}")
        died.append(turn.pop())
        fleet.kill(died[-1])
        fleet.start(died[-1])
    return died


async def work_later(shop: Shop) -> None:
    """Be a worker that comes when every lease is over."""
    for _ in range(4):
        await shop.move(minutes=10)
        await shop.work()


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
async def test_whoever_of_the_fleet_dies_each_order_is_paid_once_and_told(
    seed: int, database: str, tmp_path: Path, walks: list[str]
) -> None:
    counted: Counter[str] = Counter()
    orders: list[Order] = []
    with FakeStripe() as gateway:
        env = {
            "DATABASE_URL": database,
            "ENABLED_PROVIDERS": "stripe",
            "DEFAULT_PAYMENT_PROVIDER": "stripe",
            "ALLOW_SANDBOX": "true",
            "RATE_LIMIT_ENABLED": "false",
            "STRIPE_SECRET_KEY": gateway.secret_key,
            "STRIPE_WEBHOOK_SECRET": "whsec_of_the_fleet",
            "STRIPE_API_BASE": gateway.url,
        }
        with Fleet(tmp_path, env) as fleet:
            async with balanced(fleet.ports) as port:
                url = f"http://127.0.0.1:{port}"
                gateway.add_webhook(f"{url}{PREFIX}/webhooks/stripe", secret=env["STRIPE_WEBHOOK_SECRET"])
                # A connection for each request: an answer may come from either instance.
                limits = httpx.Limits(max_keepalive_connections=0)
                async with httpx.AsyncClient(
                    base_url=url, timeout=30, limits=limits, trust_env=False
                ) as http:
                    client, over = Client(http, counted), asyncio.Event()
                    async with asyncio.TaskGroup() as group:
                        for number in range(CLIENTS):
                            group.create_task(shopping(client, number, seed, orders, over))
                        died = await striking(fleet, gateway, seed)
                        over.set()
                    waiting = [order for order in orders if not order.done]
                    gateway.webhooks.off = True
                    address = Address(
                        database=database,
                        gateway=gateway.url,
                        secret_key=gateway.secret_key,
                        diary=str(tmp_path / "later"),
                        offset=gateway.clock.offset.total_seconds(),
                    )
                    async with open_shop(address) as shop:
                        await work_later(shop)
                        # The last two who died may have been both instances.
                        await asyncio.to_thread(fleet.wait)
                        for order in waiting:
                            await client.live(order)
                        await work_later(shop)
                        unfinished = [order for order in orders if not order.done]
                        assert unfinished == [], (counted, fleet.log())
                        rows = await shop.rows()
        assert audit(gateway.intents(), gateway.charges(), gateway.refunds(), rows).findings == []
        diary = fleet.diary()
        told = {each["event"] for each in diary} | set(read_diary(tmp_path / "later"))
        events = [event for row in rows for event in row.events]
        assert {each.id for each in events if each.type.startswith("payment.")} <= told
        assert {each["pid"] for each in diary} <= fleet.workers, "an instance did a worker's work"
        payments = {row.payment.id for row in rows if row.payment.is_paid}
        assert payments == {order.payment for order in orders}
        assert len(gateway.charges(paid=True)) == len(orders) == len(payments), counted
        assert len(gateway.intents()) == len(orders)
        assert len(gateway.refunds()) == sum(order.gives_back for order in orders)
        assert set(died) == set(fleet.commands)
        walks.append(
            f"a fleet: {len(died)} deaths, {len(orders)} orders, {len(waiting)} open when the load ended;"
            f" answers {dict(counted)}"
        )
