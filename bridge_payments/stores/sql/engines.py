"""From a URL or an engine to a lane: something that runs one plain function on one connection."""

from __future__ import annotations

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool, SingletonThreadPool, StaticPool
from sqlalchemy.util import greenlet_spawn

from ...errors import MissingExtra
from ...transport import Transport
from .drivers import SILENCE, read_by_sqlite
from .session import refused
from .urls import normal_url, preset

__all__ = ["AsyncLane", "HttpLane", "Lane", "ThreadLane", "lane_for"]

T = TypeVar("T")

_BUSY_SECONDS: Final = 15.0
_HTTP_SECONDS: Final = 20.0
_UNIT_SECONDS: Final = 30.0
"""A unit of work is over in milliseconds. A database that says nothing for so long is away: a cut cable is
silent, and a lock that nobody gives up is, too."""
_WORKERS: Final = 5
"""As many as the default pool has connections, which is what SQLite gets."""
_IN_MEMORY: Final = (None, "", ":memory:")
_MODULES: Final = {"mysqldb": "MySQLdb", "mysqlconnector": "mysql"}
"""Modules that are not called what their driver is called in a URL."""


class Lane(ABC):
    """Runs a function on a connection of its own, away from the event loop's thread of control."""

    dialect: str
    read_committed: bool
    """Whether a unit has to ask for READ COMMITTED itself: the engine is not ours."""

    @abstractmethod
    async def run(self, body: Callable[[sa.Connection], T], *, patient: bool = False) -> T:
        """Run *body*. Raises TimeoutError, where the driver can be interrupted and *patient* is not said."""

    @abstractmethod
    async def aclose(self) -> None: ...

    @abstractmethod
    def forget(self) -> None:
        """Drop connections and threads without closing them: after a fork they are the parent's."""


class AsyncLane(Lane):
    """asyncpg, psycopg, asyncmy: one greenlet per unit of work, one engine per event loop."""

    def __init__(
        self, given: AsyncEngine | sa.URL, *, pooler: bool | None = None, connections: int | None = None
    ) -> None:
        self._given = given
        if not isinstance(given, AsyncEngine):  # now: a word that nobody knows is told before anybody waits
            self._url, self._options = preset(given, pooler=pooler, connections=connections)
        self._made: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncEngine] = WeakKeyDictionary()
        self.read_committed: bool = isinstance(given, AsyncEngine)
        url = given.url if isinstance(given, AsyncEngine) else given
        self.dialect: str = url.get_backend_name()

    def engine(self) -> AsyncEngine:
        if isinstance(self._given, AsyncEngine):
            return self._given
        # A connection belongs to the loop that opened it; a program may well call `asyncio.run` twice.
        loop = asyncio.get_running_loop()
        if loop not in self._made:
            self._made[loop] = create_async_engine(self._url, **self._options)
        return self._made[loop]

    async def run(self, body: Callable[[sa.Connection], T], *, patient: bool = False) -> T:
        async with asyncio.timeout(None if patient else _UNIT_SECONDS):
            # One greenlet for connecting, working and giving back: AsyncConnection would take one for each.
            return await greenlet_spawn(on_a_connection, self.engine().sync_engine, body)

    async def aclose(self) -> None:
        mine = self._made.pop(asyncio.get_running_loop(), None)
        if mine is not None:
            await mine.dispose()
        self._drop()  # what other loops opened can only be closed there

    def forget(self) -> None:
        self._drop()

    def _drop(self) -> None:
        for engine in self._made.values():
            engine.sync_engine.dispose(close=False)
        self._made.clear()


class HttpLane(AsyncLane):
    """LibSQL: the connections are those of an HTTP client, one for each event loop."""

    def __init__(self, url: sa.URL, *, connections: int | None = None) -> None:
        super().__init__(url, connections=connections)
        self._transport = Transport(total_timeout=_HTTP_SECONDS)

    def engine(self) -> AsyncEngine:
        loop = asyncio.get_running_loop()
        if loop not in self._made:
            engine = super().engine()
            sa.event.listen(engine.sync_engine, "do_connect", self._connect)
        return self._made[loop]

    async def aclose(self) -> None:
        await super().aclose()
        await self._transport.aclose()

    def forget(self) -> None:
        super().forget()
        self._transport.forget()

    def _connect(self, _dialect: object, _record: object, _args: object, options: dict[str, Any]) -> None:
        options["transport"] = self._transport


