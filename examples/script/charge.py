"""A script without any web: charges, loses an answer, finds it again, gives half of it back."""

from __future__ import annotations

import sys

from bridge_payments import Money
from bridge_payments.testing import bridge


def main() -> None:
    shop = bridge()  # yours: Bridge.from_env()
    engine = shop.engine
    try:
        payment = shop.call(engine.create_payment_intent, Money(2000, "USD"), reference_code="order-1")
        shop.gateway.lose_next_answer()
        unsure = shop.call(engine.confirm_payment, payment.id, payment_method="dummy_ok")
        say(f"the answer was lost: {unsure.status}, nobody was charged again")
        shop.move(minutes=1)
        shop.call(shop.work)
        paid = shop.call(engine.get_payment, payment.id)
        say(f"looked up: {paid.status}, {len(shop.gateway.charges)} charge")
        refund = shop.call(engine.refund_payment, payment.id, amount_cents=1000, idempotency_key="half-back")
        say(f"half of it back: {refund.status}, {refund.amount_cents} cents")
    finally:
        shop.close()


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
