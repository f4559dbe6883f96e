"""`ENABLED_PROVIDERS=paypal` and nothing else: a guest pays over HTTP, and approves in a real browser."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from databases import migrate
from hosts import MOUNTS, Conversation, who

from bridge_payments import AuthBridge, Bridge
from bridge_payments.sandbox.paypal import FakePayPal

GUEST = {"email": "grace@example.com", "name": "Grace"}
ROOT = {"x-session-id": "root"}
ORDER = {"total_cents": 5500, "currency": "usd", "reference_code": "order-1", "guest_data": GUEST}
WEBHOOK = "8PT597110X687430L"
FLAGS = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking".split()


@pytest.fixture(scope="module")
def gateway() -> Iterator[FakePayPal]:
    with FakePayPal(merchant="Cups & Kettles") as gateway:
        gateway.add_webhook("http://127.0.0.1:9/", webhook_id=WEBHOOK)
        gateway.webhooks.off = True
        yield gateway


class Shop:
    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.talk = Conversation(MOUNTS["starlette"](bridge))

    def data(self, method: str, path: str, body: object = b"", /, **headers: str) -> Any:
        answer = self.talk.ask(method, path, body, **headers)
        assert answer.status < 300, answer.body
        return answer.json["data"]


@pytest.fixture
def shop(gateway: FakePayPal, tmp_path: Path) -> Iterator[Shop]:
    url = f"sqlite:///{tmp_path / 'payments.db'}"
    migrate(url)
    bridge = Bridge.from_env(
        {
            "DATABASE_URL": url,
            "ENABLED_PROVIDERS": "paypal",
            "DEFAULT_PAYMENT_PROVIDER": "paypal",
            "INPROCESS_WORKER": "false",
            "PAYPAL_CLIENT_ID": gateway.client_id,
            "PAYPAL_CLIENT_SECRET": gateway.client_secret,
            "PAYPAL_WEBHOOK_ID": WEBHOOK,
            "PAYPAL_API_BASE": gateway.url,
        },
        auth=AuthBridge(who),
    )
    yield Shop(bridge)
    bridge.close()


def test_a_guest_pays_and_the_merchant_refunds(shop: Shop, gateway: FakePayPal) -> None:
    payment = shop.data("POST", "/payments/intents", {**ORDER, "return_url": "https://shop.example/back"})
    assert (payment["status"], payment["next_action"]["kind"]) == ("requires_action", "redirect_to_url")
    assert payment["client_secret"] not in (None, payment["provider_intent_id"])
    gateway.approve(payment["provider_intent_id"])
    paid = shop.data("POST", f"/payments/intents/{payment['id']}/confirm", {})
    assert paid["status"] == "succeeded"
    assert not paid.get("client_secret")
    refund = shop.data(
        "POST", f"/payments/{payment['id']}/refund", {"amount_cents": 501}, **ROOT, idempotency_key="r1"
    )
    assert refund["status"] == "succeeded"
    (given,) = [each for each in gateway.refunds() if each["custom_id"].endswith(refund["id"])]
    assert given["amount"]["value"] == "5.01"


def test_the_browser_learns_the_client_id_and_no_secret(shop: Shop, gateway: FakePayPal) -> None:
    answer = shop.talk.ask("GET", "/providers")
    assert gateway.client_id.encode() in answer.body
    assert gateway.client_secret.encode() not in answer.body


def test_a_webhook_is_taken_once_and_a_forged_one_never(shop: Shop, gateway: FakePayPal) -> None:
    payment = shop.data("POST", "/payments/intents", {**ORDER, "return_url": "https://shop.example/back"})
    gateway.approve(payment["provider_intent_id"])
    headers, body = gateway.signed_webhook("CHECKOUT.ORDER.APPROVED", webhook_id=WEBHOOK)
    sent = {name.replace("-", "_"): value for name, value in headers.items()}
    assert shop.talk.ask("POST", "/webhooks/paypal", body, **sent).status == 200
    assert shop.talk.ask("POST", "/webhooks/paypal", body, **sent).status == 200
    assert shop.talk.ask("POST", "/webhooks/paypal", body + b" ", **sent).status == 401
    assert shop.talk.ask("POST", "/webhooks/paypal", body).status in (400, 401)
    gateway.faults.add("error_before", path="/v1/notifications/*")
    assert shop.talk.ask("POST", "/webhooks/paypal", body, **sent).status == 503
    shop.bridge.blocking.call(shop.bridge.run_worker, once=True)
    seen = shop.data("POST", f"/payments/intents/{payment['id']}/sync", {})
    assert seen["status"] == "requires_confirmation"
    entries = shop.bridge.blocking.call(shop.bridge.engine.list_inbox)
    assert [str(entry.state) for entry in entries] == ["processed"]


def test_a_guest_cancels_with_their_secret_only(shop: Shop, gateway: FakePayPal) -> None:
    payment = shop.data("POST", "/payments/intents", {**ORDER, "return_url": "https://shop.example/back"})
    path = f"/payments/{payment['id']}/cancel"
    for wrong in ({}, {"client_secret": payment["provider_intent_id"]}):
        assert shop.talk.ask("POST", path, wrong).status in (401, 403)
    assert shop.data("POST", path, {"client_secret": payment["client_secret"]})["status"] == "canceled"


# --- the payer's own browser ------------------------------------------------------------------------


@contextmanager
def shop_page() -> Iterator[tuple[str, list[str]]]:
    """The page that the payer comes back to; remembers what was asked of it."""
    visits: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/back"):
                visits.append(self.path)
            page = b"<!doctype html><title>Shop</title><h1>Welcome back</h1>"
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/back?cart=7", visits
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.slow
@pytest.mark.needs("chromium")
def test_the_payer_approves_in_the_browser_is_declined_and_chooses_again(
    shop: Shop, gateway: FakePayPal, require: Any
) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    with (
        shop_page() as (back, visits),
        ThreadPoolExecutor(1) as apart,  # Playwright runs a loop in this thread
        playwright.sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(executable_path=str(require("chromium")), args=FLAGS)
        page = browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        body = {**ORDER, "return_url": back, "description": "Two cups"}
        payment = apart.submit(shop.data, "POST", "/payments/intents", body).result()
        confirm = f"/payments/intents/{payment['id']}/confirm"
        for choice, status in (("Bank account that refuses", 400), ("PayPal balance", 200)):
            page.goto(payment["next_action"]["url"])
            assert "Cups & Kettles" in page.content().replace("&amp;", "&")
            assert "55.00" in page.content()
            if folder := os.environ.get("BRIDGE_SCREENSHOTS"):
                page.screenshot(path=Path(folder) / "paypal-approval.png")
            page.get_by_label(choice, exact=True).check()
            page.get_by_role("button", name="Agree and pay").click()
            page.get_by_role("heading", name="Welcome back").wait_for()
            query = parse_qs(urlsplit(visits[-1]).query)
            assert (query["cart"], query["token"]) == (["7"], [payment["provider_intent_id"]])
            assert apart.submit(shop.talk.ask, "POST", confirm, {}).result().status == status
        browser.close()
    assert [line for line in errors if "favicon" not in line] == []
    taken = [each for each in gateway.captures(taken=True) if each["custom_id"] == payment["id"]]
    assert len(taken) == 1
