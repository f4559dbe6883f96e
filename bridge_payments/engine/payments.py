"""Payments: confirm, collect, give up."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ..errors import IllegalState
from ..models import (
    ID_PATTERN,
    PAID_STATUSES,
    SYSTEM,
    Money,
    Operation,
    Payment,
    PaymentStatus,
    Principal,
    Verb,
    new_id,
)
from ..providers.base import CancelRequest, Capability, CaptureRequest, ConfirmRequest
from ..tripwire import guarded
from . import rules
from .by_hand import ByHand, NoProvider
from .choosing import Choices, Chosen
from .drafting import check_method
from .instructions import Answered, intent_of
from .owners import Owner

__all__ = ["PaymentVerbs"]

_ANSWERED: Final = PAID_STATUSES | {PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_CAPTURE}
"""States in which a confirm has nothing left to do: it answers with the payment as it is."""


class PaymentVerbs(ByHand, Choices):
    """The part of the engine that moves a payment on."""

    # --- confirm, collect, give up ------------------------------------------------------------------

    @guarded
    async def confirm_payment(
        self,
        payment_id: str,
        *,
        payment_method: str | None = None,
        return_url: str | None = None,
        save_payment_method: bool = False,
        client_secret: str | None = None,
        idempotency_key: str | None = None,
        principal: Principal = SYSTEM,
    ) -> Payment:
        """The payer agrees. A payment that needs nothing more is answered as it is, and nothing is sent.

        *payment_method* is the id of a stored method of the caller's, or a one-time token. With
        *save_payment_method* it is kept for the payer's later payments, where the provider can:
        `Payment.payment_method_id` is then its row, and `Payment.payment_method_saved` says that it is new.
        Keeping it never fails the payment. An anonymous caller that presents the *client_secret* is told
        where to go for a challenge; without it the provider's script in the payer's browser has to do it.

        Raises: AccessDenied, IllegalState, NotFound, OperationInProgress, PaymentDeclined, ProviderRejected,
        Unavailable.
        """
        check_method(payment_method)
        operation_id = new_id("op")
        chosen, usage = await self._chosen_to_confirm(
            payment_id, principal, payment_method, save=save_payment_method, idempotency_key=idempotency_key
        )

        def build(payment: Payment) -> Operation:
            rules.may_confirm_or_sync(principal, payment)
            gateway = self.account_of(payment)
            gateway.require(Verb.CONFIRM)
            if payment.status in _ANSWERED:
                raise Answered(payment)
            rules.check_state(Verb.CONFIRM, payment)
            request = ConfirmRequest(
                payment=intent_of(payment),
                amount=payment.total,
                payment_method=chosen.reference,
                customer=chosen.customer_reference,
                setup_future_usage=usage,
                return_url=return_url or payment.return_url,
                capture_method=payment.capture_method,
                description=payment.description or payment.concept,
                after=payment.decline_reference,
            )
            return self.draft_operation(
                Verb.CONFIRM,
                request,
                payment=payment,
                provider=gateway,
                principal=principal,
                operation_id=operation_id,
                more={"method_id": chosen.method.id} if chosen.method is not None else None,
            )

        body = {"method": payment_method, "return_url": return_url}
        email = await self.payer_email(principal, payment_id)
        async with self.counting_declines(principal, email):
            return await self.instruct(
                Verb.CONFIRM,
                payment_id,
                build,
                operation_id=operation_id,
                principal=principal,
                idempotency_key=idempotency_key,
                body=body,
                client_secret=client_secret,
                check=chosen.checked,
            )

    async def _chosen_to_confirm(
        self,
        payment_id: str,
        principal: Principal,
        method: str | None,
        *,
        save: bool,
        idempotency_key: str | None,
    ) -> tuple[Chosen, str | None]:
        """Find what is paid with and, where it is to be kept, for whom; and how it will be used later."""
        nothing = Chosen(principal=principal), None
        if (method is None and not save) or not ID_PATTERN.match(payment_id):
            return nothing
        payment = await self.store.run(lambda unit: unit.payments.get(payment_id), write=False)
        if payment is None or payment.provider_id is None:
            return nothing
        rules.may_confirm_or_sync(principal, payment)
        if payment.review or payment.status not in rules.ALLOWED[Verb.CONFIRM]:
            # Answered as it is, or refused, where it is reserved: nobody is asked about a method for that.
            return Chosen(principal=principal, refusal=IllegalState("The payment changed meanwhile")), None
        self.account_of(payment).require(Verb.CONFIRM)
        chosen = await self.choose(payment.provider_id, principal, method=method)
        usage = payment.setup_future_usage or ("off_session" if save else None)
        if chosen.refusal is not None or chosen.method is not None or usage is None:
            return chosen, None
        owner = Owner(user_id=payment.user_id, guest=payment.guest_data if payment.is_guest_payment else None)
        known = None
        if payment.customer_id is not None:
            customer_id = payment.customer_id
            known = await self.store.run(lambda unit: unit.customers.get(customer_id), write=False)
        if known is None:
            known = await self.customer_to_keep_with(
                payment.provider_id, owner, principal, idempotency_key=idempotency_key or payment.id
            )
        if known is None:
            return chosen, usage
        return replace(chosen, customer=known, customer_reference=known.provider_customer_id), usage

    @guarded
    async def capture_payment(
        self,
        payment_id: str,
        *,
        amount_cents: int | None = None,
        final: bool = True,
        idempotency_key: str | None = None,
        principal: Principal = SYSTEM,
    ) -> Payment:
        """Collect an authorised payment, all of it or *amount_cents*. *final* releases the rest.

        Of a payment that is collected by hand it says that the money is there: no provider is asked.

        Raises: AccessDenied, IllegalState, InvalidRequest, NotAuthenticated, NotFound, OperationInProgress,
        ProviderRejected, UnsupportedOperation.
        """
        operation_id = new_id("op")

        def build(payment: Payment) -> Operation:
            rules.require_trusted(principal, payment)
            if payment.provider_id is None:
                raise NoProvider
            gateway = self.account_of(payment)
            gateway.require(Verb.CAPTURE)
            if not final:
                gateway.require(Capability.MULTI_CAPTURE, instead="capture once, with final=True")
            rules.check_state(Verb.CAPTURE, payment)
            amount = Money(rules.check_capture(payment, amount_cents), payment.currency)
            request = CaptureRequest(
                payment=intent_of(payment),
                amount=amount,
                final=final,
                charge=payment.provider_payment_id,
                total=payment.total,
            )
            return self.draft_operation(
                Verb.CAPTURE,
                request,
                payment=payment,
                provider=gateway,
                principal=principal,
                operation_id=operation_id,
            )

        body = {"amount": amount_cents, "final": final}
        try:
            return await self.instruct(
                Verb.CAPTURE,
                payment_id,
                build,
                operation_id=operation_id,
                principal=principal,
                idempotency_key=idempotency_key,
                body=body,
            )
        except NoProvider:
            return await self.collect_by_hand(
                payment_id,
                amount_cents=amount_cents,
                final=final,
                operation_id=operation_id,
                principal=principal,
                idempotency_key=idempotency_key,
                body=body,
            )

    @guarded
    async def cancel_payment(
        self,
        payment_id: str,
        *,
        client_secret: str | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
        principal: Principal = SYSTEM,
    ) -> Payment:
        """Give a payment up; releases an authorisation. Answers with the true state if somebody was faster.

        After a partial capture it releases the rest: the payment is succeeded with what was captured. Of one
        that is collected by hand it says that the money will not come; no provider is asked.

        Raises: AccessDenied, IllegalState, NotFound, OperationInProgress, ProviderRejected, Unavailable.
        """
        operation_id = new_id("op")

        def build(payment: Payment) -> Operation:
            rules.may_update_or_cancel(principal, payment, client_secret, self.clock(), Verb.CANCEL)
            if payment.provider_id is None:
                raise NoProvider
            gateway = self.account_of(payment)
            gateway.require(Verb.CANCEL)
            rules.check_state(Verb.CANCEL, payment)
            request = CancelRequest(
                payment=intent_of(payment),
                reason=reason,
                charge=payment.provider_payment_id,
                total=payment.total,
            )
            return self.draft_operation(
                Verb.CANCEL,
                request,
                payment=payment,
                provider=gateway,
                principal=principal,
                operation_id=operation_id,
            )

        try:
            return await self.instruct(
                Verb.CANCEL,
                payment_id,
                build,
                operation_id=operation_id,
                principal=principal,
                idempotency_key=idempotency_key,
                body={},
                client_secret=client_secret,
            )
        except NoProvider:
            return await self.give_up_by_hand(
                payment_id,
                reason=reason,
                client_secret=client_secret,
                operation_id=operation_id,
                principal=principal,
                idempotency_key=idempotency_key,
                body={},
            )
