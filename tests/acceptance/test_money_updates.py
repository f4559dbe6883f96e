"""The price that a payer agrees to is the price in our row, whoever was faster."""

from __future__ import annotations

import pytest
from crashlab.flows import CARD
from crashlab.plugin import Premises
from crashlab.premises import RETURN_URL, open_shop

from bridge_payments.models import PaymentStatus

pytestmark = pytest.mark.anyio


async def test_a_new_price_is_charged_and_recorded(premises: Premises) -> None:
    async with open_shop(premises.address()) as shop:
        begun = await shop.engine.create_payment_intent(
            subtotal_cents=1800, tax_cents=200, currency="USD", return_url=RETURN_URL
        )
        changed = await shop.engine.update_payment_intent(begun.id, subtotal_cents=2300, tax_cents=200)
        assert (changed.total_cents, changed.version) == (2500, begun.version + 1)
        row = (await shop.row(begun.id)).payment
        assert (row.subtotal_cents, row.tax_cents, row.total_cents) == (2300, 200, 2500)
        paid = await shop.engine.confirm_payment(begun.id, payment_method=CARD)
        assert (paid.status, paid.captured_cents, paid.flag) == (PaymentStatus.SUCCEEDED, 2500, None)
    assert [charge["amount"] for charge in premises.gateway.charges(paid=True)] == [2500]


async def test_a_price_that_came_too_late_changes_nothing(premises: Premises) -> None:
    """The browser paid the old price while the new one was on its way: refused, and not taken over here."""
    async with open_shop(premises.address()) as shop:
        begun = await shop.engine.create_payment_intent(
            total_cents=2000, currency="USD", return_url=RETURN_URL
        )
        premises.pay_in_browser(begun.provider_intent_id)
        answer = await shop.engine.update_payment_intent(begun.id, total_cents=2500, description="new")
        assert (answer.status, answer.total_cents) == (PaymentStatus.SUCCEEDED, 2000)
        row = await shop.row(begun.id)
        assert (row.payment.captured_cents, row.payment.flag) == (2000, None)
        assert row.payment.description is None
        assert row.told.count("payment.success") == 1
