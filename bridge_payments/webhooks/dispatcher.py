"""Turns events of the outbox into deliveries, and attempts them until they are delivered or dead."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from time import monotonic
from typing import Final, TypeVar

from ..errors import ConfigurationError, NotFound, StoreError
from ..models import Clock, Delivery, DeliveryState, Event, new_id, utc_now
from ..seam import passing
from ..stores.base import Store, Unit
from ..transport import Transport
from .attempts import call, post
from .endpoints import Endpoint, Handler
from .outcomes import Outcome, decide, failed, kills_its_worker

__all__ = ["WebhookDispatcher"]

logger = logging.getLogger(__name__)

H = TypeVar("H", bound=Handler)

_EVENT_LEASE_SECONDS: Final = 30.0
_HANDLER_TIMEOUT_SECONDS: Final = 60.0
_CLOSING_SECONDS: Final = 5.0
_MAX_CONNECTIONS: Final = 1000
"""More than all endpoints together use: each has its own limit, and none waits for another one's."""


@dataclass(frozen=True, slots=True)
class _Claim:
    """A delivery that is ours until *deadline* on the monotonic clock; after it nothing is sent."""

    delivery: Delivery
    event: Event | None
    token: str
    deadline: float


class WebhookDispatcher:
    """Tells endpoints and handlers about events: at least once, in no order, from any number of processes.

    Without a *transport* of yours, addresses that are not public are refused, but for *allow_hosts*.

    Every process that runs one must know every endpoint: whoever finds an event first decides, from
    the endpoints it knows, which deliveries the event gets.
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
        self._store = store
        self._transport = transport
        self._owns_transport = transport is None
        self._allow_hosts = frozenset(allow_hosts)
        self._clock = clock
        self._random = random or Random()  # noqa: S311 - spreads retries, protects nothing
        self._endpoints: dict[str, Endpoint] = {}
        self._gone: set[str] = set()
        self._lanes: dict[str, asyncio.Task[int] | None] = {}
        self._passed_by: set[str] = set()
        self._woken = asyncio.Event()
        for endpoint in endpoints:
            self.add(endpoint)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Everything that is told, in the order it was added."""
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

    async def run(self, *, idle_seconds: float = 1.0, limit: int = 50) -> None:
        """Work until cancelled; unlike a loop over `run_once`, no endpoint ever waits for another one."""
        self._woken = asyncio.Event()  # of this loop: a program may well call `asyncio.run` twice
        while True:
            self._woken.clear()
            told = 0
            try:
                told, _ = await self._begin(limit)
            except StoreError as error:
                logger.warning("webhooks wait for the database: %s", error)
            except Exception:  # a worker outlives what it works on; the log has the reason
                logger.exception("webhooks could not be looked at; trying again")
            if told < limit:
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

        Raises: NotFound.
        """

        def revive(unit: Unit) -> tuple[Delivery | None, bool]:
            found = unit.deliveries.get(delivery_id)
            return found, found is not None and unit.deliveries.redeliver(delivery_id)

        delivery, revived = await self._store.run(revive)
        if delivery is None:
            raise NotFound(f"there is no delivery {delivery_id}")
        self._gone.discard(delivery.endpoint)
        self.wake()
        return revived

    async def aclose(self) -> None:
        """Let attempts in the air end, within seconds, and release what was opened here.

        An attempt that is cut off is made again when its lease has run out.
        """
        lanes = [lane for lane in self._lanes.values() if lane is not None]
        if lanes:
            _, late = await asyncio.wait(lanes, timeout=_CLOSING_SECONDS)
            for lane in late:
                lane.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._owns_transport and self._transport is not None:
            transport, self._transport = self._transport, None
            await transport.aclose()

    def forget(self) -> None:
        """Drop what belongs to the parent process, in a child that was forked from it."""
        self._lanes = {}
        self._woken = asyncio.Event()
        if self._transport is not None:
            self._transport.forget()

    async def _begin(self, limit: int) -> tuple[int, list[asyncio.Task[int]]]:
        """Expand, claim for every idle endpoint in the same transaction, and start one lane for each."""
        able = [endpoint for endpoint in self.endpoints if endpoint.name not in self._gone]
        busy = [endpoint for endpoint in able if endpoint.name in self._lanes]
        idle = [endpoint for endpoint in able if endpoint.name not in self._lanes]
        for endpoint in idle:
            self._lanes[endpoint.name] = None  # taken: a round that begins meanwhile leaves it to us
            self._passed_by.discard(endpoint.name)

        def expand_and_claim(unit: Unit) -> tuple[int, list[list[_Claim]]]:
            told = self._expand(unit, limit)
            return told, [_claim(unit, endpoint=e, limit=min(e.concurrency, limit)) for e in idle]

        started: list[asyncio.Task[int]] = []
        try:
            told, claims = await self._store.run(expand_and_claim)
            for endpoint, claimed in zip(idle, claims, strict=True):
                if claimed or endpoint.name in self._passed_by:
                    started.append(self._start(endpoint, claimed, limit))
            for endpoint in busy if told else ():
                # It was busy when these deliveries were made, so it looks again before it rests.
                self._passed_by.add(endpoint.name)
                if endpoint.name not in self._lanes:
                    started.append(self._start(endpoint, [], limit))
        finally:
            for endpoint in idle:
                if self._lanes.get(endpoint.name) is None:
                    self._lanes.pop(endpoint.name, None)
        return told, started

    def _start(self, endpoint: Endpoint, claims: list[_Claim], limit: int) -> asyncio.Task[int]:
        lane = self._lanes[endpoint.name] = asyncio.create_task(self._lane(endpoint, claims, limit))

        def clear(ended: asyncio.Task[int]) -> None:
            if self._lanes.get(endpoint.name) is ended:  # cancelled before its first step: no finally ran
                del self._lanes[endpoint.name]

        lane.add_done_callback(clear)
        return lane

    def _expand(self, unit: Unit, limit: int) -> int:
        """Give each untold event one delivery for every endpoint that wants it."""
        events = unit.events.claim_untold(limit=limit, lease_seconds=_EVENT_LEASE_SECONDS)
        for event in events:
            for endpoint in self.endpoints:
                if endpoint.wants(event.type):
                    unit.deliveries.add(
                        Delivery(
                            id=new_id("dlv"),
                            event_id=event.id,
                            event_type=event.type,
                            endpoint=endpoint.name,
                            state=DeliveryState.PENDING,
                            created_at=self._clock(),
                        )
                    )
            unit.events.mark_told(event.id)
        return len(events)

    async def _lane(self, endpoint: Endpoint, claims: list[_Claim], limit: int) -> int:
        """Attempt what was claimed for one endpoint, and go on while there is more; return how many."""
        handled, room = 0, min(endpoint.concurrency, limit)
        try:
            while True:
                await asyncio.gather(*(self._attempt(endpoint, claim) for claim in claims))
                handled += len(claims)
                more = len(claims) == room or endpoint.name in self._passed_by
                if not more or endpoint.name in self._gone:
                    break
                room = min(endpoint.concurrency, limit - handled)
                if room <= 0:
                    self.wake()  # this round's share is used up, and there may be more
                    break
                self._passed_by.discard(endpoint.name)
                claims = await self._store.run(partial(_claim, endpoint=endpoint, limit=room))
        except StoreError as error:
            logger.warning("webhook endpoint %s waits for the database: %s", endpoint.name, error)
        finally:
            self._lanes.pop(endpoint.name, None)
        return handled

    async def _attempt(self, endpoint: Endpoint, claim: _Claim) -> None:
        delivery, event = claim.delivery, claim.event
        if monotonic() > claim.deadline:
            return  # the lease would end under the exchange, and two processes would send at once
        if event is None:
            outcome = Outcome(retry=False, error="the event is no longer stored")
        elif kills_its_worker(delivery.attempts, endpoint.schedule):
            outcome = Outcome(retry=False, error="the process ended during every attempt")
        else:
            what = f"{endpoint.name} {event.id}"
            passing("deliver", what)
            try:
                outcome = await self._tell(endpoint, event)
            except Exception as error:  # a fault of ours in one delivery stays with that delivery
                logger.exception("webhook delivery %s could not be attempted", delivery.id)
                outcome = failed(f"not attempted: {type(error).__name__}")
            passing("delivered", what)
        await self._record(endpoint, claim, outcome)

    async def _tell(self, endpoint: Endpoint, event: Event) -> Outcome:
        if endpoint.handler is not None:
            payment = event.payment.without_secret() if event.payment else None
            return await call(endpoint, replace(event, payment=payment))
        return await post(endpoint, event, transport=self._open_transport(), now=self._clock())

    async def _record(self, endpoint: Endpoint, claim: _Claim, outcome: Outcome) -> None:
        state, wait = decide(
            outcome, attempts=claim.delivery.attempts, schedule=endpoint.schedule, random=self._random
        )
        told = replace(
            claim.delivery,
            state=state,
            status_code=outcome.status_code,
            error=outcome.error,
            delivered_at=self._clock() if outcome.delivered else None,
        )
        if outcome.gone:
            self._gone.add(endpoint.name)
            logger.error("webhook endpoint %s answered 410: switched off until a restart", endpoint.name)
        elif state is DeliveryState.DEAD:
            logger.error("webhook delivery %s to %s given up: %s", told.id, endpoint.name, outcome.error)

        def record(unit: Unit) -> bool:
            return unit.deliveries.finish(told, token=claim.token, state=state, retry_in_seconds=wait)

        try:
            kept = await self._store.run(record)
        except StoreError as error:
            # Not recorded is not lost: the lease runs out and it is told once more.
            logger.warning("webhook delivery %s could not be recorded: %s", told.id, error)
            return
        if not kept:
            logger.info("webhook delivery %s was taken over by another worker", told.id)

    def _open_transport(self) -> Transport:
        if self._transport is None:
            self._transport = Transport(
                public_only=True, allow_hosts=self._allow_hosts, max_connections=_MAX_CONNECTIONS
            )
        return self._transport


def _claim(unit: Unit, *, endpoint: Endpoint, limit: int) -> list[_Claim]:
    token = secrets.token_hex(8)
    deadline = monotonic() + endpoint.lease_seconds - endpoint.timeout_seconds
    deliveries = unit.deliveries.claim_due(
        limit=limit, lease_seconds=endpoint.lease_seconds, token=token, endpoints=(endpoint.name,)
    )
    return [_Claim(d, unit.events.get(d.event_id), token, deadline) for d in deliveries]
