"""The fake Stripe's books beside our rows, payment by payment."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from bridge_payments.models import PaymentStatus
from bridge_payments.sandbox.stripe import FakeStripe

__all__ = ["books_agree"]


async def books_agree(engine: Any, gateway: FakeStripe, payments: Collection[str]) -> None:
    """Require that both say the same of each payment, that no work is open, and at most one charge."""

    def read(unit: Any) -> list[Any]:
        return [
            (
                unit.payments.get(each),
                unit.operations.for_subject(each),
                unit.refunds.for_payment(each),
                unit.events.for_subject(each),
            )
            for each in payments
        ]

    all_charges, all_refunds = gateway.charges(paid=True), gateway.refunds()
    for payment, operations, refunds, events in await engine.store.run(read, write=False):
        intent = gateway.intent(payment.provider_intent_id)
        charges = [each for each in all_charges if each["payment_intent"] == payment.provider_intent_id]
        given = [each for each in all_refunds if each["payment_intent"] == payment.provider_intent_id]
        assert [(each.verb, each.resolution) for each in operations if each.is_open] == []
        assert len(charges) <= 1
        assert payment.captured_cents == intent["amount_received"]
        assert payment.refunded_cents == sum(each["amount"] for each in given) <= payment.captured_cents
        assert payment.refund_reserved_cents == payment.refunded_cents
        assert len({each["metadata"]["bridge_refund_id"] for each in given}) == len(given)
        assert sorted(each.provider_refund_id for each in refunds if each.keeps_its_share) == sorted(
            each["id"] for each in given
        )
        assert (intent["status"] == "canceled") is (payment.status is PaymentStatus.CANCELED)
        assert [each.type for each in events].count("payment.success") == bool(payment.captured_cents)
        assert payment.flag is None
