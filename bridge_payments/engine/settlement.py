"""
What a provider's answer makes of our rows. Pure: rows and an answer in, rows and events out.

The provider outranks every local state, but only for the object we mean: before
a money state is written, account mode, currency, our reference and the amount
must match the row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from ..models import (
    OPEN_OPERATION_STATES,
    Dispute,
    DisputeStatus,
    Event,
    Operation,
    OperationState,
    Payment,
    PaymentFlag,
    PaymentMethod,
    PaymentMethodStatus,
    PaymentStatus,
    Refund,
    RefundStatus,
    Subscription,
    Verb,
    is_own_id,
    new_id,
)
from ..providers.base import UNRECOGNISED, Decline, ProviderPayment, ProviderRefund
from .rules import SWEEP_DELAYS, next_sync_at

__all__ = [
    "WIPE_IN",
    "Settlement",
    "close_operation",
    "created",
    "declined",
    "merge",
    "mismatch",
    "never_began",
    "price_taken_over",
    "refund_failed",
    "refund_merged",
    "renews",
    "watched",
    "wipe_secret",
]

_MONEY: Final = frozenset({PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_CAPTURE, PaymentStatus.SUCCEEDED})
_UNPAID: Final = frozenset(
    {PaymentStatus.PENDING, PaymentStatus.REQUIRES_CONFIRMATION, PaymentStatus.REQUIRES_ACTION}
)
WIPE_IN: Final = frozenset(
    {
        PaymentStatus.SUCCEEDED,
        PaymentStatus.PARTIALLY_REFUNDED,
        PaymentStatus.REFUNDED,
        PaymentStatus.CANCELED,
    }
)
"""Statuses that need no client secret any more; kept after a failure, so that the payer may retry."""
_FIRST_CHARGE: Final = timedelta(hours=12)
"""Half of the shortest interval: a charge that comes later than this is not the first one."""
_TOLD: Final = {
    PaymentStatus.PROCESSING: "payment.processing",
    PaymentStatus.REQUIRES_ACTION: "payment.requires_action",
    PaymentStatus.REQUIRES_CAPTURE: "payment.requires_capture",
    PaymentStatus.CANCELED: "payment.canceled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """Rows to write and events to tell, together or not at all."""

    payment: Payment
    refunds: tuple[Refund, ...] = ()
    """Changed rows; their `version` is the one that was read, 0 for a new row."""
    events: tuple[Event, ...] = ()
    changed: bool = field(default=True)
    disputes: tuple[Dispute, ...] = ()
    """Changed rows, likewise."""
    method: PaymentMethod | None = None
    """The method that the provider kept with this payment: added unless it has its row already."""
    method_customer: str | None = None
    """The provider's reference of the customer that the method was kept for."""
    charged_at: datetime | None = None
    """When the provider made this charge, for one that belongs to a subscription."""

    def tell(self, type_: str, now: datetime, *, refund: Refund | None = None, **data: Any) -> Settlement:
        """Add one event with the payment as it is in this settlement."""
        return replace(self, events=(*self.events, _event(type_, self.payment, now, refund=refund, **data)))


def _event(
    type_: str,
    payment: Payment,
    now: datetime,
    *,
    refund: Refund | None = None,
    dispute: Dispute | None = None,
    **data: Any,
) -> Event:
    # The snapshot carries the version that the row will have once it is written with this event.
    snapshot = replace(payment.without_secret(), version=payment.version + 1)
    return Event(
        id=new_id("evt"),
        type=type_,
        created_at=now,
        payment=snapshot,
        refund=refund,
        dispute=dispute,
        data=dict(data),
    )


# --- a payment and what the provider says of it ----------------------------------------------------


def mismatch(payment: Payment, truth: ProviderPayment) -> str | None:
    """Say how the provider's object is not the one that our row means; None when it is."""
    return _foreign(payment, truth) or _priced_otherwise(payment, truth)


