"""What a store promises about units of work: all or nothing, one winner, never half-seen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ...errors import StoreError
from ...models import DeliveryState, InboxState, MovableClock, OperationState, Payment, PaymentStatus
from ...seam import watched
from ...stores.base import IdempotencyRecord, PaymentQuery, Store, Unit
from .samples import (
    NOW,
    Promises,
    a_delivery,
    a_payment,
    a_refund,
    an_entry,
    an_event,
    an_operation,
    on_a_store,
)

__all__ = ["TransactionPromises"]

RACERS = 8


class Torn(Exception):
    """Raised on purpose, in the middle of a unit of work."""


async def _race(store: Store, works: Sequence[Callable[[Unit], Any]]) -> list[Any]:
    return list(await asyncio.gather(*(store.run(work) for work in works)))


async def _everything(store: Store) -> list[Any]:
    def look(unit: Unit) -> list[Any]:
        payments = unit.payments.list(PaymentQuery(limit=99)).items
        seen: list[Any] = [payments, unit.operations.list_open(limit=99)]
        for payment in payments:
            seen.append(unit.operations.for_subject(payment.id))
            seen.append(unit.operations.holder_of(payment.id))
            seen.append(unit.refunds.for_payment(payment.id))
            seen.append(unit.events.for_subject(payment.id))
        return [*seen, unit.deliveries.list(), unit.inbox.list()]

    return await store.run(look, write=False)


class TransactionPromises(Promises):
    @on_a_store
    async def test_a_unit_returns_what_its_work_returns(self, store: Store, clock: MovableClock) -> None:
        marker = object()
        assert await store.run(lambda _: marker) is marker
        assert await store.run(lambda _: marker, write=False) is marker

    @on_a_store
    async def test_a_failure_leaves_no_trace(self, store: Store, clock: MovableClock) -> None:
        old = a_payment(provider_intent_id="pi_old", next_sync_at=NOW)
        operation = an_operation(old.id)
        event, entry = an_event(old), an_entry()
        delivery = a_delivery(event.id)
        record = IdempotencyRecord(
            scope="s", key="k", body_hash="h", operation_id="op_1", subject_id=old.id, created_at=NOW
        )

        def begin(unit: Unit) -> None:
            unit.payments.add(old)
            unit.operations.reserve(operation, lease_seconds=1)
            unit.events.add(event)
            unit.inbox.add(entry)
            unit.deliveries.add(delivery)

        def tear(unit: Unit) -> None:
            new = a_payment(provider_intent_id="pi_new")
            unit.idempotency.put(record)
            unit.payments.add(new)
            changed = replace(old, status=PaymentStatus.SUCCEEDED, provider_intent_id="pi_changed")
            assert unit.payments.save(changed, expected_version=1)
            unit.payments.take_merchant_reference("dummy", "R-1", new.id)
            unit.payments.claim_due(limit=9, lease_seconds=60)
            assert unit.operations.save(replace(operation, state=OperationState.SUCCEEDED), token="mine")
            assert unit.operations.reserve(an_operation(old.id), lease_seconds=60) is None
            unit.refunds.add(a_refund(old.id, provider_refund_id="re_1"))
            unit.events.add(an_event(new))
            unit.events.claim_untold(limit=9, lease_seconds=60)
            unit.events.mark_told(event.id)
            (claimed,) = unit.deliveries.claim_due(limit=9, lease_seconds=60, token="t")
            assert unit.deliveries.finish(claimed, token="t", state=DeliveryState.DEAD)
            (received,) = unit.inbox.claim_due(limit=9, lease_seconds=60, token="t")
            assert unit.inbox.finish(received, token="t", state=InboxState.DEAD)
            unit.inbox.add(an_entry())
            unit.events.delete_told_before(NOW + timedelta(days=1), limit=9)
            raise Torn

        await store.run(begin)
        before = await _everything(store)
        for _ in range(2):  # the second time shows that nothing invisible stayed either
            try:
                await store.run(tear)
            except Torn:
                pass
            else:
                raise AssertionError("the failure of the work did not reach its caller")
            assert await _everything(store) == before
        untold = await store.run(lambda unit: unit.events.claim_untold(limit=9, lease_seconds=60))
        assert [each.id for each in untold] == [event.id]
        assert await store.run(lambda unit: unit.idempotency.put(replace(record, body_hash="x"))) != record
        free = a_payment(provider_intent_id="pi_changed")
        await store.run(lambda unit: unit.payments.add(free))

    @on_a_store
    async def test_a_refused_statement_ends_the_unit_even_if_the_work_looks_away(
        self, store: Store, clock: MovableClock
    ) -> None:
        held, new = a_payment(provider_intent_id="pi_1"), a_payment()

        def stubborn(unit: Unit) -> None:
            unit.payments.add(new)
            try:
                claiming = replace(new, provider_intent_id="pi_1")
                unit.payments.save(claiming, expected_version=1)
            except StoreError:
                pass

        await store.run(lambda unit: unit.payments.add(held))
        try:
            await store.run(stubborn)
        except StoreError:
            assert await store.run(lambda unit: unit.payments.get(new.id), write=False) is None
        else:
            raise AssertionError("half a unit of work was committed")

    @on_a_store
    async def test_a_reading_unit_cannot_write(self, store: Store, clock: MovableClock) -> None:
        payment = a_payment()
        try:
            await store.run(lambda unit: unit.payments.add(payment), write=False)
        except StoreError:
            assert await store.run(lambda unit: unit.payments.get(payment.id), write=False) is None
        else:
            raise AssertionError("a unit opened for reading wrote")

    @on_a_store
    async def test_a_unit_sees_its_own_writes(self, store: Store, clock: MovableClock) -> None:
        def work(unit: Unit) -> tuple[Payment | None, int]:
            payment = a_payment(user_id="u")
            unit.payments.add(payment)
            assert unit.payments.save(replace(payment, sync_count=1), expected_version=1)
            return unit.payments.get(payment.id), unit.payments.list(PaymentQuery(user_id="u")).total

        payment, total = await store.run(work)
        assert payment is not None
        assert (payment.sync_count, payment.version, total) == (1, 2, 1)

    @on_a_store
    async def test_what_was_stored_is_not_what_the_caller_holds(
        self, store: Store, clock: MovableClock
    ) -> None:
        metadata = {"a": [1]}
        payment = a_payment(metadata=metadata)
        await store.run(lambda unit: unit.payments.add(payment))
        metadata["a"].append(2)
        found = await store.run(lambda unit: unit.payments.get(payment.id), write=False)
        assert found is not None
        assert found.metadata == {"a": [1]}

    @on_a_store
    async def test_one_of_many_wins_a_reservation(self, store: Store, clock: MovableClock) -> None:
        operations = [an_operation("pay_1") for _ in range(RACERS)]
        holders = await _race(
            store,
            [
                lambda unit, operation=operation: unit.operations.reserve(operation, lease_seconds=60)  # type: ignore[misc]
                for operation in operations
            ],
        )
        winners = [operation for operation, holder in zip(operations, holders, strict=True) if holder is None]
        assert len(winners) == 1
        assert {holder for holder in holders if holder is not None} == {winners[0].id}

    @on_a_store
    async def test_one_of_many_creates_under_a_key(self, store: Store, clock: MovableClock) -> None:
        def create(payment: Payment) -> Callable[[Unit], str]:
            def work(unit: Unit) -> str:
                record = IdempotencyRecord(
                    scope="create:user:1",
                    key="k",
                    body_hash="h",
                    operation_id=None,
                    subject_id=payment.id,
                    created_at=NOW,
                )
                stored = unit.idempotency.put(record)
                if stored == record:
                    unit.payments.add(payment)
                return stored.subject_id

            return work

        answers = await _race(store, [create(a_payment(user_id="1")) for _ in range(RACERS)])
        assert len(set(answers)) == 1
        page = await store.run(lambda unit: unit.payments.list(PaymentQuery(user_id="1")), write=False)
        assert [payment.id for payment in page.items] == answers[:1]

    @on_a_store
    async def test_no_update_is_lost_between_many(self, store: Store, clock: MovableClock) -> None:
        payment = a_payment()
        await store.run(lambda unit: unit.payments.add(payment))

        async def count() -> None:
            while True:
                found = await store.run(lambda unit: unit.payments.get(payment.id), write=False)
                assert found is not None
                changed = replace(found, sync_count=found.sync_count + 1)
                if await store.run(
                    lambda unit: unit.payments.save(changed, expected_version=found.version)  # noqa: B023 - awaited here
                ):
                    return

        await asyncio.gather(*(count() for _ in range(RACERS)))
        found = await store.run(lambda unit: unit.payments.get(payment.id), write=False)
        assert found is not None
        assert (found.sync_count, found.version) == (RACERS, RACERS + 1)

    @on_a_store
    async def test_many_workers_never_take_the_same_row(self, store: Store, clock: MovableClock) -> None:
        payments = [a_payment(next_sync_at=NOW) for _ in range(12)]
        operations = [an_operation(payment.id) for payment in payments]
        events = [an_event(payment) for payment in payments]
        deliveries = [a_delivery(event.id) for event in events]
        entries = [an_entry() for _ in payments]

        def fill(unit: Unit) -> None:
            for payment, operation, event, delivery, entry in zip(
                payments, operations, events, deliveries, entries, strict=True
            ):
                unit.payments.add(payment)
                unit.operations.reserve(operation, lease_seconds=1)
                unit.events.add(event)
                unit.deliveries.add(delivery)
                unit.inbox.add(entry)

        await store.run(fill)
        clock.move(timedelta(seconds=1))
        claims: list[Callable[[Unit, str], Sequence[Any]]] = [
            lambda unit, _: unit.payments.claim_due(limit=2, lease_seconds=60),
            lambda unit, token: unit.operations.claim_due(limit=2, lease_seconds=60, token=token),
            lambda unit, _: unit.events.claim_untold(limit=2, lease_seconds=60),
            lambda unit, token: unit.deliveries.claim_due(limit=2, lease_seconds=60, token=token),
            lambda unit, token: unit.inbox.claim_due(limit=2, lease_seconds=60, token=token),
        ]
        for claim in claims:
            # Some may find their rows locked by others and take none; none may be taken twice.
            taken: list[str] = []
            for _ in range(9):
                batches = await _race(
                    store,
                    [
                        lambda unit, worker=worker, claim=claim: claim(unit, f"worker {worker}")  # type: ignore[misc]
                        for worker in range(4)
                    ],
                )
                taken.extend(row.id for batch in batches for row in batch)
                if len(taken) >= len(payments):
                    break
            assert len(taken) == len(set(taken)) == len(payments)

    @on_a_store
    async def test_a_caller_who_hangs_up_does_not_tear_the_unit(
        self, store: Store, clock: MovableClock
    ) -> None:
        payment = a_payment()
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        def work(unit: Unit) -> None:
            loop.call_soon_threadsafe(begun.set)
            unit.payments.add(payment)
            unit.events.add(an_event(payment))

        caller = asyncio.ensure_future(store.run(work))
        await begun.wait()
        caller.cancel()
        await asyncio.wait([caller])
        for _ in range(1000):  # nothing tells when a unit ends that nobody waits for
            if await store.run(lambda unit: unit.payments.get(payment.id), write=False) is not None:
                break
            await asyncio.sleep(0.01)
        assert len(await store.run(lambda unit: unit.events.for_subject(payment.id), write=False)) == 1

    @on_a_store
    async def test_a_commit_passes_the_seam_before_and_after(self, store: Store, clock: MovableClock) -> None:
        passes: list[tuple[str, str]] = []
        payment = a_payment()

        def work(unit: Unit) -> None:
            unit.payments.add(payment)

        def watch(point: str, what: str) -> None:
            if point in ("commit", "committed"):  # some stores send something, too
                passes.append((point, what))

        with watched(watch):
            await store.run(work)
            await store.run(lambda unit: unit.payments.get(payment.id), write=False)
        assert passes == [("commit", "work"), ("committed", "work")]

    @on_a_store
    async def test_a_death_before_the_commit_keeps_nothing_and_after_it_everything(
        self, store: Store, clock: MovableClock
    ) -> None:
        before, after = a_payment(), a_payment()
        for payment, fatal in ((before, "commit"), (after, "committed")):

            def die(point: str, _: str, fatal: str = fatal) -> None:
                if point == fatal:
                    raise Torn

            try:
                with watched(die):
                    await store.run(lambda unit, payment=payment: unit.payments.add(payment))  # type: ignore[misc]
            except Torn:
                continue
            raise AssertionError(f"{fatal} was not passed")
        assert await store.run(lambda unit: unit.payments.get(before.id), write=False) is None
        assert await store.run(lambda unit: unit.payments.get(after.id), write=False) == after

    @on_a_store
    async def test_moments_keep_their_microseconds_and_become_utc(
        self, store: Store, clock: MovableClock
    ) -> None:
        elsewhere = datetime.fromisoformat("2026-03-04T12:06:07.890123+07:00")
        payment = a_payment(paid_at=elsewhere)
        await store.run(lambda unit: unit.payments.add(payment))
        found = await store.run(lambda unit: unit.payments.get(payment.id), write=False)
        assert found is not None
        assert found.paid_at == elsewhere == NOW

    @on_a_store
    async def test_the_schema_is_what_the_code_expects(self, store: Store, clock: MovableClock) -> None:
        await store.check()
        await store.upgrade()
        await store.check()
