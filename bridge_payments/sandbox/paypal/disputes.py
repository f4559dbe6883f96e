"""Disputes about captures: begun by payers and their banks, decided by PayPal (customer_disputes_v1 1.11)."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Final

from .books import Books, Json
from .payments import Payments
from .problems import missing_object

__all__ = ["Disputes"]

_ANSWER: Final = timedelta(days=10)
_TAKEN: Final = ("RESOLVED_BUYER_FAVOUR", "ACCEPTED")


class Disputes:
    def __init__(self, books: Books, payments: Payments) -> None:
        self._books, self._payments = books, payments

    def begin(self, capture_id: str, amount: Json | None, reason: str) -> Json:
        capture = self._payments.capture(capture_id)
        identity = f"PP-D-{secrets.randbelow(90_000) + 10_000}"
        made: Json = {
            "dispute_id": identity,
            "create_time": self._books.now(),
            "update_time": self._books.now(),
            "disputed_transactions": [
                {
                    "seller_transaction_id": capture_id,
                    "create_time": capture["create_time"],
                    "transaction_status": "COMPLETED",
                    "gross_amount": capture["amount"],
                }
            ],
            "reason": reason,
            "status": "WAITING_FOR_SELLER_RESPONSE",
            "dispute_amount": amount or capture["amount"],
            "dispute_life_cycle_stage": "CHARGEBACK",
            "dispute_channel": "EXTERNAL",
            "seller_response_due_date": self._books.later(_ANSWER),
            "links": [self._books.link(f"/v1/customer/disputes/{identity}", "self")],
        }
        self._books.disputes[identity] = made
        self._told("CREATED", made)
        return made

    def resolve(self, identity: str, outcome: str) -> Json:
        """PayPal decides. What a payer is given back shows on the capture, and there is no refund."""
        dispute = self.one(identity)
        dispute |= {
            "status": "RESOLVED",
            "update_time": self._books.now(),
            "dispute_outcome": {"outcome_code": outcome, "amount_refunded": dispute["dispute_amount"]},
        }
        dispute.pop("seller_response_due_date", None)
        if outcome in _TAKEN:
            transaction = dispute["disputed_transactions"][0]["seller_transaction_id"]
            self._payments.reverse(transaction, dispute["dispute_amount"])
        self._told("RESOLVED", dispute)
        return dispute

    def one(self, identity: str) -> Json:
        found = self._books.disputes.get(identity)
        if found is None:
            raise missing_object()
        return found

    def about(self, transaction: str) -> Json:
        found = [
            {
                **{
                    name: dispute[name]
                    for name in (
                        "dispute_id", "create_time", "update_time", "reason", "status", "dispute_amount",
                        "dispute_life_cycle_stage", "dispute_channel", "links",
                    )
                },
                "dispute_state": "RESOLVED" if dispute["status"] == "RESOLVED" else "REQUIRED_ACTION",
            }
            for dispute in reversed(self._books.disputes.values())
            if dispute["disputed_transactions"][0]["seller_transaction_id"] == transaction
        ]  # fmt: skip
        path = f"/v1/customer/disputes?disputed_transaction_id={transaction}"
        # The published description has no empty list.
        return {**({"items": found} if found else {}), "links": [self._books.link(path, "self")]}

    def _told(self, word: str, dispute: Json) -> None:
        self._books.emit(
            f"CUSTOMER.DISPUTE.{word}", "dispute", dispute, f"A dispute was {word.lower()}", version="1.0"
        )
