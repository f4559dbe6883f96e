"""Deliveries: one event on its way to one endpoint, with attempts, lease and token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from ...models import Delivery, DeliveryState
from ...models.ids import id_bounds
from ..base import NOBODY_SERVES_IT
from .claims import Claim
from .rows import delivery_from, delivery_row
from .session import Insertion, Repository
from .tables import deliveries
from .types import UtcDateTime, moment

__all__ = ["Deliveries"]

_C: Final = deliveries.c
_READ: Final = sa.select(deliveries)
_GET: Final = _READ.where(_C.id == sa.bindparam("id"))
_ADD: Final = Insertion("deliveries.add", deliveries, "event_id", "endpoint", available_at=moment("due"))
_ADD_DEAD: Final = Insertion("deliveries.add_dead", deliveries, "event_id", "endpoint")
_LEASE: Final = {"claim_token": sa.bindparam("token"), "attempts": _C.attempts + 1}
_DUE: Final = Claim("deliveries.claim_due", deliveries, "available_at", **_LEASE)
_DUE_FOR: Final = Claim(
    "deliveries.claim_due",
    deliveries,
    "available_at",
    _C.endpoint.in_(sa.bindparam("endpoints", expanding=True)),
    **_LEASE,
)
_MINE: Final = deliveries.update().where(
    _C.id == sa.bindparam("its_id"), _C.claim_token == sa.bindparam("its_token")
)
_PENDING: Final = _MINE.values(claim_token=None, delivered_at=None, available_at=moment("due"))
_DEAD: Final = _MINE.values(claim_token=None, delivered_at=None, available_at=None)
_DELIVERED: Final = _MINE.values(
    claim_token=None,
    available_at=None,
    delivered_at=sa.func.coalesce(sa.bindparam("told_at", type_=UtcDateTime()), moment("due")),
)
_IDS: Final[sa.BindParameter[str]] = sa.bindparam("ids", expanding=True)
_THESE: Final = deliveries.update().where(_C.id.in_(_IDS), _C.claim_token == sa.bindparam("its_token"))
_ALL_DELIVERED: Final = _THESE.values(
    state=DeliveryState.DELIVERED.value,
    status_code=sa.bindparam("its_status"),
    error=None,
    claim_token=None,
    available_at=None,
    delivered_at=moment("due"),
)
_RELEASE: Final = _THESE.values(available_at=moment("due"), claim_token=None, attempts=_C.attempts - 1)
_STALE: Final = (
    sa.select(_C.id)
    .where(
        _C.state == DeliveryState.PENDING.value,
        _C.created_at < sa.bindparam("moment", type_=UtcDateTime()),
    )
    .order_by(_C.id)
    .limit(sa.bindparam("limit", type_=sa.Integer()))
)
_GIVE_UP: Final = (
    deliveries.update()
    .where(_C.id.in_(_IDS), _C.state == DeliveryState.PENDING.value)
    .values(
        state=DeliveryState.DEAD.value,
        available_at=None,
        claim_token=None,
        error=NOBODY_SERVES_IT,
    )
)
_REDELIVER: Final = (
    deliveries.update()
    .where(_C.id == sa.bindparam("its_id"), _C.state != DeliveryState.PENDING.value)
    .values(
        state=DeliveryState.PENDING.value,
        attempts=0,
        available_at=moment("due"),
        delivered_at=None,
        claim_token=None,
    )
)


_COUNT: Final = (
    sa.select(_C.state, sa.func.count().label("how_many"))
    .where(
        # Every state, by name: so the index of state and id is searched, and not read from end to end.
        _C.state.in_([state.value for state in DeliveryState]),
        _C.id >= sa.bindparam("first_id", type_=sa.String()),
        _C.created_at >= sa.bindparam("since", type_=UtcDateTime()),
    )
    .group_by(_C.state)
)
_DRAWN_BEFORE: Final = timedelta(days=1)
"""How long before a row says that it was created its id may have been drawn: the clocks of two machines."""


class Deliveries(Repository):
    def add(self, delivery: Delivery) -> bool:
        row = delivery_row(delivery)
        if delivery.state is DeliveryState.DEAD:
            return _ADD_DEAD.run(self._session, {**row, "available_at": None})
        del row["available_at"]
        return _ADD.run(self._session, {**row, **self._session.moment("due")})

    def add_all(self, deliveries: Sequence[Delivery]) -> None:
        due = self._session.moment("due")
        rows = [delivery_row(delivery) for delivery in deliveries if delivery.state is not DeliveryState.DEAD]
        for row in rows:
            del row["available_at"]
        _ADD.run_all(self._session, [row | due for row in rows])
        dead = [delivery_row(delivery) for delivery in deliveries if delivery.state is DeliveryState.DEAD]
        _ADD_DEAD.run_all(self._session, [row | {"available_at": None} for row in dead])

    def get(self, delivery_id: str) -> Delivery | None:
        row = self._session.row("deliveries.get", _GET, id=delivery_id)
        return delivery_from(row) if row is not None else None

    def claim_due(
        self, *, limit: int, lease_seconds: float, token: str, endpoints: Sequence[str] | None = None
    ) -> Sequence[Delivery]:
        claim, values = _DUE, dict[str, Any]()
        if endpoints is not None:
            claim, values = _DUE_FOR, {"endpoints": list(endpoints)}
        mine = {"token": token}
        rows = claim.run(self._session, limit=limit, lease_seconds=lease_seconds, lease=mine, **values)
        return [
            delivery_from(row, available_at=row["until"], claim_token=token, attempts=row["attempts"] + 1)
            for row in rows
        ]

    def finish(
        self,
        delivery: Delivery,
        *,
        token: str,
        state: DeliveryState,
        retry_in_seconds: float | None = None,
    ) -> bool:
        values: dict[str, Any] = {
            "its_id": delivery.id,
            "its_token": token,
            "state": state.value,
            "status_code": delivery.status_code,
            "error": delivery.error,
        }
        statement = _DEAD
        if state is DeliveryState.DELIVERED:
            statement = _DELIVERED
            values |= {"told_at": delivery.delivered_at, **self._session.moment("due")}
        elif state is DeliveryState.PENDING:
            statement = _PENDING
            values |= self._session.moment("due", retry_in_seconds or 0)
        return self._session.write("deliveries.finish", statement, values) == 1

    def finish_delivered(self, delivery_ids: Sequence[str], *, token: str, status_code: int | None) -> int:
        values = {"ids": list(delivery_ids), "its_token": token, "its_status": status_code}
        values |= self._session.moment("due")
        return self._session.write("deliveries.finish_delivered", _ALL_DELIVERED, values)

    def release(self, delivery_ids: Sequence[str], *, token: str) -> int:
        values = {"ids": list(delivery_ids), "its_token": token, **self._session.moment("due")}
        return self._session.write("deliveries.release", _RELEASE, values)

    def count(self, *, since: datetime) -> Mapping[DeliveryState, int]:
        first = ""
        if self._session.ids_tell_time:
            with suppress(OverflowError):  # the calendar's first day: every id is later
                first = id_bounds("dlv", since - _DRAWN_BEFORE)
        rows = self._session.rows("deliveries.count", _COUNT, first_id=first, since=since)
        return {DeliveryState(row["state"]): row["how_many"] for row in rows}

    def give_up_before(self, moment: datetime, *, limit: int) -> int:
        rows = self._session.rows("deliveries.find_stale", _STALE, moment=moment, limit=limit)
        if not rows:
            return 0
        return self._session.write("deliveries.give_up", _GIVE_UP, {"ids": [row["id"] for row in rows]})

    def redeliver(self, delivery_id: str) -> bool:
        values = {"its_id": delivery_id, **self._session.moment("due")}
        return self._session.write("deliveries.redeliver", _REDELIVER, values) == 1

    def list(
        self,
        *,
        state: DeliveryState | None = None,
        event_id: str | None = None,
        endpoint: str | None = None,
        before_id: str | None = None,
        limit: int = 50,
    ) -> Sequence[Delivery]:
        query, values = _READ, dict[str, Any]()
        if state is not None:
            query, values["its_state"] = query.where(_C.state == sa.bindparam("its_state")), state.value
        if event_id is not None:
            query, values["its_event"] = query.where(_C.event_id == sa.bindparam("its_event")), event_id
        if endpoint is not None:
            query = query.where(_C.endpoint == sa.bindparam("its_endpoint"))
            values["its_endpoint"] = endpoint
        if before_id is not None:
            query, values["its_bound"] = query.where(_C.id < sa.bindparam("its_bound")), before_id
        rows = self._session.rows("deliveries.list", query.order_by(_C.id.desc()).limit(limit), **values)
        return [delivery_from(row) for row in rows]
