"""What we send, as plain values. Pure: requests in, payloads out; the encoders put them in order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from ...errors import InvalidRequest
from ...models import CaptureMethod, Money
from ...tripwire import is_card_in_disguise
from .answers import Json, many, text_of
from .money import to_gateway

__all__ = [
    "DUPLICATE_WINDOW",
    "PAGE",
    "PREFIX",
    "batches_payload",
    "capture_payload",
    "charge_payload",
    "checked_transaction",
    "intent_of",
    "invoice_for",
    "is_reference",
    "is_token",
    "is_transaction",
    "opaque_of",
    "pair_of",
    "reference_of",
    "refund_payload",
    "settled_payload",
    "unsettled_payload",
    "void_payload",
]

PREFIX: Final = "anet_"
"""What makes our reference an intent's: Authorize.net has none of its own."""

# The longest window that the gateway takes, 8 hours: the same card, amount and invoice within it is
# refused with error 11 (2026-11, https://support.authorize.net/s/article/Error-11-A-duplicate-transaction-has-been-submitted).
DUPLICATE_WINDOW: Final = "28800"
PAGE: Final = 1000

_ACCEPT: Final = "COMMON.ACCEPT.INAPP.PAYMENT"
# (2026-11, https://developer.authorize.net/api/reference/features/in-app.html). Accept.js makes tokens of
# cards and of bank accounts alike.
_DESCRIPTORS: Final[Mapping[str, str]] = {
    "accept": _ACCEPT,
    "apple_pay": "COMMON.APPLE.INAPP.PAYMENT",
    "google_pay": "COMMON.GOOGLE.INAPP.PAYMENT",
    **{name: name for name in (_ACCEPT, "COMMON.APPLE.INAPP.PAYMENT", "COMMON.GOOGLE.INAPP.PAYMENT")},
}
_TOKEN: Final = re.compile(r"[A-Za-z0-9_\-.+/=]{8,8192}\Z")
_TRANSACTION: Final = re.compile(r"[1-9]\d{0,18}\Z")
_PAIR: Final = re.compile(r"([1-9]\d{0,18}):([1-9]\d{0,18})\Z")
_REFERENCE: Final = re.compile(r"[0-9a-z]{20}\Z")

_EXTRA: Final = frozenset(
    "billTo shipTo customer customerIP lineItems tax duty shipping taxExempt poNumber"
    " cardholderAuthentication".split()
)


def intent_of(reference: str) -> str:
    """Return the reference of the intent that carries our 20 characters."""
    return PREFIX + reference


def reference_of(intent: str) -> str:
    """Return our 20 characters: the invoice number. Raises InvalidRequest for what is no intent of ours."""
    reference = intent.removeprefix(PREFIX)
    if reference == intent or not is_reference(reference):
        raise InvalidRequest("is not an intent of Authorize.net's", field="payment")
    return reference


def invoice_for(payment: str) -> str | None:
    """Return the invoice that a payment's charges carry; None for one that a subscription collected.

    Those have no intent of ours: they are called by their transaction and carry their subscription's invoice.
    """
    return None if is_transaction(payment) else reference_of(payment)


def is_reference(text: str) -> bool:
    return _REFERENCE.match(text) is not None


def is_transaction(text: str) -> bool:
    return _TRANSACTION.match(text) is not None


def checked_transaction(transaction: str | None, field: str = "charge") -> str:
    if transaction is None or not is_transaction(transaction):
        raise InvalidRequest("is not a transaction of Authorize.net's", field=field)
    return transaction


