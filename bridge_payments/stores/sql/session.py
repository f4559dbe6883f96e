"""One transaction on one connection: every statement of every repository passes here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ...errors import StoreError
from ...models import Clock, Customer, PaymentMethod
from ...seam import passing

__all__ = [
    "Again",
    "Insertion",
    "Repository",
    "Row",
    "Rows",
    "Session",
    "begin_immediate",
    "refused",
    "run_again",
]

Row = Mapping[Any, Any]
Rows = Sequence[Row]

_SERIALIZATION: Final = frozenset({"40001", "40P01"})
_MYSQL_DEADLOCK: Final = frozenset({1205, 1213})
_MYSQL_LOST: Final = frozenset({2006, 2013})
_MYSQL_SYNTAX: Final = frozenset({1064, 1105, 1235})
"""What MySQL, MariaDB and Vitess call a sentence that they do not understand."""

T = TypeVar("T")


class Again(StoreError):
    """The database undid the transaction through nobody's fault, or the connection died before the commit."""


class Session:
    """What the repositories of one unit of work share."""

    def __init__(
        self, connection: sa.Connection, clock: Clock | None, *, write: bool, skip_locked: bool = True
    ) -> None:
        self.skip_locked: bool = skip_locked
        """Whether the server is asked to skip locked rows; False once it did not understand that."""
        self.refusal: StoreError | None = None
        """A refused statement ends the transaction, even if the unit of work looks away."""
        self.changed: list[Customer | PaymentMethod] = []
        """Rows of which somebody may want to hear after the commit."""
        self._connection = connection
        self._clock = clock
        self._write = write
        self._unparsed = False

    @property
    def dialect(self) -> str:
        return self._connection.dialect.name

    @property
    def ids_tell_time(self) -> bool:
        """Whether ids were drawn when their rows say they were created: not where a clock can be moved."""
        return self._clock is None

    def rows(self, name: str, statement: sa.Select[Any], **values: Any) -> Rows:
        return self._execute(name, statement, values).mappings().all()

    def row(self, name: str, statement: sa.Select[Any], **values: Any) -> Row | None:
        return self._execute(name, statement, values).mappings().first()

    def scalar(self, name: str, statement: sa.Select[Any], **values: Any) -> Any:
        return self._execute(name, statement, values).scalar()

    def claim(self, name: str, statement: sa.Select[Any], **values: Any) -> Rows:
        """Execute the SELECT of a claim; where the server does not know SKIP LOCKED, the unit runs again."""
        try:
            return self.rows(name, statement, **values)
        except StoreError:
            if not self._unparsed:
                raise
        self.skip_locked = False
        self.refusal = Again(f"{name}: this server does not know SKIP LOCKED")
        raise self.refusal

    def write(self, name: str, statement: sa.Executable, values: Mapping[str, Any]) -> int:
        """Execute an INSERT, UPDATE or DELETE; return how many rows it touched."""
        if not self._write:
            raise self.refuse("this unit of work was opened for reading")
        return self._execute(name, statement, values).rowcount

    def write_all(self, name: str, statement: sa.Executable, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute an INSERT, UPDATE or DELETE for each of *rows*."""
        if not self._write:
            raise self.refuse("this unit of work was opened for reading")
        if rows:
            self._execute(name, statement, rows)

    def moment(self, name: str, seconds: float = 0.0) -> dict[str, Any]:
        """Return what `types.moment` of that name binds."""
        given = self._clock() + timedelta(seconds=seconds) if self._clock is not None else None
        return {f"{name}_at": given, f"{name}_in": float(seconds)}

    def refuse(self, message: str) -> StoreError:
        self.refusal = self.refusal or StoreError(message)
        return self.refusal

    # --- the transaction --------------------------------------------------------------------------

    def begin(self, *, read_committed: bool) -> None:
        """Begin; with *read_committed* ask for that level, because the engine is somebody else's."""
        connection = self._connection
        try:
            if self.dialect == "sqlite":
                if self._write:
                    begin_immediate(connection)
            elif not self._write and self.dialect == "postgresql":
                # No BEGIN, no ROLLBACK: a read is one round trip. (On MySQL, changing the level costs two.)
                connection.execution_options(isolation_level="AUTOCOMMIT")
            elif read_committed:
                # REPEATABLE READ would hide the row that a lost insert has to return.
                connection.execution_options(isolation_level="READ COMMITTED")
            return
        except SQLAlchemyError as error:
            self.refusal = refused(error, "begin")
        raise self.refusal

    def commit(self) -> None:
        try:
            self._connection.commit()
            return
        except Exception as error:  # noqa: BLE001 - whatever it is: the answer is a no, or it is lost
            failure, told = refused(error, "commit"), _kind(error)
            lost = not isinstance(failure, Again) or (
                isinstance(error, DBAPIError) and error.connection_invalidated
            )
        if not lost:
            raise failure
        # It may have been kept: nothing runs again by itself.
        raise StoreError(
            f"commit: its answer was lost ({told}), and it may have been kept: look the row up by its id"
        )

    def roll_back(self) -> None:
        with suppress(Exception):  # the connection may be gone, and the transaction with it
            self._connection.rollback()

    def _execute(
        self, name: str, statement: sa.Executable, values: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    ) -> sa.CursorResult[Any]:
        if self.refusal is not None:
            raise self.refusal
        passing("statement", name)
        try:
            return self._connection.execute(statement, values)
        except Exception as error:  # noqa: BLE001 - drivers raise their own for values they cannot carry
            self.refusal = refused(error, name)
            self._unparsed = _mysql_code(error) in _MYSQL_SYNTAX
            if _is_lost(error):
                self._connection.invalidate()
        # Outside of the except block: the driver's exception holds the parameters and would be its context.
        raise self.refusal


class Repository:
    def __init__(self, session: Session) -> None:
        self._session = session


# --- statements that every table needs ------------------------------------------------------------


class Insertion:
    """Insert a row unless its key exists; tell which. Waits for a concurrent insert of the same key."""

    def __init__(self, name: str, table: sa.Table, *key: str, own: str | None = None, **values: Any) -> None:
        """*own* is the column by which an insert recognises its row, if not ``id``.

        Where there is neither, MySQL cannot tell whose row it is, and `run` says that it is another's.
        """
        self._name = name
        names = list(key)
        # Not INSERT IGNORE, which also swallows truncation and NOT NULL. Its row count is 1 either way.
        no_op = mysql.insert(table).values(**values).on_duplicate_key_update({key[0]: table.c[key[0]]})
        statements: dict[str, sa.Insert] = {
            "postgresql": postgresql.insert(table)
            .values(**values)
            .on_conflict_do_nothing(index_elements=names),
            "sqlite": sqlite.insert(table).values(**values).on_conflict_do_nothing(index_elements=names),
            "mysql": no_op,
            "mariadb": no_op,
        }
        # The row count of an INSERT is gone with its cursor, unless it is asked for.
        self._statements = {
            name: statement.execution_options(preserve_rowcount=True)
            for name, statement in statements.items()
        }
        same = [table.c[name] == sa.bindparam(f"its_{name}") for name in names]
        self._key = names
        self._own = own or ("id" if "id" in table.c else None)
        self._mine = sa.select(table.c[self._own]).where(*same) if self._own else None

    def run_all(self, session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert each of *rows* unless its key exists."""
        session.write_all(self._name, self._statements[session.dialect], rows)

    def run(self, session: Session, values: Mapping[str, Any]) -> bool:
        touched = session.write(self._name, self._statements[session.dialect], values)
        if session.dialect not in ("mysql", "mariadb"):
            return touched == 1
        if self._mine is None or self._own is None:
            return False
        found = session.scalar(self._name, self._mine, **{f"its_{name}": values[name] for name in self._key})
        return found is not None and bool(found == values[self._own])


def begin_immediate(connection: sa.Connection) -> None:
    """Begin to write on SQLite: of two readers that turn writers, one would fail without waiting."""
    connection.begin()
    if getattr(connection.connection.driver_connection, "in_transaction", False):
        connection.exec_driver_sql("ROLLBACK")  # a hook of the engine's owner said BEGIN, of whatever kind
    connection.exec_driver_sql("BEGIN IMMEDIATE")


# --- errors ---------------------------------------------------------------------------------------


def refused(error: BaseException, name: str) -> StoreError:
    """Return what may be told of a driver's exception: its kind and its code, never statement or values."""
    orig = _original(error)
    if isinstance(orig, StoreError):
        return orig
    if isinstance(error, PoolTimeout):
        return StoreError(
            f"{name}: every connection of this process is taken, and none was given back in time;"
            " DATABASE_POOL_MAX is how many it has"
        )
    told = _kind(error)
    if _said_nothing(error):
        return StoreError(f"{name}: the database said nothing for too long ({told})")
    if run_again(error):
        return Again(f"{name}: the database undid this transaction ({told})")
    if isinstance(error, IntegrityError):
        return StoreError(f"{name}: the row contradicts what is stored ({told})")
    return StoreError(f"{name}: the database refused ({told})")


def run_again(error: BaseException) -> bool:
    """Tell whether the whole unit of work may simply run again: nothing of it was kept."""
    if not isinstance(error, DBAPIError):
        return _is_lost(error)
    if _said_nothing(error):
        return False  # nor would it now, and a caller waits
    return error.connection_invalidated or _code(error.orig) in _SERIALIZATION or _is_deadlock(error)


def _is_lost(error: BaseException) -> bool:
    # asyncpg's word for a connection that the server closed while a statement was under way.
    # SQLAlchemy translates it since 2.0.50 only (2026-11, asyncpg 0.32).
    kind = type(error)
    return kind.__name__ == "InternalClientError" and kind.__module__.startswith("asyncpg.")


def _original(error: BaseException) -> BaseException | None:
    return error.orig if isinstance(error, StatementError) else None


def _kind(error: BaseException) -> str:
    orig = _original(error)
    kind, code = type(orig or error).__name__, _code(orig)
    return f"{kind}, {code}" if code else kind


def _said_nothing(error: BaseException) -> bool:
    """Tell whether a blocking driver gave a silent server up, in the middle of a statement."""
    orig = _original(error)
    return _mysql_code(error) in _MYSQL_LOST and isinstance(orig and orig.__context__, TimeoutError)


def _code(orig: BaseException | None) -> str | None:
    code = getattr(orig, "sqlstate", None) or getattr(orig, "sqlite_errorname", None)
    return str(code) if code else None


def _is_deadlock(error: DBAPIError) -> bool:
    return _mysql_code(error) in _MYSQL_DEADLOCK


def _mysql_code(error: BaseException) -> object:
    args = error.orig.args if isinstance(error, DBAPIError) and error.orig is not None else ()
    return args[0] if args else None
