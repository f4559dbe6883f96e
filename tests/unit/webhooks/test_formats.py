from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from bridge_payments.models import Event, Money, Payment
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
    assert title_of(make_event()) == "Payment success: 20.00 USD"
    assert title_of(make_event("payment.requires_action")) == "Payment requires action: 20.00 USD"


def test_discord_reads_content_and_embeds_and_nobody_is_pinged(make_event: MakeEvent) -> None:
    body = json.loads(body_for_discord(make_event()))
    assert body["content"] == "Payment success: 20.00 USD"
    assert body["allowed_mentions"] == {"parse": []}
    (embed,) = body["embeds"]
    assert set(embed) == {"title", "description", "color", "fields", "timestamp"}
    assert {"name": "Reference", "value": "order-1", "inline": True} in embed["fields"]
    assert {"name": "Mode", "value": "test", "inline": True} in embed["fields"]


def test_slack_reads_text_and_blocks_and_strangers_cannot_write_markup(make_event: MakeEvent) -> None:
    body = json.loads(body_for_slack(make_event()))
    assert body["text"] == "Payment success: 20.00 USD"
    assert [block["type"] for block in body["blocks"]] == ["header", "section", "section"]
    assert body["blocks"][1]["text"]["text"] == "Two &lt;b&gt;tickets&lt;/b&gt; &amp; @everyone"


def test_a_long_description_is_cut_to_what_the_chat_takes(make_event: MakeEvent, payment: Payment) -> None:
    event = make_event(payment=replace(payment, description="x" * 9000, reference_code="y" * 9000))
    (embed,) = json.loads(body_for_discord(event))["embeds"]
    assert len(embed["description"]) <= 1024
    assert all(len(field["value"]) <= 1024 for field in embed["fields"])
