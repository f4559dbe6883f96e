"""
Reserve, ask, record: how every instruction that may move money is carried out.

    reserve   transaction 1: the rules agree, the operation is written with its key and inputs
    ask       the provider is called; no transaction is open; one total deadline
    record    transaction 2: payment, operation and events, together

A process may die between any two lines. What it leaves behind is an operation
that is open, and `reconcile.py` finishes it by asking the provider.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, TypeVar

from ..errors import (
    BridgeError,
    ConcurrentUpdate,
    IdempotencyMismatch,
    InvalidRequest,
    NotFound,
    OperationInProgress,
    ProviderDeclined,
    ProviderError,
    ProviderStateConflict,
    ProviderUnknown,
    StoreError,
    Unavailable,
)
from ..models import (
    Clock,
    Dispute,
    Event,
    Operation,
    OperationState,
    Payment,
    PaymentStatus,
    Principal,
    Refund,
    Subscription,
    Verb,
    new_id,
    new_reference,
)
from ..providers.base import KnownPayment, KnownRefund, PaymentProvider, ProviderPayment
from ..seam import traced
from ..settings import Settings
from ..stores.base import IdempotencyRecord, Store, Unit
from ..telemetry import Activity, Kind, Watch
from . import settlement
from .asking import LEASE_SECONDS, OUR_NOTE, Calls, ask
from .fitting import check_key
from .inputs import ProviderRequest, digest, inputs_of
from .outcome import Answer, Policy, Reserved, decline_from, row_of, settle
from .settlement import Settlement

__all__ = [
    "MERGE_ATTEMPTS",
    "LostLease",
    "LostRace",
    "Operations",
    "known_payment",
    "with_refunds",
    "write_operation",
    "write_settlement",
]

log: logging.Logger = logging.getLogger(__name__)
T = TypeVar("T")

MERGE_ATTEMPTS: Final = 5
"""How often a record reads again after somebody else wrote the row."""
TRACE_NOTE: Final = f"{OUR_NOTE}trace"
"""Under which an operation remembers the trace in which it was reserved."""
_STILL_UNPAID: Final = frozenset(
    {PaymentStatus.PENDING, PaymentStatus.REQUIRES_CONFIRMATION, PaymentStatus.REQUIRES_ACTION}
)
"""Where a payment stands after an attempt that was refused: nothing is held, collected or under way."""
UNKNOWN_DELAY: Final = 2.0
"""Seconds until reconciliation first looks up what a sender lost sight of."""


class LostRace(Exception):
    """Somebody else wrote the row between our read and our write."""


class LostLease(Exception):
    """Reconciliation took this operation over while we were not looking."""


class Operations:
    """The machinery under every verb of the engine."""

    store: Store
    clock: Clock
    settings: Settings
    on_commit: Callable[[], None]
    """Called after a commit that may have left events to tell."""
    on_receipt: Callable[[str], None]
    """Called with the account for which something was put into the inbox."""
    watch: Watch
    """Who is told of work, for metrics and traces."""

    def __init__(self, store: Store, *, clock: Clock, settings: Settings) -> None:
        self.store = store
        self.clock = clock
        self.settings = settings
        self.on_commit = _nothing
        self.on_receipt = _nothing
        self.watch = Watch()
        self._shielded: set[asyncio.Task[Any]] = set()

    def provider(self, provider_id: str) -> PaymentProvider:
        """Return one account's provider. Raises InvalidRequest if it is not enabled."""
        raise NotImplementedError

    @property
    def provider_ids(self) -> tuple[str, ...]:
        """The accounts of this application, in the order in which they were named."""
        raise NotImplementedError

    # --- reserve ----------------------------------------------------------------------------------

    def draft_operation(
        self,
        verb: Verb,
        request: ProviderRequest,
        *,
        payment: Payment,
        provider: PaymentProvider | None,
        principal: Principal,
        operation_id: str,
        reference: str | None = None,
        refund_id: str | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> Operation:
        """Write down an instruction on a payment before anything is sent."""
        return self.draft(
            verb,
            request,
            subject_id=payment.id,
            provider_id=payment.provider_id or "",
            baseline=_baseline(payment),
            provider=provider,
            principal=principal,
            operation_id=operation_id,
            reference=reference,
            refund_id=refund_id,
            more=more,
        )

    def draft(
        self,
        verb: Verb,
        request: ProviderRequest,
        *,
        subject_id: str,
        provider_id: str,
        baseline: Mapping[str, Any],
        provider: PaymentProvider | None,
        principal: Principal,
        operation_id: str,
        reference: str | None = None,
        refund_id: str | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> Operation:
        """Write down an instruction before anything is sent. Ids and keys are drawn here, once."""
        now = self.clock()
        inputs = {**inputs_of(request), **(more or {}), "baseline": dict(baseline)}
        return Operation(
            id=operation_id,
            subject_id=subject_id,
            provider_id=provider_id,
            verb=verb,
            state=OperationState.RESERVED,
            reference=reference or new_reference(),
            refund_id=refund_id,
            inputs=inputs,
            inputs_hash=digest(inputs),
            api_version=provider.api_version if provider is not None else None,
            principal=principal.scope(),
            steps=_traced_note(),
            caller_deadline=now + timedelta(minutes=2),
            lease_token=secrets.token_hex(8),
            created_at=now,
            updated_at=now,
        )

    async def reserve(self, operation_id: str, work: Callable[[Unit], Reserved]) -> tuple[Reserved, float]:
        """Run transaction 1 of an instruction on a payment: see `proved`."""
        return await self.proved(work, lambda: self._look_up_reserve(operation_id))

    async def proved(
        self, work: Callable[[Unit], T], look_up: Callable[[], Awaitable[T | None]]
    ) -> tuple[T, float]:
        """Run transaction 1; return what it agreed on and the monotonic time at which its lease began.

        After an ambiguous commit the operation is looked up by its id, which was drawn before: what is
        not proved reserved is never sent.
        """
        leased_at = time.monotonic()
        for _ in range(MERGE_ATTEMPTS):
            try:
                return await self.store.run(work), leased_at
            except ConcurrentUpdate:
                leased_at = time.monotonic()
            except StoreError:
                reserved = await look_up()
                if reserved is None:
                    raise Unavailable("The database does not answer; nothing was sent") from None
                return reserved, leased_at
        raise ConcurrentUpdate("It is being changed by others; try again")

    async def _look_up_reserve(self, operation_id: str) -> Reserved | None:
        def look(unit: Unit) -> Reserved | None:
            operation = unit.operations.get(operation_id)
            payment = unit.payments.get(operation.subject_id) if operation else None
            if operation is None or payment is None:
                return None
            return with_refunds(unit, operation, payment)

        try:
            return await self.store.run(look, write=False)
        except StoreError:
            return None

    def begins(
        self,
        verb: Verb,
        payment_id: str,
        *,
        operation_id: str,
        principal: Principal,
        key: str | None,
        body: Mapping[str, Any],
        refund_id: str | None = None,
    ) -> Callable[[Unit], Payment | Reserved]:
        """Return how a reserve begins: with what an earlier use of the key agreed on, or with the payment.

        It raises IdempotencyMismatch for a key that was used with another body, and NotFound.
        """
        scope, body_hash = f"{verb}:{payment_id}:{principal.scope()}", digest(body)

        def begin(unit: Unit) -> Payment | Reserved:
            earlier = self.replay_or(
                unit, scope=scope, key=key, body_hash=body_hash,
                subject_id=payment_id, operation_id=operation_id, refund_id=refund_id,
            )  # fmt: skip
            if earlier is not None:
                return self.replayed(unit, earlier)
            payment = unit.payments.get(payment_id)
            if payment is None:
                raise NotFound("Payment not found")
            return payment

        return begin

    def replay_or(
        self,
        unit: Unit,
        *,
        scope: str,
        key: str | None,
        body_hash: str,
        subject_id: str,
        operation_id: str | None,
        refund_id: str | None = None,
    ) -> IdempotencyRecord | None:
        """Claim the Idempotency-Key, the first statement of a reserve; return its earlier use, if any.

        Raises: IdempotencyMismatch if the key was used with another body.
        """
        if key is None:
            return None
        check_key(key, scope)
        mine = IdempotencyRecord(
            scope=scope,
            key=key,
            body_hash=body_hash,
            operation_id=operation_id,
            subject_id=subject_id,
            refund_id=refund_id,
            created_at=self.clock(),
        )
        stored = unit.idempotency.put(mine)
        if stored.subject_id == mine.subject_id and stored.operation_id == mine.operation_id:
            return None
        if stored.body_hash != body_hash:
            raise IdempotencyMismatch
        return stored

    def replayed(self, unit: Unit, record: IdempotencyRecord) -> Reserved:
        """Rebuild what an earlier use of the key agreed on, from the rows as they are now."""
        # The operation first: what was recorded with its end is then in the payment that is read after it.
        operation = unit.operations.get(record.operation_id) if record.operation_id else None
        payment = unit.payments.get(record.subject_id)
        if payment is None or operation is None:
            raise IdempotencyMismatch("This Idempotency-Key belongs to something that no longer exists")
        refund = unit.refunds.get(record.refund_id) if record.refund_id else None
        return Reserved(operation=operation, payment=payment, refund=refund, replayed=True)

    @staticmethod
    def take_slot(unit: Unit, operation: Operation) -> None:
        """Write the operation and occupy the payment's slot. Raises OperationInProgress."""
        holder = unit.operations.reserve(operation, lease_seconds=LEASE_SECONDS)
        if holder is not None:
            raise _in_progress(holder)

    @staticmethod
    @contextmanager
    def unless_in_progress(unit: Unit, subject_id: str) -> Iterator[None]:
        """Raise OperationInProgress instead of a refusal while an operation is open.

        What is refused now may be right once that operation is known: the caller is to come again, and
        must not take the refusal for the end of it.
        """
        try:
            yield
        except InvalidRequest:
            if holder := unit.operations.holder_of(subject_id):
                raise _in_progress(holder) from None
            raise

    # --- ask and record -----------------------------------------------------------------------------

    async def shielded(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ask and record to their end even if the caller goes away meanwhile."""
        task = asyncio.ensure_future(work)
        self._shielded.add(task)
        task.add_done_callback(self._shielded.discard)
        return await asyncio.shield(task)

    async def drain(self, *, within: float) -> None:
        """Wait for calls under way; what is not finished by then is found by reconciliation."""
        if self._shielded:
            await asyncio.wait(set(self._shielded), timeout=within)

    async def carry_out(self, reserved: Reserved, leased_at: float) -> Reserved:
        """Ask the provider and record the answer; return the rows as they are afterwards."""
        with self.instructing(reserved.operation) as seen:
            answer, operation = await self.asked(reserved.operation, leased_at=leased_at)
            recorded = await self.record(replace(reserved, operation=operation), answer)
            seen.outcome = recorded.operation.state.value
            return recorded

    def instructing(self, operation: Operation) -> Activity:
        """Return the activity of carrying *operation* out, or of finishing it later."""
        cause = operation.steps.get(TRACE_NOTE)
        return self.watch.activity(
            Kind.OPERATION,
            operation.verb.value,
            links=(cause,) if cause else (),
            provider=operation.provider_id,
            verb=operation.verb.value,
            operation_id=operation.id,
            subject_id=operation.subject_id,
        )

    def asking(self, provider_id: str, verb: str) -> Activity:
        """Return the activity of asking that account's provider something that changes nothing."""
        return self.watch.activity(Kind.CALL, verb, provider=provider_id, verb=verb)

    def count_operation(self, operation: Operation) -> None:
        """Say that an operation was committed in its state."""
        self.watch.count(
            "operation",
            provider=operation.provider_id,
            verb=operation.verb.value,
            outcome=operation.state.value,
        )

    async def asked(
        self, operation: Operation, *, leased_at: float, repeat: bool = False
    ) -> tuple[Answer, Operation]:
        """Ask the provider; return its answer, and the operation with what its calls came to."""
        calls = Calls(self.store, operation)
        provider = self.provider(operation.provider_id)
        with self.watch.activity(
            Kind.CALL,
            operation.verb.value,
            provider=operation.provider_id,
            verb=operation.verb.value,
            operation_id=operation.id,
        ) as seen:
            answer = await ask(provider, operation, calls=calls, leased_at=leased_at, repeat=repeat)
            seen.outcome, seen.error = answer.word, answer.refused or answer.unsent or answer.unsure
            if answer.lost is not None:
                seen.facts["lost"] = answer.lost
        return answer, calls.operation

    async def record(self, reserved: Reserved, answer: Answer) -> Reserved:
        """Run transaction 2. No answer is discarded: after a lost race the provider is read again."""
        answer = await self._with_truth(reserved, answer)
        current = reserved
        for _ in range(MERGE_ATTEMPTS):
            settled, operation = settle(current, answer, self.clock(), self.policy)
            try:
                written = await self._write(current, settled, operation)
            except LostRace:
                current, answer = await self._read_again(current, answer)
                continue
            except LostLease:
                return await self._after_lost_lease(current, answer)
            except StoreError:
                log.warning(
                    "operation %s: the answer could not be recorded; reconciliation will", operation.id
                )
                return replace(current, operation=replace(current.operation, state=OperationState.UNKNOWN))
            self.on_commit()
            self.count_operation(written.operation)
            return written
        log.warning("operation %s: its payment changes faster than it can be recorded", reserved.operation.id)
        return replace(current, operation=await self.leave_unknown(current.operation))

    @property
    def policy(self) -> Policy:
        """What the installation decided about client secrets."""
        wiped = settlement.WIPE_IN if self.settings.client_secret_cleanup_on_success else frozenset()
        if self.settings.client_secret_cleanup_on_failure:
            wiped |= {PaymentStatus.FAILED}
        return Policy(wipe_in=wiped, secret_max_age=timedelta(seconds=self.settings.client_secret_max_age))

    async def _with_truth(self, reserved: Reserved, answer: Answer) -> Answer:
        """Read the payment where the answer alone does not say what became of it.

        A state conflict means that a browser or the dashboard was faster; a decline of a create leaves
        an intent that can still be paid.
        """
        refused = answer.refused
        if refused is None or reserved.refund is not None:
            return answer
        created_by_decline = refused.payment if isinstance(refused, ProviderDeclined) else None
        needs_secret = created_by_decline is not None and reserved.payment.provider_intent_id is None
        unnamed = isinstance(refused, ProviderDeclined) and refused.attempt is None
        reference = reserved.payment.provider_intent_id or created_by_decline
        if reference is None or not (needs_secret or unnamed or isinstance(refused, ProviderStateConflict)):
            return answer
        try:
            truth = await self._read(reserved.payment, reserved.refunds or (), reference=reference)
        except ProviderError:
            return answer
        resolution = (
            "in another state at the provider" if isinstance(refused, ProviderStateConflict) else "declined"
        )
        if isinstance(refused, ProviderDeclined) and truth.status in _STILL_UNPAID:
            # A provider may not show an attempt that it refused: the object is as it was before it.
            truth = replace(truth, decline=truth.decline or decline_from(refused))
        return Answer(payment=truth, refused=refused, resolution=resolution)

    async def write_outcome(self, reserved: Reserved, settled: Settlement, operation: Operation) -> bool:
        """Write one decided outcome; False if the rows changed since, and then nothing was written."""
        try:
            await self._write(reserved, settled, operation)
        except (LostRace, LostLease):
            return False
        self.on_commit()
        self.count_operation(operation)
        return True

    async def _write(self, reserved: Reserved, settled: Settlement, operation: Operation) -> Reserved:
        token = reserved.operation.lease_token
        version = reserved.payment.version

        def work(unit: Unit) -> Reserved:
            payment: Payment | None = settled.payment
            if settled.changed:
                payment = write_settlement(unit, settled, expected_version=version)
                if payment is None:
                    raise LostRace
            assert payment is not None
            write_operation(unit, operation, token=token)
            return Reserved(
                operation=operation, payment=payment, refund=row_of(reserved.refund, settled.refunds)
            )

        written = await self.store.run(work)
        _warn(settled)
        return written

    async def _read_again(self, reserved: Reserved, answer: Answer) -> tuple[Reserved, Answer]:
        """Somebody else wrote the row: take their row and, if money may have moved, the provider's word."""

        def read(unit: Unit) -> Reserved:
            payment = unit.payments.get(reserved.payment.id)
            operation = unit.operations.get(reserved.operation.id)
            assert payment is not None
            assert operation is not None
            return with_refunds(unit, operation, payment)

        fresh = await self.store.run(read, write=False)
        # The lease that we hold is the one that we reserved with; a row with another one is not ours.
        fresh = replace(fresh, operation=replace(fresh.operation, lease_token=reserved.operation.lease_token))
        if answer.payment is None and answer.refund is None:
            return fresh, answer
        reference = fresh.payment.provider_intent_id or (answer.payment.reference if answer.payment else None)
        if reference is None:
            return fresh, answer
        try:
            truth = await self._read(fresh.payment, fresh.refunds or (), reference=reference)
        except ProviderError as error:
            log.warning("operation %s: could not read the payment again: %s", fresh.operation.id, error)
            return fresh, answer
        kept = replace(
            truth,
            client_secret=truth.client_secret or (answer.payment.client_secret if answer.payment else None),
        )
        return fresh, replace(answer, payment=kept)

    async def _after_lost_lease(self, reserved: Reserved, answer: Answer) -> Reserved:
        """Reconciliation owns the operation now. The answer still counts: it is merged as a sync.

        While the operation is open it will be looked up. One that was given up left a payment without an
        intent, and perhaps this answer alone names it.
        """
        current = await self._look_up_reserve(reserved.operation.id) or reserved
        given_up = not current.operation.is_open and current.payment.provider_intent_id is None
        if answer.payment is not None and given_up and await self._adopt(reserved, answer.payment):
            log.error("payment %s was given up and began after all", reserved.payment.id)
        elif answer.payment is not None or answer.refund is not None:
            await self.refresh(reserved.payment.id)
        return await self._look_up_reserve(reserved.operation.id) or reserved

    async def _adopt(self, reserved: Reserved, truth: ProviderPayment) -> bool:
        """Take over an intent that only this answer names: a create that was believed never executed."""
        for _ in range(MERGE_ATTEMPTS):
            payment = await self.store.run(lambda unit: unit.payments.get(reserved.payment.id), write=False)
            if payment is None or payment.provider_intent_id is not None:
                return False
            settled = settlement.created(
                payment,
                truth,
                self.clock(),
                secret_until=payment.created_at + self.policy.secret_max_age,
                wipe_in=self.policy.wipe_in,
            )
            if await self.apply(payment, settled):
                return True
        return False

    async def leave_unknown(self, operation: Operation) -> Operation:
        """Leave an operation to reconciliation; return it as it stays open."""
        still_open = replace(operation, state=OperationState.UNKNOWN, updated_at=self.clock())

        def work(unit: Unit) -> None:
            token = operation.lease_token
            if unit.operations.save(still_open, token=token):
                unit.operations.hand_back(operation.id, token=token or "", delay_seconds=UNKNOWN_DELAY)

        await self.store.run(work)
        self.count_operation(still_open)
        return still_open

    # --- refresh: the provider's word without an instruction ----------------------------------------

    async def _read(
        self, payment: Payment, refunds: Sequence[Refund], *, reference: str, hint: str | None = None
    ) -> ProviderPayment:
        assert payment.provider_id is not None
        known = known_payment(payment, refunds, reference=reference, hint=hint)
        provider = self.provider(payment.provider_id)
        try:
            with self.asking(payment.provider_id, "sync_payment"):
                return await provider.sync_known_payment(known)
        except BridgeError:
            raise
        except Exception as error:
            log.exception("payment %s: its adapter failed to read it", payment.id)
            raise ProviderUnknown(f"the adapter failed with {type(error).__name__}") from None

    async def refresh(
        self, payment_id: str, *, swept: bool = False, hint: str | None = None
    ) -> Payment | None:
        """Read one payment at its provider and apply what it says; None if there is nothing to read.

        Whoever asks read the row's version before, and records against it; after a lost race both are
        read again. *hint* is an object that a verified webhook named.

        Raises: ProviderError when the provider does not say.
        """
        payment: Payment | None = None
        for _ in range(MERGE_ATTEMPTS):
            payment, refunds, disputes = await self.store.run(
                lambda unit: _payment_and_parts(unit, payment_id), write=False
            )
            if payment is None or payment.provider_intent_id is None or payment.provider_id is None:
                return payment
            truth = await self._read(payment, refunds, reference=payment.provider_intent_id, hint=hint)
            if truth.refunds and not refunds:
                refunds = await self.store.run(
                    lambda unit: tuple(unit.refunds.for_payment(payment_id)), write=False
                )
            if truth.disputes and not disputes:
                disputes = await self.store.run(
                    lambda unit: tuple(unit.disputes.for_payment(payment_id)), write=False
                )
            settled = settlement.merge(
                payment,
                truth,
                self.clock(),
                refunds=refunds,
                disputes=disputes,
                wipe_in=self.policy.wipe_in,
                swept=swept,
            )
            if written := await self.apply(payment, settled):
                return written
        log.warning("payment %s changes faster than it can be read", payment_id)
        return payment

    async def apply(
        self, payment: Payment, settled: Settlement, *, subscription: Subscription | None = None
    ) -> Payment | None:
        """Write a settlement against the version that was read; return the row, None if it was another.

        *subscription* is what it was collected for, as it is about to be written.
        """
        if not settled.changed:
            return payment

        def work(unit: Unit) -> Payment:
            row = write_settlement(unit, settled, expected_version=payment.version, subscription=subscription)
            if row is None:
                raise LostRace
            return row

        try:
            written = await self.store.run(work)
        except LostRace:
            return None
        _warn(settled)
        if settled.events:
            self.on_commit()
        return written

    # --- answers ----------------------------------------------------------------------------------

    @staticmethod
    def check_not_in_flight(operation: Operation) -> None:
        """A key whose first use is still being carried out: the caller waits, nothing is sent twice."""
        if operation.state is OperationState.RESERVED:
            raise OperationInProgress(
                "The first request with this Idempotency-Key is still being carried out",
                operation_id=operation.id,
            )


def _warn(settled: Settlement) -> None:
    """Call for an operator, once: what does not match is not put right by itself."""
    for event in settled.events:
        if event.type == "payment.mismatch":
            named = ", ".join(event.data.get("charges", ()))
            log.error("payment %s does not match: %s %s", settled.payment.id, event.data["reason"], named)


def _traced_note() -> dict[str, Any]:
    trace = traced()
    return {TRACE_NOTE: trace} if trace is not None else {}


def _baseline(payment: Payment) -> dict[str, Any]:
    """What was recorded when the operation was reserved: a later look-up judges against it."""
    return {
        "status": payment.status.value,
        "decline_reference": payment.decline_reference,
        "captured_cents": payment.captured_cents,
        "total_cents": payment.total_cents,
    }


def write_operation(unit: Unit, operation: Operation, *, token: str | None) -> None:
    """Write how an operation ended, or that it stays open, under its sender's lease. Raises LostLease."""
    saved = unit.operations.save(operation, token=token)
    if saved and operation.is_open:
        saved = unit.operations.hand_back(operation.id, token=token or "", delay_seconds=UNKNOWN_DELAY)
    if not saved:
        raise LostLease
    if operation.state is OperationState.ABANDONED:
        unit.idempotency.release(operation.id)


def write_settlement(
    unit: Unit, settled: Settlement, *, expected_version: int, subscription: Subscription | None = None
) -> Payment | None:
    """Write payment, refunds, disputes and events in the running transaction; return the payment as it is.

    None if the row was written since. Under version 0 it is not there yet.
    """
    payment = settled.payment
    saved = _keep_method(unit, settled)
    if saved is not None:
        payment = replace(payment, payment_method_id=saved)
    if expected_version == 0:
        unit.payments.add(replace(payment, version=1))
    elif not unit.payments.save(payment, expected_version=expected_version):
        return None
    for dispute in settled.disputes:
        if dispute.version == 0:
            unit.disputes.add(replace(dispute, version=1))
        elif not unit.disputes.save(dispute, expected_version=dispute.version):
            raise LostRace
    for refund in settled.refunds:
        if refund.version == 0:
            unit.refunds.add(replace(refund, version=1))
        elif not unit.refunds.save(refund, expected_version=refund.version):
            raise LostRace
    for event in settled.events:
        unit.events.add(event)
    _tell_renewal(unit, settled, subscription)
    return replace(
        payment,
        version=expected_version + 1,
        payment_method_saved=settled.method is not None and saved == settled.method.id,
    )


def _keep_method(unit: Unit, settled: Settlement) -> str | None:
    """Write down the method that was kept with a payment, unless it has a row; return that row's id."""
    method = settled.method
    if method is None or method.provider_payment_method_id is None:
        return None
    known = unit.payment_methods.get_by_reference(method.provider_id, method.provider_payment_method_id)
    if known is not None:
        return known.id
    customer_id = method.customer_id
    if settled.method_customer is not None:
        customer = unit.customers.get_by_reference(method.provider_id, settled.method_customer)
        customer_id = customer.id if customer is not None else customer_id
    kept = replace(method, version=1, customer_id=customer_id)
    unit.payment_methods.add(kept)
    unit.events.add(
        Event(
            id=new_id("evt"),
            type="payment_method.created",
            created_at=kept.created_at,
            payment_method=kept,
        )
    )
    return kept.id


def _tell_renewal(unit: Unit, settled: Settlement, subscription: Subscription | None) -> None:
    """Say that a subscription was renewed when a charge of it, other than its first, is paid."""
    payment = settled.payment
    paid = next((event for event in settled.events if event.type == "payment.success"), None)
    if paid is None or payment.subscription_id is None:
        return
    row = subscription or unit.subscriptions.get(payment.subscription_id)
    if row is not None and settlement.renews(row, settled.charged_at or paid.created_at):
        data = {"payment_id": payment.id, "amount_cents": payment.total_cents, "currency": payment.currency}
        unit.events.add(
            Event(
                id=new_id("evt"),
                type="subscription.renewed",
                created_at=paid.created_at,
                subscription=row,
                data=data,
            )
        )


def with_refunds(unit: Unit, operation: Operation, payment: Payment) -> Reserved:
    """Return an operation with the rows it is about, every refund of its payment included."""
    refunds = tuple(unit.refunds.for_payment(payment.id)) if payment.captured_cents else ()
    mine = next((refund for refund in refunds if refund.id == operation.refund_id), None)
    return Reserved(operation=operation, payment=payment, refund=mine, refunds=refunds)


def known_payment(
    payment: Payment, refunds: Sequence[Refund], *, reference: str, hint: str | None = None
) -> KnownPayment:
    """Return what our books say of a payment, for a provider whose own do not say it all."""
    return KnownPayment(
        reference=reference,
        total=payment.total,
        status=payment.status,
        charge=payment.provider_payment_id,
        captured=payment.captured_cents,
        refunds=tuple(
            KnownRefund(id=row.id, amount=row.amount, status=row.status, reference=row.provider_refund_id)
            for row in refunds
        ),
        created_at=payment.created_at,
        hint=hint,
    )


def _payment_and_parts(
    unit: Unit, payment_id: str
) -> tuple[Payment | None, tuple[Refund, ...], tuple[Dispute, ...]]:
    payment = unit.payments.get(payment_id)
    if payment is None or not payment.captured_cents:
        return payment, (), ()
    disputes = tuple(unit.disputes.for_payment(payment_id)) if payment.disputed_cents else ()
    return payment, tuple(unit.refunds.for_payment(payment_id)), disputes


def _in_progress(holder: str) -> OperationInProgress:
    return OperationInProgress(f"Operation {holder} on it is still open", operation_id=holder)


def _nothing(*_: str) -> None:
    """Nobody waits for commits."""
