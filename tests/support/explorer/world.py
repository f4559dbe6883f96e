"""What may happen next to one payment, by the engine's own decisions. Pure.

The steps are those of `engine/operations.py` and `engine/reconcile.py`: reserve, ask, record; look up, repeat
or give up; read and apply. Where they read the row again after a lost race, so does this.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

from bridge_payments.engine import rules, settlement
from bridge_payments.engine.outcome import Answer, Policy, Reserved, settle, settle_absence
from bridge_payments.engine.settlement import Settlement
from bridge_payments.errors import BridgeError, ProviderRejected
from bridge_payments.models import (
    CaptureMethod,
    Event,
    Operation,
    OperationState,
    Payment,
    PaymentStatus,
    Refund,
    RefundStatus,
    Verb,
)
from bridge_payments.providers.base import ProviderPayment, ProviderRefund

from .gateway import CURRENCY, TOTAL, Gateway

__all__ = ["World", "begin", "successors", "violations"]

NOW = datetime(2026, 3, 4, tzinfo=UTC)
_POLICY = Policy()
_MOST = {Verb.CONFIRM: 2, Verb.CAPTURE: 1, Verb.CANCEL: 1, Verb.REFUND: 2}
"""How often each verb is asked along one path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What bounds the walk: how often along one path."""

    crashes: int = 1
    outside: int = 2
    """Things that happen at the provider without us."""
    reads: int = 2
    """Reads whose answer may grow old before it is applied: webhooks, sweeps, syncs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    gateway: Gateway
    payment: Payment
    refunds: tuple[Refund, ...] = ()
    operation: Operation | None = None
    """The open one; it occupies the slot."""
    sender: str = ""
    """Who holds the lease: "" nobody, "asking", "answered"."""
    answer: Answer | None = None
    version: int = 0
    """The row's version when the sender, or reconciliation, read it."""
    seen: tuple[ProviderPayment, int] | None = None
    """A read that is not applied yet, and the row's version before it."""
    told: tuple[str, ...] = ()
    """Types of the events that matter to exactly-once, in order."""
    asked: tuple[tuple[Verb, int], ...] = ()
    closed: tuple[tuple[str, str], ...] = ()
    """How operations ended, by id."""
    ever_captured: bool = False
    budget: Budget = Budget()

    def key(self) -> tuple[Any, ...]:
        """Return what makes two worlds the same; the rest is names and times."""
        row = self.payment
        current = None if self.operation is None else (self.operation.id, self.operation.state.value)
        return (
            self.gateway, row.status, row.version if self.answer or self.seen else 0, row.captured_cents,
            row.authorized_cents, row.refunded_cents, row.refund_reserved_cents, row.disputed_cents,
            row.decline_reference, row.flag, row.provider_intent_id, row.paid_at is None,
            tuple((r.id, r.amount_cents, r.status, r.provider_refund_id) for r in self._refund_rows()),
            current, self.sender, _answer_key(self.answer), self.version if self.sender else 0,
            None if self.seen is None else (_truth_key(self.seen[0]), row.version - self.seen[1]),
            self.told, self.asked, self.closed, self.budget,
        )  # fmt: skip

    def _refund_rows(self) -> list[Refund]:
        return sorted(self.refunds, key=lambda row: row.provider_refund_id or row.id)


def begin(*, manual: bool, keys: bool = True, intent: bool = True, budget: Budget | None = None) -> World:
    """Return a payment whose create is reserved and not sent."""
    payment = Payment(
        id="pay_1", provider_id="stripe", status=PaymentStatus.PENDING, currency=CURRENCY,
        subtotal_cents=TOTAL, tax_cents=0, discount_cents=0, total_cents=TOTAL,
        created_at=NOW, updated_at=NOW,
        capture_method=CaptureMethod.MANUAL if manual else CaptureMethod.AUTOMATIC, version=1,
    )  # fmt: skip
    gateway = Gateway(manual=manual, keys=keys, intent=intent)
    return World(
        gateway=gateway,
        payment=payment,
        operation=_operation(Verb.CREATE, 1, {"confirm": False}),
        sender="asking",
        version=1,
        budget=budget or Budget(),
    )


