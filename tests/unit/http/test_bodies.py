"""What strangers may send, and how they are told what is wrong with it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

pytestmark = pytest.mark.anyio

CREATE = "/payments/intents"
GOOD = {"total_cents": 5500, "currency": "usd", "guest_data": {"email": "ada@example.com", "name": "Ada"}}


async def test_fields_that_nobody_declared_are_ignored(rim: Any) -> None:
    """The published JavaScript client adds organization_id and project_id to every body."""
    await rim.ask("POST", "/payments/intents/pay_1/confirm", {"organization_id": "o", "surprise": [1]})
    assert rim.last.status == 200


async def test_null_is_absent(rim: Any) -> None:
    """The published Rust client sends every unset option as null."""
    body = {
        **GOOD,
        "metadata": None,
        "confirm": None,
        "capture_method": None,
        "tax_cents": None,
        "guest_data": {"email": "ada@example.com", "name": None, "phone": None},
    }
    await rim.ask("POST", CREATE, body)
    assert rim.last.status == 201
    asked = rim.engine.asked
    assert (asked["metadata"], asked["confirm"], asked["capture_method"]) == ({}, False, "automatic")
    assert asked["guest"].name is None


async def test_null_inside_metadata_is_the_merchants_own(rim: Any) -> None:
    await rim.ask("POST", CREATE, {**GOOD, "metadata": {"gift": None}})
    assert rim.engine.asked["metadata"] == {"gift": None}


@pytest.mark.parametrize("amount", ["5500", 5500.0, 5500.5, True, -1, 2**53, 10**30, [5500], {"cents": 1}])
async def test_an_amount_is_an_integer_in_range(rim: Any, amount: object) -> None:
    found = await rim.json("POST", CREATE, {**GOOD, "total_cents": amount})
    assert rim.last.status == 400
    assert found["error"] == "Validation failed"
    assert [entry["field"] for entry in found["details"]] == ["total_cents"]
    assert not rim.engine.calls


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("currency", "US"),
        ("currency", "USDX"),
        ("currency", "U$D"),
        ("currency", "USD\n"),
        ("currency", 840),
        ("provider_id", "a b"),
        ("provider_id", "a\nb"),
        ("provider_id", ""),
        ("payment_method_id", "pm card"),
        ("confirm", "true"),
        ("confirm", 1),
        ("metadata", []),
        ("metadata", "x"),
        ("capture_method", "later"),
        ("setup_future_usage", "always"),
        ("return_url", "javascript:alert(1)"),
        ("return_url", "javascript://x%0aalert(1)"),
        ("return_url", "/relative"),
        ("return_url", "https://shop.example/a b"),
        ("manual_payment_date", "yesterday"),
        ("manual_payment_date", 1736900000),
        ("description", "x" * 2001),
        ("reference_code", "x" * 101),
        ("tags", ["a", "b"]),
    ],
)
async def test_a_wrong_field_is_named(rim: Any, field: str, value: object) -> None:
    found = await rim.json("POST", CREATE, {**GOOD, field: value})
    assert rim.last.status == 400
    assert [entry["field"] for entry in found["validation_errors"]] == [field]
    assert found["cause"][0]["path"] == [field]
    assert not rim.engine.calls


@pytest.mark.parametrize(
    "email", ["ada", "ada@", "@x.y", "a b@x.y", "a@x.y\n", "a@x.y,b@x.y", "x" * 250 + "@x.y", 5]
)
async def test_a_guest_gives_one_email_address(rim: Any, email: object) -> None:
    found = await rim.json("POST", CREATE, {**GOOD, "guest_data": {"email": email}})
    assert rim.last.status == 400
    assert found["details"][0]["field"] == "guest_data.email"


async def test_every_wrong_field_is_named_at_once(rim: Any) -> None:
    found = await rim.json("POST", CREATE, {"total_cents": "5", "currency": "x", "tax_cents": -1})
    assert {entry["field"] for entry in found["details"]} == {"total_cents", "currency", "tax_cents"}
    assert found["details"] == found["validation_errors"]


async def test_a_missing_currency_is_named(rim: Any) -> None:
    found = await rim.json("POST", CREATE, {"total_cents": 5500})
    assert found["details"] == [{"field": "currency", "message": "Field required"}]


async def test_what_was_sent_is_never_repeated_in_the_answer(rim: Any) -> None:
    await rim.ask("POST", CREATE, {**GOOD, "currency": "hunter2", "description": 4242})
    assert b"hunter2" not in rim.last.body
    assert b"4242" not in rim.last.body


@pytest.mark.parametrize(
    "raw", [b"{", b"nope", b'{"total_cents": NaN}', b'{"a": "\xff"}', b"{}x", b"[" * 5000, b'"\\ud800"']
)
async def test_a_body_that_is_not_json_is_refused(rim: Any, raw: bytes) -> None:
    found = await rim.json("POST", CREATE, raw=raw)
    assert (rim.last.status, found["error"]) == (400, "Invalid JSON in request body")


@pytest.mark.parametrize("raw", [b"[]", b'"x"', b"5", b"null", b"true"])
async def test_a_body_is_an_object(rim: Any, raw: bytes) -> None:
    found = await rim.json("POST", "/payments/pay_1/cancel", raw=raw)
    assert (rim.last.status, found["error"]) == (400, "The request body must be a JSON object")


@pytest.mark.parametrize("raw", [b"", b"  \n", b"{}"])
async def test_an_empty_body_is_an_empty_object(rim: Any, raw: bytes) -> None:
    """The published JavaScript client sends the JSON content type without a body."""
    await rim.ask("POST", "/payments/pay_1/cancel", raw=raw)
    assert rim.last.status == 200


@pytest.mark.parametrize(
    "given", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json"]
)
async def test_another_content_type_is_refused(rim: Any, given: str) -> None:
    found = await rim.json("POST", "/payments/pay_1/cancel", {}, headers={"content-type": given})
    assert (rim.last.status, found["error"]) == (400, "Content-Type must be application/json")


@pytest.mark.parametrize("given", ["application/json", "Application/JSON; charset=utf-8"])
async def test_json_may_say_its_charset(rim: Any, given: str) -> None:
    await rim.ask("POST", "/payments/pay_1/cancel", {}, headers={"content-type": given})
    assert rim.last.status == 200


async def test_the_content_type_may_be_left_unchecked(build: Any) -> None:
    rim = build(validate_content_type=False)
    await rim.ask("POST", "/payments/pay_1/cancel", {}, headers={"content-type": "text/plain"})
    assert rim.last.status == 200


async def test_a_body_over_the_limit_is_413(build: Any) -> None:
    rim = build(max_request_size=100)
    await rim.ask("POST", CREATE, raw=b"x" * 101)
    assert rim.last.status == 413
    await rim.ask("POST", CREATE, raw=b"", headers={"content-length": "101"})
    assert rim.last.status == 413


@pytest.mark.parametrize(
    "body", [{"description": "a\x00b"}, {"metadata": {"a\x00": 1}}, {"metadata": {"a": ["\x00"]}}]
)
async def test_a_nul_never_reaches_a_database(rim: Any, body: dict[str, object]) -> None:
    await rim.ask("POST", CREATE, {**GOOD, **body})
    assert rim.last.status == 400


async def test_a_number_without_end_is_refused(rim: Any) -> None:
    for digits in (30, 4000, 5000):
        raw = b'{"currency":"USD","total_cents":1,"metadata":{"x":' + b"9" * digits + b"}}"
        await rim.ask("POST", CREATE, raw=raw)
        assert rim.last.status == 400


@pytest.mark.parametrize("number", [10**30, -(10**30), -(10**4000)], ids=["large", "small", "smaller"])
async def test_an_absurdly_large_number_is_refused(rim: Any, number: int) -> None:
    await rim.ask("POST", CREATE, {**GOOD, "metadata": {"x": number}})
    assert rim.last.status == 400


async def test_an_infinite_number_is_refused(rim: Any) -> None:
    await rim.ask("POST", CREATE, raw=b'{"currency":"USD","total_cents":1,"metadata":{"x":1e999}}')
    assert rim.last.status == 400


CARD = "4242424242424242"


@pytest.mark.parametrize(
    "body",
    [
        {"description": CARD},
        {"payment_method_id": CARD},
        {"description": "card 4242 4242 4242 4242, thanks"},
        {"description": "4242-4242-4242-4242"},
        {"metadata": {"card": CARD}},
        {"metadata": {"card": int(CARD)}},
        {"metadata": {"card": -int(CARD)}},
        {"metadata": {"card": float(CARD)}},
        {"description": "4242\u00a04242\u00a04242\u00a04242"},
        {"description": "４２４２４２４２４２４２４２４２"},  # noqa: RUF001
        {"description": "4242 - 4242 - 4242 - 4242"},
        {"metadata": {"deep": [{"er": CARD}]}},
        {"metadata": {CARD: "x"}},
        {"guest_data": {"email": "ada@example.com", "name": CARD}},
        {"card": {"number": CARD}},
        {"concept": "5555 5555 5555 4444"},
    ],
)
async def test_a_card_number_is_refused_wherever_it_stands(rim: Any, body: dict[str, object]) -> None:
    """Rule 27: what we never saw cannot be stolen from us."""
    found = await rim.json("POST", CREATE, {**GOOD, **body})
    assert rim.last.status == 400
    assert "card number" in found["message"]
    assert CARD.encode() not in rim.last.body.replace(b" ", b"").replace(b"-", b"")
    assert not rim.engine.calls


@pytest.mark.parametrize("piece", ["٤" * 13 + "a", "1--" * 13 + "a", "1" * 13 + "a"])
async def test_a_body_of_almost_card_numbers_is_read_in_no_time(rim: Any, piece: str) -> None:
    """A pattern that looks back at each of them kept one megabyte for half a minute."""
    text = piece * (500_000 // len(piece.encode()))
    raw = json.dumps({**GOOD, "metadata": {"x": text}}, ensure_ascii=False).encode()
    began = time.process_time()
    await rim.ask("POST", CREATE, raw=raw)
    assert rim.last.status == 201
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "body",
    [
        {"customer_id": CARD},
        {"metadata": {"order_id": CARD}},
        {"description": "paid at 1736937000123"},
        {"description": "4242424242424241"},
        {"description": "reference 1234567890123456"},
    ],
)
async def test_ids_and_times_are_not_card_numbers(rim: Any, body: dict[str, object]) -> None:
    await rim.ask("POST", CREATE, {**GOOD, **body})
    assert rim.last.status == 201


@pytest.mark.parametrize("key", ["k" * 256, "a b", "schlüssel", "a\tb"])
async def test_an_idempotency_key_is_short_visible_ascii(rim: Any, key: str) -> None:
    found = await rim.json("POST", CREATE, GOOD, headers={"idempotency-key": key})
    assert rim.last.status == 400
    assert found["details"][0]["field"] == "Idempotency-Key"


async def test_the_idempotency_key_reaches_the_engine(rim: Any) -> None:
    for method, path in [
        ("POST", CREATE),
        ("PUT", "/payments/intents/pay_1"),
        ("PATCH", "/payments/intents/pay_1"),
        ("POST", "/payments/intents/pay_1/confirm"),
        ("POST", "/payments/pay_1/cancel"),
    ]:
        await rim.ask(method, path, GOOD, headers={"idempotency-key": "order-1"})
        assert rim.engine.asked["idempotency_key"] == "order-1", path


async def test_a_refund_without_a_key_is_refused(admin: Any, refund: Any) -> None:
    """Rule 29: a refund that is repeated by accident is money lost."""
    admin.engine.script["refund_payment"] = refund()
    found = await admin.json("POST", "/payments/pay_1/refund", {"amount_cents": 1000})
    assert admin.last.status == 400
    assert found["details"][0]["field"] == "Idempotency-Key"
    await admin.ask(
        "POST", "/payments/pay_1/refund", {"amount_cents": 1000}, headers={"idempotency-key": "k"}
    )
    assert admin.last.status == 201
    assert admin.engine.asked["idempotency_key"] == "k"


async def test_who_sends_nothing_need_not_say_what_it_is(user: Any) -> None:
    """Clients made from the document send no type where they send no body; the type keeps forms out."""
    await user.ask("POST", "/payments/pay_1/cancel", raw=b"", headers={"content-type": ""})
    assert user.last.status == 200
    await user.ask("POST", "/payments/pay_1/cancel", raw=b"", headers={"content-type": "", "cookie": "sid=1"})
    assert user.last.status == 400
