"""The part of the memory store that keeps customers, payment methods, addresses, subscriptions, disputes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..models import (
    Address,
    Customer,
    Dispute,
    PaymentMethod,
    PaymentMethodStatus,
    Subscription,
)
from .base import (
    TOTAL_CAP,
    AddressQuery,
    CustomerQuery,
    Listing,
    OwnedQuery,
    PaymentMethodQuery,
    SubscriptionQuery,
)
from .codec import guest_key, own, owner_key

if TYPE_CHECKING:
    from .memory import MemoryUnit

__all__ = ["Addresses", "Customers", "Disputes", "PaymentMethods", "Subscriptions"]

R = TypeVar("R", bound="Customer | PaymentMethod | Address | Subscription | Dispute")
S = TypeVar("S", PaymentMethod, Subscription)
D = TypeVar("D", PaymentMethod, Address)

LISTED = (PaymentMethodStatus.ACTIVE, PaymentMethodStatus.REQUIRES_ACTION)
"""A method that the payer sees as theirs."""


class _Records(Generic[R]):
    def __init__(self, unit: MemoryUnit, table: dict[str, R]) -> None:
        self._unit = unit
        self._table = table

    def get(self, row_id: str, /) -> R | None:
        return self._table.get(row_id)

    def save(self, row: R, /, *, expected_version: int) -> bool:
        stored = self._table.get(row.id)
        if stored is None or stored.version != expected_version:
            return False
        self._check(row)
        self._unit.put(self._table, row.id, replace(own(row), version=expected_version + 1))
        return True

    def _insert(self, row: R) -> None:
        self._check(row)
        self._unit.insert(self._table, row.id, own(row))

    def _check(self, row: R) -> None:
        """Hold the same line as the unique constraints in `stores/sql/tables.py`."""
        reference = _living_reference(row)
        for other in self._table.values():
            if other.id == row.id or reference is None:
                continue
            if _living_reference(other) == reference and _account(other) == _account(row):
                raise self._unit.refuse("another row holds this reference of the provider")

    def _by_reference(self, provider_id: str, reference: str) -> R | None:
        for row in self._table.values():
            if _account(row) == provider_id and _living_reference(row) == reference:
                return row
        return None


class Customers(_Records[Customer]):
    def get_by_reference(self, provider_id: str, reference: str) -> Customer | None:
        return self._by_reference(provider_id, reference)

    def of_owner(
        self, provider_id: str, *, user_id: str | None = None, guest_email: str | None = None
    ) -> Customer | None:
        owner = owner_key(user_id=user_id, guest_email=guest_email)
        return self._of(provider_id, owner)

    def add(self, customer: Customer) -> str:
        owner = _owner_of(customer)
        holder = self._of(customer.provider_id, owner)
        if holder is not None:
            return holder.id
        self._insert(customer)
        if owner is not None:
            self._take(customer, owner)
        self._unit.changed.append(customer)
        return customer.id

    def save(self, customer: Customer, /, *, expected_version: int) -> bool:
        if not super().save(customer, expected_version=expected_version):
            return False
        places = self._unit.tables.owners
        for place in [place for place, holder in places.items() if holder == customer.id]:
            self._unit.drop(places, place)
        owner = _owner_of(customer)
        if owner is not None and self._of(customer.provider_id, owner) is None:
            self._take(customer, owner)
        self._unit.changed.append(customer)
        return True

    def list(self, query: CustomerQuery) -> Listing[Customer]:
        found = (
            row
            for row in self._table.values()
            if not row.is_deleted
            and _is_owned(row, query, is_guest=row.is_guest)
            and _mentions(query, row.id, row.email, row.name)
        )
        return _page(found, query)

    def _take(self, customer: Customer, owner: str) -> None:
        self._unit.put(self._unit.tables.owners, (customer.provider_id, owner), customer.id)

    def _of(self, provider_id: str, owner: str | None) -> Customer | None:
        holder = None if owner is None else self._unit.tables.owners.get((provider_id, owner))
        return None if holder is None else self._table.get(holder)


class PaymentMethods(_Records[PaymentMethod]):
    def get_by_reference(self, provider_id: str, reference: str) -> PaymentMethod | None:
        found = self._by_reference(provider_id, reference)
        if found is not None:
            return found
        for row in self._table.values():
            is_it = (row.provider_id, row.provider_setup_id) == (provider_id, reference)
            if is_it and row.status is not PaymentMethodStatus.DELETED:
                return row
        return None

    def add(self, method: PaymentMethod) -> None:
        self._insert(method)
        self._unit.changed.append(method)

    def save(self, method: PaymentMethod, /, *, expected_version: int) -> bool:
        self._unit.changed.append(method)
        return super().save(method, expected_version=expected_version)

    def clear_default(self, method: PaymentMethod) -> int:
        self._unit.changed.append(method)
        return _clear_default(self._unit, self._table, method, lambda _: True)

    def list(self, query: PaymentMethodQuery) -> Listing[PaymentMethod]:
        found = (
            row
            for row in self._table.values()
            if row.status in LISTED
            and _is_owned(row, query, is_guest=row.is_guest)
            and query.customer_id in (None, row.customer_id)
            and query.payment_type in (None, row.payment_type)
            and query.card_brand in (None, row.card_brand)
            and _mentions(query, row.alias, row.last_four, row.card_brand)
        )
        return _page(found, query)

    def with_stale_secrets(self, *, before: datetime, limit: int) -> Sequence[PaymentMethod]:
        return _stale(self._table.values(), before, limit)


class Addresses(_Records[Address]):
    def add(self, address: Address) -> None:
        self._insert(address)

    def delete(self, address_id: str) -> bool:
        if address_id not in self._table:
            return False
        self._unit.drop(self._table, address_id)
        return True

    def clear_default(self, address: Address) -> int:
        same_type = address.address_type
        return _clear_default(self._unit, self._table, address, lambda row: row.address_type is same_type)

    def list(self, query: AddressQuery) -> Listing[Address]:
        found = (
            row
            for row in self._table.values()
            if _is_owned(row, query, is_guest=row.is_guest)
            and query.address_type in (None, row.address_type)
            and _mentions(query, row.name, row.city, row.postal_code)
        )
        return _page(found, query)


class Subscriptions(_Records[Subscription]):
    def get_by_reference(self, provider_id: str, reference: str) -> Subscription | None:
        return self._by_reference(provider_id, reference)

    def get_by_our_reference(self, reference: str) -> Subscription | None:
        return next((row for row in self._table.values() if row.reference == reference), None)

    def add(self, subscription: Subscription) -> None:
        self._insert(subscription)

    def list(self, query: SubscriptionQuery) -> Listing[Subscription]:
        found = (
            row
            for row in self._table.values()
            if _is_owned(row, query, is_guest=row.is_guest_subscription)
            and query.customer_id in (None, row.customer_id)
            and (query.statuses is None or row.status in query.statuses)
            and _mentions(query, row.id, row.guest_email, row.description)
        )
        return _page(found, query)

    def claim_due(self, *, limit: int, lease_seconds: float) -> Sequence[Subscription]:
        until = self._unit.in_seconds(lease_seconds)
        due = [row for row in self._table.values() if self._unit.is_due(row.next_sync_at)]
        due.sort(key=lambda row: (str(row.next_sync_at), row.id))
        claimed = [replace(row, next_sync_at=until) for row in due[:limit]]
        for row in claimed:
            self._unit.put(self._table, row.id, row)
        return claimed

    def with_stale_secrets(self, *, before: datetime, limit: int) -> Sequence[Subscription]:
        return _stale(self._table.values(), before, limit)

    def _check(self, row: Subscription) -> None:
        super()._check(row)
        if row.total_cents != row.subtotal_cents + row.tax_cents - row.discount_cents:
            raise self._unit.refuse("the total is not subtotal + tax - discount")
        if min(row.subtotal_cents, row.tax_cents, row.discount_cents, row.total_cents) < 0:
            raise self._unit.refuse("an amount is negative")


class Disputes(_Records[Dispute]):
    def get_by_reference(self, provider_id: str, reference: str) -> Dispute | None:
        return self._by_reference(provider_id, reference)

    def for_payment(self, payment_id: str) -> Sequence[Dispute]:
        found = (row for row in self._table.values() if row.payment_id == payment_id)
        return sorted(found, key=lambda row: row.id)

    def add(self, dispute: Dispute) -> None:
        self._insert(dispute)


# --- pure helpers ---------------------------------------------------------------------------------


def _account(row: Any) -> str | None:
    return getattr(row, "provider_id", None)


def _living_reference(row: Any) -> str | None:
    """Return the provider's reference that no other living row of the account may hold."""
    match row:
        case Customer():
            return None if row.is_deleted else row.provider_customer_id
        case PaymentMethod():
            gone = row.status is PaymentMethodStatus.DELETED
            return None if gone else row.provider_payment_method_id
        case Subscription():
            return row.provider_subscription_id
        case Dispute():
            return row.provider_dispute_id
        case _:
            return None


