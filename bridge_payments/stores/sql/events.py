"""The outbox: events that were committed together with what they tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from ...models import DeliveryState, Event
from .claims import Claim
from .rows import event_from, event_row
from .session import Repository
from .tables import deliveries, outbox
from .types import UtcDateTime, moment

__all__ = ["Events"]

_C: Final = outbox.c
_READ: Final = sa.select(outbox)
_GET: Final = _READ.where(_C.id == sa.bindparam("id"))
_GET_ALL: Final = _READ.where(_C.id.in_(sa.bindparam("wanted", expanding=True)))
_COUNT: Final = sa.select(_C.type, sa.func.count().label("how_many")).group_by(_C.type)
_FOR_SUBJECT: Final = _READ.where(_C.subject_id == sa.bindparam("its_subject")).order_by(_C.id)
_ADD: Final = outbox.insert().values(available_at=moment("due"))
_UNTOLD: Final = Claim("events.claim_untold", outbox, "available_at")
_TOLD: Final = (
    outbox.update().where(_C.id.in_(sa.bindparam("its_ids", expanding=True))).values(available_at=None)
)
_OLD: Final = (
    sa.select(_C.id)
    .where(
        _C.created_at < sa.bindparam("moment", type_=UtcDateTime()),
        _C.available_at.is_(None),
        # A delivery that is still on its way needs the event that it carries. Found by its event: the other
        # index would do for SQLite, which then looked at everything that is pending, for every event.
        ~sa.exists().where(
            deliveries.c.event_id == _C.id,
            sa.func.coalesce(deliveries.c.state, "") == DeliveryState.PENDING.value,
        ),
    )
    .order_by(_C.created_at)  # not by id, along which nothing says where the old ones end
    .limit(sa.bindparam("limit", type_=sa.Integer()))
)
_IDS: Final[sa.BindParameter[str]] = sa.bindparam("ids", expanding=True)
_DELETE_DELIVERIES: Final = deliveries.delete().where(deliveries.c.event_id.in_(_IDS))
_DELETE: Final = outbox.delete().where(_C.id.in_(_IDS))


class Events(Repository):
    def add(self, event: Event) -> None:
        self._session.write("events.add", _ADD, {**event_row(event), **self._session.moment("due")})

    def get(self, event_id: str) -> Event | None:
        row = self._session.row("events.get", _GET, id=event_id)
        return event_from(row) if row is not None else None

    def get_all(self, event_ids: Sequence[str]) -> Mapping[str, Event]:
        if not event_ids:
            return {}
        rows = self._session.rows("events.get_all", _GET_ALL, wanted=list(event_ids))
        return {row["id"]: event_from(row) for row in rows}

    def count_by_type(self) -> Mapping[str, int]:
        return {row["type"]: row["how_many"] for row in self._session.rows("events.count", _COUNT)}

    def for_subject(self, subject_id: str) -> Sequence[Event]:
        rows = self._session.rows("events.for_subject", _FOR_SUBJECT, its_subject=subject_id)
        return [event_from(row) for row in rows]

    def claim_untold(self, *, limit: int, lease_seconds: float) -> Sequence[Event]:
        rows = _UNTOLD.run(self._session, limit=limit, lease_seconds=lease_seconds)
        return [event_from(row) for row in rows]

    def mark_told(self, *event_ids: str) -> None:
        self._session.write("events.mark_told", _TOLD, {"its_ids": list(event_ids)})

    def delete_told_before(self, moment: datetime, *, limit: int) -> int:
        rows = self._session.rows("events.find_old", _OLD, moment=moment, limit=limit)
        if not rows:
            return 0
        ids = {"ids": [row["id"] for row in rows]}
        self._session.write("events.delete_deliveries", _DELETE_DELIVERIES, ids)
        return self._session.write("events.delete_told", _DELETE, ids)
