"""The merchant's side: orders, their prices, and what the shop hears about their payments."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from ..engine import PaymentDraft
from ..errors import DuplicateReference, IllegalState, InvalidRequest
from ..models import Event, Pricing, Principal
from .catalogue import CURRENCIES, PRODUCTS, price_of

__all__ = ["Order", "Shop"]

_MOST_OF_ONE: Final = 20


@dataclass(slots=True, kw_only=True)
class Order:
    number: str
    """The payment's `reference_code`."""
    currency: str
    items: dict[str, int]
    placed_at: str
    state: str = "open"
    """``open``, ``authorized``, ``paid``, ``refunded``: as the shop heard it."""
    payment_id: str | None = None
    """The payment that is under way or that paid."""
    token: str = field(default="", repr=False)
    """What only the browser has that made this order."""
    heard: list[dict[str, Any]] = field(default_factory=list)
    """Every event about this order, each once, in the order of arrival."""

    @property
    def pricing(self) -> Pricing:
        return price_of(self.items, self.currency)


class Shop:
    """Orders in memory. Its two hooks are what every host application writes: `approve` and a handler."""

    def __init__(self, saved: Mapping[str, Any] | None = None) -> None:
        self._lock = threading.Lock()
        self.orders: dict[str, Order] = {
            number: Order(**order) for number, order in (saved or {}).get("orders", {}).items()
        }

    def place(self, items: Mapping[str, Any], currency: str) -> Order:
        """Write an order down. Raises: InvalidRequest."""
        if currency not in CURRENCIES:
            raise InvalidRequest("the shop does not sell in this currency", field="currency")
        wanted = {sku: quantity for sku, quantity in items.items() if quantity}
        if not wanted or not wanted.keys() <= PRODUCTS.keys():
            raise InvalidRequest("the bag is empty or holds something the shop does not sell", field="items")
        if not all(isinstance(count, int) and 0 < count <= _MOST_OF_ONE for count in wanted.values()):
            raise InvalidRequest(f"at most {_MOST_OF_ONE} of each", field="items")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._lock:
            number = self._new_number()
            order = Order(
                number=number,
                currency=currency,
                items=wanted,
                placed_at=now,
                token=secrets.token_urlsafe(24),
            )
            self.orders[number] = order
        return order

    def _new_number(self) -> str:
        while (number := f"TK-{secrets.randbelow(900_000) + 100_000}") in self.orders:
            pass
        return number

    # --- the two hooks ----------------------------------------------------------------------------

    def approve(self, draft: PaymentDraft, principal: Principal) -> PaymentDraft:
        """The shop sets the price of its own orders, whatever the browser says; other amounts are free."""
        order = self.orders.get(draft.reference_code or "")
        if order is None:
            return draft
        if order.state != "open":
            raise IllegalState(f"Order {order.number} is already paid", field="reference_code")
        if draft.payment_id is None and order.payment_id is not None and not principal.is_trusted:
            raise DuplicateReference(
                f"Order {order.number} has a payment that is still open", payment_id=order.payment_id
            )
        if draft.currency != order.currency:
            raise InvalidRequest(f"Order {order.number} is in {order.currency}", field="currency")
        return draft.priced(order.pricing)

    def hear(self, event: Event) -> None:
        """React to an event: at least once, in any order, hence by event id and payment version."""
        payment = event.payment
        if payment is None or (order := self.orders.get(payment.reference_code or "")) is None:
            return
        with self._lock:
            if any(known["id"] == event.id for known in order.heard):
                return
            order.heard.append(
                {
                    "id": event.id,
                    "type": event.type,
                    "at": event.created_at.isoformat(timespec="milliseconds"),
                    "version": payment.version,
                    "payment_id": payment.id,
                    "decline_code": payment.decline_code if event.type == "payment.failed" else None,
                }
            )
            latest = all(
                known["version"] <= payment.version
                for known in order.heard
                if known["payment_id"] == payment.id
            )
            if not latest:
                return
            mine = order.payment_id in (None, payment.id)
            if payment.is_paid:
                order.payment_id = payment.id
                order.state = "refunded" if payment.status == "refunded" else "paid"
            elif payment.status == "requires_capture":
                order.payment_id, order.state = payment.id, "authorized"
            elif mine:
                order.payment_id = payment.id if payment.is_open else None
                order.state = "open"

    def dump(self) -> dict[str, Any]:
        with self._lock:
            return {"orders": {number: asdict(order) for number, order in self.orders.items()}}
