"""Disputes, as Stripe tells of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ...models import DisputeStatus
from ..base import ProviderDispute
from .money import from_stripe
from .objects import Json, moment_of, reference_of, text_of

__all__ = ["DISPUTE_STATUS", "dispute_from", "disputes_of", "taken_by"]

# (2026-11, https://docs.stripe.com/api/disputes/object#dispute_object-status). A warning is an inquiry of the
# bank, before it takes anything; `prevented` was settled by a refund before it became a dispute.
DISPUTE_STATUS: Final[Mapping[str, DisputeStatus]] = {
    "warning_needs_response": DisputeStatus.OPEN,
    "warning_under_review": DisputeStatus.OPEN,
    "warning_closed": DisputeStatus.CLOSED,
    "needs_response": DisputeStatus.OPEN,
    "under_review": DisputeStatus.OPEN,
    "appeal_needs_response": DisputeStatus.OPEN,
    "appeal_under_review": DisputeStatus.OPEN,
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
    "prevented": DisputeStatus.CLOSED,
}

# A won or prevented dispute gives the money back, and a warning has not taken any
# (2026-11, https://docs.stripe.com/api/disputes/object#dispute_object-status).
_TAKES_MONEY: Final = frozenset(
    {"needs_response", "under_review", "lost", "appeal_needs_response", "appeal_under_review"}
)


def dispute_from(dispute: Json) -> ProviderDispute:
    """Read a Dispute. Raises KeyError, TypeError, ValueError or InvalidRequest for what is none."""
    if dispute["object"] != "dispute":
        raise ValueError("not a dispute")
    word = dispute["status"]
    return ProviderDispute(
        reference=text_of(dispute["id"]),
        amount=from_stripe(dispute["amount"], dispute["currency"]),
        # A word that we do not know may hold money back.
        status=DISPUTE_STATUS.get(word, DisputeStatus.OPEN),
        payment=reference_of(dispute.get("payment_intent")),
        charge=reference_of(dispute.get("charge")),
        reason=dispute.get("reason"),
        provider_status=word,
        evidence_due_by=moment_of((dispute.get("evidence_details") or {}).get("due_by")),
        created_at=moment_of(dispute.get("created")),
        raw=dispute,
    )


def disputes_of(charge: Json | None, listed: Sequence[Json] | None) -> tuple[ProviderDispute, ...] | None:
    """Return every dispute of a payment, or None where the answer does not say them all."""
    if listed is not None:
        return tuple(dispute_from(each) for each in listed)
    return () if charge is not None and charge.get("disputed") is False else None


def taken_by(charge: Json | None, listed: Sequence[Json] | None, captured: int) -> int:
    """Without the list of disputes a disputed charge counts as a whole: too much, never too little."""
    if not (charge or {}).get("disputed"):
        return 0
    if listed is None:
        return captured
    taken = sum(int(dispute["amount"]) for dispute in listed if dispute["status"] in _TAKES_MONEY)
    return min(taken, captured)
