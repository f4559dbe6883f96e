"""A guest at the shop, in a real browser: whatever the card or the wire does, they pay once or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

playwright = pytest.importorskip("playwright.sync_api")

from playwright.sync_api import Browser, Page, Request, expect, sync_playwright  # noqa: E402

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]

FLAGS = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync
""".split()
PROGRAM = "import sys; from bridge_payments.cli import main; sys.exit(main())"
SANDBOX = {"x-sandbox": "1"}
CONTROL = {"x-sandbox-control": "1"}


class Shop:
    """The sandbox as a process of its own, as a person starts it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.gateway = ""
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        arguments = ["sandbox", "--port", str(self.port), "--no-browser"]
        environment = {name: value for name, value in os.environ.items() if "STRIPE" not in name}
        with (self.folder / "output.txt").open("a") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", "-c", PROGRAM, *arguments],
                cwd=self.folder,
                env=environment,
                stdout=output,
                stderr=output,
                text=True,
            )
        deadline = time.monotonic() + 120  # on a machine that does ten other things as well
        while not self._ready():
            assert self._process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.1)
        policy = httpx.get(self.url).headers["content-security-policy"]
        found = re.search(r"script-src 'self' (\S+);", policy)
        assert found
        self.gateway = found[1]

    def _ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/health/ready").status_code == 200
        return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(15)

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text()

    def state(self) -> dict[str, Any]:
        return dict(httpx.get(f"{self.url}/live/state").json())

    def payment_of(self, order: str) -> dict[str, Any]:
        [payment] = [one for one in self.state()["payments"] if one["reference_code"] == order]
        return dict(payment)

    def heard(self, order: str) -> dict[str, Any]:
        return dict(httpx.get(f"{self.url}/shop/orders/{order}").json())

    def books(self) -> dict[str, Any]:
        return dict(httpx.get(f"{self.gateway}/_control/books", headers=CONTROL).json())

    def charges_of(self, intent: str) -> list[dict[str, Any]]:
        return [one for one in self.books()["charges"] if one["payment_intent"] == intent and one["paid"]]

    def requests(self, path: str) -> list[dict[str, Any]]:
        found = httpx.get(f"{self.gateway}/_control/requests", headers=CONTROL).json()["requests"]
        return [one for one in found if one["path"] == path]

    def switch(self, **wish: Any) -> None:
        httpx.post(f"{self.url}/live/switch", json=wish, headers=SANDBOX).raise_for_status()

    def order(self, currency: str = "USD", **items: int) -> str:
        wish = {"items": items or {"guji": 1}, "currency": currency}
        return str(httpx.post(f"{self.url}/shop/orders", json=wish).json()["number"])


def _free_port() -> int:
    """Return a port whose upper neighbour, the gateway's, is free as well."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            with contextlib.suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 1))
                return port


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = Shop(tmp_path_factory.mktemp("sandbox"))
    try:
        shop.start()
        yield shop
    finally:
        shop.stop()


@pytest.fixture(autouse=True)
def everything_works_at_first(shop: Shop) -> None:
    shop.switch(clear=True)
    shop.switch(webhooks="on")
    shop.switch(subscriber="well")


@pytest.fixture(scope="module")
def browser(require: Any) -> Iterator[Browser]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(require("chromium")), args=FLAGS)
        yield browser
        browser.close()


class Guest:
    """Somebody with a browser and a card."""

    def __init__(self, page: Page, shop: Shop) -> None:
        self.page = page
        self.shop = shop
        self.sent: list[str] = []
        self.errors: list[str] = []
        page.on("request", self._note)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _note(self, request: Request) -> None:
        if request.url.startswith(self.shop.url):
            self.sent.append(f"{request.url} {request.post_data or ''}")

    def goes_to_checkout(self, order: str) -> None:
        self.page.goto(f"{self.shop.url}/checkout/{order}")
        self.introduces_themselves()

    def introduces_themselves(self) -> None:
        self.page.get_by_label("Name").fill("Ada Lovelace")
        self.page.get_by_label("E-mail").fill("ada@example.com")

    def types_card(self, number: str) -> None:
        fields = self.page.frame_locator("iframe[title='Card details']")
        fields.get_by_label("Card number").fill("")
        fields.get_by_label("Card number").press_sequentially(number)
        fields.get_by_label("Expiry date").fill("")
        fields.get_by_label("Expiry date").press_sequentially("1230")
        fields.get_by_label("Security code").fill("1234" if number.startswith("3") else "123")

    def pays(self) -> None:
        self.page.locator("#submit").click()

    def sees(self, text: str) -> None:
        expect(self.page.get_by_text(text).first).to_be_visible(timeout=15_000)


