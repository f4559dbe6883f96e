"""
A shop's day over HTTP: the real engine, store and provider behind all three frameworks.

The same day is lived through each mount, on a fresh bridge with a clock that stands still. What the payer,
the admin and the provider were answered must be the same to the byte; ids are random and are numbered in the
order in which they first appear.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hosts import MOUNTS, numbered
from shops import ADA, EVE, GUEST, ORDER, ROOT, Shop, open_shop

from bridge_payments.mounts.starlette import payments_app
from bridge_payments.providers.dummy.inbox import sign


@pytest.fixture(params=list(MOUNTS))
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    shop = open_shop(request.param)
    yield shop
    shop.bridge.close()


# --- the payer --------------------------------------------------------------------------------------


def test_a_guest_pays_once(shop: Shop) -> None:
    payment = shop.new({**ORDER, "guest_data": GUEST})
    assert payment["client_secret"]
    paid = shop.pay(payment["id"])
    assert (paid.status, paid.json["data"]["status"]) == (200, "succeeded")
    again = shop.pay(payment["id"])
    assert (again.status, again.json["data"]["status"]) == (200, "succeeded")
    assert [charge["amount"] for charge in shop.gateway.charges] == [5500]


def test_a_guest_without_a_name_on_the_order_is_told_what_is_missing(shop: Shop) -> None:
    refused = shop.ask("POST", "/payments/intents", ORDER)
    assert (refused.status, refused.json["error"]) == (400, "Guest data is required for guest payments")


def test_one_key_is_one_payment_whatever_the_browser_does(shop: Shop) -> None:
    body = {**ORDER, "confirm": True, "payment_method_id": "dummy_ok"}
    first = shop.new(body, **ADA, idempotency_key="order-1")
    second = shop.new(body, **ADA, idempotency_key="order-1")
    assert second["id"] == first["id"]
    assert len(shop.gateway.charges) == 1
    other = shop.ask(
        "POST", "/payments/intents", {**body, "total_cents": 1}, **ADA, idempotency_key="order-1"
    )
    assert other.status == 422
    assert first["id"].encode() not in other.body


def test_a_declined_card_can_be_replaced(shop: Shop) -> None:
    payment = shop.new(**ADA)
    refused = shop.pay(payment["id"], "dummy_insufficient", **ADA)
    assert (refused.status, refused.json["error"]) == (400, "Payment failed")
    assert refused.json["details"]["decline_code"]
    assert shop.ask("GET", f"/payments/{payment['id']}", **ADA).json["data"]["status"] == "pending"
    assert shop.pay(payment["id"], **ADA).json["data"]["status"] == "succeeded"
    assert len(shop.gateway.charges) == 1


def test_a_challenge_is_finished_in_the_browser_and_heard_by_sync(shop: Shop) -> None:
    payment = shop.new(**ADA)
    asked = shop.pay(payment["id"], "dummy_challenge", **ADA).json["data"]
    assert (asked["status"], asked["requires_action"]) == ("requires_action", True)
    shop.gateway.challenge(payment["provider_intent_id"], passed=True)
    synced = shop.ask("POST", f"/payments/sync/{payment['provider_intent_id']}", {}, **ADA)
    assert synced.json["data"]["status"] == "succeeded"


def test_an_answer_that_was_lost_is_not_an_error_and_not_a_second_charge(shop: Shop) -> None:
    """Rule 28. The payer sees "processing", and the truth arrives by itself."""
    payment = shop.new(**ADA)
    shop.gateway.lose_next_answer()
    lost = shop.pay(payment["id"], **ADA)
    assert lost.status == 200
    data = lost.json["data"]
    assert (data["status"], data["outcome"], data["requires_action"]) == ("processing", "unknown", False)
    again = shop.pay(payment["id"], **ADA)
    assert again.status == 409
    assert again.json["details"] == {"operation_id": data["operation_id"]}
    assert len(shop.gateway.charges) == 1


def test_a_webhook_tells_the_rest(shop: Shop) -> None:
    payment = shop.new(**ADA)
    shop.pay(payment["id"], "dummy_challenge", **ADA)
    shop.gateway.challenge(payment["provider_intent_id"], passed=True)
    raw = json.dumps(shop.gateway.events[-1]).encode()
    signed = {"dummy_signature": sign(raw, "dummy-webhook-secret")}
    assert shop.ask("POST", "/webhooks/dummy", raw, **signed).json["duplicate"] is False
    assert shop.ask("POST", "/webhooks/dummy", raw, **signed).json["duplicate"] is True
    shop.work()
    assert shop.ask("GET", f"/payments/{payment['id']}", **ADA).json["data"]["status"] == "succeeded"
    assert shop.ask("POST", "/webhooks/dummy", raw, dummy_signature="00").status == 401


# --- who may ----------------------------------------------------------------------------------------


def test_somebody_elses_payment_stays_closed(shop: Shop) -> None:
    payment = shop.new(**ADA)["id"]
    for caller in ({}, EVE):
        assert shop.ask("GET", f"/payments/{payment}", **caller).status in (401, 403)
        assert shop.pay(payment, **caller).status == 403
        assert shop.ask("POST", f"/payments/{payment}/cancel", {}, **caller).status == 403
        assert shop.ask("PATCH", f"/payments/intents/{payment}", {"total_cents": 1}, **caller).status == 403
        assert shop.ask("POST", f"/payments/{payment}/capture", {}, **caller).status in (401, 403)
    assert shop.ask("GET", "/payments", **EVE).json["meta"]["total"] == 0
    assert not shop.gateway.charges


def test_an_anonymous_caller_presents_the_secret_to_change_or_cancel(shop: Shop) -> None:
    payment = shop.new({**ORDER, "guest_data": GUEST})
    target, secret = f"/payments/intents/{payment['id']}", {"client_secret": payment["client_secret"]}
    assert shop.ask("PATCH", target, {"total_cents": 100}).status == 403
    changed = shop.ask("PATCH", target, {"total_cents": 4000, **secret})
    assert (changed.status, changed.json["data"]["total_cents"]) == (200, 4000)
    assert shop.ask("POST", f"/payments/{payment['id']}/cancel", {}).status == 403
    canceled = shop.ask("POST", f"/payments/{payment['id']}/cancel", secret)
    assert (canceled.status, canceled.json["data"]["status"]) == (200, "canceled")


def test_a_client_secret_shows_only_to_its_owner_and_only_while_it_is_of_use(shop: Shop) -> None:
    payment = shop.new(**ADA)
    target = f"/payments/{payment['id']}"
    assert shop.ask("GET", target, **ADA).json["data"]["client_secret"] == payment["client_secret"]
    assert payment["client_secret"].encode() not in shop.ask("GET", "/payments", **ADA).body
    assert payment["client_secret"].encode() not in shop.ask("GET", "/payments", **ROOT).body
    shop.pay(payment["id"], **ADA)
    assert shop.ask("GET", target, **ADA).json["data"]["client_secret"] is None


# --- the merchant -----------------------------------------------------------------------------------


def test_an_authorisation_is_captured_and_given_back_in_part(shop: Shop) -> None:
    payment = shop.new({**ORDER, "capture_method": "manual"}, **ADA)["id"]
    assert shop.pay(payment, **ADA).json["data"]["status"] == "requires_capture"
    taken = shop.ask("POST", f"/payments/{payment}/capture", {"amount_cents": 5000}, **ROOT).json["data"]
    assert (taken["status"], taken["captured_amount_cents"]) == ("succeeded", 5000)
    body = {"amount_cents": 2000, "reason": "one was broken"}
    assert shop.ask("POST", f"/payments/{payment}/refund", body, **ROOT).status == 400
    first = shop.ask("POST", f"/payments/{payment}/refund", body, **ROOT, idempotency_key="r1")
    again = shop.ask("POST", f"/payments/{payment}/refund", body, **ROOT, idempotency_key="r1")
    assert (first.status, again.status) == (201, 201)
    assert first.json["data"]["id"] == again.json["data"]["id"]
    assert sum(refund["amount"] for refund in shop.gateway.refunds.values()) == 2000
    over = shop.ask(
        "POST", f"/payments/{payment}/refund", {"amount_cents": 3001}, **ROOT, idempotency_key="r2"
    )
    assert over.status == 400
    assert shop.ask("GET", f"/payments/{payment}", **ADA).json["data"]["status"] == "partially_refunded"


def test_one_address_does_not_open_payments_without_end() -> None:
    shop = open_shop("starlette", guest_max_payments_per_email=2)
    for _ in range(2):
        shop.new({**ORDER, "guest_data": GUEST})
    refused = shop.ask("POST", "/payments/intents", {**ORDER, "guest_data": GUEST})
    assert refused.status == 429
    assert refused.json["error"] == "Guest payment limit exceeded. Maximum 2 payments per email."
    assert int(refused.headers["retry-after"]) > 0
    shop.bridge.close()


# --- the same everywhere ----------------------------------------------------------------------------

DAY: list[Callable[[Shop], None]] = [
    test_a_guest_pays_once,
    test_a_guest_without_a_name_on_the_order_is_told_what_is_missing,
    test_one_key_is_one_payment_whatever_the_browser_does,
    test_a_declined_card_can_be_replaced,
    test_a_challenge_is_finished_in_the_browser_and_heard_by_sync,
    test_an_answer_that_was_lost_is_not_an_error_and_not_a_second_charge,
    test_a_webhook_tells_the_rest,
    test_somebody_elses_payment_stays_closed,
    test_an_anonymous_caller_presents_the_secret_to_change_or_cancel,
    test_a_client_secret_shows_only_to_its_owner_and_only_while_it_is_of_use,
    test_an_authorisation_is_captured_and_given_back_in_part,
]


@pytest.mark.parametrize("part", DAY, ids=lambda part: part.__name__.removeprefix("test_"))
def test_every_framework_answers_the_same_bytes(part: Callable[[Shop], None]) -> None:
    lived = {}
    for mount in MOUNTS:
        shop = open_shop(mount)
        part(shop)
        lived[mount] = numbered(shop.talk.transcript)
        shop.bridge.close()
    assert lived["fastapi"] == lived["starlette"]
    assert lived["flask"] == lived["starlette"]


def test_eight_clicks_at_once_are_one_charge() -> None:
    """A nervous finger, eight tabs, a proxy that repeats: over HTTP, on one loop, at the same time."""
    shop = open_shop("starlette")
    payment = shop.new(**ADA)["id"]
    app = payments_app(shop.bridge)

    async def click() -> int:
        statuses: list[int] = []
        body = json.dumps({"payment_method_id": "dummy_ok"}).encode()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            statuses.extend([message["status"]] if "status" in message else [])

        headers = [(b"content-type", b"application/json"), (b"x-session-id", b"ada")]
        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": f"/payments/intents/{payment}/confirm",
            "headers": headers,
            "client": None,
        }
        await app(scope, receive, send)
        return statuses[0]

    async def eight() -> list[int]:
        return await asyncio.gather(*(click() for _ in range(8)))

    statuses = shop.bridge.blocking.call(eight)
    assert set(statuses) <= {200, 409}
    assert 200 in statuses
    assert len(shop.gateway.charges) == 1
    shop.bridge.close()
