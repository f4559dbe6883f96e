"""What the gateway remembers: its objects in PayPal's own shape, and every event it ever announced."""

from __future__ import annotations

import copy
import secrets
import string
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from ...models import MovableClock

__all__ = ["Books", "Json"]

Json = dict[str, Any]

_LETTERS: Final = string.digits + string.ascii_uppercase
_SHELVES: Final = (
    "orders", "captures", "authorizations", "refunds", "events", "instruments", "order_of", "setups",
    "tokens", "products", "plans", "subscriptions", "subscription_of", "disputes", "notes",
)  # fmt: skip


class Books:
    """One account's objects. Whoever reads or writes holds `lock`; the objects themselves never leave."""

    def __init__(self, clock: MovableClock) -> None:
        self.clock = clock
        self.lock: threading.RLock = threading.RLock()
        self.url = ""
        self.orders: dict[str, Json] = {}
        self.captures: dict[str, Json] = {}
        self.authorizations: dict[str, Json] = {}
        self.refunds: dict[str, Json] = {}
        self.events: dict[str, Json] = {}
        self.instruments: dict[str, str] = {}
        """What each order's payer chose, by its name in `instruments.py`."""
        self.order_of: dict[str, str] = {}
        """The order of each capture, authorisation and refund."""
        self.setups: dict[str, Json] = {}
        self.tokens: dict[str, Json] = {}
        self.products: dict[str, Json] = {}
        self.plans: dict[str, Json] = {}
        self.subscriptions: dict[str, Json] = {}
        self.subscription_of: dict[str, str] = {}
        """The subscription that each capture without an order was collected for."""
        self.disputes: dict[str, Json] = {}
        self.notes: dict[str, Json] = {}
        """What PayPal knows of an object and does not show."""
        self.announce: Callable[[Json], None] = lambda _: None

    def now(self) -> str:
        """Return the time as PayPal writes it: whole seconds, UTC."""
        return self.later(timedelta())

    def later(self, by: timedelta) -> str:
        return (self.clock() + by).strftime("%Y-%m-%dT%H:%M:%SZ")

    def new_id(self) -> str:
        return "".join(secrets.choice(_LETTERS) for _ in range(17))

    def emit(self, kind: str, noun: str, subject: Json, summary: str, *, version: str = "2.0") -> None:
        """Write one event with a snapshot of *subject* and hand it to whoever delivers."""
        identity = f"WH-{self.new_id()}-{self.new_id()}"
        event: Json = {
            "id": identity,
            "event_version": "1.0",
            "create_time": self.now(),
            "resource_type": noun,
            "resource_version": version,
            "event_type": kind,
            "summary": summary,
            "resource": copy.deepcopy(subject),
            "links": [self.link(f"/v1/notifications/webhooks-events/{identity}", "self")],
        }
        self.events[identity] = event
        self.announce(event)

    def link(self, path: str, relation: str, method: str = "GET") -> Json:
        return {"href": f"{self.url}{path}", "rel": relation, "method": method}

    def refunds_of(self, capture: str) -> list[Json]:
        up = f"/v2/payments/captures/{capture}"
        return [each for each in self.refunds.values() if each["links"][1]["href"].endswith(up)]

    def clear(self) -> None:
        for name in _SHELVES:
            getattr(self, name).clear()

    def dump(self) -> Json:
        """Return everything as JSON values, to be read back by `load`."""
        return {name: copy.deepcopy(getattr(self, name)) for name in _SHELVES}

    def load(self, saved: Json) -> None:
        for name in _SHELVES:
            getattr(self, name).update(saved.get(name, {}))
        # An order holds its payments themselves, and not copies of them.
        for order in self.orders.values():
            for noun, made in order["purchase_units"][0].get("payments", {}).items():
                made[:] = [getattr(self, noun)[each["id"]] for each in made]
