"""Standard Webhooks signatures, so that subscribers verify with a library instead of our documentation."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets as random_secrets
from collections.abc import Iterable
from typing import Final

from ..errors import ConfigurationError

__all__ = ["PREFIX", "is_weak", "key_of", "new_signing_secret", "sign"]

PREFIX: Final = "whsec_"
_STRONG_BYTES: Final = 24
"""The shortest key that the Standard Webhooks specification recommends."""


def key_of(secret: str) -> bytes:
    """Return the signing key: what follows ``whsec_`` is base64, any other text is its own bytes.

    Raises: ConfigurationError for an empty or undecodable secret; it never quotes the secret.
    """
    if not secret.startswith(PREFIX):
        key = secret.encode()
    else:
        encoded = secret.removeprefix(PREFIX)
        try:
            key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise ConfigurationError("a signing secret is not base64 after whsec_") from None
    if not key:
        raise ConfigurationError("a signing secret is empty")
    return key


def is_weak(secret: str) -> bool:
    """Say whether a secret is shorter than the specification recommends."""
    return len(key_of(secret)) < _STRONG_BYTES


def new_signing_secret() -> str:
    """Return a fresh secret to share with one subscriber."""
    return PREFIX + base64.b64encode(random_secrets.token_bytes(32)).decode()


def sign(keys: Iterable[bytes], *, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the ``webhook-signature`` header: one ``v1`` entry per key, so that keys can be rotated."""
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return " ".join(
        "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys
    )
