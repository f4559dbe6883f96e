"""Which of PayPal's error answers are a definite no, and which say nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ...errors import (
    ProviderDeclined,
    ProviderError,
    ProviderNeverSent,
    ProviderNotFound,
    ProviderRejected,
    ProviderStateConflict,
    ProviderUnknown,
)
from .declines import DECLINES
from .objects import text_or_none

__all__ = ["error_from", "read_error_from", "token_error_from", "unsent_from"]

# The object is in another state than we thought: somebody was faster, or the payer is not there yet (2026-11,
# https://developer.paypal.com/api/rest/reference/orders/v2/errors and …/payments/v2/errors).
_STATE_ISSUES: Final = frozenset(
    """
    ACTION_DOES_NOT_MATCH_INTENT AUTHORIZATION_ALREADY_CAPTURED AUTHORIZATION_DENIED AUTHORIZATION_EXPIRED
    AUTHORIZATION_VOIDED CANNOT_BE_VOIDED CAPTURE_FULLY_REFUNDED MAX_CAPTURE_COUNT_EXCEEDED
    ORDER_ALREADY_AUTHORIZED ORDER_ALREADY_CAPTURED ORDER_ALREADY_COMPLETED ORDER_COMPLETED_OR_VOIDED
    ORDER_EXPIRED ORDER_NOT_APPROVED PAYER_ACTION_REQUIRED PENDING_CAPTURE PREVIOUSLY_CAPTURED
    PREVIOUSLY_VOIDED REFUND_NOT_PERMITTED_DUE_TO_CHARGEBACK SETUP_TOKEN_ALREADY_TOKENIZED
    SUBSCRIPTION_CANNOT_BE_ACTIVATED SUBSCRIPTION_STATUS_INVALID TRANSACTION_DISPUTED
    """.split()
)

# Another request, perhaps our own lost one, is at work or has been: only a read tells. An invoice number is
# ours alone, so a duplicate one was made by us.
_UNKNOWN_ISSUES: Final = frozenset(
    """
    DUPLICATE_INVOICE_ID DUPLICATE_REQUEST_ID ORDER_COMPLETION_IN_PROGRESS PREVIOUS_REQUEST_IN_PROGRESS
    """.split()
)

# Refused before anything was executed: the body, the credentials, the rate, or the object's own rules. A 409
# is another request with the same key (2026-11, https://developer.paypal.com/api/rest/reference/idempotency).
_NEVER_EXECUTED: Final = frozenset({400, 401, 403, 404, 422, 429})

# An access token, and anything long enough to be the number of a card or an account.
_SECRETS: Final = re.compile(r"\bA21A[\w.-]+|\bBearer\s+\S+|(?<!\w)\d[\d -]{10,}\d")


def error_from(
    status: int | None,
    body: Any,
    *,
    request_id: str | None = None,
    repeat: bool = False,
    order: str | None = None,
    instrument: bool = False,
) -> ProviderError:
    """Judge an error answer to a call that may have changed something.

    *repeat*: this call may have been sent before. Then a refusal is about the repeat and says nothing
    of the first (rule 9), so everything is unknown. *order* names the order that a payer stands before, and
    *instrument* says that an instrument is to be kept: only there is a refused one a decline.
    """
    said = body if isinstance(body, Mapping) else {}
    issue = _issue_of(said)
    code = issue or text_or_none(said.get("name")) or text_or_none(said.get("error"))
    facts: dict[str, Any] = {"provider_code": code, "request_id": request_id, "http_status": status}
    if status not in _NEVER_EXECUTED or code is None or code in _UNKNOWN_ISSUES:
        return ProviderUnknown(_sentence("PayPal did not say what became of it", status, said), **facts)
    if repeat:
        return ProviderUnknown(
            _sentence("PayPal refused a repeat, which proves nothing", status, said), **facts
        )
    declined = DECLINES.get(issue or "") if status == 422 else None
    if declined is not None and (order is not None or instrument):
        # The attempt has no identity of its own at PayPal: its debug id tells it from the next one.
        return ProviderDeclined(
            _text_of(said) or "The payment method was declined.",
            decline_code=declined,
            payment=order,
            attempt=f"{order}:{request_id or issue}" if order else None,
            **facts,
        )
    if declined is not None:
        return ProviderRejected(_sentence("PayPal refused", status, said), decline_code=declined, **facts)
    kind: type[ProviderError] = ProviderRejected
    if status == 404:
        kind = ProviderNotFound
    elif issue in _STATE_ISSUES:
        kind = ProviderStateConflict
    return kind(_sentence("PayPal refused", status, said), **facts)


def read_error_from(status: int | None, body: Any, *, request_id: str | None = None) -> ProviderError:
    """Judge an error answer to a read: only "there is no such object" is about the object."""
    judged = error_from(status, body, request_id=request_id)
    if isinstance(judged, ProviderNotFound | ProviderUnknown):
        return judged
    return ProviderUnknown(
        judged.message, provider_code=judged.provider_code, request_id=request_id, http_status=status
    )


def token_error_from(status: int, body: Any, *, request_id: str | None = None) -> ProviderError:
    """Judge what the token endpoint said instead of a token. What we meant to ask was not sent."""
    said = body if isinstance(body, Mapping) else {}
    facts: dict[str, Any] = {
        "provider_code": text_or_none(said.get("error")), "request_id": request_id, "http_status": status,
    }  # fmt: skip
    if status in (400, 401, 403) and said:
        return ProviderRejected("PayPal does not accept this account's client id and secret", **facts)
    return ProviderNeverSent(f"PayPal gave no access token (HTTP {status})", **facts)


def unsent_from(error: ProviderError) -> ProviderNeverSent:
    """Say of a failed read that stood before a call: the call itself was never sent."""
    return ProviderNeverSent(
        f"not sent, because what it is about could not be read: {error.message}",
        provider_code=error.provider_code,
        request_id=error.request_id,
        http_status=error.http_status,
    )


def _issue_of(said: Mapping[str, Any]) -> str | None:
    details = said.get("details")
    first = details[0] if isinstance(details, list) and details else None
    return text_or_none(first.get("issue")) if isinstance(first, Mapping) else None


def _text_of(said: Mapping[str, Any]) -> str | None:
    details = said.get("details")
    first = details[0] if isinstance(details, list) and details else None
    told = first.get("description") if isinstance(first, Mapping) else None
    text = text_or_none(told) or text_or_none(said.get("message"))
    return _SECRETS.sub("…", text)[:300] if text else None


def _sentence(lead: str, status: int | None, said: Mapping[str, Any]) -> str:
    text = _text_of(said)
    where = f"{lead} (HTTP {status})" if status else lead
    return f"{where}: {text}" if text else where