def _foreign(payment: Payment, truth: ProviderPayment) -> str | None:
    if payment.provider_intent_id is not None and truth.reference != payment.provider_intent_id:
        return "another object"
    if payment.livemode is not None and truth.livemode is not None and truth.livemode != payment.livemode:
        return f"livemode is {truth.livemode}"
    of_subscription = payment.subscription_id is not None and payment.reference is None
    if truth.our_reference is not None and truth.our_reference != payment.reference and not of_subscription:
        return "another reference"
    if truth.payment_id is not None and truth.payment_id != payment.id:
        return "another payment id"
    return None


def _priced_otherwise(payment: Payment, truth: ProviderPayment) -> str | None:
    if truth.amount.currency != payment.currency:
        return f"currency is {truth.amount.currency}"
    if truth.amount.minor_units != payment.total_cents:
        return f"amount is {truth.amount}"
    return None


def merge(
    payment: Payment,
    truth: ProviderPayment,
    now: datetime,
    *,
    refunds: Sequence[Refund] = (),
    disputes: Sequence[Dispute] | None = None,
    wipe_in: Collection[PaymentStatus] = WIPE_IN,
    swept: bool = False,
) -> Settlement:
    """Apply a re-fetched answer. Any order, any number of times, the last one read decides.

    *refunds* and *disputes* are our rows of this payment; needed whenever *truth* carries such. In the
    statuses *wipe_in* the client secret is deleted; one that was cleaned up never comes back by a re-fetch.
    """
    truth = _collected_stays(truth)
    foreign = _foreign(payment, truth)
    wrong = foreign or (_priced_otherwise(payment, truth) if truth.status in _MONEY else None)
    known = replace(
        payment,
        provider_intent_id=payment.provider_intent_id or truth.reference,
        livemode=payment.livemode if payment.livemode is not None else truth.livemode,
        provider_status=truth.provider_status or payment.provider_status,
        review=truth.review,
    )
    if wrong is not None:
        return _mismatched(payment, known, wrong, now, money=truth.status in _MONEY, swept=swept)
    if truth.status is UNRECOGNISED:
        return _scheduled(payment, replace(known, flag=PaymentFlag.UNRECOGNISED), now, swept=swept)
    assert isinstance(truth.status, PaymentStatus)

    changed_refunds, refund_events = _merge_refunds(payment, truth, refunds, now)
    rows = {refund.id: refund for refund in (*refunds, *changed_refunds)}.values()
    changed_disputes, dispute_events = _merge_disputes(payment, truth, disputes, now)
    captured = max(payment.captured_cents, truth.captured)
    status = _status(payment, truth, captured)
    decline = truth.decline if status is not PaymentStatus.SUCCEEDED else None
    others = _unheard(payment, truth)
    marked = bool(others) or payment.flag is PaymentFlag.ANOTHER_CHARGE
    merged = replace(
        known,
        status=status,
        flag=PaymentFlag.ANOTHER_CHARGE if marked else None,
        provider_payment_id=truth.charge or payment.provider_payment_id,
        client_secret=None if status in wipe_in else payment.client_secret,
        authorized_cents=max(payment.authorized_cents, truth.authorized + captured),
        captured_cents=captured,
        refunded_cents=min(truth.refunded, captured),
        refund_reserved_cents=_reserved(truth, captured, rows),
        disputed_cents=_disputed(payment, truth, disputes, changed_disputes),
        next_action=truth.next_action if status is PaymentStatus.REQUIRES_ACTION else None,
        decline_code=decline.code if decline else None if status in _MONEY else payment.decline_code,
        provider_decline_code=(
            decline.provider_code if decline else None if status in _MONEY else payment.provider_decline_code
        ),
        decline_reference=(decline.reference if decline else None) or payment.decline_reference,
        error_message=_paid_twice(payment, others) if marked else decline.message if decline else None,
        paid_at=payment.paid_at or (now if captured > 0 else None),
        completed_at=payment.completed_at or (now if _is_complete(status) else None),
    )
    method = _saved_method(payment, truth, now)
    if method is not None:
        merged = replace(merged, payment_method_id=method.id)
    refund_open = any(row.is_open for row in rows)
    settled = _scheduled(
        payment, merged, now, changed_refunds, refund_open=refund_open, swept=swept, final=truth.final
    )
    if others:
        settled = settled.tell("payment.mismatch", now, reason="another charge", charges=list(others))
    return replace(
        settled,
        changed=settled.changed or bool(changed_disputes),
        disputes=changed_disputes,
        method=method,
        method_customer=(truth.method.customer if truth.method else None) or truth.customer,
        charged_at=truth.created_at,
        events=(
            *_payment_events(payment, settled.payment, decline, now),
            *settled.events,
            *(
                replace(event, payment=replace(settled.payment.without_secret(), version=payment.version + 1))
                for event in (*refund_events, *dispute_events)
            ),
        ),
    )


