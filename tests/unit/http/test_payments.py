"""Payments over HTTP: what reaches the engine, and exactly what leaves."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge_payments.errors import ProviderUnknown
from bridge_payments.models import NextAction, NextActionKind, PaymentStatus, Principal
from bridge_payments.stores.base import Page

pytestmark = pytest.mark.anyio

BODY = {"total_cents": 5500, "currency": "USD", "guest_data": {"email": "ada@example.com"}}

CREATED = set(
    """
    id provider_intent_id client_secret subtotal_cents tax_cents discount_cents total_cents
    amount_cents pricing currency status provider_id description concept reference_code
    category tags metadata user_id guest_email guest_token organization_id project_id
    payment_method_id is_guest_payment is_manual_payment created_at updated_at
    """.split()
)
"""The contract's superset."""

LISTED = set(
    """
    id subtotal_cents tax_cents discount_cents total_cents amount_cents currency status
    description provider_id payment_method_id concept reference_code category tags
    created_at updated_at completed_at is_guest_payment guest_email
    """.split()
)

VERBS = [
    ("POST", "/payments/intents", BODY, "create_payment_intent", 201),
    ("PUT", "/payments/intents/pay_1", {}, "update_payment_intent", 200),
    ("PATCH", "/payments/intents/pay_1", {}, "update_payment_intent", 200),
    ("POST", "/payments/intents/pay_1/confirm", {}, "confirm_payment", 200),
    ("POST", "/payments/confirm/pay_1", {}, "confirm_payment", 200),
    ("POST", "/payments/intents/pay_1/sync", {}, "sync_payment", 200),
    ("POST", "/payments/sync/di_1", {}, "sync_payment", 200),
    ("GET", "/payments/pay_1", None, "get_payment", 200),
    ("GET", "/payments/intents/pay_1", None, "get_payment", 200),
    ("POST", "/payments/pay_1/cancel", {}, "cancel_payment", 200),
    ("POST", "/payments/pay_1/capture", {}, "capture_payment", 200),
    ("GET", "/payments", None, "list_payments", 200),
    ("GET", "/payments/guest/ada@example.com", None, "list_payments", 200),
]


@pytest.mark.parametrize(("method", "path", "body", "verb", "status"), VERBS)
async def test_every_spelling_reaches_its_verb(
    admin: Any, method: str, path: str, body: Any, verb: str, status: int
) -> None:
    found = await admin.json(method, path, body)
    assert (admin.last.status, found["success"]) == (status, True)
    assert admin.engine.calls[-1][0] == verb
    assert "data" in found


@pytest.mark.parametrize(("method", "path", "body", "verb", "status"), VERBS)
async def test_what_is_not_declared_does_not_leave(
    admin: Any, user: Any, method: str, path: str, body: Any, verb: str, status: int
) -> None:
    """Our own reference and the operator's notes are columns of the row, and nobody's business."""
    for rim in (admin, user):
        if rim is user and (verb == "capture_payment" or "guest/" in path):
            continue
        await rim.ask(method, path, body)
        assert rim.last.status == status
        assert b"internal0reference00" not in rim.last.body
        assert b"unknown_operation_id" not in rim.last.body
    assert b"operator's eyes" not in user.last.body if user.last else True


async def test_a_created_payment_has_the_contracts_fields(rim: Any) -> None:
    data = (await rim.json("POST", "/payments/intents", BODY))["data"]
    assert data.keys() >= CREATED
    assert data["amount_cents"] == data["total_cents"] == data["pricing"]["total_cents"] == 5500
    assert data["client_secret"] == "di_1_secret_x"
    assert data["guest_token"] is None
    assert data["created_at"] == "2026-01-15T10:30:00.123Z"
    assert data["status"] == "pending"
    assert data["is_guest_payment"] is True


async def test_a_list_never_holds_a_client_secret(admin: Any, payment: Any) -> None:
    admin.engine.script["list_payments"] = Page(items=(payment(), payment(id="pay_2")), total=2)
    found = await admin.json("GET", "/payments")
    assert found["data"][0].keys() >= LISTED
    assert b"secret" not in admin.last.body
    assert [item["id"] for item in found["data"]] == ["pay_1", "pay_2"]


async def test_an_answer_to_somebody_who_only_knows_the_id_says_no_more_than_the_outcome(
    rim: Any, payment: Any
) -> None:
    """Whoever knows the id of a guest payment may confirm and sync it; they do not learn whose it is."""
    for verb, path in [("confirm_payment", "intents/pay_1/confirm"), ("sync_payment", "intents/pay_1/sync")]:
        rim.engine.script[verb] = payment(description="a present", metadata={"size": "M"})
        await rim.ask("POST", f"/payments/{path}", {})
        for private in (b"ada@", b"Ada", b"secret", b"a present", b"size"):
            assert private not in rim.last.body