@pytest.fixture
def guest(browser: Browser, shop: Shop, tmp_path: Path) -> Iterator[Guest]:
    context = browser.new_context(locale="en-US", viewport={"width": 1200, "height": 900})
    context.set_default_timeout(15_000)
    guest = Guest(context.new_page(), shop)
    yield guest
    if folder := os.environ.get("BRIDGE_SCREENSHOTS"):
        guest.page.screenshot(path=f"{folder}/{tmp_path.name}.png", full_page=True)
    context.close()
    assert guest.errors == []


# --- the payer --------------------------------------------------------------------------------------


def test_a_guest_fills_a_bag_buys_by_card_and_the_shop_sees_it(guest: Guest, shop: Shop) -> None:
    page = guest.page
    page.goto(shop.url)
    page.get_by_role("button", name="Put Guji Highland into the bag").click()
    page.get_by_role("button", name="Put Gooseneck kettle into the bag").click()
    page.get_by_role("link", name=re.compile("Bag")).click()
    page.get_by_role("button", name="One Guji Highland more").click()
    page.get_by_role("button", name="Check out").click()
    page.wait_for_url("**/checkout/*")
    guest.introduces_themselves()
    expect(page.locator("#total")).to_have_text("$114.48")
    guest.types_card("4242424242424242")
    guest.pays()
    guest.sees("Thank you. Your payment arrived.")
    order = page.url.rsplit("/", 1)[1]
    payment = shop.payment_of(order)
    assert (payment["status"], payment["captured_cents"]) == ("succeeded", 11_448)
    assert len(shop.charges_of(payment["provider_intent_id"])) == 1
    assert [event["type"] for event in shop.heard(order)["heard"]] == ["payment.created", "payment.success"]


def test_no_card_number_and_no_code_ever_reaches_the_shop(guest: Guest, shop: Shop) -> None:
    guest.goes_to_checkout(shop.order())
    guest.types_card("5555555555554444")
    guest.pays()
    guest.sees("Thank you. Your payment arrived.")
    assert any("/confirm" in line for line in guest.sent)
    for line in guest.sent:
        assert "5555555555554444" not in re.sub(r"\D", "", line)
        assert "cvc" not in line
    for name in ("bridge-sandbox.db", "bridge-sandbox.db.sandbox.json", "output.txt"):
        kept = (shop.folder / name).read_bytes()
        assert b"5555555555554444" not in kept


def test_a_guest_passes_the_challenge_of_the_bank(guest: Guest, shop: Shop) -> None:
    order = shop.order(cups=2)
    guest.goes_to_checkout(order)
    guest.types_card("4000000000003220")
    guest.pays()
    guest.page.wait_for_url("**/_3ds/**")
    guest.sees("60.48 USD")
    guest.page.get_by_role("button", name="Complete").click()
    guest.sees("Thank you. Your payment arrived.")
    assert shop.heard(order)["state"] == "paid"
    types = [event["type"] for event in shop.heard(order)["heard"]]
    assert types == ["payment.created", "payment.requires_action", "payment.success"]


def test_a_guest_who_fails_the_challenge_pays_with_another_card(guest: Guest, shop: Shop) -> None:
    order = shop.order()
    guest.goes_to_checkout(order)
    guest.types_card("4000000000003220")
    guest.pays()
    guest.page.wait_for_url("**/_3ds/**")
    guest.page.get_by_role("button", name="Fail").click()
    guest.page.wait_for_url(f"**/checkout/{order}**")
    guest.sees("Your card was declined.")
    guest.sees("You have not been charged.")
    assert shop.payment_of(order)["charged_cents"] == 0
    guest.types_card("4242424242424242")
    guest.pays()
    guest.sees("Thank you. Your payment arrived.")
    assert len(shop.charges_of(shop.payment_of(order)["provider_intent_id"])) == 1


