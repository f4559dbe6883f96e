"""The background work of one process: deliveries, inbox, reconciliation, sweep, and jobs by the clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Final

from .engine import PaymentEngine
from .jobs import Done, Job, run_if_due
from .settings import Settings
from .webhooks import WebhookDispatcher

__all__ = ["Worker"]

log: logging.Logger = logging.getLogger(__name__)

_IDLE: Final = 1.0
"""Seconds between looks at the queues when nobody says that there is something in them."""
_PAUSE: Final = 5.0
"""Seconds that a kind of work rests after it failed (the database is away, for instance)."""
_LOOK: Final = 15.0
"""Seconds between looks whether a job is due."""
_RETENTION: Final = 6 * 3600.0
_MOST: Final = 600
"""Seconds: secrets of payments whose payer stands before a challenge are looked at at least so often."""


class Worker:
    """Any number of them may run on any number of machines: rows are leased, and so are jobs.

    Each kind of work has a loop of its own, and each account its own inbox loop: a provider that hangs
    delays neither another provider's events nor a delivery.
    """

    def __init__(self, engine: PaymentEngine, webhooks: WebhookDispatcher, settings: Settings) -> None:
        self._engine = engine
        self._webhooks = webhooks
        self._settings = settings
        self._wakes: dict[str, asyncio.Event] = {}

    # Called on the worker's event loop. What nobody says is found at the next look, a second later.

    def wake(self) -> None:
        """Say that something was committed which somebody should look at soon."""
        for event in self._wakes.values():
            event.set()
        self._webhooks.wake()

    def wake_deliveries(self) -> None:
        """Say that there may be events to tell."""
        self._webhooks.wake()

    def wake_inbox(self, provider_id: str) -> None:
        """Say that one account's inbox holds something: a burst of events must not stir the other queues."""
        wake = self._wakes.get(_inbox_of(provider_id))
        if wake is not None:
            wake.set()

    def forget(self) -> None:
        """In a forked child: the loops are the parent's."""
        self._wakes = {}

    async def run(self) -> None:
        """Work until cancelled."""
        self._wakes = {}
        engine = self._engine
        async with asyncio.TaskGroup() as group:
            for provider_id in engine.provider_ids:
                inbox = partial(engine.process_inbox, provider_id=provider_id)
                group.create_task(self._forever(_inbox_of(provider_id), inbox, woken=True))
            group.create_task(self._forever("open operations", engine.reconcile, woken=True))
            group.create_task(self._forever("payments that are not final", engine.sweep, woken=True))
            group.create_task(self._webhooks.run(idle_seconds=_IDLE))
            for job in self.jobs():
                due = partial(run_if_due, engine.store, job)
                group.create_task(self._forever(job.name, due, idle=min(_LOOK, job.every)))

    async def run_once(self) -> None:
        """Do what is due now, then return."""
        engine = self._engine
        while (
            await engine.process_inbox()
            + await engine.reconcile()
            + await engine.sweep()
            + await self._webhooks.run_once()
        ):
            pass
        for job in self.jobs():
            await run_if_due(engine.store, job)

    def jobs(self) -> Iterator[Job]:
        """Yield what is done by the clock."""
        settings = self._settings
        if settings.client_secret_auto_cleanup:
            every = float(min(settings.client_secret_cleanup_interval, _MOST))
            yield Job("client secrets", every, self._clean_client_secrets)
        yield Job("retention", _RETENTION, self._forget_old)

    async def _clean_client_secrets(self, note: str | None) -> Done:
        return Done(await self._engine.clean_client_secrets())

    async def _forget_old(self, note: str | None) -> Done:
        forgotten = await self._engine.forget_old(after=note)
        if forgotten.total:
            log.info("forgotten by age: %s", forgotten)
        return Done(forgotten.total, forgotten.cursor)

    async def _forever(
        self, what: str, work: Callable[[], Awaitable[int]], *, idle: float = _IDLE, woken: bool = False
    ) -> None:
        wake = asyncio.Event()
        if woken:
            self._wakes[what] = wake
        while True:
            wake.clear()
            pause = idle
            try:
                if await work():
                    continue
            except Exception:
                # A worker outlives what it works on: the database may be away for a minute.
                log.exception("background work on %s failed; trying again", what)
                pause = _PAUSE
            try:
                # Not wait_for: before Python 3.12 it swallows a cancellation that comes with the wake-up.
                async with asyncio.timeout(pause):
                    await wake.wait()
            except TimeoutError:
                continue


def _inbox_of(provider_id: str) -> str:
    return f"the inbox of {provider_id}"
