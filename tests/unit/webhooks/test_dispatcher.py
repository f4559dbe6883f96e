from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import standardwebhooks
import svix.webhooks

from bridge_payments.errors import ConfigurationError, NotFound, StoreError
from bridge_payments.models import DeliveryState, Event
from bridge_payments.seam import watched
from bridge_payments.stores.memory import MemoryStore
from bridge_payments.webhooks import new_signing_secret

pytestmark = pytest.mark.anyio

SECRET = "pi_123_secret_NOBODYSEESTHIS"


class Killed(BaseException):
    """The process ended here."""


def answer(status: int, **headers: str) -> Any:
    return lambda sent: httpx.Response(status, headers=headers)


async def test_each_event_goes_to_the_endpoints_that_asked_for_it_and_to_nobody_else(lab: Any) -> None:
    webhooks = lab.dispatcher(
        lab.endpoint("shop", events=("payment.*",)), lab.endpoint("books", events=("refund.*",))
    )
    paid, refunded = await lab.happen("payment.success", "refund.succeeded")
    await webhooks.run_once()
    assert [sent.id for sent in lab.network.to("shop.example")] == [paid.id]
    assert [sent.id for sent in lab.network.to("books.example")] == [refunded.id]
    assert {d.state for d in await lab.deliveries()} == {DeliveryState.DELIVERED}


async def test_what_was_delivered_is_not_sent_again(lab: Any) -> None:
    webhooks = lab.dispatcher(lab.endpoint())
    await lab.happen()
    assert await webhooks.run_once() > 0
    lab.wait(days=2)
    assert await webhooks.run_once() == 0
    assert len(lab.network.sent) == 1


async def test_an_endpoint_hears_nothing_of_what_happened_before_it_existed(lab: Any) -> None:
    await lab.happen()
    await lab.dispatcher().run_once()
    late = lab.dispatcher(lab.endpoint())
    await late.run_once()
    assert lab.network.sent == []


async def test_more_events_than_one_round_takes_are_all_told(lab: Any) -> None:
    events = await lab.happen(*["payment.success"] * 45)
    webhooks = lab.dispatcher(lab.endpoint(concurrency=4))
    while await webhooks.run_once(limit=10):
        pass
    assert sorted(sent.id for sent in lab.network.sent) == sorted(event.id for event in events)


async def test_an_attempt_verifies_with_the_published_libraries_during_a_rotation_too(lab: Any) -> None:
    old, new = new_signing_secret(), new_signing_secret()
    lab.clock.offset = datetime.now(UTC) - lab.clock()  # the libraries look at the real clock
    webhooks = lab.dispatcher(
        lab.endpoint(secrets=(new, old), headers={"Authorization": "Bearer shop", "User-Agent": "shop"})
    )
    (event,) = await lab.happen()
    await webhooks.run_once()
    (sent,) = lab.network.sent
    for secret in (old, new):
        assert standardwebhooks.Webhook(secret).verify(sent.body, sent.headers)["id"] == event.id
        svix.webhooks.Webhook(secret).verify(sent.body, sent.headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(new_signing_secret()).verify(sent.body, sent.headers)
    assert sent.headers["webhook-id"] == event.id
    assert sent.headers["x-webhook-event"] == "payment.success"
    assert sent.headers["authorization"] == "Bearer shop"
    assert [value for name, value in sent.headers.items() if name.lower() == "user-agent"] == ["shop"]
    assert sent.headers["content-type"] == "application/json"


async def test_every_attempt_carries_the_same_id_and_bytes_and_its_own_time(lab: Any) -> None:
    lab.network.answers["shop.example"] = answer(500)
    webhooks = lab.dispatcher(lab.endpoint(secrets=(new_signing_secret(),)))
    await lab.happen()
    for _ in range(3):
        await webhooks.run_once()
        lab.wait(hours=1)
    first, second, third = lab.network.sent
    assert first.id == second.id == third.id
    assert first.body == second.body == third.body
    assert len({sent.headers["webhook-timestamp"] for sent in lab.network.sent}) == 3
    assert len({sent.headers["webhook-signature"] for sent in lab.network.sent}) == 3


async def test_no_payload_carries_a_client_secret(lab: Any) -> None:
    heard: list[Event] = []
    webhooks = lab.dispatcher(
        lab.endpoint("shop"),
        lab.endpoint("slack", url="https://hooks.slack.com/x"),
        lab.endpoint("discord", url="https://discord.com/x"),
    )
    webhooks.on("*")(heard.append)
    await lab.happen("payment.requires_action")
    await webhooks.run_once()
    assert len(lab.network.sent) == 3
    assert not [sent for sent in lab.network.sent if SECRET.encode() in sent.body]
    assert [event.payment.client_secret for event in heard if event.payment] == [None]


async def test_a_crash_between_sending_and_recording_sends_the_same_event_again(lab: Any) -> None:
    (event,) = await lab.happen()

    def die(point: str, what: str) -> None:
        if point == "delivered":
            raise Killed

    with watched(die), pytest.raises(Killed):
        await lab.dispatcher(lab.endpoint()).run_once()

    survivor = lab.dispatcher(lab.endpoint())
    await survivor.run_once()
    assert len(lab.network.sent) == 1  # the dead worker's lease still holds
    lab.wait(minutes=2)
    await survivor.run_once()
    first, second = lab.network.sent
    assert first.id == second.id == event.id
    assert first.body == second.body
    (delivery,) = await lab.deliveries()
    assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 2)


