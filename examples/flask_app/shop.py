"""A shop on Flask, with a login of its own: the session cookie says who pays."""

from __future__ import annotations

import asyncio
import os

from flask import Flask, Response, request, session

from bridge_payments import AuthBridge, Bridge, Event, Money, Principal, Request
from bridge_payments.engine import PaymentDraft
from bridge_payments.errors import InvalidRequest
from bridge_payments.mounts.flask import health_blueprint, payments_blueprint
from bridge_payments.stores.base import PaymentQuery
from bridge_payments.stores.sql import SQLStore

ORDERS = {"order-1": Money(2000, "USD")}
ENV = {
    "DATABASE_URL": "sqlite:///shop.db",
    "ENABLED_PROVIDERS": "dummy",
    "DEFAULT_PAYMENT_PROVIDER": "dummy",
    "ALLOW_SANDBOX": "true",
}


def who(request: Request) -> Principal:
    """Run in the request's own thread, where `flask.session` lives."""
    user = session.get("user")
    return Principal.user(user) if user else Principal.anonymous(peer=request.peer)


def approve(draft: PaymentDraft, principal: Principal) -> PaymentDraft:
    price = ORDERS.get(draft.reference_code or "")
    if price is None:
        raise InvalidRequest("is no order of ours", field="reference_code")
    return draft.priced(price)


def create_app(bridge: Bridge) -> Flask:
    """Return the shop; a test gives it a practice bridge."""
    app = Flask("shop")
    app.secret_key = os.environ.get("SECRET_KEY") or os.urandom(32)
    app.shipped = []  # type: ignore[attr-defined]
    app.register_blueprint(payments_blueprint(bridge), url_prefix="/bridge-payment")
    app.register_blueprint(health_blueprint(bridge))

    @bridge.webhooks.on("payment.success")
    def ship(event: Event) -> None:
        app.shipped.append(event.payment.reference_code)  # type: ignore[attr-defined,union-attr]

    @app.post("/login")
    def login() -> Response:
        session["user"] = request.form["name"]
        return Response(status=204)

    @app.get("/mine")
    def mine() -> dict[str, list[str]]:
        page = bridge.call(
            bridge.engine.list_payments, PaymentQuery(), principal=Principal.user(session["user"])
        )
        return {"payments": [payment.id for payment in page.items]}

    return app


if __name__ == "__main__":
    environment = {**ENV, **os.environ}
    asyncio.run(SQLStore(environment["DATABASE_URL"]).upgrade())  # a deployment does this
    bridge = Bridge.from_env(environment, auth=AuthBridge(who), approve=approve)
    create_app(bridge).run(port=int(os.environ.get("SHOP_PORT", "8000")))
