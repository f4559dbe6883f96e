"""Customers and payment methods as the gateway keeps them (CIM): what is sent, what is read. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ...errors import InvalidRequest, ProviderError
from ...models import PaymentMethodStatus
from ..base import (
    BillingDetails,
    CustomerRequest,
    CustomerUpdate,
    PaymentMethodRequest,
    ProviderCustomer,
    ProviderMethod,
)
from .answers import Json, many, messages_of, text_of, texts_of
from .forms import is_reference, is_transaction, opaque_of, pair_of
from .refusals import error_from, response_of

__all__ = [
    "billing_of",
    "changed_billing",
    "changed_customer",
    "checked_pair",
    "checked_profile",
    "customer_from",
    "customer_payload",
    "digits_of",
    "duplicate_of",
    "is_duplicate",
    "method_from",
    "method_payload",
    "methods_in",
    "mine_among",
    "newcomer_payload",
    "profile_of",
    "reference_of_pair",
    "refusal_from",
]

DUPLICATE: Final = "E00039"

_NAMED: Final = re.compile(r"\bID (\d{1,19})\b")
_LENGTHS: Final[Mapping[str, int]] = {
    "firstName": 50, "lastName": 50, "address": 60, "city": 40, "state": 40, "zip": 20, "country": 60,
    "phoneNumber": 25, "company": 50, "faxNumber": 25, "email": 255,
}  # fmt: skip
_WALLETS: Final = {"apple": "apple_pay", "google": "google_pay"}


# --- names ----------------------------------------------------------------------------------------


def checked_profile(customer: str | None, field: str = "customer_id") -> str:
    if customer is None or not is_transaction(customer):  # both are numbers of the gateway's
        raise InvalidRequest("is not a customer of Authorize.net's", field=field)
    return customer


def checked_pair(method: str, customer: str | None = None) -> tuple[str, str]:
    """Read a stored method, which belongs to *customer* where one is named."""
    pair = pair_of(method)
    if pair is None or customer not in (None, pair[0]):
        raise InvalidRequest("is not a stored method of this customer", field="payment_method_id")
    return pair


def reference_of_pair(customer: str, method: str) -> str:
    return f"{customer}:{method}"


# --- what is sent ---------------------------------------------------------------------------------


def customer_payload(request: CustomerRequest) -> dict[str, Any]:
    """Return a customer that is found again by our reference.

    The gateway has a field for neither our id nor a name, so they share the description.
    """
    return _customer(request.reference, f"{request.customer_id} {request.name or ''}", request.email)


def changed_customer(profile: Json, request: CustomerUpdate) -> dict[str, Any]:
    """Return the whole customer with what changes: what is not sent is taken off."""
    words = (text_of(profile.get("description")) or "").split(" ", 1)
    name = request.name if request.name is not None else " ".join(words[1:])
    email = request.email if request.email is not None else text_of(profile.get("email"))
    whole = _customer(text_of(profile.get("merchantCustomerId")), f"{words[0]} {name}", email)
    return {**whole, "customerProfileId": request.customer}


def _customer(reference: str | None, description: str, email: str | None) -> dict[str, Any]:
    whole = {
        "merchantCustomerId": reference,
        "description": description.strip()[:255],
        "email": email[:255] if email else None,
    }
    return {name: value for name, value in whole.items() if value}


def method_payload(request: PaymentMethodRequest) -> dict[str, Any]:
    """Return a payment profile made of a one-time token."""
    if request.token is None:
        raise InvalidRequest("is required: a one-time token of Accept.js or of a wallet", field="token")
    payload: dict[str, Any] = {"payment": {"opaqueData": opaque_of(request.token)}}
    billing = _billing(request.billing)
    return {"billTo": billing, **payload} if billing else payload


def newcomer_payload(request: PaymentMethodRequest) -> dict[str, Any]:
    """Return a customer of its own for a method that belongs to none yet: both are made in one call."""
    email = request.billing.email if request.billing is not None else None
    customer = _customer(request.reference, request.payment_method_id, email)
    return {**customer, "paymentProfiles": method_payload(request)}


def changed_billing(profile: Json, billing: BillingDetails | None) -> dict[str, Any]:
    """Return the whole payment profile with other billing details.

    What is not sent is taken off, and a card or account that is sent masked stays as it is (2026-11,
    https://developer.authorize.net/api/reference/#customer-profiles-update-customer-payment-profile).
    """
    kept = profile.get("billTo")
    known = {name: text_of(kept.get(name)) for name in _LENGTHS} if isinstance(kept, Mapping) else {}
    whole = {name: value for name, value in {**known, **_billing(billing)}.items() if value}
    payload: dict[str, Any] = {"billTo": whole} if whole else {}
    shown = profile.get("payment")
    for kind, names in _MASKED.items():
        for each in many(shown.get(kind) if isinstance(shown, Mapping) else None):
            payload["payment"] = {kind: {name: each[name] for name in names if each.get(name)}}
    return payload


def billing_of(inputs: object) -> BillingDetails | None:
    """Read billing details out of an operation's inputs, where they are JSON values."""
    return BillingDetails(**inputs) if isinstance(inputs, Mapping) else None


_MASKED: Final[Mapping[str, tuple[str, ...]]] = {
    "creditCard": ("cardNumber", "expirationDate"),
    "bankAccount": (
        "accountType",
        "routingNumber",
        "accountNumber",
        "nameOnAccount",
        "echeckType",
        "bankName",
    ),
}


def _billing(billing: BillingDetails | None) -> dict[str, str]:
    if billing is None:
        return {}
    first, _, last = (billing.name or "").strip().rpartition(" ")
    lines = [line for line in (billing.line1, billing.line2) if line]
    given = {
        "firstName": first or last,
        "lastName": last if first else "",
        "address": ", ".join(lines),
        "city": billing.city,
        "state": billing.state,
        "zip": billing.postal_code,
        "country": billing.country,
        "phoneNumber": billing.phone,
        "email": billing.email,
    }
    return {name: value[: _LENGTHS[name]] for name, value in given.items() if value}


# --- what comes back ------------------------------------------------------------------------------


def profile_of(answer: Json, name: str = "profile") -> Json:
    """Return the profile of a read. Raises ValueError where there is none."""
    found = answer.get(name)
    if not isinstance(found, Mapping):
        raise ValueError("no profile")  # noqa: TRY004 - an unreadable answer, not a wrong argument
    return found


def customer_from(profile: Json, *, livemode: bool | None, raw: object = None) -> ProviderCustomer:
    ours, _, name = (text_of(profile.get("description")) or "").partition(" ")
    mark = text_of(profile.get("merchantCustomerId")) or ""
    return ProviderCustomer(
        reference=_number(profile, "customerProfileId"),
        email=text_of(profile.get("email")),
        name=name or None if is_reference(mark) else None,
        livemode=livemode,
        customer_id=ours or None if is_reference(mark) else None,
        our_reference=mark or None,
        raw=raw,
    )


def methods_in(profile: Json) -> dict[str, Json]:
    """Return the payment profiles of a customer by their number."""
    return {_number(each, "customerPaymentProfileId"): each for each in many(profile.get("paymentProfiles"))}


def method_from(profile: Json, *, customer: str, payment_method_id: str | None = None) -> ProviderMethod:
    """Read a payment profile. Dates are shown where they were asked for, numbers never are."""
    facts: dict[str, Any] = {
        "reference": reference_of_pair(customer, _number(profile, "customerPaymentProfileId")),
        "customer": customer,
        "status": PaymentMethodStatus.ACTIVE,
        "saved": True,
        "payment_method_id": payment_method_id,
        "raw": profile,
    }
    payment = profile.get("payment")
    shown: Json = payment if isinstance(payment, Mapping) else {}
    for card in many(shown.get("creditCard")):
        return ProviderMethod(
            brand=text_of(card.get("cardType")), last_four=_last_four(card.get("cardNumber")),
            **_expiry(card), **facts,
        )  # fmt: skip
    for account in many(shown.get("bankAccount")):
        return ProviderMethod(
            type="bank_account", last_four=_last_four(account.get("accountNumber")), **facts
        )
    for token in many(shown.get("tokenInformation")):
        source = (text_of(token.get("tokenSource")) or "").lower()
        wallet = next((word for part, word in _WALLETS.items() if part in source), None)
        number = _last_four(token.get("tokenNumber"))
        return ProviderMethod(last_four=number, wallet_type=wallet, **_expiry(token), **facts)
    return ProviderMethod(**facts)


def mine_among(methods: Mapping[str, Json], last_four: str | None, brand: str | None) -> str | None:
    """Return the one payment profile that shows these digits; None for none of them, or for several."""
    if last_four is None:
        return None
    alike = []
    for number, profile in methods.items():
        shown = method_from(profile, customer="0")
        if shown.last_four == last_four and (brand is None or shown.brand in (None, brand)):
            alike.append(number)
    return alike[0] if len(alike) == 1 else None


def duplicate_of(answer: Json, name: str) -> str | None:
    """Return the number of the record of which the gateway says that ours would be a duplicate.

    A payment profile's stands in a field of its own, a customer's in the sentence alone
    (2026-11, issue 264 of the vendor's .NET package).
    """
    for code, sentence in messages_of(answer):
        if code == DUPLICATE:
            listed = texts_of(answer.get("customerPaymentProfileIdList"), "numericString")
            named = _NAMED.search(sentence)
            field = listed[0] if listed and name == "customerPaymentProfileId" else answer.get(name)
            return text_of(field) or (named[1] if named and name == "customerProfileId" else None)
    return None


def digits_of(answer: Json) -> tuple[str | None, str | None]:
    """Return last four digits and brand of what was tried, where its issuer's line shows them."""
    direct = text_of(answer.get("validationDirectResponse")) or ""
    parts = direct.split(direct[1]) if re.match(r"[1-4]\W", direct) else []
    return (_last_four(parts[50]), parts[51] or None) if len(parts) > 51 else (None, None)


def is_duplicate(answer: Json) -> bool:
    return any(code == DUPLICATE for code, _ in messages_of(answer))


def refusal_from(answer: Json, *, repeat: bool, attempt: str) -> ProviderError:
    """Judge a refusal; where a card was tried and declined, by what its issuer said."""
    direct = text_of(answer.get("validationDirectResponse"))
    listed = texts_of(answer.get("validationDirectResponseList"), "string")
    issuer = _issuer(direct or (listed[0] if listed else ""))
    if issuer is not None and not response_of(answer) and _first_code(answer) == "E00027":
        answer = {**answer, "transactionResponse": issuer}
    return error_from(answer, repeat=repeat, attempt=attempt)


def _issuer(direct: str) -> dict[str, Any] | None:
    """Read the old answer in one line, whose separator is the account's choice: code, reason, words."""
    if not re.match(r"[1-4]\W", direct):
        return None
    parts = direct.split(direct[1])
    if len(parts) < 4:
        return None
    return {
        "responseCode": parts[0],
        "errors": [{"errorCode": parts[2], "errorText": parts[3]}],
    }


def _first_code(answer: Json) -> str:
    return next(messages_of(answer), ("", ""))[0]


def _number(profile: Json, name: str) -> str:
    number = text_of(profile.get(name))
    if number is None or not is_transaction(number):
        raise ValueError(f"a profile without {name}")
    return number


def _last_four(number: object) -> str | None:
    return (text_of(number) or "")[-4:] or None


def _expiry(shown: Json) -> dict[str, Any]:
    found = re.match(r"(\d{4})-(\d{2})\Z", text_of(shown.get("expirationDate")) or "")
    return {"expiry_year": int(found[1]), "expiry_month": int(found[2])} if found else {}
