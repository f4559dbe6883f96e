"""Subscriptions: begun once, changed by their owner, mirrored; each charge is one payment, told once."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from bridge_payments import Money
from bridge_payments.engine import PaymentDraft
from bridge_payments.errors import (
    AccessDenied,
    IllegalState,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    OperationInProgress,
    PaymentDeclined,
    Unavailable,
)
from bridge_payments.messages import Request
from bridge_payments.models import (
    BillingInterval,
    GuestData,
    OperationState,
    Payment,
    PaymentMethod,
    PaymentStatus,
    Principal,
    Subscription,
    SubscriptionStatus,
)
from bridge_payments.providers.dummy.inbox import SIGNATURE, sign
from bridge_payments.stores.base import PaymentQuery, SubscriptionQuery

pytestmark = pytest.mark.anyio

ADA = Principal.user("ada", email="ada@example.com")
BOB = Principal.user("bob", email="bob@example.com")
ANYBODY = Principal.anonymous(peer="192.0.2.7")
GUEST = GuestData(email="guest@example.com", name="Gail")


async def keep(house: Any, principal: Principal = ADA, token: str = "dummy_ok") -> PaymentMethod:
    return await house.engine.create_payment_method(token=token, principal=principal)


async def begin(house: Any, principal: Principal = ADA, **more: Any) -> Subscription:
    given = {"total_cents": 1500, "currency": "USD", **more}
    if "payment_method" not in given:
        given["payment_method"] = (await keep(house, principal)).id
    return await house.engine.create_subscription(principal=principal, **given)


async def row(house: Any, subscription: Subscription) -> Subscription:
    found = await house.store.run(lambda unit: unit.subscriptions.get(subscription.id))
    assert found is not None
    return found


async def payments(house: Any, subscription: Subscription) -> list[Payment]:
    page = await house.engine.list_payments(PaymentQuery(limit=50, descending=False))
    return [each for each in page.items if each.subscription_id == subscription.id]


async def deliver(house: Any, *, since: int = 0) -> None:
    """Let the gateway's webhooks arrive, the newest first."""
    for event in reversed(house.gateway.events[since:]):
        body = json.dumps(event).encode()
        headers = {SIGNATURE: sign(body, "dummy-webhook-secret")}
        request = Request(method="POST", path="/webhooks/dummy", headers=headers, body=body)
        await house.engine.receive_webhook("dummy", request)
    while await house.engine.process_inbox():
        continue


# --- beginning ---------------------------------------------------------------------------------------


async def test_a_subscription_begins_and_its_first_charge_is_a_payment(house: Any) -> None:
    method = await keep(house)
    subscription = await begin(
        house, payment_method=method.id, subtotal_cents=1400, tax_cents=100, idempotency_key="k"
    )
    assert (subscription.status, subscription.user_id) == (SubscriptionStatus.ACTIVE, "ada")
    assert subscription.payment_method_id == method.id
    assert subscription.customer_id == method.customer_id
    assert subscription.concept == "Custom Monthly Subscription"
    (payment,) = await payments(house, subscription)
    assert (payment.status, payment.total_cents, payment.tax_cents, payment.user_id) == (
        PaymentStatus.SUCCEEDED, 1500, 100, "ada",
    )  # fmt: skip
    assert await house.told(payment.id) == ["payment.created", "payment.success"]
    assert await house.told(subscription.id) == ["subscription.created"]
    again = await begin(
        house, payment_method=method.id, subtotal_cents=1400, tax_cents=100, idempotency_key="k"
    )
    assert again.id == subscription.id
    assert len(house.gateway.charges) == 1


async def test_a_trial_costs_nothing_until_it_ends_and_its_end_is_announced_once(house: Any) -> None:
    subscription = await begin(house, trial_days=14)
    assert subscription.status is SubscriptionStatus.TRIALING
    assert house.gateway.charges == []
    for _ in range(3):
        house.move(days=4)
        await house.engine.sweep()
    assert (await house.told(subscription.id)).count("subscription.trial_will_end") == 1
    house.move(days=3)
    house.gateway.bill()
    await house.engine.sweep()
    assert (await row(house, subscription)).status is SubscriptionStatus.ACTIVE
    assert len(await payments(house, subscription)) == 1


