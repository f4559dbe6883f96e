"""A payment method: a stored handle to a card, an account or a wallet. Never the card itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from .payments import NextAction

__all__ = ["PaymentMethod", "PaymentMethodStatus"]


class PaymentMethodStatus(StrEnum):
    """Whether a stored method can be charged."""

    PENDING = "pending"
    """Reserved, and the provider has not answered yet."""
    REQUIRES_ACTION = "requires_action"
    """The payer has to agree first: an approval page, a bank's challenge."""
    ACTIVE = "active"
    FAILED = "failed"
    """The provider did not take it."""
    DELETED = "deleted"
    """Detached at the provider; the row stays, listed nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethod:
    """One row of `provider_payment_methods`: what a payer keeps for later, without its number."""

    id: str
    provider_id: str
    payment_type: str
    """``credit_card``, ``bank_account``, ``paypal``, ``venmo``, ``wallet`` …: the wire's words."""
    status: PaymentMethodStatus
    created_at: datetime
    updated_at: datetime
    provider_payment_method_id: str | None = field(default=None, repr=False)
    """What the provider charges; None until it has answered. Unique per account."""
    provider_setup_id: str | None = None
    """The provider's object of the set-up, while the payer still has to agree."""
    customer_id: str | None = None
    """Our customer."""
    user_id: str | None = None
    organization_id: str | None = None
    wallet_type: str | None = None
    card_brand: str | None = None
    last_four: str | None = None
    expiry_month: int | None = None
    expiry_year: int | None = None
    alias: str | None = None
    is_default: bool = False
    billing_address_id: str | None = None
    is_guest: bool = False
    guest_email: str | None = field(default=None, repr=False)
    guest_name: str | None = field(default=None, repr=False)
    next_action: NextAction | None = None
    client_secret: str | None = field(default=None, repr=False)
    """Of the set-up, for the payer's browser; blanked with it. Never in a list."""
    client_secret_expires_at: datetime | None = None
    decline_code: str | None = None
    error_message: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    version: int = 1

    @property
    def is_usable(self) -> bool:
        """Whether something can be charged to it."""
        return self.status is PaymentMethodStatus.ACTIVE and self.provider_payment_method_id is not None
