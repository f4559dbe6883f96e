"""The recorder hears every adapter, and a session in which something bad was sent does not stay green."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bridge_lab.exchanges import Exchange
from bridge_lab.recorder import Recorder

from bridge_payments.errors import ProviderUnknown
from bridge_payments.providers.stripe import StripeProvider
from bridge_payments.transport import Transport

ROOT = Path(__file__).parents[2]
GOOD: dict[str, Any] = {
    "method": "POST",
    "url": "http://127.0.0.1:1/v1/refunds",
    "headers": {"idempotency-key": "op_1"},
    "content": b"payment_intent=pi_1&amount=500",
}


@pytest.mark.anyio
async def test_what_an_adapter_sends_is_heard_without_its_credentials(
    stripe_lab: Recorder, scripted: Any
) -> None:
    transport = Transport()
    account = StripeProvider(secret_key="sk_test_hush", transport=transport, api_base=scripted.url)
    before = len(stripe_lab.exchanges)
    scripted.break_(b"")
    with pytest.raises(ProviderUnknown):
        await account.sync_payment_status("pi_1")
    await transport.aclose()
    (heard,) = stripe_lab.exchanges[before:]
    assert (heard.method, heard.path) == ("GET", "/v1/payment_intents/pi_1")
    assert "hush" not in repr(heard)


@pytest.mark.needs("specs")
@pytest.mark.parametrize(
    ("change", "complaints"),
    [
        ({}, 0),
        ({"content": b"payment_intent=pi_1&amount=500&why=no"}, 2),
        ({"headers": {}}, 1),
        ({"status": 200, "answer": b'{"object": "refund"}'}, 4),
        (
            {
                "status": 200,
                "answer": b'{"object": "refund"}',
                "answered": {"x-lab-not-stripe": "on purpose"},
            },
            0,
        ),
        ({"status": 500, "answer": b"oops"}, 0),
    ],
)
def test_each_thing_that_is_wrong_is_said(require: Any, change: dict[str, Any], complaints: int) -> None:
    recorder = Recorder(require("specs"))
    recorder.exchanges.append(Exchange(**{**GOOD, **change}))
    assert len(recorder.judge()) == complaints
    assert recorder.judge() == [], "each exchange is judged once"


SENT_BADLY = """
import asyncio
import pytest
from bridge_lab.gateway import serving
from bridge_payments.transport import Transport

def send(gateway):
    async def ask():
        transport = Transport()
        headers = {"Stripe-Version": "x", "Idempotency-Key": "k"}
        await transport.request("POST", gateway.url + "/v1/refunds", headers=headers, content=b"bogus=1")
        await transport.aclose()
    gateway.break_(b"{}")
    asyncio.run(ask())
"""
BY_A_TEST = """
def test_bad(scripted):
    send(scripted)
"""
WHEN_TESTS_ARE_OVER = """
@pytest.fixture(scope="session")
def closes_late():
    yield
    with serving() as gateway:
        send(gateway)

def test_good(closes_late):
    pass
"""


@pytest.mark.needs("specs")
@pytest.mark.parametrize(
    ("code", "processes"),
    [(BY_A_TEST, []), (WHEN_TESTS_ARE_OVER, ["-n", "2"])],
    ids=["a test", "the end, in one of two processes"],
)
def test_a_run_that_sends_what_stripe_does_not_take_fails(
    code: str, processes: list[str], tmp_path: Path
) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["processes", "bridge_lab.plugin"]\n')
    (tmp_path / "test_bad.py").write_text(SENT_BADLY + code)
    quiet = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={tmp_path}"]
    paths = ["-o", f"pythonpath={ROOT / 'tests' / 'lab'} {ROOT / 'tests' / 'support'}"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *quiet, *paths, *processes, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "bogus" in ran.stdout
    assert "not what Stripe publishes" in ran.stdout
