"""Is it from PayPal? What costs nothing is checked first, and the bytes are asked about as they came."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from bridge_payments.errors import ConfigurationError, InvalidRequest, InvalidSignature
from bridge_payments.messages import Request
from bridge_payments.providers.paypal.certificates import OfflineVerifier, trusted
from bridge_payments.providers.paypal.configuration import certificate_bases
from bridge_payments.providers.paypal.inbox import check_certificate_url, read_body, seal_of, splice
from bridge_payments.sandbox.paypal.signing import OWNER, Signer, _certificate, signer

BASES = certificate_bases(True, None)
GOOD = {
    "paypal-auth-algo": "SHA256withRSA",
    "paypal-cert-url": "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-1d93a270",
    "paypal-transmission-id": "69cd13f0-d67a-11e5-baa3-778b53f4ae55",
    "paypal-transmission-sig": base64.b64encode(b"x" * 256).decode(),
    "paypal-transmission-time": "2026-11-23T04:00:00Z",
}
BODY = (
    b'{"id": "WH-1",  "event_type": "PAYMENT.CAPTURE.COMPLETED", '
    + '"resource": {"amount": 10.00, "name": "Zoë"}}'.encode()
)


def request(**changes: str | None) -> Request:
    headers = {**GOOD, **{f"paypal-{name.replace('_', '-')}": value for name, value in changes.items()}}
    return Request(
        method="POST", path="/", headers={name: value for name, value in headers.items() if value}, body=BODY
    )


def test_a_delivery_as_paypal_makes_them_is_taken_in() -> None:
    seal = seal_of(request(), certificate_bases=BASES)
    assert seal.signature == b"x" * 256


@pytest.mark.parametrize(
    "name", ["auth_algo", "cert_url", "transmission_id", "transmission_sig", "transmission_time"]
)
def test_without_any_of_the_five_headers_there_is_no_signature(name: str) -> None:
    with pytest.raises(InvalidSignature) as refused:
        seal_of(request(**{name: None}), certificate_bases=BASES)
    assert refused.value.missing


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("auth_algo", "SHA1withRSA"),
        ("auth_algo", "none"),
        ("transmission_sig", "@@"),
        ("transmission_sig", "c2hvcnQ="),
        ("transmission_sig", base64.b64encode(b"x" * 2000).decode()),
        ("transmission_time", "yesterday"),
        ("transmission_time", "2026-11-23"),
        ("transmission_id", "a|b"),
        ("transmission_id", "x" * 100),
    ],
)
def test_headers_that_cannot_be_paypals_are_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidSignature) as refused:
        seal_of(request(**{name: value}), certificate_bases=BASES)
    assert not refused.value.missing


@pytest.mark.parametrize(
    "url",
    [
        "http://api.paypal.com/v1/notifications/certs/C",
        "https://api.paypal.com.evil.example/v1/notifications/certs/C",
        "https://api.paypal.com@evil.example/v1/notifications/certs/C",
        "https://user@api.paypal.com/v1/notifications/certs/C",
        "https://evil.example/v1/notifications/certs/C#api.paypal.com",
        "https://api.paypal.com:8443/v1/notifications/certs/C",
        "https://api.paypal.com/v1/notifications/certs/../../x",
        "https://api.paypal.com/v1/notifications/certs/%2e%2e/x",
        "https://api.paypal.com/v1/notifications/certs/C?x=1",
        "https://api.paypal.com/v1/notifications/certs/C#x",
        "https://api.paypal.com/v1/notifications/certs/",
        "https://api.paypal.com/v1/notifications/certsC",
        "https://api.paypal.com/v1/oauth2/token",
        "https://api.sandbox.paypal.com/v1/notifications/certs/C",
        "https://www.paypal.com/v1/notifications/certs/C",
        "https://[::1/v1/notifications/certs/C",
        "//api.paypal.com/v1/notifications/certs/C",
        "",
    ],
)
def test_a_certificate_is_fetched_from_paypal_and_from_nowhere_else(url: str) -> None:
    with pytest.raises(InvalidSignature):
        check_certificate_url(url, BASES)


def test_the_sandbox_and_the_real_thing_do_not_vouch_for_each_other() -> None:
    url = "https://api-m.sandbox.paypal.com/v1/notifications/certs/CERT-1"
    check_certificate_url(url, certificate_bases(False, None))
    with pytest.raises(InvalidSignature):
        check_certificate_url(url, BASES)


def test_the_question_holds_the_very_bytes_of_the_event() -> None:
    question = splice(seal_of(request(), certificate_bases=BASES), "WEBHOOK1", BODY)
    assert BODY in question
    asked = json.loads(question)
    assert set(asked) == {
        "auth_algo", "cert_url", "transmission_id", "transmission_sig", "transmission_time", "webhook_event",
        "webhook_id",
    }  # fmt: skip
    assert (asked["webhook_id"], asked["webhook_event"]) == ("WEBHOOK1", json.loads(BODY))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"id": "x"}',
        b'{"id": 7, "event_type": "x"}',
        b'{"id": "x", "event_type": "y"',
        b'{"id": "x", "event_type": "y"}, "webhook_id": "other", "x": {}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_what_is_not_one_event_is_never_put_into_a_question(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_body(body)
    assert refused.value.__context__ is None, "an error of the decoder quotes the body"


# --- certificates -----------------------------------------------------------------------------------

NOW = datetime.now(UTC)


def chain() -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(signer().chain)


def roots() -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(signer().roots)


def test_a_certificate_of_paypals_in_its_time_under_a_known_root_is_trusted() -> None:
    assert trusted(chain(), owner=OWNER, roots=roots(), now=NOW).key_size == 2048


def test_any_other_certificate_is_not() -> None:
    leaf, middle = chain()
    key = ec.generate_private_key(ec.SECP256R1())
    stranger = _certificate("Other root", key, "Other root", key, authority=True)
    for wrong in (
        {"owner": "messageverificationcerts.paypal.com"},
        {"now": NOW + timedelta(days=400)},
        {"now": NOW - timedelta(days=400)},
        {"chain": [leaf]},
        {"chain": [middle]},
        {"roots": [stranger]},
    ):
        given: dict[str, Any] = {
            "chain": [leaf, middle],
            "owner": OWNER,
            "roots": roots(),
            "now": NOW,
            **wrong,
        }
        with pytest.raises(InvalidSignature):
            trusted(given.pop("chain"), **given)


@pytest.mark.anyio
async def test_a_certificate_is_fetched_once_and_believed_for_its_own_account_only() -> None:
    fetched = []

    async def fetch(url: str) -> bytes:
        fetched.append(url)
        return signer().chain

    verifier = OfflineVerifier(["OLD", "WEBHOOK1"], fetch=fetch, live=False, roots=signer().roots)
    stranger = OfflineVerifier(["WEBHOOK2"], fetch=fetch, live=False, roots=signer().roots)
    live = OfflineVerifier(["WEBHOOK1"], fetch=fetch, live=True, roots=signer().roots)
    text = Signer.text(GOOD["paypal-transmission-id"], GOOD["paypal-transmission-time"], "WEBHOOK1", BODY)
    seal = seal_of(request(transmission_sig=signer().sign(text)), certificate_bases=BASES)
    for _ in range(3):
        await verifier.verify(seal, BODY, now=NOW)
    assert len(fetched) == 1
    for other, body in ((verifier, BODY + b"\n"), (stranger, BODY), (live, BODY)):
        with pytest.raises(InvalidSignature):
            await other.verify(seal, body, now=NOW)


@pytest.mark.anyio
async def test_the_worlds_roots_are_read_without_a_word_and_one_that_is_broken_takes_none_with_it() -> None:
    """Warnings are errors in this run: certifi's bundle holds a root of which cryptography warns."""
    broken = b"-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n"

    async def fetch(url: str) -> bytes:
        return signer().chain

    world = broken + certifi.contents().encode() + signer().roots
    verifier = OfflineVerifier(["WEBHOOK1"], fetch=fetch, live=False, roots=world)
    text = Signer.text(GOOD["paypal-transmission-id"], GOOD["paypal-transmission-time"], "WEBHOOK1", BODY)
    seal = seal_of(request(transmission_sig=signer().sign(text)), certificate_bases=BASES)
    await verifier.verify(seal, BODY, now=NOW)
    with pytest.raises(ConfigurationError):
        OfflineVerifier(["WEBHOOK1"], fetch=fetch, live=False, roots=broken)


@pytest.mark.anyio
async def test_what_is_no_certificate_is_not_believed() -> None:
    async def fetch(url: str) -> bytes:
        return b"<html>"

    verifier = OfflineVerifier(["WEBHOOK1"], fetch=fetch, live=False, roots=signer().roots)
    with pytest.raises(InvalidSignature):
        await verifier.verify(seal_of(request(), certificate_bases=BASES), BODY, now=NOW)
