"""Payment methods: kept with the payer's agreement, charged for their owner alone, whatever is lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from bridge_payments import Money
from bridge_payments.engine.payment_methods import UNSET
from bridge_payments.errors import (
    AccessDenied,
    IllegalState,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    OperationInProgress,
    PaymentDeclined,
    ProviderNotFound,
    ProviderRejected,
    Unavailable,
)
from bridge_payments.models import (
    GuestData,
    OperationState,
    PaymentMethod,
    PaymentMethodStatus,
    PaymentStatus,
    Principal,
)
from bridge_payments.providers.base import BillingDetails
from bridge_payments.providers.dummy.vault import Refused
from bridge_payments.stores.base import PaymentMethodQuery
from bridge_payments.tripwire import find_card_numbers

pytestmark = pytest.mark.anyio

ADA = Principal.user("ada", email="ada@example.com")
BOB = Principal.user("bob", email="bob@example.com")
ANYBODY = Principal.anonymous(peer="192.0.2.7")
GUEST = GuestData(email="guest@example.com", name="Gail")
PROVED = Principal.guest(GUEST.email)


async def stored(house: Any, method_id: str) -> PaymentMethod:
    row = await house.store.run(lambda unit: unit.payment_methods.get(method_id))
    assert row is not None
    return row


async def keep(house: Any, principal: Principal = ADA, token: str = "dummy_ok", **more: Any) -> PaymentMethod:
    return await house.engine.create_payment_method(token=token, principal=principal, **more)


# --- keeping ---------------------------------------------------------------------------------------


async def test_a_token_becomes_a_method_of_the_callers_own_customer(house: Any) -> None:
    method = await keep(house, alias="The blue one", metadata={"a": 1})
    assert (method.status, method.card_brand, method.last_four) == (
        PaymentMethodStatus.ACTIVE, "visa", "4242",
    )  # fmt: skip
    (customer,) = house.gateway.customers.values()
    assert house.gateway.methods[method.provider_payment_method_id]["customer"] == customer["id"]
    second = await keep(house)
    assert second.customer_id == method.customer_id
    assert len(house.gateway.customers) == 1
    assert await house.told(method.id) == ["payment_method.created"]
    assert find_card_numbers(await house.everything()) == []


async def test_a_set_up_waits_for_its_payer_and_is_confirmed_once(house: Any) -> None:
    method = await house.engine.create_payment_method(principal=ADA)
    assert method.status is PaymentMethodStatus.REQUIRES_ACTION
    assert method.client_secret
    with pytest.raises(IllegalState):
        await house.engine.charge_saved_method(Money(500, "USD"), payment_method=method.id)
    listed = (await house.engine.list_payment_methods(PaymentMethodQuery(), principal=ADA)).items
    assert [row.client_secret for row in listed] == [None]

    house.gateway.agree(method.provider_setup_id)
    active = await house.engine.confirm_payment_method(method.id, principal=ADA)
    assert (active.status, active.client_secret) == (PaymentMethodStatus.ACTIVE, None)
    assert await house.engine.confirm_payment_method(method.id, principal=ADA) == active
    assert await house.told(method.id) == ["payment_method.created"]


async def test_a_declined_token_is_a_decline_and_leaves_nothing_to_charge(house: Any) -> None:
    with pytest.raises(PaymentDeclined) as declined:
        await keep(house, token="dummy_expired", idempotency_key="k")
    assert declined.value.decline_code == "expired_card"
    with pytest.raises(PaymentDeclined):
        await keep(house, token="dummy_expired", idempotency_key="k")
    assert (await house.engine.list_payment_methods(PaymentMethodQuery(), principal=ADA)).total == 0


async def test_a_guest_without_a_token_keeps_a_method_and_finishes_its_set_up_by_the_secret(
    house: Any,
) -> None:
    with pytest.raises(InvalidRequest):
        await house.engine.create_payment_method(token="dummy_ok", principal=ANYBODY)
    method = await house.engine.create_payment_method(guest=GUEST, principal=ANYBODY)
    house.gateway.agree(method.provider_setup_id)
    for secret in (None, "wrong"):
        with pytest.raises(NotFound):
            await house.engine.confirm_payment_method(method.id, client_secret=secret, principal=ANYBODY)
    done = await house.engine.confirm_payment_method(
        method.id, client_secret=method.client_secret, principal=ANYBODY
    )
    assert done.status is PaymentMethodStatus.ACTIVE
    with pytest.raises(NotAuthenticated):
        await house.engine.get_payment_method(method.id, principal=ANYBODY)
    assert (await house.engine.get_payment_method(method.id, principal=PROVED)).id == method.id


# --- whose it is (rule 22) --------------------------------------------------------------------------


async def test_what_is_another_principals_is_refused_wherever_it_comes_in_and_nothing_is_sent(
    house: Any,
) -> None:
    method = await keep(house)
    customer = await house.engine.get_customer(method.customer_id)
    address = await house.engine.create_address(
        line1="1 Way", city="Town", postal_code="1", country="us", principal=ADA
    )
    open_payment = await house.new(principal=BOB)
    sent = len(house.gateway.requests)
    for thief, guest in ((BOB, None), (ANYBODY, GUEST), (PROVED, None)):
        for name in (method.id, method.provider_payment_method_id):
            with pytest.raises(NotFound):
                await house.new(confirm=True, payment_method=name, guest=guest, principal=thief)
        for name in (customer.id, customer.provider_customer_id):
            with pytest.raises(NotFound):
                await house.new(customer_id=name, guest=guest, principal=thief)
            with pytest.raises(NotFound):
                await house.engine.create_payment_method(
                    token="dummy_ok", customer_id=name, guest=guest, principal=thief
                )
        with pytest.raises(NotFound):
            await house.new(billing_address_id=address.id, guest=guest, principal=thief)
        with pytest.raises(NotFound):
            await house.engine.create_payment_method(
                token="dummy_ok", billing_address_id=address.id, guest=guest, principal=thief
            )
    for call in (
        house.engine.confirm_payment(open_payment.id, payment_method=method.id, principal=BOB),
        house.engine.charge_saved_method(Money(500, "USD"), payment_method=method.id, principal=BOB),
        house.engine.get_payment_method(method.id, principal=BOB),
        house.engine.list_payment_methods(PaymentMethodQuery(customer_id=customer.id), principal=BOB),
        house.engine.update_payment_intent(open_payment.id, customer_id=customer.id, principal=BOB),
    ):
        with pytest.raises(NotFound):
            await call
    for call in (
        house.engine.update_payment_method(method.id, alias="mine", principal=BOB),
        house.engine.set_default_payment_method(method.id, principal=BOB),
        house.engine.delete_payment_method(method.id, principal=BOB),
        house.engine.set_billing_address(method.id, address.id, principal=BOB),
    ):
        with pytest.raises(AccessDenied):
            await call
    assert len(house.gateway.requests) == sent
    assert house.gateway.charges == []


async def test_a_reference_without_a_row_is_taken_only_if_the_provider_vouches_for_it(house: Any) -> None:
    foreign = house.gateway.keep("dummy_ok", None, {})["id"]
    payment = await house.new(principal=ADA)
    sent = len(house.gateway.requests)
    with pytest.raises(InvalidRequest, match="not yours"):
        await house.engine.confirm_payment(payment.id, payment_method=foreign, principal=ADA)
    with pytest.raises(InvalidRequest):
        await house.new(confirm=True, payment_method=foreign, principal=ADA)
    assert len(house.gateway.requests) == sent
    paid = await house.engine.confirm_payment(payment.id, payment_method="dummy_ok", principal=ADA)
    assert paid.status is PaymentStatus.SUCCEEDED


async def test_a_method_that_an_unfinished_confirm_may_have_kept_is_not_refused_but_asked_to_come_again(
    house: Any,
) -> None:
    """The method of a payment that is being kept is nobody's to bring until our row of it is written."""
    foreign = house.gateway.keep("dummy_ok", None, {})["id"]
    payment = await house.new(principal=ADA)
    house.gateway.lose_next_answer()
    await house.engine.confirm_payment(payment.id, payment_method="dummy_ok", principal=ADA)
    with pytest.raises(OperationInProgress):
        await house.engine.confirm_payment(payment.id, payment_method=foreign, principal=ADA)


