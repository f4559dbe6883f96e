"""Refunds: captured money given back, never more than was captured, whoever else refunds meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..arguments import typed
from ..errors import (
    ConcurrentUpdate,
    IllegalState,
    NotFound,
    OperationInProgress,
    ProviderError,
    ProviderRejected,
    Unavailable,
)
from ..models import (
    ID_PATTERN,
    SYSTEM,
    OperationState,
    Payment,
    Principal,
    Refund,
    RefundStatus,
    Verb,
    new_id,
    new_reference,
)
from ..providers.base import Capability, RefundRequest
from ..stores.base import Unit
from ..tripwire import guarded
from . import rules, settlement
from .fitting import check_texts
from .operations import LostRace, Operations, write_settlement
from .outcome import Reserved

__all__ = ["RefundVerbs"]


class RefundVerbs(Operations):
    """The part of the engine that gives money back."""

    @guarded
    async def refund_payment(
        self,
        payment_id: str,
        *,
        amount_cents: int | None = None,
        reason: str | None = None,
        force: bool = False,
        idempotency_key: str | None = None,
        principal: Principal = SYSTEM,
    ) -> Refund:
        """Give back *amount_cents* (all that is left by default). *force* refunds a disputed payment too.

        Returns a refund that succeeded, or one that is pending: accepted by the provider and not
        settled, or of unknown outcome. A pending refund keeps its share reserved.

        Raises: AccessDenied, IllegalState, InvalidRequest, NotAuthenticated, NotFound, OperationInProgress,
        ProviderRejected, Unavailable, UnsupportedOperation.
        """
        if not ID_PATTERN.match(payment_id):
            raise NotFound("Payment not found")
        check_texts(Refund, reason=reason)
        operation_id, refund_id, reference = new_id("op"), new_id("ref"), new_reference()
        begin = self.begins(
            Verb.REFUND, payment_id, operation_id=operation_id, refund_id=refund_id, principal=principal,
            key=idempotency_key, body={"amount": amount_cents, "reason": reason, "force": force},
        )  # fmt: skip

        def work(unit: Unit) -> Reserved:
            payment = begin(unit)
            if isinstance(payment, Reserved):
                return payment
            rules.require_trusted(principal, payment)
            if payment.provider_id is None:
                raise IllegalState("This payment was collected by hand; give it back by hand")
            gateway = self.provider(payment.provider_id)
            gateway.require(Verb.REFUND)
            with self.unless_in_progress(unit, payment_id):
                amount = rules.check_refund(payment, amount_cents, force=force)
            if amount < payment.captured_cents:
                gateway.require(Capability.PARTIAL_REFUND, instead="refund the whole payment")
            now = self.clock()
            refund = Refund(
                id=refund_id,
                payment_id=payment.id,
                provider_id=payment.provider_id,
                operation_id=operation_id,
                amount_cents=amount,
                currency=payment.currency,
                status=RefundStatus.PENDING,
                reason=reason,
                created_at=now,
                updated_at=now,
            )
            operation = self.draft_operation(
                Verb.REFUND, _request(payment, refund, reference), payment=payment,
                provider=gateway, principal=principal,
                operation_id=operation_id, reference=reference, refund_id=refund_id,
            )  # fmt: skip
            self.take_slot(unit, operation)
            reserved = replace(
                payment, refund_reserved_cents=payment.refund_reserved_cents + amount, updated_at=now
            )
            if not unit.payments.save(reserved, expected_version=payment.version):
                raise ConcurrentUpdate
            unit.refunds.add(refund)
            return Reserved(
                operation=operation, payment=replace(reserved, version=payment.version + 1), refund=refund
            )

        reserved, leased_at = await self.reserve(operation_id, work)
        if reserved.replayed:
            self.check_not_in_flight(reserved.operation)
            return _answer(reserved)
        return _answer(await self.shielded(self._give_back(reserved, leased_at)))

    async def _give_back(self, reserved: Reserved, leased_at: float) -> Reserved:
        outcome = await self.carry_out(reserved, leased_at)
        if outcome.operation.state is OperationState.REJECTED:
            # A refused refund often means that somebody refunded in the dashboard: read what is true now.
            try:
                await self.refresh(outcome.payment.id)
            except ProviderError:
                return outcome
        return outcome

    async def retry_waiting_refunds(self, payment_id: str) -> int:
        """Ask again for every refund that waits; return for how many. One that became impossible fails.

        It was promised when it began to wait and its share is kept, so it is not executed late (rule 8).
        """
        rows = await self.store.run(lambda unit: tuple(unit.refunds.for_payment(payment_id)), write=False)
        asked = 0
        for row in rows:
            if row.status is RefundStatus.WAITING and not await self._ended(payment_id, row.id):
                asked += await self._ask_again(payment_id, row.id)
        return asked

    async def _ended(self, payment_id: str, refund_id: str) -> bool:
        """End a waiting refund that can never be made, unless one of the payment's calls is under way."""

        def work(unit: Unit) -> bool:
            payment, refund = unit.payments.get(payment_id), unit.refunds.get(refund_id)
            if payment is None or refund is None or refund.status is not RefundStatus.WAITING:
                return True
            if unit.operations.holder_of(payment_id) is not None:
                return False
            refunds = unit.refunds.for_payment(payment_id)
            why = rules.why_impossible(payment, refund, refunds)
            if why is None:
                return False
            settled = settlement.refund_failed(payment, refund, why, self.clock(), refunds=refunds)
            if write_settlement(unit, settled, expected_version=payment.version) is None:
                raise LostRace
            return True

        try:
            ended = await self.store.run(work)
        except LostRace:
            return True  # whoever was faster is looked at when the sweep comes next
        if ended:
            self.on_commit()
        return ended

    async def _ask_again(self, payment_id: str, refund_id: str) -> bool:
        operation_id, reference = new_id("op"), new_reference()

        def work(unit: Unit) -> Reserved:
            payment, refund = unit.payments.get(payment_id), unit.refunds.get(refund_id)
            if payment is None or refund is None or refund.status is not RefundStatus.WAITING:
                raise NotFound("The refund does not wait any more")
            if payment.disputed_cents:
                raise NotFound("Payment is disputed: the money may be taken back twice")
            operation = self.draft_operation(
                Verb.REFUND, _request(payment, refund, reference), payment=payment,
                provider=self.provider(refund.provider_id), principal=SYSTEM,
                operation_id=operation_id, reference=reference, refund_id=refund.id,
            )  # fmt: skip
            self.take_slot(unit, operation)
            held = replace(refund, operation_id=operation_id, updated_at=self.clock())
            if not unit.refunds.save(held, expected_version=refund.version):
                raise ConcurrentUpdate
            return Reserved(
                operation=operation, payment=payment, refund=replace(held, version=refund.version + 1)
            )

        try:
            reserved, leased_at = await self.reserve(operation_id, work)
        except (NotFound, OperationInProgress):
            return False
        await self._give_back(reserved, leased_at)
        return True

    @typed
    async def list_refunds(self, payment_id: str, *, principal: Principal = SYSTEM) -> Sequence[Refund]:
        """Return every refund of a payment, oldest first, wherever it was made.

        Raises: AccessDenied, NotAuthenticated, NotFound.
        """

        def read(unit: Unit) -> Sequence[Refund]:
            payment = unit.payments.get(payment_id)
            if payment is None:
                raise NotFound("Payment not found")
            rules.may_read(principal, payment)
            return unit.refunds.for_payment(payment_id)

        return await self.store.run(read, write=False)


def _request(payment: Payment, refund: Refund, reference: str) -> RefundRequest:
    assert payment.provider_intent_id is not None
    return RefundRequest(
        payment=payment.provider_intent_id,
        charge=payment.provider_payment_id,
        refund_id=refund.id,
        amount=refund.amount,
        reference=reference,
        reason=refund.reason,
        metadata={
            "bridge_payment_id": payment.id,
            "bridge_refund_id": refund.id,
            "bridge_reference": reference,
        },
    )


def _answer(outcome: Reserved) -> Refund:
    operation, refund = outcome.operation, outcome.refund
    assert refund is not None
    match operation.state:
        case OperationState.REJECTED:
            raise ProviderRejected(
                operation.error_message or "The provider refused the refund",
                provider_code=operation.error_code,
                decline_code=operation.decline_code,
                request_id=operation.request_id,
            )
        case OperationState.ABANDONED:
            raise Unavailable("The provider could not be reached; nothing was refunded")
        case _:
            return refund
