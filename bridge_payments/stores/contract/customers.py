"""Customers: one payer at one account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from ...models import Customer
from .lists import Listing, OwnedQuery

__all__ = ["CustomerQuery", "CustomerRepository"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerQuery(OwnedQuery):
    """`search` is part of the id, the e-mail address or the name."""

    ORDERS: ClassVar[tuple[str, ...]] = ("created_at",)


class CustomerRepository(Protocol):
    """Rows of `provider_customers`."""

    def get(self, customer_id: str) -> Customer | None:
        """Return one row, deleted or not."""

    def get_by_reference(self, provider_id: str, reference: str) -> Customer | None:
        """Find by the provider's reference within one account; no deleted one."""

    def of_owner(
        self, provider_id: str, *, user_id: str | None = None, guest_email: str | None = None
    ) -> Customer | None:
        """Return the one customer that this user, or this guest's address, has at an account."""

    def add(self, customer: Customer) -> str:
        """Insert unless its owner has one at this account; return the id of the one there is now.

        The owner is `user_id`, else `guest_email` (case-insensitive); without one it is always inserted. A
        concurrent insert for the same owner makes this wait, or return the winner; it never raises for that.
        """

    def save(self, customer: Customer, *, expected_version: int) -> bool:
        """Write the whole row as version ``expected_version + 1`` if its version still is *expected_version*.

        A deleted one gives its owner's place up; one that changes hands takes the new owner's place if that
        is free. A provider's reference that another living row of the account holds is a StoreError.
        """

    def list(self, query: CustomerQuery) -> Listing[Customer]:
        """Return one page."""
