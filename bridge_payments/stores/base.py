"""
Where the engine remembers things.

A store runs units of work. A unit of work is an ordinary function: it cannot
`await`, so no transaction can ever span a call to a provider, and it may be run
again after a deadlock or a serialization failure. It must have no side effect
beyond the unit it receives.

`stores/memory.py` is the reference to copy; `bridge_payments.testing.StoreConformance`
says whether a store holds what these docstrings promise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol, TypeVar

from ..models import (
    Delivery,
    DeliveryState,
    EndpointHealth,
    Event,
    InboxEntry,
    InboxState,
    OpenOperations,
    Operation,
    Payment,
    PaymentStatus,
    Refund,
    ScheduledJob,
    StoredEndpoint,
    SwitchedOff,
)
from .contract.addresses import AddressQuery, AddressRepository
from .contract.customers import CustomerQuery, CustomerRepository
from .contract.disputes import DisputeRepository
from .contract.lists import Listing, OwnedQuery
from .contract.payment_methods import PaymentMethodQuery, PaymentMethodRepository
from .contract.subscriptions import SubscriptionQuery, SubscriptionRepository
from .telling import Listener

__all__ = [
    "FINISHED_ENTRIES",
    "NOBODY_SERVES_IT",
    "TOTAL_CAP",
    "AddressQuery",
    "AddressRepository",
    "Backlog",
    "CustomerQuery",
    "CustomerRepository",
    "DeliveryRepository",
    "DisputeRepository",
    "EndpointRepository",
    "EventRepository",
    "IdempotencyRecord",
    "IdempotencyRepository",
    "InboxRepository",
    "IntervalTotals",
    "JobRepository",
    "Listing",
    "OperationRepository",
    "OwnedQuery",
    "Page",
    "PaymentMethodQuery",
    "PaymentMethodRepository",
    "PaymentQuery",
    "PaymentRepository",
    "PaymentTotals",
    "Queue",
    "RefundRepository",
    "Store",
    "SubscriptionQuery",
    "SubscriptionRepository",
    "Unit",
]

T = TypeVar("T")

TOTAL_CAP: Final = 10_000
"""How far a list counts the whole that its page is of."""

FINISHED_ENTRIES: Final = frozenset({InboxState.PROCESSED, InboxState.IGNORED, InboxState.DEAD})
NOBODY_SERVES_IT: Final = "no process has delivered to this endpoint for weeks"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentQuery:
    """Which payments, in which order. Without an owner it lists everybody's: for admins only."""

    user_id: str | None = None
    guest_email: str | None = None
    """Matched case-insensitively, guest payments only."""
    statuses: frozenset[PaymentStatus] | None = None
    provider_id: str | None = None
    reference_code: str | None = None
    """The merchant's own, whole: capitals and blanks count."""
    search: str | None = None
    """Part of the id, the guest e-mail or the description."""
    created_from: datetime | None = None
    created_to: datetime | None = None
    order_by: Literal["created_at", "updated_at", "amount_cents", "status"] = "created_at"
    descending: bool = True
    limit: int = 20
    offset: int = 0
    before_id: str | None = None
    """Keyset: only ids on the far side of this one; used with ``created_at`` order only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page and the count of the whole."""

    items: tuple[Payment, ...]
    total: int
    """At most `TOTAL_CAP`, which then means "so many or more": counting millions takes seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentTotals:
    """How many payments of one status and currency there are, and their money."""

    status: PaymentStatus
    currency: str
    count: int
    captured_cents: int
    refunded_cents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalTotals:
    """How many payments of one account, status and currency were begun in one interval, and their money."""

    interval: int
    """Which one, from 0."""
    provider_id: str | None
    status: PaymentStatus
    currency: str
    count: int
    captured_cents: int
    refunded_cents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyRecord:
    """Who used a key for what. Never the answer: that is rebuilt from the rows."""

    scope: str
    """Verb and principal: two callers never share a key."""
    key: str
    body_hash: str
    operation_id: str | None
    subject_id: str
    refund_id: str | None = None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """How much waits, and since when the oldest of it does."""

    count: int = 0
    """At most `TOTAL_CAP`, which then means "so many or more"."""
    oldest: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits for somebody: for a worker, for a provider's answer, for an operator."""

    open_operations: Queue = Queue()
    """Every operation that is not finished, those with an unknown outcome included."""
    unknown_operations: Queue = Queue()
    untold_events: Queue = Queue()
    """Events that have no deliveries yet."""
    pending_deliveries: Queue = Queue()
    inbox: Queue = Queue()
    """Received webhooks that are not worked off, parked ones included."""
    dead_deliveries: int = 0
    dead_inbox: int = 0
    """Received webhooks that were given up. These two are for an operator, and at most `TOTAL_CAP`."""


