"""What a subscriber sees on the wire: real sockets, the real transport, verified by published libraries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import standardwebhooks
import svix.webhooks

from bridge_payments.bridge import Bridge
from bridge_payments.engine import PaymentEngine
from bridge_payments.models import Delivery, DeliveryState, Event, Money, MovableClock
from bridge_payments.providers.dummy import DummyProvider
from bridge_payments.settings import Settings
from bridge_payments.stores.memory import MemoryStore
from bridge_payments.transport import Transport
from bridge_payments.webhooks import Endpoint, WebhookDispatcher, new_signing_secret

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Subscriber:
    """An HTTP server that keeps what it got and answers raw bytes; None hangs up without an answer."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answer: Callable[[Received], bytes | None] = lambda _: OK

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                request, *lines = head.rstrip().split("\r\n")
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                got = Received(path=request.split()[1], headers=headers, body=body)
                self.received.append(got)
                answer = self.answer(got)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def subscriber() -> AsyncIterator[Subscriber]:
    subscriber = Subscriber()
    server = await asyncio.start_server(subscriber.serve, "127.0.0.1", 0)
    subscriber.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks"
    yield subscriber
    server.close()


@dataclass
class Shop:
    """A merchant: an engine with the dummy provider, and a transport that may use loopback."""

    clock: MovableClock
    store: MemoryStore
    engine: PaymentEngine
    transport: Transport

    def webhooks(self, *endpoints: Endpoint, **options: Any) -> WebhookDispatcher:
        options = {"transport": self.transport, "clock": self.clock} | options
        return WebhookDispatcher(self.store, endpoints=endpoints, **options)

    async def sell(self, token: str = "dummy_ok", reference: str = "order-1") -> str:
        payment = await self.engine.create_payment_intent(
            Money(2000, "USD"), provider="dummy", reference_code=reference
        )
        assert payment.client_secret
        paid = await self.engine.confirm_payment(payment.id, payment_method=token)
        self.secrets.append(payment.client_secret)
        return paid.id

    secrets: list[str] = field(default_factory=list)

    async def deliveries(self) -> list[Delivery]:
        return list(reversed(await self.store.run(lambda unit: unit.deliveries.list(limit=500), write=False)))


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    clock = MovableClock()
    store = MemoryStore(clock)
    engine = PaymentEngine(
        store, {"dummy": DummyProvider()}, settings=Settings(allow_sandbox=True), clock=clock
    )
    shop = Shop(
        clock=clock,
        store=store,
        engine=engine,
        transport=Transport(public_only=True, allow_hosts=["127.0.0.1"]),
    )
    yield shop
    await engine.aclose()
    await shop.transport.aclose()


def endpoint(url: str, **changes: Any) -> Endpoint:
    return Endpoint(**({"name": "shop", "url": url, "events": ("*",)} | changes))


async def test_a_sale_is_told_and_verifies_with_two_published_libraries(
    shop: Shop, subscriber: Subscriber
) -> None:
    secret = new_signing_secret()
    webhooks = shop.webhooks(endpoint(subscriber.url, secrets=(secret,), events=("payment.succeeded",)))
    payment_id = await shop.sell()
    await webhooks.run_once()

    (got,) = subscriber.received
    said = standardwebhooks.Webhook(secret).verify(got.body, got.headers)
    svix.webhooks.Webhook(secret).verify(got.body, got.headers)
    assert said["type"] == said["event"] == got.headers["x-webhook-event"] == "payment.success"
    assert said["id"] == got.headers["webhook-id"]
    assert said["data"]["id"] == payment_id
    assert said["data"]["status"] == "succeeded"
    assert (said["data"]["amount_cents"], said["data"]["currency"]) == (2000, "USD")
    assert said["data"]["reference_code"] == "order-1"
    assert said["data"]["version"] >= 1


async def test_there_is_one_success_per_payment_and_versions_grow(shop: Shop, subscriber: Subscriber) -> None:
    webhooks = shop.webhooks(endpoint(subscriber.url, events=("payment.*", "refund.*")))
    payment_id = await shop.sell()
    await shop.engine.refund_payment(payment_id, amount_cents=500, idempotency_key="r1")
    await shop.engine.sync_payment(payment_id)
    while await webhooks.run_once():
        pass
    told = [json.loads(got.body) for got in subscriber.received]
    assert [event["type"] for event in told].count("payment.success") == 1
    assert len({event["id"] for event in told}) == len(told)
    by_version = sorted(told, key=lambda event: event["data"]["version"])
    assert by_version[0]["type"] == "payment.created"
    assert by_version[-1]["data"]["refunded_cents"] == 500


async def test_no_client_secret_reaches_a_subscriber_or_a_handler(shop: Shop, subscriber: Subscriber) -> None:
    webhooks = shop.webhooks(endpoint(subscriber.url))
    heard: list[Event] = []
    webhooks.on("*")(heard.append)
    await shop.sell()
    await shop.sell(token="dummy_challenge", reference="order-2")
    while await webhooks.run_once():
        pass
    assert subscriber.received
    everything = b"".join(got.body for got in subscriber.received)
    for secret in shop.secrets:
        assert secret.encode() not in everything
        assert not [event for event in heard if secret in str(event.payment)]
    assert b"client_secret" not in everything
    assert {event.payment.client_secret for event in heard if event.payment} == {None}


