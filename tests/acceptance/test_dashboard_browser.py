"""An admin at the dashboard, in a real browser: they see what is recorded, and every value is text."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from werkzeug.serving import make_server

from bridge_payments import AuthBridge, Event, Money, PaymentDeclined, Principal, Settings
from bridge_payments.messages import Request
from bridge_payments.mounts.flask import payments_blueprint
from bridge_payments.testing import PracticeBridge, bridge

playwright = pytest.importorskip("playwright.sync_api")

from playwright.sync_api import Browser, Page, expect, sync_playwright  # noqa: E402

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]

FLAGS = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking".split()
PREFIX = "/shop/bridge-payment"
TRAP = "<img src=x onerror=\"window.caught='yes'\"><script>window.caught='yes'</script>"
VIEWS = ("", "payments", "unknown", "deliveries", "received")


def who(request: Request) -> Principal | None:
    """An application with cookies, and with sessions in a header for its other clients."""
    given = request.cookies.get("sid") or request.header("authorization", "").removeprefix("Bearer ")  # type: ignore[union-attr]
    match given:
        case "root-session":
            return Principal.admin("root")
        case "ada-session":
            return Principal.user("ada")
        case _:
            return None


class Office:
    """A shop with a day behind it, served by Flask; time goes on when a test says so."""

    def __init__(self) -> None:
        settings = Settings(admin_ui_enabled=True, rate_limit_enabled=False)
        self.shop: PracticeBridge = bridge(auth=AuthBridge(who), settings=settings)
        self._elsewhere = ThreadPoolExecutor(1)  # the browser's driver has an event loop in this thread
        self.told: list[Event] = []
        self.broken = False
        self.shop.webhooks.on("*", name="shop")(self._hear)
        app = Flask("shop")
        app.register_blueprint(payments_blueprint(self.shop), url_prefix=PREFIX)
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.origin}{PREFIX}/admin/ui"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._elsewhere.submit(self.shop.close).result()
        self._elsewhere.shutdown()

    def call(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self._elsewhere.submit(self.shop.call, func, *args, **kwargs).result()

    def _hear(self, event: Event) -> None:
        if self.broken:
            raise RuntimeError("the shop is closed")
        self.told.append(event)

    def pays(self, cents: int, currency: str = "USD", method: str | None = "dummy_ok", **more: Any) -> str:
        engine = self.shop.engine
        more.setdefault("principal", Principal.user("ada"))
        payment = self.call(engine.create_payment_intent, Money(cents, currency), **more)
        if method is not None:
            self.call(engine.confirm_payment, payment.id, payment_method=method)
        return str(payment.id)

    def works(self) -> None:
        self.call(self.shop.work)

    def is_unsure(self, reference: str) -> str:
        """Pay and lose the answer; return the operation."""
        payment = self.pays(4600, method=None, reference_code=reference)
        self.shop.gateway.lose_next_answer()
        confirm = self.shop.engine.confirm_payment
        unsure = self.call(confirm, payment, payment_method="dummy_ok")
        assert unsure.unknown_operation_id
        return str(unsure.unknown_operation_id)


@pytest.fixture
def office() -> Iterator[Office]:
    office = Office()
    yield office
    office.close()


@pytest.fixture(scope="module")
def browser(require: Any) -> Iterator[Browser]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(require("chromium")), args=FLAGS)
        yield browser
        browser.close()


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, office: Office) -> Iterator[Open]:
    """Open the dashboard as somebody; nothing may break, and nothing may be asked of anybody else."""
    contexts, wrong = [], []

    def open_(sid: str | None = "root-session", view: str = "", **more: Any) -> Page:
        context = browser.new_context(locale="en-US", timezone_id="UTC", **more)
        contexts.append(context)
        if sid is not None:
            context.add_cookies([{"name": "sid", "value": sid, "url": office.origin}])
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console",
            lambda line: wrong.append(line.text) if "Content Security Policy" in line.text else None,
        )
        page.on(
            "request", lambda asked: None if asked.url.startswith(office.origin) else wrong.append(asked.url)
        )
        page.goto(f"{office.url}#/{view}")
        expect(page.locator("main h1")).to_be_visible()
        return page

    yield open_
    for context in contexts:
        context.close()
    assert wrong == []


def sent(page: Page, path: str) -> list[str]:
    """Return a list that grows by the address of every request below *path*."""
    found: list[str] = []
    page.on("request", lambda one: found.append(one.url) if path in one.url else None)
    return found


def settle(page: Page) -> None:
    """Wait until whatever was asked before is known to have been asked."""
    page.evaluate("fetch('ui/mark.svg').then((answer) => answer.status)")


# --- what they see --------------------------------------------------------------------------------------


def test_an_admin_sees_the_rates_and_the_money_of_each_currency(office: Office, open_page: Open) -> None:
    office.pays(5500)
    office.pays(1250, "EUR")
    office.pays(900, "JPY")
    back = office.pays(1000)
    office.call(office.shop.engine.refund_payment, back, amount_cents=400, idempotency_key="r")
    with pytest.raises(PaymentDeclined):
        office.pays(700, method="dummy_declined")
    office.call(office.shop.engine.cancel_payment, office.pays(800, method=None))
    office.works()
    page = open_page()
    expect(page.locator("#rate-success-rate")).to_contain_text("80%")
    expect(page.locator("#rate-success-rate")).to_contain_text("4 collected, 1 ended without, 1 open")
    expect(page.locator("#rate-delivery-rate")).to_contain_text("100%")
    expect(page.locator("#rate-hit-rate")).to_contain_text("this process")
    for currency, sums in [
        ("USD", "$65.00, $4.00 of it given back."),
        ("EUR", "€12.50."),
        ("JPY", "¥900."),
    ]:
        expect(page.locator(f"#plot-{currency} .readout")).to_have_text(sums)
    assert page.locator(".bar.kept").count() == 3, "one bar each, today"
    for currency, sums in [
        ("USD", "$61.00 kept, $4.00 given back"),
        ("EUR", "€12.50 kept"),
        ("JPY", "¥900 kept"),
    ]:
        page.locator(f"#plot-{currency} svg").press("End")
        expect(page.locator(f"#plot-{currency} .readout")).to_have_text(re.compile(f"{re.escape(sums)}$"))
    page.keyboard.press("Escape")
    expect(page.get_by_role("region", name="Accounts")).to_contain_text("dummy")
    expect(page.get_by_text("connected")).to_be_visible()
    page.get_by_label("Last").select_option("24 hours")
    expect(page.locator("h1")).to_be_focused()  # it was drawn anew
    expect(page.locator("#plot-EUR .readout")).to_have_text("€12.50.")
    page.locator("#plot-EUR").get_by_text("As a table").click()
    assert page.locator("#plot-EUR tbody tr").count() == 24


def test_a_plot_is_read_with_the_keyboard(office: Office, open_page: Open) -> None:
    office.pays(5500)
    page = open_page()
    plot, readout = page.locator("#plot-USD svg"), page.locator("#plot-USD .readout")
    plot.focus()
    page.keyboard.press("End")
    expect(readout).to_contain_text("$55.00 kept")
    page.keyboard.press("ArrowLeft")
    expect(readout).to_contain_text("$0.00 kept")
    page.keyboard.press("Escape")
    expect(readout).to_have_text("$55.00.")


def test_a_payment_is_found_and_tells_its_story(office: Office, open_page: Open) -> None:
    for number in range(30):
        office.pays(100 + number, method=None, description=f"order {number}")
    wanted = office.pays(5500, method="dummy_challenge", description="a kettle", reference_code="TK-1")
    waiting = office.call(office.shop.engine.get_payment, wanted)
    office.shop.gateway.challenge(waiting.provider_intent_id or "", passed=True)
    office.call(office.shop.deliver_webhook)
    office.works()
    page = open_page(view="payments")
    expect(page.locator("tbody tr")).to_have_count(25)
    page.get_by_role("link", name="Older").click()
    expect(page.locator("tbody tr")).to_have_count(6)
    page.get_by_label("Search").fill("KETTLE")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="TK-1").click()
    expect(page.locator("h1")).to_have_text("$55.00")
    story = page.locator(".story")
    for words in ("confirm_payment", "intent.paid", "payment.success", "delivered"):
        expect(story).to_contain_text(words)
    expect(page.locator(".facts").last).to_contain_text(waiting.provider_intent_id or "none")
    page.get_by_role("button", name="Read at the provider").click()
    expect(page.locator("#said")).to_have_text("Read again.")
    page.goto(f"{office.url}#/payments?status=succeeded")
    expect(page.locator("tbody tr")).to_have_count(1)


# --- what they do ---------------------------------------------------------------------------------------


def test_an_unknown_outcome_is_looked_up_on_request(office: Office, open_page: Open) -> None:
    office.is_unsure("TK-2")
    office.shop.move(minutes=3)
    page = open_page()
    expect(page.get_by_role("alert")).to_contain_text("One instruction has no known outcome")
    expect(page.locator("#count-unknown")).to_have_text("1")
    page.get_by_role("link", name="Look at them").click()
    page.get_by_role("button", name="Look up confirm_payment now").click()
    expect(page.get_by_text("Every instruction has an answer.")).to_be_visible()
    expect(page.locator("#count-unknown")).to_be_hidden()
    assert len(office.shop.gateway.charges) == 1


def test_a_statement_against_the_provider_is_refused_in_its_words_and_a_true_one_is_kept(
    office: Office, open_page: Open
) -> None:
    operation = office.is_unsure("TK-3")
    office.shop.move(minutes=3)
    page = open_page()
    page.get_by_role("link", name="Unknown outcomes").click()
    said = sent(page, "/resolve")
    page.get_by_role("button", name="Resolve confirm_payment").click()
    dialog = page.get_by_role("dialog", name="What became of it?")
    page.go_back()
    expect(dialog).to_have_count(0)
    page.go_forward()
    page.get_by_role("button", name="Resolve confirm_payment").click()
    dialog.get_by_label("How you know").fill("I feel it")
    dialog.get_by_role("button", name="Resolve").click()
    settle(page)
    assert said == [], "nothing is sent without an outcome"
    dialog.get_by_label("How you know").fill("")
    dialog.get_by_label("It was executed").check()
    expect(dialog.get_by_label("What the provider calls it")).to_be_visible()
    dialog.get_by_label("It never happened").check()
    expect(dialog.get_by_label("What the provider calls it")).to_be_hidden()
    dialog.get_by_role("button", name="Resolve").click()
    settle(page)
    assert said == [], "nothing is sent without evidence"
    dialog.get_by_label("How you know").fill(f"Somebody said so {TRAP}")
    dialog.get_by_role("button", name="Resolve").click()
    expect(dialog.get_by_role("alert")).not_to_be_empty()
    assert len(said) == 1
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    found = office.call(
        office.shop.engine.store.run, lambda unit: unit.operations.get(operation), write=False
    )
    assert found is not None
    assert found.state == "succeeded", "the provider was asked, and outranks whoever types"
    assert len(office.shop.gateway.charges) == 1
    page.goto(f"{office.url}#/payments/{found.subject_id}")
    expect(page.locator(".story")).to_contain_text("root said not executed")
    expect(page.locator(".story")).to_contain_text(TRAP)
    assert page.evaluate("window.caught") is None


def test_what_was_not_delivered_is_sent_again(office: Office, open_page: Open) -> None:
    office.broken = True
    payment = office.pays(5500, method=None)
    for _ in range(12):
        office.works()
        office.shop.move(hours=11)
    office.broken = False
    page = open_page(view="deliveries?state=dead")
    expect(page.locator("#count-dead")).to_have_text("1")
    page.get_by_role("button", name="Send payment.created to shop again", exact=True).click()
    expect(page.locator("#said")).to_have_text("It is on its way again.")
    expect(page.get_by_text("There is none.")).to_be_visible()
    office.works()
    assert [event.payment.id for event in office.told if event.payment] == [payment]
    page.get_by_role("button", name=re.compile("Send everything to shop again")).click()
    expect(page.locator("#said")).to_contain_text("on its way again")


def test_what_was_received_is_processed_again(office: Office, open_page: Open) -> None:
    office.pays(5500)
    office.call(office.shop.deliver_webhook)
    page = open_page(view="received?state=processed")
    rows = page.locator("tbody tr").count()
    assert rows >= 1
    page.get_by_role("button", name=re.compile("Process .* again")).first.click()
    expect(page.locator("#said")).to_have_text("It is processed again.")
    expect(page.locator("tbody tr")).to_have_count(rows - 1)


# --- who may see it -------------------------------------------------------------------------------------


def test_a_stranger_sees_nothing_and_an_admin_may_bring_a_session(office: Office, open_page: Open) -> None:
    office.pays(5500, description="a kettle")
    page = open_page(sid=None)
    expect(page.locator("h1")).to_have_text("Sign in")
    assert "kettle" not in page.content()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_label("Session").fill("nobody-session")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("The session that you gave is not accepted.")
    page.get_by_label("Session").fill("root-session")
    page.keyboard.press("Enter")
    expect(page.locator("#plot-USD .readout")).to_have_text("$55.00.")
    kept = page.evaluate(
        "[Object.keys(localStorage), Object.keys(sessionStorage), document.cookie, location.href]"
    )
    assert kept[:3] == [[], [], ""]
    assert "root" not in kept[3]
    page.reload()
    expect(page.locator("h1")).to_have_text("Sign in")


def test_a_payer_is_told_that_it_is_not_for_them(office: Office, open_page: Open) -> None:
    office.pays(5500, description="a kettle")
    page = open_page(sid="ada-session")
    expect(page.locator("h1")).to_have_text("Not for you")
    assert "kettle" not in page.content()


def test_an_admin_whose_session_ends_is_asked_again(office: Office, open_page: Open) -> None:
    page = open_page()
    page.context.clear_cookies()
    page.get_by_role("link", name="Payments", exact=True).last.click()
    expect(page.locator("h1")).to_have_text("Sign in")


# --- what it looks like ---------------------------------------------------------------------------------


def test_whatever_a_stranger_typed_is_shown_as_text(office: Office, open_page: Open) -> None:
    payment = office.pays(5500, method=None, description=TRAP, reference_code="TK<b>", metadata={"x": TRAP})

    def spoil(unit: Any) -> None:
        found = unit.payments.get(payment)
        bad = replace(
            found, provider_id=TRAP, decline_code=TRAP, error_message=TRAP, guest_email=f"{TRAP}@x.io"
        )
        assert unit.payments.save(bad, expected_version=found.version)

    office.call(office.shop.engine.store.run, spoil)
    page = open_page()
    for view in (
        *VIEWS,
        f"payments?search={TRAP}",
        f"payments/{payment}",
        f"payments/{TRAP}",
        f"{TRAP}?days={TRAP}",
    ):
        page.goto(f"{office.url}#/{view}")
        expect(page.locator("main h1")).to_be_visible()
        page.wait_for_load_state("networkidle")
        assert page.locator("img:not([src='ui/mark.svg']), main script").count() == 0
    page.goto(f"{office.url}#/payments/{payment}")
    expect(page.locator(".facts").last).to_contain_text(TRAP)
    assert page.evaluate("window.caught") is None


PALE = """
() => {
  const dot = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
  const rgba = (color) => {
    dot.clearRect(0, 0, 1, 1);
    dot.fillStyle = color;
    dot.fillRect(0, 0, 1, 1);
    return [...dot.getImageData(0, 0, 1, 1).data];
  };
  const linear = (part) => (part <= 10 ? part / 3294.6 : ((part / 255 + .055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
  const behind = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255, 255];
  };
  const found = [];
  for (const one of document.querySelectorAll("body *")) {
    if (![...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) continue;
    if (!one.getClientRects().length || one.closest("#said, .hidden, script")) continue;
    const style = getComputedStyle(one);
    const ink = light(rgba(one.closest("svg") ? style.fill : style.color));
    const paper = light(behind(one));
    const ratio = (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05);
    if (ratio < 4.5) found.push([one.outerHTML.slice(0, 90), ratio]);
  }
  return found;
}
"""
"""Text that has less contrast than WCAG's AA asks for."""

NAMELESS = """
() => [...document.querySelectorAll("button, a, input, select, textarea, svg[role], [tabindex='0']")]
  .filter((one) => one.getClientRects().length)
  .filter((one) => !(one.textContent.trim() || one.getAttribute("aria-label") || one.labels?.length))
  .map((one) => one.outerHTML.slice(0, 120))
"""
"""Controls of which a screen reader could not say what they are."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_everything_can_be_read_and_named_in_any_light_and_width(
    office: Office, open_page: Open, scheme: str, width: int
) -> None:
    paid = office.pays(5500, reference_code="TK-4")
    office.call(office.shop.engine.refund_payment, paid, amount_cents=400, idempotency_key="r")
    office.call(office.shop.deliver_webhook)
    office.works()
    office.is_unsure("TK-5")
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 800})
    for view in (*VIEWS, f"payments/{paid}", "payments/pay_none"):
        page.goto(f"{office.url}#/{view}")
        page.wait_for_load_state("networkidle")
        expect(page.locator("main h1")).to_be_visible()
        assert page.evaluate(PALE) == []
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view


def test_it_is_read_again_by_itself_but_not_under_somebodys_hands(office: Office, open_page: Open) -> None:
    page = open_page(view="payments")
    page.clock.install()
    page.reload()
    expect(page.get_by_text("There is none.")).to_be_visible()
    office.pays(5500, reference_code="TK-6")
    page.get_by_label("Search").focus()
    asked = sent(page, "/admin/payments")
    page.clock.run_for(40_000)
    settle(page)
    assert asked == []
    page.get_by_label("Search").blur()
    page.clock.run_for(40_000)
    expect(page.get_by_role("link", name="TK-6")).to_be_visible()


def test_the_keyboard_is_enough(office: Office, open_page: Open) -> None:
    office.pays(5500, reference_code="TK-7")
    page = open_page()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Last")).to_be_focused()
    page.get_by_role("link", name="TK-7").focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("$55.00")
    expect(page.locator("h1")).to_be_focused()