def charge_payload(
    *,
    amount: Money,
    invoice: str,
    capture_method: CaptureMethod,
    payment_method: str | None,
    description: str | None,
    customer: str | None = None,
    off_session: bool = False,
    keep: bool = False,
    after: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the transaction that charges a one-time token or a stored method, or only authorises it.

    *customer* is whose stored method it has to be, where that is known; *keep*: the token's card will be
    charged again.
    """
    stored = pair_of(payment_method)
    if stored is not None and customer not in (None, stored[0]):
        # A pair of ids is no secret: the engine decides who may name one, and it has to fit (rule 22).
        raise InvalidRequest("is not a stored method of this customer", field=_FIELD)
    payload: dict[str, Any] = {
        "transactionType": (
            "authOnlyTransaction" if capture_method is CaptureMethod.MANUAL else "authCaptureTransaction"
        ),
        "amount": to_gateway(amount),
        "currencyCode": amount.currency,
        **(
            _profile(stored) if stored is not None else {"payment": {"opaqueData": opaque_of(payment_method)}}
        ),
        "order": {"invoiceNumber": invoice},
        "transactionSettings": {
            "setting": [
                # An account may allow a part of the amount to be approved on a prepaid card.
                {"settingName": "allowPartialAuth", "settingValue": "false"},
                {"settingName": "duplicateWindow", "settingValue": DUPLICATE_WINDOW},
            ]
        },
    }
    if after:
        # A refused attempt counts for the window as well, and whoever corrects a typing error pays with the
        # same card, amount and invoice. The purchase order is compared too, so it tells this deliberate
        # attempt from a lost one (2026-11, the page on error 11).
        payload["poNumber"] = after[:25]
    if options := _card_on_file(stored=stored is not None, off_session=off_session, keep=keep):
        payload["processingOptions"] = options
    if description:
        payload["order"]["description"] = description[:255]
    if stored is not None and "billTo" in (extra or {}):
        raise InvalidRequest("billTo is the stored method's own", field="extra")
    for name, value in (extra or {}).items():
        if name not in _EXTRA:
            raise InvalidRequest(f"{name} cannot be given here", field="extra")
        payload[name] = value
    return payload


def capture_payload(charge: str, amount: Money) -> dict[str, Any]:
    return {
        "transactionType": "priorAuthCaptureTransaction",
        "amount": to_gateway(amount),
        "refTransId": charge,
    }


def void_payload(charge: str) -> dict[str, Any]:
    return {"transactionType": "voidTransaction", "refTransId": charge}


def refund_payload(charge: str, amount: Money, transaction: Json, *, invoice: str) -> dict[str, Any]:
    """Return the refund of a settled transaction, back to the card or the account that it shows masked."""
    return {
        "transactionType": "refundTransaction",
        "amount": to_gateway(amount),
        "currencyCode": amount.currency,
        "payment": _masked(transaction),
        "refTransId": charge,
        "order": {"invoiceNumber": invoice},
    }


def unsettled_payload(page: int) -> dict[str, Any]:
    return {"sorting": _NEWEST_FIRST, "paging": {"limit": PAGE, "offset": page}}


def settled_payload(batch: str, page: int) -> dict[str, Any]:
    return {"batchId": batch, **unsettled_payload(page)}


def batches_payload(since: datetime, until: datetime) -> dict[str, Any]:
    return {
        "firstSettlementDate": since.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lastSettlementDate": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


_NEWEST_FIRST: Final = {"orderBy": "submitTimeUTC", "orderDescending": True}


def pair_of(method: str | None) -> tuple[str, str] | None:
    """Read a stored method: the customer profile and the payment profile in it; None for anything else."""
    found = _PAIR.match(method or "")
    return (found[1], found[2]) if found else None


def _profile(pair: tuple[str, str]) -> dict[str, Any]:
    return {"profile": {"customerProfileId": pair[0], "paymentProfile": {"paymentProfileId": pair[1]}}}


def _card_on_file(*, stored: bool, off_session: bool, keep: bool) -> dict[str, bool]:
    """Say who began a charge of a stored card, as the card schemes ask for
    (2026-11, https://developer.authorize.net/api/reference/features/card-on-file.html)."""
    if stored:
        return {"isSubsequentAuth": True} if off_session else {"isStoredCredentials": True}
    return {"isFirstSubsequentAuth": True} if keep else {}


def is_token(method: str) -> bool:
    try:
        opaque_of(method)
    except InvalidRequest:
        return False
    return True


def opaque_of(method: str | None) -> dict[str, str]:
    """Read a one-time token; its descriptor before a colon, Accept.js's where there is none."""
    if method is None:
        raise InvalidRequest("is required: a one-time token of Accept.js or of a wallet", field=_FIELD)
    name, colon, value = method.partition(":")
    if not colon:
        name, value = "accept", method
    descriptor = _DESCRIPTORS.get(name)
    if descriptor is None:
        raise InvalidRequest(
            "is not a one-time token: a stored method cannot stand here, and no other kind is known",
            field=_FIELD,
        )
    if not _TOKEN.match(value) or is_card_in_disguise(value):
        raise InvalidRequest("is not a one-time token of Accept.js or of a wallet", field=_FIELD)
    return {"dataDescriptor": descriptor, "dataValue": value}


def _masked(transaction: Json) -> dict[str, Any]:
    payment = transaction.get("payment")
    shown = payment if isinstance(payment, Mapping) else {}
    for card in many(shown.get("creditCard")):
        # The last four digits and a date that is not read
        # (2026-11, https://developer.authorize.net/api/reference/#payment-transactions-refund-a-transaction).
        number = text_of(card.get("cardNumber")) or ""
        return {"creditCard": {"cardNumber": number[-4:], "expirationDate": "XXXX"}}
    for account in many(shown.get("bankAccount")):
        names = ("accountType", "routingNumber", "accountNumber", "nameOnAccount")
        return {"bankAccount": {name: text_of(account.get(name)) for name in names if account.get(name)}}
    raise InvalidRequest("was paid by a means that is not refunded here", field="charge")


_FIELD: Final = "payment_method_id"