async def test_the_merchant_sets_the_price_of_a_subscription_too(build: Any) -> None:
    seen: list[PaymentDraft] = []

    def approve(draft: PaymentDraft, principal: Principal) -> PaymentDraft:
        seen.append(draft)
        return draft.priced(Money(9900, "USD"))

    house = build(approve=approve)
    subscription = await begin(house, total_cents=1, billing_interval="quarterly")
    assert subscription.total_cents == 9900
    assert (subscription.billing_interval, subscription.interval_multiplier) == (BillingInterval.MONTHLY, 3)
    assert seen[0].recurring is not None
    assert house.gateway.charges[0]["amount"] == 9900

    def refuse(draft: PaymentDraft, principal: Principal) -> PaymentDraft:
        raise AccessDenied("sold out")

    closed = build(approve=refuse)
    method = await keep(closed)
    sent = len(closed.gateway.requests)
    with pytest.raises(AccessDenied, match="sold out"):
        await begin(closed, payment_method=method.id)
    assert len(closed.gateway.requests) == sent


@pytest.mark.parametrize(
    "wrong",
    [
        {"total_cents": 0},
        {"total_cents": 5, "subtotal_cents": 6},
        {"billing_interval": "hourly"},
        {"interval_multiplier": 13},
        {"trial_days": -1},
        {"metadata": {"bridge_x": "1"}},
    ],
)
async def test_nonsense_is_refused_before_anything_is_written(house: Any, wrong: Any) -> None:
    method = await keep(house)
    sent = len(house.gateway.requests)
    with pytest.raises(InvalidRequest):
        await begin(house, payment_method=method.id, **wrong)
    assert len(house.gateway.requests) == sent
    assert (await house.engine.list_subscriptions(SubscriptionQuery())).total == 0


async def test_a_declined_first_charge_is_a_decline_and_the_subscription_never_began(house: Any) -> None:
    method = await keep(house, token="dummy_insufficient")
    with pytest.raises(PaymentDeclined) as declined:
        await begin(house, payment_method=method.id)
    assert declined.value.decline_code == "insufficient_funds"
    (never,) = (await house.engine.list_subscriptions(SubscriptionQuery())).items
    assert never.status is SubscriptionStatus.INCOMPLETE_EXPIRED
    assert house.gateway.charges == []


async def test_a_first_charge_that_needs_its_payer_begins_when_the_challenge_is_passed(house: Any) -> None:
    method = await keep(house)
    house.gateway.methods[method.provider_payment_method_id]["token"] = "dummy_challenge"
    waiting = await begin(house, payment_method=method.id)
    assert waiting.status is SubscriptionStatus.INCOMPLETE
    assert waiting.client_secret
    (payment,) = await payments(house, waiting)
    assert payment.status is PaymentStatus.REQUIRES_ACTION
    house.gateway.challenge(payment.provider_intent_id, passed=True)
    house.move(minutes=3)
    await house.engine.sweep()
    begun = await row(house, waiting)
    assert (begun.status, begun.client_secret) == (SubscriptionStatus.ACTIVE, None)
    (payment,) = await payments(house, waiting)
    assert payment.status is PaymentStatus.SUCCEEDED
    assert (await house.told(payment.id)).count("payment.success") == 1


async def test_a_guest_subscribes_with_a_one_time_token_and_cancels_by_the_secret_alone(house: Any) -> None:
    subscription = await begin(house, ANYBODY, payment_method="dummy_ok", guest=GUEST)
    assert subscription.is_guest_subscription
    assert subscription.status is SubscriptionStatus.ACTIVE
    with pytest.raises(NotAuthenticated):
        await house.engine.cancel_subscription(subscription.id, principal=ANYBODY)
    proved = Principal.guest("GUEST@example.com")
    canceled = await house.engine.cancel_subscription(subscription.id, principal=proved)
    assert canceled.cancel_at_period_end


# --- whose it is -----------------------------------------------------------------------------------


