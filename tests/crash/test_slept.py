"""
A sender is stopped between its reserve and the first byte, for longer than its lease, where no key helps.

Meanwhile a worker proves that nothing was sent and gives the operation up, and the payer pays again. What the
sender would send now would be a second charge: no key protects it there.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sleeper import account_of

from bridge_payments.engine import PaymentEngine
from bridge_payments.models import OperationState, PaymentStatus, Verb
from bridge_payments.sandbox.authorize_net import FakeAuthorizeNet
from bridge_payments.sandbox.paypal import FakePayPal
from bridge_payments.settings import Settings
from bridge_payments.stores.sql import SQLStore
from bridge_payments.transport import Transport

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs processes that can be stopped"),
]

LEASE, DEADLINE = 6.0, 3.0


def authorize_net(gateway: FakeAuthorizeNet) -> dict[str, Any]:
    return {
        "login_id": gateway.login_id,
        "transaction_key": gateway.transaction_key,
        "signature_keys": [gateway.signature_key],
        "api_base": gateway.url,
    }


def paypal(gateway: FakePayPal) -> dict[str, Any]:
    return {
        "client_id": gateway.client_id,
        "client_secret": gateway.client_secret,
        "webhook_ids": ["WH-OF-NOBODY"],
        "api_base": gateway.url,
    }


KINDS: dict[str, tuple[Callable[[], Any], Callable[[Any], dict[str, Any]], str]] = {
    "authorize_net": (FakeAuthorizeNet, authorize_net, ""),
    "paypal": (FakePayPal, paypal, "/capture"),
}


def agree(kind: str, gateway: Any, reference: str | None) -> str | None:
    """Return what the payer brings to pay with, or let them agree at the gateway."""
    if kind == "authorize_net":
        return str(gateway.token("visa"))
    gateway.approve(reference)
    return None


def charged(kind: str, gateway: Any) -> int:
    if kind == "authorize_net":
        return len(gateway.charges())
    return len(gateway.captures())


@pytest.mark.parametrize("kind", KINDS)
async def test_a_sender_that_slept_through_its_lease_sends_nothing_where_no_key_would_help(
    kind: str, tmp_path: Path
) -> None:
    fake, credentials, at = KINDS[kind]
    database = f"sqlite:///{tmp_path / 'shop.db'}"
    with fake() as gateway:
        gateway.webhooks.off = True
        clock, transport = gateway.clock, Transport()
        store = SQLStore(database, clock=clock)
        await store.upgrade()
        account = credentials(gateway)
        engine = PaymentEngine(
            store, {kind: account_of(kind, account, transport)}, settings=Settings(), clock=clock,
            transport=transport,
        )  # fmt: skip
        payment = await engine.create_payment_intent(
            total_cents=2000, currency="USD", return_url="https://shop.example/back"
        )
        method = agree(kind, gateway, payment.provider_intent_id)
        todo = {
            "kind": kind, "account": account, "database": database, "payment": payment.id, "method": method,
            "at": at, "lease": LEASE, "deadline": DEADLINE,
        }  # fmt: skip
        sender = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).parents[1] / "support" / "sleeper.py"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert sender.stdin is not None
        assert sender.stdout is not None
        try:
            sender.stdin.write(json.dumps(todo).encode())
            sender.stdin.close()
            assert await sender.stdout.readline() == b"frozen\n"
            ends = time.monotonic() + LEASE

            for _ in range(6):
                clock.move(timedelta(minutes=10))
                await engine.reconcile()
            (lost,) = [each for each in await engine.list_operations(payment.id) if each.verb is Verb.CONFIRM]
            assert lost.state is OperationState.ABANDONED, lost.resolution
            if kind == "authorize_net":
                method = agree(kind, gateway, payment.provider_intent_id)
            again = await engine.confirm_payment(payment.id, payment_method=method, idempotency_key="second")
            assert again.status is PaymentStatus.SUCCEEDED
            # The one thing that is waited for is the lease itself.
            await asyncio.sleep(max(ends - time.monotonic(), 0))

            os.kill(sender.pid, signal.SIGCONT)
            assert await sender.stdout.readline() == b"Unavailable\n", "it was given up, and may be repeated"
        finally:
            with suppress(ProcessLookupError):
                sender.kill()
            await sender.wait()
        for _ in range(3):
            clock.move(timedelta(minutes=10))
            await engine.reconcile()
            await engine.sweep()
        row = await engine.get_payment(payment.id)
        assert (row.status, row.captured_cents) == (PaymentStatus.SUCCEEDED, 2000)
        assert charged(kind, gateway) == 1
        assert await engine.list_unknown() == []
        await engine.aclose()
        await transport.aclose()
        await store.aclose()
