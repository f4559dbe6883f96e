"""Refunds that wait for settlement, absence that is seen twice, and what a provider is told of our books."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bridge_payments.engine.settlement import merge, refund_merged
from bridge_payments.errors import InvalidRequest, OperationInProgress
from bridge_payments.messages import Request
from bridge_payments.models import (
    METHOD_PATTERN,
    Money,
    OperationState,
    PaymentStatus,
    ProviderEvent,
    RefundStatus,
    Verb,
)
from bridge_payments.providers.base import (
    Absent,
    Evidence,
    KnownPayment,
    Lookup,
    ProviderPayment,
    ProviderRefund,
    RefundRequest,
    Step,
)
from bridge_payments.providers.dummy import DummyProvider

pytestmark = pytest.mark.anyio


class Settling:
    """A provider whose refunds wait until it has settled, and that remembers what it was told."""

    def __init__(self, provider: DummyProvider, patch: pytest.MonkeyPatch) -> None:
        self.settled = False
        self.known: list[KnownPayment] = []
        self.asked = 0
        refund, sync = provider.refund_payment, provider.sync_known_payment

        async def refund_payment(request: RefundRequest, *, step: Step) -> ProviderRefund:
            self.asked += 1
            if self.settled:
                return await refund(request, step=step)
            return ProviderRefund(
                reference=request.reference, payment=request.payment, amount=request.amount,
                status=RefundStatus.WAITING, failure="not settled yet",
            )  # fmt: skip

        async def sync_known_payment(known: KnownPayment) -> ProviderPayment:
            self.known.append(known)
            return await sync(known)

        patch.setattr(provider, "refund_payment", refund_payment)
        patch.setattr(provider, "sync_known_payment", sync_known_payment)


@pytest.fixture
def settling(house: Any, monkeypatch: pytest.MonkeyPatch) -> Settling:
    return Settling(house.engine.provider("dummy"), monkeypatch)


async def test_a_refund_that_has_to_wait_is_seen_keeps_its_share_and_is_made_after_settlement(
    house: Any, settling: Settling
) -> None:
    payment = await house.paid(2000)
    refund = await house.engine.refund_payment(payment.id, amount_cents=500)
    assert (refund.status, refund.error_message) == (RefundStatus.WAITING, "not settled yet")
    row = await house.row(payment.id)
    assert (row.refunded_cents, row.refund_reserved_cents, row.status) == (0, 500, PaymentStatus.SUCCEEDED)
    with pytest.raises(InvalidRequest):
        await house.engine.refund_payment(payment.id, amount_cents=1501)

    for _ in range(3):
        house.move(hours=7)
        await house.engine.sweep()
    assert settling.asked > 1
    assert [each.status for each in await house.refunds(payment.id)] == [RefundStatus.WAITING]

    settling.settled = True
    house.move(hours=25)
    await house.engine.sweep()
    (refund,) = await house.refunds(payment.id)
    assert refund.status is RefundStatus.SUCCEEDED
    row = await house.row(payment.id)
    assert (row.refunded_cents, row.refund_reserved_cents) == (500, 500)
    assert len(house.gateway.refunds) == 1
    told = await house.told(payment.id)
    assert told.count("refund.created") == told.count("refund.succeeded") == 1

    house.move(hours=25)
    await house.engine.sweep()
    assert len(house.gateway.refunds) == 1, "made once"


async def test_a_waiting_refund_whose_attempt_was_lost_and_never_made_waits_on(
    house: Any, settling: Settling
) -> None:
    payment = await house.paid(2000)
    await house.engine.refund_payment(payment.id, amount_cents=500)
    settling.settled = True
    # Past the window of the gateway's keys, so that nothing may be repeated.
    house.gateway.fail_next("broken_before")
    house.move(hours=1)
    await house.engine.sweep()
    (refund,) = await house.refunds(payment.id)
    assert refund.status is RefundStatus.WAITING
    with pytest.raises(OperationInProgress):
        await house.engine.refund_payment(payment.id, amount_cents=100)
    house.move(hours=30)
    await house.engine.reconcile()
    (refund,) = await house.refunds(payment.id)
    assert refund.status is RefundStatus.WAITING
    assert (await house.row(payment.id)).refund_reserved_cents == 500
    house.move(hours=25)
    await house.engine.sweep()
    (refund,) = await house.refunds(payment.id)
    assert refund.status is RefundStatus.SUCCEEDED


async def test_a_disputed_payment_keeps_its_refund_waiting(house: Any, settling: Settling) -> None:
    payment = await house.paid(2000)
    await house.engine.refund_payment(payment.id, amount_cents=500)
    row = await house.row(payment.id)
    await house.store.run(
        lambda unit: unit.payments.save(replace(row, disputed_cents=2000), expected_version=row.version)
    )
    asked = settling.asked
    assert await house.engine.retry_waiting_refunds(payment.id) == 0
    assert settling.asked == asked


async def test_a_refused_waiting_refund_fails_and_gives_its_share_back(
    house: Any, settling: Settling
) -> None:
    payment = await house.paid(2000)
    refund = await house.engine.refund_payment(payment.id, amount_cents=2000)
    row = await house.row(payment.id)
    refused = ProviderRefund(
        reference="dr_1", payment=None, amount=Money(2000, "USD"), status=RefundStatus.FAILED
    )
    settled = refund_merged(row, refund, refused, house.clock())
    assert settled.refunds[0].status is RefundStatus.FAILED
    assert settled.payment.refund_reserved_cents == 0


async def test_a_provider_is_told_what_our_books_know(house: Any, settling: Settling) -> None:
    payment = await house.paid(2000)
    settling.settled = True
    refund = await house.engine.refund_payment(payment.id, amount_cents=500)
    await house.engine.sync_payment(payment.id)
    known = settling.known[-1]
    assert (known.reference, known.total, known.status) == (
        payment.provider_intent_id, Money(2000, "USD"), PaymentStatus.PARTIALLY_REFUNDED,
    )  # fmt: skip
    assert [(each.id, each.reference) for each in known.refunds] == [(refund.id, refund.provider_refund_id)]


async def test_a_webhook_that_names_only_the_call_finds_its_payment_and_hints_at_the_object(
    house: Any, settling: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await house.paid(2000)
    confirm = next(each for each in await house.operations(payment.id) if each.verb is Verb.CONFIRM)

    async def read_webhook(request: Request) -> ProviderEvent:
        return ProviderEvent(id="n-1", type="x", reference="60001", our_reference=confirm.reference)

    monkeypatch.setattr(house.engine.provider("dummy"), "read_webhook", read_webhook)
    await house.engine.receive_webhook("dummy", Request(method="POST", path="/"))
    await house.engine.process_inbox()
    assert settling.known[-1].hint == "60001"
    assert settling.known[-1].reference == payment.provider_intent_id


async def test_absence_is_believed_only_when_it_was_seen_as_often_as_the_provider_asks(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Any] = []

    async def find_operation(evidence: Evidence) -> Lookup:
        assert evidence.inputs["payment_method"] == "dummy_ok"
        assert evidence.known is not None
        looked.append(house.clock())
        return Absent("nothing there")

    provider = house.engine.provider("dummy")
    monkeypatch.setattr(type(provider), "absence_looks", 2)
    monkeypatch.setattr(provider, "find_operation", find_operation)
    payment = await house.new()
    house.gateway.fail_next("broken_before")
    await house.engine.confirm_payment(payment.id, payment_method="dummy_ok")
    house.move(minutes=20)
    await house.engine.reconcile()
    (operation,) = await house.engine.list_unknown()
    assert operation.state is OperationState.UNKNOWN
    await house.engine.reconcile()
    assert len(looked) == 1, "the second look is a minute later"
    house.move(seconds=61)
    await house.engine.reconcile()
    assert not await house.engine.list_unknown()
    assert looked[1] - looked[0] >= timedelta(minutes=1)


async def test_what_was_never_to_be_sent_is_given_up_without_waiting(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find_operation(evidence: Evidence) -> Lookup:
        return Absent("nothing of it is ever sent", at_once=True)

    provider = house.engine.provider("dummy")
    monkeypatch.setattr(type(provider), "absence_looks", 2)
    monkeypatch.setattr(provider, "find_operation", find_operation)
    payment = await house.new()
    house.gateway.fail_next("broken_before")
    await house.engine.cancel_payment(payment.id)
    house.move(seconds=3)
    await house.engine.reconcile()
    assert not await house.engine.list_unknown()


@pytest.mark.parametrize(
    ("method", "taken"),
    [
        ("pm_1", True),
        ("apple_pay:" + "Ab+/" * 1500 + "==", True),
        ("eyJjb2RlIjoiNTBfMl8w" * 20 + "==", True),
        ("a/b", False),
        ("a b", False),
        ("apple_pay:x\n", False),
        ("x" * 8193, False),
    ],
)
async def test_a_wallets_token_is_a_method_and_a_path_is_not(house: Any, method: str, taken: bool) -> None:
    assert bool(METHOD_PATTERN.match(method)) is taken
    if taken:
        payment = await house.new(payment_method=method)
        assert payment.payment_method_id == (method if len(method) < 100 else None)
    else:
        with pytest.raises(InvalidRequest):
            await house.new(payment_method=method)


async def test_a_read_that_does_not_say_refunds_leaves_a_waiting_one_alone(
    house: Any, settling: Settling
) -> None:
    payment = await house.paid(2000)
    refund = await house.engine.refund_payment(payment.id, amount_cents=500)
    row = await house.row(payment.id)
    truth = ProviderPayment(
        reference=row.provider_intent_id, status=PaymentStatus.SUCCEEDED, amount=Money(2000, "USD"),
        captured=2000,
    )  # fmt: skip
    settled = merge(row, truth, house.clock(), refunds=[refund], swept=True)
    assert settled.payment.refund_reserved_cents == 500
    assert settled.payment.next_sync_at is not None, "the sweep comes back for it"


async def test_an_object_that_nobody_knows_is_asked_for_its_owner_twice_and_no_more(
    house: Any, settling: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await house.paid(2000)
    provider = house.engine.provider("dummy")
    asked: list[str] = []

    async def read_webhook(request: Request) -> ProviderEvent:
        return ProviderEvent(id=request.path, type="x", reference=request.path[1:])

    async def owner_of(reference: str) -> str | None:
        asked.append(reference)
        return payment.provider_intent_id if reference == "refund" else None

    monkeypatch.setattr(provider, "read_webhook", read_webhook)
    monkeypatch.setattr(provider, "owner_of", owner_of)
    for path in ("/refund", "/stranger"):
        await house.engine.receive_webhook("dummy", Request(method="POST", path=path))
    for _ in range(5):
        await house.engine.process_inbox()
        house.move(seconds=61)
    assert settling.known[-1].hint == "refund"
    assert asked == ["refund", "stranger", "stranger"]


# --- a waiting refund that can never be made ----------------------------------------------------------


async def given_back_elsewhere(house: Any, payment_id: str, cents: int, status: RefundStatus) -> None:
    """The provider tells of a refund that was made in its dashboard."""
    row = await house.row(payment_id)
    made = ProviderRefund(
        reference="dr_elsewhere", payment=row.provider_intent_id, amount=Money(cents, "USD"), status=status
    )
    truth = ProviderPayment(
        reference=row.provider_intent_id, status=PaymentStatus.SUCCEEDED, amount=Money(2000, "USD"),
        captured=2000, refunded=cents, refunds=(made,),
    )  # fmt: skip
    settled = merge(row, truth, house.clock(), refunds=await house.refunds(payment_id))
    assert await house.engine.apply(row, settled) is not None


async def test_a_waiting_refund_that_does_not_fit_any_more_fails_and_another_keeps_its_share(
    house: Any, settling: Settling
) -> None:
    payment = await house.paid(2000)
    await house.engine.refund_payment(payment.id, amount_cents=500)
    await house.engine.refund_payment(payment.id, amount_cents=100)
    await given_back_elsewhere(house, payment.id, 1800, RefundStatus.SUCCEEDED)
    row = await house.row(payment.id)
    assert (row.refund_reserved_cents, row.refundable_cents) == (2000, 0)
    asked = settling.asked
    assert await house.engine.retry_waiting_refunds(payment.id) == 1
    assert settling.asked == asked + 1, "for the one that still fits"
    assert [(each.amount_cents, each.status) for each in await house.refunds(payment.id)] == [
        (500, RefundStatus.FAILED), (100, RefundStatus.WAITING), (1800, RefundStatus.SUCCEEDED),
    ]  # fmt: skip
    row = await house.row(payment.id)
    assert (row.refunded_cents, row.refund_reserved_cents) == (1800, 1900), (
        "what was freed is no more than it"
    )
    assert row.next_sync_at is not None
    assert (await house.told(payment.id)).count("refund.failed") == 1


async def test_a_waiting_refund_does_not_fail_for_one_that_is_itself_pending(
    house: Any, settling: Settling
) -> None:
    payment = await house.paid(2000)
    await house.engine.refund_payment(payment.id, amount_cents=500)
    await given_back_elsewhere(house, payment.id, 2000, RefundStatus.PENDING)
    await house.engine.retry_waiting_refunds(payment.id)
    assert (await house.refunds(payment.id))[0].status is RefundStatus.WAITING
    assert (await house.row(payment.id)).next_sync_at is not None


async def test_a_waiting_refund_is_not_ended_while_a_call_for_it_is_under_way(
    house: Any, settling: Settling
) -> None:
    payment = await house.paid(2000)
    await house.engine.refund_payment(payment.id, amount_cents=500)
    settling.settled = True
    house.gateway.fail_next("broken_before")
    assert await house.engine.retry_waiting_refunds(payment.id) == 1
    await given_back_elsewhere(house, payment.id, 2000, RefundStatus.SUCCEEDED)
    assert await house.engine.retry_waiting_refunds(payment.id) == 0
    assert (await house.refunds(payment.id))[0].status is RefundStatus.WAITING, "nobody knows what it did"
    assert "refund.failed" not in await house.told(payment.id)


@pytest.mark.parametrize("status", [RefundStatus.PENDING, RefundStatus.SUCCEEDED])
async def test_a_refund_that_is_pending_keeps_its_payment_in_the_sweep(
    house: Any, status: RefundStatus
) -> None:
    payment = await house.paid(2000)
    await given_back_elsewhere(house, payment.id, 2000, status)
    row = await house.row(payment.id)
    assert (row.refunded_cents, row.refund_reserved_cents) == (2000, 2000)
    assert (row.next_sync_at is not None) is (status is RefundStatus.PENDING)


async def test_one_refund_that_ends_does_not_take_another_that_is_pending_out_of_the_sweep(
    house: Any,
) -> None:
    payment = await house.paid(2000)
    await given_back_elsewhere(house, payment.id, 500, RefundStatus.PENDING)
    await house.engine.refund_payment(payment.id, amount_cents=300)
    assert (await house.row(payment.id)).next_sync_at is not None
