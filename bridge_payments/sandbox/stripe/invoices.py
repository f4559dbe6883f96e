"""Invoices of subscriptions: made, paid by an intent of their own, and renewed when a period ends.

What happens at the end of a period, of a trial and of a first payment that nobody makes:
https://docs.stripe.com/billing/subscriptions/overview and https://docs.stripe.com/billing/invoices/subscription
(2026-11). Stripe finalises a renewal's invoice about an hour after it was made; here that is at once.
"""

from __future__ import annotations

from typing import Final

from . import billing_shapes, shapes
from .attempts import Attempts
from .books import Books, Json
from .forms import Params
from .periods import after
from .problems import Problem

__all__ = ["Invoices"]

_RENEWED: Final = ("active", "past_due", "trialing")
_FIRST_PAYMENT: Final = 23 * 3600
"""Seconds in which the first invoice has to be paid."""
_ONCE: Final = 500
"""How many periods one look at the clock renews, so that a clock that was moved far ends some time."""


class Invoices:
    def __init__(self, books: Books, attempts: Attempts) -> None:
        self._books = books
        self._attempts = attempts
        books.watch = self._heard

    # --- making and paying ------------------------------------------------------------------------

    def begin(self, subscription: Json, *, reason: str, amount: int) -> Json:
        """Make an open invoice, and the intent that is going to pay it unless there is nothing to pay."""
        books = self._books
        identity = books.new_id("in")
        made = billing_shapes.invoice(identity, subscription, now=books.now(), reason=reason, amount=amount)
        books.invoices[identity] = made
        subscription["latest_invoice"] = identity
        books.emit("invoice.created", made)
        if subscription["pause_collection"] and reason == "subscription_cycle":
            # What falls due while collecting is paused is voided
            # (2026-11, https://docs.stripe.com/billing/subscriptions/pause-payment).
            made |= {"status": "void", "auto_advance": False}
            made["status_transitions"]["voided_at"] = books.now()
            books.emit("invoice.voided", made)
            return made
        if amount:
            self._intent_of(made, subscription, reason)
        books.emit("invoice.finalized", made)
        if not amount:
            self._paid(made)
        return made

    def _intent_of(self, made: Json, subscription: Json, reason: str) -> None:
        books = self._books
        identity = books.new_id("pi")
        secret = f"{identity}_secret_{books.new_id('x')[2:27]}"
        intent = shapes.intent(
            identity, secret, now=books.now(), amount=made["amount_due"], currency=made["currency"]
        )
        first = reason == "subscription_create"
        intent |= {
            "customer": subscription["customer"],
            "description": "Subscription creation" if first else "Subscription update",
            "setup_future_usage": "off_session",
        }
        if method := self.method_of(subscription):
            intent |= {"payment_method": method, "status": "requires_confirmation"}
        books.intents[identity] = intent
        books.invoice_intents[identity] = made["id"]
        books.emit("payment_intent.created", intent)

    def collect(self, made: Json, *, off_session: bool) -> None:
        """Try to pay an open invoice with the method that the subscription has."""
        [intent] = self._books.intents_of(made["id"])
        made |= {"attempted": True, "attempt_count": made["attempt_count"] + 1}
        method = self._books.methods.get(self._method_for(made) or "")
        if method is None:
            self._unpaid(made)
            return
        wish = Params({"off_session": "true"} if off_session else {})
        try:
            self._attempts.make(intent, method, wish, from_browser=False)
        except Problem:
            return  # the intent has been told of, and with it the invoice
        if intent["status"] == "requires_action":
            self._books.emit("invoice.payment_action_required", made)
            self._unpaid(made)

    def method_of(self, subscription: Json) -> str | None:
        """Return what the subscription, or else its customer, is to pay with."""
        customer = self._books.customers.get(subscription["customer"], {})
        own: str | None = subscription["default_payment_method"]
        return own or (customer.get("invoice_settings") or {}).get("default_payment_method")

    def _method_for(self, made: Json) -> str | None:
        return self.method_of(self._of(made))

    def _of(self, made: Json) -> Json:
        found: Json = self._books.subscriptions[made["parent"]["subscription_details"]["subscription"]]
        return found

    # --- what an intent tells -----------------------------------------------------------------------

    def _heard(self, kind: str, subject: Json) -> None:
        identity = self._books.invoice_intents.get(subject.get("id", ""))
        if identity is None:
            return
        made = self._books.invoices[identity]
        if kind == "payment_intent.succeeded" and made["status"] == "open":
            self._keep_method(made, subject)
            self._paid(made)
        elif kind == "payment_intent.payment_failed":
            self._unpaid(made)

    def _keep_method(self, made: Json, intent: Json) -> None:
        subscription = self._of(made)
        if subscription["payment_settings"]["save_default_payment_method"] == "on_subscription":
            subscription["default_payment_method"] = intent["payment_method"]

    def _paid(self, made: Json) -> None:
        made |= {
            "status": "paid",
            "amount_paid": made["amount_due"],
            "amount_remaining": 0,
            "attempted": True,
        }
        made["status_transitions"]["paid_at"] = self._books.now()
        self._books.emit("invoice.paid", made)
        self._books.emit("invoice.payment_succeeded", made)
        subscription = self._of(made)
        if subscription["status"] in ("incomplete", "past_due", "unpaid", "paused"):
            self._become(subscription, "active")

    def _unpaid(self, made: Json) -> None:
        self._books.emit("invoice.payment_failed", made)
        subscription = self._of(made)
        if subscription["status"] in ("active", "trialing"):
            self._become(subscription, "past_due")

    def _become(self, subscription: Json, status: str) -> None:
        before = subscription["status"]
        subscription["status"] = status
        self._books.emit("customer.subscription.updated", subscription, status=before)

    # --- the clock ----------------------------------------------------------------------------------

    def run(self) -> None:
        """Do what fell due since the last look; no request of anybody's did it."""
        asked, self._books.request = self._books.request, (None, None)
        for subscription in list(self._books.subscriptions.values()):
            for _ in range(_ONCE):
                if not self._advance(subscription):
                    break
        self._books.request = asked

    def _advance(self, subscription: Json) -> bool:
        """Do the next thing that is due for one subscription; return whether there was one."""
        now = self._books.now()
        if subscription["status"] == "incomplete":
            if now < subscription["created"] + _FIRST_PAYMENT:
                return False
            self._expire(subscription)
            return False
        item = subscription["items"]["data"][0]
        ends = item["current_period_end"]
        if subscription["status"] not in _RENEWED or now < ends:
            return False
        if subscription["cancel_at_period_end"]:
            self.end(subscription, reason="cancellation_requested")
            return False
        recurring = item["price"]["recurring"]
        item["current_period_start"] = ends
        item["current_period_end"] = after(
            ends,
            recurring["interval"],
            recurring["interval_count"],
            anchor=subscription["billing_cycle_anchor"],
        )
        made = self.begin(subscription, reason="subscription_cycle", amount=item["price"]["unit_amount"])
        if subscription["status"] == "trialing":
            self._become(subscription, "active")
        if made["status"] == "open":
            self.collect(made, off_session=True)
        self._books.emit("customer.subscription.updated", subscription, current_period_end=ends)
        return True

    def _expire(self, subscription: Json) -> None:
        for made in self._books.invoices.values():
            if self._of(made) is subscription and made["status"] == "open":
                made["status"] = "void"
                for intent in self._books.intents_of(made["id"]):
                    intent |= {"status": "canceled", "canceled_at": self._books.now()}
        self._become(subscription, "incomplete_expired")

    def end(self, subscription: Json, *, reason: str) -> None:
        now = self._books.now()
        subscription |= {"status": "canceled", "canceled_at": subscription["canceled_at"] or now}
        subscription |= {"ended_at": now}
        subscription["cancellation_details"]["reason"] = reason
        self._books.emit("customer.subscription.deleted", subscription)
