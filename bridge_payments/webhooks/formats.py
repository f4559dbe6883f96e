"""The same event for people: chat messages as Slack and Discord want them."""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any, Final

from ..models import Event, Money

__all__ = ["amount_text", "body_for_discord", "body_for_slack", "title_of"]

_GREEN, _RED, _AMBER, _GREY = 0x2EB67D, 0xE01E5A, 0xECB22E, 0x8D8D8D
_COLORS: Final = {
    "success": _GREEN,
    "succeeded": _GREEN,
    "failed": _RED,
    "mismatch": _RED,
    "canceled": _GREY,
    "refunded": _AMBER,
    "requires_action": _AMBER,
}
_MAX_FIELD: Final = 1000
"""Below the 1024 characters that Discord takes in a field and the 2000 that Slack does."""


def amount_text(money: Money) -> str:
    """Write *money* for people: ``2,000.00 USD``, ``2,000 JPY``."""
    return f"{money.to_decimal():,f} {money.currency}"


def title_of(event: Event) -> str:
    """Say in one line what happened."""
    family, _, word = event.type.rpartition(".")
    what = f"{family} {word.replace('_', ' ')}".strip().capitalize()
    money = event.refund.amount if event.refund else event.payment.total if event.payment else None
    return f"{what}: {amount_text(money)}" if money else what


def body_for_discord(event: Event) -> bytes:
    """Return the body of a Discord webhook; it mentions nobody, whatever a description contains."""
    embed: dict[str, Any] = {
        "title": event.type,
        "color": _COLORS.get(event.type.rpartition(".")[2], _GREY),
        "fields": [{"name": name, "value": _cut(value), "inline": True} for name, value in _facts(event)],
        "timestamp": event.created_at.astimezone(UTC).isoformat(timespec="milliseconds"),
    }
    if description := _description(event):
        embed["description"] = _cut(description)
    return _json({"content": title_of(event), "allowed_mentions": {"parse": []}, "embeds": [embed]})


def body_for_slack(event: Event) -> bytes:
    """Return the body of a Slack incoming webhook; strangers' text is escaped, so it cannot mention."""
    fields = [
        {"type": "mrkdwn", "text": f"*{name}*\n{_escaped(_cut(value))}"} for name, value in _facts(event)
    ]
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": title_of(event)[:150]}}
    ]
    if description := _description(event):
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": _escaped(_cut(description))}})
    if fields:
        blocks.append({"type": "section", "fields": fields})
    return _json({"text": _escaped(title_of(event)), "blocks": blocks})


def _description(event: Event) -> str:
    return (event.payment.description or "") if event.payment else ""


def _facts(event: Event) -> list[tuple[str, str]]:
    payment, refund = event.payment, event.refund
    facts: list[tuple[str, str | None]] = []
    if payment:
        facts += [
            ("Payment", payment.id),
            ("Status", payment.status.value),
            ("Reference", payment.reference_code),
            ("Provider", payment.provider_id),
            ("Declined", payment.decline_code),
        ]
    if refund:
        facts += [("Refund", refund.id), ("Reason", refund.reason)]
    if payment and payment.livemode is False:
        facts.append(("Mode", "test"))
    return [(name, value) for name, value in facts if value]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_FIELD else text[: _MAX_FIELD - 1] + "…"


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
