from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bridge_payments.models import BillingInterval, Event, Money, Payment, Subscription, SubscriptionStatus
from bridge_payments.webhooks.formats import amount_text, body_for_discord, body_for_slack, title_of

MakeEvent = Callable[..., Event]


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(2000, "USD"), "20.00 USD"),
        (Money(2000, "JPY"), "2,000 JPY"),
        (Money(123456789, "EUR"), "1,234,567.89 EUR"),
        (Money(1500, "KWD"), "1.500 KWD"),
        (Money(5, "USD"), "0.05 USD"),
        (Money(-2000, "USD"), "-20.00 USD"),
    ],
)
def test_amounts_read_as_people_write_them(money: Money, text: str) -> None:
    assert amount_text(money) == text


def test_the_title_says_what_happened_and_how_much(make_event: MakeEvent) -> None:
    assert title_of(make_event()) == "Payment received: 20.00 USD"
    assert title_of(make_event("payment.requires_action")) == "Payment waits for its payer: 20.00 USD"


def test_discord_reads_content_and_embeds_and_nobody_is_pinged(make_event: MakeEvent) -> None:
    body = json.loads(body_for_discord(make_event()))
    assert body["content"] == "Payment received: 20.00 USD"
    assert body["allowed_mentions"] == {"parse": []}
    (embed,) = body["embeds"]
    assert embed["title"] == "payment.success"
    assert set(embed) == {"title", "description", "color", "fields", "timestamp"}
    assert {"name": "Order", "value": "order-1", "inline": True} in embed["fields"]
    assert {"name": "Mode", "value": "test", "inline": True} in embed["fields"]


def test_no_text_of_a_stranger_covers_an_address_in_discord(make_event: MakeEvent, payment: Payment) -> None:
    bait = "[Refund this payment](https://evil.example) **now** #1_a"
    event = make_event(payment=replace(payment, description=bait, reference_code=bait))
    (embed,) = json.loads(body_for_discord(event))["embeds"]
    harmless = r"\[Refund this payment\](https://evil.example) \*\*now\*\* \#1_a"
    assert embed["description"] == harmless
    assert {"name": "Order", "value": harmless, "inline": True} in embed["fields"]


def test_what_is_escaped_stays_below_what_discord_takes(make_event: MakeEvent, payment: Payment) -> None:
    event = make_event(payment=replace(payment, description="*" * 9000, reference_code="*" * 9000))
    (embed,) = json.loads(body_for_discord(event))["embeds"]
    texts = [embed["description"], *(field["value"] for field in embed["fields"])]
    assert all(len(text) <= 1024 for text in texts)
    assert not any(text.removesuffix("…").replace(r"\*", "") for text in texts if "*" in text)


def test_a_mismatch_says_what_does_not_match(make_event: MakeEvent) -> None:
    event = make_event("payment.mismatch", data={"reason": "the provider has no such object"})
    (facts,) = [block["fields"] for block in json.loads(body_for_slack(event))["blocks"] if "fields" in block]
    assert {"type": "mrkdwn", "text": "*Reason*\nthe provider has no such object"} in facts


def test_a_chat_that_cannot_write_dates_shows_minutes_and_the_zone(make_event: MakeEvent) -> None:
    context = json.loads(body_for_slack(make_event()))["blocks"][-1]
    assert context["elements"][0]["text"].endswith("|2026-03-01 12:00 UTC>")


def test_slack_reads_text_and_blocks_and_strangers_cannot_write_markup(make_event: MakeEvent) -> None:
    body = json.loads(body_for_slack(make_event()))
    assert body["text"] == "Payment received: 20.00 USD"
    assert [block["type"] for block in body["blocks"]] == ["header", "section", "section", "context"]
    assert body["blocks"][1]["text"]["text"] == "Two &lt;b&gt;tickets&lt;/b&gt; &amp; @everyone"


def test_a_long_description_is_cut_to_what_the_chat_takes(make_event: MakeEvent, payment: Payment) -> None:
    event = make_event(payment=replace(payment, description="x" * 9000, reference_code="y" * 9000))
    (embed,) = json.loads(body_for_discord(event))["embeds"]
    assert len(embed["description"]) <= 1024
    assert all(len(field["value"]) <= 1024 for field in embed["fields"])


def test_a_message_about_a_subscription_says_how_often(make_event: MakeEvent) -> None:
    event = make_event("subscription.renewed", payment=None, subscription=a_subscription())
    assert title_of(event) == "Subscription renewed: 9.99 EUR every 3 months"
    (embed,) = json.loads(body_for_discord(event))["embeds"]
    facts = {field["name"]: field["value"] for field in embed["fields"]}
    assert (facts["Order"], facts["Status"]) == ("plan-1", "active")


def test_a_decline_is_said_in_words_and_an_endpoint_that_is_off_by_its_name(
    make_event: MakeEvent, payment: Payment
) -> None:
    declined = make_event("payment.failed", payment=replace(payment, decline_code="insufficient_funds"))
    assert {"name": "Declined", "value": "insufficient funds", "inline": True} in json.loads(
        body_for_discord(declined)
    )["embeds"][0]["fields"]
    off = make_event(
        "webhook.disabled", payment=None, data={"name": "shop", "reason": "gone", "failures": 12}
    )
    assert "shop" in str(json.loads(body_for_slack(off))["blocks"])


def test_no_message_is_larger_than_the_chats_take(make_event: MakeEvent, payment: Payment) -> None:
    long = "x" * 9000
    event = make_event(payment=replace(payment, description=long, reference_code=long, guest_email=long))
    for section in json.loads(body_for_slack(event))["blocks"]:
        assert len(section.get("fields", ())) <= 10
        for part in (section.get("text"), *section.get("fields", ())):
            assert part is None or len(part["text"]) <= 2000
    (embed,) = json.loads(body_for_discord(event))["embeds"]
    assert len(embed["title"]) <= 256
    assert len(embed["fields"]) <= 25


def a_subscription() -> Subscription:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    return Subscription(
        id="sub_1", provider_id="stripe", customer_id="cus_1", status=SubscriptionStatus.ACTIVE,
        subtotal_cents=999, total_cents=999, currency="EUR", billing_interval=BillingInterval.MONTHLY,
        interval_multiplier=3, created_at=now, updated_at=now, reference_code="plan-1", user_id="ada",
        organization_id="A", client_secret="sub_secret_NOBODYSEESTHIS", metadata={"channel": "web"},
    )  # fmt: skip
