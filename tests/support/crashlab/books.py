"""The audit: what the gateway's books say, against our rows. Whoever disagrees is named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge_payments.models import PaymentStatus, RefundStatus

from .premises import Row

__all__ = ["Audit", "audit", "status_of_paid"]

Json = Mapping[str, Any]

_STATUS = {
    "requires_payment_method": PaymentStatus.PENDING,
    "requires_confirmation": PaymentStatus.REQUIRES_CONFIRMATION,
    "requires_action": PaymentStatus.REQUIRES_ACTION,
    "processing": PaymentStatus.PROCESSING,
    "requires_capture": PaymentStatus.REQUIRES_CAPTURE,
    "canceled": PaymentStatus.CANCELED,
}


@dataclass
class Audit:
    """Every disagreement, a sentence each, by what it means to somebody."""

    lost: list[str] = field(default_factory=list)
    """The gateway moved money that our rows do not know."""
    doubled: list[str] = field(default_factory=list)
    """Money was taken or given back twice."""
    unknown: list[str] = field(default_factory=list)
    """Nobody knows, and nobody is going to find out."""
    wrong: list[str] = field(default_factory=list)
    """Anything else in which rows and books differ."""

    @property
    def findings(self) -> list[str]:
        return [
            f"{name}: {each}"
            for name in ("lost", "doubled", "unknown", "wrong")
            for each in getattr(self, name)
        ]


def audit(
    intents: Iterable[Json], charges: Sequence[Json], refunds: Sequence[Json], rows: Sequence[Row]
) -> Audit:
    """Compare everything with everything."""
    found = Audit()
    by_intent = {row.payment.provider_intent_id: row for row in rows if row.payment.provider_intent_id}
    known = set()
    taken_for: dict[str, int] = defaultdict(int)
    for intent in intents:
        known.add(intent["id"])
        paid = [charge for charge in charges if charge["payment_intent"] == intent["id"] and charge["paid"]]
        order = intent["metadata"].get("reference_code", intent["id"])
        taken_for[order] += len(paid)
        if len(paid) > 1:
            found.doubled.append(f"{order}: {len(paid)} charges on one intent")
        row = by_intent.get(intent["id"])
        if row is None:
            list_ = found.lost if paid else found.wrong
            list_.append(f"{order}: no row knows the intent ({intent['status']})")
            continue
        mine = [each for each in refunds if each["payment_intent"] == intent["id"]]
        _compare(found, order, intent, row, given=_given(mine))
        _compare_refunds(found, order, mine, row)
    for order, count in taken_for.items():
        if count > 1:
            found.doubled.append(f"{order}: {count} charges for one order")
    for row in rows:
        _inspect(found, row, known)
    return found


def status_of_paid(taken: int, given: int) -> PaymentStatus:
    """Return what a payment is of which *taken* was collected and *given* of that given back."""
    if not given:
        return PaymentStatus.SUCCEEDED
    return PaymentStatus.REFUNDED if given >= taken else PaymentStatus.PARTIALLY_REFUNDED


def _given(refunds: Iterable[Json]) -> int:
    return sum(each["amount"] for each in refunds if each["status"] not in ("failed", "canceled"))


def _compare(found: Audit, order: str, intent: Json, row: Row, *, given: int) -> None:
    payment = row.payment
    if intent["amount_received"] > payment.captured_cents:
        found.lost.append(
            f"{order}: {intent['amount_received']} taken, our row says {payment.captured_cents}"
        )
    if intent["amount_received"] < payment.captured_cents:
        found.wrong.append(f"{order}: our row invented {payment.captured_cents}")
    if (intent["amount"], intent["currency"].upper()) != (payment.total_cents, payment.currency):
        found.wrong.append(f"{order}: {intent['amount']} there, {payment.total_cents} here")
    expected = _STATUS.get(intent["status"])
    paid = intent["status"] in ("succeeded", "canceled") and intent["amount_received"] > 0
    if paid:
        # A cancel after a part was collected releases the rest: the part stays paid.
        expected = status_of_paid(intent["amount_received"], given)
    if expected is not None and payment.status is not expected:
        found.wrong.append(f"{order}: {intent['status']} there, {payment.status} here")
    if paid and not payment.is_paid:
        found.lost.append(f"{order}: paid there, {payment.status} here")


def _compare_refunds(found: Audit, order: str, refunds: Sequence[Json], row: Row) -> None:
    ours = {refund.provider_refund_id: refund for refund in row.refunds}
    total = _given(refunds)
    seen: set[str] = set()
    for refund in refunds:
        name = refund["metadata"].get("bridge_refund_id")
        if name in seen:
            found.doubled.append(f"{order}: {name} was refunded twice")
        if name:
            seen.add(name)
        mine = ours.get(refund["id"])
        if mine is None:
            found.lost.append(f"{order}: no row for refund {refund['id']} of {refund['amount']}")
        elif (mine.amount_cents, mine.status.value) != (refund["amount"], refund["status"]):
            found.wrong.append(
                f"{order}: refund {mine.amount_cents} {mine.status} here, {refund['status']} there"
            )
    if total != row.payment.refunded_cents:
        found.wrong.append(f"{order}: {total} given back, our row says {row.payment.refunded_cents}")


def _inspect(found: Audit, row: Row, known: set[str]) -> None:
    payment = row.payment
    order = payment.reference_code or payment.id
    if payment.provider_intent_id is None and (
        payment.captured_cents or payment.status is not PaymentStatus.FAILED
    ):
        found.wrong.append(f"{order}: {payment.status} without an intent")
    if payment.provider_intent_id is not None and payment.provider_intent_id not in known:
        found.wrong.append(f"{order}: the gateway never heard of {payment.provider_intent_id}")
    if payment.flag is not None:
        found.wrong.append(f"{order}: flagged {payment.flag}")
    found.unknown.extend(
        f"{order}: {operation.verb} is {operation.state} ({operation.resolution})"
        for operation in row.operations
        if operation.is_open
    )
    promised = sum(refund.amount_cents for refund in row.refunds if refund.keeps_its_share)
    if promised != payment.refund_reserved_cents or promised > payment.captured_cents:
        found.wrong.append(
            f"{order}: {promised} promised, {payment.refund_reserved_cents} reserved"
            f" of {payment.captured_cents}"
        )
    waiting = [refund for refund in row.refunds if refund.status is RefundStatus.PENDING]
    if waiting:
        found.unknown.append(f"{order}: {len(waiting)} refunds are pending")
    if row.told.count("payment.created") > 1:
        found.wrong.append(f"{order}: it began twice")
    successes = row.told.count("payment.success")
    if successes != (1 if payment.paid_at else 0):
        found.wrong.append(f"{order}: {successes} times payment.success")
