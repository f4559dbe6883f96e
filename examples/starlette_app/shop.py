"""A shop on Starlette: the bridge's lifespan is the application's."""

from __future__ import annotations

import asyncio
import os

from starlette.applications import Starlette

from bridge_payments import AuthBridge, Bridge, Money, Principal, Request
from bridge_payments.engine import PaymentDraft
from bridge_payments.errors import InvalidRequest
from bridge_payments.mounts.starlette import health_routes, payments_mount
from bridge_payments.stores.sql import SQLStore

ORDERS = {"order-1": Money(2000, "USD")}
ENV = {
    "DATABASE_URL": "sqlite:///shop.db",
    "ENABLED_PROVIDERS": "dummy",
    "DEFAULT_PAYMENT_PROVIDER": "dummy",
    "ALLOW_SANDBOX": "true",
}


def who(request: Request) -> Principal:
    return Principal.anonymous(peer=request.peer)


def approve(draft: PaymentDraft, principal: Principal) -> PaymentDraft:
    price = ORDERS.get(draft.reference_code or "")
    if price is None:
        raise InvalidRequest("is no order of ours", field="reference_code")
    return draft.priced(price)


def create_app(bridge: Bridge) -> Starlette:
    """Return the shop; a test gives it a practice bridge."""
    return Starlette(
        routes=[*health_routes(bridge), payments_mount(bridge, "/bridge-payment")], lifespan=bridge.lifespan
    )


if __name__ == "__main__":
    import uvicorn

    environment = {**ENV, **os.environ}
    asyncio.run(SQLStore(environment["DATABASE_URL"]).upgrade())  # a deployment does this
    uvicorn.run(
        create_app(Bridge.from_env(environment, auth=AuthBridge(who), approve=approve)),
        port=int(os.environ.get("SHOP_PORT", "8000")),
    )