async def test_the_operators_notes_are_for_admins(admin: Any, user: Any) -> None:
    seen = (await admin.json("GET", "/payments/pay_1"))["data"]
    assert seen["error_message"] == "the operator's eyes only"
    assert seen["guest_data"] == {"email": "ada@example.com", "name": "Ada", "phone": None}
    seen = (await user.json("GET", "/payments/pay_1"))["data"]
    assert seen["error_message"] is None
    assert seen["guest_data"] is None
    assert seen["guest_name"] == "Ada"


async def test_a_single_payment_says_as_whom_it_was_answered(
    user: Any, guest: Any, admin: Any, payment: Any
) -> None:
    user.engine.script["get_payment"] = payment(user_id="u1")
    found = await user.json("GET", "/payments/pay_1")
    assert found["meta"]["total"] == 1
    assert found["user_context"] == {
        "authenticated": True,
        "user_id": "u1",
        "user_type": "user",
        "user_email": "ada@example.com",
        "access_method": "user_id_access",
        "is_owner": True,
        "is_admin": False,
    }
    assert (await guest.json("GET", "/payments/pay_1"))["user_context"][
        "access_method"
    ] == "guest_token_access"
    assert (await admin.json("GET", "/payments/pay_1"))["user_context"]["is_admin"] is True


# --- unknown outcomes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "verb", "status"),
    [
        ("/payments/intents", "create_payment_intent", 201),
        ("/payments/intents/pay_1/confirm", "confirm_payment", 200),
        ("/payments/intents/pay_1/sync", "sync_payment", 200),
        ("/payments/pay_1/capture", "capture_payment", 200),
        ("/payments/pay_1/cancel", "cancel_payment", 200),
    ],
)
async def test_an_unknown_outcome_is_an_answer_and_not_an_error(
    admin: Any, payment: Any, path: str, verb: str, status: int
) -> None:
    """Rule 28: a payer who sees an error pays again."""
    admin.engine.script[verb] = payment(status=PaymentStatus.PROCESSING, unknown_operation_id="op_7")
    found = await admin.json("POST", path, BODY)
    assert (admin.last.status, found["success"]) == (status, True)
    data = found["data"]
    assert (data["status"], data["outcome"], data["operation_id"]) == ("processing", "unknown", "op_7")
    assert data.get("requires_action", False) is False


async def test_an_unknown_outcome_sends_the_payer_nowhere(rim: Any, payment: Any) -> None:
    rim.engine.script["confirm_payment"] = payment(
        status=PaymentStatus.REQUIRES_ACTION, unknown_operation_id="op_7"
    )
    data = (await rim.json("POST", "/payments/intents/pay_1/confirm", {}))["data"]
    assert data["requires_action"] is False


async def test_a_known_outcome_says_so(rim: Any) -> None:
    data = (await rim.json("POST", "/payments/intents/pay_1/confirm", {}))["data"]
    assert (data["outcome"], data["operation_id"]) == (None, None)


async def test_a_create_that_was_lost_may_be_tried_again(rim: Any) -> None:
    rim.engine.script["create_payment_intent"] = ProviderUnknown("no answer")
    await rim.ask("POST", "/payments/intents", BODY)
    assert rim.last.status == 503
    assert rim.last.headers["retry-after"]


async def test_a_challenge_names_the_next_step(rim: Any, payment: Any) -> None:
    rim.engine.script["confirm_payment"] = payment(
        status=PaymentStatus.REQUIRES_ACTION,
        next_action=NextAction(kind=NextActionKind.REDIRECT, url="https://bank.example/3ds"),
    )
    data = (await rim.json("POST", "/payments/intents/pay_1/confirm", {}))["data"]
    assert data["requires_action"] is True
    assert data["next_action"] == {
        "kind": "redirect_to_url",
        "url": "https://bank.example/3ds",
        "return_url": None,
    }


# --- what reaches the engine -----------------------------------------------------------------------


