"""Is this webhook from Authorize.net, and what does it say?"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from ...errors import InvalidRequest, InvalidSignature
from ...models import ProviderEvent
from .mapping import event_from

__all__ = ["SIGNATURE_HEADER", "read_event", "sign", "verify"]

SIGNATURE_HEADER: Final = "x-anet-signature"
_ALGORITHM: Final = "sha512="


def sign(body: bytes, key: bytes) -> str:
    return hmac.new(key, body, hashlib.sha512).hexdigest()


def verify(body: bytes, header: str | None, keys: Sequence[bytes]) -> None:
    """Check the header ``sha512=<hex>`` over the raw bytes with any of *keys*.

    The key is the Signature Key's text as the dashboard shows it, not the bytes that its hexadecimal
    digits spell: the gateway's own published delivery verifies with the text alone (2017-03, community
    thread 57201; public code is divided). The signature carries no time: a late copy is told from the
    first by its notification id.

    Raises: InvalidSignature.
    """
    if not header:
        raise InvalidSignature("The X-ANET-Signature header is missing", missing=True)
    algorithm, given = header[: len(_ALGORITHM)].lower(), header[len(_ALGORITHM) :].strip().lower()
    # Each candidate is compared, so that the time taken does not tell which key fits.
    matches = [
        hmac.compare_digest(sign(body, key).encode(), given.encode("utf-8", "replace")) for key in keys
    ]
    if algorithm != _ALGORITHM or not any(matches):
        raise InvalidSignature("The X-ANET-Signature header does not fit this account's key")


def read_event(body: bytes) -> ProviderEvent:
    """Read a verified body. Raises InvalidRequest for what was signed but nobody can read."""
    try:
        text = body.decode("utf-8-sig")
        data = json.loads(text, parse_float=Decimal)
        if not isinstance(data, dict):
            raise TypeError("not an object")
        return event_from(data, body=text)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        # UnicodeDecodeError and JSONDecodeError are ValueErrors, and they quote the body.
        pass
    raise InvalidRequest("The webhook's body is not a notification", field="body")
