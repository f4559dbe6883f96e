"""What a store promises about operations, their slot and lease, and idempotency keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta

from ...errors import StoreError
from ...models import MovableClock, Operation, OperationState, Verb
from ...stores.base import IdempotencyRecord, Store
from .samples import NOW, Promises, an_operation, on_a_store

__all__ = ["OperationPromises"]

MINUTE = timedelta(seconds=60)


async def _reserve(store: Store, operation: Operation, seconds: float = 60) -> str | None:
    return await store.run(lambda unit: unit.operations.reserve(operation, lease_seconds=seconds))


async def _get(store: Store, operation: Operation) -> Operation:
    found = await store.run(lambda unit: unit.operations.get(operation.id), write=False)
    assert found is not None
    return found


async def _claim(store: Store, token: str, limit: int = 9) -> Sequence[Operation]:
    return await store.run(lambda unit: unit.operations.claim_due(limit=limit, lease_seconds=60, token=token))


async def _save(store: Store, operation: Operation, token: str | None) -> bool:
    return await store.run(lambda unit: unit.operations.save(operation, token=token))


async def _holder(store: Store, payment_id: str = "pay_1") -> str | None:
    return await store.run(lambda unit: unit.operations.holder_of(payment_id), write=False)


def _record(operation_id: str | None = "op_1", **changes: str | datetime) -> IdempotencyRecord:
    record = IdempotencyRecord(
        scope="confirm:user:1",
        key="key-1",
        body_hash="0" * 64,
        operation_id=operation_id,
        subject_id="pay_1",
        refund_id="re_1",
        created_at=NOW,
    )
    return replace(record, **changes)  # type: ignore[arg-type]


class OperationPromises(Promises):
    @on_a_store
    async def test_an_operation_comes_back_field_for_field_with_its_lease(
        self, store: Store, clock: MovableClock
    ) -> None:
        operation = an_operation(
            "pay_1",
            verb=Verb.REFUND,
            refund_id="re_1",
            inputs={"z": 1, "a": {"b": [1, None, "🙈"]}},
            api_version="2026-01-01",
            steps={"first": {"id": "x"}},
            principal="user:1",
            caller_deadline=NOW + timedelta(microseconds=1),
            error_code="e1",
            error_message="e2",
            decline_code="e3",
            request_id="req_1",
            resolution="found",
            finished_at=NOW,
            attempts=3,
        )
        unset = {f.name for f in fields(Operation) if getattr(operation, f.name) is None}
        assert unset == {"lease_until", "due_at"}, "a field of Operation is not tried here"
        assert await _reserve(store, operation, 12.5) is None
        until = NOW + timedelta(seconds=12.5)
        assert await _get(store, operation) == replace(operation, lease_until=until, due_at=until)
        by_reference = await store.run(
            lambda unit: unit.operations.get_by_reference(operation.reference), write=False
        )
        assert by_reference is not None
        assert by_reference.id == operation.id

    @on_a_store
    async def test_one_payment_has_one_open_operation(self, store: Store, clock: MovableClock) -> None:
        first, second, elsewhere = an_operation("pay_1"), an_operation("pay_1"), an_operation("pay_2")
        assert await _reserve(store, first) is None
        assert await _reserve(store, second) == first.id
        assert await _reserve(store, elsewhere) is None
        assert await _holder(store) == first.id
        found = await store.run(lambda unit: unit.operations.get(second.id), write=False)
        assert found is None, "the refused operation was written"
        listed = await store.run(lambda unit: unit.operations.for_subject("pay_1"), write=False)
        assert [operation.id for operation in listed] == [first.id]

    @on_a_store
    async def test_two_operations_never_share_a_reference(self, store: Store, clock: MovableClock) -> None:
        first = an_operation("pay_1")
        await _reserve(store, first)
        second = an_operation("pay_2", reference=first.reference)
        try:
            await _reserve(store, second)
        except StoreError:
            assert await _holder(store, "pay_2") is None, "the slot of a refused operation stayed taken"
        else:
            raise AssertionError("a second operation took the same reference")

    @on_a_store
    async def test_a_finished_operation_gives_up_slot_lease_and_due_time(
        self, store: Store, clock: MovableClock
    ) -> None:
        operation = an_operation("pay_1")
        await _reserve(store, operation)
        for state in (OperationState.SUCCEEDED, OperationState.REJECTED, OperationState.ABANDONED):
            finished = replace(operation, state=state, resolution="answered", finished_at=NOW)
            assert await _save(store, finished, "mine")
            found = await _get(store, operation)
            assert (found.state, found.resolution, found.finished_at) == (state, "answered", NOW)
            assert (found.lease_token, found.lease_until, found.due_at) == (None, None, None)
            assert await _holder(store) is None
            operation = an_operation("pay_1")
            assert await _reserve(store, operation) is None, "the slot was not given up"

    @on_a_store
    async def test_an_operation_that_stays_open_keeps_slot_and_lease(
        self, store: Store, clock: MovableClock
    ) -> None:
        operation = an_operation("pay_1")
        await _reserve(store, operation)
        unknown = replace(operation, state=OperationState.UNKNOWN, steps={"vault": {"id": "pm_1"}})
        assert await _save(store, unknown, "mine")
        found = await _get(store, operation)
        assert (found.state, dict(found.steps)) == (OperationState.UNKNOWN, {"vault": {"id": "pm_1"}})
        assert (found.lease_token, found.lease_until) == ("mine", NOW + MINUTE)
        assert await _holder(store) == operation.id

    @on_a_store
    async def test_only_the_outcome_of_an_operation_can_change(
        self, store: Store, clock: MovableClock
    ) -> None:
        operation = an_operation("pay_1")
        await _reserve(store, operation)
        forged = replace(
            operation,
            subject_id="pay_2",
            inputs={"amount": 1},
            inputs_hash="1",
            verb=Verb.CANCEL,
            principal="x",
        )
        assert await _save(store, replace(forged, state=OperationState.UNKNOWN), "mine")
        found = await _get(store, operation)
        assert (found.subject_id, dict(found.inputs), found.inputs_hash) == (
            "pay_1",
            {"amount": 2000},
            "0" * 64,
        )
        assert (found.verb, found.principal) == (Verb.CONFIRM, "system")

    @on_a_store
    async def test_who_lost_the_lease_writes_nothing(self, store: Store, clock: MovableClock) -> None:
        operation = an_operation("pay_1")
        await _reserve(store, operation)
        done = replace(operation, state=OperationState.SUCCEEDED)
        assert not await _save(store, done, "theirs")
        assert not await _save(store, done, None)
        clock.move(MINUTE)
        (claimed,) = await _claim(store, "theirs")
        assert claimed.id == operation.id
        assert not await _save(store, done, "mine"), "a late sender overwrote its successor"
        found = await _get(store, operation)
        assert found.state is OperationState.RESERVED
        assert await _holder(store) == operation.id
        assert await _save(store, done, "theirs")
        assert not await _save(store, done, "theirs"), "the token outlived the operation"

    @on_a_store
    async def test_without_a_lease_the_token_is_none(self, store: Store, clock: MovableClock) -> None:
        operation = an_operation("pay_1")
        await _reserve(store, operation)
        handed = await store.run(
            lambda unit: unit.operations.hand_back(operation.id, token="mine", delay_seconds=30)
        )
        assert handed
        assert await _save(store, replace(operation, state=OperationState.ABANDONED), None)
        assert await _holder(store) is None

    @on_a_store
    async def test_a_lease_is_exclusive_until_it_runs_out(self, store: Store, clock: MovableClock) -> None:
        async def lease(token: str) -> Operation | None:
            return await store.run(
                lambda unit: unit.operations.lease(operation.id, token=token, lease_seconds=60)
            )

        operation = an_operation("pay_1")
        await _reserve(store, operation)
        assert await lease("theirs") is None
        clock.move(MINUTE - timedelta(microseconds=1000))
        assert await lease("theirs") is None
        clock.move(timedelta(microseconds=1000))
        taken = await lease("theirs")
        assert taken is not None
        assert (taken.lease_token, taken.lease_until) == ("theirs", NOW + 2 * MINUTE)
        assert await _get(store, operation) == taken
        assert await lease("others") is None
        await _save(store, replace(taken, state=OperationState.SUCCEEDED), "theirs")
        clock.move(5 * MINUTE)
        assert await lease("others") is None, "a finished operation was leased"

    @on_a_store
    async def test_an_operation_handed_back_is_due_after_its_delay(
        self, store: Store, clock: MovableClock
    ) -> None:
        async def hand_back(token: str) -> bool:
            return await store.run(
                lambda unit: unit.operations.hand_back(operation.id, token=token, delay_seconds=30)
            )

        operation = an_operation("pay_1")
        await _reserve(store, operation)
        assert not await hand_back("theirs")
        assert await hand_back("mine")
        found = await _get(store, operation)
        assert (found.lease_token, found.lease_until) == (None, None)
        assert found.due_at == NOW + timedelta(seconds=30)
        assert not await hand_back("mine")
        assert list(await _claim(store, "t1")) == []
        clock.move(timedelta(seconds=30))
        assert [each.id for each in await _claim(store, "t1")] == [operation.id]
        assert await _holder(store) == operation.id, "handing back is not finishing"

    @on_a_store
    async def test_due_operations_are_claimed_once_and_count_an_attempt(
        self, store: Store, clock: MovableClock
    ) -> None:
        first, second, third = (an_operation(f"pay_{number}") for number in range(3))
        for operation in (first, second, third):
            await _reserve(store, operation)
        assert list(await _claim(store, "t1")) == [], "their senders still hold the lease"
        clock.move(MINUTE)
        await _save(store, replace(third, state=OperationState.SUCCEEDED), "mine")
        (claimed,) = await _claim(store, "t1", limit=1)
        assert (claimed.id, claimed.attempts, claimed.lease_token) == (first.id, 1, "t1")
        assert claimed.lease_until == NOW + 2 * MINUTE
        assert await _get(store, first) == claimed
        assert [operation.id for operation in await _claim(store, "t2")] == [second.id]
        clock.move(MINUTE)
        again = await _claim(store, "t3")
        assert [(operation.id, operation.attempts) for operation in again] == [(first.id, 2), (second.id, 2)]

    @on_a_store
    async def test_open_operations_are_listed_oldest_first(self, store: Store, clock: MovableClock) -> None:
        operations = [an_operation(f"pay_{number}") for number in range(3)]
        for operation in reversed(operations):
            await _reserve(store, operation)
        await _save(store, replace(operations[1], state=OperationState.REJECTED), "mine")
        open_now = await store.run(lambda unit: unit.operations.list_open(limit=9), write=False)
        assert [each.id for each in open_now] == [operations[0].id, operations[2].id]
        assert len(await store.run(lambda unit: unit.operations.list_open(limit=1), write=False)) == 1

    @on_a_store
    async def test_open_operations_are_counted_with_the_age_of_the_oldest(
        self, store: Store, clock: MovableClock
    ) -> None:
        old = NOW - timedelta(hours=3)
        operations = [
            an_operation("pay_1"),
            an_operation("pay_2", created_at=old),
            an_operation("pay_3", provider_id="another"),
            an_operation("pay_4", created_at=old - timedelta(hours=1)),
            an_operation("pay_5"),
        ]
        for operation in operations:
            await _reserve(store, operation)
        await _save(store, replace(operations[3], state=OperationState.SUCCEEDED), "mine")
        await _save(store, replace(operations[4], state=OperationState.UNKNOWN), "mine")
        counted = await store.run(lambda unit: unit.operations.count_open(), write=False)
        account = operations[0].provider_id
        expected = [
            ("another", OperationState.RESERVED, 1, NOW),
            (account, OperationState.RESERVED, 2, old),
            (account, OperationState.UNKNOWN, 1, NOW),
        ]
        found = [(each.provider_id, each.state, each.count, each.oldest) for each in counted]
        assert found == sorted(expected)

    @on_a_store
    async def test_no_operation_keeps_a_client_secret(self, store: Store, clock: MovableClock) -> None:
        secret = {"client_secret": "s3cr3t", "nested": [{"clientSecret": "s3cr3t", "kept": 1}]}
        operation = an_operation("pay_1", inputs=secret, steps={"confirm": secret})
        await _reserve(store, operation)
        found = await _get(store, operation)
        assert "s3cr3t" not in str((found.inputs, found.steps))
        assert dict(found.inputs) == {"nested": [{"kept": 1}]}

    # --- idempotency keys -------------------------------------------------------------------------

    @on_a_store
    async def test_a_key_answers_with_its_first_use(self, store: Store, clock: MovableClock) -> None:
        async def put(record: IdempotencyRecord) -> IdempotencyRecord:
            return await store.run(lambda unit: unit.idempotency.put(record))

        first = _record()
        assert await put(first) == first
        assert await put(_record("op_2", body_hash="1" * 64)) == first
        for other in (_record("op_3", scope="confirm:user:2"), _record("op_4", key="KEY-1")):
            assert await put(other) == other
        blank = _record("op_5", key=f"{first.key} ")
        assert await put(blank) == blank, "blanks at the end count"

    @on_a_store
    async def test_released_keys_are_free_again(self, store: Store, clock: MovableClock) -> None:
        async def release(operation_id: str) -> int:
            return await store.run(lambda unit: unit.idempotency.release(operation_id))

        first, second = _record(), _record(key="key-2")
        kept = _record("op_2", key="key-3")
        await store.run(lambda unit: [unit.idempotency.put(each) for each in (first, second, kept)])
        assert await release("op_1") == 2
        assert await release("op_1") == 0
        anew = _record("op_9")
        assert await store.run(lambda unit: unit.idempotency.put(anew)) == anew
        assert await store.run(lambda u: u.idempotency.put(_record("op_9", key="key-3"))) == kept

    @on_a_store
    async def test_old_keys_are_forgotten_oldest_first(self, store: Store, clock: MovableClock) -> None:
        records = [_record(key=f"k{day}", created_at=NOW - timedelta(days=day)) for day in range(4)]
        await store.run(lambda unit: [unit.idempotency.put(each) for each in records])

        async def forget(limit: int) -> int:
            before = NOW - timedelta(days=1)
            return await store.run(lambda unit: unit.idempotency.delete_before(before, limit=limit))

        assert await forget(1) == 1
        third = _record("op_2", key="k2")
        assert await store.run(lambda unit: unit.idempotency.put(third)) == records[2], (
            "the oldest goes first"
        )
        assert await forget(9) == 1
        assert await forget(9) == 0
        assert await store.run(lambda u: u.idempotency.put(_record("op_2", key="k1"))) == records[1]