async def test_a_repeat_is_answered_before_its_used_up_token_is_looked_at(
    house: Any, monkeypatch: Any
) -> None:
    payment = await house.new(principal=ADA)
    pay = lambda: house.engine.confirm_payment(  # noqa: E731
        payment.id, payment_method="dummy_ok", idempotency_key="k", principal=ADA
    )
    first = await pay()

    async def used_up(token: str) -> bool:
        return False

    monkeypatch.setattr(house.engine.provider("dummy"), "owns_payment_method", used_up)
    assert (await pay()).id == first.id


async def test_an_address_that_was_typed_and_not_proved_opens_nothing(house: Any) -> None:
    method = await keep(house, PROVED)
    typed = replace(PROVED, email_verified=False)
    for call in (
        house.engine.get_payment_method(method.id, principal=typed),
        house.engine.charge_saved_method(Money(500, "USD"), payment_method=method.id, principal=typed),
    ):
        with pytest.raises(NotFound):
            await call


# --- charging --------------------------------------------------------------------------------------


async def test_a_saved_method_is_charged_once_per_key_and_the_payment_is_its_owners(house: Any) -> None:
    method = await keep(house)
    charge = lambda: house.engine.charge_saved_method(  # noqa: E731
        Money(2000, "USD"), payment_method=method.id, idempotency_key="order-1"
    )
    payment = await charge()
    assert (payment.status, payment.user_id, payment.payment_method_id, payment.customer_id) == (
        PaymentStatus.SUCCEEDED, "ada", method.id, method.customer_id,
    )  # fmt: skip
    assert (await charge()).id == payment.id
    assert len(house.gateway.charges) == 1
    mine = await house.engine.get_payment(payment.id, principal=ADA)
    assert mine.id == payment.id


