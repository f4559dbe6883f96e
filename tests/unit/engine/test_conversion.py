"""A guest becomes a user: by a proved address alone, row by row, and never under an open operation."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bridge_payments import Money
from bridge_payments.errors import AccessDenied, InvalidRequest, NotAuthenticated, NotFound, Unavailable
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


async def two_cards(house: Any) -> tuple[str, list[str]]:
    """A guest leaves a customer with two methods, an address and a payment; their ids."""
    made = [
        await house.engine.create_payment_method(token="dummy_ok", principal=Principal.guest(GUEST.email))
        for _ in range(2)
    ]
    await house.engine.create_address(
        line1="1 Way", city="Town", postal_code="1", country="us", guest=GUEST, principal=ANYBODY
    )
    await house.new(guest=GUEST, principal=ANYBODY)
    return made[0].customer_id, [method.id for method in made]


async def test_what_is_named_changes_hands_and_nothing_else(house: Any) -> None:
    customer, (first, second) = await two_cards(house)
    convert = house.engine.convert_guest
    done = await convert(GUEST.email, payment_method_ids=[first, first], principal=GAIL)
    assert (done.payment_methods, done.total, done.busy) == ((first,), 1, ())
    (mine,) = (await house.engine.list_payment_methods(PaymentMethodQuery(), principal=GAIL)).items
    assert (mine.id, mine.is_guest, mine.guest_email) == (first, False, GUEST.email)
    (left,) = (await house.engine.list_payment_methods(PaymentMethodQuery(), principal=PROVED)).items
    assert left.id == second
    assert (await house.engine.list_payments(PaymentQuery(), principal=GAIL)).total == 0

    again = await convert(GUEST.email, customer_ids=[customer], payment_method_ids=[first], principal=GAIL)
    assert (again.customers, again.payment_methods, again.total) == ((customer,), (), 1), "once"
    assert (await convert(GUEST.email, customer_ids=[], principal=GAIL)).total == 0
    rest = await convert(GUEST.email, principal=GAIL)
    assert (rest.payment_methods, len(rest.payments), len(rest.addresses)) == ((second,), 1, 1)


async def test_a_named_row_that_is_not_the_guests_stops_them_all(house: Any) -> None:
    _, (first, second) = await two_cards(house)
    eve = Principal.user("eve", email="eve@example.com", email_verified=True)
    hers = await house.engine.create_payment_method(token="dummy_ok", principal=eve)
    others = await house.engine.create_payment_method(
        token="dummy_ok", principal=Principal.guest("otto@example.com")
    )
    taken = await house.engine.create_payment_method(token="dummy_ok", principal=PROVED)
    await house.engine.convert_guest(GUEST.email, payment_method_ids=[taken.id], user_id="somebody")
    await house.engine.delete_payment_method(second)
    merchants = await house.engine.create_payment_method(token="dummy_ok")
    for foreign in (hers.id, others.id, taken.id, second, merchants.id, hers.customer_id, "pm_none"):
        with pytest.raises(NotFound, match="Payment method not found"):
            await house.engine.convert_guest(GUEST.email, payment_method_ids=[first, foreign], principal=GAIL)
        with pytest.raises(NotFound, match="Customer not found"):
            await house.engine.convert_guest(
                GUEST.email, customer_ids=[foreign], payment_method_ids=[first], principal=GAIL
            )
    assert (await house.engine.list_payment_methods(PaymentMethodQuery(), principal=GAIL)).total == 0
    with pytest.raises(AccessDenied):
        await house.engine.convert_guest(GUEST.email, payment_method_ids=[first], principal=eve)


async def test_a_named_row_under_an_open_operation_is_left_for_the_next_call(house: Any) -> None:
    customer, (first, _) = await two_cards(house)
    house.gateway.lose_next_answer()
    with pytest.raises(Unavailable):
        await house.engine.update_customer(customer, name="Gail G.", principal=PROVED)
    named = {"customer_ids": [customer], "payment_method_ids": [first]}
    done = await house.engine.convert_guest(GUEST.email, **named, principal=GAIL)
    assert (done.payment_methods, done.customers, done.busy) == ((first,), (), (customer,))
    await house.settle(steps=2)
    done = await house.engine.convert_guest(GUEST.email, **named, principal=GAIL)
    assert (done.payment_methods, done.customers, done.busy) == ((), (customer,), ())


async def test_named_rows_that_two_users_of_one_address_want_have_one_owner(house: Any) -> None:
    _, (first, second) = await two_cards(house)
    again = Principal.user("gail2", email="gail@example.com", email_verified=True)
    ends = await asyncio.gather(
        *(
            house.engine.convert_guest(GUEST.email, payment_method_ids=[first, second], principal=who)
            for who in (GAIL, again)
        ),
        return_exceptions=True,
    )
    done, refused = sorted(ends, key=lambda end: isinstance(end, Exception))
    assert (done.payment_methods, type(refused)) == ((first, second), NotFound)
