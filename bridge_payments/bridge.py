"""Bridge: the one object an application makes. It wires engine, login, webhooks and background work."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar

from .auth import AuthBridge
from .auth.limits import FailedConfirms, Limits, counters_from
from .blocking import Blocking
from .caching import Cache, CacheStats
from .engine import Approve, PaymentEngine
from .errors import ConfigurationError
from .readings import of_caches, of_process, of_queues
from .recall import Recall
from .settings import Settings
from .stores.base import Store
from .telemetry import Observer, Watch
from .telemetry.metrics import Sample
from .telemetry.prometheus import Prometheus
from .telemetry.pulse import Pulse
from .webhooks import WebhookDispatcher, endpoints_from_settings
from .worker import Worker

__all__ = ["Bridge"]

log: logging.Logger = logging.getLogger(__name__)

_QUEUES_TTL: Final = 5.0
"""Seconds for which the depths of the queues are remembered: a stranger may ask for them, too."""

_READ_EVERY: Final = 30.0
"""Seconds."""

P = ParamSpec("P")
T = TypeVar("T")


class Bridge:
    """Nothing starts, connects or spawns at construction; `start` or the first request does.

    Use it as an async context manager, give its `lifespan` to the application, or call `start` and
    `aclose` yourself. From threads (Flask, scripts) use `call` and `close`: ``bridge.call(bridge.start)``
    begins the background work before the first request does.
    """

    def __init__(
        self,
        engine: PaymentEngine,
        *,
        auth: AuthBridge | None = None,
        webhooks: WebhookDispatcher | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.engine = engine
        self.auth: AuthBridge = auth or AuthBridge()
        self.webhooks: WebhookDispatcher = webhooks or WebhookDispatcher(engine.store, clock=engine.clock)
        self.settings: Settings = settings or engine.settings
        self.webhooks.external = self.settings.external_webhooks_enabled
        for endpoint in endpoints_from_settings(self.settings):
            self.webhooks.add(endpoint)
        self.worker: Worker = Worker(engine, self.webhooks, self.settings)
        self._counters = counters_from(self.settings)
        self.limits: Limits = Limits.from_settings(self.settings, self._counters)
        if self.settings.rate_limit_enabled:
            engine.failed_confirms = FailedConfirms(
                self._counters,
                per_ip=self.settings.failed_confirms_per_ip,
                per_email=self.settings.failed_confirms_per_email,
            )
        self.blocking: Blocking = Blocking()
        self.blocking.on_fork(self._forget)
        self._worker: asyncio.Task[None] | None = None
        self._starting: asyncio.Lock | None = None
        self._started = False
        engine.on_commit = self.worker.wake_deliveries
        engine.on_receipt = self.worker.wake_inbox
        self.watch: Watch = engine.watch
        """Who is told of work: see `observe`."""
        self.webhooks.watch = self.watch
        self.metrics: Prometheus | None = self._measure()
        """The figures of this process; None where METRICS_ENABLED is false, or without prometheus-client."""
        self.pulse: Pulse | None = Pulse(clock=engine.clock) if self.settings.admin_ui_enabled else None
        """Response times and the last call of each account, for the dashboard; None without it."""
        if self.pulse is not None:
            self.observe(self.pulse)
        self.recall: Recall = Recall.from_settings(engine, self.settings)
        """What payers look at, remembered for a while: their payment methods and customers."""
        self._queues: Cache[str, Sequence[Sample]] = Cache(max_entries=1, ttl=_QUEUES_TTL)

    @classmethod
    def from_env(
        cls,
        env: Mapping[str, str] | None = None,
        *,
        auth: AuthBridge | None = None,
        approve: Approve | None = None,
        store: Store | None = None,
    ) -> Self:
        """Build everything from environment variables; *auth* replaces the login that they name.

        Raises: ConfigurationError with every wrong name.
        """
        env = os.environ if env is None else env
        settings = Settings.from_env(env)
        if store is None:
            from .stores.sql import SQLStore

            store = SQLStore.from_settings(settings)
        engine = PaymentEngine(store, "", approve=approve, settings=settings, env=env)
        webhooks = WebhookDispatcher(store, allow_hosts=settings.webhook_allow_hosts)
        auth = auth or AuthBridge.from_settings(settings)
        return cls(engine, auth=auth, webhooks=webhooks, settings=settings)

    # --- life -------------------------------------------------------------------------------------

    @property
    def started(self) -> bool:
        """Whether this process has started it."""
        return self._started

    async def start(self) -> None:
        """Check the database and begin the background work of this process. Calling it again does nothing.

        Raises: StoreError where the database is away, or its tables are not those of this release.
        """
        if self._starting is None:
            self._starting = asyncio.Lock()
        async with self._starting:
            if self._started:
                return
            await self.engine.store.check()
            self._warn()
            if self.settings.inprocess_worker:
                self._worker = asyncio.create_task(self.run_worker(), name="bridge-payments-worker")
            self._started = True

    async def aclose(self) -> None:
        """Stop the background work, let calls under way finish, and close what was opened."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.cancel()
            await asyncio.wait({worker})
        await self.engine.aclose()
        await self.webhooks.aclose()
        await self.auth.aclose()
        await self._counters.aclose()
        await self.engine.store.aclose()
        self._started = False
        self._starting = None  # it belongs to this loop, and the next start may be on another

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """The lifespan of an ASGI application: ``Starlette(lifespan=bridge.lifespan)``."""
        async with self:
            yield

    def call(self, func: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run an engine function from an ordinary thread and return its result, or raise its error.

        All calls run on one event loop in one thread of this process; the first starts the bridge, as `start`
        does.

        Raises: RuntimeError when the caller runs on an event loop itself: `await` there instead.
        ConfigurationError under gevent or eventlet.
        """
        return self.blocking.call(self._called, func, *args, **kwargs)

    def close(self) -> None:
        """Do what `aclose` does, from an ordinary thread, and end the thread of the event loop.

        For the end of a script, and for gunicorn's ``worker_exit``.
        """
        if self.blocking.running:
            self.blocking.call(self.aclose)
        self.blocking.close()

    async def _called(self, func: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        await self.start()
        return await func(*args, **kwargs)

    # --- background work ---------------------------------------------------------------------------

    def wake(self) -> None:
        """Say that something was committed which somebody should look at soon."""
        self.worker.wake()

    async def run_worker(self, *, once: bool = False) -> None:
        """Deliver, process the inbox, reconcile, sweep and clean up, until cancelled; with *once*, one round.

        Any number of workers may run on any number of machines: rows are leased, and so are jobs.
        """
        if once:
            await self.worker.run_once()
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read_forever())
            group.create_task(self.worker.run())

    # --- telemetry --------------------------------------------------------------------------------

    def observe(self, observer: Observer) -> None:
        """Tell *observer* of every request, instruction, call, received webhook and delivery from now on."""
        self.watch.add(observer)

    async def readings(self) -> Sequence[Sample]:
        """Return the figures that are read on request: caches, process, and what waits in the database.

        The database is asked at most every few seconds, however often somebody wants to know.
        """
        queues = await self._queues.get("", partial(of_queues, self.engine))
        return [*of_process(), *of_caches(self.cache_stats()), *queues]

    def cache_stats(self) -> Mapping[str, CacheStats]:
        """Return the counters of every cache of this process, by name."""
        return {**self.auth.stats(), **self.recall.stats()}

    def clear_caches(self) -> None:
        """Forget everything that this process remembers: credentials, and what payers have."""
        self.auth.clear()
        self.recall.clear()

    async def exposition(self, *, accept: str = "") -> tuple[bytes, str]:
        """Return every figure as Prometheus reads it, and the content type; *accept* is its Accept header.

        Raises: ConfigurationError where nothing is measured.
        """
        if self.metrics is None:
            raise ConfigurationError("nothing is measured: METRICS_ENABLED, bridge-payments[prometheus]")
        return self.metrics.exposition(await self.readings(), accept=accept)

    async def _read_forever(self) -> None:
        """Tell the readings to those who cannot ask for them: an SDK collects in a thread, when it likes."""
        while True:
            await asyncio.sleep(_READ_EVERY)
            readers = [observer for observer in self.watch.observers if observer.reads]
            try:
                samples = await self.readings() if readers else ()
                for observer in readers:
                    observer.read(samples)
            except Exception:  # deliveries must not end because a figure is missing
                log.exception("figures could not be read; trying again")

    def _measure(self) -> Prometheus | None:
        if self.settings.otel_enabled:
            from .telemetry.otel import OpenTelemetry

            self.observe(OpenTelemetry())
        if not self.settings.metrics_enabled or find_spec("prometheus_client") is None:
            return None
        found = Prometheus()
        self.observe(found)
        return found

    # --- helpers ----------------------------------------------------------------------------------

    def _warn(self) -> None:
        if self.engine.approve is None:
            log.warning("no approve hook: browsers choose the price of what they pay")

    def _forget(self) -> None:
        """In a forked child: drop loop, pools and tasks of the parent without closing them."""
        self._worker = self._starting = None
        self._started = False
        self.engine.transport.forget()
        self.worker.forget()
        self.webhooks.forget()
        self.auth.forget()
        self.recall.clear()
        self._counters.forget()
        forget = getattr(self.engine.store, "forget", None)
        if forget is not None:
            forget()
