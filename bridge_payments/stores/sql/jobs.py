"""Jobs by the clock: who is at one is written in its row, so that nobody else is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from ...models import ScheduledJob
from .rows import job_from
from .session import Insertion, Repository
from .tables import jobs
from .types import moment

__all__ = ["Jobs"]

_C: Final = jobs.c
_ITS: Final = _C.name == sa.bindparam("its_name")
_GET: Final = sa.select(jobs).where(_ITS)
_ALL: Final = sa.select(jobs).order_by(_C.name)
_NEW: Final = Insertion("jobs.add", jobs, "name", due_at=moment("now"))
_TAKE: Final = (
    jobs.update()
    .where(
        _ITS, _C.due_at <= moment("now"), sa.or_(_C.lease_until.is_(None), _C.lease_until <= moment("now"))
    )
    .values(lease_until=moment("until"), lease_token=sa.bindparam("token"), started_at=moment("now"))
)
_MINE: Final = jobs.update().where(_ITS, _C.lease_token == sa.bindparam("token"))
_EXTEND: Final = _MINE.values(lease_until=moment("until"))
_FINISH: Final = _MINE.values(
    lease_until=None,
    lease_token=None,
    due_at=moment("due"),
    finished_at=moment("now"),
    handled=sa.bindparam("how_many"),
    error=sa.bindparam("its_error"),
    note=sa.bindparam("its_note"),
)


class Jobs(Repository):
    def take(self, name: str, *, lease_seconds: float, token: str) -> ScheduledJob | None:
        session = self._session
        now, until = session.moment("now"), session.moment("until", lease_seconds)
        values: dict[str, Any] = {"its_name": name, "token": token, **now, **until}
        if session.write("jobs.take", _TAKE, values) == 0:
            # Somebody is at it, or it is not due; or it is new, and whoever makes its row takes it.
            if session.row("jobs.get", _GET, its_name=name) is not None:
                return None
            _NEW.run(session, {"name": name, "handled": 0, **now})
            if session.write("jobs.take", _TAKE, values) == 0:
                return None
        row = session.row("jobs.get", _GET, its_name=name)
        return job_from(row) if row is not None else None

    def extend(self, name: str, *, lease_seconds: float, token: str) -> bool:
        until = self._session.moment("until", lease_seconds)
        return self._session.write("jobs.extend", _EXTEND, {"its_name": name, "token": token, **until}) == 1

    def finish(
        self,
        name: str,
        *,
        token: str,
        next_in_seconds: float,
        handled: int = 0,
        error: str | None = None,
        note: str | None = None,
    ) -> bool:
        values: dict[str, Any] = {
            "its_name": name,
            "token": token,
            "how_many": handled,
            "its_error": error,
            "its_note": note,
            **self._session.moment("due", next_in_seconds),
            **self._session.moment("now"),
        }
        return self._session.write("jobs.finish", _FINISH, values) == 1

    def list(self) -> Sequence[ScheduledJob]:
        return [job_from(row) for row in self._session.rows("jobs.list", _ALL)]