def _unheard(payment: Payment, truth: ProviderPayment) -> tuple[str, ...]:
    """Return the other charges of this payment that nobody was told of yet."""
    told = payment.error_message or "" if payment.flag is PaymentFlag.ANOTHER_CHARGE else ""
    own = truth.charge or payment.provider_payment_id
    return tuple(charge for charge in truth.others if charge != own and charge not in told)


def _paid_twice(payment: Payment, others: Sequence[str]) -> str | None:
    """Say it on the payment, where its operator looks; what was said before stays."""
    if not others:
        return payment.error_message
    if payment.flag is PaymentFlag.ANOTHER_CHARGE and payment.error_message:
        return f"{payment.error_message}, {', '.join(others)}"
    return f"The provider shows another charge of this payment: {', '.join(others)}"


def _saved_method(payment: Payment, truth: ProviderPayment, now: datetime) -> PaymentMethod | None:
    """Return the row of a method that the provider kept with this payment (save-on-confirm)."""
    kept = truth.method
    if kept is None or not kept.saved or kept.status is not PaymentMethodStatus.ACTIVE:
        return None
    if is_own_id("pm", payment.payment_method_id):
        return None
    guest = payment.guest_data
    return PaymentMethod(
        id=new_id("pm"),
        provider_id=payment.provider_id or "",
        payment_type=kept.type,
        status=PaymentMethodStatus.ACTIVE,
        created_at=now,
        updated_at=now,
        provider_payment_method_id=kept.reference,
        customer_id=payment.customer_id,
        user_id=payment.user_id,
        organization_id=payment.organization_id,
        wallet_type=kept.wallet_type,
        card_brand=kept.brand,
        last_four=kept.last_four,
        expiry_month=kept.expiry_month,
        expiry_year=kept.expiry_year,
        billing_address_id=payment.billing_address_id,
        is_guest=payment.is_guest_payment,
        guest_email=payment.guest_email,
        guest_name=guest.name if guest is not None else None,
        version=0,
    )


def _mismatched(
    payment: Payment, known: Payment, wrong: str, now: datetime, *, money: bool, swept: bool
) -> Settlement:
    flagged = replace(
        known,
        provider_intent_id=payment.provider_intent_id,
        status=PaymentStatus.PROCESSING if money and not payment.is_paid else payment.status,
        flag=PaymentFlag.MISMATCH,
        error_message=f"The provider's object does not match: {wrong}",
    )
    settled = _scheduled(payment, flagged, now, swept=swept)
    if payment.flag is PaymentFlag.MISMATCH:
        return settled
    return settled.tell("payment.mismatch", now, reason=wrong)


def _collected_stays(truth: ProviderPayment) -> ProviderPayment:
    """A cancel releases the rest: what was collected before is paid, whatever the provider calls that end."""
    if truth.status is PaymentStatus.CANCELED and truth.captured > 0:
        return replace(truth, status=PaymentStatus.SUCCEEDED)
    return truth


def _status(payment: Payment, truth: ProviderPayment, captured: int) -> PaymentStatus:
    assert isinstance(truth.status, PaymentStatus)
    if payment.status is PaymentStatus.CANCELED and truth.status in _UNPAID:
        # Some providers cannot cancel what nobody paid: it stays given up here. Money would reopen it.
        return PaymentStatus.CANCELED
    if truth.status is PaymentStatus.SUCCEEDED and truth.refunded > 0:
        return PaymentStatus.REFUNDED if truth.refunded >= captured else PaymentStatus.PARTIALLY_REFUNDED
    return truth.status


