"""Everything of PayPal's that was ever kept is understood, and its real signatures verify offline.

What the recordings mean was checked by hand once and is kept in `expected/paypal.json`; a mapping that
reads them in another way has to change that file, and say why.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bridge_lab.recorded import paypal_answer, paypal_order
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bridge_payments.errors import InvalidSignature
from bridge_payments.models import Money
from bridge_payments.providers.paypal.billing import subscription_from
from bridge_payments.providers.paypal.certificates import OfflineVerifier, check_signature, trusted
from bridge_payments.providers.paypal.inbox import Seal, read_body, signed_text
from bridge_payments.providers.paypal.mapping import (
    error_from,
    event_from,
    payment_from,
    refund_from,
)
from bridge_payments.providers.paypal.vault import method_from

pytestmark = pytest.mark.needs("specs")

EXPECTED = json.loads((Path(__file__).parent / "expected" / "paypal.json").read_text())
OWNER = "messageverificationcerts.sandbox.paypal.com"


@pytest.fixture(scope="module")
def specs(require: Any) -> Path:
    return require("specs")


@pytest.mark.parametrize("line", EXPECTED["orders"], ids=lambda line: line["answer"])
def test_a_recorded_order_means_what_a_person_read_in_it(specs: Path, line: Mapping[str, Any]) -> None:
    """The answers are short, as PayPal's are without `Prefer`: the order was read before each of them."""
    payment = payment_from(paypal_order(specs, line["answer"], line["intent"]))
    action = payment.next_action
    assert {
        "answer": line["answer"],
        "intent": line["intent"],
        "status": str(payment.status),
        "amount": str(payment.amount),
        "authorized": payment.authorized,
        "captured": payment.captured,
        "refunded": payment.refunded,
        "charge": payment.charge,
        "next_action": action and [str(action.kind), action.url],
        "provider_status": payment.provider_status,
    } == line


@pytest.mark.parametrize("line", EXPECTED["refunds"], ids=lambda line: line["answer"])
def test_a_recorded_refund_means_what_a_person_read_in_it(specs: Path, line: Mapping[str, Any]) -> None:
    refund = refund_from(paypal_answer(specs, line["answer"]), asked=Money(1099, "USD"))
    assert {
        "answer": line["answer"],
        "reference": refund.reference,
        "status": str(refund.status),
        "amount": str(refund.amount),
        "reason": refund.reason,
        "ours": [refund.our_reference, refund.refund_id],
    } == line


@pytest.mark.parametrize("line", EXPECTED["methods"], ids=lambda line: line["answer"])
def test_a_recorded_method_means_what_a_person_read_in_it(specs: Path, line: Mapping[str, Any]) -> None:
    method = method_from(paypal_answer(specs, line["answer"]))
    assert {
        "answer": line["answer"],
        "reference": method.reference,
        "type": method.type,
        "brand": method.brand,
        "last_four": method.last_four,
        "expires": [method.expiry_month, method.expiry_year],
        "wallet_type": method.wallet_type,
        "customer": method.customer,
        "status": str(method.status),
    } == line


@pytest.mark.parametrize("line", EXPECTED["subscriptions"], ids=lambda line: line["answer"])
def test_a_recorded_subscription_means_what_a_person_read_in_it(specs: Path, line: Mapping[str, Any]) -> None:
    """With the plan and the collections that were recorded beside it."""
    listed = paypal_answer(specs, "Subscriptions__mockListSubscriptionTransactionsResponse")
    whole = {**paypal_answer(specs, line["answer"]), "plan": paypal_answer(specs, line["plan"])}
    seen = subscription_from(whole, transactions=listed["transactions"])
    assert {
        "answer": line["answer"],
        "plan": line["plan"],
        "reference": seen.reference,
        "status": str(seen.status),
        "amount": str(seen.amount),
        "interval": [str(seen.interval), seen.interval_count],
        "next_billing_date": seen.next_billing_date and seen.next_billing_date.isoformat(),
        "canceled_at": seen.canceled_at,
        "next_action": seen.next_action,
        "provider_status": seen.provider_status,
        "charges": [[each.reference, str(each.status), str(each.amount)] for each in seen.charges or ()],
    } == line


@pytest.mark.parametrize("line", EXPECTED["errors"], ids=lambda line: line["answer"])
def test_a_recorded_error_is_judged_as_a_person_judged_it(specs: Path, line: Mapping[str, Any]) -> None:
    body = paypal_answer(specs, line["answer"])
    judged = error_from(line["http_status"], body.get("error", body))
    assert [type(judged).__name__, judged.provider_code] == line["judged"]


@pytest.mark.parametrize("name", EXPECTED["events"])
def test_a_kept_event_leads_where_a_person_saw_it_lead(specs: Path, name: str) -> None:
    event, _ = read_body((specs / "paypal" / "events" / name).read_bytes())
    read = event_from(event)
    assert [read.type, read.reference] == EXPECTED["events"][name]


