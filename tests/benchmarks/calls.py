"""Create and confirm: through the engine, and by the bare Stripe SDK making the same two calls."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import stripe
from apps import ours
from gateway import AMOUNT, CURRENCY
from load import Run

from bridge_payments.models import Money
from bridge_payments.providers.stripe.client import TransportClient
from bridge_payments.stores import MemoryStore
from bridge_payments.stores.base import Store
from bridge_payments.stores.sql import SQLStore
from bridge_payments.transport import Transport

KEY: Final = "sk_test_bench"
METHOD: Final = "pm_card_visa"
_METHODS: Any = {"enabled": True, "allow_redirects": "never"}
_WARM: Final = 20


@dataclass(frozen=True, slots=True)
class Contender:
    pair: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]


def sdk(
    gateway: str, key: str, client: stripe.HTTPClient, close: Callable[[], Awaitable[None]] | None = None
) -> Contender:
    sdk = stripe.StripeClient(key, base_addresses={"api": gateway}, http_client=client)

    async def pair() -> None:
        once = f"bench-{time.time_ns()}"
        created = await sdk.v1.payment_intents.create_async(
            {"amount": AMOUNT, "currency": CURRENCY, "automatic_payment_methods": _METHODS},
            {"idempotency_key": once},
        )
        confirmed = await sdk.v1.payment_intents.confirm_async(
            created.id,
            {"payment_method": METHOD, "expand": ["latest_charge"]},
            {"idempotency_key": once + "c"},
        )
        assert confirmed.status == "succeeded"

    return Contender(pair, close or client.close_async)


def engine(gateway: str, key: str, store: Store) -> Contender:
    engine = ours.engine(store, gateway, key=key)

    async def pair() -> None:
        created = await engine.create_payment_intent(
            Money(AMOUNT, CURRENCY), extra={"automatic_payment_methods": _METHODS}
        )
        confirmed = await engine.confirm_payment(created.id, payment_method=METHOD)
        assert confirmed.is_paid

    async def close() -> None:
        await engine.aclose()
        await engine.transport.aclose()
        await store.aclose()

    return Contender(pair, close)


def contenders(asked: dict[str, Any]) -> Iterator[tuple[str, Contender]]:
    """Yield who takes part."""
    gateway, stateful, key = asked["gateway"], asked["stateful"], asked["key"]
    yield "sdk, its httpx client", sdk(gateway, KEY, stripe.HTTPXClient())
    yield "sdk, its aiohttp client", sdk(gateway, KEY, stripe.AIOHTTPClient())
    transport = Transport()
    yield "sdk, our transport", sdk(gateway, KEY, TransportClient(transport), transport.aclose)
    yield "engine, memory", engine(gateway, KEY, MemoryStore())
    yield "engine, sqlite", engine(gateway, KEY, SQLStore(asked["sqlite"]))
    if asked["postgresql"]:
        yield "engine, postgresql", engine(gateway, KEY, SQLStore(asked["postgresql"]))
    yield "sdk, httpx, to the fake", sdk(stateful, key, stripe.HTTPXClient())
    yield "engine, sqlite, to the fake", engine(stateful, key, SQLStore(asked["sqlite"]))


async def measure(asked: dict[str, Any]) -> dict[str, list[dict[str, float]]]:
    """Let everybody do a block of pairs, round by round."""
    taking_part = dict(contenders(asked))
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in taking_part}
    for each in taking_part.values():
        await _block(each, _WARM)
    for _ in range(asked["rounds"]):
        for name, each in taking_part.items():
            rounds[name].append((await _block(each, asked["count"])).figures)
    for each in taking_part.values():
        await each.close()
    return rounds


async def _block(contender: Contender, count: int) -> Run:
    latencies, cpu, began = [], time.process_time(), time.perf_counter()
    for _ in range(count):
        start = time.perf_counter()
        await contender.pair()
        latencies.append(time.perf_counter() - start)
    return Run(time.perf_counter() - began, time.process_time() - cpu, latencies)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(json.loads(sys.argv[1])))))