def test_a_declined_guest_is_told_why_and_pays_with_a_second_card_on_the_same_payment(
    guest: Guest, shop: Shop
) -> None:
    order = shop.order()
    guest.goes_to_checkout(order)
    guest.types_card("4000000000009995")
    guest.pays()
    guest.sees("There is not enough money on this card.")
    first = shop.payment_of(order)["id"]
    guest.types_card("378282246310005")
    guest.pays()
    guest.sees("Thank you. Your payment arrived.")
    assert shop.payment_of(order)["id"] == first
    heard = [(event["type"], event["decline_code"]) for event in shop.heard(order)["heard"]]
    assert heard == [
        ("payment.created", None),
        ("payment.failed", "insufficient_funds"),
        ("payment.success", None),
    ]


def test_a_typing_mistake_is_caught_in_the_fields(guest: Guest, shop: Shop) -> None:
    order = shop.order()
    guest.goes_to_checkout(order)
    guest.types_card("4242424242424241")
    guest.pays()
    fields = guest.page.frame_locator("iframe[title='Card details']")
    expect(fields.get_by_role("alert")).to_contain_text("not correct")
    assert [one for one in shop.state()["payments"] if one["reference_code"] == order] == []


def test_the_browser_confirms_at_the_gateway_and_our_confirm_is_never_called(
    guest: Guest, shop: Shop
) -> None:
    order = shop.order()
    guest.goes_to_checkout(order)
    guest.page.get_by_label("Confirm in the browser").check()
    guest.types_card("4000000000003220")
    guest.pays()
    bank = guest.page.frame_locator("iframe[title='Your bank']")
    bank.get_by_role("button", name="Complete").click()
    guest.sees("Thank you. Your payment arrived.")
    intent = shop.payment_of(order)["provider_intent_id"]
    callers = {one["caller"] for one in shop.requests(f"/v1/payment_intents/{intent}/confirm")}
    assert callers == {"browser"}
    assert shop.heard(order)["state"] == "paid"


def test_pressing_pay_twice_pays_once(guest: Guest, shop: Shop) -> None:
    order = shop.order()
    guest.goes_to_checkout(order)
    guest.types_card("4242424242424242")
    guest.page.locator("#submit").dblclick()
    guest.sees("Thank you. Your payment arrived.")
    assert len(shop.charges_of(shop.payment_of(order)["provider_intent_id"])) == 1


def test_who_comes_back_to_a_paid_checkout_finds_the_receipt(guest: Guest, shop: Shop) -> None:
    order = shop.order()
    guest.goes_to_checkout(order)
    guest.types_card("4242424242424242")
    guest.pays()
    guest.sees("Thank you. Your payment arrived.")
    guest.page.goto(f"{shop.url}/checkout/{order}")
    guest.page.wait_for_url(f"**/orders/{order}")


@pytest.mark.parametrize(
    ("currency", "typed", "shown", "minor"), [("EUR", "12.50", "€12.50", 1250), ("JPY", "980", "¥980", 980)]
)
def test_a_free_amount_is_paid_as_it_was_typed(
    guest: Guest, shop: Shop, currency: str, typed: str, shown: str, minor: int
) -> None:
    guest.page.goto(f"{shop.url}/pay")
    guest.sees("takes the amount that you type here")
    guest.introduces_themselves()
    guest.page.get_by_label("Currency").select_option(currency)
    guest.page.get_by_label("You pay").fill(typed)
    expect(guest.page.locator("#submit")).to_have_text(f"Pay {shown}")
    guest.types_card("4242424242424242")
    guest.pays()
    guest.sees("Thank you. Your payment arrived.")
    paid = shop.state()["payments"][0]
    assert (paid["total_cents"], paid["currency"], paid["status"]) == (minor, currency, "succeeded")