async def test_a_payer_who_would_have_to_be_there_declines(house: Any) -> None:
    method = await keep(house)
    house.gateway.methods[method.provider_payment_method_id]["token"] = "dummy_challenge"
    with pytest.raises(PaymentDeclined) as declined:
        await house.engine.charge_saved_method(Money(500, "USD"), payment_method=method.id)
    assert declined.value.decline_code == "authentication_required"
    # … and in person the same method asks for the challenge.
    payment = await house.new(principal=ADA)
    waiting = await house.engine.confirm_payment(payment.id, payment_method=method.id, principal=ADA)
    assert waiting.status is PaymentStatus.REQUIRES_ACTION


async def test_a_lost_charge_is_unknown_and_charged_once(house: Any) -> None:
    method = await keep(house)
    house.gateway.lose_next_answer()
    payment = await house.engine.charge_saved_method(Money(500, "USD"), payment_method=method.id)
    assert payment.status is PaymentStatus.PROCESSING
    assert payment.unknown_operation_id
    await house.settle(steps=1)
    assert (await house.row(payment.id)).status is PaymentStatus.SUCCEEDED
    assert len(house.gateway.charges) == 1


async def test_a_deleted_method_is_never_charged(house: Any) -> None:
    method = await keep(house)
    await house.engine.delete_payment_method(method.id, principal=ADA)
    for call in (
        house.engine.charge_saved_method(Money(500, "USD"), payment_method=method.id),
        house.new(confirm=True, payment_method=method.id, principal=ADA),
    ):
        with pytest.raises(IllegalState):
            await call
    assert house.gateway.charges == []


# --- saved with a payment ----------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["answer", "look-up", "sync"])
async def test_a_method_is_saved_with_its_payment_whoever_sees_it_first(house: Any, who: str) -> None:
    payment = await house.new(principal=ADA)
    await house.engine.create_customer(principal=ADA)
    if who != "answer":
        house.gateway.lose_next_answer()
    paid = await house.engine.confirm_payment(
        payment.id, payment_method="dummy_ok", save_payment_method=True, principal=ADA
    )
    assert paid.payment_method_saved is (who == "answer")
    if who == "sync":
        assert (await house.engine.sync_payment(payment.id)).payment_method_saved
    await house.settle(steps=2)
    await house.engine.sync_payment(payment.id)
    (method,) = (await house.engine.list_payment_methods(PaymentMethodQuery(), principal=ADA)).items
    row = await house.row(payment.id)
    assert row.payment_method_id == method.id
    assert method.customer_id is not None
    assert (await house.told(method.id)) == ["payment_method.created"]
    again = await house.engine.charge_saved_method(Money(700, "USD"), payment_method=method.id)
    assert again.status is PaymentStatus.SUCCEEDED
    assert again.payment_method_saved is False


async def test_keeping_a_method_never_fails_the_payment(house: Any) -> None:
    payment = await house.new(principal=ADA)
    for _ in range(3):
        house.gateway.fail_next("never_sent")
    paid = await house.engine.confirm_payment(
        payment.id, payment_method="dummy_ok", save_payment_method=True, principal=ADA
    )
    assert paid.status is PaymentStatus.SUCCEEDED


