"""Why a payer was refused, in the words that every provider shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..base import Decline
from .objects import Json, text_of, text_or_none

__all__ = ["DECLINES", "decline_from"]

_ISSUES: Final[Mapping[str, str]] = {
    # Issues of a 422 that are about the payer or the instrument (2026-11,
    # https://developer.paypal.com/api/rest/reference/orders/v2/errors).
    "ALIAS_DECLINED_BY_PROCESSOR": "declined",
    "BILLING_ADDRESS_INVALID": "incorrect_address",
    "CARD_BRAND_NOT_SUPPORTED": "card_not_supported",
    "CARD_CLOSED": "invalid_account",
    "CARD_EXPIRED": "expired_card",
    "CARD_TYPE_NOT_SUPPORTED": "card_not_supported",
    "COMPLIANCE_VIOLATION": "declined",
    "CURRENCY_NOT_SUPPORTED_FOR_CARD_TYPE": "currency_not_supported",
    "DECLINED_DUE_TO_RELATED_TXN": "declined",
    "DOMESTIC_TRANSACTION_REQUIRED": "card_not_supported",
    "INSTRUMENT_DECLINED": "declined",
    "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED": "limit_exceeded",
    "PAYEE_BLOCKED_TRANSACTION": "fraudulent",
    "PAYER_ACCOUNT_LOCKED_OR_CLOSED": "invalid_account",
    "PAYER_ACCOUNT_RESTRICTED": "invalid_account",
    "PAYER_CANNOT_PAY": "declined",
    "PAYMENT_SOURCE_CANNOT_BE_USED": "declined",
    "PAYMENT_SOURCE_DECLINED_BY_PROCESSOR": "declined",
    "PAYMENT_SOURCE_INFO_CANNOT_BE_VERIFIED": "authentication_failed",
    "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING": "declined",
    "REFERENCED_CARD_EXPIRED": "expired_card",
    "TRANSACTION_BLOCKED_BY_PAYEE": "fraudulent",
    "TRANSACTION_LIMIT_EXCEEDED": "limit_exceeded",
    "TRANSACTION_RECEIVING_LIMIT_EXCEEDED": "limit_exceeded",
    "TRANSACTION_REFUSED": "declined",
}

_PROCESSOR: Final[Mapping[str, str]] = {
    # processor_response.response_code of a declined card (2026-11,
    # https://developer.paypal.com/docs/api/orders/v2/#definition-processor_response).
    "00N7": "incorrect_cvc",
    "0580": "card_not_supported",
    "1330": "invalid_account",
    "1335": "invalid_account",
    "5110": "incorrect_cvc",
    "5120": "insufficient_funds",
    "5130": "authentication_failed",
    "5135": "authentication_failed",
    "5140": "card_not_supported",
    "5150": "card_not_supported",
    "5160": "card_not_supported",
    "5170": "incorrect_address",
    "5180": "card_not_supported",
    "5190": "limit_exceeded",
    "5200": "try_again_later",
    "5400": "expired_card",
    "5500": "authentication_failed",
    "5650": "authentication_required",
    "9100": "try_again_later",
    "9500": "fraudulent",
    "9510": "fraudulent",
    "9520": "lost_or_stolen",
    "9540": "limit_exceeded",
    "PCVV": "incorrect_cvc",
    "PPCE": "incorrect_cvc",
    "PPEX": "expired_card",
    "PPTE": "try_again_later",
}

_REASONS: Final[Mapping[str, str]] = {"DECLINED_BY_RISK_FRAUD_FILTERS": "fraudulent"}

DECLINES: Final[Mapping[str, str]] = {**_ISSUES, **_PROCESSOR, **_REASONS}
"""What is missing here is no decline where it is an issue, and "declined" where it is a processor's code."""


def decline_from(attempt: Json) -> Decline:
    """Read a capture or an authorisation that the processor refused."""
    said = text_or_none((attempt.get("processor_response") or {}).get("response_code"))
    reason = text_or_none((attempt.get("status_details") or {}).get("reason"))
    return Decline(
        code=DECLINES.get(said or "") or DECLINES.get(reason or "", "declined"),
        message="The payment method was declined.",
        provider_code=said or reason or text_of(attempt["status"]),
        reference=text_of(attempt["id"]),
    )
