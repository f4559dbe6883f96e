"""Figures that are read when somebody asks: caches, this process, and what waits in the database."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from .caching import CacheStats
from .engine import PaymentEngine
from .errors import StoreError
from .stores.base import Backlog, Queue
from .telemetry import metrics
from .telemetry.metrics import Metric, Sample

__all__ = ["memory", "of_caches", "of_process", "of_queues", "uptime"]

log: logging.Logger = logging.getLogger(__name__)

_LOADED: Final = time.monotonic()
_PATIENCE: Final = 5.0
"""Seconds: a monitor that waits longer has given up itself."""


def uptime() -> float:
    """Return for how many seconds this process has had the library loaded."""
    return round(time.monotonic() - _LOADED, 3)


def memory() -> dict[str, int]:
    """Return the memory of this process in bytes, by type; empty where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return {}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"max_rss_bytes": peak if sys.platform == "darwin" else peak * 1024}


def of_process() -> Iterator[Sample]:
    """Yield how long this process has run, and its memory."""
    yield _sample(metrics.UPTIME, uptime())
    for kind, size in memory().items():
        yield _sample(metrics.MEMORY, size, type=kind.removesuffix("_bytes"))


def of_caches(stats: Mapping[str, CacheStats]) -> Iterator[Sample]:
    """Yield the look-ups and the size of every cache, and the ratio of hits of all together."""
    hits = asked = 0
    for name, each in stats.items():
        for outcome, count in (("hit", each.hits), ("miss", each.misses), ("joined", each.joined)):
            yield _sample(metrics.CACHE_LOOKUPS, count, cache=name, outcome=outcome)
        yield _sample(metrics.CACHE_ENTRIES, each.size, cache=name)
        hits += each.hits
        asked += each.hits + each.misses + each.joined
    if asked:
        yield _sample(metrics.CACHE_HIT_RATIO, hits / asked)


async def of_queues(engine: PaymentEngine) -> list[Sample]:
    """Return what waits in the database; where that does not answer, that it does not."""
    try:
        async with asyncio.timeout(_PATIENCE):
            backlog = await engine.backlog()
    except (StoreError, TimeoutError) as error:
        log.warning("what waits could not be counted: %s", error)
        return [_sample(metrics.DATABASE_UP, 0)]
    return [_sample(metrics.DATABASE_UP, 1), *_depths(backlog, engine.clock())]


def _depths(backlog: Backlog, now: datetime) -> Iterator[Sample]:
    yield _sample(metrics.UNKNOWN, backlog.unknown_operations.count)
    yield _sample(metrics.UNKNOWN_AGE, _age(backlog.unknown_operations, now))
    yield _sample(metrics.OPEN, backlog.open_operations.count)
    yield _sample(metrics.OUTBOX_DEPTH, backlog.untold_events.count)
    yield _sample(metrics.OUTBOX_AGE, _age(backlog.untold_events, now))
    yield _sample(metrics.PENDING, backlog.pending_deliveries.count)
    yield _sample(metrics.PENDING_AGE, _age(backlog.pending_deliveries, now))
    yield _sample(metrics.INBOX_DEPTH, backlog.inbox.count)
    yield _sample(metrics.INBOX_AGE, _age(backlog.inbox, now))
    yield _sample(metrics.DEAD_DELIVERIES, backlog.dead_deliveries)
    yield _sample(metrics.DEAD_INBOX, backlog.dead_inbox)


def _age(queue: Queue, now: datetime) -> float:
    return 0.0 if queue.oldest is None else max(0.0, round((now - queue.oldest).total_seconds(), 1))


def _sample(metric: Metric, value: float, **labels: str) -> Sample:
    return Sample(metric.name, float(value), labels)
