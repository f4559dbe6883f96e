"""What the gateway remembers: transactions and their batches, tokens, profiles, subscriptions, events."""

from __future__ import annotations

import copy
import secrets
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from ...models import MovableClock
from .cards import labelled
from .refusal import Refusal

__all__ = [
    "CAPTURED",
    "LIVE",
    "Batch",
    "Books",
    "Customer",
    "Json",
    "Method",
    "Subscription",
    "Token",
    "Transaction",
]

Json = dict[str, Any]

CAPTURED: Final = frozenset({"capturedPendingSettlement", "settledSuccessfully"})
LIVE: Final = CAPTURED | {"authorizedPendingCapture", "FDSPendingReview", "FDSAuthorizedPendingReview"}
"""Statuses of a charge that took, holds or may take money."""

WALLETS: Final = {"COMMON.APPLE.INAPP.PAYMENT": "apple_pay", "COMMON.GOOGLE.INAPP.PAYMENT": "google_pay"}

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

    @property
    def identity(self) -> str:
        """Which card or account it stands for, without a number."""
        return _identity(self.number, self.bank)

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
    profile: tuple[str, str] | None = None
    """Customer and payment profile that were charged."""
    subscription: tuple[str, int] | None = None
    """Which one collected it, and its how-many-eth payment."""

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


