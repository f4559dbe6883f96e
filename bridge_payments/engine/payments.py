"""Payments: begin, change, confirm, collect, give up, read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from ..errors import (
    AccessDenied,
    DuplicateReference,
    IllegalState,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    ProviderError,
    RateLimited,
    Unavailable,
)
from ..models import (
    ID_PATTERN,
    PAID_STATUSES,
    SYSTEM,
    CaptureMethod,
    Event,
    GuestData,
    Money,
    Operation,
    Payment,
    PaymentStatus,
    Pricing,
    Principal,
    PrincipalKind,
    Verb,
    new_id,
    new_reference,
)
from ..providers.base import (
    CancelRequest,
    Capability,
    CaptureRequest,
    ConfirmRequest,
    IntentRequest,
    PaymentProvider,
    UpdateRequest,
)
from ..stores.base import Page, PaymentQuery, Unit
from . import rules, settlement
from .drafts import Approve, PaymentDraft, approved, full_price
from .inputs import digest
from .operations import Operations, Reserved

__all__ = ["PaymentVerbs"]

_ANSWERED: Final = PAID_STATUSES | {PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_CAPTURE}
"""States in which a confirm has nothing left to do: it answers with the payment as it is."""


class PaymentVerbs(Operations):
    """The part of the engine that deals with payments."""

    approve: Approve | None

    def account(self, provider: str | None) -> tuple[str, PaymentProvider]:
        raise NotImplementedError

    # --- begin ------------------------------------------------------------------------------------

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

        Returns the payment with its client secret. With *confirm* the outcome may be unknown: the status
        is then ``processing`` and `unknown_operation_id` is set.

        Raises: InvalidRequest, AccessDenied, DuplicateReference, IdempotencyMismatch, OperationInProgress,
        PaymentDeclined, ProviderRejected, RateLimited, Unavailable, UnsupportedOperation.
        """
        if amount is not None:
            pricing, currency = full_price(amount.minor_units), amount.currency
        if pricing is None:
            pricing = rules.price(subtotal=subtotal_cents, tax=tax_cents, discount=discount_cents, total=total_cents)
        if currency is None:
            raise InvalidRequest("is required", field="currency")
        asked = PaymentDraft(
            currency=Money(pricing.total, currency).currency,
            pricing=pricing,
            provider_id=provider,
            payment_method=payment_method,
            confirm=confirm,
            capture_method=_capture_method(capture_method),
            return_url=return_url,
            setup_future_usage=setup_future_usage,
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
        self._check_draft(asked, principal, extra)
        body_hash = digest({"draft": repr(asked), "method": payment_method, "metadata": asked.metadata,
                            "guest": repr(_guest_values(guest)), "extra": dict(extra or {})})
        draft = await approved(asked, principal, self.approve)
        if draft.is_manual_payment:
            return await self._record_manual(draft, principal, idempotency_key, body_hash)

        provider_id, gateway = self.account(draft.provider_id)
        self._check_account(draft, gateway)
        unique = self.settings.unique_reference if unique_reference is None else unique_reference
        payment = self._new_payment(draft, provider_id, principal)
        operation = self.draft_operation(
            Verb.CREATE,
            payment.id,
            gateway,
            provider_id,
            _intent_request(draft, payment, extra),
            principal,
            operation_id=new_id("op"),
            reference=payment.reference,
        )
        scope = f"{Verb.CREATE}:{principal.scope(guest.email if guest else None)}"

        def work(unit: Unit) -> Reserved:
            earlier = self.replay_or(
                unit, scope=scope, key=idempotency_key, body_hash=body_hash,
                payment_id=payment.id, operation_id=operation.id,
            )  # fmt: skip
            if earlier is not None:
                return self.replayed(unit, earlier)
            if unique and draft.reference_code is not None:
                _hold_reference(unit, provider_id, draft.reference_code, payment.id)
            self._check_guest_limit(unit, payment)
            unit.payments.add(payment)
            self.take_slot(unit, operation)
            return Reserved(operation=operation, payment=payment)

        reserved, leased_at = await self.reserve(operation.id, work)
        if reserved.replayed:
            return self._replayed_create(reserved, principal)
        outcome = await self.shielded(self.carry_out(reserved, leased_at))
        return self.answer_payment(outcome)

    def _replayed_create(self, reserved: Reserved, principal: Principal) -> Payment:
        """Rebuild the answer of a create from the rows. An anonymous caller gets no secret it did not present."""
        self.check_not_in_flight(reserved.operation)
        return self._for(principal, self.answer_payment(reserved))

    async def _record_manual(
        self, draft: PaymentDraft, principal: Principal, idempotency_key: str | None, body_hash: str
    ) -> Payment:
        """Write down money that was collected by hand. No provider is asked."""
        if not principal.is_trusted:
            raise AccessDenied("Only the merchant records payments that were made by hand")
        now = self.clock()
        paid = draft.manual_payment_date
        payment = replace(
            self._new_payment(draft, None, principal),
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
                unit, scope=scope, key=idempotency_key, body_hash=body_hash, payment_id=payment.id, operation_id=None
            )
            if earlier is not None:
                return unit.payments.get(earlier.payment_id) or payment
            unit.payments.add(payment)
            for event in told.events:
                unit.events.add(event)
            return payment

        written = await self.store.run(work)
        self.on_commit()
        return written

    def _new_payment(self, draft: PaymentDraft, provider_id: str | None, principal: Principal) -> Payment:
        now = self.clock()
        is_user = principal.kind is PrincipalKind.USER
        guest = draft.guest if not is_user else None
        email = principal.email if principal.kind is PrincipalKind.GUEST else guest.email if guest else None
        vouched = draft.claims_accepted or principal.is_trusted
        organization = draft.organization_id if vouched or draft.organization_id == principal.organization_id else None
        project = draft.project_id if vouched else None
        claims = {
            name: value
            for name, value, kept in (
                ("claimed_organization_id", draft.organization_id, organization),
                ("claimed_project_id", draft.project_id, project),
            )
            if value is not None and kept is None
        }
        return Payment(
            id=new_id("pay"),
            provider_id=provider_id,
            status=PaymentStatus.PENDING,
            currency=draft.currency,
            subtotal_cents=draft.pricing.subtotal,
            tax_cents=draft.pricing.tax,
            discount_cents=draft.pricing.discount,
            total_cents=draft.pricing.total,
            created_at=now,
            updated_at=now,
            reference=new_reference(),
            client_secret_expires_at=now + timedelta(seconds=self.settings.client_secret_max_age),
            capture_method=draft.capture_method,
            setup_future_usage=draft.setup_future_usage,
            return_url=draft.return_url,
            user_id=principal.id if is_user else None,
            organization_id=organization,
            project_id=project,
            customer_id=draft.customer_id,
            payment_method_id=draft.payment_method,
            billing_address_id=draft.billing_address_id,
            is_guest_payment=email is not None,
            guest_email=email,
            guest_data=guest or (GuestData(email=email, name=principal.name) if email else None),
            description=draft.description,
            concept=draft.concept,
            reference_code=draft.reference_code,
            category=draft.category,
            tags=draft.tags,
            metadata={**draft.metadata, **claims},
            applied_coupons=draft.applied_coupons,
            is_manual_payment=draft.is_manual_payment,
            manual_payment_method=draft.manual_payment_method,
            manual_payment_reference=draft.manual_payment_reference,
            manual_payment_date=draft.manual_payment_date,
        )

    def _check_draft(self, draft: PaymentDraft, principal: Principal, extra: Mapping[str, Any] | None) -> None:
        """Refuse what no hook should have to look at. Nothing has been written or sent."""
        if draft.pricing.total <= 0:
            raise InvalidRequest("must be positive", field="total_cents")
        rules.check_metadata(draft.metadata)
        rules.check_tracking(
            concept=draft.concept, reference_code=draft.reference_code, category=draft.category,
            tags=draft.tags, description=draft.description,
        )  # fmt: skip
        if draft.is_manual_payment and not principal.is_trusted:
            raise AccessDenied("Only the merchant records payments that were made by hand")
        if extra and principal.kind is not PrincipalKind.SYSTEM:
            raise InvalidRequest("is for Python callers", field="extra")
        if draft.customer_id is not None and not principal.is_trusted:
            # Rule 22: a stored customer is usable only through our row owned by the principal; there is none.
            raise NotFound("Customer not found")
        if draft.setup_future_usage not in (None, "on_session", "off_session"):
            raise InvalidRequest("is on_session or off_session", field="setup_future_usage")
        _check_id(draft.payment_method, "payment_method_id")
        if principal.is_anonymous:
            if not self.settings.guest_checkout_enabled:
                raise AccessDenied("Guest checkout is disabled")
            if draft.guest is None:
                raise InvalidRequest("Guest data is required for guest payments", field="guest_data")
        if draft.guest is not None:
            if self.settings.guest_require_name and not draft.guest.name:
                raise InvalidRequest("is required", field="guest_data.name")
            if self.settings.guest_require_phone and not draft.guest.phone:
                raise InvalidRequest("is required", field="guest_data.phone")

    @staticmethod
    def _check_account(draft: PaymentDraft, gateway: PaymentProvider) -> None:
        gateway.check_amount(draft.amount)
        if draft.capture_method is CaptureMethod.MANUAL:
            gateway.require(Capability.MANUAL_CAPTURE, instead="create it with capture_method=automatic")
        if draft.confirm and draft.payment_method is None:
            raise InvalidRequest("is required to confirm", field="payment_method_id")

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
        }  # fmt: skip
        seen = await self._visible(payment_id)
        rules.may_update_or_cancel(principal, seen, client_secret, self.clock(), Verb.UPDATE)
        if metadata is not None:
            rules.check_metadata(metadata)
        rules.check_tracking(description=description)
        if customer_id is not None and not principal.is_trusted:
            raise NotFound("Customer not found")
        if seen.setup_future_usage == "off_session" and setup_future_usage == "on_session":
            raise InvalidRequest(
                "Invalid setup_future_usage",
                field="setup_future_usage",
                details={"current_value": "off_session", "requested_value": "on_session"},
            )
        rules.check_state(Verb.UPDATE, seen)
        provider_id, gateway = self._account_of(seen)
        gateway.require(Verb.UPDATE, instead="cancel the payment and create another")
        draft = await approved(
            _changed_draft(seen, asked, metadata, description, setup_future_usage), principal, self.approve
        )
        if draft.pricing.total <= 0:
            raise InvalidRequest("must be positive", field="total_cents")
        gateway.check_amount(draft.amount)
        local = {"description": description, "setup_future_usage": setup_future_usage}
        operation_id = new_id("op")

        def build(payment: Payment) -> Operation:
            if _money_inputs_differ(payment, seen):
                raise IllegalState("The payment changed meanwhile; read it again")
            return self.draft_operation(
                Verb.UPDATE,
                payment.id,
                gateway,
                provider_id,
                UpdateRequest(
                    payment=_intent_of(payment),
                    amount=draft.amount if draft.amount != payment.total else None,
                    description=description,
                    setup_future_usage=setup_future_usage,
                    metadata=_provider_metadata(payment, draft.metadata) if metadata is not None else None,
                ),
                principal,
                operation_id=operation_id,
                more={
                    "pricing": {**_price_values(draft.pricing), "currency": draft.currency},
                    "local": {
                        **{name: value for name, value in local.items() if value is not None},
                        **({"metadata": dict(draft.metadata)} if metadata is not None else {}),
                    },
                },
            )

        return await self._instruct(Verb.UPDATE, payment_id, operation_id, build, principal, idempotency_key, asked)

    # --- confirm, collect, give up ------------------------------------------------------------------

    async def confirm_payment(
        self,
        payment_id: str,
        *,
        payment_method: str | None = None,
        return_url: str | None = None,
        save_payment_method: bool = False,
        idempotency_key: str | None = None,
        principal: Principal = SYSTEM,
    ) -> Payment:
        """The payer agrees. A payment that needs nothing more is answered as it is, and nothing is sent.

        *save_payment_method* is accepted and not yet acted on: stored payment methods are not part of
        this release.

        Raises: AccessDenied, IllegalState, NotFound, OperationInProgress, PaymentDeclined, ProviderRejected,
        Unavailable.
        """
        _check_id(payment_method, "payment_method_id")
        operation_id = new_id("op")

        def build(payment: Payment) -> Operation:
            rules.may_confirm_or_sync(principal, payment)
            provider_id, gateway = self._account_of(payment)
            gateway.require(Verb.CONFIRM)
            if payment.status in _ANSWERED:
                raise _Answered(payment)
            request = ConfirmRequest(
                payment=_intent_of(payment),
                amount=payment.total,
                payment_method=payment_method,
                return_url=return_url or payment.return_url,
            )
            return self.draft_operation(
                Verb.CONFIRM, payment.id, gateway, provider_id, request, principal, operation_id=operation_id
            )

        body = {"method": payment_method, "return_url": return_url}
        return await self._instruct(Verb.CONFIRM, payment_id, operation_id, build, principal, idempotency_key, body)

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

        Raises: AccessDenied, IllegalState, InvalidRequest, NotAuthenticated, NotFound, OperationInProgress,
        ProviderRejected, UnsupportedOperation.
        """
        operation_id = new_id("op")

        def build(payment: Payment) -> Operation:
            rules.require_trusted(principal, payment)
            rules.check_state(Verb.CAPTURE, payment)
            provider_id, gateway = self._account_of(payment)
            gateway.require(Verb.CAPTURE)
            if not final:
                gateway.require(Capability.MULTI_CAPTURE, instead="capture once, with final=True")
            amount = Money(rules.check_capture(payment, amount_cents), payment.currency)
            request = CaptureRequest(payment=_intent_of(payment), amount=amount, final=final)
            return self.draft_operation(
                Verb.CAPTURE, payment.id, gateway, provider_id, request, principal, operation_id=operation_id
            )

        body = {"amount": amount_cents, "final": final}
        return await self._instruct(Verb.CAPTURE, payment_id, operation_id, build, principal, idempotency_key, body)

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

        Raises: AccessDenied, IllegalState, NotFound, OperationInProgress, ProviderRejected, Unavailable.
        """
        operation_id = new_id("op")

        def build(payment: Payment) -> Operation:
            rules.may_update_or_cancel(principal, payment, client_secret, self.clock(), Verb.CANCEL)
            rules.check_state(Verb.CANCEL, payment)
            provider_id, gateway = self._account_of(payment)
            gateway.require(Verb.CANCEL)
            request = CancelRequest(payment=_intent_of(payment), reason=reason)
            return self.draft_operation(
                Verb.CANCEL, payment.id, gateway, provider_id, request, principal, operation_id=operation_id
            )

        return await self._instruct(Verb.CANCEL, payment_id, operation_id, build, principal, idempotency_key, {})

    async def _instruct(
        self,
        verb: Verb,
        payment_id: str,
        operation_id: str,
        build: Callable[[Payment], Operation],
        principal: Principal,
        idempotency_key: str | None,
        body: Mapping[str, Any],
    ) -> Payment:
        """Reserve, ask and record one verb on an existing payment.

        *build* sees the row inside the reserve transaction: it checks who asks and what may be asked, and
        writes the instruction down.
        """
        if not ID_PATTERN.match(payment_id):
            raise NotFound("Payment not found")
        scope = f"{verb}:{payment_id}:{principal.scope()}"
        body_hash = digest(body)

        def work(unit: Unit) -> Reserved:
            earlier = self.replay_or(
                unit, scope=scope, key=idempotency_key, body_hash=body_hash,
                payment_id=payment_id, operation_id=operation_id,
            )  # fmt: skip
            if earlier is not None:
                return self.replayed(unit, earlier)
            payment = unit.payments.get(payment_id)
            if payment is None:
                raise NotFound("Payment not found")
            operation = build(payment)
            self.take_slot(unit, operation)
            return Reserved(operation=operation, payment=payment)

        try:
            reserved, leased_at = await self.reserve(operation_id, work)
        except _Answered as known:
            return self._for(principal, known.payment)
        if reserved.replayed:
            self.check_not_in_flight(reserved.operation)
            return self._for(principal, self.answer_payment(reserved))
        outcome = await self.shielded(self.carry_out(reserved, leased_at))
        return self._for(principal, self.answer_payment(outcome))

    def _for(self, principal: Principal, payment: Payment) -> Payment:
        """Return the payment as *principal* may see it: no secret that an anonymous caller did not bring."""
        return payment.without_secret() if principal.is_anonymous else rules.visible_secret(payment, self.clock())

    # --- read -------------------------------------------------------------------------------------

    async def sync_payment(
        self,
        payment_id: str,
        *,
        provider: str | None = None,
        expected_status: PaymentStatus | str | None = None,
        principal: Principal = SYSTEM,
    ) -> Payment:
        """Read the payment at its provider and record what it says: one fetch, no waiting.

        *payment_id* is ours or, failing that, a provider's reference (of *provider*, or of any account).
        *expected_status* is accepted for older clients and changes nothing.

        Raises: AccessDenied, NotFound, Unavailable.
        """
        payment = await self._by_any_id(payment_id, provider)
        rules.may_confirm_or_sync(principal, payment)
        fresh = await self.shielded(self._refreshed(payment))
        return self._for(principal, fresh)

    async def get_payment(self, payment_id: str, *, principal: Principal = SYSTEM) -> Payment:
        """Return one payment; the client secret only while its owner still needs it.

        Raises: NotAuthenticated, AccessDenied, NotFound.
        """
        if principal.is_anonymous:
            raise NotAuthenticated("Authentication required to view payments")
        payment = await self._visible(payment_id)
        rules.may_read(principal, payment)
        return rules.visible_secret(payment, self.clock())

    async def list_payments(self, query: PaymentQuery, *, principal: Principal = SYSTEM) -> Page:
        """Return a page of payments without client secrets. Users and guests see their own, whatever they ask."""
        match principal.kind:
            case PrincipalKind.ANONYMOUS:
                raise NotAuthenticated("Authentication required to view payments")
            case PrincipalKind.USER:
                query = replace(query, user_id=principal.id, guest_email=None)
            case PrincipalKind.GUEST:
                query = replace(query, user_id=None, guest_email=principal.email)
            case _:
                pass
        page = await self.store.run(lambda unit: unit.payments.list(query), write=False)
        return replace(page, items=tuple(payment.without_secret() for payment in page.items))

    async def list_operations(self, payment_id: str, *, principal: Principal = SYSTEM) -> Sequence[Operation]:
        """Return every instruction that was given on a payment, oldest first. The merchant's view."""
        rules.require_trusted(principal, await self._visible(payment_id))
        return await self.store.run(lambda unit: unit.operations.for_payment(payment_id), write=False)

    async def list_events(self, payment_id: str, *, principal: Principal = SYSTEM) -> Sequence[Event]:
        """Return every event of a payment, oldest first. The merchant's view."""
        rules.require_trusted(principal, await self._visible(payment_id))
        return await self.store.run(lambda unit: unit.events.for_payment(payment_id), write=False)

    async def _visible(self, payment_id: str) -> Payment:
        if not ID_PATTERN.match(payment_id):
            raise NotFound("Payment not found")
        payment = await self.store.run(lambda unit: unit.payments.get(payment_id), write=False)
        if payment is None:
            raise NotFound("Payment not found")
        return payment

    async def _by_any_id(self, payment_id: str, provider: str | None) -> Payment:
        if not ID_PATTERN.match(payment_id):
            raise NotFound("Payment not found")
        accounts = (provider,) if provider else self.provider_ids

        def find(unit: Unit) -> Payment | None:
            own = unit.payments.get(payment_id)
            if own is not None:
                return own
            found = (unit.payments.get_by_reference(account, payment_id) for account in accounts)
            return next((payment for payment in found if payment is not None), None)

        payment = await self.store.run(find, write=False)
        if payment is None:
            raise NotFound("Payment not found")
        return payment

    @property
    def provider_ids(self) -> tuple[str, ...]:
        raise NotImplementedError

    async def _refreshed(self, payment: Payment) -> Payment:
        try:
            return await self.refresh(payment.id) or payment
        except ProviderError as error:
            raise Unavailable(f"The provider does not answer: {error}") from None

    def _account_of(self, payment: Payment) -> tuple[str, PaymentProvider]:
        """Return the account that a payment stays with for life."""
        if payment.provider_id is None:
            raise IllegalState("This payment was collected by hand; no provider knows it")
        return payment.provider_id, self.provider(payment.provider_id)


