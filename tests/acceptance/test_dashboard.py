"""The dashboard over HTTP: what it asks for, and a page that says nothing to whoever may not see it.

Who gets an answer: test_doors. The page in a browser: test_dashboard_browser.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette

import bridge_payments
from bridge_payments import AuthBridge, Bridge, Event, Money, Principal, Settings
from bridge_payments.auth import FlowlessLogin
from bridge_payments.auth.flowless import Identity
from bridge_payments.http import ROUTES, Access, Router
from bridge_payments.http.figures import edges_of
from bridge_payments.messages import Request, Response
from bridge_payments.mounts.fastapi import payments_router
from bridge_payments.mounts.flask import payments_blueprint
from bridge_payments.mounts.starlette import payments_mount
from bridge_payments.testing import PracticeBridge, bridge
from bridge_payments.testing.mounts import PREFIX, Client, asgi_client, wsgi_client

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 1, 15, 12, 30, tzinfo=UTC)
FOLDER = Path(bridge_payments.__file__).parent / "http" / "dashboard"
FILES = ("currencies.js", *sorted(path.name for path in FOLDER.iterdir() if path.suffix != ".html"))
TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


def who(request: Request) -> Principal | None:
    """An application whose sessions are cookies."""
    match request.cookies.get("sid"):
        case "root":
            return Principal.admin("root")
        case "ada":
            return Principal.user("ada")
        case _:
            return None


class Desk:
    """An admin's browser: it has a cookie, and asks from the application's own pages."""

    def __init__(self, *, enabled: bool = True) -> None:
        settings = Settings(admin_ui_enabled=enabled, rate_limit_enabled=False, cors_origins=())
        self.shop: PracticeBridge = bridge(auth=AuthBridge(who), settings=settings)
        self.shop.clock.move(NOON - self.shop.clock())
        self.router = Router(self.shop)

    async def send(self, method: str, path: str, *, sid: str | None = "root", **more: Any) -> Response:
        headers = {"content-type": "application/json", "host": "shop.example", **more.pop("headers", {})}
        if sid is not None:
            headers["cookie"] = f"sid={sid}"
        return await self.router.answer(Request(method=method, path=path, headers=headers, query=more))

    async def ask(self, path: str, **query: str) -> Any:
        answer = await self.send("GET", path, **query)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)["data"]

    async def pay(self, cents: int, currency: str = "USD", method: str | None = "dummy_ok") -> str:
        engine = self.shop.engine
        payment = await engine.create_payment_intent(Money(cents, currency), principal=Principal.user("ada"))
        if method is not None:
            await engine.confirm_payment(payment.id, payment_method=method)
        return payment.id

    async def give_up(self) -> None:
        payment = await self.shop.engine.create_payment_intent(Money(900, "USD"))
        await self.shop.engine.cancel_payment(payment.id)


@pytest.fixture
async def desk() -> Any:
    desk = Desk()
    async with desk.shop:
        yield desk


# --- figures over time ----------------------------------------------------------------------------------


async def test_volumes_over_time_are_per_currency_and_never_added_across(desk: Desk) -> None:
    await desk.pay(5500)
    await desk.pay(700, "EUR")
    desk.shop.move(days=1)
    back = await desk.pay(1000)
    await desk.shop.engine.refund_payment(back, amount_cents=400, idempotency_key="r")
    await desk.give_up()
    await desk.pay(900, method=None)
    found = await desk.ask("/admin/stats/series", days="7")
    assert (found["interval_seconds"], len(found["intervals"])) == (86400, 7)
    yesterday, today = found["intervals"][-2:]
    assert yesterday["volumes"] == [
        {"currency": "EUR", "captured_cents": 700, "refunded_cents": 0, "net_cents": 700},
        {"currency": "USD", "captured_cents": 5500, "refunded_cents": 0, "net_cents": 5500},
    ]
    assert today["volumes"] == [
        {"currency": "USD", "captured_cents": 1000, "refunded_cents": 400, "net_cents": 600}
    ]
    rates = {name: today[name] for name in ("completed", "failed", "pending", "success_rate")}
    assert rates == {"completed": 1, "failed": 1, "pending": 1, "success_rate": 0.5}
    assert found["intervals"][0]["success_rate"] is None
    assert (found["total"]["completed"], found["total"]["success_rate"]) == (3, 0.75)
    assert found["total"]["volumes"][1]["captured_cents"] == 6500
    [account] = found["accounts"]
    assert (account["provider_id"], account["completed"], account["failed"]) == ("dummy", 3, 1)


async def test_a_day_is_shown_by_the_hour_and_older_payments_not_at_all(desk: Desk) -> None:
    await desk.pay(5500)
    desk.shop.move(hours=23)
    await desk.pay(700)
    found = await desk.ask("/admin/stats/series", days="1")
    assert [one["completed"] for one in found["intervals"]] == [1, *[0] * 22, 1]
    assert found["intervals"][0]["begins_at"] == "2026-01-15T12:00:00.000Z"
    desk.shop.move(hours=1)
    assert (await desk.ask("/admin/stats/series", days="1"))["total"]["completed"] == 1
    assert (await desk.ask("/admin/stats/series"))["days"] == 30


@pytest.mark.parametrize("days", ["0", "93", "-1", "1.5", "many", "1e3"])
@pytest.mark.parametrize("path", ["/admin/stats/series", "/admin/vitals"])
async def test_days_that_are_none_are_refused(desk: Desk, path: str, days: str) -> None:
    answer = await desk.send("GET", path, days=days)
    assert answer.status == 400
    assert json.loads(answer.body)["code"] == "validation_failed"


@pytest.mark.parametrize("days", [1, 2, 3, 92])
def test_intervals_follow_each_other_and_end_now(days: int) -> None:
    edges = edges_of(days, NOON)
    assert len(edges) - 1 == (days * 24 if days <= 2 else days)
    assert edges == sorted(set(edges))
    assert edges[-2] <= NOON < edges[-1]
    step = timedelta(hours=1) if days <= 2 else timedelta(days=1)
    assert {after - before for before, after in pairwise(edges[:-1])} == {step}


# --- how it is now --------------------------------------------------------------------------------------


async def test_the_vitals_are_the_rates_of_payments_webhooks_and_the_cache(desk: Desk) -> None:
    told: list[Event] = []
    desk.shop.webhooks.on("payment.success", name="good")(told.append)

    @desk.shop.webhooks.on("payment.canceled", name="broken")
    def broken(event: Event) -> None:
        raise RuntimeError("the shop's handler is broken")

    await desk.pay(5500)
    await desk.pay(700)
    await desk.give_up()
    await desk.shop.work()
    for _ in range(12):
        desk.shop.move(hours=11)
        await desk.shop.work()
    found = await desk.ask("/admin/vitals", days="7")
    assert len(told) == 2
    assert found["payments"] == {"completed": 2, "failed": 1, "pending": 0, "success_rate": 0.6667}
    assert found["webhooks"] == {"delivered": 2, "dead": 1, "pending": 0, "delivery_rate": 0.6667}
    assert found["unknown"] == {"count": 0, "oldest_at": None}
    assert found["cache"] == {"hits": 0, "misses": 0, "hit_rate": None}
    assert found["responses"] is None, "an admin's own requests do not count"
    await desk.send("GET", "/payments", sid="ada")
    found = await desk.ask("/admin/vitals", days="7")
    assert found["responses"]["count"] == 1
    assert 0 < found["responses"]["p50_ms"] == found["responses"]["p95_ms"]
    [last] = found["calls"]
    assert (last["provider_id"], last["outcome"], last["answered"]) == ("dummy", "ok", True)


async def test_the_vitals_say_since_when_an_outcome_is_not_known(desk: Desk) -> None:
    payment = await desk.pay(5500, method=None)
    desk.shop.gateway.lose_next_answer()
    await desk.shop.engine.confirm_payment(payment, payment_method="dummy_ok")
    found = await desk.ask("/admin/vitals")
    assert found["unknown"]["count"] == 1
    assert found["unknown"]["oldest_at"].startswith("2026-01-15T12:3")
    assert [(last["outcome"], last["answered"]) for last in found["calls"]] == [("unknown", False)]


class Flowless:
    """Knows one admin."""

    async def ask(self, credential: Any, seen: Any) -> Identity:
        return Identity(id="root", user_type="admin")


async def test_the_cache_rate_is_that_of_every_login_that_remembers() -> None:
    shop = bridge(auth=AuthBridge(chain=[FlowlessLogin(Flowless())]))  # type: ignore[arg-type]
    router = Router(shop)
    for _ in range(4):
        headers = {"x-session-id": "sess_of_root"}
        answer = await router.answer(Request(method="GET", path="/admin/vitals", headers=headers))
    assert json.loads(answer.body)["data"]["cache"] == {"hits": 3, "misses": 1, "hit_rate": 0.75}


async def test_where_no_dashboard_is_served_nothing_is_kept_for_it() -> None:
    desk = Desk(enabled=False)
    await desk.pay(5500)
    await desk.send("GET", "/payments", sid="ada")
    found = await desk.ask("/admin/vitals")
    assert (found["responses"], found["calls"], desk.shop.pulse) == (None, [], None)


# --- the story of a payment -----------------------------------------------------------------------------


async def test_a_timeline_has_what_was_asked_heard_and_told(desk: Desk) -> None:
    desk.shop.webhooks.on("*", name="shop")(lambda event: None)
    other = await desk.pay(100)
    payment = await desk.pay(5500, method="dummy_challenge")
    waiting = await desk.shop.engine.get_payment(payment)
    desk.shop.gateway.challenge(waiting.provider_intent_id or "", passed=True)
    await desk.shop.deliver_webhook()
    await desk.shop.engine.refund_payment(payment, amount_cents=500, idempotency_key="r")
    await desk.shop.work()
    found = await desk.ask(f"/admin/payments/{payment}/timeline")
    verbs = [one["verb"] for one in found["operations"]]
    assert verbs == ["create_payment_intent", "confirm_payment", "refund_payment"]
    assert {one["subject_id"] for one in found["operations"]} == {payment}
    types = [one["type"] for one in found["events"]]
    assert types.index("payment.created") < types.index("payment.success") < types.index("refund.created")
    assert {tuple((to["endpoint"], to["state"]) for to in one["deliveries"]) for one in found["events"]} == {
        (("shop", "delivered"),)
    }
    assert "intent.paid" in [one["event_type"] for one in found["received"]]
    assert {one["payment_id"] for one in found["received"]} == {payment}
    assert [(one["amount_cents"], one["status"]) for one in found["refunds"]] == [(500, "succeeded")]
    assert other not in json.dumps(found)
    assert "dummysecret" not in json.dumps(found)


async def test_a_timeline_of_nothing_is_not_found(desk: Desk) -> None:
    assert (await desk.send("GET", "/admin/payments/pay_1/timeline")).status == 404


# --- the page -------------------------------------------------------------------------------------------


async def test_the_page_is_the_same_for_everybody_and_holds_nothing_of_the_installation(desk: Desk) -> None:
    await desk.pay(5500)
    pages = [await desk.send("GET", "/admin/ui", sid=sid) for sid in (None, "ada", "root")]
    assert {page.status for page in pages} == {200}
    assert len({page.body for page in pages}) == 1
    text = pages[0].body.decode()
    for word in ("dummy", "pay_", "root", "5500", "USD"):
        assert word not in text
    assert not re.search(r"https?://(?!www\.w3\.org)", text), "nothing from elsewhere"
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|\sstyle=|<style", text), (
        "nothing that its policy stops"
    )


@pytest.mark.parametrize("name", FILES)
async def test_its_files_are_served_and_fetch_nothing_from_elsewhere(desk: Desk, name: str) -> None:
    answers = [await desk.send("GET", f"/admin/ui{again}/{name}", sid=None) for again in ("", "/ui")]
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].headers["content-type"] == TYPES[name.rpartition(".")[2]]
    text = answers[0].body.decode()
    assert not re.search(r"https?://(?!www\.w3\.org)", text)
    for trap in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("):
        assert trap not in text, "what it shows is text"


async def test_its_headers_let_nothing_in_and_nobody_frame_it(desk: Desk) -> None:
    for path in ("/admin/ui", "/admin/ui/dashboard.js"):
        headers = (await desk.send("GET", path)).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["connect-src"] == "'self'"
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/admin/ui/../router.py", "/admin/ui/__init__.py", "/admin/ui/..", "/admin/ui/none.js"]
)
async def test_only_its_own_files_are_served(desk: Desk, path: str) -> None:
    answer = await desk.send("GET", path)
    assert answer.status == 404
    assert json.loads(answer.body)["success"] is False


@pytest.mark.parametrize("path", ["/admin/ui", "/admin/ui/dashboard.js"])
async def test_it_is_not_there_unless_it_was_switched_on(path: str) -> None:
    assert Settings().admin_ui_enabled is False
    assert Settings.from_env({"ADMIN_UI_ENABLED": "true"}).admin_ui_enabled is True
    desk = Desk(enabled=False)
    answer = await desk.send("GET", path)
    nothing = await desk.send("GET", f"{path}x")
    assert (answer.status, nothing.status) == (404, 404)
    assert answer.headers.keys() == nothing.headers.keys()


async def test_it_is_in_no_list_of_endpoints(desk: Desk) -> None:
    for path in ("/", "/openapi.json", "/admin"):
        assert b"admin/ui" not in (await desk.send("GET", path)).body


def test_its_guide_names_routes_and_settings_that_there_are() -> None:
    guide = Path(__file__).parents[2].joinpath("docs", "guides", "dashboard.md").read_text()
    paths = {route.path for route in ROUTES}
    named = re.findall(r"`(?:GET|POST) (/[^`?]*)", guide)
    assert len(named) >= 7
    assert set(named) <= paths
    for last in re.findall(r"`POST …(/[\w-]+)`", guide):
        assert any(path.endswith(last) for path in paths), last
    [program] = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    namespace: dict[str, Any] = {"Settings": Settings}
    exec(program, namespace)
    [line] = re.findall(r"```sh\n(.*?)\n```", guide, re.DOTALL)
    assert Settings.from_env(dict([line.split("=")])).admin_ui_enabled
    assert namespace["settings"].admin_ui_enabled


# --- who may do something -------------------------------------------------------------------------------

CHANGES = [
    (method, route.path)
    for route in ROUTES
    for method in route.methods
    if route.access is Access.ADMIN and method != "GET"
]


@pytest.mark.parametrize(("method", "path"), CHANGES)
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {},
        {"origin": "https://shop.example", "content-type": "text/plain"},
    ],
)
async def test_another_sites_page_changes_nothing_with_an_admins_cookie(
    desk: Desk, method: str, path: str, headers: dict[str, str]
) -> None:
    """Redeliver, resolve, look up, refund: every button of the page, and what else admins may do."""
    answer = await desk.send(method, re.sub(r"{\w+}", "x_1", path), headers=headers)
    assert answer.status in (400, 403), answer.body


async def test_the_applications_own_page_may(desk: Desk) -> None:
    desk.shop.webhooks.on("*", name="shop")(lambda event: None)
    await desk.pay(5500)
    await desk.shop.work()
    [delivery] = await desk.ask("/webhooks/deliveries", limit="1")
    path = f"/webhooks/deliveries/{delivery['id']}/redeliver"
    answer = await desk.send("POST", path, headers={"origin": "http://shop.example"})
    assert json.loads(answer.body)["data"]["state"] == "pending"


# --- in every mount -------------------------------------------------------------------------------------


def starlette_client(shop: Bridge, prefix: str) -> Client:
    return asgi_client(Starlette(routes=[payments_mount(shop, prefix)]), shop)


def fastapi_client(shop: Bridge, prefix: str) -> Client:
    app = FastAPI()
    app.include_router(payments_router(shop), prefix=prefix)
    return asgi_client(app, shop)


def flask_client(shop: Bridge, prefix: str) -> Client:
    app = Flask("shop")
    app.register_blueprint(payments_blueprint(shop), url_prefix=prefix)
    return wsgi_client(app)


@pytest.mark.parametrize("prefix", [PREFIX, "/a/deep/prefix"])
@pytest.mark.parametrize("serve", [starlette_client, fastapi_client, flask_client])
def test_it_is_the_same_in_every_mount(serve: Callable[[Bridge, str], Client], prefix: str) -> None:
    shop = bridge(settings=Settings(admin_ui_enabled=True, rate_limit_enabled=False))
    client = serve(shop, prefix)
    try:
        for path in ("", "/", *(f"/{name}" for name in FILES), *(f"/ui/{name}" for name in FILES)):
            answer = client("GET", f"{prefix}/admin/ui{path}", {}, b"")
            asked = Request(method="GET", path=f"/admin/ui{path}")
            expected = shop.call(Router(shop).answer, asked)
            assert (answer.status, answer.body) == (200, expected.body), path
            assert answer.headers["content-type"] == expected.headers["content-type"]
            assert answer.headers["content-security-policy"] == expected.headers["content-security-policy"]
    finally:
        shop.close()
