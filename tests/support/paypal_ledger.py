"""
Two ledgers, side by side: python paypal_ledger.py DATABASE GATEWAY_URL

Reads our tables with SQL and the gateway's books over HTTP, and shares no code with what wrote either.
Prints a line for every difference; nothing means that they agree.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

from our_ledger import Facts, books_of, compare, of_ours

TAKEN = ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")
SUBSCRIPTIONS = {
    "APPROVAL_PENDING": "incomplete",
    "ACTIVE": "active",
    "SUSPENDED": "paused",
    "CANCELLED": "canceled",
    "EXPIRED": "canceled",
}


def cents(amount: dict[str, str]) -> int:
    whole, _, part = amount["value"].partition(".")
    return int(whole) * 100 + int((part + "00")[:2])


def up(thing: dict[str, Any], what: str) -> str | None:
    """Return the id of what a thing was made from, as its links say."""
    for link in thing["links"]:
        path = link["href"].split("/")
        if link["rel"] == "up" and path[-2] == what:
            return str(path[-1])
    return None


def money(books: dict[str, Any], facts: Facts) -> None:
    """What each order took from its payer, holds of theirs, and gave back; and what is collected without."""
    order_of = {
        made["id"]: order["id"]
        for order in books["orders"]
        for kind in order["purchase_units"][0].get("payments", {}).values()
        for made in kind
    }
    drawn: Counter[str | None] = Counter()
    for capture in books["captures"]:
        amount = cents(capture["amount"]) if capture["status"] in TAKEN else 0
        facts.count("taken with", order_of.get(capture["id"], capture["id"]), amount)
        drawn[up(capture, "authorizations")] += amount
        if capture["id"] in books["collected"]:
            facts.count("collected by", books["collected"][capture["id"]], amount)
    for held in books["authorizations"]:
        if held["status"] == "CREATED":
            facts.count("held with", order_of[held["id"]], cents(held["amount"]) - drawn[held["id"]])
    for refund in books["refunds"]:
        capture_id, amount = up(refund, "captures"), cents(refund["amount"])
        if refund["status"] in ("COMPLETED", "PENDING"):  # what is on its way is not the merchant's any more
            facts.count("given back of", order_of.get(capture_id or "", capture_id), amount)
        if refund["status"] == "COMPLETED":
            facts.count("the refund", refund["id"], amount)


def of_the_gateway(books: dict[str, Any]) -> Facts:
    facts = Facts()
    money(books, facts)
    for token in books["payment_tokens"]:
        facts.count("the method", token["id"], 1)
    for subscription in books["subscriptions"]:
        facts["the subscription", subscription["id"]] = SUBSCRIPTIONS[subscription["status"]]
    return facts


if __name__ == "__main__":
    _, database, url = sys.argv
    theirs, ours = of_the_gateway(books_of(url)), of_ours(database, charge="provider_intent_id")
    sys.exit(1 if compare(theirs, ours) else 0)
