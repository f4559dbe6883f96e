"""Verify PayPal's signature on this machine: the certificate it names, its chain, its dates, its owner.

Needs the extra `paypal-offline`. Imported only when an account is built to verify so.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature as WrongSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from ...caching import Cache
from ...errors import ConfigurationError, InvalidSignature
from .inbox import Seal, signed_text

__all__ = ["Certificates", "OfflineVerifier", "check_signature", "trusted"]

_log = logging.getLogger("bridge_payments.providers.paypal")

LIVE_OWNER: Final = "messageverificationcerts.paypal.com"
SANDBOX_OWNER: Final = "messageverificationcerts.sandbox.paypal.com"

Certificates = Sequence[x509.Certificate]
_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
Fetch = Callable[[str], Awaitable[bytes]]


class OfflineVerifier:
    """Verifies without asking PayPal anything but for its certificates, each once."""

    def __init__(self, webhook_ids: Sequence[str], *, fetch: Fetch, live: bool, roots: bytes) -> None:
        """*roots* are the PEM certificates that a chain may end in."""
        self._webhook_ids = webhook_ids
        self._fetch = fetch
        self._owner = LIVE_OWNER if live else SANDBOX_OWNER
        self._roots = _roots_in(roots)
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


def _roots_in(pem: bytes) -> Certificates:
    """Read the roots one by one, so that one which cannot be read takes no other with it.

    Raises: ConfigurationError if there is none.
    """
    found = []
    with warnings.catch_warnings():
        # The world's bundle holds old roots without a positive serial number: cryptography says that it is
        # going to refuse them (certifi 2026, cryptography 50, 2026-11). PayPal's chain ends in none of them.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        for each in _CERTIFICATE.findall(pem):
            try:
                found.append(x509.load_pem_x509_certificate(each))
            except ValueError as error:
                _log.debug("a root that cannot be read is left out: %s", error)
    if not found:
        raise ConfigurationError("certificate_roots holds no certificate that can be read")
    return found


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
