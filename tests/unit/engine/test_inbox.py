"""What comes in: written down together, read account by account, given back, forgotten in time."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bridge_payments.engine import PaymentEngine
from bridge_payments.messages import Request
from bridge_payments.models import Event, InboxState, new_id
from bridge_payments.providers.dummy import DummyProvider
from bridge_payments.providers.dummy.inbox import SIGNATURE, sign
from bridge_payments.seam import watched
from bridge_payments.settings import Settings

pytestmark = pytest.mark.anyio


def delivery(event: Any) -> Request:
    body = json.dumps(event).encode()
    return Request(
        method="POST", path="/", headers={SIGNATURE: sign(body, "dummy-webhook-secret")}, body=body
    )


async def receive(house: Any, event: Any, account: str = "dummy") -> Any:
    return await house.engine.receive_webhook(account, delivery(event))


async def end_the_hanging(engine: PaymentEngine) -> None:
    for task in engine._shielded:
        task.cancel()
    await asyncio.gather(*engine._shielded, return_exceptions=True)


async def states(house: Any) -> list[InboxState]:
    return [entry.state for entry in await house.engine.list_inbox()]


async def test_a_burst_is_written_down_in_few_commits_and_every_copy_is_recognised(house: Any) -> None:
    await house.paid()
    event = house.gateway.events[-1]
    burst = [{**event, "id": f"evt_{number // 2}"} for number in range(60)]  # each of them twice
    commits: list[str] = []
    with watched(lambda point, what: commits.append(what) if point == "committed" else None):
        receipts = await asyncio.gather(*(receive(house, each) for each in burst))
    assert [sum(not r.duplicate for r in receipts), sum(r.duplicate for r in receipts)] == [30, 30]
    by_event: dict[str, set[str]] = {}
    for receipt in receipts:
        by_event.setdefault(receipt.event_id, set()).add(receipt.entry_id)
    assert all(len(entries) == 1 for entries in by_event.values())
    assert len(commits) < 10


async def test_one_entry_that_cannot_be_written_harms_no_other(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.paid()
    event = house.gateway.events[-1]
    provider = house.engine.provider("dummy")
    read = provider.read_webhook

    async def breaks(request: Request) -> Any:
        found = await read(request)
        return replace(found, type="breaks") if found.id == "evt_7" else found

    monkeypatch.setattr(provider, "read_webhook", breaks)
    real = type(house.store).run

    async def run(self: Any, work: Any, *, write: bool = True) -> Any:
        def checked(unit: Any) -> Any:
            result = work(unit)
            if any(entry.event_type == "breaks" for entry in unit.inbox.list(limit=999)):
                raise RuntimeError("this row breaks a constraint")
            return result

        return await real(self, checked, write=write)

    monkeypatch.setattr(type(house.store), "run", run)
    burst = [{**event, "id": f"evt_{number}"} for number in range(20)]
    receipts = await asyncio.gather(*(receive(house, each) for each in burst), return_exceptions=True)
    assert [isinstance(receipt, RuntimeError) for receipt in receipts] == [n == 7 for n in range(20)]


async def test_an_account_that_hangs_delays_no_other(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = PaymentEngine(
        house.store,
        {"dummy": DummyProvider(house.gateway), "slow": DummyProvider(house.gateway)},
        settings=Settings(allow_sandbox=True, default_provider="dummy"),
        clock=house.clock,
    )
    house.engine, asked = engine, asyncio.Event()
    paid = await house.paid()
    event = house.gateway.events[-1]
    await house.store.run(
        lambda unit: unit.payments.save(
            replace(unit.payments.get(paid.id), provider_id="slow"), expected_version=paid.version
        )
    )
    other = await house.paid()
    await receive(house, event, "slow")
    await receive(house, house.gateway.events[-1], "dummy")

    refresh = engine.refresh

    async def hang(payment_id: str, **more: Any) -> Any:
        if payment_id != paid.id:
            return await refresh(payment_id, **more)
        asked.set()
        return await asyncio.Future()

    monkeypatch.setattr(engine, "refresh", hang)
    stuck = asyncio.create_task(engine.process_inbox(provider_id="slow"))
    await asked.wait()
    assert await engine.process_inbox(provider_id="dummy") == 1
    done = [e for e in await engine.list_inbox() if e.state is InboxState.PROCESSED]
    assert [entry.payment_id for entry in done] == [other.id]
    stuck.cancel()
    await asyncio.gather(stuck, return_exceptions=True)
    await end_the_hanging(engine)


async def test_a_received_event_stirs_its_own_inbox_and_no_other_queue(house: Any) -> None:
    """A storm of webhooks would otherwise have every queue looked at, again and again."""
    stirred: list[str] = []
    house.engine.on_receipt = stirred.append
    house.engine.on_commit = lambda: stirred.append("all that was committed")
    await house.paid()
    stirred.clear()
    receipt = await receive(house, house.gateway.events[-1], "dummy")
    await receive(house, house.gateway.events[-1], "dummy")  # a copy leaves nothing to do
    assert stirred == ["dummy"]
    assert await house.engine.replay_webhook(receipt.entry_id)
    assert stirred == ["dummy", "dummy"]


async def test_stopping_gives_back_what_was_not_begun(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    payments = [await house.paid() for _ in range(12)]
    last = {each["intent"]["id"]: each for each in house.gateway.events}
    for event in last.values():
        await receive(house, event)
    asked = asyncio.Event()

    async def hang(*_: Any, **__: Any) -> Any:
        asked.set()
        return await asyncio.Future()

    monkeypatch.setattr(house.engine, "refresh", hang)
    working = asyncio.create_task(house.engine.process_inbox())
    await asked.wait()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    monkeypatch.undo()
    free = await house.store.run(lambda unit: unit.inbox.claim_due(limit=99, lease_seconds=1, token="next"))
    assert len(payments) - 8 == len(free), "at most eight are at work at once; the others are free"
    assert {entry.attempts for entry in free} == {1}
    await end_the_hanging(house.engine)


async def test_an_event_of_the_other_mode_is_stored_and_never_applied(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.paid()
    provider = house.engine.provider("dummy")
    monkeypatch.setattr(type(provider), "livemode", property(lambda self: True), raising=False)
    event = {**house.gateway.events[-1], "livemode": False}
    read = provider.read_webhook

    async def test_mode(request: Request) -> Any:
        return replace(await read(request), livemode=False)

    monkeypatch.setattr(provider, "read_webhook", test_mode)
    await receive(house, event)
    await house.engine.process_inbox()
    (entry,) = await house.engine.list_inbox()
    assert (entry.state, entry.error_message) == (
        InboxState.IGNORED,
        "its livemode is not that of the account: stored, never applied",
    )


async def test_what_is_old_is_forgotten_and_a_late_copy_is_still_recognised(house: Any) -> None:
    await house.paid()
    event = house.gateway.events[-1]
    await receive(house, event)
    await house.engine.process_inbox()
    (entry,) = await house.engine.list_inbox()
    assert entry.payload
    assert (await house.engine.forget_old()).total == 0
    house.move(days=31)
    forgotten = await house.engine.forget_old()
    assert (forgotten.webhooks, forgotten.cursor) == (1, entry.id)
    assert (await house.engine.forget_old(after=forgotten.cursor)).webhooks == 0
    (blank,) = await house.engine.list_inbox()
    assert (blank.payload, blank.headers, blank.payload_hash) == ("", {}, entry.payload_hash)
    assert (await receive(house, event)).duplicate
    await house.engine.replay_webhook(entry.id)  # the body is not needed: the provider is read
    await house.engine.process_inbox()
    assert await states(house) == [InboxState.PROCESSED]


async def test_told_events_go_after_three_times_as_long_and_untold_ones_stay(house: Any) -> None:
    now = house.clock()
    told, untold = (Event(id=new_id("evt"), type="payment.success", created_at=now) for _ in range(2))
    await house.store.run(lambda unit: [unit.events.add(told), unit.events.add(untold)])
    await house.store.run(lambda unit: unit.events.mark_told(told.id))
    house.move(days=89)
    assert (await house.engine.forget_old()).events == 0
    house.clock.move(timedelta(days=2))
    assert (await house.engine.forget_old()).events == 1
    left = await house.store.run(
        lambda unit: [unit.events.get(each.id) is not None for each in (told, untold)]
    )
    assert left == [False, True]
