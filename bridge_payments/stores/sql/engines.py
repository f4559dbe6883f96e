"""From a URL or an engine to a lane: something that runs one plain function on one connection."""

from __future__ import annotations

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import SingletonThreadPool, StaticPool
from sqlalchemy.util import greenlet_spawn

from ...errors import ConfigurationError, MissingExtra
from .session import refused

__all__ = ["AsyncLane", "Lane", "ThreadLane", "lane_for", "normal_url", "preset"]

T = TypeVar("T")

_BUSY_SECONDS: Final = 15.0
_CONNECT_SECONDS: Final = 10
_CONNECTIONS: Final = 10
"""Of one process. What waits for one waits shorter than opening one takes."""
_WORKERS: Final = 5
"""As many as the default pool has connections, which is what SQLite gets."""
_IN_MEMORY: Final = (None, "", ":memory:")


class Lane(ABC):
    """Runs a function on a connection of its own, away from the event loop's thread of control."""

    dialect: str
    read_committed: bool
    """Whether a unit has to ask for READ COMMITTED itself: the engine is not ours."""

    @abstractmethod
    async def run(self, body: Callable[[sa.Connection], T]) -> T: ...

    @abstractmethod
    async def aclose(self) -> None: ...

    @abstractmethod
    def forget(self) -> None:
        """Drop connections and threads without closing them: after a fork they are the parent's."""


class AsyncLane(Lane):
    """asyncpg, psycopg, asyncmy: one greenlet per unit of work, one engine per event loop."""

    def __init__(self, given: AsyncEngine | sa.URL, *, pooler: bool | None = None) -> None:
        self._given = given
        self._pooler = pooler
        self._made: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncEngine] = WeakKeyDictionary()
        self.read_committed = isinstance(given, AsyncEngine)
        url = given.url if isinstance(given, AsyncEngine) else given
        self.dialect = url.get_backend_name()

    def engine(self) -> AsyncEngine:
        if isinstance(self._given, AsyncEngine):
            return self._given
        # A connection belongs to the loop that opened it; a program may well call `asyncio.run` twice.
        loop = asyncio.get_running_loop()
        if loop not in self._made:
            self._made[loop] = _create_async(self._given, pooler=self._pooler)
        return self._made[loop]

    async def run(self, body: Callable[[sa.Connection], T]) -> T:
        # One greenlet for connecting, working and giving back: AsyncConnection would take one for each.
        return await greenlet_spawn(on_a_connection, self.engine().sync_engine, body)

    async def aclose(self) -> None:
        mine = self._made.pop(asyncio.get_running_loop(), None)
        if mine is not None:
            await mine.dispose()
        self.forget()  # what other loops opened can only be closed there

    def forget(self) -> None:
        for engine in self._made.values():
            engine.sync_engine.dispose(close=False)
        self._made.clear()


class ThreadLane(Lane):
    """SQLite, and any synchronous engine: one hop to a worker thread per unit of work."""

    def __init__(self, engine: sa.Engine, *, owned: bool) -> None:
        self._engine = engine
        self._owned = owned
        self._threads: ThreadPoolExecutor | None = None
        # A database in memory is one connection: one thread makes its units wait for each other.
        self._workers = 1 if isinstance(engine.pool, StaticPool | SingletonThreadPool) else _WORKERS
        self.read_committed = not owned
        self.dialect = engine.dialect.name

    async def run(self, body: Callable[[sa.Connection], T]) -> T:
        if self._threads is None:
            # Threads of our own: the loop's default ones may all be waiting for what only we can finish.
            self._threads = ThreadPoolExecutor(self._workers, thread_name_prefix="bridge-store")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, on_a_connection, self._engine, body)

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


