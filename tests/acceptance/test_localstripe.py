"""The adapter against a Stripe that nobody here wrote: localstripe, in a process of its own.

It refuses every parameter that it does not know, so it also proves that the smallest calls are small.
What it does not have (keys, lists by date, descriptions, return addresses) is proved elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from bridge_payments.errors import InvalidSignature, ProviderDeclined, ProviderRejected
from bridge_payments.messages import Request
from bridge_payments.models import CaptureMethod, Money, PaymentStatus, RefundStatus
from bridge_payments.providers.base import (
    CancelRequest,
    CaptureRequest,
    ConfirmRequest,
    IntentRequest,
    ProviderPayment,
    RefundRequest,
    Step,
)
from bridge_payments.providers.stripe import StripeProvider
from bridge_payments.transport import Transport

pytestmark = [pytest.mark.anyio, pytest.mark.needs("localstripe")]

KEY = "sk_test_12345"
SECRET = "whsec_localstripe"
USD = Money(2000, "USD")
CHALLENGED, DECLINED, FINE = "4000002500003155", "4000000000000341", "4242424242424242"


@pytest.fixture(scope="module")
def server(require: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = require("localstripe")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("localstripe")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [command, "--port", str(port), "--from-scratch"], cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(10)
        (Path(tempfile.gettempdir()) / "localstripe.pickle").unlink(missing_ok=True)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError):
            call(url, "/v1/balance")
            return
        time.sleep(0.05)
    raise RuntimeError("localstripe did not start")


def call(url: str, path: str, form: dict[str, str] | None = None) -> Any:
    """Do what is not the adapter's: cards, challenges, the endpoint of the webhooks."""
    request = urllib.request.Request(
        url + path,
        data=None if form is None else urllib.parse.urlencode(form).encode(),
        headers={"Authorization": f"Bearer {KEY}"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


class Shop:
    def __init__(self, url: str, account: StripeProvider) -> None:
        self.url, self.account = url, account
        self._count = 0

    def step(self) -> Step:
        self._count += 1
        return Step(key=f"op-{self._count}", reference=f"reference{self._count:011}", deadline=5)

    def card(self, number: str) -> str:
        card = {"card[number]": number, "card[exp_month]": "12", "card[exp_year]": "2034", "card[cvc]": "123"}
        return str(call(self.url, "/v1/payment_methods", {"type": "card", **card})["id"])

    async def begin(self, number: str = FINE, **changes: Any) -> ProviderPayment:
        step = self.step()
        facts: dict[str, Any] = {"amount": USD, "payment_id": "pay_1", "reference": step.reference}
        asked = IntentRequest(**{**facts, "payment_method": self.card(number), **changes})
        return await self.account.create_payment_intent(asked, step=step)

    async def confirm(self, begun: ProviderPayment) -> ProviderPayment:
        asked = ConfirmRequest(payment=begun.reference, amount=USD)
        return await self.account.confirm_payment(asked, step=self.step())


@pytest.fixture
async def shop(server: str, stripe_lab: Any) -> AsyncIterator[Shop]:
    stripe_lab.foreign.add(server)
    transport = Transport()
    yield Shop(
        server,
        StripeProvider(secret_key=KEY, webhook_secrets=[SECRET], transport=transport, api_base=server),
    )
    await transport.aclose()


async def test_the_smallest_create_is_understood(shop: Shop) -> None:
    begun = await shop.begin(payment_method=None)
    assert begun.status is PaymentStatus.PENDING
    assert (begun.amount, begun.payment_id) == (USD, "pay_1")
    assert begun.client_secret


async def test_a_payment_is_confirmed_read_and_given_back(shop: Shop) -> None:
    begun = await shop.begin()
    assert begun.status is PaymentStatus.REQUIRES_CONFIRMATION
    paid = await shop.confirm(begun)
    assert (paid.status, paid.captured) == (PaymentStatus.SUCCEEDED, 2000)
    assert paid.charge
    step = shop.step()
    asked = RefundRequest(
        payment=paid.reference, refund_id="ref_1", amount=Money(500, "USD"), reference=step.reference
    )
    given = await shop.account.refund_payment(asked, step=step)
    assert (given.status, given.amount, given.refund_id) == (
        RefundStatus.SUCCEEDED,
        Money(500, "USD"),
        "ref_1",
    )
    seen = await shop.account.sync_payment_status(paid.reference)
    assert (seen.status, seen.captured, seen.refunded) == (PaymentStatus.SUCCEEDED, 2000, 500)


async def test_a_card_that_is_refused_is_a_decline(shop: Shop) -> None:
    begun = await shop.begin(DECLINED)
    with pytest.raises(ProviderDeclined) as refused:
        await shop.confirm(begun)
    assert refused.value.decline_code == "declined"
    seen = await shop.account.sync_payment_status(begun.reference)
    assert seen.status is PaymentStatus.PENDING
    assert seen.decline is not None


async def test_an_authorisation_is_held_and_captured(shop: Shop) -> None:
    held = await shop.confirm(await shop.begin(capture_method=CaptureMethod.MANUAL))
    assert (held.status, held.authorized, held.captured) == (PaymentStatus.REQUIRES_CAPTURE, 2000, 0)
    asked = CaptureRequest(payment=held.reference, amount=USD)
    taken = await shop.account.capture_payment(asked, step=shop.step())
    assert (taken.status, taken.captured, taken.refunded) == (PaymentStatus.SUCCEEDED, 2000, 0)


async def test_a_payment_is_given_up(shop: Shop) -> None:
    begun = await shop.begin()
    ended = await shop.account.cancel_payment(CancelRequest(payment=begun.reference), step=shop.step())
    assert ended.status is PaymentStatus.CANCELED
    with pytest.raises(ProviderRejected):
        await shop.confirm(ended)


@pytest.mark.parametrize(
    ("passed", "status"), [("true", PaymentStatus.SUCCEEDED), ("false", PaymentStatus.PENDING)]
)
async def test_a_challenge_is_answered_at_the_bank(shop: Shop, passed: str, status: PaymentStatus) -> None:
    asked = await shop.confirm(await shop.begin(CHALLENGED))
    assert asked.status is PaymentStatus.REQUIRES_ACTION
    assert asked.next_action is not None
    answer = {"key": "pk_test_1", "client_secret": str(asked.client_secret), "success": passed}
    with contextlib.suppress(urllib.error.HTTPError):  # a failed challenge is also a 402
        call(shop.url, f"/v1/payment_intents/{asked.reference}/_authenticate", answer)
    step = shop.step()
    if status is PaymentStatus.SUCCEEDED:
        assert (await shop.account.sync_payment_status(asked.reference)).status is status
    else:
        # It cannot expand a charge that is not there, and Stripe can: read without.
        intent = call(shop.url, f"/v1/payment_intents/{asked.reference}")
        assert intent["last_payment_error"]["code"] == "payment_intent_authentication_failure"
        assert (
            await shop.account.cancel_payment(CancelRequest(payment=asked.reference), step=step)
        ).charge is None


@contextlib.contextmanager
def hooked(url: str) -> Iterator[Queue[tuple[dict[str, str], bytes]]]:
    """Register an endpoint with localstripe and yield what arrives there."""
    arrived: Queue[tuple[dict[str, str], bytes]] = Queue()

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            arrived.put(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """A test's output is its own."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as endpoint:
        threading.Thread(target=endpoint.serve_forever, daemon=True).start()
        hook = {"url": f"http://127.0.0.1:{endpoint.server_address[1]}/hook", "secret": SECRET}
        configure = urllib.request.Request(
            f"{url}/_config/webhooks/bridge",
            data=json.dumps(hook).encode(),
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(configure, timeout=5).close()
        yield arrived
        endpoint.shutdown()


async def test_its_signed_webhooks_are_verified_on_the_bytes_that_came(shop: Shop) -> None:
    with hooked(shop.url) as arrived:
        paid = await shop.confirm(await shop.begin())
        # It sends a second after the fact, and the tests before this one were facts too.
        headers, body = {}, b""
        while not (b"payment_intent.succeeded" in body and paid.reference.encode() in body):
            headers, body = arrived.get(timeout=15)

    event = await shop.account.read_webhook(Request(method="POST", path="/", headers=headers, body=body))
    assert (event.type, event.reference) == ("payment_intent.succeeded", paid.reference)
    assert event.our_reference == paid.our_reference
    assert str(paid.client_secret) not in event.body
    forged = Request(method="POST", path="/", headers=headers, body=body.replace(b"2000", b"9000"))
    with pytest.raises(InvalidSignature):
        await shop.account.read_webhook(forged)
