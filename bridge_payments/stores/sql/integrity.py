"""What foreign keys would have kept, asked of the rows: nobody's references, broken sums, slots that stayed.

There are none in the schema (MySQL refuses them on partitioned tables, Vitess by default), so that
the engine keeps them, and an operator may look whether it did: `bridge-payments db check`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from ...models import OPEN_OPERATION_STATES
from .tables import metadata, operations, outbox, payments, references, refunds, slots

__all__ = ["Finding", "findings"]

_SHOWN: Final = 20
"""Rows named for each question: an operator begins with some of them."""


class Finding(NamedTuple):
    """One row that contradicts another."""

    table: str
    row: str
    what: str


_MEANT: Final = {"payment_id": payments, "refund_id": refunds, "event_id": outbox}
_ELSEWHERE: Final = frozenset({("idempotency_keys", "payment_id"), ("provider_webhooks", "payment_id")})
"""References that may outlive, or never have had, what they name."""


def findings(connection: sa.Connection) -> Iterator[Finding]:
    """Yield what does not fit together. Reads whole indexes: minutes on millions of rows."""
    for what, statement in _questions():
        for row in connection.execute(statement.limit(_SHOWN)).all():
            yield Finding(row[0], str(row[1]), what)


def _questions() -> Iterator[tuple[str, sa.Select[Any]]]:
    for table in metadata.sorted_tables:
        for name, target in _MEANT.items():
            if name in table.c and table is not target and (table.name, name) not in _ELSEWHERE:
                yield f"its {name} names no row of {target.name}", _orphans(table, name, target)
    is_open = operations.c.state.in_(sorted(state.value for state in OPEN_OPERATION_STATES))
    yield (
        "a slot of an operation that is not open",
        _rows(slots, slots.c.subject_id).where(
            ~sa.exists().where(operations.c.id == slots.c.operation_id, is_open)
        ),
    )
    yield (
        "an open operation without a slot",
        _rows(operations, operations.c.id).where(
            is_open,
            ~sa.exists().where(slots.c.operation_id == operations.c.id),
        ),
    )
    yield (
        "another payment holds its provider's reference, or nobody does",
        _rows(payments, payments.c.id).where(
            payments.c.provider_id.is_not(None),
            payments.c.provider_intent_id.is_not(None),
            ~sa.exists().where(
                references.c.provider_id == payments.c.provider_id,
                references.c.kind == "intent",
                references.c.reference == payments.c.provider_intent_id,
                references.c.payment_id == payments.c.id,
            ),
        ),
    )
    yield (
        "its price does not add up",
        _rows(payments, payments.c.id).where(
            payments.c.total_cents
            != payments.c.subtotal_cents + payments.c.tax_cents - payments.c.discount_cents
        ),
    )
    yield (
        "it promises more to refunds than it has",
        _rows(payments, payments.c.id).where(
            payments.c.refund_reserved_cents > payments.c.captured_cents,
            payments.c.refund_reserved_cents > payments.c.refunded_cents,
        ),
    )


def _orphans(table: sa.Table, name: str, target: sa.Table) -> sa.Select[Any]:
    key = table.c.id if "id" in table.c else table.c[name]
    return _rows(table, key).where(
        table.c[name].is_not(None), ~sa.exists().where(target.c.id == table.c[name]).correlate(table)
    )


def _rows(table: sa.Table, key: sa.Column[Any]) -> sa.Select[Any]:
    return sa.select(sa.literal(table.name), key).order_by(key)