async def test_somebody_elses_method_customer_or_subscription_is_not_there(house: Any) -> None:
    method = await keep(house)
    subscription = await begin(house, payment_method=method.id)
    mine = await begin(house, BOB)
    sent = len(house.gateway.requests)
    for call in (
        begin(house, BOB, payment_method=method.id),
        begin(house, BOB, payment_method=method.provider_payment_method_id),
        begin(house, BOB, payment_method="dummy_ok", customer_id=method.customer_id),
        house.engine.update_subscription(mine.id, payment_method=method.id, principal=BOB),
        house.engine.get_subscription(subscription.id, principal=BOB),
        house.engine.get_subscription(subscription.provider_subscription_id, principal=BOB),
        house.engine.update_subscription(subscription.id, description="x", principal=BOB),
        house.engine.cancel_subscription(subscription.id, principal=BOB),
        house.engine.pause_subscription(subscription.id, principal=BOB),
        house.engine.resume_subscription(subscription.id, principal=BOB),
        house.engine.sync_subscription(subscription.id, principal=BOB),
    ):
        with pytest.raises(NotFound):
            await call
    assert len(house.gateway.requests) == sent
    listed = await house.engine.list_subscriptions(SubscriptionQuery(), principal=BOB)
    assert [each.id for each in listed.items] == [mine.id]


async def test_a_payer_does_not_change_what_it_costs(house: Any, build: Any) -> None:
    subscription = await begin(house)
    with pytest.raises(AccessDenied):
        await house.engine.update_subscription(subscription.id, total_cents=1, principal=ADA)
    dearer = await house.engine.update_subscription(subscription.id, total_cents=2000)
    assert dearer.total_cents == 2000
    assert house.gateway.subscriptions[subscription.provider_subscription_id]["amount"] == 2000


# --- change ----------------------------------------------------------------------------------------


async def test_it_is_canceled_taken_back_paused_resumed_and_ended(house: Any) -> None:
    subscription = await begin(house)
    engine, own = house.engine, {"principal": ADA}
    assert (await engine.cancel_subscription(subscription.id, **own)).cancel_at_period_end
    with pytest.raises(IllegalState, match="already canceled"):
        await engine.cancel_subscription(subscription.id, **own)
    back = await engine.resume_subscription(subscription.id, **own)
    assert (back.cancel_at_period_end, back.status) == (False, SubscriptionStatus.ACTIVE)
    with pytest.raises(IllegalState):
        await engine.resume_subscription(subscription.id, **own)
    paused = await engine.pause_subscription(subscription.id, **own)
    assert paused.status is SubscriptionStatus.PAUSED
    with pytest.raises(IllegalState):
        await engine.pause_subscription(subscription.id, **own)
    assert (await engine.resume_subscription(subscription.id, **own)).status is SubscriptionStatus.ACTIVE
    ended = await engine.cancel_subscription(subscription.id, at_period_end=False, **own)
    assert ended.status is SubscriptionStatus.CANCELED
    assert ended.canceled_at is not None
    with pytest.raises(IllegalState):
        await engine.update_subscription(subscription.id, description="x", **own)
    assert (await house.told(subscription.id))[-1] == "subscription.cancelled"
    house.move(days=40)
    house.gateway.bill()
    assert len(house.gateway.charges) == 1


async def test_an_update_changes_what_is_given_and_the_next_charge_takes_the_new_method(house: Any) -> None:
    subscription = await begin(house, metadata={"a": "1"}, description="old")
    better = await keep(house)
    changed = await house.engine.update_subscription(subscription.id, payment_method=better.id, principal=ADA)
    assert (changed.payment_method_id, changed.metadata, changed.description) == (
        better.id, {"a": "1"}, "old",
    )  # fmt: skip
    noted = await house.engine.update_subscription(subscription.id, metadata={"b": "2"}, principal=ADA)
    assert (noted.metadata, noted.description) == ({"b": "2"}, "old")
    gateways = house.gateway.subscriptions[subscription.provider_subscription_id]
    assert gateways["method"] == better.provider_payment_method_id


async def test_a_dashboard_that_was_faster_is_answered_with_the_true_state(house: Any) -> None:
    subscription = await begin(house)
    house.gateway.cancel_subscription(
        {"subscription": subscription.provider_subscription_id, "at_end": False}
    )
    seen = await house.engine.pause_subscription(subscription.id, principal=ADA)
    assert seen.status is SubscriptionStatus.CANCELED