@dataclass(slots=True, kw_only=True)
class Method:
    """A payment profile. The number never leaves these books."""

    id: str
    number: str = field(repr=False)
    expires: str
    brand: str
    bank: Json | None = field(default=None, repr=False)
    billing: dict[str, str] = field(default_factory=dict)

    @property
    def last_four(self) -> str:
        return str(self.bank["accountNumber"])[-4:] if self.bank else self.number[-4:]

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes a second one a duplicate
        (2026-11, https://developer.authorize.net/api/reference/features/customer_profiles.html)."""
        names = ("firstName", "lastName", "address", "zip")
        return (_identity(self.number, self.bank), *(self.billing.get(name, "") for name in names))


@dataclass(slots=True, kw_only=True)
class Customer:
    id: str
    marks: dict[str, str]
    """merchantCustomerId, description and email."""
    methods: dict[str, Method] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Subscription:
    id: str
    name: str
    customer: str
    method: str
    amount: Decimal
    length: int
    unit: str
    starts: date
    occurrences: int
    created: datetime
    invoice: str = ""
    description: str = ""
    status: str = "active"
    passed: int = 0
    """How many of its dates have come."""
    paid_with: str = ""
    """The method that paid last: a decline of another one suspends."""
    retry_at: datetime | None = None
    attempts: list[Json] = field(default_factory=list)
    identity: tuple[Any, ...] = field(default=(), repr=False)

    @property
    def runs(self) -> bool:
        return self.status in ("active", "suspended")


class Books:
    """One account's records. Whoever reads or writes holds `lock`; they are handed out as copies."""

    def __init__(self, clock: MovableClock, *, currency: str = "USD") -> None:
        self.clock: MovableClock = clock
        self.currency: str = currency
        self.lock: threading.RLock = threading.RLock()
        self.transactions: dict[str, Transaction] = {}
        self.batches: dict[str, Batch] = {}
        self.tokens: dict[str, Token] = {}
        self.sources: dict[str, Token] = {}
        """What each charge was paid with: a payment profile may be made of it."""
        self.customers: dict[str, Customer] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.submissions: list[tuple[tuple[str, ...], datetime]] = []
        """What the duplicate window compares, with its time."""
        self.events: list[Json] = []
        self.webhook_id: str = _uuid()
        self.announce: Callable[[Json], None] = lambda _: None
        self._next = 60_000_000_000 + secrets.randbelow(10_000_000)
        self._next_profile = 31_000_000 + secrets.randbelow(1_000_000)
        self._next_small = 5_000_000 + secrets.randbelow(1_000_000)

    @property
    def counters(self) -> tuple[int, ...]:
        """Return from where the three kinds of numbers go on."""
        return self._next, self._next_profile, self._next_small

    @counters.setter
    def counters(self, counters: tuple[int, ...]) -> None:
        self._next, self._next_profile, self._next_small = counters

    def new_id(self) -> str:
        self._next += 1 + secrets.randbelow(50)
        return str(self._next)

    def new_small_id(self) -> str:
        """Return a number of the kind that counts subscriptions."""
        self._next_small += 1 + secrets.randbelow(9)
        return str(self._next_small)

    def new_profile_id(self) -> str:
        """Return a number of the kind that counts profiles: the lists show them as 32 bits."""
        self._next_profile += 1 + secrets.randbelow(9)
        return str(self._next_profile)

    def spend(self, opaque: Json) -> Token:
        """Use a token up."""
        token = self.look_at(opaque)
        token.used = True
        return token

    def look_at(self, opaque: Json) -> Token:
        """Return the token of one-time data that is good
        (2026-11, https://developer.authorize.net/api/reference/responseCodes.html)."""
        descriptor, value = str(opaque.get("dataDescriptor") or ""), str(opaque.get("dataValue") or "")
        if descriptor in WALLETS and value and value not in self.tokens:
            # A wallet's payload is opened by the processor: any is a good card here, and good once.
            self.tokens[value] = Token(value=value, made_at=self.clock(), number="4111111111111111")
        elif descriptor != "COMMON.ACCEPT.INAPP.PAYMENT" and descriptor not in WALLETS:
            raise Refusal("E00113", "Invalid OTS Token Data.")
        token = self.tokens.get(value)
        if token is None or token.used:
            raise Refusal("E00114", "Invalid OTS Token.")
        if token.has_expired(self.clock()):
            raise Refusal("E00115", "Expired OTS Token.")
        return token

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
        """Write one notification of a transaction."""
        payload: Json = {"responseCode": transaction.code}
        if transaction.reference:
            payload["merchantReferenceId"] = transaction.reference
        if transaction.auth_code:
            payload["authCode"] = transaction.auth_code
        payload |= {"avsResponse": "Y", "authAmount": float(transaction.settles)}
        self._emit(f"payment.{kind}", {**payload, "entityName": "transaction", "id": transaction.id})

    def emit_customer(self, kind: str, customer: Customer) -> None:
        methods = [{"id": each} for each in customer.methods]
        marks = {name: value for name, value in customer.marks.items() if value and name != "email"}
        shown = {"paymentProfiles": methods, **marks}
        self._emit(f"customer.{kind}", {**shown, "entityName": "customerProfile", "id": customer.id})

    def emit_method(self, kind: str, customer: Customer, method: Method) -> None:
        shown = {"customerProfileId": int(customer.id), "entityName": "customerPaymentProfile"}
        self._emit(f"customer.paymentProfile.{kind}", {**shown, "id": method.id})

    def emit_subscription(self, kind: str, subscription: Subscription) -> None:
        profile = {
            "customerProfileId": int(subscription.customer),
            "customerPaymentProfileId": int(subscription.method),
        }
        shown = {"name": subscription.name, "amount": float(subscription.amount)}
        shown |= {"status": subscription.status, "profile": profile, "entityName": "subscription"}
        self._emit(f"customer.subscription.{kind}", {**shown, "id": subscription.id})

    def _emit(self, kind: str, payload: Json) -> None:
        """Write one notification (2026-11, https://developer.authorize.net/api/reference/features/webhooks.html
        and its examples, which public code keeps)."""
        event = {
            "notificationId": _uuid(),
            "eventType": f"net.authorize.{kind}",
            "eventDate": self.clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "webhookId": self.webhook_id,
            "payload": payload,
        }
        self.events.append(event)
        self.announce({"id": event["notificationId"], "body": event})

    def clear(self) -> None:
        self.sources.clear()
        self.customers.clear()
        self.subscriptions.clear()
        for shelf in (self.transactions, self.batches, self.tokens):
            shelf.clear()
        self.submissions.clear()
        self.events.clear()

    def listed(self) -> list[Json]:
        return [copy.deepcopy(asdict(each)) for each in self.transactions.values()]


def _identity(number: str, bank: Json | None) -> str:
    if number:
        return labelled(number)
    shown = bank or {}
    return f"{shown.get('routingNumber')} {labelled(str(shown.get('accountNumber')))}"


def _uuid() -> str:
    text = secrets.token_hex(16)
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
