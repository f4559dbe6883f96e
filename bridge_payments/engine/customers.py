"""Customers: the payer as one provider account knows them. One per owner and account."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ..arguments import typed
from ..errors import IllegalState, InvalidRequest, NotFound, OperationInProgress
from ..models import (
    ENDED_SUBSCRIPTION_STATUSES,
    ID_PATTERN,
    SYSTEM,
    Customer,
    GuestData,
    Operation,
    Principal,
    SubscriptionStatus,
    Verb,
    new_id,
    new_reference,
)
from ..providers.base import CustomerDeletion, CustomerRequest, CustomerUpdate
from ..stores.base import CustomerQuery, Listing, SubscriptionQuery, Unit
from ..tripwire import guarded
from . import rules
from .drafting import plain_texts
from .fitting import check_texts, fitting
from .inputs import digest
from .mirrors import Change
from .owners import Owner, check_list, may_touch, owner_for, the_one
from .subjects import CUSTOMERS, Held, Subjects, row_answer

__all__ = ["CustomerResult", "CustomerVerbs"]

_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}\Z")
_LIVING: Final = frozenset(SubscriptionStatus) - ENDED_SUBSCRIPTION_STATUSES
_MISSING: Final = "Customer not found"
_DENIED: Final = "Access denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerResult:
    """A customer, and whether its owner had it before."""

    customer: Customer
    existed: bool


class _Existed(Exception):
    def __init__(self, customer: Customer) -> None:
        self.customer = customer


class CustomerVerbs(Subjects):
    """The part of the engine that makes payers known to providers."""

    @guarded
    async def create_customer(
        self,
        *,
        email: str | None = None,
        name: str | None = None,
        phone: str | None = None,
        provider: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        guest: GuestData | None = None,
        user_id: str | None = None,
        organization_id: str | None = None,
        idempotency_key: str | None = None,
        principal: Principal = SYSTEM,
    ) -> CustomerResult:
        """Make a payer known to a provider account, once per owner.

        A user or guest who has a customer at that account gets it, with ``existed=True``; nothing is
        sent or changed then. An anonymous caller needs *guest* and always gets a record of its own: a typed
        address does not lead to somebody else's (rule 23). The merchant may say whose it is by *user_id* or
        *guest*; without either it is the merchant's alone.

        Raises: AccessDenied, IdempotencyMismatch, InvalidRequest, OperationInProgress (it is being made),
        ProviderRejected, Unavailable (the outcome is unknown: repeat), UnsupportedOperation.
        """
        provider_id, gateway = self.account(provider)
        gateway.require(Verb.CREATE_CUSTOMER, instead="pay without a customer")
        owner = owner_for(
            principal, self.settings, guest=guest, user_id=user_id, organization_id=organization_id
        )
        email = email or owner.guest_email or principal.email
        if email is None and owner.user_id is None:
            raise InvalidRequest("is required", field="email")
        check_person(email=email, name=name, phone=phone)
        rules.check_metadata(metadata or {})
        row = self._new_customer(
            provider_id, owner, email=email, name=name, phone=phone, metadata=metadata or {}
        )
        operation_id, reference = new_id("op"), new_reference()
        request = CustomerRequest(
            customer_id=row.id,
            reference=reference,
            email=row.email,
            name=row.name,
            phone=row.phone,
            metadata={
                **plain_texts(row.metadata),
                "bridge_customer_id": row.id,
                "bridge_reference": reference,
            },
        )
        operation = self.draft(
            Verb.CREATE_CUSTOMER, request, subject_id=row.id, provider_id=provider_id, baseline={},
            provider=gateway, principal=principal, operation_id=operation_id, reference=reference,
        )  # fmt: skip
        body = {"email": email, "name": name, "phone": phone, "metadata": metadata, "provider": provider}
        scope = f"{Verb.CREATE_CUSTOMER}:{principal.scope(owner.guest_email)}"

        def work(unit: Unit) -> Held[Customer]:
            earlier = self.replay_or(
                unit, scope=scope, key=idempotency_key, body_hash=digest(body),
                subject_id=row.id, operation_id=operation_id,
            )  # fmt: skip
            if earlier is not None:
                return self.replayed_row(unit, earlier.operation_id, earlier.subject_id, CUSTOMERS)
            kept = row
            holder = unit.customers.add(row)
            if holder != row.id:
                if not principal.is_anonymous:
                    raise _Existed(_known(unit, holder))
                kept = replace(row, guest_email=None)  # the owner's place is taken
                unit.customers.add(kept)
            self.take_slot(unit, operation)
            return Held(operation=operation, row=kept)

        try:
            held, leased_at = await self.reserve_row(operation_id, work)
        except _Existed as known:
            return CustomerResult(customer=known.customer, existed=True)
        customer = row_answer(await self.finished(held, leased_at))
        if principal.is_anonymous:
            # Whether somebody has a customer under this address is nobody's business.
            customer = replace(customer, guest_email=owner.guest_email)
        return CustomerResult(customer=customer, existed=False)

    def _new_customer(
        self,
        provider_id: str,
        owner: Owner,
        *,
        email: str | None,
        name: str | None,
        phone: str | None,
        metadata: Mapping[str, Any],
    ) -> Customer:
        now = self.clock()
        guest = owner.guest
        customer = Customer(
            id=new_id("cust"),
            provider_id=provider_id,
            created_at=now,
            updated_at=now,
            email=email,
            name=name or (guest.name if guest else None),
            phone=phone or (guest.phone if guest else None),
            metadata={**metadata, **owner.claims},
            **owner.columns(),
        )
        return fitting(customer)

    @guarded
    async def update_customer(
        self,
        customer_id: str,
        *,
        email: str | None = None,
        name: str | None = None,
        phone: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        provider: str | None = None,
        idempotency_key: str | None = None,
        principal: Principal = SYSTEM,
    ) -> Customer:
        """Change what we and the provider know of a payer. What is None stays; *metadata* replaces the old.

        Raises: AccessDenied, InvalidRequest, NotAuthenticated, NotFound, OperationInProgress,
        ProviderRejected, Unavailable.
        """
        check_person(email=email, name=name, phone=phone)
        check_texts(Customer, email=email, name=name, phone=phone)
        if metadata is not None:
            rules.check_metadata(metadata)
        given = {"email": email, "name": name, "phone": phone}
        local: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        if metadata is not None:
            local["metadata"] = dict(metadata)
        seen = may_touch(
            principal,
            await self._any_customer(customer_id, provider, principal),
            missing=_MISSING,
            denied=_DENIED,
        )
        gateway = self.provider(seen.provider_id)
        if not local:
            return seen
        if not gateway.supports(Verb.UPDATE_CUSTOMER) or seen.provider_customer_id is None:
            return await self.change_row(
                CUSTOMERS, seen.id, lambda _, row: self._changed_here(principal, row, local)
            )
        operation_id = new_id("op")

        def build(_: Unit, row: Customer | None) -> Operation:
            owned = may_touch(principal, row, missing=_MISSING, denied=_DENIED)
            texts = (
                {**plain_texts(metadata), "bridge_customer_id": owned.id} if metadata is not None else None
            )
            request = CustomerUpdate(
                customer=reference_of(owned), email=email, name=name, phone=phone, metadata=texts
            )
            return self.draft(
                Verb.UPDATE_CUSTOMER, request, subject_id=owned.id, provider_id=owned.provider_id,
                baseline={"version": owned.version}, provider=gateway, principal=principal,
                operation_id=operation_id, more={"local": local},
            )  # fmt: skip

        held = await self.instruct_row(
            Verb.UPDATE_CUSTOMER, seen.id, build, operation_id=operation_id, principal=principal,
            idempotency_key=idempotency_key, body=local,
        )  # fmt: skip
        return _one(held)

    def _changed_here(
        self, principal: Principal, row: Customer | None, local: Mapping[str, Any]
    ) -> Change[Customer]:
        owned = may_touch(principal, row, missing=_MISSING, denied=_DENIED)
        return Change(
            row=replace(owned, **local, updated_at=self.clock()), events=(("customer.updated", {}),)
        )

    @guarded
    async def delete_customer(
        self,
        customer_id: str,
        *,
        provider: str | None = None,
        idempotency_key: str | None = None,
        principal: Principal = SYSTEM,
    ) -> Customer:
        """Make the provider forget a payer, and with them their stored methods; return the last of the row.

        Raises: AccessDenied, IllegalState (a subscription of theirs goes on), NotAuthenticated, NotFound,
        OperationInProgress, ProviderRejected, Unavailable.
        """
        seen = may_touch(
            principal,
            await self._any_customer(customer_id, provider, principal),
            missing=_MISSING,
            denied=_DENIED,
        )
        gateway = self.provider(seen.provider_id)
        if not gateway.supports(Verb.DELETE_CUSTOMER) or seen.provider_customer_id is None:
            return await self.change_row(
                CUSTOMERS, seen.id, lambda unit, row: self._deleted_here(unit, principal, row)
            )
        operation_id = new_id("op")

        def build(unit: Unit, row: Customer | None) -> Operation:
            owned = may_touch(principal, row, missing=_MISSING, denied=_DENIED)
            _check_unsubscribed(unit, owned)
            return self.draft(
                Verb.DELETE_CUSTOMER, CustomerDeletion(customer=reference_of(owned)), subject_id=owned.id,
                provider_id=owned.provider_id, baseline={"version": owned.version}, provider=gateway,
                principal=principal, operation_id=operation_id,
            )  # fmt: skip

        held = await self.instruct_row(
            Verb.DELETE_CUSTOMER, seen.id, build, operation_id=operation_id, principal=principal,
            idempotency_key=idempotency_key, body={},
        )  # fmt: skip
        return _one(held)

    def _deleted_here(self, unit: Unit, principal: Principal, row: Customer | None) -> Change[Customer]:
        owned = may_touch(principal, row, missing=_MISSING, denied=_DENIED)
        _check_unsubscribed(unit, owned)
        now = self.clock()
        return Change(row=replace(owned, deleted_at=now, updated_at=now), events=(("customer.deleted", {}),))

    @typed
    async def get_customer(
        self, customer_id: str, *, provider: str | None = None, principal: Principal = SYSTEM
    ) -> Customer:
        """Return one customer, by our id or by the provider's (of *provider*, or of any account).

        Raises: AccessDenied, NotAuthenticated, NotFound.
        """
        found = await self._any_customer(customer_id, provider, principal)
        return may_touch(principal, found, missing=_MISSING, denied=_DENIED)

    @typed
    async def list_customers(
        self, query: CustomerQuery, *, principal: Principal = SYSTEM
    ) -> Listing[Customer]:
        """Return a page of customers; users and guests see only their own. Raises NotAuthenticated."""
        mine = check_list(query, principal)
        return await self.store.run(lambda unit: unit.customers.list(mine), write=False)

    async def _any_customer(
        self, customer_id: str, provider: str | None, principal: Principal
    ) -> Customer | None:
        if not ID_PATTERN.match(customer_id):
            raise NotFound(_MISSING)
        accounts = (provider,) if provider else self.provider_ids
        return await self.store.run(
            lambda unit: any_customer(unit, customer_id, accounts, principal), write=False
        )


def any_customer(
    unit: Unit, customer_id: str, accounts: tuple[str, ...], principal: Principal
) -> Customer | None:
    """Find a customer by our id or, failing that, by the provider's in one of these accounts."""
    own = unit.customers.get(customer_id)
    if own is not None:
        return None if own.is_deleted else own
    found = (unit.customers.get_by_reference(account, customer_id) for account in accounts)
    return the_one(found, principal)


