"""Stored payment methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol

from ...models import PaymentMethod
from .lists import Listing, OwnedQuery

__all__ = ["PaymentMethodQuery", "PaymentMethodRepository"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethodQuery(OwnedQuery):
    """`search` is part of the alias, the brand or the last four digits. Lists what is neither deleted nor
    failed nor still pending: what the payer sees as theirs."""

    ORDERS: ClassVar[tuple[str, ...]] = ("created_at", "payment_type", "card_brand", "last_four", "alias")

    customer_id: str | None = None
    payment_type: str | None = None
    card_brand: str | None = None


class PaymentMethodRepository(Protocol):
    """Rows of `provider_payment_methods`."""

    def get(self, payment_method_id: str) -> PaymentMethod | None:
        """Return one row, deleted or not."""

    def get_by_reference(self, provider_id: str, reference: str) -> PaymentMethod | None:
        """Find by the provider's reference of the method or of its set-up; no deleted one."""

    def add(self, method: PaymentMethod) -> None:
        """Insert under a new id."""

    def save(self, method: PaymentMethod, *, expected_version: int) -> bool:
        """As `PaymentRepository.save`. A provider's reference is held by one living row per account."""

    def clear_default(self, method: PaymentMethod) -> int:
        """Unset `is_default` of every other method of the same owner; return of how many. Bumps versions."""

    def list(self, query: PaymentMethodQuery) -> Listing[PaymentMethod]:
        """Return one page."""

    def with_stale_secrets(self, *, before: datetime, limit: int) -> Sequence[PaymentMethod]:
        """Return methods whose client secret expired before *before*."""
