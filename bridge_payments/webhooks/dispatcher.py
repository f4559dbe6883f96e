"""Turns events of the outbox into deliveries, and attempts them until they are delivered or dead."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from random import Random
from time import monotonic
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

from ..errors import ConfigurationError, NotFound, StoreError
from ..models import Clock, Delivery, DeliveryState, Event, new_id, utc_now
from ..seam import passing
from ..stores.base import Store, Unit
from ..stores.grouping import Grouped
from ..telemetry import Kind, Watch
from ..transport import Transport
from .attempts import call, post
from .endpoints import Endpoint, Handler
from .lanes import Claim, Lane, claim
from .outcomes import Outcome, failed, kills_its_worker
from .recording import Attempt, Recorder
from .roster import Roster, StoredOnes, read_roster
from .stored import StoredEndpoints

__all__ = ["WebhookDispatcher"]

logger: logging.Logger = logging.getLogger(__name__)

H = TypeVar("H", bound=Handler)

_EVENT_LEASE_SECONDS: Final = 30.0
_HANDLER_TIMEOUT_SECONDS: Final = 60.0
_CLOSING_SECONDS: Final = 5.0
_MAX_CONNECTIONS: Final = 1000
"""More than all endpoints together use: each has its own limit, and none waits for another one's."""
_MANY: Final = 1000
_LINGER: Final = 0.005
"""Seconds that an outcome waits for others to be written down with."""
_EXPANDED: Final = 100
"""How many events get their deliveries in one transaction."""


