"""An engine on the memory store, the dummy gateway with its books, and a clock that can be moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from bridge_payments.engine import PaymentEngine
from bridge_payments.models import (
    Event,
    GuestData,
    MovableClock,
    Operation,
    Payment,
    Principal,
    Refund,
)
from bridge_payments.providers.dummy import DummyGateway, DummyProvider
from bridge_payments.settings import Settings
from bridge_payments.stores import MemoryStore

GUEST = GuestData(email="ada@example.com", name="Ada")


@dataclass
class House:
    """Everything a test looks at."""

    engine: PaymentEngine
    gateway: DummyGateway
    store: MemoryStore
    clock: MovableClock
    guest: GuestData = field(default=GUEST)

    def move(self, **by: float) -> None:
        self.clock.move(timedelta(**by))

    async def new(self, amount: int = 2000, currency: str = "USD", **more: Any) -> Payment:
        return await self.engine.create_payment_intent(total_cents=amount, currency=currency, **more)

    async def paid(self, amount: int = 2000, **more: Any) -> Payment:
        payment = await self.new(amount, **more)
        return await self.engine.confirm_payment(payment.id, payment_method="dummy_ok")

    async def row(self, payment_id: str) -> Payment:
        found = await self.store.run(lambda unit: unit.payments.get(payment_id))
        assert found is not None
        return found

    async def operations(self, payment_id: str) -> list[Operation]:
        return list(await self.store.run(lambda unit: unit.operations.for_subject(payment_id)))

    async def events(self, payment_id: str) -> list[Event]:
        return list(await self.store.run(lambda unit: unit.events.for_subject(payment_id)))

    async def told(self, payment_id: str) -> list[str]:
        return [event.type for event in await self.events(payment_id)]

    async def refunds(self, payment_id: str) -> list[Refund]:
        return list(await self.store.run(lambda unit: unit.refunds.for_payment(payment_id)))

    async def everything(self) -> str:
        """Every row of the store, as text: for asking whether something is in there at all."""
        return repr(vars(self.store))

    async def settle(self, *, steps: int = 12, **by: float) -> None:
        """Let time pass in steps, with the background work running in each."""
        for _ in range(steps):
            self.move(**(by or {"seconds": 30}))
            await self.engine.process_inbox()
            await self.engine.reconcile()


Build = Callable[..., House]


@pytest.fixture
def build() -> Build:
    def make(**more: Any) -> House:
        clock = MovableClock()
        settings = Settings(allow_sandbox=True, default_provider="dummy", **more.pop("settings", {}))
        store = MemoryStore(clock=clock)
        gateway = DummyGateway(clock=clock)
        engine = PaymentEngine(
            store, {"dummy": DummyProvider(gateway)}, settings=settings, clock=clock, **more
        )
        return House(engine, gateway, store, clock)

    return make


@pytest.fixture
def house(build: Build) -> House:
    return build()


@pytest.fixture
def anybody() -> Principal:
    return Principal.anonymous(peer="192.0.2.7")
