"""Words that every provider's answers are put into: why a payer is refused, and a status nobody knows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["DECLINE_CODES", "UNRECOGNISED", "Decline", "Unrecognised"]


class Unrecognised(StrEnum):
    UNRECOGNISED = "unrecognised"


UNRECOGNISED: Final = Unrecognised.UNRECOGNISED
"""A status that this version does not know: never silently pending; read again and alert."""

DECLINE_CODES: Final = frozenset(
    {
        "authentication_failed",
        "authentication_required",
        "card_not_supported",
        "currency_not_supported",
        "declined",
        "expired_card",
        "fraudulent",
        "incorrect_address",
        "incorrect_cvc",
        "incorrect_number",
        "insufficient_funds",
        "invalid_account",
        "limit_exceeded",
        "lost_or_stolen",
        "processing_error",
        "try_again_later",
    }
)
"""Why a payer is refused, for every provider; ``declined`` is what says nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decline:
    """Why an attempt was refused."""

    code: str
    """Normalised: one of `DECLINE_CODES`."""
    message: str
    """For the payer."""
    provider_code: str | None = None
    reference: str | None = None
    """The provider's reference of the attempt; two reads of one attempt carry the same."""
