"""
Make the pictures of the shop and of the dashboard from the real pages, in a headless Chromium.

    python docs/pictures.py             writes docs/pictures/shop.png and docs/pictures/dashboard.png

The shop is the sandbox's. The dashboard shows a month of practice: an invented merchant, real records.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

from flask import Flask
from playwright.sync_api import Browser, sync_playwright
from werkzeug.serving import make_server

from bridge_payments import AuthBridge, Money, PaymentDeclined, Principal, Settings
from bridge_payments.messages import Request
from bridge_payments.mounts.flask import payments_blueprint
from bridge_payments.testing import PracticeBridge, bridge

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
COOKIE = "admin"
DAYS = 30
METHODS = ("dummy_ok",) * 18 + ("dummy_declined", "dummy_insufficient")
CURRENCIES = ("USD", "USD", "USD", "USD", "EUR", "EUR", "GBP")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=Path(__file__).with_name("pictures"))
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("chromium-browser"))
    given = parser.parse_args()
    given.into.mkdir(exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=given.chromium, args=FLAGS)
        with sandbox() as url:
            picture(browser, url, given.into / "shop.png", wait_for=".shelf li", height=830)
        with practice() as url:
            picture(browser, url, given.into / "dashboard.png", wait_for="#plot-USD .bar", height=1000)
        browser.close()


def picture(browser: Browser, url: str, target: Path, *, wait_for: str, height: int) -> None:
    context = browser.new_context(
        viewport={"width": 1200, "height": height}, locale="en-US", timezone_id="UTC", color_scheme="light"
    )
    context.add_cookies([{"name": COOKIE, "value": "yes", "url": url}])
    page = context.new_page()
    page.goto(url)
    page.locator(wait_for).first.wait_for()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=target)
    context.close()


# --- the shop ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def sandbox() -> Iterator[str]:
    """The sandbox, in a process and a folder of its own."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]
    program = "import sys; from bridge_payments.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "sandbox", "--port", str(port), "--no-browser"]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(300):
                with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health/ready"):
                    break
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            process.wait()


# --- the dashboard ----------------------------------------------------------------------------------


@contextlib.contextmanager
def practice() -> Iterator[str]:
    """A shop with a month behind it, on Flask."""
    settings = Settings(admin_ui_enabled=True, rate_limit_enabled=False)
    shop = bridge(auth=AuthBridge(who), settings=settings)
    with ThreadPoolExecutor(1) as elsewhere:  # the browser's driver has an event loop in this thread
        elsewhere.submit(shop.call, a_month, shop).result()
        app = Flask("shop")
        app.register_blueprint(payments_blueprint(shop), url_prefix="/bridge-payment")
        server = make_server("127.0.0.1", 0, app, threaded=True)
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            root = f"http://127.0.0.1:{server.server_port}/bridge-payment"
            for _ in range(40):
                with urllib.request.urlopen(f"{root}/providers"):
                    pass
            yield f"{root}/admin/ui"
        finally:
            server.shutdown()
            serving.join()
            server.server_close()
            elsewhere.submit(shop.close).result()


def who(request: Request) -> Principal | None:
    return Principal.admin("merchant") if request.cookies.get(COOKIE) else None


async def a_month(shop: PracticeBridge) -> None:
    """Let a month of ordinary business happen: most pay, some give up, some want their money back."""
    chance = random.Random(11)
    shop.webhooks.on("*", name="shop")(lambda event: None)
    shop.move(days=-(DAYS - 1))
    for day in range(DAYS):
        for number in range(6 + chance.randrange(7) + (5 if day % 7 in (4, 5) else 0)):
            await an_order(shop, chance, f"TK-{day + 10}{number:02}{chance.randrange(10)}")
        await shop.deliver_webhook()
        await shop.work()
        if day < DAYS - 1:
            shop.clock.move(timedelta(days=1))


async def an_order(shop: PracticeBridge, chance: random.Random, order: str) -> None:
    price = Money(chance.randrange(900, 9900, 50), chance.choice(CURRENCIES))
    payment = await shop.engine.create_payment_intent(price, reference_code=order)
    if chance.random() < 0.04:
        await shop.engine.cancel_payment(payment.id)
        return
    try:
        await shop.engine.confirm_payment(payment.id, payment_method=chance.choice(METHODS))
    except PaymentDeclined:
        if chance.random() < 0.5:
            await shop.engine.cancel_payment(payment.id)
        return
    if chance.random() < 0.06:
        half = price.minor_units // 2
        await shop.engine.refund_payment(payment.id, amount_cents=half, idempotency_key=order)


if __name__ == "__main__":
    main()
