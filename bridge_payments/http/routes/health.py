"""Whether this installation can take payments. Asks the database, never a provider (a provider's bad day must
not take us out of the load balancer, and a monitor must not use up its rate limit)."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Final, Literal

from ...errors import NotFound, StoreError
from ...readings import memory, uptime
from ..envelope import Content, Reply
from ..route import Access, Call, Route, Text
from ..schemas.health import (
    Alive,
    CacheFigures,
    Configuration,
    DatabaseHealth,
    FlowlessHealth,
    Health,
    HealthDetailed,
    ProviderHealth,
    ProvidersHealth,
    Ready,
    ReadyChecks,
    Services,
)
from ..version import release

__all__ = ["HEALTH_ROUTES", "cache_figures"]

log: Final = logging.getLogger(__name__)
_PATIENCE: Final = 5.0
_OK: Final = 200
_NOT_OK: Final = 503


async def health(call: Call) -> Reply:
    """Say whether payments can be taken: 200 when healthy, 503 otherwise."""
    answer = Health(**await _health(call))
    return Reply(data=answer, status=_status(answer.status == "healthy"))


async def health_detailed(call: Call) -> Reply:
    """Say the same, with memory, uptime and the configuration that is no secret."""
    settings, engine = call.bridge.settings, call.bridge.engine
    answer = HealthDetailed(
        **await _health(call),
        uptime_seconds=uptime(),
        memory_usage=memory(),
        cache_stats=cache_figures(call),
        configuration=Configuration(
            guest_checkout_enabled=settings.guest_checkout_enabled,
            enabled_providers=list(engine.provider_ids),
            default_provider=settings.default_provider,
            failover_enabled=False,  # another account is never tried by itself
            cors_origins=list(settings.cors_origins),
            rate_limiting_enabled=settings.rate_limit_enabled,
        ),
    )
    return Reply(data=answer, status=_status(answer.status == "healthy"))


def cache_figures(call: Call) -> dict[str, CacheFigures]:
    """Return how well this process remembers, by cache."""
    return {
        name: CacheFigures(
            size=stats.size,
            hits=stats.hits,
            misses=stats.misses,
            joined=stats.joined,
            hit_rate=round(stats.hit_rate, 4),
        )
        for name, stats in call.bridge.cache_stats().items()
    }


async def health_database(call: Call) -> Reply:
    """Say whether the database answers."""
    answer = await _database(call)
    return Reply(data=answer, status=_status(answer.healthy))


async def health_providers(call: Call) -> Reply:
    """Say which accounts are configured; nothing is asked of them."""
    answer = _providers(call)
    return Reply(data=answer, status=_status(answer.healthy))


async def health_flowless(call: Call) -> Reply:
    """Say whether the service that knows sessions answers."""
    answer = await _flowless(call)
    return Reply(data=answer, status=_status(answer.healthy))


async def health_ready(call: Call) -> Reply:
    """Say whether to send requests here."""
    database, providers = await _database(call), _providers(call)
    ready = database.healthy and providers.healthy
    checks = ReadyChecks(database=database.healthy, payment_providers=providers.healthy)
    return Reply(data=Ready(ready=ready, checks=checks), status=_status(ready))


async def health_live(_: Call) -> Reply:
    """Say that this process answers."""
    return Reply(data=Alive(uptime_seconds=uptime()))


async def health_metrics(call: Call) -> Content:
    """Show the figures of this process and the depths of the queues, as Prometheus reads them."""
    if call.bridge.metrics is None:
        raise NotFound("Metrics are disabled")
    body, content_type = await call.bridge.exposition(accept=call.request.header("accept", "") or "")
    return Content(body=body, headers={"content-type": content_type})


async def _health(call: Call) -> dict[str, Any]:
    started = time.perf_counter()
    database, flowless = await asyncio.gather(_database(call), _flowless(call))
    providers = _providers(call)
    status = "unhealthy" if not database.healthy else "healthy" if providers.healthy else "degraded"
    return {
        "status": status,
        "timestamp": call.bridge.engine.clock(),
        "response_time_ms": round((time.perf_counter() - started) * 1000, 2),
        "version": release(),
        "environment": call.bridge.settings.environment,
        "services": Services(database=database, payment_providers=providers, flowless_bridge=flowless),
    }


async def _database(call: Call) -> DatabaseHealth:
    try:
        async with asyncio.timeout(_PATIENCE):
            await call.bridge.engine.store.check()
    except (StoreError, TimeoutError) as error:
        log.warning("the database does not answer: %s", error)
        return DatabaseHealth(status="unavailable", healthy=False)
    return DatabaseHealth(status="connected", healthy=True)


async def _flowless(call: Call) -> FlowlessHealth:
    found = await call.bridge.auth.health()
    if found is None:
        return FlowlessHealth(status="none", healthy=True, latency_ms=None, error=None)
    status: Literal["connected", "unavailable"] = "connected" if found.healthy else "unavailable"
    return FlowlessHealth(
        status=status, healthy=found.healthy, latency_ms=found.latency_ms, error=found.error
    )


def _providers(call: Call) -> ProvidersHealth:
    engine = call.bridge.engine
    providers = {
        name: ProviderHealth(success=None, latency=None, error=None, livemode=engine.provider(name).livemode)
        for name in engine.provider_ids
    }
    return ProvidersHealth(
        status="configured" if providers else "none", healthy=bool(providers), providers=providers
    )


def _status(good: bool) -> int:
    return _OK if good else _NOT_OK


def _route(path: str, handler: Any, returns: Any) -> Route:
    return Route(
        methods=("GET",),
        path=path,
        noun="health",
        handler=handler,
        returns=returns,
        wrapped=False,
        access=Access.OPEN,
        also={} if returns is Alive else {_NOT_OK: returns},
    )


HEALTH_ROUTES: Final = (
    _route("/health", health, Health),
    _route("/health/live", health_live, Alive),
    _route("/health/ready", health_ready, Ready),
    _route("/health/database", health_database, DatabaseHealth),
    _route("/health/providers", health_providers, ProvidersHealth),
    _route("/health/flowless", health_flowless, FlowlessHealth),
    _route("/health/detailed", health_detailed, HealthDetailed),
    Route(
        methods=("GET",),
        path="/health/metrics",
        noun="health",
        handler=health_metrics,
        listed=False,  # text for a machine, not JSON
        wrapped=False,
        access=Access.OPEN,
        errors=(NotFound,),
        texts={NotFound: Text("Metrics are disabled", "They need METRICS_ENABLED and the prometheus extra")},
    ),
)
"""Served under the prefix, and by every mount at the root of the host as well."""
