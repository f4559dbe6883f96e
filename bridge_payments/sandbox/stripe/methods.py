"""Payment methods and customers: which card a `pm_…` is, who owns it, and whether it may be used again."""

from __future__ import annotations

from typing import Final

from . import parameters, shapes
from .books import Books, Json
from .cards import NUMBERS, TOKENS, Behaviour, Card, brand_of, passes_luhn
from .forms import Params
from .problems import declined, invalid, missing_object, wrong_state

__all__ = ["Methods", "accepted_methods"]

_NAMES: Final = {number: f"card_{card.brand}_{card.last4}" for number, card in NUMBERS.items()}
_BY_NAME: Final = {**TOKENS, **{_NAMES[number]: card for number, card in NUMBERS.items()}}


class Methods:
    def __init__(self, books: Books) -> None:
        self._books = books

    def get(self, identity: str) -> Json:
        if identity in TOKENS:
            return self._fresh(TOKENS[identity], identity)
        found = self._books.methods.get(identity)
        if found is None:
            raise missing_object("PaymentMethod", identity, param="payment_method")
        return found

    def card_of(self, identity: str) -> Card:
        return _BY_NAME[self._books.cards[identity]]

    def usable(self, params: Params, *, customer: str | None, by_browser: bool = False) -> Json | None:
        """Return the method that a request names, if it names one and may use it."""
        if "payment_method_data" in params:
            return self.create(params.nested("payment_method_data"), by_browser=by_browser)
        if token := params.text("confirmation_token"):
            return self._behind(token)
        identity = params.text("payment_method")
        if identity is None:
            return None
        method = self.get(identity)
        if method["customer"] not in (None, customer):
            raise wrong_state(
                f"The customer does not have a payment method with the ID {identity}. The payment method "
                "must be "
                "attached to the customer.",
                code="resource_missing",
                param="payment_method",
            )
        if method["id"] in self._books.spent:
            # One use without a customer, then never again
            # (2026-11, https://docs.stripe.com/api/payment_methods/attach).
            raise wrong_state(
                "The provided PaymentMethod was previously used with a PaymentIntent without Customer "
                "attachment. "
                "It may not be used again.",
                code="payment_method_unexpected_state",
                param="payment_method",
            )
        return method

    def _behind(self, token: str) -> Json:
        """Return the method that a confirmation token stands for; a token is good for one use."""
        found = self.token(token)
        if found["payment_intent"] or found["setup_intent"]:
            raise wrong_state(
                "This ConfirmationToken has already been used.",
                code="confirmation_token_already_used",
                param="confirmation_token",
            )
        found["payment_intent"] = "pi_used"
        return self._books.methods[self._books.token_methods[token]]

    def token(self, identity: str) -> Json:
        found = self._books.tokens.get(identity)
        if found is None:
            raise missing_object("confirmation_token", identity, param="confirmation_token")
        return found

    def create_token(self, method: Json) -> Json:
        """What the payer's browser makes of the hosted fields."""
        token = shapes.confirmation_token(self._books.new_short_id("ctoken"), method, now=self._books.now())
        self._books.tokens[token["id"]] = token
        self._books.token_methods[token["id"]] = method["id"]
        return token

    def used(self, method: Json, *, customer: str | None, keep: bool) -> None:
        """Note a successful use: the method is kept with its customer, or spent."""
        if method["customer"] is None and customer is not None and keep:
            self.belongs_to(method, customer)
        elif method["customer"] is None:
            self._books.spent.add(method["id"])

    def create(self, params: Params, *, by_browser: bool) -> Json:
        params.allow(parameters.METHOD)
        if params.text("type") not in (None, "card"):
            raise invalid("This gateway knows cards only", param="type")
        card = params.nested("card")
        billing = params.nested("billing_details")
        who = {name: billing.text(name) for name in ("email", "name", "phone")}
        if token := card.text("token"):
            name = f"pm_card_{token.removeprefix('tok_')}"
            if name not in TOKENS:
                raise missing_object("token", token, param="card[token]")
            return self._fresh(TOKENS[name], name, billing=who)
        number = "".join(card.required_text("number").split())
        if not by_browser:
            # Card numbers with a secret key are refused unless the account was opened for them
            # (2026-11, https://support.stripe.com/questions/enabling-access-to-raw-card-data-apis).
            raise invalid(
                "Sending credit card numbers directly to the API is unsafe: collect them in the hosted "
                "fields, "
                "which use the publishable key."
            )
        return self._from_number(number, card, who)

    def _from_number(self, number: str, card: Params, who: dict[str, str | None]) -> Json:
        month, year = card.required_integer("exp_month"), card.required_integer("exp_year")
        code = card.text("cvc")
        today = self._books.clock()
        year = year + 2000 if year < 100 else year
        if not number.isdigit() or not passes_luhn(number):
            raise _bad_card("Your card number is incorrect.", "incorrect_number", "number")
        if not 1 <= month <= 12:
            raise _bad_card("Your card's expiration month is invalid.", "invalid_expiry_month", "exp_month")
        if (year, month) < (today.year, today.month) or year > today.year + 50:
            raise _bad_card("Your card's expiration year is invalid.", "invalid_expiry_year", "exp_year")
        if code is not None and (not code.isdigit() or len(code) != (4 if brand_of(number) == "amex" else 3)):
            raise _bad_card("Your card's security code is invalid.", "invalid_cvc", "cvc")
        if number not in NUMBERS:
            raise declined(
                "Your card was declined. This is a sandbox and the number is not one of its test cards.",
                code="card_declined",
                decline_code="test_mode_live_card",
            )
        return self._fresh(NUMBERS[number], _NAMES[number], month, year, who)

    def attach(self, identity: str, params: Params) -> Json:
        params.allow(parameters.ATTACH)
        customer = params.required_text("customer")
        method = self.get(identity)
        if customer not in self._books.customers:
            raise missing_object("customer", customer, param="customer")
        if method["customer"] not in (None, customer):
            raise wrong_state(
                "The payment method you provided has already been attached to a customer.",
                code="payment_method_unexpected_state",
                param="payment_method",
            )
        card = self.card_of(method["id"])
        if card.behaviour is Behaviour.DECLINE and not card.can_be_kept:
            # Attaching the card to a customer fails, too (2026-11, https://docs.stripe.com/testing#declined-payments).
            raise declined(
                "Your card was declined.",
                code=card.code or "card_declined",
                decline_code=card.decline_code,
                payment_method=dict(method),
            )
        if method["id"] in self._books.spent:
            raise wrong_state(
                "This PaymentMethod was previously used without being attached to a Customer or was detached "
                "from a Customer, and may not be used again.",
                code="payment_method_unexpected_state",
                param="payment_method",
            )
        self.belongs_to(method, customer)
        return method

    def belongs_to(self, method: Json, customer: str) -> None:
        method["customer"] = customer
        self._books.emit("payment_method.attached", method)

    def update(self, identity: str, params: Params) -> Json:
        """Change who is billed (2026-11, https://docs.stripe.com/api/payment_methods/update)."""
        params.allow(parameters.UPDATE_METHOD)
        method = self.get(identity)
        if method["customer"] is None:
            raise wrong_state(
                "You must save this PaymentMethod to a customer before you can update it.",
                code="payment_method_unexpected_state",
            )
        billing = params.nested("billing_details")
        address = billing.nested("address")
        metadata = params.metadata(method["metadata"])
        if "@" not in (billing.text("email") or "@"):
            # (2026-11, https://docs.stripe.com/error-codes#email-invalid)
            raise invalid("Invalid email address", code="email_invalid", param="billing_details[email]")
        for name in ("email", "name", "phone"):
            if name in billing:
                method["billing_details"][name] = billing.text(name)
        for name in method["billing_details"]["address"]:
            if name in address:
                method["billing_details"]["address"][name] = address.text(name)
        method["metadata"] = metadata
        self._books.emit("payment_method.updated", method)
        return method

    def detach(self, identity: str, params: Params) -> Json:
        params.allow(())
        method = self.get(identity)
        if method["customer"] is None:
            raise wrong_state(
                "The payment method you provided is not attached to a customer so detachment is impossible.",
                code="payment_method_unexpected_state",
            )
        method["customer"] = None
        self._books.spent.add(identity)
        self._books.emit("payment_method.detached", method)
        return method

    def customer(self, identity: str) -> Json:
        """A deleted one can be read, and says nothing but that (https://docs.stripe.com/api/customers/retrieve)."""
        if identity in self._books.forgotten:
            return {"id": identity, "object": "customer", "deleted": True}
        return self._present(identity)

    def _present(self, identity: str) -> Json:
        found = self._books.customers.get(identity)
        if found is None:
            raise missing_object("customer", identity, param="id")
        return found

    def create_customer(self, params: Params) -> Json:
        params.allow(parameters.CUSTOMER)
        identity = self._books.new_short_id("cus")
        customer = shapes.customer(identity, now=self._books.now()) | _about(params, {})
        self._books.customers[identity] = customer
        self._books.emit("customer.created", customer)
        return customer

    def update_customer(self, identity: str, params: Params) -> Json:
        params.allow(parameters.CUSTOMER)
        customer = self._present(identity)
        customer |= _about(params, customer["metadata"])
        self._books.emit("customer.updated", customer)
        return customer

    def delete_customer(self, identity: str) -> Json:
        customer = self._present(identity)
        del self._books.customers[identity]
        self._books.forgotten.add(identity)
        for method in self._books.methods.values():
            if method["customer"] == identity:
                method["customer"] = None
                self._books.spent.add(method["id"])
        self._books.emit("customer.deleted", customer)
        return {"id": identity, "object": "customer", "deleted": True}

    def _fresh(
        self,
        card: Card,
        name: str,
        month: int = 12,
        year: int | None = None,
        billing: dict[str, str | None] | None = None,
    ) -> Json:
        method = shapes.method(
            self._books.new_method_id(),
            card,
            now=self._books.now(),
            exp_month=month,
            exp_year=year or self._books.clock().year + 4,
            billing=billing or {},
        )
        self._books.methods[method["id"]] = method
        self._books.cards[method["id"]] = name
        return method


def _about(params: Params, metadata: dict[str, str]) -> Json:
    about: Json = {
        name: params.text(name) for name in ("description", "email", "name", "phone") if name in params
    }
    about["metadata"] = params.metadata(metadata)
    return about


def _bad_card(message: str, code: str, param: str) -> Exception:
    problem = declined(message, code=code, param=param)
    problem.remembered = False
    return problem


def accepted_methods(params: Params) -> Json:
    """Read which kinds of methods an intent or a set-up takes."""
    if "payment_method_types" in params:
        if "automatic_payment_methods" in params:
            raise invalid(
                "You may only specify one of these parameters: automatic_payment_methods, "
                "payment_method_types.",
                param="payment_method_types",
            )
        types = params.strings("payment_method_types")
        if "card" not in types:
            raise invalid(
                "This gateway knows cards only",
                code="payment_intent_invalid_parameter",
                param="payment_method_types",
            )
        return {"payment_method_types": types}
    automatic = params.nested("automatic_payment_methods")
    if "enabled" in automatic and not automatic.flag("enabled"):
        return {}
    redirects = automatic.text("allow_redirects", one_of=("always", "never")) or "always"
    return {"automatic_payment_methods": {"enabled": True, "allow_redirects": redirects}}
