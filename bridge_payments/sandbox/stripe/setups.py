"""The life of a set-up: a method that is kept for later, and the payer's bank asked where it wants to be.

Lifecycle and errors: https://docs.stripe.com/payments/setup-intents and
https://docs.stripe.com/api/setup_intents (2026-11).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from . import parameters, shapes
from .attempts import message_of
from .books import Books, Json
from .cards import Behaviour, Card
from .forms import Params
from .methods import Methods, accepted_methods
from .problems import Problem, declined, invalid, missing_object, wrong_state

__all__ = ["Setups"]

_OPEN: Final = ("requires_payment_method", "requires_confirmation", "requires_action")
_REASONS: Final = ("abandoned", "duplicate", "requested_by_customer")


class Setups:
    def __init__(self, books: Books, methods: Methods, *, url: str) -> None:
        self._books = books
        self._methods = methods
        self._url = url

    def get(self, identity: str) -> Json:
        found = self._books.setups.get(identity)
        if found is None:
            raise missing_object("setupintent", identity, param="intent")
        return found

    def create(self, params: Params) -> Json:
        params.allow(parameters.SETUP)
        confirm = params.flag("confirm")
        if "return_url" in params and not confirm:
            raise invalid("`return_url` can only be passed when `confirm` is true", param="return_url")
        customer = params.text("customer")
        if customer is not None and customer not in self._books.customers:
            raise missing_object("customer", customer, param="customer")
        metadata = params.metadata({})
        usage = params.text("usage", one_of=("off_session", "on_session")) or "off_session"
        accepted = accepted_methods(params)
        method = self._methods.usable(params, customer=customer)
        if confirm:
            self._may_confirm(accepted, method, params, from_browser=False)
        setup = self.begin(customer=customer, usage=usage, metadata=metadata) | accepted
        self._books.setups[setup["id"]] = setup
        if method is not None:
            setup |= {"payment_method": method["id"], "status": "requires_confirmation"}
        self._books.emit("setup_intent.created", setup)
        if confirm and method is not None:
            self._attempt(setup, method, params, from_browser=False)
        return setup

    def begin(self, *, customer: str | None, usage: str, metadata: dict[str, str]) -> Json:
        identity = self._books.new_id("seti")
        secret = f"{identity}_secret_{self._books.new_id('x')[2:27]}"
        setup = shapes.setup(identity, secret, now=self._books.now(), usage=usage)
        setup |= {"customer": customer, "metadata": metadata}
        self._books.setups[identity] = setup
        return setup

    def confirm(self, identity: str, params: Params, *, from_browser: bool = False) -> Json:
        params.allow(parameters.CONFIRM_SETUP)
        setup = self.get(identity)
        method = self._methods.usable(params, customer=setup["customer"], by_browser=from_browser)
        if setup["status"] not in _OPEN:
            raise self._wrong_state("confirm", setup)
        method = method or self._books.methods.get(setup["payment_method"] or "")
        self._may_confirm(setup, method, params, from_browser=from_browser)
        assert method is not None  # `_may_confirm` refused otherwise
        self._attempt(setup, method, params, from_browser=from_browser)
        return setup

    def cancel(self, identity: str, params: Params) -> Json:
        params.allow({"cancellation_reason"})
        setup = self.get(identity)
        reason = params.text("cancellation_reason", one_of=_REASONS)
        if setup["status"] not in _OPEN:
            raise self._wrong_state("cancel", setup)
        setup |= {"status": "canceled", "cancellation_reason": reason, "next_action": None}
        self._books.emit("setup_intent.canceled", setup)
        return setup

    def authenticate(self, setup: Json, *, passed: bool) -> None:
        """The payer answered the challenge of the bank."""
        if setup["status"] != "requires_action":
            return
        method = self._books.methods[setup["payment_method"]]
        setup["next_action"] = None
        if passed:
            self._books.authenticated.add(method["id"])
            self._succeed(setup, method)
            return
        setup |= {
            "status": "requires_payment_method",
            "payment_method": None,
            "last_setup_error": {
                "code": "setup_intent_authentication_failure",
                "doc_url": "https://stripe.com/docs/error-codes/setup-intent-authentication-failure",
                "message": "We are unable to authenticate your payment method. Please choose a different "
                "payment method and try again.",
                "payment_method": dict(method),
                "type": "invalid_request_error",
            },
        }
        self._books.emit("setup_intent.setup_failed", setup)

    def _may_confirm(self, setup: Json, method: Json | None, params: Params, *, from_browser: bool) -> None:
        if method is None:
            raise wrong_state(
                "You cannot confirm this SetupIntent because it's missing a payment method. Update the "
                "SetupIntent with a payment method and then confirm it again.",
                code="setup_intent_unexpected_state",
            )
        automatic = setup.get("automatic_payment_methods") or {}
        if automatic.get("allow_redirects") == "always" and not (from_browser or params.text("return_url")):
            raise wrong_state(
                "This SetupIntent is configured to accept payment methods that might redirect your customer "
                "off of your page; provide a `return_url`, or set "
                "`automatic_payment_methods[allow_redirects]` to `never`.",
                code="setup_intent_invalid_parameter",
                param="return_url",
            )

    def _attempt(self, setup: Json, method: Json, params: Params, *, from_browser: bool) -> None:
        card = self._methods.card_of(method["id"])
        setup |= {"last_setup_error": None, "next_action": None}
        if card.behaviour is Behaviour.CHALLENGE and method["id"] not in self._books.authenticated:
            self._challenge(setup, method, params, from_browser=from_browser)
        elif card.behaviour is Behaviour.DECLINE and not card.can_be_kept:
            raise self._refuse(setup, method, card)
        else:
            self._succeed(setup, method)

    def _challenge(self, setup: Json, method: Json, params: Params, *, from_browser: bool) -> None:
        return_url = params.text("return_url")
        page = f"{self._url}/_3ds/{setup['id']}?" + urlencode({"client_secret": setup["client_secret"]})
        action = shapes.challenge(
            page, return_url=return_url, in_script=from_browser or params.flag("use_stripe_sdk")
        )
        self._books.return_urls[setup["id"]] = return_url
        setup |= {"status": "requires_action", "payment_method": method["id"], "next_action": action}
        self._books.emit("setup_intent.requires_action", setup)

    def _refuse(self, setup: Json, method: Json, card: Card) -> Problem:
        decline = card.decline_code or "generic_decline"
        problem = declined(
            message_of(decline),
            code=card.code or "card_declined",
            decline_code=decline,
            payment_method=dict(method),
        )
        setup |= {
            "status": "requires_payment_method",
            "payment_method": None,
            "last_setup_error": dict(problem.fields),
        }
        problem.fields["setup_intent"] = dict(setup)
        self._books.emit("setup_intent.setup_failed", setup)
        return problem

    def _succeed(self, setup: Json, method: Json) -> None:
        """The method is the customer's from now on; without a customer it was set up for nobody."""
        setup |= {"status": "succeeded", "payment_method": method["id"]}
        if setup["customer"] is not None and method["customer"] is None:
            self._methods.belongs_to(method, setup["customer"])
        self._books.emit("setup_intent.succeeded", setup)

    @staticmethod
    def _wrong_state(verb: str, setup: Json) -> Problem:
        return wrong_state(
            f"You cannot {verb} this SetupIntent because it has a status of {setup['status']}. Only a "
            f"SetupIntent with one of the following statuses may be {verb}ed: {', '.join(_OPEN)}.",
            code="setup_intent_unexpected_state",
            setup_intent=dict(setup),
        )
