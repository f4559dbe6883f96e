"""A store in this process's memory: for tests, examples and the sandbox, and the reference to copy."""

from __future__ import annotations

import asyncio
import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from ..errors import StoreError
from ..models import (
    OPEN_STATUSES,
    Address,
    Clock,
    Customer,
    Delivery,
    DeliveryState,
    Dispute,
    EndpointHealth,
    Event,
    InboxEntry,
    InboxState,
    OpenOperations,
    Operation,
    OperationState,
    Payment,
    PaymentMethod,
    PaymentStatus,
    Refund,
    ScheduledJob,
    StoredEndpoint,
    Subscription,
    SwitchedOff,
    utc_now,
)
from ..seam import passing
from . import memory_records
from .base import (
    FINISHED_ENTRIES,
    NOBODY_SERVES_IT,
    TOTAL_CAP,
    Backlog,
    IdempotencyRecord,
    IntervalTotals,
    Page,
    PaymentQuery,
    PaymentTotals,
    Queue,
    Store,
    Unit,
)
from .codec import OPERATION_OUTCOME, guest_key, own_payment, own_refund, plain, told
from .telling import Telling

__all__ = ["MemoryStore"]

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class MemoryStore(Telling, Store):
    """Everything in dicts, one unit of work at a time, whichever task or thread asks."""

    def __init__(self, clock: Clock = utc_now) -> None:
        super().__init__()
        self._tables = _Tables()
        self._clock = clock
        self._lock = threading.Lock()

    async def run(self, work: Callable[[Unit], T], *, write: bool = True) -> T:
        # Let others go first, as any database does: a race that can happen there can happen here.
        await asyncio.sleep(0)
        name = getattr(work, "__name__", "unit")
        with self._lock:
            unit = MemoryUnit(self._tables, self._clock, write=write)
            try:
                result = work(unit)
                if unit.refusal is not None:
                    raise unit.refusal
                if write:
                    passing("commit", name)
            except BaseException:
                unit.roll_back()
                raise
        if write:
            self._tell(unit.changed)
            passing("committed", name)
        return result

    async def check(self) -> None:
        """A dict is always reachable."""

    async def upgrade(self) -> None:
        """A dict has no schema."""

    async def aclose(self) -> None:
        """Nothing was opened; what was stored stays readable."""


@dataclass(slots=True)
class _Told:
    """An event of the outbox and how far it is told."""

    event: Event
    available_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Tables:
    payments: dict[str, Payment] = field(default_factory=dict)
    references: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """(provider_id, kind, reference) -> payment id: what must be unique besides ids."""
    operations: dict[str, Operation] = field(default_factory=dict)
    slots: dict[str, str] = field(default_factory=dict)
    """payment id -> the one open operation."""
    keys: dict[tuple[str, str], IdempotencyRecord] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    outbox: dict[str, _Told] = field(default_factory=dict)
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    inbox: dict[str, InboxEntry] = field(default_factory=dict)
    endpoints: dict[str, StoredEndpoint] = field(default_factory=dict)
    health: dict[str, EndpointHealth] = field(default_factory=dict)
    jobs: dict[str, tuple[ScheduledJob, str | None]] = field(default_factory=dict)
    """name -> the job and the token of who is at it."""
    customers: dict[str, Customer] = field(default_factory=dict)
    owners: dict[tuple[str, str], str] = field(default_factory=dict)
    """(provider_id, owner) -> the one customer that this owner has at the account."""
    payment_methods: dict[str, PaymentMethod] = field(default_factory=dict)
    addresses: dict[str, Address] = field(default_factory=dict)
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    disputes: dict[str, Dispute] = field(default_factory=dict)


def _queue(created: Iterable[datetime]) -> Queue:
    times = list(created)
    return Queue(count=min(len(times), TOTAL_CAP), oldest=min(times, default=None))