# --- the wire ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["drop_after", "half_answer", "error_after"])
def test_when_the_answer_to_a_payment_is_lost_the_guest_waits_and_pays_once(
    guest: Guest, shop: Shop, fault: str
) -> None:
    order = shop.order()
    guest.goes_to_checkout(order)
    guest.types_card("4242424242424242")
    shop.switch(fault=fault, path="/v1/payment_intents/*/confirm")
    guest.pays()
    guest.sees("Thank you. Your payment arrived.")
    payment = shop.payment_of(order)
    assert payment["status"] == "succeeded"
    assert len(shop.charges_of(payment["provider_intent_id"])) == 1
    assert shop.heard(order)["state"] == "paid"


def test_lost_and_doubled_webhooks_change_nothing_for_the_guest(guest: Guest, shop: Shop) -> None:
    for trouble in ("off", "twice", "reorder"):
        shop.switch(webhooks="on")
        shop.switch(webhooks=trouble)
        order = shop.order()
        guest.goes_to_checkout(order)
        guest.types_card("4242424242424242")
        guest.pays()
        guest.sees("Thank you. Your payment arrived.")
        assert [event["type"] for event in shop.heard(order)["heard"]].count("payment.success") == 1


def test_the_shop_sets_the_price_whatever_the_browser_sends(shop: Shop) -> None:
    order = shop.order(grinder=1)
    wish = {
        "total_cents": 1,
        "currency": "USD",
        "reference_code": order,
        "guest_data": {"email": "mallory@example.com", "name": "Mallory"},
    }
    answer = httpx.post(f"{shop.url}/bridge-payment/payments/intents", json=wish)
    assert answer.status_code == 201
    assert answer.json()["data"]["total_cents"] == 12_852
    free = httpx.post(
        f"{shop.url}/bridge-payment/payments/intents",
        json={**wish, "total_cents": 777, "reference_code": "mine"},
    )
    assert free.json()["data"]["total_cents"] == 777


def order_by_hand(guest: Guest, shop: Shop) -> str:
    """Place an order as a person does, so that the browser has the order's token."""
    guest.page.goto(shop.url)
    guest.page.get_by_role("button", name="Put Guji Highland into the bag").click()
    guest.page.get_by_role("link", name=re.compile("Bag")).click()
    guest.page.get_by_role("button", name="Check out").click()
    guest.page.wait_for_url("**/checkout/*")
    guest.introduces_themselves()
    return guest.page.url.rsplit("/", 1)[1]


@pytest.mark.parametrize("card", ["4242424242424242", "4000000000003220"])
def test_when_the_answer_to_the_create_is_lost_the_guest_waits_and_pays_once(
    guest: Guest, shop: Shop, card: str
) -> None:
    order = order_by_hand(guest, shop)
    guest.types_card(card)
    shop.switch(fault="drop_after", path="/v1/payment_intents")
    guest.pays()
    guest.sees("We are checking your payment with the bank.")
    assert "Idempotency" not in guest.page.locator("#notice").inner_text()
    if card.endswith("3220"):
        guest.page.wait_for_url("**/_3ds/**")
        guest.page.get_by_role("button", name="Complete").click()
    guest.sees("Thank you. Your payment arrived.")
    keys = {one["key"] for one in shop.requests("/v1/payment_intents") if one["params"].get("description")}
    payment = shop.payment_of(order)
    assert payment["status"] == "succeeded", keys
    assert len(shop.charges_of(payment["provider_intent_id"])) == 1


def test_a_free_amount_survives_a_lost_create_under_its_first_key(guest: Guest, shop: Shop) -> None:
    before = shop.state()["total"]
    guest.page.goto(f"{shop.url}/pay")
    guest.introduces_themselves()
    guest.page.get_by_label("You pay").fill("7.25")
    guest.types_card("4242424242424242")
    shop.switch(fault="drop_after", path="/v1/payment_intents")
    guest.pays()
    guest.sees("We are checking your payment with the bank.")
    guest.sees("Thank you. Your payment arrived.")
    assert shop.state()["total"] == before + 1
    assert shop.state()["payments"][0]["charged_cents"] == 725


