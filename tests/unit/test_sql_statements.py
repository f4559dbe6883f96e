"""How many statements a unit of work costs, and that each of them finds its rows by an index."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bridge_payments.errors import StoreError
from bridge_payments.models import MovableClock, OperationState, PaymentStatus, utc_now
from bridge_payments.models.ids import id_bounds
from bridge_payments.seam import watched
from bridge_payments.stores.base import IdempotencyRecord, PaymentQuery, Unit
from bridge_payments.stores.sql import SQLStore
from bridge_payments.testing.stores.samples import (
    NOW,
    a_delivery,
    a_payment,
    an_entry,
    an_event,
    an_operation,
    keep,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLStore]:
    store = SQLStore(f"sqlite:///{tmp_path}/shop.db", clock=MovableClock(lambda: NOW))
    await store.upgrade()
    yield store
    await store.aclose()


async def statements(store: SQLStore, work: Callable[[Unit], Any], *, write: bool = True) -> list[str]:
    seen: list[str] = []
    with watched(lambda point, what: seen.append(what if point == "statement" else point)):
        await store.run(work, write=write)
    return seen


async def test_reserving_a_confirm_takes_four_statements(store: SQLStore) -> None:
    payment = a_payment(provider_intent_id="pi_1")
    await keep(store, payment)
    record = IdempotencyRecord(
        scope="confirm:user:1",
        key="k",
        body_hash="h",
        operation_id="op_1",
        subject_id=payment.id,
        created_at=NOW,
    )

    def reserve(unit: Unit) -> None:
        unit.idempotency.put(record)
        assert unit.payments.get(payment.id) is not None
        assert unit.operations.reserve(an_operation(payment.id), lease_seconds=60) is None

    assert await statements(store, reserve) == [
        "idempotency.put",
        "payments.get",
        "operations.take_slot",
        "operations.add",
        "commit",
        "committed",
    ]


async def test_recording_its_answer_takes_one_per_row_that_changes(store: SQLStore) -> None:
    payment = a_payment(provider_intent_id="pi_1")
    operation = an_operation(payment.id)
    await keep(store, payment)
    await store.run(lambda unit: unit.operations.reserve(operation, lease_seconds=60))

    def record(unit: Unit) -> None:
        found = unit.payments.get(payment.id)
        assert found is not None
        paid = replace(found, status=PaymentStatus.SUCCEEDED, captured_cents=2000)
        assert unit.payments.save(paid, expected_version=found.version)
        assert unit.operations.save(replace(operation, state=OperationState.SUCCEEDED), token="mine")
        unit.events.add(an_event(paid))

    assert await statements(store, record) == [
        "payments.get",
        "payments.save",
        "operations.save",
        "operations.give_slot_up",
        "events.add",
        "commit",
        "committed",
    ]


async def test_a_reference_is_claimed_when_it_is_first_set_and_not_again(store: SQLStore) -> None:
    payment = a_payment()
    await keep(store, payment)

    def save(unit: Unit) -> None:
        found = unit.payments.get(payment.id)
        assert found is not None
        changed = replace(found, provider_intent_id="pi_1")
        assert unit.payments.save(changed, expected_version=found.version)

    ended = ["commit", "committed"]
    first = await statements(store, save)
    assert first == ["payments.get", "payments.save", "payments.hold_reference", *ended]
    assert await statements(store, save) == ["payments.get", "payments.save", *ended]


async def test_a_record_after_a_long_call_does_not_claim_the_reference_again(store: SQLStore) -> None:
    payment = a_payment()
    await keep(store, payment)

    def save(version: int, intent: str | None) -> Callable[[Unit], Any]:
        changed = replace(payment, provider_intent_id=intent)
        return lambda unit: unit.payments.save(changed, expected_version=version)

    ended = ["commit", "committed"]
    assert await statements(store, save(1, "pi_1")) == ["payments.save", "payments.hold_reference", *ended]
    assert await statements(store, save(2, "pi_1")) == ["payments.save", *ended]
    late = ["payments.save", "payments.save", "payments.hold_reference", *ended]
    assert await statements(store, save(3, "pi_2")) == late, "a reference that comes late is claimed, too"


async def test_every_read_is_one_statement_and_every_claim_two(store: SQLStore) -> None:
    payment = a_payment(next_sync_at=NOW)
    event = an_event(payment)
    await keep(store, payment, event, a_delivery(event.id), an_entry())
    reads: list[Callable[[Unit], Any]] = [
        lambda unit: unit.payments.get(payment.id),
        lambda unit: unit.payments.list(PaymentQuery(user_id="u")),
        lambda unit: unit.payments.list(PaymentQuery()),
        lambda unit: unit.operations.for_subject(payment.id),
        lambda unit: unit.events.for_subject(payment.id),
        lambda unit: unit.deliveries.list(event_id=event.id),
        lambda unit: unit.inbox.list(provider_id="dummy"),
    ]
    for read in reads:
        assert len(await statements(store, read, write=False)) == 1
    claims: list[Callable[[Unit], Any]] = [
        lambda unit: unit.payments.claim_due(limit=9, lease_seconds=60),
        lambda unit: unit.events.claim_untold(limit=9, lease_seconds=60),
        lambda unit: unit.deliveries.claim_due(limit=9, lease_seconds=60, token="t"),
        lambda unit: unit.inbox.claim_due(limit=9, lease_seconds=60, token="t"),
    ]
    for claim in claims:
        assert len(await statements(store, claim)) == 2 + 2
        assert len(await statements(store, claim)) == 1 + 2, "nothing is due: nothing to write"


LOOKED_UP: tuple[Callable[[Unit], Any], ...] = (
    lambda unit: unit.payments.get("pay_1"),
    lambda unit: unit.payments.get_by_reference("dummy", "pi_1"),
    lambda unit: unit.payments.get_by_our_reference("r"),
    lambda unit: unit.payments.save(a_payment(), expected_version=1),
    lambda unit: unit.payments.list(PaymentQuery(user_id="u", before_id="pay_1")),
    lambda unit: unit.payments.list(PaymentQuery(guest_email="a@b.c")),
    lambda unit: unit.payments.list(PaymentQuery(statuses=frozenset({PaymentStatus.FAILED}))),
    lambda unit: unit.payments.claim_due(limit=9, lease_seconds=1),
    lambda unit: unit.payments.with_stale_secrets(before=NOW, limit=9),
    lambda unit: unit.payments.take_merchant_reference("dummy", "R", "pay_1"),
    lambda unit: unit.payments.replace_merchant_reference("dummy", "R", old="a", new="b"),
    lambda unit: unit.payments.count_recent_guest("a@b.c", since=NOW),
    lambda unit: unit.operations.get("op_1"),
    lambda unit: unit.operations.get_by_reference("r"),
    lambda unit: unit.operations.for_subject("pay_1"),
    lambda unit: unit.operations.save(an_operation("pay_1"), token="t"),
    lambda unit: unit.operations.save(an_operation("pay_1", state=OperationState.REJECTED), token="t"),
    lambda unit: unit.operations.hand_back("op_1", token="t", delay_seconds=1),
    lambda unit: unit.operations.lease("op_1", token="t", lease_seconds=1),
    lambda unit: unit.operations.claim_due(limit=9, lease_seconds=1, token="t"),
    lambda unit: unit.operations.holder_of("pay_1"),
    lambda unit: unit.operations.list_open(limit=9),
    lambda unit: unit.operations.count_open(),
    lambda unit: unit.idempotency.release("op_1"),
    lambda unit: unit.idempotency.delete_before(NOW, limit=9),
    lambda unit: unit.refunds.get_by_reference("dummy", "re_1"),
    lambda unit: unit.refunds.for_payment("pay_1"),
    lambda unit: unit.events.for_subject("pay_1"),
    lambda unit: unit.events.claim_untold(limit=9, lease_seconds=1),
    lambda unit: unit.events.mark_told("evt_1"),
    lambda unit: unit.events.delete_told_before(NOW, limit=9),
    lambda unit: unit.deliveries.claim_due(limit=9, lease_seconds=1, token="t"),
    lambda unit: unit.deliveries.list(event_id="evt_1"),
    lambda unit: unit.deliveries.redeliver("dlv_1"),
    lambda unit: unit.deliveries.claim_due(limit=9, lease_seconds=1, token="t", endpoints=("shop",)),
    lambda unit: unit.deliveries.list(endpoint="shop"),
    lambda unit: unit.deliveries.finish_delivered(["dlv_1"], token="t", status_code=200),
    lambda unit: unit.deliveries.release(["dlv_1"], token="t"),
    lambda unit: unit.deliveries.give_up_before(NOW, limit=9),
    lambda unit: unit.events.get_all(["evt_1", "evt_2"]),
    lambda unit: unit.endpoints.failed("shop"),
    lambda unit: unit.endpoints.recovered("shop"),
    lambda unit: unit.jobs.take("job", lease_seconds=1, token="t"),
    lambda unit: unit.jobs.finish("job", token="t", next_in_seconds=1),
    lambda unit: unit.inbox.blank(after_id="wh_1", before_id="wh_2", limit=9),
    lambda unit: unit.inbox.release(["wh_1"], token="t"),
    lambda unit: unit.inbox.claim_due(limit=9, lease_seconds=1, token="t"),
    lambda unit: unit.inbox.get_by_event("dummy", "evt_1"),
    lambda unit: unit.inbox.replay("wh_1"),
    lambda unit: unit.backlog(),
    lambda unit: unit.payments.totals_over([NOW, NOW + timedelta(days=1), NOW + timedelta(days=2)]),
    lambda unit: unit.deliveries.count(since=NOW),
    lambda unit: unit.inbox.list(payment_id="pay_1"),
)


async def test_no_query_reads_a_whole_table(store: SQLStore) -> None:
    """The plans of SQLite, whose partial and compound indexes are PostgreSQL's too."""
    plans: list[tuple[str, str]] = []

    def explained(unit: Any) -> None:
        @sa.event.listens_for(unit.payments._session._connection, "before_cursor_execute")
        def explain(conn: sa.Connection, cursor: Any, sql: str, values: Any, *_: Any) -> None:
            if not sql.startswith("INSERT"):
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}", values)
                plans.extend((sql, row[3]) for row in cursor.fetchall())

        for look_up in LOOKED_UP:
            look_up(unit)

    await store.run(explained)
    assert len({sql for sql, _ in plans}) > 30
    scans = [(sql, plan) for sql, plan in plans if plan.startswith("SCAN") and "INDEX" not in plan]
    assert [each for each in scans if "SCAN anon_1" not in each[1] and "CONSTANT ROW" not in each[1]] == []
    # By one reference, of one event, or of what is open: few rows.
    few = ("CASE WHEN", "webhook_deliveries.event_id = ?", "operations.due_at IS NOT NULL")
    sorts = [sql for sql, plan in plans if "TEMP B-TREE" in plan and not any(part in sql for part in few)]
    assert sorts == [], "a list or a claim sorts what its index should have in order"


