"""Who may knock, what an answer carries, and what happens when something breaks."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from bridge_payments.errors import NotAuthenticated, NotFound, NotYours, StoreError, Unavailable
from bridge_payments.http import ROUTES, Access
from bridge_payments.models import Principal

pytestmark = pytest.mark.anyio


def spelled(path: str) -> str:
    return (
        path.replace("{payment_id}", "pay_1")
        .replace("{provider_id}", "dummy")
        .replace("{email}", "ada@example.com")
        .replace("{id}", "dummy")
        .replace("{delivery_id}", "dlv_1")
        .replace("{entry_id}", "wh_1")
    )


EVERY_ROUTE = [
    pytest.param(route, method, spelled(path), id=f"{method} {path}")
    for route in ROUTES
    for path in (route.path, *route.aliases)
    for method in route.methods
]


@pytest.mark.parametrize(("route", "method", "path"), EVERY_ROUTE)
async def test_every_route_keeps_its_door(build: Any, route: Any, method: str, path: str) -> None:
    """Route by route from the table: strangers and payers meet the refusal that the table says."""
    for principal in (None, Principal.user("u1"), Principal.guest("ada@example.com")):
        rim = build(principal=principal)
        await rim.ask(method, path, {}, headers={"idempotency-key": "k"})
        refused = rim.last.status in (401, 403)
        if path == "/payment-methods/direct":
            assert rim.last.status == 403, "card numbers are refused, whoever sends them"
        elif route.access is Access.ADMIN:
            assert refused
            assert not rim.engine.calls
        elif route.access is Access.SIGNED_IN and principal is None:
            assert rim.last.status == 401
            assert not rim.engine.calls
        elif route.access in (Access.OPEN, Access.ANYONE):
            assert not refused


@pytest.mark.parametrize(("route", "method", "path"), EVERY_ROUTE)
async def test_no_other_method_is_served(rim: Any, route: Any, method: str, path: str) -> None:
    served = {m for other, m, p in (param.values for param in EVERY_ROUTE) if p == path}
    await rim.ask(next(name for name in ("DELETE", "TRACE") if name not in served), path)
    assert rim.last.status == 405
    assert method in rim.last.headers["allow"]


async def test_an_invalid_credential_counts_as_none_where_anybody_may_pay(build: Any) -> None:
    def who(request: Any) -> Principal:
        raise NotAuthenticated("session expired")

    rim = build(who=who)
    await rim.ask("POST", "/payments/intents/pay_1/confirm", {})
    assert rim.last.status == 200
    assert rim.engine.asked["principal"].is_anonymous
    await rim.ask("GET", "/payments")
    assert rim.last.status == 401


async def test_the_engine_hears_who_asks_and_from_where(user: Any, rim: Any) -> None:
    await user.ask("POST", "/payments/intents/pay_1/confirm", {})
    assert user.engine.asked["principal"].id == "u1"
    await rim.ask("POST", "/payments/intents/pay_1/confirm", {})
    assert rim.engine.asked["principal"] == Principal.anonymous(peer="192.0.2.7")


async def test_a_login_that_breaks_is_500_without_a_word_about_it(
    build: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def who(request: Any) -> Principal:
        raise ValueError("password hunter2 is wrong")

    rim = build(who=who)
    found = await rim.json("POST", "/payments/intents/pay_1/confirm", {})
    assert (rim.last.status, found["error"]) == (500, "Internal Server Error")
    assert b"hunter2" not in rim.last.body
    assert not rim.engine.calls
    assert [record.levelname for record in caplog.records if record.exc_info] == ["ERROR"]


async def test_a_login_that_cannot_be_reached_is_503(build: Any) -> None:
    def who(request: Any) -> Principal:
        raise ConnectionRefusedError("redis://:hunter2@cache")

    rim = build(who=who)
    found = await rim.json("POST", "/payments/intents/pay_1/confirm", {})
    assert (rim.last.status, found["message"]) == (503, "Authentication service unavailable")
    assert "retry-after" in rim.last.headers


async def test_a_login_may_say_that_it_is_away(build: Any) -> None:
    def who(request: Any) -> Principal:
        raise Unavailable("Authentication service unavailable", retry_after=9)

    rim = build(who=who)
    await rim.ask("GET", "/payments")
    assert (rim.last.status, rim.last.headers["retry-after"]) == (503, "9")


async def test_health_and_webhooks_ask_nobody_who_they_are(build: Any) -> None:
    def who(request: Any) -> Principal:
        raise AssertionError("asked")

    rim = build(who=who)
    for method, path in [("GET", "/health"), ("GET", "/"), ("GET", "/openapi.json"), ("GET", "/providers")]:
        await rim.ask(method, path)
        assert rim.last.status == 200, path


async def test_what_nobody_expected_is_500_and_logged_once(
    rim: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rim.engine.script["confirm_payment"] = ZeroDivisionError("sk_live_secret")
    found = await rim.json("POST", "/payments/intents/pay_1/confirm", {}, headers={"x-request-id": "req-7"})
    assert rim.last.status == 500
    assert found["success"] is False
    assert b"sk_live" not in rim.last.body
    assert b"ZeroDivision" not in rim.last.body
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert vars(errors[0])["request_id"] == "req-7"


async def test_a_database_that_is_away_is_503_without_its_address(
    rim: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rim.engine.script["confirm_payment"] = StoreError("postgresql://shop:hunter2@db is away")
    await rim.ask("POST", "/payments/intents/pay_1/confirm", {})
    assert rim.last.status == 503
    assert b"hunter2" not in rim.last.body
    assert rim.last.headers["retry-after"]


async def test_unknown_paths_say_so_in_the_contracts_shape(rim: Any) -> None:
    found = await rim.json("GET", "/invoices/inv_1")
    assert rim.last.status == 404
    assert (found["error"], found["path"], found["method"]) == ("Not Found", "/invoices/inv_1", "GET")
    assert found["timestamp"] == "2026-01-15T10:30:00.123Z"


@pytest.mark.parametrize(
    "path",
    [
        "/payments/a/b/c/d",
        "//payments",
        "/payments/",
        "/webhooks",
        "/webhooks/a/b",
        "/payments/intents/",
        "/PAYMENTS",
    ],
)
async def test_paths_that_almost_fit_do_not_break(admin: Any, path: str) -> None:
    await admin.ask("GET", path)
    assert admin.last.status in (200, 404, 405)


@pytest.mark.parametrize("trap", ["a b", "a\nb", "a\x00b", "é", "x" * 192, "pay_1;drop", "%2e"])
async def test_what_cannot_be_an_id_is_not_found_and_never_reaches_the_engine(admin: Any, trap: str) -> None:
    await admin.ask("GET", f"/payments/{trap}")
    assert admin.last.status == 404
    assert not admin.engine.calls


async def test_head_is_get_without_the_body(admin: Any) -> None:
    got = await admin.ask("GET", "/payments/pay_1", headers={"x-request-id": "r"})
    head = await admin.ask("HEAD", "/payments/pay_1", headers={"x-request-id": "r"})
    assert (head.status, head.body) == (200, b"")
    counted = {"x-ratelimit-remaining"}
    assert {name: head.headers[name] for name in head.headers.keys() - counted} == {
        name: got.headers[name] for name in got.headers.keys() - counted
    }


async def test_options_says_what_is_allowed(rim: Any) -> None:
    await rim.ask("OPTIONS", "/payments/intents/pay_1")
    assert rim.last.status == 204
    assert rim.last.headers["allow"] == "GET, HEAD, OPTIONS, PATCH, PUT"
    await rim.ask("OPTIONS", "/nowhere")
    assert rim.last.status == 404


async def test_every_answer_can_be_found_again_and_is_kept_by_nobody(rim: Any) -> None:
    for path in ("/payments", "/nope", "/health", "/openapi.json"):
        await rim.ask("GET", path, headers={"x-request-id": "abc-123"})
        assert rim.last.headers["x-request-id"] == "abc-123"
        assert rim.last.headers["cache-control"] == "no-store"
        assert rim.last.headers["content-type"] == "application/json"
        assert int(rim.last.headers["content-length"]) == len(rim.last.body)


@pytest.mark.parametrize(
    "given", ["", "a b", "x" * 129, "a\r\nset-cookie: x", "<script>", "4242424242424242"]
)
async def test_a_request_id_with_a_trap_in_it_is_replaced(rim: Any, given: str) -> None:
    await rim.ask("GET", "/health", headers={"x-request-id": given})
    assert rim.last.headers["x-request-id"].startswith("req_")


async def test_the_log_of_requests_holds_no_address_and_no_id(
    admin: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await admin.ask("GET", "/payments/guest/ada@example.com", query={"token": "secret-token"})
    await admin.ask("GET", "/nope/ada@example.com")
    assert "ada@example.com" not in caplog.text
    assert "secret-token" not in caplog.text
    assert "/payments/guest/{email}" in caplog.text


async def test_a_bridge_that_was_not_started_starts_and_says_so_once(
    rim: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rim.bridge.started = False
    await rim.ask("GET", "/health/live")
    rim.bridge.started = False
    await rim.ask("GET", "/health/live")
    assert rim.bridge.starts == 2
    assert caplog.text.count("was not started") == 1


async def test_a_bridge_that_cannot_start_still_says_how_it_is(
    rim: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load balancer asks an installation whose database is away, too."""

    async def start() -> None:
        raise StoreError("postgresql://shop:hunter2@db is away")

    rim.bridge.started = False
    rim.engine.store.away = True
    monkeypatch.setattr(rim.bridge, "start", start)
    assert (await rim.json("GET", "/health"))["status"] == "unhealthy"
    assert rim.last.status == 503
    await rim.ask("GET", "/health/live")
    assert rim.last.status == 200


