"""Which of PayPal's answers are a definite no, which is a decline, and which say nothing at all."""

from __future__ import annotations

from typing import Any

import pytest

from bridge_payments.errors import (
    ProviderDeclined,
    ProviderNeverSent,
    ProviderNotFound,
    ProviderRejected,
    ProviderStateConflict,
    ProviderUnknown,
)
from bridge_payments.providers.paypal.refusals import error_from, read_error_from, token_error_from


def said(issue: str | None = None, name: str = "UNPROCESSABLE_ENTITY", **more: Any) -> dict[str, Any]:
    details = {"details": [{"issue": issue, "description": "Why."}]} if issue else {}
    return {"name": name, "message": "What.", "debug_id": "d1", **details, **more}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, said("INVALID_PARAMETER_SYNTAX", "INVALID_REQUEST"), ProviderRejected),
        (401, {"error": "invalid_token"}, ProviderRejected),
        (403, said("PERMISSION_DENIED", "NOT_AUTHORIZED"), ProviderRejected),
        (404, said("INVALID_RESOURCE_ID", "RESOURCE_NOT_FOUND"), ProviderNotFound),
        (422, said("ORDER_ALREADY_CAPTURED"), ProviderStateConflict),
        (422, said("ORDER_NOT_APPROVED"), ProviderStateConflict),
        (422, said("AUTHORIZATION_VOIDED"), ProviderStateConflict),
        (422, said("REFUND_AMOUNT_EXCEEDED"), ProviderRejected),
        (422, said("SOMETHING_NEW"), ProviderRejected),
        (429, said(None, "RATE_LIMIT_REACHED"), ProviderRejected),
        (409, said("PREVIOUS_REQUEST_IN_PROGRESS", "RESOURCE_CONFLICT"), ProviderUnknown),
        (422, said("DUPLICATE_INVOICE_ID"), ProviderUnknown),
        (422, said("ORDER_COMPLETION_IN_PROGRESS"), ProviderUnknown),
        (500, said(None, "INTERNAL_SERVER_ERROR"), ProviderUnknown),
        (503, None, ProviderUnknown),
        (404, None, ProviderUnknown),
        (422, "a page of a proxy", ProviderUnknown),
        (422, {"details": [{"issue": 7}]}, ProviderUnknown),
        (422, {"details": "INSTRUMENT_DECLINED"}, ProviderUnknown),
        (302, said("X"), ProviderUnknown),
        (None, None, ProviderUnknown),
    ],
)
def test_the_first_send(status: int | None, body: Any, kind: type[Exception]) -> None:
    error = error_from(status, body, request_id="d1")
    assert type(error) is kind
    assert error.request_id == "d1"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429])
def test_a_refusal_of_a_repeat_says_nothing_of_the_first_send(status: int) -> None:
    for issue in ("INSTRUMENT_DECLINED", "ORDER_ALREADY_CAPTURED", "REFUND_AMOUNT_EXCEEDED"):
        assert type(error_from(status, said(issue), repeat=True, order="ORDER1")) is ProviderUnknown


def test_a_refused_instrument_declines_the_payer_before_an_order() -> None:
    first, second = (
        error_from(422, said("INSTRUMENT_DECLINED"), request_id=debug, order="ORDER1")
        for debug in ("d1", "d2")
    )
    assert isinstance(first, ProviderDeclined)
    assert isinstance(second, ProviderDeclined)
    assert (first.decline_code, first.provider_code, first.payment) == (
        "declined", "INSTRUMENT_DECLINED", "ORDER1",
    )  # fmt: skip
    assert first.attempt != second.attempt, "the next attempt is another one"


def test_where_no_payer_stands_a_refusal_is_not_a_decline_of_the_payment() -> None:
    error = error_from(422, said("PAYER_CANNOT_PAY"))
    assert type(error) is ProviderRejected
    assert error.decline_code == "declined"


def test_a_read_says_only_whether_there_is_such_a_thing() -> None:
    assert type(read_error_from(404, said("INVALID_RESOURCE_ID", "RESOURCE_NOT_FOUND"))) is ProviderNotFound
    for status in (400, 401, 403, 422, 429, 500):
        assert type(read_error_from(status, said("X"))) is ProviderUnknown


def test_without_a_token_nothing_was_sent_and_wrong_credentials_are_a_no() -> None:
    assert type(token_error_from(401, {"error": "invalid_client"})) is ProviderRejected
    for status, body in ((500, None), (503, {"error": "x"}), (429, None), (401, None), (200, None)):
        assert type(token_error_from(status, body)) is ProviderNeverSent


@pytest.mark.parametrize(
    "secret",
    ["A21AAFEpH4PsADK7qSS7pSRsgzfENtu-Q1ysgEDVDESseMHBYXVJYE8ovjj68elIDy8nF26AwPhfXTIeWAZHSLIsQkSYz9ifg",
     "Bearer abc.def", "4111 1111 1111 1111", "4111111111111111"],
)  # fmt: skip
def test_what_could_be_a_secret_is_not_repeated(secret: str) -> None:
    body = said()
    body["details"] = [{"issue": "X", "description": f"value {secret} was refused"}]
    error = error_from(422, body)
    assert secret not in f"{error} {error!r} {error.__dict__}"
