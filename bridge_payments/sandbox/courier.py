"""Signed events on their way to whoever asked for them: at least once, in no order, with retries."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import httpx

__all__ = ["Attempt", "Courier", "Endpoint", "Parcel"]

Json = dict[str, Any]

Order = Literal["oldest", "newest", "shuffled"] | Callable[[list["Parcel"]], list["Parcel"]]

_RETRY_AFTER: Final = (0.3, 1.0, 3.0, 8.0, 20.0, 60.0)
"""Seconds: a gateway's days, shortened to what somebody watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    url: str
    secret: str = field(repr=False)
    """What its deliveries are bound to: a signing secret, or the id of the webhook."""
    events: Collection[str] = ("*",)

    def wants(self, kind: str) -> bool:
        return "*" in self.events or kind in self.events


@dataclass(slots=True)
class Parcel:
    """One event on its way to one endpoint."""

    event: Json
    endpoint: Endpoint
    due: float = 0.0
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    event_id: str
    event_type: str
    url: str
    status: int | None
    """None: no answer."""


class Courier(ABC):
    """One gateway's deliveries. A gateway says how it signs and what its events call their kind."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: list[Parcel] = []
        self._held: list[Parcel] = []
        self._flying = 0
        self._wake: Callable[[], None] = lambda: None
        self._random = random.Random(20)  # noqa: S311 - shuffles parcels, guards nothing
        self.endpoints: list[Endpoint] = []
        self.attempts: list[Attempt] = []
        self.off: bool = False
        """Events are written and never sent: the webhook that is lost."""
        self.paused: bool = False
        self.copies: int = 1
        self.delay: float = 0.0
        self.reorder: bool = False

    # --- switches ---------------------------------------------------------------------------------

    def add(self, url: str, *, secret: str | None = None, events: Collection[str] = ("*",)) -> Endpoint:
        """Register an endpoint; its secret is drawn if none is given."""
        endpoint = Endpoint(url=url, secret=secret or self.new_secret(), events=tuple(events))
        self.endpoints.append(endpoint)
        return endpoint

    def pause(self) -> None:
        """Hold every event from now on; `deliver_all` or `resume` lets them go."""
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        with self._changed:
            self._queue.extend(self._held)
            self._held.clear()
        self._wake()

    def held(self) -> list[Json]:
        with self._changed:
            return [parcel.event for parcel in self._held]

    def deliver_all(self, order: Order = "oldest", *, copies: int = 1, keep: bool = False) -> list[Attempt]:
        """Send every held event now, in this thread, and return what was answered.

        Blocking: call it through ``asyncio.to_thread`` where the receiver shares the caller's loop.
        With *keep* they stay held, to be sent again.
        """
        with self._changed:
            parcels = self._ordered(list(self._held), order)
            if not keep:
                self._held.clear()
        with httpx.Client(timeout=10, trust_env=False) as client:
            return [
                self._note(parcel, self._send(client, parcel)) for parcel in parcels for _ in range(copies)
            ]

    def _ordered(self, parcels: list[Parcel], order: Order) -> list[Parcel]:
        if callable(order):
            return order(parcels)
        if order == "shuffled":
            self._random.shuffle(parcels)
        return parcels[::-1] if order == "newest" else parcels

    # --- what a gateway says ----------------------------------------------------------------------

    @abstractmethod
    def new_secret(self) -> str:
        """Draw what an endpoint's deliveries are bound to."""

    @abstractmethod
    def kind_of(self, event: Json) -> str: ...

    @abstractmethod
    def headers_and_body(self, event: Json, endpoint: Endpoint) -> tuple[Mapping[str, str], bytes]:
        """Return one signed delivery."""

    # --- sending ----------------------------------------------------------------------------------

    def publish(self, event: Json) -> None:
        """Queue *event* for every endpoint that wants it."""
        if self.off:
            return
        parcels = [
            Parcel(event, endpoint, due=time.monotonic() + self._lag())
            for endpoint in self.endpoints
            if endpoint.wants(self.kind_of(event))
            for _ in range(self.copies)
        ]
        self.queued(event, len(parcels))
        with self._changed:
            (self._held if self.paused else self._queue).extend(parcels)
        self._wake()

    def queued(self, event: Json, count: int) -> None:  # noqa: B027 - most gateways' events do not say
        """Note how many endpoints will hear of it, if events say so."""

    def _lag(self) -> float:
        return self.delay + (self._random.uniform(0, 0.6) if self.reorder else 0.0)

    async def run(self) -> None:
        """Deliver what is due until cancelled; lives in the gateway's own loop."""
        loop = asyncio.get_running_loop()
        wake = asyncio.Event()

        def woken() -> None:
            loop.call_soon_threadsafe(wake.set)

        self._wake = woken
        try:
            async with httpx.AsyncClient(timeout=10, trust_env=False) as client, asyncio.TaskGroup() as group:
                while True:
                    wake.clear()
                    for parcel in self._take_due():
                        group.create_task(self._deliver(client, parcel))
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(wake.wait(), self._until_next())
        finally:
            self._wake = lambda: None

    def _take_due(self) -> list[Parcel]:
        now = time.monotonic()
        with self._changed:
            due = sorted(
                (parcel for parcel in self._queue if parcel.due <= now), key=lambda parcel: parcel.due
            )
            self._queue = [parcel for parcel in self._queue if parcel.due > now]
            self._flying += len(due)
            return due

    def _until_next(self) -> float | None:
        with self._changed:
            soonest = min((parcel.due for parcel in self._queue), default=None)
        return None if soonest is None else max(soonest - time.monotonic(), 0)

    async def _deliver(self, client: httpx.AsyncClient, parcel: Parcel) -> None:
        headers, body = self.headers_and_body(parcel.event, parcel.endpoint)
        try:
            answer = await client.post(parcel.endpoint.url, content=body, headers=headers)
            status: int | None = answer.status_code
        except httpx.HTTPError:
            status = None
        self._note(parcel, status)
        with self._changed:
            self._flying -= 1
            failed = status is None or not 200 <= status < 300
            if failed and parcel.attempts <= len(_RETRY_AFTER) and not self.off:
                parcel.due = time.monotonic() + _RETRY_AFTER[parcel.attempts - 1]
                self._queue.append(parcel)
            self._changed.notify_all()
        self._wake()

    def _send(self, client: httpx.Client, parcel: Parcel) -> int | None:
        headers, body = self.headers_and_body(parcel.event, parcel.endpoint)
        try:
            return client.post(parcel.endpoint.url, content=body, headers=headers).status_code
        except httpx.HTTPError:
            return None

    def _note(self, parcel: Parcel, status: int | None) -> Attempt:
        parcel.attempts += 1
        attempt = Attempt(parcel.event["id"], self.kind_of(parcel.event), parcel.endpoint.url, status)
        self.attempts.append(attempt)
        return attempt

    def wait_until_delivered(self, timeout: float = 10.0) -> bool:
        """Block until nothing is queued or on its way; held events do not count."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queue and not self._flying, timeout)

    def clear(self, *, endpoints: bool = False) -> None:
        """Forget every event on its way and put every switch back."""
        with self._changed:
            self._queue.clear()
            self._held.clear()
            self.attempts.clear()
            self.off = False
            self.paused = False
            self.reorder = False
            self.copies = 1
            self.delay = 0.0
            if endpoints:
                self.endpoints.clear()
            self._changed.notify_all()
