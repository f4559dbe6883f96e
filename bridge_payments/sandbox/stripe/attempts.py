"""One attempt to collect: approved, challenged, refused or held; the only place where charges are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from . import shapes
from .books import Books, Json
from .cards import Behaviour, Card
from .disputes import Disputes
from .forms import Params
from .methods import Methods
from .problems import Problem, declined

__all__ = ["Attempts", "message_of"]

_MESSAGES: Final[Mapping[str, str]] = {
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    "authentication_required": "Your card was declined. This transaction requires authentication.",
}


def message_of(decline_code: str) -> str:
    return _MESSAGES.get(decline_code, "Your card was declined.")


class Attempts:
    def __init__(self, books: Books, methods: Methods, *, url: str) -> None:
        self._books = books
        self._methods = methods
        self._url = url
        self.disputes: Disputes = Disputes(books)
        self.held: int = 0
        """How many of the next collections stay in `processing` until they are settled by hand."""

    def make(self, intent: Json, method: Json, params: Params, *, from_browser: bool) -> None:
        card = self._methods.card_of(method["id"])
        intent |= {"last_payment_error": None, "next_action": None}
        if card.behaviour is Behaviour.CHALLENGE and not self._remembers(card, method):
            if params.flag("off_session"):
                card = Card(
                    last4=card.last4, code="authentication_required", decline_code="authentication_required"
                )
                raise self._refuse(intent, method, card)
            if params.flag("error_on_requires_action"):
                intent |= {"status": "requires_payment_method", "payment_method": None}
                raise declined(
                    "This payment required an authentication action to complete, but "
                    "`error_on_requires_action` was set.",
                    code="authentication_required",
                    payment_intent=dict(intent),
                )
            self._challenge(intent, method, params, from_browser)
        elif card.behaviour is Behaviour.DECLINE:
            raise self._refuse(intent, method, card)
        elif self.held:
            self.held -= 1
            intent |= {"status": "processing", "payment_method": method["id"], "processing": {"type": "card"}}
            self._books.emit("payment_intent.processing", intent)
        else:
            self._collect(intent, method, authenticated=False)

    def _remembers(self, card: Card, method: Json) -> bool:
        return card.once_authenticated and method["id"] in self._books.authenticated

    def _challenge(self, intent: Json, method: Json, params: Params, from_browser: bool) -> None:
        return_url = params.text("return_url")
        page = f"{self._url}/_3ds/{intent['id']}?" + urlencode({"client_secret": intent["client_secret"]})
        action = shapes.challenge(
            page, return_url=return_url, in_script=from_browser or params.flag("use_stripe_sdk")
        )
        self._books.return_urls[intent["id"]] = return_url
        intent |= {"status": "requires_action", "payment_method": method["id"], "next_action": action}
        self._books.emit("payment_intent.requires_action", intent)

    def _refuse(self, intent: Json, method: Json, card: Card) -> Problem:
        """Write the failed attempt down and return the answer that says so."""
        decline = card.decline_code or "generic_decline"
        code = card.code or "card_declined"
        refusal = {
            "code": code,
            "decline_code": decline,
            "message": message_of(decline),
        }
        charge = self._charge(intent, method, refusal=refusal, authenticated=card.then_decline)
        problem = declined(
            refusal["message"],
            code=code,
            decline_code=decline,
            charge=charge["id"],
            payment_method=dict(method),
        )
        intent |= {
            "status": "requires_payment_method",
            "payment_method": None,
            "last_payment_error": dict(problem.fields),
        }
        problem.fields["payment_intent"] = dict(intent)
        self._books.emit("charge.failed", charge)
        self._books.emit("payment_intent.payment_failed", intent)
        return problem

    def _collect(self, intent: Json, method: Json, *, authenticated: bool) -> None:
        charge = self._charge(intent, method, refusal=None, authenticated=authenticated)
        self._methods.used(method, customer=intent["customer"], keep=intent["setup_future_usage"] is not None)
        intent["payment_method"] = method["id"]
        self._books.emit("charge.succeeded", charge)
        if intent["capture_method"] == "manual":
            intent |= {"status": "requires_capture", "amount_capturable": intent["amount"]}
            self._books.emit("payment_intent.amount_capturable_updated", intent)
        else:
            intent |= {"status": "succeeded", "amount_received": intent["amount"]}
            self._books.emit("payment_intent.succeeded", intent)
        if self._methods.card_of(method["id"]).disputed:
            # Succeeds, only to be disputed (2026-11, https://docs.stripe.com/testing#disputes).
            self.disputes.open(charge, inquiry=self._methods.card_of(method["id"]).disputed == "inquiry")

    def _charge(
        self, intent: Json, method: Json, *, refusal: Mapping[str, Any] | None, authenticated: bool
    ) -> Json:
        charge = shapes.charge(
            self._books.new_id("ch", like=intent["id"]),
            intent,
            method,
            now=self._books.now(),
            captured=intent["capture_method"] != "manual",
            refusal=refusal,
            authenticated=authenticated,
        )
        self._books.charges[charge["id"]] = charge
        intent["latest_charge"] = charge["id"]
        return charge

    def authenticate(self, intent: Json, *, passed: bool) -> None:
        """The payer answered the challenge of the bank."""
        if intent["status"] != "requires_action":
            return
        method = self._books.methods[intent["payment_method"]]
        card = self._methods.card_of(method["id"])
        intent["next_action"] = None
        if not passed:
            intent |= {
                "status": "requires_payment_method",
                "payment_method": None,
                "last_payment_error": {
                    "code": "payment_intent_authentication_failure",
                    "doc_url": "https://stripe.com/docs/error-codes/payment-intent-authentication-failure",
                    "message": "We are unable to authenticate your payment method. Please choose a different "
                    "payment method and try again.",
                    "payment_method": dict(method),
                    "type": "invalid_request_error",
                },
            }
            self._books.emit("payment_intent.payment_failed", intent)
        elif card.then_decline:
            self._refuse(intent, method, card)
        else:
            self._books.authenticated.add(method["id"])
            self._collect(intent, method, authenticated=True)

    def settle(self, intent: Json, *, succeeded: bool) -> None:
        """Bring an intent out of `processing`."""
        if intent["status"] == "processing":
            method = self._books.methods[intent["payment_method"]]
            intent["processing"] = None
            if succeeded:
                self._collect(intent, method, authenticated=False)
            else:
                self._refuse(
                    intent, method, Card(last4="", code="card_declined", decline_code="generic_decline")
                )
