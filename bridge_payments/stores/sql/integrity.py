"""What foreign keys would have kept, asked of the rows: nobody's references, broken sums, slots that stayed.

There are none in the schema (MySQL refuses them on partitioned tables, Vitess by default), so that
the engine keeps them, and an operator may look whether it did: `bridge-payments db check`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from .questions import QUESTIONS
from .tables import keys, references, slots

__all__ = ["Finding", "findings"]

_SHOWN: Final = 20
"""Rows named for each question: an operator begins with some of them."""
_STEP: Final = 2_000
"""Rows of one statement: over in milliseconds, so that a server that ends long ones ends none of ours."""


class Finding(NamedTuple):
    """One row that contradicts another, or itself."""

    table: str
    row: str
    what: str


_WALKED: Final = {slots: "subject_id", keys: "created_at", references: "reference"}
"""Along which column, where it is not the id. Each has an index, alone or behind what `_GROUPED` names."""
_GROUPED: Final = {references: (references.c.provider_id, references.c.kind)}
_NAMED: Final = {slots: "subject_id", keys: "key", references: "reference"}


def findings(connection: sa.Connection) -> Iterator[Finding]:
    """Yield what does not fit together. Walks every table along a key: minutes on millions of rows.

    Each statement reads some rows and, by their keys, those that they name, as they are at that moment:
    writers are not waited for and do not wait, and nothing is remembered but where the walk is.
    """
    for table, questions in QUESTIONS.items():
        told: Counter[str] = Counter()
        name = table.c[_NAMED.get(table, "id")]
        for rows in _walk(connection, table):
            for question in questions:
                left = _SHOWN - told[question.what]
                statement = sa.select(name).where(*rows, question.wrong).order_by(name).limit(left)
                for (row,) in connection.execute(statement).all() if left else ():
                    told[question.what] += 1
                    yield Finding(table.name, str(row), question.what)


def _walk(connection: sa.Connection, table: sa.Table) -> Iterator[list[sa.ColumnElement[bool]]]:
    """Yield conditions that hold for `_STEP` rows each, and together for every row of *table*."""
    key = table.c[_WALKED.get(table, "id")]
    for group in _groups(connection, [], *_GROUPED.get(table, ())):
        after = group
        while True:
            beyond = sa.select(key).where(*after).order_by(key).offset(_STEP - 1).limit(1)
            last = connection.scalar(beyond)
            yield after if last is None else [*after, key <= last]
            connection.rollback()  # no transaction is as long as the walk
            if last is None:
                break
            after = [*group, key > last]


def _groups(
    connection: sa.Connection, given: list[sa.ColumnElement[bool]], *columns: sa.Column[Any]
) -> Iterator[list[sa.ColumnElement[bool]]]:
    """Yield a condition for every combination of values that *columns*, the beginning of an index, have."""
    if not columns:
        yield given
        return
    column, *others = columns
    value = connection.scalar(sa.select(sa.func.min(column)).where(*given))
    while value is not None:
        yield from _groups(connection, [*given, column == value], *others)
        value = connection.scalar(sa.select(sa.func.min(column)).where(*given, column > value))
