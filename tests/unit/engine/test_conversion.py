"""A guest becomes a user: by a proved address alone, row by row, and never under an open operation."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bridge_payments import Money
from bridge_payments.errors import AccessDenied, InvalidRequest, NotAuthenticated
from bridge_payments.models import GuestData, PaymentStatus, Principal
from bridge_payments.stores.base import (
    AddressQuery,
    CustomerQuery,
    PaymentMethodQuery,
    PaymentQuery,
    SubscriptionQuery,
)

pytestmark = pytest.mark.anyio

GUEST = GuestData(email="Gail@example.com", name="Gail")
ANYBODY = Principal.anonymous(peer="192.0.2.7")
GAIL = Principal.user("gail", email="gail@example.com", email_verified=True)
PROVED = Principal.guest("gail@EXAMPLE.com")


async def shopping(house: Any) -> None:
    """A guest leaves one row of every noun, and two payments."""
    await house.engine.create_address(
        line1="1 Way", city="Town", postal_code="1", country="us", is_default=True, guest=GUEST,
        principal=ANYBODY,
    )  # fmt: skip
    await house.engine.create_subscription(
        Money(900, "USD"), payment_method="dummy_ok", guest=GUEST, principal=ANYBODY
    )
    await house.new(guest=GUEST, principal=ANYBODY)


async def test_everything_of_a_guest_becomes_the_users_and_stays_audited(house: Any) -> None:
    await shopping(house)
    preview = await house.engine.preview_guest(GUEST.email, principal=GAIL)
    done = await house.engine.convert_guest(GUEST.email, principal=GAIL)
    assert done == preview
    assert done.total == 6
    engine = house.engine
    payments = (await engine.list_payments(PaymentQuery(), principal=GAIL)).items
    assert {(row.is_guest_payment, row.guest_email) for row in payments} == {(False, GUEST.email)}
    assert len(payments) == 2
    (method,) = (await engine.list_payment_methods(PaymentMethodQuery(), principal=GAIL)).items
    for page in (
        await engine.list_customers(CustomerQuery(), principal=GAIL),
        await engine.list_addresses(AddressQuery(), principal=GAIL),
        await engine.list_subscriptions(SubscriptionQuery(), principal=GAIL),
    ):
        assert page.total == 1
    charged = await engine.charge_saved_method(Money(500, "USD"), payment_method=method.id, principal=GAIL)
    assert (charged.status, charged.user_id) == (PaymentStatus.SUCCEEDED, "gail")
    assert (await engine.list_payments(PaymentQuery(), principal=PROVED)).total == 0
    assert (await engine.convert_guest(GUEST.email, principal=GAIL)).total == 0


async def test_only_a_proved_address_converts(house: Any) -> None:
    await shopping(house)
    unverified = Principal.user("gail", email="gail@example.com")
    other = Principal.user("eve", email="eve@example.com", email_verified=True)
    claimed = Principal(kind=PROVED.kind, email="gail@example.com", email_verified=False)
    for thief, proof in ((unverified, None), (other, None), (other, claimed)):
        with pytest.raises(AccessDenied):
            await house.engine.convert_guest(GUEST.email, proof=proof, principal=thief)
        with pytest.raises(AccessDenied):
            await house.engine.preview_guest(GUEST.email, proof=proof, principal=thief)
    with pytest.raises(AccessDenied):
        await house.engine.convert_guest(GUEST.email, user_id="eve", principal=GAIL)
    for nobody in (ANYBODY, PROVED):
        with pytest.raises(NotAuthenticated):
            await house.engine.convert_guest(GUEST.email, principal=nobody)
    with pytest.raises(InvalidRequest):
        await house.engine.convert_guest(GUEST.email)
    assert (await house.engine.list_payments(PaymentQuery(guest_email=GUEST.email))).total == 2
    assert (await house.engine.convert_guest(GUEST.email, proof=PROVED, principal=unverified)).total == 6


@pytest.mark.parametrize("alike", ["mark@straße.de", "mar\u212a@strasse.de", "ﬁnn@strasse.de"])
async def test_an_address_that_only_unicode_takes_for_the_guests_proves_nothing(
    house: Any, alike: str
) -> None:
    theirs = "finn@strasse.de" if alike.startswith("ﬁ") else "mark@strasse.de"
    payment = await house.new(guest=GuestData(email=theirs), principal=ANYBODY)
    thief = Principal.user("eve", email=alike, email_verified=True)
    with pytest.raises(AccessDenied):
        await house.engine.convert_guest(theirs, principal=thief)
    assert (await house.engine.convert_guest(alike, principal=thief)).total == 0
    with pytest.raises(AccessDenied):
        await house.engine.get_payment(payment.id, principal=Principal.guest(alike))
    assert (await house.engine.list_payments(PaymentQuery(), principal=Principal.guest(alike))).total == 0


async def test_a_row_under_an_open_operation_is_left_for_the_next_call(house: Any) -> None:
    payment = await house.new(guest=GUEST, principal=ANYBODY)
    house.gateway.lose_next_answer()
    await house.engine.confirm_payment(payment.id, payment_method="dummy_ok", principal=ANYBODY)
    before = await house.row(payment.id)
    first = await house.engine.convert_guest(GUEST.email, principal=GAIL)
    assert (first.total, first.busy) == (0, (payment.id,))
    assert await house.row(payment.id) == before
    await house.settle(steps=1)
    second = await house.engine.convert_guest(GUEST.email, principal=GAIL)
    assert (second.payments, second.busy) == ((payment.id,), ())
    assert (await house.row(payment.id)).status is PaymentStatus.SUCCEEDED


async def test_more_than_a_page_and_two_callers_at_once_convert_each_row_once(build: Any) -> None:
    house = build(settings={"guest_max_payments_per_email": 0})
    made = [await house.new(guest=GUEST, principal=ANYBODY) for _ in range(120)]
    results = await asyncio.gather(
        *(house.engine.convert_guest(GUEST.email, principal=GAIL) for _ in range(3))
    )
    assert sorted(row for each in results for row in each.payments) == [payment.id for payment in made]
    assert {(await house.row(payment.id)).version for payment in made} == {made[0].version + 1}


async def test_rows_that_arrive_meanwhile_are_caught(house: Any, monkeypatch: Any) -> None:
    await shopping(house)
    convert, late = house.engine._convert_all, []

    async def and_another(kind: Any, *more: Any) -> Any:
        found = await convert(kind, *more)
        if not late:
            late.append(await house.new(guest=GUEST, principal=ANYBODY))
        return found

    monkeypatch.setattr(house.engine, "_convert_all", and_another)
    done = await house.engine.convert_guest(GUEST.email, principal=GAIL)
    assert late[0].id in done.payments


async def test_the_users_own_default_stays(house: Any) -> None:
    own = await house.engine.create_address(
        line1="2 Way", city="Town", postal_code="1", country="us", is_default=True, principal=GAIL
    )
    await shopping(house)
    await house.engine.convert_guest(GUEST.email, principal=GAIL)
    rows = (await house.engine.list_addresses(AddressQuery(), principal=GAIL)).items
    assert [row.id for row in rows if row.is_default] == [own.id]