class PaymentRepository(Protocol):
    """Rows of `provider_payments`, and what is unique about them."""

    def get(self, payment_id: str) -> Payment | None:
        """Return one payment; None where there is none."""

    def get_by_reference(self, provider_id: str, reference: str) -> Payment | None:
        """Find by the provider's intent or payment reference, within one account."""

    def get_by_our_reference(self, reference: str) -> Payment | None:
        """Find by `Payment.reference`, our 20 characters."""

    def add(self, payment: Payment) -> None:
        """Insert under a new id. A StoreError if the id, or the provider's intent, is taken."""

    def save(self, payment: Payment, *, expected_version: int) -> bool:
        """Write the whole row as version ``expected_version + 1`` if its version still is *expected_version*.

        Return whether it was. Never raises for a lost race, never writes half. The provider's intent
        reference becomes unique per account with it: a second payment that claims it is a StoreError.
        """

    def list(self, query: PaymentQuery) -> Page:
        """Return one page, and how many there are."""

    def totals(self) -> Sequence[PaymentTotals]:
        """Return the sums of every status and currency, in that order. Reads every payment."""

    def totals_over(self, edges: Sequence[datetime]) -> Sequence[IntervalTotals]:
        """Return the sums of the payments begun between each two neighbours of *edges*, in any order.

        *edges* rise, at least two. An interval holds its beginning and not its end. Reads only payments
        that are about as old as the first edge or younger.
        """

    def claim_due(self, *, limit: int, lease_seconds: float) -> Sequence[Payment]:
        """Take payments whose `next_sync_at` has come; push it *lease_seconds* ahead in the same statement.

        Two workers never receive the same payment within the lease. Does not touch `version`.
        """

    def with_stale_secrets(self, *, before: datetime, limit: int) -> Sequence[Payment]:
        """Return payments whose client secret expired before *before*."""

    def take_merchant_reference(self, provider_id: str, reference_code: str, payment_id: str) -> str:
        """Make *payment_id* the holder of a unique merchant reference; return the holder's payment id.

        The answer is another id when the reference is taken: the caller decides whether that payment
        is still open or paid, and otherwise takes it over with `replace_merchant_reference`.
        """

    def replace_merchant_reference(
        self, provider_id: str, reference_code: str, *, old: str, new: str
    ) -> bool:
        """Hand the reference from *old* to *new* by compare-and-set; return whether it happened."""

    def count_recent_guest(self, guest_email: str, *, since: datetime) -> int:
        """Count open payments of this guest e-mail (case-insensitive) created since *since*."""


