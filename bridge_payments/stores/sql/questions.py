"""What rows have to agree on, a question each, which names the rows that contradict another or themselves.

Only what can never be is asked. What a provider reports is recorded as it is, and may be odd: money
that somebody gave back in a dashboard is counted even where the provider does not list the refund, so
that `refunded_cents` may be more than the refunds at hand, and never less.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from ...models import (
    OPEN_OPERATION_STATES,
    PAID_STATUSES,
    DeliveryState,
    DisputeStatus,
    InboxState,
    OperationState,
    PaymentMethodStatus,
    PaymentStatus,
    RefundStatus,
    Verb,
)
from ..base import FINISHED_ENTRIES
from .tables import (
    customers,
    deliveries,
    disputes,
    inbox,
    keys,
    metadata,
    operations,
    outbox,
    payment_methods,
    payments,
    references,
    refunds,
    slots,
    subscriptions,
)

__all__ = ["QUESTIONS", "Question"]


class Question(NamedTuple):
    """Rows of a table for which *wrong* holds are not as they should be."""

    table: sa.Table
    what: str
    wrong: sa.ColumnElement[bool]


_NOUNS: Final = {"pay": payments, "cust": customers, "pm": payment_methods, "sub": subscriptions}
"""What an operation, a key or an event may be about, by the prefix of its ids."""
_MEANT: Final = {
    "payment_id": payments,
    "refund_id": refunds,
    "event_id": outbox,
    "operation_id": operations,
    "customer_id": customers,
    "payment_method_id": payment_methods,
    "subscription_id": subscriptions,
}
_ELSEWHERE: Final = frozenset({(inbox.name, "payment_id"), (slots.name, "operation_id")})
"""What may never have had what it names, and what a question of its own asks for more."""
_OPEN: Final = operations.c.state.in_(sorted(state.value for state in OPEN_OPERATION_STATES))
_UUID: Final = "-".join("_" * length for length in (8, 4, 4, 4, 12))


def _is_ours(column: sa.Column[Any], prefix: str) -> sa.ColumnElement[bool]:
    """A provider's ``cus_…``, ``pm_…`` or ``sub_…`` may stand where ours may; it has no hyphens."""
    return column.like(f"{prefix}_{_UUID}")


def _prefix(table: sa.Table) -> str | None:
    return next((prefix for prefix, noun in _NOUNS.items() if noun is table), None)


def _some_row(of: sa.Table, *same: sa.ColumnElement[bool], asked: sa.Table) -> sa.ColumnElement[bool]:
    return sa.exists(sa.select(of.c[0]).where(*same).correlate(asked))


def _no_row(of: sa.Table, *same: sa.ColumnElement[bool], asked: sa.Table) -> sa.ColumnElement[bool]:
    return ~_some_row(of, *same, asked=asked)


def _sum(cents: sa.Column[int], *which: sa.ColumnElement[bool], asked: sa.Table) -> sa.ScalarSelect[Any]:
    added = sa.func.coalesce(sa.func.sum(cents), 0)
    return sa.select(added).where(*which).correlate(asked).scalar_subquery()


# --- references -----------------------------------------------------------------------------------


def _of_references() -> Iterator[Question]:
    for table in metadata.sorted_tables:
        for name, target in _MEANT.items():
            if name in table.c and table is not target and (table.name, name) not in _ELSEWHERE:
                yield from _of_reference(table, table.c[name], target)
    for table in (operations, keys, outbox, slots):
        subject = table.c.subject_id
        nobody = (
            sa.and_(_is_ours(subject, prefix), _no_row(noun, noun.c.id == subject, asked=table))
            for prefix, noun in _NOUNS.items()
        )
        yield Question(table, "its subject_id names no row", sa.or_(*nobody))


def _of_reference(table: sa.Table, column: sa.Column[Any], target: sa.Table) -> Iterator[Question]:
    prefix = _prefix(target)
    ours = column.is_not(None) if prefix is None else _is_ours(column, prefix)
    if target is payments:
        ours = column.is_not(None)  # no provider's reference ever stands there
    same = target.c.id == column
    yield Question(
        table,
        f"its {column.name} names no row of {target.name}",
        sa.and_(ours, _no_row(target, same, asked=table)),
    )
    if "provider_id" in table.c and "provider_id" in target.c:
        other = sa.and_(same, target.c.provider_id != table.c.provider_id)
        yield Question(
            table,
            f"its {column.name} belongs to another account",
            sa.and_(ours, _some_row(target, other, asked=table)),
        )