def _is_complete(status: PaymentStatus) -> bool:
    return status in (PaymentStatus.SUCCEEDED, PaymentStatus.FAILED) or status in (
        PaymentStatus.REFUNDED,
        PaymentStatus.PARTIALLY_REFUNDED,
    )


def _payment_events(old: Payment, new: Payment, decline: Decline | None, now: datetime) -> Iterable[Event]:
    if new.paid_at is not None and old.paid_at is None:
        yield _event("payment.success", new, now)
    if new.status is not old.status and new.status in _TOLD:
        yield _event(_TOLD[new.status], new, now)
    if new.status is PaymentStatus.FAILED and old.status is not PaymentStatus.FAILED:
        yield _event(
            "payment.failed", new, now, final=True, decline_code=new.decline_code, after_success=old.is_paid
        )
    elif decline is not None and new.is_open and _is_news(decline, old):
        yield _event("payment.failed", new, now, final=False, decline_code=decline.code)
    if new.refunded_cents > old.refunded_cents:
        yield _event("payment.refunded", new, now, refunded_cents=new.refunded_cents)


def _is_news(decline: Decline, payment: Payment) -> bool:
    """Whether this attempt has not been told yet: two reads of one attempt carry one reference."""
    return (decline.reference or decline.code) != (payment.decline_reference or payment.decline_code)


def _scheduled(
    old: Payment,
    new: Payment,
    now: datetime,
    refunds: Sequence[Refund] = (),
    *,
    refund_open: bool = False,
    swept: bool = False,
    final: bool = True,
) -> Settlement:
    """Plan the next look of the sweep. What changed something starts the schedule anew; the sweep's own
    look moves it on; any other look leaves it, so that a browser that polls cannot push it away.

    A refund that the provider took is counted while it is pending: that the sums agree does not say that
    nothing is awaited. *refund_open* does. What is not *final* is looked at again, too.
    """
    moved = _substance(old) != _substance(new)
    if not moved and not swept:
        return Settlement(payment=new, refunds=tuple(refunds), changed=bool(refunds) or new != old)
    count, updated_at = (0, now) if moved else (old.sync_count + 1, old.updated_at)
    planned = replace(new, sync_count=count, updated_at=updated_at)
    awaited = refund_open or new.refund_reserved_cents > new.refunded_cents
    due = next_sync_at(planned, now, refund_open=awaited, final=final)
    return Settlement(payment=replace(planned, next_sync_at=due), refunds=tuple(refunds))


def _substance(payment: Payment) -> tuple[object, ...]:
    return (
        payment.status, payment.captured_cents, payment.authorized_cents, payment.refunded_cents,
        payment.refund_reserved_cents, payment.disputed_cents, payment.decline_reference,
        payment.decline_code, payment.flag, payment.review, payment.provider_intent_id,
        payment.provider_payment_id, payment.total_cents, payment.currency, payment.next_action,
        payment.provider_status,
    )  # fmt: skip


# --- declines, as an answer to our own call --------------------------------------------------------


def declined(payment: Payment, decline: Decline, now: datetime, *, intent: str | None) -> Settlement:
    """A decline on an intent that can still be paid is an attempt: the payment stays open."""
    row = replace(
        payment,
        status=PaymentStatus.PENDING if payment.is_open else payment.status,
        provider_intent_id=payment.provider_intent_id or intent,
        decline_code=decline.code,
        provider_decline_code=decline.provider_code,
        decline_reference=decline.reference or payment.decline_reference,
        error_message=decline.message,
        next_action=None,
    )
    settled = _scheduled(payment, row, now)
    # The answer to our own call is a new attempt unless a webhook was faster with the same one.
    if decline.reference is not None and not _is_news(decline, payment):
        return settled
    return settled.tell("payment.failed", now, final=False, decline_code=decline.code)


# --- refunds ---------------------------------------------------------------------------------------


