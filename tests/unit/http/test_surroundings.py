"""Webhooks, accounts, health, and what the API says about itself."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from bridge_payments.http import HEALTH_ROUTES

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("spelling", "account"),
    [
        ("webhooks/dummy", "dummy"),
        ("external-webhooks/dummy", "dummy"),
        ("webhooks/authorize_net", "authorize_net"),
        ("webhooks/authorize-net", "authorize_net"),
        ("webhooks/authorizenet", "authorize_net"),
        ("external-webhooks/authorize-net", "authorize_net"),
        ("webhooks/nobody", "nobody"),
    ],
)
async def test_an_account_is_reached_under_every_published_spelling(
    rim: Any, spelling: str, account: str
) -> None:
    rim.engine.script["receive_webhook"] = SimpleNamespace(duplicate=False, event_id="evt_1", entry_id="in_1")
    await rim.ask("POST", f"/{spelling}", {})
    assert rim.engine.calls[-1][1][0] == account


async def test_a_webhook_arrives_with_its_bytes_and_headers_untouched(rim: Any) -> None:
    rim.engine.script["receive_webhook"] = SimpleNamespace(duplicate=False, event_id="evt_1", entry_id="in_1")
    raw = b'{ "number":  4242424242424242, "x": "\\u0000" }\n'
    found = await rim.json(
        "POST",
        "/webhooks/dummy",
        raw=raw,
        headers={"content-type": "text/plain", "stripe-signature": "t=1,v1=x"},
    )
    request = rim.engine.calls[-1][1][1]
    assert request.body == raw
    assert request.header("Stripe-Signature") == "t=1,v1=x"
    assert found == {
        "received": True,
        "duplicate": False,
        "processed": False,
        "event_id": "evt_1",
        "timestamp": "2026-01-15T10:30:00.123Z",
    }


async def test_a_copy_of_an_event_is_welcome(rim: Any) -> None:
    """A 409 would make the provider send it again."""
    rim.engine.script["receive_webhook"] = SimpleNamespace(duplicate=True, event_id="evt_1", entry_id="in_1")
    found = await rim.json("POST", "/webhooks/dummy", {})
    assert (rim.last.status, found["duplicate"]) == (200, True)


async def test_accounts_say_what_they_can_do_and_no_secret(rim: Any) -> None:
    found = await rim.json("GET", "/providers")
    assert [account["id"] for account in found["data"]] == ["dummy", "authorize_net"]
    assert found["data"][0]["is_default"] is True
    assert (found["meta"]["total"], found["meta"]["hasMore"]) == (2, False)
    assert "refund_payment" in found["data"][0]["capabilities"]
    assert b"secret" not in rim.last.body.replace(b'"client_secret"', b"")


async def test_health_follows_the_database(rim: Any) -> None:
    assert (await rim.json("GET", "/health"))["status"] == "healthy"
    assert (await rim.json("GET", "/health/ready"))["ready"] is True
    rim.engine.store.away = True
    for path in ("/health", "/health/ready", "/health/database", "/health/detailed"):
        await rim.ask("GET", path)
        assert rim.last.status == 503, path
        assert b"hunter2" not in rim.last.body
    await rim.ask("GET", "/health/live")
    assert rim.last.status == 200


async def test_health_asks_no_provider(rim: Any) -> None:
    """Rule G: a provider's bad day must not take the merchant out of their load balancer."""
    for route in HEALTH_ROUTES:
        await rim.ask("GET", route.path)
        assert rim.last.status == (404 if route.path == "/health/metrics" else 200)
    assert not rim.engine.calls
    providers = (await rim.json("GET", "/health/providers"))["providers"]
    assert providers["dummy"]["success"] is None


async def test_without_any_account_it_is_degraded(rim: Any) -> None:
    rim.engine.providers.clear()
    assert (await rim.json("GET", "/health"))["status"] == "degraded"
    assert rim.last.status == 503


async def test_detailed_health_shows_the_configuration_that_is_no_secret(build: Any) -> None:
    rim = build(database_url="postgresql://shop:hunter2@db/shop")
    found = await rim.json("GET", "/health/detailed")
    assert found["configuration"]["enabled_providers"] == ["dummy", "authorize_net"]
    assert found["memory_usage"]["max_rss_bytes"] > 1_000_000
    assert b"hunter2" not in rim.last.body


async def test_the_index_names_every_noun(rim: Any) -> None:
    found = await rim.json("GET", "/")
    assert found["name"] == "Bridge Payments API"
    assert "POST /payments/intents" in found["endpoints"]["payments"]


async def test_the_document_is_served(rim: Any) -> None:
    found = json.loads((await rim.ask("GET", "/openapi.json")).body)
    assert found["openapi"].startswith("3.1")
