"""
Two ledgers, side by side: python anet_ledger.py DATABASE GATEWAY_URL

Reads our tables with SQL and the gateway's books over HTTP, and shares no code with what wrote either.
Prints a line for every difference; nothing means that they agree.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import urllib.request
from collections import Counter
from contextlib import closing

TAKEN = ("capturedPendingSettlement", "settledSuccessfully")


def cents(amount: str) -> int:
    whole, _, part = amount.partition(".")
    return int(whole) * 100 + int((part + "00")[:2])


def of_the_gateway(url: str) -> tuple[Counter[str], Counter[str]]:
    """What each charge took from its payer, and what was given back of it."""
    asked = urllib.request.Request(f"{url}/_control/books", headers={"x-sandbox-control": "1"})
    books = json.load(urllib.request.urlopen(asked, timeout=5))
    captured = {
        event["payload"]["id"]
        for event in books["events"]
        if event["eventType"] == "net.authorize.payment.priorAuthCapture.created"
    }
    taken: Counter[str] = Counter()
    given: Counter[str] = Counter()
    for each in books["transactions"]:
        if each["type"] == "refundTransaction":
            if each["status"].startswith("refund"):
                given[each["original"]] += cents(each["amount"])
        elif each["status"] in TAKEN or (
            each["status"] == "voided" and (each["type"].startswith("authCapture") or each["id"] in captured)
        ):
            taken[each["id"]] += cents(each["settles"])
            if each["status"] == "voided":
                given[each["id"]] += cents(each["settles"])
    return taken, given


def of_ours(database: str) -> tuple[Counter[str], Counter[str]]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "SELECT provider_payment_id, captured_cents, refunded_cents FROM provider_payments"
        ).fetchall()
    taken: Counter[str] = Counter()
    given: Counter[str] = Counter()
    for charge, captured, refunded in rows:
        if captured or refunded:
            taken[charge] += captured
            given[charge] += refunded
    return taken, +given


def main(database: str, url: str) -> int:
    differences = 0
    for what, theirs, ours in zip(
        ("taken", "given back"), of_the_gateway(url), of_ours(database), strict=True
    ):
        for charge in sorted(set(theirs) | set(ours)):
            if theirs[charge] != ours[charge]:
                differences += 1
                sys.stdout.write(
                    f"{what} with {charge}: the gateway says {theirs[charge]}, we {ours[charge]}\n"
                )
    return differences


if __name__ == "__main__":
    sys.exit(1 if main(*sys.argv[1:]) else 0)
