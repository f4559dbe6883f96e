"""Customers, as they are asked for and as a provider answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["CustomerDeletion", "CustomerRequest", "CustomerUpdate", "ProviderCustomer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerRequest:
    """Make a customer. A change is a `CustomerUpdate`."""

    customer_id: str
    """Our id."""
    reference: str
    """Our 20 characters, to be carried by the provider's object."""
    email: str | None = field(default=None, repr=False)
    name: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerUpdate:
    """What may change; None means unchanged."""

    customer: str
    """The provider's reference."""
    email: str | None = field(default=None, repr=False)
    name: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    metadata: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerDeletion:
    """Forget a customer, and what is kept with them."""

    customer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCustomer:
    """A customer as the provider sees them."""

    reference: str
    email: str | None = field(default=None, repr=False)
    name: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    deleted: bool = False
    livemode: bool | None = None
    customer_id: str | None = None
    """Our id, when the object carries it."""
    our_reference: str | None = None
    created_at: datetime | None = None
    request_id: str | None = None
    raw: object = field(default=None, repr=False, compare=False)