def successors(world: World) -> Iterator[tuple[str, World]]:
    """Yield everything that may happen next."""
    yield from _sender(world)
    yield from _reconciliation(world)
    yield from _client(world)
    yield from _outside(world)
    yield from _reader(world)


# --- a verb is asked ------------------------------------------------------------------------------


def _client(world: World) -> Iterator[tuple[str, World]]:
    if world.operation is not None or world.payment.provider_intent_id is None:
        return
    counts = dict(world.asked)
    for verb, most in _MOST.items():
        number = counts.get(verb, 0)
        if number >= most:
            continue
        try:
            reserved = _reserve(world, verb, number + 1)
        except BridgeError:
            continue
        asked = tuple(sorted({**counts, verb: number + 1}.items()))
        yield f"client asks {verb.name.lower()}", replace(reserved, asked=asked)


def _reserve(world: World, verb: Verb, number: int) -> World:
    payment, rows = world.payment, world.refunds
    rules.check_state(verb, payment)
    inputs: dict[str, Any] = {}
    if verb is Verb.CAPTURE:
        rules.check_capture(payment, None)
    if verb is Verb.REFUND:
        amount = rules.check_refund(payment, 1, force=False)
        refund = Refund(
            id=f"ref_{number}", payment_id=payment.id, provider_id="stripe", operation_id=f"refund_{number}",
            amount_cents=amount, currency=CURRENCY, status=RefundStatus.PENDING,
            created_at=NOW, updated_at=NOW,
        )  # fmt: skip
        rows = (*rows, refund)
        reserved = payment.refund_reserved_cents + amount
        payment = replace(payment, refund_reserved_cents=reserved, version=payment.version + 1)
        inputs = {"amount": {"minor_units": amount, "currency": CURRENCY}}
    operation = _operation(verb, number, inputs)
    return replace(
        world, payment=payment, refunds=rows, operation=operation, sender="asking", version=payment.version
    )


def _operation(verb: Verb, number: int, inputs: dict[str, Any]) -> Operation:
    name = f"{verb.name.lower()}_{number}"
    return Operation(
        id=name, subject_id="pay_1", provider_id="stripe", verb=verb, state=OperationState.RESERVED,
        reference=name, created_at=NOW, updated_at=NOW, inputs=inputs,
        refund_id=f"ref_{number}" if verb is Verb.REFUND else None,
    )  # fmt: skip


# --- who sends ------------------------------------------------------------------------------------


def _sender(world: World) -> Iterator[tuple[str, World]]:
    operation = world.operation
    if operation is None or not world.sender:
        return
    if world.sender == "answered":
        assert world.answer is not None
        yield "recorded", _record(world, world.answer)
    else:
        yield "never sent", _record(world, Answer(unsent=ProviderRejected("refused connection")))
        for gateway, answer in world.gateway.execute(operation):
            after = replace(world, gateway=gateway)
            yield "answered", replace(after, sender="answered", answer=_answer(answer))
            yield "answer lost", _record(after, Answer(lost="no answer"))
            if world.budget.crashes:
                yield "killed after the call", _killed(after)
    if world.budget.crashes:
        yield "killed", _killed(world)


def _answer(said: object) -> Answer:
    if isinstance(said, ProviderRejected):
        return Answer(refused=said)
    return Answer(refund=said) if isinstance(said, ProviderRefund) else Answer(payment=_payment_of(said))


def _payment_of(said: object) -> ProviderPayment:
    assert isinstance(said, ProviderPayment)
    return said


def _killed(world: World) -> World:
    budget = replace(world.budget, crashes=world.budget.crashes - 1)
    return replace(world, sender="", answer=None, budget=budget)


