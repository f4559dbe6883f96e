"""Disputes: the payer's bank takes the money back, and gives it again if the merchant wins.

Statuses, events and what they do to the charge: https://docs.stripe.com/disputes/how-disputes-work and
https://docs.stripe.com/api/disputes (2026-11). Whether a charge with an inquiry alone says that it is
disputed is not documented; here it does.
"""

from __future__ import annotations

from typing import Final

from . import shapes
from .books import Books, Json
from .problems import missing_object

__all__ = ["Disputes"]

_DAYS: Final = 86_400 * 9


class Disputes:
    def __init__(self, books: Books) -> None:
        self._books = books

    def get(self, identity: str) -> Json:
        found = self._books.disputes.get(identity)
        if found is None:
            raise missing_object("dispute", identity, param="dispute")
        return found

    def open(self, charge: Json, *, amount: int | None = None, inquiry: bool = False) -> Json:
        """The bank asks, or takes *amount* at once."""
        dispute = shapes.dispute(
            self._books.new_id("dp", like=charge["id"]),
            charge,
            now=self._books.now(),
            due=self._books.now() + _DAYS,
            amount=charge["amount_captured"] if amount is None else amount,
            inquiry=inquiry,
        )
        self._books.disputes[dispute["id"]] = dispute
        charge["disputed"] = True
        self._books.emit("charge.dispute.created", dispute)
        if not inquiry:
            self._books.emit("charge.dispute.funds_withdrawn", dispute)
        return dispute

    def close(self, identity: str, *, won: bool) -> Json:
        dispute = self.get(identity)
        inquiry = dispute["status"].startswith("warning_")
        dispute["status"] = "warning_closed" if inquiry else "won" if won else "lost"
        self._books.emit("charge.dispute.closed", dispute)
        if won and not inquiry:
            self._books.emit("charge.dispute.funds_reinstated", dispute)
        return dispute
