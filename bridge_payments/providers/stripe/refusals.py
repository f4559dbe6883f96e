"""Which of Stripe's error answers are a definite no, and which say nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ...errors import (
    ProviderDeclined,
    ProviderError,
    ProviderNotFound,
    ProviderRejected,
    ProviderStateConflict,
    ProviderUnknown,
)
from .declines import decline_from
from .objects import reference_of

__all__ = ["error_from", "read_error_from", "safe"]

# The object is in another state than we thought (2026-11, https://docs.stripe.com/error-codes).
_STATE_CODES: Final = frozenset(
    """
    charge_already_captured charge_already_refunded charge_disputed
    charge_expired_for_capture charge_not_refundable intent_invalid_state payment_intent_action_required
    payment_intent_unexpected_state refund_disputed_payment
    """.split()
)

# Stripe keeps an answer only once an endpoint has begun to execute. Refused parameters, credentials (401,
# 403) and rate limits (429) come from before that: the request changed nothing and may be repeated
# (2026-11, https://docs.stripe.com/error-low-level#idempotency, https://docs.stripe.com/api/idempotent_requests).
_NEVER_EXECUTED: Final = frozenset({400, 401, 402, 403, 404, 429})

# A lock: another request, perhaps our own lost one, is working on this object right now (429).
_IN_FLIGHT_CODES: Final = frozenset({"lock_timeout", "idempotency_key_in_use"})

# These say that something else happened with this key, or that Stripe itself failed.
_UNKNOWN_TYPES: Final = frozenset({"idempotency_error", "api_error", "api_connection_error"})

_SECRETS: Final = re.compile(r"\b(?:sk|rk|whsec)_[\w*]+|\w+_secret_\w+|(?<!\w)\d[\d -]{10,}\d")


def error_from(
    status: int | None,
    error: Mapping[str, Any] | None,
    *,
    request_id: str | None = None,
    repeat: bool = False,
) -> ProviderError:
    """Judge an error answer to a call that may have moved money.

    *repeat*: this call may have been sent before. Then a refusal is about the repeat and says nothing
    of the first (rule 9), so everything is unknown.
    """
    said = error or {}
    code = said.get("decline_code") or said.get("code") or said.get("type")
    facts: dict[str, Any] = {"provider_code": code, "request_id": request_id, "http_status": status}
    definite = (
        status in _NEVER_EXECUTED
        and bool(said)
        and said.get("type") not in _UNKNOWN_TYPES
        and said.get("code") not in _IN_FLIGHT_CODES
    )
    if not definite:
        return ProviderUnknown(_sentence("Stripe did not say what became of it", status, said), **facts)
    if repeat:
        return ProviderUnknown(
            _sentence("Stripe refused a repeat, which proves nothing", status, said), **facts
        )
    if status == 402 or said.get("type") == "card_error":
        decline = decline_from(said)
        return ProviderDeclined(
            safe(decline.message),
            decline_code=decline.code,
            payment=reference_of(said.get("payment_intent")),
            attempt=decline.reference,
            **facts,
        )
    kind: type[ProviderError] = ProviderRejected
    if status == 404:
        kind = ProviderNotFound
    elif said.get("code") in _STATE_CODES:
        kind = ProviderStateConflict
    return kind(_sentence("Stripe refused", status, said), **facts)


def read_error_from(
    status: int | None, error: Mapping[str, Any] | None, *, request_id: str | None = None
) -> ProviderError:
    """Judge an error answer to a read: only "there is no such object" is about the object."""
    judged = error_from(status, error, request_id=request_id)
    if isinstance(judged, ProviderNotFound | ProviderUnknown):
        return judged
    return ProviderUnknown(
        judged.message, provider_code=judged.provider_code, request_id=request_id, http_status=status
    )


def safe(message: str) -> str:
    """Shorten a sentence of Stripe's, and blank what could be a secret or a card number in it."""
    return _SECRETS.sub("…", message)[:300]


def _sentence(lead: str, status: int | None, said: Mapping[str, Any]) -> str:
    text = said.get("message")
    detail = f": {safe(text)}" if isinstance(text, str) and text else ""
    return f"{lead} (HTTP {status}){detail}" if status else f"{lead}{detail}"
