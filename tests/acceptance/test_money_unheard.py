"""The money moved and nobody told us, or in any order: our row ends as the gateway's books say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from crashlab.flows import CARD, DECLINED
from crashlab.plugin import Premises
from crashlab.premises import RETURN_URL, Row, Shop, open_shop

from bridge_payments.errors import PaymentDeclined
from bridge_payments.models import Payment, PaymentStatus, RefundStatus

pytestmark = pytest.mark.anyio

CHALLENGED = "pm_card_threeDSecure2Required"


async def begun(shop: Shop, **more: Any) -> Payment:
    return await shop.engine.create_payment_intent(
        total_cents=2000, currency="USD", return_url=RETURN_URL, **more
    )


async def settled(premises: Premises, shop: Shop) -> Row:
    """Return the only row, after the books and the rows were found to agree."""
    (row,) = rows = await shop.rows()
    assert premises.audit(rows).findings == []
    return row


# --- no webhook at all ------------------------------------------------------------------------------


@pytest.mark.parametrize("capture_method", ["automatic", "manual"])
async def test_the_sweep_finds_what_a_browser_paid_and_nobody_told(
    premises: Premises, capture_method: str
) -> None:
    async with open_shop(premises.address()) as shop:
        payment = await begun(shop, capture_method=capture_method)
        premises.pay_in_browser(payment.provider_intent_id)
        await shop.work()
        assert (await shop.row(payment.id)).payment.status is PaymentStatus.PENDING
        await shop.move(minutes=2, seconds=1)
        await shop.work()
        row = await settled(premises, shop)
        held = capture_method == "manual"
        assert row.payment.status is (PaymentStatus.REQUIRES_CAPTURE if held else PaymentStatus.SUCCEEDED)
        assert len(premises.gateway.charges(paid=True)) == 1
        assert row.told[-1] == ("payment.requires_capture" if held else "payment.success")


async def test_the_sweep_finds_a_challenge_that_was_passed_an_hour_later(premises: Premises) -> None:
    async with open_shop(premises.address()) as shop:
        payment = await begun(shop)
        asked = await shop.engine.confirm_payment(payment.id, payment_method=CHALLENGED)
        assert asked.status is PaymentStatus.REQUIRES_ACTION
        assert asked.provider_intent_id
        for _ in range(6):
            await shop.move(minutes=10)
            await shop.work()
        premises.gateway.authenticate(asked.provider_intent_id)
        for _ in range(6):
            await shop.move(minutes=10)
            await shop.work()
        row = await settled(premises, shop)
        assert row.payment.status is PaymentStatus.SUCCEEDED


# --- a decline, and then another card -----------------------------------------------------------------

DELIVERIES = {
    "in order": ["failed", "succeeded"],
    "backwards": ["succeeded", "failed"],
    "the success is lost": ["failed"],
    "the decline is lost": ["succeeded"],
    "everything twice": ["succeeded", "failed", "failed", "succeeded"],
}


@pytest.mark.parametrize("locally", [PaymentStatus.PENDING, PaymentStatus.CANCELED, PaymentStatus.FAILED])
@pytest.mark.parametrize("delivered", DELIVERIES)
async def test_a_second_card_that_pays_is_a_success_whatever_is_heard_of_it(
    premises: Premises, delivered: str, locally: PaymentStatus
) -> None:
    async with open_shop(premises.address()) as shop:
        payment = await begun(shop)
        with pytest.raises(PaymentDeclined):
            await shop.engine.confirm_payment(payment.id, payment_method=DECLINED)
        if locally is not PaymentStatus.PENDING:
            await believe(shop, payment.id, locally)
        premises.pay_in_browser(payment.provider_intent_id)
        for ending in DELIVERIES[delivered]:
            await hear(premises, shop, ending)
            await shop.engine.process_inbox()
        row = await settled(premises, shop)
        assert row.payment.status is PaymentStatus.SUCCEEDED
        assert row.payment.decline_code is None
        assert (row.told.count("payment.success"), row.told.count("payment.failed")) == (1, 1)
        assert len(premises.gateway.charges(paid=True)) == 1


async def test_a_decline_that_was_heard_at_once_and_a_success_that_never_was(premises: Premises) -> None:
    """The decline says that the payment can still be paid; the sweep goes on looking after it."""
    async with open_shop(premises.address()) as shop:
        payment = await begun(shop)
        with pytest.raises(PaymentDeclined):
            await shop.engine.confirm_payment(payment.id, payment_method=DECLINED)
        await hear(premises, shop, "failed")
        await shop.work()
        assert (await shop.row(payment.id)).payment.status is PaymentStatus.PENDING
        premises.pay_in_browser(payment.provider_intent_id)
        await shop.move(minutes=3)
        await shop.work()
        row = await settled(premises, shop)
        assert row.payment.status is PaymentStatus.SUCCEEDED
        assert row.told.count("payment.success") == 1


async def believe(shop: Shop, payment_id: str, status: PaymentStatus) -> None:
    """Let our row be final and wrong."""
    row = (await shop.row(payment_id)).payment
    wrong = replace(row, status=status, next_sync_at=None)
    assert await shop.store.run(lambda unit: unit.payments.save(wrong, expected_version=row.version))


async def hear(premises: Premises, shop: Shop, ending: str) -> None:
    """Receive the signed events of the gateway whose type ends so, all of them, again if need be."""
    for event in chosen(premises.gateway.events(), ending):
        await shop.engine.receive_webhook("stripe", shop.signed(event))


def chosen(events: Sequence[dict[str, Any]], ending: str) -> list[dict[str, Any]]:
    found = [event for event in events if event["type"].endswith(ending)]
    assert found, f"the gateway announced nothing that {ending}"
    return found


async def test_a_refund_that_fails_days_later_gives_the_money_back_to_be_refunded(premises: Premises) -> None:
    """Rule 1 for money that comes back: the provider moves a payment out of a final state."""
    async with open_shop(premises.address()) as shop:
        payment = await begun(shop, confirm=True, payment_method=CARD)
        refund = await shop.engine.refund_payment(payment.id, idempotency_key="r")
        assert (await shop.row(payment.id)).payment.status is PaymentStatus.REFUNDED
        assert refund.provider_refund_id
        premises.gateway.settle(refund.provider_refund_id, succeeded=False)
        await hear(premises, shop, "refund.failed")
        await shop.work()
        row = await settled(premises, shop)
        assert (row.payment.status, row.payment.refundable_cents) == (PaymentStatus.SUCCEEDED, 2000)
        assert row.told[-1] == "refund.failed"


async def test_the_sweep_finds_a_pending_refund_that_failed_and_nobody_told(premises: Premises) -> None:
    async with open_shop(premises.address()) as shop:
        payment = await begun(shop, confirm=True, payment_method="pm_card_pendingRefund")
        refund = await shop.engine.refund_payment(payment.id, idempotency_key="r")
        row = await shop.row(payment.id)
        assert (refund.status, row.payment.status) == (RefundStatus.PENDING, PaymentStatus.REFUNDED)
        assert refund.provider_refund_id
        for _ in range(4):
            await shop.move(days=1, minutes=1)
            await shop.work()
        premises.gateway.settle(refund.provider_refund_id, succeeded=False)
        await shop.move(days=1, minutes=1)
        await shop.work()
        row = await settled(premises, shop)
        assert (row.payment.status, row.payment.refundable_cents) == (PaymentStatus.SUCCEEDED, 2000)
        assert row.told[-1] == "refund.failed"
        for _ in range(2):
            await shop.move(days=1, minutes=1)
            await shop.work()
        assert (await shop.row(payment.id)).payment.next_sync_at is None, "and then it is over"
