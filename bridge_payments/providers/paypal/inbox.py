"""Is this webhook from PayPal? The cheap checks, what PayPal is asked, and what the event says."""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from ...errors import InvalidRequest, InvalidSignature
from ...messages import Request
from .objects import Json, moment_of

__all__ = ["ALGORITHM", "Seal", "check_certificate_url", "read_body", "seal_of", "signed_text", "splice"]

ALGORITHM: Final = "SHA256withRSA"
_HEADERS: Final = ("auth-algo", "cert-url", "transmission-id", "transmission-sig", "transmission-time")
_TRANSMISSION: Final = re.compile(r"[A-Za-z0-9-]{1,80}")
_SIGNATURE_BYTES: Final = (128, 1024)
_CERTIFICATES: Final = "/v1/notifications/certs/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What came in the five headers, in the form of a signature that could be one."""

    algorithm: str
    certificate_url: str
    transmission: str
    time: str
    signature: bytes = field(repr=False)


def seal_of(request: Request, *, certificate_bases: Collection[str]) -> Seal:
    """Check everything that costs nothing. Raises InvalidSignature."""
    found = {name: request.header(f"paypal-{name}") for name in _HEADERS}
    absent = [name for name, value in found.items() if not value]
    if absent:
        raise InvalidSignature(f"The header PayPal-{absent[0].title()} is missing", missing=True)
    given = {name: value or "" for name, value in found.items()}
    if given["auth-algo"] != ALGORITHM:
        raise InvalidSignature(f"The signature is not {ALGORITHM}")
    if not _TRANSMISSION.fullmatch(given["transmission-id"]):
        raise InvalidSignature("The transmission id is not one of PayPal's")
    if moment_of(given["transmission-time"]) is None:
        raise InvalidSignature("The transmission time cannot be read")
    check_certificate_url(given["cert-url"], certificate_bases)
    return Seal(
        algorithm=given["auth-algo"],
        certificate_url=given["cert-url"],
        transmission=given["transmission-id"],
        time=given["transmission-time"],
        signature=_decoded(given["transmission-sig"]),
    )


def check_certificate_url(url: str, bases: Collection[str]) -> None:
    """Refuse every address but a certificate at one of *bases* (``https://api.paypal.com``).

    A name before an @, another port, a query or a path upwards would all lead somewhere else.
    """
    try:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
    except ValueError:
        origin, parts = "", urlsplit("")
    rest = parts.path.removeprefix(_CERTIFICATES)
    if (
        origin not in bases
        or parts.query
        or parts.fragment
        or "?" in url
        or "#" in url
        or not parts.path.startswith(_CERTIFICATES)
        or not _TRANSMISSION.fullmatch(rest)
    ):
        raise InvalidSignature("The certificate's address is not one of PayPal's")


def read_body(body: bytes) -> tuple[Json, str]:
    """Return the event and its text. Raises InvalidRequest for what nobody can read.

    Before it is verified, too: what is not one JSON object must not be spliced into a question.
    """
    try:
        text = body.decode("utf-8")
        event = json.loads(text)
        if isinstance(event, dict) and isinstance(event["id"], str) and isinstance(event["event_type"], str):
            return event, text
    except (KeyError, ValueError, RecursionError):
        # UnicodeDecodeError and JSONDecodeError are ValueErrors, and they quote the body.
        pass
    raise InvalidRequest("The webhook's body is not an event", field="body")


def splice(seal: Seal, webhook_id: str, body: bytes) -> bytes:
    """Return the question for PayPal's verification with the event's very bytes in it.

    PayPal compares a checksum of the bytes: an event that was read and written again does not verify
    (2026-11, https://github.com/paypal/PayPal-Python-SDK/issues/175).
    """
    question: dict[str, Any] = {
        "auth_algo": seal.algorithm,
        "cert_url": seal.certificate_url,
        "transmission_id": seal.transmission,
        "transmission_sig": base64.b64encode(seal.signature).decode(),
        "transmission_time": seal.time,
        "webhook_id": webhook_id,
    }
    return json.dumps(question)[:-1].encode() + b',"webhook_event":' + body + b"}"


def signed_text(seal: Seal, webhook_id: str, body: bytes) -> bytes:
    """Return what PayPal signs: our webhook id binds it to this account, the checksum to its bytes.

    (2026-11, https://developer.paypal.com/api/rest/webhooks/rest/#verify-webhook-signature)
    """
    return f"{seal.transmission}|{seal.time}|{webhook_id}|{zlib.crc32(body)}".encode()


def _decoded(text: str) -> bytes:
    try:
        signature = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        signature = b""
    if not _SIGNATURE_BYTES[0] <= len(signature) <= _SIGNATURE_BYTES[1]:
        raise InvalidSignature("The transmission signature is not one")
    return signature
