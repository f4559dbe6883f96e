"""
Reserve, ask, record for rows that are not payments: customers, payment methods, subscriptions.

The machinery is the one of `operations.py`: one slot per row, keys drawn before anything is sent, an answer
that is never discarded. What an answer makes of a row is decided in `mirrors.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Generic, Protocol, TypeVar, cast

from ..errors import (
    ConcurrentUpdate,
    IdempotencyMismatch,
    ProviderDeclined,
    ProviderError,
    ProviderNeverSent,
    ProviderNotFound,
    ProviderStateConflict,
    StoreError,
    Unavailable,
)
from ..models import (
    Customer,
    Operation,
    OperationState,
    PaymentMethod,
    PaymentMethodStatus,
    Principal,
    Subscription,
    Verb,
)
from ..providers.base import Decline, PaymentProvider, ProviderSubscription
from ..stores.base import PaymentMethodQuery, Unit
from . import rules
from .asking import REPEATED_NOTE
from .charges import Charges
from .inputs import digest
from .mirrors import (
    Change,
    customer_answered,
    customer_undone,
    method_answered,
    method_forgotten,
    method_undone,
    subscription_answered,
    subscription_undone,
)
from .operations import MERGE_ATTEMPTS, LostLease, LostRace, write_operation
from .outcome import Answer, Policy, close_refused, decline_from, left_open, refusal
from .settlement import close_operation

__all__ = [
    "CUSTOMERS",
    "METHODS",
    "SUBSCRIPTIONS",
    "Held",
    "Keeper",
    "Kept",
    "Subjects",
    "keeper_of",
    "row_answer",
    "settle_row_absence",
]

log: logging.Logger = logging.getLogger(__name__)

Kept = Customer | PaymentMethod | Subscription
R = TypeVar("R", Customer, PaymentMethod, Subscription)
"""A row that a provider has the other half of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held(Generic[R]):
    """An operation and the row it is about, as they were read."""

    operation: Operation
    row: R
    replayed: bool = False
    """The Idempotency-Key was used before, with the same body: nothing was written, nothing is sent."""


# --- one keeper per noun --------------------------------------------------------------------------


class Keeper(Protocol[R]):
    """What differs between the nouns: where the row is, and what an answer makes of it."""

    def get(self, unit: Unit, row_id: str) -> R | None: ...

    def save(self, unit: Unit, row: R, *, expected_version: int) -> R | None:
        """Write the row; return it as it is stored then, or None if it was written since it was read."""

    def answered(
        self, row: R, operation: Operation, answer: Answer, now: datetime, policy: Policy
    ) -> Change[R]: ...

    def undone(
        self, row: R, operation: Operation, why: str, decline: Decline | None, now: datetime
    ) -> Change[R]: ...


class _Customers:
    def get(self, unit: Unit, row_id: str) -> Customer | None:
        return unit.customers.get(row_id)

    def save(self, unit: Unit, row: Customer, *, expected_version: int) -> Customer | None:
        if not row.is_deleted and row.provider_customer_id is not None:
            other = unit.customers.get_by_reference(row.provider_id, row.provider_customer_id)
            if other is not None and other.id != row.id:
                log.error("customer %s is known as %s already", row.id, other.id)
                row = replace(row, deleted_at=row.updated_at)
        if not unit.customers.save(row, expected_version=expected_version):
            return None
        if row.is_deleted:
            _forget_methods(unit, row)
        return replace(row, version=expected_version + 1)

    def answered(
        self, row: Customer, operation: Operation, answer: Answer, now: datetime, policy: Policy
    ) -> Change[Customer]:
        assert answer.customer is not None
        return customer_answered(row, operation, answer.customer, now)

    def undone(
        self, row: Customer, operation: Operation, why: str, decline: Decline | None, now: datetime
    ) -> Change[Customer]:
        return customer_undone(row, operation, now)


