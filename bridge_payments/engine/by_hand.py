"""Money that the merchant collects by hand: written down as any other payment, and no provider is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from ..errors import ConcurrentUpdate, InvalidRequest
from ..models import Money, Operation, OperationState, Payment, PaymentStatus, Principal, Verb
from ..providers.base import CancelRequest, CaptureRequest
from ..stores.base import Unit
from . import rules, settlement
from .instructions import Instructions
from .operations import write_operation, write_settlement
from .outcome import Reserved, payment_answer
from .settlement import Settlement

__all__ = ["ByHand", "NoProvider"]


class NoProvider(Exception):
    """The payment that an instruction is about is collected by hand."""


class ByHand(Instructions):
    """The part of the engine that says what became of such a payment.

    There is nothing to ask and so nothing that can be lost: reserve and record are one transaction.
    """

    async def collect_by_hand(
        self,
        payment_id: str,
        *,
        amount_cents: int | None,
        final: bool,
        operation_id: str,
        principal: Principal,
        idempotency_key: str | None,
        body: Mapping[str, Any],
    ) -> Payment:
        """The money is there, all of it or *amount_cents*. Nothing more is expected then."""
        if not final:
            raise InvalidRequest("must be true for money that is collected by hand", field="final")

        def decide(payment: Payment, now: datetime) -> tuple[CaptureRequest, Settlement]:
            rules.require_trusted(principal, payment)
            amount = rules.check_collected(payment, amount_cents)
            paid = replace(
                payment,
                status=PaymentStatus.SUCCEEDED,
                authorized_cents=amount,
                captured_cents=amount,
                manual_payment_date=payment.manual_payment_date or now,
                paid_at=now,
                completed_at=now,
                updated_at=now,
            )
            request = CaptureRequest(
                payment=payment.id, amount=Money(amount, payment.currency), total=payment.total
            )
            return request, Settlement(payment=paid).tell("payment.success", now)

        return await self._settled(
            Verb.CAPTURE, payment_id, decide, operation_id=operation_id, principal=principal,
            idempotency_key=idempotency_key, body=body,
        )  # fmt: skip

    async def give_up_by_hand(
        self,
        payment_id: str,
        *,
        reason: str | None,
        client_secret: str | None,
        operation_id: str,
        principal: Principal,
        idempotency_key: str | None,
        body: Mapping[str, Any],
    ) -> Payment:
        """The money will not come."""

        def decide(payment: Payment, now: datetime) -> tuple[CancelRequest, Settlement]:
            rules.may_update_or_cancel(principal, payment, client_secret, now, Verb.CANCEL)
            rules.check_state(Verb.CANCEL, payment)
            ended = replace(payment, status=PaymentStatus.CANCELED, updated_at=now)
            request = CancelRequest(payment=payment.id, reason=reason, total=payment.total)
            return request, Settlement(payment=ended).tell("payment.canceled", now)

        return await self._settled(
            Verb.CANCEL, payment_id, decide, operation_id=operation_id, principal=principal,
            idempotency_key=idempotency_key, body=body,
        )  # fmt: skip

    async def _settled(
        self,
        verb: Verb,
        payment_id: str,
        decide: Callable[[Payment, datetime], tuple[CaptureRequest | CancelRequest, Settlement]],
        *,
        operation_id: str,
        principal: Principal,
        idempotency_key: str | None,
        body: Mapping[str, Any],
    ) -> Payment:
        begin = self.begins(
            verb, payment_id, operation_id=operation_id, principal=principal, key=idempotency_key, body=body
        )

        def work(unit: Unit) -> Reserved:
            payment = begin(unit)
            if isinstance(payment, Reserved):
                return payment
            now = self.clock()
            request, settled = decide(payment, now)
            operation: Operation = self.draft_operation(
                verb, request, payment=payment, provider=None, principal=principal,
                operation_id=operation_id,
            )  # fmt: skip
            self.take_slot(unit, operation)
            ended = settlement.close_operation(
                operation, OperationState.SUCCEEDED, now, resolution="done by hand"
            )
            write_operation(unit, ended, token=operation.lease_token)
            written = write_settlement(unit, settled, expected_version=payment.version)
            if written is None:
                raise ConcurrentUpdate
            return Reserved(operation=ended, payment=written)

        reserved, _ = await self.reserve(operation_id, work)
        if not reserved.replayed:
            self.on_commit()
            self.count_operation(reserved.operation)
        return self.seen_by(principal, payment_answer(reserved))
