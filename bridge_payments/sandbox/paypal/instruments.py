"""What a payer can choose on the approval page, and what becomes of it when it is charged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["INSTRUMENTS", "Instrument"]

Outcome = Literal["paid", "refused", "declined", "pending", "challenge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    title: str
    """As the payer reads it."""
    source: Literal["paypal", "venmo", "card"] = "paypal"
    outcome: Outcome = "paid"
    """What a charge brings. ``refused``: a 422 INSTRUMENT_DECLINED, and the payer may choose again.
    ``declined``: a 201 whose payment is DECLINED, as cards are (2020-11,
    https://github.com/woocommerce/woocommerce-paypal-payments/issues/88). ``pending``: decided later.
    ``challenge``: kept, it is charged only when its payer agrees again (2026-11, checkout_orders_v2 2.32, the
    example of a 422 PAYER_ACTION_REQUIRED)."""
    reason: str | None = None
    """Of a pending payment: its `status_details.reason`."""
    response_code: str = "0000"
    """Of a card: the processor's answer."""
    last_digits: str = "1111"


INSTRUMENTS: Final[Mapping[str, Instrument]] = {
    "balance": Instrument(title="PayPal balance"),
    "venmo": Instrument(title="Venmo balance", source="venmo"),
    "refused": Instrument(title="Bank account that refuses", outcome="refused"),
    "echeck": Instrument(title="Bank account, slowly (eCheck)", outcome="pending", reason="ECHECK"),
    "review": Instrument(title="PayPal balance, held for review", outcome="pending", reason="PENDING_REVIEW"),
    "card": Instrument(title="Card ending 1111", source="card"),
    "card_declined": Instrument(
        title="Card that is declined",
        source="card",
        outcome="declined",
        response_code="5120",
        last_digits="0002",
    ),
    "card_expired": Instrument(
        title="Card that has expired",
        source="card",
        outcome="declined",
        response_code="5400",
        last_digits="0069",
    ),
    "card_challenge": Instrument(
        title="Card whose bank asks again", source="card", outcome="challenge", last_digits="3220"
    ),
}