# --- renewals (rule 18) ------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["event", "sweep", "both", "sync"])
async def test_a_renewal_is_one_payment_and_one_success_whoever_sees_it_first(house: Any, who: str) -> None:
    subscription = await begin(house)
    seen = len(house.gateway.events)
    house.move(days=31)
    assert house.gateway.bill() == 1
    if who == "sync":
        await asyncio.gather(*(house.engine.sync_subscription(subscription.id) for _ in range(5)))
    if who in ("event", "both"):
        await deliver(house, since=seen)
    if who in ("sweep", "both"):
        house.move(days=1)
        await house.engine.sweep()
    await deliver(house, since=seen)
    (first, second) = await payments(house, subscription)
    assert second.status is PaymentStatus.SUCCEEDED
    assert await house.told(second.id) == ["payment.created", "payment.success"]
    told = await house.told(subscription.id)
    assert told.count("subscription.renewed") == 1
    renewed = await row(house, subscription)
    assert renewed.current_period_end > subscription.current_period_end
    (event,) = [each for each in await house.events(subscription.id) if each.type == "subscription.renewed"]
    assert event.data["payment_id"] == second.id
    assert event.subscription.current_period_end == renewed.current_period_end
    assert first.subscription_id == second.subscription_id == subscription.id


async def test_a_renewal_can_be_refunded_like_any_payment(house: Any) -> None:
    subscription = await begin(house)
    house.move(days=31)
    house.gateway.bill()
    await house.engine.sync_subscription(subscription.id)
    (_, renewal) = await payments(house, subscription)
    refund = await house.engine.refund_payment(renewal.id, amount_cents=500, idempotency_key="r")
    assert refund.amount_cents == 500
    await house.engine.sync_subscription(subscription.id)
    (_, renewal) = await payments(house, subscription)
    assert renewal.status is PaymentStatus.PARTIALLY_REFUNDED
    assert (await house.engine.sync_payment(renewal.id)).flag is None


async def test_a_renewal_that_is_declined_is_past_due_and_paid_later_is_one_success(house: Any) -> None:
    method = await keep(house)
    subscription = await begin(house, payment_method=method.id)
    house.gateway.methods[method.provider_payment_method_id]["token"] = "dummy_declined"
    house.move(days=32)
    house.gateway.bill()
    await house.engine.sweep()
    overdue = await row(house, subscription)
    assert overdue.status is SubscriptionStatus.PAST_DUE
    (_, unpaid) = await payments(house, subscription)
    assert unpaid.status is PaymentStatus.PENDING
    assert "subscription.payment_failed" in await house.told(subscription.id)
    house.gateway._confirm({"intent": unpaid.provider_intent_id, "method": "dummy_ok"})
    house.move(days=1)
    await house.engine.sweep()
    assert (await row(house, subscription)).status is SubscriptionStatus.ACTIVE
    (_, paid) = await payments(house, subscription)
    assert paid.status is PaymentStatus.SUCCEEDED
    assert (await house.told(paid.id)).count("payment.success") == 1
    assert (await house.told(subscription.id)).count("subscription.renewed") == 1


async def test_it_is_read_a_day_after_each_period_and_no_more_once_it_ended(house: Any) -> None:
    subscription = await begin(house)
    house.move(days=30, hours=23)
    assert await house.engine.sweep() == 0
    house.move(hours=2)
    assert await house.engine.sweep() == 1
    await house.engine.cancel_subscription(subscription.id, at_period_end=False)
    assert (await row(house, subscription)).next_sync_at is None


