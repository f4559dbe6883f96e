"""What an answer makes of an operation, and how its caller hears of it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Self

from ..errors import (
    BridgeError,
    PaymentDeclined,
    ProviderDeclined,
    ProviderError,
    ProviderRejected,
    ProviderStateConflict,
    ProviderUnknown,
    Unavailable,
)
from ..models import Operation, OperationState, Payment, PaymentStatus, Refund, RefundStatus, Verb
from ..providers.base import (
    Decline,
    Found,
    ProviderCustomer,
    ProviderMethod,
    ProviderPayment,
    ProviderRefund,
    ProviderSubscription,
)
from . import settlement
from .rules import NEVER_SENT
from .settlement import Settlement

__all__ = [
    "Answer",
    "Policy",
    "Reserved",
    "close_refused",
    "decline_from",
    "left_open",
    "payment_answer",
    "refusal",
    "settle",
    "settle_absence",
    "unknown_view",
]

_GONE = (RefundStatus.FAILED, RefundStatus.CANCELED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """An operation and the rows it is about, as they were read."""

    operation: Operation
    payment: Payment
    refund: Refund | None = None
    refunds: tuple[Refund, ...] | None = None
    """Every refund row of the payment, where it was read; None where it was not needed."""
    replayed: bool = False
    """The Idempotency-Key was used before, with the same body: nothing was written, nothing is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back: the object as the provider sees it, a definite no, or nothing certain."""

    payment: ProviderPayment | None = None
    refund: ProviderRefund | None = None
    customer: ProviderCustomer | None = None
    method: ProviderMethod | None = None
    subscription: ProviderSubscription | None = None
    refused: ProviderRejected | None = None
    unsent: ProviderError | None = None
    lost: str | None = None
    unsure: ProviderError | None = None
    """What the provider said where it said nothing certain."""
    resolution: str = "answered"

    @classmethod
    def found(cls, found: Found) -> Self:
        """Return what a look-up found, as if the provider had answered with it."""
        return cls(
            payment=found.payment,
            refund=found.refund,
            customer=found.customer,
            method=found.method,
            subscription=found.subscription,
            resolution="found at the provider",
        )

    @property
    def word(self) -> str:
        """Return in a word how the question ended, for figures."""
        if self.lost is not None:
            return "unknown"
        if self.unsent is not None:
            return "never_sent"
        match self.refused:
            case None:
                return "ok"
            case ProviderDeclined():
                return "declined"
            case ProviderStateConflict():
                return "conflict"
            case _:
                return "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the installation decided about client secrets."""

    wipe_in: Collection[PaymentStatus] = field(default=settlement.WIPE_IN)
    secret_max_age: timedelta = timedelta(hours=24)


def settle(reserved: Reserved, answer: Answer, now: datetime, policy: Policy) -> tuple[Settlement, Operation]:
    """Decide what *answer* makes of the rows."""
    operation, refund = reserved.operation, reserved.refund
    if answer.payment is not None:
        settled = _settled_payment(reserved, answer.payment, now, policy, done=answer.refused is None)
        if answer.refund is not None and refund is not None:
            settled = _with_refund(settled, refund, answer.refund, now)
        closed = settlement.close_operation(
            operation,
            _ending(operation, answer),
            now,
            resolution=answer.resolution,
            request_id=answer.payment.request_id or (answer.refused.request_id if answer.refused else None),
            http_status=answer.refused.http_status if answer.refused else None,
        )
        return settled, _with_decline(closed, answer)
    if answer.refund is not None:
        assert refund is not None, "only a refund operation is answered with a refund"
        settled = settlement.refund_merged(reserved.payment, refund, answer.refund, now)
        return settled, settlement.close_operation(
            operation, _ending(operation, answer), now, resolution=answer.resolution
        )
    if answer.refused is not None:
        return _settle_refusal(reserved, answer.refused, now)
    if answer.unsent is not None:
        return settle_absence(reserved, f"{NEVER_SENT}: {answer.unsent}", now)
    open_still = left_open(operation, answer, now, why=answer.lost or "no answer")
    return Settlement(payment=reserved.payment, changed=False), open_still


