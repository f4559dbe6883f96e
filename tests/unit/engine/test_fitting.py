"""What no column holds is refused before a database is asked, and on every store alike."""

from __future__ import annotations

import dataclasses
from enum import Enum
from typing import Any, get_type_hints

import pytest
import sqlalchemy as sa

from bridge_payments.engine.fitting import _KEY, _SCOPE, LENGTHS, check_texts, fitting
from bridge_payments.errors import InvalidRequest
from bridge_payments.models import (
    Address,
    Customer,
    GuestData,
    Payment,
    PaymentMethod,
    Principal,
    Subscription,
)
from bridge_payments.stores.sql import tables as t
from bridge_payments.testing.stores.samples import a_payment

pytestmark = pytest.mark.anyio

LONG = Principal.user("u" * 256, email="ada@example.com", email_verified=True)
GUEST = GuestData(email=f"{'a' * 244}@example.com", name="Ada")
TABLES = {
    Payment: t.payments,
    Customer: t.customers,
    PaymentMethod: t.payment_methods,
    Address: t.addresses,
    Subscription: t.subscriptions,
}


@pytest.mark.parametrize("record", list(TABLES), ids=lambda record: record.__name__)
def test_a_text_may_be_as_long_as_its_column(record: Any) -> None:
    hints = get_type_hints(record)
    ours = {
        field.name
        for field in dataclasses.fields(record)
        if isinstance(hints[field.name], type) and issubclass(hints[field.name], Enum)
    }
    columns = {column.name: getattr(column.type, "length", None) for column in TABLES[record].columns}
    named = {field.name for field in dataclasses.fields(record)} - ours - {"flag"}
    expected = {name: length for name, length in columns.items() if length and name in named}
    assert dict(LENGTHS[record]) == expected


def test_a_key_and_its_scope_may_be_as_long_as_their_columns() -> None:
    def lengths(*names: str) -> list[Any]:
        columns = [t.keys.c[name].type for name in names]
        return [column.length for column in columns if isinstance(column, sa.String)]

    assert lengths("key", "scope") == [_KEY, _SCOPE]


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"])
def test_a_character_that_no_database_keeps_is_refused_wherever_it_is(text: str) -> None:
    for field in ("description", "return_url", "user_id"):
        with pytest.raises(InvalidRequest, match="no database") as caught:
            fitting(a_payment(**{field: text}))
        assert caught.value.field == field
    with pytest.raises(InvalidRequest):
        check_texts(Payment, description=text)


def test_what_fits_to_the_last_character_is_kept() -> None:
    payment = a_payment(user_id="ü" * 255, concept="c" * 100, description="d" * 9999)
    assert fitting(payment) is payment


async def asked(house: Any) -> Any:
    """Yield what callers ask with something in it that has no place, and what it is called."""
    order = {"total_cents": 2000, "currency": "USD"}
    engine = house.engine
    yield "user_id", lambda: engine.create_payment_intent(**order, principal=LONG)
    yield "user_id", lambda: engine.create_customer(principal=LONG)
    yield (
        "user_id",
        lambda: engine.create_address(
            line1="1 Road", city="Town", postal_code="1", country="US", principal=LONG
        ),
    )
    yield "user_id", lambda: engine.convert_guest("ada@example.com", user_id="u" * 256)
    yield "project_id", lambda: engine.create_payment_intent(**order, project_id="p" * 256)
    yield "guest_email", lambda: engine.create_payment_intent(**order, guest=GUEST)
    yield "description", lambda: engine.create_payment_intent(**order, description="a\x00")
    yield "idempotency_key", lambda: engine.create_payment_intent(**order, idempotency_key="k" * 256)
    yield "idempotency_key", lambda: engine.create_payment_intent(**order, idempotency_key="")
    payment = await house.paid()
    yield "reason", lambda: engine.refund_payment(payment.id, reason="a\x00")


async def test_what_has_no_place_is_refused_and_nothing_is_written_or_sent(house: Any) -> None:
    async for field, ask in asked(house):
        before, sent = await house.everything(), repr(vars(house.gateway))
        with pytest.raises(InvalidRequest) as caught:
            await ask()
        assert caught.value.field == field
        assert (await house.everything(), repr(vars(house.gateway))) == (before, sent)
