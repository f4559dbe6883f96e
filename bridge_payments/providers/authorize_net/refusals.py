"""Which of Authorize.net's answers are a definite no, and which say nothing."""

from __future__ import annotations

import re
from typing import Any, Final

from ...errors import (
    ProviderDeclined,
    ProviderError,
    ProviderNotFound,
    ProviderRejected,
    ProviderStateConflict,
    ProviderUnknown,
)
from .answers import Json, messages_of, text_of
from .declines import DECLINES, decline_from, reason_of

__all__ = ["DUPLICATE", "GONE", "USED_TOKEN", "error_from", "read_error_from", "response_of", "safe"]

DUPLICATE: Final = frozenset({"11", "318"})
"""The same card, amount and invoice within the duplicate window: this one was not made, another was."""

USED_TOKEN: Final = frozenset({"E00114", "E00115", "E00116"})
"""A one-time token that was used, has expired or is another merchant's."""

# The gateway failed, or is too busy: it does not say what became of the request
# (2026-11, https://developer.authorize.net/api/reference/responseCodes.html).
_SYSTEM_FAILED: Final = frozenset({"E00001", "E00053", "E00117", "E00133"})

# 36: authorised, and then settlement failed. 120-122, 180, 181: the original was not answered by the
# processor and its void failed too, so the money may be held (2026-11, the same page).
_UNSURE: Final = frozenset({"36", "120", "121", "122", "180", "181"})

# The transaction that is referred to is in another state than we thought.
_STATE: Final = frozenset({"16", "47", "50", "51", "54", "55", "64", "304", "310", "311", "319", "327"})

GONE: Final = frozenset({"E00035", "E00040"})
"""There is no such subscription, or no such record."""

# A subscription that has ended is neither changed nor ended once more.
_OTHER_STATE: Final = frozenset({"E00037", "E00038"})

_E_CODE: Final = re.compile(r"E\d{5}")
_NUMBERS: Final = re.compile(r"(?<!\w)\d[\d -]{10,}\d")


def response_of(answer: Json) -> Json:
    """Return what is said of the transaction; empty where nothing is."""
    found = answer.get("transactionResponse")
    return found if isinstance(found, dict) else {}


def error_from(answer: Json, *, repeat: bool, attempt: str, intent: str | None = None) -> ProviderError:
    """Judge an answer that is not an approval.

    *repeat*: this call may have been sent before. Then a refusal is about the repeat, for which the token
    was used up or the window is closed, and it says nothing of the first (rule 9).
    *attempt* names the attempt where the gateway keeps no transaction of it.
    """
    response = response_of(answer)
    said, (request_code, request_text) = text_of(response.get("responseCode")), _first(answer)
    code, text = reason_of(response) if said in ("2", "3") else (request_code, request_text)
    transaction = text_of(response.get("transId"))
    transaction = transaction if transaction != "0" else None
    # The gateway refuses with 200; it numbers no requests, and its support finds a transaction by its number.
    facts: dict[str, Any] = {
        "provider_code": code or request_code, "request_id": transaction, "http_status": 200,
    }  # fmt: skip
    sentence = safe(text or request_text or "no reason given")
    if not _is_definite(said, code, request_code):
        return ProviderUnknown(f"Authorize.net did not say what became of it: {sentence}", **facts)
    if repeat:
        return ProviderUnknown(f"Authorize.net refused a repeat, which proves nothing: {sentence}", **facts)
    if code in DUPLICATE:
        return ProviderStateConflict(f"Authorize.net saw the same transaction before: {sentence}", **facts)
    if said == "2" or (said == "3" and code in DECLINES) or request_code == "E00118":
        decline = decline_from(
            code,
            text,
            reference=transaction,
            card_code=text_of(response.get("cvvResultCode")),
        )
        return ProviderDeclined(
            safe(decline.message),
            decline_code="fraudulent" if request_code == "E00118" else decline.code,
            payment=intent,
            attempt=decline.reference or attempt,
            **facts,
        )
    kind: type[ProviderError] = ProviderRejected
    if said == "3" and code in _STATE:
        kind = ProviderStateConflict
    elif request_code in GONE:
        kind = ProviderNotFound
    elif request_code in _OTHER_STATE:
        kind = ProviderStateConflict
    return kind(f"Authorize.net refused: {sentence}", **facts)


def read_error_from(answer: Json) -> ProviderError:
    """Judge an error answer to a read: only "there is no such record" is about the object."""
    code, text = _first(answer)
    kind = ProviderNotFound if code in GONE else ProviderUnknown
    return kind(f"Authorize.net did not say: {safe(text)}", provider_code=code or None)


def safe(message: str) -> str:
    """Shorten a sentence of the gateway's, and blank what could be a card or account number in it."""
    return _NUMBERS.sub("…", message)[:300]


def _is_definite(said: str | None, code: str | None, request_code: str) -> bool:
    if said in ("2", "3"):
        return code is not None and code not in _UNSURE and request_code not in _SYSTEM_FAILED
    # Without a word about the transaction only a refusal of the request itself is one.
    return said is None and bool(_E_CODE.fullmatch(request_code)) and request_code not in _SYSTEM_FAILED


def _first(answer: Json) -> tuple[str, str]:
    return next(messages_of(answer), ("", ""))
