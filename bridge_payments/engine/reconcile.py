"""
Reconciliation: what became of the operations that we lost sight of.

It looks up first. Time alone never turns unknown into failed, absence needs a
proof and is believed only when nothing can be under way any more, and nothing
that needs the payer is executed late.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from ..arguments import typed
from ..errors import BridgeError, NotFound, OperationInProgress, ProviderError
from ..models import (
    PAYMENT_VERBS,
    SYSTEM,
    Customer,
    Money,
    OpenOperations,
    Operation,
    OperationState,
    Payment,
    PaymentMethod,
    Principal,
    Subscription,
    Verb,
)
from ..providers.base import (
    Absent,
    CannotSay,
    Evidence,
    Found,
    Lookup,
    PaymentProvider,
    ProviderPayment,
)
from ..stores.base import Unit
from . import rules, settlement
from .asking import CALL_DEADLINE, LEASE_SECONDS, OUR_NOTE, REPEATED_NOTE, finished_calls
from .inputs import request_of
from .operations import LostLease, LostRace, known_payment, with_refunds
from .outcome import Answer, Reserved, settle_absence
from .subjects import Held, Subjects, keeper_of, settle_row_absence

__all__ = ["Reconciliation", "Verdict", "quiet_at", "verdict"]

log: logging.Logger = logging.getLogger(__name__)

_CONCURRENT: Final = 8
_BACKOFF: Final = (5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
_WAIT: Final = 15.0
_ABSENT: Final = f"{OUR_NOTE}absent"
"""The name in `Operation.steps` of how often absence was seen when nothing could be under way any more."""
_LOOK_AGAIN: Final = 60.0
_WITHOUT_KEYS: Final = timedelta(hours=24)
"""For how long what may be done twice is asked for again where a provider has no keys."""


class Verdict(StrEnum):
    """What may be done with an operation that was proved never executed."""

    WAIT = "wait"
    REPEAT = "repeat"
    ABANDON = "abandon"


def verdict(operation: Operation, provider: PaymentProvider, now: datetime) -> Verdict:
    """Decide what absence means now (rules 8 and 11). Pure.

    Before lease, deadline and the provider's own margin have passed, a call may still be under way.
    Afterwards the verbs that return, release or collect held money are repeated with the same key while
    the key is worth something; whatever needs the payer is abandoned. The last repeat, too, may be under
    way for so long.
    """
    under_way = _under_way(provider)
    if now < operation.created_at + under_way:
        return Verdict.WAIT
    if operation.verb in rules.IDEMPOTENT and not provider.keys.has_keys:
        late = now >= operation.created_at + _WITHOUT_KEYS
        return Verdict.ABANDON if late else Verdict.REPEAT
    harmless = operation.verb in rules.HARMLESS or (
        operation.verb is Verb.CREATE and not operation.inputs.get("confirm")
    )
    if operation.verb in rules.REPEATABLE or harmless:
        last_repeat = operation.created_at + timedelta(hours=max(provider.keys.window_hours - 1, 0))
        if provider.keys.has_keys and now < last_repeat:
            return Verdict.REPEAT
        if provider.keys.has_keys and now < last_repeat + under_way:
            return Verdict.WAIT
    return Verdict.ABANDON


class Reconciliation(Subjects):
    """The part of the engine that finishes what was interrupted."""

    @typed
    async def reconcile(self, *, limit: int = 50) -> int:
        """Look at every operation that is due; return how many were finished."""
        token = secrets.token_hex(8)
        leased_at = time.monotonic()
        due = await self.store.run(
            lambda unit: unit.operations.claim_due(limit=limit, lease_seconds=LEASE_SECONDS, token=token)
        )
        gate = asyncio.Semaphore(_CONCURRENT)

        async def one(operation: Operation) -> bool:
            async with gate:
                return await self.shielded(self._finish(operation, token, leased_at))

        return sum(await asyncio.gather(*(one(operation) for operation in due)))

    @typed
    async def list_unknown(self, *, limit: int = 50, principal: Principal = SYSTEM) -> Sequence[Operation]:
        """Return the operations whose outcome is not known yet, oldest first: the operator's queue.

        Raises: AccessDenied.
        """
        rules.require_admin(principal)
        return await self.store.run(lambda unit: unit.operations.list_open(limit=limit), write=False)

    @typed
    async def count_unknown(self, *, principal: Principal = SYSTEM) -> Sequence[OpenOperations]:
        """Return how many operations are open, by account and state, and since when the oldest of them is.

        `reserved` ones are under way, or their sender died; `unknown` ones wait for their provider's word.
        The age of the oldest is the figure to be woken up by.

        Raises: AccessDenied.
        """
        rules.require_admin(principal)
        return await self.store.run(lambda unit: unit.operations.count_open(), write=False)

    @typed
    async def look_up_operation(self, operation_id: str, *, principal: Principal = SYSTEM) -> Operation:
        """Ask the provider now what became of an operation; return it as it is afterwards, unknown or not.

        Raises: AccessDenied, NotFound, OperationInProgress while somebody else is asking.
        """
        rules.require_admin(principal)
        token, leased_at = secrets.token_hex(8), time.monotonic()
        operation = await self.leased(operation_id, token)
        if operation.is_open:
            await self.shielded(self._finish(operation, token, leased_at))
        return await self.store.run(lambda unit: unit.operations.get(operation_id), write=False) or operation

    async def leased(self, operation_id: str, token: str) -> Operation:
        """Take the lease of an open operation; return one that is finished as it is, without a lease.

        Raises: NotFound, OperationInProgress while somebody else is asking.
        """

        def take(unit: Unit) -> tuple[Operation | None, Operation | None]:
            leased = unit.operations.lease(operation_id, token=token, lease_seconds=LEASE_SECONDS)
            return leased, leased or unit.operations.get(operation_id)

        leased, known = await self.store.run(take)
        if known is None:
            raise NotFound("Operation not found")
        if leased is None and known.is_open:
            raise OperationInProgress(operation_id=operation_id)
        return known

    async def _finish(self, operation: Operation, token: str, leased_at: float) -> bool:
        case = await self._load(replace(operation, lease_token=token))
        if case is None:
            log.error("operation %s is about a row that does not exist", operation.id)
            return False
        try:
            provider = self.provider(operation.provider_id)
            asked_at = self.clock()
            with self.instructing(operation) as seen:
                found = await self._look_up(case, provider)
                done = await self._act(
                    case, provider, found, token=token, asked_at=asked_at, leased_at=leased_at
                )
                seen.outcome = "reconciled" if done else OperationState.UNKNOWN.value
                return done
        except BridgeError as error:
            # One operation that cannot be finished must not keep the others from it.
            log.warning("operation %s stays open: %s", operation.id, error)
            await self._postpone(operation, token, _backoff(operation))
            return False

    async def _look_up(self, case: Reserved | Held[Any], provider: PaymentProvider) -> Lookup:
        evidence = _evidence(case)
        try:
            with self.asking(case.operation.provider_id, "find_operation"):
                async with asyncio.timeout(CALL_DEADLINE):
                    return await provider.find_operation(evidence)
        except (ProviderError, TimeoutError) as error:
            return CannotSay(str(error) or "the provider does not answer")
        except BridgeError:
            raise
        except Exception as error:
            # An adapter that fails in its own code says nothing, and must not keep the others waiting.
            log.exception("operation %s: its adapter failed to look it up", case.operation.id)
            return CannotSay(f"the adapter failed with {type(error).__name__}")

    async def _act(
        self,
        case: Reserved | Held[Any],
        provider: PaymentProvider,
        found: Lookup,
        *,
        token: str,
        asked_at: datetime,
        leased_at: float,
    ) -> bool:
        operation = case.operation
        match found:
            case Found() if not _says_something(found):
                await self._postpone(
                    operation, token, _backoff(operation), why="found, but nothing was said of it"
                )
                return False
            case Found():
                return await self._recorded(case, Answer.found(found))
            case CannotSay(reason=reason):
                await self._postpone(operation, token, _backoff(operation), why=reason)
                return False
            case Absent(proof=proof, at_once=True):
                return await self._abandon(case, proof)
            case Absent(proof=proof):
                # Absence is as old as the question, however long the answer took.
                ruling = verdict(operation, provider, asked_at)
                looks = int(operation.steps.get(_ABSENT, 0)) + 1
                if ruling is not Verdict.WAIT and looks < provider.absence_looks:
                    again = replace(operation, steps={**operation.steps, _ABSENT: looks})
                    await self._postpone(
                        again, token, _LOOK_AGAIN, why=f"absent, to be looked at again: {proof}"
                    )
                    return False
                match ruling:
                    case Verdict.WAIT:
                        delay = _until_quiet(operation, provider, asked_at)
                        await self._postpone(operation, token, delay, why=f"absent so far: {proof}")
                        return False
                    case Verdict.REPEAT:
                        noted = await self._note_repeat(operation, token)
                        if noted is None:
                            return False
                        answer, operation = await self.asked(noted, leased_at=leased_at, repeat=True)
                        return await self._recorded(replace(case, operation=operation), _repeated(answer))
                    case _:
                        return await self._abandon(case, proof)

    async def _note_repeat(self, operation: Operation, token: str) -> Operation | None:
        """Write down that it is about to be sent again: until that is over nobody may call it absent.

        None if somebody else took it over: then nothing is sent.
        """
        noted = replace(operation, steps={**operation.steps, REPEATED_NOTE: self.clock().isoformat()})
        kept = await self.store.run(lambda unit: unit.operations.save(noted, token=token))
        return noted if kept else None

    async def _recorded(self, case: Reserved | Held[Any], answer: Answer) -> bool:
        """Record an answer; return whether the operation is finished."""
        if isinstance(case, Reserved):
            return not (await self.record(case, answer)).operation.is_open
        return not (await self.record_row(case, answer)).operation.is_open

    async def _abandon(self, case: Reserved | Held[Any], proof: str) -> bool:
        proof = f"never executed: {proof}"
        if isinstance(case, Reserved):
            now = self.clock()
            settled, operation = settle_absence(case, proof, now)
            if rules.may_come_to_light(operation, self.provider(operation.provider_id).late_hours, now):
                settled = settlement.watched(settled, now)
            return await self.write_outcome(case, settled, operation)
        if case.operation.verb in rules.TO_BE_DONE:
            log.error("operation %s was promised and could not be carried out", case.operation.id)
        change, operation = settle_row_absence(case, proof, self.clock())
        try:
            await self.write_row(case, change, operation)
        except (LostRace, LostLease):
            return False
        self.on_commit()
        self.count_operation(operation)
        return True

    # --- what was believed absent ------------------------------------------------------------------

    async def look_for_given_up(self, payment: Payment) -> bool:
        """Look again for charges of this payment that were believed absent; whether any may still turn up.

        Where a provider's lists lag without a limit no proof of absence is for good, and the payer may have
        paid once more since.
        """
        now = self.clock()
        provider = self.provider(payment.provider_id or "")
        if not provider.late_hours:
            return False

        def read(unit: Unit) -> list[Reserved]:
            return [
                with_refunds(unit, operation, payment)
                for operation in unit.operations.for_subject(payment.id)
                if rules.may_come_to_light(operation, provider.late_hours, now)
            ]

        given_up = await self.store.run(read, write=False)
        for case in given_up:
            found = await self._look_up(case, provider)
            if isinstance(found, Found) and found.payment is not None:
                await self._came_to_light(case, found.payment)
        return bool(given_up)

    async def _came_to_light(self, case: Reserved, truth: ProviderPayment) -> None:
        """Take over the charge of an operation that was given up, or tell that it is one too many."""
        payment = case.payment
        if payment.provider_intent_id is None:
            if truth.decline is None and await self._adopt(case, truth):
                log.error("payment %s was given up and began after all", payment.id)
            return
        for charge in sorted({truth.charge, *truth.others} - {None, payment.provider_payment_id}, key=str):
            await self.refresh(payment.id, hint=charge)

    async def _postpone(self, operation: Operation, token: str, delay: float, why: str | None = None) -> None:
        now = self.clock()
        still_open = settlement.close_operation(
            operation, OperationState.UNKNOWN, now, resolution=why or operation.resolution or "not known yet"
        )

        def work(unit: Unit) -> None:
            if unit.operations.save(still_open, token=token):
                unit.operations.hand_back(operation.id, token=token, delay_seconds=delay)

        await self.store.run(work)

    async def _load(self, operation: Operation) -> Reserved | Held[Any] | None:
        def read(unit: Unit) -> Reserved | Held[Any] | None:
            if operation.verb not in PAYMENT_VERBS:
                row = keeper_of(operation.verb).get(unit, operation.subject_id)
                return None if row is None else Held(operation=operation, row=row)
            payment = unit.payments.get(operation.subject_id)
            return None if payment is None else with_refunds(unit, operation, payment)

        return await self.store.run(read, write=False)


def _evidence(case: Reserved | Held[Any]) -> Evidence:
    """Return what we know about an operation that we lost sight of."""
    operation = case.operation
    payment = case.payment if isinstance(case, Reserved) else None
    request = request_of(operation.verb, operation.inputs)
    amount = getattr(request, "amount", None)
    known = None
    if isinstance(case, Reserved) and case.payment.provider_intent_id is not None:
        known = known_payment(case.payment, case.refunds or (), reference=case.payment.provider_intent_id)
    return Evidence(
        verb=operation.verb,
        reference=operation.reference,
        key=operation.id,
        payment_id=payment.id if payment is not None else "",
        payment=payment.provider_intent_id if payment is not None else None,
        subject_id=operation.subject_id,
        subject=_provider_reference(case),
        results=finished_calls(operation),
        amount=amount if isinstance(amount, Money) else None,
        refund_id=operation.refund_id,
        started_at=operation.created_at,
        baseline=operation.inputs["baseline"],
        inputs=operation.inputs,
        known=known,
    )


def _provider_reference(case: Reserved | Held[Any]) -> str | None:
    row = case.payment if isinstance(case, Reserved) else case.row
    match row:
        case Payment():
            return row.provider_intent_id
        case Customer():
            return row.provider_customer_id
        case PaymentMethod():
            return row.provider_payment_method_id or row.provider_setup_id
        case Subscription():
            return row.provider_subscription_id
        case _:
            return None


def _says_something(found: Found) -> bool:
    return any((found.payment, found.refund, found.customer, found.method, found.subscription))


def _under_way(provider: PaymentProvider) -> timedelta:
    """How long after its reserve, or its last repeat, an operation may still be at work somewhere."""
    return timedelta(seconds=LEASE_SECONDS + CALL_DEADLINE + provider.absence_margin_seconds)


def quiet_at(operation: Operation, provider: PaymentProvider) -> datetime:
    """Return when nothing of an operation can be under way any more, whoever sent it last."""
    repeated = operation.steps.get(REPEATED_NOTE)
    last = max(operation.created_at, datetime.fromisoformat(repeated)) if repeated else operation.created_at
    return last + _under_way(provider)


def _until_quiet(operation: Operation, provider: PaymentProvider, now: datetime) -> float:
    """When to look again meanwhile: soon at first, and less often where a provider lags for long."""
    left = (operation.created_at + _under_way(provider) - now).total_seconds()
    return max(_WAIT, min(_backoff(operation), left / 4))


def _repeated(answer: Answer) -> Answer:
    """A rejection of a repeat is not an answer (rule 9): whatever it says, look up again."""
    if answer.refused is not None:
        why = f"a repeat was refused, which proves nothing: {answer.refused}"
        return Answer(lost=why, unsure=answer.refused)
    if answer.unsent is not None:
        return Answer(lost=f"a repeat could not be sent: {answer.unsent}")
    return replace(answer, resolution="repeated with the same key")


def _backoff(operation: Operation) -> float:
    return _BACKOFF[min(operation.attempts, len(_BACKOFF) - 1)]