class OperationRepository(Protocol):
    """Instructions, and the slot that lets one at a time work on a row."""

    def get(self, operation_id: str) -> Operation | None:
        """Return one operation; None where there is none."""

    def get_by_reference(self, reference: str) -> Operation | None:
        """Find by `Operation.reference`, our 20 characters."""

    def for_subject(self, subject_id: str) -> Sequence[Operation]:
        """Return every operation on a payment, or on another row, oldest first."""

    def reserve(self, operation: Operation, *, lease_seconds: float) -> str | None:
        """Insert *operation*, take its subject's slot and start its lease on the database's clock.

        Return None when it was inserted, or the id of the operation that holds the slot: then nothing
        was written. Sets `lease_until` and `due_at` to now + *lease_seconds*, both on the database's clock.
        """

    def save(self, operation: Operation, *, token: str | None) -> bool:
        """Write state, steps and outcome if the lease token still is *token*; return whether it was.

        An operation that is no longer open gives up its slot, its lease and its due time in the
        same transaction.
        """

    def hand_back(self, operation_id: str, *, token: str, delay_seconds: float) -> bool:
        """Give the lease back, unsent or unresolved; due again in *delay_seconds* on the database's clock."""

    def lease(self, operation_id: str, *, token: str, lease_seconds: float) -> Operation | None:
        """Take the lease of one open operation whose lease has run out; None if somebody else holds it."""

    def claim_due(self, *, limit: int, lease_seconds: float, token: str) -> Sequence[Operation]:
        """Take open operations that are due and whose lease has run out; each counts one attempt."""

    def holder_of(self, subject_id: str) -> str | None:
        """Return the id of the open operation that occupies a subject's slot."""

    def list_open(self, *, limit: int) -> Sequence[Operation]:
        """Return open operations, oldest first: the operator's queue."""

    def count_open(self) -> Sequence[OpenOperations]:
        """Return how many are open and since when, by account and state, in that order. Reads those alone."""


class IdempotencyRepository(Protocol):
    """Which Idempotency-Key was used for what."""

    def put(self, record: IdempotencyRecord) -> IdempotencyRecord:
        """Insert if (scope, key) is new; return the record that is stored now, this one or the earlier.

        The first statement of a reserve. A concurrent insert of the same pair makes this wait or
        return the winner, never raise.
        """

    def release(self, operation_id: str) -> int:
        """Forget the keys of an operation that was proved never executed: a repeat is a new instruction."""

    def delete_before(self, moment: datetime, *, limit: int) -> int:
        """Forget at most *limit* keys of before *moment*, the oldest first; return how many."""


class RefundRepository(Protocol):
    """Rows of `refunds`."""

    def get(self, refund_id: str) -> Refund | None:
        """Return one refund; None where there is none."""

    def get_by_reference(self, provider_id: str, reference: str) -> Refund | None:
        """Find by the provider's reference, within one account."""

    def for_payment(self, payment_id: str) -> Sequence[Refund]:
        """Return every refund of a payment, oldest first."""

    def add(self, refund: Refund) -> None:
        """Insert under a new id."""

    def save(self, refund: Refund, *, expected_version: int) -> bool:
        """Write the next version if the row still is *expected_version*; return whether it was."""


class EventRepository(Protocol):
    """The outbox."""

    def add(self, event: Event) -> None:
        """Write an event, without any client secret; untold from now on."""

    def get(self, event_id: str) -> Event | None:
        """Return one event; None where there is none."""

    def get_all(self, event_ids: Sequence[str]) -> Mapping[str, Event]:
        """Return those of these events that are stored, by id, in one statement."""

    def for_subject(self, subject_id: str) -> Sequence[Event]:
        """Return the events of a payment, or of another row, oldest first: see `Event.subject_id`."""

    def count_by_type(self) -> Mapping[str, int]:
        """Return how many there are of each type. Reads every event."""

    def claim_untold(self, *, limit: int, lease_seconds: float) -> Sequence[Event]:
        """Take events that have no deliveries yet; again after the lease unless `mark_told` came."""

    def mark_told(self, *event_ids: str) -> None:
        """Every endpoint that wants one of these events has its delivery now."""

    def delete_told_before(self, moment: datetime, *, limit: int) -> int:
        """Forget at most *limit* told events of before *moment*, with their deliveries; return how many."""


