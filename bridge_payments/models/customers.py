"""A customer: the payer as one provider account knows them. Our record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = ["Customer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """One row of `provider_customers`: one payer at one account."""

    id: str
    provider_id: str
    created_at: datetime
    updated_at: datetime
    provider_customer_id: str | None = None
    """None until the provider has answered. Unique per account."""
    user_id: str | None = None
    organization_id: str | None = None
    email: str | None = field(default=None, repr=False)
    name: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    is_guest: bool = False
    guest_email: str | None = field(default=None, repr=False)
    """Kept after a conversion, for audit."""
    guest_name: str | None = field(default=None, repr=False)
    default_payment_method_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    deleted_at: datetime | None = None
    """The row stays, so that its payments and operations keep a name; it is listed nowhere."""
    version: int = 1

    @property
    def is_deleted(self) -> bool:
        """Whether it is gone at the provider."""
        return self.deleted_at is not None
