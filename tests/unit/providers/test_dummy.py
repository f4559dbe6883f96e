"""The gateway inside the process ends with it; the shop's database does not."""

from __future__ import annotations

import pytest

from bridge_payments import Money, PaymentEngine
from bridge_payments.models import PaymentStatus
from bridge_payments.providers.dummy import DummyProvider
from bridge_payments.settings import Settings
from bridge_payments.stores import MemoryStore

pytestmark = pytest.mark.anyio

SHOP = Settings(allow_sandbox=True, default_provider="dummy")


async def test_a_shop_that_is_started_again_sells_again_and_mixes_no_two_payments_up() -> None:
    store = MemoryStore()
    paid = {}
    for run in ("first", "second"):
        engine = PaymentEngine(store, {"dummy": DummyProvider()}, settings=SHOP)
        payment = await engine.create_payment_intent(Money(2000, "USD"), reference_code=run)
        paid[run] = await engine.confirm_payment(payment.id, payment_method="dummy_ok")
    assert {each.status for each in paid.values()} == {PaymentStatus.SUCCEEDED}
    assert paid["first"].provider_intent_id != paid["second"].provider_intent_id
