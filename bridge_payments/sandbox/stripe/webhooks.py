"""Events with Stripe's signature."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping

from ...models import Clock
from ..courier import Courier, Endpoint
from .books import Json

__all__ = ["Endpoint", "Webhooks", "sign"]


def sign(body: bytes, secret: str, *, timestamp: int) -> str:
    """Return a ``Stripe-Signature`` header (2026-11, https://docs.stripe.com/webhooks#verify-manually)."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


class Webhooks(Courier):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def new_secret(self) -> str:
        return f"whsec_{secrets.token_hex(24)}"

    def kind_of(self, event: Json) -> str:
        return str(event["type"])

    def queued(self, event: Json, count: int) -> None:
        event["pending_webhooks"] = count

    def headers_and_body(self, event: Json, endpoint: Endpoint) -> tuple[Mapping[str, str], bytes]:
        return self.signed(event, endpoint.secret)

    def signed(
        self, event: Json, secret: str, *, timestamp: int | None = None
    ) -> tuple[Mapping[str, str], bytes]:
        """Return headers and body of one delivery, as a test may post them itself."""
        body = json.dumps(event, indent=2).encode()
        moment = int(self._clock().timestamp()) if timestamp is None else timestamp
        return {
            "content-type": "application/json; charset=utf-8",
            "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "stripe-signature": sign(body, secret, timestamp=moment),
        }, body
