"""Stored methods and subscriptions of Authorize.net through the engine: whose they are, what is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from anet import open_account

from bridge_payments.engine import PaymentEngine
from bridge_payments.errors import (
    BridgeError,
    InvalidRequest,
    NotFound,
    PaymentDeclined,
    ProviderRejected,
    Unavailable,
    UnsupportedOperation,
)
from bridge_payments.messages import Request
from bridge_payments.models import (
    Money,
    Payment,
    PaymentMethodStatus,
    PaymentStatus,
    Principal,
    Subscription,
    SubscriptionStatus,
)
from bridge_payments.sandbox.authorize_net import FakeAuthorizeNet
from bridge_payments.settings import Settings
from bridge_payments.stores.base import PaymentMethodQuery, PaymentQuery
from bridge_payments.stores.sql import SQLStore
from bridge_payments.transport import Transport

pytestmark = pytest.mark.anyio

ADA = Principal.user("ada", email="ada@shop.example", email_verified=True)
EVE = Principal.user("eve", email="eve@shop.example", email_verified=True)
USD = Money(2000, "USD")


@pytest.fixture(scope="module")
def listening() -> Iterator[FakeAuthorizeNet]:
    with FakeAuthorizeNet() as gateway:
        yield gateway


@pytest.fixture
def gateway(listening: FakeAuthorizeNet) -> FakeAuthorizeNet:
    listening.reset(endpoints=True)
    return listening


@pytest.fixture
async def engine(gateway: FakeAuthorizeNet, tmp_path: Path) -> AsyncIterator[PaymentEngine]:
    transport = Transport()
    store = SQLStore(f"sqlite:///{tmp_path / 'shop.db'}", clock=gateway.clock)
    await store.upgrade()
    provider = open_account(gateway, transport, encoder="json")
    settings = Settings(default_provider="anet")
    engine = PaymentEngine(
        store, {"anet": provider}, settings=settings, clock=gateway.clock, transport=transport
    )
    yield engine
    await engine.aclose()
    await transport.aclose()
    await store.aclose()


async def resolve(engine: PaymentEngine, gateway: FakeAuthorizeNet) -> None:
    """Let half an hour pass, in which everything that was lost is looked up."""
    for _ in range(20):
        gateway.clock.move(timedelta(seconds=90))
        await engine.reconcile()


async def test_a_method_is_kept_with_its_owners_customer_and_charged_without_them(
    engine: PaymentEngine, gateway: FakeAuthorizeNet
) -> None:
    first = await engine.create_payment_method(token=gateway.token(), principal=ADA)
    assert (first.status, first.card_brand, first.last_four) == (PaymentMethodStatus.ACTIVE, "Visa", "1111")
    await engine.create_payment_method(token=gateway.token("mastercard"), principal=ADA)
    (customer,) = gateway.customers()
    assert len(customer["methods"]) == 2
    same = await engine.create_payment_method(token=gateway.token(), principal=ADA)
    assert same.id == first.id, "the gateway keeps a card once"
    paid = await engine.charge_saved_method(USD, payment_method=first.id)
    assert (paid.status, paid.user_id, paid.captured_cents) == (PaymentStatus.SUCCEEDED, "ada", 2000)
    (charge,) = gateway.charges()
    assert list(charge["profile"]) == [customer["id"], str(first.provider_payment_method_id).split(":")[1]]
    await engine.delete_payment_method(first.id, principal=ADA)
    with pytest.raises(BridgeError):
        await engine.charge_saved_method(USD, payment_method=first.id)
    assert len(gateway.charges()) == 1


async def test_a_stranger_pays_with_nobodys_method(engine: PaymentEngine, gateway: FakeAuthorizeNet) -> None:
    method = await engine.create_payment_method(token=gateway.token(), principal=ADA)
    await engine.create_payment_method(token=gateway.token(), principal=EVE)
    payment = await engine.create_payment_intent(USD, principal=EVE)
    for named in (method.id, str(method.provider_payment_method_id), "31390172:28393490"):
        with pytest.raises((NotFound, InvalidRequest)):
            await engine.confirm_payment(payment.id, payment_method=named, principal=EVE)
    with pytest.raises(NotFound):
        await engine.charge_saved_method(USD, payment_method=method.id, principal=EVE)
    assert gateway.charges() == []


async def test_a_card_is_kept_with_the_payment_that_it_pays(
    engine: PaymentEngine, gateway: FakeAuthorizeNet
) -> None:
    payment = await engine.create_payment_intent(USD, principal=ADA)
    paid = await engine.confirm_payment(
        payment.id, payment_method=gateway.token(), save_payment_method=True, principal=ADA
    )
    assert (paid.status, paid.payment_method_saved) == (PaymentStatus.SUCCEEDED, True)
    again = await engine.charge_saved_method(USD, payment_method=str(paid.payment_method_id))
    assert again.status is PaymentStatus.SUCCEEDED
    assert [len(each["methods"]) for each in gateway.customers()] == [1]


@pytest.mark.parametrize("what", ["*Transaction", "createCustomerProfileFromTransactionRequest"])
async def test_a_lost_answer_while_a_card_is_kept_costs_the_payer_nothing(
    engine: PaymentEngine, gateway: FakeAuthorizeNet, what: str
) -> None:
    payment = await engine.create_payment_intent(USD, principal=ADA)
    gateway.lose_next_answer(what)
    await engine.confirm_payment(
        payment.id, payment_method=gateway.token(), save_payment_method=True, principal=ADA
    )
    await resolve(engine, gateway)
    row = await engine.sync_payment(payment.id)
    assert (row.status, row.captured_cents) == (PaymentStatus.SUCCEEDED, 2000)
    assert len(gateway.charges()) == 1
    assert not any(each.is_open for each in await engine.list_operations(payment.id))


@pytest.mark.parametrize("fault", ["drop_after", "drop_before"])
async def test_a_lost_method_is_found_or_given_up_and_the_payer_may_come_again(
    engine: PaymentEngine, gateway: FakeAuthorizeNet, fault: str
) -> None:
    await engine.create_payment_method(token=gateway.token("mastercard"), principal=ADA)
    gateway.spoil(fault, "createCustomerPaymentProfileRequest")
    with pytest.raises(Unavailable):
        await engine.create_payment_method(token=gateway.token(), principal=ADA)
    await resolve(engine, gateway)
    listed = await engine.list_payment_methods(PaymentMethodQuery(), principal=ADA)
    active = [each for each in listed.items if each.status is PaymentMethodStatus.ACTIVE]
    assert len(active) == (2 if fault == "drop_after" else 1)
    again = await engine.create_payment_method(token=gateway.token(), principal=ADA)
    assert again.status is PaymentMethodStatus.ACTIVE
    assert len(gateway.customers()[0]["methods"]) == 2


async def test_a_card_that_is_refused_is_not_kept(engine: PaymentEngine, gateway: FakeAuthorizeNet) -> None:
    with pytest.raises(PaymentDeclined) as refused:
        await engine.create_payment_method(token=gateway.token("wrong_code"), principal=ADA)
    assert refused.value.decline_code == "incorrect_cvc"
    assert gateway.customers()[0]["methods"] == []


async def test_a_method_that_went_in_the_dashboard_is_read_as_gone(
    engine: PaymentEngine, gateway: FakeAuthorizeNet
) -> None:
    method = await engine.create_payment_method(token=gateway.token(), principal=ADA)
    customer, number = str(method.provider_payment_method_id).split(":")
    with gateway.books.lock:
        wish = {"customerProfileId": customer, "customerPaymentProfileId": number}
        gateway.api.profiles.delete_method(wish)
    gone = await engine.sync_payment_method(method.id, principal=ADA)
    assert gone.status is PaymentMethodStatus.DELETED
    assert (await engine.list_payment_methods(PaymentMethodQuery(), principal=ADA)).items == ()


# --- subscriptions --------------------------------------------------------------------------------


async def test_a_method_that_a_running_subscription_uses_is_not_deleted_and_the_caller_is_told(
    engine: PaymentEngine, gateway: FakeAuthorizeNet
) -> None:
    row = await subscribed(engine, gateway)
    (method,) = (await engine.list_payment_methods(PaymentMethodQuery(), principal=ADA)).items
    with pytest.raises(ProviderRejected) as refused:
        await engine.delete_payment_method(method.id, principal=ADA)
    assert refused.value.provider_code == "E00105"
    await resolve(engine, gateway)
    assert (await engine.get_payment_method(method.id, principal=ADA)).status is PaymentMethodStatus.ACTIVE
    told = await engine.store.run(lambda unit: unit.events.for_subject(method.id))
    assert [each.type for each in told] == ["payment_method.created"]
    await engine.cancel_subscription(row.id, at_period_end=False, principal=ADA)
    gone = await engine.delete_payment_method(method.id, principal=ADA)
    assert gone.status is PaymentMethodStatus.DELETED


async def hear(engine: PaymentEngine, gateway: FakeAuthorizeNet) -> None:
    for event in gateway.events():
        headers, body = gateway.signed_webhook(event)
        request = Request(method="POST", path="/webhooks/anet", headers=headers, body=body)
        await engine.receive_webhook("anet", request)
    await engine.process_inbox()


async def subscribed(engine: PaymentEngine, gateway: FakeAuthorizeNet) -> Subscription:
    method = await engine.create_payment_method(token=gateway.token(), principal=ADA)
    return await engine.create_subscription(USD, payment_method=method.id, principal=ADA)


async def collected(engine: PaymentEngine, row: Subscription) -> list[Payment]:
    listed = await engine.list_payments(PaymentQuery(), principal=ADA)
    return [each for each in listed.items if each.subscription_id == row.id]


async def a_night(gateway: FakeAuthorizeNet, **by: float) -> None:
    gateway.clock.move(timedelta(**by))
    gateway.collect()


@pytest.mark.parametrize("heard", [True, False])
async def test_each_night_becomes_one_payment_whoever_sees_it_first(
    engine: PaymentEngine, gateway: FakeAuthorizeNet, heard: bool
) -> None:
    row = await subscribed(engine, gateway)
    assert (row.status, row.total_cents) == (SubscriptionStatus.ACTIVE, 2000)
    assert await collected(engine, row) == []
    await a_night(gateway, days=2)
    if heard:
        await hear(engine, gateway)
        assert len(await collected(engine, row)) == 1, "the event alone is enough"
    for _ in range(2):
        await engine.sync_subscription(row.id)
        await hear(engine, gateway)
    (payment,) = await collected(engine, row)
    assert (payment.status, payment.captured_cents, payment.flag) == (PaymentStatus.SUCCEEDED, 2000, None)
    assert payment.provider_intent_id == gateway.charges()[0]["id"]
    told = [event.type for event in await engine.list_events(payment.id)]
    assert told.count("payment.success") == 1
    await a_night(gateway, days=32)
    await engine.sweep()
    await engine.sync_subscription(row.id)
    assert len(await collected(engine, row)) == 2


async def test_what_was_given_back_of_a_renewal_stays_given_back(
    engine: PaymentEngine, gateway: FakeAuthorizeNet
) -> None:
    row = await subscribed(engine, gateway)
    await a_night(gateway, days=2)
    await engine.sync_subscription(row.id)
    (payment,) = await collected(engine, row)
    gateway.settle()
    await engine.refund_payment(payment.id, amount_cents=500)
    gateway.refund_in_dashboard(str(payment.provider_payment_id), "3.00")
    await hear(engine, gateway)
    for _ in range(2):
        await engine.sync_subscription(row.id)
        for seen in (await engine.get_payment(payment.id), await engine.sync_payment(payment.id)):
            assert (seen.status, seen.refunded_cents) == (PaymentStatus.PARTIALLY_REFUNDED, 800)
    assert str(gateway.balance()) == "12.00"


async def test_a_subscription_ends_at_once_and_a_stranger_ends_nobodys(
    engine: PaymentEngine, gateway: FakeAuthorizeNet
) -> None:
    row = await subscribed(engine, gateway)
    with pytest.raises(BridgeError):
        await engine.cancel_subscription(row.id, principal=EVE)
    with pytest.raises(UnsupportedOperation):
        await engine.pause_subscription(row.id, principal=ADA)
    ended = await engine.cancel_subscription(row.id, principal=ADA)
    assert (ended.status, ended.cancel_at_period_end) == (SubscriptionStatus.CANCELED, False)
    assert [each["status"] for each in gateway.subscriptions()] == ["canceled"]


@pytest.mark.parametrize("fault", ["drop_after", "drop_before"])
async def test_a_lost_subscription_is_begun_once_or_never(
    engine: PaymentEngine, gateway: FakeAuthorizeNet, fault: str
) -> None:
    method = await engine.create_payment_method(token=gateway.token(), principal=ADA)
    gateway.spoil(fault, "ARBCreateSubscriptionRequest")
    row = await engine.create_subscription(USD, payment_method=method.id, principal=ADA)
    assert row.unknown_operation_id is not None
    await resolve(engine, gateway)
    seen = await engine.get_subscription(row.id, principal=ADA)
    begun = gateway.subscriptions()
    if fault == "drop_after":
        assert (seen.status, seen.provider_subscription_id) == (SubscriptionStatus.ACTIVE, begun[0]["id"])
    else:
        assert begun == []
        assert seen.has_ended
    assert seen.unknown_operation_id is None
