"""
Every order of a payment's events, with copies and with losses, ends in the same rows.

For each provider a payment is made at its gateway: declined, challenged or held, paid, refunded. What the
gateway announced at each stage, and how it answered reads at that stage, is kept. Then a shop that knows no
more than the payment as it was begun hears these events, signed as they were sent, in an order that could
happen: an event comes when what it tells has happened, or later. What is lost the sweep has to find.

Reads are answered by the gateway, put back to the stage; the same read at the same stage is asked once.
"""

from __future__ import annotations

import copy
import itertools
import json
import random
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlsplit

import httpx
import pytest

from bridge_payments.engine import PaymentEngine
from bridge_payments.errors import PaymentDeclined
from bridge_payments.messages import Request
from bridge_payments.models import MovableClock, Payment
from bridge_payments.providers.authorize_net import AuthorizeNetProvider
from bridge_payments.providers.base import PaymentProvider
from bridge_payments.providers.paypal import PayPalProvider
from bridge_payments.providers.stripe import StripeProvider
from bridge_payments.sandbox.authorize_net import FakeAuthorizeNet
from bridge_payments.sandbox.authorize_net.webhooks import sign as anet_sign
from bridge_payments.sandbox.paypal import FakePayPal
from bridge_payments.sandbox.stripe import FakeStripe
from bridge_payments.sandbox.stripe.webhooks import sign as stripe_sign
from bridge_payments.settings import Settings
from bridge_payments.stores.memory import MemoryStore
from bridge_payments.transport import Transport

pytestmark = pytest.mark.anyio

SECRET, WEBHOOK = "whsec_every_order", "8PT597110X687430L"
SEED = 20261128


class Playback(Transport):
    """The real transport, to a gateway that can be put back to any stage; asks the same once."""

    def __init__(self, gateway: Any) -> None:
        super().__init__()
        self._gateway = gateway
        self._stages: list[dict[str, Any]] = []
        self._answers: dict[tuple[Any, ...], httpx.Response] = {}
        self.stage: int | None = None
        """None while the payment is made: everything is asked."""

    async def request(self, method: str, url: str, **more: Any) -> httpx.Response:
        if self.stage is None:
            return await super().request(method, url, **more)
        asked = urlsplit(url)
        body = re.sub(rb"(?i)(<refId>[^<]*</refId>|\"refId\": ?\"[^\"]*\")", b"", more.get("content") or b"")
        key = (self.stage, method, asked.path, asked.query, body)
        kept = self._answers.get(key)
        if kept is None:
            self._put_back(self.stage)
            kept = self._answers[key] = await super().request(method, url, **more)
        return httpx.Response(
            kept.status_code, headers=kept.headers, content=kept.content, request=kept.request
        )

    def keep_stage(self) -> None:
        books = self._gateway.books
        with books.lock:
            shelves = {n: v for n, v in vars(books).items() if isinstance(v, dict | set | list)}
            self._stages.append(copy.deepcopy(shelves))

    def _put_back(self, stage: int) -> None:
        books = self._gateway.books
        with books.lock:
            for name, kept in copy.deepcopy(self._stages[stage]).items():
                shelf = getattr(books, name)
                shelf.clear()
                shelf.extend(kept) if isinstance(shelf, list) else shelf.update(kept)

    @property
    def last(self) -> int:
        return len(self._stages) - 1


