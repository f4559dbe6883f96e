"""How this installation is doing; nothing here asks a provider."""

from __future__ import annotations

from typing import Literal

from .base import Moment, Output

__all__ = [
    "Alive",
    "CacheFigures",
    "Configuration",
    "DatabaseHealth",
    "FlowlessHealth",
    "Health",
    "HealthDetailed",
    "Index",
    "ProviderHealth",
    "ProvidersHealth",
    "Ready",
    "ReadyChecks",
    "Services",
]

State = Literal["healthy", "degraded", "unhealthy"]


class DatabaseHealth(Output):
    status: Literal["connected", "unavailable"]
    healthy: bool


class ProviderHealth(Output):
    success: bool | None
    """null: nothing is asked of a provider for this, and nothing is made up."""
    latency: float | None
    error: str | None
    livemode: bool | None


class ProvidersHealth(Output):
    status: Literal["configured", "none"]
    healthy: bool
    providers: dict[str, ProviderHealth]


class FlowlessHealth(Output):
    """Whether the service that knows sessions answers; asked at most every ten seconds."""

    status: Literal["connected", "unavailable", "none"]
    """`none`: this installation has another login."""
    healthy: bool
    latency_ms: float | None
    error: str | None


class Services(Output):
    database: DatabaseHealth
    payment_providers: ProvidersHealth
    flowless_bridge: FlowlessHealth
    """No part of `status`: remembered sessions and guests go on without it."""


class Health(Output):
    status: State
    timestamp: Moment
    response_time_ms: float
    version: str
    environment: str
    services: Services


class Configuration(Output):
    guest_checkout_enabled: bool
    enabled_providers: list[str]
    default_provider: str | None
    failover_enabled: bool
    cors_origins: list[str]
    rate_limiting_enabled: bool


class CacheFigures(Output):
    size: int
    hits: int
    misses: int
    joined: int
    """Requests that waited for somebody else's question."""
    hit_rate: float


class HealthDetailed(Health):
    uptime_seconds: float
    memory_usage: dict[str, int]
    cache_stats: dict[str, CacheFigures]
    """Of this process only."""
    configuration: Configuration


class ReadyChecks(Output):
    database: bool
    payment_providers: bool


class Ready(Output):
    ready: bool
    checks: ReadyChecks


class Alive(Output):
    alive: Literal[True] = True
    uptime_seconds: float


class Index(Output):
    name: str
    version: str
    environment: str
    timestamp: Moment
    endpoints: dict[str, list[str]]