async def test_create_passes_what_was_asked(rim: Any) -> None:
    await rim.ask(
        "POST",
        "/payments/intents",
        {
            **BODY,
            "subtotal_cents": 5000,
            "tax_cents": 500,
            "provider_id": "dummy",
            "payment_method_id": "pm_1",
            "confirm": True,
            "capture_method": "manual",
            "reference_code": "order-1",
            "manual_payment_date": "2026-01-02T03:04:05Z",
        },
    )
    asked = rim.engine.asked
    assert (asked["subtotal_cents"], asked["tax_cents"], asked["total_cents"]) == (5000, 500, 5500)
    assert (asked["provider"], asked["payment_method"], asked["confirm"]) == ("dummy", "pm_1", True)
    assert asked["capture_method"] == "manual"
    assert asked["manual_payment_date"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert asked["guest"].email == "ada@example.com"


async def test_amount_cents_is_another_name_of_the_total(rim: Any) -> None:
    await rim.ask("POST", "/payments/intents", {"amount_cents": 700, "currency": "USD"})
    assert rim.engine.asked["total_cents"] == 700
    await rim.ask("POST", "/payments/intents", {"amount_cents": 700, "total_cents": 701, "currency": "USD"})
    assert rim.last.status == 400


async def test_shipping_is_charged_and_kept(rim: Any) -> None:
    body = {"subtotal_cents": 5000, "shipping_cents": 300, "total_cents": 5300, "currency": "USD"}
    await rim.ask("POST", "/payments/intents", body)
    asked = rim.engine.asked
    assert (asked["subtotal_cents"], asked["total_cents"]) == (5300, 5300)
    assert asked["metadata"] == {"shipping_cents": 300}


async def test_a_secret_is_presented_in_the_body(rim: Any) -> None:
    for method, path in [("PUT", "/payments/intents/pay_1"), ("POST", "/payments/pay_1/cancel")]:
        await rim.ask(method, path, {"client_secret": "di_1_secret_x"})
        assert rim.engine.asked["client_secret"] == "di_1_secret_x"


async def test_capture_says_what_was_collected(admin: Any, payment: Any) -> None:
    admin.engine.script["capture_payment"] = payment(
        status=PaymentStatus.SUCCEEDED, authorized_cents=5500, captured_cents=4000
    )
    data = (await admin.json("POST", "/payments/pay_1/capture", {"amount_cents": 4000}))["data"]
    assert admin.engine.asked["amount_cents"] == 4000
    assert (data["authorized_amount_cents"], data["captured_amount_cents"]) == (5500, 4000)
    assert (data["remaining_amount_cents"], data["capture_status"]) == (0, "partially_captured")


async def test_cancel_says_so_in_words(rim: Any, payment: Any) -> None:
    rim.engine.script["cancel_payment"] = payment(status=PaymentStatus.CANCELED)
    data = (await rim.json("POST", "/payments/pay_1/cancel", {}))["data"]
    assert (data["status"], data["message"]) == ("canceled", "Payment intent canceled successfully")


async def test_cancel_says_when_somebody_was_faster(rim: Any, payment: Any) -> None:
    """Only an unknown outcome is told as one: a payer who reads "not known yet" waits for nothing."""
    rim.engine.script["cancel_payment"] = payment(status=PaymentStatus.SUCCEEDED, captured_cents=5500)
    data = (await rim.json("POST", "/payments/pay_1/cancel", {}))["data"]
    assert (data["status"], data["message"]) == (
        "succeeded",
        "The payment is succeeded; it could not be canceled",
    )
    assert "captured_cents" not in data
    rim.engine.script["cancel_payment"] = payment(
        status=PaymentStatus.PROCESSING, unknown_operation_id="op_1"
    )
    data = (await rim.json("POST", "/payments/pay_1/cancel", {}))["data"]
    assert data["message"] == "Cancellation requested; its outcome is not known yet"


async def test_cancel_after_a_partial_capture_releases_the_rest(admin: Any, payment: Any) -> None:
    admin.engine.script["cancel_payment"] = payment(status=PaymentStatus.SUCCEEDED, captured_cents=2000)
    data = (await admin.json("POST", "/payments/pay_1/cancel", {}))["data"]
    assert data["message"] == "The payment is succeeded with what was captured; the rest was released"


async def test_sync_says_when(rim: Any) -> None:
    data = (await rim.json("POST", "/payments/intents/pay_1/sync", {"expected_status": "succeeded"}))["data"]
    assert data["synced"] is True
    assert data["synced_at"] == "2026-01-15T10:30:00.123Z"
    assert data["payment_method_saved"] is False


async def test_a_refund_names_the_payment(admin: Any, refund: Any) -> None:
    admin.engine.script["refund_payment"] = refund(operation_id="op_1", reason="broken")
    found = await admin.json(
        "POST",
        "/payments/pay_1/refund",
        {"amount_cents": 1000, "reason": "broken"},
        headers={"idempotency-key": "k"},
    )
    assert found["data"]["payment_id"] == "pay_1"
    assert (found["data"]["status"], found["data"]["amount_cents"]) == ("pending", 1000)


# --- lists -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "page", "limit", "offset"),
    [
        ({}, 1, 20, 0),
        ({"page": "3", "limit": "10"}, 3, 10, 20),
        ({"limit": "500"}, 1, 50, 0),
        ({"limit": "0"}, 1, 1, 0),
        ({"limit": "-5", "page": "-2"}, 1, 1, 0),
        ({"limit": "ten", "page": "two"}, 1, 20, 0),
        ({"limit": "", "page": ""}, 1, 20, 0),
        ({"offset": "40"}, 3, 20, 40),
        ({"offset": "45"}, 3, 20, 45),
        ({"page": "9" * 30}, 100_000, 20, 1_999_980),
    ],
)
async def test_pages_are_clamped_and_never_refused(
    admin: Any, given: dict[str, str], page: int, limit: int, offset: int
) -> None:
    found = await admin.json("GET", "/payments", query=given)
    query = admin.engine.calls[-1][1][0]
    assert (query.limit, query.offset) == (limit, offset)
    assert (found["meta"]["page"], found["meta"]["limit"]) == (page, limit)