class MemoryUnit:
    """One transaction: writes go straight into the tables, and are taken back if it fails."""

    def __init__(self, tables: _Tables, clock: Clock, *, write: bool) -> None:
        self.tables = tables
        self.refusal: StoreError | None = None
        """A refused statement ends the transaction, even if the unit of work looks away."""
        self.changed: list[Customer | PaymentMethod] = []
        """Rows of which somebody may want to hear after the commit."""
        self._clock = clock
        self._write = write
        self._undo: list[Callable[[], object]] = []
        self.payments: _Payments = _Payments(self)
        self.operations: _Operations = _Operations(self)
        self.idempotency: _Idempotency = _Idempotency(self)
        self.refunds: _Refunds = _Refunds(self)
        self.events: _Events = _Events(self)
        self.deliveries: _Deliveries = _Deliveries(self)
        self.inbox: _Inbox = _Inbox(self)
        self.endpoints: _Endpoints = _Endpoints(self)
        self.jobs: _Jobs = _Jobs(self)
        self.customers: memory_records.Customers = memory_records.Customers(self, tables.customers)
        self.payment_methods: memory_records.PaymentMethods = memory_records.PaymentMethods(
            self, tables.payment_methods
        )
        self.addresses: memory_records.Addresses = memory_records.Addresses(self, tables.addresses)
        self.subscriptions: memory_records.Subscriptions = memory_records.Subscriptions(
            self, tables.subscriptions
        )
        self.disputes: memory_records.Disputes = memory_records.Disputes(self, tables.disputes)

    def backlog(self) -> Backlog:
        tables = self.tables
        started = [row for row in tables.operations.values() if row.is_open]
        deliveries, inbox = tables.deliveries.values(), tables.inbox.values()
        return Backlog(
            open_operations=_queue(row.created_at for row in started),
            unknown_operations=_queue(
                row.created_at for row in started if row.state is OperationState.UNKNOWN
            ),
            untold_events=_queue(
                told.event.created_at for told in tables.outbox.values() if told.available_at is not None
            ),
            pending_deliveries=_queue(row.created_at for row in deliveries if row.available_at is not None),
            inbox=_queue(row.created_at for row in inbox if row.available_at is not None),
            dead_deliveries=sum(row.state is DeliveryState.DEAD for row in deliveries),
            dead_inbox=sum(row.state is InboxState.DEAD for row in inbox),
        )

    def put(self, table: dict[K, V], key: K, value: V) -> None:
        self._writable()
        if key in table:
            old = table[key]
            self._undo.append(lambda: table.update({key: old}))
        else:
            self._undo.append(lambda: table.pop(key))
        table[key] = value

    def insert(self, table: dict[K, V], key: K, value: V) -> None:
        if key in table:
            raise self.refuse("a row with this identity exists")
        self.put(table, key, value)

    def drop(self, table: dict[K, V], key: K) -> None:
        self._writable()
        old = table.pop(key)
        self._undo.append(lambda: table.update({key: old}))

    def roll_back(self) -> None:
        while self._undo:
            self._undo.pop()()

    def refuse(self, message: str) -> StoreError:
        self.refusal = self.refusal or StoreError(message)
        return self.refusal

    def in_seconds(self, seconds: float) -> datetime:
        return self._clock() + timedelta(seconds=seconds)

    def is_due(self, moment: datetime | None) -> bool:
        return moment is not None and moment <= self._clock()

    def _writable(self) -> None:
        if self.refusal is not None:
            raise self.refusal
        if not self._write:
            raise self.refuse("this unit of work was opened for reading")


class _Repository:
    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit
        self._tables = unit.tables


