"""
A process that confirms a payment and stops right before the first byte: python sleeper.py < what-to-do.json

It says "frozen" before it stops; when it is let go on, it says what it heard.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import Any

from bridge_payments.engine import PaymentEngine, asking, operations
from bridge_payments.errors import BridgeError
from bridge_payments.providers.base import PaymentProvider
from bridge_payments.seam import Point, watched
from bridge_payments.settings import Settings
from bridge_payments.stores.sql import SQLStore
from bridge_payments.transport import Transport

__all__ = ["account_of"]


def account_of(kind: str, given: dict[str, Any], transport: Transport) -> PaymentProvider:
    if kind == "authorize_net":
        from bridge_payments.providers.authorize_net import AuthorizeNetProvider

        return AuthorizeNetProvider(transport=transport, encoder="json", **given)
    from bridge_payments.providers.paypal import PayPalProvider

    return PayPalProvider(transport=transport, **given)


async def main(todo: dict[str, Any]) -> str:
    asking.LEASE_SECONDS = operations.LEASE_SECONDS = todo["lease"]  # type: ignore[misc] # its own process
    asking.CALL_DEADLINE = todo["deadline"]  # type: ignore[misc] # the same
    frozen = False

    def watcher(point: Point, what: str) -> None:
        nonlocal frozen
        if point == "send" and todo["at"] in what and not frozen:
            frozen = True
            sys.stdout.write("frozen\n")
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGSTOP)

    transport = Transport()
    store = SQLStore(todo["database"])
    provider = account_of(todo["kind"], todo["account"], transport)
    engine = PaymentEngine(store, {todo["kind"]: provider}, settings=Settings(), transport=transport)
    await engine.sync_payment(todo["payment"])  # imports and a token take their time: before
    heard = "answered"
    with watched(watcher):
        try:
            await engine.confirm_payment(
                todo["payment"], payment_method=todo["method"], idempotency_key="first"
            )
        except BridgeError as error:
            heard = type(error).__name__
    await engine.aclose()
    await transport.aclose()
    await store.aclose()
    return heard


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(main(json.load(sys.stdin))) + "\n")
