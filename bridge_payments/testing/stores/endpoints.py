"""What a store promises about endpoints, their health, and jobs by the clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from ...models import (
    EndpointHealth,
    MovableClock,
    ScheduledJob,
    SigningSecret,
    StoredEndpoint,
    SwitchedOff,
    new_id,
)
from ...stores.base import Store
from .samples import NOW, Promises, on_a_store

__all__ = ["EndpointPromises", "an_endpoint"]

HOUR = timedelta(hours=1)


def an_endpoint(**changes: Any) -> StoredEndpoint:
    endpoint = StoredEndpoint(
        id=new_id("whe"),
        name="shop",
        url="https://shop.example/hooks",
        events=("payment.*",),
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(endpoint, **changes)


async def _take(store: Store, token: str, name: str = "clean") -> ScheduledJob | None:
    return await store.run(lambda unit: unit.jobs.take(name, lease_seconds=60, token=token))


async def _finish(store: Store, token: str, **more: Any) -> bool:
    return await store.run(
        lambda unit: unit.jobs.finish("clean", token=token, **({"next_in_seconds": 3600} | more))
    )


class EndpointPromises(Promises):
    # --- endpoints --------------------------------------------------------------------------------

    @on_a_store
    async def test_an_endpoint_comes_back_as_it_was_stored(self, store: Store, clock: MovableClock) -> None:
        full = an_endpoint(
            name="Café ☕",
            url="https://shop.example/" + "x" * 2000,
            events=("payment.*", "refund.succeeded"),
            secrets=(
                SigningSecret(value="whsec_new"),
                SigningSecret(value="whsec_old", expires_at=NOW + timedelta(microseconds=1)),
            ),
            headers={"Authorization": "Bearer x"},
            timeout_seconds=7.25,
            tries=3,
            concurrency=2,
            format="slack",
            user_ids=("u-1",),
            organization_ids=("org-1", "Org-1"),
            metadata={"channel": "web"},
            description="who this is",
        )
        bare = an_endpoint()
        for endpoint in (full, bare):
            await store.run(lambda unit, endpoint=endpoint: unit.endpoints.add(endpoint))  # type: ignore[misc]
        assert await store.run(lambda unit: unit.endpoints.get(full.id), write=False) == full
        assert list(await store.run(lambda unit: unit.endpoints.list(), write=False)) == [full, bare]
        assert await store.run(lambda unit: unit.endpoints.get("whe_none"), write=False) is None

    @on_a_store
    async def test_of_two_changes_to_an_endpoint_one_is_told_that_it_came_late(
        self, store: Store, clock: MovableClock
    ) -> None:
        endpoint = an_endpoint()

        async def save(changed: StoredEndpoint, version: int) -> bool:
            return await store.run(lambda unit: unit.endpoints.save(changed, expected_version=version))

        await store.run(lambda unit: unit.endpoints.add(endpoint))
        renamed = replace(endpoint, name="till", events=("*",))
        assert await save(renamed, 1) is True
        assert await save(endpoint, 1) is False
        found = await store.run(lambda unit: unit.endpoints.get(endpoint.id), write=False)
        assert found == replace(renamed, version=2)
        assert await save(replace(endpoint, id="whe_none"), 1) is False

    @on_a_store
    async def test_a_deleted_endpoint_takes_its_health_along(self, store: Store, clock: MovableClock) -> None:
        endpoint = an_endpoint()
        await store.run(lambda unit: unit.endpoints.add(endpoint))
        await store.run(lambda unit: unit.endpoints.failed(endpoint.id))
        assert await store.run(lambda unit: unit.endpoints.delete(endpoint.id)) is True
        assert await store.run(lambda unit: unit.endpoints.delete(endpoint.id)) is False
        left = await store.run(lambda unit: (unit.endpoints.list(), unit.endpoints.health()), write=False)
        assert [list(each) for each in left] == [[], []]

    @on_a_store
    async def test_failures_are_counted_from_the_first_after_a_success(
        self, store: Store, clock: MovableClock
    ) -> None:
        async def failed(name: str = "shop") -> EndpointHealth:
            return await store.run(lambda unit: unit.endpoints.failed(name))

        assert await failed() == EndpointHealth(endpoint="shop", failures=1, failing_since=NOW)
        clock.move(HOUR)
        assert await failed() == EndpointHealth(endpoint="shop", failures=2, failing_since=NOW)
        assert (await failed("Shop")).failures == 1
        await store.run(lambda unit: unit.endpoints.recovered("shop"))
        await store.run(lambda unit: unit.endpoints.recovered("never heard of"))
        clock.move(HOUR)
        assert await failed() == EndpointHealth(endpoint="shop", failures=1, failing_since=NOW + 2 * HOUR)
        health = await store.run(lambda unit: unit.endpoints.health(), write=False)
        assert {each.endpoint: each.failures for each in health} == {"Shop": 1, "shop": 1}

    @on_a_store
    async def test_one_process_hears_that_it_switched_an_endpoint_off(
        self, store: Store, clock: MovableClock
    ) -> None:
        async def off(reason: SwitchedOff) -> bool:
            return await store.run(lambda unit: unit.endpoints.switch_off("shop", reason))

        async def on() -> bool:
            return await store.run(lambda unit: unit.endpoints.switch_on("shop"))

        assert await on() is False
        assert await off(SwitchedOff.GONE) is True
        clock.move(HOUR)
        assert await off(SwitchedOff.FAILING) is False
        (health,) = await store.run(lambda unit: unit.endpoints.health(), write=False)
        assert (health.disabled_at, health.disabled_reason) == (NOW, SwitchedOff.GONE)
        await store.run(lambda unit: unit.endpoints.failed("shop"))
        assert await on() is True
        assert await on() is False
        (health,) = await store.run(lambda unit: unit.endpoints.health(), write=False)
        assert health == EndpointHealth(endpoint="shop")

    # --- jobs -------------------------------------------------------------------------------------

    @on_a_store
    async def test_a_job_is_done_by_one_at_a_time_and_not_before_it_is_due(
        self, store: Store, clock: MovableClock
    ) -> None:
        taken = await _take(store, "a")
        assert taken is not None
        assert (taken.due_at, taken.started_at, taken.lease_until) == (NOW, NOW, NOW + timedelta(minutes=1))
        assert await _take(store, "b") is None
        assert await _take(store, "b", "other") is not None
        clock.move(timedelta(seconds=30))
        assert await store.run(lambda unit: unit.jobs.extend("clean", lease_seconds=60, token="a"))
        assert not await store.run(lambda unit: unit.jobs.extend("clean", lease_seconds=60, token="b"))
        clock.move(timedelta(seconds=59))
        assert await _take(store, "b") is None, "the lease was prolonged"
        assert await _finish(store, "b") is False
        assert await _finish(store, "a", handled=7, note="wh_9") is True
        assert await _finish(store, "a") is False
        assert await _take(store, "b") is None, "it is not due yet"
        clock.move(HOUR)
        again = await _take(store, "b")
        assert again is not None
        assert (again.handled, again.note, again.finished_at) == (7, "wh_9", NOW + timedelta(seconds=89))

    @on_a_store
    async def test_a_job_whose_worker_died_is_taken_over(self, store: Store, clock: MovableClock) -> None:
        assert await _take(store, "dead") is not None
        clock.move(timedelta(seconds=60))
        assert await _take(store, "alive") is not None
        assert await _finish(store, "dead") is False
        assert await _finish(store, "alive", error="StoreError 🙈") is True
        (job,) = await store.run(lambda unit: unit.jobs.list(), write=False)
        assert (job.error, job.lease_until) == ("StoreError 🙈", None)
