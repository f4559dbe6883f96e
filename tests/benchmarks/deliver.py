"""Deliver to a local sink, in a process of its own: one worker, and the transport alone. Prints JSON."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from bridge_payments.models import Event, Payment, PaymentStatus, new_id, utc_now
from bridge_payments.stores.base import Store
from bridge_payments.stores.memory import MemoryStore
from bridge_payments.stores.sql import SQLStore
from bridge_payments.transport import Transport
from bridge_payments.webhooks import Endpoint, WebhookDispatcher, new_signing_secret
from bridge_payments.webhooks.attempts import headers_for
from bridge_payments.webhooks.payloads import body_for

AT_ONCE = 8


def events(count: int) -> list[Event]:
    now = utc_now()
    return [
        Event(
            id=new_id("evt"),
            type="payment.success",
            created_at=now,
            payment=Payment(
                id=new_id("pay"), provider_id="stripe", status=PaymentStatus.SUCCEEDED, currency="USD",
                subtotal_cents=5500, tax_cents=0, discount_cents=0, total_cents=5500, captured_cents=5500,
                created_at=now, updated_at=now, reference_code=f"order-{number}", description="Two tickets",
                metadata={"cart": "c-77", "channel": "web"}, user_id="u-1",
            ),
        )
        for number in range(count)
    ]  # fmt: skip


async def metered(work: Callable[[], Awaitable[Any]], count: int) -> dict[str, float]:
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    await work()
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"rate": count / seconds, "cpu": 1000 * cpu / count}


async def alone(endpoint: Endpoint, count: int) -> dict[str, float]:
    """The transport, with bodies and signatures made before."""
    transport, now = Transport(public_only=True, allow_hosts=["127.0.0.1"]), utc_now()
    made = [(body_for(e), headers_for(endpoint, e, body=body_for(e), now=now)) for e in events(count)]
    left = iter(made)

    async def one() -> None:
        for body, headers in left:
            answer = await transport.request("POST", endpoint.url or "", headers=headers, content=body)
            assert answer.status_code == 204

    async def work() -> None:
        await asyncio.gather(*(one() for _ in range(AT_ONCE)))

    await transport.request("POST", endpoint.url or "", content=b"{}")  # warm
    figures = await metered(work, count)
    await transport.aclose()
    return figures


async def worker(store: Store, endpoint: Endpoint, count: int) -> dict[str, float]:
    """One dispatcher, from events in the outbox to deliveries that are recorded."""
    await store.upgrade()
    made = events(count)
    for start in range(0, count, 500):
        some = made[start : start + 500]
        await store.run(lambda unit, some=some: [unit.events.add(event) for event in some])  # type: ignore[misc]
    webhooks = WebhookDispatcher(store, endpoints=[endpoint], allow_hosts=["127.0.0.1"])
    await webhooks.stored.send_test(endpoint.name)
    await webhooks.run_once(limit=1)  # warm

    async def work() -> None:
        running = asyncio.create_task(webhooks.run(idle_seconds=0.02))
        while await store.run(_pending, write=False):  # noqa: ASYNC110 - rows signal nobody
            await asyncio.sleep(0.1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    figures = await metered(work, count)
    await webhooks.aclose()
    counted = await store.run(lambda unit: unit.deliveries.list(limit=count * 2), write=False)
    assert sum(delivery.delivered_at is not None for delivery in counted) >= count
    await store.aclose()
    return figures


def _pending(unit: Any) -> bool:
    from bridge_payments.models import DeliveryState

    newest = unit.deliveries.list(limit=1)
    told = unit.deliveries.list(state=DeliveryState.PENDING, limit=1)
    return bool(told) or not newest or _untold(unit)


def _untold(unit: Any) -> bool:
    tables = getattr(unit.events, "_tables", None)
    if tables is not None:
        return any(entry.available_at is not None for entry in tables.outbox.values())
    import sqlalchemy as sa

    from bridge_payments.stores.sql.tables import outbox

    query = sa.select(outbox.c.id).where(outbox.c.available_at.is_not(None)).limit(1)
    return bool(unit.events._session.rows("bench.untold", query))


async def main(asked: dict[str, Any]) -> None:
    endpoint = Endpoint(
        name="sink", url=asked["sink"], events=("*",), secrets=(new_signing_secret(),), concurrency=AT_ONCE
    )
    count, found = asked["count"], dict[str, list[dict[str, float]]]()
    for number in range(asked["rounds"]):
        found.setdefault("transport alone", []).append(await alone(endpoint, count))
        found.setdefault("worker, in memory", []).append(await worker(MemoryStore(), endpoint, count // 4))
        sqlite = SQLStore(f"{asked['sqlite']}{number}")
        found.setdefault("worker, SQLite", []).append(await worker(sqlite, endpoint, count))
        if asked["postgresql"]:
            postgresql = SQLStore(asked["postgresql"][number])
            found.setdefault("worker, PostgreSQL", []).append(await worker(postgresql, endpoint, count))
    print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
