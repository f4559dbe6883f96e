"""One error, one status, one shape, on every route."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge_payments import errors
from bridge_payments.errors import (
    AccessDenied,
    BridgeError,
    ConcurrentUpdate,
    ConfigurationError,
    DuplicateReference,
    IdempotencyMismatch,
    IllegalState,
    InvalidRequest,
    InvalidSignature,
    NotAuthenticated,
    NotFound,
    OperationInProgress,
    PayloadTooLarge,
    PaymentDeclined,
    ProviderDeclined,
    ProviderNeverSent,
    ProviderNotFound,
    ProviderRejected,
    ProviderStateConflict,
    ProviderUnknown,
    RateLimited,
    StoreError,
    Unavailable,
    UnsupportedOperation,
)
from bridge_payments.http.problems import status_of

pytestmark = pytest.mark.anyio

GUEST_DATA = "Guest data is required for guest payments"
WRONG_STATE = "Payment cannot be confirmed in current status"
TOO_MANY = "Guest payment limit exceeded. Maximum 5 payments per email."
CONFIRM = "/payments/intents/pay_1/confirm"


@pytest.mark.parametrize(
    ("error", "status", "title"),
    [
        (InvalidRequest(GUEST_DATA), 400, GUEST_DATA),
        (InvalidRequest("must be positive", field="total_cents"), 400, "Validation failed"),
        (IllegalState(WRONG_STATE), 400, WRONG_STATE),
        (UnsupportedOperation(provider="dummy", capability="x"), 400, "Unsupported operation"),
        (PaymentDeclined("Your card was declined"), 400, "Payment failed"),
        (NotAuthenticated(), 401, "Authentication Required"),
        (AccessDenied(), 403, "Access Denied"),
        (NotFound(), 404, "Payment not found"),
        (OperationInProgress(operation_id="op_1"), 409, "Operation in progress"),
        (DuplicateReference(payment_id="pay_2"), 409, "Conflict"),
        (ConcurrentUpdate(), 409, "Conflict"),
        (PayloadTooLarge(), 413, "Payload Too Large"),
        (IdempotencyMismatch(), 422, "Idempotency-Key mismatch"),
        (RateLimited(TOO_MANY), 429, TOO_MANY),
        (Unavailable(), 503, "Service Unavailable"),
        (ProviderUnknown(), 503, "Provider unavailable"),
        (ProviderNeverSent(), 503, "Provider unavailable"),
        (ProviderDeclined("no"), 400, "Payment failed"),
        (ProviderRejected("no"), 400, "Provider rejected the request"),
        (ProviderNotFound("no"), 400, "Provider rejected the request"),
        (ProviderStateConflict("no"), 409, "Conflict"),
        (StoreError("x"), 503, "Service Unavailable"),
        (ConfigurationError("x"), 500, "Internal Server Error"),
    ],
)
async def test_an_error_has_its_status_and_title(
    rim: Any, error: BridgeError, status: int, title: str
) -> None:
    rim.engine.script["confirm_payment"] = error
    found = await rim.json("POST", CONFIRM, {})
    assert (rim.last.status, found["status"], found["error"]) == (status, status, title)
    assert found["success"] is False
    assert isinstance(found["message"], str)
    assert found["message"]
    assert found["timestamp"].endswith("Z")
    assert isinstance(found["code"], str)


def test_every_error_of_the_library_has_a_status() -> None:
    for name in errors.__all__:
        assert 400 <= status_of(getattr(errors, name)) <= 503


@pytest.mark.parametrize(
    "error",
    [
        RateLimited(retry_after=7),
        Unavailable(retry_after=7),
        ProviderUnknown(),
        OperationInProgress(operation_id="op"),
    ],
)
async def test_later_says_when(rim: Any, error: BridgeError) -> None:
    rim.engine.script["confirm_payment"] = error
    await rim.ask("POST", CONFIRM, {})
    assert int(rim.last.headers["retry-after"]) > 0


async def test_a_decline_carries_both_codes_and_what_another_card_needs(rim: Any) -> None:
    rim.engine.script["confirm_payment"] = PaymentDeclined(
        "Your card was declined",
        decline_code="insufficient_funds",
        provider_code="nsf",
        payment_id="pay_1",
        provider_intent_id="pi_1",
    )
    found = await rim.json("POST", CONFIRM, {})
    assert found["message"] == "Your card was declined"
    assert found["details"] == {
        "decline_code": "insufficient_funds",
        "provider_error": "nsf",
        "payment_id": "pay_1",
        "payment_intent_id": "pi_1",
    }


async def test_an_open_operation_is_named(rim: Any) -> None:
    rim.engine.script["confirm_payment"] = OperationInProgress(operation_id="op_1")
    found = await rim.json("POST", CONFIRM, {})
    assert found["details"] == {"operation_id": "op_1"}


async def test_a_sentence_of_the_engine_stands_alone_and_keeps_its_details(rim: Any) -> None:
    rim.engine.script["update_payment_intent"] = InvalidRequest(
        "Invalid setup_future_usage",
        field="setup_future_usage",
        details={"current_value": "off_session", "requested_value": "on_session"},
    )
    found = await rim.json("PATCH", "/payments/intents/pay_1", {})
    assert found["error"] == "Invalid setup_future_usage"
    assert found["details"] == {"current_value": "off_session", "requested_value": "on_session"}
    assert found["validation_errors"][0]["field"] == "setup_future_usage"


async def test_a_mismatched_key_tells_nothing_of_the_first_request(rim: Any) -> None:
    rim.engine.script["confirm_payment"] = IdempotencyMismatch()
    found = await rim.json("POST", CONFIRM, {})
    assert found["details"] == found["message"]


async def test_a_misconfiguration_names_no_variable_to_strangers(
    rim: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rim.engine.script["confirm_payment"] = ConfigurationError(missing=["STRIPE_SECRET_KEY"])
    await rim.ask("POST", CONFIRM, {})
    assert b"STRIPE" not in rim.last.body
    assert "STRIPE_SECRET_KEY" in caplog.text


@pytest.mark.parametrize(
    ("error", "status", "title"),
    [
        (InvalidSignature(missing=True), 400, "Missing signature"),
        (InvalidSignature(), 401, "Invalid signature"),
        (NotFound(), 404, "Provider not supported"),
        (Unavailable(), 503, "Service Unavailable"),
        (InvalidRequest("the signed body is not an event"), 400, "the signed body is not an event"),
    ],
)
async def test_a_provider_hears_the_contracts_words(
    rim: Any, error: BridgeError, status: int, title: str
) -> None:
    rim.engine.script["receive_webhook"] = error
    found = await rim.json("POST", "/webhooks/dummy", {})
    assert (rim.last.status, found["error"]) == (status, title)


async def test_reading_a_payment_uses_the_contracts_words(user: Any, rim: Any) -> None:
    user.engine.script["get_payment"] = NotFound()
    found = await user.json("GET", "/payments/pay_9")
    assert (found["error"], found["details"]) == ("Not Found", "Resource with ID pay_9 not found")
    user.engine.script["get_payment"] = AccessDenied("other words")
    found = await user.json("GET", "/payments/pay_9")
    assert (user.last.status, found["error"]) == (403, "Access Denied")
    assert found["details"] == "Insufficient privileges for this payment"
    found = await rim.json("GET", "/payments")
    assert (rim.last.status, found["error"]) == (401, "Authentication Required")
    assert found["details"] == "Authentication required to view payments"
    assert rim.last.headers["www-authenticate"].startswith("Bearer")


async def test_error_is_always_a_string(admin: Any) -> None:
    """The published JavaScript client shows it as it is: an object becomes [object Object]."""
    for name in errors.__all__:
        kind = getattr(errors, name)
        try:
            error = kind("words")
        except TypeError:
            continue
        admin.engine.script["confirm_payment"] = error
        assert isinstance((await admin.json("POST", CONFIRM, {}))["error"], str), name


async def test_a_path_with_a_lone_surrogate_is_answered(rim: Any) -> None:
    await rim.ask("GET", "/nope/\udcff")
    assert rim.last.status == 404
    json.loads(rim.last.body)
