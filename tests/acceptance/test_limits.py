"""Limits as a caller meets them: headers, 429, one count for all instances, and one each without Redis."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis_server import PrivateRedis, redis_server

from bridge_payments import AuthBridge, Bridge, PaymentEngine, Principal, Settings
from bridge_payments.auth.limits import Limits, MemoryCounters, RedisCounters
from bridge_payments.http import Router
from bridge_payments.messages import Request, Response
from bridge_payments.providers.dummy import DummyProvider
from bridge_payments.stores import MemoryStore

__all__ = ["redis_server"]

pytestmark = pytest.mark.anyio

GUEST = {"email": "ada@example.com", "name": "Ada"}
CREATE = {"total_cents": 5500, "currency": "USD"}


async def who(request: Request) -> Principal | None:
    session = request.header("x-session-id")
    return Principal.admin("root") if session == "root" else Principal.user(session) if session else None


class Web:
    def __init__(self, **settings: Any) -> None:
        chosen = Settings(
            allow_sandbox=True,
            default_provider="dummy",
            inprocess_worker=False,
            guest_max_payments_per_email=0,
            **settings,
        )
        engine = PaymentEngine(MemoryStore(), {"dummy": DummyProvider()}, settings=chosen)
        self.bridge = Bridge(engine, auth=AuthBridge(who), settings=chosen)
        self.router = Router(self.bridge)

    async def ask(
        self, method: str, path: str, body: object = None, *, peer: str = "192.0.2.7", **headers: str
    ) -> Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        content = b"" if body is None else json.dumps(body).encode()
        return await self.router.answer(
            Request(
                method=method,
                path=path,
                headers={"content-type": "application/json", **sent},
                body=content,
                peer=peer,
            )
        )

    async def try_card(self, payment: str, card: str = "dummy_declined", **more: str) -> int:
        path = f"/payments/intents/{payment}/confirm"
        return (await self.ask("POST", path, {"payment_method_id": card}, **more)).status

    async def begin(self, **more: Any) -> str:
        made = await self.ask("POST", "/payments/intents", {**CREATE, "guest_data": GUEST}, **more)
        payment: str = json.loads(made.body)["data"]["id"]
        return payment


@pytest.fixture
async def build() -> AsyncIterator[Callable[..., Web]]:
    made: list[Web] = []

    def make(**settings: Any) -> Web:
        made.append(Web(**settings))
        return made[-1]

    yield make
    for web in made:
        await web.bridge.aclose()


# --- requests -----------------------------------------------------------------------------------------


async def test_every_answer_says_what_is_left_and_then_when_to_come_back(build: Any) -> None:
    web = build()
    for number in range(50):
        answer = await web.ask("GET", "/payments")
        assert (answer.status, answer.headers["x-ratelimit-limit"]) == (401, "50")
        assert answer.headers["x-ratelimit-remaining"] == str(49 - number)
    over = await web.ask("POST", "/payments/intents", {**CREATE, "guest_data": GUEST})
    said = json.loads(over.body)
    assert (over.status, said["success"], said["status"]) == (429, False, 429)
    assert isinstance(said["error"], str)
    left = int(over.headers["x-ratelimit-reset"]) - time.time()
    assert 0 < int(over.headers["retry-after"]) <= left + 2
    assert (await web.ask("GET", "/payments", x_session_id="ada")).headers["x-ratelimit-remaining"] == "499"
    assert (await web.ask("GET", "/payments", x_session_id="root")).headers["x-ratelimit-remaining"] == "999"
    assert (await web.ask("GET", "/payments", peer="198.51.100.1")).status == 401


async def test_webhooks_and_health_are_never_limited(build: Any) -> None:
    web = build(rate_limit_requests=1)
    for _ in range(3):
        await web.ask("GET", "/payments")
    for method, path in [("POST", "/webhooks/dummy"), ("GET", "/health/live"), ("GET", "/openapi.json")]:
        answer = await web.ask(method, path)
        assert answer.status != 429, path
        assert "x-ratelimit-limit" not in answer.headers


async def test_off_is_off(build: Any) -> None:
    web = build(rate_limit_enabled=False, rate_limit_requests=1)
    for _ in range(3):
        assert (await web.ask("GET", "/payments", x_session_id="ada")).status == 200


@pytest.mark.parametrize("where", ["memory", pytest.param("redis", marks=pytest.mark.needs("redis"))])
async def test_successful_requests_are_free_where_the_installation_says_so(
    where: str, build: Any, request: pytest.FixtureRequest
) -> None:
    shared = {}
    if where == "redis":
        shared = {"rate_limit_store": "redis", "redis_url": request.getfixturevalue("redis_server").url}
    web = build(rate_limit_skip_successful=True, rate_limit_requests=2, **shared)
    for _ in range(5):
        answer = await web.ask("GET", "/payments", x_session_id="ada")
        assert (answer.status, answer.headers["x-ratelimit-remaining"]) == (200, "2")
    missing = [await web.ask("GET", "/payments/pay_1", x_session_id="ada") for _ in range(3)]
    assert [answer.status for answer in missing] == [404, 404, 429]
    assert (await web.ask("GET", "/payments", x_session_id="ada")).status == 429, "whatever it would be"
    assert (await web.ask("GET", "/payments", x_session_id="bob")).status == 200


async def test_a_request_counts_while_it_is_under_way(build: Any) -> None:
    web = build(rate_limit_skip_successful=True, rate_limit_requests=5)
    answers = await asyncio.gather(*(web.ask("GET", "/payments", x_session_id="ada") for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [200] * 5 + [429] * 15


async def test_what_was_counted_in_a_window_that_is_over_is_not_taken_back() -> None:
    now = 890.0
    limits = Limits(MemoryCounters(now=lambda: now), skip_successful=True, now=lambda: now)
    ada = Principal.user("ada")
    before = await limits.take(ada)
    assert before is not None
    now = 901.0
    assert (await limits.answered(before, status=200)) is before
    after = await limits.take(ada)
    assert after is not None
    assert after.used == 1


# --- cards that are tried out ----------------------------------------------------------------------------


async def test_a_payment_is_declined_ten_times_and_no_more(build: Any) -> None:
    web = build(failed_confirms_per_email=100)
    payment = await web.begin()
    assert [await web.try_card(payment, peer=f"192.0.2.{n}") for n in range(10)] == [400] * 10
    assert await web.try_card(payment, "dummy_ok", peer="192.0.2.99") == 429


async def test_an_address_tries_cards_on_many_payments_and_is_stopped(build: Any) -> None:
    web = build(failed_confirms_per_ip=4, failed_confirms_per_email=100)
    payments = [await web.begin() for _ in range(6)]
    assert [await web.try_card(payment) for payment in payments] == [400] * 4 + [429] * 2
    assert await web.try_card(payments[0], "dummy_ok", peer="198.51.100.1") == 200


async def test_an_e_mail_address_is_stopped_from_wherever_it_is_used(build: Any) -> None:
    web = build(failed_confirms_per_email=3)
    payments = [await web.begin() for _ in range(5)]
    tried = [await web.try_card(payment, peer=f"192.0.2.{n}") for n, payment in enumerate(payments)]
    assert tried == [400] * 3 + [429] * 2


async def test_paying_at_once_is_a_confirm_too(build: Any) -> None:
    web = build(failed_confirms_per_ip=2, failed_confirms_per_email=100)
    at_once = {**CREATE, "guest_data": GUEST, "confirm": True, "payment_method_id": "dummy_declined"}
    assert [(await web.ask("POST", "/payments/intents", at_once)).status for _ in range(4)] == [
        400,
        400,
        429,
        429,
    ]
    assert (await web.ask("POST", "/payments/intents", {**CREATE, "guest_data": GUEST})).status == 201


async def test_the_merchant_is_not_a_thief(build: Any) -> None:
    web = build(failed_confirms_per_ip=1, failed_confirms_per_email=1)
    for _ in range(3):
        assert await web.try_card(await web.begin(), x_session_id="root") == 400


# --- several instances --------------------------------------------------------------------------------------

INSTANCE = """
import asyncio, json, sys
from bridge_payments import Bridge, Request
from bridge_payments.http import Router
from bridge_payments.stores import MemoryStore

