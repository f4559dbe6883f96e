"""A billing or shipping address. Ours alone: no provider is asked to keep one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

__all__ = ["Address", "AddressType"]


class AddressType(StrEnum):
    """What an address is for."""

    BILLING = "billing"
    SHIPPING = "shipping"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One row of `provider_addresses`: where a user, organization or guest is billed or sent things."""

    id: str
    address_type: AddressType
    line1: str = field(repr=False)
    city: str
    postal_code: str
    country: str
    """ISO 3166-1 alpha-2, upper case."""
    created_at: datetime
    updated_at: datetime
    user_id: str | None = None
    organization_id: str | None = None
    is_default: bool = False
    """At most one per type and owner."""
    name: str | None = field(default=None, repr=False)
    line2: str | None = field(default=None, repr=False)
    state: str | None = None
    phone: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    alias: str | None = None
    is_guest: bool = False
    guest_email: str | None = field(default=None, repr=False)
    guest_name: str | None = field(default=None, repr=False)
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    version: int = 1
