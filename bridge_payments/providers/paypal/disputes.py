"""PayPal's disputes, inquiries and chargebacks, as they bear on a payment. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from ...models import DisputeStatus
from ..base import ProviderDispute, ProviderPayment
from .money import from_paypal
from .objects import Json, items_of, moment_of, text_of, text_or_none

__all__ = ["OUTCOMES", "dispute_from", "ids_of", "with_disputes"]

# (2026-11, customer_disputes_v1 1.11, dispute_outcome.) A payout is PayPal's own money: nobody lost ours.
OUTCOMES: Final[Mapping[str, DisputeStatus]] = {
    "RESOLVED_SELLER_FAVOUR": DisputeStatus.WON,
    "DENIED": DisputeStatus.WON,
    "RESOLVED_BUYER_FAVOUR": DisputeStatus.LOST,
    "ACCEPTED": DisputeStatus.LOST,
    "RESOLVED_WITH_PAYOUT": DisputeStatus.CLOSED,
    "CANCELED_BY_BUYER": DisputeStatus.CLOSED,
    "NONE": DisputeStatus.CLOSED,
}


def ids_of(listing: Json) -> Sequence[str]:
    return [text_of(each["dispute_id"]) for each in items_of(listing, "items")]


def dispute_from(dispute: Json, *, payment: str, charge: str) -> ProviderDispute:
    """Read a dispute. Until it says that it is resolved it is open, whatever it is called."""
    word = text_of(dispute["status"])
    outcome = text_or_none((dispute.get("dispute_outcome") or {}).get("outcome_code"))
    status = DisputeStatus.OPEN
    if word == "RESOLVED":
        status = OUTCOMES.get(outcome or "", DisputeStatus.CLOSED)
    return ProviderDispute(
        reference=text_of(dispute["dispute_id"]),
        amount=from_paypal(dispute["dispute_amount"]),
        status=status,
        payment=payment,
        charge=charge,
        reason=text_or_none(dispute.get("reason")),
        provider_status=f"{word} {outcome}" if outcome else word,
        evidence_due_by=moment_of(dispute.get("seller_response_due_date")),
        created_at=moment_of(dispute.get("create_time")),
        raw=dispute,
    )


def with_disputes(payment: ProviderPayment, disputes: Sequence[ProviderDispute]) -> ProviderPayment:
    """Return the payment with its disputes.

    What a lost dispute took shows on the capture as if it had been refunded, without a refund: it is
    counted once, as what it is.
    """
    same = [each for each in disputes if each.amount.currency == payment.amount.currency]
    lost = sum(each.amount.minor_units for each in same if each.status is DisputeStatus.LOST)
    held = sum(each.amount.minor_units for each in same if each.status is DisputeStatus.OPEN)
    listed = sum(
        each.amount.minor_units for each in payment.refunds or () if each.status not in ("failed", "canceled")
    )
    unlisted = max(payment.refunded - listed, 0)
    return replace(
        payment,
        refunded=payment.refunded - min(unlisted, lost),
        disputed=min(lost + held, payment.captured),
        disputes=tuple(disputes),
    )
