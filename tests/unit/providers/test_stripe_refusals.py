"""A definite no is believed once, from Stripe itself; everything else is unknown."""

from __future__ import annotations

from typing import Any

import pytest

from bridge_payments.errors import (
    ProviderDeclined,
    ProviderError,
    ProviderNotFound,
    ProviderRejected,
    ProviderStateConflict,
    ProviderUnknown,
)
from bridge_payments.providers.stripe.mapping import error_from, read_error_from
from bridge_payments.providers.stripe.refusals import safe

INVALID = {"type": "invalid_request_error", "message": "No."}
DECLINED = {
    "type": "card_error",
    "code": "card_declined",
    "decline_code": "insufficient_funds",
    "charge": "ch_1",
    "message": "Your card has insufficient funds.",
    "payment_intent": {"id": "pi_1", "client_secret": "pi_1_secret_x"},
}

FIRST_SENDS: list[tuple[int | None, Any, type[ProviderError]]] = [
    (402, DECLINED, ProviderDeclined),
    (400, INVALID, ProviderRejected),
    (400, {**INVALID, "code": "amount_too_small"}, ProviderRejected),
    (400, {**INVALID, "code": "resource_missing", "param": "payment_method"}, ProviderRejected),
    (404, {**INVALID, "code": "resource_missing"}, ProviderNotFound),
    (400, {**INVALID, "code": "payment_intent_unexpected_state"}, ProviderStateConflict),
    (400, {**INVALID, "code": "charge_already_captured"}, ProviderStateConflict),
    (400, {**INVALID, "code": "charge_already_refunded"}, ProviderStateConflict),
    (400, {**INVALID, "code": "charge_disputed"}, ProviderStateConflict),
    # Credentials and rate limits stand before the endpoint: nothing was executed.
    (401, INVALID, ProviderRejected),
    (403, INVALID, ProviderRejected),
    (429, {**INVALID, "code": "rate_limit"}, ProviderRejected),
    # A lock or a key in use: another request, perhaps our own lost one, is at work right now.
    (429, {**INVALID, "code": "lock_timeout"}, ProviderUnknown),
    (409, {**INVALID, "code": "idempotency_key_in_use"}, ProviderUnknown),
    (409, {"type": "idempotency_error", "message": "in use"}, ProviderUnknown),
    (400, {"type": "idempotency_error", "message": "another body"}, ProviderUnknown),
    (400, {"type": "api_error", "message": "oops"}, ProviderUnknown),
    (424, INVALID, ProviderUnknown),
    (500, {"type": "api_error"}, ProviderUnknown),
    (503, None, ProviderUnknown),
    # Not Stripe's words: somebody on the way answered.
    (400, None, ProviderUnknown),
    (401, None, ProviderUnknown),
    (403, {}, ProviderUnknown),
    (302, None, ProviderUnknown),
    (200, None, ProviderUnknown),
    (None, None, ProviderUnknown),
]


@pytest.mark.parametrize(("status", "error", "expected"), FIRST_SENDS)
def test_what_a_first_send_proves(status: int | None, error: Any, expected: type[ProviderError]) -> None:
    assert type(error_from(status, error, request_id="req_1")) is expected


@pytest.mark.parametrize(("status", "error", "expected"), FIRST_SENDS)
def test_a_repeat_proves_nothing_whatever_it_hears(
    status: int | None, error: Any, expected: type[ProviderError]
) -> None:
    """Rule 9: the first send may have been executed, and its refusal is about the second."""
    assert type(error_from(status, error, repeat=True)) is ProviderUnknown


@pytest.mark.parametrize(("status", "error", "expected"), FIRST_SENDS)
def test_a_refused_read_says_nothing_of_the_object_but_that_it_is_not_there(
    status: int | None, error: Any, expected: type[ProviderError]
) -> None:
    read = type(read_error_from(status, error))
    assert read is (ProviderNotFound if expected is ProviderNotFound else ProviderUnknown)


def test_a_decline_says_why_which_attempt_and_of_which_intent() -> None:
    refused = error_from(402, DECLINED, request_id="req_1")
    assert isinstance(refused, ProviderDeclined)
    assert (refused.decline_code, refused.provider_code) == ("insufficient_funds", "insufficient_funds")
    assert (refused.payment, refused.attempt) == ("pi_1", "ch_1")
    assert (refused.request_id, refused.http_status) == ("req_1", 402)
    assert str(refused) == "Your card has insufficient funds."


def test_no_secret_of_the_answer_is_in_the_error() -> None:
    for repeat in (False, True):
        refused = error_from(402, DECLINED, repeat=repeat)
        assert "secret_x" not in f"{refused!r} {refused.args} {vars(refused)}"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Invalid API Key provided: sk_test_****abcd", "Invalid API Key provided: …"),
        ("No such secret: pi_1_secret_AbC", "No such secret: …"),
        ("Invalid string: 4242 4242 4242 4242; too long", "Invalid string: …; too long"),
        ("Bad whsec_abcDEF here", "Bad … here"),
        (
            "No such payment_intent: 'pi_3SRzqkKXBGcbgpbZ17eTrqrl'",
            "No such payment_intent: 'pi_3SRzqkKXBGcbgpbZ17eTrqrl'",
        ),
    ],
)
def test_a_sentence_of_stripes_is_told_without_secrets(said: str, told: str) -> None:
    assert safe(said) == told


def test_a_sentence_of_stripes_is_not_a_novel() -> None:
    assert len(str(error_from(400, {**INVALID, "message": "x" * 10_000}))) < 400