def _of_places() -> Iterator[Question]:
    """Yield what is to be unique, and whether it still is held by the row that has it."""
    yield Question(
        payments,
        "another payment holds its provider's reference, or nobody does",
        sa.and_(
            payments.c.provider_id.is_not(None),
            payments.c.provider_intent_id.is_not(None),
            _no_row(
                references,
                references.c.provider_id == payments.c.provider_id,
                references.c.kind == "intent",
                references.c.reference == payments.c.provider_intent_id,
                references.c.payment_id == payments.c.id,
                asked=payments,
            ),
        ),
    )
    living = {
        customers: (customers.c.provider_customer_id, customers.c.deleted_at.is_(None)),
        payment_methods: (
            payment_methods.c.provider_payment_method_id,
            payment_methods.c.status != PaymentMethodStatus.DELETED.value,
        ),
    }
    for table, (reference, lives) in living.items():
        yield Question(
            table,
            "its provider's reference is not kept for it",
            sa.and_(lives, reference.is_not(None), table.c.living_reference.is_distinct_from(reference)),
        )


# --- operations -----------------------------------------------------------------------------------


def _of_operations() -> Iterator[Question]:
    yield Question(
        slots,
        "a slot of an operation that is not open",
        _no_row(operations, operations.c.id == slots.c.operation_id, _OPEN, asked=slots),
    )
    yield Question(
        slots,
        "a slot of an operation on something else",
        _some_row(
            operations,
            operations.c.id == slots.c.operation_id,
            operations.c.subject_id != slots.c.subject_id,
            asked=slots,
        ),
    )
    yield Question(
        operations,
        "an open operation without a slot",
        sa.and_(
            _OPEN,
            _no_row(
                slots,
                # By its primary key: there is no index on whose slot it is.
                slots.c.subject_id == operations.c.subject_id,
                slots.c.operation_id == operations.c.id,
                asked=operations,
            ),
        ),
    )
    yield Question(
        operations,
        "an open operation that is never due: nobody finds out what came of it",
        sa.and_(_OPEN, operations.c.due_at.is_(None)),
    )
    yield Question(
        operations,
        "an operation that ended, and is due",
        sa.and_(sa.not_(_OPEN), operations.c.due_at.is_not(None)),
    )
    elsewhere = (
        _some_row(
            noun,
            noun.c.id == operations.c.subject_id,
            noun.c.provider_id != operations.c.provider_id,
            asked=operations,
        )
        for noun in _NOUNS.values()
    )
    yield Question(operations, "its subject_id belongs to another account", sa.or_(*elsewhere))
    yield Question(
        operations,
        "it captured, and its payment says that nothing was captured",
        sa.and_(
            operations.c.verb == Verb.CAPTURE.value,
            operations.c.state == OperationState.SUCCEEDED.value,
            _some_row(
                payments,
                payments.c.id == operations.c.subject_id,
                payments.c.captured_cents == 0,
                payments.c.flag.is_(None),
                # Given up elsewhere meanwhile, of which the operation learnt: it ended in the truth.
                payments.c.status.not_in([PaymentStatus.CANCELED.value, PaymentStatus.FAILED.value]),
                asked=operations,
            ),
        ),
    )
    yield Question(
        keys,
        "its operation is about something else",
        _some_row(
            operations,
            operations.c.id == keys.c.operation_id,
            operations.c.subject_id != keys.c.subject_id,
            asked=keys,
        ),
    )


# --- money ----------------------------------------------------------------------------------------