def test_two_tabs_with_one_order_pay_it_once(guest: Guest, shop: Shop) -> None:
    order = shop.order()
    other = Guest(guest.page.context.new_page(), shop)
    for tab in (guest, other):
        tab.goes_to_checkout(order)
        tab.types_card("4242424242424242")
    guest.pays()
    other.pays()
    for tab in (guest, other):
        tab.sees("Thank you. Your payment arrived.")
    assert len(shop.charges_of(shop.payment_of(order)["provider_intent_id"])) == 1
    assert shop.state()["balance"]["charged_twice"] == 0


def test_a_missing_name_and_a_bad_address_are_said_in_words(guest: Guest, shop: Shop) -> None:
    guest.page.goto(f"{shop.url}/checkout/{shop.order()}")
    guest.page.get_by_label("E-mail").fill("ada")
    guest.pays()
    guest.sees("Please enter your name.")
    guest.sees("Please enter an e-mail address")
    guest.introduces_themselves()
    expect(guest.page.get_by_text("Please enter your name.")).to_have_count(0)


# --- behind the scenes ------------------------------------------------------------------------------


def test_the_live_page_shows_a_payment_refunds_it_and_refuses_to_refund_it_twice(
    guest: Guest, shop: Shop
) -> None:
    order = shop.order()
    guest.goes_to_checkout(order)
    guest.types_card("4242424242424242")
    guest.pays()
    guest.sees("Thank you. Your payment arrived.")
    page = guest.page
    page.goto(f"{shop.url}/live")
    expect(page.locator("#verdict")).to_contain_text("The books agree", timeout=30_000)
    payment = page.locator(f".payment:has-text('{order}')")
    payment.locator("summary").click()
    payment.get_by_role("button", name="Refund").click()
    page.get_by_label("Amount").fill("1500")
    page.get_by_role("button", name="Do it", exact=True).click()
    expect(payment.locator("summary")).to_contain_text("partially refunded")
    payment.get_by_role("button", name="Refund").click()
    page.get_by_label("Amount").fill("1500")
    page.get_by_role("button", name="Do it", exact=True).click()
    expect(page.locator("#ask-problem")).not_to_be_empty()
    page.get_by_role("button", name="Leave it").click()
    assert shop.payment_of(order)["refunded_cents"] == 1500
    assert sum(one["amount"] for one in shop.books()["refunds"]) == 1500
    expect(page.locator("#deliveries")).to_contain_text("refund.succeeded")
    expect(page.locator("#inbox")).to_contain_text("charge.refunded")


def test_switches_are_armed_and_put_away_on_the_live_page(guest: Guest, shop: Shop) -> None:
    page = guest.page
    page.goto(f"{shop.url}/live")
    page.get_by_role("button", name="Do it, lose the answer").click()
    expect(page.locator("#armed")).to_contain_text("Armed: Do it, lose the answer")
    page.get_by_role("link", name="Put away").click()
    expect(page.locator("#armed")).to_contain_text("the gateway works")


def test_switches_do_not_listen_to_other_peoples_pages(shop: Shop) -> None:
    assert httpx.post(f"{shop.url}/live/switch", json={"webhooks": "off"}).status_code == 403
    assert httpx.get(f"{shop.url}/live/state", headers={"host": "evil.example"}).status_code == 400


def test_the_dashboard_opens_at_once_and_its_admin_is_still_a_guest_at_the_shop(
    browser: Browser, shop: Shop
) -> None:
    context = browser.new_context(locale="en-US")
    guest = Guest(context.new_page(), shop)
    order = shop.order(guji=2)
    guest.goes_to_checkout(order)
    guest.types_card("4242424242424242")
    guest.pays()
    expect(guest.page.get_by_role("heading", name=re.compile("Thank you"))).to_be_visible(timeout=15_000)
    guest.page.get_by_role("link", name="Dashboard").click()
    page = guest.page
    expect(page.locator("#rate-success-rate")).to_contain_text(re.compile(r"[1-9]\d* collected"))
    expect(page.locator("#rate-delivery-rate")).to_contain_text("delivered")
    expect(page.locator("#plot-USD .readout")).to_contain_text("$")
    expect(page.get_by_role("region", name="Accounts")).to_contain_text("authorize_net")
    page.get_by_role("link", name=order).click()
    expect(page.locator(".story")).to_contain_text("payment.success")
    expect(page.locator(".story")).to_contain_text("to shop delivered")
    said = page.evaluate("async () => (await fetch('/bridge-payment/customers')).status")
    assert said == 401, "the cookie is for the admin's routes"
    assert guest.errors == []
    context.close()