def _forget_methods(unit: Unit, customer: Customer) -> None:
    """The provider detached what a deleted customer had: nobody is to try to charge it."""
    query = PaymentMethodQuery(customer_id=customer.id, limit=50)
    while found := unit.payment_methods.list(query).items:
        for method in found:
            gone = replace(
                method,
                status=PaymentMethodStatus.DELETED,
                is_default=False,
                client_secret=None,
                next_action=None,
                updated_at=customer.updated_at,
            )
            if not unit.payment_methods.save(gone, expected_version=method.version):
                raise LostRace
            change = Change(row=gone, events=(("payment_method.deleted", {}),))
            for event in change.told(replace(gone, version=method.version + 1)):
                unit.events.add(event)


class _Methods:
    def get(self, unit: Unit, row_id: str) -> PaymentMethod | None:
        return unit.payment_methods.get(row_id)

    def save(self, unit: Unit, row: PaymentMethod, *, expected_version: int) -> PaymentMethod | None:
        reference = row.provider_payment_method_id
        if reference is not None and row.status is not PaymentMethodStatus.DELETED:
            other = unit.payment_methods.get_by_reference(row.provider_id, reference)
            if other is not None and other.id != row.id:
                # The provider has one method under two of our names: the first keeps it.
                row = replace(
                    row, status=PaymentMethodStatus.DELETED, error_message=f"It is kept as {other.id}"
                )
        if not unit.payment_methods.save(row, expected_version=expected_version):
            return None
        if row.is_default and row.is_usable and (row.user_id or row.guest_email):
            unit.payment_methods.clear_default(row)
        return replace(row, version=expected_version + 1)

    def answered(
        self, row: PaymentMethod, operation: Operation, answer: Answer, now: datetime, policy: Policy
    ) -> Change[PaymentMethod]:
        assert answer.method is not None
        return method_answered(row, operation, answer.method, now, secret_max_age=policy.secret_max_age)

    def undone(
        self, row: PaymentMethod, operation: Operation, why: str, decline: Decline | None, now: datetime
    ) -> Change[PaymentMethod]:
        return method_undone(row, operation, why, decline, now)


class _Subscriptions:
    def get(self, unit: Unit, row_id: str) -> Subscription | None:
        return unit.subscriptions.get(row_id)

    def save(self, unit: Unit, row: Subscription, *, expected_version: int) -> Subscription | None:
        if not unit.subscriptions.save(row, expected_version=expected_version):
            return None
        return replace(row, version=expected_version + 1)

    def answered(
        self, row: Subscription, operation: Operation, answer: Answer, now: datetime, policy: Policy
    ) -> Change[Subscription]:
        assert answer.subscription is not None
        return subscription_answered(
            row,
            operation,
            answer.subscription,
            now,
            done=answer.refused is None,
            secret_max_age=policy.secret_max_age,
        )

    def undone(
        self, row: Subscription, operation: Operation, why: str, decline: Decline | None, now: datetime
    ) -> Change[Subscription]:
        return subscription_undone(row, operation, why, decline, now)


CUSTOMERS: Final[Keeper[Customer]] = _Customers()
METHODS: Final[Keeper[PaymentMethod]] = _Methods()
SUBSCRIPTIONS: Final[Keeper[Subscription]] = _Subscriptions()
_KEEPERS: Final[Mapping[str, Keeper[Any]]] = {
    "customer": CUSTOMERS,
    "payment_method": METHODS,
    "subscription": SUBSCRIPTIONS,
}


def keeper_of(verb: Verb) -> Keeper[Any]:
    """Return the keeper of the rows that *verb* is about."""
    return next(keeper for noun, keeper in _KEEPERS.items() if verb.value.endswith(noun))


# --- the decision ---------------------------------------------------------------------------------