def refund_merged(payment: Payment, refund: Refund, answer: ProviderRefund, now: datetime) -> Settlement:
    """Apply the provider's answer to our own refund."""
    if answer.status is RefundStatus.WAITING:
        return _refund_waits(payment, refund, answer.failure, now)
    if answer.status in (RefundStatus.FAILED, RefundStatus.CANCELED):
        return refund_failed(
            payment,
            refund,
            answer.failure or "The provider did not make the refund",
            now,
            reference=answer.reference,
        )
    if answer.amount != refund.amount:
        row = replace(
            refund,
            provider_refund_id=answer.reference,
            updated_at=now,
            error_message=f"The provider refunded {answer.amount}",
        )
        flagged = replace(payment, flag=PaymentFlag.MISMATCH)
        return _scheduled(payment, flagged, now, (row,)).tell(
            "payment.mismatch", now, refund=row, reason=f"refund is {answer.amount}"
        )
    row = replace(
        refund, status=answer.status, provider_refund_id=answer.reference, updated_at=now, error_message=None
    )
    # Counted once: a refund that already had its reference was counted when it got it.
    counted = refund.amount_cents if refund.provider_refund_id is None else 0
    refunded = min(payment.refunded_cents + counted, payment.captured_cents)
    paid = replace(
        payment,
        refunded_cents=refunded,
        refund_reserved_cents=max(payment.refund_reserved_cents, refunded),
        status=_refund_status(payment, refunded),
    )
    settled = _scheduled(payment, paid, now, (row,), refund_open=row.is_open or _others_may_be_open(payment))
    if refund.provider_refund_id is None:
        if refund.status is not RefundStatus.WAITING:  # told when it began to wait
            settled = settled.tell("refund.created", now, refund=row)
        settled = settled.tell("payment.refunded", now, refund=row, refunded_cents=refunded)
    if row.status is RefundStatus.SUCCEEDED and refund.status is not RefundStatus.SUCCEEDED:
        settled = settled.tell("refund.succeeded", now, refund=row)
    return settled


def _refund_waits(payment: Payment, refund: Refund, why: str | None, now: datetime) -> Settlement:
    """It cannot be made yet: everybody sees that, and it keeps its share until the sweep asks again."""
    row = replace(refund, status=RefundStatus.WAITING, error_message=why, updated_at=now)
    if refund.status is RefundStatus.WAITING:
        return Settlement(payment=payment, refunds=(row,))
    planned = replace(payment, sync_count=0, updated_at=now)
    planned = replace(planned, next_sync_at=next_sync_at(planned, now, refund_open=True))
    return Settlement(payment=planned, refunds=(row,)).tell("refund.created", now, refund=row)


def _others_may_be_open(payment: Payment) -> bool:
    """Where the payment's other refunds are not at hand, a look that was planned is not called off."""
    return payment.is_paid and payment.next_sync_at is not None


def refund_failed(
    payment: Payment,
    refund: Refund,
    why: str,
    now: datetime,
    *,
    reference: str | None = None,
    refunds: Sequence[Refund] | None = None,
) -> Settlement:
    """A definite no: give the reserved share back, and the amount too if it had been counted.

    With all *refunds* of the payment at hand what stays reserved is summed up anew: what is promised may
    be more than was captured, and only so much was reserved.
    """
    row = replace(
        refund,
        status=RefundStatus.FAILED,
        error_message=why,
        provider_refund_id=refund.provider_refund_id or reference,
        updated_at=now,
    )
    counted = refund.amount_cents if refund.provider_refund_id is not None and refund.keeps_its_share else 0
    refunded = max(payment.refunded_cents - counted, 0)
    share = refund.amount_cents if refund.keeps_its_share else 0
    if refunds is None:
        reserved, others_open = payment.refund_reserved_cents - share, _others_may_be_open(payment)
    else:
        others = [each for each in refunds if each.id != refund.id]
        promised = sum(
            each.amount_cents for each in others if each.keeps_its_share and each.provider_refund_id is None
        )
        reserved = min(refunded + promised, payment.captured_cents)
        others_open = any(each.is_open for each in others)
    freed = replace(
        payment,
        refunded_cents=refunded,
        refund_reserved_cents=max(reserved, refunded),
        status=_refund_status(payment, refunded),
    )
    settled = _scheduled(payment, freed, now, (row,), refund_open=others_open)
    return settled.tell("refund.failed", now, refund=row)


