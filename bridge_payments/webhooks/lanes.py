"""The lane of one endpoint: what is due is claimed ahead and attempted, so many at a time."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from ..errors import StoreError
from ..models import Delivery, Event
from ..stores.base import Unit
from .endpoints import Endpoint

__all__ = ["Claim", "Lane", "claim"]

log = logging.getLogger(__name__)

_AHEAD_SECONDS: Final = 0.5
"""How much work a lane claims ahead: little, because what waits here is withheld from other workers."""
_AHEAD_TIMES: Final = 8
"""… and at most so many times what is in the air at once."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that is ours until *deadline* on the monotonic clock; after it nothing is sent."""

    delivery: Delivery
    event: Event | None
    token: str
    deadline: float


def claim(unit: Unit, *, endpoint: Endpoint, limit: int) -> list[Claim]:
    """Take up to *limit* deliveries that are due at *endpoint*, with their events."""
    token = secrets.token_hex(8)
    deadline = time.monotonic() + endpoint.lease_seconds - endpoint.timeout_seconds
    deliveries = unit.deliveries.claim_due(
        limit=limit, lease_seconds=endpoint.lease_seconds, token=token, endpoints=(endpoint.name,)
    )
    events = unit.events.get_all([delivery.event_id for delivery in deliveries])
    return [Claim(delivery, events.get(delivery.event_id), token, deadline) for delivery in deliveries]


class Lane:
    """Works for one endpoint until nothing is due or its share of the round is used up.

    An attempt that hangs takes one place, and the others go on beside it.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        claims: list[Claim],
        *,
        limit: int,
        look_again: bool,
        attempt: Callable[[Endpoint, Claim], Awaitable[bool]],
        fetch: Callable[[Endpoint, int], Awaitable[list[Claim]]],
        may_go_on: Callable[[], bool],
    ) -> None:
        self.endpoint = endpoint
        self.look_again = look_again
        """Deliveries were made since the last look."""
        self.unfinished: dict[str, Claim] = {}
        """Claims without an outcome on record."""
        self.handled = 0
        self.share_used_up = False
        self._queue = deque(claims)
        self._flying: set[asyncio.Task[None]] = set()
        self._fetching: asyncio.Task[list[Claim]] | None = None
        self._left = limit - len(claims)
        self._more = len(claims) >= min(endpoint.concurrency, limit)
        self._attempt = attempt
        self._fetch = fetch
        self._may_go_on = may_go_on
        self._began = time.monotonic()
        for each in claims:
            self.unfinished[each.delivery.id] = each

    async def run(self) -> int:
        """Return how many deliveries were attempted."""
        try:
            while True:
                self._depart()
                self._look_ahead()
                waiting: set[asyncio.Task[None] | asyncio.Task[list[Claim]]] = {*self._flying}
                if self._fetching is not None:
                    waiting.add(self._fetching)
                if not waiting:
                    break
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                self._land(done)
        finally:
            await self._clear()
        self.share_used_up = self._left <= 0 and (self._more or self.look_again)
        return self.handled

    def _depart(self) -> None:
        while self._queue and len(self._flying) < self.endpoint.concurrency and self._may_go_on():
            self._flying.add(asyncio.create_task(self._fly(self._queue.popleft())))

    async def _fly(self, claimed: Claim) -> None:
        if await self._attempt(self.endpoint, claimed):
            self.unfinished.pop(claimed.delivery.id, None)

    def _look_ahead(self) -> None:
        if self._fetching is not None or not (self._more or self.look_again) or not self._may_go_on():
            return
        low = len(self._queue) < self.endpoint.concurrency and not (
            self._queue and len(self._flying) < self.endpoint.concurrency
        )
        room = min(self._room(), self._left)
        if low and room > 0:
            self.look_again = False
            self._left -= room
            self._fetching = asyncio.create_task(self._fetched(room))

    async def _fetched(self, room: int) -> list[Claim]:
        try:
            claims = await self._fetch(self.endpoint, room)
        except StoreError as error:
            log.warning("webhook endpoint %s waits for the database: %s", self.endpoint.title, error)
            claims, room = [], 1  # what is in the air ends in peace; the next round looks again
        for each in claims:
            self.unfinished[each.delivery.id] = each
        self._left += room - len(claims)
        self._more = len(claims) == room
        return claims

    def _room(self) -> int:
        """As much as was done in half a second until now, within bounds."""
        elapsed = max(time.monotonic() - self._began, 0.001)
        usual = int(self.handled / elapsed * _AHEAD_SECONDS)
        most = self.endpoint.concurrency * _AHEAD_TIMES
        free = self.endpoint.concurrency - len(self._flying) - len(self._queue)
        return max(min(usual, most), free)

    def _land(self, done: set[asyncio.Task[None] | asyncio.Task[list[Claim]]]) -> None:
        for task in done:
            if task is self._fetching:
                self._queue.extend(self._fetching.result())
                self._fetching = None
            else:
                self._flying.discard(task)
                self.handled += 1
                task.result()

    async def _clear(self) -> None:
        """Nothing of a lane goes on after it, however it ended."""
        left = [*self._flying, *([self._fetching] if self._fetching is not None else [])]
        for task in left:
            task.cancel()
        if left:
            await asyncio.gather(*left, return_exceptions=True)
