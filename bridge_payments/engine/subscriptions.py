"""Subscriptions: billed again and again by the provider. We begin, change and mirror; we never charge one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from ..arguments import typed
from ..errors import (
    AccessDenied,
    IllegalState,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    ProviderError,
    Unavailable,
)
from ..models import (
    ID_PATTERN,
    SYSTEM,
    BillingInterval,
    GuestData,
    Money,
    Operation,
    PaymentMethodStatus,
    Pricing,
    Principal,
    Subscription,
    SubscriptionStatus,
    Verb,
    is_own_id,
    new_id,
    new_reference,
)
from ..providers.base import (
    PaymentProvider,
    SubscriptionCancellation,
    SubscriptionPause,
    SubscriptionRequest,
    SubscriptionResumption,
    SubscriptionUpdate,
)
from ..stores.base import Listing, SubscriptionQuery, Unit
from ..tripwire import guarded
from . import rules
from .choosing import Chosen
from .drafting import check_draft, guest_values, plain_texts, price_values
from .drafts import Approve, PaymentDraft, Recurring, approved, full_price
from .fitting import check_texts, fitting
from .inputs import ProviderRequest, digest
from .instructions import Instructions
from .mirrors import Change
from .owners import Owner, check_list, may_touch, owner_for, owner_of, the_one
from .payment_methods import UNSET, PaymentMethodVerbs, Unset
from .subjects import SUBSCRIPTIONS, Held, row_answer

__all__ = ["SubscriptionVerbs"]

_MISSING: Final = "Subscription not found"
_PAUSABLE: Final = frozenset(
    {SubscriptionStatus.ACTIVE, SubscriptionStatus.TRIALING, SubscriptionStatus.PAST_DUE}
)


class SubscriptionVerbs(Instructions, PaymentMethodVerbs):
    """The part of the engine that has payers billed again and again."""

    approve: Approve | None

    @guarded
    async def create_subscription(
        self,
        amount: Money | None = None,
        *,
        subtotal_cents: int | None = None,
        tax_cents: int | None = None,
        discount_cents: int | None = None,
        total_cents: int | None = None,
        currency: str | None = None,
        billing_interval: BillingInterval | str = BillingInterval.MONTHLY,
        interval_multiplier: int = 1,
        trial_days: int = 0,
        customer_id: str | None = None,
        payment_method: str | None = None,
        provider: str | None = None,
        product_id: str | None = None,
        billing_address_id: str | None = None,
        return_url: str | None = None,
        description: str | None = None,
        concept: str | None = None,
        reference_code: str | None = None,
        category: str | None = None,
        tags: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        guest: GuestData | None = None,
        organization_id: str | None = None,
        project_id: str | None = None,
        idempotency_key: str | None = None,
        principal: Principal = SYSTEM,
    ) -> Subscription:
        """Have a payer billed every *interval_multiplier* intervals, from now or after *trial_days*.

        The price is an `amount`, or any balancing combination of the four ``*_cents`` with a *currency*; the
        approve hook sees it with `PaymentDraft.recurring`. ``quarterly`` is three months. *payment_method* is
        the id of a stored method of the caller's, or a one-time token, which is stored first; *customer_id*
        is the caller's own customer, made at the provider if need be. The merchant's subscription belongs to
        the owner of the method or customer.

        The answer may be ``incomplete`` with `next_action` and a client secret: the payer has to agree. The
        outcome may be unknown: `unknown_operation_id` is set then.

        Raises: AccessDenied, IdempotencyMismatch, IllegalState, InvalidRequest, NotFound,
        OperationInProgress, PaymentDeclined, ProviderRejected, Unavailable, UnsupportedOperation.
        """
        pricing, currency = _price_of(
            amount, subtotal=subtotal_cents, tax=tax_cents, discount=discount_cents, total=total_cents,
            currency=currency,
        )  # fmt: skip
        interval, count = interval_of(billing_interval, interval_multiplier)
        if trial_days < 0:
            raise InvalidRequest("must not be negative", field="trial_days")
        asked = PaymentDraft(
            currency=Money(pricing.total, currency).currency,
            pricing=pricing,
            provider_id=provider,
            payment_method=payment_method,
            return_url=return_url,
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
            off_session=True,
            recurring=Recurring(
                interval=interval, interval_multiplier=count, trial_days=trial_days, product_id=product_id
            ),
        )
        check_draft(asked, principal, None, self.settings)
        body_hash = digest(
            {
                "draft": repr(asked),
                "method": payment_method,
                "metadata": asked.metadata,
                "guest": repr(guest_values(guest)),
            }
        )
        draft = await approved(asked, principal, self.approve)
        provider_id, gateway = self.account(draft.provider_id)
        gateway.require(Verb.CREATE_SUBSCRIPTION)
        gateway.check_amount(draft.amount)
        owner = owner_for(principal, self.settings, guest=draft.guest, organization_id=draft.organization_id)
        await self.choose_address(draft.billing_address_id, principal, owner)
        async with self.counting_declines(principal, principal.email or owner.guest_email):
            chosen = await self._paid_with(draft, provider_id, principal, owner, key=idempotency_key)
            return await self._begin_subscription(
                draft, chosen, owner, gateway,
                provider_id=provider_id, body_hash=body_hash, idempotency_key=idempotency_key,
                principal=principal,
            )  # fmt: skip

    async def _paid_with(
        self,
        draft: PaymentDraft,
        provider_id: str,
        principal: Principal,
        owner: Owner,
        *,
        key: str | None,
    ) -> Chosen:
        """Find the customer and the stored method; a one-time token is stored, a customer made for it."""
        gateway = self.provider(provider_id)
        chosen = await self.choose(
            provider_id, principal, method=draft.payment_method, customer=draft.customer_id
        )
        if chosen.refusal is not None or chosen.method is not None:
            return chosen
        if chosen.reference is not None and gateway.supports(Verb.CREATE_METHOD):
            kept = await self.create_payment_method(
                token=chosen.reference,
                provider=provider_id,
                customer_id=draft.customer_id,
                guest=draft.guest,
                idempotency_key=digest({"method of": key}) if key is not None else None,
                principal=principal,
            )
            if kept.status is not PaymentMethodStatus.ACTIVE:
                raise IllegalState(
                    f"The payment method {kept.id} waits for its payer: confirm it, then subscribe",
                    details={"payment_method_id": kept.id, "current_status": kept.status.value},
                )
            customer_id = kept.customer_id
            customer = (
                await self.store.run(lambda unit: unit.customers.get(customer_id), write=False)
                if customer_id is not None
                else None
            )
            return replace(
                chosen,
                reference=kept.provider_payment_method_id,
                method=kept,
                customer=customer,
                customer_reference=customer.provider_customer_id if customer is not None else None,
            )
        if chosen.customer_reference is None:
            own = await self.ensure_customer(provider_id, owner, principal, idempotency_key=key)
            if own is not None:
                return replace(chosen, customer=own, customer_reference=own.provider_customer_id)
        return chosen

    async def _begin_subscription(
        self,
        draft: PaymentDraft,
        chosen: Chosen,
        owner: Owner,
        gateway: PaymentProvider,
        *,
        provider_id: str,
        body_hash: str,
        idempotency_key: str | None,
        principal: Principal,
    ) -> Subscription:
        if principal.is_trusted and owner.user_id is None and owner.guest is None:
            source = chosen.method or chosen.customer
            owner = owner_of(source) if source is not None else owner
        row = fitting(self._new_subscription(draft, chosen, owner, provider_id, principal))
        assert draft.recurring is not None
        scope = f"{Verb.CREATE_SUBSCRIPTION}:{principal.scope(owner.guest_email)}"
        request = SubscriptionRequest(
            subscription_id=row.id,
            reference=row.reference or "",
            amount=draft.amount,
            interval=row.billing_interval,
            interval_count=row.interval_multiplier,
            customer=chosen.customer_reference,
            payment_method=chosen.reference,
            trial_days=draft.recurring.trial_days,
            name=row.concept or "Subscription",
            description=row.description,
            return_url=draft.return_url,
            email=owner.guest_email or principal.email,
            metadata=provider_texts(row, draft.metadata),
            wish=digest({"scope": scope, "key": idempotency_key}) if idempotency_key is not None else None,
        )
        operation_id = new_id("op")
        operation = self.draft(
            Verb.CREATE_SUBSCRIPTION, request, subject_id=row.id, provider_id=provider_id, baseline={},
            provider=gateway, principal=principal, operation_id=operation_id, reference=row.reference,
        )  # fmt: skip

        def work(unit: Unit) -> Held[Subscription]:
            earlier = self.replay_or(
                unit, scope=scope, key=idempotency_key, body_hash=body_hash,
                subject_id=row.id, operation_id=operation_id,
            )  # fmt: skip
            if earlier is not None:
                return self.replayed_row(unit, earlier.operation_id, earlier.subject_id, SUBSCRIPTIONS)
            chosen.checked(unit)
            unit.subscriptions.add(row)
            self.take_slot(unit, operation)
            return Held(operation=operation, row=row)

        held, leased_at = await self.reserve_row(operation_id, work)
        return self._as_seen(row_answer(await self.finished(held, leased_at)))

    def _new_subscription(
        self,
        draft: PaymentDraft,
        chosen: Chosen,
        owner: Owner,
        provider_id: str,
        principal: Principal,
    ) -> Subscription:
        now = self.clock()
        terms = draft.recurring
        assert terms is not None
        vouched = draft.claims_accepted or principal.is_trusted
        claims = dict(owner.claims)
        if draft.project_id is not None and not vouched:
            claims["claimed_project_id"] = draft.project_id
        if vouched and draft.organization_id is not None:
            claims.pop("claimed_organization_id", None)
        word = terms.interval.value
        return Subscription(
            id=new_id("sub"),
            provider_id=provider_id,
            customer_id=chosen.customer.id if chosen.customer is not None else None,
            status=SubscriptionStatus.INCOMPLETE,
            subtotal_cents=draft.pricing.subtotal,
            tax_cents=draft.pricing.tax,
            discount_cents=draft.pricing.discount,
            total_cents=draft.pricing.total,
            currency=draft.currency,
            billing_interval=terms.interval,
            interval_multiplier=terms.interval_multiplier,
            created_at=now,
            updated_at=now,
            reference=new_reference(),
            payment_method_id=chosen.method.id if chosen.method is not None else None,
            product_id=terms.product_id,
            user_id=owner.user_id,
            organization_id=draft.organization_id if vouched else owner.organization_id,
            project_id=draft.project_id if vouched else None,
            billing_address_id=draft.billing_address_id,
            description=draft.description,
            concept=draft.concept or f"Custom {word.capitalize()} Subscription",
            reference_code=draft.reference_code or f"subscription_custom_{word}",
            category=draft.category or "subscription",
            tags=draft.tags,
            is_guest_subscription=owner.is_guest,
            guest_email=owner.guest_email,
            guest_data=owner.guest,
            metadata={**draft.metadata, **claims},
        )

    # --- change -------------------------------------------------------------------------------------

    @guarded
    async def update_subscription(
        self,
        subscription_id: str,
        *,
        subtotal_cents: int | None = None,
        tax_cents: int | None = None,
        discount_cents: int | None = None,
        total_cents: int | None = None,
        payment_method: str | None = None,
        billing_address_id: str | Unset | None = UNSET,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        principal: Principal = SYSTEM,
    ) -> Subscription:
        """Change price, method, description or what only we keep. What is not given stays.

        A new price holds from the next period on; a payer's passes the approve hook, and is refused where
        there is none. `metadata` replaces the old.

        Raises: AccessDenied, IllegalState, InvalidRequest, NotAuthenticated, NotFound, OperationInProgress,
        ProviderRejected, UnsupportedOperation.
        """
        if metadata is not None:
            rules.check_metadata(metadata)
        rules.check_tracking(description=description)
        check_texts(Subscription, description=description)
        seen = may_touch(
            principal, await self._subscription(subscription_id, None, principal), missing=_MISSING
        )
        gateway = self.provider(seen.provider_id)
        given = (subtotal_cents, tax_cents, discount_cents, total_cents)
        told = any(value is not None for value in (*given, payment_method, description, metadata))
        if told:
            gateway.require(Verb.UPDATE_SUBSCRIPTION, instead="cancel it and create another")
        local: dict[str, Any] = {}
        if not isinstance(billing_address_id, Unset):
            await self.choose_address(billing_address_id, principal, owner_of(seen))
            local["billing_address_id"] = billing_address_id
        if metadata is not None:
            local["metadata"] = dict(metadata)
        if description is not None:
            local["description"] = description
        draft = None
        if any(value is not None for value in given):
            pricing = rules.price(
                subtotal=subtotal_cents, tax=tax_cents, discount=discount_cents, total=total_cents
            )
            draft = await self._new_price(seen, pricing, gateway, principal)
            local.update({f"{part}_cents": value for part, value in price_values(draft.pricing).items()})
        chosen = await self.choose(seen.provider_id, principal, method=payment_method)
        if payment_method is not None:
            if chosen.refusal is None and chosen.method is None:
                raise InvalidRequest("is not a stored payment method", field="payment_method_id")
            local["payment_method_id"] = chosen.method.id if chosen.method is not None else None
        if not told:
            return self._as_seen(
                await self.change_row(
                    SUBSCRIPTIONS, seen.id, lambda _, row: self._changed_locally(principal, row, local)
                )
            )
        operation_id = new_id("op")

        def build(unit: Unit, row: Subscription | None) -> Operation:
            owned = _open(may_touch(principal, row, missing=_MISSING))
            chosen.checked(unit)
            request = SubscriptionUpdate(
                subscription=reference_of(owned),
                amount=draft.amount if draft is not None else None,
                interval=owned.billing_interval,
                interval_count=owned.interval_multiplier,
                customer=chosen.customer_reference,
                payment_method=chosen.reference,
                description=description,
                metadata=provider_texts(owned, metadata) if metadata is not None else None,
            )
            return self._drafted_on(
                Verb.UPDATE_SUBSCRIPTION, request, owned, gateway, principal=principal,
                operation_id=operation_id, local=local,
            )  # fmt: skip

        body = {
            "subtotal": subtotal_cents, "tax": tax_cents, "discount": discount_cents, "total": total_cents,
            "method": payment_method, "local": {k: v for k, v in local.items() if not k.endswith("_cents")},
        }  # fmt: skip
        return await self._instruct_subscription(
            Verb.UPDATE_SUBSCRIPTION, seen.id, build, operation_id=operation_id, principal=principal,
            idempotency_key=idempotency_key, body=body,
        )  # fmt: skip

    async def _new_price(
        self, seen: Subscription, pricing: Pricing, gateway: PaymentProvider, principal: Principal
    ) -> PaymentDraft:
        if not principal.is_trusted and self.approve is None:
            raise AccessDenied("Only the merchant changes what a subscription costs")
        asked = PaymentDraft(
            currency=seen.currency,
            pricing=pricing,
            provider_id=seen.provider_id,
            description=seen.description,
            concept=seen.concept,
            reference_code=seen.reference_code,
            category=seen.category,
            tags=seen.tags,
            metadata=seen.metadata,
            guest=seen.guest_data,
            organization_id=seen.organization_id,
            project_id=seen.project_id,
            recurring=Recurring(
                interval=seen.billing_interval,
                interval_multiplier=seen.interval_multiplier,
                product_id=seen.product_id,
                subscription_id=seen.id,
            ),
        )
        draft = await approved(asked, principal, self.approve)
        if draft.pricing.total <= 0:
            raise InvalidRequest("must be positive", field="total_cents")
        if draft.currency != seen.currency:
            raise InvalidRequest("cannot change", field="currency")
        gateway.check_amount(draft.amount)
        return draft

    def _changed_locally(
        self, principal: Principal, row: Subscription | None, local: Mapping[str, Any]
    ) -> Change[Subscription]:
        owned = may_touch(principal, row, missing=_MISSING)
        changed = replace(owned, **local)
        if changed == owned:
            return Change(row=owned, changed=False)
        return Change(row=replace(changed, updated_at=self.clock()), events=(("subscription.updated", {}),))

    @guarded
    async def cancel_subscription(
        self,
        subscription_id: str,
        *,
        at_period_end: bool = True,
        reason: str | None = None,
        client_secret: str | None = None,
        idempotency_key: str | None = None,
        principal: Principal = SYSTEM,
    ) -> Subscription:
        """End a subscription, when its period does or at once.

        An anonymous caller proves by the *client_secret* that a guest's subscription is theirs.

        Raises: IllegalState, NotAuthenticated, NotFound, OperationInProgress, ProviderRejected, Unavailable.
        """
        operation_id = new_id("op")

        def build(_: Unit, row: Subscription | None) -> Operation:
            owned = self._theirs(principal, row, client_secret)
            gateway = self.provider(owned.provider_id)
            gateway.require(Verb.CANCEL_SUBSCRIPTION)
            if owned.has_ended:
                raise IllegalState("Subscription is already canceled", details=_state(owned))
            if owned.cancel_at_period_end and at_period_end:
                raise IllegalState("Subscription is already canceled", details=_state(owned))
            request = SubscriptionCancellation(
                subscription=reference_of(owned), at_period_end=at_period_end, reason=reason
            )
            return self._drafted_on(
                Verb.CANCEL_SUBSCRIPTION, request, owned, gateway, principal=principal,
                operation_id=operation_id,
            )  # fmt: skip

        return await self._instruct_subscription(
            Verb.CANCEL_SUBSCRIPTION, subscription_id, build, operation_id=operation_id,
            principal=principal, idempotency_key=idempotency_key, body={"at_end": at_period_end},
        )  # fmt: skip

    @guarded
    async def pause_subscription(
        self,
        subscription_id: str,
        *,
        reason: str | None = None,
        idempotency_key: str | None = None,
        principal: Principal = SYSTEM,
    ) -> Subscription:
        """Collect nothing until it is resumed.

        Raises: IllegalState, NotAuthenticated, NotFound, OperationInProgress, ProviderRejected, Unavailable,
        UnsupportedOperation.
        """
        operation_id = new_id("op")

        def build(_: Unit, row: Subscription | None) -> Operation:
            owned = may_touch(principal, row, missing=_MISSING)
            gateway = self.provider(owned.provider_id)
            gateway.require(Verb.PAUSE_SUBSCRIPTION, instead="cancel it and create another later")
            if owned.status not in _PAUSABLE:
                raise IllegalState("Subscription cannot be paused in current status", details=_state(owned))
            request = SubscriptionPause(subscription=reference_of(owned), reason=reason)
            return self._drafted_on(
                Verb.PAUSE_SUBSCRIPTION, request, owned, gateway, principal=principal,
                operation_id=operation_id,
            )  # fmt: skip

        return await self._instruct_subscription(
            Verb.PAUSE_SUBSCRIPTION, subscription_id, build, operation_id=operation_id,
            principal=principal, idempotency_key=idempotency_key, body={},
        )  # fmt: skip

    @guarded
    async def resume_subscription(
        self,
        subscription_id: str,
        *,
        reason: str | None = None,
        idempotency_key: str | None = None,
        principal: Principal = SYSTEM,
    ) -> Subscription:
        """Go on after a pause, or take back a cancellation before its period ends.

        Raises: IllegalState, NotAuthenticated, NotFound, OperationInProgress, ProviderRejected, Unavailable,
        UnsupportedOperation.
        """
        operation_id = new_id("op")

        def build(_: Unit, row: Subscription | None) -> Operation:
            owned = may_touch(principal, row, missing=_MISSING)
            gateway = self.provider(owned.provider_id)
            gateway.require(Verb.RESUME_SUBSCRIPTION, instead="create another")
            goes_on = owned.status is not SubscriptionStatus.PAUSED and not owned.cancel_at_period_end
            if owned.has_ended or goes_on:
                raise IllegalState("Subscription cannot be resumed in current status", details=_state(owned))
            request = SubscriptionResumption(subscription=reference_of(owned), reason=reason)
            return self._drafted_on(
                Verb.RESUME_SUBSCRIPTION, request, owned, gateway, principal=principal,
                operation_id=operation_id,
            )  # fmt: skip

        return await self._instruct_subscription(
            Verb.RESUME_SUBSCRIPTION, subscription_id, build, operation_id=operation_id,
            principal=principal, idempotency_key=idempotency_key, body={},
        )  # fmt: skip

    # --- look ---------------------------------------------------------------------------------------

    @typed
    async def sync_subscription(
        self,
        subscription_id: str,
        *,
        provider: str | None = None,
        client_secret: str | None = None,
        principal: Principal = SYSTEM,
    ) -> Subscription:
        """Read a subscription and what it collected at its provider, and record what is said.

        *subscription_id* is ours or, failing that, a provider's reference.

        Raises: NotAuthenticated, NotFound, Unavailable.
        """
        seen = self._theirs(
            principal, await self._subscription(subscription_id, provider, principal), client_secret
        )
        try:
            fresh = await self.shielded(self.refresh_subscription(seen.id))
        except ProviderError as error:
            raise Unavailable(f"The provider does not answer: {error}") from None
        return self._as_seen(fresh or seen)

    @typed
    async def get_subscription(
        self, subscription_id: str, *, provider: str | None = None, principal: Principal = SYSTEM
    ) -> Subscription:
        """Return one subscription, by our id or by the provider's (of *provider*, or of any account).

        Raises: NotAuthenticated, NotFound.
        """
        row = await self._subscription(subscription_id, provider, principal)
        return self._as_seen(may_touch(principal, row, missing=_MISSING))

    @typed
    async def list_subscriptions(
        self, query: SubscriptionQuery, *, principal: Principal = SYSTEM
    ) -> Listing[Subscription]:
        """Return a page of subscriptions without client secrets; users and guests see only their own.

        Raises: NotAuthenticated.
        """
        mine = check_list(query, principal)
        page = await self.store.run(lambda unit: unit.subscriptions.list(mine), write=False)
        return replace(page, items=tuple(_without_secret(row) for row in page.items))

    # --- what they share ------------------------------------------------------------------------------

    async def _instruct_subscription(
        self, verb: Verb, subscription_id: str, build: Any, **more: Any
    ) -> Subscription:
        if not ID_PATTERN.match(subscription_id):
            raise NotFound(_MISSING)
        held = await self.instruct_row(verb, subscription_id, build, **more)
        row: Subscription = row_answer(held)
        return self._as_seen(row)

    async def _subscription(
        self, subscription_id: str, provider: str | None, principal: Principal
    ) -> Subscription | None:
        if not ID_PATTERN.match(subscription_id):
            raise NotFound(_MISSING)
        accounts = (provider,) if provider else self.provider_ids

        def find(unit: Unit) -> Subscription | None:
            if is_own_id("sub", subscription_id):
                return unit.subscriptions.get(subscription_id)
            found = (unit.subscriptions.get_by_reference(account, subscription_id) for account in accounts)
            return the_one(found, principal)

        return await self.store.run(find, write=False)

    def _drafted_on(
        self,
        verb: Verb,
        request: ProviderRequest,
        row: Subscription,
        gateway: PaymentProvider,
        *,
        principal: Principal,
        operation_id: str,
        local: Mapping[str, Any] | None = None,
    ) -> Operation:
        baseline = {
            "status": row.status.value,
            "total_cents": row.total_cents,
            "cancel_at_period_end": row.cancel_at_period_end,
        }
        return self.draft(
            verb, request, subject_id=row.id, provider_id=row.provider_id, baseline=baseline,
            provider=gateway, principal=principal, operation_id=operation_id,
            more={"local": dict(local)} if local else None,
        )  # fmt: skip

    def _theirs(self, principal: Principal, row: Subscription | None, presented: str | None) -> Subscription:
        if not principal.is_anonymous:
            return may_touch(principal, row, missing=_MISSING)
        if row is None or not row.is_guest_subscription:
            raise NotAuthenticated("Authentication required")
        if not rules.secret_is(row, presented, self.clock()):
            raise NotAuthenticated("Authentication required")
        return row

    def _as_seen(self, row: Subscription) -> Subscription:
        """Return the subscription without a secret that expired."""
        if row.client_secret is None or not rules.secret_expired(row, self.clock()):
            return row
        return _without_secret(row)


def interval_of(value: BillingInterval | str, multiplier: int) -> tuple[BillingInterval, int]:
    """Return an interval and how many of it; ``quarterly`` is three months. Raises InvalidRequest."""
    if value == "quarterly":
        value, multiplier = BillingInterval.MONTHLY, multiplier * 3
    if not 1 <= multiplier <= 12:
        raise InvalidRequest("is 1 to 12", field="interval_multiplier")
    try:
        return BillingInterval(value), multiplier
    except ValueError:
        raise InvalidRequest("is daily, weekly, monthly or yearly", field="billing_interval") from None


def reference_of(row: Subscription) -> str:
    """Return what the provider calls the subscription. Raises IllegalState while it has not answered."""
    if row.provider_subscription_id is None:
        raise IllegalState("The provider does not know this subscription", details=_state(row))
    return row.provider_subscription_id


def provider_texts(row: Subscription, metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the merchant's plain values, the tracking fields and ours, as texts."""
    tracked = {"concept": row.concept, "category": row.category, "tags": row.tags}
    texts = {
        **{name: value for name, value in tracked.items() if value},
        **plain_texts(metadata),
        "bridge_subscription_id": row.id,
        "bridge_reference": row.reference or "",
    }
    if row.reference_code:
        texts.setdefault("reference_code", row.reference_code)
    return texts


def _price_of(
    amount: Money | None,
    *,
    subtotal: int | None,
    tax: int | None,
    discount: int | None,
    total: int | None,
    currency: str | None,
) -> tuple[Pricing, str]:
    if amount is not None:
        if any(part is not None for part in (subtotal, tax, discount, total, currency)):
            raise InvalidRequest("give an amount or its parts, not both", field="amount")
        return full_price(amount.minor_units), amount.currency
    if currency is None:
        raise InvalidRequest("is required", field="currency")
    return rules.price(subtotal=subtotal, tax=tax, discount=discount, total=total), currency


def _open(row: Subscription) -> Subscription:
    if row.has_ended:
        raise IllegalState("Subscription cannot be updated in current status", details=_state(row))
    return row


def _state(row: Subscription) -> dict[str, object]:
    return {"current_status": row.status.value, "cancel_at_period_end": row.cancel_at_period_end}


def _without_secret(row: Subscription) -> Subscription:
    return replace(row, client_secret=None, client_secret_expires_at=None)
