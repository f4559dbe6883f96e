"""An application's own tests: a bridge that needs nothing, and does nothing behind their back."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bridge_payments import AuthBridge, Event, Money, PaymentDeclined, Principal, testing
from bridge_payments.testing import bridge

pytestmark = pytest.mark.anyio


async def test_a_shop_is_told_of_its_payment_when_the_test_says_so() -> None:
    told: list[Event] = []
    async with bridge() as shop:
        shop.webhooks.on("payment.success")(told.append)
        payment = await shop.engine.create_payment_intent(Money(2000, "USD"))
        paid = await shop.engine.confirm_payment(payment.id, payment_method="dummy_ok")
        assert paid.status == "succeeded"
        assert told == []
        await shop.work()
        assert [event.payment.id for event in told if event.payment] == [payment.id]
        assert shop.gateway.charges == [
            {"intent": paid.provider_intent_id, "amount": 2000, "currency": "USD"}
        ]


async def test_a_payer_who_answers_in_the_browser_is_heard_by_webhook_only() -> None:
    async with bridge() as shop:
        payment = await shop.engine.create_payment_intent(Money(2000, "USD"))
        waiting = await shop.engine.confirm_payment(payment.id, payment_method="dummy_challenge")
        assert waiting.provider_intent_id is not None
        shop.gateway.challenge(waiting.provider_intent_id, passed=True)
        assert (await shop.engine.get_payment(payment.id)).status == "requires_action"
        receipts = await shop.deliver_webhook()
        assert not any(receipt.duplicate for receipt in receipts)
        assert (await shop.engine.get_payment(payment.id)).status == "succeeded"
        [again] = await shop.deliver_webhook("intent.paid")
        assert again.duplicate
        assert await shop.deliver_webhook() == []
        with pytest.raises(LookupError, match=r"no intent\.flown"):
            await shop.deliver_webhook("intent.flown")


async def test_time_passes_when_the_test_says_so() -> None:
    async with bridge() as shop:
        payment = await shop.engine.create_payment_intent(Money(2000, "USD"))
        shop.gateway.lose_next_answer()
        unknown = await shop.engine.confirm_payment(payment.id, payment_method="dummy_ok")
        assert unknown.unknown_operation_id
        shop.move(minutes=1)
        await shop.work()
        assert (await shop.engine.get_payment(payment.id)).status == "succeeded"
        assert len(shop.gateway.charges) == 1


async def test_the_applications_own_price_and_login_are_in_force() -> None:
    auth = AuthBridge(lambda request: Principal.user("ada"))
    async with bridge(approve=lambda draft, principal: draft.priced(Money(700, "USD")), auth=auth) as shop:
        payment = await shop.engine.create_payment_intent(Money(1, "USD"))
        assert payment.total == Money(700, "USD")
        assert shop.auth is auth


def test_plain_functions_call_it() -> None:
    shop = bridge()
    try:
        payment = shop.call(shop.engine.create_payment_intent, Money(2000, "USD"))
        with pytest.raises(PaymentDeclined):
            shop.call(shop.engine.confirm_payment, payment.id, payment_method="dummy_declined")
        shop.call(shop.deliver_webhook)
    finally:
        shop.close()


@pytest.mark.parametrize("name", testing.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(testing, name).__name__ == name


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'payments'"):
        testing.payments  # noqa: B018 - reading it is the test


def test_practising_loads_neither_a_framework_nor_an_sdk_nor_a_database() -> None:
    program = (
        "import json, sys; from bridge_payments.testing import bridge; bridge();"
        " print(json.dumps(list(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    loaded = set(json.loads(done.stdout))
    assert not loaded & {
        "fastapi",
        "flask",
        "starlette",
        "stripe",
        "sqlalchemy",
        "pytest",
        "httpx",
        "aiohttp",
    }


async def test_a_shop_tries_its_subscriptions_by_letting_a_month_pass() -> None:
    told: list[Event] = []
    ada = Principal.user("ada", email="ada@example.com")
    async with bridge() as shop:
        shop.webhooks.on("subscription.renewed")(told.append)
        subscription = await shop.engine.create_subscription(
            Money(900, "USD"), payment_method="dummy_ok", principal=ada
        )
        await shop.deliver_webhook()
        shop.move(days=31)
        assert shop.gateway.bill() == 1
        await shop.deliver_webhook()
        await shop.work()
        assert [event.subscription.id for event in told if event.subscription] == [subscription.id]
        assert len(shop.gateway.charges) == 2
        assert subscription.payment_method_id is not None
        charged = await shop.engine.charge_saved_method(
            Money(500, "USD"), payment_method=subscription.payment_method_id, idempotency_key="order-1"
        )
        assert charged.user_id == "ada"