def test_no_kept_event_was_left_out(specs: Path) -> None:
    folder = specs / "paypal" / "events"
    assert {f"{each.parent.name}/{each.name}" for each in folder.glob("*/*.json")} == set(EXPECTED["events"])


# --- signatures -------------------------------------------------------------------------------------


def vectors(specs: Path) -> list[Any]:
    every = json.loads((specs / "webhook_vectors" / "vectors.json").read_text())
    return [each for each in every if each["provider"] == "paypal"]


def seal_of(vector: Mapping[str, Any]) -> Seal:
    headers = {name.lower(): value for name, value in vector["headers"].items()}
    return Seal(
        algorithm=headers["paypal-auth-algo"],
        certificate_url=headers["paypal-cert-url"],
        transmission=headers["paypal-transmission-id"],
        time=headers["paypal-transmission-time"],
        signature=base64.b64decode(headers["paypal-transmission-sig"]),
    )


def key_of(specs: Path, name: str) -> rsa.RSAPublicKey:
    pem = (specs / "webhook_vectors" / name).read_bytes()
    key = (
        x509.load_pem_x509_certificate(pem).public_key()
        if b"CERTIFICATE" in pem
        else serialization.load_pem_public_key(pem)
    )
    assert isinstance(key, rsa.RSAPublicKey)
    return key


def test_real_deliveries_verify_and_their_forgeries_do_not(specs: Path) -> None:
    found = vectors(specs)
    assert len(found) >= 3
    for vector in found:
        key, seal = key_of(specs, vector["key"]), seal_of(vector)
        body, webhook = vector["body"].encode(), vector["webhook_id"]
        good = check_signature(key, seal.signature, signed_text(seal, webhook, body))
        assert good is (vector["expect"] == "valid"), vector["name"]
        if not good:
            continue
        later = Seal(
            algorithm=seal.algorithm, certificate_url=seal.certificate_url, transmission=seal.transmission,
            time=seal.time.replace("Z", "+"), signature=seal.signature,
        )  # fmt: skip
        changed = bytes([seal.signature[0] ^ 1]) + seal.signature[1:]
        for signature, text in (
            (seal.signature, signed_text(seal, webhook, body + b" ")),
            (seal.signature, signed_text(seal, webhook, body.replace(b"1", b"2", 1))),
            (seal.signature, signed_text(seal, webhook, json.dumps(json.loads(body)).encode())),
            (seal.signature, signed_text(seal, webhook + "X", body)),
            (seal.signature, signed_text(later, webhook, body)),
            (changed, signed_text(seal, webhook, body)),
        ):
            assert not check_signature(key, signature, text), vector["name"]


def certificates(specs: Path, *names: str) -> list[x509.Certificate]:
    folder = specs / "webhook_vectors"
    return [x509.load_pem_x509_certificate((folder / name).read_bytes()) for name in names]


def test_paypals_own_certificate_is_trusted_in_its_time_only(specs: Path) -> None:
    chain = certificates(specs, "paypal_sandbox_cert_2017.pem", "digicert_sha2_ev_intermediate.pem")
    roots = certificates(specs, "digicert_ha_ev_root.pem")
    then = datetime(2018, 9, 14, 20, 0, tzinfo=UTC)
    assert trusted(chain, owner=OWNER, roots=roots, now=then)
    for wrong in (
        {"now": datetime(2026, 11, 23, tzinfo=UTC)},
        {"now": datetime(2017, 1, 1, tzinfo=UTC)},
        {"owner": "messageverificationcerts.paypal.com"},
    ):
        with pytest.raises(InvalidSignature):
            trusted(chain, **{"owner": OWNER, "roots": roots, "now": then, **wrong})
    with pytest.raises(InvalidSignature):
        trusted(chain[:1], owner=OWNER, roots=roots, now=then)


@pytest.mark.anyio
async def test_a_real_delivery_verifies_from_end_to_end_without_paypal(specs: Path) -> None:
    folder = specs / "webhook_vectors"
    vector = next(each for each in vectors(specs) if each["key"] == "paypal_sandbox_cert_2017.pem")
    pem = (folder / vector["key"]).read_bytes() + (folder / "digicert_sha2_ev_intermediate.pem").read_bytes()

    async def fetch(url: str) -> bytes:
        assert url == vector["headers"]["PAYPAL-CERT-URL"]
        return pem

    verifier = OfflineVerifier(
        [vector["webhook_id"]],
        fetch=fetch,
        live=False,
        roots=(folder / "digicert_ha_ev_root.pem").read_bytes(),
    )
    then = datetime.fromisoformat(vector["headers"]["PAYPAL-TRANSMISSION-TIME"])
    body = vector["body"].encode()
    await verifier.verify(seal_of(vector), body, now=then)
    for changed, moment in ((body[:-1] + b" }", then), (body, datetime.now(UTC))):
        with pytest.raises(InvalidSignature):
            await verifier.verify(seal_of(vector), changed, now=moment)
