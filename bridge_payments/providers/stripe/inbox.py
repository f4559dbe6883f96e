"""Is this webhook from Stripe, and what does it say?"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from ...errors import InvalidRequest, InvalidSignature
from ...models import ProviderEvent
from .mapping import event_from

__all__ = ["SIGNATURE_HEADER", "TOLERANCE", "blanked", "read_event", "verify"]

SIGNATURE_HEADER: Final = "stripe-signature"
TOLERANCE: Final = 300
"""Seconds between Stripe's clock and ours, both ways. The SDK accepts any time in the future."""

_BLANK: Final = "[blanked]"
_SECRET_NAMES: Final = frozenset({"client_secret", "secret"})
# Also within the address of the page that asks the payer for more, `next_action.redirect_to_url.url` and
# `next_action.use_stripe_sdk.stripe_js` (2026-11, https://docs.stripe.com/api/payment_intents/object).
_SECRET: Final = re.compile(r"\b\w+_secret_\w+")


def verify(body: bytes, header: str | None, secrets: Sequence[str], *, now: datetime) -> None:
    """Check the header ``t=…,v1=…[,v1=…]`` over the raw bytes with any of *secrets*.

    Several signatures: Stripe signs with both secrets while an endpoint's secret is rolled. Several
    secrets: we accept both while ours is (2026-11, https://docs.stripe.com/webhooks#verify-manually).

    Raises: InvalidSignature.
    """
    if not header:
        raise InvalidSignature("The Stripe-Signature header is missing", missing=True)
    moment, signatures = _parts(header)
    # Each candidate is compared, so that the time taken does not tell which secret fits.
    matches = [
        hmac.compare_digest(_sign(body, moment, secret), signature)
        for secret in secrets
        if secret.strip()
        for signature in signatures
    ]
    if not any(matches):
        raise InvalidSignature("No signature in the Stripe-Signature header fits this account's secret")
    if abs(now.timestamp() - int(moment)) > TOLERANCE:
        raise InvalidSignature(f"The webhook was signed more than {TOLERANCE} s from now")


def read_event(body: bytes) -> ProviderEvent:
    """Read a verified body. Raises InvalidRequest for what Stripe signed but nobody can read."""
    try:
        data = json.loads(body.decode("utf-8"))
        if not isinstance(data, dict):
            raise TypeError("not an object")
        return event_from(data, body=blanked(data))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, OSError, RecursionError):
        # UnicodeDecodeError and JSONDecodeError are ValueErrors, and they quote the body.
        pass
    raise InvalidRequest("The webhook's body is not an event", field="body")


def blanked(data: object) -> str:
    """Return *data* as the JSON that may be stored: without client secrets (rule 32)."""
    return json.dumps(_blank(data), separators=(",", ":"))


def _blank(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _BLANK if key in _SECRET_NAMES and isinstance(inner, str) else _blank(inner)
            for key, inner in value.items()
        }
    if isinstance(value, str):
        return _SECRET.sub(_BLANK, value) if "_secret_" in value else value
    return [_blank(inner) for inner in value] if isinstance(value, list) else value


def _parts(header: str) -> tuple[str, list[bytes]]:
    pairs = [part.strip().partition("=")[::2] for part in header.split(",")]
    moments = [value for name, value in pairs if name == "t"]
    signatures = [value.encode("utf-8", "replace") for name, value in pairs if name == "v1"]
    if len(moments) != 1 or not (moments[0].isascii() and moments[0].isdigit()) or len(moments[0]) > 12:
        raise InvalidSignature("The Stripe-Signature header has no readable time")
    return moments[0], signatures


def _sign(body: bytes, moment: str, secret: str) -> bytes:
    return hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest().encode()
