from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from bridge_payments.models import (
    Delivery,
    Event,
    GuestData,
    MovableClock,
    NextAction,
    NextActionKind,
    Payment,
    PaymentStatus,
    new_id,
)
from bridge_payments.stores.base import Store
from bridge_payments.stores.memory import MemoryStore
from bridge_payments.stores.sql import SQLStore
from bridge_payments.webhooks import Endpoint, WebhookDispatcher

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = "pi_123_secret_NOBODYSEESTHIS"


@pytest.fixture
def payment() -> Payment:
    """A payment that carries everything a payment can carry, secrets included."""
    return Payment(
        id=new_id("pay"),
        provider_id="stripe",
        status=PaymentStatus.SUCCEEDED,
        currency="USD",
        subtotal_cents=2000,
        tax_cents=0,
        discount_cents=0,
        total_cents=2000,
        captured_cents=2000,
        created_at=NOW,
        updated_at=NOW,
        paid_at=NOW,
        version=7,
        livemode=False,
        provider_intent_id="pi_123",
        client_secret=SECRET,
        next_action=NextAction(
            kind=NextActionKind.REDIRECT,
            url=f"https://bank.example/3ds?payment_intent_client_secret={SECRET}",
        ),
        reference_code="order-1",
        description="Two <b>tickets</b> & @everyone",
        guest_email="ada@example.com",
        guest_data=GuestData(email="ada@example.com", name="Ada"),
        metadata={"color": "blue", "deep": {"client_secret": SECRET, "list": [{"Client_Secret": SECRET}]}},
    )


@pytest.fixture
def make_event(payment: Payment) -> Callable[..., Event]:
    def make(type: str = "payment.success", **changes: Any) -> Event:  # noqa: A002 - the event's own word
        return replace(
            Event(id=new_id("evt"), type=type, created_at=NOW, payment=payment),
            **changes,
        )

    return make


@dataclass
class Sent:
    """One request as a subscriber got it."""

    url: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""


@dataclass
class Network:
    """Stands where the transport stands: records what is sent and answers what the test says."""

    sent: list[Sent] = field(default_factory=list)
    answers: dict[str, Callable[[Sent], Awaitable[httpx.Response] | httpx.Response]] = field(
        default_factory=dict
    )
    """By host; 204 otherwise."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str],
        content: bytes,
        timeout: float,  # noqa: ASYNC109 - the interface it stands for
        max_bytes: int,
    ) -> httpx.Response:
        assert method == "POST"
        sent = Sent(url=url, headers=dict(headers), body=content)
        self.sent.append(sent)
        answer = self.answers.get(sent.host, lambda _: httpx.Response(204))(sent)
        return await answer if inspect.isawaitable(answer) else answer

    def to(self, host: str) -> list[Sent]:
        return [sent for sent in self.sent if sent.host == host]

    async def aclose(self) -> None: ...

    def forget(self) -> None: ...


@dataclass
class Lab:
    """A store, a clock that can be moved, a network, and as many dispatchers as a test wants."""

    store: Store
    clock: MovableClock
    network: Network
    make_event: Callable[..., Event]

    def dispatcher(self, *endpoints: Endpoint, **options: Any) -> WebhookDispatcher:
        return WebhookDispatcher(
            options.pop("store", self.store),
            endpoints=endpoints,
            transport=self.network,  # type: ignore[arg-type]
            clock=self.clock,
            random=Random(7),
            **options,
        )

    def endpoint(self, name: str = "shop", **changes: Any) -> Endpoint:
        return Endpoint(
            **({"name": name, "url": f"https://{name}.example/hooks", "events": ("*",)} | changes)
        )

    async def happen(self, *types: str) -> list[Event]:
        """Let events happen, as the engine would: written in a transaction."""
        events = [self.make_event(name) for name in types or ("payment.success",)]
        await self.store.run(lambda unit: [unit.events.add(event) for event in events])
        return events

    async def deliveries(self, **filters: Any) -> list[Delivery]:
        found = await self.store.run(lambda unit: unit.deliveries.list(**filters), write=False)
        return list(reversed(found))

    def wait(self, **duration: float) -> None:
        self.clock.move(timedelta(**duration))


@pytest.fixture(params=["memory", "sql"])
async def lab(request: pytest.FixtureRequest, make_event: Callable[..., Event]) -> AsyncIterator[Lab]:
    clock = MovableClock(lambda: NOW)
    store = MemoryStore(clock) if request.param == "memory" else SQLStore("sqlite://", clock=clock)
    await store.upgrade()
    yield Lab(store=store, clock=clock, network=Network(), make_event=make_event)
    await store.aclose()
