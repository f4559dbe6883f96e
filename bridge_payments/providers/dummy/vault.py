"""The part of the dummy gateway that remembers payers and their methods of payment."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

__all__ = ["DECLINED", "NEEDS_ACTION", "SUCCEEDS", "Refused", "Vault"]

SUCCEEDS: Final = "dummy_ok"
NEEDS_ACTION: Final = "dummy_challenge"
DECLINED: Final = {
    "dummy_declined": "do_not_honor",
    "dummy_insufficient": "not_enough_money",
    "dummy_expired": "card_too_old",
}
"""Method tokens and the gateway's own words for why it refuses them."""


class Refused(Exception):
    """The gateway's definite no, with its own code."""

    def __init__(self, code: str, message: str, **details: Any) -> None:
        self.code: str = code
        self.message: str = message
        self.details: dict[str, Any] = details
        super().__init__(message)


class Vault:
    """Customers and stored methods in dictionaries of plain JSON values.

    A method is made of a token and keeps its manners: one of ``dummy_insufficient`` is stored and declines
    when it is charged. ``dummy_challenge``, or no token, is a set-up: the payer has to agree first.
    """

    def __init__(self) -> None:
        self.customers: dict[str, dict[str, Any]] = {}
        self.methods: dict[str, dict[str, Any]] = {}

    def new_id(self, prefix: str) -> str:
        raise NotImplementedError

    def tell(self, type_: str, noun: str, row: Mapping[str, Any]) -> None:
        raise NotImplementedError

    def agree(self, setup: str, *, agreed: bool = True) -> dict[str, Any]:
        """The payer agrees to a set-up in the browser, or does not."""
        method = self.method(setup)
        method["state"] = "agreed" if agreed else "disagreed"
        self.tell("method.agreed" if agreed else "method.disagreed", "payment_method", method)
        return deepcopy(method)

    def customer(self, reference: str) -> dict[str, Any]:
        """Return a customer's own record. Raises Refused(no_such_object)."""
        if reference not in self.customers:
            raise Refused("no_such_object", "there is no such customer")
        return self.customers[reference]

    def method(self, reference: str) -> dict[str, Any]:
        """Return a method's own record. Raises Refused(no_such_object)."""
        if reference not in self.methods:
            raise Refused("no_such_object", "there is no such method")
        return self.methods[reference]

    def manners(self, method: str | None, customer: str | None) -> str | None:
        """Return the token that decides how a charge ends; a stored method is its customer's alone."""
        stored = self.methods.get(method or "")
        if stored is None:
            return method
        if stored["customer"] != customer or stored["state"] != "active":
            raise Refused("not_yours", "the method does not belong to that customer")
        return str(stored["token"])

    def keep(
        self, token: str | None, customer: str | None, metadata: Mapping[str, Any], *, state: str = "active"
    ) -> dict[str, Any]:
        """Store a method."""
        method: dict[str, Any] = {
            "id": self.new_id("dm"),
            "secret": self.new_id("dummysecret"),
            "token": token or SUCCEEDS,
            "customer": customer,
            "state": state,
            "last4": "4242",
            "billing": None,
            "metadata": dict(metadata),
        }
        self.methods[method["id"]] = method
        self.tell(f"method.{state}", "payment_method", method)
        return method

    # --- instructions -------------------------------------------------------------------------------

    def create_customer(self, body: Mapping[str, Any]) -> dict[str, Any]:
        reference = self.new_id("dc")
        metadata = dict(body.get("metadata", {}))
        customer: dict[str, Any] = {"id": reference, "deleted": False, "metadata": metadata, **_person(body)}
        self.customers[reference] = customer
        self.tell("customer.created", "customer", customer)
        return deepcopy(customer)

    def update_customer(self, body: Mapping[str, Any]) -> dict[str, Any]:
        customer = self.customer(body["customer"])
        customer.update({name: value for name, value in _person(body).items() if value is not None})
        customer["metadata"].update(body.get("metadata", {}))
        self.tell("customer.updated", "customer", customer)
        return deepcopy(customer)

    def delete_customer(self, body: Mapping[str, Any]) -> dict[str, Any]:
        customer = self.customers.pop(body["customer"], None)
        if customer is None:
            return {"id": body["customer"], "deleted": True, **_person({}), "metadata": {}}
        for method in [each for each in self.methods.values() if each["customer"] == customer["id"]]:
            del self.methods[method["id"]]
        gone = {**customer, "deleted": True}
        self.tell("customer.deleted", "customer", gone)
        return gone

    def create_method(self, body: Mapping[str, Any]) -> dict[str, Any]:
        token, customer = body.get("token"), body.get("customer")
        if customer is not None:
            self.customer(customer)
        if token in DECLINED and token != "dummy_insufficient":
            raise Refused(DECLINED[token], "The dummy gateway declined the method")
        if token not in (None, SUCCEEDS, NEEDS_ACTION, *DECLINED):
            raise Refused("no_such_object", "there is no such token")
        state = "setup" if token in (None, NEEDS_ACTION) else "active"
        return deepcopy(self.keep(token, customer, body.get("metadata", {}), state=state))

    def confirm_method(self, body: Mapping[str, Any]) -> dict[str, Any]:
        method = self.method(body["setup"])
        if method["state"] == "setup":
            raise Refused("not_agreed", "the payer has not agreed yet")
        if method["state"] == "disagreed":
            raise Refused("challenge_failed", "the payer did not agree")
        if method["state"] == "agreed":
            method.update(state="active", token=SUCCEEDS)
            self.tell("method.active", "payment_method", method)
        return deepcopy(method)

    def update_method(self, body: Mapping[str, Any]) -> dict[str, Any]:
        method = self.method(body["method"])
        method["billing"] = body.get("billing")
        self.tell("method.updated", "payment_method", method)
        return deepcopy(method)

    def delete_method(self, body: Mapping[str, Any]) -> dict[str, Any]:
        method = self.methods.pop(body["method"], None)
        if method is None:
            return {"id": body["method"], "state": "gone", "token": None, "customer": None, "last4": None}
        gone = {**method, "state": "gone"}
        self.tell("method.gone", "payment_method", gone)
        return gone


def _person(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: body.get(name) for name in ("email", "name", "phone")}
