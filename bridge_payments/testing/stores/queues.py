"""What a store promises about events, deliveries and the inbox: told at least once, claimed by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

from ...models import (
    MAX_MINOR_UNITS,
    Delivery,
    DeliveryState,
    Event,
    GuestData,
    InboxEntry,
    InboxState,
    MovableClock,
    NextAction,
    NextActionKind,
    OperationState,
    PaymentFlag,
    new_id,
)
from ...stores.base import Backlog, Queue, Store, Unit
from .samples import (
    NOW,
    Promises,
    a_delivery,
    a_payment,
    a_refund,
    an_entry,
    an_event,
    an_operation,
    keep,
    on_a_store,
)

__all__ = ["QueuePromises"]

MINUTE = timedelta(seconds=60)


async def _untold(store: Store, limit: int = 9) -> list[str]:
    events = await store.run(lambda unit: unit.events.claim_untold(limit=limit, lease_seconds=60))
    return [event.id for event in events]


async def _tell(store: Store, *ids: str) -> None:
    def work(unit: Unit) -> None:
        for event_id in ids:
            unit.events.mark_told(event_id)

    await store.run(work)


async def _deliveries(
    store: Store, token: str, limit: int = 9, endpoints: Sequence[str] | None = None
) -> Sequence[Delivery]:
    return await store.run(
        lambda unit: unit.deliveries.claim_due(
            limit=limit, lease_seconds=60, token=token, endpoints=endpoints
        )
    )


async def _entries(store: Store, token: str, limit: int = 9) -> Sequence[InboxEntry]:
    return await store.run(lambda unit: unit.inbox.claim_due(limit=limit, lease_seconds=60, token=token))


async def _finish(store: Store, delivery: Delivery, token: str, state: DeliveryState, **more: Any) -> bool:
    return await store.run(lambda unit: unit.deliveries.finish(delivery, token=token, state=state, **more))


async def _settle(store: Store, entry: InboxEntry, token: str, state: InboxState, **more: Any) -> bool:
    return await store.run(lambda unit: unit.inbox.finish(entry, token=token, state=state, **more))


async def _delivery(store: Store, delivery_id: str) -> Delivery:
    found = await store.run(lambda unit: unit.deliveries.get(delivery_id), write=False)
    assert found is not None
    return found


async def _entry(store: Store, entry_id: str) -> InboxEntry:
    found = await store.run(lambda unit: unit.inbox.get(entry_id), write=False)
    assert found is not None
    return found


class QueuePromises(Promises):
    # --- everything that waits ----------------------------------------------------------------------

    @on_a_store
    async def test_what_waits_is_counted_with_its_age_and_what_is_done_is_not(
        self, store: Store, clock: MovableClock
    ) -> None:
        async def backlog() -> Backlog:
            return await store.run(lambda unit: unit.backlog(), write=False)

        assert await backlog() == Backlog()
        payments = [a_payment() for _ in range(3)]
        events = [an_event(created_at=NOW - MINUTE), an_event()]
        deliveries = [a_delivery(events[0].id), a_delivery(events[1].id, state=DeliveryState.DEAD)]
        entries = [an_entry(created_at=NOW - 2 * MINUTE), an_entry()]
        await keep(store, *payments, *events, *deliveries, *entries)
        operations = [
            an_operation(payment.id, created_at=NOW - n * MINUTE) for n, payment in enumerate(payments)
        ]

        def work(unit: Unit) -> None:
            for operation in operations:
                assert unit.operations.reserve(operation, lease_seconds=60) is None
            lost = replace(operations[1], state=OperationState.UNKNOWN)
            assert unit.operations.save(lost, token="mine")
            assert unit.operations.save(replace(operations[2], state=OperationState.SUCCEEDED), token="mine")

        await store.run(work)

        assert await backlog() == Backlog(
            open_operations=Queue(count=2, oldest=NOW - MINUTE),
            unknown_operations=Queue(count=1, oldest=NOW - MINUTE),
            untold_events=Queue(count=2, oldest=NOW - MINUTE),
            pending_deliveries=Queue(count=1, oldest=NOW),
            inbox=Queue(count=2, oldest=NOW - 2 * MINUTE),
            dead_deliveries=1,
        )
        await _tell(store, *(event.id for event in events))
        [delivery] = await _deliveries(store, "t")
        await _finish(store, delivery, "t", DeliveryState.DELIVERED)
        for entry in await _entries(store, "t"):
            await _settle(store, entry, "t", InboxState.DEAD)

        assert await backlog() == Backlog(
            open_operations=Queue(count=2, oldest=NOW - MINUTE),
            unknown_operations=Queue(count=1, oldest=NOW - MINUTE),
            dead_deliveries=1,
            dead_inbox=2,
        )

    # --- events -----------------------------------------------------------------------------------

    @on_a_store
    async def test_an_event_keeps_the_whole_snapshot_and_no_client_secret(
        self, store: Store, clock: MovableClock
    ) -> None:
        secret = "pi_1_secret_XYZ"
        payment = a_payment(
            total=MAX_MINOR_UNITS,
            client_secret=secret,
            client_secret_expires_at=NOW + timedelta(microseconds=1),
            flag=PaymentFlag.MISMATCH,
            guest_data=GuestData(email="a@b.c", name="Ana 🌻"),
            metadata={"z": 1, "a": [1, {"b": None}]},
            applied_coupons=("TEA",),
            next_action=NextAction(
                kind=NextActionKind.REDIRECT, url=f"https://x.example/?payment_intent_client_secret={secret}"
            ),
        )
        refund = a_refund(payment.id, metadata={"k": "v"})
        event = an_event(payment, type="refund.created", refund=refund, data={"final": False, "z": {"a": 1}})
        await keep(store, event)
        found = await store.run(lambda unit: unit.events.get(event.id), write=False)
        assert found is not None
        assert found.payment is not None
        assert found == replace(event, payment=found.payment)
        changed = {
            f.name for f in fields(payment) if getattr(found.payment, f.name) != getattr(payment, f.name)
        }
        assert changed == {"client_secret", "next_action"}
        assert secret not in str(found)
        assert found.payment.client_secret is None
        assert found.payment.next_action == NextAction(kind=NextActionKind.REDIRECT)

    @on_a_store
    async def test_events_of_a_payment_are_listed_oldest_first(
        self, store: Store, clock: MovableClock
    ) -> None:
        payment, other = a_payment(), a_payment()
        first, second = an_event(payment), an_event(payment, type="payment.success")
        third = an_event(refund=a_refund(payment.id), type="refund.created")
        added: list[Event] = [third, second, first, an_event(other), an_event()]
        await keep(store, *(added))
        listed = await store.run(lambda unit: unit.events.for_subject(payment.id), write=False)
        assert list(listed) == [first, second, third]

    @on_a_store
    async def test_untold_events_come_again_until_they_are_told(
        self, store: Store, clock: MovableClock
    ) -> None:
        events = [an_event(a_payment()) for _ in range(3)]
        await keep(store, *(events))
        ids = [event.id for event in events]
        assert await _untold(store, 2) == ids[:2]
        assert await _untold(store, 2) == ids[2:]
        assert await _untold(store) == []
        await _tell(store, ids[0])
        clock.move(MINUTE)
        assert sorted(await _untold(store)) == sorted(ids[1:])
        await _tell(store, *ids)
        clock.move(MINUTE)
        assert await _untold(store) == []

    @on_a_store
    async def test_old_events_go_when_told_and_delivered(self, store: Store, clock: MovableClock) -> None:
        old = [an_event(a_payment(), created_at=NOW - timedelta(days=day)) for day in (9, 8, 7)]
        untold = an_event(a_payment(), created_at=NOW - timedelta(days=9))
        fresh = an_event(a_payment())
        await keep(store, *old, untold, fresh)
        await _tell(store, *(event.id for event in [*old, fresh]))
        pending, dead = a_delivery(old[1].id), a_delivery(old[0].id)
        await keep(store, pending, dead)
        for claimed in await _deliveries(store, "t"):
            if claimed.id == dead.id:
                await _finish(store, claimed, "t", DeliveryState.DEAD)

        async def forget(limit: int) -> int:
            before = NOW - timedelta(days=1)
            return await store.run(lambda unit: unit.events.delete_told_before(before, limit=limit))

        assert await forget(1) == 1
        assert await forget(9) == 1
        assert await forget(9) == 0
        kept = await store.run(
            lambda unit: [unit.events.get(each.id) is not None for each in [*old, untold, fresh]], write=False
        )
        assert kept == [False, True, False, True, True]
        left = await store.run(lambda unit: unit.deliveries.list(), write=False)
        assert [delivery.id for delivery in left] == [pending.id], "a delivery outlived its event"

    # --- deliveries -------------------------------------------------------------------------------

    @on_a_store
    async def test_an_event_goes_to_an_endpoint_once(self, store: Store, clock: MovableClock) -> None:
        async def add(delivery: Delivery) -> bool:
            return await store.run(lambda unit: unit.deliveries.add(delivery))

        first = a_delivery("evt_1")
        assert await add(first) is True
        assert await add(a_delivery("evt_1")) is False
        assert await add(a_delivery("evt_1", endpoint="Shop")) is True
        assert await add(a_delivery("evt_2")) is True
        assert await _delivery(store, first.id) == replace(first, available_at=NOW)

    @on_a_store
    async def test_several_deliveries_are_added_together_and_none_twice(
        self, store: Store, clock: MovableClock
    ) -> None:
        first, second = a_delivery("evt_1"), a_delivery("evt_1", endpoint="crm")
        dead = a_delivery("evt_2", state=DeliveryState.DEAD, error="off")
        again = a_delivery("evt_1")
        await keep(store, first)
        await store.run(lambda unit: unit.deliveries.add_all([again, second, dead]))
        await store.run(lambda unit: unit.deliveries.add_all([]))
        found = {d.id: d for d in await store.run(lambda unit: unit.deliveries.list(), write=False)}
        assert found.keys() == {first.id, second.id, dead.id}
        assert found[second.id].available_at == NOW
        assert found[dead.id] == dead

    @on_a_store
    async def test_due_deliveries_are_claimed_once_oldest_first(
        self, store: Store, clock: MovableClock
    ) -> None:
        first, second, third = (a_delivery(f"evt_{number}") for number in range(3))
        for delivery in (second, first, third):
            await store.run(lambda unit, delivery=delivery: unit.deliveries.add(delivery))  # type: ignore[misc]
            clock.move(timedelta(seconds=1))
        (claimed,) = await _deliveries(store, "t1", limit=1)
        assert (claimed.id, claimed.attempts, claimed.claim_token) == (second.id, 1, "t1")
        assert claimed.available_at == NOW + timedelta(seconds=63)
        assert await _delivery(store, second.id) == claimed
        assert [each.id for each in await _deliveries(store, "t2")] == [first.id, third.id]
        assert list(await _deliveries(store, "t3")) == []
        clock.move(MINUTE)
        assert sorted(each.attempts for each in await _deliveries(store, "t4")) == [2, 2, 2]

    @on_a_store
    async def test_a_worker_takes_only_the_endpoints_it_serves(
        self, store: Store, clock: MovableClock
    ) -> None:
        shop, crm = a_delivery("evt_1"), a_delivery("evt_1", endpoint="crm")
        await keep(store, shop, crm)
        assert list(await _deliveries(store, "t1", endpoints=[])) == []
        assert list(await _deliveries(store, "t1", endpoints=["CRM", "none"])) == []
        assert [each.id for each in await _deliveries(store, "t1", endpoints=["crm", "none"])] == [crm.id]
        assert [each.id for each in await _deliveries(store, "t1")] == [shop.id]

    @on_a_store
    async def test_an_attempt_is_recorded_by_who_holds_the_token(
        self, store: Store, clock: MovableClock
    ) -> None:
        await keep(store, a_delivery("evt_1"))
        (claimed,) = await _deliveries(store, "t1")
        failed = replace(claimed, status_code=503, error="no 🙈")
        assert not await _finish(store, failed, "t2", DeliveryState.DELIVERED)
        assert await _finish(store, failed, "t1", DeliveryState.PENDING, retry_in_seconds=5.5)
        found = await _delivery(store, claimed.id)
        assert (found.state, found.status_code, found.error) == (DeliveryState.PENDING, 503, "no 🙈")
        assert (found.available_at, found.claim_token) == (NOW + timedelta(seconds=5.5), None)
        assert not await _finish(store, failed, "t1", DeliveryState.DELIVERED), "the token was used up"
        assert list(await _deliveries(store, "t2")) == []
        clock.move(timedelta(seconds=5.5))
        (claimed,) = await _deliveries(store, "t2")
        clock.move(MINUTE)
        (stolen,) = await _deliveries(store, "t3")
        assert not await _finish(store, claimed, "t2", DeliveryState.DEAD), "a late worker finished another's"
        told = replace(stolen, status_code=200, error=None, delivered_at=NOW)
        assert await _finish(store, told, "t3", DeliveryState.DELIVERED)
        found = await _delivery(store, claimed.id)
        assert (found.state, found.delivered_at, found.attempts) == (DeliveryState.DELIVERED, NOW, 3)
        assert (found.available_at, found.claim_token) == (None, None)
        clock.move(MINUTE * 99)
        assert list(await _deliveries(store, "t4")) == []

    @on_a_store
    async def test_what_is_finished_can_be_delivered_again(self, store: Store, clock: MovableClock) -> None:
        async def redeliver(delivery_id: str) -> bool:
            return await store.run(lambda unit: unit.deliveries.redeliver(delivery_id))

        await keep(store, a_delivery("evt_1"))
        (claimed,) = await _deliveries(store, "t1")
        assert await redeliver(claimed.id) is False, "it is still on its way"
        assert await redeliver("dlv_none") is False
        for state in (DeliveryState.DEAD, DeliveryState.DELIVERED):
            assert await _finish(store, claimed, "t1", state)
            clock.move(MINUTE)
            assert await redeliver(claimed.id) is True
            found = await _delivery(store, claimed.id)
            assert (found.state, found.attempts, found.delivered_at) == (DeliveryState.PENDING, 0, None)
            (claimed,) = await _deliveries(store, "t1")
            assert claimed.attempts == 1

    @on_a_store
    async def test_deliveries_are_listed_newest_first(self, store: Store, clock: MovableClock) -> None:
        async def listed(**filters: Any) -> list[str]:
            found = await store.run(lambda unit: unit.deliveries.list(**filters), write=False)
            return [delivery.id for delivery in found]

        first, second, third = a_delivery("evt_1"), a_delivery("evt_1", endpoint="crm"), a_delivery("evt_2")
        await keep(store, second, third, first)
        (claimed,) = await _deliveries(store, "t1", endpoints=["crm"])
        await _finish(store, claimed, "t1", DeliveryState.DEAD)
        assert await listed() == [third.id, second.id, first.id]
        assert await listed(limit=1) == [third.id]
        assert await listed(event_id="evt_1") == [second.id, first.id]
        assert await listed(state=DeliveryState.DEAD) == [second.id]
        assert await listed(state=DeliveryState.PENDING, event_id="evt_1") == [first.id]

    @on_a_store
    async def test_deliveries_are_counted_by_state_since_a_moment(
        self, store: Store, clock: MovableClock
    ) -> None:
        old = a_delivery("evt_1", created_at=NOW - timedelta(microseconds=1))
        dead = a_delivery("evt_4", state=DeliveryState.DEAD)
        await keep(store, old, a_delivery("evt_2"), a_delivery("evt_3"), dead)
        found = await store.run(lambda unit: unit.deliveries.count(since=NOW), write=False)
        assert dict(found) == {DeliveryState.PENDING: 2, DeliveryState.DEAD: 1}

    @on_a_store
    async def test_a_list_of_deliveries_is_continued_where_it_ended(
        self, store: Store, clock: MovableClock
    ) -> None:
        mine = [a_delivery(f"evt_{number}") for number in range(3)]
        await keep(store, *mine, a_delivery("evt_1", endpoint="crm"))

        async def listed(**filters: Any) -> list[str]:
            found = await store.run(lambda unit: unit.deliveries.list(**filters), write=False)
            return [delivery.id for delivery in found]

        assert await listed(endpoint="shop", limit=2) == [mine[2].id, mine[1].id]
        assert await listed(endpoint="shop", before_id=mine[1].id) == [mine[0].id]

    @on_a_store
    async def test_several_that_got_through_are_recorded_together_by_who_holds_the_token(
        self, store: Store, clock: MovableClock
    ) -> None:
        await keep(store, *(a_delivery(f"evt_{number}") for number in range(3)))
        first, second = await _deliveries(store, "t1", limit=2)
        (third,) = await _deliveries(store, "t2")
        ids = [first.id, second.id, third.id, "dlv_none"]

        async def record(token: str) -> int:
            return await store.run(
                lambda unit: unit.deliveries.finish_delivered(ids, token=token, status_code=204)
            )

        assert await record("t1") == 2
        assert await record("t1") == 0
        found = await _delivery(store, first.id)
        assert (found.state, found.status_code, found.delivered_at, found.available_at) == (
            DeliveryState.DELIVERED, 204, NOW, None,
        )  # fmt: skip
        assert (await _delivery(store, third.id)).state is DeliveryState.PENDING

    @on_a_store
    async def test_what_was_claimed_and_not_begun_is_given_back_whole(
        self, store: Store, clock: MovableClock
    ) -> None:
        await keep(store, a_delivery("evt_1"))
        (claimed,) = await _deliveries(store, "t1")

        async def release(token: str) -> int:
            return await store.run(lambda unit: unit.deliveries.release([claimed.id], token=token))

        assert await release("t2") == 0
        assert await release("t1") == 1
        (again,) = await _deliveries(store, "t3")
        assert (again.id, again.attempts) == (claimed.id, 1)

    @on_a_store
    async def test_a_delivery_that_is_stored_dead_waits_for_an_operator(
        self, store: Store, clock: MovableClock
    ) -> None:
        dead = a_delivery("evt_1", state=DeliveryState.DEAD, error="switched off")
        await keep(store, dead)
        assert list(await _deliveries(store, "t1")) == []
        assert await _delivery(store, dead.id) == dead
        assert await store.run(lambda unit: unit.deliveries.redeliver(dead.id)) is True
        assert [each.id for each in await _deliveries(store, "t1")] == [dead.id]

    @on_a_store
    async def test_what_nobody_delivers_is_given_up_one_day(self, store: Store, clock: MovableClock) -> None:
        old, done = a_delivery("evt_1", endpoint="gone"), a_delivery("evt_2")
        await keep(store, old, done)
        (claimed,) = await _deliveries(store, "t1", endpoints=["shop"])
        await _finish(store, claimed, "t1", DeliveryState.DELIVERED)
        tomorrow = NOW + timedelta(days=1)

        async def give_up(before: datetime) -> int:
            return await store.run(lambda unit: unit.deliveries.give_up_before(before, limit=9))

        assert await give_up(NOW) == 0
        assert await give_up(tomorrow) == 1
        assert await give_up(tomorrow) == 0
        found = await _delivery(store, old.id)
        assert (found.state, found.available_at) == (DeliveryState.DEAD, None)
        assert (await _delivery(store, done.id)).state is DeliveryState.DELIVERED

    @on_a_store
    async def test_several_events_are_read_at_once(self, store: Store, clock: MovableClock) -> None:
        payment = a_payment()
        first, second = an_event(payment), an_event(payment, type="payment.success")
        await keep(store, first, second)
        found = await store.run(lambda u: u.events.get_all([second.id, "evt_none", first.id]), write=False)
        assert dict(found) == {first.id: first, second.id: second}
        assert dict(await store.run(lambda unit: unit.events.get_all([]), write=False)) == {}
        counted = await store.run(lambda unit: unit.events.count_by_type(), write=False)
        assert dict(counted) == {"payment.created": 1, "payment.success": 1}

    # --- the inbox --------------------------------------------------------------------------------

    @on_a_store
    async def test_old_bodies_are_forgotten_and_the_event_is_still_known(
        self, store: Store, clock: MovableClock
    ) -> None:
        done, parked, young = (an_entry(payload='{"secret": 1}', headers={"sig": "x"}) for _ in range(3))
        await keep(store, done, parked, young)
        claimed = {entry.id: entry for entry in await _entries(store, "t1")}
        assert await _settle(store, claimed[done.id], "t1", InboxState.PROCESSED)
        assert await _settle(store, claimed[parked.id], "t1", InboxState.PARKED, retry_in_seconds=60)
        assert await _settle(store, claimed[young.id], "t1", InboxState.IGNORED)

        async def blank(after: str, limit: int = 9) -> tuple[int, str | None]:
            return await store.run(
                lambda unit: unit.inbox.blank(after_id=after, before_id=young.id, limit=limit)
            )

        assert await blank("", 1) == (1, done.id)
        assert await blank(done.id) == (0, parked.id), "it may have to be looked at again"
        assert await blank(parked.id) == (0, None)
        found = await _entry(store, done.id)
        assert (found.payload, dict(found.headers), found.state) == ("", {}, InboxState.PROCESSED)
        assert (await _entry(store, parked.id)).payload == parked.payload
        assert (await _entry(store, young.id)).payload == young.payload
        again = replace(done, id=new_id("wh"))
        assert await store.run(lambda unit: unit.inbox.add(again)) is False

    @on_a_store
    async def test_entries_that_were_not_begun_are_given_back_whole(
        self, store: Store, clock: MovableClock
    ) -> None:
        await keep(store, an_entry())
        (claimed,) = await _entries(store, "t1")
        assert await store.run(lambda unit: unit.inbox.release([claimed.id], token="t2")) == 0
        assert await store.run(lambda unit: unit.inbox.release([claimed.id], token="t1")) == 1
        (again,) = await _entries(store, "t3")
        assert (again.id, again.attempts) == (claimed.id, 1)

    @on_a_store
    async def test_one_account_is_worked_for_without_the_others(
        self, store: Store, clock: MovableClock
    ) -> None:
        mine, other = an_entry(), an_entry(provider_id="other")
        await keep(store, mine, other)
        claimed = await store.run(
            lambda unit: unit.inbox.claim_due(limit=9, lease_seconds=60, token="t", provider_id="other")
        )
        assert [entry.id for entry in claimed] == [other.id]
        assert [entry.id for entry in await _entries(store, "t2")] == [mine.id]

    @on_a_store
    async def test_the_inbox_is_counted_by_state(self, store: Store, clock: MovableClock) -> None:
        await keep(store, an_entry(), an_entry(), an_entry(provider_id="other"))
        (claimed,) = await _entries(store, "t1", limit=1)
        await _settle(store, claimed, "t1", InboxState.DEAD)
        counted = await store.run(lambda unit: unit.inbox.count(), write=False)
        assert dict(counted) == {InboxState.RECEIVED: 2, InboxState.DEAD: 1}
        counted = await store.run(lambda unit: unit.inbox.count(provider_id="other"), write=False)
        assert dict(counted) == {InboxState.RECEIVED: 1}

    @on_a_store
    async def test_a_webhook_comes_back_byte_for_byte(self, store: Store, clock: MovableClock) -> None:
        entry = an_entry(
            provider_event_id="evt_3AbC",
            reference="pi_1",
            our_reference="ours",
            livemode=False,
            api_version="2026-01-01",
            payload='{"z": 1,\n  "a": 1.0, "z": 2, "e": "🙈", "u": "\\u0000"}' + " " * 70_000,
            payload_hash="f" * 64,
            headers={"z-sig": "1", "a-sig": "2"},
        )
        assert await store.run(lambda unit: unit.inbox.add(entry)) is True
        found = await _entry(store, entry.id)
        assert found == replace(entry, available_at=NOW)
        by_event = await store.run(lambda u: u.inbox.get_by_event("dummy", "evt_3AbC"), write=False)
        assert by_event == found

    @on_a_store
    async def test_a_webhook_is_received_once_per_account(self, store: Store, clock: MovableClock) -> None:
        async def add(entry: InboxEntry) -> bool:
            return await store.run(lambda unit: unit.inbox.add(entry))

        first = an_entry(provider_event_id="evt_A")
        assert await add(first) is True
        assert await add(replace(first, id=new_id("wh"))) is False
        assert await add(replace(first, id=new_id("wh"), provider_event_id="evt_a")) is True
        assert await add(replace(first, id=new_id("wh"), provider_id="other")) is True
        (_, _, _) = await _entries(store, "t1")
        assert await _settle(store, first, "t1", InboxState.PROCESSED)
        assert await add(replace(first, id=new_id("wh"))) is False, "a late copy was taken for a new event"

    @on_a_store
    async def test_due_webhooks_are_claimed_once_and_settled_by_token(
        self, store: Store, clock: MovableClock
    ) -> None:
        first, second = an_entry(), an_entry()
        await keep(store, first, second)
        (claimed,) = await _entries(store, "t1", limit=1)
        assert (claimed.id, claimed.attempts, claimed.claim_token) == (first.id, 1, "t1")
        assert await _entry(store, first.id) == claimed
        assert [entry.id for entry in await _entries(store, "t2")] == [second.id]
        assert list(await _entries(store, "t3")) == []
        failed = replace(claimed, error_message="Traceback 🙈", payment_id="pay_1")
        assert not await _settle(store, failed, "t2", InboxState.PROCESSED)
        assert await _settle(store, failed, "t1", InboxState.PARKED, retry_in_seconds=900)
        found = await _entry(store, first.id)
        assert (found.state, found.error_message, found.payment_id) == (
            InboxState.PARKED,
            "Traceback 🙈",
            "pay_1",
        )
        assert (found.available_at, found.claim_token) == (NOW + timedelta(seconds=900), None)
        clock.move(timedelta(seconds=900))
        again = {entry.id: entry for entry in await _entries(store, "t3")}
        assert again[first.id].attempts == 2
        done = replace(again[first.id], error_message=None, processed_at=NOW)
        assert await _settle(store, done, "t3", InboxState.PROCESSED)
        assert not await _settle(store, done, "t3", InboxState.DEAD), "the token was used up"
        found = await _entry(store, first.id)
        assert (found.state, found.error_message, found.processed_at) == (InboxState.PROCESSED, None, NOW)
        clock.move(MINUTE * 99)
        assert [entry.id for entry in await _entries(store, "t4")] == [second.id]

    @on_a_store
    async def test_a_webhook_of_any_state_can_be_replayed(self, store: Store, clock: MovableClock) -> None:
        async def replay(entry_id: str) -> bool:
            return await store.run(lambda unit: unit.inbox.replay(entry_id))

        entry = an_entry()
        await keep(store, entry)
        assert await replay("wh_none") is False
        for state in (InboxState.PROCESSED, InboxState.IGNORED, InboxState.DEAD):
            (claimed,) = await _entries(store, "t1")
            assert claimed.attempts == 1
            assert await _settle(store, claimed, "t1", state)
            assert list(await _entries(store, "t2")) == []
            assert await replay(entry.id) is True
            found = await _entry(store, entry.id)
            assert (found.state, found.attempts, found.processed_at) == (InboxState.RECEIVED, 0, None)

    @on_a_store
    async def test_webhooks_are_listed_newest_first(self, store: Store, clock: MovableClock) -> None:
        async def listed(**filters: Any) -> list[str]:
            found = await store.run(lambda unit: unit.inbox.list(**filters), write=False)
            return [entry.id for entry in found]

        first, second, third = an_entry(), an_entry(provider_id="other"), an_entry()
        await keep(store, third, first, second)
        claimed = {entry.id: entry for entry in await _entries(store, "t1")}
        await _settle(store, claimed[third.id], "t1", InboxState.DEAD)
        assert await listed() == [third.id, second.id, first.id]
        assert await listed(limit=2) == [third.id, second.id]
        assert await listed(provider_id="dummy") == [third.id, first.id]
        assert await listed(state=InboxState.DEAD) == [third.id]
        assert await listed(state=InboxState.RECEIVED, provider_id="other") == [second.id]
        await _settle(store, replace(claimed[first.id], payment_id="pay_1"), "t1", InboxState.PROCESSED)
        assert await listed(payment_id="pay_1") == [first.id]
        assert await listed(payment_id="pay_2") == []