async def test_a_declined_payment_saves_nothing(house: Any) -> None:
    payment = await house.new(principal=ADA)
    with pytest.raises(PaymentDeclined):
        await house.engine.confirm_payment(
            payment.id, payment_method="dummy_declined", save_payment_method=True, principal=ADA
        )
    assert (await house.engine.list_payment_methods(PaymentMethodQuery(), principal=ADA)).total == 0
    assert house.gateway.methods == {}


# --- change ----------------------------------------------------------------------------------------


async def test_an_update_changes_what_is_given_and_nothing_else(house: Any) -> None:
    method = await keep(house, alias="old", metadata={"a": 1})
    renamed = await house.engine.update_payment_method(method.id, alias="new", principal=ADA)
    assert (renamed.alias, renamed.metadata) == ("new", {"a": 1})
    emptied = await house.engine.update_payment_method(method.id, alias=None, principal=ADA)
    assert (emptied.alias, emptied.metadata) == (None, {"a": 1})
    same = await house.engine.update_payment_method(method.id, alias=UNSET, principal=ADA)
    assert same.version == emptied.version


async def test_one_method_is_the_default_however_many_are_chosen_at_once(house: Any) -> None:
    methods = [await keep(house) for _ in range(4)]
    await asyncio.gather(
        *(house.engine.set_default_payment_method(method.id, principal=ADA) for method in methods)
    )
    listed = (await house.engine.list_payment_methods(PaymentMethodQuery(), principal=ADA)).items
    assert sum(method.is_default for method in listed) == 1
    fresh = await keep(house, is_default=True)
    defaults = [
        row.id
        for row in (await house.engine.list_payment_methods(PaymentMethodQuery(), principal=ADA)).items
        if row.is_default
    ]
    assert defaults == [fresh.id]


async def test_a_billing_address_is_told_to_the_provider(house: Any) -> None:
    method = await keep(house)
    address = await house.engine.create_address(
        line1="1 Way", city="Town", postal_code="1", country="us", principal=ADA
    )
    changed, synced = await house.engine.set_billing_address(method.id, address.id, principal=ADA)
    assert synced
    assert changed.billing_address_id == address.id
    billing = house.gateway.methods[method.provider_payment_method_id]["billing"]
    assert (billing["line1"], billing["country"]) == ("1 Way", "US")
    cleared, synced = await house.engine.set_billing_address(method.id, None, principal=ADA)
    assert (cleared.billing_address_id, synced) == (None, False)


async def test_details_that_are_given_win_over_the_stored_address(house: Any) -> None:
    address = await house.engine.create_address(
        line1="1 Way", city="Town", postal_code="1", country="us", name="Ada", principal=ADA
    )
    method = await keep(house, billing_address_id=address.id, billing=BillingDetails(name="A. L."))
    (operation,) = await house.operations(method.id)
    assert operation.inputs["billing"]["name"] == "A. L."
    assert operation.inputs["billing"]["line1"] == "1 Way"


# --- deleting, and trouble ---------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [None, "lost_answer", "broken_before", "never_sent"])
async def test_a_deleted_method_is_gone_here_at_once_and_at_the_provider_in_the_end(
    house: Any, fault: Any
) -> None:
    method = await keep(house)
    for _ in range(3 if fault == "never_sent" else 1):
        if fault is not None:
            house.gateway.fail_next(fault)
    gone = await house.engine.delete_payment_method(method.id, principal=ADA)
    assert gone.status is PaymentMethodStatus.DELETED
    with pytest.raises(NotFound):
        await house.engine.get_payment_method(method.id, principal=ADA)
    await house.settle(steps=12)
    assert house.gateway.methods == {}
    (_, deletion) = await house.operations(method.id)
    assert deletion.state is OperationState.SUCCEEDED
    assert await house.told(method.id) == ["payment_method.created", "payment_method.deleted"]


def in_use(_: Any) -> dict[str, Any]:
    raise Refused("in_use", "a subscription uses it")


