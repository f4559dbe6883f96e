"""The store on a database: units of work, run again when the database asks for it, and never cut short."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from ...errors import BridgeError, ConfigurationError, StoreError
from ...models import Clock, utc_now
from ...seam import passing
from ..base import Backlog, Store, Unit
from ..telling import Telling
from . import doctor, integrity, schema
from .addresses import Addresses
from .backlog import read_backlog
from .customers import Customers
from .deliveries import Deliveries
from .disputes import Disputes
from .endpoints import Endpoints
from .engines import AsyncLane, Lane, lane_for
from .events import Events
from .idempotency import Idempotency
from .inbox import Inbox
from .jobs import Jobs
from .operations import Operations
from .partitions import missing_sql
from .payment_methods import PaymentMethods
from .payments import Payments
from .refunds import Refunds
from .session import Again, Session, refused
from .subscriptions import Subscriptions
from .urls import completed

__all__ = ["SQLStore", "SQLUnit"]

if TYPE_CHECKING:
    from ...settings import Settings  # a store by URL needs no pydantic

log: logging.Logger = logging.getLogger(__name__)

T = TypeVar("T")

ATTEMPTS: Final = 5
"""How often a unit of work is tried when the database undoes it: deadlock, serialization, lost connection."""


def _unheard(task: asyncio.Task[Any]) -> None:
    """Say that a unit failed whose caller has gone; asyncio would say it as somebody's mistake."""
    if not task.cancelled() and (error := task.exception()) is not None:
        told = error.message if isinstance(error, BridgeError) else type(error).__name__
        log.warning("a unit of work failed after its caller had gone: %s", told)


class SQLUnit:
    """The repositories of one transaction."""

    def __init__(self, session: Session) -> None:
        self.payments: Payments = Payments(session)
        self.operations: Operations = Operations(session)
        self.idempotency: Idempotency = Idempotency(session)
        self.refunds: Refunds = Refunds(session)
        self.events: Events = Events(session)
        self.deliveries: Deliveries = Deliveries(session)
        self.inbox: Inbox = Inbox(session)
        self.endpoints: Endpoints = Endpoints(session)
        self.jobs: Jobs = Jobs(session)
        self.customers: Customers = Customers(session)
        self.payment_methods: PaymentMethods = PaymentMethods(session)
        self.addresses: Addresses = Addresses(session)
        self.subscriptions: Subscriptions = Subscriptions(session)
        self.disputes: Disputes = Disputes(session)
        self._session = session

    def backlog(self) -> Backlog:
        return read_backlog(self._session)


