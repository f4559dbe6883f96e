"""A cache in front of a login service: wrong, it serves a revoked session; missing, it is a stampede."""

from __future__ import annotations

import asyncio

import pytest

from bridge_payments.caching import Cache

pytestmark = pytest.mark.anyio


class Service:
    """Counts calls and answers when it is told to."""

    def __init__(self) -> None:
        self.calls = 0
        self.answer = "first"
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self) -> str:
        self.calls += 1
        answer = self.answer
        await self.open.wait()
        if answer == "error":
            raise ConnectionError("down")
        return answer


class Timer:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_an_answer_is_remembered_for_its_lifetime_and_not_longer() -> None:
    timer, service = Timer(), Service()
    cache: Cache[str, str] = Cache(max_entries=10, ttl=300, timer=timer)

    for timer.now in (0, 100, 299.9):
        assert await cache.get("a", service) == "first"
    assert service.calls == 1

    timer.now = 300
    service.answer = "second"
    assert await cache.get("a", service) == "second"
    assert service.calls == 2


async def test_an_answer_that_ends_sooner_is_believed_no_longer() -> None:
    timer, service = Timer(), Service()
    cache: Cache[str, str] = Cache(
        max_entries=10, ttl=lambda value: 5 if value == "first" else 0, timer=timer
    )

    await cache.get("a", service)
    timer.now = 4.9
    await cache.get("a", service)
    assert service.calls == 1

    timer.now = 5
    service.answer = "already over"
    for calls in (2, 3):
        await cache.get("a", service)
        assert service.calls == calls


async def test_a_thousand_concurrent_misses_make_one_call() -> None:
    service = Service()
    service.open.clear()
    cache: Cache[str, str] = Cache(max_entries=10, ttl=300)

    tasks = [asyncio.create_task(cache.get("a", service)) for _ in range(1000)]
    await asyncio.sleep(0)
    service.open.set()

    assert set(await asyncio.gather(*tasks)) == {"first"}
    assert service.calls == 1
    stats = cache.stats
    assert (stats.misses, stats.joined, stats.hits, stats.size) == (1, 999, 0, 1)
    await cache.get("a", service)
    assert cache.stats.hit_rate == 1 / 1001


async def test_an_error_reaches_everybody_who_waits_and_is_not_remembered() -> None:
    service = Service()
    service.answer = "error"
    service.open.clear()
    cache: Cache[str, str] = Cache(max_entries=10, ttl=300)

    tasks = [asyncio.create_task(cache.get("a", service)) for _ in range(3)]
    await asyncio.sleep(0)
    service.open.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [ConnectionError] * 3
    service.answer = "back"
    assert await cache.get("a", service) == "back"


async def test_a_caller_who_gives_up_does_not_take_the_others_along() -> None:
    service = Service()
    service.open.clear()
    cache: Cache[str, str] = Cache(max_entries=10, ttl=300)
    first = asyncio.create_task(cache.get("a", service))
    second = asyncio.create_task(cache.get("a", service))
    await asyncio.sleep(0)

    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    service.open.set()

    assert first.cancelled()
    assert await second == "first"
    assert service.calls == 1


async def test_what_is_dropped_while_it_is_being_asked_is_not_remembered() -> None:
    """The session was revoked while the answer that it is valid was on its way."""
    service = Service()
    service.open.clear()
    cache: Cache[str, str] = Cache(max_entries=10, ttl=300)
    asked = asyncio.create_task(cache.get("a", service))
    await asyncio.sleep(0)

    cache.drop("a")
    service.answer = "revoked"
    service.open.set()
    await asked

    assert cache.peek("a") is None
    assert await cache.get("a", service) == "revoked"


async def test_what_is_put_is_not_replaced_by_an_older_answer() -> None:
    service = Service()
    service.open.clear()
    cache: Cache[str, str] = Cache(max_entries=10, ttl=300)
    asked = asyncio.create_task(cache.get("a", service))
    await asyncio.sleep(0)

    cache.put("a", "newer")
    service.open.set()
    await asked

    assert cache.peek("a") == "newer"


async def test_the_least_recently_used_leaves_first() -> None:
    service = Service()
    cache: Cache[str, str] = Cache(max_entries=2, ttl=300)

    for key in ("a", "b", "a", "c"):
        await cache.get(key, service)

    assert (cache.peek("a"), cache.peek("b"), cache.peek("c")) == ("first", None, "first")
    cache.clear()
    assert cache.stats.size == 0
