"""A worker of the previous release died in the middle; the next one says the same thing in other words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bridge_payments.engine import PaymentEngine
from bridge_payments.models import MovableClock, OperationState, RefundStatus, Verb
from bridge_payments.providers.base import Absent
from bridge_payments.providers.dummy import DummyGateway, DummyProvider, mapping
from bridge_payments.settings import Settings
from bridge_payments.stores import MemoryStore

pytestmark = pytest.mark.anyio


class Release:
    """One release of the shop after the other, at one gateway, on one store."""

    def __init__(self) -> None:
        self.clock = MovableClock()
        self.gateway = DummyGateway(clock=self.clock)
        self.store = MemoryStore(clock=self.clock)
        self.engine = self.next()

    def next(self) -> PaymentEngine:
        self.engine = PaymentEngine(
            self.store,
            {"dummy": DummyProvider(self.gateway)},
            settings=Settings(allow_sandbox=True),
            clock=self.clock,
        )
        return self.engine

    async def later(self, **by: float) -> None:
        self.clock.move(timedelta(**by))
        await self.engine.reconcile()


@pytest.mark.parametrize("fault", ["lost_answer", "broken_before"])
@pytest.mark.parametrize("look", ["sees it", "lags"])
async def test_another_body_under_the_stored_key_never_gives_back_twice(
    monkeypatch: pytest.MonkeyPatch, fault: Any, look: str
) -> None:
    shop = Release()
    payment = await shop.engine.create_payment_intent(
        total_cents=2000, currency="USD", confirm=True, payment_method="dummy_ok"
    )
    body_now = mapping.body_for_refund

    def in_the_words_of_before(request: Any) -> dict[str, Any]:
        return {**body_now(request), "note": "what the previous release added"}

    with monkeypatch.context() as previous:
        previous.setattr(mapping, "body_for_refund", in_the_words_of_before)
        shop.gateway.fail_next(fault)
        refund = await shop.engine.refund_payment(payment.id, amount_cents=600, idempotency_key="r")
    assert refund.status is RefundStatus.PENDING

    engine = shop.next()
    if look == "lags":
        provider: Any = engine.provider("dummy")
        honest = provider.find_operation

        async def behind(evidence: Any) -> Any:
            provider.find_operation = honest
            return Absent("the list is behind")

        provider.find_operation = behind
    await shop.later(minutes=10)
    (operation,) = [each for each in await engine.list_operations(payment.id) if each.verb is Verb.REFUND]
    if look == "lags" and fault == "lost_answer":
        assert operation.state is OperationState.UNKNOWN, "another body was refused: no answer (rule 9)"
    for _ in range(4):
        await shop.later(minutes=10)
    assert [each["amount"] for each in shop.gateway.refunds.values()] == [600]
    assert {key for path, key in shop.gateway.requests if path == "refunds"} == {operation.id}
    again = await engine.refund_payment(payment.id, amount_cents=600, idempotency_key="r")
    assert (again.id, again.status) == (refund.id, RefundStatus.SUCCEEDED)
    assert len(shop.gateway.refunds) == 1


@pytest.mark.parametrize("fault", ["lost_answer", "broken_before"])
async def test_inputs_that_this_release_does_not_know_are_no_outage(fault: Any) -> None:
    """A newer release wrote the operation and was rolled back: its inputs have a field of its own."""
    shop = Release()
    payment = await shop.engine.create_payment_intent(total_cents=2000, currency="USD")
    shop.gateway.fail_next(fault)
    lost = await shop.engine.confirm_payment(payment.id, payment_method="dummy_ok")
    assert lost.unknown_operation_id
    stored = shop.store._tables.operations[lost.unknown_operation_id]
    stored.inputs["from_the_future"] = {"nested": 1}  # type: ignore[index] # a row as that release wrote it
    engine = shop.next()
    for _ in range(3):
        await shop.later(minutes=10)
    assert await engine.list_unknown() == []
    assert len(shop.gateway.charges) == (1 if fault == "lost_answer" else 0)