def _record(world: World, answer: Answer) -> World:
    """Transaction 2, as `Operations.record`: a conflict reads row and provider again, and merges."""
    assert world.operation is not None
    refused = answer.refused
    if refused is not None and world.operation.verb is not Verb.REFUND and _needs_truth(refused):
        answer = replace(answer, payment=world.gateway.truth())
    if world.payment.version != world.version and (answer.payment or answer.refund):
        answer = replace(answer, payment=world.gateway.truth())
    settled, operation = settle(_reserved(world), answer, NOW, _POLICY)
    return _write(world, settled, operation)


def _needs_truth(refused: ProviderRejected) -> bool:
    return type(refused).__name__ == "ProviderStateConflict"


def _reserved(world: World) -> Reserved:
    assert world.operation is not None
    rows = world.refunds if world.payment.captured_cents else ()
    mine = next((row for row in rows if row.id == world.operation.refund_id), None)
    return Reserved(operation=world.operation, payment=world.payment, refund=mine, refunds=rows)


# --- reconciliation -------------------------------------------------------------------------------


def _reconciliation(world: World) -> Iterator[tuple[str, World]]:
    operation = world.operation
    if operation is None or world.sender:
        return
    world = replace(world, version=world.payment.version)
    if operation.id in world.gateway.executed:
        yield "found", _record(world, _found(world, operation))
        return
    if operation.verb in rules.REPEATABLE or operation.verb is Verb.CREATE:
        if not world.gateway.keys:
            yield "given up", _give_up(world)
            return
        for gateway, said in world.gateway.execute(operation):
            after = replace(world, gateway=gateway)
            answer = _answer(said)
            if answer.refused is not None:  # a rejection of a repeat is not an answer (rule 9)
                continue
            yield "repeated", _record(after, answer)
            yield "repeated, answer lost", _record(after, Answer(lost="no answer"))
    yield "given up", _give_up(world)


def _found(world: World, operation: Operation) -> Answer:
    truth = world.gateway.truth()
    if operation.verb is not Verb.REFUND:
        return Answer(payment=truth, resolution="found")
    [mine] = [refund for refund in truth.refunds or () if refund.refund_id == operation.refund_id]
    return Answer(payment=truth, refund=mine, resolution="found")


def _give_up(world: World) -> World:
    settled, operation = settle_absence(_reserved(world), "absent", NOW)
    return _write(world, settled, operation)


# --- reads: webhooks, sweeps, syncs ----------------------------------------------------------------


def _reader(world: World) -> Iterator[tuple[str, World]]:
    if not world.gateway.exists or world.payment.provider_intent_id is None:
        return
    if world.seen is not None:
        yield "read applied", replace(_apply(world, *world.seen), seen=None)
    elif world.budget.reads:
        budget = replace(world.budget, reads=world.budget.reads - 1)
        yield "read", replace(world, seen=(world.gateway.truth(), world.payment.version), budget=budget)


def _apply(world: World, truth: ProviderPayment, version: int) -> World:
    if world.payment.version != version:
        truth = world.gateway.truth()  # lost the race: row and provider are read again
    settled = settlement.merge(world.payment, truth, NOW, refunds=world.refunds)
    return _write(world, settled, None)


def _outside(world: World) -> Iterator[tuple[str, World]]:
    if not world.budget.outside:
        return
    budget = replace(world.budget, outside=world.budget.outside - 1)
    for name, gateway in world.gateway.by_itself():
        yield name, replace(world, gateway=gateway, budget=budget)


# --- writing --------------------------------------------------------------------------------------

_ONCE = ("payment.success", "payment.created")


