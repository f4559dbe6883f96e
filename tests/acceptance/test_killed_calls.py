"""Killed at every call of a verb that needs several: nobody is made twice, whoever the gateway is.

The engine, the adapters and the wire are the real ones. The judge is the gateway's own books.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from anet import open_account
from databases import migrate

from bridge_payments.engine import PaymentEngine
from bridge_payments.errors import OperationInProgress, ProviderRejected, Unavailable
from bridge_payments.models import Money, Principal, Subscription
from bridge_payments.providers.base import PaymentProvider
from bridge_payments.providers.paypal import PayPalProvider
from bridge_payments.providers.stripe import StripeProvider
from bridge_payments.sandbox.authorize_net import FakeAuthorizeNet
from bridge_payments.sandbox.paypal import FakePayPal
from bridge_payments.sandbox.stripe import FakeStripe
from bridge_payments.seam import watched
from bridge_payments.settings import Settings
from bridge_payments.stores.sql import SQLStore
from bridge_payments.transport import Transport

pytestmark = pytest.mark.anyio

ADA = Principal.user("ada", email="ada@example.com", email_verified=True)
BACK = "https://shop.example/back"


class Killed(BaseException):
    """The process is gone: nothing after this line is executed by it."""


class AtStripe:
    kind = "stripe"

    def __init__(self) -> None:
        self.fake = FakeStripe()
        self.token = ""

    def reset(self) -> None:
        self.fake.reset()
        self.token = self.fake.new_method()

    def account(self, transport: Transport) -> PaymentProvider:
        return StripeProvider(
            secret_key=self.fake.secret_key,
            webhook_secrets=["whsec_1"],
            transport=transport,
            api_base=self.fake.url,
        )

    def wish(self) -> Mapping[str, Any]:
        return {"payment_method": self.token}

    def books(self) -> Mapping[str, int]:
        return {
            "customers": len(self.fake.customers()),
            "methods": len(self.fake.methods(stored=True)),
            "products": len(self.fake.products()),
            "subscriptions": len(self.fake.subscriptions()),
            "charges": len(self.fake.charges(paid=True)),
        }


class AtPayPal:
    kind = "paypal"

    def __init__(self) -> None:
        self.fake = FakePayPal()

    def reset(self) -> None:
        self.fake.reset()

    def account(self, transport: Transport) -> PaymentProvider:
        return PayPalProvider(
            client_id=self.fake.client_id,
            client_secret=self.fake.client_secret,
            webhook_ids=["8PT597110X687430L"],
            transport=transport,
            api_base=self.fake.url,
        )

    def wish(self) -> Mapping[str, Any]:
        return {"return_url": BACK}

    def books(self) -> Mapping[str, int]:
        return {
            "products": len(self.fake.products()),
            "plans": len(self.fake.plans()),
            "subscriptions": len(self.fake.subscriptions()),
        }


class AtAuthorizeNet:
    kind = "authorize_net"

    def __init__(self) -> None:
        self.fake = FakeAuthorizeNet()
        self.token = ""

    def reset(self) -> None:
        self.fake.reset()
        self.token = self.fake.token()

    def account(self, transport: Transport) -> PaymentProvider:
        return open_account(self.fake, transport, encoder="json")

    def wish(self) -> Mapping[str, Any]:
        return {"payment_method": self.token}

    def books(self) -> Mapping[str, int]:
        customers = self.fake.customers()
        return {
            "profiles": len(customers),
            "payment profiles": sum(len(each["methods"]) for each in customers),
            "subscriptions": len(self.fake.subscriptions()),
        }


House = AtStripe | AtPayPal | AtAuthorizeNet


@pytest.fixture(scope="module", params=[AtStripe, AtPayPal, AtAuthorizeNet], ids=lambda each: each.kind)
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    house: House = request.param()
    with house.fake:
        house.fake.webhooks.off = True
        yield house


@asynccontextmanager
async def opened(house: House, database: Path) -> AsyncIterator[PaymentEngine]:
    """One process on the database."""
    transport = Transport()
    store = SQLStore(f"sqlite:///{database}", clock=house.fake.clock)
    engine = PaymentEngine(
        store,
        {house.kind: house.account(transport)},
        settings=Settings(default_provider=house.kind),
        clock=house.fake.clock,
        transport=transport,
    )
    try:
        yield engine
    finally:
        await engine.aclose()
        await transport.aclose()
        await store.aclose()


async def subscribe(engine: PaymentEngine, house: House, key: str = "tea") -> Subscription:
    """Two to four operations: a customer and a method where the gateway keeps them, and a subscription."""
    wish = house.wish()
    return await engine.create_subscription(Money(900, "USD"), idempotency_key=key, principal=ADA, **wish)


async def calls(engine: PaymentEngine, house: House, *, die_at: int = 0) -> int:
    """Subscribe, dying at the n-th request or answer; return how many there were."""
    count = 0

    def watcher(point: str, what: str) -> None:
        nonlocal count
        if point in ("send", "receive"):
            count += 1
            if die_at and count >= die_at:
                raise Killed

    with watched(watcher), suppress(Killed):
        await subscribe(engine, house)
    return count


async def insisted(engine: PaymentEngine, house: House) -> Subscription:
    """Ask again with the same key while the worker looks after what was lost, as a browser does.

    A token that has expired meanwhile is typed in once more, which is another wish.
    """
    key = "tea"
    for _ in range(40):
        house.fake.clock.move(timedelta(seconds=90))
        await engine.reconcile()
        try:
            begun = await subscribe(engine, house, key)
        except (OperationInProgress, Unavailable):
            continue
        except ProviderRejected:
            assert isinstance(house, AtAuthorizeNet)
            house.token, key = house.fake.token(), "tea, and the card typed in again"
            continue
        if begun.unknown_operation_id is None:
            return begun
    raise AssertionError("nobody says what became of it")


@pytest.fixture
def template(tmp_path: Path) -> Path:
    migrate(f"sqlite:///{tmp_path / 'template.db'}")
    return tmp_path / "template.db"


async def test_whoever_is_killed_at_any_call_nothing_is_made_twice(
    house: House, template: Path, tmp_path: Path
) -> None:
    number, total = 0, None
    while total is None or number <= total:
        database = tmp_path / f"{number}.db"
        shutil.copy(template, database)
        house.reset()
        async with opened(house, database) as engine:
            count = await calls(engine, house, die_at=number)
        total = count if total is None else total
        async with opened(house, database) as engine:
            begun = await insisted(engine, house)
            assert list(await engine.list_unknown()) == []
            assert begun.provider_subscription_id is not None
        assert set(house.books().values()) == {1}, f"killed at {number} of {total}: {house.books()}"
        number += 1
    assert total >= 6
