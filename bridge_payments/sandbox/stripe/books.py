"""What the gateway remembers: its objects in Stripe's own shape, and every event it ever announced."""

from __future__ import annotations

import copy
import secrets
import string
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

from ...models import MovableClock

__all__ = ["API_VERSION", "Books", "Json"]

Json = dict[str, Any]

API_VERSION: Final = "2026-10-28.endive"
_LETTERS: Final = string.digits + string.ascii_letters


class Books:
    """One account's objects. Whoever reads or writes holds `lock`; the objects themselves never leave."""

    def __init__(self, clock: MovableClock) -> None:
        self.clock = clock
        self.lock: threading.RLock = threading.RLock()
        self.account: str = "acct_1" + _random(15)
        self.intents: dict[str, Json] = {}
        self.charges: dict[str, Json] = {}
        self.refunds: dict[str, Json] = {}
        self.methods: dict[str, Json] = {}
        self.customers: dict[str, Json] = {}
        self.setups: dict[str, Json] = {}
        self.disputes: dict[str, Json] = {}
        self.products: dict[str, Json] = {}
        self.subscriptions: dict[str, Json] = {}
        self.invoices: dict[str, Json] = {}
        self.tokens: dict[str, Json] = {}
        """Confirmation tokens."""
        self.token_methods: dict[str, str] = {}
        self.invoice_intents: dict[str, str] = {}
        """Which invoice an intent pays."""
        self.events: dict[str, Json] = {}
        self.cards: dict[str, str] = {}
        """Which listed card a payment method is, by the name of its test token."""
        self.authenticated: set[str] = set()
        """Payment methods whose holder agreed to later use."""
        self.spent: set[str] = set()
        """Payment methods that were used once, without a customer."""
        self.forgotten: set[str] = set()
        """Customers that were deleted."""
        self.return_urls: dict[str, str | None] = {}
        """Where the challenge of an intent sends its payer afterwards."""
        self.request: tuple[str | None, str | None] = (None, None)
        """Id and key of the request that is being executed, for its events."""
        self.announce: Callable[[Json], None] = lambda _: None
        self.watch: Callable[[str, Json], None] = lambda *_: None
        """Hears of everything in this account, as it happens: an invoice is paid when its intent is."""

    def now(self) -> int:
        return int(self.clock().timestamp())

    def new_id(self, prefix: str, *, like: str | None = None) -> str:
        """Return an identity as Stripe draws them; one made for an intent shares its middle with it."""
        stem = like.partition("_")[2][:-7] if like else f"3{_random(6)}{self.account[-10:]}"
        return f"{prefix}_{stem}{_random(7)}"

    def new_method_id(self) -> str:
        return f"pm_1{_random(6)}{self.account[-10:]}{_random(7)}"

    def new_short_id(self, prefix: str) -> str:
        return f"{prefix}_{_random(14)}"

    def emit(self, kind: str, subject: Json, **previous: Any) -> None:
        """Write one event with a snapshot of *subject* and hand it to whoever delivers."""
        data: Json = {"object": copy.deepcopy(subject)}
        if previous:
            data["previous_attributes"] = previous
        request_id, key = self.request
        event: Json = {
            "id": f"evt_3{_random(16)}{_random(7)}",
            "object": "event",
            "account": None,
            "api_version": API_VERSION,
            "created": self.now(),
            "data": data,
            "livemode": False,
            "pending_webhooks": 0,
            "request": {"id": request_id, "idempotency_key": key},
            "type": kind,
        }
        del event["account"]  # present on events of connected accounts only
        self.events[event["id"]] = event
        self.announce(event)
        self.watch(kind, subject)

    def charges_of(self, intent_id: str) -> list[Json]:
        return [charge for charge in self.charges.values() if charge["payment_intent"] == intent_id]

    def intents_of(self, invoice_id: str) -> list[Json]:
        """Return what pays, or was to pay, an invoice."""
        return [self.intents[intent] for intent, paid in self.invoice_intents.items() if paid == invoice_id]

    def refunds_of(self, charge_id: str) -> list[Json]:
        return [refund for refund in self.refunds.values() if refund["charge"] == charge_id]

    def clear(self) -> None:
        for name in (*_SHELVES, *_SETS):
            getattr(self, name).clear()

    def dump(self) -> Json:
        """Return everything as JSON values, to be read back by `load`."""
        shelves = {name: copy.deepcopy(getattr(self, name)) for name in _SHELVES}
        return {"account": self.account, **shelves, **{name: sorted(getattr(self, name)) for name in _SETS}}

    def load(self, saved: Json) -> None:
        self.account = saved["account"]
        for name in (*_SHELVES, *_SETS):
            # Books of an earlier release have fewer of them.
            getattr(self, name).update(saved.get(name, ()))


_SHELVES: Final[Iterable[str]] = (
    "intents",
    "charges",
    "refunds",
    "methods",
    "customers",
    "setups",
    "disputes",
    "products",
    "subscriptions",
    "invoices",
    "tokens",
    "token_methods",
    "invoice_intents",
    "events",
    "cards",
    "return_urls",
)
_SETS: Final[Iterable[str]] = ("authenticated", "spent", "forgotten")


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))
