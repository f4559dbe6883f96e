"""What every database holds before the first request: one reader's payments among other people's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from bridge_payments.models import Payment, PaymentStatus, new_id, new_reference
from bridge_payments.stores.base import Store, Unit

READER: Final = "reader"
BUYER: Final = "buyer"
READERS: Final = 60
OTHERS: Final = 940


async def seed(store: Store) -> str:
    """Bring the schema up, add payments and return the id of one that belongs to the reader."""
    payments = [a_payment(READER if n % 16 == 0 else f"user-{n % 50}") for n in range(READERS + OTHERS)]
    mine = next(payment for payment in payments if payment.user_id == READER)
    # Still open, so that its owner may see the client secret.
    open_one = replace(
        mine, status=PaymentStatus.PENDING, captured_cents=0, authorized_cents=0, paid_at=None,
        completed_at=None, client_secret=f"{mine.provider_intent_id}_secret_bench",
    )  # fmt: skip

    def add(unit: Unit) -> None:
        for payment in payments:
            unit.payments.add(open_one if payment is mine else payment)

    await store.run(add)
    return mine.id


def a_payment(user: str) -> Payment:
    now = datetime.now(UTC)
    payment_id = new_id("pay")
    return Payment(
        id=payment_id,
        provider_id="stripe",
        provider_intent_id=f"pi_{payment_id[4:]}",
        provider_payment_id=f"ch_{payment_id[4:]}",
        reference=new_reference(),
        status=PaymentStatus.SUCCEEDED,
        currency="USD",
        subtotal_cents=5000,
        tax_cents=500,
        discount_cents=0,
        total_cents=5500,
        authorized_cents=5500,
        captured_cents=5500,
        user_id=user,
        description="Two tickets",
        reference_code="order-1042",
        metadata={"cart": "c-77", "channel": "web"},
        livemode=False,
        created_at=now,
        updated_at=now,
        paid_at=now,
        completed_at=now,
    )
