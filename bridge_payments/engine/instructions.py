"""One instruction on a payment that exists: who asks, what may be asked, and how it is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from ..auth.limits import FailedConfirms
from ..errors import ConcurrentUpdate, IllegalState, NotFound, PaymentDeclined
from ..models import ID_PATTERN, Operation, Payment, Principal, Verb
from ..providers.base import PaymentProvider
from ..stores.base import Unit
from . import rules
from .operations import Operations
from .outcome import Reserved, payment_answer

__all__ = ["Answered", "Instructions", "intent_of"]


class Answered(Exception):
    def __init__(self, payment: Payment) -> None:
        self.payment = payment


class Instructions(Operations):
    """What the verbs on an existing payment share."""

    failed_confirms: FailedConfirms | None = None
    """Set by the Bridge: Python code of the merchant's own is not limited."""

    @asynccontextmanager
    async def counting_declines(self, principal: Principal, email: str | None) -> AsyncIterator[None]:
        """Refuse a payer whose address or e-mail was declined too often; count a decline of this block."""
        limits = self.failed_confirms
        if limits is None or principal.is_trusted:
            yield
            return
        await limits.check(peer=principal.peer, email=email)
        try:
            yield
        except PaymentDeclined:
            await limits.count(peer=principal.peer, email=email)
            raise

    async def payer_email(self, principal: Principal, payment_id: str) -> str | None:
        """Return the e-mail address under which declines of a payment are counted."""
        if principal.email is not None or self.failed_confirms is None or principal.is_trusted:
            return principal.email
        return (await self.visible(payment_id)).guest_email

    async def instruct(
        self,
        verb: Verb,
        payment_id: str,
        build: Callable[[Payment], Operation],
        *,
        operation_id: str,
        principal: Principal,
        idempotency_key: str | None,
        body: Mapping[str, Any],
        client_secret: str | None = None,
        check: Callable[[Unit], None] = lambda _: None,
    ) -> Payment:
        """Reserve, ask and record one verb on an existing payment.

        *build* sees the row inside the reserve transaction: it checks who asks and what may be asked, and
        writes the instruction down.
        """
        if not ID_PATTERN.match(payment_id):
            raise NotFound("Payment not found")
        begin = self.begins(
            verb, payment_id, operation_id=operation_id, principal=principal, key=idempotency_key, body=body
        )

        def work(unit: Unit) -> Reserved:
            payment = begin(unit)
            if isinstance(payment, Reserved):
                return payment
            with self.unless_in_progress(unit, payment_id):
                operation = build(payment)
                check(unit)
            if verb is Verb.CONFIRM and payment.decline_code is not None and not principal.is_trusted:
                rules.check_attempts(unit.operations.for_subject(payment_id))
            self.take_slot(unit, operation)
            # Whoever held the slot when the row was read may have changed it and given the slot up since.
            again = unit.payments.get(payment_id)
            if again is None or again.version != payment.version:
                raise ConcurrentUpdate
            return Reserved(operation=operation, payment=payment)

        try:
            reserved, leased_at = await self.reserve(operation_id, work)
        except Answered as known:
            return self.seen_by(principal, known.payment, client_secret)
        if reserved.replayed:
            self.check_not_in_flight(reserved.operation)
            return self.seen_by(principal, payment_answer(reserved), client_secret)
        outcome = await self.shielded(self.carry_out(reserved, leased_at))
        return self.seen_by(principal, payment_answer(outcome), client_secret)

    def seen_by(self, principal: Principal, payment: Payment, presented: str | None = None) -> Payment:
        """Return the payment as *principal*, who presented a client secret or not, may see it."""
        return rules.as_seen(payment, principal, presented, self.clock())

    async def visible(
        self, payment_id: str, *, as_seen: Callable[[Unit, Payment], Payment] = lambda _, payment: payment
    ) -> Payment:
        """Return one payment; *as_seen* adds, in the same unit of work, what the row alone does not say."""
        if not ID_PATTERN.match(payment_id):
            raise NotFound("Payment not found")

        def read(unit: Unit) -> Payment | None:
            payment = unit.payments.get(payment_id)
            return payment and as_seen(unit, payment)

        payment = await self.store.run(read, write=False)
        if payment is None:
            raise NotFound("Payment not found")
        return payment

    def account_of(self, payment: Payment) -> PaymentProvider:
        """Return the account that a payment stays with for life."""
        if payment.provider_id is None:
            raise IllegalState("This payment was collected by hand; no provider knows it")
        return self.provider(payment.provider_id)


def intent_of(payment: Payment) -> str:
    if payment.provider_intent_id is None:
        raise IllegalState("The payment has no intent at its provider")
    return payment.provider_intent_id
