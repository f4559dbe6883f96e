"""A DB-API over HTTP. Its calls look blocking and wait in the greenlet that SQLAlchemy's engine runs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy.util import await_only

from ....transport import Transport
from .errors import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)
from .hrana import Answer, Stream

__all__ = [
    "Connection",
    "Cursor",
    "DataError",
    "DatabaseError",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
    "apilevel",
    "connect",
    "paramstyle",
    "threadsafety",
]

apilevel = "2.0"
threadsafety = 1
paramstyle = "qmark"
sqlite_version = "3.45.1"  # of the server, which all that exist are at least (sqld 0.24, 2025-02)
sqlite_version_info: tuple[int, int, int] = (3, 45, 1)
Binary = bytes
Warning = UserWarning  # noqa: A001 - PEP 249's name

_SECONDS: Final = 20.0
"""Of one request. A server lets a writer wait for five seconds before it ends the one before it."""
_MAX_BYTES: Final = 2**26


def connect(*, url: str, token: str | None, transport: Transport) -> Connection:
    """Return a connection: nothing is sent before its first statement."""
    return Connection(url, token, transport)


class Connection:
    """A stream at the server while there is a transaction, and nothing at all between two of them."""

    def __init__(self, url: str, token: str | None, transport: Transport) -> None:
        self.stream: Stream = Stream()
        self._url = url
        self._transport = transport
        self._headers = {"content-type": "application/json"}
        if token:
            self._headers["authorization"] = f"Bearer {token}"

    @property
    def in_transaction(self) -> bool:
        return self.stream.in_transaction

    def cursor(self) -> Cursor:
        return Cursor(self)

    def commit(self) -> None:
        stream = self.stream
        if not stream.begun:
            stream.lost()
            return
        try:
            self.ask(stream.commit())
        finally:
            stream.lost()  # whatever the answer was, this transaction is over

    def rollback(self) -> None:
        stream = self.stream
        if stream.baton is not None:
            with suppress(Error):  # the server rolls back by itself what it does not hear of again
                self.ask(stream.close())
        stream.lost()

    def close(self) -> None:
        self.rollback()

    def forget(self) -> None:
        """Let go without a word to the server."""
        self.stream.lost()

    def ask(self, body: bytes) -> Answer:
        """Send a pipeline and return what its first request returned."""
        url = f"{self._base()}/v2/pipeline"
        try:
            answer = await_only(
                self._transport.request(
                    "POST",
                    url,
                    headers=self._headers,
                    content=body,
                    timeout=_SECONDS,
                    max_bytes=_MAX_BYTES,
                )
            )
        except Exception as error:  # noqa: BLE001 - whatever the HTTP client calls it, the answer is lost
            failure = OperationalError(type(error).__name__, "CONNECTION")
        else:
            return self.stream.read(answer.status_code, answer.content)
        failure.gone = True
        self.stream.lost()
        raise failure  # here: the client's exception holds the headers, and with them the token

    def _base(self) -> str:
        """Return where the server wants this stream, unless that would show our token to who listens."""
        wanted = self.stream.base_url
        if wanted and urlsplit(wanted).scheme == urlsplit(self._url).scheme:
            return wanted.rstrip("/")
        return self._url


class Cursor:
    """Holds the whole answer: HTTP has read it anyway."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: Sequence[tuple[Any, ...]] = ()
        self._at = 0
        self.description: list[tuple[Any, ...]] | None = None
        self.rowcount: int = -1
        self.lastrowid: int | None = None

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Cursor:
        stream = self._connection.stream
        word = sql.strip().upper()
        if word.startswith("BEGIN") and not stream.in_transaction:
            stream.begin = sql  # goes with the first statement, in one request
            self._take(Answer())
        elif word == "ROLLBACK":
            self._connection.rollback()
            self._take(Answer())
        else:
            self._take(self._connection.ask(stream.execute(sql, parameters)))
        return self

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> Cursor:
        touched = 0
        for row in rows:
            touched += max(self.execute(sql, row).rowcount, 0)
        self.rowcount = touched
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        (found,) = self.fetchmany(1) or (None,)
        return found

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        start, self._at = self._at, self._at + (size or self.arraysize)
        return list(self._rows[start : self._at])

    def fetchall(self) -> list[tuple[Any, ...]]:
        start, self._at = self._at, len(self._rows)
        return list(self._rows[start:])

    def close(self) -> None:
        self._rows = ()

    def _take(self, answer: Answer) -> None:
        self.description = [(name, *(None,) * 6) for name in answer.columns] or None
        self._rows = answer.rows
        self._at = 0
        self.rowcount = answer.touched
        self.lastrowid = answer.last_id