class _Payments(_Repository):
    def get(self, payment_id: str) -> Payment | None:
        return self._tables.payments.get(payment_id)

    def get_by_reference(self, provider_id: str, reference: str) -> Payment | None:
        found = [
            payment
            for payment in self._tables.payments.values()
            if payment.provider_id == provider_id
            and reference in (payment.provider_intent_id, payment.provider_payment_id)
        ]
        return min(found, key=lambda p: (p.provider_intent_id != reference, p.id), default=None)

    def get_by_our_reference(self, reference: str) -> Payment | None:
        return next((p for p in self._tables.payments.values() if p.reference == reference), None)

    def add(self, payment: Payment) -> None:
        self._check(payment)
        self._unit.insert(self._tables.payments, payment.id, own_payment(payment))
        self._hold_intent(payment)

    def save(self, payment: Payment, *, expected_version: int) -> bool:
        stored = self._tables.payments.get(payment.id)
        if stored is None or stored.version != expected_version:
            return False
        self._check(payment)
        changed = replace(own_payment(payment), version=expected_version + 1)
        self._unit.put(self._tables.payments, payment.id, changed)
        self._hold_intent(payment)
        return True

    def list(self, query: PaymentQuery) -> Page:
        found = [payment for payment in self._tables.payments.values() if _matches(payment, query)]
        total = min(len(found), TOTAL_CAP)
        if query.before_id is not None:
            edge = query.before_id
            found = [p for p in found if (p.id < edge if query.descending else p.id > edge)]
        found.sort(key=lambda payment: _order(payment, query), reverse=query.descending)
        return Page(items=tuple(found[query.offset : query.offset + query.limit]), total=total)

    def claim_due(self, *, limit: int, lease_seconds: float) -> Sequence[Payment]:
        until = self._unit.in_seconds(lease_seconds)
        due = [p for p in self._tables.payments.values() if self._unit.is_due(p.next_sync_at)]
        claimed = [replace(p, next_sync_at=until) for p in _first(due, limit, lambda p: p.next_sync_at)]
        for payment in claimed:
            self._unit.put(self._tables.payments, payment.id, payment)
        return claimed

    def with_stale_secrets(self, *, before: datetime, limit: int) -> Sequence[Payment]:
        stale = [
            payment
            for payment in self._tables.payments.values()
            if payment.client_secret is not None
            and payment.client_secret_expires_at is not None
            and payment.client_secret_expires_at < before
        ]
        return _first(stale, limit, lambda payment: payment.client_secret_expires_at)

    def take_merchant_reference(self, provider_id: str, reference_code: str, payment_id: str) -> str:
        key = (provider_id, "merchant", reference_code)
        holder = self._tables.references.get(key)
        if holder is None:
            self._unit.put(self._tables.references, key, payment_id)
        return holder or payment_id

    def replace_merchant_reference(
        self, provider_id: str, reference_code: str, *, old: str, new: str
    ) -> bool:
        key = (provider_id, "merchant", reference_code)
        if self._tables.references.get(key) != old:
            return False
        self._unit.put(self._tables.references, key, new)
        return True

    def totals(self) -> Sequence[PaymentTotals]:
        sums: dict[tuple[PaymentStatus, str], list[int]] = {}
        for payment in self._tables.payments.values():
            found = sums.setdefault((payment.status, payment.currency), [0, 0, 0])
            parts = (1, payment.captured_cents, payment.refunded_cents)
            found[:] = [have + more for have, more in zip(found, parts, strict=True)]
        return [
            PaymentTotals(
                status=status,
                currency=currency,
                count=found[0],
                captured_cents=found[1],
                refunded_cents=found[2],
            )
            for (status, currency), found in sorted(sums.items())
        ]

    def totals_over(self, edges: Sequence[datetime]) -> Sequence[IntervalTotals]:
        found: dict[tuple[int, str | None, PaymentStatus, str], list[Payment]] = {}
        for payment in self._tables.payments.values():
            if edges[0] <= payment.created_at < edges[-1]:
                number = bisect_right(edges, payment.created_at) - 1
                group = (number, payment.provider_id, payment.status, payment.currency)
                found.setdefault(group, []).append(payment)
        return [
            IntervalTotals(
                interval=number,
                provider_id=provider_id,
                status=status,
                currency=currency,
                count=len(payments),
                captured_cents=sum(payment.captured_cents for payment in payments),
                refunded_cents=sum(payment.refunded_cents for payment in payments),
            )
            for (number, provider_id, status, currency), payments in found.items()
        ]

    def count_recent_guest(self, guest_email: str, *, since: datetime) -> int:
        query = PaymentQuery(guest_email=guest_email, statuses=OPEN_STATUSES, created_from=since)
        return sum(_matches(payment, query) for payment in self._tables.payments.values())

    def _hold_intent(self, payment: Payment) -> None:
        if payment.provider_id is None or payment.provider_intent_id is None:
            return
        key = (payment.provider_id, "intent", payment.provider_intent_id)
        holder = self._tables.references.get(key)
        if holder is None:
            self._unit.put(self._tables.references, key, payment.id)
        elif holder != payment.id:
            raise self._unit.refuse("another payment holds this reference of the provider")

    def _check(self, payment: Payment) -> None:
        """Hold the same line as the CHECK constraints in `stores/sql/tables.py`; the reasons are there."""
        parts = (payment.subtotal_cents, payment.tax_cents, payment.discount_cents, payment.total_cents)
        sums = (
            payment.authorized_cents,
            payment.captured_cents,
            payment.refunded_cents,
            payment.refund_reserved_cents,
            payment.disputed_cents,
        )
        if payment.total_cents != payment.subtotal_cents + payment.tax_cents - payment.discount_cents:
            raise self._unit.refuse("the total is not subtotal + tax - discount")
        if min(*parts, *sums) < 0:
            raise self._unit.refuse("an amount is negative")
        if payment.refund_reserved_cents > max(payment.captured_cents, payment.refunded_cents):
            raise self._unit.refuse("more is promised to refunds than was captured")


