"""Requests as JSON. The gateway reads it as the XML that it stands for, so the order of the names counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NoReturn

from ....errors import InvalidRequest
from ..answers import Json

__all__ = ["ORDER", "JsonEncoder"]

_REQUEST: Final = "merchantAuthentication refId"
_ADDRESS: Final = "firstName lastName company address city state zip country"
_CUSTOMER: Final = "merchantCustomerId description email"
_EXTENDED: Final = "amount name description"

# What we send, in the order in which the gateway wants it: another one is refused with E00003
# (2026-11, https://developer.authorize.net/api/reference/ and issue 106 of the vendor's samples for C#).
# It is a part of theirs, by the name of an element, or by its path where one name means several. A test
# holds it against their package and their schema.
_ORDER: Final[Mapping[str, str]] = {
    "createTransactionRequest": f"{_REQUEST} transactionRequest",
    "getTransactionDetailsRequest": f"{_REQUEST} transId",
    "getUnsettledTransactionListRequest": f"{_REQUEST} sorting paging",
    "getSettledBatchListRequest": f"{_REQUEST} firstSettlementDate lastSettlementDate",
    "getTransactionListRequest": f"{_REQUEST} batchId sorting paging",
    "authenticateTestRequest": _REQUEST,
    "createCustomerProfileRequest": f"{_REQUEST} profile validationMode",
    "getCustomerProfileRequest": (f"{_REQUEST} customerProfileId merchantCustomerId unmaskExpirationDate"),
    "updateCustomerProfileRequest": f"{_REQUEST} profile",
    "deleteCustomerProfileRequest": f"{_REQUEST} customerProfileId",
    "createCustomerPaymentProfileRequest": f"{_REQUEST} customerProfileId paymentProfile validationMode",
    "getCustomerPaymentProfileRequest": (
        f"{_REQUEST} customerProfileId customerPaymentProfileId unmaskExpirationDate"
    ),
    "updateCustomerPaymentProfileRequest": f"{_REQUEST} customerProfileId paymentProfile",
    "deleteCustomerPaymentProfileRequest": f"{_REQUEST} customerProfileId customerPaymentProfileId",
    "createCustomerProfileFromTransactionRequest": f"{_REQUEST} transId customer customerProfileId",
    "ARBCreateSubscriptionRequest": f"{_REQUEST} subscription",
    "ARBUpdateSubscriptionRequest": f"{_REQUEST} subscriptionId subscription",
    "ARBCancelSubscriptionRequest": f"{_REQUEST} subscriptionId",
    "ARBGetSubscriptionRequest": f"{_REQUEST} subscriptionId includeTransactions",
    "ARBGetSubscriptionListRequest": f"{_REQUEST} searchType sorting paging",
    "merchantAuthentication": "name transactionKey",
    "sorting": "orderBy orderDescending",
    "paging": "limit offset",
    "transactionRequest": (
        "transactionType amount currencyCode payment profile refTransId order lineItems tax duty shipping"
        " taxExempt poNumber customer billTo shipTo customerIP cardholderAuthentication transactionSettings"
        " processingOptions"
    ),
    "transactionRequest.profile": "customerProfileId paymentProfile",
    "transactionRequest.profile.paymentProfile": "paymentProfileId",
    "processingOptions": "isFirstSubsequentAuth isSubsequentAuth isStoredCredentials",
    "payment": "creditCard bankAccount opaqueData",
    "creditCard": "cardNumber expirationDate",
    "bankAccount": "accountType routingNumber accountNumber nameOnAccount echeckType bankName",
    "opaqueData": "dataDescriptor dataValue",
    "order": "invoiceNumber description",
    "lineItems": "lineItem",
    "lineItem": "itemId name description quantity unitPrice taxable",
    "tax": _EXTENDED,
    "duty": _EXTENDED,
    "shipping": _EXTENDED,
    "customer": "type id email",
    "billTo": f"{_ADDRESS} phoneNumber faxNumber email",
    "shipTo": _ADDRESS,
    "cardholderAuthentication": "authenticationIndicator cardholderAuthenticationValue",
    "transactionSettings": "setting",
    "setting": "settingName settingValue",
    "createCustomerProfileRequest.profile": f"{_CUSTOMER} paymentProfiles",
    "updateCustomerProfileRequest.profile": f"{_CUSTOMER} customerProfileId",
    "createCustomerProfileFromTransactionRequest.customer": _CUSTOMER,
    "paymentProfiles": "billTo payment",
    "paymentProfile": "billTo payment customerPaymentProfileId",
    "subscription": "name paymentSchedule amount order profile",
    "subscription.profile": "customerProfileId customerPaymentProfileId",
    "paymentSchedule": "interval startDate totalOccurrences",
    "interval": "length unit",
}
ORDER: Final[Mapping[str, tuple[str, ...]]] = {name: tuple(names.split()) for name, names in _ORDER.items()}


class JsonEncoder:
    name = "json"
    content_type = "application/json"

    def encode(self, operation: str, payload: Json) -> bytes:
        written = {operation: _ordered((operation,), payload)}
        return json.dumps(written, separators=(",", ":")).encode()

    def decode(self, content: bytes) -> tuple[str | None, Json]:
        # The answer begins with a byte order mark (2026-11, issue 231 of the vendor's PHP package).
        found = json.loads(content.decode("utf-8-sig"), parse_float=Decimal, parse_constant=_not_a_number)
        if not isinstance(found, dict):
            raise ValueError("not an object")  # noqa: TRY004 - an unreadable answer, not a wrong argument
        return None, found


def _ordered(path: tuple[str, ...], value: Any) -> Any:
    if isinstance(value, list):
        return [_ordered(path, each) for each in value]
    if not isinstance(value, Mapping):
        return value
    known = _order_of(path)
    for key in value:
        if key not in known:
            raise InvalidRequest(f"{path[-1]} has no {key}", field="extra")
    return {key: _ordered((*path, key), value[key]) for key in known if key in value}


def _order_of(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return the order for the longest end of *path* that has one of its own."""
    ends = (".".join(path[start:]) for start in range(len(path)))
    return next((ORDER[end] for end in ends if end in ORDER), ())


def _not_a_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
