"""The dummy gateway's webhooks: an HMAC over the raw bytes, verified before anything is read."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from ...errors import InvalidRequest, InvalidSignature
from ...messages import Request
from ...models import ProviderEvent
from .mapping import event_from as mapped

__all__ = ["SIGNATURE", "event_from", "sign"]

SIGNATURE = "dummy-signature"


def sign(body: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def event_from(request: Request, *, secret: str) -> ProviderEvent:
    """Verify and read one delivery. Raises InvalidSignature, InvalidRequest."""
    given = request.header(SIGNATURE)
    if not given:
        raise InvalidSignature("Missing signature", missing=True)
    if not hmac.compare_digest(given.encode(), sign(request.body, secret).encode()):
        raise InvalidSignature
    try:
        text = request.body.decode()
        event: Mapping[str, Any] = json.loads(text)
        return mapped(event, text)
    except (UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError):
        raise InvalidRequest("the signed body is not an event") from None
