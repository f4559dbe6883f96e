"""Customers, and the place that lets an owner have one at each account."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import sqlalchemy as sa

from ...models import Customer
from ..base import CustomerQuery, Listing
from ..codec import guest_key, owner_key
from .records import Codec, Lists, Records, owner_of
from .session import Insertion
from .tables import customers

__all__ = ["Customers"]

_C: Final = customers.c


def _derived(customer: Customer) -> dict[str, Any]:
    return {
        "living_reference": None if customer.is_deleted else customer.provider_customer_id,
        "owner": None if customer.is_deleted else owner_of(customer),
        "guest_email_key": guest_key(customer.guest_email),
    }


_TAKE_PLACE: Final = Insertion("customers.add", customers, "provider_id", "owner")


class Customers(Records[Customer]):
    name = "customers"
    table: ClassVar[sa.Table] = customers
    codec: ClassVar[Codec[Any]] = Codec(Customer, _derived)

    def get_by_reference(self, provider_id: str, reference: str) -> Customer | None:
        return self.one("get_by_reference", _BY_REFERENCE, its_provider=provider_id, its_reference=reference)

    def of_owner(
        self, provider_id: str, *, user_id: str | None = None, guest_email: str | None = None
    ) -> Customer | None:
        owner = owner_key(user_id=user_id, guest_email=guest_email)
        return None if owner is None else self._of(provider_id, owner)

    def add(self, customer: Customer) -> str:
        self._session.changed.append(customer)
        row = self.codec.row(customer)
        if row["owner"] is None:
            self.insert(customer)
            return customer.id
        if _TAKE_PLACE.run(self._session, row):
            return customer.id
        holder = self._of(customer.provider_id, row["owner"])
        if holder is None:
            raise self._session.refuse("a customer was given up while it was asked for")
        return holder.id

    def save(self, customer: Customer, /, *, expected_version: int) -> bool:
        self._session.changed.append(customer)
        row = self.codec.row(customer)
        if row["owner"] is not None:
            holder = self._of(customer.provider_id, row["owner"])
            if holder is not None and holder.id != customer.id:
                row["owner"] = None  # second to the one that its owner has already
        return self.update(row, expected_version)

    def list(self, query: CustomerQuery) -> Listing[Customer]:
        return _LIST.run(self._session, query)

    def _of(self, provider_id: str, owner: str) -> Customer | None:
        return self.one("of_owner", _OF_OWNER, its_provider=provider_id, its_owner=owner)


_READ: Final = Customers.select().where(_C.provider_id == sa.bindparam("its_provider"))
_BY_REFERENCE: Final = _READ.where(_C.living_reference == sa.bindparam("its_reference"))
_OF_OWNER: Final = _READ.where(_C.owner == sa.bindparam("its_owner"))
_LIST: Final = Lists(
    Customers,
    guest=_C.is_guest.is_(True),
    search=(_C.id, _C.email, _C.name),
    orders=CustomerQuery.ORDERS,
    always=(_C.deleted_at.is_(None),),
)