def settle_row(
    held: Held[Any], answer: Answer, now: datetime, policy: Policy
) -> tuple[Change[Any], Operation]:
    """Decide what *answer* makes of an operation and its row. Pure."""
    operation, row = held.operation, held.row
    keeper = keeper_of(operation.verb)
    truth = answer.customer or answer.method or answer.subscription
    if truth is not None:
        change = keeper.answered(row, operation, answer, now, policy)
        decline = None if operation.verb not in _MAY_DECLINE else change.decline
        ended = close_operation(
            operation,
            OperationState.SUCCEEDED if decline is None else OperationState.REJECTED,
            now,
            resolution=answer.resolution,
            error_code=decline.provider_code if decline else None,
            error_message=decline.message if decline else None,
            decline_code=decline.code if decline else None,
            request_id=truth.request_id,
        )
        return change, ended
    to_be_done = operation.verb in rules.TO_BE_DONE
    if to_be_done and isinstance(answer.refused, ProviderNotFound):
        # What the provider does not know is as gone as it was to be.
        return method_forgotten(row, now), close_operation(
            operation, OperationState.SUCCEEDED, now, resolution="unknown to the provider"
        )
    if answer.refused is not None:
        refused = answer.refused
        declined = decline_from(refused) if isinstance(refused, ProviderDeclined) else None
        change = keeper.undone(row, operation, refused.message, declined, now)
        return change, close_refused(operation, refused, now)
    if answer.unsent is not None and not to_be_done:
        return settle_row_absence(held, f"never sent: {answer.unsent}", now)
    why = answer.lost or (f"not sent yet: {answer.unsent}" if answer.unsent is not None else "no answer")
    open_still = left_open(operation, answer, now, why=why)
    if to_be_done and REPEATED_NOTE not in operation.steps:
        # Its caller is told that it is done. Of a repeat nobody is told, and it may have been refused.
        return method_forgotten(row, now), open_still
    return Change(row=row, changed=False), open_still


_MAY_DECLINE: Final = frozenset({Verb.CREATE_METHOD, Verb.CONFIRM_METHOD, Verb.CREATE_SUBSCRIPTION})


def settle_row_absence(held: Held[Any], proof: str, now: datetime) -> tuple[Change[Any], Operation]:
    """Decide what is left of an operation that was proved never executed. Pure."""
    operation = close_operation(
        held.operation,
        OperationState.ABANDONED,
        now,
        resolution=proof,
        error_code="abandoned",
        error_message="It was never executed",
    )
    keeper = keeper_of(operation.verb)
    return keeper.undone(held.row, operation, "It never reached the provider", None, now), operation


def row_answer(held: Held[R]) -> R:
    """Return the row as its caller hears of it.

    An unknown outcome on a subscription is that row naming its operation (rule 28); elsewhere nothing was
    charged, and the caller may come again. A method that is gone here is answered as done.

    Raises: PaymentDeclined, ProviderRejected, Unavailable.
    """
    operation, row = held.operation, held.row
    refused = operation.state is OperationState.REJECTED
    if operation.verb in rules.TO_BE_DONE and not refused and _is_forgotten(row):
        return row
    match operation.state:
        case OperationState.SUCCEEDED:
            return row
        case OperationState.REJECTED:
            raise refusal(operation)
        case OperationState.ABANDONED:
            raise Unavailable("The provider could not be reached; nothing was done")
        case _:
            if isinstance(row, Subscription):
                return replace(row, unknown_operation_id=operation.id)
            raise Unavailable("The outcome is not known yet; repeat with the same Idempotency-Key")


def _is_forgotten(row: Kept) -> bool:
    return isinstance(row, PaymentMethod) and row.status is PaymentMethodStatus.DELETED


# --- the work -------------------------------------------------------------------------------------


