"""What the engine does itself where a provider has nothing for it: client secrets, giving up the unpaid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import pytest

from bridge_payments.engine import PaymentEngine
from bridge_payments.errors import AccessDenied, IllegalState
from bridge_payments.models import CaptureMethod, PaymentStatus, Principal
from bridge_payments.providers.base import (
    CancelRequest,
    Capability,
    IntentRequest,
    ProviderPayment,
    Step,
)
from bridge_payments.providers.dummy import DummyGateway, DummyProvider
from bridge_payments.settings import Settings
from bridge_payments.stores import MemoryStore

pytestmark = pytest.mark.anyio


class Orders(DummyProvider):
    """A provider of orders: no client secret, and nothing to call to give up what nobody paid."""

    capabilities: ClassVar[frozenset[Capability]] = DummyProvider.capabilities - {Capability.CLIENT_SECRET}

    async def create_payment_intent(self, request: IntentRequest, *, step: Step) -> ProviderPayment:
        return replace(await super().create_payment_intent(request, step=step), client_secret=None)

    async def cancel_payment(self, request: CancelRequest, *, step: Step) -> ProviderPayment:
        seen = await self.sync_payment_status(request.payment)
        return replace(seen, status=PaymentStatus.CANCELED)


@pytest.fixture
def gateway() -> DummyGateway:
    return DummyGateway()


@pytest.fixture
def engine(gateway: DummyGateway) -> PaymentEngine:
    return PaymentEngine(MemoryStore(), {"orders": Orders(gateway)}, settings=Settings(allow_sandbox=True))


async def begin(engine: PaymentEngine, **more: Any) -> Any:
    return await engine.create_payment_intent(
        total_cents=2000, currency="USD", provider="orders", guest=None, **more
    )


async def test_a_payment_gets_a_secret_of_our_own_and_each_one_another(engine: PaymentEngine) -> None:
    first, second = await begin(engine), await begin(engine)
    assert len(str(first.client_secret)) >= 43, "32 random bytes as text"
    assert first.client_secret != second.client_secret
    assert first.provider_intent_id not in str(first.client_secret)


async def test_a_secret_opens_its_own_payment_and_no_other(engine: PaymentEngine, house: Any) -> None:
    stranger = Principal.anonymous(peer="192.0.2.7")
    mine = await begin_as_guest(engine, stranger, house.guest)
    other = await begin_as_guest(engine, stranger, house.guest)
    for wrong in (None, other.client_secret, mine.provider_intent_id, str(mine.client_secret)[:-1]):
        with pytest.raises(AccessDenied):
            await engine.cancel_payment(mine.id, client_secret=wrong, principal=stranger)
    ended = await engine.cancel_payment(mine.id, client_secret=mine.client_secret, principal=stranger)
    assert ended.status is PaymentStatus.CANCELED
    assert (await engine.get_payment(mine.id)).client_secret is None


async def begin_as_guest(engine: PaymentEngine, stranger: Principal, guest: Any) -> Any:
    return await engine.create_payment_intent(
        total_cents=2000, currency="USD", provider="orders", guest=guest, principal=stranger
    )


async def test_what_was_given_up_here_is_not_reopened_by_a_provider_that_does_not_know(
    engine: PaymentEngine, gateway: DummyGateway
) -> None:
    payment = await begin(engine)
    await engine.cancel_payment(payment.id)
    seen = await engine.sync_payment(payment.id)
    assert seen.status is PaymentStatus.CANCELED
    with pytest.raises(IllegalState):
        await engine.confirm_payment(payment.id, payment_method="dummy_ok")
    assert gateway.charges == [], "after a cancel nothing is collected by us"


async def test_money_that_moved_elsewhere_after_our_cancel_is_recorded(
    engine: PaymentEngine, gateway: DummyGateway
) -> None:
    for method, status in (
        (CaptureMethod.AUTOMATIC, PaymentStatus.SUCCEEDED),
        (CaptureMethod.MANUAL, PaymentStatus.REQUIRES_CAPTURE),
    ):
        payment = await begin(engine, capture_method=method)
        await engine.cancel_payment(payment.id)
        gateway.post("confirm", {"intent": payment.provider_intent_id, "method": "dummy_ok"}, key=payment.id)
        assert (await engine.sync_payment(payment.id)).status is status
