"""Orders: made by the merchant, approved by the payer, captured or authorised by the merchant."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from . import amounts
from .books import Books, Json
from .instruments import INSTRUMENTS, Instrument
from .payments import Payments
from .problems import invalid, missing_object, refused
from .vault import Vault

__all__ = ["Orders"]

_APPROVAL: Final = timedelta(hours=3)
"""How long the approval page serves an order (2026-11, https://docs.mangopay.com/errors/codes/201003)."""
_MARKS: Final = (
    "reference_id",
    "description",
    "custom_id",
    "invoice_id",
    "soft_descriptor",
    "items",
    "shipping",
)
_TEXTS: Final = _MARKS[:5]
_SOURCES: Final = frozenset({"paypal", "venmo", "card"})


class Orders:
    def __init__(self, books: Books, payments: Payments, vault: Vault) -> None:
        self._books = books
        self._payments = payments
        self._vault = vault

    def get(self, identity: str) -> Json:
        found = self._books.orders.get(identity)
        if found is None:
            raise missing_object()
        return found

    def create(self, wish: Json) -> Json:
        intent = wish.get("intent")
        if intent not in ("CAPTURE", "AUTHORIZE"):
            raise invalid("INVALID_PARAMETER_VALUE", "The value of a field is invalid.")
        units = wish.get("purchase_units")
        if not isinstance(units, list) or not units:
            raise invalid("MISSING_REQUIRED_PARAMETER", "A required field is missing.")
        if len(units) > 1:
            raise invalid("INVALID_ARRAY_MAX_ITEMS", "This gateway takes one purchase unit.")
        unit = self._unit(units[0])
        source: Json = wish.get("payment_source") or {}
        if set(source) - _SOURCES or len(source) > 1:
            raise invalid("INVALID_PARAMETER_VALUE", "This gateway takes PayPal, Venmo and cards.")
        identity = self._books.new_id()
        order: Json = {
            "id": identity,
            "intent": intent,
            "status": "PAYER_ACTION_REQUIRED" if set(source) - {"card"} else "CREATED",
            "purchase_units": [unit],
            "create_time": self._books.now(),
            "links": [],
        }
        if source:
            order["payment_source"] = {name: {} for name in source}
        self._books.orders[identity] = order
        self._vault.note_wish(identity, source)
        details: Json = next(iter(source.values()), {})
        context: Json = details.get("experience_context") or wish.get("application_context") or {}
        self._books.instruments[f"{identity}.return_url"] = context.get("return_url") or ""
        self._books.instruments[f"{identity}.cancel_url"] = context.get("cancel_url") or ""
        self._link(order)
        return order

    def _unit(self, wish: Any) -> Json:
        if not isinstance(wish, dict):
            raise invalid("INVALID_PARAMETER_SYNTAX", "The value of a field does not conform to the format.")
        currency, value = amounts.read(wish.get("amount"))
        breakdown = wish["amount"].get("breakdown")
        if breakdown and _sum(breakdown) != value:
            raise refused("AMOUNT_MISMATCH", "Should equal the sum of the breakdown.")
        if not all(isinstance(wish.get(name) or "", str) for name in _TEXTS):
            raise invalid("INVALID_PARAMETER_SYNTAX", "The value of a field does not conform to the format.")
        return {
            "reference_id": "default",
            "amount": {
                **amounts.write(currency, value),
                **({"breakdown": breakdown} if breakdown else {}),
            },
            "payee": {"email_address": "merchant@example.com", "merchant_id": "SANDBXMERCHNT"},
            **{name: wish[name] for name in _MARKS if wish.get(name)},
        }

    # --- the payer ----------------------------------------------------------------------------------

    def approve(self, identity: str, instrument: str) -> Json:
        """The payer agrees on the approval page, or a card is typed into the hosted fields."""
        chosen = INSTRUMENTS[instrument]
        order = self.get(identity)
        if order["status"] not in ("CREATED", "PAYER_ACTION_REQUIRED", "APPROVED"):
            raise refused("ORDER_ALREADY_COMPLETED", "The order cannot be approved any more.")
        self._books.instruments[identity] = instrument
        order |= {"status": "APPROVED", "update_time": self._books.now(), "payment_source": _source(chosen)}
        if chosen.source != "card":
            order["payer"] = {
                "name": {"given_name": "Ada", "surname": "Sandbox"},
                "email_address": "payer@example.com",
                "payer_id": "SANDBXPAYER22",
            }
        self._link(order)
        self._books.emit("CHECKOUT.ORDER.APPROVED", "checkout-order", order, "An order has been approved")
        return order

    def ask(self, identity: str, instrument: str) -> Json:
        """A card is typed into the hosted fields, and its bank asks for its holder: `approve` is the answer.

        (2026-11, checkout_orders_v2 2.32: PAYER_ACTION_REQUIRED, with a link of the relation payer-action.)
        """
        order = self.get(identity)
        if order["status"] not in ("CREATED", "PAYER_ACTION_REQUIRED"):
            raise refused("ORDER_ALREADY_COMPLETED", "The order cannot be approved any more.")
        source = _source(INSTRUMENTS[instrument])
        order |= {
            "status": "PAYER_ACTION_REQUIRED", "update_time": self._books.now(), "payment_source": source,
        }  # fmt: skip
        self._link(order)
        return order

    def is_approvable(self, order: Json) -> bool:
        open_still = order["status"] in ("CREATED", "PAYER_ACTION_REQUIRED", "APPROVED")
        return open_still and order["create_time"] > self._books.later(-_APPROVAL)

    # --- the merchant -------------------------------------------------------------------------------

    def capture(self, identity: str, wish: Json | None = None) -> Json:
        return self._pay(identity, "CAPTURE", (wish or {}).get("payment_source"))

    def authorize(self, identity: str, wish: Json | None = None) -> Json:
        return self._pay(identity, "AUTHORIZE", (wish or {}).get("payment_source"))

    def _pay(self, identity: str, intent: str, source: Json | None) -> Json:
        order = self.get(identity)
        if order["intent"] != intent:
            raise refused("ACTION_DOES_NOT_MATCH_INTENT", f"Order was created with {order['intent']}.")
        if order["status"] == "COMPLETED":
            word = "CAPTURED" if intent == "CAPTURE" else "AUTHORIZED"
            raise refused(f"ORDER_ALREADY_{word}", f"Order already {word.lower()}.")
        if source is not None:
            self._use(order, source)
        if order["status"] != "APPROVED":
            raise refused("ORDER_NOT_APPROVED", "Payer has not yet approved the Order for payment.")
        instrument = self._books.instruments[identity]
        chosen = INSTRUMENTS[instrument]
        self._payments.check_invoice(order["purchase_units"][0].get("invoice_id"))
        if chosen.outcome == "refused":
            raise refused(
                "INSTRUMENT_DECLINED",
                "The instrument presented was either declined by the processor or bank, or it can't be used "
                "for this payment.",
                links=[self._books.link(f"/_approve/{identity}", "redirect")],
            )
        # A refused card completes its order all the same.
        order |= {"status": "COMPLETED", "update_time": self._books.now()}
        self._vault.keep_of(order, instrument)
        self._payments.begin(order, chosen, authorize=intent == "AUTHORIZE")
        self._link(order)
        return order

    def _use(self, order: Json, source: Json) -> None:
        """What is kept pays, without the payer, unless its bank asks for them."""
        instrument, _ = self._vault.pays(source)
        chosen = INSTRUMENTS[instrument]
        order["payment_source"] = _source(chosen)
        if chosen.outcome == "challenge":
            order |= {"status": "PAYER_ACTION_REQUIRED", "update_time": self._books.now()}
            self._link(order)
            raise refused(
                "PAYER_ACTION_REQUIRED",
                "Payer needs to perform the following action before proceeding with payment.",
                links=[self._books.link(f"/_approve/{order['id']}", "payer-action")],
            )
        self._books.instruments[order["id"]] = instrument
        order["status"] = "APPROVED"

    def _link(self, order: Json) -> None:
        path = f"/v2/checkout/orders/{order['id']}"
        relation = {"CREATED": "approve", "PAYER_ACTION_REQUIRED": "payer-action"}.get(order["status"])
        act = order["intent"].lower()
        order["links"] = [
            self._books.link(path, "self"),
            *([self._books.link(f"/_approve/{order['id']}", relation)] if relation else []),
            *([self._books.link(f"{path}/{act}", act, "POST")] if order["status"] != "COMPLETED" else []),
        ]


def _source(chosen: Instrument) -> Json:
    if chosen.source == "card":
        return {
            "card": {
                "last_digits": chosen.last_digits, "brand": "VISA", "type": "CREDIT", "expiry": "2031-08",
            }
        }  # fmt: skip
    details = {"email_address": "payer@example.com", "account_id": "SANDBXPAYER22"}
    return {chosen.source: {**details, "name": {"given_name": "Ada", "surname": "Sandbox"}}}


def _sum(breakdown: Json) -> Decimal:
    taken_off = ("discount", "shipping_discount")
    return sum(
        (Decimal(part["value"]) * (-1 if name in taken_off else 1) for name, part in breakdown.items()),
        Decimal(),
    )