class _Answered(Exception):  # noqa: N818 - carries an answer out of the reserve, which then writes nothing
    def __init__(self, payment: Payment) -> None:
        self.payment = payment


def _capture_method(value: CaptureMethod | str) -> CaptureMethod:
    try:
        return CaptureMethod(value)
    except ValueError:
        raise InvalidRequest("is automatic or manual", field="capture_method") from None


def _check_id(value: str | None, field: str) -> None:
    if value is not None and not ID_PATTERN.match(value):
        raise InvalidRequest("is not an identity", field=field)


def _guest_values(guest: GuestData | None) -> tuple[str | None, ...] | None:
    return None if guest is None else (guest.email, guest.name, guest.phone)


def _hold_reference(unit: Unit, provider_id: str, reference_code: str, payment_id: str) -> None:
    """Make this payment the only open or paid one with the merchant's reference on this account."""
    holder_id = unit.payments.take_merchant_reference(provider_id, reference_code, payment_id)
    if holder_id == payment_id:
        return
    holder = unit.payments.get(holder_id)
    free = holder is None or holder.status in (PaymentStatus.FAILED, PaymentStatus.CANCELED, PaymentStatus.REFUNDED)
    if not free or not unit.payments.replace_merchant_reference(
        provider_id, reference_code, old=holder_id, new=payment_id
    ):
        raise DuplicateReference(
            f"Payment {holder_id} already carries this reference and is open or paid", payment_id=holder_id
        )


