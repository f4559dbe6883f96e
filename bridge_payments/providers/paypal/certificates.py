"""Verify PayPal's signature on this machine: the certificate it names, its chain, its dates, its owner.

Needs the extra `paypal-offline`. Imported only when an account is built to verify so.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature as WrongSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from ...caching import Cache
from ...errors import InvalidSignature
from .inbox import Seal, signed_text

__all__ = ["Certificates", "OfflineVerifier", "check_signature", "trusted"]

_log = logging.getLogger("bridge_payments.providers.paypal")

LIVE_OWNER: Final = "messageverificationcerts.paypal.com"
SANDBOX_OWNER: Final = "messageverificationcerts.sandbox.paypal.com"

Certificates = Sequence[x509.Certificate]
Fetch = Callable[[str], Awaitable[bytes]]


class OfflineVerifier:
    """Verifies without asking PayPal anything but for its certificates, each once."""

    def __init__(self, webhook_ids: Sequence[str], *, fetch: Fetch, live: bool, roots: bytes) -> None:
        """*roots* are the PEM certificates that a chain may end in."""
        self._webhook_ids = webhook_ids
        self._fetch = fetch
        self._owner = LIVE_OWNER if live else SANDBOX_OWNER
        self._roots = x509.load_pem_x509_certificates(roots)
        self._chains: Cache[str, Certificates] = Cache(max_entries=16, ttl=12 * 3600)

    async def verify(self, seal: Seal, body: bytes, *, now: datetime) -> None:
        """Raises: InvalidSignature; whatever *fetch* raises."""
        chain = await self._chains.get(seal.certificate_url, lambda: self._load(seal.certificate_url))
        key = trusted(chain, owner=self._owner, roots=self._roots, now=now)
        for webhook_id in self._webhook_ids:
            if check_signature(key, seal.signature, signed_text(seal, webhook_id, body)):
                return
        raise InvalidSignature("PayPal's certificate did not sign this for one of our webhooks")

    async def _load(self, url: str) -> Certificates:
        content = await self._fetch(url)
        try:
            return x509.load_pem_x509_certificates(content)
        except ValueError:
            raise InvalidSignature("PayPal's certificate cannot be read") from None


def trusted(chain: Certificates, *, owner: str, roots: Certificates, now: datetime) -> rsa.RSAPublicKey:
    """Return the key of the first certificate, if it is PayPal's, in its time and vouched for.

    Raises: InvalidSignature. A file without its intermediate certificates proves nothing.
    """
    leaf = chain[0]
    names = [each.value for each in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [owner]:
        raise InvalidSignature("The certificate belongs to somebody else")
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        raise InvalidSignature("The certificate is not valid now")
    key = leaf.public_key()
    try:
        PolicyBuilder().store(Store(list(roots))).time(now).build_server_verifier(x509.DNSName(owner)).verify(
            leaf, list(chain[1:])
        )
    except (VerificationError, ValueError) as error:
        _log.warning("the chain of PayPal's certificate does not hold: %s", error)
        raise InvalidSignature("The certificate is not vouched for") from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise InvalidSignature("The certificate holds no RSA key")
    return key


def check_signature(key: rsa.RSAPublicKey, signature: bytes, text: bytes) -> bool:
    try:
        key.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
    except WrongSignature:
        return False
    return True
