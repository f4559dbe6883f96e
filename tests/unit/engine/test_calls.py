"""A verb of several calls: what each came to is stored before the next, so that no crash repeats one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bridge_payments.engine import PaymentEngine
from bridge_payments.errors import ProviderDeclined, ProviderNeverSent, StoreError, Unavailable
from bridge_payments.models import MovableClock, Operation, OperationState, Principal
from bridge_payments.providers.base import (
    Absent,
    CustomerRequest,
    Evidence,
    Found,
    Lookup,
    ProviderCustomer,
    Step,
)
from bridge_payments.providers.dummy import DummyGateway, DummyProvider
from bridge_payments.settings import Settings
from bridge_payments.stores import MemoryStore

pytestmark = pytest.mark.anyio

ADA = Principal.user("ada", email="ada@example.com")


class Killed(BaseException):
    """The process is gone."""


class Registry(DummyProvider):
    """Makes a customer in three calls, as a provider with a catalogue or a directory does."""

    def __init__(self, gateway: DummyGateway) -> None:
        super().__init__(gateway)
        self.sent: list[tuple[str, str]] = []
        self.trouble: dict[str, BaseException] = {}
        self.evidence: list[Evidence] = []

    async def _call(self, name: str, key: str) -> dict[str, str]:
        trouble = self.trouble.pop(name, None)
        if isinstance(trouble, ProviderNeverSent):
            raise trouble
        self.sent.append((name, key))
        if trouble is not None:
            raise trouble
        return {"id": f"{name}-{key}"}

    async def create_customer(self, request: CustomerRequest, *, step: Step) -> ProviderCustomer:
        await step.once("directory", lambda key: self._call("directory", key))
        await step.once("entry", lambda key: self._call("entry", key))
        made = await self._call("customer", step.key)
        return ProviderCustomer(reference=made["id"])

    async def find_operation(self, evidence: Evidence) -> Lookup:
        self.evidence.append(evidence)
        made = [key for name, key in self.sent if name == "customer"]
        if made:
            return Found(customer=ProviderCustomer(reference=f"customer-{made[0]}"))
        return Absent("the directory shows no customer")


class Office:
    def __init__(self) -> None:
        self.clock = MovableClock()
        self.store = MemoryStore(clock=self.clock)
        self.provider = Registry(DummyGateway(clock=self.clock))
        settings = Settings(allow_sandbox=True, default_provider="dummy")
        self.engine = PaymentEngine(self.store, {"dummy": self.provider}, settings=settings, clock=self.clock)

    async def operation(self) -> Operation:
        (found,) = self.store._tables.operations.values()
        return found

    async def settle(self) -> None:
        for _ in range(14):
            self.clock.move(timedelta(seconds=30))
            await self.engine.reconcile()


@pytest.fixture
def office() -> Office:
    return Office()


async def test_each_call_has_its_own_key_and_its_result_is_stored(office: Office) -> None:
    await office.engine.create_customer(principal=ADA)
    operation = await office.operation()
    assert office.provider.sent == [
        ("directory", f"{operation.id}-directory"),
        ("entry", f"{operation.id}-entry"),
        ("customer", operation.id),
    ]
    assert dict(operation.steps) == {
        "directory": {"id": f"directory-{operation.id}-directory"},
        "entry": {"id": f"entry-{operation.id}-entry"},
    }
    assert operation.state is OperationState.SUCCEEDED


@pytest.mark.parametrize("dies_in", ["directory", "entry", "customer"])
async def test_killed_in_any_call_no_finished_call_is_made_again(office: Office, dies_in: str) -> None:
    office.provider.trouble[dies_in] = Killed()
    with pytest.raises(Killed):
        await office.engine.create_customer(principal=ADA)
    await office.settle()
    made = await office.engine.create_customer(principal=ADA)
    assert made.existed
    finished = [name for name, _ in office.provider.sent]
    expected = {"directory": 1, "entry": 1, "customer": 1, dies_in: 2}
    if dies_in == "customer":
        expected = dict.fromkeys(expected, 1)  # the look-up found it
    assert {name: finished.count(name) for name in expected} == expected
    assert len(set(office.provider.sent)) == 3, "a repeat has the key of the first try"


async def test_a_look_up_is_told_what_the_finished_calls_came_to(office: Office) -> None:
    office.provider.trouble["entry"] = Killed()
    with pytest.raises(Killed):
        await office.engine.create_customer(principal=ADA)
    await office.settle()
    operation = await office.operation()
    seen = office.provider.evidence[0]
    assert (seen.subject_id, seen.subject) == (operation.subject_id, None)
    assert dict(seen.results) == {"directory": {"id": f"directory-{operation.id}-directory"}}


async def test_a_later_call_that_never_left_leaves_the_whole_unknown(office: Office) -> None:
    class Never(dict[str, BaseException]):
        def pop(self, name: str, default: Any = None) -> Any:
            return self.get(name, default)

    office.provider.trouble = Never(entry=ProviderNeverSent("no route"))
    with pytest.raises(Unavailable):
        await office.engine.create_customer(principal=ADA)
    waiting = await office.operation()
    assert waiting.state is OperationState.UNKNOWN
    assert "directory" in (waiting.resolution or "")
    office.provider.trouble = {}
    await office.settle()
    assert (await office.operation()).state is OperationState.SUCCEEDED
    assert [name for name, _ in office.provider.sent].count("directory") == 1


async def test_a_later_call_that_is_refused_ends_it(office: Office) -> None:
    office.provider.trouble["entry"] = ProviderDeclined("no", decline_code="declined")
    with pytest.raises(Exception, match="no"):
        await office.engine.create_customer(principal=ADA)
    assert (await office.operation()).state is OperationState.REJECTED


async def test_no_call_follows_one_whose_result_could_not_be_stored(office: Office, monkeypatch: Any) -> None:
    run = office.store.run

    async def without_steps(work: Any, *, write: bool = True) -> Any:
        if "keep" in work.__qualname__:
            raise StoreError("the database is away")
        return await run(work, write=write)

    with monkeypatch.context() as broken:
        broken.setattr(office.store, "run", without_steps)
        with pytest.raises(Unavailable):
            await office.engine.create_customer(principal=ADA)
    assert [name for name, _ in office.provider.sent] == ["directory"]


async def test_no_call_follows_once_somebody_else_took_the_operation_over(office: Office) -> None:
    async def taken(name: str, key: str) -> dict[str, str]:
        office.provider.sent.append((name, key))
        (operation,) = office.store._tables.operations.values()
        office.store._tables.operations[operation.id] = replace(operation, lease_token="another")
        return {"id": name}

    office.provider._call = taken  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await office.engine.create_customer(principal=ADA)
    assert [name for name, _ in office.provider.sent] == ["directory"]