def reference_of(customer: Customer) -> str:
    """Return what the provider calls the customer. Raises IllegalState while it has not answered."""
    if customer.provider_customer_id is None:
        raise IllegalState("The provider has not made this customer yet")
    return customer.provider_customer_id


def check_person(*, email: str | None, name: str | None, phone: str | None) -> None:
    """Refuse what no provider takes for a person's data."""
    if email is not None and not _EMAIL.match(email):
        raise InvalidRequest("is not an e-mail address", field="email")
    if name is not None and not 0 < len(name) <= 255:
        raise InvalidRequest("has 1 to 255 characters", field="name")
    if phone is not None and not 0 < len(phone) <= 50:
        raise InvalidRequest("has 1 to 50 characters", field="phone")


def _known(unit: Unit, customer_id: str) -> Customer:
    known = unit.customers.get(customer_id)
    if known is None or known.provider_customer_id is None:
        holder = unit.operations.holder_of(customer_id)
        raise OperationInProgress("This customer is being made", operation_id=holder or "")
    return known


def _check_unsubscribed(unit: Unit, customer: Customer) -> None:
    query = SubscriptionQuery(customer_id=customer.id, statuses=_LIVING, limit=1)
    if unit.subscriptions.list(query).total:
        raise IllegalState("The customer has a subscription that goes on; cancel it first")


def _one(held: Held[Any]) -> Customer:
    customer: Customer = row_answer(held)
    return customer
