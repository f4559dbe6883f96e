"""What each instance serves and each worker works for. `run.py` starts them."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request as Asked
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bridge_payments import AuthBridge, Bridge, Event, Money, Principal, Request
from bridge_payments.engine import PaymentDraft
from bridge_payments.mounts.starlette import health_routes, payments_mount

SHIPPED = Path(os.environ["SHIPPED"])


def who(request: Request) -> Principal:
    return Principal.anonymous(peer=request.peer)


def approve(draft: PaymentDraft, principal: Principal) -> PaymentDraft:
    return draft.priced(Money(2000, "USD"))


bridge = Bridge.from_env(auth=AuthBridge(who), approve=approve)


@bridge.webhooks.on("payment.success")
def ship(event: Event) -> None:
    assert event.payment is not None
    with SHIPPED.open("a") as lines:
        lines.write(f"{event.payment.id} {os.getpid()}\n")


async def instance(asked: Asked) -> PlainTextResponse:
    return PlainTextResponse(str(os.getpid()))


app = Starlette(
    routes=[Route("/instance", instance), *health_routes(bridge), payments_mount(bridge, "/bridge-payment")],
    lifespan=bridge.lifespan,
)
