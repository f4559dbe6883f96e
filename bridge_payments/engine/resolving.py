"""
An operator says what became of an operation that the library cannot finish by itself.

The provider is asked first, and what it says is believed: an operator is heard only where the provider
cannot say. What they name is read at the provider and has to be this payment, with its amount and
currency; what they call absent is never sent again. Every statement is kept with its operation.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from .. import telemetry
from ..errors import (
    BridgeError,
    Conflict,
    Contradicted,
    InvalidRequest,
    OperationInProgress,
    ProviderError,
    ProviderNotFound,
    Unavailable,
)
from ..models import (
    ID_PATTERN,
    PAYMENT_VERBS,
    SYSTEM,
    Claim,
    Operation,
    OperationState,
    Payment,
    PaymentStatus,
    Principal,
    Refund,
    Statement,
    Subscription,
    SubscriptionStatus,
    Verb,
)
from ..providers.base import (
    Absent,
    CannotSay,
    Found,
    PaymentProvider,
    ProviderPayment,
    ProviderSubscription,
)
from ..tripwire import guarded
from . import rules, settlement
from .outcome import Answer, Reserved
from .reconcile import Reconciliation, quiet_at
from .subjects import Held

__all__ = ["Resolutions", "shown_on_payment"]

log: logging.Logger = logging.getLogger(__name__)

_LONGEST: Final = 2000
_NAMEABLE: Final = frozenset({*PAYMENT_VERBS, Verb.CREATE_SUBSCRIPTION, Verb.CANCEL_SUBSCRIPTION})
"""Verbs whose execution shows on an object that can be read by its reference."""
_MOVED: Final = frozenset(
    {
        PaymentStatus.PROCESSING,
        PaymentStatus.REQUIRES_ACTION,
        PaymentStatus.REQUIRES_CAPTURE,
        PaymentStatus.SUCCEEDED,
    }
)
_LOOK_AGAIN: Final = 60.0


class Resolutions(Reconciliation):
    """The part of the engine that hears an operator."""

    @guarded
    async def resolve_operation(
        self,
        operation_id: str,
        *,
        outcome: Claim | str,
        evidence: str,
        reference: str | None = None,
        principal: Principal = SYSTEM,
    ) -> Operation:
        """End an operation on an operator's word, where the provider cannot say; return it as it ended.

        *outcome* is ``executed``, with the provider's *reference* of what came of it, or ``not_executed``.
        *evidence* says how they know: it is kept with the operation, with who said it and when, also where
        it was not believed. What is executed is recorded as the provider shows it; what is not executed is
        given up, and never sent again.

        Raises: AccessDenied, NotFound, InvalidRequest, OperationInProgress while a call may be under way,
        Contradicted where the provider says otherwise or shows something else, Conflict when it is finished
        already, Unavailable when the provider cannot be read.
        """
        rules.require_admin(principal)
        statement = _statement(outcome, evidence, reference, principal, self.clock())
        token = secrets.token_hex(8)
        operation = await self.leased(operation_id, token)
        if not operation.is_open:
            raise Conflict(
                f"Operation {operation_id} is {operation.state.value} already: {operation.resolution}",
                details={"state": operation.state.value},
            )
        return await self.shielded(self._resolve(replace(operation, lease_token=token), statement, token))

    async def _resolve(self, operation: Operation, statement: Statement, token: str) -> Operation:
        try:
            case = await self._load(operation)
            if case is None:
                raise Conflict(f"Operation {operation.id} is about a row that does not exist")
            provider = self.provider(operation.provider_id)
            asked_at = self.clock()
            found = await self._look_up(case, provider)
            match found:
                case Found() if any(
                    (found.payment, found.refund, found.customer, found.method, found.subscription)
                ):
                    return await self._believe_provider(case, found, statement)
                case Found():
                    found = CannotSay("it was found, and nothing was said of it")
                case _:
                    pass
            if statement.outcome is Claim.EXECUTED:
                return await self._believe_shown(case, provider, statement)
            return await self._believe_absence(case, provider, found, statement, asked_at)
        except BridgeError as error:
            await self._keep_refused(operation, statement, token, error)
            raise

    async def _believe_provider(
        self, case: Reserved | Held[Any], found: Found, statement: Statement
    ) -> Operation:
        """The provider says it by now: that is recorded, whatever the operator says."""
        ended = await self._recorded_with(
            case, Answer.found(found), statement, "the provider was asked, and said itself"
        )
        done = ended.state is OperationState.SUCCEEDED
        if done is not (statement.outcome is Claim.EXECUTED):
            raise Contradicted(
                f"The provider says otherwise, and that is recorded: operation {ended.id} is"
                f" {ended.state.value}",
                details={"state": ended.state.value},
            )
        return ended

    async def _believe_shown(
        self, case: Reserved | Held[Any], provider: PaymentProvider, statement: Statement
    ) -> Operation:
        """Read what the operator names; record it if it is what the operation should have made."""
        assert statement.reference is not None
        shown = await self._read_named(case, provider, statement.reference)
        if isinstance(shown, str):
            raise Contradicted(f"{statement.reference} does not show that it was executed: {shown}")
        resolution = f"found at the provider as {statement.reference}, which {statement.by} named"
        return await self._recorded_with(
            case,
            replace(shown, resolution=resolution),
            statement,
            "believed: the provider shows it",
        )

    async def _believe_absence(
        self,
        case: Reserved | Held[Any],
        provider: PaymentProvider,
        found: Absent | CannotSay | Found,
        statement: Statement,
        asked_at: datetime,
    ) -> Operation:
        """Give up what nobody executed, once nothing of it can be under way."""
        operation = case.operation
        at_once = isinstance(found, Absent) and found.at_once
        if not at_once and asked_at < (quiet := quiet_at(operation, provider)):
            until = quiet.isoformat(timespec="seconds")
            raise OperationInProgress(
                f"Operation {operation.id} may still be under way until {until}", operation_id=operation.id
            )
        said = (
            f"the provider shows none ({found.proof})"
            if isinstance(found, Absent)
            else f"the provider cannot say ({found.reason if isinstance(found, CannotSay) else found})"
        )
        told = replace(case, operation=_with(operation, statement, f"believed: {said}"))
        if not await self._abandon(told, f"{statement.by} says so, and {said}"):
            raise Conflict(f"Operation {operation.id} was changed meanwhile; look at it again")
        log.warning("operation %s: %s says that it was never executed", operation.id, statement.by)
        return await self._operation(operation)

    async def _read_named(
        self, case: Reserved | Held[Any], provider: PaymentProvider, reference: str
    ) -> Answer | str:
        """Return what an operation came to, read by the reference of it; or why that is not it."""
        operation = case.operation
        try:
            if isinstance(case, Reserved):
                return await self._read_payment(case, reference)
            if operation.verb in _NAMEABLE and isinstance(case.row, Subscription):
                truth = await provider.sync_subscription(reference)
                return _shown_on_subscription(operation, case.row, truth)
        except ProviderNotFound:
            return "the provider has no such object"
        except ProviderError as error:
            raise Unavailable(f"The provider cannot be read: {error}") from None
        raise InvalidRequest(
            f"nothing is to be named for {operation.verb.value}: say not_executed, and read the row again",
            field="outcome",
        )

    async def _read_payment(self, case: Reserved, reference: str) -> Answer | str:
        payment, refund = case.payment, case.refund
        holder = await self.store.run(
            lambda unit: unit.payments.get_by_reference(payment.provider_id or "", reference), write=False
        )
        if holder is not None and holder.id != payment.id:
            return f"it belongs to payment {holder.id}"
        rows = [
            _as_named(row, reference) if refund is not None and row.id == refund.id else row
            for row in case.refunds or ()
        ]
        if payment.provider_intent_id is None:
            truth = await self.provider(payment.provider_id or "").sync_payment_status(reference)
        else:
            truth = await self._read(payment, rows, reference=payment.provider_intent_id, hint=reference)
        return shown_on_payment(case, truth, reference)

    async def _recorded_with(
        self, case: Reserved | Held[Any], answer: Answer, statement: Statement, came_of: str
    ) -> Operation:
        told = replace(case, operation=_with(case.operation, statement, came_of))
        await self._recorded(told, answer)
        ended = await self._operation(case.operation)
        if ended.is_open:
            raise Conflict(f"Operation {ended.id} could not be recorded now; try again")
        log.warning("operation %s: %s resolved it as %s", ended.id, statement.by, ended.state.value)
        return ended

    async def _operation(self, operation: Operation) -> Operation:
        return await self.store.run(lambda unit: unit.operations.get(operation.id), write=False) or operation

    async def _keep_refused(
        self, operation: Operation, statement: Statement, token: str, error: BridgeError
    ) -> None:
        """Keep what was not believed, too, and leave the operation to reconciliation again."""
        log.warning("operation %s: %s was not believed: %s", operation.id, statement.by, error)
        current = await self._operation(operation)
        if current.is_open:
            told = _with(current, statement, f"not believed: {error}")
            await self._postpone(told, token, _LOOK_AGAIN)


def _statement(
    outcome: Claim | str, evidence: str, reference: str | None, principal: Principal, now: datetime
) -> Statement:
    """Read what an operator says. Raises InvalidRequest."""
    try:
        claim = Claim(outcome)
    except ValueError:
        raise InvalidRequest(f"is one of {', '.join(Claim)}", field="outcome") from None
    words = evidence.strip()
    if not words:
        raise InvalidRequest("is required: say how you know", field="evidence")
    if len(words) > _LONGEST or "\x00" in words:
        raise InvalidRequest(f"has at most {_LONGEST} characters, and no NUL", field="evidence")
    if claim is Claim.EXECUTED and reference is None:
        raise InvalidRequest("is required: what the provider calls it", field="reference")
    if claim is Claim.NOT_EXECUTED and reference is not None:
        raise InvalidRequest("names what came of it: nothing did", field="reference")
    if reference is not None and not ID_PATTERN.fullmatch(reference):
        raise InvalidRequest("is not a reference", field="reference")
    return Statement(
        at=now,
        by=principal.scope(),
        outcome=claim,
        evidence=telemetry.redact(words),
        reference=reference,
    )


def _with(operation: Operation, statement: Statement, came_of: str) -> Operation:
    return operation.with_statement(replace(statement, came_of=came_of))


# --- is it this one? ------------------------------------------------------------------------------


def shown_on_payment(case: Reserved, truth: ProviderPayment, reference: str) -> Answer | str:
    """Return the answer that *reference* gives to a lost operation, or why it gives none. Pure.

    The object has to be the payment's own, in amount and currency, and to show what the verb does.
    """
    operation, payment = case.operation, settlement.price_taken_over(case.payment, case.operation)
    if wrong := settlement.mismatch(payment, truth):
        return wrong
    if operation.verb is Verb.CREATE and not _names_us(payment, truth):
        return "it does not carry our reference"
    named = {truth.reference, truth.charge, *(each.reference for each in truth.refunds or ())}
    if reference not in named:
        return "the payment does not name it"
    if operation.verb is Verb.REFUND:
        return _shown_refund(case, truth, reference)
    if lacking := _lacking(operation, truth):
        return lacking
    return Answer(payment=truth)


def _names_us(payment: Payment, truth: ProviderPayment) -> bool:
    return truth.our_reference == payment.reference or truth.payment_id == payment.id


def _lacking(operation: Operation, truth: ProviderPayment) -> str | None:
    """Say what the payment would show if the verb had been executed."""
    before = int(operation.inputs["baseline"].get("captured_cents") or 0)
    match operation.verb:
        case Verb.CONFIRM if truth.status not in _MOVED:
            return f"the payment is {truth.status}, not paid"
        case Verb.CAPTURE:
            wanted = before + int(operation.inputs["amount"]["minor_units"])
            if truth.captured != wanted:
                return f"{truth.captured} is collected, and not {wanted}"
        case Verb.CANCEL if truth.status is not PaymentStatus.CANCELED:
            if not (before and truth.authorized == 0):
                return f"the payment is {truth.status}, not given up"
        case _:
            pass
    return None


def _as_named(refund: Refund, reference: str) -> Refund:
    """Return our row as a provider is asked about it under the name that an operator gives to it.

    Where a payment does not show its refunds, an adapter answers with our own rows. So this one is of
    nothing: an amount is only in what was read.
    """
    return replace(refund, provider_refund_id=reference, amount_cents=0)


def _shown_refund(case: Reserved, truth: ProviderPayment, reference: str) -> Answer | str:
    mine = case.refund
    seen = next((each for each in truth.refunds or () if each.reference == reference), None)
    if mine is None or seen is None or not seen.amount.minor_units:
        return "the payment shows no such refund"
    if seen.amount != mine.amount:
        return f"it is a refund of {seen.amount}, and not of {mine.amount}"
    if _is_another(case.refunds or (), mine, reference) or seen.refund_id not in (None, mine.id):
        return "it is another refund of this payment"
    named = replace(seen, refund_id=mine.id, our_reference=case.operation.reference)
    refunds = tuple(named if each.reference == reference else each for each in truth.refunds or ())
    return Answer(payment=replace(truth, refunds=refunds), refund=named)


def _is_another(rows: Sequence[Refund], mine: Refund, reference: str) -> bool:
    return any(row.provider_refund_id == reference and row.id != mine.id for row in rows)


def _shown_on_subscription(
    operation: Operation, row: Subscription, truth: ProviderSubscription
) -> Answer | str:
    if truth.subscription_id != row.id and truth.our_reference not in (operation.reference, row.reference):
        return "it does not carry our reference"
    if row.provider_subscription_id not in (None, truth.reference):
        return "it is another subscription"
    if truth.amount is not None and truth.amount != row.total:
        return f"it charges {truth.amount}, and not {row.total}"
    ended = truth.cancel_at_period_end or truth.status is SubscriptionStatus.CANCELED
    if operation.verb is Verb.CANCEL_SUBSCRIPTION and not ended:
        return f"it is {truth.status}, not canceled"
    return Answer(subscription=truth)
