"""What is asked of a page's or an example's application once it was read: a payment, as its browser would."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx

from bridge_payments.stores.sql import SQLStore

ORDER = {
    "amount_cents": 1,
    "currency": "USD",
    "reference_code": "order-1",
    "guest_data": {"email": "ada@example.com", "name": "Ada"},
}
PAYMENTS = "/bridge-payment/payments/intents"

Post = Callable[[str, dict[str, Any]], Awaitable[Any]]


async def tables(url: str = "sqlite:///shop.db") -> None:
    store = SQLStore(url)
    await store.upgrade()
    await store.aclose()


async def pay(post: Post, then: Sequence[str] = ()) -> None:
    """Offer a cent for an order of twenty dollars, pay what the shop says, post to each of *then*."""
    begun = await post(PAYMENTS, ORDER)
    assert begun["data"]["total_cents"] == 2000, begun
    paid = await post(f"{PAYMENTS}/{begun['data']['id']}/confirm", {"payment_method_id": "dummy_ok"})
    assert paid["data"]["status"] == "succeeded", paid
    for path in then:
        done = await post(path.format(id=begun["data"]["id"]), {})
        assert done["status"] == "succeeded", done


async def pay_asgi(app: Any, bridge: Any, then: Sequence[str] = (), look: Sequence[str] = ()) -> list[Any]:
    """As `pay`, let the handlers hear of it, and return what stands at each of *look* then."""
    await tables()
    async with (
        bridge,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as browser,
    ):

        async def post(path: str, body: dict[str, Any]) -> Any:
            return (await browser.post(path, json=body)).json()

        await pay(post, then)
        await bridge.run_worker(once=True)
        return [(await browser.get(path)).json() for path in look]


async def pay_flask(app: Any, bridge: Any, then: Sequence[str] = ()) -> None:
    await tables()
    browser = app.test_client()

    async def post(path: str, body: dict[str, Any]) -> Any:
        return (await asyncio.to_thread(browser.post, path, json=body)).json

    try:
        await pay(post, then)
    finally:
        await asyncio.to_thread(bridge.close)