class _Operations(_Repository):
    def get(self, operation_id: str) -> Operation | None:
        return self._tables.operations.get(operation_id)

    def get_by_reference(self, reference: str) -> Operation | None:
        return next((o for o in self._tables.operations.values() if o.reference == reference), None)

    def for_subject(self, subject_id: str) -> Sequence[Operation]:
        found = (each for each in self._tables.operations.values() if each.subject_id == subject_id)
        return sorted(found, key=lambda operation: operation.id)

    def reserve(self, operation: Operation, *, lease_seconds: float) -> str | None:
        holder = self._tables.slots.get(operation.subject_id)
        if holder is not None:
            return holder
        if self.get_by_reference(operation.reference) is not None:
            raise self._unit.refuse("another operation has this reference")
        until = self._unit.in_seconds(lease_seconds)
        kept = replace(
            operation,
            inputs=plain(operation.inputs),
            steps=plain(operation.steps),
            lease_until=until,
            due_at=until,
        )
        self._unit.insert(self._tables.operations, operation.id, kept)
        self._unit.put(self._tables.slots, operation.subject_id, operation.id)
        return None

    def save(self, operation: Operation, *, token: str | None) -> bool:
        stored = self._tables.operations.get(operation.id)
        if stored is None or stored.lease_token != token:
            return False
        outcome: dict[str, Any] = {name: getattr(operation, name) for name in OPERATION_OUTCOME}
        outcome["steps"] = plain(operation.steps)
        changed = replace(stored, **outcome, version=stored.version + 1)
        if not changed.is_open:
            changed = replace(changed, lease_token=None, lease_until=None, due_at=None)
            if self.holder_of(stored.subject_id) == stored.id:
                self._unit.drop(self._tables.slots, stored.subject_id)
        self._unit.put(self._tables.operations, stored.id, changed)
        return True

    def hand_back(self, operation_id: str, *, token: str, delay_seconds: float) -> bool:
        stored = self._tables.operations.get(operation_id)
        if stored is None or not stored.is_open or stored.lease_token != token:
            return False
        due = self._unit.in_seconds(delay_seconds)
        changed = replace(stored, lease_token=None, lease_until=None, due_at=due)
        self._unit.put(self._tables.operations, operation_id, changed)
        return True

    def lease(self, operation_id: str, *, token: str, lease_seconds: float) -> Operation | None:
        stored = self._tables.operations.get(operation_id)
        if stored is None or not stored.is_open or self._is_leased(stored):
            return None
        return self._leased(stored, token, lease_seconds)

    def claim_due(self, *, limit: int, lease_seconds: float, token: str) -> Sequence[Operation]:
        due = [
            operation
            for operation in self._tables.operations.values()
            if operation.is_open and self._unit.is_due(operation.due_at) and not self._is_leased(operation)
        ]
        first = _first(due, limit, lambda operation: operation.due_at)
        return [
            self._leased(replace(operation, attempts=operation.attempts + 1), token, lease_seconds)
            for operation in first
        ]

    def holder_of(self, subject_id: str) -> str | None:
        return self._tables.slots.get(subject_id)

    def list_open(self, *, limit: int) -> Sequence[Operation]:
        return _first([o for o in self._tables.operations.values() if o.is_open], limit, lambda o: o.id)

    def count_open(self) -> Sequence[OpenOperations]:
        groups: dict[tuple[str, OperationState], list[Operation]] = {}
        for operation in self._tables.operations.values():
            if operation.is_open:
                groups.setdefault((operation.provider_id, operation.state), []).append(operation)
        return [
            OpenOperations(
                provider_id=provider_id,
                state=state,
                count=len(found),
                oldest=min(operation.created_at for operation in found),
            )
            for (provider_id, state), found in sorted(groups.items())
        ]

    def _is_leased(self, operation: Operation) -> bool:
        return operation.lease_until is not None and not self._unit.is_due(operation.lease_until)

    def _leased(self, operation: Operation, token: str, seconds: float) -> Operation:
        until = self._unit.in_seconds(seconds)
        leased = replace(operation, lease_token=token, lease_until=until, due_at=until)
        self._unit.put(self._tables.operations, operation.id, leased)
        return leased


class _Idempotency(_Repository):
    def put(self, record: IdempotencyRecord) -> IdempotencyRecord:
        key = (record.scope, record.key)
        earlier = self._tables.keys.get(key)
        if earlier is None:
            self._unit.put(self._tables.keys, key, record)
        return earlier or record

    def release(self, operation_id: str) -> int:
        released = [key for key, record in self._tables.keys.items() if record.operation_id == operation_id]
        return _drop_all(self._unit, self._tables.keys, released)

    def delete_before(self, moment: datetime, *, limit: int) -> int:
        old = [(key, record) for key, record in self._tables.keys.items() if record.created_at < moment]
        old.sort(key=lambda item: item[1].created_at)
        return _drop_all(self._unit, self._tables.keys, [key for key, _ in old[:limit]])