class SQLStore(Telling, Store):
    """SQLite, PostgreSQL, MySQL or MariaDB, by URL or by an engine of yours, which stays yours.

    Leases and due times are the database's own clock. A *clock* replaces it where time has to be
    movable: in tests and in the sandbox. *pooler* says that a URL leads to PgBouncer in transaction
    mode; Neon's pooled hosts and the usual ports are recognised. *connections* is the most that this
    process opens, *ready* how many of them `check` opens; the others are opened when they are needed.

    A SQLite engine of yours should set ``PRAGMA journal_mode=WAL`` and keep ``synchronous=FULL``.
    """

    def __init__(
        self,
        database: str | sa.URL | sa.Engine | AsyncEngine,
        *,
        clock: Clock | None = None,
        pooler: bool | None = None,
        connections: int | None = None,
        ready: int = 0,
    ) -> None:
        super().__init__()
        self._ready = min(ready, connections or ready)
        self._lane: Lane = lane_for(database, pooler=pooler, connections=connections)
        self._clock = clock
        self._skip_locked = True
        self._running: set[asyncio.Task[Any]] = set()
        self._process = os.getpid()

    async def run(self, work: Callable[[Unit], T], *, write: bool = True) -> T:
        return await self._shielded(partial(self._transact, work, write))

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Build the store of ``DATABASE_URL`` and what the other ``DATABASE_`` variables say.

        Raises: ConfigurationError when there is no URL, or none that we can read.
        """
        if settings.database_url is None:
            raise ConfigurationError(missing=["DATABASE_URL"])
        token = settings.database_auth_token
        url = completed(
            settings.database_url.get_secret_value(),
            auth_token=token.get_secret_value() if token is not None else None,
            encrypted=settings.database_ssl,
        )
        return cls(url, connections=settings.database_pool_max, ready=settings.database_pool_min)

    async def check(self) -> None:
        await self._shielded(schema.check)
        if self._ready > 1 and isinstance(self._lane, AsyncLane):
            # At once: none of them finds a connection that another has given back.
            await asyncio.gather(*(self._shielded(schema.check) for _ in range(self._ready)))

    async def upgrade(self) -> None:
        schema.need_alembic()
        await self._shielded(schema.upgrade, patient=True)

    async def differences(self) -> list[str]:
        """Return how the database differs from the tables that this code expects; empty when it does not."""
        schema.need_alembic()
        return await self._shielded(schema.differences, patient=True)

    async def integrity(self) -> list[integrity.Finding]:
        """Return what does not fit together: references to nobody, sums, slots; empty when all does."""
        return await self._shielded(lambda connection: list(integrity.findings(connection)), patient=True)

    async def partitions(self, *, months: int) -> str:
        """Return the SQL after which the tables that grow have partitions for *months* from now on.

        Raises: ConfigurationError where the database has no partitions, or some that are not ours.
        """
        now = self._clock() if self._clock else utc_now()
        return await self._shielded(
            lambda connection: missing_sql(connection, now=now, months=months), patient=True
        )

    async def version(self) -> str | None:
        """Return the version of the database's schema; None when it has no tables of ours."""
        return await self._shielded(schema.current)

    async def clock_skew(self) -> float:
        return 0.0 if self._clock else await self._shielded(doctor.clock_skew)

    async def hints(self) -> list[str]:
        return await self._shielded(doctor.hints)

    async def aclose(self) -> None:
        """Wait for units that are under way, then close what this store opened."""
        if self._running:
            await asyncio.wait(self._running)
        await self._lane.aclose()

    def forget(self) -> None:
        """Drop every connection without closing it: after a fork they belong to the parent.

        A store notices a fork by itself at its next unit of work.
        """
        self._running = set()
        self._lane.forget()
        self._process = os.getpid()

    # --- one unit of work -------------------------------------------------------------------------

    async def _shielded(self, body: Callable[[sa.Connection], T], *, patient: bool = False) -> T:
        if self._process != os.getpid():
            self.forget()
        # A task of its own: a caller who hangs up would otherwise break the connection in mid-sentence,
        # and nobody would know whether the commit happened.
        task = asyncio.ensure_future(self._tried(body, patient))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_unheard)
            raise

    async def _tried(self, body: Callable[[sa.Connection], T], patient: bool) -> T:
        told = ""
        for _ in range(ATTEMPTS):
            try:
                return await self._lane.run(body, patient=patient)
            except Again as again:
                told = f"{again.message}, {ATTEMPTS} times"
            except SQLAlchemyError as error:
                told = refused(error, "connection").message
                break
            except TimeoutError:
                told = "the database says nothing; whether it kept this is not known"
                break
        raise StoreError(told)  # here, so that the driver's exception and its values are not its context

    def _transact(self, work: Callable[[Unit], T], write: bool, connection: sa.Connection) -> T:
        session = Session(connection, self._clock, write=write, skip_locked=self._skip_locked)
        name = getattr(work, "__name__", "unit")
        session.begin(read_committed=self._lane.read_committed)
        try:
            result = work(SQLUnit(session))
            if session.refusal is not None:
                raise session.refusal
            if not write:
                return result
            passing("commit", name)
        except BaseException as error:
            session.roll_back()
            self._skip_locked = session.skip_locked
            if isinstance(session.refusal, Again) and isinstance(error, Exception):
                raise session.refusal from None  # whatever the unit made of it, it never happened
            raise
        try:
            session.commit()
        finally:  # of a commit whose answer is lost, too: it may have been kept
            self._tell(session.changed)
        passing("committed", name)
        return result
