"""Somebody else's transactions, which take the rows of ours in the other order: deadlocks, real ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from bridge_payments.seam import Point, watched

__all__ = ["RECORD", "RESERVE", "Crossing", "Rival", "rivaled"]

_DRIVERS: Final = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql"}
_WEIGHT: Final = 500
"""Rows that a rival writes elsewhere: InnoDB ends the transaction that has done less."""
_PATIENCE: Final = 30.0
_GLANCE: Final = 0.15
"""Between two looks at who waits: InnoDB shows it anew only after a tenth of a second without a look."""


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """Where two transactions meet."""

    begins: str
    """Our statement before which the rival takes *held*."""
    goes_on: str
    """Our statement that needs *held*; by then we have what the rival *wants*."""
    held: str
    wants: str
    after: int = 0
    """How many of our transactions are over by then."""


RECORD: Final = Crossing(
    begins="payments.save",
    goes_on="operations.save",
    held="SELECT id FROM operations FOR UPDATE",
    wants="SELECT id FROM provider_payments FOR UPDATE",
    after=1,
)
"""The provider has answered, and the answer is being written down."""
RESERVE: Final = Crossing(
    begins="idempotency.put",
    goes_on="payments.save",
    held="SELECT id FROM provider_payments FOR UPDATE",
    wants="INSERT INTO operation_slots (subject_id, operation_id) SELECT id, 'rival' FROM provider_payments",
)
"""A refund takes its share, and nothing was sent yet."""


class Rival:
    """Crosses the way of a transaction up to *times* times, each time so that ours is undone."""

    def __init__(self, url: str, crossing: Crossing, times: int) -> None:
        self._kind = sa.make_url(url).get_backend_name()
        self._engine = sa.create_engine(
            sa.make_url(url).set(drivername=_DRIVERS[self._kind]), poolclass=sa.NullPool
        )
        self._crossing, self._left = crossing, times
        self._over = 0
        self._connection: sa.Connection | None = None
        self._thread: threading.Thread | None = None
        self.won = 0
        """How often the database undid ours and let the rival go on."""

    def watch(self, point: Point, what: str) -> None:
        """Be told what our transaction is about to do; called in its thread, which waits meanwhile."""
        if point == "committed":
            self._over += 1
        if point != "statement" or self._over < self._crossing.after:
            return
        if self._connection is not None and self._thread is None:
            if what == self._crossing.goes_on:
                self._want(self._connection)
        elif what == self._crossing.begins and self._left:
            self.wait()
            self._left -= 1
            self._hold()

    def wait(self) -> None:
        """Wait until what was begun is over."""
        if self._thread is not None:
            self._thread.join(_PATIENCE)
            assert not self._thread.is_alive()
        elif self._connection is not None:
            self._connection.close()
        self._connection = self._thread = None

    def _hold(self) -> None:
        self._connection = self._engine.connect()
        if self._kind == "postgresql":
            # Whoever waits this long looks for a deadlock, and is undone when there is one: ours does.
            self._connection.exec_driver_sql("SET deadlock_timeout = '60s'")
        else:
            values = ", ".join(["(1)"] * _WEIGHT)
            self._connection.exec_driver_sql(f"INSERT INTO rival (n) VALUES {values}")
        self._connection.exec_driver_sql(self._crossing.held)

    def _want(self, connection: sa.Connection) -> None:
        of_itself = {"postgresql": "SELECT pg_backend_pid()", "mariadb": "SELECT CONNECTION_ID()"}
        number = connection.exec_driver_sql(of_itself[self._kind]).scalar_one()
        self._thread = threading.Thread(target=self._go_on, args=(connection,))
        self._thread.start()
        is_waiting = sa.text(
            {
                "postgresql": "SELECT count(*) FROM pg_locks WHERE pid = :number AND NOT granted",
                "mariadb": "SELECT count(*) FROM information_schema.innodb_trx"
                " WHERE trx_mysql_thread_id = :number AND trx_state = 'LOCK WAIT'",
            }[self._kind]
        )
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            with self._engine.connect() as eye:
                if eye.execute(is_waiting, {"number": number}).scalar_one():
                    return
            time.sleep(_GLANCE)
        raise AssertionError("the rival has what it wants, and does not wait")

    def _go_on(self, connection: sa.Connection) -> None:
        try:
            connection.exec_driver_sql(self._crossing.wants)
            self.won += 1
        finally:
            connection.rollback()
            connection.close()


@contextmanager
def rivaled(url: str, crossing: Crossing, *, times: int) -> Iterator[Rival]:
    """Let a rival cross the way of every transaction of this process on the database of *url*."""
    rival = Rival(url, crossing, times)
    name = sa.make_url(url).database
    try:
        with rival._engine.begin() as connection:
            if rival._kind == "postgresql":
                connection.exec_driver_sql(f"ALTER DATABASE \"{name}\" SET deadlock_timeout = '50ms'")
            else:
                connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS rival (n INTEGER)")
        with watched(rival.watch):
            yield rival
    finally:
        rival.wait()
        rival._engine.dispose()
