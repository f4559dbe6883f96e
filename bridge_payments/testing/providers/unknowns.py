"""What a provider makes of the lack of an answer: nothing is charged twice, nothing is guessed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import pytest

from ...errors import (
    PaymentDeclined,
    ProviderError,
    ProviderUnknown,
    Unavailable,
)
from ...models import PAYMENT_VERBS, OperationState, Payment, PaymentStatus, Refund, Verb
from ...providers.base import (
    Absent,
    CannotSay,
    Capability,
    Evidence,
)
from .desk import Desk, reference_of
from .gateway import Instruction, NotChecked
from .promises import Promises, on_a_desk

__all__ = ["EVERY_VERB", "UnknownPromises", "check_effect"]

EVERY_VERB = pytest.mark.parametrize("verb", PAYMENT_VERBS, ids=[verb.name.lower() for verb in PAYMENT_VERBS])


class UnknownPromises(Promises):
    @EVERY_VERB
    @on_a_desk
    async def test_a_lost_answer_is_unknown_and_then_found_and_made_once(
        self, desk: Desk, verb: Verb
    ) -> None:
        payment, ask = await desk.prepare(verb)
        before = len(desk.gateway.requests())
        desk.gateway.lose_next_answer()
        answer = await _unheard(ask)
        desk.was_asked(before)
        payment_id = payment.id if payment else (await desk.engine.list_unknown())[0].subject_id
        if answer is not None:
            assert answer.status in (PaymentStatus.PROCESSING, "pending"), "a lost answer was taken for one"
        [lost] = [each for each in await desk.operations(payment_id) if each.is_open]
        sent = desk.wire.sent
        found = await desk.provider.find_operation(await desk.evidence(lost))
        asked = desk.wire.sent > sent or not desk.gateway.url
        assert not (asked and isinstance(found, Absent)), f"it was executed, and {found} was read of it"
        known = await desk.until_known(payment_id)
        await check_effect(desk, verb, known)

    @EVERY_VERB
    @on_a_desk
    async def test_a_worker_that_dies_while_it_asks_leaves_unknown_and_not_failed(
        self, desk: Desk, verb: Verb
    ) -> None:
        payment, ask = await desk.prepare(verb)
        before = len(desk.gateway.requests())
        desk.gateway.hang_next()

        async def die_while_asking() -> None:
            asked = asyncio.ensure_future(ask())
            try:
                await desk.arrived(before, asked)
            finally:
                dying = asyncio.all_tasks() - {asyncio.current_task()}
                for task in dying:
                    task.cancel()
                await asyncio.gather(asked, *dying, return_exceptions=True)
                await desk.wire.aclose()

        # In a loop of its own, which ends as a process does: whatever was under way is cut off.
        await asyncio.to_thread(asyncio.run, die_while_asking())
        [operation] = await desk.engine.list_unknown()
        left = await desk.row(operation.subject_id)
        assert left.status is not PaymentStatus.FAILED, "the payment failed because its worker died"
        assert payment is None or left.status is payment.status
        known = await desk.until_known(left.id)
        await check_effect(desk, verb, known)

    @EVERY_VERB
    @on_a_desk
    async def test_a_repeat_has_the_same_key_and_the_same_body_and_moves_nothing_more(
        self, desk: Desk, verb: Verb
    ) -> None:
        if not desk.provider.keys.has_keys:
            raise NotChecked(f"{desk.kind} has no idempotency keys, so the engine never repeats a call")
        _, ask = await desk.prepare_call(verb)
        step = desk.step()
        before = len(desk.gateway.requests())
        desk.gateway.lose_next_answer()
        try:
            await ask(step)
        except ProviderUnknown:
            first = desk.gateway.requests()[before:]
        else:
            desk.was_asked(before)
            pytest.fail("a lost answer was taken for one")
        moved = desk.gateway.charges(), desk.gateway.refunds()
        with suppress(ProviderUnknown):  # who reads before it asks may find that there is nothing to ask
            await ask(desk.step(key=step.key, reference=step.reference, repeat=True))
        repeated = desk.gateway.requests()[before + len(first) :]
        if not any(each.key for each in first):
            raise NotChecked(f"the {verb} of {desk.kind} carries no key")
        assert _said(repeated) in (_said(first), [])
        assert (desk.gateway.charges(), desk.gateway.refunds()) == moved, "a repeat moved money"

    @on_a_desk
    async def test_two_instructions_never_share_a_key(self, desk: Desk) -> None:
        payment = await desk.refundable()
        await desk.paid()
        if desk.can(Verb.REFUND):
            await desk.engine.refund_payment(payment.id, amount_cents=desk.share.minor_units)
            if desk.share.minor_units * 2 <= payment.captured_cents:
                await desk.engine.refund_payment(payment.id, amount_cents=desk.share.minor_units)
                assert [moved.amount for moved in desk.gateway.refunds()] == [desk.share, desk.share]
        keys = [each.key for each in desk.gateway.requests() if each.key is not None]
        assert len(keys) == len(set(keys)), "one key came with two instructions"

    @EVERY_VERB
    @on_a_desk
    async def test_what_was_never_asked_is_not_found(self, desk: Desk, verb: Verb) -> None:
        desk.need(verb)
        payment = None if verb is Verb.CREATE else (await desk.prepare(verb))[0]
        if payment is not None and verb is Verb.REFUND and desk.can(Capability.PARTIAL_REFUND):
            await desk.engine.refund_payment(payment.id, amount_cents=desk.share.minor_units)  # another one
        row = await desk.row((payment or await desk.paid()).id)  # another's payment is there, ours is not
        step = desk.step()
        found = await desk.provider.find_operation(
            Evidence(
                verb=verb,
                reference=step.reference,
                key=step.key,
                payment_id=row.id if payment else "pay_never",
                payment=reference_of(payment) if payment else None,
                amount=desk.updated if verb is Verb.UPDATE else desk.amount,
                refund_id="ref_never" if verb is Verb.REFUND else None,
                started_at=desk.clock(),
                known=await desk.known(row) if payment else None,
                baseline={
                    "status": row.status.value,
                    "decline_reference": row.decline_reference,
                    "captured_cents": row.captured_cents,
                    "total_cents": row.total_cents,
                },
            )
        )
        assert isinstance(found, Absent | CannotSay), f"found a {verb} that nobody asked for"
        assert found.proof if isinstance(found, Absent) else found.reason, "says it without a word of proof"

    @on_a_desk
    async def test_a_look_up_that_cannot_be_made_proves_nothing(self, desk: Desk) -> None:
        payment = await desk.paid()
        if not desk.wire.sent:
            raise NotChecked(f"{desk.kind} does not send through the transport that it was given")
        desk.wire.cut()
        for verb, reference in ((Verb.CREATE, None), (Verb.CONFIRM, reference_of(payment))):
            step = desk.step()
            lost = Evidence(
                verb=verb,
                reference=step.reference,
                key=step.key,
                payment_id=payment.id,
                payment=reference,
                amount=desk.amount,
                started_at=desk.clock(),
                baseline={"status": "pending", "decline_reference": None, "captured_cents": 0},
                known=await desk.known(payment) if reference else None,
            )
            before = desk.wire.sent
            with suppress(ProviderError):
                found = await desk.provider.find_operation(lost)
                asked = desk.wire.sent > before
                assert isinstance(found, CannotSay) or not asked, f"{found} was said without an answer"


async def check_effect(desk: Desk, verb: Verb, row: Payment) -> None:
    """What one execution of *verb* leaves at the gateway and in the row: not less, and not more."""
    [operation] = [each for each in await desk.operations(row.id) if each.verb is verb]
    if operation.state is OperationState.ABANDONED:
        pytest.fail(f"a {verb} that was executed was given up as never executed: {operation.resolution}")
    assert operation.state is OperationState.SUCCEEDED
    charged = [moved.amount for moved in desk.gateway.charges()]
    truth = await desk.truth(row)
    match verb:
        case Verb.CREATE:
            assert charged == ([desk.amount] if desk.at_once else [])
            assert truth.amount == desk.amount
        case Verb.UPDATE:
            assert charged == []
            assert (truth.amount, row.total) == (desk.updated, desk.updated)
        case Verb.CONFIRM | Verb.CAPTURE:
            assert charged == [desk.amount], "a lost answer was charged twice, or not at all"
            assert row.status is PaymentStatus.SUCCEEDED
            assert row.captured_cents == desk.amount.minor_units
        case Verb.CANCEL:
            assert charged == []
            assert (truth.status, row.status) == (PaymentStatus.CANCELED, PaymentStatus.CANCELED)
        case Verb.REFUND:
            assert charged == [desk.amount]
            assert [moved.amount for moved in desk.gateway.refunds()] == [desk.share]
            assert row.refunded_cents == desk.share.minor_units


async def _unheard(ask: Callable[[], Awaitable[Payment | Refund]]) -> Payment | Refund | None:
    try:
        return await ask()
    except Unavailable:
        return None  # a create that would not have charged says "try again"
    except (ProviderError, PaymentDeclined) as error:
        pytest.fail(f"a lost answer came back as {type(error).__name__}: {error}")


def _said(instructions: Sequence[Instruction]) -> list[tuple[str, str | None, str]]:
    return [(each.what, each.key, each.body) for each in instructions]
