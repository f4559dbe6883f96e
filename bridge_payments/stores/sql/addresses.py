"""Billing and shipping addresses."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import sqlalchemy as sa

from ...models import Address
from ..base import AddressQuery, Listing
from ..codec import guest_key
from .records import Codec, Lists, Records, owner_of
from .tables import addresses

__all__ = ["Addresses"]

_C: Final = addresses.c


def _derived(address: Address) -> dict[str, Any]:
    return {"owner": owner_of(address), "guest_email_key": guest_key(address.guest_email)}


class Addresses(Records[Address]):
    name = "addresses"
    table: ClassVar[sa.Table] = addresses
    codec: ClassVar[Codec[Any]] = Codec(Address, _derived)

    def add(self, address: Address) -> None:
        self.insert(address)

    def delete(self, address_id: str) -> bool:
        return self._session.write("addresses.delete", _DELETE, {"its_id": address_id}) == 1

    def clear_default(self, address: Address) -> int:
        values = {
            "its_id": address.id,
            "its_owner": owner_of(address),
            "its_type": address.address_type.value,
        }
        return self._session.write("addresses.clear_default", _CLEAR, values)

    def list(self, query: AddressQuery) -> Listing[Address]:
        wanted = query.address_type
        return _LIST.run(self._session, query, address_type=wanted.value if wanted is not None else None)


_DELETE: Final = addresses.delete().where(_C.id == sa.bindparam("its_id"))
_CLEAR: Final = (
    addresses.update()
    .where(
        _C.owner == sa.bindparam("its_owner"),
        _C.is_default.is_(True),
        _C.address_type == sa.bindparam("its_type"),
        _C.id != sa.bindparam("its_id"),
    )
    .values(is_default=False, version=_C.version + 1)
)
_LIST: Final = Lists(
    Addresses,
    guest=_C.is_guest.is_(True),
    search=(_C.name, _C.city, _C.postal_code),
    orders=AddressQuery.ORDERS,
    filters={"address_type": _C.address_type == sa.bindparam("address_type")},
)
