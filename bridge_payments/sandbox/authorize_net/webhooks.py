"""Notifications with Authorize.net's signature."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping

from ..courier import Courier, Endpoint
from .books import Json

__all__ = ["Webhooks", "sign"]


def sign(body: bytes, key: str) -> str:
    """Return an ``X-ANET-Signature``; its key is the Signature Key as text (2017-03, a real delivery)."""
    return "sha512=" + hmac.new(key.encode(), body, hashlib.sha512).hexdigest().upper()


class Webhooks(Courier):
    def new_secret(self) -> str:
        return secrets.token_hex(64).upper()

    def kind_of(self, event: Json) -> str:
        return str(event["body"]["eventType"])

    def headers_and_body(self, event: Json, endpoint: Endpoint) -> tuple[Mapping[str, str], bytes]:
        body = json.dumps(event["body"], separators=(",", ":")).encode()
        return {
            "content-type": "application/json; charset=utf-8",
            "x-anet-signature": sign(body, endpoint.secret),
        }, body