async def test_a_subscriber_that_hangs_up_after_reading_is_told_again_under_the_same_id(
    shop: Shop, subscriber: Subscriber
) -> None:
    secret = new_signing_secret()
    subscriber.answer = lambda got: None if len(subscriber.received) == 1 else OK
    webhooks = shop.webhooks(endpoint(subscriber.url, secrets=(secret,), events=("payment.success",)))
    await shop.sell()
    await webhooks.run_once()
    shop.clock.move(timedelta(seconds=10))
    await webhooks.run_once()
    first, second = subscriber.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    standardwebhooks.Webhook(secret).verify(second.body, second.headers)
    assert {d.state for d in await shop.deliveries()} == {DeliveryState.DELIVERED}


async def test_a_redirect_is_a_failure_and_nobody_else_is_told(shop: Shop, subscriber: Subscriber) -> None:
    subscriber.answer = lambda got: (
        b"HTTP/1.1 307 Temporary Redirect\r\nlocation: " + subscriber.url.encode() + b"/elsewhere\r\n"
        b"content-length: 0\r\n\r\n"
    )
    await shop.sell()
    await shop.webhooks(endpoint(subscriber.url, events=("payment.success",))).run_once()
    assert [got.path for got in subscriber.received] == ["/hooks"]
    (delivery,) = await shop.deliveries()
    assert (delivery.state, delivery.status_code) == (DeliveryState.PENDING, 307)


async def test_by_default_nothing_is_sent_into_the_private_network(
    shop: Shop, subscriber: Subscriber
) -> None:
    webhooks = shop.webhooks(
        endpoint(subscriber.url),
        endpoint("http://localhost:9/", name="localhost"),
        endpoint("http://169.254.169.254/latest", name="cloud"),
        endpoint("http://[::1]:9/", name="six"),
        endpoint("http://2130706433/", name="decimal"),
        transport=None,
    )
    await shop.sell()
    await webhooks.run_once()
    await webhooks.aclose()
    assert subscriber.received == []
    deliveries = await shop.deliveries()
    assert {d.error for d in deliveries} == {"not sent: the address is not public"}
    assert {d.state for d in deliveries} == {DeliveryState.PENDING}


async def test_an_endless_answer_does_not_fill_our_memory(shop: Shop, subscriber: Subscriber) -> None:
    flood = b"x" * (3 * 2**20)
    subscriber.answer = lambda got: b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(flood) + flood
    await shop.sell()
    await shop.webhooks(endpoint(subscriber.url, events=("payment.success",))).run_once()
    (delivery,) = await shop.deliveries()
    assert delivery.state is DeliveryState.PENDING
    assert delivery.error == "no answer: RemoteProtocolError"


async def test_a_dead_letter_is_visible_with_its_reason_and_can_be_sent_again(
    shop: Shop, subscriber: Subscriber
) -> None:
    subscriber.answer = lambda got: b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 14\r\n\r\ntoken=SECRET12"
    webhooks = shop.webhooks(endpoint(subscriber.url, events=("payment.success",)))
    await shop.sell()
    await webhooks.run_once()
    (dead,) = await shop.deliveries()
    assert (dead.state, dead.status_code, dead.error) == (DeliveryState.DEAD, 401, "refused with 401")
    subscriber.answer = lambda got: OK
    await webhooks.redeliver(dead.id)
    await webhooks.run_once()
    assert [d.state for d in await shop.deliveries()] == [DeliveryState.DELIVERED]
    assert len({got.headers["webhook-id"] for got in subscriber.received}) == 1


async def test_a_retry_after_date_is_honoured(shop: Shop, subscriber: Subscriber) -> None:
    until = datetime.now(UTC) + timedelta(hours=2)
    date = until.strftime("%a, %d %b %Y %H:%M:%S GMT").encode()
    subscriber.answer = lambda got: (
        b"HTTP/1.1 503 Busy\r\nretry-after: " + date + b"\r\ncontent-length: 0\r\n\r\n"
    )
    webhooks = shop.webhooks(endpoint(subscriber.url, events=("payment.success",)))
    await shop.sell()
    await webhooks.run_once()
    shop.clock.move(timedelta(minutes=110))
    await webhooks.run_once()
    assert len(subscriber.received) == 1
    shop.clock.move(timedelta(minutes=15))
    await webhooks.run_once()
    assert len(subscriber.received) == 2


async def test_an_endpoint_that_hangs_delays_neither_a_handler_nor_the_rest_of_the_work(
    shop: Shop, subscriber: Subscriber
) -> None:
    asked, shipped, heard = asyncio.Event(), asyncio.Queue[str](), asyncio.Queue[str]()
    subscriber.answer = lambda got: heard.put_nowait(got.headers["x-webhook-event"]) or OK

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()  # until the other side gives up
        writer.close()

    dead = await asyncio.start_server(hang, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{dead.sockets[0].getsockname()[1]}/"
    webhooks = shop.webhooks(
        endpoint(url, name="dead", timeout_seconds=60),
        endpoint(subscriber.url, events=("payment.success",)),
    )

    @webhooks.on("payment.success")
    async def ship(event: Event) -> None:
        assert event.payment
        shipped.put_nowait(event.payment.reference_code or "")

    bridge = Bridge(shop.engine, webhooks=webhooks)
    async with asyncio.timeout(20):
        await bridge.start()
        for number in range(10):
            await shop.sell(reference=f"order-{number}")
            await asked.wait()
            assert await shipped.get() == f"order-{number}"
            assert await heard.get() == "payment.success"
        webhooks._lanes["dead"][1].cancel()
        await bridge.aclose()
    dead.close()
