"""What waits, for metrics and for whoever is on duty: from the indexes of what is due, and bounded."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from ...models import DeliveryState, InboxState, OperationState
from ..base import TOTAL_CAP, Backlog, Queue
from .session import Row, Session
from .tables import deliveries, inbox, operations, outbox
from .types import UtcDateTime

__all__ = ["read_backlog"]


def _waiting(due: sa.Column[Any], *columns: sa.Column[Any]) -> sa.Subquery:
    # What is finished is due at no time, and the index of what is due does not hold it.
    return sa.select(*columns).where(due.is_not(None)).limit(TOTAL_CAP).subquery()


def _counted(due: sa.Column[Any], created_at: sa.Column[Any]) -> Any:
    rows = _waiting(due, created_at)
    count, oldest = sa.func.count().label("count"), sa.func.min(rows.c.created_at).label("oldest")
    return sa.select(count, oldest).select_from(rows)


def _dead(table: sa.Table, state: str) -> sa.Select[Any]:
    rows = sa.select(table.c.id).where(table.c.state == state).limit(TOTAL_CAP).subquery()
    return sa.select(sa.func.count()).select_from(rows)


_OPEN: Final = _waiting(operations.c.due_at, operations.c.state, operations.c.created_at)
_UNKNOWN: Final = _OPEN.c.state == OperationState.UNKNOWN.value
_OPERATIONS: Final[Any] = sa.select(
    sa.func.count().label("count"),
    sa.func.min(_OPEN.c.created_at).label("oldest"),
    sa.func.count(sa.case((_UNKNOWN, 1))).label("unknown_count"),
    sa.func.min(sa.case((_UNKNOWN, _OPEN.c.created_at)), type_=UtcDateTime()).label("unknown_oldest"),
).select_from(_OPEN)
_EVENTS: Final = _counted(outbox.c.available_at, outbox.c.created_at)
_DELIVERIES: Final = _counted(deliveries.c.available_at, deliveries.c.created_at)
_INBOX: Final = _counted(inbox.c.available_at, inbox.c.created_at)
_DEAD_DELIVERIES: Final = _dead(deliveries, DeliveryState.DEAD.value)
_DEAD_INBOX: Final = _dead(inbox, InboxState.DEAD.value)


def read_backlog(session: Session) -> Backlog:
    started = session.row("backlog.operations", _OPERATIONS)
    assert started is not None  # a count is always answered
    return Backlog(
        open_operations=_queue(started),
        unknown_operations=Queue(count=started["unknown_count"], oldest=started["unknown_oldest"]),
        untold_events=_queue(session.row("backlog.events", _EVENTS)),
        pending_deliveries=_queue(session.row("backlog.deliveries", _DELIVERIES)),
        inbox=_queue(session.row("backlog.inbox", _INBOX)),
        dead_deliveries=session.scalar("backlog.dead_deliveries", _DEAD_DELIVERIES),
        dead_inbox=session.scalar("backlog.dead_inbox", _DEAD_INBOX),
    )


def _queue(row: Row | None) -> Queue:
    return Queue() if row is None else Queue(count=row["count"], oldest=row["oldest"])
