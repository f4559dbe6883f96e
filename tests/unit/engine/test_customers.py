"""Customers: one per owner and account, whatever is lost, and nobody's but their owner's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bridge_payments.errors import (
    AccessDenied,
    IdempotencyMismatch,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    OperationInProgress,
    ProviderRejected,
    Unavailable,
)
from bridge_payments.models import GuestData, OperationState, Principal
from bridge_payments.stores.base import CustomerQuery

pytestmark = pytest.mark.anyio

ADA = Principal.user("ada", email="ada@example.com", email_verified=True)
BOB = Principal.user("bob", email="bob@example.com")
GUEST = GuestData(email="guest@example.com", name="Gail")


async def test_a_user_has_one_customer_per_account(house: Any) -> None:
    made = await house.engine.create_customer(name="Ada", principal=ADA)
    again = await house.engine.create_customer(name="Somebody else", principal=ADA)
    assert (made.existed, again.existed) == (False, True)
    assert again.customer == made.customer
    assert made.customer.email == "ada@example.com"
    assert made.customer.provider_customer_id in house.gateway.customers
    assert len(house.gateway.customers) == 1
    assert [event.type for event in await house.events(made.customer.id)] == ["customer.created"]


async def test_callers_at_the_same_moment_get_one_customer(house: Any) -> None:
    answers = await asyncio.gather(
        *(house.engine.create_customer(principal=ADA) for _ in range(10)), return_exceptions=True
    )
    made = [answer for answer in answers if not isinstance(answer, Exception)]
    assert {answer.customer.id for answer in made} == {made[0].customer.id}
    assert all(isinstance(answer, OperationInProgress) for answer in answers if answer not in made)
    assert len(house.gateway.customers) == 1


async def test_an_anonymous_caller_never_receives_the_record_behind_an_address(house: Any) -> None:
    proved = Principal.guest(GUEST.email, name="Gail")
    mine = await house.engine.create_customer(phone="+15550100", principal=proved)
    anybody = Principal.anonymous(peer="192.0.2.7")
    theirs = await house.engine.create_customer(guest=GUEST, principal=anybody)
    assert theirs.existed is False
    assert theirs.customer.id != mine.customer.id
    assert theirs.customer.phone is None
    # … and cannot tell from the answer that the address was known.
    nobodys = await house.engine.create_customer(guest=GuestData(email="x@example.com"), principal=anybody)
    assert (theirs.customer.guest_email, nobodys.customer.guest_email) == (GUEST.email, "x@example.com")
    for customer in (mine, theirs):
        with pytest.raises(NotAuthenticated):
            await house.engine.get_customer(customer.customer.id, principal=anybody)
    assert (await house.engine.create_customer(principal=proved)).customer == mine.customer


async def test_an_anonymous_caller_says_who_it_is(house: Any, build: Any) -> None:
    with pytest.raises(InvalidRequest):
        await house.engine.create_customer(email="a@example.com", principal=Principal.anonymous())
    closed = build(settings={"guest_checkout_enabled": False})
    with pytest.raises(AccessDenied):
        await closed.engine.create_customer(guest=GUEST, principal=Principal.anonymous())


async def test_somebody_elses_customer_is_refused_and_nothing_is_sent(house: Any) -> None:
    made = (await house.engine.create_customer(principal=ADA)).customer
    sent = len(house.gateway.requests)
    for call in (
        house.engine.get_customer(made.id, principal=BOB),
        house.engine.get_customer(made.provider_customer_id, principal=BOB),
        house.engine.update_customer(made.id, name="B", principal=BOB),
        house.engine.delete_customer(made.id, principal=BOB),
    ):
        with pytest.raises(AccessDenied):
            await call
    assert len(house.gateway.requests) == sent
    with pytest.raises(NotFound):
        await house.engine.get_customer("cust_unknown", principal=ADA)


async def test_a_customer_is_found_by_either_id_changed_and_forgotten(house: Any) -> None:
    made = (await house.engine.create_customer(name="Ada", metadata={"a": 1}, principal=ADA)).customer
    assert await house.engine.get_customer(made.provider_customer_id, principal=ADA) == made
    changed = await house.engine.update_customer(made.id, phone="+15550100", principal=ADA)
    assert (changed.name, changed.phone, changed.metadata) == ("Ada", "+15550100", {"a": 1})
    assert house.gateway.customers[made.provider_customer_id]["phone"] == "+15550100"
    gone = await house.engine.delete_customer(made.id, principal=ADA)
    assert gone.is_deleted
    assert house.gateway.customers == {}
    with pytest.raises(NotFound):
        await house.engine.get_customer(made.id, principal=ADA)
    assert (await house.engine.list_customers(CustomerQuery(), principal=ADA)).total == 0
    assert await house.told(made.id) == ["customer.created", "customer.updated", "customer.deleted"]
    fresh = await house.engine.create_customer(principal=ADA)
    assert fresh.existed is False


async def test_users_list_their_own_and_nobody_lists_without_an_identity(house: Any) -> None:
    made = (await house.engine.create_customer(principal=ADA)).customer
    await house.engine.create_customer(principal=BOB)
    mine = await house.engine.list_customers(CustomerQuery(user_id="bob"), principal=ADA)
    assert mine.items == (made,)
    assert (await house.engine.list_customers(CustomerQuery())).total == 2
    with pytest.raises(NotAuthenticated):
        await house.engine.list_customers(CustomerQuery(), principal=Principal.anonymous())


# --- trouble ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["lost_answer", "broken_before", "never_sent"])
async def test_a_lost_create_leaves_one_customer(house: Any, fault: Any) -> None:
    for _ in range(3 if fault == "never_sent" else 1):
        house.gateway.fail_next(fault)
    with pytest.raises(Unavailable):
        await house.engine.create_customer(principal=ADA, idempotency_key="k")
    await house.settle(steps=12)
    made = await house.engine.create_customer(principal=ADA, idempotency_key="k")
    assert made.customer.provider_customer_id in house.gateway.customers
    assert len(house.gateway.customers) == 1


async def test_while_it_is_unknown_others_are_told_of_the_operation(house: Any) -> None:
    house.gateway.lose_next_answer()
    with pytest.raises(Unavailable):
        await house.engine.create_customer(principal=ADA)
    with pytest.raises(OperationInProgress) as refusal:
        await house.engine.create_customer(principal=ADA)
    (waiting,) = await house.engine.list_unknown()
    assert refusal.value.operation_id == waiting.id
    await house.settle(steps=1)
    assert (await house.engine.create_customer(principal=ADA)).existed


async def test_what_was_never_executed_is_repeated_with_its_key_and_given_up_after_its_window(
    house: Any,
) -> None:
    house.gateway.fail_next("broken_before")
    with pytest.raises(Unavailable):
        await house.engine.create_customer(principal=ADA)
    (operation,) = await house.engine.list_unknown()
    await house.settle(steps=12)
    assert house.gateway.requests == [("customers", operation.id), ("customers", operation.id)]

    house.gateway.fail_next("broken_before")
    with pytest.raises(Unavailable):
        await house.engine.create_customer(principal=BOB)
    (late,) = await house.engine.list_unknown()
    house.move(hours=30)
    await house.settle(steps=2)
    (ended,) = await house.operations(late.subject_id)
    assert ended.state is OperationState.ABANDONED
    assert (await house.engine.create_customer(principal=BOB)).existed is False


async def test_a_key_says_the_same_again_and_only_to_the_same_body(house: Any) -> None:
    first = await house.engine.create_customer(email="a@example.com", idempotency_key="k")
    again = await house.engine.create_customer(email="a@example.com", idempotency_key="k")
    assert again == first
    assert len(house.gateway.customers) == 1
    with pytest.raises(IdempotencyMismatch):
        await house.engine.create_customer(email="b@example.com", idempotency_key="k")


async def test_a_refused_change_is_an_error_and_who_is_gone_already_can_be_deleted(house: Any) -> None:
    made = (await house.engine.create_customer(principal=ADA)).customer
    del house.gateway.customers[made.provider_customer_id]
    with pytest.raises(ProviderRejected):
        await house.engine.update_customer(made.id, name="A", principal=ADA)
    assert (await house.engine.delete_customer(made.id, principal=ADA)).is_deleted


@pytest.mark.parametrize("wrong", [{"email": "nobody"}, {"name": "x" * 256}, {"metadata": {"bridge_x": 1}}])
async def test_nonsense_is_refused_before_anything_is_written(house: Any, wrong: Any) -> None:
    with pytest.raises(InvalidRequest):
        await house.engine.create_customer(principal=ADA, **wrong)
    assert house.gateway.requests == []