async def test_dates_find_what_was_created_between_them_and_no_clock_hides_it(tmp_path: Path) -> None:
    """Their bounds on ids are wider: the machine that drew the id need not agree with the one that asks."""
    store, now = SQLStore(f"sqlite:///{tmp_path}/shop.db"), utc_now()
    await store.upgrade()
    minute = timedelta(minutes=1)
    early, mine, late = (a_payment(created_at=now + offset * minute) for offset in (-50, 0, 50))
    await keep(store, early, mine, late)  # whose ids are all of this moment
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    for since, until, expected in [
        (None, None, [late, mine, early]),
        (now, now, [mine]),
        (now + minute, None, [late]),
        (None, now - minute, [early]),
        (now - minute, now + 51 * minute, [late, mine]),
        (first, last, [late, mine, early]),
        (last, None, []),
        (None, first, []),
    ]:
        query = PaymentQuery(created_from=since, created_to=until)
        page = await store.run(lambda unit, query=query: unit.payments.list(query), write=False)
        assert (list(page.items), page.total) == (expected, len(expected))
    guest = a_payment(is_guest_payment=True, guest_email="a@b.c", created_at=now - 50 * minute)
    await keep(store, guest)
    for since, counted in [(now - 51 * minute, 1), (now - 49 * minute, 0), (first, 1)]:
        found = await store.run(
            lambda unit, since=since: unit.payments.count_recent_guest("a@b.c", since=since), write=False
        )
        assert found == counted
    await store.aclose()


