"""What is forgotten one day: bodies of received webhooks, told events, old keys. Never a dedupe key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from ..arguments import typed
from ..models import id_bounds
from ..stores.base import Unit
from .operations import Operations

__all__ = ["Forgotten", "RetentionWork"]

_AT_ONCE: Final = 500
_KEYS: Final = timedelta(days=60)
"""Longer than the 45 days for which a key is promised to be remembered."""
_TIMES: Final = 3
"""Told events outlive the bodies of received webhooks so many times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """How much was forgotten."""

    webhooks: int = 0
    """Received ones whose body was blanked; their rows stay, so that a late copy is recognised."""
    events: int = 0
    """Told ones that were deleted, and with them their deliveries."""
    deliveries: int = 0
    """Given up, because no process had served their endpoint for so long."""
    keys: int = 0
    cursor: str | None = None
    """The newest received webhook that was looked at."""

    @property
    def total(self) -> int:
        return self.webhooks + self.events + self.deliveries + self.keys


class RetentionWork(Operations):
    """The part of the engine that forgets."""

    @typed
    async def forget_old(self, *, days: int | None = None, after: str | None = None) -> Forgotten:
        """Forget what is older than *days*, by default ``WEBHOOK_RETENTION_DAYS``; events, three times that.

        *after* is the cursor of an earlier call: received webhooks up to it need not be looked at again.
        """
        kept = timedelta(days=self.settings.webhook_retention_days if days is None else days)
        now = self.clock()
        forgotten = await self._blank(Forgotten(cursor=after), before_id=id_bounds("wh", now - kept))
        while more := await self.store.run(
            lambda unit: unit.deliveries.give_up_before(now - kept, limit=_AT_ONCE)
        ):
            forgotten = replace(forgotten, deliveries=forgotten.deliveries + more)
        while more := await self.store.run(
            lambda unit: unit.events.delete_told_before(now - _TIMES * kept, limit=_AT_ONCE)
        ):
            forgotten = replace(forgotten, events=forgotten.events + more)
        while more := await self.store.run(
            lambda unit: unit.idempotency.delete_before(now - _KEYS, limit=_AT_ONCE)
        ):
            forgotten = replace(forgotten, keys=forgotten.keys + more)
        return forgotten

    async def _blank(self, forgotten: Forgotten, *, before_id: str) -> Forgotten:
        while True:
            after = forgotten.cursor or ""

            def work(unit: Unit, after: str = after) -> tuple[int, str | None]:
                return unit.inbox.blank(after_id=after, before_id=before_id, limit=_AT_ONCE)

            blanked, last = await self.store.run(work)
            if last is None:
                return forgotten
            forgotten = replace(forgotten, webhooks=forgotten.webhooks + blanked, cursor=last)
