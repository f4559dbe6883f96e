"""An operator says what became of an operation: heard where the provider cannot say, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge_payments.errors import (
    AccessDenied,
    Conflict,
    Contradicted,
    InvalidRequest,
    NotFound,
    OperationInProgress,
    Unavailable,
)
from bridge_payments.models import (
    Claim,
    Money,
    OperationState,
    PaymentStatus,
    Principal,
    RefundStatus,
    Verb,
)
from bridge_payments.providers.base import CannotSay

pytestmark = pytest.mark.anyio

ROOT = Principal.admin("root")
WORDS = "support says so, case 42"


@pytest.fixture
def silent(house, monkeypatch):
    """The provider has no look-up: its lists are switched off."""

    async def cannot_say(evidence):
        return CannotSay("the lists are switched off")

    provider = house.engine.provider("dummy")
    monkeypatch.setattr(provider, "find_operation", cannot_say)
    return house


async def lost_confirm(house, fault="lost_answer", **more):
    payment = await house.new(**more)
    house.gateway.fail_next(fault)
    unsure = await house.engine.confirm_payment(payment.id, payment_method="dummy_ok", idempotency_key="k")
    assert unsure.unknown_operation_id
    return payment, unsure.unknown_operation_id


async def resolve(house, operation_id, outcome, reference=None, evidence=WORDS, principal=ROOT):
    return await house.engine.resolve_operation(
        operation_id, outcome=outcome, reference=reference, evidence=evidence, principal=principal
    )


async def test_what_was_executed_is_read_at_the_provider_and_recorded_once(silent):
    payment, operation_id = await lost_confirm(silent)
    await silent.settle()
    [held] = await silent.engine.list_unknown()
    assert held.id == operation_id, "nobody could say"
    intent = (await silent.row(payment.id)).provider_intent_id
    ended = await resolve(silent, operation_id, "executed", intent)
    assert (ended.state, ended.is_open) == (OperationState.SUCCEEDED, False)
    row = await silent.row(payment.id)
    assert (row.status, row.captured_cents) == (PaymentStatus.SUCCEEDED, 2000)
    assert (await silent.told(payment.id)).count("payment.success") == 1
    [said] = ended.statements
    assert (said.by, said.outcome, said.evidence, said.reference) == ("admin:root", "executed", WORDS, intent)
    assert held.created_at < said.at <= silent.clock()
    assert said.came_of.startswith("believed")
    assert await silent.engine.list_unknown() == []
    assert len(silent.gateway.charges) == 1


async def test_what_was_not_executed_is_given_up_and_never_sent_again(silent):
    payment, operation_id = await lost_confirm(silent, "broken_before")
    silent.move(minutes=5)
    ended = await resolve(silent, operation_id, Claim.NOT_EXECUTED)
    assert ended.state is OperationState.ABANDONED
    assert "admin:root says so" in ended.resolution
    assert "the lists are switched off" in ended.resolution
    sent = len(silent.gateway.requests)
    await silent.settle()
    assert len(silent.gateway.requests) == sent
    # The payer comes again under the same key: that is a new instruction.
    again = await silent.engine.confirm_payment(payment.id, payment_method="dummy_ok", idempotency_key="k")
    assert again.status is PaymentStatus.SUCCEEDED
    assert len(silent.gateway.charges) == 1


async def test_the_provider_is_asked_first_and_believed(house):
    payment, operation_id = await lost_confirm(house)
    house.move(minutes=5)
    with pytest.raises(Contradicted) as refused:
        await resolve(house, operation_id, "not_executed")
    assert refused.value.details == {"state": "succeeded"}
    assert (await house.row(payment.id)).status is PaymentStatus.SUCCEEDED
    [confirm] = [each for each in await house.operations(payment.id) if each.verb is Verb.CONFIRM]
    assert confirm.state is OperationState.SUCCEEDED
    assert confirm.statements[0].came_of == "the provider was asked, and said itself"


async def test_nothing_is_called_absent_while_it_may_be_under_way(silent):
    payment, operation_id = await lost_confirm(silent, "broken_before")
    silent.move(seconds=61)
    with pytest.raises(OperationInProgress, match="under way until"):
        await resolve(silent, operation_id, "not_executed")
    [confirm] = [each for each in await silent.operations(payment.id) if each.verb is Verb.CONFIRM]
    assert confirm.is_open
    assert confirm.statements[0].came_of.startswith("not believed: ")
    silent.move(minutes=2)
    ended = await resolve(silent, operation_id, "not_executed")
    assert [said.came_of.split(":")[0] for said in ended.statements] == ["not believed", "believed"]


async def test_what_was_sent_again_a_moment_ago_may_be_under_way(house):
    payment = await house.paid()
    house.gateway.fail_next("broken_before")
    refund = await house.engine.refund_payment(payment.id, amount_cents=500)
    house.move(minutes=30)
    house.gateway.fail_next("broken_before")
    await house.engine.reconcile()  # repeats it under its key, and hears nothing
    house.move(seconds=61)
    with pytest.raises(OperationInProgress):
        await resolve(house, refund.operation_id, "not_executed")
    house.move(minutes=3)
    ended = await resolve(house, refund.operation_id, "not_executed")
    assert ended.state is OperationState.ABANDONED
    row = await house.row(payment.id)
    assert row.refund_reserved_cents == 0
    again = await house.engine.refund_payment(payment.id, amount_cents=2000)
    assert again.status is RefundStatus.SUCCEEDED
    assert sum(each["amount"] for each in house.gateway.refunds.values()) == 2000


async def test_a_reference_of_something_else_is_not_believed(silent):
    payment, operation_id = await lost_confirm(silent, "broken_before")
    other = await silent.paid()
    intent = (await silent.row(payment.id)).provider_intent_id
    for reference, why in [
        (other.provider_intent_id, f"it belongs to payment {other.id}"),
        ("in_nothing", "does not name it"),
        (intent, "the payment is pending, not paid"),
    ]:
        with pytest.raises(Contradicted, match=why):
            await resolve(silent, operation_id, "executed", reference)
    assert (await silent.row(payment.id)).status is PaymentStatus.PENDING
    [held] = await silent.engine.list_unknown()
    assert len(held.statements) == 3


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"amount": Money(2001, "USD")}, "amount is"),
        ({"amount": Money(2000, "EUR")}, "currency is EUR"),
        ({"our_reference": "another"}, "another reference"),
        ({"livemode": True}, "livemode is True"),
    ],
)
async def test_another_amount_currency_reference_or_mode_is_not_believed(silent, monkeypatch, change, why):
    payment, operation_id = await lost_confirm(silent)
    provider = silent.engine.provider("dummy")
    read = provider.sync_payment_status

    async def otherwise(reference):
        return replace(await read(reference), **change)

    monkeypatch.setattr(provider, "sync_payment_status", otherwise)
    intent = (await silent.row(payment.id)).provider_intent_id
    with pytest.raises(Contradicted, match=why):
        await resolve(silent, operation_id, "executed", intent)
    row = await silent.row(payment.id)
    assert (row.status, row.flag, row.captured_cents) == (PaymentStatus.PENDING, None, 0)


async def test_a_create_is_adopted_only_by_what_carries_our_reference(silent):
    silent.gateway.lose_next_answer()
    with pytest.raises(Unavailable):
        await silent.new()
    [lost] = await silent.engine.list_unknown()
    stranger = silent.gateway.post(
        "intents", {"amount": 2000, "currency": "USD", "metadata": {}}, key="elsewhere"
    )
    with pytest.raises(Contradicted, match="our reference"):
        await resolve(silent, lost.id, "executed", stranger["id"])
    [ours] = [each["id"] for each in silent.gateway.intents.values() if each["id"] != stranger["id"]]
    ended = await resolve(silent, lost.id, "executed", ours)
    assert ended.state is OperationState.SUCCEEDED
    assert (await silent.row(lost.subject_id)).provider_intent_id == ours


async def test_a_refund_is_named_by_its_own_reference_and_amount(silent):
    payment = await silent.paid()
    before = await silent.engine.refund_payment(payment.id, amount_cents=500)
    silent.gateway.lose_next_answer()
    refund = await silent.engine.refund_payment(payment.id, amount_cents=700)
    mine = next(reference for reference in silent.gateway.refunds if reference != before.provider_refund_id)
    for reference in (before.provider_refund_id, payment.provider_intent_id):
        with pytest.raises(Contradicted):
            await resolve(silent, refund.operation_id, "executed", reference)
    ended = await resolve(silent, refund.operation_id, "executed", mine)
    assert ended.state is OperationState.SUCCEEDED
    rows = {row.id: row for row in await silent.refunds(payment.id)}
    assert len(rows) == 2
    assert (rows[refund.id].status, rows[refund.id].provider_refund_id) == (RefundStatus.SUCCEEDED, mine)
    assert (await silent.row(payment.id)).refunded_cents == 1200


@pytest.mark.parametrize("verb", ["capture", "cancel"])
async def test_a_capture_or_a_release_is_believed_when_the_payment_shows_it(silent, verb):
    payment = await silent.new(capture_method="manual")
    held = await silent.engine.confirm_payment(payment.id, payment_method="dummy_ok")
    ask = {
        "capture": lambda: silent.engine.capture_payment(payment.id, amount_cents=1500),
        "cancel": lambda: silent.engine.cancel_payment(payment.id),
    }[verb]
    silent.gateway.fail_next("broken_before")
    await ask()
    [lost] = await silent.engine.list_unknown()
    with pytest.raises(Contradicted):
        await resolve(silent, lost.id, "executed", held.provider_intent_id)
    path, body = {
        "capture": ("capture", {"intent": held.provider_intent_id, "amount": 1500}),
        "cancel": ("cancel", {"intent": held.provider_intent_id}),
    }[verb]
    silent.gateway.post(path, body, key="from the dashboard")
    ended = await resolve(silent, lost.id, "executed", held.provider_intent_id)
    assert ended.state is OperationState.SUCCEEDED
    expected = {"capture": PaymentStatus.SUCCEEDED, "cancel": PaymentStatus.CANCELED}[verb]
    assert (await silent.row(payment.id)).status is expected


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"outcome": "maybe"}, "outcome"),
        ({"outcome": "executed"}, "reference"),
        ({"outcome": "executed", "reference": "in 1"}, "reference"),
        ({"outcome": "not_executed", "reference": "in_1"}, "reference"),
        ({"outcome": "not_executed", "evidence": "  "}, "evidence"),
        ({"outcome": "not_executed", "evidence": "x" * 2001}, "evidence"),
        ({"outcome": "not_executed", "evidence": "card 4242 4242 4242 4242"}, "evidence"),
    ],
)
async def test_what_cannot_be_read_is_refused_and_nothing_is_written(silent, said, field):
    _, operation_id = await lost_confirm(silent)
    before = await silent.everything()
    with pytest.raises(InvalidRequest) as refused:
        await resolve(silent, operation_id, **said)
    assert refused.value.field == field
    assert await silent.everything() == before


async def test_only_the_merchant_is_heard_and_only_while_it_is_open(silent):
    _, operation_id = await lost_confirm(silent, "broken_before")
    for stranger in (Principal.user("ada"), Principal.anonymous(), Principal.guest("ada@example.com")):
        with pytest.raises(AccessDenied):
            await resolve(silent, operation_id, "not_executed", principal=stranger)
    with pytest.raises(NotFound):
        await resolve(silent, "op_nothing", "not_executed")
    silent.move(minutes=5)
    await resolve(silent, operation_id, "not_executed")
    with pytest.raises(Conflict, match="abandoned already"):
        await resolve(silent, operation_id, "not_executed")


async def test_what_is_kept_holds_no_secret(silent):
    _, operation_id = await lost_confirm(silent, "broken_before")
    silent.move(minutes=5)
    ended = await resolve(silent, operation_id, "not_executed", evidence="client_secret=in_1_secret_abcdef")
    assert "in_1_secret_abcdef" not in ended.statements[0].evidence


async def test_a_customer_has_nothing_to_be_named_and_can_be_given_up(silent):
    silent.gateway.fail_next("broken_before")
    with pytest.raises(Unavailable):
        await silent.engine.create_customer(principal=Principal.user("ada"), email="ada@example.com")
    [lost] = await silent.engine.list_unknown()
    with pytest.raises(InvalidRequest, match="not_executed"):
        await resolve(silent, lost.id, "executed", "cus_1")
    silent.move(minutes=5)
    assert (await resolve(silent, lost.id, "not_executed")).state is OperationState.ABANDONED


async def test_the_age_of_the_oldest_unknown_is_told(silent):
    assert await silent.engine.count_unknown() == []
    payment, _ = await lost_confirm(silent)
    began = (await silent.operations(payment.id))[-1].created_at
    silent.move(hours=2)
    payment = await silent.new()
    silent.gateway.lose_next_answer()
    await silent.engine.confirm_payment(payment.id, payment_method="dummy_ok")
    [counted] = await silent.engine.count_unknown()
    assert (counted.provider_id, counted.state, counted.count) == ("dummy", OperationState.UNKNOWN, 2)
    assert counted.oldest == began


@pytest.mark.parametrize(
    "who", [Principal.user("ada"), Principal.guest("ada@example.com"), Principal.anonymous()]
)
async def test_what_is_about_the_whole_installation_is_nobody_elses(house, who):
    """These took the principal and looked at nobody."""
    _, operation_id = await lost_confirm(house)
    engine = house.engine
    for asked in (
        engine.list_unknown(principal=who),
        engine.count_unknown(principal=who),
        engine.look_up_operation(operation_id, principal=who),
        engine.replay_webhook("wh_1", principal=who),
    ):
        with pytest.raises(AccessDenied):
            await asked
    assert [each.id for each in await engine.list_unknown(principal=ROOT)] == [operation_id]
