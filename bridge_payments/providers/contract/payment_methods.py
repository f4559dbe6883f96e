"""Stored payment methods, as they are asked for and as a provider answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...models import NextAction, PaymentMethodStatus
from .declines import Decline

__all__ = [
    "BillingDetails",
    "PaymentMethodConfirmation",
    "PaymentMethodDeletion",
    "PaymentMethodRequest",
    "PaymentMethodUpdate",
    "ProviderMethod",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingDetails:
    """Who is billed, and where."""

    name: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    line1: str | None = field(default=None, repr=False)
    line2: str | None = field(default=None, repr=False)
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethodRequest:
    """A one-time token from the payer's browser, to be kept for later.

    Without a token it is a set-up that the payer completes elsewhere (an approval page, the provider's
    script): the answer is ``requires_action``.
    """

    payment_method_id: str
    """Our id."""
    reference: str
    payment_type: str = "credit_card"
    token: str | None = field(default=None, repr=False)
    customer: str | None = None
    """The provider's reference of the customer that it belongs to."""
    off_session: bool = True
    """It will be charged when the payer is not there."""
    billing: BillingDetails | None = field(default=None, repr=False)
    return_url: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethodConfirmation:
    """The payer has agreed: make a set-up into a method that can be charged."""

    payment_method_id: str
    setup: str
    """The provider's reference of the set-up."""
    customer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethodUpdate:
    """What may change of a stored method; None means unchanged."""

    payment_method: str = field(repr=False)
    customer: str | None = None
    billing: BillingDetails | None = field(default=None, repr=False)
    metadata: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethodDeletion:
    """Forget a stored method."""

    payment_method: str = field(repr=False)
    customer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderMethod:
    """What the provider shows of a payment method. No number, no fingerprint."""

    reference: str
    """What can be charged; while the payer still has to agree, the set-up itself."""
    type: str = "credit_card"
    brand: str | None = None
    last_four: str | None = None
    expiry_month: int | None = None
    expiry_year: int | None = None
    wallet_type: str | None = None
    customer: str | None = None
    status: PaymentMethodStatus = PaymentMethodStatus.ACTIVE
    saved: bool = False
    """The provider keeps it under `reference` for later charges (save-on-confirm says so on a payment)."""
    setup: str | None = None
    """The provider's object of the set-up, where it has one."""
    client_secret: str | None = field(default=None, repr=False)
    """Of the set-up, for the payer's browser."""
    next_action: NextAction | None = None
    decline: Decline | None = None
    payment_method_id: str | None = None
    """Our id, when the object carries it."""
    our_reference: str | None = None
    request_id: str | None = None
    raw: object = field(default=None, repr=False, compare=False)
