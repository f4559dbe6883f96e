"""The inbox: verified webhooks of providers, kept for ever so that a late copy is recognised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from ...models import InboxEntry, InboxState
from ..base import FINISHED_ENTRIES
from .claims import Claim
from .rows import inbox_from, inbox_row
from .session import Insertion, Repository
from .tables import inbox
from .types import UtcDateTime, moment

__all__ = ["Inbox"]

_C: Final = inbox.c
_READ: Final = sa.select(inbox)
_GET: Final = _READ.where(_C.id == sa.bindparam("id"))
_BY_EVENT: Final = _READ.where(
    _C.provider_id == sa.bindparam("provider_id"), _C.provider_event_id == sa.bindparam("its_event")
)
_ADD: Final = Insertion("inbox.add", inbox, "provider_id", "provider_event_id", available_at=moment("due"))
_LEASE: Final = {"claim_token": sa.bindparam("token"), "attempts": _C.attempts + 1}
_DUE: Final = Claim("inbox.claim_due", inbox, "available_at", **_LEASE)
_DUE_OF: Final = Claim(
    "inbox.claim_due",
    inbox,
    "available_at",
    # Not by the index that begins with the account: SQLite would sort all that it ever sent.
    sa.func.coalesce(_C.provider_id, "") == sa.bindparam("its_provider"),
    **_LEASE,
)
_MINE: Final = inbox.update().where(
    _C.id == sa.bindparam("its_id"), _C.claim_token == sa.bindparam("its_token")
)
_WAITS: Final = _MINE.values(claim_token=None, processed_at=None, available_at=moment("due"))
_DONE: Final = _MINE.values(
    claim_token=None,
    available_at=None,
    processed_at=sa.func.coalesce(sa.bindparam("done_at", type_=UtcDateTime()), moment("due")),
)
_REPLAY: Final = (
    inbox.update()
    .where(_C.id == sa.bindparam("its_id"))
    .values(
        state=InboxState.RECEIVED.value,
        processed=False,
        attempts=0,
        available_at=moment("due"),
        processed_at=None,
        claim_token=None,
    )
)

_IDS: Final[sa.BindParameter[str]] = sa.bindparam("ids", expanding=True)
_RELEASE: Final = (
    inbox.update()
    .where(_C.id.in_(_IDS), _C.claim_token == sa.bindparam("its_token"))
    .values(available_at=moment("due"), claim_token=None, attempts=_C.attempts - 1)
)
_BETWEEN: Final = (
    sa.select(_C.id, _C.state)
    .where(_C.id > sa.bindparam("after"), _C.id < sa.bindparam("before"))
    .order_by(_C.id)
    .limit(sa.bindparam("limit", type_=sa.Integer()))
)
_BLANK: Final = (
    inbox.update()
    .where(_C.id.in_(_IDS), _C.payload != "", _C.available_at.is_(None))
    .values(payload="", headers=None)
)
_COUNT: Final = sa.select(_C.state, sa.func.count().label("how_many")).group_by(_C.state)
_COUNT_OF: Final = _COUNT.where(_C.provider_id == sa.bindparam("provider_id"))


class Inbox(Repository):
    def add(self, entry: InboxEntry) -> bool:
        row = inbox_row(entry)
        del row["available_at"]
        return _ADD.run(self._session, {**row, **self._session.moment("due")})

    def get(self, entry_id: str) -> InboxEntry | None:
        row = self._session.row("inbox.get", _GET, id=entry_id)
        return inbox_from(row) if row is not None else None

    def get_by_event(self, provider_id: str, provider_event_id: str) -> InboxEntry | None:
        row = self._session.row(
            "inbox.get_by_event", _BY_EVENT, provider_id=provider_id, its_event=provider_event_id
        )
        return inbox_from(row) if row is not None else None

    def claim_due(
        self, *, limit: int, lease_seconds: float, token: str, provider_id: str | None = None
    ) -> Sequence[InboxEntry]:
        claim, values = _DUE, dict[str, Any]()
        if provider_id is not None:
            claim, values = _DUE_OF, {"its_provider": provider_id}
        mine = {"token": token}
        rows = claim.run(self._session, limit=limit, lease_seconds=lease_seconds, lease=mine, **values)
        return [
            inbox_from(row, available_at=row["until"], claim_token=token, attempts=row["attempts"] + 1)
            for row in rows
        ]

    def finish(
        self,
        entry: InboxEntry,
        *,
        token: str,
        state: InboxState,
        retry_in_seconds: float | None = None,
    ) -> bool:
        values: dict[str, Any] = {
            "its_id": entry.id,
            "its_token": token,
            "state": state.value,
            "processed": state in (InboxState.PROCESSED, InboxState.IGNORED),
            "error_message": entry.error_message,
            "payment_id": entry.payment_id,
        }
        if state in (InboxState.RECEIVED, InboxState.PARKED):
            statement = _WAITS
            values |= self._session.moment("due", retry_in_seconds or 0)
        else:
            statement = _DONE
            values |= {"done_at": entry.processed_at, **self._session.moment("due")}
        return self._session.write("inbox.finish", statement, values) == 1

    def replay(self, entry_id: str) -> bool:
        values = {"its_id": entry_id, **self._session.moment("due")}
        return self._session.write("inbox.replay", _REPLAY, values) == 1

    def release(self, entry_ids: Sequence[str], *, token: str) -> int:
        values = {"ids": list(entry_ids), "its_token": token, **self._session.moment("due")}
        return self._session.write("inbox.release", _RELEASE, values)

    def blank(self, *, after_id: str, before_id: str, limit: int) -> tuple[int, str | None]:
        rows = self._session.rows("inbox.find_old", _BETWEEN, after=after_id, before=before_id, limit=limit)
        finished = [row["id"] for row in rows if InboxState(row["state"]) in FINISHED_ENTRIES]
        done = self._session.write("inbox.blank", _BLANK, {"ids": finished}) if finished else 0
        return done, rows[-1]["id"] if rows else None

    def count(self, *, provider_id: str | None = None) -> Mapping[InboxState, int]:
        if provider_id is None:
            rows = self._session.rows("inbox.count", _COUNT)
        else:
            rows = self._session.rows("inbox.count", _COUNT_OF, provider_id=provider_id)
        return {InboxState(row["state"]): row["how_many"] for row in rows}

    def list(
        self,
        *,
        provider_id: str | None = None,
        state: InboxState | None = None,
        payment_id: str | None = None,
        before_id: str | None = None,
        limit: int = 50,
    ) -> Sequence[InboxEntry]:
        query, values = _READ, dict[str, Any]()
        if provider_id is not None:
            query = query.where(_C.provider_id == sa.bindparam("provider_id"))
            values["provider_id"] = provider_id
        if state is not None:
            query, values["its_state"] = query.where(_C.state == sa.bindparam("its_state")), state.value
        if payment_id is not None:
            query, values["its_payment"] = (
                query.where(_C.payment_id == sa.bindparam("its_payment")),
                payment_id,
            )
        if before_id is not None:
            query, values["its_bound"] = query.where(_C.id < sa.bindparam("its_bound")), before_id
        rows = self._session.rows("inbox.list", query.order_by(_C.id.desc()).limit(limit), **values)
        return [inbox_from(row) for row in rows]