def _write(world: World, settled: Settlement, operation: Operation | None) -> World:
    payment = settled.payment
    if settled.changed:
        payment = replace(payment, version=world.payment.version + 1, sync_count=0, next_sync_at=None)
    rows = {row.id: row for row in world.refunds}
    for row in settled.refunds:
        name = row.id if row.version else f"elsewhere_{row.provider_refund_id}"
        rows[name] = replace(row, id=name, version=row.version + 1)
    told = (*world.told, *_kept(settled.events))
    after = replace(
        world, payment=payment, refunds=tuple(rows.values()), told=told, sender="", answer=None,
        ever_captured=world.ever_captured or world.gateway.captured > 0,
    )  # fmt: skip
    if operation is None:
        return replace(after, sender=world.sender, answer=world.answer)
    if operation.is_open:
        return replace(after, operation=replace(operation, resolution=None))
    return replace(
        after, operation=None, closed=tuple(sorted({*world.closed, (operation.id, operation.state.value)}))
    )


def _kept(events: tuple[Event, ...]) -> tuple[str, ...]:
    return tuple(event.type for event in events if event.type in _ONCE)


# --- what must always hold --------------------------------------------------------------------------


def violations(world: World) -> Iterator[str]:
    """Yield each promise that this state breaks."""
    row, gateway = world.payment, world.gateway
    if gateway.charges > 1:
        yield "charged twice"
    if row.refund_reserved_cents > max(row.captured_cents, row.refunded_cents):
        yield "more promised to refunds than was captured"
    if gateway.refunded > gateway.captured:
        yield "more given back than was taken"
    for type_ in _ONCE:
        if world.told.count(type_) > 1:
            yield f"{type_} told twice"
    for name, ending in world.closed:
        took_effect = name in gateway.executed
        if ending in ("abandoned", "rejected") and took_effect and not name.startswith("confirm"):
            yield f"{name} was executed and is called {ending}"
        if ending == "abandoned" and took_effect:
            yield f"{name} was executed and is called {ending}"
    if (
        world.operation is None
        and world.seen is None
        and gateway.exists
        and row.provider_intent_id is not None
    ):
        yield from _after_rest(_apply(world, gateway.truth(), row.version))


def _after_rest(world: World) -> Iterator[str]:
    """Yield what is wrong once nothing is under way and the provider has been read."""
    row, gateway = world.payment, world.gateway
    truth = gateway.truth()
    expected = truth.status
    if truth.status is PaymentStatus.SUCCEEDED and gateway.refunded:
        whole = gateway.refunded >= gateway.captured
        expected = PaymentStatus.REFUNDED if whole else PaymentStatus.PARTIALLY_REFUNDED
    given_up = row.status is PaymentStatus.CANCELED and gateway.status in ("pending", "action")
    if row.status is not expected and not given_up:
        yield f"the row says {row.status}, the provider {expected}"
    ours = (row.captured_cents, row.refunded_cents, row.disputed_cents)
    theirs = (gateway.captured, gateway.refunded, gateway.disputed)
    if ours != theirs:
        yield f"the row's sums are {ours}, the provider's {theirs}"
    if row.refund_reserved_cents != gateway.refunded:
        yield f"{row.refund_reserved_cents} stays promised to refunds, {gateway.refunded} was given back"
    if gateway.captured and world.told.count("payment.success") != 1:
        yield "paid, and not told once"
    counted = sum(each.amount_cents for each in world.refunds if each.keeps_its_share)
    if counted != gateway.refunded:
        yield f"our refund rows add up to {counted}, the provider's to {gateway.refunded}"


# --- keys -------------------------------------------------------------------------------------------


def _truth_key(truth: ProviderPayment) -> tuple[Any, ...]:
    return tuple(getattr(truth, f.name) for f in fields(truth) if f.name not in ("raw", "next_action"))


def _answer_key(answer: Answer | None) -> tuple[Any, ...] | None:
    if answer is None:
        return None
    truth = None if answer.payment is None else _truth_key(answer.payment)
    return truth, answer.refund, type(answer.refused).__name__, answer.lost
