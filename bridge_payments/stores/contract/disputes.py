"""Disputes: money that a payer's bank asks back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ...models import Dispute

__all__ = ["DisputeRepository"]


class DisputeRepository(Protocol):
    """Rows of `disputes`."""

    def get(self, dispute_id: str) -> Dispute | None:
        """Return one dispute."""

    def get_by_reference(self, provider_id: str, reference: str) -> Dispute | None:
        """Find by the provider's reference, within one account."""

    def for_payment(self, payment_id: str) -> Sequence[Dispute]:
        """Return every dispute about a payment, oldest first."""

    def add(self, dispute: Dispute) -> None:
        """Insert. Another row with the same provider's reference in the account is a StoreError."""

    def save(self, dispute: Dispute, *, expected_version: int) -> bool:
        """Write the next version if the row still is *expected_version*; return whether it was."""
