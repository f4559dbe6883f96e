"""Two accounts of one provider may call different things by one id: each is a row of its own (rule 33)."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from databases import migrate

from bridge_payments.engine import PaymentEngine
from bridge_payments.errors import InvalidSignature, NotFound
from bridge_payments.messages import Request
from bridge_payments.models import (
    Customer,
    Money,
    MovableClock,
    Payment,
    PaymentMethod,
    PaymentStatus,
    Principal,
    Subscription,
)
from bridge_payments.providers.stripe import StripeProvider
from bridge_payments.sandbox.stripe import FakeStripe
from bridge_payments.settings import Settings
from bridge_payments.stores.sql import SQLStore
from bridge_payments.transport import Transport

pytestmark = pytest.mark.anyio

ADA = Principal.user("ada", email="ada@shop.example", email_verified=True)
EVE = Principal.user("eve", email="eve@shop.example", email_verified=True)
SECRETS = {"stripe": "whsec_two_0001", "stripe_eu": "whsec_two_0002"}
PRICES = {"stripe": 2000, "stripe_eu": 3000}


@pytest.fixture
def gateways() -> Iterator[dict[str, FakeStripe]]:
    """Two accounts that draw the same ids, one after the other."""
    clock = MovableClock()
    with FakeStripe(clock=clock) as one, FakeStripe(clock=clock) as other:
        for gateway in (one, other):
            gateway.webhooks.off = True
            count = itertools.count(1)

            def draw(prefix: str, *, like: str | None = None, count: Iterator[int] = count) -> str:
                return f"{prefix}_{next(count):024}"

            gateway.books.new_id = draw  # type: ignore[method-assign]
            gateway.books.new_short_id = draw  # type: ignore[method-assign]
            gateway.books.new_method_id = lambda draw=draw: draw("pm")  # type: ignore[method-assign,misc]
        yield {"stripe": one, "stripe_eu": other}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        database: str = request.getfixturevalue("database")
        return database
    migrate(f"sqlite:///{tmp_path / 'shop.db'}")
    return f"sqlite:///{tmp_path / 'shop.db'}"


@pytest.fixture
async def engine(gateways: dict[str, FakeStripe], url: str) -> AsyncIterator[PaymentEngine]:
    transport = Transport()
    clock = gateways["stripe"].clock
    store = SQLStore(url, clock=clock) if url.startswith("sqlite") else SQLStore(url)
    accounts = {
        name: StripeProvider(
            secret_key=gateway.secret_key,
            webhook_secrets=[SECRETS[name]],
            transport=transport,
            api_base=gateway.url,
        )
        for name, gateway in gateways.items()
    }
    settings = Settings(default_provider="stripe")
    engine = PaymentEngine(store, accounts, settings=settings, clock=clock, transport=transport)
    yield engine
    await engine.aclose()
    await transport.aclose()
    await store.aclose()


Bought = tuple[Customer, PaymentMethod, Payment, Subscription]


async def buy(engine: PaymentEngine, gateways: dict[str, FakeStripe], account: str, who: Principal) -> Bought:
    """Do the same at one account as at the other; only the price differs."""
    price = Money(PRICES[account], "USD")
    customer = (await engine.create_customer(provider=account, principal=who)).customer
    token = gateways[account].new_method()
    method = await engine.create_payment_method(token=token, provider=account, principal=who)
    paid = await engine.charge_saved_method(price, payment_method=method.id)
    begun = await engine.create_subscription(price, payment_method=method.id, provider=account, principal=who)
    return customer, method, paid, begun


def names(bought: Bought) -> list[str | None]:
    customer, method, paid, begun = bought
    return [
        customer.provider_customer_id,
        method.provider_payment_method_id,
        paid.provider_intent_id,
        begun.provider_subscription_id,
    ]


async def hear(engine: PaymentEngine, gateways: dict[str, FakeStripe], account: str) -> None:
    for event in gateways[account].events():
        await engine.receive_webhook(account, delivery(gateways, account, event))
    await engine.process_inbox()


def delivery(gateways: dict[str, FakeStripe], account: str, event: Any) -> Request:
    headers, body = gateways[account].signed_webhook(event, secret=SECRETS[account])
    return Request(method="POST", path=f"/webhooks/{account}", headers=dict(headers), body=body)


async def test_what_two_accounts_call_by_one_id_are_two_rows(
    engine: PaymentEngine, gateways: dict[str, FakeStripe]
) -> None:
    here = await buy(engine, gateways, "stripe", ADA)
    there = await buy(engine, gateways, "stripe_eu", ADA)
    assert names(here) == names(there), "the ids are not the same: this test proves nothing"
    assert not {row.id for row in here} & {row.id for row in there}
    assert [row.provider_id for row in (*here, *there)] == ["stripe"] * 4 + ["stripe_eu"] * 4
    assert [row.total_cents for row in (here[2], here[3], there[2], there[3])] == [2000] * 2 + [3000] * 2
    for account in gateways:
        await hear(engine, gateways, account)

    gateways["stripe_eu"].refund_in_dashboard(str(there[2].provider_intent_id), 700)
    dispute = gateways["stripe"].dispute(str(here[2].provider_intent_id), 100)
    for account in gateways:
        await hear(engine, gateways, account)
    rows = [await engine.get_payment(bought[2].id) for bought in (here, there)]
    assert [(row.refunded_cents, row.disputed_cents) for row in rows] == [(0, 100), (700, 0)]
    gateways["stripe"].close_dispute(dispute["id"], won=True)

    await engine.delete_payment_method(here[1].id, principal=ADA)
    await engine.cancel_subscription(here[3].id, at_period_end=False, principal=ADA)
    assert gateways["stripe"].methods(stored=True) == []
    for account in gateways:
        await hear(engine, gateways, account)
    kept = await engine.get_payment_method(there[1].id, principal=ADA)
    assert (kept.status, kept.provider_payment_method_id) == ("active", here[1].provider_payment_method_id)
    ended, running = [await engine.sync_subscription(each[3].id, principal=ADA) for each in (here, there)]
    assert [str(ended.status), str(running.status)] == ["canceled", "active"]
    paid = await engine.charge_saved_method(Money(500, "USD"), payment_method=there[1].id)
    assert (paid.provider_id, paid.status) == ("stripe_eu", PaymentStatus.SUCCEEDED)
    assert [len(each.charges(paid=True)) for each in gateways.values()] == [2, 3]


async def test_an_event_of_the_one_is_refused_at_the_door_of_the_other(
    engine: PaymentEngine, gateways: dict[str, FakeStripe]
) -> None:
    for account in gateways:
        await buy(engine, gateways, account, ADA)
    for event in gateways["stripe"].events():
        with pytest.raises(InvalidSignature):
            await engine.receive_webhook("stripe_eu", delivery(gateways, "stripe", event))


async def test_an_id_that_two_accounts_have_names_the_callers_own_or_nobodys(
    engine: PaymentEngine, gateways: dict[str, FakeStripe]
) -> None:
    here = await buy(engine, gateways, "stripe", ADA)
    there = await buy(engine, gateways, "stripe_eu", EVE)
    customer, _, paid, begun = names(here)
    assert customer is not None
    assert paid is not None
    assert begun is not None
    for who, bought in ((ADA, here), (EVE, there)):
        assert (await engine.get_customer(customer, principal=who)).id == bought[0].id
        assert (await engine.get_subscription(begun, principal=who)).id == bought[3].id
        assert (await engine.sync_payment(paid, principal=who)).id == bought[2].id
    for ask in (
        engine.get_customer(customer),
        engine.delete_customer(customer),
        engine.sync_subscription(begun),
        engine.sync_payment(paid),
    ):
        with pytest.raises(NotFound, match="account"):
            await ask
    assert (await engine.get_customer(customer, provider="stripe_eu")).id == there[0].id
    assert (await engine.sync_payment(paid, provider="stripe_eu")).id == there[2].id
    assert [len(each.customers()) for each in gateways.values()] == [1, 1]
