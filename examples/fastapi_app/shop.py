"""A shop with three providers: fake gateways in this process. With real ones only `accounts` changes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse

from bridge_payments import AuthBridge, Bridge, Event, Money, PaymentEngine, Principal, Request, Settings
from bridge_payments.engine import PaymentDraft
from bridge_payments.errors import InvalidRequest
from bridge_payments.mounts.fastapi import health_router, payments_router
from bridge_payments.sandbox.tills import open_tills
from bridge_payments.stores.sql import SQLStore
from bridge_payments.transport import Transport

PORT = int(os.environ.get("SHOP_PORT", "8000"))
PRICES = {"cup": Money(2000, "USD"), "pot": Money(5400, "USD")}
PREFIX = "/bridge-payment"

tills = open_tills(["stripe", "paypal", "authorize_net"], port=PORT + 1, saved={})
transport = Transport()
accounts = {
    name: till.account(transport, f"http://127.0.0.1:{PORT}{PREFIX}/webhooks/{name}")
    for name, till in tills.items()
}


def who(request: Request) -> Principal:
    """Everybody is a guest here. Yours reads a session."""
    return Principal.anonymous(peer=request.peer)


def approve(draft: PaymentDraft, principal: Principal) -> PaymentDraft:
    """The reference is the order: ``cup-17``. The price is the shop's, whatever the browser said."""
    price = PRICES.get((draft.reference_code or "").partition("-")[0])
    if price is None:
        raise InvalidRequest("is nothing that we sell", field="reference_code")
    return draft.priced(price)


store = SQLStore(os.environ.get("DATABASE_URL", "sqlite:///shop.db"))
settings = Settings(allow_sandbox=True, admin_ui_enabled=True)
engine = PaymentEngine(store, accounts, approve=approve, settings=settings, transport=transport)
bridge = Bridge(engine, auth=AuthBridge(who))
shipped: dict[str, str] = {}


@bridge.webhooks.on("payment.success")
def ship(event: Event) -> None:
    """At least once, hence by the order: shipping twice is not."""
    assert event.payment is not None
    shipped[event.payment.reference_code or ""] = event.payment.provider_id or ""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await store.upgrade()  # a deployment does this: bridge-payments db upgrade
    for till in tills.values():
        till.gateway.serve()
    yield
    for till in tills.values():
        till.gateway.stop()


app = FastAPI(lifespan=lifespan)
app.include_router(payments_router(bridge), prefix=PREFIX)
app.include_router(health_router(bridge))


@app.get("/", include_in_schema=False)
def page() -> FileResponse:
    return FileResponse(Path(__file__).with_name("shop.html"))


@app.get("/shipped")
def what_was_shipped() -> dict[str, str]:
    return shipped


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app, host="127.0.0.1", port=PORT)
