"""
A shop is used in any way at all: drawn by hypothesis, against a model that a child could keep.

The model remembers what somebody was told for certain. What nobody was told is in the gateway's books, and
when the dust has settled our rows, the model and those books have to say the same.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bridge_payments.engine import PaymentEngine
from bridge_payments.errors import (
    IllegalState,
    InvalidRequest,
    OperationInProgress,
    PaymentDeclined,
    ProviderRejected,
    RateLimited,
    Unavailable,
)
from bridge_payments.messages import Request
from bridge_payments.models import MovableClock, Payment, PaymentStatus, Refund, RefundStatus
from bridge_payments.providers.dummy import DummyGateway, DummyProvider
from bridge_payments.providers.dummy.inbox import SIGNATURE, sign
from bridge_payments.settings import Settings
from bridge_payments.stores import MemoryStore
from bridge_payments.stores.base import Store
from bridge_payments.stores.sql import SQLStore

FULL = bool(os.environ.get("BRIDGE_FULL"))
"""Minutes instead of seconds: `nox -s crash -- --full` sets it."""

REFUSALS = (IllegalState, InvalidRequest, ProviderRejected, RateLimited, PaymentDeclined)
COME_AGAIN = (OperationInProgress, Unavailable)
FAULTS = ("lost_answer", "never_sent", "broken_before", "broken_after")
METHODS = ("dummy_ok", "dummy_ok", "dummy_declined", "dummy_challenge")


@dataclass
class Told:
    """What somebody was told of one payment for certain, and asked of it."""

    amount: int
    manual: bool
    paid: bool = False
    canceled: bool = False
    captured: int | None = None
    refunds: Counter[str] = field(default_factory=Counter)
    """By Idempotency-Key, those that were answered as made."""
    asked_back: Counter[str] = field(default_factory=Counter)

    @property
    def most(self) -> int | None:
        """No more than this can be given back, for all that somebody was told."""
        return None if self.captured is None else self.captured - sum(self.refunds.values())


class ShopMachine(RuleBasedStateMachine):
    """One shop, one gateway, and whoever comes by."""

    kind: ClassVar[str] = "memory"
    template: ClassVar[Path]
    payments = Bundle("payments")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.clock = MovableClock()
        self.folder = tempfile.TemporaryDirectory(prefix="bridge-payments-")
        self.gateway = DummyGateway(clock=self.clock)
        self.memory = MemoryStore(clock=self.clock)
        if self.kind == "sqlite":
            shutil.copy(self.template, f"{self.folder.name}/shop.db")
        self.engine = self.opened()
        self.told: dict[str, Told] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.versions: dict[str, int] = {}
        self.no: Exception | None = None
        """How the last question was refused."""

    # --- the machinery ----------------------------------------------------------------------------

    def opened(self) -> PaymentEngine:
        store: Store = self.memory
        if self.kind == "sqlite":
            store = SQLStore(f"sqlite:///{self.folder.name}/shop.db", clock=self.clock)
        return PaymentEngine(
            store,
            {"dummy": DummyProvider(self.gateway)},
            settings=Settings(allow_sandbox=True, guest_max_payments_per_email=0),
            clock=self.clock,
        )

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run(work)

    def ask(self, what: str, **asked: Any) -> Any:
        """Ask the engine; return its answer, or None where it said no or that one has to come again."""
        self.asked.append((what, asked))
        self.no = None
        try:
            answer = self.run(getattr(self.engine, what)(**asked))
        except (*COME_AGAIN, *REFUSALS) as error:
            self.no = error
            return None
        self.learn(what, asked, answer)
        return answer

    def learn(self, what: str, asked: dict[str, Any], answer: Any) -> None:
        if isinstance(answer, Refund):
            if answer.status is RefundStatus.SUCCEEDED:
                self.told[answer.payment_id].refunds[asked["idempotency_key"]] = answer.amount_cents
            return
        assert isinstance(answer, Payment)
        if answer.unknown_operation_id is not None:
            return
        known = self.told.get(answer.id)
        if known is None:
            known = self.told[answer.id] = Told(amount=asked["total_cents"], manual="capture_method" in asked)
        if answer.is_paid:
            known.paid, known.captured = True, answer.captured_cents
        known.canceled = known.canceled or answer.status is PaymentStatus.CANCELED

    def rows(self) -> list[Any]:
        def read(unit: Any) -> list[Any]:
            return [
                (
                    unit.payments.get(payment_id),
                    unit.operations.for_subject(payment_id),
                    unit.refunds.for_payment(payment_id),
                    unit.events.for_subject(payment_id),
                )
                for payment_id in self.told
            ]

        found: list[Any] = self.run(self.engine.store.run(read, write=False))
        return found

    def work(self) -> None:
        async def round_() -> None:
            await self.engine.process_inbox(limit=100)
            await self.engine.reconcile(limit=100)
            await self.engine.sweep(limit=100)

        self.run(round_())

    # --- what anybody may do at any time ------------------------------------------------------------

    @initialize(target=payments)
    def open_the_shop(self) -> Any:
        """One payment is paid and one is held from the beginning: some runs are without `begin`."""
        made = (self.begin(1000, manual, "dummy_ok", None) for manual in (False, True))
        return multiple(*made)

    @rule(
        target=payments,
        amount=st.integers(1, 5000),
        manual=st.booleans(),
        method=st.sampled_from((None, *METHODS)),
        fault=st.sampled_from((*[None] * 8, *FAULTS)),
    )
    def begin(self, amount: int, manual: bool, method: str | None, fault: Any) -> Any:
        if fault:
            self.gateway.fail_next(fault)
        more: dict[str, Any] = {"capture_method": "manual"} if manual else {}
        if method is not None:
            more |= {"confirm": True, "payment_method": method}
        key = f"begin {len(self.asked)}"
        made = self.ask(
            "create_payment_intent", total_cents=amount, currency="USD", idempotency_key=key, **more
        )
        for payment_id in self.everybody() - set(self.told):
            self.told[payment_id] = Told(amount=amount, manual=manual)
        return made.id if made is not None else multiple()

    def everybody(self) -> set[str]:
        from bridge_payments.stores.base import PaymentQuery

        page = self.run(
            self.engine.store.run(lambda unit: unit.payments.list(PaymentQuery(limit=1000)), write=False)
        )
        return {row.id for row in page.items}

    @rule(payment=payments, method=st.sampled_from(METHODS))
    def confirm(self, payment: str, method: str) -> None:
        key = f"confirm {len(self.asked)}"
        self.ask("confirm_payment", payment_id=payment, payment_method=method, idempotency_key=key)

    @rule(payment=payments, part=st.sampled_from((1, 2)))
    def capture(self, payment: str, part: int) -> None:
        key = f"capture {len(self.asked)}"
        amount = max(1, self.told[payment].amount // part)
        self.ask("capture_payment", payment_id=payment, amount_cents=amount, idempotency_key=key)

    @rule(payment=payments)
    def cancel(self, payment: str) -> None:
        self.ask("cancel_payment", payment_id=payment, idempotency_key=f"cancel {len(self.asked)}")

    @rule(payment=payments, part=st.sampled_from((1, 2, 3)), more=st.sampled_from((0, 0, 1)))
    def refund(self, payment: str, part: int, more: int) -> None:
        """A part of what is left, or all of it; sometimes a cent more."""
        key = f"refund {len(self.asked)}"
        known, sent = self.told[payment], len(self.gateway.requests)
        amount = max(1, (known.most or known.amount) // part) + more
        known.asked_back[key] = amount
        too_much = known.most is not None and amount > known.most
        self.ask("refund_payment", payment_id=payment, amount_cents=amount, idempotency_key=key)
        if too_much:
            # By us, and not by whoever would have stopped it after us: the table's CHECK, or the gateway.
            assert isinstance(self.no, InvalidRequest | IllegalState | OperationInProgress), self.no
            assert len(self.gateway.requests) == sent

    @precondition(lambda self: self.asked)
    @rule(back=st.integers(1, 4))
    def repeat(self, back: int) -> None:
        """A client comes again with what it asked before, key and all."""
        what, asked = self.asked[-min(back, len(self.asked))]
        before = (len(self.gateway.charges), len(self.gateway.refunds))
        was = self.ended(what, asked)
        self.ask(what, **asked)
        for payment_id in self.everybody() - set(self.told):
            self.told[payment_id] = Told(amount=asked["total_cents"], manual="capture_method" in asked)
        if was:
            after = (len(self.gateway.charges), len(self.gateway.refunds))
            assert after == before, "a repeat of what was answered moved money"

    def ended(self, what: str, asked: dict[str, Any]) -> bool:
        """Whether the first of this key succeeded, as far as our rows know."""
        if what != "refund_payment":
            return False
        known = self.told[asked["payment_id"]]
        return asked["idempotency_key"] in known.refunds

    @rule(fault=st.sampled_from(FAULTS))
    def break_gateway(self, fault: Any) -> None:
        self.gateway.fail_next(fault)

    @rule(passed=st.booleans())
    def answer_challenges(self, passed: bool) -> None:
        """Payers answer in their browsers; we hear of it by webhook, or not."""
        for intent in list(self.gateway.intents.values()):
            if intent["state"] == "challenge":
                self.gateway.challenge(intent["id"], passed=passed)

    @precondition(lambda self: self.gateway.events)
    @rule(data=st.data(), copies=st.integers(1, 3))
    def tell(self, data: st.DataObject, copies: int) -> None:
        """Webhooks in any order, any number of times."""
        event = data.draw(st.sampled_from(self.gateway.events))
        body = json.dumps(event, default=str).encode()
        headers = {SIGNATURE: sign(body, "dummy-webhook-secret")}
        for _ in range(copies):
            request = Request(method="POST", path="/", headers=headers, body=body)
            self.run(self.engine.receive_webhook("dummy", request))

    @rule(payment=payments)
    def look(self, payment: str) -> None:
        self.ask("sync_payment", payment_id=payment)

    @rule(seconds=st.sampled_from((1, 10, 61, 130, 1000, 4000)))
    def pass_time(self, seconds: int) -> None:
        self.clock.move(timedelta(seconds=seconds))

    @rule()
    def work_once(self) -> None:
        self.work()

    @rule()
    def start_again(self) -> None:
        """The process ends, and another begins with the same database."""

        async def change() -> None:
            old, self.engine = self.engine, self.opened()
            await old.aclose()
            if self.kind == "sqlite":
                await old.store.aclose()

        self.run(change())

    # --- what holds at any time ---------------------------------------------------------------------

    @invariant()
    def money_moves_once(self) -> None:
        charges = Counter(charge["intent"] for charge in self.gateway.charges)
        assert all(count == 1 for count in charges.values()), charges
        for payment, _, refunds, events in self.rows():
            known = self.told[payment.id]
            taken, given = self.moved(payment)
            assert payment.captured_cents <= taken <= known.amount
            assert given <= sum(known.asked_back.values())
            assert given <= taken
            assert sum(each.keeps_its_share and each.amount_cents for each in refunds) == (
                payment.refund_reserved_cents
            )
            assert payment.refund_reserved_cents <= payment.captured_cents
            assert payment.version >= self.versions.get(payment.id, 0)
            self.versions[payment.id] = payment.version
            assert [event.type for event in events].count("payment.success") == (1 if payment.paid_at else 0)
            assert known.paid <= (taken > 0), "somebody was told that it is paid"
            assert not (known.canceled and taken), "somebody was told that it is given up"
            assert known.captured in (None, taken)
            assert sum(known.refunds.values()) <= given

    def moved(self, payment: Payment) -> tuple[int, int]:
        """What the gateway took and gave back for one payment."""
        intents = [
            intent["id"]
            for intent in self.gateway.intents.values()
            if intent["metadata"].get("bridge_payment_id") == payment.id
        ]
        assert len(intents) <= 1, "two intents for one payment"
        taken = sum(each["amount"] for each in self.gateway.charges if each["intent"] in intents)
        given = sum(each["amount"] for each in self.gateway.refunds.values() if each["intent"] in intents)
        return taken, given

    # --- and in the end -----------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            self.gateway._faults.clear()
            for _ in range(4):
                self.clock.move(timedelta(minutes=4))
                self.work()
            self.clock.move(timedelta(hours=25))  # what a key was worth is over, and the sweep has come round
            for _ in range(3):
                self.work()
                self.clock.move(timedelta(hours=25))
            self.books_agree()
            self.money_moves_once()
        finally:
            self.run(self.close())
            self.loop.close()
            self.folder.cleanup()

    async def close(self) -> None:
        await self.engine.aclose()
        await self.engine.store.aclose()

    def books_agree(self) -> None:
        for payment, operations, refunds, _ in self.rows():
            taken, given = self.moved(payment)
            assert [(each.verb, each.resolution) for each in operations if each.is_open] == []
            assert (payment.captured_cents, payment.refunded_cents) == (taken, given), payment.id
            assert sum(each.keeps_its_share and each.amount_cents for each in refunds) == given
            assert payment.flag is None


COUNTS = {"memory": 150 if FULL else 60, "sqlite": 30 if FULL else 12}
STEPS = 60 if FULL else 30
BATCHES = 10 if FULL else 1


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stateful") / "shop.db"

    async def upgrade() -> None:
        store = SQLStore(f"sqlite:///{path}")
        await store.upgrade()
        await store.aclose()

    asyncio.run(upgrade())
    return path


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(BATCHES))
@pytest.mark.parametrize("kind", COUNTS)
def test_a_shop_that_is_used_in_any_way_keeps_its_books(kind: str, batch: int, template: Path) -> None:
    machine = type("Machine", (ShopMachine,), {"kind": kind, "template": template})
    run_state_machine_as_test(  # type: ignore[no-untyped-call] # as hypothesis has it
        machine,
        settings=settings(
            max_examples=COUNTS[kind],
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize=not FULL,
            # To shorten what failed would take longer than a test may.
            phases=(Phase.explicit, Phase.generate),
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
