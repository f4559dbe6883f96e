"""Operations, and the slot that lets one of them at a time work on a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from ...models import OPEN_OPERATION_STATES, OpenOperations, Operation, OperationState
from ..codec import OPERATION_OUTCOME
from .claims import Claim
from .rows import operation_from, operation_row
from .session import Insertion, Repository
from .tables import operations, slots
from .types import moment

__all__ = ["Operations"]

_C: Final = operations.c
_READ: Final = sa.select(operations)
_OPEN: Final = _C.state.in_(sorted(state.value for state in OPEN_OPERATION_STATES))
_FREE: Final = sa.or_(_C.lease_until.is_(None), _C.lease_until <= moment("now"))
_MINE: Final = _C.lease_token == sa.bindparam("its_token")

_GET: Final = _READ.where(_C.id == sa.bindparam("id"))
_BY_REFERENCE: Final = _READ.where(_C.reference == sa.bindparam("its_reference"))
_FOR_SUBJECT: Final = _READ.where(_C.subject_id == sa.bindparam("its_subject")).order_by(_C.id)
_QUEUED: Final = sa.and_(_OPEN, _C.due_at.is_not(None))
"""An open one always has a due time, and no other has: the index on it is the queue."""
_LIST_OPEN: Final = (
    # By time, which is the order of ids: sorted by those SQLite would read every operation there ever was.
    _READ.where(_QUEUED).order_by(_C.created_at, _C.id).limit(sa.bindparam("limit", type_=sa.Integer()))
)
_COUNT_OPEN: Final = (
    sa.select(
        _C.provider_id, _C.state, sa.func.count().label("count"), sa.func.min(_C.created_at).label("oldest")
    )
    .where(_QUEUED)
    .group_by(_C.provider_id, _C.state)
    .order_by(_C.provider_id, _C.state)
)
_TAKE_SLOT: Final = Insertion("operations.take_slot", slots, "subject_id", own="operation_id")
_HOLDER: Final = sa.select(slots.c.operation_id).where(slots.c.subject_id == sa.bindparam("its_subject"))
_GIVE_SLOT_UP: Final = slots.delete().where(
    slots.c.subject_id == sa.bindparam("its_subject"), slots.c.operation_id == sa.bindparam("its_id")
)
_ADD: Final = operations.insert().values(lease_until=moment("until"), due_at=moment("until"))
_SAVE: Final = (
    operations.update()
    # A token of None means that nobody holds the lease, and must be the case.
    .where(_C.id == sa.bindparam("its_id"), _C.lease_token.is_not_distinct_from(sa.bindparam("its_token")))
    .values(version=_C.version + 1)
)
_FINISH: Final = _SAVE.values(lease_token=None, lease_until=None, due_at=None)
_HAND_BACK: Final = (
    operations.update()
    .where(_C.id == sa.bindparam("its_id"), _MINE, _OPEN)
    .values(lease_token=None, lease_until=None, due_at=moment("due"))
)
_TAKE_LEASE: Final = (
    operations.update()
    .where(_C.id == sa.bindparam("its_id"), _OPEN, _FREE)
    .values(lease_token=sa.bindparam("new_token"), lease_until=moment("until"), due_at=moment("until"))
)
_DUE: Final = Claim(
    "operations.claim_due",
    operations,
    "due_at",
    _OPEN,
    _FREE,
    lease_token=sa.bindparam("new_token"),
    lease_until=moment("until"),
    attempts=_C.attempts + 1,
)


class Operations(Repository):
    def get(self, operation_id: str) -> Operation | None:
        return self._one("operations.get", _GET, id=operation_id)

    def get_by_reference(self, reference: str) -> Operation | None:
        return self._one("operations.get_by_reference", _BY_REFERENCE, its_reference=reference)

    def for_subject(self, subject_id: str) -> Sequence[Operation]:
        rows = self._session.rows("operations.for_subject", _FOR_SUBJECT, its_subject=subject_id)
        return [operation_from(row) for row in rows]

    def reserve(self, operation: Operation, *, lease_seconds: float) -> str | None:
        slot = {"subject_id": operation.subject_id, "operation_id": operation.id}
        for _ in range(3):
            taken = _TAKE_SLOT.run(self._session, slot)
            holder = None if taken else self.holder_of(operation.subject_id)
            if taken or holder is not None:
                break  # else it was given up between the two statements: it is free now
        else:
            raise self._session.refuse("a slot changed hands faster than it could be read")
        if holder is not None:
            return holder
        row = operation_row(operation)
        del row["lease_until"], row["due_at"]
        until = self._session.moment("until", lease_seconds)
        self._session.write("operations.add", _ADD, {**row, **until})
        return None

    def save(self, operation: Operation, *, token: str | None) -> bool:
        row = operation_row(operation)
        values = {name: row[name] for name in OPERATION_OUTCOME}
        statement = _SAVE if operation.is_open else _FINISH
        key = {"its_id": operation.id, "its_token": token}
        if self._session.write("operations.save", statement, {**values, **key}) != 1:
            return False
        if not operation.is_open:
            slot = {"its_subject": operation.subject_id, "its_id": operation.id}
            self._session.write("operations.give_slot_up", _GIVE_SLOT_UP, slot)
        return True

    def hand_back(self, operation_id: str, *, token: str, delay_seconds: float) -> bool:
        due = self._session.moment("due", delay_seconds)
        values = {"its_id": operation_id, "its_token": token, **due}
        return self._session.write("operations.hand_back", _HAND_BACK, values) == 1

    def lease(self, operation_id: str, *, token: str, lease_seconds: float) -> Operation | None:
        session = self._session
        moments = {**session.moment("now"), **session.moment("until", lease_seconds)}
        values = {"its_id": operation_id, "new_token": token, **moments}
        if session.write("operations.lease", _TAKE_LEASE, values) != 1:
            return None
        return self.get(operation_id)

    def claim_due(self, *, limit: int, lease_seconds: float, token: str) -> Sequence[Operation]:
        rows = _DUE.run(self._session, limit=limit, lease_seconds=lease_seconds, lease={"new_token": token})
        return [
            operation_from(
                row,
                lease_token=token,
                lease_until=row["until"],
                due_at=row["until"],
                attempts=row["attempts"] + 1,
            )
            for row in rows
        ]

    def holder_of(self, subject_id: str) -> str | None:
        holder: str | None = self._session.scalar("operations.holder", _HOLDER, its_subject=subject_id)
        return holder

    def list_open(self, *, limit: int) -> Sequence[Operation]:
        rows = self._session.rows("operations.list_open", _LIST_OPEN, limit=limit)
        return [operation_from(row) for row in rows]

    def count_open(self) -> Sequence[OpenOperations]:
        return [
            OpenOperations(
                provider_id=row["provider_id"],
                state=OperationState(row["state"]),
                count=int(row["count"]),
                oldest=row["oldest"],
            )
            for row in self._session.rows("operations.count_open", _COUNT_OPEN)
        ]

    def _one(self, name: str, statement: sa.Select[Any], **values: Any) -> Operation | None:
        row = self._session.row(name, statement, **values)
        return operation_from(row) if row is not None else None