def settle_absence(reserved: Reserved, proof: str, now: datetime) -> tuple[Settlement, Operation]:
    """Decide what is left of an operation that was proved never executed."""
    operation = settlement.close_operation(
        reserved.operation,
        OperationState.ABANDONED,
        now,
        resolution=proof,
        error_code="abandoned",
        error_message="It was never executed",
    )
    if reserved.refund is not None and reserved.refund.status is RefundStatus.WAITING:
        # It was promised before this attempt and still is: the sweep asks again.
        return Settlement(payment=reserved.payment, changed=False), operation
    return _undone(reserved, "It never reached the provider", now), operation


def _settled_payment(
    reserved: Reserved, truth: ProviderPayment, now: datetime, policy: Policy, *, done: bool
) -> Settlement:
    operation, refund = reserved.operation, reserved.refund
    if reserved.refunds is None:
        # Without our rows at hand the provider's refunds cannot be matched: the next read does it.
        truth = replace(truth, refunds=None)
    rows = reserved.refunds if reserved.refunds is not None else (refund,) if refund else ()
    updated = operation.verb is Verb.UPDATE and done
    payment = settlement.price_taken_over(reserved.payment, operation) if updated else reserved.payment
    if (stored := operation.inputs.get("method_id")) is not None and done:
        payment = replace(payment, payment_method_id=stored)
    if operation.verb is Verb.CREATE:
        return settlement.created(
            payment,
            truth,
            now,
            secret_until=payment.created_at + policy.secret_max_age,
            wipe_in=policy.wipe_in,
        )
    settled = settlement.merge(payment, truth, now, refunds=rows, wipe_in=policy.wipe_in)
    if not updated:
        return replace(settled, changed=settled.changed or payment != reserved.payment)
    # The price was taken over before the comparison in `merge`, which therefore saw nothing new in it.
    local = operation.inputs.get("local") or {}
    return replace(settled, payment=replace(settled.payment, **local, updated_at=now), changed=True)


def _settle_refusal(
    reserved: Reserved, refused: ProviderRejected, now: datetime
) -> tuple[Settlement, Operation]:
    operation = close_refused(reserved.operation, refused, now)
    if isinstance(refused, ProviderDeclined) and reserved.refund is None:
        settled = settlement.declined(reserved.payment, decline_from(refused), now, intent=refused.payment)
        return settled, operation
    return _undone(reserved, refused.message, now), operation


def left_open(operation: Operation, answer: Answer, now: datetime, *, why: str) -> Operation:
    """Return the operation as it stays open, with what the provider's support is asked for."""
    said = answer.unsure or ProviderUnknown()
    return settlement.close_operation(
        operation,
        OperationState.UNKNOWN,
        now,
        resolution=why,
        error_code=said.provider_code,
        request_id=said.request_id,
        http_status=said.http_status,
    )


def close_refused(operation: Operation, refused: ProviderRejected, now: datetime) -> Operation:
    """Return the operation as a definite no ends it."""
    return settlement.close_operation(
        operation,
        OperationState.REJECTED,
        now,
        resolution="refused by the provider",
        error_code=refused.provider_code or refused.code,
        error_message=refused.message,
        decline_code=refused.decline_code,
        request_id=refused.request_id,
        http_status=refused.http_status,
    )


def decline_from(refused: ProviderDeclined) -> Decline:
    return Decline(
        code=refused.decline_code or "declined",
        message=refused.message,
        provider_code=refused.provider_code,
        reference=refused.attempt,
    )


def _undone(reserved: Reserved, why: str, now: datetime) -> Settlement:
    """Give back what the reserve took: a refund's share, a payment that never began."""
    if reserved.refund is not None:
        return settlement.refund_failed(reserved.payment, reserved.refund, why, now)
    if reserved.operation.verb is Verb.CREATE:
        return settlement.never_began(reserved.payment, why, now)
    return Settlement(payment=reserved.payment, changed=False)


