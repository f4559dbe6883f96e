"""Endpoints that an operator keeps in the store, and how endpoints of every kind are doing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

__all__ = ["EndpointHealth", "SigningSecret", "StoredEndpoint", "SwitchedOff"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningSecret:
    """One secret that signs for an endpoint; during a rotation there are two."""

    value: str = field(repr=False)
    expires_at: datetime | None = None
    """Until when it signs; None: until it is replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEndpoint:
    """One row of `provider_webhook_endpoints`. Its deliveries are stored under `id`: it may be renamed."""

    id: str
    name: str
    """What an operator calls it."""
    url: str = field(repr=False)
    """Not in the repr: a chat webhook's address is a credential."""
    events: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    secrets: tuple[SigningSecret, ...] = field(default=(), repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_seconds: float = 15.0
    tries: int | None = None
    """How many; None: the whole default schedule."""
    concurrency: int = 8
    format: str | None = None
    """``generic``, ``slack`` or ``discord``; None: what the address says."""
    user_ids: tuple[str, ...] = ()
    organization_ids: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Of which payments it is told: those of one of these users, organizations, with this metadata."""
    description: str | None = None
    version: int = 1


class SwitchedOff(StrEnum):
    """Why an endpoint is told nothing."""

    GONE = "gone"
    """It answered 410."""
    FAILING = "failing"
    """Nothing got through for days."""
    BY_HAND = "by_hand"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointHealth:
    """How an endpoint is doing, wherever it is configured; no row means that nothing ever failed."""

    endpoint: str
    failures: int = 0
    """Attempts since the last one that got through."""
    failing_since: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: SwitchedOff | None = None