def lane_for(given: str | sa.URL | sa.Engine | AsyncEngine, *, pooler: bool | None = None) -> Lane:
    """Return the lane for a URL, or for an engine that stays its owner's."""
    if isinstance(given, AsyncEngine):
        return AsyncLane(given)
    if isinstance(given, sa.Engine):
        return ThreadLane(given, owned=False)
    url = normal_url(given)
    if url.get_driver_name() == "pysqlite":
        return ThreadLane(_create_sqlite(url), owned=True)
    if find_spec(url.get_driver_name()) is None:
        extra = {"postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql"}
        backend = url.get_backend_name()
        raise MissingExtra(extra.get(backend, backend), needed_for=f"{url.drivername}://")
    return AsyncLane(url, pooler=pooler)


def normal_url(given: str | sa.URL) -> sa.URL:
    """Return *given* with the driver that we prefer, and with options that this driver knows."""
    try:
        url = sa.make_url(given)
    except ArgumentError:
        # `from None`: the message of the parser quotes the URL, and the URL may hold a password.
        raise ConfigurationError(invalid={"DATABASE_URL": "not a database URL"}) from None
    match url.drivername:
        case "postgres" | "postgresql":
            asyncpg = find_spec("asyncpg") is not None or find_spec("psycopg") is None
            url = url.set(drivername="postgresql+asyncpg" if asyncpg else "postgresql+psycopg")
        case "mysql" | "mariadb":
            url = url.set(drivername=f"{url.drivername}+asyncmy")
        case "sqlite":
            url = url.set(drivername="sqlite+pysqlite")
    try:
        driver = url.get_driver_name()
    except NoSuchModuleError:
        raise ConfigurationError(invalid={"DATABASE_URL": f"no database is {url.drivername}://"}) from None
    if driver == "asyncpg" and {"sslmode", "channel_binding"} & url.query.keys():
        # Hosted databases hand out libpq's words; asyncpg calls the first `ssl` and does without the second.
        if "sslmode" in url.query and "ssl" not in url.query:
            url = url.update_query_dict({"ssl": url.query["sslmode"]})
        url = url.difference_update_query(["sslmode", "channel_binding"])
    return url


def preset(url: sa.URL, *, pooler: bool | None = None) -> tuple[sa.URL, dict[str, Any]]:
    """Return *url* and the engine options that its database needs.

    No overflow: a unit is over in milliseconds, sooner than another connection would be open. No
    `pool_pre_ping`: a unit of work whose connection died before the commit runs again on a new
    one, which costs nothing while nothing dies.
    """
    options: dict[str, Any] = {
        "pool_size": _CONNECTIONS,
        "max_overflow": 0,
        "pool_recycle": 300,
        "hide_parameters": True,
    }
    pooled = "-pooler." in (url.host or "") if pooler is None else pooler
    match url.get_backend_name(), url.get_driver_name():
        case "postgresql", "asyncpg":
            options |= {"isolation_level": "READ COMMITTED", "connect_args": {"timeout": _CONNECT_SECONDS}}
            if (
                pooled
            ):  # PgBouncer in transaction mode: a prepared statement is on another connection next time
                url = url.update_query_dict({"prepared_statement_cache_size": "0"})
                options["connect_args"] |= {"statement_cache_size": 0, "prepared_statement_name_func": str}
        case "postgresql", "psycopg":
            connect = {"connect_timeout": _CONNECT_SECONDS}
            options |= {"isolation_level": "READ COMMITTED", "connect_args": connect}
            if pooled:
                options["connect_args"] |= {"prepare_threshold": None}
        case "mysql" | "mariadb", _:
            options |= {"isolation_level": "READ COMMITTED"}
    return url, options


def _create_async(url: sa.URL, *, pooler: bool | None) -> AsyncEngine:
    url, options = preset(url, pooler=pooler)
    return create_async_engine(url, **options)


def _create_sqlite(url: sa.URL) -> sa.Engine:
    in_memory = url.database in _IN_MEMORY or "mode=memory" in str(url.database)
    options: dict[str, Any] = {"hide_parameters": True, "connect_args": {"timeout": _BUSY_SECONDS}}
    if in_memory:
        options |= {"poolclass": StaticPool}
        options["connect_args"] |= {"check_same_thread": False}
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
