"""Refunds: never more than was captured and not yet given back."""

from __future__ import annotations

from typing import Final

from ...models import Money
from . import parameters, shapes
from .books import Books, Json
from .forms import Params
from .methods import Methods
from .problems import invalid, missing_object, wrong_state

__all__ = ["Refunds"]

_REASONS: Final = ("duplicate", "fraudulent", "requested_by_customer")


class Refunds:
    def __init__(self, books: Books, methods: Methods) -> None:
        self._books = books
        self._methods = methods

    def get(self, identity: str) -> Json:
        found = self._books.refunds.get(identity)
        if found is None:
            raise missing_object("refund", identity, param="refund")
        return found

    def create(self, params: Params) -> Json:
        params.allow(parameters.REFUND)
        amount = params.integer("amount")
        reason = params.text("reason", one_of=_REASONS)
        metadata = params.metadata({})
        charge = self._charge(params)
        if amount is not None and amount < 1:
            raise invalid("Invalid positive integer", code="parameter_invalid_integer", param="amount")
        rest = charge["amount_captured"] - charge["amount_refunded"]
        if rest == 0:
            raise wrong_state(
                f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded"
            )
        if charge["disputed"]:
            raise wrong_state(
                f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed"
            )
        amount = rest if amount is None else amount
        if amount > rest:
            # Seen without a code, with this text (https://github.com/reactioncommerce/reaction/issues/3704).
            raise wrong_state(
                f"Refund amount ({_shown(amount, charge)}) is greater than unrefunded amount on charge "
                f"({_shown(rest, charge)})",
                param="amount",
            )
        status = self._methods.card_of(charge["payment_method"]).refund
        identity = self._books.new_id("re", like=charge["id"])
        refund = shapes.refund(identity, charge, now=self._books.now(), amount=amount, status=status)
        refund |= {"reason": reason, "metadata": metadata}
        self._books.refunds[identity] = refund
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
        self._books.emit("refund.created", refund)
        self._books.emit("charge.refunded", charge)
        return refund

    def update(self, identity: str, params: Params) -> Json:
        params.allow({"metadata"})
        refund = self.get(identity)
        refund["metadata"] = params.metadata(refund["metadata"])
        self._books.emit("refund.updated", refund)
        return refund

    def settle(self, identity: str, *, succeeded: bool) -> Json:
        """The bank took the refund, or sent it back days later: also out of `succeeded`."""
        refund = self.get(identity)
        if refund["status"] not in ("pending", "succeeded"):
            return refund
        if succeeded:
            refund["status"] = "succeeded"
            self._books.emit("refund.updated", refund)
            return refund
        charge = self._books.charges[refund["charge"]]
        charge["amount_refunded"] -= refund["amount"]
        charge["refunded"] = False
        refund |= {"status": "failed", "failure_reason": "expired_or_canceled_card"}
        self._books.emit("refund.failed", refund)
        self._books.emit("charge.refund.updated", refund)
        return refund

    def _charge(self, params: Params) -> Json:
        charge_id, intent_id = params.text("charge"), params.text("payment_intent")
        if charge_id is None and intent_id is None:
            raise invalid(
                "One of the following params should be provided for this request: payment_intent or charge."
            )
        if charge_id is not None:
            if charge_id not in self._books.charges:
                raise missing_object("charge", charge_id, param="charge")
            charge = self._books.charges[charge_id]
        else:
            intent = self._books.intents.get(intent_id or "")
            if intent is None:
                raise missing_object("payment_intent", intent_id or "", param="payment_intent")
            charge = self._books.charges.get(intent["latest_charge"] or "", {})
        if not charge.get("paid") or not charge["captured"]:
            raise wrong_state(
                f"This PaymentIntent ({intent_id or charge.get('payment_intent')}) does not have a "
                "successful "
                "charge to refund."
            )
        return charge


def _shown(amount: int, charge: Json) -> str:
    return str(Money(amount, charge["currency"]))
