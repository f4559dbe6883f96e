"""This library, mounted on each framework as its guide says."""

from __future__ import annotations

from typing import Any

from bridge_payments import AuthBridge, Bridge, PaymentEngine, Principal
from bridge_payments.engine import PaymentDraft
from bridge_payments.messages import Request
from bridge_payments.providers.stripe import StripeProvider
from bridge_payments.settings import Settings
from bridge_payments.stores.base import Store
from bridge_payments.stores.sql import SQLStore
from bridge_payments.transport import Transport

PREFIX = "/bridge-payment"


def who(request: Request) -> Principal | None:
    user = request.header("x-user")
    return Principal.user(user) if user else None


async def who_async(request: Request) -> Principal | None:
    return who(request)


async def approve(draft: PaymentDraft, principal: Principal) -> PaymentDraft:
    return draft


def engine(store: Store, gateway: str, *, key: str = "sk_test_bench", worker: bool = False) -> PaymentEngine:
    transport = Transport()
    provider = StripeProvider(secret_key=key, transport=transport, api_base=gateway)
    # Limits count, and let everybody through.
    settings = Settings(inprocess_worker=worker, rate_limit_requests=10**9)
    return PaymentEngine(store, {"stripe": provider}, approve=approve, settings=settings, transport=transport)


def starlette(database: str, gateway: str, *, worker: bool = False) -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from bridge_payments.mounts.starlette import payments_app

    bridge = Bridge(engine(SQLStore(database), gateway, worker=worker), auth=AuthBridge(who_async))
    return Starlette(routes=[Mount(PREFIX, app=payments_app(bridge))], lifespan=bridge.lifespan)


def starlette_with_worker(database: str, gateway: str) -> Any:
    return starlette(database, gateway, worker=True)


def hooks(database: str, gateway: str, *, worker: bool = False) -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from bridge_payments.mounts.starlette import payments_app

    transport = Transport()
    provider = StripeProvider(
        secret_key="sk_test_bench", webhook_secrets=["whsec_bench"], transport=transport, api_base=gateway
    )
    settings = Settings(inprocess_worker=worker)
    made = PaymentEngine(
        SQLStore(database), {"stripe": provider}, approve=approve, settings=settings, transport=transport
    )
    bridge = Bridge(made, auth=AuthBridge(who_async))
    return Starlette(routes=[Mount(PREFIX, app=payments_app(bridge))], lifespan=bridge.lifespan)


def hooks_with_worker(database: str, gateway: str) -> Any:
    return hooks(database, gateway, worker=True)


def fastapi(database: str, gateway: str) -> Any:
    from fastapi import FastAPI

    from bridge_payments.mounts.fastapi import payments_router

    app = FastAPI()
    bridge = Bridge(engine(SQLStore(database), gateway), auth=AuthBridge(who_async))
    app.include_router(payments_router(bridge), prefix=PREFIX)
    return app


def flask(database: str, gateway: str) -> Any:
    from flask import Flask

    from bridge_payments.mounts.flask import payments_blueprint

    app = Flask(__name__)
    bridge = Bridge(engine(SQLStore(database), gateway), auth=AuthBridge(who))
    app.register_blueprint(payments_blueprint(bridge), url_prefix=PREFIX)
    return app
