"""What became of attempts is written down: many together, and with it how their endpoint is doing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random

from ..models import Clock, Delivery, DeliveryState, Event, SwitchedOff, new_id
from ..stores.base import Unit
from .endpoints import Endpoint
from .outcomes import Outcome, decide, reason_to_switch_off

__all__ = ["Attempt", "Recorded", "Recorder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt that has ended, and the claim under which it was made."""

    endpoint: Endpoint
    delivery: Delivery
    token: str
    outcome: Outcome
    was_failing: bool
    """Whether the last attempts at this endpoint had failed."""


@dataclass(frozen=True, slots=True)
class Recorded:
    kept: bool
    """Whether the claim was still ours."""
    state: DeliveryState
    switched_off: SwitchedOff | None = None
    """Why the endpoint is told nothing from now on, if that is new."""


class Recorder:
    """Writes outcomes down. Its `record` is a unit of work."""

    def __init__(self, clock: Clock, random: Random) -> None:
        self._clock = clock
        self._random = random

    def record(self, unit: Unit, attempts: Sequence[Attempt]) -> list[Recorded]:
        """Record *attempts* and return what became of each, in their order."""
        now = self._clock()
        got_through = defaultdict[tuple[str, int | None], list[str]](list)
        for attempt in attempts:
            if attempt.outcome.delivered:
                got_through[attempt.token, attempt.outcome.status_code].append(attempt.delivery.id)
        whole = {
            token: unit.deliveries.finish_delivered(ids, token=token[0], status_code=token[1]) == len(ids)
            for token, ids in got_through.items()
        }
        # Every process writes to the rows of endpoints in the order of their names.
        failed = {
            id(attempt): self._failed(unit, attempt, now)
            for attempt in sorted(attempts, key=lambda attempt: attempt.endpoint.name)
            if not attempt.outcome.delivered
        }
        for name in sorted({a.endpoint.name for a in attempts if a.outcome.delivered and a.was_failing}):
            unit.endpoints.recovered(name)
        return [
            failed.get(id(attempt))
            or Recorded(whole[attempt.token, attempt.outcome.status_code], DeliveryState.DELIVERED)
            for attempt in attempts
        ]

    def _failed(self, unit: Unit, attempt: Attempt, now: datetime) -> Recorded:
        endpoint, outcome = attempt.endpoint, attempt.outcome
        state, wait = decide(
            outcome, attempts=attempt.delivery.attempts, schedule=endpoint.schedule, random=self._random
        )
        told = replace(attempt.delivery, state=state, status_code=outcome.status_code, error=outcome.error)
        kept = unit.deliveries.finish(told, token=attempt.token, state=state, retry_in_seconds=wait)
        if endpoint.handler is not None:
            return Recorded(kept, state)  # the application's own code is never switched off
        health = unit.endpoints.failed(endpoint.name)
        reason = reason_to_switch_off(outcome, health, now=now)
        if reason is None or not unit.endpoints.switch_off(endpoint.name, reason):
            return Recorded(kept, state)
        unit.events.add(
            Event(
                id=new_id("evt"),
                type="webhook.disabled",
                created_at=now,
                data={
                    "endpoint": endpoint.name,
                    "name": endpoint.label or endpoint.name,
                    "host": endpoint.host,
                    "reason": reason.value,
                    "failing_since": health.failing_since,
                    "failures": health.failures,
                },
            )
        )
        return Recorded(kept, state, reason)
