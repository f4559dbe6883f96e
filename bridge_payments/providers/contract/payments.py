"""Payments, as they are asked for and as a provider answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ...models import CaptureMethod, Money, NextAction, PaymentStatus
from .declines import Decline, Unrecognised
from .payment_methods import ProviderMethod
from .refunds import KnownRefund, ProviderDispute, ProviderRefund

__all__ = [
    "CancelRequest",
    "CaptureRequest",
    "ConfirmRequest",
    "IntentRequest",
    "KnownPayment",
    "ProviderPayment",
    "ProviderStatus",
    "UpdateRequest",
]

ProviderStatus = PaymentStatus | Unrecognised


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentRequest:
    """A payment to begin, and with `confirm` to make at once."""

    amount: Money
    payment_id: str
    reference: str
    capture_method: CaptureMethod = CaptureMethod.AUTOMATIC
    confirm: bool = False
    payment_method: str | None = field(default=None, repr=False)
    """The provider's reference of the method: a one-time token or a stored one the caller owns."""
    customer: str | None = None
    """The provider's reference of the customer."""
    setup_future_usage: str | None = None
    off_session: bool = False
    """The payer is not there: a challenge is a decline with ``authentication_required``."""
    return_url: str | None = None
    description: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The merchant's, plus our reserved keys (``bridge_payment_id``, ``bridge_reference``)."""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Provider-only input, merged last into the body; Python callers only; money keys refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRequest:
    """What may change before money is held; None means unchanged."""

    payment: str
    """The provider's reference of the intent."""
    amount: Money | None = None
    total: Money | None = None
    """What the payment amounts to so far, for a provider that keeps no intent of its own."""
    description: str | None = None
    customer: str | None = None
    setup_future_usage: str | None = None
    metadata: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmRequest:
    """Let the payer's agreement take effect: charge or hold."""

    payment: str
    amount: Money
    payment_method: str | None = field(default=None, repr=False)
    customer: str | None = None
    """The provider's reference of the customer whose method this is, or who is to keep it."""
    setup_future_usage: str | None = None
    """``off_session`` or ``on_session``: the method is kept for later with this payment."""
    return_url: str | None = None
    capture_method: CaptureMethod = CaptureMethod.AUTOMATIC
    """As the intent was created; for a provider that hears of it only now."""
    description: str | None = None
    after: str | None = None
    """The reference of the attempt that was refused last: this one is deliberately another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRequest:
    """Collect money that is held, in full or in part."""

    payment: str
    amount: Money
    final: bool = True
    """Release what is left of the authorisation."""
    charge: str | None = None
    """The provider's reference of the authorisation, where it differs from the intent."""
    total: Money | None = None
    """What the payment amounts to: a part of it may be collected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequest:
    """Give up a payment that was not collected; release what is held."""

    payment: str
    reason: str | None = None
    charge: str | None = None
    """The provider's reference of the authorisation, where it differs from the intent and there is one."""
    total: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPayment:
    """A payment as the provider sees it, in our words. Amounts are in the payment's currency.

    `authorized` is what is held now and not yet collected. `captured` is gross: what was ever
    collected. `refunded` counts every refund that the provider does not call failed, wherever it was
    made. `status` never is a refund status: the engine derives those from the amounts.
    """

    reference: str
    status: ProviderStatus
    amount: Money
    authorized: int = 0
    captured: int = 0
    refunded: int = 0
    disputed: int = 0
    charge: str | None = None
    """The captured charge, where the provider has one apart from the intent."""
    client_secret: str | None = field(default=None, repr=False)
    livemode: bool | None = None
    account: str | None = None
    our_reference: str | None = None
    """`IntentRequest.reference`, read back."""
    payment_id: str | None = None
    next_action: NextAction | None = None
    decline: Decline | None = None
    """The last attempt's refusal, also when the intent can still be paid."""
    review: bool = False
    method: ProviderMethod | None = None
    customer: str | None = None
    refunds: tuple[ProviderRefund, ...] | None = None
    """Every refund of this payment, when the read says them; None when it does not."""
    disputes: tuple[ProviderDispute, ...] | None = None
    """Every dispute about it, likewise."""
    subscription: str | None = None
    """The provider's reference of the subscription that it was collected for."""
    final: bool = True
    """Whether it stays so as far as the provider can say. False while what was collected may still come to
    nothing, because it has not settled or can be returned: the sweep reads it again until it may not."""
    others: tuple[str, ...] = ()
    """Charges besides `charge` that this read came upon under our reference, and that took, hold or may take
    money. The payer has paid twice: an operator is told, and nothing is given back by itself."""
    provider_status: str | None = None
    """The provider's own word."""
    request_id: str | None = None
    created_at: datetime | None = None
    raw: object = field(default=None, repr=False, compare=False)
    """The untouched answer: for debugging in Python, never logged, never on the wire."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPayment:
    """A payment as our books have it: what a provider needs that keeps no intent of its own."""

    reference: str
    """The provider's reference of the intent."""
    total: Money
    status: PaymentStatus
    charge: str | None = None
    captured: int = 0
    refunds: tuple[KnownRefund, ...] = ()
    created_at: datetime | None = None
    hint: str | None = None
    """An object that a verified webhook named. It may be of another payment: believe only what is read."""
