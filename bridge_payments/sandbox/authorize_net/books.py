"""What the gateway remembers: transactions, the batches that they settled in, one-time tokens, events."""

from __future__ import annotations

import copy
import secrets
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from ...models import MovableClock

__all__ = ["CAPTURED", "LIVE", "Batch", "Books", "Json", "Token", "Transaction"]

Json = dict[str, Any]

CAPTURED: Final = frozenset({"capturedPendingSettlement", "settledSuccessfully"})
LIVE: Final = CAPTURED | {"authorizedPendingCapture", "FDSPendingReview", "FDSAuthorizedPendingReview"}
"""Statuses of a charge that took, holds or may take money."""

TOKEN_LIFE: Final = timedelta(minutes=15)
"""(2026-11, https://developer.authorize.net/api/reference/features/acceptjs.html)."""


@dataclass(slots=True, kw_only=True)
class Token:
    """What Accept.js hands out: good once, for a quarter of an hour."""

    value: str
    made_at: datetime
    number: str = ""
    expires: str = "2030-12"
    bank: Json | None = None
    used: bool = False

    def has_expired(self, now: datetime) -> bool:
        return now > self.made_at + TOKEN_LIFE


@dataclass(slots=True, kw_only=True)
class Transaction:
    id: str
    type: str
    status: str
    amount: Decimal
    settles: Decimal
    submitted: datetime
    invoice: str = ""
    description: str = ""
    purchase_order: str = ""
    reference: str = ""
    """`refId` of the request."""
    code: int = 1
    reason: int = 1
    sentence: str = "This transaction has been approved."
    number: str = ""
    """Its last four digits only."""
    brand: str = ""
    bank: Json | None = None
    wallet: str = ""
    original: str = ""
    """`refTransId`: what a refund refers to."""
    batch: str = ""
    auth_code: str = ""
    card_code: str = "P"

    @property
    def account(self) -> str:
        return f"XXXX{self.number}"

    @property
    def is_refund(self) -> bool:
        return self.type == "refundTransaction"


@dataclass(slots=True, kw_only=True)
class Batch:
    id: str
    settled: datetime
    state: str = "settledSuccessfully"


class Books:
    """One account's records. Whoever reads or writes holds `lock`; they are handed out as copies."""

    def __init__(self, clock: MovableClock) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.transactions: dict[str, Transaction] = {}
        self.batches: dict[str, Batch] = {}
        self.tokens: dict[str, Token] = {}
        self.submissions: list[tuple[tuple[str, ...], datetime]] = []
        """What the duplicate window compares, with its time."""
        self.events: list[Json] = []
        self.webhook_id = _uuid()
        self.announce: Callable[[Json], None] = lambda _: None
        self._next = 60_000_000_000 + secrets.randbelow(10_000_000)

    def new_id(self) -> str:
        self._next += 1 + secrets.randbelow(50)
        return str(self._next)

    def new_token(self, **facts: Any) -> Token:
        token = Token(value=secrets.token_hex(24), made_at=self.clock(), **facts)
        self.tokens[token.value] = token
        return token

    def refunded(self, original: str) -> Decimal:
        given = (
            each.amount
            for each in self.transactions.values()
            if each.original == original and each.is_refund and each.status.startswith("refund")
        )
        return sum(given, Decimal(0))

    def emit(self, kind: str, transaction: Transaction) -> None:
        """Write one notification (2026-11, https://developer.authorize.net/api/reference/features/webhooks.html)."""
        payload: Json = {"responseCode": transaction.code}
        if transaction.reference:
            payload["merchantReferenceId"] = transaction.reference
        if transaction.auth_code:
            payload["authCode"] = transaction.auth_code
        event = {
            "notificationId": _uuid(),
            "eventType": f"net.authorize.payment.{kind}",
            "eventDate": self.clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "webhookId": self.webhook_id,
            "payload": {
                **payload,
                "avsResponse": "Y",
                "authAmount": float(transaction.settles),
                "entityName": "transaction",
                "id": transaction.id,
            },
        }
        self.events.append(event)
        self.announce({"id": event["notificationId"], "body": event})

    def clear(self) -> None:
        for shelf in (self.transactions, self.batches, self.tokens):
            shelf.clear()
        self.submissions.clear()
        self.events.clear()

    def listed(self) -> list[Json]:
        return [copy.deepcopy(asdict(each)) for each in self.transactions.values()]


def _uuid() -> str:
    text = secrets.token_hex(16)
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
