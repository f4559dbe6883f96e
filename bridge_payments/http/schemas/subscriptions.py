"""Subscriptions on the wire."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, computed_field

from ...models import BillingInterval, SubscriptionStatus
from .base import Cents, Currency, Identity, Input, Metadata, MethodToken, Moment, Output, Token, Url
from .payments import NextActionOut
from .people import GuestDataIn, Text255

__all__ = [
    "CancelSubscription",
    "CreateSubscription",
    "PauseSubscription",
    "SubscriptionBilling",
    "SubscriptionCanceled",
    "SubscriptionDetail",
    "SubscriptionOut",
    "SubscriptionUpdated",
    "UpdateSubscription",
]

Multiplier = Annotated[int, Field(ge=1, le=12)]
TrialDays = Annotated[int, Field(ge=0, le=730)]
_QUARTER = 3


class CreateSubscription(Input):
    """Recurring billing that the provider runs: a price, how often, and what to charge."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "customer_id": "cus_0193",
                    "payment_method_id": "pm_0193",
                    "total_cents": 900,
                    "currency": "USD",
                    "billing_interval": "monthly",
                }
            ]
        }
    )

    customer_id: Identity | None = None
    payment_method_id: MethodToken | None = None
    product_id: Identity | None = None
    provider_id: Identity | None = None
    organization_id: Identity | None = None
    project_id: Identity | None = None
    billing_address_id: Identity | None = None
    subtotal_cents: Cents | None = None
    tax_cents: Cents | None = None
    discount_cents: Cents | None = None
    total_cents: Cents | None = None
    price_cents: Cents | None = None
    """Another name of `total_cents`."""
    custom_price_cents: Cents | None = None
    """Another name of `total_cents`."""
    currency: Currency | None = None
    billing_interval: Literal["daily", "weekly", "monthly", "quarterly", "yearly"] = "monthly"
    """Quarterly is monthly, three times the multiplier."""
    interval_multiplier: Multiplier = 1
    trial_days: TrialDays = 0
    custom_trial_days: TrialDays | None = None
    return_url: Url | None = None
    description: Annotated[str, Field(max_length=2000)] | None = None
    concept: Annotated[str, Field(max_length=100)] | None = None
    reference_code: Annotated[str, Field(max_length=100)] | None = None
    category: Annotated[str, Field(max_length=50)] | None = None
    tags: Annotated[str, Field(max_length=500)] | None = None
    metadata: Metadata = Field(default_factory=dict)
    guest_data: GuestDataIn | None = None

    @property
    def interval(self) -> tuple[BillingInterval, int]:
        """Return the interval and how many of it lie between two charges."""
        if self.billing_interval == "quarterly":
            return BillingInterval.MONTHLY, _QUARTER * self.interval_multiplier
        return BillingInterval(self.billing_interval), self.interval_multiplier


class UpdateSubscription(Input):
    """What may change; what is left out or null stays."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={"examples": [{"description": "Tea, every month"}]}
    )

    payment_method_id: Identity | None = None
    billing_address_id: Identity | None = None
    total_cents: Cents | None = None
    description: Annotated[str, Field(max_length=2000)] | None = None
    metadata: Metadata | None = None


class SubscriptionBilling(Input):
    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={"examples": [{"billing_address_id": None}]}
    )

    billing_address_id: Identity | None = None


class CancelSubscription(Input):
    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={"examples": [{"cancel_at_period_end": True}]}
    )

    cancel_at_period_end: bool = True
    reason: Text255 | None = None
    client_secret: Token | None = None
    """Proves an anonymous caller's right to this subscription."""


class PauseSubscription(Input):
    """To pause, to resume, or to take a cancellation back."""

    model_config: ClassVar[ConfigDict] = ConfigDict(json_schema_extra={"examples": [{}]})

    reason: Text255 | None = None


class GuestInfo(Output):
    email: str | None
    name: str | None


class SubscriptionOut(Output):
    """One subscription. Never its client secret."""

    id: str
    user_id: str | None
    organization_id: str | None
    customer_id: str | None
    product_id: str | None
    payment_method_id: str | None
    billing_address_id: str | None
    provider_id: str
    provider_subscription_id: str | None
    status: SubscriptionStatus
    current_period_start: Moment | None
    current_period_end: Moment | None
    cancel_at_period_end: bool
    canceled_at: Moment | None
    trial_end: Moment | None
    subtotal_cents: int
    tax_cents: int
    discount_cents: int
    total_cents: int
    currency: str
    billing_interval: BillingInterval
    interval_multiplier: int
    next_billing_date: Moment | None
    description: str | None
    concept: str | None
    reference_code: str | None
    category: str | None
    tags: str | None
    metadata: dict[str, Any]
    is_guest_subscription: bool
    guest_email: str | None
    created_at: Moment
    updated_at: Moment

    @computed_field
    def price_cents(self) -> int:
        """Another name of `total_cents`."""
        return self.total_cents

    @computed_field
    def billing_status(self) -> Literal["active", "past_due", "suspended", "cancelled"]:
        """The contract's older word for what `status` says."""
        match self.status:
            case SubscriptionStatus.CANCELED | SubscriptionStatus.INCOMPLETE_EXPIRED:
                return "cancelled"
            case SubscriptionStatus.PAST_DUE:
                return "past_due"
            case SubscriptionStatus.UNPAID | SubscriptionStatus.PAUSED:
                return "suspended"
            case _:
                return "active"

    @computed_field
    def guest_info(self) -> GuestInfo | None:
        return GuestInfo(email=self.guest_email, name=None) if self.is_guest_subscription else None


class SubscriptionDetail(SubscriptionOut):
    """One subscription, for its owner."""

    next_action: NextActionOut | None
    client_secret: str | None
    """Of the first payment, while the payer has still to agree to it."""
    decline_code: str | None

    unknown_operation_id: str | None = Field(default=None, exclude=True)

    @computed_field
    def outcome(self) -> Literal["unknown"] | None:
        """ "unknown" while nobody can say whether the instruction was executed: do not repeat it, wait."""
        return "unknown" if self.unknown_operation_id else None

    @computed_field
    def operation_id(self) -> str | None:
        """The instruction whose outcome is unknown."""
        return self.unknown_operation_id


class SubscriptionUpdated(SubscriptionDetail):
    provider_synced: bool = True
    """Whether the provider was told, too."""


class SubscriptionCanceled(SubscriptionDetail):
    @computed_field
    def message(self) -> str:
        if self.status is SubscriptionStatus.CANCELED:
            return "Subscription canceled successfully"
        if self.cancel_at_period_end:
            return "Subscription will be canceled at the end of the period"
        return f"The subscription is {self.status.value}; it could not be canceled"
