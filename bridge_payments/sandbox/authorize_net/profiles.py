"""Customer profiles and the payment profiles in them (CIM). Every rule names where it was read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .books import Books, Customer, Json, Method, Token
from .cards import card_of
from .formats import Items
from .refusal import Refusal

__all__ = ["Profiles"]

_MOST: Final = 10
"""(2026-11, recorded: E00042 "You cannot add more than 10 payment profiles.")."""
_NOT_FOUND: Final = "The record cannot be found."
_MARKS: Final = ("merchantCustomerId", "description", "email")


class Profiles:
    def __init__(self, books: Books) -> None:
        self._books = books

    # --- customers --------------------------------------------------------------------------------

    def create(self, wish: Mapping[str, Any]) -> Json:
        """Make a customer and, where one is given, a payment profile in it."""
        given = wish.get("profile") or {}
        marks = {name: str(given.get(name) or "") for name in _MARKS}
        if not any(marks.values()):
            raise Refusal("E00041", "One or more fields must contain a value.")
        for other in self._books.customers.values():
            # All three alike make a duplicate, and its number stands in the sentence alone
            # (2026-11, https://developer.authorize.net/api/reference/features/customer_profiles.html and
            # issue 264 of the vendor's .NET package).
            if other.marks == marks:
                raise Refusal("E00039", f"A duplicate record with ID {other.id} already exists.")
        asked = _listed(given.get("paymentProfiles"))
        made = Customer(id=self._books.new_profile_id(), marks=marks)
        try:
            lines = [self._add(made, each, wish)[1] for each in asked]
        except Refusal as refusal:
            line = refusal.shown.get("validationDirectResponse")
            raise Refusal(
                refusal.code, refusal.sentence, shown=_made(None, [], [line] if line else [])
            ) from None
        self._books.customers[made.id] = made
        self._books.emit_customer("created", made)
        return _made(made.id, list(made.methods), [line for line in lines if line])

    def read(self, wish: Mapping[str, Any]) -> Json:
        number, mark = str(wish.get("customerProfileId") or ""), str(wish.get("merchantCustomerId") or "")
        found = self._books.customers.get(number) or next(
            (each for each in self._books.customers.values() if mark == each.marks["merchantCustomerId"]),
            None,
        )
        if found is None or not (number or mark):
            raise Refusal("E00040", _NOT_FOUND)
        running = [each.id for each in self._books.subscriptions.values() if each.customer == found.id]
        shown = {
            **{name: value for name, value in found.marks.items() if value},
            "customerProfileId": found.id,
            "paymentProfiles": [_method(each, wish) for each in found.methods.values()],
        }
        return {
            "profile": shown,
            **({"subscriptionIds": Items("subscriptionId", running)} if running else {}),
        }

    def update(self, wish: Mapping[str, Any]) -> Json:
        """What is not sent is taken off."""
        given = wish.get("profile") or {}
        found = self._customer(given)
        found.marks = {name: str(given.get(name) or "") for name in _MARKS}
        self._books.emit_customer("updated", found)
        return {}

    def delete(self, wish: Mapping[str, Any]) -> Json:
        found = self._customer(wish)
        self._refuse_in_use(found.id, None)
        del self._books.customers[found.id]
        self._books.emit_customer("deleted", found)
        return {}

    # --- payment profiles -------------------------------------------------------------------------

    def create_method(self, wish: Mapping[str, Any]) -> Json:
        found = self._customer(wish)
        made, line = self._add(found, wish.get("paymentProfile") or {}, wish)
        self._books.emit_method("created", found, made)
        shown = {"customerProfileId": found.id, "customerPaymentProfileId": made.id}
        return {**shown, "validationDirectResponse": line} if line else shown

    def read_method(self, wish: Mapping[str, Any]) -> Json:
        return {"paymentProfile": _method(self._method(wish), wish)}

    def update_method(self, wish: Mapping[str, Any]) -> Json:
        """What is not sent is taken off; a number that comes masked stays as it is (2026-11,
        https://developer.authorize.net/api/reference/#customer-profiles-update-customer-payment-profile)."""
        given = wish.get("paymentProfile") or {}
        found = self._method({**wish, "customerPaymentProfileId": given.get("customerPaymentProfileId")})
        payment = given.get("payment") or {}
        shown = payment.get("creditCard") or payment.get("bankAccount") or {}
        number = str(shown.get("cardNumber") or shown.get("accountNumber") or "")
        if not number.startswith("XXXX") or number[-4:] != found.last_four:
            raise Refusal("E00014", "A required field is not present: payment.")
        found.billing = {str(name): str(value) for name, value in (given.get("billTo") or {}).items()}
        self._books.emit_method("updated", self._customer(wish), found)
        return {}

    def delete_method(self, wish: Mapping[str, Any]) -> Json:
        customer, found = self._customer(wish), self._method(wish)
        self._refuse_in_use(customer.id, found.id)
        del customer.methods[found.id]
        self._books.emit_method("deleted", customer, found)
        return {}

    def of_charge(self, wish: Mapping[str, Any]) -> Json:
        """Make a payment profile of what a transaction was paid with (2026-11,
        https://developer.authorize.net/api/reference/#customer-profiles-create-a-customer-profile-from-a-transaction)."""
        transaction = self._books.transactions.get(str(wish.get("transId") or ""))
        token = self._books.sources.get(str(wish.get("transId") or ""))
        if transaction is None or token is None or transaction.code != 1:
            raise Refusal("E00099", "Customer profile creation failed. This transaction ID is invalid.")
        if transaction.wallet:
            raise Refusal(
                "E00103",
                "Customer profile creation failed. This payment method does not support profile creation.",
            )
        if wish.get("customerProfileId"):
            found = self._customer(wish)
        elif wish.get("customer"):
            marks = {name: str(wish["customer"].get(name) or "") for name in _MARKS}
            found = Customer(id=self._books.new_profile_id(), marks=marks)
        else:
            raise Refusal("E00102", "Customer Info is missing.")
        try:
            made = self._put(found, token, {})
        except Refusal as refusal:
            # Of this one nobody recorded whether it names the first: it does not here.
            raise Refusal(refusal.code, refusal.sentence, shown=_made(None, [], [])) from None
        self._books.customers[found.id] = found
        self._books.emit_method("created", found, made)
        return _made(found.id, [made.id], [])

    def of_pair(self, profile: Mapping[str, Any]) -> tuple[Customer, Method]:
        """Return what a charge or a subscription names."""
        inner = profile.get("paymentProfile") or {}
        number = inner.get("paymentProfileId") or profile.get("customerPaymentProfileId")
        wish = {**profile, "customerPaymentProfileId": number}
        return self._customer(wish), self._method(wish)

    # --- inside -----------------------------------------------------------------------------------

    def _add(
        self, customer: Customer, given: Mapping[str, Any], wish: Mapping[str, Any]
    ) -> tuple[Method, str]:
        token = self._books.spend((given.get("payment") or {}).get("opaqueData") or {})
        line = _validated(token, str(wish.get("validationMode") or "none"))
        billing = {str(name): str(value) for name, value in (given.get("billTo") or {}).items()}
        return self._put(customer, token, billing, line=line), line

    def _put(self, customer: Customer, token: Token, billing: dict[str, str], *, line: str = "") -> Method:
        made = Method(
            id=self._books.new_profile_id(), number=token.number, expires=token.expires, bank=token.bank,
            brand="" if token.bank else card_of(token.number).brand, billing=billing,
        )  # fmt: skip
        for other in customer.methods.values():
            # Number and the billing name, street and ZIP are compared, within one customer; the first one is
            # named in fields of their own (recorded).
            if other.identity == made.identity:
                shown = {"customerProfileId": customer.id, "customerPaymentProfileId": other.id}
                raise Refusal(
                    "E00039", "A duplicate customer payment profile already exists.",
                    shown={**shown, "validationDirectResponse": line} if line else shown,
                )  # fmt: skip
        if len(customer.methods) >= _MOST:
            raise Refusal("E00042", f"You cannot add more than {_MOST} payment profiles.")
        customer.methods[made.id] = made
        return made

    def _customer(self, wish: Mapping[str, Any]) -> Customer:
        found = self._books.customers.get(str(wish.get("customerProfileId") or ""))
        if found is None:
            raise Refusal("E00040", _NOT_FOUND)
        return found

    def _method(self, wish: Mapping[str, Any]) -> Method:
        found = self._customer(wish).methods.get(str(wish.get("customerPaymentProfileId") or ""))
        if found is None:
            raise Refusal("E00040", _NOT_FOUND)
        return found

    def _refuse_in_use(self, customer: str, method: str | None) -> None:
        for each in self._books.subscriptions.values():
            if each.runs and each.customer == customer and method in (None, each.method):
                raise Refusal(
                    "E00105",
                    "The specified payment profile is associated with an active or suspended subscription"
                    " and cannot be deleted.",
                )


def _made(customer: str | None, methods: list[str], lines: list[str]) -> Json:
    """Write down what was made in the schema's order, which wants every list (recorded)."""
    return {
        **({"customerProfileId": customer} if customer else {}),
        "customerPaymentProfileIdList": Items("numericString", methods),
        "customerShippingAddressIdList": Items("numericString", []),
        "validationDirectResponseList": Items("string", lines),
    }


def _validated(token: Token, mode: str) -> str:
    """In liveMode the issuer is asked with nothing or a cent; its answer is the old line (recorded)."""
    if mode == "none" or token.bank:
        return ""
    card = card_of(token.number)
    code, sentence = (card.code, card.sentence) if mode == "liveMode" else (1, "(TESTMODE) approved.")
    reason = card.reason if mode == "liveMode" else 1
    fields = [""] * 68
    fields[:7] = [str(code), "1", str(reason), sentence, "A1B2C3", "Y", "0"]
    fields[7:12] = ["none", "Test transaction for ValidateCustomerPaymentProfile.", "0.00", "CC", "auth_only"]
    fields[50:52] = [f"XXXX{token.number[-4:]}", card.brand]
    line = ",".join(fields)
    if code not in (1, 4):
        raise Refusal("E00027", sentence, shown={"validationDirectResponse": line})
    return line


def _method(method: Method, wish: Mapping[str, Any]) -> Json:
    """Numbers are masked; the date is, too, unless it is asked for."""
    unmasked = str(wish.get("unmaskExpirationDate")).lower() == "true"
    payment: Json
    if method.bank is not None:
        payment = {
            "bankAccount": {
                "routingNumber": "XXXX" + str(method.bank["routingNumber"])[-4:],
                "accountNumber": f"XXXX{method.last_four}",
                "nameOnAccount": str(method.bank["nameOnAccount"])[:22],
                "echeckType": "WEB",
            }
        }
    else:
        payment = {
            "creditCard": {
                "cardNumber": f"XXXX{method.last_four}",
                "expirationDate": method.expires if unmasked else "XXXX",
                "cardType": method.brand,
            }
        }
    shown: Json = {"billTo": dict(method.billing)} if method.billing else {}
    return {**shown, "customerPaymentProfileId": method.id, "payment": payment}


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
