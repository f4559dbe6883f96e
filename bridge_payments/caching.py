"""A cache with a size and a lifetime, in which a thousand concurrent misses make one call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from cachetools import TLRUCache

__all__ = ["Cache", "CacheStats"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """What a cache did since it was made."""

    hits: int
    misses: int
    joined: int
    """Misses that waited for somebody else's call instead of making one."""
    size: int

    @property
    def hit_rate(self) -> float:
        """Between 0 and 1; 0 while nothing was asked."""
        asked = self.hits + self.misses + self.joined
        return self.hits / asked if asked else 0.0


class Cache(Generic[K, V]):
    """Remembers the answers of a slow service; per process, never shared, never for money decisions.

    *ttl* is how many seconds an answer is believed, or a function of the answer that says so (a session
    that ends sooner is believed no longer than it lasts); zero or less: not at all. An error is told to
    everybody who waits for it and is not remembered.
    """

    def __init__(
        self,
        *,
        max_entries: int,
        ttl: float | Callable[[V], float],
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ttl = ttl
        self._entries: TLRUCache[K, V] = TLRUCache(max_entries, ttu=self._expiry, timer=timer)
        self._under_way: dict[K, asyncio.Task[V]] = {}
        self._hits = self._misses = self._joined = 0

    async def get(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        """Return what is remembered of *key*, else what *load* returns; one *load* per key at a time."""
        try:
            value = self._entries[key]
        except KeyError:
            pass
        else:
            self._hits += 1
            return value
        return await self.renew(key, load)

    def hit(self, key: K) -> V | None:
        """Return what is remembered of *key* and count it; nothing is awaited, and a miss is not counted."""
        value = self._entries.get(key)
        if value is not None:
            self._hits += 1
        return value

    async def renew(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        """Return what *load* says, whatever is remembered; who asks meanwhile waits for the same call.

        When *load* fails, what was remembered stays.
        """
        task = self._under_way.get(key)
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            self._joined += 1
        else:
            self._misses += 1
            task = self._under_way[key] = asyncio.create_task(self._load(key, load))
            task.add_done_callback(_heard)
        # A caller who is cancelled must not cancel the others.
        return await asyncio.shield(task)

    def peek(self, key: K) -> V | None:
        """Return what is remembered of *key*, without counting."""
        return self._entries.get(key)

    def put(self, key: K, value: V) -> None:
        """Remember *value*, and let no call that is under way replace it."""
        self._under_way.pop(key, None)
        self._entries[key] = value

    def drop(self, key: K) -> None:
        """Forget *key*, and do not remember what a call that is under way will say of it."""
        self._under_way.pop(key, None)
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._under_way.clear()
        self._entries.clear()

    @property
    def stats(self) -> CacheStats:
        """Counters since the start, for the metrics and for the admin."""
        self._entries.expire()
        return CacheStats(hits=self._hits, misses=self._misses, joined=self._joined, size=len(self._entries))

    async def _load(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        task = asyncio.current_task()
        try:
            value = await load()
        except BaseException:
            if self._under_way.get(key) is task:
                del self._under_way[key]
            raise
        # Dropped meanwhile: this answer may be older than the change.
        if self._under_way.get(key) is task:
            del self._under_way[key]
            self._entries[key] = value
        return value

    def _expiry(self, key: K, value: V, now: float) -> float:
        return now + (self._ttl(value) if callable(self._ttl) else self._ttl)


def _heard(task: asyncio.Task[V]) -> None:
    """Take note of an error that nobody waits for any more, so that asyncio does not report it as lost."""
    if not task.cancelled():
        task.exception()