async def test_a_crash_before_sending_loses_nothing(lab: Any) -> None:
    (event,) = await lab.happen()

    def die(point: str, what: str) -> None:
        if point == "deliver":
            raise Killed

    with watched(die), pytest.raises(Killed):
        await lab.dispatcher(lab.endpoint()).run_once()
    assert lab.network.sent == []
    lab.wait(minutes=2)
    await lab.dispatcher(lab.endpoint()).run_once()
    assert [sent.id for sent in lab.network.sent] == [event.id]


async def test_a_delivery_that_ends_every_process_is_given_up_in_the_end(lab: Any) -> None:
    await lab.happen()

    def die(point: str, what: str) -> None:
        if point == "deliver":
            raise Killed

    for _ in range(40):
        lab.wait(minutes=2)
        try:
            with watched(die):
                await lab.dispatcher(lab.endpoint()).run_once()
        except Killed:
            continue
    (delivery,) = await lab.deliveries()
    assert delivery.state is DeliveryState.DEAD
    assert delivery.error == "the process ended during every attempt"


async def test_a_sink_that_fails_a_third_of_the_time_gets_every_event(lab: Any) -> None:
    accepted: list[str] = []

    def flaky(sent: Any) -> httpx.Response:
        number = len(lab.network.sent)
        if number % 3 == 0:
            if number % 2:
                raise httpx.ReadError("the connection broke")
            return httpx.Response(503)
        accepted.append(sent.id)
        return httpx.Response(200)

    lab.network.answers["shop.example"] = flaky
    webhooks = lab.dispatcher(lab.endpoint())
    events = await lab.happen(*["payment.success"] * 60)
    for _ in range(20):
        await webhooks.run_once()
        lab.wait(hours=1)
    assert sorted(accepted) == sorted(event.id for event in events)
    assert {d.state for d in await lab.deliveries(limit=100)} == {DeliveryState.DELIVERED}


