"""A shop that books and ships, and a store to deliver from."""

from bridge_payments.stores import MemoryStore

store = MemoryStore()
shipped, booked = [], []


async def mark_paid(reference, *, once):
    shipped.append(reference)


def add_to_ledger(event_id, payment):
    booked.append(event_id)


def first_time(event_id):
    return True


def handle(kind, data):
    shipped.append(kind)


def after(names):
    import json
    from datetime import UTC, datetime

    from standardwebhooks import Webhook

    body = json.dumps({"id": "evt_1", "type": "payment.success", "data": {}})
    now = datetime.now(UTC)
    signature = Webhook(names["secret"]).sign("evt_1", now, body)
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    names["receive"](body.encode(), headers)
    assert names["shipped"] == ["payment.success"]
