"""Subscriptions of Authorize.net (ARB): the adapter against a gateway that collects by night."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from anet import USD, Caller, Killed, open_account

from bridge_payments.errors import (
    InvalidRequest,
    ProviderNotFound,
    ProviderRejected,
    ProviderStateConflict,
    ProviderUnknown,
    UnsupportedOperation,
)
from bridge_payments.messages import Request
from bridge_payments.models import (
    BillingInterval,
    Money,
    Noun,
    PaymentStatus,
    SubscriptionStatus,
    Verb,
)
from bridge_payments.providers.base import (
    Absent,
    Found,
    KnownPayment,
    PaymentMethodDeletion,
    RefundRequest,
    SubscriptionCancellation,
    SubscriptionPause,
    SubscriptionUpdate,
)
from bridge_payments.sandbox.authorize_net import FakeAuthorizeNet
from bridge_payments.transport import Transport

pytestmark = pytest.mark.anyio

CREATE, UPDATE, CANCEL = (f"ARB{verb}SubscriptionRequest" for verb in ("Create", "Update", "Cancel"))
DONE = ("drop_after", "half_answer", "unreadable", "error_after")
NOT_DONE = ("drop_before", "error_before", "error_stored", "key_in_use")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def listening() -> Iterator[FakeAuthorizeNet]:
    with FakeAuthorizeNet() as gateway:
        yield gateway


@pytest.fixture
def gateway(listening: FakeAuthorizeNet) -> FakeAuthorizeNet:
    listening.reset(endpoints=True)
    listening.clock.offset = NOON - datetime.now(UTC)
    return listening


@pytest.fixture(params=["xml", "json"])
async def ask(request: pytest.FixtureRequest, gateway: FakeAuthorizeNet) -> AsyncIterator[Caller]:
    if request.param == "xml":
        pytest.importorskip("authorizenet", reason="the vendor's contracts are not installed")
    transport = Transport()
    yield Caller(open_account(gateway, transport, encoder=request.param, validation_mode="none"), gateway)
    await transport.aclose()


def midnight(month: int, day: int, year: int = 2026) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


async def test_a_subscription_begins_today_collects_by_night_and_ends_at_once(
    ask: Caller, gateway: FakeAuthorizeNet
) -> None:
    method = await ask.a_method()
    request = ask.subscription(method, description="Two ounces")
    made = await ask.provider.create_subscription(request, step=ask.step())
    assert (made.status, made.amount, made.interval) == (
        SubscriptionStatus.ACTIVE, USD, BillingInterval.MONTHLY,
    )  # fmt: skip
    assert (made.subscription_id, made.our_reference) == (request.subscription_id, request.reference)
    assert (made.customer, made.payment_method) == (method.customer, method.reference)
    assert (made.current_period_start, made.current_period_end) == (midnight(1, 31), midnight(2, 28))
    assert made.charges == ()
    (kept,) = gateway.subscriptions()
    assert (kept["name"], kept["invoice"], kept["description"]) == (
        "Tea of the month", request.reference, "Two ounces",
    )  # fmt: skip

    gateway.clock.move(timedelta(days=1))  # the night in between
    seen = await ask.provider.sync_subscription(made.reference)
    assert seen.charges is not None
    (charge,) = seen.charges
    assert (charge.status, charge.captured, charge.subscription) == (
        PaymentStatus.SUCCEEDED,
        2000,
        made.reference,
    )
    assert charge.reference == charge.charge == gateway.charges()[0]["id"]
    assert charge.our_reference is None, "its invoice is the subscription's mark, not its own"
    assert charge.method is not None
    assert charge.method.reference == method.reference

    gateway.clock.move(timedelta(days=62))  # the last of February, the last of March
    seen = await ask.provider.sync_subscription(made.reference)
    assert seen.charges is not None
    assert [each.created_at for each in seen.charges] == [
        datetime(2026, month, day, 10, tzinfo=UTC) for month, day in ((3, 31), (2, 28), (2, 1))
    ]
    assert (seen.current_period_start, seen.current_period_end) == (midnight(3, 31), midnight(4, 30))

    ended = await ask.provider.cancel_subscription(
        SubscriptionCancellation(subscription=made.reference, at_period_end=True), step=ask.step()
    )
    assert (ended.status, ended.cancel_at_period_end) == (SubscriptionStatus.CANCELED, False)
    assert ended.canceled_at is not None
    assert ended.canceled_at.date() == gateway.clock().date()
    again = await ask.provider.cancel_subscription(
        SubscriptionCancellation(subscription=made.reference), step=ask.step()
    )
    assert again.status is SubscriptionStatus.CANCELED
    gateway.clock.move(timedelta(days=90))
    gateway.collect()
    assert len(gateway.charges()) == 3


async def test_what_a_subscription_collected_is_read_found_and_refunded_as_a_payment(
    ask: Caller, gateway: FakeAuthorizeNet
) -> None:
    made = await ask.a_subscription()
    gateway.clock.move(timedelta(days=1))
    gateway.collect()
    number = gateway.charges()[0]["id"]
    assert await ask.provider.owner_of(number) == number
    read = await ask.provider.sync_payment_status(number)
    assert (read.reference, read.subscription, read.captured) == (number, made.reference, 2000)
    gateway.settle()
    refund = RefundRequest(
        payment=number, charge=number, refund_id="ref_1", amount=Money(500, "USD"), reference="r" * 20
    )
    given = await ask.provider.refund_payment(refund, step=ask.step(reference="r" * 20))
    assert (given.amount.minor_units, given.payment) == (500, number)
    known = KnownPayment(reference=number, total=USD, status=PaymentStatus.SUCCEEDED, captured=2000)
    elsewhere = gateway.refund_in_dashboard(number, "3.00")
    assert await ask.provider.owner_of(elsewhere) == number
    heard = await ask.provider.sync_known_payment(replace(known, charge=number, hint=elsewhere))
    assert heard.refunds is not None
    assert [each.reference for each in heard.refunds] == [elsewhere]


@pytest.mark.parametrize(
    ("interval", "count", "length", "unit"),
    [
        (BillingInterval.DAILY, 10, 10, "days"),
        (BillingInterval.WEEKLY, 2, 14, "days"),
        (BillingInterval.MONTHLY, 3, 3, "months"),
        (BillingInterval.YEARLY, 1, 12, "months"),
    ],
)
async def test_intervals_are_written_in_days_or_months_and_read_back(
    ask: Caller, gateway: FakeAuthorizeNet, interval: BillingInterval, count: int, length: int, unit: str
) -> None:
    made = await ask.a_subscription(interval=interval, interval_count=count)
    (kept,) = gateway.subscriptions()
    assert (kept["length"], kept["unit"]) == (length, unit)
    assert (made.interval, made.interval_count) == (interval, count)
    seen = await ask.provider.sync_subscription(made.reference)
    assert (seen.interval, seen.interval_count) == (interval, count)


async def test_what_the_gateway_cannot_bill_is_refused_with_zero_bytes(
    ask: Caller, gateway: FakeAuthorizeNet
) -> None:
    method = await ask.a_method()
    before = len(gateway.requests())
    for more in (
        {"interval": BillingInterval.DAILY, "interval_count": 6},
        {"interval": BillingInterval.YEARLY, "interval_count": 2},
        {"amount": Money(2000, "CAD")},
        {"payment_method": None},
        {"customer": None, "payment_method": gateway.token()},
        {"customer": "31"},
        {"payment_method": "sepa:abcdefgh"},
    ):
        with pytest.raises(InvalidRequest):
            await ask.provider.create_subscription(ask.subscription(method, **more), step=ask.step())
    for wrong in ("", "sub_1", "1:2"):
        with pytest.raises(InvalidRequest):
            await ask.provider.cancel_subscription(
                SubscriptionCancellation(subscription=wrong), step=ask.step()
            )
    with pytest.raises(UnsupportedOperation):
        await ask.provider.pause_subscription(SubscriptionPause(subscription="51"), step=ask.step())
    for verb in (Verb.PAUSE_SUBSCRIPTION, Verb.RESUME_SUBSCRIPTION, Verb.CONFIRM_METHOD):
        assert not ask.provider.supports(verb)
    assert len(gateway.requests()) == before


async def test_a_trial_is_free_and_then_the_first_payment_is_collected(
    ask: Caller, gateway: FakeAuthorizeNet
) -> None:
    made = await ask.a_subscription(trial_days=14)
    assert (made.status, made.trial_end) == (SubscriptionStatus.TRIALING, midnight(2, 14))
    assert (made.current_period_end, made.next_billing_date) == (midnight(2, 14), midnight(2, 14))
    gateway.clock.move(timedelta(days=10))
    seen = await ask.provider.sync_subscription(made.reference)
    assert (seen.status, seen.charges) == (SubscriptionStatus.TRIALING, ())
    gateway.clock.move(timedelta(days=5))
    seen = await ask.provider.sync_subscription(made.reference)
    assert (seen.status, seen.trial_end) == (SubscriptionStatus.ACTIVE, None)
    assert seen.charges is not None
    assert len(seen.charges) == 1


async def test_price_method_and_description_change_for_the_next_period(
    ask: Caller, gateway: FakeAuthorizeNet
) -> None:
    method = await ask.a_method()
    request = ask.subscription(method)
    made = await ask.provider.create_subscription(request, step=ask.step())
    other = await ask.a_method("mastercard", customer=method.customer)
    changed = await ask.provider.update_subscription(
        SubscriptionUpdate(
            subscription=made.reference, amount=Money(2500, "USD"), interval=BillingInterval.MONTHLY,
            interval_count=1, customer=method.customer, payment_method=other.reference, description="More",
        ),
        step=ask.step(),
    )  # fmt: skip
    assert (changed.amount, changed.payment_method) == (Money(2500, "USD"), other.reference)
    assert changed.our_reference == request.reference, "the mark stays"
    assert gateway.subscriptions()[0]["description"] == "More"
    gateway.clock.move(timedelta(days=1))
    seen = await ask.provider.sync_subscription(made.reference)
    assert seen.charges is not None
    assert [(each.captured, each.method and each.method.brand) for each in seen.charges] == [
        (2500, "MasterCard")
    ]
    same = await ask.provider.update_subscription(
        SubscriptionUpdate(subscription=made.reference), step=ask.step()
    )
    assert same.amount == Money(2500, "USD")
    assert sum(each.operation == UPDATE for each in gateway.requests()) == 1


async def test_a_first_payment_that_is_declined_suspends_until_another_method_is_given(
    ask: Caller, gateway: FakeAuthorizeNet
) -> None:
    method = await ask.a_method("declined")
    made = await ask.a_subscription(method)
    gateway.clock.move(timedelta(days=1))
    seen = await ask.provider.sync_subscription(made.reference)
    assert (seen.status, seen.charges) == (SubscriptionStatus.PAST_DUE, ())
    assert seen.decline is not None
    assert seen.decline.message == "This transaction has been declined."
    good = await ask.a_method(customer=method.customer)
    update = SubscriptionUpdate(
        subscription=made.reference, customer=method.customer, payment_method=good.reference
    )
    assert (
        await ask.provider.update_subscription(update, step=ask.step())
    ).status is SubscriptionStatus.ACTIVE
    gateway.clock.move(timedelta(days=1))
    seen = await ask.provider.sync_subscription(made.reference)
    assert seen.charges is not None
    assert [each.captured for each in seen.charges] == [2000]


async def test_what_stays_suspended_is_terminated_and_says_so(ask: Caller, gateway: FakeAuthorizeNet) -> None:
    made = await ask.a_subscription(await ask.a_method("declined"))
    gateway.clock.move(timedelta(days=40))
    seen = await ask.provider.sync_subscription(made.reference)
    assert (seen.status, seen.provider_status) == (SubscriptionStatus.CANCELED, "terminated")
    assert (seen.next_billing_date, seen.current_period_end) == (None, None)
    with pytest.raises(ProviderStateConflict):
        await ask.provider.cancel_subscription(
            SubscriptionCancellation(subscription=made.reference), step=ask.step()
        )
    with pytest.raises(ProviderStateConflict):
        await ask.provider.update_subscription(
            SubscriptionUpdate(subscription=made.reference, amount=USD), step=ask.step()
        )
    kinds = [
        each["eventType"].rpartition(".")[2]
        for each in gateway.events()
        if "subscription" in each["eventType"]
    ]
    assert kinds == ["created", "suspended", "terminated"]


async def test_a_method_in_use_stays_and_a_subscription_that_is_unknown_is_not_found(
    ask: Caller, gateway: FakeAuthorizeNet
) -> None:
    method = await ask.a_method()
    await ask.a_subscription(method)
    with pytest.raises(ProviderRejected) as refused:
        await ask.provider.delete_payment_method(
            PaymentMethodDeletion(payment_method=method.reference), step=ask.step()
        )
    assert refused.value.provider_code == "E00105"
    with pytest.raises(ProviderNotFound):
        await ask.provider.sync_subscription("7")


# --- calls that were lost -------------------------------------------------------------------------


@pytest.mark.parametrize("fault", DONE + NOT_DONE)
async def test_a_lost_subscription_is_found_by_its_mark_and_never_begun_twice(
    ask: Caller, gateway: FakeAuthorizeNet, fault: str
) -> None:
    method = await ask.a_method()
    await ask.a_subscription(method, amount=Money(700, "USD"))  # somebody else's, as far as this call knows
    request = ask.subscription(method)
    gateway.spoil(fault, CREATE)
    with pytest.raises(ProviderUnknown):
        await ask.provider.create_subscription(request, step=ask.step())
    found = await ask.look_up(Verb.CREATE_SUBSCRIPTION, request)
    if fault in DONE:
        assert isinstance(found, Found)
        assert found.subscription is not None
        assert found.subscription.our_reference == request.reference
        again = await ask.provider.create_subscription(request, step=ask.step(repeat=True))
        assert again.reference == found.subscription.reference
        assert again.subscription_id == request.subscription_id
    else:
        assert isinstance(found, Absent)
        with pytest.raises(ProviderUnknown):
            await ask.provider.create_subscription(request, step=ask.step(repeat=True))
    assert len(gateway.subscriptions()) == (2 if fault in DONE else 1)


async def test_a_duplicate_is_ours_if_it_carries_our_mark(ask: Caller, gateway: FakeAuthorizeNet) -> None:
    request = ask.subscription(await ask.a_method())
    first = await ask.provider.create_subscription(request, step=ask.step())
    second = await ask.provider.create_subscription(request, step=ask.step())
    assert first.reference == second.reference
    assert len(gateway.subscriptions()) == 1


async def test_a_lost_subscription_that_ended_meanwhile_or_that_no_list_shows_yet(
    ask: Caller, gateway: FakeAuthorizeNet
) -> None:
    request = ask.subscription(await ask.a_method())
    gateway.lose_next_answer(CREATE)
    with pytest.raises(ProviderUnknown):
        await ask.provider.create_subscription(request, step=ask.step())
    gateway.lag(timedelta(minutes=5))
    assert isinstance(await ask.look_up(Verb.CREATE_SUBSCRIPTION, request), Absent)
    assert ask.provider.absence_margin_seconds >= 900, "and it is not believed so early"
    gateway.clock.move(timedelta(minutes=6))
    gateway.cancel_subscription_in_dashboard(gateway.subscriptions()[0]["id"])
    began = gateway.clock() - timedelta(minutes=6)
    found = await ask.look_up(Verb.CREATE_SUBSCRIPTION, request, started_at=began)
    assert isinstance(found, Found)
    assert found.subscription is not None
    assert found.subscription.status is SubscriptionStatus.CANCELED


async def test_a_lost_change_or_end_is_told_from_the_subscription_itself(
    ask: Caller, gateway: FakeAuthorizeNet
) -> None:
    made = (await ask.a_subscription()).reference
    change = SubscriptionUpdate(subscription=made, amount=Money(900, "USD"), description="Less")
    for fault, kind in (("drop_before", Absent), ("drop_after", Found)):
        gateway.spoil(fault, UPDATE)
        with pytest.raises(ProviderUnknown):
            await ask.provider.update_subscription(change, step=ask.step())
        assert isinstance(await ask.look_up(Verb.UPDATE_SUBSCRIPTION, change, subject=made), kind)
    gateway.spoil("drop_after", "ARBGetSubscriptionRequest", skip=1)
    with pytest.raises(ProviderUnknown, match="changed"):
        await ask.provider.update_subscription(change, step=ask.step())
    end = SubscriptionCancellation(subscription=made)
    for fault, kind in (("drop_before", Absent), ("drop_after", Found)):
        gateway.spoil(fault, CANCEL)
        with pytest.raises(ProviderUnknown):
            await ask.provider.cancel_subscription(end, step=ask.step())
        assert isinstance(await ask.look_up(Verb.CANCEL_SUBSCRIPTION, end, subject=made), kind)


async def test_a_subscription_on_a_token_is_one_method_and_one_subscription_wherever_the_process_dies(
    ask: Caller, gateway: FakeAuthorizeNet
) -> None:
    for number, (die, call) in enumerate(
        [("die_before", "seen"), ("die_after", "seen"), ("die_before", "method"), ("die_after", "method")],
        start=1,
    ):
        customer = (await ask.a_customer()).reference
        ask.results.clear()
        request = ask.subscription(await ask.a_method(), customer=customer, payment_method=gateway.token())
        setattr(ask, die, call)
        with pytest.raises(Killed):
            await ask.provider.create_subscription(request, step=ask.step())
        setattr(ask, die, None)
        assert isinstance(await ask.look_up(Verb.CREATE_SUBSCRIPTION, request), Absent)
        with pytest.raises(ProviderUnknown):  # a repeat goes no further than to where nothing is begun
            await ask.provider.create_subscription(request, step=ask.step(repeat=True))
        assert "method" in ask.results
        made = await ask.provider.create_subscription(request, step=ask.step())
        found = await ask.look_up(Verb.CREATE_SUBSCRIPTION, request)
        assert isinstance(found, Found)
        assert found.subscription is not None
        assert found.subscription.reference == made.reference
        assert [len(each["methods"]) for each in gateway.customers() if each["id"] == customer] == [1]
        assert len(gateway.subscriptions()) == number


# --- events ---------------------------------------------------------------------------------------


async def test_events_name_the_subscription_or_the_charge(ask: Caller, gateway: FakeAuthorizeNet) -> None:
    made = await ask.a_subscription()
    gateway.clock.move(timedelta(days=1))
    gateway.collect()
    await ask.provider.cancel_subscription(
        SubscriptionCancellation(subscription=made.reference), step=ask.step()
    )
    heard: list[Any] = []
    for event in gateway.events():
        headers, body = gateway.signed_webhook(event)
        heard.append(
            await ask.provider.read_webhook(Request(method="POST", path="/", headers=headers, body=body))
        )
    told = [(each.noun, each.reference) for each in heard if each.noun in (Noun.SUBSCRIPTION, Noun.PAYMENT)]
    assert told == [
        (Noun.SUBSCRIPTION, made.reference),
        (Noun.PAYMENT, gateway.charges()[0]["id"]),
        (Noun.SUBSCRIPTION, made.reference),
    ]
