"""Billing and shipping addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from ...models import Address, AddressType
from .lists import Listing, OwnedQuery

__all__ = ["AddressQuery", "AddressRepository"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressQuery(OwnedQuery):
    """`search` is part of the name, the city or the postal code; `provider_id` means nothing here."""

    ORDERS: ClassVar[tuple[str, ...]] = ("created_at", "name", "city", "country", "alias")

    address_type: AddressType | None = None


class AddressRepository(Protocol):
    """Rows of `provider_addresses`."""

    def get(self, address_id: str) -> Address | None:
        """Return one address, removed or not."""

    def add(self, address: Address) -> None:
        """Insert under a new id."""

    def save(self, address: Address, *, expected_version: int) -> bool:
        """Write the next version if the row still is *expected_version*; return whether it was."""

    def delete(self, address_id: str) -> bool:
        """Remove the row; return whether there was one."""

    def clear_default(self, address: Address) -> int:
        """Unset `is_default` of every other address of the same owner and type; return of how many."""

    def list(self, query: AddressQuery) -> Listing[Address]:
        """Return one page."""