class DeliveryRepository(Protocol):
    """Events on their way to endpoints."""

    def add(self, delivery: Delivery) -> bool:
        """Insert unless (event, endpoint) exists; return whether it was inserted.

        Due at once, unless it is dead already: told to nobody, and there to be redelivered.
        """

    def add_all(self, deliveries: Sequence[Delivery]) -> None:
        """Do `add` for each, together."""

    def get(self, delivery_id: str) -> Delivery | None:
        """Return one delivery; None where there is none."""

    def claim_due(
        self, *, limit: int, lease_seconds: float, token: str, endpoints: Sequence[str] | None = None
    ) -> Sequence[Delivery]:
        """Take pending deliveries that are due, oldest first; each counts one attempt.

        With *endpoints* only those endpoints': a worker without a handler leaves its rows alone.
        """

    def finish(
        self,
        delivery: Delivery,
        *,
        token: str,
        state: DeliveryState,
        retry_in_seconds: float | None = None,
    ) -> bool:
        """Record an attempt under the lease's token: delivered, dead, or pending again later."""

    def finish_delivered(self, delivery_ids: Sequence[str], *, token: str, status_code: int | None) -> int:
        """Record that these got through, in one statement; return how many were still under *token*."""

    def release(self, delivery_ids: Sequence[str], *, token: str) -> int:
        """Give back what was claimed and not begun: due at once, and the attempt was none."""

    def count(self, *, since: datetime) -> Mapping[DeliveryState, int]:
        """Count what was made since *since*, by state; states without any are left out."""

    def give_up_before(self, moment: datetime, *, limit: int) -> int:
        """Make pending deliveries of before *moment* dead: nobody has served their endpoint since."""

    def redeliver(self, delivery_id: str) -> bool:
        """Make a dead or delivered delivery due again, with its attempts counted from zero."""

    def list(
        self,
        *,
        state: DeliveryState | None = None,
        event_id: str | None = None,
        endpoint: str | None = None,
        before_id: str | None = None,
        limit: int = 50,
    ) -> Sequence[Delivery]:
        """Newest first; *before_id* continues a list."""


class EndpointRepository(Protocol):
    """Endpoints that an operator stored, and the health of endpoints of every kind."""

    def add(self, endpoint: StoredEndpoint) -> None:
        """Insert under a new id."""

    def get(self, endpoint_id: str) -> StoredEndpoint | None:
        """Return one stored endpoint; None where there is none."""

    def list(self) -> Sequence[StoredEndpoint]:
        """All of them, oldest first."""

    def save(self, endpoint: StoredEndpoint, *, expected_version: int) -> bool:
        """Write the row as version ``expected_version + 1`` if its version still is *expected_version*."""

    def delete(self, endpoint_id: str) -> bool:
        """Forget the endpoint and its health; its deliveries stay."""

    def health(self) -> Sequence[EndpointHealth]:
        """How every endpoint is doing of which anything was ever noted."""

    def failed(self, endpoint: str) -> EndpointHealth:
        """Count a failed attempt; the first one since a success begins `failing_since`."""

    def recovered(self, endpoint: str) -> None:
        """Forget the failures: an attempt got through."""

    def switch_off(self, endpoint: str, reason: SwitchedOff) -> bool:
        """Return whether it was on until now: of several processes one hears True."""

    def switch_on(self, endpoint: str) -> bool:
        """Return whether it was off until now. Its failures are forgotten."""


class JobRepository(Protocol):
    """Work by the clock: each job is done by one process at a time."""

    def take(self, name: str, *, lease_seconds: float, token: str) -> ScheduledJob | None:
        """Take a job that is due, or was never done, and that nobody is at; None otherwise."""

    def extend(self, name: str, *, lease_seconds: float, token: str) -> bool:
        """Keep a job that is still ours; return whether it is."""

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
        """Give a job back, due again in *next_in_seconds*; return whether it was still ours."""

    def list(self) -> Sequence[ScheduledJob]:
        """By name."""


