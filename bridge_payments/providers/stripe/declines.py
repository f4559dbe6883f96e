"""Why a payer was refused, in the words that every provider shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..base import Decline
from .objects import Json, reference_of

__all__ = ["DECLINES", "charge_decline_from", "decline_from", "says_why"]

# Decline codes and the error codes that stand alone (2026-11, https://docs.stripe.com/declines/codes and
# https://docs.stripe.com/error-codes). What is missing here is "declined".
DECLINES: Final[Mapping[str, str]] = {
    "authentication_not_handled": "authentication_failed",
    "authentication_required": "authentication_required",
    "card_not_supported": "card_not_supported",
    "card_velocity_exceeded": "limit_exceeded",
    "currency_not_supported": "currency_not_supported",
    "expired_card": "expired_card",
    "fraudulent": "fraudulent",
    "highest_risk_level": "fraudulent",
    "incorrect_address": "incorrect_address",
    "incorrect_cvc": "incorrect_cvc",
    "incorrect_number": "incorrect_number",
    "incorrect_pin": "authentication_failed",
    "incorrect_zip": "incorrect_address",
    "insufficient_funds": "insufficient_funds",
    "invalid_account": "invalid_account",
    "invalid_amount": "limit_exceeded",
    "invalid_cvc": "incorrect_cvc",
    "invalid_expiry_month": "expired_card",
    "invalid_expiry_year": "expired_card",
    "invalid_number": "incorrect_number",
    "invalid_pin": "authentication_failed",
    "issuer_not_available": "try_again_later",
    "lost_card": "lost_or_stolen",
    "merchant_blacklist": "fraudulent",
    "mobile_device_authentication_required": "authentication_required",
    "new_account_information_available": "invalid_account",
    "offline_pin_required": "authentication_required",
    "online_or_offline_pin_required": "authentication_required",
    "payment_intent_authentication_failure": "authentication_failed",
    "payment_method_customer_decline": "authentication_failed",
    "payment_method_provider_timeout": "try_again_later",
    "payment_method_unactivated": "invalid_account",
    "pickup_card": "lost_or_stolen",
    "pin_try_exceeded": "limit_exceeded",
    "processing_error": "processing_error",
    "reenter_transaction": "try_again_later",
    "restricted_card": "card_not_supported",
    "setup_intent_authentication_failure": "authentication_failed",
    "stolen_card": "lost_or_stolen",
    "testmode_decline": "card_not_supported",
    "transaction_not_allowed": "card_not_supported",
    "try_again_later": "try_again_later",
    "withdrawal_count_limit_exceeded": "limit_exceeded",
}


def decline_from(error: Json) -> Decline:
    """Read `last_payment_error`, or the error of a 402: both describe an attempt, and the same one alike."""
    method = reference_of(error.get("payment_method"))
    code = error.get("decline_code") or error.get("code")
    attempt = reference_of(error.get("charge"))
    return Decline(
        code=DECLINES.get(error.get("decline_code") or "")
        or DECLINES.get(error.get("code") or "", "declined"),
        message=error.get("message") or "The payment method was declined.",
        provider_code=code,
        # A failed authentication has no charge. Each attempt of a browser brings a payment method of its own.
        reference=attempt or (f"{method}:{code}" if method else None),
    )


def says_why(error: Json) -> bool:
    """Whether an error says anything of an attempt."""
    return bool(error.get("code") or error.get("decline_code") or error.get("message"))


def charge_decline_from(charge: Json) -> Decline:
    """Read a failed charge: it remembers when any later change of the intent has cleared its error."""
    return Decline(
        code=DECLINES.get(charge.get("failure_code") or "", "declined"),
        message=charge.get("failure_message") or "The payment method was declined.",
        provider_code=charge.get("failure_code"),
        reference=reference_of(charge),
    )