async def test_a_dead_endpoint_delays_no_other(lab: Any) -> None:
    asked, heard = asyncio.Event(), asyncio.Queue[str]()

    async def hang(sent: Any) -> httpx.Response:
        asked.set()
        return await asyncio.Future()

    lab.network.answers["dead.example"] = hang
    webhooks = lab.dispatcher(lab.endpoint("dead", timeout_seconds=300))

    @webhooks.on("*")
    async def alive(event: Event) -> None:
        heard.put_nowait(event.id)

    working = asyncio.create_task(webhooks.run(idle_seconds=3600))
    try:
        async with asyncio.timeout(30):
            for _ in range(12):  # more than the dead one takes at a time
                (event,) = await lab.happen()
                webhooks.wake()
                assert await heard.get() == event.id
            await asked.wait()
        assert len(lab.network.to("dead.example")) <= 8  # no more than it takes at a time
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        webhooks._lanes["dead"][1].cancel()
        await webhooks.aclose()


async def test_a_second_round_runs_past_the_endpoint_that_hangs_in_the_first(lab: Any) -> None:
    gate, asked = asyncio.Event(), asyncio.Event()

    async def slow(sent: Any) -> httpx.Response:
        asked.set()
        await gate.wait()
        return httpx.Response(200)

    lab.network.answers["slow.example"] = slow
    webhooks, heard = lab.dispatcher(lab.endpoint("slow")), asyncio.Queue[str]()
    webhooks.on("*", name="quick")(lambda event: heard.put(event.id))
    (event,) = await lab.happen()
    first = asyncio.create_task(webhooks.run_once())
    await asked.wait()
    assert await heard.get() == event.id
    (event,) = await lab.happen()
    async with asyncio.timeout(30):
        await webhooks.run_once()
        assert await heard.get() == event.id
    assert not first.done()
    gate.set()
    await first
    await webhooks.run_once()
    assert len(lab.network.to("slow.example")) == 2


async def test_two_dispatchers_never_send_the_same_delivery_while_the_lease_holds(lab: Any) -> None:
    gate, asked = asyncio.Event(), asyncio.Event()

    async def slow(sent: Any) -> httpx.Response:
        asked.set()
        await gate.wait()
        return httpx.Response(200)

    lab.network.answers["shop.example"] = slow
    one, two = lab.dispatcher(lab.endpoint()), lab.dispatcher(lab.endpoint())
    await lab.happen()
    sending = asyncio.create_task(one.run_once())
    await asked.wait()
    lab.wait(seconds=lab.endpoint().timeout_seconds)  # the longest that an attempt may take
    assert await two.run_once() == 0
    assert len(lab.network.sent) == 1
    gate.set()
    await sending
    assert len(lab.network.sent) == 1


async def test_many_dispatchers_share_the_work_and_each_event_is_sent_once(lab: Any) -> None:
    events = await lab.happen(*["payment.success"] * 40)
    workers = [lab.dispatcher(lab.endpoint(concurrency=3)) for _ in range(4)]
    while sum(await asyncio.gather(*(worker.run_once(limit=7) for worker in workers))):
        pass
    assert sorted(sent.id for sent in lab.network.sent) == sorted(event.id for event in events)