class WebhookDispatcher:
    """Tells endpoints and handlers about events: at least once, in no order, from any number of processes.

    Without a *transport* of yours, addresses that are not public are refused, but for *allow_hosts*.

    Every process that runs one must know every configured endpoint: whoever finds an event first decides,
    from the endpoints it knows, which deliveries the event gets. Stored endpoints are known to all.
    """

    def __init__(
        self,
        store: Store,
        *,
        endpoints: Sequence[Endpoint] = (),
        transport: Transport | None = None,
        allow_hosts: Collection[str] = (),
        clock: Clock = utc_now,
        random: Random | None = None,
    ) -> None:
        self.stored: StoredEndpoints = StoredEndpoints(store, clock=clock, on_change=self.wake)
        """Endpoints that are kept in the store: make, change, switch, delete."""
        self.external = True
        """Whether stored endpoints are told; ``EXTERNAL_WEBHOOKS_ENABLED``. Handlers are, in any case."""
        self._store = store
        self._transport = transport
        self._owns_transport = transport is None
        self._allow_hosts = frozenset(allow_hosts)
        self._clock = clock
        self._endpoints: dict[str, Endpoint] = {}
        self._stored_ones = StoredOnes()
        self._roster = Roster()
        recorder = Recorder(clock, random or Random())  # noqa: S311 - spreads retries, protects nothing
        self._outcomes = Grouped(store, recorder.record, linger=_LINGER)
        self._lanes: dict[str, tuple[Lane, asyncio.Task[int]]] = {}
        self._rounds: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
        self._left_behind: list[Claim] = []
        self._closing = False
        self._woken = asyncio.Event()
        self.watch: Watch = Watch()
        """Who is told of work, for metrics and traces."""
        for endpoint in endpoints:
            self.add(endpoint)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """What is configured, in the order it was added; stored endpoints are not among them."""
        return tuple(self._endpoints.values())

    def add(self, endpoint: Endpoint) -> None:
        """Tell *endpoint* too. Raises ConfigurationError if its name is taken."""
        if endpoint.name in self._endpoints:
            raise ConfigurationError(
                f"two webhook endpoints are named {endpoint.name!r}: name one differently"
            )
        self._endpoints[endpoint.name] = endpoint

    def on(self, *patterns: str, name: str | None = None) -> Callable[[H], H]:
        """Register a handler, async or plain, for events that match *patterns*.

        It runs after commit, at least once, and again later when it raises: deduplicate by
        `event.id`. Its deliveries are stored under *name*, by default the function's own.
        """

        def register(handler: H) -> H:
            self.add(
                Endpoint(
                    name=name or str(getattr(handler, "__name__", type(handler).__name__)),
                    events=patterns,
                    handler=handler,
                    timeout_seconds=_HANDLER_TIMEOUT_SECONDS,
                )
            )
            return handler

        return register

    async def run_once(self, *, limit: int = 50) -> int:
        """Make deliveries of untold events, attempt what is due; return how many of both were handled.

        Up to *limit* events, and up to *limit* deliveries of each endpoint. Ends when its slowest
        attempt ends; a second call may run meanwhile and leaves the busy endpoints alone.

        Raises: StoreError when nothing could be claimed.
        """
        told, lanes = await self._begin(limit)
        return told + sum(await asyncio.gather(*lanes))

    async def run(self, *, idle_seconds: float = 1.0, limit: int = 1000) -> None:
        """Work until cancelled; unlike a loop over `run_once`, no endpoint ever waits for another one."""
        self._woken = asyncio.Event()  # of this loop: a program may well call `asyncio.run` twice
        self._closing = False
        while True:
            self._woken.clear()
            told = 0
            try:
                told, _ = await self._begin(limit)
            except StoreError as error:
                logger.warning("webhooks wait for the database: %s", error)
            except Exception:  # a worker outlives what it works on; the log has the reason
                logger.exception("webhooks could not be looked at; trying again")
            if told < min(limit, _EXPANDED):
                try:
                    async with asyncio.timeout(idle_seconds):
                        await self._woken.wait()
                except TimeoutError:
                    pass

    def wake(self) -> None:
        """Say that something was committed: `run` looks at once. Call it on the dispatcher's event loop."""
        self._woken.set()

    async def redeliver(self, delivery_id: str) -> bool:
        """Make a dead or delivered delivery due again; return False if it was due anyway.

        An endpoint that switched itself off is switched on again.

        Raises: NotFound.
        """

        def revive(unit: Unit) -> tuple[Delivery | None, bool]:
            found = unit.deliveries.get(delivery_id)
            if found is None:
                return None, False
            unit.endpoints.switch_on(found.endpoint)
            return found, unit.deliveries.redeliver(delivery_id)

        delivery, revived = await self._store.run(revive)
        if delivery is None:
            raise NotFound(f"there is no delivery {delivery_id}")
        self.wake()
        return revived

    async def redeliver_dead(self, endpoint: str, *, since: datetime | None = None) -> int:
        """Make everything due again that *endpoint* did not get, newest first; return how much.

        An endpoint that is switched off is switched on again.
        """

        def revive(unit: Unit) -> int:
            dead = unit.deliveries.list(state=DeliveryState.DEAD, endpoint=endpoint, limit=_MANY)
            unit.endpoints.switch_on(endpoint)
            return sum(
                unit.deliveries.redeliver(each.id)
                for each in dead
                if since is None or each.created_at >= since
            )

        revived = 0
        while found := await self._store.run(revive):
            revived += found
        self.wake()
        return revived

    async def aclose(self) -> None:
        """Let attempts in the air end, within seconds, and release what was opened or claimed here.

        What was claimed and not begun, and what is cut off, is due again at once, in any process.
        """
        self._closing = True
        lanes = [task for _, task in self._lanes.values()]
        if lanes:
            _, late = await asyncio.wait(lanes, timeout=_CLOSING_SECONDS)
            for lane in late:
                lane.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._release()
        self._closing = False
        if self._owns_transport and self._transport is not None:
            transport, self._transport = self._transport, None
            await transport.aclose()

    def forget(self) -> None:
        """Drop what belongs to the parent process, in a child that was forked from it."""
        self._lanes = {}
        self._left_behind = []
        self._closing = False
        self._woken = asyncio.Event()
        if self._transport is not None:
            self._transport.forget()

    # --- one round --------------------------------------------------------------------------------

    async def _begin(self, limit: int) -> tuple[int, list[asyncio.Task[int]]]:
        """Expand, claim for every idle endpoint in the same transaction, and start one lane for each."""
        lock = self._rounds.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        async with lock:  # of two rounds at once, the second leaves alone whom the first works for
            busy, left = frozenset(self._lanes), list(self._left_behind)

            def expand_and_claim(unit: Unit) -> tuple[Roster, list[Event], dict[str, list[Claim]]]:
                _give_back(unit, left)
                stored = self._stored_ones if self.external else None
                roster = read_roster(unit, self._endpoints, stored, now=self._clock())
                told = self._expand(unit, roster, min(limit, _EXPANDED))
                claims = {
                    endpoint.name: claim(unit, endpoint=endpoint, limit=min(endpoint.concurrency, limit))
                    for endpoint in roster.endpoints.values()
                    if endpoint.name not in busy and roster.is_on(endpoint.name)
                }
                return roster, told, claims

            self._roster, events, claims = await self._store.run(expand_and_claim)
            told = len(events)
            self._count(events)
            self._left_behind = [each for each in self._left_behind if each not in left]
            started = [
                self._start(self._roster.endpoints[name], claimed, limit)
                for name, claimed in claims.items()
                if claimed
            ]
            for name in busy if told else ():
                # It was busy when these deliveries were made, so it looks again before it rests.
                if name in self._lanes:
                    self._lanes[name][0].look_again = True
                elif self._roster.is_on(name):
                    started.append(self._start(self._roster.endpoints[name], [], limit, look_again=True))
            return told, started

    def _start(
        self, endpoint: Endpoint, claims: list[Claim], limit: int, *, look_again: bool = False
    ) -> asyncio.Task[int]:
        lane = Lane(
            endpoint,
            claims,
            limit=limit,
            look_again=look_again,
            attempt=self._attempt,
            record=self._record,
            fetch=self._fetch,
            may_go_on=lambda: not self._closing and self._roster.is_on(endpoint.name),
        )
        task = asyncio.create_task(lane.run())
        self._lanes[endpoint.name] = (lane, task)

        def clear(ended: asyncio.Task[int]) -> None:
            if self._lanes.get(endpoint.name) == (lane, ended):
                del self._lanes[endpoint.name]
            self._left_behind.extend(lane.unfinished.values())
            if lane.look_again or lane.share_used_up:
                self.wake()  # there may be more

        task.add_done_callback(clear)
        return task

    def _count(self, events: Sequence[Event]) -> None:
        """Each event of the outbox passes here once, whichever process wrote it."""
        for event in events if self.watch.observers else ():
            row = event.payment or event.subscription or event.payment_method or event.customer
            provider = getattr(row, "provider_id", None) or ""
            final = "true" if event.type == "payment.failed" and event.data.get("final") else ""
            self.watch.count("event", type=event.type, provider=provider, final=final)

    def _expand(self, unit: Unit, roster: Roster, limit: int) -> list[Event]:
        """Give each untold event one delivery for every endpoint that wants it."""
        events = unit.events.claim_untold(limit=limit, lease_seconds=_EVENT_LEASE_SECONDS)
        now = self._clock()
        unit.deliveries.add_all(
            [
                Delivery(
                    id=new_id("dlv"),
                    event_id=event.id,
                    event_type=event.type,
                    endpoint=endpoint.name,
                    state=DeliveryState.PENDING if off is None else DeliveryState.DEAD,
                    error=None if off is None else f"not attempted: switched off ({off})",
                    created_at=now,
                )
                for event in events
                for endpoint, off in roster.listeners(event)
            ]
        )
        if events:
            unit.events.mark_told(*(event.id for event in events))
        return list(events)

    async def _fetch(self, endpoint: Endpoint, room: int) -> list[Claim]:
        return await self._store.run(partial(claim, endpoint=endpoint, limit=room))

    async def _release(self) -> None:
        """Give back what nobody here will attempt any more."""
        left, self._left_behind = self._left_behind, []
        if left:
            try:
                await self._store.run(partial(_give_back, left=left))
            except StoreError as error:  # their leases run out by themselves
                logger.warning("%s claimed webhook deliveries were not given back: %s", len(left), error)

    # --- one delivery -----------------------------------------------------------------------------

    async def _attempt(self, endpoint: Endpoint, claimed: Claim) -> Outcome | None:
        """Attempt one delivery; return how it went, or None if it was not begun."""
        delivery, event = claimed.delivery, claimed.event
        if monotonic() > claimed.deadline:
            return None  # the lease would end under the exchange, and two processes would send at once
        if event is None:
            outcome = Outcome(retry=False, error="the event is no longer stored")
        elif kills_its_worker(delivery.attempts, endpoint.schedule):
            outcome = Outcome(retry=False, error="the process ended during every attempt")
        else:
            what = f"{endpoint.name} {event.id}"
            passing("deliver", what)
            with self.watch.activity(
                Kind.DELIVERY,
                event.type,
                links=(event.trace,) if event.trace else (),
                endpoint=endpoint.name,
                event_type=event.type,
                event_id=event.id,
                delivery_id=delivery.id,
                attempt=delivery.attempts,
            ) as seen:
                outcome = await self._told(endpoint, delivery, event)
                seen.outcome = "delivered" if outcome.delivered else "failed"
                seen.facts["status"], seen.facts["reason"] = outcome.status_code, outcome.error
            passing("delivered", what)
        return outcome

    async def _told(self, endpoint: Endpoint, delivery: Delivery, event: Event) -> Outcome:
        try:
            return await self._tell(endpoint, event)
        except Exception as error:  # a fault of ours in one delivery stays with that delivery
            logger.exception("webhook delivery %s could not be attempted", delivery.id)
            return failed(f"not attempted: {type(error).__name__}")

    async def _tell(self, endpoint: Endpoint, event: Event) -> Outcome:
        if endpoint.handler is not None:
            payment = event.payment.without_secret() if event.payment else None
            return await call(endpoint, replace(event, payment=payment))
        return await post(endpoint, event, transport=self._open_transport(), now=self._clock())

    async def _record(self, endpoint: Endpoint, claimed: Claim, outcome: Outcome) -> None:
        attempt = Attempt(
            endpoint=endpoint,
            delivery=claimed.delivery,
            token=claimed.token,
            outcome=outcome,
            was_failing=self._roster.is_failing(endpoint.name),
        )
        try:
            recorded = await self._outcomes.add(attempt)
        except StoreError as error:
            # Not recorded is not lost: the lease runs out and it is told once more.
            logger.warning("webhook delivery %s could not be recorded: %s", claimed.delivery.id, error)
            return
        if recorded.switched_off is not None:
            self._roster = self._roster.without(endpoint.name, recorded.switched_off, self._clock())
            logger.error("webhook endpoint %s is switched off: %s", endpoint.title, recorded.switched_off)
        elif recorded.state is DeliveryState.DEAD:
            logger.error(
                "webhook delivery %s to %s given up: %s", claimed.delivery.id, endpoint.title, outcome.error
            )
        if recorded.kept:
            self.watch.count("delivery", endpoint=endpoint.name, outcome=recorded.state.value)
        else:
            logger.info("webhook delivery %s was taken over by another worker", claimed.delivery.id)

    def _open_transport(self) -> Transport:
        if self._transport is None:
            self._transport = Transport(
                public_only=True, allow_hosts=self._allow_hosts, max_connections=_MAX_CONNECTIONS
            )
        return self._transport


def _give_back(unit: Unit, left: Sequence[Claim]) -> None:
    for token in {each.token for each in left}:
        unit.deliveries.release([each.delivery.id for each in left if each.token == token], token=token)
