"""Webhooks out on a real PostgreSQL: workers that share it tell each event once."""

from __future__ import annotations

import asyncio

import pytest

from bridge_payments.models import DeliveryState, Event, new_id, utc_now
from bridge_payments.stores.sql import SQLStore
from bridge_payments.webhooks import WebhookDispatcher

pytestmark = pytest.mark.anyio


async def test_workers_that_share_a_database_tell_each_event_once(database: str) -> None:
    stores = [SQLStore(database) for _ in range(4)]
    events = [Event(id=new_id("evt"), type="payment.success", created_at=utc_now()) for _ in range(60)]
    await stores[0].run(lambda unit: [unit.events.add(event) for event in events])
    heard: list[str] = []
    workers = []
    for store in stores:
        webhooks = WebhookDispatcher(store)

        async def ship(event: Event) -> None:
            heard.append(event.id)

        webhooks.on("payment.*")(ship)
        workers.append(webhooks)

    async def work(webhooks: WebhookDispatcher) -> None:
        while await webhooks.run_once(limit=7):
            pass

    await asyncio.gather(*map(work, workers))
    await work(workers[0])
    assert sorted(heard) == sorted(event.id for event in events)
    deliveries = await stores[0].run(lambda unit: unit.deliveries.list(limit=100), write=False)
    assert {delivery.state for delivery in deliveries} == {DeliveryState.DELIVERED}
    for store in stores:
        await store.aclose()
