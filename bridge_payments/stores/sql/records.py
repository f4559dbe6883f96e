"""Between a record and its row, and the statements that every table of owned records needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any, ClassVar, Final, Generic, TypeVar

import sqlalchemy as sa

from ...models import Address, Customer, Dispute, PaymentMethod, Subscription
from ..base import TOTAL_CAP, Listing, OwnedQuery
from ..codec import (
    ENUMS,
    decode_next_action,
    dumps,
    encode_next_action,
    guest_from,
    guest_key,
    loads,
    owner_key,
)
from .search import searched, searches
from .session import Repository, Row, Rows, Session
from .types import UtcDateTime

__all__ = ["Codec", "Lists", "Records", "owner_of", "stale_secrets"]

R = TypeVar("R", bound="Customer | PaymentMethod | Address | Subscription | Dispute")


def owner_of(row: Any) -> str | None:
    return owner_key(user_id=row.user_id, guest_email=row.guest_email)


class Codec(Generic[R]):
    """One record, field by field; *derived* adds the columns that no field has."""

    def __init__(self, type_: type[R], derived: Callable[[R], Mapping[str, Any]] = lambda _: {}) -> None:
        self._type = type_
        self.fields: Final = tuple(field.name for field in fields(type_) if field.compare)
        self._enums = ENUMS[type_]
        self._derived = derived

    def row(self, record: R) -> dict[str, Any]:
        row = {name: getattr(record, name) for name in self.fields}
        for name in self._enums:
            row[name] = row[name].value
        if "metadata" in row:
            row["metadata"] = dumps(row["metadata"]) if row["metadata"] else None
        if "next_action" in row:
            action = encode_next_action(row["next_action"], row["client_secret"])
            row["next_action"] = dumps(action) if action is not None else None
        if "guest_data" in row:
            row["guest_data"] = dumps(row["guest_data"]) if row["guest_data"] is not None else None
        row.update(self._derived(record))
        return row

    def record(self, row: Row) -> R:
        values = {name: row[name] for name in self.fields}
        for name, enum in self._enums.items():
            values[name] = enum(values[name])
        if "metadata" in values:
            values["metadata"] = loads(values["metadata"]) if values["metadata"] is not None else {}
        if values.get("next_action") is not None:
            values["next_action"] = decode_next_action(loads(values["next_action"]), values["client_secret"])
        if values.get("guest_data") is not None:
            values["guest_data"] = guest_from(loads(values["guest_data"]))
        return self._type(**values)


class Records(Repository, Generic[R]):
    """Get, add and save by version. A subclass names its table; statements are built once for each."""

    name: ClassVar[str]
    table: ClassVar[sa.Table]
    codec: ClassVar[Codec[Any]]
    _get: ClassVar[sa.Select[Any]]
    _add: ClassVar[sa.Insert]
    _save: ClassVar[sa.Update]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        columns = cls.table.c
        cls._get = cls.select().where(columns.id == sa.bindparam("its_id"))
        cls._add = cls.table.insert()
        cls._save = cls.table.update().where(
            columns.id == sa.bindparam("its_id"), columns.version == sa.bindparam("its_version")
        )

    @classmethod
    def select(cls) -> sa.Select[Any]:
        return sa.select(*(cls.table.c[name] for name in cls.codec.fields))

    def get(self, row_id: str, /) -> R | None:
        return self.one("get", self._get, its_id=row_id)

    def insert(self, record: R) -> None:
        self._session.write(f"{self.name}.add", self._add, self.codec.row(record))

    def save(self, record: R, /, *, expected_version: int) -> bool:
        return self.update(self.codec.row(record), expected_version)

    def update(self, row: dict[str, Any], expected_version: int) -> bool:
        row.update(its_id=row.pop("id"), its_version=expected_version, version=expected_version + 1)
        return self._session.write(f"{self.name}.save", self._save, row) == 1

    def one(self, name: str, statement: sa.Select[Any], **values: Any) -> R | None:
        row = self._session.row(f"{self.name}.{name}", statement, **values)
        return self.codec.record(row) if row is not None else None

    def all(self, name: str, statement: sa.Select[Any], **values: Any) -> list[R]:
        return self.read(self._session.rows(f"{self.name}.{name}", statement, **values))

    def read(self, rows: Rows) -> list[R]:
        return [self.codec.record(row) for row in rows]


def stale_secrets(select: sa.Select[Any], table: sa.Table) -> sa.Select[Any]:
    """Return the SELECT of what still holds a client secret that expired before a moment."""
    expiry = table.c.client_secret_expires_at
    return (
        select.where(table.c.client_secret.is_not(None), expiry < sa.bindparam("before", type_=UtcDateTime()))
        .order_by(expiry, table.c.id)
        .limit(sa.bindparam("limit", type_=sa.Integer()))
    )


# --- lists ----------------------------------------------------------------------------------------


class Lists(Generic[R]):
    """The list of one table: filters by name, orders by name, one statement for a page and its total."""

    def __init__(
        self,
        records: type[Records[R]],
        *,
        guest: sa.ColumnElement[bool],
        search: Sequence[sa.ColumnElement[Any]],
        orders: Sequence[str],
        filters: Mapping[str, sa.ColumnElement[bool]] | None = None,
        always: Sequence[sa.ColumnElement[bool]] = (),
    ) -> None:
        self._records = records
        table = records.table
        self._orders = {
            # Ids are drawn in the order of creation: one column, one cursor, one index.
            name: (table.c.id,) if name == "created_at" else (table.c[name], table.c.id)
            for name in orders
        }
        self._always = tuple(always)
        self._filters: dict[str, sa.ColumnElement[bool]] = {
            "user_id": table.c.user_id == sa.bindparam("user_id"),
            "guest_email": sa.and_(table.c.guest_email_key == sa.bindparam("guest_email"), guest),
            **searched(search),
            **(filters or {}),
        }
        if "provider_id" in table.c:
            self._filters["provider_id"] = table.c.provider_id == sa.bindparam("provider_id")
        self._statements = lru_cache(maxsize=128)(self._build)

    def run(self, session: Session, query: OwnedQuery, **more: Any) -> Listing[R]:
        asked = {
            "user_id": query.user_id,
            "guest_email": guest_key(query.guest_email),
            "provider_id": query.provider_id,
            **more,
        }
        values = {name: value for name, value in asked.items() if value is not None and name in self._filters}
        values |= searches(query.search)
        filters = frozenset(values.keys() & self._filters.keys())
        page, count = self._statements(filters, query.order_by, query.descending)
        name = self._records.name
        rows = session.rows(f"{name}.list", page, **values, limit=query.limit, offset=query.offset)
        if rows:
            read = self._records.codec.record
            return Listing(items=tuple(read(row) for row in rows), total=rows[0]["whole"])
        if query.offset == 0 and query.limit > 0:
            return Listing(items=(), total=0)
        return Listing(items=(), total=session.scalar(f"{name}.count", count, **values))

    def _build(
        self, filters: frozenset[str], order_by: str, descending: bool
    ) -> tuple[sa.Select[Any], sa.Select[Any]]:
        table = self._records.table
        conditions = [*self._always, *(self._filters[name] for name in sorted(filters))]
        counted = sa.select(table.c.id).where(*conditions).limit(TOTAL_CAP).correlate(None).subquery()
        count = sa.select(sa.func.count()).select_from(counted)
        columns = self._records.select().selected_columns
        page = sa.select(*columns, count.scalar_subquery().label("whole")).where(*conditions)
        order = [self._ordered(column, descending) for column in self._orders[order_by]]
        page = page.order_by(*order).limit(sa.bindparam("limit", type_=sa.Integer()))
        return page.offset(sa.bindparam("offset", type_=sa.Integer())), count

    @staticmethod
    def _ordered(column: sa.Column[Any], descending: bool) -> sa.ColumnElement[Any]:
        # No value is the smallest, on every database: PostgreSQL alone has it last by itself.
        plain: sa.ColumnElement[Any] = sa.func.coalesce(column, "") if column.nullable else column
        return plain.desc() if descending else plain.asc()
