"""What a provider makes of an answer: a definite no, what only looks like one, and what is read."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from ...errors import (
    InvalidRequest,
    PaymentDeclined,
    ProviderDeclined,
    ProviderNeverSent,
    ProviderNotFound,
    ProviderUnknown,
)
from ...models import PaymentStatus, Verb
from ...providers.base import (
    DECLINE_CODES,
    ConfirmRequest,
    ProviderPayment,
    Step,
)
from ...stores.base import PaymentQuery
from .desk import ACCOUNT, RETURN_URL, Ask, Desk, new_engine, reference_of
from .gateway import NotChecked
from .promises import Promises, on_a_desk

__all__ = ["AnswerPromises"]


class AnswerPromises(Promises):
    @on_a_desk
    async def test_a_payment_is_made_once_and_read_back(self, desk: Desk) -> None:
        payment = await desk.paid()
        truth = await desk.truth(payment)
        assert payment.status is PaymentStatus.SUCCEEDED
        assert payment.captured_cents == desk.amount.minor_units
        assert [moved.amount for moved in desk.gateway.charges()] == [desk.amount]
        assert desk.gateway.charges()[0].payment == truth.reference
        assert truth.amount == desk.amount
        assert truth.our_reference == payment.reference, "our reference does not come back"
        assert truth.payment_id in (None, payment.id)

    # --- definite answers, and what only looks like one ----------------------------------------------

    @on_a_desk
    async def test_a_decline_is_an_attempt_and_no_charge(self, desk: Desk) -> None:
        method = _method(desk.gateway.declines, "declines")
        with pytest.raises(PaymentDeclined) as declined:
            await desk.paid(method=method)
        assert declined.value.decline_code in DECLINE_CODES
        assert declined.value.message
        assert desk.gateway.charges() == []
        [payment] = (await desk.engine.list_payments(PaymentQuery())).items
        assert payment.status is not PaymentStatus.PROCESSING, "a definite no was taken for unknown"
        if not desk.at_once:
            assert payment.is_open, "a decline ended a payment that can still be paid"
            again = await desk.pay(payment)
            assert again.status is PaymentStatus.SUCCEEDED
            assert [moved.amount for moved in desk.gateway.charges()] == [desk.amount]

    @on_a_desk
    async def test_a_declined_attempt_is_told_once_however_often_it_is_read(self, desk: Desk) -> None:
        method = _method(desk.gateway.declines, "declines")
        with pytest.raises(PaymentDeclined) as declined:
            await desk.paid(method=method)
        assert declined.value.payment_id is not None
        for _ in range(3):
            await desk.engine.sync_payment(declined.value.payment_id)
        told = [event.type for event in await desk.events(declined.value.payment_id)]
        assert told.count("payment.failed") == 1

    @on_a_desk
    async def test_a_refused_repeat_proves_nothing(self, desk: Desk) -> None:
        """Rule 9: the first send of this instruction may be the one that charged."""
        method = _method(desk.gateway.declines, "declines")
        again = desk.step(repeat=True)
        with pytest.raises(ProviderUnknown):
            await _ask_to_pay(desk, method, again)

    @on_a_desk
    async def test_a_first_refusal_is_a_refusal(self, desk: Desk) -> None:
        method = _method(desk.gateway.declines, "declines")
        try:
            truth = await _ask_to_pay(desk, method, desk.step())
        except ProviderDeclined as declined:
            code = declined.decline_code
        else:
            code = truth.decline.code if truth.decline else None
        assert code is not None, "a decline came back as a success"
        assert code in DECLINE_CODES

    @on_a_desk
    async def test_an_error_of_the_gateway_is_not_a_refusal(self, desk: Desk) -> None:
        ask = await _paying_call(desk)
        desk.gateway.break_next()
        with pytest.raises(ProviderUnknown):
            await ask(desk.step())

    @on_a_desk
    async def test_an_answer_that_nobody_can_read_is_unknown(self, desk: Desk) -> None:
        ask = await _paying_call(desk)
        desk.gateway.garble_next()
        with pytest.raises(ProviderUnknown):
            await ask(desk.step())

    @on_a_desk
    async def test_a_gateway_that_cannot_be_reached_was_never_asked(self, desk: Desk) -> None:
        ask = await _paying_call(desk)
        before = desk.wire.sent
        desk.wire.cut()
        with suppress(ProviderNeverSent):
            await ask(desk.step())
            if desk.wire.sent == before:
                raise NotChecked(f"{desk.kind} does not send through the transport that it was given")
            pytest.fail("an answer came out of a wire that was cut")
        assert desk.wire.sent == before + 1, "what was never sent is repeated by the engine, nobody else"

    @on_a_desk
    async def test_the_deadline_of_a_call_is_kept_and_leaves_unknown(self, desk: Desk) -> None:
        ask = await _paying_call(desk)
        desk.gateway.hang_next()
        try:
            async with asyncio.timeout(4):
                with pytest.raises(ProviderUnknown):
                    await ask(desk.step(deadline=0.4))
        except TimeoutError:
            pytest.fail("the deadline of the step is not kept: pass it on to the transport as its timeout")

    @on_a_desk
    async def test_a_call_that_is_cut_off_is_not_a_refusal(self, desk: Desk) -> None:
        ask = await _paying_call(desk)
        before = len(desk.gateway.requests())
        desk.gateway.hang_next()
        call = asyncio.ensure_future(ask(desk.step()))
        await desk.arrived(before, call)
        call.cancel()
        with pytest.raises((asyncio.CancelledError, ProviderUnknown)):
            await call

    # --- reading -----------------------------------------------------------------------------------

    @on_a_desk
    async def test_a_read_changes_nothing_and_may_be_repeated(self, desk: Desk) -> None:
        payment = await desk.paid()
        before = len(desk.gateway.requests())
        first, second = await desk.truth(payment), await desk.truth(payment)
        assert (first.status, first.captured, first.refunded) == (
            second.status,
            second.captured,
            second.refunded,
        )
        assert len(desk.gateway.requests()) == before, "a read instructed the gateway"

    @on_a_desk
    async def test_a_payment_that_does_not_exist_is_not_read(self, desk: Desk) -> None:
        real = reference_of(await desk.paid())
        with pytest.raises((ProviderNotFound, ProviderUnknown, InvalidRequest)):
            await desk.provider.sync_payment_status(real[:-4] + "0000")

    @on_a_desk
    async def test_a_challenge_moves_nothing_until_it_is_passed(self, desk: Desk) -> None:
        method = _method(desk.gateway.challenges, "challenges")
        payment = await desk.paid(method=method)
        assert payment.status is PaymentStatus.REQUIRES_ACTION
        assert payment.next_action is not None, "the payer is not told what to do"
        assert desk.gateway.charges() == []
        desk.gateway.answer_challenge(reference_of(payment), passed=True)
        paid = await desk.engine.sync_payment(payment.id)
        if desk.gateway.payer_chooses and paid.status is PaymentStatus.REQUIRES_CONFIRMATION:
            # What the payer agreed to on the gateway's own page is collected by us.
            paid = await desk.engine.confirm_payment(payment.id)
        assert paid.status is PaymentStatus.SUCCEEDED
        assert [moved.amount for moved in desk.gateway.charges()] == [desk.amount]

    @on_a_desk
    async def test_a_challenge_that_is_failed_charges_nothing(self, desk: Desk) -> None:
        payment = await desk.paid(method=_method(desk.gateway.challenges, "challenges"))
        desk.gateway.answer_challenge(reference_of(payment), passed=False)
        failed = await desk.engine.sync_payment(payment.id)
        assert not failed.is_paid
        assert desk.gateway.charges() == []

    @on_a_desk
    async def test_an_engine_that_knows_nothing_reads_the_same_payment(self, desk: Desk) -> None:
        """What the rows hold comes from the gateway, not from what the adapter remembers of its own calls."""
        payment = await desk.paid()
        other = new_engine(self.make_provider(desk.wire), desk.clock, desk.wire)
        truth = await other.provider(ACCOUNT).sync_known_payment(await desk.known(payment))
        assert (truth.status, truth.captured) == (PaymentStatus.SUCCEEDED, payment.captured_cents)
        await other.provider(ACCOUNT).aclose()


async def _paying_call(desk: Desk) -> Ask:
    """The provider's method that charges the payer."""
    return (await desk.prepare_call(Verb.CREATE if desk.at_once else Verb.CONFIRM))[1]


async def _ask_to_pay(desk: Desk, method: str, step: Step) -> ProviderPayment:
    if desk.at_once:
        return await desk.provider.create_payment_intent(
            desk.intent_request(payment_method=method), step=step
        )
    payment = await desk.begin()
    chosen = desk.chosen(payment, method)
    return await desk.provider.confirm_payment(
        ConfirmRequest(
            payment=reference_of(payment),
            amount=desk.amount,
            payment_method=chosen,
            return_url=RETURN_URL,
        ),
        step=step,
    )


def _method(token: str, name: str) -> str:
    if not token:
        raise NotChecked(f"the gateway control names no payment method that {name}")
    return token
