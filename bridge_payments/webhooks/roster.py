"""Everybody who may be told: endpoints of the configuration, of the store, and who is switched off."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from ..errors import ConfigurationError
from ..models import EndpointHealth, Event, StoredEndpoint, SwitchedOff
from ..stores.base import Unit
from .endpoints import Endpoint, endpoint_from

__all__ = ["Roster", "StoredOnes", "read_roster"]

log: logging.Logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Roster:
    """Who there is at one moment, by the name under which deliveries are stored."""

    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    health: Mapping[str, EndpointHealth] = field(default_factory=dict)

    def off(self, name: str) -> SwitchedOff | None:
        """Return why an endpoint is switched off; None if it is on."""
        health = self.health.get(name)
        return health.disabled_reason if health is not None and health.disabled_at is not None else None

    def is_on(self, name: str) -> bool:
        return name in self.endpoints and self.off(name) is None

    def is_failing(self, name: str) -> bool:
        health = self.health.get(name)
        return health is not None and health.failing_since is not None

    def without(self, name: str, reason: SwitchedOff, now: datetime) -> Roster:
        """Return this roster with one endpoint switched off."""
        known = self.health.get(name) or EndpointHealth(endpoint=name)
        off = replace(known, disabled_at=now, disabled_reason=reason)
        return replace(self, health={**self.health, name: off})

    def listeners(self, event: Event) -> list[tuple[Endpoint, SwitchedOff | None]]:
        """Return who has to get *event*, and who would have if it were not switched off.

        What an operator switched off by hand is told nothing and misses nothing. What switched itself off
        keeps a dead letter of everything, so that it can be caught up with.
        """
        about = event.data.get("endpoint") if event.type.startswith("webhook.") else None
        found: list[tuple[Endpoint, SwitchedOff | None]] = []
        for endpoint in self.endpoints.values():
            off = self.off(endpoint.name)
            if off is not SwitchedOff.BY_HAND and endpoint.name != about and endpoint.wants(event):
                found.append((endpoint, off))
        return found


class StoredOnes:
    """Endpoints of the store as the dispatcher wants them; made again only when their row changed."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[int, int, Endpoint | None]] = {}

    def made_of(self, stored: StoredEndpoint, *, now: datetime) -> Endpoint | None:
        valid = sum(1 for secret in stored.secrets if secret.expires_at is None or secret.expires_at > now)
        known = self._made.get(stored.id)
        if known is None or known[:2] != (stored.version, valid):
            try:
                endpoint = endpoint_from(stored, now=now)
            except ConfigurationError as error:
                # Written by another release, or by hand: it must not keep the others from being told.
                log.error("stored webhook endpoint %s is left out: %s", stored.id, error)  # noqa: TRY400
                endpoint = None
            known = self._made[stored.id] = (stored.version, valid, endpoint)
        return known[2]


def read_roster(
    unit: Unit, configured: Mapping[str, Endpoint], stored_ones: StoredOnes | None, *, now: datetime
) -> Roster:
    """Read who there is, in the transaction that decides who is told."""
    rows = unit.endpoints.list() if stored_ones is not None else ()
    made = (stored_ones.made_of(stored, now=now) for stored in rows if stored_ones is not None)
    stored = {endpoint.name: endpoint for endpoint in made if endpoint is not None}
    health = {health.endpoint: health for health in unit.endpoints.health()}
    return Roster(endpoints={**stored, **configured}, health=health)