async def test_both_spellings_of_the_pagination(admin: Any, payment: Any) -> None:
    admin.engine.script["list_payments"] = Page(items=(payment(),), total=45)
    meta = (await admin.json("GET", "/payments", query={"page": "2", "search": "ada"}))["meta"]
    assert meta == {
        "query": "ada",
        "page": 2,
        "limit": 20,
        "total": 45,
        "totalPages": 3,
        "hasMore": True,
        "orderBy": "created_at",
        "orderDir": "desc",
        "pagination": {"total": 45, "page": 2, "pageSize": 20, "totalPages": 3},
    }


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("succeeded", {PaymentStatus.SUCCEEDED}),
        ("completed", {PaymentStatus.SUCCEEDED}),
        ("cancelled", {PaymentStatus.CANCELED}),
        ("requires_payment_method", {PaymentStatus.PENDING}),
        ("created, FAILED", {PaymentStatus.PENDING, PaymentStatus.FAILED}),
        ("", None),
    ],
)
async def test_a_status_may_be_spelled_as_other_revisions_did(admin: Any, given: str, status: Any) -> None:
    await admin.ask("GET", "/payments", query={"status": given})
    assert admin.engine.calls[-1][1][0].statuses == status


@pytest.mark.parametrize(
    "given", [{"status": "paid"}, {"created_at_from": "soon"}, {"created_at_to": "2026-13-01"}]
)
async def test_a_filter_that_means_nothing_is_refused(admin: Any, given: dict[str, str]) -> None:
    """Ignoring it would show payments that nobody asked for."""
    await admin.ask("GET", "/payments", query=given)
    assert admin.last.status == 400


async def test_an_order_is_found_by_the_merchants_own_reference(admin: Any) -> None:
    await admin.ask("GET", "/payments", query={"reference_code": "Order-1"})
    assert admin.engine.calls[-1][1][0].reference_code == "Order-1"


async def test_a_day_is_a_whole_day(admin: Any) -> None:
    await admin.ask(
        "GET", "/payments", query={"created_at_from": "2026-01-15", "created_at_to": "2026-01-15"}
    )
    query = admin.engine.calls[-1][1][0]
    assert query.created_from == datetime(2026, 1, 15, tzinfo=UTC)
    assert query.created_to == datetime(2026, 1, 15, 23, 59, 59, 999999, tzinfo=UTC)


async def test_an_order_that_does_not_exist_is_the_usual_one(admin: Any) -> None:
    await admin.ask("GET", "/payments", query={"orderBy": "client_secret", "orderDir": "sideways"})
    query = admin.engine.calls[-1][1][0]
    assert (query.order_by, query.descending) == ("created_at", True)
    await admin.ask("GET", "/payments", query={"orderBy": "amount_cents", "orderDir": "asc"})
    query = admin.engine.calls[-1][1][0]
    assert (query.order_by, query.descending) == ("amount_cents", False)


ADA = "ada@example.com"


@pytest.mark.parametrize(
    ("principal", "status"),
    [
        (None, 401),
        (Principal.user("u1", email=ADA, email_verified=False), 403),
        (Principal.user("u1", email="eve@example.com", email_verified=True), 403),
        (Principal.user("u1", email="ADA@example.com", email_verified=True), 200),
        (Principal.guest("eve@example.com"), 403),
        (Principal.guest(ADA), 200),
        (Principal.admin("root"), 200),
    ],
)
async def test_an_email_address_is_no_identity_until_it_is_proved(
    build: Any, principal: Any, status: int
) -> None:
    rim = build(principal=principal)
    await rim.ask("GET", f"/payments/guest/{ADA}")
    assert rim.last.status == status
    if status == 200:
        _, (query,), asked = rim.engine.calls[-1]
        assert query.guest_email == ADA
        assert asked["principal"].kind in ("guest", "admin")
    else:
        assert not rim.engine.calls


async def test_flat_answers_keep_lists_in_the_envelope(build: Any) -> None:
    rim = build(principal=Principal.admin("root"), response_compat="flat")
    assert (await rim.json("GET", "/payments"))["success"] is True
    found = json.loads((await rim.ask("GET", "/payments/pay_1")).body)
    assert found["data"]["status"] == found["status"] == "pending"
    assert "success" not in found
