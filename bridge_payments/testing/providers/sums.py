"""Amounts: exact in every currency, and nothing collected or given back beyond what there is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from ...errors import IllegalState, InvalidRequest, ProviderRejected, UnsupportedOperation
from ...models import Money, PaymentStatus, RefundStatus, Verb
from ...providers.base import Capability, KnownRefund
from .desk import Desk
from .gateway import Moved
from .promises import Promises, on_a_desk

__all__ = ["AMOUNTS", "SumPromises"]

AMOUNTS: Final = (
    Money(1999, "USD"),
    Money(2000, "JPY"),  # no decimals: a factor 100 waits here
    Money(12_300, "KWD"),  # three decimals: a factor 10
    Money(12_345, "KWD"),  # … of which some providers take two
    Money(5000, "ISK"),  # no decimals in ISO 4217, two at some providers
    Money(250_050, "HUF"),  # two decimals in ISO 4217, none at some providers
)
AMOUNT = pytest.mark.parametrize("amount", AMOUNTS, ids=str)


class SumPromises(Promises):
    @AMOUNT
    @on_a_desk
    async def test_an_amount_is_charged_exactly_or_refused_before_anything_is_sent(
        self, desk: Desk, amount: Money
    ) -> None:
        before = desk.told()
        try:
            payment = await desk.paid(amount)
        except InvalidRequest:
            assert desk.told() == before, "refused after something was sent"
            assert desk.gateway.charges() == []
            return
        assert [moved.amount for moved in desk.gateway.charges()] == [amount]
        truth = await desk.truth(payment)
        assert (truth.amount, truth.captured) == (amount, amount.minor_units)

    # --- refunds -----------------------------------------------------------------------------------

    @on_a_desk
    async def test_partial_refunds_add_up_and_not_one_cent_more(self, desk: Desk) -> None:
        desk.need(Verb.REFUND)
        desk.need(Capability.PARTIAL_REFUND)
        payment = await desk.refundable()
        whole = desk.amount.minor_units
        parts = [whole // 4, whole // 2, whole - whole // 4 - whole // 2]
        for part in parts[:2]:
            await desk.engine.refund_payment(payment.id, amount_cents=part)
        before = desk.told()
        with pytest.raises(InvalidRequest):
            await desk.engine.refund_payment(payment.id, amount_cents=parts[2] + 1)
        assert desk.told() == before, "the engine asked for more than there is"
        await desk.engine.refund_payment(payment.id, amount_cents=parts[2])
        assert [moved.amount.minor_units for moved in desk.gateway.refunds()] == parts
        row, truth = await desk.engine.sync_payment(payment.id), await desk.truth(payment)
        assert (row.refunded_cents, truth.refunded) == (whole, whole)
        assert row.status is PaymentStatus.REFUNDED
        assert truth.status is PaymentStatus.SUCCEEDED, "a refund status is the engine's to derive"

    @on_a_desk
    async def test_a_refund_gives_back_what_was_asked_and_no_more(self, desk: Desk) -> None:
        desk.need(Verb.REFUND)
        payment = await desk.refundable()
        step = desk.step()
        request = desk.refund_request(payment, desk.share, reference=step.reference)
        refund = await desk.provider.refund_payment(request, step=step)
        assert refund.amount == desk.share
        assert refund.status in (RefundStatus.SUCCEEDED, RefundStatus.PENDING)
        assert _amounts(desk.gateway.refunds()) == [desk.share]
        mine = KnownRefund(
            id=request.refund_id, amount=refund.amount, status=refund.status, reference=refund.reference
        )
        known = replace(await desk.known(payment), refunds=(mine,))
        truth = await desk.provider.sync_known_payment(known)
        assert truth.refunded == desk.share.minor_units
        if truth.refunds is not None:
            assert [each.reference for each in truth.refunds] == [refund.reference]
            assert truth.refunds[0].our_reference in (None, step.reference)

    @on_a_desk
    async def test_a_refund_over_what_was_collected_is_a_definite_no(self, desk: Desk) -> None:
        """Somebody refunded in the dashboard, which the engine has not heard of."""
        desk.need(Verb.REFUND)
        payment = await desk.refundable()
        over = Money(desk.amount.minor_units + 1, desk.amount.currency)
        step = desk.step()
        with pytest.raises((ProviderRejected, InvalidRequest)):
            await desk.provider.refund_payment(
                desk.refund_request(payment, over, reference=step.reference), step=step
            )
        assert desk.gateway.refunds() == []

    @on_a_desk
    async def test_a_refund_before_settlement_is_made_or_refused_and_never_in_between(
        self, desk: Desk
    ) -> None:
        desk.need(Verb.REFUND)
        if not desk.gateway.settles_later:
            desk.gateway.settle()  # names what is not checked
        payment = await desk.paid()
        with suppress(ProviderRejected, IllegalState, UnsupportedOperation):
            await desk.engine.refund_payment(payment.id)
        assert _sum(desk.gateway.refunds()) <= desk.amount.minor_units
        desk.gateway.settle()
        refunds = await desk.engine.list_refunds(payment.id)
        if any(refund.status is RefundStatus.WAITING for refund in refunds):
            for _ in range(4):  # it was promised: the sweep asks again until it is made
                desk.clock.move(timedelta(days=1))
                await desk.engine.sweep()
        row = await desk.engine.sync_payment(payment.id)
        if row.is_paid and not row.refunded_cents and desk.gateway.charges():
            await desk.engine.refund_payment(payment.id)
            row = await desk.engine.sync_payment(payment.id)
        kept = _sum(desk.gateway.charges()) - _sum(desk.gateway.refunds())
        assert kept == 0, "the money was not given back, and nobody said so"
        assert row.captured_cents - row.refunded_cents == kept

    # --- captures ----------------------------------------------------------------------------------

    @on_a_desk
    async def test_held_money_is_collected_once_in_the_asked_amount(self, desk: Desk) -> None:
        desk.need(Verb.CAPTURE)
        payment = await desk.held()
        assert payment.status is PaymentStatus.REQUIRES_CAPTURE
        assert desk.gateway.charges() == [], "held money was collected"
        truth = await desk.truth(payment)
        assert (truth.authorized, truth.captured) == (desk.amount.minor_units, 0)
        part = desk.amount.minor_units * 3 // 4
        before = desk.told()
        with pytest.raises(InvalidRequest):
            await desk.engine.capture_payment(payment.id, amount_cents=desk.amount.minor_units + 1)
        assert desk.told() == before
        row = await desk.engine.capture_payment(payment.id, amount_cents=part)
        assert [moved.amount.minor_units for moved in desk.gateway.charges()] == [part]
        assert (row.captured_cents, row.status) == (part, PaymentStatus.SUCCEEDED)
        truth = await desk.truth(payment)
        assert (truth.captured, truth.authorized) == (part, 0), "a final capture releases the rest"
        assert truth.amount == desk.amount, (
            "the amount of a payment is what was asked, not what was collected"
        )

    @on_a_desk
    async def test_a_capture_over_what_is_held_is_a_definite_no_or_told_as_it_was(self, desk: Desk) -> None:
        """The engine never asks for it; a gateway may allow a little more, for a tip."""
        desk.need(Verb.CAPTURE)
        payment = await desk.held()
        over = Money(desk.amount.minor_units + 1, desk.amount.currency)
        told = 0
        with suppress(ProviderRejected, InvalidRequest):
            answer = await desk.provider.capture_payment(
                desk.capture_request(payment, over), step=desk.step()
            )
            told = answer.captured
        assert _sum(desk.gateway.charges()) == told

    @on_a_desk
    async def test_several_captures_add_up_and_the_last_one_closes(self, desk: Desk) -> None:
        desk.need(Capability.MULTI_CAPTURE)
        payment = await desk.held(extra=dict(desk.several_captures))
        whole = desk.amount.minor_units
        row = await desk.engine.capture_payment(payment.id, amount_cents=whole // 4, final=False)
        assert (row.captured_cents, row.status) == (whole // 4, PaymentStatus.REQUIRES_CAPTURE)
        row = await desk.engine.capture_payment(payment.id, amount_cents=whole // 2, final=True)
        collected = whole // 4 + whole // 2
        assert _sum(desk.gateway.charges()) == collected
        assert (row.captured_cents, row.status) == (collected, PaymentStatus.SUCCEEDED)

    @on_a_desk
    async def test_held_money_is_released_and_nothing_is_collected(self, desk: Desk) -> None:
        desk.need(Verb.CANCEL)
        payment = await desk.held()
        row = await desk.engine.cancel_payment(payment.id)
        truth = await desk.truth(payment)
        assert (row.status, truth.status) == (PaymentStatus.CANCELED, PaymentStatus.CANCELED)
        assert (truth.authorized, truth.captured) == (0, 0)
        assert desk.gateway.charges() == []

    @on_a_desk
    async def test_a_cancel_after_a_partial_capture_keeps_what_was_collected(self, desk: Desk) -> None:
        desk.need(Capability.MULTI_CAPTURE)
        desk.need(Verb.CANCEL)
        payment = await desk.held(extra=dict(desk.several_captures))
        part = desk.amount.minor_units // 4
        await desk.engine.capture_payment(payment.id, amount_cents=part, final=False)
        row = await desk.engine.cancel_payment(payment.id)
        truth = await desk.truth(payment)
        assert (row.status, row.captured_cents) == (PaymentStatus.SUCCEEDED, part)
        assert (truth.authorized, truth.captured, _sum(desk.gateway.charges())) == (0, part, part)
        told = [event.type for event in await desk.events(payment.id)]
        assert (told.count("payment.success"), told.count("payment.canceled")) == (1, 0)
        desk.need(Verb.REFUND)
        await desk.engine.refund_payment(payment.id, idempotency_key="all-of-it")
        assert _sum(desk.gateway.refunds()) == part

    @on_a_desk
    async def test_a_cancel_of_a_paid_payment_does_not_hide_the_money(self, desk: Desk) -> None:
        """The browser paid while the shop gave up: the provider's word counts."""
        desk.need(Verb.CANCEL)
        payment = await desk.paid()
        with suppress(ProviderRejected, InvalidRequest):
            await desk.call_of(Verb.CANCEL, payment)(desk.step())
        seen = await desk.truth(payment)
        collected = bool(desk.gateway.charges())
        assert (seen.captured > 0, seen.status is not PaymentStatus.CANCELED) == (collected, collected)


def _amounts(moved: Sequence[Moved]) -> list[Money]:
    return [each.amount for each in moved]


def _sum(moved: Sequence[Moved]) -> int:
    return sum(each.amount.minor_units for each in moved)
