"""Only what Stripe signed is read, on the bytes as they came, and what is kept of it opens nothing."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge_payments.errors import InvalidRequest, InvalidSignature
from bridge_payments.messages import Request
from bridge_payments.models import ProviderEvent
from bridge_payments.providers.stripe import StripeProvider
from bridge_payments.transport import Transport

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
EVENT: dict[str, Any] = {
    "id": "evt_1",
    "object": "event",
    "api_version": "2026-10-28.endive",
    "created": 1_795_000_000,
    "livemode": False,
    "type": "payment_intent.succeeded",
    "data": {
        "object": {
            "id": "pi_1",
            "object": "payment_intent",
            "client_secret": "pi_1_secret_abc",
            "metadata": {"bridge_reference": "ref1"},
            "next_action": {"deep": [{"client_secret": "pi_1_secret_deep"}]},
        }
    },
}


def account(*secrets: str) -> StripeProvider:
    built = StripeProvider(
        secret_key="sk_test_1", webhook_secrets=secrets or ("whsec_1",), transport=Transport()
    )
    built.clock = lambda: NOW
    return built


def signature(body: bytes, secret: str = "whsec_1", at: datetime = NOW) -> str:
    moment = str(int(at.timestamp()))
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


async def deliver(body: bytes | dict[str, Any], header: str | None = "", **more: Any) -> ProviderEvent:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {} if header is None else {"stripe-signature": header or signature(raw)}
    request = Request(method="POST", path="/webhooks/stripe", headers=headers, body=raw)
    return await more.get("to", account()).read_webhook(request)


async def test_a_signed_event_names_the_payment_to_read_again() -> None:
    event = await deliver(EVENT)
    assert (event.id, event.type, event.reference) == ("evt_1", "payment_intent.succeeded", "pi_1")
    assert (event.our_reference, event.livemode, event.api_version) == ("ref1", False, "2026-10-28.endive")
    assert event.created_at == datetime.fromtimestamp(1_795_000_000, UTC)


async def test_the_signature_of_the_sdk_is_accepted() -> None:
    """An implementation that is not ours signs; ours verifies."""
    import stripe

    body = json.dumps(EVENT)
    header = stripe.WebhookSignature.generate_signature_header(body, "whsec_1", int(NOW.timestamp()))
    assert (await deliver(body.encode(), header)).id == "evt_1"


async def test_the_bytes_are_verified_and_not_what_they_mean() -> None:
    """300.00 and 300 mean the same and are signed differently: the body must not be written anew."""
    raw = json.dumps(EVENT).replace('"created": 1795000000', '"created":  1795000000').encode()
    assert (await deliver(raw)).id == "evt_1"
    with pytest.raises(InvalidSignature):
        await deliver(json.dumps(json.loads(raw), separators=(",", ":")).encode(), signature(raw))


async def test_without_a_signature_nothing_is_read() -> None:
    with pytest.raises(InvalidSignature) as refused:
        await deliver(EVENT, None)
    assert refused.value.missing


@pytest.mark.parametrize(
    "header",
    [
        "nonsense",
        "t=,v1=abc",
        "v1=abc",
        "t=1,t=2,v1=abc",
        "t=-1,v1=abc",
        "t=²,v1=abc",
        "t=99999999999999999999,v1=abc",
        "t=1795435200,v1=",
        "t=1795435200,v1=ü",
        "t=1795435200,v0=abc",
    ],
)
async def test_a_header_that_proves_nothing_is_refused(header: str) -> None:
    with pytest.raises(InvalidSignature) as refused:
        await deliver(EVENT, header)
    assert not refused.value.missing


async def test_another_accounts_secret_is_refused() -> None:
    raw = json.dumps(EVENT).encode()
    with pytest.raises(InvalidSignature):
        await deliver(raw, signature(raw, "whsec_of_another_account"))


async def test_both_secrets_are_valid_while_one_replaces_the_other() -> None:
    raw = json.dumps(EVENT).encode()
    rolling = account("whsec_new", "whsec_old")
    for secret in ("whsec_new", "whsec_old"):
        assert (await deliver(raw, signature(raw, secret), to=rolling)).id == "evt_1"
    both = f"{signature(raw, 'whsec_gone')},{signature(raw, 'whsec_new').partition(',')[2]}"
    assert (await deliver(raw, both, to=rolling)).id == "evt_1", "Stripe signs with both while it rolls"


async def test_an_account_without_a_secret_accepts_nothing() -> None:
    deaf = StripeProvider(secret_key="sk_test_1", transport=Transport())
    raw = json.dumps(EVENT).encode()
    with pytest.raises(InvalidSignature):
        await deliver(raw, signature(raw, ""), to=deaf)


@pytest.mark.parametrize("seconds", [-300, -299, 0, 299, 300])
async def test_a_signature_is_good_for_five_minutes_either_way(seconds: int) -> None:
    raw = json.dumps(EVENT).encode()
    assert (await deliver(raw, signature(raw, at=NOW + timedelta(seconds=seconds)))).id == "evt_1"


@pytest.mark.parametrize("seconds", [-301, 301, -86_400, 86_400 * 365])
async def test_a_replay_is_refused_and_so_is_one_from_the_future(seconds: int) -> None:
    raw = json.dumps(EVENT).encode()
    with pytest.raises(InvalidSignature, match="from now"):
        await deliver(raw, signature(raw, at=NOW + timedelta(seconds=seconds)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"object": "event"}',
        b'{"object": "event", "id": "", "type": "x", "data": {"object": {}}}',
        b'{"object": "event", "id": 7, "type": "x", "data": {"object": {}}}',
        b'{"object": "event", "id": "evt_1", "type": "x", "data": {"object": []}}',
        b'{"object": "event", "id": "evt_1", "type": "x", "data": null}',
        b'{"object": "charge", "id": "evt_1", "type": "x", "data": {"object": {}}}',
        b'{"object": "event", "id":"e", "type":"x", "created": 99999999999999999999, "data": {"object": {}}}',
        b"[" * 100_000,
    ],
)
async def test_signed_nonsense_is_a_bad_request_and_not_a_crash(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await deliver(body)
    assert refused.value.__context__ is None, "a parser's error quotes the body"


async def test_what_is_kept_of_the_body_opens_nothing() -> None:
    """Rule 32: whoever reads the inbox table must not be able to finish somebody's payment."""
    kept = (await deliver(EVENT)).body
    assert "secret_abc" not in kept
    assert "secret_deep" not in kept
    assert json.loads(kept)["data"]["object"]["metadata"] == {"bridge_reference": "ref1"}