def _with_refund(settled: Settlement, refund: Refund, answer: ProviderRefund, now: datetime) -> Settlement:
    """The payment was read anew; the refund takes its answer unless that read already showed it."""
    if any(row.id == refund.id for row in settled.refunds):
        return settled
    row = replace(refund, status=answer.status, provider_refund_id=answer.reference, updated_at=now)
    return replace(settled, refunds=(*settled.refunds, row), changed=True)


def _ending(operation: Operation, answer: Answer) -> OperationState:
    refused = answer.refused is not None and not isinstance(answer.refused, ProviderStateConflict)
    refund_failed = answer.refund is not None and answer.refund.status in _GONE
    return (
        OperationState.REJECTED
        if refused or refund_failed or _is_declined(operation, answer)
        else OperationState.SUCCEEDED
    )


def _is_declined(operation: Operation, answer: Answer) -> bool:
    truth = answer.payment
    # A create that was not to pay is done when the intent is there, whatever a browser tried on it since.
    pays = operation.verb is Verb.CONFIRM or (
        operation.verb is Verb.CREATE and operation.inputs.get("confirm")
    )
    return (
        truth is not None
        and truth.decline is not None
        and bool(pays)
        and truth.status in (PaymentStatus.PENDING, PaymentStatus.FAILED)
    )


def _with_decline(operation: Operation, answer: Answer) -> Operation:
    decline = answer.payment.decline if answer.payment is not None else None
    if decline is None or operation.state is not OperationState.REJECTED:
        return operation
    return replace(
        operation,
        decline_code=decline.code,
        error_code=decline.provider_code,
        error_message=decline.message,
    )


# --- how the caller hears of it --------------------------------------------------------------------


def payment_answer(outcome: Reserved) -> Payment:
    """Return the payment as its caller hears of it. Raises PaymentDeclined, ProviderRejected, Unavailable.

    An unknown outcome is a payment that is processing and names its operation, never an error: an
    error invites a second charge. Only a create that would not have charged may say "try again".
    """
    operation, payment = outcome.operation, outcome.payment
    match operation.state:
        case OperationState.SUCCEEDED:
            return payment
        case OperationState.REJECTED:
            raise refusal(operation, payment)
        case OperationState.ABANDONED:
            raise Unavailable("The provider could not be reached; nothing was charged")
        case OperationState.RESERVED | OperationState.UNKNOWN:
            if payment.is_paid and operation.verb in (Verb.CREATE, Verb.CONFIRM):
                return payment  # a webhook or a sync was faster than reconciliation
            if operation.verb is Verb.CREATE and not operation.inputs.get("confirm"):
                raise Unavailable("The outcome is not known yet; repeat with the same Idempotency-Key")
            return unknown_view(payment, operation)


def unknown_view(payment: Payment, operation: Operation) -> Payment:
    """Return the payment while an operation on it is open."""
    return replace(
        payment, status=PaymentStatus.PROCESSING, next_action=None, unknown_operation_id=operation.id
    )


def refusal(operation: Operation, payment: Payment | None = None) -> BridgeError:
    """Rebuild the provider's no from the row: a repeat of the key hears what the first call heard."""
    if operation.decline_code is not None:
        return PaymentDeclined(
            operation.error_message or "The payment method was declined",
            decline_code=operation.decline_code,
            provider_code=operation.error_code,
            payment_id=payment.id if payment is not None else None,
            provider_intent_id=payment.provider_intent_id if payment is not None else None,
            request_id=operation.request_id,
            http_status=operation.http_status,
        )
    return ProviderRejected(
        operation.error_message or "The provider refused",
        provider_code=operation.error_code,
        request_id=operation.request_id,
        http_status=operation.http_status,
    )


def row_of(refund: Refund | None, rows: Sequence[Refund]) -> Refund | None:
    """Return the newest copy of one refund."""
    return None if refund is None else next((row for row in rows if row.id == refund.id), refund)
