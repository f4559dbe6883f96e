"""Payment methods: kept for later with the payer's agreement, charged only for their owner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from typing import Any, Final

from ..arguments import typed
from ..errors import (
    IllegalState,
    InvalidRequest,
    NotFound,
    ProviderError,
    Unavailable,
    UnsupportedOperation,
)
from ..models import (
    ID_PATTERN,
    SYSTEM,
    GuestData,
    Operation,
    PaymentMethod,
    PaymentMethodStatus,
    Principal,
    Verb,
    new_id,
    new_reference,
)
from ..providers.base import (
    BillingDetails,
    PaymentMethodConfirmation,
    PaymentMethodDeletion,
    PaymentMethodRequest,
    PaymentMethodUpdate,
    PaymentProvider,
)
from ..stores.base import Listing, PaymentMethodQuery, Unit
from ..tripwire import guarded
from . import rules
from .choosing import Choices, Chosen, billing_of
from .drafting import check_method, plain_texts
from .fitting import check_texts, fitting
from .inputs import digest
from .mirrors import Change, method_forgotten
from .owners import Owner, check_list, is_owner, may_touch, owner_for, owner_of
from .refreshing import Refreshing
from .subjects import METHODS, Held, row_answer

__all__ = ["UNSET", "PaymentMethodVerbs", "Unset"]


class Unset(Enum):
    """For parameters where None means something: empty it."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
"""Leave it as it is."""

_TYPES: Final = {"card": "credit_card"}
_MISSING: Final = "Payment method not found"