class _Refunds(_Repository):
    def get(self, refund_id: str) -> Refund | None:
        return self._tables.refunds.get(refund_id)

    def get_by_reference(self, provider_id: str, reference: str) -> Refund | None:
        for refund in self._tables.refunds.values():
            if (refund.provider_id, refund.provider_refund_id) == (provider_id, reference):
                return refund
        return None

    def for_payment(self, payment_id: str) -> Sequence[Refund]:
        found = (each for each in self._tables.refunds.values() if each.payment_id == payment_id)
        return sorted(found, key=lambda refund: refund.id)

    def add(self, refund: Refund) -> None:
        self._check(refund)
        self._unit.insert(self._tables.refunds, refund.id, own_refund(refund))

    def save(self, refund: Refund, *, expected_version: int) -> bool:
        stored = self._tables.refunds.get(refund.id)
        if stored is None or stored.version != expected_version:
            return False
        self._check(refund)
        self._unit.put(
            self._tables.refunds, refund.id, replace(own_refund(refund), version=expected_version + 1)
        )
        return True

    def _check(self, refund: Refund) -> None:
        if refund.provider_refund_id is not None:
            holder = self.get_by_reference(refund.provider_id, refund.provider_refund_id)
            if holder is not None and holder.id != refund.id:
                raise self._unit.refuse("another refund holds this reference of the provider")


class _Events(_Repository):
    def add(self, event: Event) -> None:
        entry = _Told(event=told(event), available_at=self._unit.in_seconds(0))
        self._unit.insert(self._tables.outbox, event.id, entry)

    def get(self, event_id: str) -> Event | None:
        entry = self._tables.outbox.get(event_id)
        return entry.event if entry is not None else None

    def get_all(self, event_ids: Sequence[str]) -> Mapping[str, Event]:
        return {i: self._tables.outbox[i].event for i in event_ids if i in self._tables.outbox}

    def count_by_type(self) -> Mapping[str, int]:
        return Counter(entry.event.type for entry in self._tables.outbox.values())

    def for_subject(self, subject_id: str) -> Sequence[Event]:
        events = [entry.event for entry in self._tables.outbox.values()]
        return sorted((e for e in events if e.subject_id == subject_id), key=lambda event: event.id)

    def claim_untold(self, *, limit: int, lease_seconds: float) -> Sequence[Event]:
        due = [entry for entry in self._tables.outbox.values() if self._unit.is_due(entry.available_at)]
        due.sort(key=lambda entry: (entry.available_at, entry.event.id))
        for entry in due[:limit]:
            leased = _Told(event=entry.event, available_at=self._unit.in_seconds(lease_seconds))
            self._unit.put(self._tables.outbox, entry.event.id, leased)
        return [entry.event for entry in due[:limit]]

    def mark_told(self, *event_ids: str) -> None:
        for event_id in event_ids:
            entry = self._tables.outbox.get(event_id)
            if entry is not None:
                self._unit.put(self._tables.outbox, event_id, _Told(event=entry.event, available_at=None))

    def delete_told_before(self, moment: datetime, *, limit: int) -> int:
        deliveries = self._tables.deliveries
        waiting = {d.event_id for d in deliveries.values() if d.state is DeliveryState.PENDING}
        told = [
            (entry.event.created_at, event_id)
            for event_id, entry in self._tables.outbox.items()
            if entry.available_at is None and entry.event.created_at < moment and event_id not in waiting
        ]
        old = [event_id for _, event_id in sorted(told)[:limit]]
        _drop_all(self._unit, deliveries, [d.id for d in deliveries.values() if d.event_id in old])
        return _drop_all(self._unit, self._tables.outbox, old)


