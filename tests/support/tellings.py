"""A bridge whose worker tells one sink: for `bridge-payments worker --app tellings:bridge`."""

from __future__ import annotations

import os

from bridge_payments import Bridge, PaymentEngine
from bridge_payments.providers.dummy import DummyProvider
from bridge_payments.settings import Settings
from bridge_payments.stores.sql import SQLStore
from bridge_payments.webhooks import Endpoint, WebhookDispatcher

__all__ = ["TRIES", "bridge"]

TRIES = 60


def bridge() -> Bridge:
    store = SQLStore(os.environ["DATABASE_URL"])
    endpoint = Endpoint(
        name="sink",
        url=os.environ["SINK_URL"],
        events=("payment.*",),
        secrets=(os.environ["SINK_SECRET"],),
        timeout_seconds=2.0,
        schedule=(0.0, *[0.1] * (TRIES - 1)),  # an hour of retries, in seconds
    )
    settings = Settings(allow_sandbox=True, default_provider="dummy", log_level="error")
    engine = PaymentEngine(store, {"dummy": DummyProvider()}, settings=settings)
    webhooks = WebhookDispatcher(store, endpoints=[endpoint], allow_hosts=["127.0.0.1"])
    return Bridge(engine, webhooks=webhooks, settings=settings)