class InboxRepository(Protocol):
    """Received webhooks, kept for good."""

    def add(self, entry: InboxEntry) -> bool:
        """Insert unless (provider_id, provider_event_id) exists; return whether it did. Due at once."""

    def get(self, entry_id: str) -> InboxEntry | None:
        """Return one entry; None where there is none."""

    def get_by_event(self, provider_id: str, provider_event_id: str) -> InboxEntry | None:
        """Find by the provider's id of the event, within one account."""

    def claim_due(
        self, *, limit: int, lease_seconds: float, token: str, provider_id: str | None = None
    ) -> Sequence[InboxEntry]:
        """Take received or parked entries that are due, oldest first; each counts one attempt.

        With *provider_id* only that account's: another one that does not answer delays nothing.
        """

    def finish(
        self,
        entry: InboxEntry,
        *,
        token: str,
        state: InboxState,
        retry_in_seconds: float | None = None,
    ) -> bool:
        """Record the outcome under the claim's token, with `error_message` and `payment_id` of *entry*."""

    def replay(self, entry_id: str) -> bool:
        """Make an entry of any state due again, with its attempts counted from zero."""

    def release(self, entry_ids: Sequence[str], *, token: str) -> int:
        """Give back what was claimed and not begun: due at once, and the attempt was none."""

    def blank(self, *, after_id: str, before_id: str, limit: int) -> tuple[int, str | None]:
        """Forget bodies and headers of finished entries between two ids; the rows stay, for ever.

        Looks at the first *limit* entries after *after_id*; returns how many were blanked and the last id
        that was looked at, None when there was none.
        """

    def count(self, *, provider_id: str | None = None) -> Mapping[InboxState, int]:
        """Return how many there are of each state, of one account or of all."""

    def list(
        self,
        *,
        provider_id: str | None = None,
        state: InboxState | None = None,
        payment_id: str | None = None,
        before_id: str | None = None,
        limit: int = 50,
    ) -> Sequence[InboxEntry]:
        """Newest first; *before_id* continues a list."""


class Unit(Protocol):
    """Everything that can be read or written inside one transaction."""

    @property
    def payments(self) -> PaymentRepository:
        """The payments."""

    @property
    def operations(self) -> OperationRepository:
        """The operations."""

    @property
    def idempotency(self) -> IdempotencyRepository:
        """The keys of callers."""

    @property
    def refunds(self) -> RefundRepository:
        """The refunds."""

    @property
    def events(self) -> EventRepository:
        """The outbox."""

    @property
    def deliveries(self) -> DeliveryRepository:
        """The deliveries."""

    @property
    def inbox(self) -> InboxRepository:
        """What providers told us."""

    @property
    def endpoints(self) -> EndpointRepository:
        """The endpoints."""

    @property
    def jobs(self) -> JobRepository:
        """The jobs."""

    @property
    def customers(self) -> CustomerRepository:
        """The customers."""

    @property
    def payment_methods(self) -> PaymentMethodRepository:
        """The payment methods."""

    @property
    def addresses(self) -> AddressRepository:
        """The addresses."""

    @property
    def subscriptions(self) -> SubscriptionRepository:
        """The subscriptions."""

    @property
    def disputes(self) -> DisputeRepository:
        """The disputes."""

    def backlog(self) -> Backlog:
        """Return what waits. Looks at no more than `TOTAL_CAP` rows of a queue, and at nothing finished."""


class Store(ABC):
    """Runs units of work. Nothing connects at construction."""

    @abstractmethod
    async def run(self, work: Callable[[Unit], T], *, write: bool = True) -> T:
        """Run *work* in one transaction: commit when it returns, roll back when it raises.

        Isolation is at least READ COMMITTED; a lost compare-and-set returns False from the repository.
        A deadlock or a serialization failure runs *work* again, bounded. The transaction is finished
        even if the caller is cancelled meanwhile. With ``write=False`` the unit only reads, in one
        round trip per statement.

        Raises: StoreError when the database refuses or cannot be reached.
        """

    @abstractmethod
    async def check(self) -> None:
        """Raise StoreError unless the database is reachable and of the version this code was built for."""

    @abstractmethod
    async def upgrade(self) -> None:
        """Bring the schema to this code's version; safe to call from several processes at once."""

    async def clock_skew(self) -> float:
        """Return by how many seconds the database's clock is ahead of ours; 0 where they are one."""
        return 0.0

    async def hints(self) -> Sequence[str]:
        """Return what an operator should change about this database, a sentence each (rule 37)."""
        return ()

    def tell_of_changes(self, listener: Listener) -> bool:
        """Call *listener* with the customers and methods that a unit added or saved, after each such commit.

        Also after a commit whose answer was lost, whoever was cancelled meanwhile, and in any thread. Of
        `clear_default` the method that was given is told: the others have its owner. Return whether this
        store does that; one that does not (the default) has its lists read anew each time.
        """
        return False

    @abstractmethod
    async def aclose(self) -> None:
        """Release what this store opened. An engine that was handed in is left alone."""