class _Deliveries(_Repository):
    def add(self, delivery: Delivery) -> bool:
        pair = (delivery.event_id, delivery.endpoint)
        if any((d.event_id, d.endpoint) == pair for d in self._tables.deliveries.values()):
            return False
        due = None if delivery.state is DeliveryState.DEAD else self._unit.in_seconds(0)
        self._unit.insert(self._tables.deliveries, delivery.id, replace(delivery, available_at=due))
        return True

    def add_all(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self.add(delivery)

    def get(self, delivery_id: str) -> Delivery | None:
        return self._tables.deliveries.get(delivery_id)

    def claim_due(
        self, *, limit: int, lease_seconds: float, token: str, endpoints: Sequence[str] | None = None
    ) -> Sequence[Delivery]:
        until = self._unit.in_seconds(lease_seconds)
        due = [
            delivery
            for delivery in self._tables.deliveries.values()
            if self._unit.is_due(delivery.available_at)
            and (endpoints is None or delivery.endpoint in endpoints)
        ]
        claimed = [
            replace(d, available_at=until, claim_token=token, attempts=d.attempts + 1)
            for d in _first(due, limit, lambda delivery: delivery.available_at)
        ]
        for delivery in claimed:
            self._unit.put(self._tables.deliveries, delivery.id, delivery)
        return claimed

    def finish(
        self,
        delivery: Delivery,
        *,
        token: str,
        state: DeliveryState,
        retry_in_seconds: float | None = None,
    ) -> bool:
        stored = self._tables.deliveries.get(delivery.id)
        if stored is None or stored.claim_token != token:
            return False
        changed = replace(
            stored,
            state=state,
            status_code=delivery.status_code,
            error=delivery.error,
            delivered_at=(delivery.delivered_at or self._unit.in_seconds(0))
            if state is DeliveryState.DELIVERED
            else None,
            available_at=self._unit.in_seconds(retry_in_seconds or 0)
            if state is DeliveryState.PENDING
            else None,
            claim_token=None,
        )
        self._unit.put(self._tables.deliveries, delivery.id, changed)
        return True

    def finish_delivered(self, delivery_ids: Sequence[str], *, token: str, status_code: int | None) -> int:
        found = [self._tables.deliveries[i] for i in delivery_ids if i in self._tables.deliveries]
        return sum(
            self.finish(
                replace(one, status_code=status_code, error=None, delivered_at=None),
                token=token,
                state=DeliveryState.DELIVERED,
            )
            for one in found
        )

    def release(self, delivery_ids: Sequence[str], *, token: str) -> int:
        mine = [
            found
            for found in map(self._tables.deliveries.get, delivery_ids)
            if found is not None and found.claim_token == token
        ]
        for one in mine:
            free = replace(
                one, available_at=self._unit.in_seconds(0), claim_token=None, attempts=one.attempts - 1
            )
            self._unit.put(self._tables.deliveries, one.id, free)
        return len(mine)

    def count(self, *, since: datetime) -> Mapping[DeliveryState, int]:
        made = (one for one in self._tables.deliveries.values() if one.created_at >= since)
        return Counter(one.state for one in made)

    def give_up_before(self, moment: datetime, *, limit: int) -> int:
        old = sorted(
            (
                one
                for one in self._tables.deliveries.values()
                if one.state is DeliveryState.PENDING and one.created_at < moment
            ),
            key=lambda one: one.id,
        )[:limit]
        for one in old:
            dead = replace(
                one, state=DeliveryState.DEAD, available_at=None, claim_token=None, error=NOBODY_SERVES_IT
            )
            self._unit.put(self._tables.deliveries, one.id, dead)
        return len(old)

    def redeliver(self, delivery_id: str) -> bool:
        stored = self._tables.deliveries.get(delivery_id)
        if stored is None or stored.state is DeliveryState.PENDING:
            return False
        changed = replace(
            stored,
            state=DeliveryState.PENDING,
            attempts=0,
            available_at=self._unit.in_seconds(0),
            delivered_at=None,
            claim_token=None,
        )
        self._unit.put(self._tables.deliveries, delivery_id, changed)
        return True

    def list(
        self,
        *,
        state: DeliveryState | None = None,
        event_id: str | None = None,
        endpoint: str | None = None,
        before_id: str | None = None,
        limit: int = 50,
    ) -> Sequence[Delivery]:
        found = [
            delivery
            for delivery in self._tables.deliveries.values()
            if (state is None or delivery.state is state)
            and (event_id is None or delivery.event_id == event_id)
            and (endpoint is None or delivery.endpoint == endpoint)
            and (before_id is None or delivery.id < before_id)
        ]
        return sorted(found, key=lambda delivery: delivery.id, reverse=True)[:limit]


class _Inbox(_Repository):
    def add(self, entry: InboxEntry) -> bool:
        if self.get_by_event(entry.provider_id, entry.provider_event_id) is not None:
            return False
        due = replace(entry, headers=plain(entry.headers), available_at=self._unit.in_seconds(0))
        self._unit.insert(self._tables.inbox, entry.id, due)
        return True

    def get(self, entry_id: str) -> InboxEntry | None:
        return self._tables.inbox.get(entry_id)

    def get_by_event(self, provider_id: str, provider_event_id: str) -> InboxEntry | None:
        for entry in self._tables.inbox.values():
            if (entry.provider_id, entry.provider_event_id) == (provider_id, provider_event_id):
                return entry
        return None

    def claim_due(
        self, *, limit: int, lease_seconds: float, token: str, provider_id: str | None = None
    ) -> Sequence[InboxEntry]:
        until = self._unit.in_seconds(lease_seconds)
        due = [
            entry
            for entry in self._tables.inbox.values()
            if self._unit.is_due(entry.available_at)
            and (provider_id is None or entry.provider_id == provider_id)
        ]
        claimed = [
            replace(entry, available_at=until, claim_token=token, attempts=entry.attempts + 1)
            for entry in _first(due, limit, lambda entry: entry.available_at)
        ]
        for entry in claimed:
            self._unit.put(self._tables.inbox, entry.id, entry)
        return claimed

    def finish(
        self,
        entry: InboxEntry,
        *,
        token: str,
        state: InboxState,
        retry_in_seconds: float | None = None,
    ) -> bool:
        stored = self._tables.inbox.get(entry.id)
        if stored is None or stored.claim_token != token:
            return False
        waits = state in (InboxState.RECEIVED, InboxState.PARKED)
        changed = replace(
            stored,
            state=state,
            error_message=entry.error_message,
            payment_id=entry.payment_id,
            processed_at=None if waits else entry.processed_at or self._unit.in_seconds(0),
            available_at=self._unit.in_seconds(retry_in_seconds or 0) if waits else None,
            claim_token=None,
        )
        self._unit.put(self._tables.inbox, entry.id, changed)
        return True

    def replay(self, entry_id: str) -> bool:
        stored = self._tables.inbox.get(entry_id)
        if stored is None:
            return False
        changed = replace(
            stored,
            state=InboxState.RECEIVED,
            attempts=0,
            available_at=self._unit.in_seconds(0),
            processed_at=None,
            claim_token=None,
        )
        self._unit.put(self._tables.inbox, entry_id, changed)
        return True

    def release(self, entry_ids: Sequence[str], *, token: str) -> int:
        mine = [
            found
            for found in map(self._tables.inbox.get, entry_ids)
            if found is not None and found.claim_token == token
        ]
        for one in mine:
            free = replace(
                one, available_at=self._unit.in_seconds(0), claim_token=None, attempts=one.attempts - 1
            )
            self._unit.put(self._tables.inbox, one.id, free)
        return len(mine)

    def blank(self, *, after_id: str, before_id: str, limit: int) -> tuple[int, str | None]:
        between = sorted(entry_id for entry_id in self._tables.inbox if after_id < entry_id < before_id)
        looked_at = [self._tables.inbox[entry_id] for entry_id in between[:limit]]
        full = [entry for entry in looked_at if entry.state in FINISHED_ENTRIES and entry.payload]
        for entry in full:
            self._unit.put(self._tables.inbox, entry.id, replace(entry, payload="", headers={}))
        return len(full), looked_at[-1].id if looked_at else None

    def count(self, *, provider_id: str | None = None) -> Mapping[InboxState, int]:
        return Counter(
            entry.state
            for entry in self._tables.inbox.values()
            if provider_id is None or entry.provider_id == provider_id
        )

    def list(
        self,
        *,
        provider_id: str | None = None,
        state: InboxState | None = None,
        payment_id: str | None = None,
        before_id: str | None = None,
        limit: int = 50,
    ) -> Sequence[InboxEntry]:
        found = [
            entry
            for entry in self._tables.inbox.values()
            if (provider_id is None or entry.provider_id == provider_id)
            and (state is None or entry.state is state)
            and (payment_id is None or entry.payment_id == payment_id)
            and (before_id is None or entry.id < before_id)
        ]
        return sorted(found, key=lambda entry: entry.id, reverse=True)[:limit]


class _Endpoints(_Repository):
    def add(self, endpoint: StoredEndpoint) -> None:
        self._unit.insert(self._tables.endpoints, endpoint.id, _own_endpoint(endpoint))

    def get(self, endpoint_id: str) -> StoredEndpoint | None:
        return self._tables.endpoints.get(endpoint_id)

    def list(self) -> Sequence[StoredEndpoint]:
        return sorted(self._tables.endpoints.values(), key=lambda endpoint: endpoint.id)

    def save(self, endpoint: StoredEndpoint, *, expected_version: int) -> bool:
        stored = self._tables.endpoints.get(endpoint.id)
        if stored is None or stored.version != expected_version:
            return False
        changed = replace(_own_endpoint(endpoint), version=expected_version + 1)
        self._unit.put(self._tables.endpoints, endpoint.id, changed)
        return True

    def delete(self, endpoint_id: str) -> bool:
        if endpoint_id not in self._tables.endpoints:
            return False
        self._unit.drop(self._tables.endpoints, endpoint_id)
        if endpoint_id in self._tables.health:
            self._unit.drop(self._tables.health, endpoint_id)
        return True

    def health(self) -> Sequence[EndpointHealth]:
        return sorted(self._tables.health.values(), key=lambda health: health.endpoint)

    def failed(self, endpoint: str) -> EndpointHealth:
        known = self._of(endpoint)
        since = known.failing_since or self._unit.in_seconds(0)
        changed = replace(known, failures=known.failures + 1, failing_since=since)
        self._unit.put(self._tables.health, endpoint, changed)
        return changed

    def recovered(self, endpoint: str) -> None:
        if self._of(endpoint).failing_since is not None:
            changed = replace(self._of(endpoint), failures=0, failing_since=None)
            self._unit.put(self._tables.health, endpoint, changed)

    def switch_off(self, endpoint: str, reason: SwitchedOff) -> bool:
        known = self._of(endpoint)
        if known.disabled_at is not None:
            return False
        changed = replace(known, disabled_at=self._unit.in_seconds(0), disabled_reason=reason)
        self._unit.put(self._tables.health, endpoint, changed)
        return True

    def switch_on(self, endpoint: str) -> bool:
        if self._of(endpoint).disabled_at is None:
            return False
        self._unit.put(self._tables.health, endpoint, EndpointHealth(endpoint=endpoint))
        return True

    def _of(self, endpoint: str) -> EndpointHealth:
        return self._tables.health.get(endpoint) or EndpointHealth(endpoint=endpoint)


class _Jobs(_Repository):
    def take(self, name: str, *, lease_seconds: float, token: str) -> ScheduledJob | None:
        now = self._unit.in_seconds(0)
        job, _ = self._tables.jobs.get(name, (ScheduledJob(name=name, due_at=now), None))
        leased = job.lease_until is not None and not self._unit.is_due(job.lease_until)
        if leased or not self._unit.is_due(job.due_at):
            return None
        taken = replace(job, lease_until=self._unit.in_seconds(lease_seconds), started_at=now)
        self._unit.put(self._tables.jobs, name, (taken, token))
        return taken

    def extend(self, name: str, *, lease_seconds: float, token: str) -> bool:
        job, holder = self._tables.jobs.get(name, (None, None))
        if job is None or holder != token:
            return False
        kept = replace(job, lease_until=self._unit.in_seconds(lease_seconds))
        self._unit.put(self._tables.jobs, name, (kept, token))
        return True

    def finish(
        self,
        name: str,
        *,
        token: str,
        next_in_seconds: float,
        handled: int = 0,
        error: str | None = None,
        note: str | None = None,
    ) -> bool:
        job, holder = self._tables.jobs.get(name, (None, None))
        if job is None or holder != token:
            return False
        done = replace(
            job,
            due_at=self._unit.in_seconds(next_in_seconds),
            lease_until=None,
            finished_at=self._unit.in_seconds(0),
            handled=handled,
            error=error,
            note=note,
        )
        self._unit.put(self._tables.jobs, name, (done, None))
        return True

    def list(self) -> Sequence[ScheduledJob]:
        return sorted((job for job, _ in self._tables.jobs.values()), key=lambda job: job.name)


# --- pure helpers ---------------------------------------------------------------------------------

Row = TypeVar("Row", Payment, Operation, Delivery, InboxEntry)


def _matches(payment: Payment, query: PaymentQuery) -> bool:
    """Tell whether *payment* is in the whole that *query* asks for; the keyset is not part of it."""
    wanted = (
        query.user_id is None or payment.user_id == query.user_id,
        query.guest_email is None
        or (payment.is_guest_payment and guest_key(payment.guest_email) == guest_key(query.guest_email)),
        query.statuses is None or payment.status in query.statuses,
        query.provider_id is None or payment.provider_id == query.provider_id,
        query.reference_code is None or payment.reference_code == query.reference_code,
        query.created_from is None or payment.created_at >= query.created_from,
        query.created_to is None or payment.created_at <= query.created_to,
        not query.search or _mentions(payment, query.search.lower()),
    )
    return all(wanted)


def _mentions(payment: Payment, words: str) -> bool:
    texts = (payment.id, payment.guest_email, payment.description)
    return any(text is not None and words in text.lower() for text in texts)


def _order(payment: Payment, query: PaymentQuery) -> tuple[Any, ...]:
    match query.order_by:
        case "created_at":
            return (payment.id,)  # ids are drawn in the order of creation: one column, one cursor
        case "updated_at":
            return (payment.updated_at, payment.id)
        case "amount_cents":
            return (payment.total_cents, payment.id)
        case "status":
            return (payment.status.value, payment.id)


def _own_endpoint(endpoint: StoredEndpoint) -> StoredEndpoint:
    return replace(endpoint, headers=plain(endpoint.headers), metadata=plain(endpoint.metadata))


def _first(rows: Iterable[Row], limit: int, due: Callable[[Row], Any]) -> list[Row]:
    return sorted(rows, key=lambda row: (due(row), row.id))[:limit]


def _drop_all(unit: MemoryUnit, table: dict[K, V], keys: Sequence[K]) -> int:
    for key in keys:
        unit.drop(table, key)
    return len(keys)
