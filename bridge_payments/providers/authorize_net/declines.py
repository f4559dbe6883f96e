"""Why a payer was refused, in the words that every provider shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..base import Decline
from .answers import Json, many, text_of

__all__ = ["DECLINES", "decline_from", "reason_of"]


def _codes(codes: str, meaning: str) -> dict[str, str]:
    return dict.fromkeys(codes.split(), meaning)


# Response reason codes that are the payer's or the issuer's no
# (2026-11, https://developer.authorize.net/api/reference/responseCodes.html). What a shop or its account
# has set up wrongly is missing here: that is a refusal, not a decline.
DECLINES: Final[Mapping[str, str]] = {
    **_codes(
        "2 3 41 141 145 165 191 200 225 226 227 228 230 231 232 233 234 235 236 237 238 239 240", "declined"
    ),
    **_codes("4", "lost_or_stolen"),
    **_codes("6 37 315", "incorrect_number"),
    **_codes("7 8 316 317", "expired_card"),
    **_codes("9 10 101 248", "invalid_account"),
    **_codes("17 28 56", "card_not_supported"),
    **_codes("27 127", "incorrect_address"),
    **_codes("44 45 65 78 312", "incorrect_cvc"),
    **_codes("49", "limit_exceeded"),
    **_codes("250 251 254", "fraudulent"),
    **_codes("19 20 21 22 23 25 26 57 58 59 60 61 62 63 131 132 192 261 901", "try_again_later"),
    **_codes("52 152 153 328", "processing_error"),
}


def reason_of(response: Json) -> tuple[str | None, str | None]:
    """Return code and sentence of the first error; a decline may say them among its messages."""
    for error in many(response.get("errors"), "error"):
        return text_of(error.get("errorCode")), text_of(error.get("errorText"))
    for message in many(response.get("messages"), "message"):
        return text_of(message.get("code")), text_of(message.get("description"))
    return None, None


def decline_from(
    code: str | None, message: str | None, *, reference: str | None, card_code: str | None = None
) -> Decline:
    """*card_code* is what the issuer said of the digits on the back; N: they do not match."""
    word = DECLINES.get(code or "", "declined")
    return Decline(
        code="incorrect_cvc" if word == "declined" and card_code == "N" else word,
        message=(message or "The payment method was declined.")[:300],
        provider_code=code,
        reference=reference,
    )
