"""Which pages may read, and which may act with a payer's cookie."""

from __future__ import annotations

from typing import Any

import pytest

from bridge_payments.models import Principal

pytestmark = pytest.mark.anyio

SHOP = "https://shop.example"
PREFLIGHT = {"access-control-request-method": "PATCH", "access-control-request-headers": "idempotency-key"}


async def test_a_known_origin_may_read_with_credentials(rim: Any) -> None:
    await rim.ask("GET", "/health", headers={"origin": SHOP})
    assert rim.last.headers["access-control-allow-origin"] == SHOP
    assert rim.last.headers["access-control-allow-credentials"] == "true"
    assert rim.last.headers["vary"] == "Origin"


async def test_errors_can_be_read_too(rim: Any) -> None:
    await rim.ask("GET", "/nope", headers={"origin": SHOP})
    assert rim.last.headers["access-control-allow-origin"] == SHOP


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://shop.example.evil.example", "null", "http://shop.example"]
)
async def test_an_unknown_origin_may_not(rim: Any, origin: str) -> None:
    await rim.ask("OPTIONS", "/payments", headers={"origin": origin, **PREFLIGHT})
    assert "access-control-allow-origin" not in rim.last.headers
    assert rim.last.headers["vary"] == "Origin"


async def test_a_preflight_allows_what_the_published_clients_send(rim: Any) -> None:
    await rim.ask("OPTIONS", "/payments/intents/pay_1", headers={"origin": SHOP, **PREFLIGHT})
    assert rim.last.status == 204
    assert rim.last.body == b""
    headers = rim.last.headers
    assert "PATCH" in headers["access-control-allow-methods"]
    for name in ("X-Session-ID", "X-Guest-Token", "Authorization", "Content-Type", "Idempotency-Key"):
        assert name in headers["access-control-allow-headers"]
    assert headers["access-control-allow-origin"] == SHOP


async def test_everybody_may_read_where_the_installation_says_so_but_not_with_cookies(build: Any) -> None:
    rim = build(cors_origins=("*",))
    await rim.ask("GET", "/health", headers={"origin": "https://anything.example"})
    assert rim.last.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in rim.last.headers


async def test_a_cookie_from_an_unknown_page_moves_nothing(user: Any) -> None:
    """Rule 25: the payer's browser sends the cookie for any page that asks it to."""
    for origin in ("https://evil.example", "null", ""):
        await user.ask("POST", "/payments/pay_1/cancel", {}, headers={"cookie": "sid=1", "origin": origin})
        assert user.last.status == 403
    assert not user.engine.calls


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": SHOP},
        {"origin": "http://pay.example", "host": "pay.example"},
        {"sec-fetch-site": "same-origin"},
        {"origin": "https://evil.example", "x-session-id": "s" * 20},
        {"origin": "https://evil.example", "authorization": "Bearer " + "s" * 20},
    ],
)
async def test_a_cookie_from_our_own_page_does(user: Any, headers: dict[str, str]) -> None:
    """A header that a page must set itself has passed a preflight: then the cookie is not what speaks."""
    await user.ask("POST", "/payments/pay_1/cancel", {}, headers={"cookie": "sid=1", **headers})
    assert user.last.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Basic abc"},
        {"origin": "http://pay.example", "host": "pay.example"},
    ],
)
async def test_what_a_browser_adds_by_itself_proves_nothing(user: Any, headers: dict[str, str]) -> None:
    """A cached Basic password, or our own host without TLS in between."""
    await user.ask(
        "POST", "/payments/pay_1/cancel", {}, headers={"cookie": "sid=1", **headers}, scheme="https"
    )
    assert user.last.status == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": SHOP}, 200),
        ({}, 200),  # no browser: they always say from where
    ],
)
async def test_a_cached_password_from_an_unknown_page_moves_nothing(
    user: Any, headers: dict[str, str], status: int
) -> None:
    sent = {"authorization": "Basic abc", "content-type": "", **headers}
    await user.ask("POST", "/payments/pay_1/cancel", raw=b"", headers=sent)
    assert user.last.status == status


async def test_a_session_in_the_query_does_not_excuse_a_cookie(user: Any) -> None:
    await user.ask(
        "POST", "/payments/pay_1/cancel", {}, headers={"cookie": "sid=1"}, query={"session_id": "s" * 20}
    )
    assert user.last.status == 403


async def test_a_guest_with_some_shops_cookies_can_pay(rim: Any) -> None:
    await rim.ask("POST", "/payments/intents/pay_1/confirm", {}, headers={"cookie": "theme=dark"})
    assert rim.last.status == 200


async def test_with_a_cookie_the_content_type_is_always_checked(build: Any) -> None:
    """text/plain needs no preflight, so it proves nothing."""
    rim = build(principal=Principal.user("u1"), validate_content_type=False)
    await rim.ask(
        "POST",
        "/payments/pay_1/cancel",
        {},
        headers={"cookie": "s=1", "origin": SHOP, "content-type": "text/plain"},
    )
    assert rim.last.status == 400


async def test_reading_with_a_cookie_needs_no_origin(user: Any) -> None:
    await user.ask("GET", "/payments/pay_1", headers={"cookie": "sid=1"})
    assert user.last.status == 200
