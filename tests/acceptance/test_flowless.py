"""A bridge that gets its callers from Flowless: every published revision, slow, failing, flapping, away."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge_payments import AuthBridge, Bridge, ConfigurationError, PaymentEngine, Settings
from bridge_payments.http import Router
from bridge_payments.messages import Request, Response
from bridge_payments.providers.dummy import DummyProvider
from bridge_payments.sandbox.flowless import FakeFlowless, Reads, Shape
from bridge_payments.stores import MemoryStore
from bridge_payments.stores.base import SubscriptionQuery

pytestmark = pytest.mark.anyio

ORIGIN = "https://shop.example"


@pytest.fixture
def flowless() -> Iterator[FakeFlowless]:
    with FakeFlowless() as fake:
        yield fake


class Web:
    """The route table over a bridge that was built from an environment, with a clock that the test moves."""

    def __init__(self, flowless: FakeFlowless, **env: str) -> None:
        self.flowless = flowless
        given = {
            "FLOWLESS_API_URL": flowless.url,
            "BRIDGE_VALIDATION_SECRET": flowless.secret,
            "ALLOW_SANDBOX": "true",
            "DEFAULT_PAYMENT_PROVIDER": "dummy",
            "ENABLED_PROVIDERS": "dummy",
            "INPROCESS_WORKER": "false",
            "CORS_ORIGINS": ORIGIN,
            "RATE_LIMIT_REQUESTS": "100000",
            **env,
        }
        settings = Settings.from_env(given)
        auth = AuthBridge.from_settings(
            settings, clock=flowless.clock, timer=lambda: flowless.clock().timestamp()
        )
        [login] = auth._chain
        self.login: Any = login
        login.flowless._backoff = 0.001  # type: ignore[attr-defined]
        engine = PaymentEngine(
            MemoryStore(clock=flowless.clock),
            {"dummy": DummyProvider()},
            settings=settings,
            clock=flowless.clock,
        )
        self.bridge = Bridge(engine, auth=auth, settings=settings)
        self.router = Router(self.bridge)

    async def ask(
        self, method: str, path: str, body: object = None, *, peer: str = "192.0.2.7", **headers: str
    ) -> Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.router.answer(
            Request(
                method=method,
                path=path,
                headers={"content-type": "application/json", **sent},
                body=b"" if body is None else json.dumps(body).encode(),
                peer=peer,
            )
        )

    async def pay(self, **headers: str) -> str:
        made = await self.ask(
            "POST", "/payments/intents", {"total_cents": 5500, "currency": "USD"}, **headers
        )
        assert made.status == 201, made.body
        payment: str = json.loads(made.body)["data"]["id"]
        done = await self.ask(
            "POST", f"/payments/intents/{payment}/confirm", {"payment_method_id": "dummy_ok"}, **headers
        )
        assert done.status == 200, done.body
        return payment

    def move(self, seconds: float) -> None:
        self.flowless.clock.move(timedelta(seconds=seconds))

    def questions(self) -> int:
        return len(self.flowless.calls)


Build = Callable[..., Web]


@pytest.fixture
async def build(flowless: FakeFlowless) -> AsyncIterator[Build]:
    made: list[Web] = []

    def make(**env: str) -> Web:
        made.append(Web(flowless, **env))
        return made[-1]

    yield make
    for web in made:
        await web.bridge.aclose()


@pytest.fixture
def web(build: Build) -> Web:
    return build()


# --- who makes sessions up ------------------------------------------------------------------------------


async def test_after_so_many_refused_sessions_no_unknown_one_from_there_is_asked_about(build: Build) -> None:
    web = build(MAX_AUTH_ATTEMPTS="3")
    known, new = web.flowless.sign_in("ada"), web.flowless.sign_in("bob")
    assert (await web.ask("GET", "/payments", x_session_id=known)).status == 200
    for _ in range(5):  # one that ended, of somebody whose page goes on asking: it is one
        assert (await web.ask("GET", "/payments", x_session_id="it_ended_long_ago")).status == 401
    for number in range(2):
        assert (await web.ask("GET", "/payments", x_session_id=f"made_up_{number:04}")).status == 401
    asked = web.questions()

    over = await web.ask("GET", "/payments", x_session_id="made_up_0003")
    assert (over.status, int(over.headers["retry-after"]) > 0) == (429, True)
    assert (await web.ask("GET", "/payments", x_session_id=new)).status == 429
    guest = {"total_cents": 5500, "currency": "USD", "guest_data": {"email": "g@example.com", "name": "G"}}
    paying = await web.ask("POST", "/payments/intents", guest, x_session_id="made_up_0004")
    assert paying.status == 201, "whoever may be a stranger is one"
    assert web.questions() == asked

    assert (await web.ask("GET", "/payments", x_session_id=known)).status == 200
    assert (await web.ask("GET", "/payments", x_session_id=new, peer="198.51.100.1")).status == 200


async def test_without_that_setting_every_new_session_is_asked_about(web: Web) -> None:
    for number in range(30):
        await web.ask("GET", "/payments", x_session_id=f"made_up_{number:04}")
    assert (await web.ask("GET", "/payments", x_session_id=web.flowless.sign_in("ada"))).status == 200


# --- every revision -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("reads", Reads)
async def test_every_published_revision_is_understood_and_understands(
    web: Web, shape: Shape, reads: Reads
) -> None:
    web.flowless.speak(shape, reads=reads)
    session = web.flowless.sign_in("ada", user_type="premium")
    payment = await web.pay(x_session_id=session)
    seen = json.loads((await web.ask("GET", f"/payments/{payment}", authorization=f"Bearer {session}")).body)
    assert seen["data"]["user_id"] == "ada"
    assert seen["user_context"]["user_type"] == "premium"
    web.flowless.revoke(session)
    web.move(301)
    assert (await web.ask("GET", "/payments", x_session_id=session)).status == 401


async def test_another_path_of_flowless_is_a_setting(build: Build) -> None:
    web = build(FLOWLESS_VALIDATE_PATH="/bridge/validate")
    session = web.flowless.sign_in("ada")
    assert (await web.ask("GET", "/payments", x_session_id=session)).status == 200
    assert web.flowless.calls[-1].path == "/bridge/validate"


async def test_flowless_hears_where_the_session_is_used(web: Web) -> None:
    session = web.flowless.sign_in("ada", ip="198.51.100.1")
    assert (await web.ask("GET", "/payments", x_session_id=session)).status == 401
    other = web.flowless.sign_in("ada", ip="198.51.100.1")
    assert (await web.ask("GET", "/payments", peer="198.51.100.1", x_session_id=other)).status == 200
    body = json.loads(web.flowless.calls[-1].body)
    assert (body["ip"], body["source"]) == ("198.51.100.1", "bridge-payments")


async def test_a_guest_token_proves_an_address(web: Web) -> None:
    guest = {
        "guest_data": {"email": "Ada@Example.com", "name": "Ada"},
        "total_cents": 5500,
        "currency": "USD",
    }
    made = json.loads((await web.ask("POST", "/payments/intents", guest)).body)["data"]
    token = web.flowless.guest("ada@example.com")
    seen = await web.ask("GET", f"/payments/{made['id']}", x_guest_token=token)
    assert (seen.status, json.loads(seen.body)["data"]["guest_email"].lower()) == (200, "ada@example.com")
    stranger = web.flowless.guest("eve@example.com")
    assert (await web.ask("GET", f"/payments/{made['id']}", x_guest_token=stranger)).status == 403


async def test_a_wrong_secret_lets_nobody_in(build: Build) -> None:
    web = build(BRIDGE_VALIDATION_SECRET="x" * 32)
    session = web.flowless.sign_in("root", user_type="admin")
    assert (await web.ask("GET", "/payments", x_session_id=session)).status == 401


# --- how often it is asked ------------------------------------------------------------------------------


async def test_a_thousand_requests_with_one_new_session_make_one_call(web: Web) -> None:
    session = web.flowless.sign_in("ada")
    answers = await asyncio.gather(*(web.ask("GET", "/payments", x_session_id=session) for _ in range(1000)))
    assert {answer.status for answer in answers} == {200}
    assert web.questions() == 1


async def test_a_request_with_a_known_session_makes_no_outbound_call(web: Web) -> None:
    session = web.flowless.sign_in("ada")
    await web.ask("GET", "/payments", x_session_id=session)
    web.flowless.faults.add("drop_before", method="*", times=1000)
    for _ in range(20):
        assert (await web.ask("GET", "/payments", x_session_id=session)).status == 200
    assert web.questions() == 1


@pytest.mark.parametrize("made_up", ["short", "x" * 5000, "a b c d e f g h"])
async def test_what_cannot_be_a_session_is_not_asked_about(web: Web, made_up: str) -> None:
    assert (await web.ask("GET", "/payments", x_session_id=made_up)).status == 401
    assert web.questions() == 0


# --- bad days ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["error_before", "drop_before", "drop_after", "half_answer", "unreadable", "rate_limited"]
)
async def test_a_hiccup_is_asked_again(web: Web, kind: str) -> None:
    session = web.flowless.sign_in("ada")
    web.flowless.faults.add(kind, method="*", times=2, status=503)
    assert (await web.ask("GET", "/payments", x_session_id=session)).status == 200
    assert web.questions() == 3


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_no_is_not_asked_again(web: Web, status: int) -> None:
    session = web.flowless.sign_in("ada")
    web.flowless.faults.add("error_before", method="*", times=5, status=status)
    answer = await web.ask("GET", "/payments", x_session_id=session)
    assert (answer.status, web.questions()) == (401, 1)


async def test_with_flowless_down_new_callers_hear_so_and_known_ones_go_on(web: Web) -> None:
    known, new = web.flowless.sign_in("ada"), web.flowless.sign_in("bob")
    await web.ask("GET", "/payments", x_session_id=known)
    web.flowless.faults.add("error_before", method="*", times=1000, status=503)
    answer = await web.ask("GET", "/payments", x_session_id=new)
    said = json.loads(answer.body)
    assert (answer.status, said["message"]) == (503, "Authentication service unavailable")
    assert answer.headers["retry-after"]
    asked = web.questions()
    await web.ask("GET", "/payments", x_session_id=new)
    assert web.questions() == asked + 1, "once it is known to be away, nobody waits for repeats"
    for seconds in (0, 100, 100, 99):
        web.move(seconds)
        assert (await web.ask("GET", "/payments", x_session_id=known)).status == 200
    web.move(10)
    assert (await web.ask("GET", "/payments", x_session_id=known)).status == 503


@pytest.mark.parametrize("bound", ["BRIDGE_VALIDATION_TIMEOUT", "AUTH_REQUEST_TIMEOUT"])
async def test_a_flowless_that_hangs_does_not_hang_us(build: Build, bound: str) -> None:
    web = build(**{bound: "50", "BRIDGE_RETRY_ATTEMPTS": "2", "AUTH_TIMEOUT": "60000"})
    web.flowless.faults.add("hang_before", method="*", times=1000)
    async with asyncio.timeout(4):  # one question alone has 5 seconds by default
        answer = await web.ask("GET", "/payments", x_session_id=web.flowless.sign_in("ada"))
    assert answer.status == 503


async def test_flapping_ends_in_the_truth(web: Web) -> None:
    """Every other question is lost: who is signed in gets in, who is revoked does not."""
    session = web.flowless.sign_in("ada")
    for _ in range(5):
        web.flowless.faults.add("drop_before", method="*")
        web.move(301)
        assert (await web.ask("GET", "/payments", x_session_id=session)).status == 200
    web.flowless.revoke(session)
    web.flowless.faults.add("drop_before", method="*")
    web.move(301)
    assert (await web.ask("GET", "/payments", x_session_id=session)).status == 401


async def test_a_guest_with_a_stale_session_can_still_pay(web: Web) -> None:
    stale = web.flowless.sign_in("ada", lasts=timedelta(seconds=-1))
    guest = {
        "guest_data": {"email": "ada@example.com", "name": "Ada"},
        "total_cents": 5500,
        "currency": "USD",
    }
    made = await web.ask("POST", "/payments/intents", guest, x_session_id=stale)
    assert made.status == 201
    assert json.loads(made.body)["data"]["user_id"] is None
    without = await web.ask(
        "POST", "/payments/intents", {"total_cents": 5500, "currency": "USD"}, x_session_id=stale
    )
    assert (without.status, b"uest" in without.body) == (400, True)


# --- where money moves (rule 25) ------------------------------------------------------------------------


async def test_a_revoked_admin_refunds_nothing(web: Web) -> None:
    payer, admin = web.flowless.sign_in("ada"), web.flowless.sign_in("root", user_type="admin")
    payment = await web.pay(x_session_id=payer)
    assert (await web.ask("GET", "/payments", x_session_id=admin)).status == 200
    web.flowless.revoke(admin)
    web.move(31)
    assert (await web.ask("GET", "/payments", x_session_id=admin)).status == 200, "reading may lag"
    refused = await web.ask(
        "POST", f"/payments/{payment}/refund", {"amount_cents": 100}, x_session_id=admin, idempotency_key="r1"
    )
    assert refused.status == 401
    row = await web.bridge.engine.get_payment(payment)
    assert row.refunded_cents == row.refund_reserved_cents == 0


async def test_with_flowless_down_no_money_is_given_back_on_an_older_word(web: Web) -> None:
    payer, admin = web.flowless.sign_in("ada"), web.flowless.sign_in("root", user_type="admin")
    payment = await web.pay(x_session_id=payer)
    await web.ask("GET", "/payments", x_session_id=admin)
    web.flowless.faults.add("drop_before", method="*", times=1000)
    refund = {"amount_cents": 100}
    given = await web.ask(
        "POST", f"/payments/{payment}/refund", refund, x_session_id=admin, idempotency_key="r1"
    )
    assert given.status == 201, "seen a moment ago"
    web.move(31)
    late = await web.ask(
        "POST", f"/payments/{payment}/refund", refund, x_session_id=admin, idempotency_key="r2"
    )
    assert late.status == 503
    assert (await web.ask("GET", f"/payments/{payment}", x_session_id=payer)).status == 503, (
        "it returns a secret"
    )
    named = {"payment_method_id": "dummy_ok"}
    confirm = await web.ask("POST", f"/payments/intents/{payment}/confirm", named, x_session_id=payer)
    assert confirm.status == 503, "the method may be a stored one"
    assert (await web.ask("GET", "/payments", x_session_id=payer)).status == 200


async def test_a_revoked_payer_who_names_a_method_is_a_stranger(web: Web) -> None:
    payer = web.flowless.sign_in("ada")
    made = await web.ask(
        "POST", "/payments/intents", {"total_cents": 5500, "currency": "USD"}, x_session_id=payer
    )
    payment = json.loads(made.body)["data"]["id"]
    web.flowless.revoke(payer)
    web.move(31)
    named = {"payment_method_id": "dummy_ok"}
    assert (
        await web.ask("POST", f"/payments/intents/{payment}/confirm", named, x_session_id=payer)
    ).status == 403


async def test_whoever_sent_a_credential_hears_why_it_was_refused(build: Build) -> None:
    web = build(AUTH_VALIDATION_MODE="STRICT")
    session = web.flowless.sign_in("ada")
    assert (await web.ask("GET", "/payments", x_session_id=session)).status == 200
    moved = await web.ask("GET", "/payments", x_session_id=session, peer="198.51.100.9")
    stale = await web.ask("GET", "/payments", x_session_id="long-gone-session")
    nobody = await web.ask("GET", "/payments")
    assert [(answer.status, json.loads(answer.body)["message"]) for answer in (moved, stale, nobody)] == [
        (401, "Session validation failed: IP_MISMATCH"),
        (401, "Invalid or expired session"),
        (401, "Authentication required to view payments"),
    ]


async def test_an_empty_content_type_is_none(web: Web) -> None:
    """WSGI cannot tell the two apart, so no mount does."""
    session = web.flowless.sign_in("ada")
    answer = await web.ask("POST", "/payments/pay_1/cancel", x_session_id=session, content_type="")
    assert answer.status == 404


async def test_a_revoked_payer_charges_no_stored_method(web: Web) -> None:
    payer = web.flowless.sign_in("ada")
    kept = await web.ask("POST", "/payment-methods", {"payment_method_token": "dummy_ok"}, x_session_id=payer)
    method = json.loads(kept.body)["data"]["id"]
    price = {"total_cents": 5500, "currency": "USD", "payment_method_id": method}
    made = await web.ask("POST", "/payments/intents", price, x_session_id=payer)
    payment = json.loads(made.body)["data"]["id"]
    subscription = {**price, "billing_interval": "monthly"}
    begun = await web.ask("POST", "/subscriptions", subscription, x_session_id=payer)
    assert (made.status, begun.status) == (201, 201)
    tries: list[tuple[str, dict[str, object]]] = [
        (f"/payments/intents/{payment}/confirm", {}),  # with the method that was named when it began
        ("/payments/intents", {**price, "confirm": True}),
        ("/subscriptions", subscription),
    ]
    for path, body in tries:
        stolen = web.flowless.sign_in("ada")
        assert (await web.ask("GET", "/payments", x_session_id=stolen)).status == 200
        web.flowless.revoke(stolen)
        web.move(31)
        refused = await web.ask("POST", path, body, x_session_id=stolen)
        assert refused.status in (400, 403), (path, refused.body)
    row = await web.bridge.engine.get_payment(payment)
    assert row.captured_cents == 0
    subscriptions = await web.bridge.engine.list_subscriptions(SubscriptionQuery())
    assert subscriptions.total == 1


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://shop.example", "https://shop.example.evil.example"]
)
async def test_a_cookie_from_a_foreign_page_moves_nothing(web: Web, origin: str) -> None:
    session = web.flowless.sign_in("ada")
    body = {"total_cents": 5500, "currency": "USD"}
    refused = await web.ask("POST", "/payments/intents", body, cookie=f"session_id={session}", origin=origin)
    assert refused.status == 403
    plain = await web.ask(
        "POST",
        "/payments/intents",
        body,
        cookie=f"session_id={session}",
        origin=ORIGIN,
        content_type="text/plain",
    )
    assert plain.status == 400
    listed = json.loads((await web.ask("GET", "/payments", cookie=f"session_id={session}")).body)
    assert listed["data"] == []
    made = await web.ask("POST", "/payments/intents", body, cookie=f"session_id={session}", origin=ORIGIN)
    assert made.status == 201


async def test_strict_mode_is_kept_over_http(build: Build) -> None:
    web = build(AUTH_VALIDATION_MODE="strict")
    session = web.flowless.sign_in("ada")
    assert (await web.ask("GET", "/payments", x_session_id=session, user_agent="Firefox")).status == 200
    moved = await web.ask("GET", "/payments", peer="198.51.100.1", x_session_id=session, user_agent="Firefox")
    assert moved.status == 401


async def test_neither_secret_nor_session_is_logged(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    session, token = web.flowless.sign_in("ada"), web.flowless.guest("ada@example.com")
    with caplog.at_level(logging.DEBUG):
        await web.ask("GET", "/payments", x_session_id=session)
        await web.ask("GET", "/payments", x_guest_token=token)
        web.flowless.faults.add("drop_before", method="*", times=1000)
        await web.ask("GET", "/payments", x_session_id=web.flowless.sign_in("bob"))
        web.move(301)
        await web.ask("GET", "/payments", x_session_id=session)
    assert "Flowless does not answer" in caplog.text
    for secret in (session, token, web.flowless.secret):
        assert secret not in caplog.text


# --- wiring ---------------------------------------------------------------------------------------------


def test_an_environment_wires_flowless(flowless: FakeFlowless) -> None:
    env = {"FLOWLESS_API_URL": flowless.url, "ENABLED_PROVIDERS": "dummy", "ALLOW_SANDBOX": "true"}
    with pytest.raises(ConfigurationError) as missing:
        Bridge.from_env(env, store=MemoryStore())
    assert missing.value.missing == ["BRIDGE_VALIDATION_SECRET"]
    bridge = Bridge.from_env({**env, "BRIDGE_VALIDATION_SECRET": flowless.secret}, store=MemoryStore())
    asked = Request(method="GET", path="/", headers={"x-session-id": flowless.sign_in("ada")})
    assert bridge.call(bridge.auth.identify, asked).id == "ada"
    bridge.close()


def test_without_it_everybody_is_anonymous() -> None:
    bridge = Bridge.from_env({"ENABLED_PROVIDERS": "dummy", "ALLOW_SANDBOX": "true"}, store=MemoryStore())
    assert bridge.call(bridge.auth.identify, Request(method="GET", path="/")).is_anonymous
    bridge.close()


def test_the_guides_example_works_as_it_is_written() -> None:
    page = Path(__file__).parents[2] / "docs" / "guides" / "flowless.md"
    [code] = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["session"] != names["token"]
