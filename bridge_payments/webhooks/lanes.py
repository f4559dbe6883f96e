"""The lane of one endpoint: what is due is claimed ahead and attempted, so many at a time."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from ..errors import StoreError
from ..models import Delivery, Event
from ..stores.base import Unit
from .endpoints import Endpoint
from .outcomes import Outcome

__all__ = ["Claim", "Lane", "claim"]

log: logging.Logger = logging.getLogger(__name__)

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

    An attempt that hangs takes one place, and the others go on beside it. A place is free again when the
    attempt has ended; that its outcome is written down, the next one does not wait for.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        claims: list[Claim],
        *,
        limit: int,
        look_again: bool,
        attempt: Callable[[Endpoint, Claim], Awaitable[Outcome | None]],
        record: Callable[[Endpoint, Claim, Outcome], Awaitable[None]],
        fetch: Callable[[Endpoint, int], Awaitable[list[Claim]]],
        may_go_on: Callable[[], bool],
    ) -> None:
        self.endpoint = endpoint
        self.look_again: bool = look_again
        """Deliveries were made since the last look."""
        self.unfinished: dict[str, Claim] = {each.delivery.id: each for each in claims}
        """Claims without an outcome on record."""
        self.handled: int = 0
        self.share_used_up: bool = False
        self._queue = deque(claims)
        self._in_air = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._fetching = False
        self._left = limit - len(claims)
        self._more = len(claims) >= min(endpoint.concurrency, limit)
        self._attempt = attempt
        self._record = record
        self._fetch = fetch
        self._may_go_on = may_go_on
        self._began = time.monotonic()

    async def run(self) -> int:
        """Return how many deliveries were attempted."""
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._go_on()
        try:
            await self._end
        finally:  # nothing of a lane goes on after it, however it ended
            left = list(self._tasks)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        self.share_used_up = self._left <= 0 and (self._more or self.look_again)
        return self.handled

    def _go_on(self) -> None:
        """Begin what can begin; the end is when nothing is under way."""
        most = self.endpoint.concurrency * _AHEAD_TIMES
        while (
            self._queue
            and self._in_air < self.endpoint.concurrency
            and len(self._tasks) < most
            and self._may_go_on()
        ):
            self._in_air += 1
            self._start(self._fly(self._queue.popleft()))
        self._look_ahead()
        if not self._tasks and not self._end.done():
            self._end.set_result(None)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or self._end.done():
            return
        if (failure := task.exception()) is not None:
            self._end.set_exception(failure)
            return
        self._go_on()

    async def _fly(self, claimed: Claim) -> None:
        try:
            outcome = await self._attempt(self.endpoint, claimed)
        finally:
            self._in_air -= 1
        self.handled += 1
        if outcome is not None:
            self._go_on()
            await self._record(self.endpoint, claimed, outcome)
            self.unfinished.pop(claimed.delivery.id, None)

    def _look_ahead(self) -> None:
        if self._fetching or not (self._more or self.look_again) or not self._may_go_on():
            return
        room = min(self._room(), self._left)
        if len(self._queue) < self.endpoint.concurrency and room > 0:
            self.look_again = False
            self._fetching = True
            self._left -= room
            self._start(self._look(room))

    async def _look(self, room: int) -> None:
        try:
            claims = await self._fetch(self.endpoint, room)
        except StoreError as error:
            log.warning("webhook endpoint %s waits for the database: %s", self.endpoint.title, error)
            claims, self._more = [], False  # what is in the air ends in peace; the next round looks again
        else:
            self._more = len(claims) == room
        self._fetching = False
        self._left += room - len(claims)
        self.unfinished |= {each.delivery.id: each for each in claims}
        self._queue.extend(claims)

    def _room(self) -> int:
        """As much as was done in half a second until now, within bounds."""
        elapsed = max(time.monotonic() - self._began, 0.001)
        usual = int(self.handled / elapsed * _AHEAD_SECONDS)
        most = self.endpoint.concurrency * _AHEAD_TIMES
        free = self.endpoint.concurrency - self._in_air - len(self._queue)
        return max(min(usual, most), free)
