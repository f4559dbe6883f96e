"""Idempotency keys: who used one for what. The unique key decides every race."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import sqlalchemy as sa

from ..base import IdempotencyRecord
from .rows import key_from, key_row
from .session import Insertion, Repository
from .tables import keys
from .types import UtcDateTime

__all__ = ["Idempotency"]

_PUT: Final = Insertion("idempotency.put", keys, "scope", "key", own="subject_id")
_GET: Final = sa.select(keys).where(
    keys.c.scope == sa.bindparam("its_scope"), keys.c.key == sa.bindparam("its_key")
)
_RELEASE: Final = keys.delete().where(keys.c.operation_id == sa.bindparam("its_operation"))
_OLD: Final = (
    sa.select(keys.c.scope, keys.c.key)
    .where(keys.c.created_at < sa.bindparam("moment", type_=UtcDateTime()))
    .order_by(keys.c.created_at)
    .limit(sa.bindparam("limit", type_=sa.Integer()))
    .subquery()  # twice wrapped: MySQL takes no LIMIT inside IN
)
_DELETE_BEFORE: Final = keys.delete().where(
    sa.tuple_(keys.c.scope, keys.c.key).in_(sa.select(_OLD.c.scope, _OLD.c.key))
)


class Idempotency(Repository):
    def put(self, record: IdempotencyRecord) -> IdempotencyRecord:
        row = key_row(record)
        for _ in range(3):
            if _PUT.run(self._session, row) and self._session.dialect not in ("mysql", "mariadb"):
                return record
            found = self._session.row("idempotency.get", _GET, its_scope=record.scope, its_key=record.key)
            if found is not None:
                return key_from(found)  # else it was released between the two statements: it is free now
        raise self._session.refuse("an idempotency key changed hands faster than it could be read")

    def release(self, operation_id: str) -> int:
        return self._session.write("idempotency.release", _RELEASE, {"its_operation": operation_id})

    def delete_before(self, moment: datetime, *, limit: int) -> int:
        values = {"moment": moment, "limit": limit}
        return self._session.write("idempotency.delete_before", _DELETE_BEFORE, values)