async def test_a_time_counts_what_was_created_in_it_wherever_its_ids_begin_and_end(tmp_path: Path) -> None:
    store, begin = SQLStore(f"sqlite:///{tmp_path}/shop.db"), datetime(2026, 3, 4, tzinfo=UTC)
    await store.upgrade()
    hours, minutes = (lambda n: timedelta(hours=n)), (lambda n: timedelta(minutes=n))
    rows = [
        a_payment(
            id=id_bounds("pay", begin + minutes(30 * number)),
            created_at=begin + minutes(30 * number + number * 37 % 117 - 58),
            user_id=f"user_{number % 3}",
        )
        for number in range(100)
    ]
    await keep(store, *rows)
    for since, until in [
        (0, 50),
        (10, 11),
        (10, 12),
        (10, 12.5),
        (9.75, 30),
        (None, 20),
        (20, None),
        (-9, -8),
    ]:
        dates = {
            "created_from": None if since is None else begin + hours(since),
            "created_to": None if until is None else begin + hours(until),
        }
        for owner in ({}, {"user_id": "user_1"}):
            query = PaymentQuery(**dates, **owner, limit=100)
            page = await store.run(lambda unit, query=query: unit.payments.list(query), write=False)
            expected = [
                row
                for row in reversed(rows)
                if (since is None or row.created_at >= query.created_from)
                and (until is None or row.created_at <= query.created_to)
                and (not owner or row.user_id == "user_1")
            ]
            assert (list(page.items), page.total) == (expected, len(expected)), (dates, owner)
    edges = [begin, begin + hours(20), begin + hours(31)]
    sums = await store.run(lambda unit: unit.payments.totals_over(edges), write=False)
    for interval, (low, high) in enumerate(pairwise(edges)):
        expected_count = sum(low <= row.created_at < high for row in rows)
        assert sum(each.count for each in sums if each.interval == interval) == expected_count
    await store.aclose()