@pytest.mark.parametrize(
    ("target", "reference"),
    [
        ({"object": "charge", "id": "ch_1", "payment_intent": "pi_2"}, "pi_2"),
        ({"object": "charge", "id": "ch_1", "payment_intent": {"id": "pi_2"}}, "pi_2"),
        ({"object": "refund", "id": "re_1", "payment_intent": "pi_2"}, "pi_2"),
        ({"object": "dispute", "id": "dp_1", "payment_intent": "pi_2"}, "pi_2"),
        ({"object": "charge", "id": "ch_1", "payment_intent": None}, None),
        ({"object": "balance", "id": "ba_1"}, None),
        ({"object": "payout", "id": "po_1", "metadata": None}, None),
    ],
)
async def test_an_event_about_a_charge_a_refund_or_a_dispute_leads_to_its_payment(
    target: dict[str, Any], reference: str | None
) -> None:
    assert (await deliver({**EVENT, "data": {"object": target}})).reference == reference


async def test_an_event_of_a_connected_account_names_nothing_that_our_key_could_read() -> None:
    assert (await deliver({**EVENT, "account": "acct_other"})).reference is None


async def test_a_thin_event_is_read_without_its_object() -> None:
    thin = {
        "id": "evt_2",
        "object": "v2.core.event",
        "type": "v1.billing.meter.error",
        "created": "2026-11-23T12:00:00Z",
    }
    event = await deliver(thin)
    assert (event.id, event.reference, event.created_at) == ("evt_2", None, None)
