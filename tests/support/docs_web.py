"""What is asked of a page's application once the page was read."""

import asyncio


async def pay(names, client, **extra):
    from bridge_payments.stores.sql import SQLStore

    store = SQLStore("sqlite:///shop.db")
    await store.upgrade()
    await store.aclose()
    await asyncio.to_thread(_pay, client, extra)
    if "bridge" in names and hasattr(names["bridge"], "run_worker"):
        pass


def _pay(client, extra):
    body = {
        "amount_cents": 1, "currency": "USD", "reference_code": "order-1",
        "guest_data": {"email": "ada@example.com", "name": "Ada"},
    }
    begun = client("/bridge-payment/payments/intents", body)
    assert begun["data"]["total_cents"] == 2000, begun
    paid = client(f"/bridge-payment/payments/intents/{begun['data']['id']}/confirm", {"payment_method_id": "dummy_ok"})
    assert paid["data"]["status"] == "succeeded", paid
    for path in extra.get("then", ()):
        assert client(path.format(id=begun["data"]["id"]), {})["status"] in ("succeeded", "pending")
