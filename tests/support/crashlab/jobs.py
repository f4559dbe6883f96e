"""What a forked child may be asked to do. Each job opens a shop of its own."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from bridge_payments.engine import asking, operations
from bridge_payments.errors import BridgeError, OperationInProgress
from bridge_payments.seam import Point, watched

from .flows import FLOWS
from .premises import Address, Row, Shop, move, open_shop, open_shops

__all__ = [
    "Pass",
    "act",
    "all_at_once",
    "come_again",
    "freeze",
    "look_later",
    "prepare",
    "recover",
    "refund_until_settled",
    "watch_refunds",
]

Pass = tuple[Point, str]
"""One pass of the seam."""

_TICKS = (5, 60, 90, 600)
"""Seconds between the rounds of the next worker: while the lease runs, when it just ran out, and later."""
_PATIENCE = 25


async def prepare(
    _: Connection, flow: str, addresses: Mapping[str, Address]
) -> tuple[dict[str, str | None], dict[str, Address]]:
    """Bring each payment to where its interruption begins; return their ids, and the addresses by then."""
    doing = FLOWS[flow]
    async with open_shops(addresses.values()) as shops:
        ids = {
            name: await doing.prepare(shops[address.database], name) if doing.prepare is not None else None
            for name, address in addresses.items()
        }
        await move(shops.values(), doing.lapse)
        return ids, {name: shops[address.database].moved() for name, address in addresses.items()}


async def act(
    _: Connection, address: Address, flow: str, name: str, payment_id: str | None, *, die_at: int = 0
) -> list[Pass]:
    """Do it, and be killed at pass *die_at*; with 0 live, and return every pass."""
    passes: list[Pass] = []

    def watcher(point: Point, what: str) -> None:
        passes.append((point, what))
        if len(passes) == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    async with open_shop(address) as shop:
        with watched(watcher):
            await FLOWS[flow].attempt(shop, name, payment_id)
    return passes


async def recover(
    _: Connection,
    flow: str,
    addresses: Mapping[str, Address],
    ids: Mapping[str, str | None],
    *,
    impatient: frozenset[str] = frozenset(),
    told: frozenset[str] = frozenset(),
) -> list[Row]:
    """
    Be the next worker, and the clients that come again.

    The *impatient* repeat their request at once, while the dead process still holds its lease. The webhooks
    of *told* arrive, everybody else's are lost. In the end every client repeats until it has its answer.
    """
    doing = FLOWS[flow]
    async with open_shops(addresses.values()) as shops:

        async def attempt(name: str) -> bool:
            return await doing.attempt(shops[addresses[name].database], name, ids[name])

        async def tick(seconds: float) -> None:
            await move(shops.values(), seconds)
            if told:
                await _deliver(shops, {name: addresses[name].database for name in told})
            await asyncio.gather(*(shop.work() for shop in shops.values()))

        for name in sorted(impatient):
            await attempt(name)
        for seconds in _TICKS:
            await tick(seconds)
        waiting = sorted(ids)
        for _ in range(_PATIENCE):
            waiting = [name for name in waiting if not await attempt(name)]
            if not waiting:
                break
            await tick(30)
        assert not waiting, f"still without an answer: {waiting}"
        for _ in range(2):
            await tick(600)
        return [row for shop in shops.values() for row in await shop.rows()]


async def freeze(
    link: Connection,
    address: Address,
    flow: str,
    name: str,
    payment_id: str | None,
    *,
    at: str,
    lease: float = asking.LEASE_SECONDS,
    deadline: float = asking.CALL_DEADLINE,
) -> str:
    """Stop at the first pass of *at* until somebody lets this process go on; return what it heard then.

    *at* is a point of the seam (``send``: right before the first byte) or what passes there.
    """
    asking.LEASE_SECONDS = operations.LEASE_SECONDS = lease  # type: ignore[misc] # a process of its own
    asking.CALL_DEADLINE = deadline  # type: ignore[misc] # the same
    frozen = False

    def watcher(point: Point, what: str) -> None:
        nonlocal frozen
        if at in (point, what) and not frozen:
            frozen = True
            link.send(("said", "frozen"))
            os.kill(os.getpid(), signal.SIGSTOP)

    async with open_shop(address) as shop:
        with watched(watcher):
            try:
                await FLOWS[flow].act(shop, name, payment_id)
            except BridgeError as error:
                return type(error).__name__
    return "answered"


async def look_later(_: Connection, address: Address, *, seconds: float, rounds: int = 3) -> list[Row]:
    """Be a worker that starts only *seconds* later, and let no client come."""
    async with open_shop(address) as shop:
        await shop.move(seconds=seconds)
        for _round in range(rounds):
            await shop.work()
            await shop.move(seconds=60)
        return await shop.rows()


async def come_again(
    _: Connection, address: Address, flow: str, name: str, payment_id: str | None, *, seconds: float
) -> bool:
    """Be a worker *seconds* later, and then the client; return whether it got its answer."""
    async with open_shop(address) as shop:
        await shop.move(seconds=seconds)
        await shop.work()
        return await FLOWS[flow].attempt(shop, name, payment_id)


# --- many at once ---------------------------------------------------------------------------------


async def all_at_once(
    link: Connection, address: Address, flow: str, names: Sequence[str], payment_id: str | None
) -> list[str]:
    """Wait for the word, then do it once for each name, all at the same time; return what each heard."""
    async with open_shop(address) as shop:
        await shop.rows()  # connected, so that the word finds everybody at the line
        link.send(("said", "ready"))
        await asyncio.to_thread(link.recv)

        async def one(name: str) -> str:
            try:
                await FLOWS[flow].act(shop, name, payment_id)
            except BridgeError as error:
                return type(error).__name__
            return "answered"

        return await asyncio.gather(*(one(name) for name in names))


async def refund_until_settled(
    link: Connection, address: Address, payment_id: str, amount: int, names: Sequence[str]
) -> list[str]:
    """Wait for the word, then ask for many refunds at the same time, each until it is made or refused."""
    async with open_shop(address) as shop:
        await shop.rows()
        link.send(("said", "ready"))
        await asyncio.to_thread(link.recv)

        async def insist(name: str) -> str:
            while True:
                try:
                    await shop.engine.refund_payment(payment_id, amount_cents=amount, idempotency_key=name)
                except OperationInProgress:
                    await asyncio.sleep(0.02)  # as a client does that was told to come again
                except BridgeError as error:
                    return type(error).__name__
                else:
                    return "answered"

        return await asyncio.gather(*(insist(name) for name in names))


async def watch_refunds(link: Connection, address: Address, payment_id: str) -> list[tuple[int, int, int]]:
    """Read the payment again and again until told to stop; return every (refunded, reserved, captured)."""
    seen = []
    async with open_shop(address) as shop:
        link.send(("said", "ready"))
        while not link.poll():
            row = await shop.store.run(lambda unit: unit.payments.get(payment_id), write=False)
            assert row is not None
            seen.append((row.refunded_cents, row.refund_reserved_cents, row.captured_cents))
    return seen


async def _deliver(shops: Mapping[str, Shop], told: Mapping[str, str]) -> None:
    """Bring every new event about the orders of *told* to the shop that has the order."""
    books = await next(iter(shops.values())).books()
    orders = {
        intent["id"]: shops[told[name]]
        for intent in books["intents"]
        if (name := intent["metadata"].get("reference_code")) in told
    }
    for event in books["events"]:
        if (about := _about(event)) in orders:
            await orders[about].deliver(event)


def _about(event: Mapping[str, Any]) -> str:
    subject = event["data"]["object"]
    found: str = subject["id" if subject["object"] == "payment_intent" else "payment_intent"]
    return found