async def test_old_events_are_forgotten_the_oldest_first(tmp_path: Path) -> None:
    store, old = SQLStore(f"sqlite:///{tmp_path}/shop.db"), utc_now() - timedelta(days=100)
    await store.upgrade()
    events = [an_event(created_at=old + timedelta(days=number)) for number in (3, 1, 2)]
    await keep(store, *events)
    await store.run(lambda unit: unit.events.mark_told(*(event.id for event in events)))
    forget = lambda unit: unit.events.delete_told_before(utc_now(), limit=2)  # noqa: E731
    assert await store.run(forget) == 2
    assert await store.run(lambda unit: unit.events.get(events[0].id), write=False) == events[0]
    assert await store.run(forget) == 1
    assert await store.run(forget) == 0
    await store.aclose()


async def test_a_writing_unit_holds_the_lock_from_its_first_read(store: SQLStore, tmp_path: Path) -> None:
    def work(unit: Unit) -> str:
        unit.payments.get("pay_1")
        other = sqlite3.connect(tmp_path / "shop.db", timeout=0)
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            return str(error)
        finally:
            other.close()
        return "two units may decide on the same rows"

    assert await store.run(work) == "database is locked"


async def test_without_a_clock_of_its_own_the_store_asks_the_database(tmp_path: Path) -> None:
    store = SQLStore(f"sqlite:///{tmp_path}/shop.db")
    await store.upgrade()
    operation = an_operation("pay_1")
    before = utc_now()
    await store.run(lambda unit: unit.operations.reserve(operation, lease_seconds=30.25))
    found = await store.run(lambda unit: unit.operations.get(operation.id), write=False)
    assert found is not None
    assert found.lease_until is not None
    lasts = (found.lease_until - before).total_seconds()
    assert 30.2 < lasts < 40
    assert found.lease_until.microsecond % 1000 == 0, "SQLite's clock counts milliseconds"
    assert await store.run(lambda u: u.operations.claim_due(limit=9, lease_seconds=1, token="t")) == []
    await store.run(lambda u: u.operations.hand_back(operation.id, token="mine", delay_seconds=0))
    claimed = await store.run(lambda u: u.operations.claim_due(limit=9, lease_seconds=1, token="t"))
    assert [each.id for each in claimed] == [operation.id]
    await store.aclose()


async def test_a_naive_moment_is_refused_and_said_so(store: SQLStore) -> None:
    naive = a_payment(paid_at=NOW.replace(tzinfo=None))
    with pytest.raises(StoreError, match="naive datetime"):
        await keep(store, naive)


async def test_a_number_no_database_holds_is_a_store_error_without_the_number(store: SQLStore) -> None:
    with pytest.raises(StoreError) as caught:
        await keep(store, a_payment(total=2**63))
    assert str(2**63) not in str(caught.value)


async def test_a_database_that_stays_locked_is_a_store_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge_payments.stores.sql.engines._BUSY_SECONDS", 0.05)
    store = SQLStore(f"sqlite:///{tmp_path}/shop.db")
    await store.upgrade()
    engine = sa.create_engine(f"sqlite:///{tmp_path}/shop.db")
    with engine.connect() as other:
        other.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="begin"):
            await keep(store, a_payment())
        assert await store.run(lambda u: u.payments.get("pay_1"), write=False) is None, (
            "readers wait for nobody"
        )
    engine.dispose()
    await keep(store, a_payment())
    await store.aclose()
