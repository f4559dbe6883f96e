"""Stored methods, subscriptions and disputes of Stripe through the engine: the books equal the gateway's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from bridge_payments.engine import PaymentEngine
from bridge_payments.errors import InvalidRequest, InvalidSignature, NotFound, PaymentDeclined
from bridge_payments.messages import Request
from bridge_payments.models import (
    Money,
    Payment,
    PaymentMethodStatus,
    PaymentStatus,
    Principal,
    Subscription,
    SubscriptionStatus,
)
from bridge_payments.providers.stripe import StripeProvider
from bridge_payments.sandbox.stripe import FakeStripe
from bridge_payments.settings import Settings
from bridge_payments.stores.base import PaymentQuery
from bridge_payments.stores.sql import SQLStore
from bridge_payments.transport import Transport

pytestmark = pytest.mark.anyio

ADA = Principal.user("ada", email="ada@shop.example", email_verified=True)
EVE = Principal.user("eve", email="eve@shop.example", email_verified=True)
USD = Money(2000, "USD")
SECRET = "whsec_stored_0001"
OTHER_SECRET = "whsec_stored_0002"
MONTH = timedelta(days=31)


@pytest.fixture(scope="module")
def listening() -> Iterator[FakeStripe]:
    with FakeStripe() as gateway:
        yield gateway


@pytest.fixture
def gateway(listening: FakeStripe) -> FakeStripe:
    listening.reset(endpoints=True)
    return listening


@pytest.fixture
async def engine(gateway: FakeStripe, tmp_path: Path) -> AsyncIterator[PaymentEngine]:
    """Two accounts, of which the second has credentials and a signing secret of its own."""
    transport = Transport()
    store = SQLStore(f"sqlite:///{tmp_path / 'shop.db'}", clock=gateway.clock)
    await store.upgrade()
    accounts = {
        name: StripeProvider(
            secret_key=gateway.secret_key, webhook_secrets=[secret], transport=transport, api_base=gateway.url
        )
        for name, secret in (("stripe", SECRET), ("stripe_eu", OTHER_SECRET))
    }
    engine = PaymentEngine(
        store,
        accounts,
        settings=Settings(default_provider="stripe"),
        clock=gateway.clock,
        transport=transport,
    )
    yield engine
    await engine.aclose()
    await transport.aclose()
    await store.aclose()


async def hear(engine: PaymentEngine, gateway: FakeStripe) -> None:
    """Deliver every event, twice and newest first, and work them off."""
    for event in reversed(gateway.events()):
        for _ in range(2):
            await engine.receive_webhook("stripe", delivery(gateway, event["id"], SECRET))
    await engine.process_inbox()


def delivery(gateway: FakeStripe, event: str, secret: str) -> Request:
    headers, body = gateway.signed_webhook(event, secret=secret)
    return Request(method="POST", path="/webhooks/stripe", headers=dict(headers), body=body)


async def resolve(engine: PaymentEngine, gateway: FakeStripe) -> None:
    """Let some minutes pass, in which everything that was lost is looked up."""
    for _ in range(8):
        gateway.clock.move(timedelta(seconds=90))
        await engine.reconcile()


async def payments(engine: PaymentEngine) -> list[Payment]:
    return list((await engine.list_payments(PaymentQuery())).items)


async def collect_elsewhere(gateway: FakeStripe, intent: str, amount: int) -> None:
    """Collect a part of what is held, past the shop."""
    async with httpx.AsyncClient(auth=(gateway.secret_key, "")) as dashboard:
        answer = await dashboard.post(
            f"{gateway.url}/v1/payment_intents/{intent}/capture",
            data={"amount_to_capture": amount, "final_capture": "false"},
        )
    assert answer.status_code == 200, answer.text


async def begin(engine: PaymentEngine, gateway: FakeStripe) -> Subscription:
    method = await engine.create_payment_method(token=gateway.new_method(), principal=ADA)
    return await engine.create_subscription(USD, payment_method=method.id, principal=ADA)


async def balanced(engine: PaymentEngine, gateway: FakeStripe) -> bool:
    """Whether each collection of the gateway is one payment of ours, and nothing else is."""
    there = sorted((each["payment_intent"], each["amount_captured"]) for each in gateway.charges(paid=True))
    here = sorted((str(each.provider_intent_id), each.captured_cents) for each in await payments(engine))
    return there == [each for each in here if each[1]]


async def test_a_method_is_kept_and_charged_while_its_owner_is_away(
    engine: PaymentEngine, gateway: FakeStripe
) -> None:
    method = await engine.create_payment_method(token=gateway.new_method(), principal=ADA)
    assert (method.status, method.last_four) == (PaymentMethodStatus.ACTIVE, "4242")
    paid = await engine.charge_saved_method(USD, payment_method=method.id)
    assert (paid.status, paid.user_id) == (PaymentStatus.SUCCEEDED, "ada")
    for named in (method.id, str(method.provider_payment_method_id)):
        with pytest.raises((NotFound, InvalidRequest)):
            await engine.charge_saved_method(USD, payment_method=named, principal=EVE)
    await engine.delete_payment_method(method.id, principal=ADA)
    assert gateway.methods(stored=True) == []
    assert await balanced(engine, gateway)


async def test_a_bank_that_wants_to_be_asked_declines_while_the_payer_is_away(
    engine: PaymentEngine, gateway: FakeStripe
) -> None:
    token = gateway.new_method("pm_card_threeDSecure2Required")
    method = await engine.create_payment_method(token=token, off_session=False, principal=ADA)
    with pytest.raises(PaymentDeclined) as refused:
        await engine.charge_saved_method(USD, payment_method=method.id)
    assert refused.value.decline_code == "authentication_required"
    assert await balanced(engine, gateway)


async def test_a_set_up_that_the_bank_has_to_agree_to_ends_by_its_webhook(
    engine: PaymentEngine, gateway: FakeStripe
) -> None:
    token = gateway.new_method("pm_card_authenticationRequiredOnSetup")
    asked = await engine.create_payment_method(
        token=token, return_url="https://shop.example/back", principal=ADA
    )
    assert asked.status is PaymentMethodStatus.REQUIRES_ACTION
    gateway.authenticate(str(asked.provider_setup_id))
    await hear(engine, gateway)
    method = await engine.get_payment_method(asked.id, principal=ADA)
    assert (method.status, method.client_secret) == (PaymentMethodStatus.ACTIVE, None)
    assert (await engine.charge_saved_method(USD, payment_method=method.id)).captured_cents == 2000


async def test_each_renewal_is_one_payment_whoever_tells_of_it(
    engine: PaymentEngine, gateway: FakeStripe
) -> None:
    begun = await begin(engine, gateway)
    assert begun.status is SubscriptionStatus.ACTIVE
    await hear(engine, gateway)
    gateway.clock.move(MONTH)
    gateway.bill()
    await hear(engine, gateway)
    await engine.sync_subscription(begun.id)
    rows = await payments(engine)
    assert [(each.subscription_id, each.captured_cents) for each in rows] == [(begun.id, 2000)] * 2
    assert await balanced(engine, gateway)
    told = [event.type for row in rows for event in await engine.list_events(row.id)]
    assert told.count("payment.success") == 2


@pytest.mark.parametrize("path", ["/v1/products", "/v1/subscriptions"])
@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "error_after", "unreadable"])
async def test_a_lost_call_of_a_subscription_ends_in_one_of_it_or_in_none(
    engine: PaymentEngine, gateway: FakeStripe, path: str, fault: str
) -> None:
    gateway.faults.add(fault, path=path)
    lost = await begin(engine, gateway)
    await resolve(engine, gateway)
    seen = await engine.sync_subscription(lost.id)
    made = gateway.subscriptions()
    assert len(made) <= 1
    assert len(gateway.products()) <= 1
    assert (seen.status is SubscriptionStatus.ACTIVE) == (len(made) == 1)
    assert seen.status in (SubscriptionStatus.ACTIVE, SubscriptionStatus.INCOMPLETE_EXPIRED)
    assert await balanced(engine, gateway)


async def test_a_dispute_is_told_once_and_its_end_once(engine: PaymentEngine, gateway: FakeStripe) -> None:
    method = await engine.create_payment_method(token=gateway.new_method(), principal=ADA)
    paid = await engine.charge_saved_method(USD, payment_method=method.id)
    dispute = gateway.dispute(str(paid.provider_intent_id), 1500)
    await hear(engine, gateway)
    assert (await engine.get_payment(paid.id)).disputed_cents == 1500
    gateway.close_dispute(dispute["id"], won=True)
    await hear(engine, gateway)
    assert (await engine.get_payment(paid.id)).disputed_cents == 0
    told = [event.type for event in await engine.list_events(paid.id)]
    assert (told.count("dispute.opened"), told.count("dispute.closed")) == (1, 1)


@pytest.mark.parametrize("learns", ["webhook", "fetch", "both", "our own cancel"])
@pytest.mark.parametrize("heard_of_the_part", [True, False])
async def test_a_part_that_was_collected_stays_paid_when_the_rest_is_released(
    engine: PaymentEngine, gateway: FakeStripe, learns: str, heard_of_the_part: bool
) -> None:
    held = await engine.create_payment_intent(
        USD,
        capture_method="manual",
        payment_method="pm_card_visa",
        confirm=True,
        extra={"payment_method_options": {"card": {"request_multicapture": "if_available"}}},
    )
    intent = str(held.provider_intent_id)
    if heard_of_the_part:
        await engine.capture_payment(held.id, amount_cents=500, final=False)
    else:
        await collect_elsewhere(gateway, intent, 500)
    if learns == "our own cancel":
        await engine.cancel_payment(held.id)
    else:
        gateway.cancel_in_dashboard(intent)
    for way in ("webhook", "fetch"):
        if learns in (way, "both"):
            await (hear(engine, gateway) if way == "webhook" else engine.sync_payment(held.id))
    row = await engine.get_payment(held.id)
    assert (row.status, row.captured_cents) == (PaymentStatus.SUCCEEDED, 500)
    with pytest.raises(InvalidRequest):
        await engine.refund_payment(held.id, amount_cents=501, idempotency_key="too-much")
    await engine.refund_payment(held.id, amount_cents=200, idempotency_key="a-part")
    await engine.refund_payment(held.id, idempotency_key="the-rest")
    await hear(engine, gateway)
    row = await engine.get_payment(held.id)
    assert (row.status, row.refunded_cents) == (PaymentStatus.REFUNDED, 500)
    assert sum(each["amount"] for each in gateway.refunds()) == 500
    told = [event.type for event in await engine.list_events(held.id)]
    assert (told.count("payment.success"), told.count("payment.canceled")) == (1, 0)
    assert await balanced(engine, gateway)


async def test_an_event_at_another_accounts_door_is_refused(
    engine: PaymentEngine, gateway: FakeStripe
) -> None:
    await begin(engine, gateway)
    for event in gateway.events():
        with pytest.raises(InvalidSignature):
            await engine.receive_webhook("stripe_eu", delivery(gateway, event["id"], SECRET))
    await hear(engine, gateway)
    assert await balanced(engine, gateway)
