"""The same event for people: chat messages as Slack and Discord want them."""

from __future__ import annotations

import json
import re
from datetime import UTC
from typing import Any, Final

from ..models import Event, Money

__all__ = ["amount_text", "body_for_discord", "body_for_slack", "title_of"]

_GREEN, _RED, _AMBER, _GREY = 0x2EB67D, 0xE01E5A, 0xECB22E, 0x8D8D8D
_WORDS: Final = {
    "payment.created": ("Payment begun", _GREY),
    "payment.processing": ("Payment processing", _GREY),
    "payment.requires_action": ("Payment waits for its payer", _AMBER),
    "payment.requires_capture": ("Payment authorised", _AMBER),
    "payment.success": ("Payment received", _GREEN),
    "payment.failed": ("Payment failed", _RED),
    "payment.canceled": ("Payment canceled", _GREY),
    "payment.refunded": ("Payment refunded", _AMBER),
    "payment.mismatch": ("Payment does not match our books", _RED),
    "refund.created": ("Refund begun", _AMBER),
    "refund.succeeded": ("Refund sent", _AMBER),
    "refund.failed": ("Refund failed", _RED),
    "dispute.opened": ("Dispute opened", _RED),
    "dispute.closed": ("Dispute closed", _AMBER),
    "subscription.created": ("New subscription", _GREEN),
    "subscription.renewed": ("Subscription renewed", _GREEN),
    "subscription.payment_failed": ("Subscription could not be charged", _RED),
    "subscription.trial_will_end": ("Trial ends soon", _AMBER),
    "subscription.cancelled": ("Subscription canceled", _GREY),
    "webhook.disabled": ("Webhook endpoint switched off", _RED),
    "webhook.test": ("A test: this address hears of payments", _GREY),
}
_SUBSCRIBED: Final = {"daily": "a day", "weekly": "a week", "monthly": "a month", "yearly": "a year"}
_MAX_FIELD: Final = 1000
"""Below the 1024 characters that Discord takes in a field and the 2000 that Slack does."""
_MAX_FIELDS: Final = 10
"""Slack takes ten fields in a section."""
_MAX_TITLE: Final = 150
_MARKS: Final = re.compile(r"[\\\[\]*~`|<>#]")


def amount_text(money: Money) -> str:
    """Write *money* for people: ``2,000.00 USD``, ``2,000 JPY``."""
    return f"{money.to_decimal():,f} {money.currency}"


def title_of(event: Event) -> str:
    """Say in one line what happened, and about how much money."""
    known = _WORDS.get(event.type)
    what = known[0] if known else event.type.replace(".", " ").replace("_", " ").capitalize()
    money = _money(event)
    return f"{what}: {money}" if money else what


def body_for_discord(event: Event) -> bytes:
    """Return the body of a Discord webhook; strangers' text mentions nobody and hides no address."""
    embed: dict[str, Any] = {
        "title": event.type,
        "color": _WORDS.get(event.type, ("", _GREY))[1],
        "fields": [{"name": name, "value": _plain(value), "inline": True} for name, value in _facts(event)],
        "timestamp": event.created_at.astimezone(UTC).isoformat(timespec="milliseconds"),
    }
    if description := _description(event):
        embed["description"] = _plain(description)
    return _json({"content": title_of(event), "allowed_mentions": {"parse": []}, "embeds": [embed]})


def body_for_slack(event: Event) -> bytes:
    """Return the body of a Slack incoming webhook; strangers' text is escaped, so it cannot mention."""
    fields = [
        {"type": "mrkdwn", "text": f"*{name}*\n{_escaped(_cut(value))}"} for name, value in _facts(event)
    ]
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": title_of(event)[:_MAX_TITLE]}}
    ]
    if description := _description(event):
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": _escaped(_cut(description))}})
    if fields:
        blocks.append({"type": "section", "fields": fields})
    written = f"{event.created_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    moment = f"<!date^{int(event.created_at.timestamp())}^{{date_short_pretty}} {{time}}|{written}>"
    blocks.append(
        {"type": "context", "elements": [{"type": "mrkdwn", "text": f"{_escaped(event.type)} · {moment}"}]}
    )
    return _json({"text": _escaped(title_of(event)), "blocks": blocks})


def _money(event: Event) -> str | None:
    if event.refund is not None:
        return amount_text(event.refund.amount)
    if event.dispute is not None:
        return amount_text(Money(event.dispute.amount_cents, event.dispute.currency))
    if event.subscription is not None:
        row = event.subscription
        every = _SUBSCRIBED.get(row.billing_interval.value, row.billing_interval.value)
        if row.interval_multiplier > 1:
            every = f"every {row.interval_multiplier} {every.removeprefix('a ')}s"
        return f"{amount_text(Money(row.total_cents, row.currency))} {every}"
    return amount_text(event.payment.total) if event.payment is not None else None


def _description(event: Event) -> str:
    row = event.payment or event.subscription
    return (row.description or row.concept or "") if row is not None else ""


def _facts(event: Event) -> list[tuple[str, str]]:
    payment, row = event.payment, event.payment or event.subscription
    facts: list[tuple[str, str | None]] = []
    if row is not None:
        facts += [
            ("Order", row.reference_code),
            ("Payer", row.guest_email or row.user_id),
            ("Status", _said(row.status.value)),
        ]
    if payment is not None:
        refunded = payment.refunded_cents and amount_text(Money(payment.refunded_cents, payment.currency))
        facts += [
            ("Declined", _said(payment.decline_code)),
            ("Given back in all", refunded or None),
            ("Payment", payment.id),
        ]
    if event.refund is not None:
        facts += [("Reason", event.refund.reason), ("Refund", event.refund.id)]
    if event.dispute is not None:
        facts += [("Reason", _said(event.dispute.reason)), ("Dispute", event.dispute.id)]
    if event.subscription is not None:
        facts.append(("Subscription", event.subscription.id))
    if event.customer is not None:
        facts += [("Customer", event.customer.email or event.customer.id)]
    if event.payment_method is not None:
        method = event.payment_method
        card = f"{method.card_brand or 'card'} •••• {method.last_four}" if method.last_four else None
        facts += [
            ("Method", card or _said(method.payment_type)),
            ("Owner", method.user_id or method.guest_email),
        ]
    if event.type == "payment.mismatch" and event.data.get("reason"):
        facts.insert(0, ("Reason", str(event.data["reason"])))
    if event.type == "webhook.disabled":
        told = {name: event.data.get(name) for name in ("name", "host", "reason", "failing_since")}
        facts += [(name.replace("_", " ").capitalize(), str(value)) for name, value in told.items() if value]
    provider = row or event.payment_method or event.customer
    if provider is not None:
        facts.append(("Provider", provider.provider_id))
    if row is not None and row.livemode is False:
        facts.append(("Mode", "test"))
    return [(name, value) for name, value in facts if value][:_MAX_FIELDS]


def _said(code: str | None) -> str | None:
    """Write a code as words: ``insufficient_funds`` as “insufficient funds”."""
    return code.replace("_", " ") if code else None


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str) -> str:
    """Take the meaning from Discord's links, so that no text covers an address, and from its other marks.

    Underscores stay: they are in ids, and at worst slant a word.
    """
    escaped = _MARKS.sub(r"\\\g<0>", _cut(text))
    if len(escaped) <= _MAX_FIELD:
        return escaped
    return escaped[: _MAX_FIELD - 1].rstrip("\\") + "…"  # no half of a pair at its end


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_FIELD else text[: _MAX_FIELD - 1] + "…"


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