class ThreadLane(Lane):
    """SQLite, and any synchronous engine: one hop to a worker thread per unit of work."""

    def __init__(
        self,
        engine: sa.Engine,
        *,
        owned: bool,
        workers: int = _WORKERS,
        patient: Callable[[], sa.Engine] | None = None,
    ) -> None:
        """*patient* makes an engine that waits as long as it takes, where *engine* does not."""
        self._engine = engine
        self._owned = owned
        self._patient = patient
        self._threads: ThreadPoolExecutor | None = None
        # A database in memory is one connection: one thread makes its units wait for each other.
        self._workers = 1 if isinstance(engine.pool, StaticPool | SingletonThreadPool) else workers
        self.read_committed: bool = not owned
        self.dialect: str = engine.dialect.name

    async def run(self, body: Callable[[sa.Connection], T], *, patient: bool = False) -> T:
        if self._threads is None:
            # Threads of our own: the loop's default ones may all be waiting for what only we can finish.
            self._threads = ThreadPoolExecutor(self._workers, thread_name_prefix="bridge-store")
        loop = asyncio.get_running_loop()
        try:
            engine = self._patient() if patient and self._patient is not None else self._engine
            done = loop.run_in_executor(self._threads, on_a_connection, engine, body)
        except RuntimeError as error:
            if "cannot schedule new futures" not in str(error):
                raise
            # The interpreter is ending and has ended the threads, while the loop's own thread still runs.
            raise asyncio.CancelledError from None
        return await done

    async def aclose(self) -> None:
        threads, self._threads = self._threads, None
        if threads is not None:
            await asyncio.to_thread(threads.shutdown)
        if self._owned:
            self._engine.dispose()

    def forget(self) -> None:
        self._threads = None
        if self._owned:
            self._engine.dispose(close=False)


def on_a_connection(engine: sa.Engine, body: Callable[[sa.Connection], T]) -> T:
    """Run *body* on a connection of the engine's pool."""
    try:
        connection = engine.connect()
    except Exception as error:  # noqa: BLE001 - drivers raise what they like when they cannot connect
        failure = refused(error, "connect")
    else:
        with connection:
            return body(connection)
    raise failure  # here, so that the driver's exception, which knows the password, is not its context


def lane_for(
    given: str | sa.URL | sa.Engine | AsyncEngine,
    *,
    pooler: bool | None = None,
    connections: int | None = None,
) -> Lane:
    """Return the lane for a URL, or for an engine that stays its owner's."""
    if isinstance(given, AsyncEngine):
        return AsyncLane(given)
    if isinstance(given, sa.Engine):
        return ThreadLane(given, owned=False)
    url = normal_url(given)
    if url.get_driver_name() == "pysqlite":
        return ThreadLane(_create_sqlite(url), owned=True)
    if url.get_driver_name() == "libsql":
        return HttpLane(url, connections=connections)
    if find_spec(_MODULES.get(url.get_driver_name(), url.get_driver_name())) is None:
        extra = {"postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql"}
        backend = url.get_backend_name()
        raise MissingExtra(extra.get(backend, backend), needed_for=f"{url.drivername}://")
    if _only_blocks(url):
        url, options = preset(url, pooler=pooler, connections=connections)
        engine = sa.create_engine(url, **options)
        patient = partial(_patient, url, options)
        return ThreadLane(engine, owned=True, workers=options["pool_size"], patient=patient)
    return AsyncLane(url, pooler=pooler, connections=connections)


def _patient(url: sa.URL, options: dict[str, Any]) -> sa.Engine:
    """Return an engine for what may take long: each of its connections is closed when it is given back."""
    connect = {name: value for name, value in options["connect_args"].items() if name not in SILENCE}
    kept = {name: options[name] for name in ("hide_parameters", "isolation_level")}
    return sa.create_engine(url, poolclass=NullPool, connect_args=connect, **kept)


def _only_blocks(url: sa.URL) -> bool:
    """Tell whether the driver has no asynchronous face: PyMySQL, mysqlclient, psycopg 2."""
    return url.get_driver_name() != "psycopg" and not url.get_dialect().is_async


def _create_sqlite(url: sa.URL) -> sa.Engine:
    read_by_sqlite(url)
    in_memory = (
        url.database in _IN_MEMORY or "mode=memory" in str(url.database) or url.query.get("mode") == "memory"
    )
    connect: dict[str, Any] = {} if "timeout" in url.query else {"timeout": _BUSY_SECONDS}
    options: dict[str, Any] = {"hide_parameters": True, "connect_args": connect}
    if in_memory:
        options |= {"poolclass": StaticPool}
        connect |= {"check_same_thread": False}
    engine = sa.create_engine(url, **options)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # BEGIN is ours to say: the driver's own opens no transaction for a SELECT, so two claims see one row.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # FULL: with NORMAL, the last commits may be gone after a power cut, and with them a charge.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()
