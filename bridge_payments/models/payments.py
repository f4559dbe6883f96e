"""A payment: one collection of money from one payer through one provider. Our record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from .money import Money

__all__ = [
    "OPEN_STATUSES",
    "PAID_STATUSES",
    "CaptureMethod",
    "GuestData",
    "NextAction",
    "NextActionKind",
    "Payment",
    "PaymentFlag",
    "PaymentStatus",
    "Pricing",
]


class PaymentStatus(StrEnum):
    """A closed set; the state machine over it is the table in `engine/rules.py`."""

    PENDING = "pending"
    """The amount is agreed and a method of payment is still missing, or the last one was declined."""
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    REQUIRES_CAPTURE = "requires_capture"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"


OPEN_STATUSES: Final = frozenset(
    {
        PaymentStatus.PENDING,
        PaymentStatus.REQUIRES_CONFIRMATION,
        PaymentStatus.REQUIRES_ACTION,
        PaymentStatus.PROCESSING,
        PaymentStatus.REQUIRES_CAPTURE,
    }
)
PAID_STATUSES: Final = frozenset(
    {PaymentStatus.SUCCEEDED, PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED}
)


class CaptureMethod(StrEnum):
    """Whether a confirmed payment is collected at once or held."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


class PaymentFlag(StrEnum):
    """Why an operator should look at a payment."""

    MISMATCH = "mismatch"
    """The provider's object names another account, mode, currency, amount or reference than ours."""
    UNRECOGNISED = "unrecognised"
    """The provider reports a status that this version does not know."""
    ANOTHER_CHARGE = "another_charge"
    """The provider shows a second charge under our reference: the payer has paid twice. The mark stays."""


class NextActionKind(StrEnum):
    """A closed union: a client that handles these three handles every payment."""

    REDIRECT = "redirect_to_url"
    """Send the payer's browser to `url`."""
    USE_SDK = "use_provider_sdk"
    """Hand the client secret to the provider's script in the browser; it shows what it needs."""
    WAIT = "wait"
    """Nothing to do: the provider will tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextAction:
    """What the payer has to do before the payment can go on."""

    kind: NextActionKind
    url: str | None = None
    return_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestData:
    """What a guest said about themselves; none of it is proved."""

    email: str
    name: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pricing:
    """Four integers in minor units with total = subtotal + tax - discount, none negative."""

    subtotal: int
    tax: int
    discount: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """One row of `provider_payments`. All `*_cents` are minor units of `currency` (yen for JPY).

    Money columns: `authorized_cents` ever held at the provider, collected or not; `captured_cents` collected,
    gross; neither falls; `refunded_cents` given back; `refund_reserved_cents` promised to refunds whose
    outcome is not a definite no (it includes `refunded_cents`, so that refund_reserved ≤ captured
    is the whole invariant); `disputed_cents` taken by open or lost disputes.
    """

    id: str
    provider_id: str | None
    """The account, as the application registered it; None for a payment collected by hand."""
    status: PaymentStatus
    currency: str
    subtotal_cents: int
    tax_cents: int
    discount_cents: int
    total_cents: int
    created_at: datetime
    updated_at: datetime

    version: int = 1
    livemode: bool | None = None
    """None until the provider has said."""
    reference: str | None = None
    """Our 20 characters in the provider's metadata: how a lost object is found again."""
    provider_intent_id: str | None = None
    provider_payment_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    client_secret_expires_at: datetime | None = None

    authorized_cents: int = 0
    captured_cents: int = 0
    refunded_cents: int = 0
    refund_reserved_cents: int = 0
    disputed_cents: int = 0

    capture_method: CaptureMethod = CaptureMethod.AUTOMATIC
    setup_future_usage: str | None = None
    return_url: str | None = None
    next_action: NextAction | None = None
    decline_code: str | None = None
    provider_decline_code: str | None = None
    decline_reference: str | None = None
    """The attempt at the provider that was declined last: one `payment.failed` per attempt."""
    error_message: str | None = None
    flag: PaymentFlag | None = None
    review: bool = False
    provider_status: str | None = None
    """The provider's own word, as last read."""

    user_id: str | None = None
    organization_id: str | None = None
    project_id: str | None = None
    order_id: str | None = None
    subscription_id: str | None = None
    customer_id: str | None = None
    payment_method_id: str | None = None
    """Ours, when the method is stored; the provider's one-time reference otherwise."""
    billing_address_id: str | None = None
    is_guest_payment: bool = False
    guest_email: str | None = None
    guest_data: GuestData | None = field(default=None, repr=False)

    description: str | None = None
    concept: str | None = None
    reference_code: str | None = None
    """The merchant's own order number."""
    category: str | None = None
    tags: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    applied_coupons: tuple[Any, ...] | None = None
    is_manual_payment: bool = False
    manual_payment_method: str | None = None
    manual_payment_reference: str | None = None
    manual_payment_date: datetime | None = None

    paid_at: datetime | None = None
    """The first success; set once, and with it the one `payment.success`."""
    completed_at: datetime | None = None
    next_sync_at: datetime | None = None
    """When the sweep asks the provider next; None when the provider has nothing more to say."""
    sync_count: int = 0

    unknown_operation_id: str | None = field(default=None, compare=False)
    """Not stored: names the open operation in an answer whose outcome is unknown."""
    payment_method_saved: bool = field(default=False, compare=False)
    """Not stored: whether a payment method was kept with this very answer."""

    @property
    def total(self) -> Money:
        """What is to be paid."""
        return Money(self.total_cents, self.currency)

    @property
    def captured(self) -> Money:
        """What was collected so far, refunds not taken off."""
        return Money(self.captured_cents, self.currency)

    @property
    def refundable_cents(self) -> int:
        """What may still be promised to a refund."""
        return max(self.captured_cents - self.refund_reserved_cents, 0)

    @property
    def is_open(self) -> bool:
        """Whether it can still be paid or given up."""
        return self.status in OPEN_STATUSES

    @property
    def is_paid(self) -> bool:
        """Whether money was collected, given back since or not."""
        return self.status in PAID_STATUSES

    def without_secret(self) -> Payment:
        """Return the same payment for somebody who may see it and must not continue it."""
        return replace(self, client_secret=None) if self.client_secret else self