def _intent_request(draft: PaymentDraft, payment: Payment, extra: Mapping[str, Any] | None) -> IntentRequest:
    assert payment.reference is not None
    return IntentRequest(
        amount=draft.amount,
        payment_id=payment.id,
        reference=payment.reference,
        capture_method=draft.capture_method,
        confirm=draft.confirm,
        payment_method=draft.payment_method,
        customer=draft.customer_id,
        setup_future_usage=draft.setup_future_usage,
        return_url=draft.return_url,
        description=draft.description or draft.concept,
        metadata=_provider_metadata(payment, draft.metadata),
        extra=dict(extra or {}),
    )


def _provider_metadata(payment: Payment, metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the merchant's plain values and ours as the texts that every provider takes."""
    texts = {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in metadata.items()
        if isinstance(value, str | int | float) and len(str(value)) <= 500
    }
    if payment.reference_code:
        texts.setdefault("reference_code", payment.reference_code)
    if payment.is_guest_payment and payment.guest_data is not None:
        guest = payment.guest_data
        known = {"guest_email": guest.email, "guest_name": guest.name, "guest_phone": guest.phone}
        texts.update({key: value for key, value in known.items() if value})
        texts["is_guest_payment"] = "true"
    texts["bridge_payment_id"] = payment.id
    texts["bridge_reference"] = payment.reference or ""
    return texts


def _changed_draft(
    payment: Payment,
    asked: Mapping[str, Any],
    metadata: Mapping[str, Any] | None,
    description: str | None,
    setup_future_usage: str | None,
) -> PaymentDraft:
    """Return what the payment would be after the update, for the approve hook and the checks."""
    priced = any(asked[name] is not None for name in ("subtotal", "tax", "discount", "total"))
    if priced:
        pricing = rules.price(
            subtotal=asked["subtotal"], tax=asked["tax"], discount=asked["discount"], total=asked["total"]
        )
    else:
        pricing = Pricing(
            subtotal=payment.subtotal_cents, tax=payment.tax_cents,
            discount=payment.discount_cents, total=payment.total_cents,
        )  # fmt: skip
    return PaymentDraft(
        payment_id=payment.id,
        currency=Money(pricing.total, asked["currency"] or payment.currency).currency,
        pricing=pricing,
        provider_id=payment.provider_id,
        capture_method=payment.capture_method,
        return_url=payment.return_url,
        setup_future_usage=setup_future_usage or payment.setup_future_usage,
        description=description or payment.description,
        concept=payment.concept,
        reference_code=payment.reference_code,
        category=payment.category,
        tags=payment.tags,
        metadata=dict(metadata) if metadata is not None else payment.metadata,
        guest=payment.guest_data,
        organization_id=payment.organization_id,
        project_id=payment.project_id,
    )


def _price_values(pricing: Pricing) -> dict[str, int]:
    return {
        "subtotal": pricing.subtotal,
        "tax": pricing.tax,
        "discount": pricing.discount,
        "total": pricing.total,
    }


def _intent_of(payment: Payment) -> str:
    if payment.provider_intent_id is None:
        raise IllegalState("The payment has no intent at its provider")
    return payment.provider_intent_id


def _money_inputs_differ(now: Payment, seen: Payment) -> bool:
    """Whether what we are about to ask was computed from money columns that have changed since."""
    return (now.total_cents, now.currency, now.authorized_cents, now.captured_cents, now.provider_intent_id) != (
        seen.total_cents, seen.currency, seen.authorized_cents, seen.captured_cents, seen.provider_intent_id,
    )  # fmt: skip