class Subjects(Charges):
    """The machinery under the verbs on customers, payment methods and subscriptions."""

    def account(self, provider: str | None) -> tuple[str, PaymentProvider]:
        """Return the named account, or the default one."""
        raise NotImplementedError

    async def reserve_row(self, operation_id: str, work: Callable[[Unit], Held[R]]) -> tuple[Held[R], float]:
        """Run transaction 1: see `Operations.proved`."""
        return await self.proved(work, lambda: self._look_up_row(operation_id))

    async def _look_up_row(self, operation_id: str) -> Held[Any] | None:
        def look(unit: Unit) -> Held[Any] | None:
            operation = unit.operations.get(operation_id)
            row = keeper_of(operation.verb).get(unit, operation.subject_id) if operation else None
            return None if operation is None or row is None else Held(operation=operation, row=row)

        try:
            return await self.store.run(look, write=False)
        except StoreError:
            return None

    def replayed_row(
        self, unit: Unit, operation_id: str | None, subject_id: str, keeper: Keeper[R]
    ) -> Held[R]:
        """Rebuild what an earlier use of a key agreed on, from the rows as they are now."""
        operation = unit.operations.get(operation_id) if operation_id else None
        row = keeper.get(unit, subject_id)
        if operation is None or row is None:
            raise IdempotencyMismatch("This Idempotency-Key belongs to something that no longer exists")
        return Held(operation=operation, row=row, replayed=True)

    async def instruct_row(
        self,
        verb: Verb,
        row_id: str,
        build: Callable[[Unit, Any], Operation],
        *,
        operation_id: str,
        principal: Principal,
        idempotency_key: str | None,
        body: Mapping[str, Any],
    ) -> Held[Any]:
        """Reserve, ask and record one verb on a row that exists.

        *build* sees the row inside the reserve transaction: it checks who asks and what may be asked, and
        writes the instruction down.
        """
        keeper = keeper_of(verb)
        scope = f"{verb}:{row_id}:{principal.scope()}"

        def work(unit: Unit) -> Held[Any]:
            earlier = self.replay_or(
                unit, scope=scope, key=idempotency_key, body_hash=digest(body),
                subject_id=row_id, operation_id=operation_id,
            )  # fmt: skip
            if earlier is not None:
                return self.replayed_row(unit, earlier.operation_id, earlier.subject_id, keeper)
            row: Any = keeper.get(unit, row_id)
            with self.unless_in_progress(unit, row_id):
                operation = build(unit, row)
            self.take_slot(unit, operation)
            # Whoever held the slot when the row was read may have changed it and given the slot up since.
            again = keeper.get(unit, row_id)
            if again is None or again.version != row.version:
                raise ConcurrentUpdate
            return Held(operation=operation, row=row)

        held, leased_at = await self.reserve_row(operation_id, work)
        return await self.finished(held, leased_at)

    @staticmethod
    def _written(unit: Unit, keeper: Keeper[Any], change: Change[Any]) -> Any:
        row = keeper.save(unit, change.row, expected_version=change.row.version)
        if row is None:
            raise ConcurrentUpdate
        for event in change.told(row):
            unit.events.add(event)
        return row

    async def change_row(
        self, keeper: Keeper[R], row_id: str, change: Callable[[Unit, R | None], Change[R]]
    ) -> R:
        """Change a row of ours that no provider has to hear of; again if somebody else was faster."""

        def work(unit: Unit) -> R:
            decided = change(unit, keeper.get(unit, row_id))
            if not decided.changed:
                return decided.row
            return cast("R", self._written(unit, keeper, decided))

        for _ in range(MERGE_ATTEMPTS):
            try:
                row = await self.store.run(work)
            except (ConcurrentUpdate, LostRace):
                continue
            self.on_commit()
            return row
        raise ConcurrentUpdate("It is being changed by others; try again")

    async def finished(self, held: Held[R], leased_at: float) -> Held[R]:
        """Ask and record, whoever goes away meanwhile; a replay is answered from its rows."""
        if held.replayed:
            self.check_not_in_flight(held.operation)
            return held
        return await self.shielded(self._carry_out_row(held, leased_at))

    async def _carry_out_row(self, held: Held[R], leased_at: float) -> Held[R]:
        with self.instructing(held.operation) as seen:
            answer, operation = await self.asked(held.operation, leased_at=leased_at)
            recorded = await self.record_row(replace(held, operation=operation), answer)
            seen.outcome = recorded.operation.state.value
            return recorded

    async def record_row(self, held: Held[R], answer: Answer) -> Held[R]:
        """Run transaction 2. No answer is discarded: after a lost race it is applied to the row as it is."""
        answer = await self._with_row_truth(held, answer)
        current = held
        for _ in range(MERGE_ATTEMPTS):
            change, operation = settle_row(current, answer, self.clock(), self.policy)
            try:
                if answer.subscription is not None and isinstance(current.row, Subscription):
                    await self.record_charges(current.row, answer.subscription)
                written = await self.write_row(current, change, operation)
            except LostRace:
                current, answer = await self._read_row_again(current, answer)
                continue
            except LostLease:
                return await self._after_lost_row(current, answer)
            except StoreError:
                log.warning(
                    "operation %s: the answer could not be recorded; reconciliation will", operation.id
                )
                return replace(current, operation=replace(current.operation, state=OperationState.UNKNOWN))
            self.on_commit()
            self.count_operation(written.operation)
            return written
        log.warning("operation %s: its row changes faster than it can be recorded", held.operation.id)
        return replace(current, operation=await self.leave_unknown(current.operation))

    async def write_row(self, held: Held[R], change: Change[R], operation: Operation) -> Held[R]:
        """Write one decided outcome. Raises LostRace, LostLease, StoreError: then nothing was written."""
        token, version = held.operation.lease_token, held.row.version
        keeper = keeper_of(operation.verb)

        def work(unit: Unit) -> Held[R]:
            row: R | None = change.row
            if change.changed:
                row = keeper.save(unit, change.row, expected_version=version)
                if row is None:
                    raise LostRace
            assert row is not None
            for event in change.told(row):
                unit.events.add(event)
            write_operation(unit, operation, token=token)
            return Held(operation=operation, row=row)

        return await self.store.run(work)

    async def _with_row_truth(self, held: Held[Any], answer: Answer) -> Answer:
        """A state conflict means that somebody was faster: read the subscription, and answer with that."""
        conflict = isinstance(answer.refused, ProviderStateConflict)
        if not conflict or not isinstance(held.row, Subscription):
            return answer
        truth = await self._truth_of(held.row)
        if truth is None:
            return answer
        return replace(answer, subscription=truth, resolution="in another state at the provider")

    async def _truth_of(self, row: Subscription) -> ProviderSubscription | None:
        if row.provider_subscription_id is None:
            return None
        try:
            with self.asking(row.provider_id, "sync_subscription"):
                return await self.provider(row.provider_id).sync_subscription(row.provider_subscription_id)
        except (ProviderError, ProviderNeverSent):
            return None

    async def _read_row_again(self, held: Held[R], answer: Answer) -> tuple[Held[R], Answer]:
        """Somebody else wrote the row: take their row and, for a subscription, the provider's word again."""
        keeper = keeper_of(held.operation.verb)

        def read(unit: Unit) -> Held[R]:
            row = keeper.get(unit, held.row.id)
            assert row is not None
            return replace(held, row=row)

        fresh = await self.store.run(read, write=False)
        if answer.subscription is None or not isinstance(fresh.row, Subscription):
            return fresh, answer
        truth = await self._truth_of(fresh.row)
        if truth is None:
            return fresh, answer
        secret = truth.client_secret or answer.subscription.client_secret
        return fresh, replace(answer, subscription=replace(truth, client_secret=secret))

    async def _after_lost_row(self, held: Held[R], answer: Answer) -> Held[R]:
        """Reconciliation owns the operation now. The answer still counts: it is applied without it."""
        keeper = keeper_of(held.operation.verb)
        for _ in range(MERGE_ATTEMPTS):
            current = await self._look_up_row(held.operation.id)
            if current is None or (answer.customer or answer.method or answer.subscription) is None:
                break
            change = keeper.answered(current.row, held.operation, answer, self.clock(), self.policy)
            if not change.changed or await self.apply_row(change, current.row.version, keeper):
                break
        return cast("Held[R]", await self._look_up_row(held.operation.id) or held)

    async def apply_row(self, change: Change[Any], version: int, keeper: Keeper[Any]) -> bool:
        """Write a row without an operation, against the version that was read; False if that was old."""

        def work(unit: Unit) -> bool:
            row = keeper.save(unit, change.row, expected_version=version)
            if row is None:
                return False
            for event in change.told(row):
                unit.events.add(event)
            return True

        done = await self.store.run(work)
        if done and change.events:
            self.on_commit()
        return done
