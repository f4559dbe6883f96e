"""What becomes of the money when answers are lost, processes die and others are faster."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest

from bridge_payments.engine import reconcile
from bridge_payments.errors import (
    DuplicateReference,
    InvalidRequest,
    OperationInProgress,
    PaymentDeclined,
    ProviderUnknown,
    Unavailable,
)
from bridge_payments.messages import Request
from bridge_payments.models import OperationState, PaymentFlag, PaymentStatus, Principal, RefundStatus
from bridge_payments.providers.dummy.inbox import SIGNATURE, sign

pytestmark = pytest.mark.anyio


def delivery(event) -> Request:
    body = json.dumps(event).encode()
    return Request(
        method="POST",
        path="/webhooks/dummy",
        headers={SIGNATURE: sign(body, "dummy-webhook-secret")},
        body=body,
    )


async def die_before_record(house, monkeypatch):
    """Let the engine lose its memory of every answer: as if the process had died after it."""

    async def dead(reserved, answer):
        raise ConnectionAbortedError("the process is gone")

    monkeypatch.setattr(house.engine, "record", dead)


# --- lost answers ----------------------------------------------------------------------------------


async def test_a_lost_answer_is_unknown_and_names_its_operation(house):
    payment = await house.new()
    house.gateway.lose_next_answer()
    answer = await house.engine.confirm_payment(payment.id, payment_method="dummy_ok")
    assert answer.status is PaymentStatus.PROCESSING
    (operation,) = (op for op in await house.operations(payment.id) if op.verb == "confirm_payment")
    assert answer.unknown_operation_id == operation.id
    assert operation.state is OperationState.UNKNOWN

    for read in (house.engine.get_payment, house.engine.sync_payment):
        if read == house.engine.sync_payment:
            house.gateway.intents[payment.provider_intent_id]["state"] = "open"  # the gateway is slow
        seen = await read(payment.id)
        assert (seen.status, seen.unknown_operation_id) == (PaymentStatus.PROCESSING, operation.id)
    house.gateway.intents[payment.provider_intent_id]["state"] = "paid"

    for verb in (house.engine.confirm_payment, house.engine.cancel_payment):
        with pytest.raises(OperationInProgress) as refusal:
            await verb(payment.id)
        assert refusal.value.operation_id == operation.id

    await house.settle(steps=1)
    assert (await house.row(payment.id)).status is PaymentStatus.SUCCEEDED
    assert len(house.gateway.charges) == 1
    assert await house.told(payment.id) == ["payment.created", "payment.success"]


@pytest.mark.parametrize("retry", ["same_key", "confirm_again", "new_payment"])
async def test_a_client_that_heard_nothing_is_charged_once_however_it_retries(house, retry):
    payment = await house.new(reference_code="A-1", unique_reference=True)
    house.gateway.lose_next_answer()
    await house.engine.confirm_payment(payment.id, payment_method="dummy_ok", idempotency_key="k")

    async def again() -> object:
        match retry:
            case "same_key":
                return await house.engine.confirm_payment(
                    payment.id, payment_method="dummy_ok", idempotency_key="k"
                )
            case "confirm_again":
                return await house.engine.confirm_payment(payment.id, payment_method="dummy_ok")
            case _:
                return await house.new(reference_code="A-1", unique_reference=True)

    for _ in range(2):
        with contextlib.suppress(OperationInProgress, DuplicateReference):
            await again()
        await house.settle(steps=1)
    assert len(house.gateway.charges) == 1
    assert (await house.row(payment.id)).status is PaymentStatus.SUCCEEDED


async def test_a_lost_create_says_try_again_and_the_key_finds_it(house):
    house.gateway.lose_next_answer()
    with pytest.raises(Unavailable):
        await house.new(idempotency_key="k")
    await house.settle(steps=1)
    found = await house.new(idempotency_key="k")
    assert found.provider_intent_id in house.gateway.intents
    assert found.client_secret
    assert len(house.gateway.intents) == 1


async def test_a_refund_whose_answer_was_lost_keeps_its_share_until_it_is_found(house):
    paid = await house.paid(1000)
    house.gateway.lose_next_answer()
    refund = await house.engine.refund_payment(paid.id, amount_cents=600, idempotency_key="r")
    assert refund.status is RefundStatus.PENDING
    assert (await house.row(paid.id)).refundable_cents == 400
    await house.settle(steps=1)
    again = await house.engine.refund_payment(paid.id, amount_cents=600, idempotency_key="r")
    assert (again.id, again.status) == (refund.id, RefundStatus.SUCCEEDED)
    row = await house.row(paid.id)
    assert (row.refunded_cents, row.refund_reserved_cents) == (600, 600)
    assert [refund["amount"] for refund in house.gateway.refunds.values()] == [600]


async def test_what_was_never_sent_is_tried_again_with_the_same_key_and_then_given_up(house):
    payment = await house.new()
    house.gateway.fail_next("never_sent")
    paid = await house.engine.confirm_payment(payment.id, payment_method="dummy_ok")
    assert paid.status is PaymentStatus.SUCCEEDED

    other = await house.new()
    for _ in range(3):
        house.gateway.fail_next("never_sent")
    with pytest.raises(Unavailable):
        await house.engine.confirm_payment(other.id, payment_method="dummy_ok", idempotency_key="k")
    assert (await house.row(other.id)).status is PaymentStatus.PENDING
    # The key protects nothing that never happened: the client's repeat is a new instruction.
    paid = await house.engine.confirm_payment(other.id, payment_method="dummy_ok", idempotency_key="k")
    assert paid.status is PaymentStatus.SUCCEEDED
    assert len(house.gateway.charges) == 2


# --- killed workers --------------------------------------------------------------------------------


async def test_a_worker_killed_after_the_answer_charges_once(house, monkeypatch):
    payment = await house.new()
    with monkeypatch.context() as broken:
        await die_before_record(house, broken)
        with pytest.raises(ConnectionAbortedError):
            await house.engine.confirm_payment(payment.id, payment_method="dummy_ok")
    await house.settle()
    assert len(house.gateway.charges) == 1
    assert (await house.row(payment.id)).status is PaymentStatus.SUCCEEDED
    assert await house.told(payment.id) == ["payment.created", "payment.success"]


@pytest.mark.parametrize("minutes", [3, 30])
async def test_a_confirm_that_was_reserved_and_never_sent_is_never_charged_late(house, monkeypatch, minutes):
    payment = await house.new()

    async def killed(provider, operation, **more):
        raise ConnectionAbortedError("killed before the first byte")

    with monkeypatch.context() as broken:
        broken.setattr("bridge_payments.engine.operations.ask", killed)
        with pytest.raises(ConnectionAbortedError):
            await house.engine.confirm_payment(payment.id, payment_method="dummy_ok", idempotency_key="k")
    house.move(minutes=minutes)
    await house.settle(steps=6)
    assert house.gateway.charges == []
    (_, confirm) = await house.operations(payment.id)
    assert confirm.state is OperationState.ABANDONED
    assert "open" in (confirm.resolution or "")
    assert (await house.row(payment.id)).status is PaymentStatus.PENDING
    paid = await house.engine.confirm_payment(payment.id, payment_method="dummy_ok", idempotency_key="k")
    assert paid.status is PaymentStatus.SUCCEEDED
    assert len(house.gateway.charges) == 1


async def test_a_refund_that_was_reserved_and_never_sent_is_made_once_with_its_own_key(house, monkeypatch):
    paid = await house.paid(1000)

    async def killed(provider, operation, **more):
        raise ConnectionAbortedError("killed before the first byte")

    with monkeypatch.context() as broken:
        broken.setattr("bridge_payments.engine.operations.ask", killed)
        with pytest.raises(ConnectionAbortedError):
            await house.engine.refund_payment(paid.id, amount_cents=400)
    await house.settle(steps=10)
    (*_, operation) = await house.operations(paid.id)
    assert operation.state is OperationState.SUCCEEDED
    assert ("refunds", operation.id) in house.gateway.requests
    assert [refund["amount"] for refund in house.gateway.refunds.values()] == [400]


async def test_absence_is_not_believed_while_a_call_may_be_under_way(house):
    payment = await house.new()
    house.gateway.fail_next("broken_before")
    await house.engine.confirm_payment(payment.id, payment_method="dummy_ok")
    await house.settle(steps=1, seconds=45)
    (_, confirm) = await house.operations(payment.id)
    assert confirm.state is OperationState.UNKNOWN
    await house.settle(steps=10)
    assert (await house.operations(payment.id))[1].state is OperationState.ABANDONED


async def test_nothing_is_ever_guessed_when_the_provider_cannot_say(house, monkeypatch):
    payment = await house.new()
    house.gateway.lose_next_answer()
    await house.engine.confirm_payment(payment.id, payment_method="dummy_ok")

    async def silent(reference):
        raise ProviderUnknown("no answer")

    with monkeypatch.context() as broken:
        broken.setattr(house.engine.provider("dummy"), "sync_payment_status", silent)
        await house.settle(steps=20, hours=6)
        (unknown,) = await house.engine.list_unknown()
        assert unknown.state is OperationState.UNKNOWN
        assert unknown.resolution == "no answer"
    await house.settle(steps=2, hours=6)
    assert await house.engine.list_unknown() == []
    assert (await house.row(payment.id)).status is PaymentStatus.SUCCEEDED


async def test_a_sender_that_was_frozen_longer_than_its_lease_sends_nothing(house, monkeypatch):
    payment = await house.new()
    requests = len(house.gateway.requests)
    reserve = house.engine.reserve

    async def frozen(operation_id, work):
        reserved, leased_at = await reserve(operation_id, work)
        return reserved, leased_at - 60.0

    monkeypatch.setattr(house.engine, "reserve", frozen)
    answer = await house.engine.confirm_payment(payment.id, payment_method="dummy_ok")
    assert answer.unknown_operation_id
    assert len(house.gateway.requests) == requests


def test_verdicts_follow_the_clock_and_the_verb(house):
    operation = replace(_operation(house), created_at=house.clock())
    provider = house.engine.provider("dummy")

    def after(**by: float) -> str:
        return reconcile.verdict(operation, provider, operation.created_at + timedelta(**by))

    assert after(seconds=60) == "wait"
    assert after(minutes=10) == "repeat"
    assert after(hours=22) == "repeat"
    assert after(hours=24) == "abandon"
    operation = replace(operation, verb="confirm_payment")
    assert after(minutes=10) == "abandon"


def _operation(house):
    from bridge_payments.models import Operation, Verb

    return Operation(
        id="op_1",
        subject_id="pay_1",
        provider_id="dummy",
        verb=Verb.REFUND,
        state=OperationState.UNKNOWN,
        reference="r" * 20,
        created_at=house.clock(),
        updated_at=house.clock(),
    )


# --- webhooks, in any order, or not at all ----------------------------------------------------------


async def test_a_webhook_is_written_once_and_read_again_at_the_provider(house):
    payment = await house.new()
    house.gateway.post("confirm", {"intent": payment.provider_intent_id, "method": "dummy_ok"}, key="browser")
    event = house.gateway.events[-1]
    first = await house.engine.receive_webhook("dummy", delivery(event))
    second = await house.engine.receive_webhook("dummy", delivery(event))
    assert (first.duplicate, second.duplicate) == (False, True)
    assert first.entry_id == second.entry_id
    await house.engine.process_inbox()
    assert (await house.row(payment.id)).status is PaymentStatus.SUCCEEDED
    assert await house.told(payment.id) == ["payment.created", "payment.success"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0,)])
async def test_a_decline_and_then_a_success_end_in_success_whatever_arrives(house, order):
    payment = await house.new()
    intent = payment.provider_intent_id
    with pytest.raises(PaymentDeclined):
        await house.engine.confirm_payment(payment.id, payment_method="dummy_declined")
    declined = house.gateway.events[-1]
    house.gateway.post("confirm", {"intent": intent, "method": "dummy_ok"}, key="browser")
    events = [declined, house.gateway.events[-1]]
    for index in order:
        await house.engine.receive_webhook("dummy", delivery(events[index]))
        await house.engine.process_inbox()
    row = await house.row(payment.id)
    assert row.status is PaymentStatus.SUCCEEDED
    assert row.decline_code is None
    told = await house.told(payment.id)
    assert (told.count("payment.failed"), told.count("payment.success")) == (1, 1)


async def test_a_payment_that_looks_canceled_here_and_was_paid_there_is_paid(house):
    payment = await house.new()
    house.gateway.post("confirm", {"intent": payment.provider_intent_id, "method": "dummy_ok"}, key="browser")
    row = await house.row(payment.id)
    canceled = replace(row, status=PaymentStatus.CANCELED, next_sync_at=None)
    await house.store.run(lambda unit: unit.payments.save(canceled, expected_version=row.version))
    await house.engine.receive_webhook("dummy", delivery(house.gateway.events[-1]))
    await house.engine.process_inbox()
    assert (await house.row(payment.id)).status is PaymentStatus.SUCCEEDED
    assert (await house.told(payment.id)).count("payment.success") == 1


async def test_a_cancel_that_lost_against_the_browser_answers_with_the_true_state(house):
    payment = await house.new()
    house.gateway.post("confirm", {"intent": payment.provider_intent_id, "method": "dummy_ok"}, key="browser")
    answer = await house.engine.cancel_payment(payment.id)
    assert answer.status is PaymentStatus.SUCCEEDED
    assert (await house.row(payment.id)).paid_at is not None


async def test_without_webhooks_and_without_our_confirm_the_sweep_finds_the_payment(house):
    payment = await house.new()
    house.gateway.post("confirm", {"intent": payment.provider_intent_id, "method": "dummy_ok"}, key="browser")
    assert await house.engine.sweep() == 0
    house.move(minutes=3)
    assert await house.engine.sweep() == 1
    assert (await house.row(payment.id)).status is PaymentStatus.SUCCEEDED
    house.move(days=30)
    assert await house.engine.sweep() == 0


async def test_the_sweep_looks_less_and_less_often_and_never_stops(house):
    payment = await house.new()
    looks = []
    start = house.clock()
    for _ in range(24 * 60):
        house.move(minutes=4)
        if await house.engine.sweep():
            looks.append((house.clock() - start) / timedelta(hours=1))
    gaps = [round(after - before, 1) for before, after in itertools.pairwise(looks)]
    assert gaps[:3] == [0.3, 1.1, 6.1] or gaps[:3] == [0.3, 1.0, 6.0]
    assert gaps[-1] == pytest.approx(24, abs=0.2)
    assert (await house.row(payment.id)).next_sync_at is not None


async def test_a_polling_browser_does_not_push_the_sweep_away(house):
    payment = await house.new()
    due = (await house.row(payment.id)).next_sync_at
    for _ in range(10):
        await house.engine.sync_payment(payment.id)
    assert (await house.row(payment.id)).next_sync_at == due


async def test_an_event_of_an_object_that_is_not_ours_is_parked_and_then_ignored(house):
    payment = await house.new()
    event = {**house.gateway.events[-1], "id": "de_foreign"}
    event["intent"] = {**event["intent"], "id": "di_other", "metadata": {}}
    await house.engine.receive_webhook("dummy", delivery(event))
    await house.engine.process_inbox()
    (entry,) = await house.engine.list_inbox()
    assert entry.state == "parked"
    house.move(minutes=20)
    await house.engine.process_inbox()
    assert (await house.engine.list_inbox())[0].state == "ignored"
    assert (await house.row(payment.id)).status is PaymentStatus.PENDING


@pytest.mark.parametrize("change", [{"amount": 1999}, {"currency": "EUR"}])
async def test_another_amount_or_currency_than_asked_is_never_a_success(house, change):
    payment = await house.new()
    house.gateway.intents[payment.provider_intent_id].update(change)
    answer = await house.engine.confirm_payment(payment.id, payment_method="dummy_ok")
    row = await house.row(payment.id)
    assert answer.status is PaymentStatus.PROCESSING
    assert (row.status, row.flag, row.captured_cents) == (PaymentStatus.PROCESSING, PaymentFlag.MISMATCH, 0)
    assert "payment.success" not in await house.told(payment.id)
    assert (await house.told(payment.id)).count("payment.mismatch") == 1


async def test_a_status_that_nobody_knows_changes_nothing_and_is_flagged(house):
    payment = await house.new()
    house.gateway.intents[payment.provider_intent_id]["state"] = "dancing"
    await house.engine.sync_payment(payment.id)
    row = await house.row(payment.id)
    assert (row.status, row.flag) == (PaymentStatus.PENDING, PaymentFlag.UNRECOGNISED)
    house.gateway.intents[payment.provider_intent_id]["state"] = "paid"


# --- races -----------------------------------------------------------------------------------------


async def test_fifty_confirms_at_once_are_one_charge_even_at_a_gateway_without_keys(house):
    house.gateway.charge_every_request = True
    payment = await house.new()
    answers = await asyncio.gather(
        *(house.engine.confirm_payment(payment.id, payment_method="dummy_ok") for _ in range(50)),
        return_exceptions=True,
    )
    assert all(not isinstance(a, Exception) or isinstance(a, OperationInProgress) for a in answers)
    assert len(house.gateway.charges) == 1


async def test_fifty_refunds_of_thirty_percent_are_three(house):
    paid = await house.paid(1000)

    async def insist() -> bool:
        while True:
            try:
                await house.engine.refund_payment(paid.id, amount_cents=300)
            except OperationInProgress:
                await asyncio.sleep(0)
            except InvalidRequest:
                return False
            else:
                return True

    done = await asyncio.gather(*(insist() for _ in range(50)))
    assert sum(done) == 3
    assert sum(refund["amount"] for refund in house.gateway.refunds.values()) == 900
    assert (await house.row(paid.id)).refund_reserved_cents == 900


async def test_a_sync_between_our_call_and_our_record_loses_nothing(house, monkeypatch):
    payment = await house.new()
    record = house.engine.record

    async def late(reserved, answer):
        await house.engine.refresh(payment.id)
        return await record(reserved, answer)

    monkeypatch.setattr(house.engine, "record", late)
    paid = await house.engine.confirm_payment(payment.id, payment_method="dummy_ok")
    assert paid.status is PaymentStatus.SUCCEEDED
    assert await house.told(payment.id) == ["payment.created", "payment.success"]
    assert all(not operation.is_open for operation in await house.operations(payment.id))


async def test_a_sync_between_a_refund_and_its_record_counts_it_once(house, monkeypatch):
    paid = await house.paid(1000)
    record = house.engine.record

    async def late(reserved, answer):
        await house.engine.refresh(paid.id)
        return await record(reserved, answer)

    monkeypatch.setattr(house.engine, "record", late)
    refund = await house.engine.refund_payment(paid.id, amount_cents=400)
    assert refund.status is RefundStatus.SUCCEEDED
    row = await house.row(paid.id)
    assert (row.refunded_cents, row.refund_reserved_cents) == (400, 400)
    assert len(await house.refunds(paid.id)) == 1
    assert (await house.told(paid.id)).count("refund.succeeded") == 1


async def test_a_caller_that_goes_away_does_not_take_the_answer_with_it(house):
    payment = await house.new()
    task = asyncio.ensure_future(house.engine.confirm_payment(payment.id, payment_method="dummy_ok"))
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await house.engine.drain(within=5)
    await house.settle()
    assert (await house.row(payment.id)).status in (PaymentStatus.SUCCEEDED, PaymentStatus.PENDING)
    assert len(house.gateway.charges) == (await house.row(payment.id)).captured_cents // 2000


# --- client secrets --------------------------------------------------------------------------------


async def test_no_row_holds_a_client_secret_after_twenty_five_hours(house, anybody):
    payments = [await house.new(principal=anybody, guest=house.guest) for _ in range(3)]
    await house.engine.confirm_payment(payments[1].id, payment_method="dummy_challenge", principal=anybody)
    house.gateway.lose_next_answer()
    await house.engine.confirm_payment(payments[2].id, payment_method="dummy_ok", principal=anybody)
    for event in house.gateway.events:
        await house.engine.receive_webhook("dummy", delivery(event))
    secrets = [payment.client_secret for payment in payments]
    text = await house.everything()
    assert secrets[0] not in text, "reprs never show it"

    for _ in range(25 * 6):
        house.move(minutes=10)
        await house.engine.process_inbox()
        await house.engine.reconcile()
        await house.engine.clean_client_secrets()

    for payment in payments:
        assert (await house.row(payment.id)).client_secret is None
    for entry in await house.engine.list_inbox():
        assert all(secret not in entry.payload for secret in secrets)


async def test_an_expired_secret_is_gone_before_any_job_ran(house):
    owner = Principal.user("u1")
    payment = await house.new(principal=owner)
    house.move(hours=24, seconds=1)
    assert (await house.engine.get_payment(payment.id, principal=owner)).client_secret is None


async def test_expiry_may_cancel_the_unpaid_intent(build):
    house = build(settings={"client_secret_expire": "cancel"})
    payment = await house.new()
    house.move(hours=24, minutes=1)
    assert await house.engine.clean_client_secrets() >= 0
    assert (await house.row(payment.id)).status is PaymentStatus.CANCELED
    assert (await house.row(payment.id)).client_secret is None


async def test_an_account_that_left_the_settings_keeps_nobodys_secret_alive(house):
    gone = await house.new()
    house.move(seconds=1)
    stays = await house.new()
    await house.store.run(
        lambda unit: unit.payments.save(replace(gone, provider_id="gone"), expected_version=gone.version)
    )
    for hours in (24, 1):
        house.move(hours=hours, minutes=1)
        await house.engine.clean_client_secrets()
        assert (await house.row(stays.id)).client_secret is None
    assert (await house.row(gone.id)).client_secret is None


@pytest.mark.parametrize("broken", ["find_operation", "sync_payment_status"])
async def test_an_adapter_that_fails_in_its_own_code_keeps_no_other_payment_waiting(
    house, monkeypatch, broken
):
    payments = [await house.new() for _ in range(2)]
    for payment in payments:
        house.gateway.lose_next_answer()
        await house.engine.confirm_payment(payment.id, payment_method="dummy_ok")
    provider = house.engine.provider("dummy")
    honest = getattr(provider, broken)

    async def fails_for_the_first(asked):
        if payments[0].provider_intent_id in (asked, getattr(asked, "payment", None)):
            raise KeyError("a field that the author did not expect to be missing")
        return await honest(asked)

    monkeypatch.setattr(provider, broken, fails_for_the_first)
    house.move(minutes=3)
    await house.engine.reconcile()
    await house.engine.sweep()
    assert (await house.row(payments[1].id)).status is PaymentStatus.SUCCEEDED
    if broken == "sync_payment_status":
        with pytest.raises(Unavailable):
            await house.engine.sync_payment(payments[0].id)
    monkeypatch.undo()
    await house.settle()
    assert (await house.row(payments[0].id)).status is PaymentStatus.SUCCEEDED
    assert len(house.gateway.charges) == 2


async def test_the_payment_is_read_before_its_secret_is_forgotten(house):
    payment = await house.new()
    house.gateway.post("confirm", {"intent": payment.provider_intent_id, "method": "dummy_ok"}, key="browser")
    house.move(hours=24, minutes=1)
    await house.engine.clean_client_secrets()
    assert (await house.row(payment.id)).status is PaymentStatus.SUCCEEDED


async def test_a_decline_that_a_webhook_told_first_still_ends_the_operation_that_lost_its_answer(house):
    payment = await house.new()
    house.gateway.fail_next("lost_answer")
    await house.engine.confirm_payment(payment.id, payment_method="dummy_declined", idempotency_key="k")
    await house.engine.receive_webhook("dummy", delivery(house.gateway.events[-1]))
    await house.engine.process_inbox()
    assert (await house.row(payment.id)).decline_code == "declined"
    await house.settle(steps=1)
    (_, confirm) = await house.operations(payment.id)
    assert (confirm.state, confirm.decline_code) == (OperationState.REJECTED, "declined")
    assert (await house.told(payment.id)).count("payment.failed") == 1


async def test_a_key_hears_of_the_success_that_a_sync_saw_before_reconciliation(house):
    payment = await house.new()
    house.gateway.lose_next_answer()
    await house.engine.confirm_payment(payment.id, payment_method="dummy_ok", idempotency_key="k")
    await house.engine.sync_payment(payment.id)
    again = await house.engine.confirm_payment(payment.id, payment_method="dummy_ok", idempotency_key="k")
    assert (again.status, again.unknown_operation_id) == (PaymentStatus.SUCCEEDED, None)
    assert len(house.gateway.charges) == 1


async def test_a_replay_reads_the_operation_before_the_payment(house, monkeypatch):
    """Read the other way round, an operation that ends in between comes with the payment as it was before."""
    payment = await house.new()
    await house.engine.confirm_payment(payment.id, payment_method="dummy_ok", idempotency_key="k")
    order: list[str] = []
    replayed = house.engine.replayed

    def watched(unit, record):
        class Spy:
            def __init__(self, noun):
                self.noun = noun

            def get(self, key):
                order.append(self.noun)
                return getattr(unit, self.noun).get(key)

        spied = SimpleNamespace(operations=Spy("operations"), payments=Spy("payments"), refunds=unit.refunds)
        return replayed(spied, record)

    monkeypatch.setattr(house.engine, "replayed", watched)
    await house.engine.confirm_payment(payment.id, payment_method="dummy_ok", idempotency_key="k")
    assert order == ["operations", "payments"]