async def test_a_method_that_its_provider_keeps_stays_as_it_was_and_the_caller_hears_why(
    house: Any, monkeypatch: Any
) -> None:
    method = await keep(house, is_default=True)
    before = await stored(house, method.id)
    with monkeypatch.context() as busy:
        busy.setattr(house.gateway, "delete_method", in_use)
        for _ in range(2):
            with pytest.raises(ProviderRejected, match="uses it") as refused:
                await house.engine.delete_payment_method(method.id, idempotency_key="k", principal=ADA)
            assert refused.value.provider_code == "in_use"
        await house.settle()
    assert await stored(house, method.id) == before
    assert await house.told(method.id) == ["payment_method.created"]
    paid = await house.engine.charge_saved_method(Money(500, "USD"), payment_method=method.id)
    assert paid.status is PaymentStatus.SUCCEEDED
    gone = await house.engine.delete_payment_method(method.id, principal=ADA)
    assert (gone.status, house.gateway.methods) == (PaymentMethodStatus.DELETED, {})
    assert await house.told(method.id) == ["payment_method.created", "payment_method.deleted"]


async def test_a_method_that_its_provider_does_not_know_is_gone(house: Any, monkeypatch: Any) -> None:
    method = await keep(house)

    async def unknown(*_: Any, **__: Any) -> Any:
        raise ProviderNotFound("no such method")

    monkeypatch.setattr(house.engine.provider("dummy"), "delete_payment_method", unknown)
    gone = await house.engine.delete_payment_method(method.id, principal=ADA)
    assert gone.status is PaymentMethodStatus.DELETED
    (_, deletion) = await house.operations(method.id)
    assert deletion.state is OperationState.SUCCEEDED
    assert await house.told(method.id) == ["payment_method.created", "payment_method.deleted"]


@pytest.mark.parametrize("answered", [True, False])
async def test_a_repeat_that_is_refused_neither_gives_a_method_back_nor_takes_one_away(
    house: Any, monkeypatch: Any, answered: bool
) -> None:
    """Who was told that it is gone never sees it again; whose process died was told nothing."""
    method = await keep(house)
    if answered:
        house.gateway.fail_next("broken_before")
        await house.engine.delete_payment_method(method.id, principal=ADA)
    else:
        before = await stored(house, method.id)
        with monkeypatch.context() as dying:
            dying.setattr(house.engine, "record_row", dies)
            house.gateway.fail_next("broken_before")
            with pytest.raises(SystemError):
                await house.engine.delete_payment_method(method.id, principal=ADA)
        assert await stored(house, method.id) == before
    with monkeypatch.context() as busy:
        busy.setattr(house.gateway, "delete_method", in_use)
        await house.settle()
    (_, deletion) = await house.operations(method.id)
    assert deletion.state is OperationState.UNKNOWN, "the refusal of a repeat proves nothing"
    gone, kept = PaymentMethodStatus.DELETED, PaymentMethodStatus.ACTIVE
    assert (await stored(house, method.id)).status is (gone if answered else kept)
    told = ["payment_method.created", *(["payment_method.deleted"] if answered else [])]
    assert await house.told(method.id) == told


async def dies(*_: Any, **__: Any) -> Any:
    raise SystemError("the process is gone")


@pytest.mark.parametrize("fault", ["lost_answer", "broken_before"])
async def test_a_lost_set_up_is_found_or_made_again_with_its_key(house: Any, fault: Any) -> None:
    await house.engine.create_customer(principal=ADA)
    house.gateway.fail_next(fault)
    with pytest.raises(Unavailable):
        await keep(house, idempotency_key="k")
    with pytest.raises(Unavailable):
        await keep(house, idempotency_key="k")
    await house.settle(steps=12)
    method = await keep(house, idempotency_key="k")
    assert method.status is PaymentMethodStatus.ACTIVE
    assert len(house.gateway.methods) == 1


async def test_while_a_change_is_unknown_others_are_told_of_the_operation(house: Any) -> None:
    method = await house.engine.create_payment_method(principal=ADA)
    house.gateway.agree(method.provider_setup_id)
    house.gateway.fail_next("broken_before")
    with pytest.raises(Unavailable):
        await house.engine.confirm_payment_method(method.id, principal=ADA)
    with pytest.raises(OperationInProgress):
        await house.engine.confirm_payment_method(method.id, principal=ADA)
    renamed = await house.engine.update_payment_method(method.id, alias="mine", principal=ADA)
    assert renamed.alias == "mine"
    await house.settle(steps=12)
    row = await stored(house, method.id)
    assert (row.status, row.alias) == (PaymentMethodStatus.ACTIVE, "mine")