class PaymentMethodVerbs(Choices, Refreshing):
    """The part of the engine that keeps what payers pay with."""

    @guarded
    async def create_payment_method(
        self,
        *,
        token: str | None = None,
        payment_type: str = "credit_card",
        provider: str | None = None,
        customer_id: str | None = None,
        alias: str | None = None,
        wallet_type: str | None = None,
        billing_address_id: str | None = None,
        billing: BillingDetails | None = None,
        is_default: bool = False,
        off_session: bool = True,
        return_url: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        guest: GuestData | None = None,
        user_id: str | None = None,
        organization_id: str | None = None,
        idempotency_key: str | None = None,
        principal: Principal = SYSTEM,
    ) -> PaymentMethod:
        """Keep a method for later: from a one-time *token*, or by a set-up that the payer completes.

        The answer is ``active``, or ``requires_action`` with `next_action` and a client secret for the
        payer's browser; `confirm_payment_method` then finishes it. It belongs to the customer *customer_id*,
        by default to the caller's own, made at the provider if need be. A token whose method the caller has
        already is answered with that.

        Raises: AccessDenied, IdempotencyMismatch, InvalidRequest, NotFound (somebody else's customer or
        address), OperationInProgress, PaymentDeclined, ProviderRejected, Unavailable, UnsupportedOperation.
        """
        payment_type = _TYPES.get(payment_type, payment_type)
        check_method(token)
        rules.check_metadata(metadata or {})
        _check_alias(alias)
        provider_id, gateway = self.account(provider)
        gateway.require(Verb.CREATE_METHOD, instead="pay with a one-time token each time")
        owner = owner_for(
            principal, self.settings, guest=guest, user_id=user_id, organization_id=organization_id
        )
        address = await self.choose_address(billing_address_id, principal, owner)
        chosen = await self._whose(
            provider_id,
            principal,
            owner,
            token=token,
            customer_id=customer_id,
            idempotency_key=idempotency_key,
        )
        known = chosen.method
        if known is not None and chosen.refusal is None:
            return self._seen(known, principal)
        now = self.clock()
        customer = chosen.customer
        row = PaymentMethod(
            id=new_id("pm"),
            provider_id=provider_id,
            payment_type=payment_type,
            status=PaymentMethodStatus.PENDING,
            created_at=now,
            updated_at=now,
            customer_id=customer.id if customer is not None else None,
            wallet_type=wallet_type,
            alias=alias,
            is_default=is_default,
            billing_address_id=billing_address_id,
            metadata={**(metadata or {}), **owner.claims},
            **(_merchants_choice(owner, chosen) if principal.is_trusted else owner).columns(),
        )
        fitting(row)
        operation_id, reference = new_id("op"), new_reference()
        request = PaymentMethodRequest(
            payment_method_id=row.id,
            reference=reference,
            payment_type=payment_type,
            token=token,
            customer=chosen.customer_reference,
            off_session=off_session,
            billing=billing_of(address, billing),
            return_url=return_url,
            metadata={
                **plain_texts(row.metadata),
                "bridge_payment_method_id": row.id,
                "bridge_reference": reference,
            },
        )
        operation = self.draft(
            Verb.CREATE_METHOD, request, subject_id=row.id, provider_id=provider_id, baseline={},
            provider=gateway, principal=principal, operation_id=operation_id, reference=reference,
        )  # fmt: skip
        body = {
            "token": token, "type": payment_type, "customer": customer_id, "alias": alias,
            "default": is_default, "address": billing_address_id, "metadata": metadata,
        }  # fmt: skip
        scope = f"{Verb.CREATE_METHOD}:{principal.scope(owner.guest_email)}"

        def work(unit: Unit) -> Held[PaymentMethod]:
            earlier = self.replay_or(
                unit, scope=scope, key=idempotency_key, body_hash=digest(body),
                subject_id=row.id, operation_id=operation_id,
            )  # fmt: skip
            if earlier is not None:
                return self.replayed_row(unit, earlier.operation_id, earlier.subject_id, METHODS)
            chosen.checked(unit)
            unit.payment_methods.add(row)
            self.take_slot(unit, operation)
            return Held(operation=operation, row=row)

        held, leased_at = await self.reserve_row(operation_id, work)
        return self._seen(await self._kept(await self.finished(held, leased_at)), principal)

    async def _whose(
        self,
        provider_id: str,
        principal: Principal,
        owner: Owner,
        *,
        token: str | None,
        customer_id: str | None,
        idempotency_key: str | None,
    ) -> Chosen:
        """Find whose customer a new method goes to; the caller's own by default."""
        chosen = await self.choose(provider_id, principal, method=token, customer=customer_id)
        if chosen.refusal is not None or chosen.customer_reference is not None or chosen.method is not None:
            return chosen
        own = await self.ensure_customer(provider_id, owner, principal, idempotency_key=idempotency_key)
        if own is None:
            return chosen
        return replace(chosen, customer=own, customer_reference=own.provider_customer_id)

    async def _kept(self, held: Held[PaymentMethod]) -> PaymentMethod:
        """Return the method that was made, or the one under which the provider keeps it already."""
        row = row_answer(held)
        reference = row.provider_payment_method_id
        if row.status is not PaymentMethodStatus.DELETED or reference is None:
            return row
        first = await self.store.run(
            lambda unit: unit.payment_methods.get_by_reference(row.provider_id, reference), write=False
        )
        return first or row

    @guarded
    async def confirm_payment_method(
        self,
        payment_method_id: str,
        *,
        client_secret: str | None = None,
        idempotency_key: str | None = None,
        principal: Principal = SYSTEM,
    ) -> PaymentMethod:
        """Finish a set-up that the payer agreed to. A method that is active already is answered as it is.

        An anonymous caller proves by the *client_secret* that the guest's set-up is theirs.

        Raises: AccessDenied, IllegalState, NotFound, OperationInProgress, PaymentDeclined, ProviderRejected,
        Unavailable.
        """
        seen = await self._method(payment_method_id)
        self._may_finish(principal, seen, client_secret)
        if seen.status is PaymentMethodStatus.ACTIVE:
            return self._seen(seen, principal)
        gateway = self.provider(seen.provider_id)
        gateway.require(Verb.CONFIRM_METHOD)
        operation_id = new_id("op")

        def build(unit: Unit, row: PaymentMethod | None) -> Operation:
            if row is None or row.status is not PaymentMethodStatus.REQUIRES_ACTION:
                status = row.status.value if row is not None else None
                raise IllegalState(
                    "The payment method does not wait for its payer", details={"current_status": status}
                )
            customer = unit.customers.get(row.customer_id) if row.customer_id is not None else None
            request = PaymentMethodConfirmation(
                payment_method_id=row.id,
                setup=row.provider_setup_id or "",
                customer=customer.provider_customer_id if customer is not None else None,
            )
            return self._drafted(
                Verb.CONFIRM_METHOD,
                request,
                row,
                gateway=gateway,
                principal=principal,
                operation_id=operation_id,
            )

        held = await self.instruct_row(
            Verb.CONFIRM_METHOD, seen.id, build, operation_id=operation_id, principal=principal,
            idempotency_key=idempotency_key, body={},
        )  # fmt: skip
        return self._seen(await self._kept(held), principal)

    @typed
    async def sync_payment_method(
        self, payment_method_id: str, *, client_secret: str | None = None, principal: Principal = SYSTEM
    ) -> PaymentMethod:
        """Read a method at its provider and record what it says.

        Raises: AccessDenied, NotFound, Unavailable.
        """
        seen = await self._method(payment_method_id)
        self._may_finish(principal, seen, client_secret)
        try:
            fresh = await self.shielded(self.refresh_method(seen.id))
        except ProviderError as error:
            raise Unavailable(f"The provider does not answer: {error}") from None
        return self._seen(fresh or seen, principal)

    # --- change -------------------------------------------------------------------------------------

    @guarded
    async def update_payment_method(
        self,
        payment_method_id: str,
        *,
        alias: str | Unset | None = UNSET,
        is_default: bool | None = None,
        billing_address_id: str | Unset | None = UNSET,
        metadata: Mapping[str, Any] | None = None,
        principal: Principal = SYSTEM,
    ) -> PaymentMethod:
        """Change what only we keep of a method. What is not given stays; *metadata* replaces the old.

        A new billing address is told to the provider by `set_billing_address` alone.

        Raises: AccessDenied, InvalidRequest, NotAuthenticated, NotFound.
        """
        if metadata is not None:
            rules.check_metadata(metadata)
        local: dict[str, Any] = {}
        if not isinstance(alias, Unset):
            _check_alias(alias)
            check_texts(PaymentMethod, alias=alias)
            local["alias"] = alias
        if is_default is not None:
            local["is_default"] = is_default
        if metadata is not None:
            local["metadata"] = dict(metadata)
        if not isinstance(billing_address_id, Unset):
            await self._own_address(billing_address_id, payment_method_id, principal)
            local["billing_address_id"] = billing_address_id

        def change(_: Unit, row: PaymentMethod | None) -> Change[PaymentMethod]:
            owned = _mine(principal, row, "update")
            if local.get("is_default") and not owned.is_usable:
                raise IllegalState("Only a method that can be charged is the default")
            changed = replace(owned, **local)
            if changed == owned:
                return Change(row=owned, changed=False)
            return Change(
                row=replace(changed, updated_at=self.clock()), events=(("payment_method.updated", {}),)
            )

        row = await self.change_row(METHODS, payment_method_id, change)
        return self._seen(await self._only_default(row) if local.get("is_default") else row, principal)

    @typed
    async def set_default_payment_method(
        self, payment_method_id: str, *, principal: Principal = SYSTEM
    ) -> PaymentMethod:
        """Make this the one that its owner pays with by default; no other one is then.

        Raises: AccessDenied, IllegalState, NotAuthenticated, NotFound.
        """
        return await self.update_payment_method(payment_method_id, is_default=True, principal=principal)

    async def _only_default(self, row: PaymentMethod) -> PaymentMethod:
        """See that there is one default, after two callers chose two at the same moment: the later stays."""
        if row.user_id is None and row.guest_email is None:
            return row
        query = PaymentMethodQuery(
            user_id=row.user_id, guest_email=None if row.user_id else row.guest_email, limit=100
        )

        def work(unit: Unit) -> PaymentMethod | None:
            chosen = [method for method in unit.payment_methods.list(query).items if method.is_default]
            # Only what was seen gives way: who is chosen in this very moment is not undone.
            for other in sorted(chosen, key=lambda each: (each.updated_at, each.id))[:-1]:
                gives_way = replace(other, is_default=False)
                unit.payment_methods.save(gives_way, expected_version=other.version)
            return unit.payment_methods.get(row.id)

        return await self.store.run(work) or row

    @guarded
    async def set_billing_address(
        self,
        payment_method_id: str,
        billing_address_id: str | None,
        *,
        idempotency_key: str | None = None,
        principal: Principal = SYSTEM,
    ) -> tuple[PaymentMethod, bool]:
        """Change a method's billing address, here and at its provider; None takes it away here.

        Returns the method, and whether the provider has heard of it: False where it keeps none, or refused.

        Raises: AccessDenied, NotAuthenticated, NotFound, OperationInProgress, Unavailable.
        """
        row = await self.update_payment_method(
            payment_method_id, billing_address_id=billing_address_id, principal=principal
        )
        gateway = self.provider(row.provider_id)
        if billing_address_id is None or not row.is_usable or not gateway.supports(Verb.UPDATE_METHOD):
            return row, False
        address = await self.store.run(lambda unit: unit.addresses.get(billing_address_id), write=False)
        if address is None:
            return row, False
        operation_id = new_id("op")

        def build(unit: Unit, now: PaymentMethod | None) -> Operation:
            owned = _mine(principal, now, "update")
            customer = unit.customers.get(owned.customer_id) if owned.customer_id is not None else None
            request = PaymentMethodUpdate(
                payment_method=owned.provider_payment_method_id or "",
                customer=customer.provider_customer_id if customer is not None else None,
                billing=billing_of(address, None),
            )
            return self._drafted(
                Verb.UPDATE_METHOD,
                request,
                owned,
                gateway=gateway,
                principal=principal,
                operation_id=operation_id,
            )

        try:
            held = await self.instruct_row(
                Verb.UPDATE_METHOD, row.id, build, operation_id=operation_id, principal=principal,
                idempotency_key=idempotency_key, body={"address": billing_address_id},
            )  # fmt: skip
        except UnsupportedOperation:
            return row, False
        if held.operation.error_code is not None:
            return self._seen(held.row, principal), False
        changed: PaymentMethod = row_answer(held)
        return self._seen(changed, principal), True

    @guarded
    async def delete_payment_method(
        self,
        payment_method_id: str,
        *,
        idempotency_key: str | None = None,
        principal: Principal = SYSTEM,
    ) -> PaymentMethod:
        """Forget a method: from now on nobody can charge it here, and its provider is told to detach it.

        It is gone here when this answers. A provider that does not answer is told again by reconciliation.
        One that refuses, as for a method that a subscription of its own uses, leaves the method as it was.

        Raises: AccessDenied, NotAuthenticated, NotFound, OperationInProgress, ProviderRejected, Unavailable.
        """
        seen = _mine(principal, await self._row(payment_method_id), "delete")
        gateway = self.provider(seen.provider_id)
        if seen.provider_payment_method_id is None or not gateway.supports(Verb.DELETE_METHOD):
            return await self.change_row(
                METHODS,
                seen.id,
                lambda _, row: method_forgotten(_mine(principal, row, "delete"), self.clock()),
            )
        operation_id = new_id("op")

        def build(unit: Unit, row: PaymentMethod | None) -> Operation:
            owned = _mine(principal, row, "delete")
            customer = unit.customers.get(owned.customer_id) if owned.customer_id is not None else None
            request = PaymentMethodDeletion(
                payment_method=owned.provider_payment_method_id or "",
                customer=customer.provider_customer_id if customer is not None else None,
            )
            return self._drafted(
                Verb.DELETE_METHOD,
                request,
                owned,
                gateway=gateway,
                principal=principal,
                operation_id=operation_id,
            )

        held = await self.instruct_row(
            Verb.DELETE_METHOD, seen.id, build, operation_id=operation_id, principal=principal,
            idempotency_key=idempotency_key, body={},
        )  # fmt: skip
        gone: PaymentMethod = row_answer(held)
        return gone

    # --- look ---------------------------------------------------------------------------------------

    @typed
    async def get_payment_method(
        self, payment_method_id: str, *, principal: Principal = SYSTEM
    ) -> PaymentMethod:
        """Return one method; a set-up's client secret only while its owner needs it.

        Raises: NotAuthenticated, NotFound.
        """
        row = await self._row(payment_method_id)
        living = row if row is not None and row.status is not PaymentMethodStatus.DELETED else None
        return self._seen(may_touch(principal, living, missing=_MISSING), principal)

    @typed
    async def list_payment_methods(
        self, query: PaymentMethodQuery, *, principal: Principal = SYSTEM
    ) -> Listing[PaymentMethod]:
        """Return a page of methods without client secrets; users and guests see only their own.

        With `query.customer_id` a customer's, which has to be the caller's.

        Raises: NotAuthenticated, NotFound.
        """
        mine = check_list(query, principal)
        wanted = query.customer_id

        def read(unit: Unit) -> Listing[PaymentMethod]:
            if wanted is None:
                return unit.payment_methods.list(mine)
            customer = may_touch(principal, unit.customers.get(wanted), missing="Customer not found")
            return unit.payment_methods.list(replace(mine, customer_id=customer.id))

        page = await self.store.run(read, write=False)
        return replace(page, items=tuple(_without_secret(row) for row in page.items))

    # --- what they share ------------------------------------------------------------------------------

    async def _row(self, payment_method_id: str) -> PaymentMethod | None:
        if not ID_PATTERN.match(payment_method_id):
            raise NotFound(_MISSING)
        return await self.store.run(lambda unit: unit.payment_methods.get(payment_method_id), write=False)

    async def _method(self, payment_method_id: str) -> PaymentMethod:
        row = await self._row(payment_method_id)
        if row is None or row.status is PaymentMethodStatus.DELETED:
            raise NotFound(_MISSING)
        return row

    async def _own_address(
        self, address_id: str | None, payment_method_id: str, principal: Principal
    ) -> None:
        if address_id is not None:
            row = _mine(principal, await self._row(payment_method_id), "update")
            await self.choose_address(address_id, principal, owner_of(row))

    def _drafted(
        self,
        verb: Verb,
        request: PaymentMethodConfirmation | PaymentMethodUpdate | PaymentMethodDeletion,
        row: PaymentMethod,
        *,
        gateway: PaymentProvider,
        principal: Principal,
        operation_id: str,
    ) -> Operation:
        return self.draft(
            verb, request, subject_id=row.id, provider_id=row.provider_id,
            baseline={"version": row.version, "status": row.status.value}, provider=gateway,
            principal=principal, operation_id=operation_id,
        )  # fmt: skip

    def _may_finish(self, principal: Principal, row: PaymentMethod, presented: str | None) -> None:
        if is_owner(principal, row):
            return
        if not (principal.is_anonymous and row.is_guest and rules.secret_is(row, presented, self.clock())):
            raise NotFound(_MISSING)

    def _seen(self, row: PaymentMethod, principal: Principal) -> PaymentMethod:
        """Return the method without a secret that expired or is not needed any more."""
        waits = row.status is PaymentMethodStatus.REQUIRES_ACTION
        if row.client_secret is None or (waits and not rules.secret_expired(row, self.clock())):
            return row
        return _without_secret(row)


def _mine(principal: Principal, row: PaymentMethod | None, what: str) -> PaymentMethod:
    living = row if row is not None and row.status is not PaymentMethodStatus.DELETED else None
    denied = f"Insufficient privileges to {what} this payment method"
    return may_touch(principal, living, missing=_MISSING, denied=denied)


def _merchants_choice(owner: Owner, chosen: Chosen) -> Owner:
    """Whose a method is that the merchant keeps: whom they said, else the customer's."""
    if owner.user_id is not None or owner.guest is not None or chosen.customer is None:
        return owner
    return owner_of(chosen.customer)


def _without_secret(row: PaymentMethod) -> PaymentMethod:
    return replace(row, client_secret=None, client_secret_expires_at=None)


def _check_alias(alias: str | None) -> None:
    if alias is not None and not 0 < len(alias) <= 255:
        raise InvalidRequest("has 1 to 255 characters", field="alias")
