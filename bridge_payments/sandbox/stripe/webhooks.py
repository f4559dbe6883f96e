"""Signed events on their way to whoever asked for them: at least once, in no order, with retries."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import random
import secrets
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import httpx

from ...models import Clock
from .books import Json

__all__ = ["Attempt", "Endpoint", "Parcel", "Webhooks", "sign"]

Order = Literal["oldest", "newest", "shuffled"] | Callable[[list["Parcel"]], list["Parcel"]]

_RETRY_AFTER: Final = (0.3, 1.0, 3.0, 8.0, 20.0, 60.0)
"""Seconds: Stripe's days, shortened to what somebody watches."""


def sign(body: bytes, secret: str, *, timestamp: int) -> str:
    """Return a ``Stripe-Signature`` header (2026-11, https://docs.stripe.com/webhooks#verify-manually)."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    url: str
    secret: str = field(repr=False)
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


class Webhooks:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._queue: list[Parcel] = []
        self._held: list[Parcel] = []
        self._flying = 0
        self._wake: Callable[[], None] = lambda: None
        self._random = random.Random(20)  # noqa: S311 - shuffles parcels, guards nothing
        self.endpoints: list[Endpoint] = []
        self.attempts: list[Attempt] = []
        self.off = False
        """Events are written and never sent: the webhook that is lost."""
        self.paused = False
        self.copies = 1
        self.delay = 0.0
        self.reorder = False

    # --- switches ---------------------------------------------------------------------------------

    def add(self, url: str, *, secret: str | None = None, events: Collection[str] = ("*",)) -> Endpoint:
        """Register an endpoint; its secret is drawn if none is given."""
        endpoint = Endpoint(url=url, secret=secret or f"whsec_{secrets.token_hex(24)}", events=tuple(events))
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

    # --- signing and sending ----------------------------------------------------------------------

    def signed(
        self, event: Json, secret: str, *, timestamp: int | None = None
    ) -> tuple[Mapping[str, str], bytes]:
        """Return headers and body of one delivery, as a test may post them itself."""
        body = json.dumps(event, indent=2).encode()
        moment = int(self._clock().timestamp()) if timestamp is None else timestamp
        return {
            "content-type": "application/json; charset=utf-8",
            "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "stripe-signature": sign(body, secret, timestamp=moment),
        }, body

    def publish(self, event: Json) -> None:
        """Queue *event* for every endpoint that wants it."""
        if self.off:
            return
        parcels = [
            Parcel(event, endpoint, due=time.monotonic() + self._lag())
            for endpoint in self.endpoints
            if endpoint.wants(event["type"])
            for _ in range(self.copies)
        ]
        event["pending_webhooks"] = len(parcels)
        with self._changed:
            (self._held if self.paused else self._queue).extend(parcels)
        self._wake()

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
        headers, body = self.signed(parcel.event, parcel.endpoint.secret)
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
        headers, body = self.signed(parcel.event, parcel.endpoint.secret)
        try:
            return client.post(parcel.endpoint.url, content=body, headers=headers).status_code
        except httpx.HTTPError:
            return None

    def _note(self, parcel: Parcel, status: int | None) -> Attempt:
        parcel.attempts += 1
        attempt = Attempt(parcel.event["id"], parcel.event["type"], parcel.endpoint.url, status)
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
            self.off = self.paused = self.reorder = False
            self.copies, self.delay = 1, 0.0
            if endpoints:
                self.endpoints.clear()
            self._changed.notify_all()
