"""Events with PayPal's signature: RSA over a checksum, under a certificate that this gateway serves."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from ...models import Clock
from ..courier import Courier, Endpoint
from .books import Json
from .signing import Signer, signer

__all__ = ["CERTIFICATE", "Webhooks"]

CERTIFICATE: Final = "/v1/notifications/certs/CERT-360caa42-fca2a594-5a29e601"


class Webhooks(Courier):
    """An endpoint's `secret` is its webhook id: no secret, but what binds a signature to it."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.url = ""

    def new_secret(self) -> str:
        return uuid.uuid4().hex[:17].upper()

    def kind_of(self, event: Json) -> str:
        return str(event["event_type"])

    def headers_and_body(self, event: Json, endpoint: Endpoint) -> tuple[Mapping[str, str], bytes]:
        return self.signed(event, endpoint.secret)

    def signed(
        self, event: Json | bytes, webhook_id: str, *, at: datetime | None = None
    ) -> tuple[Mapping[str, str], bytes]:
        """Return headers and body of one delivery, as a test may post them itself."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        transmission = str(uuid.uuid4())
        moment = (at or self._clock()).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "content-type": "application/json",
            "user-agent": "PayPal/AUHR-214.0-55417034",
            "paypal-auth-algo": "SHA256withRSA",
            "paypal-cert-url": f"{self.url}{CERTIFICATE}",
            "paypal-transmission-id": transmission,
            "paypal-transmission-sig": signer().sign(Signer.text(transmission, moment, webhook_id, body)),
            "paypal-transmission-time": moment,
        }, body

    def verification(self, question: bytes) -> Json:
        """Answer PayPal's verify-webhook-signature, over the very bytes of the event in the question."""
        asked = json.loads(question)
        mark = b'"webhook_event":'
        event = question[question.index(mark) + len(mark) : question.rindex(b"}")]
        known = {endpoint.secret for endpoint in self.endpoints}
        text = Signer.text(asked["transmission_id"], asked["transmission_time"], asked["webhook_id"], event)
        good = (
            asked["webhook_id"] in known
            and asked["cert_url"] == f"{self.url}{CERTIFICATE}"
            and asked["auth_algo"] == "SHA256withRSA"
            and signer().signed_by_us(text, asked["transmission_sig"])
        )
        return {"verification_status": "SUCCESS" if good else "FAILURE"}