def _owner_of(row: Any) -> str | None:
    if isinstance(row, Customer) and row.is_deleted:
        return None
    return owner_key(user_id=row.user_id, guest_email=row.guest_email)


def _is_owned(row: Any, query: OwnedQuery, *, is_guest: bool) -> bool:
    wanted = (
        query.user_id in (None, row.user_id),
        query.guest_email is None
        or (is_guest and guest_key(row.guest_email) == guest_key(query.guest_email)),
        query.provider_id is None or _account(row) in (None, query.provider_id),
    )
    return all(wanted)


def _mentions(query: OwnedQuery, *texts: str | None) -> bool:
    if not query.search:
        return True
    words = query.search.lower()
    return any(text is not None and words in text.lower() for text in texts)


def _page(found: Iterable[R], query: OwnedQuery) -> Listing[R]:
    def order(row: R) -> tuple[Any, ...]:
        if query.order_by == "created_at":
            return (row.id,)
        value = getattr(row, query.order_by)
        return (value is not None, value or "", row.id)  # no value is the smallest

    rows = sorted(found, key=order, reverse=query.descending)
    page = tuple(rows[query.offset : query.offset + query.limit])
    return Listing(items=page, total=min(len(rows), TOTAL_CAP))


def _clear_default(unit: MemoryUnit, table: dict[str, D], row: D, same: Callable[[D], bool]) -> int:
    others = [
        other
        for other in table.values()
        if other.is_default and other.id != row.id and _owner_of(other) == _owner_of(row) and same(other)
    ]
    for other in others:
        unit.put(table, other.id, replace(other, is_default=False, version=other.version + 1))
    return len(others)


def _stale(rows: Iterable[S], before: datetime, limit: int) -> list[S]:
    stale = [
        row
        for row in rows
        if row.client_secret is not None
        and row.client_secret_expires_at is not None
        and row.client_secret_expires_at < before
    ]
    return sorted(stale, key=lambda row: (str(row.client_secret_expires_at), row.id))[:limit]