def _refund_status(payment: Payment, refunded: int) -> PaymentStatus:
    if not payment.is_paid:
        return payment.status
    if refunded <= 0:
        return PaymentStatus.SUCCEEDED
    return PaymentStatus.REFUNDED if refunded >= payment.captured_cents else PaymentStatus.PARTIALLY_REFUNDED


def _reserved(truth: ProviderPayment, captured: int, rows: Iterable[Refund]) -> int:
    """What is promised: what the provider counts, plus our refunds that it does not show yet."""
    seen = {refund.reference for refund in truth.refunds or ()}
    in_flight = sum(
        row.amount_cents
        for row in rows
        if row.keeps_its_share
        and (
            row.provider_refund_id is None
            or (truth.refunds is not None and row.provider_refund_id not in seen)
        )
    )
    return min(truth.refunded + in_flight, captured)


def _merge_refunds(
    payment: Payment, truth: ProviderPayment, rows: Sequence[Refund], now: datetime
) -> tuple[tuple[Refund, ...], tuple[Event, ...]]:
    """Match the provider's refunds with ours; one that we do not know was made elsewhere and gets a row."""
    changed: list[Refund] = []
    events: list[Event] = []
    for seen in truth.refunds or ():
        row = next(
            (
                r
                for r in rows
                if r.provider_refund_id == seen.reference
                or (r.provider_refund_id is None and r.id == seen.refund_id)
            ),
            None,
        )
        if row is None:
            row = Refund(
                id=new_id("ref"),
                payment_id=payment.id,
                provider_id=payment.provider_id or "",
                amount_cents=seen.amount.minor_units,
                currency=seen.amount.currency,
                status=seen.status,
                provider_refund_id=seen.reference,
                reason=seen.reason,
                error_message=seen.failure,
                created_at=now,
                updated_at=now,
                version=0,
            )
            changed.append(row)
            events.append(_event("refund.created", payment, now, refund=row))
            if row.status is RefundStatus.SUCCEEDED:
                events.append(_event("refund.succeeded", payment, now, refund=row))
        elif row.status is not seen.status or row.provider_refund_id is None:
            new = replace(
                row,
                status=seen.status,
                provider_refund_id=seen.reference,
                error_message=seen.failure,
                updated_at=now,
            )
            changed.append(new)
            if row.provider_refund_id is None and row.status is not RefundStatus.WAITING:
                events.append(_event("refund.created", payment, now, refund=new))
            if new.status is not row.status and new.status in (RefundStatus.SUCCEEDED, RefundStatus.FAILED):
                events.append(_event(f"refund.{new.status.value}", payment, now, refund=new))
    return tuple(changed), tuple(events)


def renews(subscription: Subscription, charged_at: datetime) -> bool:
    """Whether a charge of that moment is a later one than what began the subscription."""
    return charged_at > subscription.created_at + _FIRST_CHARGE


# --- disputes --------------------------------------------------------------------------------------


def _merge_disputes(
    payment: Payment, truth: ProviderPayment, rows: Sequence[Dispute] | None, now: datetime
) -> tuple[tuple[Dispute, ...], tuple[Event, ...]]:
    """Match the provider's disputes with our rows; where those are not at hand the next read does it."""
    changed: list[Dispute] = []
    events: list[Event] = []
    for seen in (truth.disputes or ()) if rows is not None else ():
        row = next((each for each in rows or () if each.provider_dispute_id == seen.reference), None)
        closed = seen.status is not DisputeStatus.OPEN
        new = Dispute(
            id=row.id if row else new_id("dp"),
            payment_id=payment.id,
            provider_id=payment.provider_id or "",
            provider_dispute_id=seen.reference,
            amount_cents=seen.amount.minor_units,
            currency=seen.amount.currency,
            status=seen.status,
            created_at=row.created_at if row else now,
            updated_at=row.updated_at if row else now,
            reason=seen.reason,
            provider_status=seen.provider_status,
            evidence_due_by=seen.evidence_due_by,
            closed_at=((row.closed_at if row else None) or now) if closed else None,
            version=row.version if row else 0,
        )
        if new == row:
            continue
        changed.append(replace(new, updated_at=now))
        if row is None:
            events.append(_event("dispute.opened", payment, now, dispute=changed[-1]))
        if closed and (row is None or row.status is DisputeStatus.OPEN):
            events.append(_event("dispute.closed", payment, now, dispute=changed[-1]))
    return tuple(changed), tuple(events)


