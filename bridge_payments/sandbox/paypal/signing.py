"""The gateway's own certificate authority, and the signature of its webhooks.

Needs `cryptography`. The keys are drawn once per process: they protect nothing here.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["OWNER", "Signer", "signer"]

OWNER = "messageverificationcerts.sandbox.paypal.com"

_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Signer:
    key: rsa.RSAPrivateKey
    chain: bytes
    """PEM: the certificate of the key, and the one that signed it."""
    roots: bytes
    """PEM: what the chain ends in."""

    def sign(self, text: bytes) -> str:
        return base64.b64encode(self.key.sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()

    def signed_by_us(self, text: bytes, signature: str) -> bool:
        # PKCS #1 v1.5 signatures are deterministic: what we would sign is what we signed.
        return self.sign(text) == signature

    @staticmethod
    def text(transmission: str, moment: str, webhook_id: str, body: bytes) -> bytes:
        return f"{transmission}|{moment}|{webhook_id}|{zlib.crc32(body)}".encode()


@cache
def signer() -> Signer:
    root_key, middle_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    root = _certificate("Sandbox root", root_key, "Sandbox root", root_key, authority=True)
    middle = _certificate("Sandbox intermediate", middle_key, "Sandbox root", root_key, authority=True)
    leaf = _certificate(OWNER, key, "Sandbox intermediate", middle_key, authority=False)
    pem = serialization.Encoding.PEM
    return Signer(key, leaf.public_bytes(pem) + middle.public_bytes(pem), root.public_bytes(pem))


def _certificate(name: str, key: _Key, issuer: str, issuer_key: _Key, *, authority: bool) -> x509.Certificate:
    now = datetime.now(UTC)
    public, issuing = key.public_key(), issuer_key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing), critical=False)
    )
    if authority:
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
            decipher_only=False,
        )  # fmt: skip
        builder = builder.add_extension(usage, critical=True)
    else:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False
        ).add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
