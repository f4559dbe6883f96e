"""The life of a payment intent: created, updated, confirmed, captured, canceled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from . import parameters, shapes
from .amounts import amount_of
from .attempts import Attempts
from .books import Books, Json
from .forms import Params
from .methods import Methods, accepted_methods
from .problems import invalid, missing_object, wrong_state

__all__ = ["Intents"]

_PAYABLE: Final = ("requires_payment_method", "requires_confirmation", "requires_action")
_CANCELABLE: Final = (
    "requires_payment_method",
    "requires_capture",
    "requires_confirmation",
    "requires_action",
    "processing",
)
_REASONS: Final = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")


class Intents:
    def __init__(self, books: Books, methods: Methods, *, url: str) -> None:
        self._books = books
        self._methods = methods
        self.attempts: Attempts = Attempts(books, methods, url=url)

    # --- what the API offers ----------------------------------------------------------------------

    def get(self, identity: str) -> Json:
        found = self._books.intents.get(identity)
        if found is None:
            raise missing_object("payment_intent", identity, param="intent")
        return found

    def create(self, params: Params, *, from_browser: bool = False) -> Json:
        params.allow(parameters.CREATE)
        amount, currency = amount_of(params)
        confirm = params.flag("confirm")
        if params.flag("off_session") and params.text("setup_future_usage"):
            # (2026-11, https://docs.stripe.com/api/payment_intents/create#create_payment_intent-off_session)
            raise invalid(
                "You cannot set `setup_future_usage` while the customer is off session.",
                param="setup_future_usage",
            )
        for name in ("return_url", "off_session", "error_on_requires_action"):
            if name in params and not confirm:
                raise invalid(f"`{name}` can only be passed when `confirm` is true", param=name)
        fields = self._fields(params, {"customer": None, "metadata": {}})
        fields |= accepted_methods(params)
        method = self._methods.usable(params, customer=fields.get("customer"), by_browser=from_browser)
        if confirm:
            self._may_confirm(fields, method, params, from_browser)

        identity = self._books.new_id("pi")
        secret = f"{identity}_secret_{self._books.new_id('x')[2:27]}"
        intent = shapes.intent(identity, secret, now=self._books.now(), amount=amount, currency=currency)
        intent |= fields
        if method is not None:
            intent |= {"payment_method": method["id"], "status": "requires_confirmation"}
        self._books.intents[identity] = intent
        self._books.emit("payment_intent.created", intent)
        if confirm:
            assert method is not None  # `_may_confirm` refused otherwise
            self.attempts.make(intent, method, params, from_browser=from_browser)
        return intent

    def update(self, identity: str, params: Params) -> Json:
        params.allow(parameters.UPDATE)
        intent = self.get(identity)
        fields = self._fields(params, intent)
        if "amount" in params or "currency" in params:
            given = {"amount": str(intent["amount"]), "currency": intent["currency"], **params.data}
            fields["amount"], fields["currency"] = amount_of(Params(given))
        method = self._methods.usable(params, customer=fields.get("customer", intent["customer"]))
        if intent["status"] not in _PAYABLE and set(params.data) - {"metadata", "description", "expand"}:
            name = min(set(params.data) - {"metadata", "description", "expand"})
            raise wrong_state(
                f"This PaymentIntent's {name} could not be updated because it has a status of "
                f"{intent['status']}. "
                f"You may only update the {name} of a PaymentIntent with one of the following statuses: "
                f"{', '.join(_PAYABLE)}.",
                code="payment_intent_unexpected_state",
                payment_intent=dict(intent),
            )
        intent |= fields
        if method is not None:
            intent |= {"payment_method": method["id"], "status": "requires_confirmation", "next_action": None}
        return intent

    def confirm(self, identity: str, params: Params, *, from_browser: bool = False) -> Json:
        params.allow(parameters.CONFIRM)
        intent = self.get(identity)
        method = self._methods.usable(params, customer=intent["customer"], by_browser=from_browser)
        if intent["status"] not in _PAYABLE:
            why = (
                "it has already succeeded after being previously confirmed"
                if intent["status"] == "succeeded"
                else f"it has a status of {intent['status']}"
            )
            raise wrong_state(
                f"You cannot confirm this PaymentIntent because {why}.",
                code="payment_intent_unexpected_state",
                payment_intent=dict(intent),
            )
        method = method or self._books.methods.get(intent["payment_method"] or "")
        self._may_confirm(intent, method, params, from_browser)
        assert method is not None
        if usage := params.text("setup_future_usage", one_of=("on_session", "off_session")):
            intent["setup_future_usage"] = usage
        self.attempts.make(intent, method, params, from_browser=from_browser)
        return intent

    def capture(self, identity: str, params: Params) -> Json:
        params.allow(parameters.CAPTURE)
        intent = self.get(identity)
        amount = params.integer("amount_to_capture")
        final = "final_capture" not in params or params.flag("final_capture")
        if intent["status"] != "requires_capture":
            raise wrong_state(
                f"This PaymentIntent could not be captured because it has a status of {intent['status']}. "
                "Only a PaymentIntent with one of the following statuses may be captured: requires_capture.",
                code="payment_intent_unexpected_state",
                payment_intent=dict(intent),
            )
        held = intent["amount_capturable"]
        amount = held if amount is None else amount
        if amount < 1 or amount > held:
            raise wrong_state(
                f"The amount to capture must be at least 1 and at most the capturable amount ({held}).",
                code="amount_too_large" if amount > 0 else "parameter_invalid_integer",
                param="amount_to_capture",
            )
        charge = self._books.charges[intent["latest_charge"]]
        several = charge["payment_method_details"]["card"]["multicapture"]["status"] == "available"
        if not final and not several:
            # Several captures have to be asked for when the intent is made
            # (2026-11, https://docs.stripe.com/payments/multicapture).
            raise wrong_state(
                "final_capture can only be false where multicapture is available.", param="final_capture"
            )
        intent["metadata"] = params.metadata(intent["metadata"])
        charge |= {"captured": True, "amount_captured": charge["amount_captured"] + amount}
        intent["amount_received"] += amount
        self._books.emit("charge.captured", charge)
        if not final and amount < held:
            intent["amount_capturable"] = held - amount
            self._books.emit("payment_intent.amount_capturable_updated", intent)
            return intent
        # What is not captured is let go, and no refund is made of it any more (since 2025-03-31.basil,
        # https://docs.stripe.com/changelog/basil/2025-03-31/remove-refund-from-partial-capture-and-payment-cancellation-flow).
        intent |= {"status": "succeeded", "amount_capturable": 0}
        self._books.emit("payment_intent.succeeded", intent)
        return intent

    def cancel(self, identity: str, params: Params) -> Json:
        params.allow(parameters.CANCEL)
        intent = self.get(identity)
        reason = params.text("cancellation_reason", one_of=_REASONS)
        if intent["status"] not in _CANCELABLE:
            raise wrong_state(
                f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a "
                f"PaymentIntent with one of the following statuses may be canceled: "
                f"{', '.join(_CANCELABLE)}.",
                code="payment_intent_unexpected_state",
                payment_intent=dict(intent),
            )
        intent |= {
            "status": "canceled",
            "canceled_at": self._books.now(),
            "cancellation_reason": reason,
            "amount_capturable": 0,
            "next_action": None,
        }
        self._books.emit("payment_intent.canceled", intent)
        return intent

    def _may_confirm(
        self, intent: Mapping[str, Any], method: Json | None, params: Params, from_browser: bool
    ) -> None:
        if method is None:
            raise wrong_state(
                "You cannot confirm this PaymentIntent because it's missing a payment method. You can "
                "either update "
                "the PaymentIntent with a payment method and then confirm it again, or confirm it again "
                "directly "
                "with a payment method.",
                code="payment_intent_unexpected_state",
            )
        automatic = intent.get("automatic_payment_methods") or {}
        if automatic.get("allow_redirects") == "always" and not (from_browser or params.text("return_url")):
            # Methods of the dashboard may redirect, so a confirmation on the server needs a return_url unless
            # redirects are off (2026-11, https://docs.stripe.com/upgrades#2023-08-16).
            raise wrong_state(
                "This PaymentIntent is configured to accept payment methods that might redirect your "
                "customer off of "
                "your page; provide a `return_url`, or set `automatic_payment_methods[allow_redirects]` to "
                "`never`.",
                code="payment_intent_invalid_parameter",
                param="return_url",
            )

    def _fields(self, params: Params, before: Mapping[str, Any]) -> Json:
        """Read what describes an intent; every parameter is read before anything changes."""
        fields: Json = {}
        for name in (
            "description",
            "receipt_email",
            "statement_descriptor",
            "statement_descriptor_suffix",
            "transfer_group",
        ):
            if name in params:
                fields[name] = params.text(name)
        if "metadata" in params:
            fields["metadata"] = params.metadata(before["metadata"])
        if "capture_method" in params:
            fields["capture_method"] = params.text(
                "capture_method", one_of=("automatic", "automatic_async", "manual")
            )
        card = params.nested("payment_method_options").nested("card")
        if card.text("request_multicapture", one_of=("if_available", "never")) == "if_available":
            fields["payment_method_options"] = {
                "card": {**shapes.CARD_OPTIONS, "request_multicapture": "if_available"}
            }
        if "setup_future_usage" in params:
            fields["setup_future_usage"] = params.text(
                "setup_future_usage", one_of=("on_session", "off_session")
            )
        if "customer" in params:
            customer = params.text("customer")
            if customer is not None and customer not in self._books.customers:
                raise missing_object("customer", customer, param="customer")
            fields["customer"] = customer
        return fields