# --- trouble ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["lost_answer", "broken_before", "never_sent"])
async def test_a_create_whose_answer_is_lost_begins_once_or_never(house: Any, fault: Any) -> None:
    method = await keep(house)
    for _ in range(3 if fault == "never_sent" else 1):
        house.gateway.fail_next(fault)
    try:
        answer = await begin(house, payment_method=method.id, idempotency_key="k")
    except Unavailable:
        assert fault == "never_sent"
    else:
        assert answer.unknown_operation_id
        with pytest.raises(OperationInProgress):
            await house.engine.cancel_subscription(answer.id, principal=ADA)
    await house.settle(steps=12)
    subscriptions = (await house.engine.list_subscriptions(SubscriptionQuery(), principal=ADA)).items
    begun = fault == "lost_answer"
    assert len(house.gateway.subscriptions) == len(house.gateway.charges) == int(begun)
    for subscription in subscriptions:
        (operation,) = await house.operations(subscription.id)
        assert operation.state is (OperationState.SUCCEEDED if begun else OperationState.ABANDONED)
        expected = SubscriptionStatus.ACTIVE if begun else SubscriptionStatus.INCOMPLETE_EXPIRED
        assert subscription.status is expected
        assert len(await payments(house, subscription)) == int(begun)
    # Nothing is executed late, and the key begins it now if it never did (rule 8).
    final = await begin(house, payment_method=method.id, idempotency_key="k")
    assert final.status is SubscriptionStatus.ACTIVE
    assert len(house.gateway.charges) == 1


async def test_a_cancellation_that_was_lost_is_made_in_the_end(house: Any) -> None:
    subscription = await begin(house)
    house.gateway.fail_next("broken_before")
    answer = await house.engine.cancel_subscription(subscription.id, principal=ADA)
    assert answer.unknown_operation_id
    await house.settle(steps=12)
    assert (await row(house, subscription)).cancel_at_period_end


async def test_a_pause_that_was_lost_is_found(house: Any) -> None:
    subscription = await begin(house)
    house.gateway.lose_next_answer()
    await house.engine.pause_subscription(subscription.id, principal=ADA)
    await house.settle(steps=1)
    assert (await row(house, subscription)).status is SubscriptionStatus.PAUSED


async def test_an_object_that_is_not_ours_is_never_applied(house: Any) -> None:
    subscription = await begin(house)
    house.gateway.subscriptions[subscription.provider_subscription_id].update(
        state="canceled", metadata={"bridge_subscription_id": "sub_of_others"}
    )
    seen = await house.engine.sync_subscription(subscription.id)
    assert seen.status is SubscriptionStatus.ACTIVE
    assert "does not match" in (seen.error_message or "")


async def test_one_without_a_row_is_adopted_by_its_customer(house: Any) -> None:
    method = await keep(house)
    subscription = await begin(house, payment_method=method.id)
    reference = subscription.provider_subscription_id
    # The books are restored from before it began.
    tables = house.store._tables
    tables.subscriptions.clear()
    tables.operations.clear()
    await deliver(house)
    adopted = await house.engine.get_subscription(reference, principal=ADA)
    assert (adopted.id, adopted.user_id, adopted.status) == (
        subscription.id, "ada", SubscriptionStatus.ACTIVE,
    )  # fmt: skip
    tables.subscriptions.clear()
    tables.customers.clear()
    assert await house.engine.adopt_subscription("dummy", reference) is None


async def test_one_that_was_given_up_and_began_after_all_is_taken_back(house: Any) -> None:
    subscription = await begin(house)
    now = await row(house, subscription)
    lost = replace(now, provider_subscription_id=None, status=SubscriptionStatus.INCOMPLETE_EXPIRED)
    await house.store.run(lambda unit: unit.subscriptions.save(lost, expected_version=now.version))
    await deliver(house)
    assert (await row(house, subscription)).status is SubscriptionStatus.ACTIVE


async def test_an_expired_client_secret_is_forgotten(house: Any) -> None:
    method = await keep(house)
    setup = await house.engine.create_payment_method(principal=ADA)
    house.gateway.methods[method.provider_payment_method_id]["token"] = "dummy_challenge"
    waiting = await begin(house, payment_method=method.id)
    house.move(hours=25)
    assert (await house.engine.get_subscription(waiting.id, principal=ADA)).client_secret is None
    assert (await house.engine.get_payment_method(setup.id, principal=ADA)).client_secret is None
    await house.engine.clean_client_secrets()
    kept = await house.store.run(lambda unit: unit.payment_methods.get(setup.id))
    assert (kept.client_secret, (await row(house, waiting)).client_secret) == (None, None)