@dataclass
class Story(ABC):
    """One payment's life at one gateway."""

    clock: MovableClock
    gateway: Any
    playback: Playback
    provider: PaymentProvider = field(init=False)
    needed: ClassVar[frozenset[str]] = frozenset()
    """Events without which nobody can know what happened: they are never lost."""
    engine: PaymentEngine = field(init=False)
    begun: Payment = field(init=False)
    bodies: list[tuple[int, bytes]] = field(default_factory=list)
    """Stage and body of every event."""

    def __post_init__(self) -> None:
        self.provider = self.build()
        self.engine = self.new_engine()

    @abstractmethod
    def build(self) -> PaymentProvider: ...

    @abstractmethod
    def sign(self, body: bytes) -> Mapping[str, str]: ...

    @abstractmethod
    def steps(self) -> Sequence[Callable[[], Awaitable[Any]]]:
        """Everything that happens after the payment was begun."""

    @abstractmethod
    def kind_of(self, event: Mapping[str, Any]) -> str: ...

    def new_engine(self) -> PaymentEngine:
        return PaymentEngine(
            MemoryStore(self.clock),
            {"account": self.provider},
            settings=Settings(default_provider="account"),
            clock=self.clock,
            transport=self.playback,
        )

    async def live(self) -> None:
        """Let it happen, and keep each stage with what was announced in it."""
        self.begun = await self.engine.create_payment_intent(
            total_cents=2000, currency="USD", return_url="https://shop.example/back"
        )
        known: set[str] = set()
        for number, step in enumerate((None, *self.steps())):
            if step is not None:
                await step()
            self.playback.keep_stage()
            for event in self.gateway.events():
                body = json.dumps(event).encode()
                name = str(event.get("id") or event.get("notificationId"))
                if name not in known:
                    known.add(name)
                    self.bodies.append((number, body))
        await self.engine.refresh(self.begun.id, swept=True)
        self.playback.stage = self.playback.last

    def request(self, body: bytes) -> Request:
        headers = {name.lower(): value for name, value in self.sign(body).items()}
        return Request(method="POST", path="/webhooks/account", headers=headers, body=body)

    def cases(self, how_many: int) -> Iterator[tuple[tuple[int, ...], int]]:
        """Yield orders of events, and a number that decides the rest: short ones, and a sample of the long.

        Some events are missing, some come twice or three times.
        """
        chance = random.Random(SEED)
        events = range(len(self.bodies))
        must = {i for i in events if self.kind_of(json.loads(self.bodies[i][1])) in self.needed}
        short = [
            order
            for length in range(4)
            for order in itertools.permutations(events, length)
            if must <= set(order)
        ]
        chance.shuffle(short)
        for number in range(how_many):
            if number % 2 and short:
                order = short.pop()
            else:
                kept = [i for i in events if i in must or chance.random() < 0.85]
                order_ = (
                    kept
                    + [i for i in kept if chance.random() < 0.4]
                    + [i for i in kept if chance.random() < 0.1]
                )
                chance.shuffle(order_)
                order = tuple(order_)
            yield order, chance.randrange(2**30)

    async def hear(self, order: Sequence[int], decider: int) -> PaymentEngine:
        """Return the engine of a shop that heard events in this order."""
        chance = random.Random(decider)
        engine = self.new_engine()
        first = self.first
        await engine.store.run(lambda unit: unit.payments.add(first))
        stage = 0
        for number in order:
            stage = max(stage, self.bodies[number][0])
            if chance.random() < 0.2:  # the gateway may be further than any event that arrived
                stage = chance.randint(stage, self.playback.last)
            self.playback.stage = stage
            await engine.receive_webhook("account", self.request(self.bodies[number][1]))
            if chance.random() < 0.6:
                await engine.process_inbox()
        self.playback.stage = self.playback.last
        await engine.process_inbox()
        await engine.refresh(first.id, swept=True)
        return engine

    first: Payment = field(init=False)

    async def told(self, engine: PaymentEngine) -> tuple[Any, ...]:
        row = await engine.get_payment(self.begun.id)
        refunds = await engine.list_refunds(self.begun.id)
        types = [event.type for event in await engine.list_events(self.begun.id)]
        money = (
            row.status, row.total_cents, row.captured_cents, row.authorized_cents, row.refunded_cents,
            row.refund_reserved_cents, row.disputed_cents, row.flag, row.review, row.provider_intent_id,
            row.provider_payment_id, row.provider_status, row.livemode,
        )  # fmt: skip
        same = sorted((each.amount_cents, each.status, each.provider_refund_id or "") for each in refunds)
        return money, same, types.count("payment.success")


class StripeStory(Story):
    def build(self) -> PaymentProvider:
        return StripeProvider(
            secret_key=self.gateway.secret_key,
            webhook_secrets=[SECRET],
            transport=self.playback,
            api_base=self.gateway.url,
        )

    def sign(self, body: bytes) -> Mapping[str, str]:
        moment = int(self.clock().timestamp())
        return {"stripe-signature": stripe_sign(body, SECRET, timestamp=moment)}

    def kind_of(self, event: Mapping[str, Any]) -> str:
        return str(event["type"])

    def steps(self) -> Sequence[Callable[[], Awaitable[Any]]]:
        engine = self.engine

        async def decline() -> None:
            with pytest.raises(PaymentDeclined):
                await engine.confirm_payment(self.begun.id, payment_method="pm_card_chargeDeclined")

        async def challenge() -> None:
            await engine.confirm_payment(self.begun.id, payment_method="pm_card_threeDSecure2Required")

        async def authenticate() -> None:
            assert self.begun.provider_intent_id
            self.gateway.authenticate(self.begun.provider_intent_id)
            await engine.refresh(self.begun.id)

        async def refund() -> None:
            await engine.refund_payment(self.begun.id, amount_cents=500, idempotency_key="r1")

        async def in_dashboard() -> None:
            self.gateway.refund_in_dashboard(self.begun.provider_intent_id, 300)
            await engine.refresh(self.begun.id)

        return decline, challenge, authenticate, refund, in_dashboard


