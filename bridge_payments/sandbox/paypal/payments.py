"""Captures, authorisations and refunds: where the money is."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Final

from . import amounts
from .books import Books, Json
from .instruments import Instrument
from .problems import invalid, missing_object, refused

__all__ = ["Payments"]

_VALID: Final = timedelta(days=29)
"""How long an authorisation holds (2026-11, https://developer.paypal.com/docs/checkout/standard/customize/authorization/)."""
_MOST: Final = Decimal("1.15")
"""How much of an authorisation may be captured (2026-11, the same page: up to 115 percent)."""
_FEE: Final = Decimal("0.03")


class Payments:
    def __init__(self, books: Books) -> None:
        self._books = books
        self.held: int = 0
        """How many of the next refunds stay pending until somebody settles them."""

    # --- what an order begins -----------------------------------------------------------------------

    def begin(self, order: Json, chosen: Instrument, *, authorize: bool) -> None:
        unit = order["purchase_units"][0]
        made = self._payment(
            order, unit["amount"], chosen, noun="authorizations" if authorize else "captures"
        )
        if authorize:
            made["expiration_time"] = self._books.later(_VALID)
            made["status"] = {"declined": "DENIED", "pending": "PENDING"}.get(chosen.outcome, "CREATED")
            self._told(made, "AUTHORIZATION", {"CREATED": "CREATED"}.get(made["status"]))
        else:
            made["final_capture"] = True
            made["status"] = {"declined": "DECLINED", "pending": "PENDING"}.get(chosen.outcome, "COMPLETED")
            self._collected(made)
            self._told(made, "CAPTURE", made["status"])
            if made["status"] == "COMPLETED":
                self._books.emit(
                    "CHECKOUT.ORDER.COMPLETED", "checkout-order", order, "Checkout Order Completed"
                )

    def _payment(self, order: Json, amount: Json, chosen: Instrument, *, noun: str) -> Json:
        unit = order["purchase_units"][0]
        identity = self._books.new_id()
        made: Json = {
            "id": identity,
            "status": "",
            "amount": {name: amount[name] for name in ("currency_code", "value")},
            **{name: unit[name] for name in ("custom_id", "invoice_id") if name in unit},
            "seller_protection": {"status": "NOT_ELIGIBLE"},
            "supplementary_data": {"related_ids": {"order_id": order["id"]}},
            "create_time": self._books.now(),
            "update_time": self._books.now(),
            "links": [
                self._books.link(f"/v2/payments/{noun}/{identity}", "self"),
                self._books.link(f"/v2/checkout/orders/{order['id']}", "up"),
            ],
        }
        if chosen.outcome == "pending":
            made["status_details"] = {"reason": chosen.reason}
        if chosen.source == "card":
            made["processor_response"] = {"response_code": chosen.response_code}
        self._keep(noun, made, order["id"])
        unit.setdefault("payments", {}).setdefault(noun, []).append(made)
        return made

    def check_invoice(self, invoice: str | None) -> None:
        """An invoice number is paid once: the default of accounts (2026-11, checkout_orders_v2 2.32)."""
        paid = {
            each.get("invoice_id")
            for each in self._books.captures.values()
            if each["status"] not in ("DECLINED", "FAILED")
        }
        if invoice and invoice in paid:
            raise refused("DUPLICATE_INVOICE_ID", "Duplicate Invoice ID detected.")

    # --- authorisations -----------------------------------------------------------------------------

    def authorization(self, identity: str) -> Json:
        found = self._books.authorizations.get(identity)
        if found is None:
            raise missing_object()
        if (
            found["status"] in ("CREATED", "PARTIALLY_CAPTURED")
            and found["expiration_time"] <= self._books.now()
        ):
            self._void(found)
        return found

    def capture_authorization(self, identity: str, wish: Json) -> Json:
        held = self.authorization(identity)
        if held["status"] == "VOIDED":
            expired = held["expiration_time"] <= self._books.now()
            raise refused("AUTHORIZATION_EXPIRED" if expired else "AUTHORIZATION_VOIDED")
        if held["status"] in ("DENIED", "PENDING"):
            raise refused("AUTHORIZATION_DENIED" if held["status"] == "DENIED" else "PENDING_CAPTURE")
        before = self._captured_of(identity)
        if held["status"] == "CAPTURED" or any(each["final_capture"] for each in before):
            raise refused("AUTHORIZATION_ALREADY_CAPTURED", "Authorization has already been captured.")
        taken = sum(map(amounts.value_of, before), Decimal())
        currency = held["amount"]["currency_code"]
        value = amounts.value_of(held) - taken
        if wish.get("amount") is not None:
            asked, value = amounts.read(wish["amount"])
            if asked != currency:
                raise refused("AUTH_CAPTURE_CURRENCY_MISMATCH")
        if taken + value > amounts.value_of(held) * _MOST:
            raise refused("MAX_CAPTURE_AMOUNT_EXCEEDED", "Capture amount exceeds allowable limit.")
        self.check_invoice(wish.get("invoice_id"))
        order = self._books.orders[self._books.order_of[identity]]
        chosen = Instrument(title="")
        made = self._payment(order, amounts.write(currency, value), chosen, noun="captures")
        made |= {"status": "COMPLETED", "final_capture": wish.get("final_capture") is True}
        if wish.get("invoice_id"):
            made["invoice_id"] = wish["invoice_id"]
        made["links"][1] = self._books.link(f"/v2/payments/authorizations/{identity}", "up")
        made["supplementary_data"]["related_ids"]["authorization_id"] = identity
        self._collected(made)
        whole = taken + value >= amounts.value_of(held)
        # The word tells of the sum, and a final capture below it stays partial
        # (2026-11, payments_payment_v2 2.12, authorization_status).
        held |= {"status": "CAPTURED" if whole else "PARTIALLY_CAPTURED", "update_time": self._books.now()}
        self._told(made, "CAPTURE", "COMPLETED")
        return made

    def void(self, identity: str) -> Json:
        held = self.authorization(identity)
        if held["status"] == "VOIDED":
            raise refused("PREVIOUSLY_VOIDED", "Authorization has been previously voided.")
        if held["status"] == "CAPTURED":
            raise refused("PREVIOUSLY_CAPTURED", "Authorization has been previously captured.")
        if held["status"] == "DENIED":
            raise refused("CANNOT_BE_VOIDED")
        self._void(held)
        return held

    def _void(self, held: Json) -> None:
        held |= {"status": "VOIDED", "update_time": self._books.now()}
        held.pop("status_details", None)
        self._told(held, "AUTHORIZATION", "VOIDED")

    def _captured_of(self, authorization: str) -> list[Json]:
        up = f"/v2/payments/authorizations/{authorization}"
        return [each for each in self._books.captures.values() if each["links"][1]["href"].endswith(up)]

    # --- what a subscription collects ---------------------------------------------------------------

    def collect(self, amount: Json, subscription: Json) -> Json:
        """Take money for a subscription: a capture without an order, and a sale in the webhooks."""
        identity = self._books.new_id()
        made: Json = {
            "id": identity,
            "status": "COMPLETED",
            "amount": amount,
            "final_capture": True,
            **({"custom_id": subscription["custom_id"]} if "custom_id" in subscription else {}),
            "seller_protection": {"status": "NOT_ELIGIBLE"},
            "create_time": self._books.now(),
            "update_time": self._books.now(),
            "links": [
                self._books.link(f"/v2/payments/captures/{identity}", "self"),
                self._books.link(f"/v1/billing/subscriptions/{subscription['id']}", "up"),
            ],
        }
        self._books.captures[identity] = made
        self._books.subscription_of[identity] = subscription["id"]
        self._collected(made)
        sale = {
            "id": identity,
            "billing_agreement_id": subscription["id"],
            "amount": {"total": amount["value"], "currency": amount["currency_code"]},
            "state": "completed",
            "custom": subscription.get("custom_id", ""),
            "create_time": made["create_time"],
        }
        self._books.emit("PAYMENT.SALE.COMPLETED", "sale", sale, "Payment completed", version="1.0")
        return made

    def reverse(self, identity: str, amount: Json) -> None:
        """A bank takes money back: the capture says refunded, and there is no refund."""
        capture = self.capture(identity)
        note = self._books.notes.setdefault(identity, {"reversed": "0"})
        note["reversed"] = str(Decimal(note["reversed"]) + Decimal(amount["value"]))
        self._recount(capture)
        self._told(capture, "CAPTURE", "REVERSED")

    # --- captures and refunds -----------------------------------------------------------------------

    def capture(self, identity: str) -> Json:
        found = self._books.captures.get(identity)
        if found is None:
            raise missing_object()
        return found

    def refund_of(self, identity: str) -> Json:
        found = self._books.refunds.get(identity)
        if found is None:
            raise missing_object()
        return found

    def refund(self, identity: str, wish: Json) -> Json:
        capture = self.capture(identity)
        if capture["status"] == "PENDING":
            raise refused("PENDING_CAPTURE", "Cannot initiate a refund as the capture is pending.")
        if capture["status"] == "REFUNDED":
            raise refused("CAPTURE_FULLY_REFUNDED", "The capture has already been fully refunded.")
        if capture["status"] not in ("COMPLETED", "PARTIALLY_REFUNDED"):
            raise refused("REFUND_NOT_ALLOWED")
        currency, rest = capture["amount"]["currency_code"], self._rest(capture)
        value = rest
        if wish.get("amount") is not None:
            asked, value = amounts.read(wish["amount"])
            if asked != currency:
                raise refused("REFUND_CAPTURE_CURRENCY_MISMATCH")
        if value > rest:
            raise refused(
                "REFUND_AMOUNT_EXCEEDED", "The refund amount must be less than or equal to the capture."
            )
        for name in ("invoice_id", "custom_id", "note_to_payer"):
            if len(str(wish.get(name, ""))) > (255 if name == "note_to_payer" else 127):
                raise invalid(
                    "INVALID_STRING_LENGTH", "The value of a field is either too short or too long."
                )
        made = self._new_refund(capture, amounts.write(currency, value), wish)
        self._recount(capture)
        self._tell_refund(made)
        return made

    def _tell_refund(self, refund: Json) -> None:
        capture = self._capture_of(refund)
        if capture["id"] not in self._books.subscription_of:
            # Its event names the capture and not the order (2018-08, solidus' recorded delivery).
            self._books.emit("PAYMENT.CAPTURE.REFUNDED", "refund", refund, "A capture payment was refunded")
            return
        amount = refund["amount"]
        told = {
            "id": refund["id"],
            "sale_id": capture["id"],
            "amount": {"total": f"-{amount['value']}", "currency": amount["currency_code"]},
            "state": "completed",
            "create_time": refund["create_time"],
        }
        self._books.emit(
            "PAYMENT.SALE.REFUNDED", "refund", told, "A sale payment was refunded", version="1.0"
        )

    def _new_refund(self, capture: Json, amount: Json, wish: Json) -> Json:
        refund = self._books.new_id()
        pending = self.held > 0
        self.held -= pending
        order = self._books.order_of.get(capture["id"])
        currency = amount["currency_code"]
        total = amounts.value_of(capture) - self._rest(capture) + Decimal(amount["value"])
        made: Json = {
            "id": refund,
            "status": "PENDING" if pending else "COMPLETED",
            "amount": amount,
            **{name: wish[name] for name in ("invoice_id", "custom_id", "note_to_payer") if wish.get(name)},
            "seller_payable_breakdown": {
                "gross_amount": amount,
                "net_amount": amount,
                "total_refunded_amount": amounts.write(currency, total),
            },
            "create_time": self._books.now(),
            "update_time": self._books.now(),
            "links": [
                self._books.link(f"/v2/payments/refunds/{refund}", "self"),
                self._books.link(f"/v2/payments/captures/{capture['id']}", "up"),
            ],
        }
        if pending:
            made["status_details"] = {"reason": "ECHECK"}
        if order is None:
            self._books.refunds[refund] = made
            return made
        self._keep("refunds", made, order)
        unit = self._books.orders[order]["purchase_units"][0]
        unit["payments"].setdefault("refunds", []).append(made)
        return made

    def settle(self, identity: str, *, succeeded: bool) -> Json:
        """Finish what is pending: a capture, an authorisation, or a refund; a refund may also come back."""
        for shelf in ("captures", "authorizations", "refunds"):
            thing: Json | None = getattr(self._books, shelf).get(identity)
            if thing is None:
                continue
            good, bad = {"captures": ("COMPLETED", "DECLINED"), "authorizations": ("CREATED", "DENIED")}.get(
                shelf, ("COMPLETED", "FAILED")
            )
            thing |= {"status": good if succeeded else bad, "update_time": self._books.now()}
            thing.pop("status_details", None)
            if shelf == "refunds":
                self._recount(self._capture_of(thing))
                kind = "PAYMENT.CAPTURE.REFUNDED" if succeeded else "PAYMENT.REFUND.FAILED"
                self._books.emit(kind, "refund", thing, "A refund was settled")
            else:
                word = {"COMPLETED": "COMPLETED", "DECLINED": "DENIED"}.get(thing["status"])
                self._told(thing, "CAPTURE" if shelf == "captures" else "AUTHORIZATION", word)
            return thing
        raise missing_object()

    def _capture_of(self, refund: Json) -> Json:
        return self._books.captures[refund["links"][1]["href"].rpartition("/")[2]]

    def _rest(self, capture: Json) -> Decimal:
        given = [each for each in self._books.refunds_of(capture["id"]) if each["status"] != "FAILED"]
        taken_back = Decimal(self._books.notes.get(capture["id"], {}).get("reversed", "0"))
        return amounts.value_of(capture) - sum(map(amounts.value_of, given), Decimal()) - taken_back

    def _recount(self, capture: Json) -> None:
        rest = self._rest(capture)
        whole = amounts.value_of(capture)
        capture["status"] = "COMPLETED" if rest == whole else "PARTIALLY_REFUNDED" if rest else "REFUNDED"

    def _collected(self, capture: Json) -> None:
        if capture["status"] != "COMPLETED":
            return
        currency, value = capture["amount"]["currency_code"], amounts.value_of(capture)
        fee = (value * _FEE).quantize(Decimal(1))
        capture["seller_receivable_breakdown"] = {
            "gross_amount": capture["amount"],
            "paypal_fee": amounts.write(currency, fee),
            "net_amount": amounts.write(currency, value - fee),
        }

    def _keep(self, noun: str, made: Json, order: str) -> None:
        getattr(self._books, noun)[made["id"]] = made
        self._books.order_of[made["id"]] = order

    def _told(self, made: Json, noun: str, word: str | None) -> None:
        if word is not None:
            self._books.emit(
                f"PAYMENT.{noun}.{word}", noun.lower(), made, f"A payment {noun.lower()} is {word.lower()}"
            )