def _disputed(
    payment: Payment, truth: ProviderPayment, rows: Sequence[Dispute] | None, changed: Sequence[Dispute]
) -> int:
    """What open and lost disputes took. Without their rows at hand it may be found to be more, never less."""
    if rows is None:
        return max(truth.disputed, payment.disputed_cents)
    known = {dispute.id: dispute for dispute in (*rows, *changed)}.values()
    if not known and truth.disputes is None:
        return truth.disputed
    return sum(
        dispute.amount_cents
        for dispute in known
        if dispute.status in (DisputeStatus.OPEN, DisputeStatus.LOST)
    )


# --- operations ------------------------------------------------------------------------------------


def close_operation(
    operation: Operation,
    state: OperationState,
    now: datetime,
    *,
    resolution: str,
    error_code: str | None = None,
    error_message: str | None = None,
    decline_code: str | None = None,
    request_id: str | None = None,
    http_status: int | None = None,
) -> Operation:
    """Return the operation as it ended, or as it stays open when *state* is unknown."""
    return replace(
        operation.with_http_status(http_status),
        state=state,
        resolution=resolution,
        error_code=error_code,
        error_message=error_message,
        decline_code=decline_code,
        request_id=request_id or operation.request_id,
        updated_at=now,
        finished_at=None if state in OPEN_OPERATION_STATES else now,
    )


def created(
    payment: Payment,
    truth: ProviderPayment,
    now: datetime,
    *,
    secret_until: datetime,
    wipe_in: Collection[PaymentStatus] = WIPE_IN,
) -> Settlement:
    """The intent exists: the row gets its reference and its client secret, and `payment.created` is told."""
    with_secret = replace(
        payment,
        client_secret=truth.client_secret or payment.client_secret,
        client_secret_expires_at=secret_until,
    )
    settled = merge(with_secret, truth, now, wipe_in=wipe_in)
    told = settled.events
    first = replace(settled, events=()).tell("payment.created", now)
    # Ids sort by time: what follows from the creation gets its id after it.
    return replace(first, events=(*first.events, *(replace(event, id=new_id("evt")) for event in told)))


def never_began(payment: Payment, why: str, now: datetime) -> Settlement:
    """There is no intent at the provider and there will be none: the payment is over."""
    row = replace(
        payment,
        status=PaymentStatus.FAILED,
        error_message=why,
        completed_at=now,
        updated_at=now,
        client_secret=None,
    )
    return Settlement(payment=row).tell("payment.failed", now, final=True, decline_code=None)


def watched(settled: Settlement, now: datetime) -> Settlement:
    """Plan looks for a charge that was believed absent and may still come to light."""
    due = replace(settled.payment, sync_count=0, next_sync_at=now + SWEEP_DELAYS[0])
    return replace(settled, payment=due, changed=True)


def wipe_secret(payment: Payment, now: datetime) -> Payment:
    """Forget the client secret. This revokes nothing at the provider."""
    return replace(payment, client_secret=None, client_secret_expires_at=None, updated_at=now)


def price_taken_over(payment: Payment, operation: Operation) -> Payment:
    """Return the payment with the price that an update operation asked for."""
    if operation.verb is not Verb.UPDATE or "pricing" not in operation.inputs:
        return payment
    pricing = operation.inputs["pricing"]
    return replace(
        payment,
        subtotal_cents=pricing["subtotal"],
        tax_cents=pricing["tax"],
        discount_cents=pricing["discount"],
        total_cents=pricing["total"],
        currency=pricing["currency"],
    )
