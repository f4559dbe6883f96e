"""Column types that mean the same in every database, and moments on the database's own clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from ...errors import StoreError

__all__ = ["Exact", "LongText", "UtcDateTime", "bytewise", "moment"]


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """Aware and in UTC, in and out, with microseconds; a naive datetime is refused, never guessed."""

    impl: sa.DateTime = sa.DateTime(timezone=True)
    cache_ok: bool = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))  # the default drops microseconds
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True))
        return dialect.type_descriptor(sa.DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise StoreError("a naive datetime cannot be stored: pass one with a time zone")
        value = value.astimezone(UTC)
        # Drivers other than PostgreSQL's drop the offset silently, so it has to be UTC before it is dropped.
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is UTC:
            return value
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def Exact(length: int) -> TypeEngine[str]:  # noqa: N802 - stands where types stand
    """Text that is compared byte by byte: ``pi_3AbC`` and ``pi_3abc`` are two payments.

    MySQL's default collations call them equal; the C collation also makes the order of ids the
    order of their bytes in every PostgreSQL cluster, whatever its locale.
    """
    plain: TypeEngine[str] = sa.String(length)
    return plain.with_variant(sa.String(length, collation="C"), "postgresql").with_variant(
        _Bytewise(length), "mysql", "mariadb"
    )


class _Bytewise(sa.types.TypeDecorator[str]):
    """Its collation is not known before the server is: ``mysql://`` may lead to a MariaDB."""

    impl = mysql.VARCHAR
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        length = getattr(self.impl, "length", None)
        return dialect.type_descriptor(mysql.VARCHAR(length, charset="utf8mb4", collation=bytewise(dialect)))


def bytewise(dialect: Dialect) -> str:
    """Return the collation that compares byte by byte on a MySQL or a MariaDB, blanks at the end included.

    ``utf8mb4_bin``, which both know, calls 'a' and 'a ' equal: one idempotency key, one user.
    """
    return "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_0900_bin"


def LongText() -> TypeEngine[str]:  # noqa: N802
    """Text of any length. MySQL's TEXT ends at 64 kB, a webhook body may not."""
    plain: TypeEngine[str] = sa.Text()
    return plain.with_variant(mysql.LONGTEXT(charset="utf8mb4"), "mysql", "mariadb")


def moment(name: str) -> sa.ColumnElement[datetime]:
    """Return "now plus some seconds", evaluated by the database in the statement that uses it.

    Binds ``<name>_in``, the seconds, and ``<name>_at``: None, or the moment itself where
    the store was given a clock of its own. So one statement serves production and a movable clock.
    """
    given = sa.bindparam(f"{name}_at", type_=UtcDateTime())
    return _Moment(given, sa.bindparam(f"{name}_in", type_=sa.Double()))


class _Moment(FunctionElement[datetime]):
    inherit_cache = True
    type = UtcDateTime()


def _parts(element: _Moment, compiler: SQLCompiler, **kw: Any) -> tuple[str, str]:
    given, seconds = element.clauses
    return compiler.process(given, **kw), compiler.process(seconds, **kw)


@compiles(_Moment, "postgresql")
def _postgresql(element: _Moment, compiler: SQLCompiler, **kw: Any) -> str:
    # statement_timestamp, not now(): a transaction that waited for a lock has an old now().
    # Not clock_timestamp: it is volatile, and an index cannot be asked for what is volatile.
    given, seconds = _parts(element, compiler, **kw)
    return f"coalesce({given}, statement_timestamp() + make_interval(secs => {seconds}))"


@compiles(_Moment, "sqlite")
def _sqlite(element: _Moment, compiler: SQLCompiler, **kw: Any) -> str:
    # SQLite counts milliseconds; the zeros make it the six digits in which datetimes are stored as text.
    given, seconds = _parts(element, compiler, **kw)
    return f"coalesce({given}, strftime('%Y-%m-%d %H:%M:%f', 'now', {seconds} || ' seconds') || '000')"


@compiles(_Moment, "mysql")
@compiles(_Moment, "mariadb")
def _mysql(element: _Moment, compiler: SQLCompiler, **kw: Any) -> str:
    # The drivers write a moment as text, and of a text and a moment MySQL makes a text.
    given, seconds = _parts(element, compiler, **kw)
    ahead = f"TIMESTAMPADD(MICROSECOND, ROUND({seconds} * 1000000), UTC_TIMESTAMP(6))"
    return f"coalesce(CAST({given} AS DATETIME(6)), {ahead})"