async def main():
    bridge = Bridge.from_env({
        "ENABLED_PROVIDERS": "dummy", "ALLOW_SANDBOX": "true", "INPROCESS_WORKER": "false",
        "RATE_LIMIT_REQUESTS": "30", "RATE_LIMIT_WINDOW": "86400000",
        "RATE_LIMIT_STORE": "redis", "REDIS_URL": sys.argv[1],
    }, store=MemoryStore())
    bridge._counters._patience = 20.0  # a busy machine is not a Redis that is away
    router = Router(bridge)
    print("ready", flush=True)
    for line in sys.stdin:
        asked = Request(method="GET", path="/payments", peer="192.0.2.7")
        answers = [await router.answer(asked) for _ in range(int(line))]
        print(json.dumps([answer.status for answer in answers]), flush=True)

asyncio.run(main())
"""


class Instance:
    """One more server process of the same shop."""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", INSTANCE, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def send(self, count: int) -> list[int]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        found: list[int] = json.loads(self.process.stdout.readline())
        return found

    def stop(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


@pytest.mark.needs("redis")
def test_two_instances_count_together_and_alone_when_redis_is_away(redis_server: PrivateRedis) -> None:
    instances = [Instance(redis_server.url) for _ in range(2)]
    try:
        first, second = instances
        assert first.send(20) == [401] * 20
        assert second.send(20) == [401] * 10 + [429] * 10
        assert first.send(5) == [429] * 5
        redis_server.stop()
        # Each knows what it has counted itself, and goes on from there.
        assert first.send(10) == [401] * 5 + [429] * 5
        assert second.send(15) == [401] * 10 + [429] * 5
    finally:
        for instance in instances:
            instance.stop()


@pytest.mark.needs("redis")
async def test_a_redis_that_hangs_holds_no_request_up_for_long(redis_server: PrivateRedis) -> None:
    counters = RedisCounters(redis_server.url)
    assert await counters.add("x", 900.0) == 1
    with redis_server.frozen():
        async with asyncio.timeout(5):
            assert [await counters.add("x", 900.0) for _ in range(100)][-1] == 101
    await counters.aclose()