def _of_money() -> Iterator[Question]:
    c = payments.c
    by_provider = c.provider_id.is_not(None)
    paid = c.status.in_(sorted(status.value for status in PAID_STATUSES))
    its = refunds.c.payment_id == c.id
    made = refunds.c.status == RefundStatus.SUCCEEDED.value
    waiting = refunds.c.status.in_([RefundStatus.PENDING.value, RefundStatus.WAITING.value])
    given_back = _sum(refunds.c.amount_cents, its, made, asked=payments)
    on_the_way = _sum(refunds.c.amount_cents, its, waiting, asked=payments)
    held = disputes.c.status.in_([DisputeStatus.OPEN.value, DisputeStatus.LOST.value])
    taken = _sum(disputes.c.amount_cents, disputes.c.payment_id == c.id, held, asked=payments)
    wrong = {
        "its price does not add up": c.total_cents != c.subtotal_cents + c.tax_cents - c.discount_cents,
        "it promises more to refunds than it has": sa.and_(
            c.refund_reserved_cents > c.captured_cents, c.refund_reserved_cents > c.refunded_cents
        ),
        "it promises less to refunds than was given back": c.refund_reserved_cents < c.refunded_cents,
        "it promises more to refunds than they ask for": (
            c.refund_reserved_cents > c.refunded_cents + on_the_way
        ),
        "its refunds gave back more than it says": sa.and_(
            c.refunded_cents < c.captured_cents, c.refunded_cents < given_back
        ),
        "its disputes took more than it says": c.disputed_cents < taken,
        "more was captured than was ever authorized": sa.and_(
            by_provider, c.captured_cents > c.authorized_cents
        ),
        "it is paid, and nothing was captured": sa.and_(paid, c.captured_cents == 0, c.flag.is_(None)),
        "money was captured, and nobody says when": sa.and_(c.captured_cents > 0, c.paid_at.is_(None)),
        "its status does not say what was refunded": sa.and_(
            c.flag.is_(None),
            sa.or_(
                sa.and_(c.status == PaymentStatus.SUCCEEDED.value, c.refunded_cents > 0),
                sa.and_(
                    c.status == PaymentStatus.PARTIALLY_REFUNDED.value,
                    sa.or_(c.refunded_cents == 0, c.refunded_cents >= c.captured_cents),
                ),
                sa.and_(c.status == PaymentStatus.REFUNDED.value, c.refunded_cents < c.captured_cents),
            ),
        ),
    }
    for what, condition in wrong.items():
        yield Question(payments, what, condition)
    s = subscriptions.c
    yield Question(
        subscriptions,
        "its price does not add up",
        s.total_cents != s.subtotal_cents + s.tax_cents - s.discount_cents,
    )
    for table in (refunds, disputes):
        yield Question(
            table,
            "it is in another currency than its payment",
            _some_row(payments, c.id == table.c.payment_id, c.currency != table.c.currency, asked=table),
        )
    yield Question(
        refunds,
        "it waits for the answer of an operation that has ended",
        sa.and_(
            refunds.c.status == RefundStatus.PENDING.value,
            refunds.c.provider_refund_id.is_(None),
            _some_row(operations, operations.c.id == refunds.c.operation_id, ~_OPEN, asked=refunds),
        ),
    )


# --- queues ---------------------------------------------------------------------------------------


def _of_queues() -> Iterator[Question]:
    pending = deliveries.c.state == DeliveryState.PENDING.value
    finished = inbox.c.state.in_(sorted(state.value for state in FINISHED_ENTRIES))
    done = inbox.c.state.in_([InboxState.PROCESSED.value, InboxState.IGNORED.value])
    for table, waits, noun in ((deliveries, pending, "delivery"), (inbox, ~finished, "webhook")):
        due = table.c.available_at
        yield Question(table, f"a {noun} that waits, and is never due", sa.and_(waits, due.is_(None)))
        yield Question(table, f"a {noun} that ended, and is due", sa.and_(~waits, due.is_not(None)))
    yield Question(inbox, "its state and its `processed` say different things", inbox.c.processed != done)


def _in_order() -> tuple[Question, ...]:
    every = (*_of_references(), *_of_places(), *_of_operations(), *_of_money(), *_of_queues())
    return tuple(sorted(every, key=lambda question: question.table.name))


QUESTIONS: Final = {
    table: tuple(questions) for table, questions in groupby(_in_order(), key=lambda question: question.table)
}
"""Those of one table together: it is walked once."""
