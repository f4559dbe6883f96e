"""
Everything a shop does with a card, over HTTP at both ends: three frameworks, two databases, one gateway.

The frameworks stand in front of the same engine, SQLite or PostgreSQL behind it, and a Stripe that remembers
at the other end of a socket. Ids and client secrets are random and are numbered in the order in which they
appear; time moves by a second with every question. Whatever else differs between two of the six days, fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from databases import migrate
from hosts import MOUNTS, Conversation, Said, differences, numbered, who

from bridge_payments import AuthBridge, Bridge, PaymentEngine, Settings
from bridge_payments.models import MovableClock
from bridge_payments.sandbox.stripe import FakeStripe
from bridge_payments.stores.sql import SQLStore
from bridge_payments.testing.mounts import Answer
from bridge_payments.testing.servers import Postgres

MORNING = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
WEBHOOK_SECRET = "whsec_scenario"
RETURN = "https://shop.example/thanks"
ROOT = {"x-session-id": "root"}
ADA = {"x-session-id": "ada"}

NOTHING: Mapping[str, str] = {}

DATABASES = ("sqlite", "postgresql")


@dataclass
class Shop:
    """One installation for one day."""

    bridge: Bridge
    gateway: FakeStripe
    clock: MovableClock
    talk: Conversation

    def ask(self, method: str, path: str, body: object = b"", /, **headers: str) -> Answer:
        self.clock.move(timedelta(seconds=1))
        return self.talk.ask(method, path, body, **headers)

    def data(self, status: int, method: str, path: str, body: object = b"", /, **headers: str) -> Any:
        """Ask, expect *status*, and return what was answered."""
        answer = self.ask(method, path, body, **headers)
        assert answer.status == status, answer.body
        return answer.json["data"] if status < 300 else answer.json

    def begin(self, order: str, /, headers: dict[str, str] | None = None, **more: Any) -> Any:
        body = {"subtotal_cents": 5000, "tax_cents": 500, "currency": "usd", "reference_code": order, **more}
        if headers is None:
            body["guest_data"] = {"email": f"{order}@example.com", "name": "Grace"}
        return self.data(201, "POST", "/payments/intents", body, **(headers or {}))

    def confirm(
        self, status: int, payment: str, card: str, more: Mapping[str, str] = NOTHING, **headers: str
    ) -> Any:
        body = {"payment_method_id": card, "return_url": RETURN, **more}
        return self.data(status, "POST", f"/payments/intents/{payment}/confirm", body, **headers)

    def sync(self, payment: str) -> Any:
        return self.data(200, "POST", f"/payments/intents/{payment}/sync", {})

    def refund(self, status: int, payment: str, cents: int, key: str) -> Any:
        return self.data(
            status,
            "POST",
            f"/payments/{payment}/refund",
            {"amount_cents": cents},
            **ROOT,
            idempotency_key=key,
        )

    def read(self, payment: str) -> Any:
        return self.data(200, "GET", f"/payments/{payment}", **ROOT)

    def webhook(self, event: str) -> Answer:
        headers, body = self.gateway.signed_webhook(event, secret=WEBHOOK_SECRET)
        return self.ask("POST", "/webhooks/stripe", body, **headers)

    def work(self) -> None:
        """Let the background work run once."""
        self.bridge.blocking.call(self.bridge.run_worker, once=True)

    def taken(self, intent: str) -> list[int]:
        """What the gateway took for an intent, charge by charge."""
        return [
            charge["amount_captured"]
            for charge in self.gateway.charges(paid=True)
            if charge["payment_intent"] == intent
        ]


@contextmanager
def open_shop(mount: str, url: str, gateway: FakeStripe) -> Iterator[Shop]:
    gateway.reset(endpoints=True)
    env = {
        "STRIPE_SECRET_KEY": gateway.secret_key,
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "STRIPE_API_BASE": gateway.url,
    }
    engine = PaymentEngine(
        SQLStore(url, clock=gateway.clock),
        "stripe",
        settings=Settings(inprocess_worker=False),
        env=env,
        clock=gateway.clock,
    )
    bridge = Bridge(engine, auth=AuthBridge(who))
    try:
        yield Shop(bridge, gateway, gateway.clock, Conversation(MOUNTS[mount](bridge)))
    finally:
        bridge.close()


# --- the day --------------------------------------------------------------------------------------


def a_guest_pays(shop: Shop) -> None:
    payment = shop.begin("order-guest")
    assert (payment["status"], payment["total_cents"], payment["currency"]) == ("pending", 5500, "USD")
    assert payment["client_secret"].startswith(payment["provider_intent_id"])
    paid = shop.confirm(200, payment["id"], "pm_card_visa")
    assert (paid["status"], paid["requires_action"]) == ("succeeded", False)
    assert shop.confirm(200, payment["id"], "pm_card_visa")["status"] == "succeeded", "again is not twice"
    assert shop.taken(payment["provider_intent_id"]) == [5500]
    assert shop.webhook("payment_intent.succeeded").json["duplicate"] is False
    assert shop.webhook("payment_intent.succeeded").json["duplicate"] is True
    shop.work()
    seen = shop.read(payment["id"])
    assert (seen["status"], seen["captured_amount_cents"], seen["client_secret"]) == ("succeeded", 5500, None)


def a_bank_asks_first(shop: Shop) -> None:
    for passed, after in ((True, "succeeded"), (False, "pending")):
        payment = shop.begin(f"order-3ds-{passed}")
        # The page of the challenge carries the client secret: it is named to whoever has that already.
        mine = {"client_secret": payment["client_secret"]} if passed else {}
        asked = shop.confirm(200, payment["id"], "pm_card_threeDSecure2Required", mine)
        assert (asked["status"], asked["requires_action"]) == ("requires_action", True)
        assert asked["next_action"]["kind"] == ("redirect_to_url" if passed else "use_provider_sdk")
        assert bool(asked["next_action"]["url"]) is passed
        assert shop.taken(payment["provider_intent_id"]) == []
        shop.gateway.authenticate(payment["provider_intent_id"], passed=passed)
        heard = shop.sync(payment["id"])
        assert (heard["status"], heard["next_action"]) == (after, None)
    assert heard["decline_code"]
    assert shop.confirm(200, payment["id"], "pm_card_visa")["status"] == "succeeded"
    assert shop.taken(payment["provider_intent_id"]) == [5500]


def a_card_is_declined(shop: Shop) -> None:
    payment = shop.begin("order-declined")
    refused = shop.confirm(400, payment["id"], "pm_card_chargeDeclinedInsufficientFunds")
    assert (refused["error"], refused["details"]["decline_code"]) == ("Payment failed", "insufficient_funds")
    assert shop.read(payment["id"])["status"] == "pending"
    assert shop.taken(payment["provider_intent_id"]) == []
    assert shop.confirm(200, payment["id"], "pm_card_mastercard")["status"] == "succeeded"
    assert shop.taken(payment["provider_intent_id"]) == [5500]


def part_is_collected_and_given_back_to_the_cent(shop: Shop) -> None:
    payment = shop.begin("order-parts", ADA, capture_method="manual")
    intent, payment = payment["provider_intent_id"], payment["id"]
    held = shop.confirm(200, payment, "pm_card_visa", **ADA)
    assert held["status"] == "requires_capture"
    capture = f"/payments/{payment}/capture"
    shop.data(403, "POST", capture, {}, **ADA)
    shop.data(400, "POST", capture, {"amount_cents": 5501}, **ROOT)
    assert shop.taken(intent) == [0]
    taken = shop.data(200, "POST", capture, {"amount_cents": 3000}, **ROOT, idempotency_key="c1")
    assert (taken["status"], taken["captured_amount_cents"]) == ("succeeded", 3000)
    again = shop.data(200, "POST", capture, {"amount_cents": 3000}, **ROOT, idempotency_key="c1")
    assert again == taken, "the same key is the same capture"
    assert shop.taken(intent) == [3000]

    shop.refund(400, payment, 3001, "r0")
    first = shop.refund(201, payment, 1000, "r1")
    assert shop.refund(201, payment, 1000, "r1") == first, "the same key is the same refund"
    shop.refund(422, payment, 1001, "r1")
    assert shop.read(payment)["status"] == "partially_refunded"
    shop.refund(201, payment, 1500, "r2")
    sent = len(shop.gateway.requests("/v1/refunds"))
    over = shop.refund(400, payment, 501, "r3")
    assert "5.00 USD" in over["message"], "what is left is said"
    assert len(shop.gateway.requests("/v1/refunds")) == sent, "not one cent more is even asked for"
    shop.refund(201, payment, 500, "r4")
    shop.refund(400, payment, 1, "r5")
    assert sum(refund["amount"] for refund in shop.gateway.refunds()) == 3000
    seen = shop.read(payment)
    assert (seen["status"], seen["refunded_amount_cents"]) == ("refunded", 3000)


def a_payment_is_given_up(shop: Shop) -> None:
    payment = shop.begin("order-canceled")
    secret = {"client_secret": payment["client_secret"]}
    shop.data(403, "POST", f"/payments/{payment['id']}/cancel", {})
    ended = shop.data(200, "POST", f"/payments/{payment['id']}/cancel", secret)
    assert (ended["status"], ended["message"]) == ("canceled", "Payment intent canceled successfully")
    shop.confirm(400, payment["id"], "pm_card_visa")
    assert shop.taken(payment["provider_intent_id"]) == []

    held = shop.begin("order-released", ADA, capture_method="manual")
    shop.confirm(200, held["id"], "pm_card_visa", **ADA)
    shop.data(
        403, "POST", f"/payments/{held['id']}/cancel", {}, **ADA
    )  # money is held: the merchant's to say
    assert shop.data(200, "POST", f"/payments/{held['id']}/cancel", {}, **ROOT)["status"] == "canceled"
    assert shop.gateway.intent(held["provider_intent_id"])["status"] == "canceled"
    assert shop.taken(held["provider_intent_id"]) == [0]

    late = shop.begin("order-too-late")
    shop.confirm(200, late["id"], "pm_card_threeDSecure2Required")
    shop.gateway.authenticate(late["provider_intent_id"])
    true = shop.data(200, "POST", f"/payments/{late['id']}/cancel", {"client_secret": late["client_secret"]})
    assert (true["status"], true["message"]) == (
        "succeeded",
        "The payment is succeeded; it could not be canceled",
    )


def a_finger_clicks_twice(shop: Shop) -> None:
    body = {"confirm": True, "payment_method_id": "pm_card_visa", "return_url": RETURN}
    first = shop.begin("order-twice", {**ADA, "idempotency-key": "twice"}, **body)
    second = shop.begin("order-twice", {**ADA, "idempotency-key": "twice"}, **body)
    assert first == second
    assert first["status"] == "succeeded"
    assert shop.taken(first["provider_intent_id"]) == [5500]


def the_books_are_closed(shop: Shop) -> None:
    shop.work()
    everything = shop.data(200, "GET", "/payments?limit=50&orderDir=asc", **ROOT)
    assert [one["reference_code"] for one in everything] == [
        "order-guest",
        "order-3ds-True",
        "order-3ds-False",
        "order-declined",
        "order-parts",
        "order-canceled",
        "order-released",
        "order-too-late",
        "order-twice",
    ]
    for one in everything:
        assert sum(shop.taken(one["provider_intent_id"])) == one["captured_amount_cents"], one
        assert len(shop.taken(one["provider_intent_id"])) <= 1, one
    listed = shop.data(200, "GET", "/payments", **ADA)
    assert {one["reference_code"] for one in listed} == {"order-parts", "order-released", "order-twice"}


DAY = (
    a_guest_pays,
    a_bank_asks_first,
    a_card_is_declined,
    part_is_collected_and_given_back_to_the_cent,
    a_payment_is_given_up,
    a_finger_clicks_twice,
    the_books_are_closed,
)


# --- lived six times ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gateway() -> Iterator[FakeStripe]:
    with FakeStripe(clock=lambda: MORNING) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def databases(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Callable[[str], Any]:
    """Lend a new database of a kind."""

    @contextmanager
    def lend(kind: str) -> Iterator[str]:
        if kind == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('scenario') / 'payments.db'}"
            migrate(url)
            yield url
        else:
            postgres: Postgres = request.getfixturevalue("postgres")
            with postgres.database(template=request.getfixturevalue("migrated")) as name:
                yield postgres.url_of(name)

    return lend


@pytest.fixture(scope="module")
def lived(gateway: FakeStripe, databases: Callable[[str], Any]) -> Callable[[str, str], list[Said]]:
    """Live the day, once for each mount and database, and return what was said."""
    known: dict[tuple[str, str], list[Said]] = {}

    def live(mount: str, database: str) -> list[Said]:
        if (mount, database) not in known:
            with databases(database) as url, open_shop(mount, url, gateway) as shop:
                for part in DAY:
                    part(shop)
                known[mount, database] = numbered(shop.talk.transcript)
        return known[mount, database]

    return live


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("mount", MOUNTS)
def test_the_whole_day(lived: Callable[[str, str], list[Said]], mount: str, database: str) -> None:
    assert len(lived(mount, database)) > 40


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("mount", ["fastapi", "flask"])
def test_the_mounts_answer_the_same_bytes(
    lived: Callable[[str, str], list[Said]], mount: str, database: str
) -> None:
    assert differences(lived(mount, database), lived("starlette", database)) == []


@pytest.mark.parametrize("mount", MOUNTS)
def test_the_databases_answer_the_same_bytes(lived: Callable[[str, str], list[Said]], mount: str) -> None:
    assert differences(lived(mount, "sqlite"), lived(mount, "postgresql")) == []


def test_what_is_compared_is_what_was_sent(lived: Callable[[str, str], list[Said]]) -> None:
    """Ids are all that is replaced: amounts, texts and times are there to differ."""
    first = lived("starlette", "sqlite")[0]
    assert b'"id":"pay_#0"' in first.body
    assert b'"total_cents":5500' in first.body
    assert b'"created_at":"2026-01-15T10:30:01.000Z"' in first.body
    assert first.headers["content-length"].isdecimal()


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("mount", MOUNTS)
def test_two_clicks_at_once_with_one_key_are_one_charge(
    gateway: FakeStripe, databases: Callable[[str], Any], mount: str, database: str
) -> None:
    """At the same time, where the second meets the first half-way: it hears the same or is told to wait."""
    body = {
        "total_cents": 5500,
        "currency": "usd",
        "confirm": True,
        "payment_method_id": "pm_card_visa",
        "return_url": RETURN,
    }
    with databases(database) as url, open_shop(mount, url, gateway) as shop:

        def click(_: int) -> Answer:
            return shop.talk.ask("POST", "/payments/intents", body, **ADA, idempotency_key="twice")

        with ThreadPoolExecutor(4) as fingers:
            answers = list(fingers.map(click, range(4)))
        assert {answer.status for answer in answers} <= {201, 409}
        made = {answer.json["data"]["id"] for answer in answers if answer.status == 201}
        assert len(made) == 1
        assert [charge["amount_captured"] for charge in gateway.charges(paid=True)] == [5500]
        assert shop.data(200, "GET", "/payments", **ADA)[0]["id"] in made
