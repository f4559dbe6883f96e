"""How a worker takes rows that nobody else is taking, on any number of machines."""

from __future__ import annotations

import random
from typing import Any, Final

import sqlalchemy as sa

from .session import Row, Rows, Session
from .types import UtcDateTime, moment

__all__ = ["Claim"]

_CROWD: Final = 8
"""Without SKIP LOCKED, out of how many times the wanted rows each worker picks its own."""


class Claim:
    """Take due rows, oldest first, and move their due time to the end of the lease.

    `FOR UPDATE SKIP LOCKED` and an UPDATE of what it found, in one transaction. SQLAlchemy renders the
    first as nothing on SQLite, where BEGIN IMMEDIATE does its work. Where the server does not know it
    (Vitess before 19, MariaDB before 10.6) each row is taken by compare-and-set on its due time.
    """

    def __init__(
        self, name: str, table: sa.Table, due: str, *conditions: sa.ColumnElement[bool], **values: Any
    ) -> None:
        """*values* are what the lease writes besides the due time; *conditions* what is due besides it."""
        column = table.c[due]
        self._names = (f"{name}_find", name)
        self._due = due
        self._candidates = (
            sa.select(*table.c, moment("until").label("until"))
            .where(column <= moment("now"), *conditions)
            .order_by(column, table.c.id)
            .limit(sa.bindparam("limit", type_=sa.Integer()))
        )
        self._find = self._candidates.with_for_update(skip_locked=True)
        lease = table.update().values({due: moment("until"), **values})
        self._lease = lease.where(table.c.id.in_(sa.bindparam("ids", expanding=True)))
        self._take = lease.where(
            table.c.id == sa.bindparam("its_id"),
            column == sa.bindparam("seen", type_=UtcDateTime()),
            *conditions,
        )

    def run(
        self, session: Session, *, limit: int, lease_seconds: float, lease: Row | None = None, **values: Any
    ) -> Rows:
        """Return the rows as they were, with ``until``, the end of their lease.

        *lease* binds what the lease writes, *values* what the conditions compare with.
        """
        until = session.moment("until", lease_seconds)
        sought = {**values, **session.moment("now"), **until}
        written = {**(lease or {}), **until}
        find, name = self._names
        if not session.skip_locked:
            return self._one_by_one(session, limit, sought, {**written, **values})
        rows = session.claim(find, self._find, limit=limit, **sought)
        if rows:
            session.write(name, self._lease, {"ids": [row["id"] for row in rows], **written})
        return rows

    def _one_by_one(self, session: Session, limit: int, sought: Row, written: Row) -> Rows:
        find, name = self._names
        crowd = session.rows(find, self._candidates, limit=limit * _CROWD, **sought)
        mine = random.sample(crowd, min(limit, len(crowd)))
        # In one order, so that two workers that picked the same rows wait and do not deadlock.
        mine.sort(key=lambda row: str(row["id"]))
        moments = session.moment("now")
        return [
            row
            for row in mine
            if session.write(
                name, self._take, {**moments, **written, "its_id": row["id"], "seen": row[self._due]}
            )
        ]