async def test_row_mode_and_flat_change_the_answers_and_nothing_else(build: Any) -> None:
    flat = build(response_compat="flat")
    found = await flat.json("POST", "/payments/intents/pay_1/confirm", {})
    assert found["id"] == found["data"]["id"] == "pay_1"
    assert "success" not in found
    rows = build(row_mode=True)
    found = await rows.json("POST", "/payments/intents/pay_1/confirm", {})
    assert found["data"]["rows"]["id"] == "pay_1"
    assert json.loads((await rows.ask("GET", "/nope")).body)["success"] is False


async def test_somebody_elses_thing_is_as_if_it_were_not_there(build: Any) -> None:
    """On a route that does not reveal: the same status and the same words."""
    plain = [
        replace(route, reveals=False) for route in ROUTES if route.path == "/payments/{payment_id}/cancel"
    ]
    rim = build(principal=Principal.user("eve"), routes=plain)
    rim.engine.script["cancel_payment"] = NotYours("Insufficient privileges", absent="Payment not found")
    foreign = await rim.json("POST", "/payments/pay_1/cancel", {})
    rim.engine.script["cancel_payment"] = NotFound("Payment not found")
    absent = await rim.json("POST", "/payments/pay_1/cancel", {})
    assert rim.last.status == 404
    assert foreign == absent


async def test_whoever_guesses_sessions_is_counted_as_the_stranger_that_they_are(build: Any) -> None:
    def who(request: Any) -> Principal:
        raise NotAuthenticated("no such session")

    rim = build(who=who, rate_limit_requests=2)
    assert [(await rim.ask("GET", "/payments")).status for _ in range(4)] == [401, 401, 429, 429]