# --- the pages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/bag", "/pay", "/live", "/checkout"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_a_phone(browser: Browser, shop: Shop, path: str, scheme: Any) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{shop.url}{path}/{shop.order()}" if path == "/checkout" else f"{shop.url}{path}")
    page.wait_for_load_state("networkidle") if path != "/live" else page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input, select, button')].filter(e => !(e.labels?.length"
        " || e.textContent.trim() || e.getAttribute('aria-label'))).map(e => e.outerHTML)"
    )
    assert unnamed == []
    context.close()


# --- the process ------------------------------------------------------------------------------------


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.start()
    order = shop.order()
    wish = {
        "total_cents": 1,
        "currency": "USD",
        "reference_code": order,
        "confirm": True,
        "payment_method_id": "pm_card_visa",
        "guest_data": {"email": "ada@example.com", "name": "Ada"},
    }
    assert httpx.post(f"{shop.url}/bridge-payment/payments/intents", json=wish).status_code == 201
    deadline = time.monotonic() + 10
    while shop.heard(order)["state"] != "paid":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    before = shop.payment_of(order)
    shop.stop()
    shop.start()
    try:
        assert shop.heard(order)["state"] == "paid"
        after = shop.payment_of(order)
        assert (after["charged_cents"], after["captured_cents"]) == (
            before["charged_cents"],
            before["captured_cents"],
        )
        refund = httpx.post(f"{shop.url}/live/payments/{after['id']}/refund", json={}, headers=SANDBOX)
        assert refund.json()["status"] == "succeeded", refund.text
    finally:
        shop.stop()
    assert "Traceback" not in shop.output


def test_when_the_request_is_lost_the_guest_is_asked_to_wait_and_not_to_pay_again(
    guest: Guest, shop: Shop
) -> None:
    """Nobody can say yet whether it arrived: that takes until nothing can be under way any more."""
    order = shop.order()
    guest.goes_to_checkout(order)
    guest.types_card("4242424242424242")
    shop.switch(fault="drop_before", path="/v1/payment_intents/*/confirm")
    guest.pays()
    guest.sees("Please wait, and do not pay again.")
    expect(guest.page.locator("#submit")).to_be_disabled()
    payment = shop.payment_of(order)
    assert (payment["unknown"], payment["charged_cents"]) == (True, 0)
    again = httpx.post(
        f"{shop.url}/bridge-payment/payments/intents/{payment['id']}/confirm",
        json={"payment_method_id": "pm_card_visa"},
    )
    assert again.status_code == 409
    guest.page.goto(f"{shop.url}/live")
    expect(guest.page.locator("#verdict")).to_contain_text("Asking the gateway")


def test_nothing_went_wrong_behind_the_guests_back(shop: Shop) -> None:
    """Runs last: the log of the whole visit has no traceback, and nobody was charged twice."""
    assert "Traceback" not in shop.output
    assert shop.state()["balance"]["charged_twice"] == 0


# --- other ways to pay ------------------------------------------------------------------------------

ACCEPT = "iframe[title='Card details at Authorize.net']"


def chooses(guest: Guest, title: str) -> None:
    guest.page.get_by_role("radio", name=title, exact=True).check()


def agrees(guest: Guest, title: str | None = None, *, button: str = "Agree and pay") -> None:
    """What the payer does on PayPal's page."""
    expect(guest.page.get_by_role("heading", name="Pay ")).to_be_visible(timeout=15_000)
    if title is not None:
        guest.page.get_by_label(title, exact=True).check()
    guest.page.get_by_role("button", name=button).click()


def types_card_at_accept(guest: Guest, number: str) -> None:
    fields = guest.page.frame_locator(ACCEPT)
    fields.get_by_label("Card number").fill(number)
    fields.get_by_label("Expiry date").fill("12 / 30")
    fields.get_by_label("Security code").fill("123")


