"""
Two ledgers, side by side: python stripe_ledger.py DATABASE GATEWAY_URL

Reads our tables with SQL and the gateway's books over HTTP, and shares no code with what wrote either.
Prints a line for every difference; nothing means that they agree.
"""

from __future__ import annotations

import sys
from typing import Any

from our_ledger import Facts, books_of, compare, of_ours


def money(books: dict[str, Any], facts: Facts) -> None:
    """What each intent took from its payer, holds of theirs, and gave back."""
    intent_of = {each["id"]: each["payment_intent"] for each in books["charges"]}
    for charge in books["charges"]:
        if charge["status"] == "succeeded":
            facts.count("taken with", charge["payment_intent"], charge["amount_captured"])
    for intent in books["intents"]:
        if intent["status"] == "requires_capture":
            facts.count("held with", intent["id"], intent["amount_capturable"])
    for refund in books["refunds"]:
        if refund["status"] == "succeeded":
            facts.count("given back of", intent_of[refund["charge"]], refund["amount"])
            facts.count("the refund", refund["id"], refund["amount"])
    for dispute in books["disputes"]:
        if dispute["status"] not in ("won", "warning_closed"):
            facts.count("disputed of", dispute["payment_intent"], dispute["amount"])
    for invoice in books["invoices"]:
        if invoice["status"] == "paid":
            subscription = invoice["parent"]["subscription_details"]["subscription"]
            facts.count("collected by", subscription, invoice["amount_paid"])


def kept(books: dict[str, Any], facts: Facts) -> None:
    """What is kept for the next time, and what goes on."""
    for customer in books["customers"]:
        facts.count("the customer", customer["id"], 1)
    for method in books["payment_methods"]:
        facts.count("the method", method["id"], 1 if method["customer"] else 0)
    for subscription in books["subscriptions"]:
        paused = subscription["pause_collection"] and subscription["status"] in ("active", "trialing")
        facts["the subscription", subscription["id"]] = "paused" if paused else subscription["status"]


def of_the_gateway(books: dict[str, Any]) -> Facts:
    facts = Facts()
    money(books, facts)
    kept(books, facts)
    return facts


if __name__ == "__main__":
    _, database, url = sys.argv
    sys.exit(
        1 if compare(of_the_gateway(books_of(url)), of_ours(database, charge="provider_intent_id")) else 0
    )
