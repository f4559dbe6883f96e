"""Who is asked whether a webhook is PayPal's own: PayPal itself, or its certificate."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakKeyDictionary

from ...errors import InvalidSignature, MissingExtra, ProviderError, Unavailable
from ...transport import Transport
from .inbox import Seal, splice

if TYPE_CHECKING:
    from .client import Client

__all__ = ["ApiVerifier", "Limited", "Verifier", "offline_verifier"]

SECONDS: Final = 5.0
"""For PayPal to say whether a webhook is its own (rule 35)."""
_AT_ONCE: Final = 8
"""How many webhooks are verified at once; the others wait within their five seconds."""
_PEM_BYTES: Final = 2**16


class Verifier(Protocol):
    async def verify(self, seal: Seal, body: bytes, *, now: datetime) -> None:
        """Raises: InvalidSignature, Unavailable, ProviderError."""


class ApiVerifier:
    """Asks PayPal, once for each of our webhook ids until one fits."""

    def __init__(self, client: Client, webhook_ids: Sequence[str]) -> None:
        self._client = client
        self._webhook_ids = webhook_ids

    async def verify(self, seal: Seal, body: bytes, *, now: datetime) -> None:
        for webhook_id in self._webhook_ids:
            answer = await self._client.verify(splice(seal, webhook_id, body), deadline=SECONDS)
            if answer.read(lambda said: said["verification_status"]) == "SUCCESS":
                return
        raise InvalidSignature("PayPal did not send this to one of our webhooks")


class Limited:
    """A verifier that nobody can make ask PayPal more than a little."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._gates: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    async def verify(self, seal: Seal, body: bytes, *, now: datetime) -> None:
        gate = self._gates.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_AT_ONCE))
        try:
            async with asyncio.timeout(SECONDS), gate:
                await self._verifier.verify(seal, body, now=now)
        except (ProviderError, TimeoutError):
            raise Unavailable("PayPal does not say whether it sent this webhook") from None


def offline_verifier(
    transport: Transport, webhook_ids: Sequence[str], *, live: bool, roots: bytes | None
) -> Verifier:
    """Verify here, with PayPal's certificate. Raises MissingExtra."""
    try:
        from .certificates import OfflineVerifier
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "cryptography":
            raise
        raise MissingExtra("paypal-offline", needed_for="verifying PayPal's webhooks offline") from None

    async def fetch(url: str) -> bytes:
        try:
            response = await transport.request("GET", url, timeout=SECONDS, max_bytes=_PEM_BYTES)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, there is no certificate
            failure = Unavailable(f"PayPal's certificate cannot be had: {type(error).__name__}")
        else:
            if response.status_code == 200:
                return response.content
            if response.status_code in (404, 410):
                raise InvalidSignature("PayPal has no such certificate")
            failure = Unavailable(f"PayPal's certificate cannot be had: HTTP {response.status_code}")
        raise failure

    if roots is None:
        import certifi

        roots = certifi.contents().encode()
    return OfflineVerifier(webhook_ids, fetch=fetch, live=live, roots=roots)
