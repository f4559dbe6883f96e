"""A subscriber's endpoint: receives our outgoing webhooks, verifies their signatures, shows what came."""

from __future__ import annotations

import hmac
import json
from collections import deque
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..webhooks import new_signing_secret
from ..webhooks.signing import key_of, sign

__all__ = ["Sink"]


class Sink:
    def __init__(self) -> None:
        self.secret: str = new_signing_secret()
        self.received: deque[dict[str, Any]] = deque(maxlen=200)
        self.broken = False
        """Answer 503, as a subscriber in trouble does."""

    async def receive(self, request: Request) -> Response:
        body = await request.body()
        name, sent_at = request.headers.get("webhook-id", ""), request.headers.get("webhook-timestamp", "0")
        expected = sign([key_of(self.secret)], message_id=name, timestamp=int(sent_at), body=body)
        valid = hmac.compare_digest(expected, request.headers.get("webhook-signature", ""))
        self.received.append(
            {
                "id": name,
                "type": _type_of(body),
                "valid": valid,
                "refused": self.broken,
                "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            }
        )
        if self.broken:
            return JSONResponse({"error": "the subscriber is broken"}, status_code=503)
        return JSONResponse({"received": valid}, status_code=200 if valid else 401)


def _type_of(body: bytes) -> str:
    try:
        read = json.loads(body)
    except ValueError:
        return "unreadable"
    return str(read.get("type") or read.get("event") or "unknown") if isinstance(read, dict) else "unknown"
