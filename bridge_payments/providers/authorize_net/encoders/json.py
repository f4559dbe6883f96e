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
_EXTENDED: Final = "amount name description"

# What we send, in the order in which the gateway wants it: another one is refused with E00003
# (2026-11, https://developer.authorize.net/api/reference/ and issue 106 of the vendor's samples for C#).
# It is a part of theirs. A test holds it against their package and their schema.
_ORDER: Final[Mapping[str, str]] = {
    "createTransactionRequest": f"{_REQUEST} transactionRequest",
    "getTransactionDetailsRequest": f"{_REQUEST} transId",
    "getUnsettledTransactionListRequest": f"{_REQUEST} sorting paging",
    "getSettledBatchListRequest": f"{_REQUEST} firstSettlementDate lastSettlementDate",
    "getTransactionListRequest": f"{_REQUEST} batchId sorting paging",
    "authenticateTestRequest": _REQUEST,
    "merchantAuthentication": "name transactionKey",
    "sorting": "orderBy orderDescending",
    "paging": "limit offset",
    "transactionRequest": (
        "transactionType amount currencyCode payment refTransId order lineItems tax duty shipping taxExempt"
        " poNumber customer billTo shipTo customerIP cardholderAuthentication transactionSettings"
    ),
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
}
ORDER: Final[Mapping[str, tuple[str, ...]]] = {name: tuple(names.split()) for name, names in _ORDER.items()}


class JsonEncoder:
    name = "json"
    content_type = "application/json"

    def encode(self, operation: str, payload: Json) -> bytes:
        return json.dumps({operation: _ordered(operation, payload)}, separators=(",", ":")).encode()

    def decode(self, content: bytes) -> tuple[str | None, Json]:
        # The answer begins with a byte order mark (2026-11, issue 231 of the vendor's PHP package).
        found = json.loads(content.decode("utf-8-sig"), parse_float=Decimal, parse_constant=_not_a_number)
        if not isinstance(found, dict):
            raise ValueError("not an object")  # noqa: TRY004 - an unreadable answer, not a wrong argument
        return None, found


def _ordered(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_ordered(name, each) for each in value]
    if not isinstance(value, Mapping):
        return value
    known = ORDER.get(name, ())
    for key in value:
        if key not in known:
            raise InvalidRequest(f"{name} has no {key}", field="extra")
    return {key: _ordered(key, value[key]) for key in known if key in value}


def _not_a_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
