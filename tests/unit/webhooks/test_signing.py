from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import standardwebhooks
import svix.webhooks

from bridge_payments.errors import ConfigurationError
from bridge_payments.webhooks.signing import is_weak, key_of, new_signing_secret, sign

BODY = b'{"id":"evt_1","type":"payment.success"}'


def headers(*secrets: str, at: datetime | None = None) -> dict[str, str]:
    timestamp = int((at or datetime.now(UTC)).timestamp())
    signature = sign([key_of(s) for s in secrets], message_id="evt_1", timestamp=timestamp, body=BODY)
    return {"webhook-id": "evt_1", "webhook-timestamp": str(timestamp), "webhook-signature": signature}


@pytest.mark.parametrize("library", [standardwebhooks.Webhook, svix.webhooks.Webhook])
def test_subscribers_verify_with_libraries_that_are_not_ours(library: type) -> None:
    secret = new_signing_secret()
    library(secret).verify(BODY, headers(secret))
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        library(new_signing_secret()).verify(BODY, headers(secret))
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        library(secret).verify(BODY + b" ", headers(secret))
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        library(secret).verify(BODY, headers(secret, at=datetime.now(UTC) - timedelta(minutes=6)))


def test_during_a_rotation_the_old_and_the_new_secret_both_verify() -> None:
    old, new = new_signing_secret(), new_signing_secret()
    sent = headers(new, old)
    standardwebhooks.Webhook(old).verify(BODY, sent)
    standardwebhooks.Webhook(new).verify(BODY, sent)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(new_signing_secret()).verify(BODY, sent)


def test_a_secret_without_the_prefix_is_its_own_bytes() -> None:
    standardwebhooks.Webhook(b"a shared phrase, not base64").verify(
        BODY, headers("a shared phrase, not base64")
    )


def test_base64_padding_is_not_needed() -> None:
    raw = os.urandom(25)
    unpadded = base64.b64encode(raw).decode().rstrip("=")
    assert key_of(f"whsec_{unpadded}") == raw


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64!", "whsec_ab-_"])
def test_an_unusable_secret_is_refused_without_being_quoted(secret: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        key_of(secret)
    assert not secret.removeprefix("whsec_") or secret.removeprefix("whsec_") not in str(refused.value)


def test_weak_secrets_are_recognised() -> None:
    assert is_weak("hunter2")
    assert not is_weak(new_signing_secret())


def test_the_published_vector_comes_out(require: Callable[[str], Path]) -> None:
    vectors = json.loads((require("specs") / "webhook_vectors" / "vectors.json").read_text())
    (vector,) = [v for v in vectors if v["provider"] == "standard-webhooks"]
    sent = vector["headers"]
    assert sent["webhook-signature"] == sign(
        [key_of(vector["secret"])],
        message_id=sent["webhook-id"],
        timestamp=int(sent["webhook-timestamp"]),
        body=vector["body"].encode(),
    )
