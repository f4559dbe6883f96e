"""What an account cannot do is said first, in every state of the row: nothing is written and nothing sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, NoReturn

import pytest

from bridge_payments.engine import PaymentEngine
from bridge_payments.errors import BridgeError, UnsupportedOperation
from bridge_payments.models import (
    GuestData,
    Money,
    Payment,
    PaymentMethod,
    PaymentMethodStatus,
    PaymentStatus,
    Subscription,
    SubscriptionStatus,
    Verb,
)
from bridge_payments.providers.authorize_net import AuthorizeNetProvider
from bridge_payments.providers.base import KeyRules, PaymentProvider
from bridge_payments.providers.dummy import DummyProvider
from bridge_payments.providers.paypal import PayPalProvider
from bridge_payments.providers.stripe import StripeProvider
from bridge_payments.settings import Settings
from bridge_payments.stores import MemoryStore
from bridge_payments.testing.stores.records import a_method, a_subscription
from bridge_payments.testing.stores.samples import a_payment

pytestmark = pytest.mark.anyio

USD = Money(900, "USD")
Deed = Callable[[PaymentEngine, str], Awaitable[object]]

PAYMENT: dict[Verb, Deed] = {
    Verb.UPDATE: lambda engine, row: engine.update_payment_intent(row, total_cents=500),
    Verb.CONFIRM: lambda engine, row: engine.confirm_payment(row, payment_method="tok_1"),
    Verb.CAPTURE: lambda engine, row: engine.capture_payment(row),
    Verb.CANCEL: lambda engine, row: engine.cancel_payment(row),
    Verb.REFUND: lambda engine, row: engine.refund_payment(row),
}
METHOD: dict[Verb, Deed] = {
    Verb.CONFIRM_METHOD: lambda engine, row: engine.confirm_payment_method(row),
}
SUBSCRIPTION: dict[Verb, Deed] = {
    Verb.UPDATE_SUBSCRIPTION: lambda engine, row: engine.update_subscription(row, total_cents=500),
    Verb.CANCEL_SUBSCRIPTION: lambda engine, row: engine.cancel_subscription(row),
    Verb.PAUSE_SUBSCRIPTION: lambda engine, row: engine.pause_subscription(row),
    Verb.RESUME_SUBSCRIPTION: lambda engine, row: engine.resume_subscription(row),
}
NEW: dict[Verb, Deed] = {
    Verb.CREATE_CUSTOMER: lambda engine, _: engine.create_customer(guest=GuestData(email="ada@example.com")),
    Verb.CREATE_METHOD: lambda engine, _: engine.create_payment_method(token="tok_1"),
    Verb.CREATE_SUBSCRIPTION: lambda engine, _: engine.create_subscription(USD, payment_method="tok_1"),
}
HERE = {Verb.UPDATE_CUSTOMER, Verb.DELETE_CUSTOMER, Verb.UPDATE_METHOD, Verb.DELETE_METHOD}
"""Done in our books alone where the provider cannot."""


class Silent(PaymentProvider):
    """Can begin a payment, and nothing else; whoever asks it anything has sent a byte."""

    kind: ClassVar[str] = "silent"
    keys: ClassVar[KeyRules] = KeyRules(max_length=64, window_hours=24)

    async def create_payment_intent(self, request: Any, *, step: Any) -> NoReturn:
        pytest.fail("something was sent")

    async def sync_payment_status(self, reference: str) -> NoReturn:
        pytest.fail("something was sent")

    async def read_webhook(self, request: Any) -> NoReturn:
        pytest.fail("something was sent")

    async def owns_payment_method(self, token: str) -> NoReturn:
        pytest.fail("something was sent")


def rows() -> list[tuple[dict[Verb, Deed], Payment | PaymentMethod | Subscription | None]]:
    """Every state of every row that an instruction may be about."""
    billed = {"provider_id": "silent", "provider_subscription_id": "s_1"}
    known = {"provider_id": "silent", "provider_intent_id": "in_1", "provider_payment_id": "ch_1"}
    money = {"authorized_cents": 2000}
    collected = {**money, "captured_cents": 2000}
    paid = {PaymentStatus.SUCCEEDED, PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED}
    return [
        *(
            (PAYMENT, a_payment(status=status, **known, **(collected if status in paid else money)))
            for status in PaymentStatus
        ),
        *(
            (METHOD, a_method(status=status, provider_id="silent", provider_setup_id="seti_1"))
            for status in PaymentMethodStatus
            if status not in (PaymentMethodStatus.ACTIVE, PaymentMethodStatus.DELETED)
        ),
        *((SUBSCRIPTION, a_subscription(status=status, **billed)) for status in SubscriptionStatus),
        (NEW, None),
    ]


@pytest.mark.parametrize("verbs", [PAYMENT, METHOD, SUBSCRIPTION, NEW], ids=["pay", "keep", "bill", "begin"])
async def test_what_is_not_supported_is_said_in_every_state_and_sends_nothing(
    verbs: dict[Verb, Deed],
) -> None:
    for table, row in rows():
        if table is not verbs:
            continue
        store = MemoryStore()
        engine = PaymentEngine(store, {"silent": Silent()}, settings=Settings())

        def add(unit: Any, row: Any = row) -> None:
            shelf = {Payment: "payments", PaymentMethod: "payment_methods", Subscription: "subscriptions"}
            if row is not None:
                getattr(unit, shelf[type(row)]).add(row)

        await store.run(add)
        for verb, deed in verbs.items():
            before = repr(vars(store))
            with pytest.raises(BridgeError) as refused:
                await deed(engine, row.id if row is not None else "")
            assert isinstance(refused.value, UnsupportedOperation), (verb, row, refused.value)
            assert repr(vars(store)) == before, "nothing is written"


@pytest.mark.parametrize("provider", [StripeProvider, PayPalProvider, AuthorizeNetProvider, DummyProvider])
def test_every_verb_that_a_provider_lacks_is_in_a_table(provider: type[PaymentProvider]) -> None:
    tried = {**PAYMENT, **METHOD, **SUBSCRIPTION, **NEW}
    for verb in Verb:
        assert provider.supports(verb) or verb in tried or verb in HERE


def test_every_verb_is_in_a_table() -> None:
    assert {*PAYMENT, *METHOD, *SUBSCRIPTION, *NEW, *HERE, Verb.CREATE} == set(Verb)