class PayPalStory(Story):
    def build(self) -> PaymentProvider:
        return PayPalProvider(
            client_id=self.gateway.client_id,
            client_secret=self.gateway.client_secret,
            webhook_ids=[WEBHOOK],
            transport=self.playback,
            api_base=self.gateway.url,
        )

    def sign(self, body: bytes) -> Mapping[str, str]:
        headers: Mapping[str, str] = self.signatures.setdefault(
            body, self.gateway.signed_webhook(body, webhook_id=WEBHOOK, at=self.clock())[0]
        )
        return headers

    signatures: dict[bytes, Mapping[str, str]] = {}  # noqa: RUF012 - signing costs more than anything else

    def kind_of(self, event: Mapping[str, Any]) -> str:
        return str(event["event_type"])

    def steps(self) -> Sequence[Callable[[], Awaitable[Any]]]:
        engine = self.engine

        async def approve() -> None:
            self.gateway.approve(self.begun.provider_intent_id, "balance")

        async def capture() -> None:
            await engine.confirm_payment(self.begun.id)

        async def refund() -> None:
            await engine.refund_payment(self.begun.id, amount_cents=500, idempotency_key="r1")

        async def in_dashboard() -> None:
            [capture] = self.gateway.captures(taken=True)
            self.gateway.refund_in_dashboard(capture["id"], {"value": "3.00", "currency_code": "USD"})
            await engine.refresh(self.begun.id)

        return approve, capture, refund, in_dashboard


class AuthorizeNetStory(Story):
    needed = frozenset({"net.authorize.payment.refund.created"})  # a refund does not show on its charge

    def build(self) -> PaymentProvider:
        return AuthorizeNetProvider(
            login_id=self.gateway.login_id,
            transaction_key=self.gateway.transaction_key,
            signature_keys=[self.gateway.signature_key],
            transport=self.playback,
            api_base=self.gateway.url,
        )

    def sign(self, body: bytes) -> Mapping[str, str]:
        return {"x-anet-signature": anet_sign(body, self.gateway.signature_key)}

    def kind_of(self, event: Mapping[str, Any]) -> str:
        return str(event["eventType"])

    def steps(self) -> Sequence[Callable[[], Awaitable[Any]]]:
        engine = self.engine

        async def decline() -> None:
            with pytest.raises(PaymentDeclined):
                await engine.confirm_payment(self.begun.id, payment_method=self.gateway.token("declined"))

        async def hold() -> None:
            self.gateway.hold_next()
            await engine.confirm_payment(self.begun.id, payment_method=self.gateway.token())

        async def approve() -> None:
            [held] = [each for each in self.gateway.transactions() if "Review" in each["status"]]
            self.gateway.review(held["id"], approved=True)
            await engine.refresh(self.begun.id)

        async def settle() -> None:
            self.gateway.settle()

        async def refund() -> None:
            await engine.refund_payment(self.begun.id, amount_cents=500, idempotency_key="r1")

        return decline, hold, approve, settle, refund


@pytest.fixture(params=["stripe", "paypal", "authorize_net"])
async def story(request: pytest.FixtureRequest) -> AsyncIterator[Story]:
    fake, kind = {
        "stripe": (FakeStripe, StripeStory),
        "paypal": (FakePayPal, PayPalStory),
        "authorize_net": (FakeAuthorizeNet, AuthorizeNetStory),
    }[request.param]
    clock = MovableClock()
    with fake(clock=clock) as gateway:
        if isinstance(gateway, FakePayPal):
            gateway.add_webhook("http://127.0.0.1:9/nobody", webhook_id=WEBHOOK)
            gateway.webhooks.off = True
        playback = Playback(gateway)
        told = kind(clock=clock, gateway=gateway, playback=playback)
        yield told
        await told.provider.aclose()
        await playback.aclose()


async def every_order(story: Story, how_many: int, capsys: pytest.CaptureFixture[str], name: str) -> None:
    begin = story.engine.create_payment_intent

    async def remember(**asked: Any) -> Payment:
        story.first = await begin(**asked)
        return story.first

    story.engine.create_payment_intent = remember  # type: ignore[method-assign,assignment]
    await story.live()
    expected = await story.told(story.engine)
    assert expected[2] == 1
    heard, copies, lost = set(), 0, 0
    for order, decider in story.cases(how_many):
        engine = await story.hear(order, decider)
        found = await story.told(engine)
        kinds = [story.kind_of(json.loads(story.bodies[i][1])) for i in order]
        assert found == expected, f"{name}: after {kinds} ({order}, {decider})"
        heard.add((order, decider))
        copies += len(order) - len(set(order))
        lost += len(story.bodies) - len(set(order))
    with capsys.disabled():
        sys.stdout.write(
            f"\n{name}: {len(heard)} orders of {len(story.bodies)} events, {story.playback.last + 1} stages, "
            f"with {copies} copies and {lost} losses: one final row\n"
        )


async def test_any_order_of_events_ends_in_the_same_rows(
    story: Story, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    await every_order(story, 200, capsys, request.node.callspec.params["story"])


@pytest.mark.slow
async def test_thousands_of_orders_end_in_the_same_rows(
    story: Story, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    await every_order(story, 2000, capsys, request.node.callspec.params["story"])