@pytest.mark.parametrize("title", [None, "Venmo balance"])
def test_a_guest_pays_with_paypal_and_comes_back_paid(guest: Guest, shop: Shop, title: str | None) -> None:
    order = shop.order()
    guest.goes_to_checkout(order)
    chooses(guest, "PayPal or Venmo")
    guest.pays()
    agrees(guest, title)
    guest.sees("Thank you. Your payment arrived.")
    payment = shop.payment_of(order)
    assert (payment["provider_id"], payment["status"]) == ("paypal", "succeeded")
    assert payment["charged_cents"] == payment["captured_cents"] == payment["total_cents"]
    assert shop.heard(order)["state"] == "paid"


def test_who_comes_back_without_agreeing_is_not_charged_and_may_pay_by_card(guest: Guest, shop: Shop) -> None:
    order = shop.order()
    guest.goes_to_checkout(order)
    chooses(guest, "PayPal or Venmo")
    guest.pays()
    agrees(guest, button="Cancel and return")
    guest.sees("You came back without agreeing.")
    chooses(guest, "Card")
    guest.types_card("4242424242424242")
    guest.pays()
    guest.sees("Thank you. Your payment arrived.")
    found = [one for one in shop.state()["payments"] if one["reference_code"] == order]
    assert {one["provider_id"]: one["status"] for one in found} == {
        "paypal": "canceled",
        "stripe": "succeeded",
    }
    assert sum(one["charged_cents"] for one in found) == found[0]["total_cents"]


def test_what_paypal_refuses_may_be_paid_another_way_there(guest: Guest, shop: Shop) -> None:
    order = shop.order()
    guest.goes_to_checkout(order)
    chooses(guest, "PayPal or Venmo")
    guest.pays()
    agrees(guest, "Bank account that refuses")
    guest.sees("PayPal did not accept this.")
    guest.pays()
    agrees(guest)
    guest.sees("Thank you. Your payment arrived.")
    found = [one for one in shop.state()["payments"] if one["reference_code"] == order]
    assert sorted(one["status"] for one in found) == ["canceled", "succeeded"]


def test_a_confirmation_whose_answer_is_lost_takes_the_money_once(guest: Guest, shop: Shop) -> None:
    order = shop.order()
    guest.goes_to_checkout(order)
    chooses(guest, "PayPal or Venmo")
    guest.pays()
    expect(guest.page.get_by_role("heading", name="Pay ")).to_be_visible(timeout=15_000)
    shop.switch(fault="drop_after", path="*/capture")
    agrees(guest)
    guest.sees("Thank you. Your payment arrived.")
    payment = shop.payment_of(order)
    assert payment["charged_cents"] == payment["captured_cents"] == payment["total_cents"]
    assert shop.state()["balance"]["charged_twice"] == 0


def test_a_guest_pays_through_authorize_net_after_a_declined_card(guest: Guest, shop: Shop) -> None:
    order = shop.order()
    guest.goes_to_checkout(order)
    chooses(guest, "Card, through Authorize.net")
    types_card_at_accept(guest, "4000000000000002")
    guest.pays()
    guest.sees("Your card was declined.")
    types_card_at_accept(guest, "4111111111111111")
    guest.pays()
    guest.sees("Thank you. Your payment arrived.")
    payment = shop.payment_of(order)
    assert (payment["provider_id"], payment["status"]) == ("authorize_net", "succeeded")
    assert payment["charged_cents"] == payment["captured_cents"] == payment["total_cents"]
    assert all("4111111111111111" not in sent for sent in guest.sent)


def test_a_way_that_does_not_take_the_currency_is_not_offered(guest: Guest, shop: Shop) -> None:
    guest.goes_to_checkout(shop.order(currency="EUR"))
    expect(guest.page.get_by_role("radio")).to_have_count(2)


def test_a_free_amount_is_paid_with_paypal(guest: Guest, shop: Shop) -> None:
    guest.page.goto(f"{shop.url}/pay")
    guest.page.locator("#amount").fill("12.50")
    guest.introduces_themselves()
    chooses(guest, "PayPal or Venmo")
    guest.pays()
    agrees(guest)
    guest.sees("Thank you. Your payment arrived.")
