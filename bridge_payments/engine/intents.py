"""Intents: the beginning of a payment, and what may change before money is held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ..errors import (
    AccessDenied,
    DuplicateReference,
    IllegalState,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    RateLimited,
)
from ..models import (
    SYSTEM,
    CaptureMethod,
    GuestData,
    Money,
    Operation,
    Payment,
    PaymentStatus,
    Pricing,
    Principal,
    Verb,
    new_id,
    new_secret,
)
from ..providers.base import Capability, UpdateRequest
from ..stores.base import Unit
from ..tripwire import guarded
from . import rules, settlement
from .choosing import Choices, Chosen
from .drafting import (
    capture_method_of,
    changed_draft,
    check_account,
    check_draft,
    guest_values,
    intent_request,
    money_inputs_differ,
    new_payment,
    price_values,
    provider_metadata,
)
from .drafts import Approve, PaymentDraft, approved, full_price
from .fitting import check_texts
from .inputs import digest
from .instructions import Instructions, intent_of
from .outcome import Reserved, payment_answer
from .owners import is_owner, owner_for

__all__ = ["IntentVerbs"]


class IntentVerbs(Instructions, Choices):
    """The part of the engine that begins payments."""

    approve: Approve | None

    # --- begin ------------------------------------------------------------------------------------

    @guarded
    async def create_payment_intent(
        self,
        amount: Money | None = None,
        *,
        pricing: Pricing | None = None,
        subtotal_cents: int | None = None,
        tax_cents: int | None = None,
        discount_cents: int | None = None,
        total_cents: int | None = None,
        currency: str | None = None,
        provider: str | None = None,
        payment_method: str | None = None,
        confirm: bool = False,
        capture_method: CaptureMethod | str = CaptureMethod.AUTOMATIC,
        return_url: str | None = None,
        setup_future_usage: str | None = None,
        description: str | None = None,
        concept: str | None = None,
        reference_code: str | None = None,
        category: str | None = None,
        tags: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        guest: GuestData | None = None,
        customer_id: str | None = None,
        organization_id: str | None = None,
        project_id: str | None = None,
        billing_address_id: str | None = None,
        save_payment_method: bool = False,
        applied_coupons: Sequence[Any] | None = None,
        is_manual_payment: bool = False,
        manual_payment_method: str | None = None,
        manual_payment_reference: str | None = None,
        manual_payment_date: datetime | None = None,
        unique_reference: bool | None = None,
        extra: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        principal: Principal = SYSTEM,
    ) -> Payment:
        """Agree on an amount with a provider; with *confirm* and a *payment_method* pay it at once.

        Give an `amount`, a `pricing`, or any balancing combination of the four ``*_cents`` with a
        *currency*. With *unique_reference* at most one payment that is open or paid carries
        *reference_code* on this account. *extra* goes into the provider's body as it is.

        *payment_method* is the id of a stored method of the caller's, or a one-time token; *customer_id* is
        the caller's own customer. With *save_payment_method* or *setup_future_usage* the method is kept for
        later once the payment was made: `Payment.payment_method_id` is then its row.

        Returns the payment with its client secret. With *confirm* the outcome may be unknown: the status
        is then ``processing`` and `unknown_operation_id` is set.

        Raises: InvalidRequest, AccessDenied, DuplicateReference, IdempotencyMismatch, OperationInProgress,
        PaymentDeclined, ProviderRejected, RateLimited, Unavailable, UnsupportedOperation.
        """
        if amount is not None:
            parts = (pricing, subtotal_cents, tax_cents, discount_cents, total_cents, currency)
            if any(part is not None for part in parts):
                raise InvalidRequest("give an amount or its parts, not both", field="amount")
            pricing, currency = full_price(amount.minor_units), amount.currency
        if pricing is None:
            pricing = rules.price(
                subtotal=subtotal_cents, tax=tax_cents, discount=discount_cents, total=total_cents
            )
        if currency is None:
            raise InvalidRequest("is required", field="currency")
        asked = PaymentDraft(
            currency=Money(pricing.total, currency).currency,
            pricing=pricing,
            provider_id=provider,
            payment_method=payment_method,
            confirm=confirm,
            capture_method=capture_method_of(capture_method),
            return_url=return_url,
            setup_future_usage=setup_future_usage or ("off_session" if save_payment_method else None),
            description=description,
            concept=concept,
            reference_code=reference_code,
            category=category,
            tags=tags,
            metadata=dict(metadata or {}),
            guest=guest,
            customer_id=customer_id,
            organization_id=organization_id,
            project_id=project_id,
            billing_address_id=billing_address_id,
            applied_coupons=tuple(applied_coupons) if applied_coupons is not None else None,
            is_manual_payment=is_manual_payment,
            manual_payment_method=manual_payment_method,
            manual_payment_reference=manual_payment_reference,
            manual_payment_date=manual_payment_date,
        )
        return await self._begin(
            asked,
            extra=extra,
            unique_reference=unique_reference,
            idempotency_key=idempotency_key,
            principal=principal,
        )

    @guarded
    async def charge_saved_method(
        self,
        amount: Money,
        *,
        payment_method: str,
        capture_method: CaptureMethod | str = CaptureMethod.AUTOMATIC,
        description: str | None = None,
        concept: str | None = None,
        reference_code: str | None = None,
        category: str | None = None,
        tags: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        unique_reference: bool | None = None,
        idempotency_key: str | None = None,
        principal: Principal = SYSTEM,
    ) -> Payment:
        """Charge a stored method while its payer is not there. The payment is the method's owner's.

        The outcome may be unknown: the status is then ``processing`` and `unknown_operation_id` is set. A
        payer who would have to be there declines with ``authentication_required``: ask them to pay in person.

        Raises: AccessDenied, DuplicateReference, IdempotencyMismatch, IllegalState, InvalidRequest, NotFound,
        OperationInProgress, PaymentDeclined, ProviderRejected, Unavailable, UnsupportedOperation.
        """
        if principal.is_anonymous:
            raise NotAuthenticated("Authentication required")
        row = await self.store.run(lambda unit: unit.payment_methods.get(payment_method), write=False)
        if row is None or not is_owner(principal, row):
            raise NotFound("Payment method not found")
        asked = PaymentDraft(
            currency=amount.currency,
            pricing=full_price(amount.minor_units),
            provider_id=row.provider_id,
            payment_method=row.id,
            confirm=True,
            off_session=True,
            capture_method=capture_method_of(capture_method),
            description=description,
            concept=concept,
            reference_code=reference_code,
            category=category,
            tags=tags,
            metadata=dict(metadata or {}),
        )
        return await self._begin(
            asked,
            extra=None,
            unique_reference=unique_reference,
            idempotency_key=idempotency_key,
            principal=principal,
        )

    async def _begin(
        self,
        asked: PaymentDraft,
        *,
        extra: Mapping[str, Any] | None,
        unique_reference: bool | None,
        idempotency_key: str | None,
        principal: Principal,
    ) -> Payment:
        guest = asked.guest
        check_draft(asked, principal, extra, self.settings)
        body_hash = digest(
            {
                "draft": repr(asked),
                "method": asked.payment_method,
                "metadata": asked.metadata,
                "guest": repr(guest_values(guest)),
                "extra": dict(extra or {}),
            }
        )
        draft = await approved(asked, principal, self.approve)
        if draft.is_manual_payment:
            return await self._record_manual(draft, principal, idempotency_key, body_hash)

        provider_id, gateway = self.account(draft.provider_id)
        check_account(draft, gateway)
        unique = self.settings.unique_reference if unique_reference is None else unique_reference
        chosen = await self._chosen_for(draft, provider_id, principal, idempotency_key)
        payment = new_payment(
            draft,
            provider_id,
            principal,
            self.clock(),
            secret_max_age=self.policy.secret_max_age,
            chosen=chosen,
        )
        if not gateway.supports(Capability.CLIENT_SECRET):
            # Its intents have no secret, and an order number in a URL is none: the payer gets one of ours.
            payment = replace(payment, client_secret=new_secret())
        operation = self.draft_operation(
            Verb.CREATE,
            intent_request(draft, payment, chosen, extra),
            payment=payment,
            provider=gateway,
            principal=principal,
            operation_id=new_id("op"),
            reference=payment.reference,
        )
        scope = f"{Verb.CREATE}:{principal.scope(guest.email if guest else None)}"

        def work(unit: Unit) -> Reserved:
            earlier = self.replay_or(
                unit, scope=scope, key=idempotency_key, body_hash=body_hash,
                subject_id=payment.id, operation_id=operation.id,
            )  # fmt: skip
            if earlier is not None:
                return self.replayed(unit, earlier)
            if unique and draft.reference_code is not None:
                _hold_reference(unit, provider_id, draft.reference_code, payment.id)
            chosen.checked(unit)
            self._check_guest_limit(unit, payment)
            unit.payments.add(payment)
            self.take_slot(unit, operation)
            return Reserved(operation=operation, payment=payment)

        payer = principal.email or payment.guest_email
        async with self.counting_declines(principal, payer) if draft.confirm else nullcontext():
            reserved, leased_at = await self.reserve(operation.id, work)
            if reserved.replayed:
                return self._replayed_create(reserved, principal)
            outcome = await self.shielded(self.carry_out(reserved, leased_at))
            return payment_answer(outcome)

    async def _chosen_for(
        self, draft: PaymentDraft, provider_id: str, principal: Principal, idempotency_key: str | None
    ) -> Chosen:
        """Find what the draft names, and the customer for whom a method is to be kept."""
        chosen = await self.choose(
            provider_id, principal, method=draft.payment_method, customer=draft.customer_id
        )
        if chosen.refusal is not None:
            return chosen
        owner = owner_for(principal, self.settings, guest=draft.guest)
        await self.choose_address(draft.billing_address_id, principal, owner)
        keeps = draft.setup_future_usage is not None and chosen.method is None
        if not keeps or chosen.customer_reference is not None:
            return chosen
        kept_for = await self.customer_to_keep_with(
            provider_id, owner, principal, idempotency_key=idempotency_key
        )
        if kept_for is None:
            return chosen
        return replace(chosen, customer=kept_for, customer_reference=kept_for.provider_customer_id)

    def _replayed_create(self, reserved: Reserved, principal: Principal) -> Payment:
        """Rebuild the answer of a create from the rows; an anonymous caller gets no secret by it."""
        self.check_not_in_flight(reserved.operation)
        return self.seen_by(principal, payment_answer(reserved))

    async def _record_manual(
        self, draft: PaymentDraft, principal: Principal, idempotency_key: str | None, body_hash: str
    ) -> Payment:
        """Write down money that was collected by hand. No provider is asked."""
        if not principal.is_trusted:
            raise AccessDenied("Only the merchant records payments that were made by hand")
        now = self.clock()
        paid = draft.manual_payment_date
        payment = replace(
            new_payment(draft, None, principal, now, secret_max_age=self.policy.secret_max_age),
            status=PaymentStatus.SUCCEEDED if paid else PaymentStatus.PENDING,
            captured_cents=draft.pricing.total if paid else 0,
            authorized_cents=draft.pricing.total if paid else 0,
            paid_at=paid,
            completed_at=paid,
            reference=None,
            client_secret_expires_at=None,
        )
        told = settlement.Settlement(payment=replace(payment, version=0)).tell("payment.created", now)
        told = told.tell("payment.success", now) if paid else told
        scope = f"manual:{principal.scope()}"

        def work(unit: Unit) -> Payment:
            earlier = self.replay_or(
                unit,
                scope=scope,
                key=idempotency_key,
                body_hash=body_hash,
                subject_id=payment.id,
                operation_id=None,
            )
            if earlier is not None:
                return unit.payments.get(earlier.subject_id) or payment
            unit.payments.add(payment)
            for event in told.events:
                unit.events.add(event)
            return payment

        written = await self.store.run(work)
        self.on_commit()
        return written

    def _check_guest_limit(self, unit: Unit, payment: Payment) -> None:
        limit = self.settings.guest_max_payments_per_email
        if payment.guest_email is None or limit <= 0:
            return
        since = payment.created_at - timedelta(hours=24)
        if unit.payments.count_recent_guest(payment.guest_email, since=since) >= limit:
            raise RateLimited(
                f"Guest payment limit exceeded. Maximum {limit} payments per email.", retry_after=3600
            )

    # --- change -----------------------------------------------------------------------------------

    @guarded
    async def update_payment_intent(
        self,
        payment_id: str,
        *,
        subtotal_cents: int | None = None,
        tax_cents: int | None = None,
        discount_cents: int | None = None,
        total_cents: int | None = None,
        currency: str | None = None,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        setup_future_usage: str | None = None,
        customer_id: str | None = None,
        client_secret: str | None = None,
        idempotency_key: str | None = None,
        principal: Principal = SYSTEM,
    ) -> Payment:
        """Change a payment on which no money is held. What is None stays as it is.

        Raises: AccessDenied, IllegalState, InvalidRequest, NotFound, OperationInProgress, Unavailable.
        """
        asked = {
            "payment": payment_id, "subtotal": subtotal_cents, "tax": tax_cents, "discount": discount_cents,
            "total": total_cents, "currency": currency, "description": description,
            "metadata": dict(metadata) if metadata is not None else None, "usage": setup_future_usage,
            "customer": customer_id,
        }  # fmt: skip
        seen = await self.visible(payment_id)
        rules.may_update_or_cancel(principal, seen, client_secret, self.clock(), Verb.UPDATE)
        gateway = self.account_of(seen)
        gateway.require(Verb.UPDATE, instead="cancel the payment and create another")
        if metadata is not None:
            rules.check_metadata(metadata)
        rules.check_tracking(description=description)
        check_texts(Payment, description=description)
        chosen = await self.choose(seen.provider_id or "", principal, customer=customer_id)
        if chosen.refusal is not None:
            raise chosen.refusal
        customer = chosen.customer.id if chosen.customer is not None else customer_id
        if customer is not None and seen.customer_id not in (None, customer):
            raise IllegalState("The customer of a payment is set once")
        if seen.setup_future_usage == "off_session" and setup_future_usage == "on_session":
            raise InvalidRequest(
                "Invalid setup_future_usage",
                field="setup_future_usage",
                details={"current_value": "off_session", "requested_value": "on_session"},
            )
        rules.check_state(Verb.UPDATE, seen)
        draft = await approved(
            changed_draft(seen, asked, metadata, description, setup_future_usage), principal, self.approve
        )
        if draft.pricing.total <= 0:
            raise InvalidRequest("must be positive", field="total_cents")
        gateway.check_amount(draft.amount)
        # What the hook made of them: it saw the description and the metadata as they would be.
        said = draft.description if draft.description != seen.description else None
        noted = metadata is not None or dict(draft.metadata) != dict(seen.metadata)
        local = {
            "description": said,
            "setup_future_usage": setup_future_usage,
            "customer_id": customer,
        }
        operation_id = new_id("op")

        def build(payment: Payment) -> Operation:
            if money_inputs_differ(payment, seen):
                raise IllegalState("The payment changed meanwhile; read it again")
            return self.draft_operation(
                Verb.UPDATE,
                UpdateRequest(
                    payment=intent_of(payment),
                    amount=draft.amount if draft.amount != payment.total else None,
                    total=payment.total,
                    description=said,
                    customer=chosen.customer_reference,
                    setup_future_usage=setup_future_usage,
                    metadata=provider_metadata(payment, draft.metadata) if noted else None,
                ),
                payment=payment,
                provider=gateway,
                principal=principal,
                operation_id=operation_id,
                more={
                    "pricing": {**price_values(draft.pricing), "currency": draft.currency},
                    "local": {
                        **{name: value for name, value in local.items() if value is not None},
                        **({"metadata": dict(draft.metadata)} if noted else {}),
                    },
                },
            )

        return await self.instruct(
            Verb.UPDATE,
            payment_id,
            build,
            operation_id=operation_id,
            principal=principal,
            idempotency_key=idempotency_key,
            body=asked,
            client_secret=client_secret,
        )


def _hold_reference(unit: Unit, provider_id: str, reference_code: str, payment_id: str) -> None:
    """Make this payment the only open or paid one with the merchant's reference on this account."""
    holder_id = unit.payments.take_merchant_reference(provider_id, reference_code, payment_id)
    if holder_id == payment_id:
        return
    holder = unit.payments.get(holder_id)
    free = holder is None or holder.status in (
        PaymentStatus.FAILED,
        PaymentStatus.CANCELED,
        PaymentStatus.REFUNDED,
    )
    if not free or not unit.payments.replace_merchant_reference(
        provider_id, reference_code, old=holder_id, new=payment_id
    ):
        raise DuplicateReference(
            f"Payment {holder_id} already carries this reference and is open or paid", payment_id=holder_id
        )
