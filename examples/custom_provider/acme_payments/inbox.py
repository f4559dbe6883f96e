"""Is this webhook from Acme, and what does it say? Bytes are verified first, and read afterwards."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from datetime import datetime
from typing import Final

from bridge_payments import InvalidRequest, InvalidSignature, ProviderEvent, Request

from . import mapping

HEADER: Final = "acme-signature"
TOLERANCE: Final = 300
_SIGNATURE: Final = re.compile(r"t=(?P<time>[0-9]{1,12}),v1=(?P<digest>[0-9a-f]{64})", re.ASCII)


def event_from(request: Request, *, secret: str, now: datetime) -> ProviderEvent:
    """Verify and read one delivery. Raises InvalidSignature, InvalidRequest."""
    given = request.header(HEADER)
    if not given:
        raise InvalidSignature("The Acme-Signature header is missing", missing=True)
    signature = _SIGNATURE.fullmatch(given)
    if signature is None:
        raise InvalidSignature("The Acme-Signature header cannot be read")
    moment = int(signature["time"])
    if not hmac.compare_digest(sign(request.body, secret, moment), signature["digest"]):
        raise InvalidSignature
    if abs(now.timestamp() - moment) > TOLERANCE:
        raise InvalidSignature("The webhook was signed at another time")
    try:
        text = request.body.decode()
        return mapping.event_from(json.loads(text), text)
    except (ValueError, KeyError, TypeError):
        raise InvalidRequest("the signed body is not an event") from None


def sign(body: bytes, secret: str, moment: int) -> str:
    return hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
