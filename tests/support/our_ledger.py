"""Our tables, read with SQL alone, beside what a gateway's books say. For the scripts `*_ledger.py`."""

from __future__ import annotations

import json
import sqlite3
import sys
import urllib.request
from contextlib import closing
from typing import Any

__all__ = ["Facts", "books_of", "compare", "of_ours"]


class Facts(dict[tuple[str, str], int | str]):
    """What is known, by what it is about: ``("taken with", "pi_1"): 2000``. Nothing is the same as zero."""

    def count(self, what: str, about: str | None, amount: int) -> None:
        if amount:
            key = (what, about or "nothing")
            self[key] = int(self.get(key, 0)) + amount


_ENDED = ("canceled", "incomplete_expired")


def books_of(url: str) -> dict[str, Any]:
    """Ask a gateway of the sandbox for everything that it remembers."""
    asked = urllib.request.Request(f"{url}/_control/books", headers={"x-sandbox-control": "1"})
    books: dict[str, Any] = json.load(urllib.request.urlopen(asked, timeout=5))
    return books


def of_ours(database: str, *, charge: str) -> Facts:
    """Read the tables; *charge* is the column by which this gateway knows a payment."""
    facts = Facts()
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        for row in connection.execute(
            f"SELECT p.{charge} AS charge, p.status, p.authorized_cents, p.captured_cents, p.refunded_cents,"
            " p.disputed_cents, s.provider_subscription_id AS subscription FROM provider_payments p"
            " LEFT JOIN provider_subscriptions s ON s.id = p.subscription_id"
        ):
            facts.count("taken with", row["charge"], row["captured_cents"])
            facts.count("given back of", row["charge"], row["refunded_cents"])
            facts.count("disputed of", row["charge"], row["disputed_cents"])
            if row["status"] == "requires_capture":
                facts.count("held with", row["charge"], row["authorized_cents"] - row["captured_cents"])
            if row["subscription"]:
                facts.count("collected by", row["subscription"], row["captured_cents"])
        for row in connection.execute("SELECT * FROM refunds WHERE status = 'succeeded'"):
            facts.count("the refund", row["provider_refund_id"], row["amount_cents"])
        for row in connection.execute("SELECT * FROM provider_customers WHERE deleted_at IS NULL"):
            facts.count("the customer", row["provider_customer_id"], 1)
        for row in connection.execute("SELECT * FROM provider_payment_methods WHERE status = 'active'"):
            facts.count("the method", row["provider_payment_method_id"], 1)
        for row in connection.execute("SELECT * FROM provider_subscriptions"):
            if row["provider_subscription_id"] or row["status"] not in _ENDED:
                facts["the subscription", row["provider_subscription_id"] or row["id"]] = row["status"]
    return facts


def compare(theirs: Facts, ours: Facts) -> int:
    """Print a line for every difference; nothing means that both say the same. Return how many."""
    differences = 0
    for key in sorted(set(theirs) | set(ours)):
        there, here = theirs.get(key, 0), ours.get(key, 0)
        if there != here:
            differences += 1
            sys.stdout.write(f"{key[0]} {key[1]}: the gateway says {there}, we {here}\n")
    return differences
