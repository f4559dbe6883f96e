"""Work by the clock, each job by one process of the fleet at a time: whoever is at it is in the job's row."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from .errors import StoreError
from .models import ScheduledJob
from .stores.base import Store, Unit

__all__ = ["Done", "Job", "run_if_due"]

log: logging.Logger = logging.getLogger(__name__)

LEASE_SECONDS: Final = 60.0
"""A job whose process died is taken over after it."""
_AFTER_A_FAILURE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Done:
    """How much a run did, and where the next one goes on."""

    handled: int
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    name: str
    every: float
    """Seconds from the end of a run to the next one."""
    work: Callable[[str | None], Awaitable[Done]]
    """Is given the note that its last run left."""


async def run_if_due(store: Store, job: Job) -> int:
    """Do *job* if it is due and nobody is at it; return how much it did. Raises StoreError.

    The lease is prolonged while it runs; a run that lost it is cut off. A run that is cancelled gives the
    job back, due at once.
    """
    token = secrets.token_hex(8)
    taken = await store.run(lambda unit: unit.jobs.take(job.name, lease_seconds=LEASE_SECONDS, token=token))
    if taken is None:
        return 0
    finish = partial(_finish, store, job, token)
    working = asyncio.ensure_future(job.work(taken.note))
    try:
        if not await _ended(store, job, token, working):
            log.error("%s was taken over by another process while it ran here", job.name)
            return 0
        done = working.result()
    except asyncio.CancelledError:
        await _stop(working)
        await finish(taken, next_in=0.0, note=taken.note)
        raise
    except Exception as error:
        log.exception("%s failed; it is tried again", job.name)
        again = min(job.every, _AFTER_A_FAILURE)
        await finish(taken, next_in=again, note=taken.note, error=type(error).__name__)
        return 0
    finally:
        await _stop(working)
    await finish(taken, next_in=job.every, note=done.note, handled=done.handled)
    return done.handled


async def _stop(working: asyncio.Future[Done]) -> None:
    if not working.done():
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def _ended(store: Store, job: Job, token: str, working: asyncio.Future[Done]) -> bool:
    """Wait for the end of a run and keep its lease; return False when the lease is lost."""

    def extend(unit: Unit) -> bool:
        return unit.jobs.extend(job.name, lease_seconds=LEASE_SECONDS, token=token)

    while not (await asyncio.wait({working}, timeout=LEASE_SECONDS / 3))[0]:
        try:
            if not await store.run(extend):
                return False
        except StoreError as error:
            log.warning("%s could not keep its lease: %s", job.name, error)
            return False
    return True


async def _finish(
    store: Store,
    job: Job,
    token: str,
    taken: ScheduledJob,
    *,
    next_in: float,
    note: str | None,
    handled: int = 0,
    error: str | None = None,
) -> None:
    def finish(unit: Unit) -> bool:
        return unit.jobs.finish(
            taken.name, token=token, next_in_seconds=next_in, handled=handled, error=error, note=note
        )

    try:
        await store.run(finish)
    except StoreError as failure:  # its lease runs out by itself
        log.warning("the end of %s could not be written down: %s", job.name, failure)