async def test_a_process_that_slept_through_its_lease_sends_nothing(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lab.happen()
    real = time.monotonic
    monkeypatch.setattr("bridge_payments.webhooks.dispatcher.monotonic", lambda: real() + 3600)
    await lab.dispatcher(lab.endpoint()).run_once()
    assert lab.network.sent == []
    monkeypatch.undo()
    lab.wait(minutes=2)
    await lab.dispatcher(lab.endpoint()).run_once()
    assert len(lab.network.sent) == 1


async def test_a_worker_whose_lease_ran_out_does_not_overwrite_what_its_successor_recorded(lab: Any) -> None:
    gate, asked = asyncio.Event(), asyncio.Event()

    async def first_hangs_then_fails(sent: Any) -> httpx.Response:
        if asked.is_set():
            return httpx.Response(200)
        asked.set()
        await gate.wait()
        return httpx.Response(400)

    lab.network.answers["shop.example"] = first_hangs_then_fails
    await lab.happen()
    slow = asyncio.create_task(lab.dispatcher(lab.endpoint()).run_once())
    await asked.wait()
    lab.wait(minutes=2)
    await lab.dispatcher(lab.endpoint()).run_once()
    gate.set()
    await slow
    (delivery,) = await lab.deliveries()
    assert delivery.state is DeliveryState.DELIVERED


async def test_gone_ends_the_delivery_and_switches_the_endpoint_off_in_every_process(lab: Any) -> None:
    lab.network.answers["shop.example"] = answer(410)
    webhooks = lab.dispatcher(lab.endpoint())
    await lab.happen()
    await webhooks.run_once()
    await lab.happen()
    await webhooks.run_once()
    await lab.dispatcher(lab.endpoint()).run_once()
    assert len(lab.network.sent) == 1
    gone, missed = await lab.deliveries()
    assert (gone.state, gone.status_code) == (DeliveryState.DEAD, 410)
    assert (missed.state, missed.error) == (DeliveryState.DEAD, "not attempted: switched off (gone)")
    lab.network.answers.clear()
    assert await webhooks.redeliver_dead("shop") == 2  # the day the endpoint is back
    await webhooks.run_once()
    assert len(lab.network.sent) == 3
    assert {d.state for d in await lab.deliveries()} == {DeliveryState.DELIVERED}


async def test_a_refusal_is_final_at_once_and_can_be_redelivered_by_hand(lab: Any) -> None:
    lab.network.answers["shop.example"] = answer(404)
    webhooks = lab.dispatcher(lab.endpoint())
    await lab.happen()
    await webhooks.run_once()
    lab.wait(days=3)
    await webhooks.run_once()
    (dead,) = await lab.deliveries(state=DeliveryState.DEAD)
    assert (dead.status_code, dead.error, dead.attempts) == (404, "refused with 404", 1)
    lab.network.answers.clear()
    assert await webhooks.redeliver(dead.id)
    await webhooks.run_once()
    first, second = lab.network.sent
    assert (first.id, first.body) == (second.id, second.body)
    assert not await lab.deliveries(state=DeliveryState.DEAD)


async def test_an_endpoint_that_said_gone_is_told_again_when_an_operator_redelivers(lab: Any) -> None:
    lab.network.answers["shop.example"] = answer(410)
    webhooks = lab.dispatcher(lab.endpoint())
    await lab.happen()
    await webhooks.run_once()
    (dead,) = await lab.deliveries()
    lab.network.answers.clear()
    await webhooks.redeliver(dead.id)
    await webhooks.run_once()
    assert [d.state for d in await lab.deliveries()] == [DeliveryState.DELIVERED]


async def test_redelivering_what_does_not_exist_says_so(lab: Any) -> None:
    with pytest.raises(NotFound):
        await lab.dispatcher().redeliver("dlv_nothing")


async def test_after_the_last_try_the_delivery_is_a_dead_letter_with_its_reason(lab: Any) -> None:
    lab.network.answers["shop.example"] = answer(503)
    webhooks = lab.dispatcher(lab.endpoint(schedule=(0.0, 5.0, 60.0)))
    await lab.happen()
    for _ in range(6):
        await webhooks.run_once()
        lab.wait(minutes=5)
    assert len(lab.network.sent) == 3
    (dead,) = await lab.deliveries()
    assert (dead.state, dead.status_code, dead.error) == (DeliveryState.DEAD, 503, "answered 503")


async def test_the_subscriber_is_left_alone_for_as_long_as_it_asked(lab: Any) -> None:
    lab.network.answers["shop.example"] = answer(429, **{"retry-after": "3600"})
    webhooks = lab.dispatcher(lab.endpoint())
    await lab.happen()
    await webhooks.run_once()
    lab.wait(minutes=59)
    await webhooks.run_once()
    assert len(lab.network.sent) == 1
    lab.wait(minutes=2)
    await webhooks.run_once()
    assert len(lab.network.sent) == 2


async def test_what_is_recorded_of_a_failure_names_no_address(lab: Any) -> None:
    def broken(sent: Any) -> httpx.Response:
        raise httpx.ConnectError(f"could not reach {sent.url}")

    lab.network.answers["hooks.slack.com"] = broken
    await lab.happen()
    await lab.dispatcher(lab.endpoint(url="https://hooks.slack.com/services/SECRET")).run_once()
    (delivery,) = await lab.deliveries()
    assert delivery.error == "not sent: ConnectError"
    assert delivery.state is DeliveryState.PENDING


async def test_an_answer_that_does_not_come_in_time_is_a_failed_attempt(lab: Any) -> None:
    async def hang(sent: Any) -> httpx.Response:
        return await asyncio.Future()

    lab.network.answers["shop.example"] = hang
    await lab.happen()
    await lab.dispatcher(lab.endpoint(timeout_seconds=0.01)).run_once()
    (delivery,) = await lab.deliveries()
    assert (delivery.state, delivery.error) == (DeliveryState.PENDING, "no answer within 0.01 s")


async def test_a_handler_that_raises_is_tried_again_and_given_up_in_the_end(lab: Any) -> None:
    calls: list[str] = []
    webhooks = lab.dispatcher()

    @webhooks.on("payment.*")
    async def ship(event: Event) -> None:
        calls.append(event.id)
        raise RuntimeError("card number 4242")

    (event,) = await lab.happen()
    for _ in range(12):
        await webhooks.run_once()
        lab.wait(hours=13)
    assert calls == [event.id] * 8
    (dead,) = await lab.deliveries(state=DeliveryState.DEAD)
    assert (dead.endpoint, dead.error) == ("ship", "handler raised RuntimeError")


async def test_a_handler_that_recovers_is_done_once_it_returns(lab: Any) -> None:
    calls: list[str] = []
    webhooks = lab.dispatcher()

    @webhooks.on("payment.success", "refund.*", name="ledger")
    def book(event: Event) -> None:
        calls.append(threading.current_thread().name)
        if len(calls) == 1:
            raise ValueError

    await lab.happen("payment.success")
    for _ in range(4):
        await webhooks.run_once()
        lab.wait(hours=13)
    assert len(calls) == 2
    assert threading.main_thread().name not in calls  # a plain handler may block
    assert [d.endpoint for d in await lab.deliveries(state=DeliveryState.DELIVERED)] == ["ledger"]


async def test_a_handler_that_hangs_does_not_stop_another(lab: Any) -> None:
    release = threading.Event()
    heard: list[str] = []
    webhooks = lab.dispatcher()
    webhooks.add(
        lab.endpoint("stuck", url=None, handler=lambda event: release.wait() and None, timeout_seconds=0.01)
    )

    @webhooks.on("*")
    def listening(event: Event) -> None:
        heard.append(event.id)

    (event,) = await lab.happen()
    await webhooks.run_once()
    release.set()
    assert heard == [event.id]
    states = {d.endpoint: d.state for d in await lab.deliveries()}
    assert states == {"stuck": DeliveryState.PENDING, "listening": DeliveryState.DELIVERED}


async def test_a_worker_without_the_handler_leaves_its_deliveries_to_the_one_that_has_it(lab: Any) -> None:
    heard: list[str] = []
    application = lab.dispatcher()
    application.on("*", name="ship")(lambda event: heard.append(event.id))
    application_down = Killed

    def die(point: str, what: str) -> None:
        if point == "deliver":
            raise application_down

    (event,) = await lab.happen()
    with watched(die), pytest.raises(Killed):
        await application.run_once()
    lab.wait(minutes=5)
    await lab.dispatcher(lab.endpoint()).run_once()
    assert heard == []
    await application.run_once()
    assert heard == [event.id]


async def test_two_endpoints_cannot_share_a_name(lab: Any) -> None:
    webhooks = lab.dispatcher(lab.endpoint("ship"))
    with pytest.raises(ConfigurationError, match="ship"):
        webhooks.on("*", name="ship")(lambda event: None)


async def test_an_outcome_that_cannot_be_recorded_is_told_again_later(lab: Any) -> None:
    class Breaking(MemoryStore):
        broken = False

        async def run(self, work: Any, *, write: bool = True) -> Any:
            if self.broken:
                raise StoreError("the database is away")
            return await super().run(work, write=write)

    store = Breaking(lab.clock)
    lab.store = store

    def then_breaks(sent: Any) -> httpx.Response:
        store.broken = len(lab.network.sent) == 1
        return httpx.Response(200)

    lab.network.answers["shop.example"] = then_breaks
    webhooks = lab.dispatcher(lab.endpoint())
    (event,) = await lab.happen()
    await webhooks.run_once()
    with pytest.raises(StoreError):
        await webhooks.run_once()
    store.broken = False
    lab.wait(minutes=2)
    await webhooks.run_once()
    assert [sent.id for sent in lab.network.sent] == [event.id, event.id]
    assert [d.state for d in await lab.deliveries()] == [DeliveryState.DELIVERED]


async def test_the_loop_survives_a_database_that_is_away_for_a_while(lab: Any) -> None:
    heard = asyncio.Event()

    class Breaking(MemoryStore):
        refusals = 3

        async def run(self, work: Any, *, write: bool = True) -> Any:
            if self.refusals:
                self.refusals -= 1
                raise StoreError("the database is away")
            return await super().run(work, write=write)

    store = Breaking(lab.clock)
    store.refusals = 0
    lab.store = store
    await lab.happen()
    store.refusals = 3
    webhooks = lab.dispatcher()

    @webhooks.on("*")
    async def listening(event: Event) -> None:
        heard.set()

    working = asyncio.create_task(webhooks.run(idle_seconds=0.001))
    async with asyncio.timeout(30):
        await heard.wait()
    working.cancel()
    await webhooks.aclose()


async def test_closing_lets_an_attempt_in_the_air_end_and_be_recorded(lab: Any) -> None:
    gate, asked = asyncio.Event(), asyncio.Event()

    async def slow(sent: Any) -> httpx.Response:
        asked.set()
        await gate.wait()
        return httpx.Response(200)

    lab.network.answers["shop.example"] = slow
    webhooks = lab.dispatcher(lab.endpoint())
    await lab.happen()
    working = asyncio.create_task(webhooks.run())
    await asked.wait()
    working.cancel()
    asyncio.get_running_loop().call_soon(gate.set)
    await webhooks.aclose()
    assert [d.state for d in await lab.deliveries()] == [DeliveryState.DELIVERED]


async def test_the_default_schedule_is_kept_to_within_a_fifth(lab: Any) -> None:
    lab.network.answers["shop.example"] = answer(500)
    webhooks = lab.dispatcher(lab.endpoint())
    await lab.happen()
    begun, times = lab.clock(), []
    while True:
        before = len(lab.network.sent)
        await webhooks.run_once()
        if len(lab.network.sent) > before:
            times.append(lab.clock() - begun)
            begun = lab.clock()
        if len(times) == 8:
            break
        lab.wait(seconds=1 if len(times) < 2 else 60)
    wanted = [0, 5, 300, 1800, 7200, 18000, 36000, 36000]
    for waited, promised in zip(times, wanted, strict=True):
        slack = timedelta(seconds=promised * 0.2 + 60)
        assert abs(waited - timedelta(seconds=promised)) <= slack
    assert [d.state for d in await lab.deliveries()] == [DeliveryState.DEAD]


async def test_an_endpoint_is_served_after_a_round_that_was_cut_off_at_its_first_step(lab: Any) -> None:
    webhooks = lab.dispatcher(lab.endpoint())
    (event,) = await lab.happen()
    _, lanes = await webhooks._begin(50)
    for lane in lanes:
        lane.cancel()
    await asyncio.gather(*lanes, return_exceptions=True)
    assert lab.network.sent == []
    lab.wait(minutes=2)
    await webhooks.run_once()
    assert [sent.id for sent in lab.network.sent] == [event.id]
