"""Payments, and the references that must be unique besides their ids."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa

from ...models import OPEN_STATUSES, Payment, PaymentStatus
from ...models.ids import id_bounds
from ..base import TOTAL_CAP, IntervalTotals, Page, PaymentQuery, PaymentTotals
from ..codec import guest_key
from .claims import Claim
from .rows import PAYMENT_FIELDS, payment_from, payment_row
from .search import searched, searches
from .session import Insertion, Repository, Rows, Session
from .tables import payments, references
from .types import UtcDateTime

__all__ = ["Payments"]

_C: Final = payments.c
_READ: Final = sa.select(*(payments.c[name] for name in PAYMENT_FIELDS))

_GET: Final = _READ.where(_C.id == sa.bindparam("id"))
_OF_ACCOUNT: Final = _C.provider_id == sa.bindparam("provider_id")
"""On both sides of an OR: before them both it would have SQLite read all that the account has."""
_BY_REFERENCE: Final = (
    _READ.where(
        sa.or_(
            sa.and_(_OF_ACCOUNT, _C.provider_intent_id == sa.bindparam("its_reference")),
            sa.and_(_OF_ACCOUNT, _C.provider_payment_id == sa.bindparam("its_reference")),
        )
    )
    .order_by(sa.case((_C.provider_intent_id == sa.bindparam("its_reference"), 0), else_=1), _C.id)
    .limit(1)
)
_BY_OUR_REFERENCE: Final = _READ.where(_C.reference == sa.bindparam("its_reference"))
_ADD: Final = payments.insert()
_SAVE: Final = payments.update().where(
    _C.id == sa.bindparam("its_id"), _C.version == sa.bindparam("its_version")
)
_SAVE_KEEPING: Final = _SAVE.where(
    # Null-safe: a payment that has no reference keeps that, too.
    _C.provider_id.is_not_distinct_from(sa.bindparam("its_provider")),
    _C.provider_intent_id.is_not_distinct_from(sa.bindparam("its_intent")),
)
_DUE: Final = Claim("payments.claim_due", payments, "next_sync_at")
_STALE: Final = (
    _READ.where(
        _C.client_secret.is_not(None),
        _C.client_secret_expires_at < sa.bindparam("before", type_=UtcDateTime()),
    )
    .order_by(_C.client_secret_expires_at, _C.id)
    .limit(sa.bindparam("limit", type_=sa.Integer()))
)
_TOTALS: Final = (
    sa.select(
        _C.status,
        _C.currency,
        sa.func.count().label("count"),
        sa.func.sum(_C.captured_cents).label("captured_cents"),
        sa.func.sum(_C.refunded_cents).label("refunded_cents"),
    )
    .group_by(_C.status, _C.currency)
    .order_by(_C.status, _C.currency)
)
_COUNT_GUEST: Final = sa.select(sa.func.count()).where(
    _C.guest_email_key == sa.bindparam("email"),
    _C.is_guest_payment.is_(True),
    _C.status.in_(sorted(status.value for status in OPEN_STATUSES)),
    _C.created_at >= sa.bindparam("since", type_=UtcDateTime()),
    _C.id >= sa.bindparam("first_id", type_=sa.String()),
)

_HOLD: Final = Insertion(
    "payments.hold_reference", references, "provider_id", "kind", "reference", own="payment_id"
)
_HELD: Final = (
    references.c.provider_id == sa.bindparam("its_provider"),
    references.c.kind == sa.bindparam("its_kind"),
    references.c.reference == sa.bindparam("its_reference"),
)
_HOLDER: Final = sa.select(references.c.payment_id).where(*_HELD)
_HAND_OVER: Final = (
    references.update()
    .where(*_HELD, references.c.payment_id == sa.bindparam("old"))
    .values(payment_id=sa.bindparam("new"))
)


class Payments(Repository):
    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._held: dict[tuple[str, int], tuple[str | None, str | None]] = {}
        """What this unit read: id and version -> account and intent reference."""

    def get(self, payment_id: str) -> Payment | None:
        return self._one("payments.get", _GET, id=payment_id)

    def get_by_reference(self, provider_id: str, reference: str) -> Payment | None:
        return self._one(
            "payments.get_by_reference", _BY_REFERENCE, provider_id=provider_id, its_reference=reference
        )

    def get_by_our_reference(self, reference: str) -> Payment | None:
        return self._one("payments.get_by_our_reference", _BY_OUR_REFERENCE, its_reference=reference)

    def add(self, payment: Payment) -> None:
        self._session.write("payments.add", _ADD, payment_row(payment))
        self._hold_intent(payment)

    def save(self, payment: Payment, *, expected_version: int) -> bool:
        row = payment_row(payment)
        row.update(its_id=row.pop("id"), its_version=expected_version, version=expected_version + 1)
        reference = (payment.provider_id, payment.provider_intent_id)
        held = self._held.get((payment.id, expected_version))
        if held is None and expected_version > 1 and self._saved_keeping(row):
            held = reference
        elif self._session.write("payments.save", _SAVE, row) != 1:
            return False
        if held != reference:
            self._hold_intent(payment)
        self._held[payment.id, expected_version + 1] = reference
        return True

    def _saved_keeping(self, row: dict[str, Any]) -> bool:
        """Save a row that nobody read in this unit, if it has its reference already.

        It gets one with its first answer, by which it becomes version 2, and hardly ever later.
        """
        same = {"its_provider": row["provider_id"], "its_intent": row["provider_intent_id"]}
        return self._session.write("payments.save", _SAVE_KEEPING, {**row, **same}) == 1

    def list(self, query: PaymentQuery) -> Page:
        values = {name: value for name, value in _filters(query).items() if value is not None}
        if self._session.ids_tell_time and (query.created_from or query.created_to):
            values |= _drawn_between(query.created_from, query.created_to)
        page, count = _list_statements(
            frozenset(values), query.order_by, query.descending, query.before_id is not None
        )
        if query.before_id is not None:
            values["before_id"] = query.before_id
        rows = self._session.rows("payments.list", page, **values, limit=query.limit, offset=query.offset)
        if rows:
            return Page(items=tuple(self._read(rows)), total=rows[0]["total"])
        if query.offset == 0 and query.before_id is None and query.limit > 0:
            return Page(items=(), total=0)
        values.pop("before_id", None)
        return Page(items=(), total=self._session.scalar("payments.count", count, **values))

    def totals(self) -> Sequence[PaymentTotals]:
        return [
            PaymentTotals(
                status=PaymentStatus(row["status"]),
                currency=row["currency"],
                count=int(row["count"]),
                captured_cents=int(row["captured_cents"]),  # a sum of integers is a Decimal in two databases
                refunded_cents=int(row["refunded_cents"]),
            )
            for row in self._session.rows("payments.totals", _TOTALS)
        ]

    def totals_over(self, edges: Sequence[datetime]) -> Sequence[IntervalTotals]:
        values: dict[str, Any] = {f"edge_{number}": edge for number, edge in enumerate(edges)}
        between = (edges[0], edges[-1]) if self._session.ids_tell_time else (None, None)
        values |= _drawn_between(*between)
        rows = self._session.rows("payments.totals_over", _totals_over(len(edges)), **values)
        return [
            IntervalTotals(
                interval=int(row["interval_number"]),
                provider_id=row["provider_id"],
                status=PaymentStatus(row["status"]),
                currency=row["currency"],
                count=int(row["how_many"]),
                captured_cents=int(row["captured_cents"]),
                refunded_cents=int(row["refunded_cents"]),
            )
            for row in rows
        ]

    def claim_due(self, *, limit: int, lease_seconds: float) -> Sequence[Payment]:
        rows = _DUE.run(self._session, limit=limit, lease_seconds=lease_seconds)
        return self._read([{**row, "next_sync_at": row["until"]} for row in rows])

    def with_stale_secrets(self, *, before: datetime, limit: int) -> Sequence[Payment]:
        return self._read(self._session.rows("payments.stale_secrets", _STALE, before=before, limit=limit))

    def take_merchant_reference(self, provider_id: str, reference_code: str, payment_id: str) -> str:
        return self._hold(provider_id, "merchant", reference_code, payment_id)

    def replace_merchant_reference(
        self, provider_id: str, reference_code: str, *, old: str, new: str
    ) -> bool:
        values = _key(provider_id, "merchant", reference_code)
        return self._session.write("payments.hand_over", _HAND_OVER, {**values, "old": old, "new": new}) == 1

    def count_recent_guest(self, guest_email: str, *, since: datetime) -> int:
        between = _drawn_between(since if self._session.ids_tell_time else None, None)
        values = {"email": guest_key(guest_email), "since": since, "first_id": between["first_id"]}
        return int(self._session.scalar("payments.count_guest", _COUNT_GUEST, **values))

    def _hold_intent(self, payment: Payment) -> None:
        if payment.provider_id is None or payment.provider_intent_id is None:
            return
        holder = self._hold(payment.provider_id, "intent", payment.provider_intent_id, payment.id)
        if holder != payment.id:
            raise self._session.refuse("another payment holds this reference of the provider")

    def _hold(self, provider_id: str, kind: str, reference: str, payment_id: str) -> str:
        values = {
            "provider_id": provider_id,
            "kind": kind,
            "reference": reference,
            "payment_id": payment_id,
        }
        if _HOLD.run(self._session, values):
            return payment_id
        holder = self._session.scalar("payments.holder", _HOLDER, **_key(provider_id, kind, reference))
        if holder is None:
            raise self._session.refuse("a reference was given up while it was asked for")
        return str(holder)

    def _one(self, name: str, statement: sa.Select[Any], **values: Any) -> Payment | None:
        row = self._session.row(name, statement, **values)
        return self._read([row])[0] if row is not None else None

    def _read(self, rows: Rows) -> Sequence[Payment]:
        found = [payment_from(row) for row in rows]
        for payment in found:
            self._held[payment.id, payment.version] = (payment.provider_id, payment.provider_intent_id)
        return found


def _key(provider_id: str, kind: str, reference: str) -> dict[str, str]:
    return {"its_provider": provider_id, "its_kind": kind, "its_reference": reference}


# --- figures over time ----------------------------------------------------------------------------

_DRAWN_WITHIN: Final = timedelta(hours=1)
"""How far from when a row says that it was created its id may have been drawn: the clocks of two machines,
which a worker refuses from 5 seconds on, and the time for which a unit of work is tried again."""
_FIRST: Final = ""
_LAST: Final = "~"
"""Before and after every id."""


def _drawn_between(first: datetime | None, last: datetime | None) -> dict[str, str]:
    """Return bounds of ids: a range of an index, and of partitions.

    From ``first_id`` to ``last_id`` are those that rows created between the two may have; from
    ``surely_from`` to ``surely_to`` those that no other row can have.
    """
    within = _DRAWN_WITHIN
    bounds = {
        "first_id": _FIRST if first is None else _drawn(first, -within),
        "surely_from": _FIRST if first is None else _drawn(first, within),
        "surely_to": _LAST if last is None else _drawn(last, -within),
        "last_id": _LAST if last is None else _drawn(last, within),
    }
    if bounds["surely_from"] > bounds["surely_to"]:  # too short a time to be sure of any
        bounds["surely_from"] = bounds["surely_to"] = bounds["last_id"]
    return bounds


def _drawn(moment: datetime, later: timedelta) -> str:
    try:
        return id_bounds("pay", moment + later)
    except OverflowError:  # the calendar's first day, or its last
        return _FIRST if later < timedelta() else _LAST


@lru_cache(maxsize=128)
def _totals_over(edges: int) -> sa.Select[Any]:
    """Return the sums between so many edges. Ids find the rows, by the primary key; their moments count."""
    at: list[sa.BindParameter[datetime]] = [
        sa.bindparam(f"edge_{number}", type_=UtcDateTime()) for number in range(edges)
    ]
    numbers: list[tuple[Any, Any]] = [
        (_C.created_at < edge, sa.literal_column(str(number))) for number, edge in enumerate(at[1:])
    ]
    # In a query of its own: to a database the same CASE with other parameters is another one.
    numbered = (
        sa.select(
            sa.case(*numbers).label("interval_number"),
            *(_C.provider_id, _C.status, _C.currency, _C.captured_cents, _C.refunded_cents),
        )
        .where(
            _C.id >= sa.bindparam("first_id", type_=sa.String()),
            _C.id < sa.bindparam("last_id", type_=sa.String()),
            _C.created_at >= at[0],
            _C.created_at < at[-1],
        )
        .subquery()
    )
    groups = [numbered.c[name] for name in ("interval_number", "provider_id", "status", "currency")]
    return sa.select(
        *groups,
        sa.func.count().label("how_many"),
        sa.func.sum(numbered.c.captured_cents).label("captured_cents"),
        sa.func.sum(numbered.c.refunded_cents).label("refunded_cents"),
    ).group_by(*groups)


# --- the list -------------------------------------------------------------------------------------

_ORDER: Final = {
    "created_at": (_C.id,),  # ids are drawn in the order of creation: one column, one cursor, one index
    "updated_at": (_C.updated_at, _C.id),
    "amount_cents": (_C.total_cents, _C.id),
    "status": (_C.status, _C.id),
}
_FILTERS: Final[dict[str, sa.ColumnElement[bool]]] = {
    "user_id": _C.user_id == sa.bindparam("user_id"),
    "guest_email": sa.and_(_C.guest_email_key == sa.bindparam("guest_email"), _C.is_guest_payment.is_(True)),
    "statuses": _C.status.in_(sa.bindparam("statuses", expanding=True)),
    "provider_id": _C.provider_id == sa.bindparam("provider_id"),
    "reference_code": _C.reference_code == sa.bindparam("reference_code"),
    "created_from": _C.created_at >= sa.bindparam("created_from", type_=UtcDateTime()),
    "created_to": _C.created_at <= sa.bindparam("created_to", type_=UtcDateTime()),
    "first_id": _C.id >= sa.bindparam("first_id", type_=sa.String()),
    "last_id": _C.id < sa.bindparam("last_id", type_=sa.String()),
    **searched((_C.id, _C.guest_email, _C.description)),
}


def _filters(query: PaymentQuery) -> dict[str, Any]:
    return {
        "user_id": query.user_id,
        "guest_email": guest_key(query.guest_email),
        "statuses": None if query.statuses is None else sorted(status.value for status in query.statuses),
        "provider_id": query.provider_id,
        "reference_code": query.reference_code,
        "created_from": query.created_from,
        "created_to": query.created_to,
        **searches(query.search),
    }


@lru_cache(maxsize=256)
def _list_statements(
    filters: frozenset[str], order_by: str, descending: bool, keyset: bool
) -> tuple[sa.Select[Any], sa.Select[Any]]:
    """Return the page with the count of the whole in each row, and that count alone for an empty page."""
    conditions = [_FILTERS[name] for name in sorted(filters & _FILTERS.keys())]
    count = sa.select(sa.func.count()).select_from(_counted(filters))
    page = sa.select(*_READ.selected_columns, count.scalar_subquery().label("total"))
    page = page.where(*conditions)
    if keyset:
        edge = sa.bindparam("before_id", type_=sa.String())
        page = page.where(_C.id < edge if descending else _C.id > edge)
    order = [column.desc() if descending else column.asc() for column in _ORDER[order_by]]
    page = page.order_by(*order).limit(sa.bindparam("limit", type_=sa.Integer()))
    return page.offset(sa.bindparam("offset", type_=sa.Integer())), count


def _counted(filters: frozenset[str]) -> sa.Subquery:
    """Return the ids of what a list is a page of, up to the cap.

    Of a time, most of them are counted along an index alone: only what was drawn near its beginning or its
    end has to be looked up for the moment that it says.
    """
    if "first_id" not in filters:
        return _up_to_the_cap(*(_FILTERS[name] for name in sorted(filters & _FILTERS.keys())))
    dates = {name for name in filters if name.startswith("created_")}
    other = [_FILTERS[name] for name in sorted((filters & _FILTERS.keys()) - dates - {"first_id", "last_id"})]
    moments = [_FILTERS[name] for name in sorted(dates)]
    edges = [sa.bindparam(name, type_=sa.String()) for name in _EDGES]
    surely, begins, ends = (
        _up_to_the_cap(*other, _C.id >= edges[low], _C.id < edges[low + 1], *(moments if low != 1 else ()))
        for low in (1, 0, 2)
    )
    every = sa.union_all(*(sa.select(part.c.id) for part in (surely, begins, ends)))
    return every.limit(TOTAL_CAP).subquery()


_EDGES: Final = ("first_id", "surely_from", "surely_to", "last_id")


def _up_to_the_cap(*conditions: sa.ColumnElement[bool]) -> sa.Subquery:
    return sa.select(_C.id).where(*conditions).limit(TOTAL_CAP).correlate(None).subquery()
