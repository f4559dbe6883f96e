"""Payments on the wire: what each verb takes, and what each verb lets out."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, computed_field

from ...models import CaptureMethod, NextActionKind, Payment, PaymentStatus
from .base import (
    Cents,
    Currency,
    Identity,
    Input,
    Metadata,
    MethodToken,
    Moment,
    Output,
    PositiveCents,
    Token,
    Url,
)
from .briefs import PaymentMethodBrief
from .people import GuestDataIn

__all__ = [
    "CancelPayment",
    "CapturePayment",
    "ConfirmPayment",
    "CreatePayment",
    "PaymentCanceled",
    "PaymentCaptured",
    "PaymentConfirmed",
    "PaymentDetail",
    "PaymentSummary",
    "PaymentSynced",
    "PaymentUpdated",
    "SyncPayment",
    "UpdatePayment",
]

# --- in -------------------------------------------------------------------------------------------

FutureUsage = Literal["on_session", "off_session"]


def _a_moment(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("must be a date or a time in ISO 8601")  # noqa: TRY004 - pydantic reads ValueError
    try:
        if len(value) == len("2026-01-15"):
            return datetime.combine(date.fromisoformat(value), time(), UTC)
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("must be a date or a time in ISO 8601") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


class CreatePayment(Input):
    """A payment to begin: a currency and any combination of amounts that adds up."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "total_cents": 5500,
                    "currency": "USD",
                    "reference_code": "order-1042",
                    "guest_data": {"email": "ada@example.com", "name": "Ada"},
                }
            ]
        }
    )

    currency: Currency
    subtotal_cents: Cents | None = None
    tax_cents: Cents | None = None
    discount_cents: Cents | None = None
    total_cents: Cents | None = None
    amount_cents: Cents | None = None
    """Another name of `total_cents`."""
    shipping_cents: Cents | None = None
    """Counted into the subtotal, and kept in the metadata."""
    provider_id: Identity | None = None
    """The account to pay through; the installation's default without it."""
    payment_method_id: MethodToken | None = None
    return_url: Url | None = None
    """Where the payer's browser comes back to."""
    description: Annotated[str, Field(max_length=2000)] | None = None
    concept: Annotated[str, Field(max_length=100)] | None = None
    reference_code: Annotated[str, Field(max_length=100)] | None = None
    """The merchant's own order number."""
    category: Annotated[str, Field(max_length=50)] | None = None
    tags: Annotated[str, Field(max_length=500)] | None = None
    metadata: Metadata = Field(default_factory=dict)
    guest_data: GuestDataIn | None = None
    setup_future_usage: FutureUsage | None = None
    save_payment_method: bool = False
    confirm: bool = False
    """Pay at once with `payment_method_id`."""
    capture_method: Literal["automatic", "manual"] = "automatic"
    customer_id: Identity | None = None
    organization_id: Identity | None = None
    project_id: Identity | None = None
    billing_address_id: Identity | None = None
    is_manual_payment: bool = False
    """Collected by hand, outside every provider; admins only."""
    manual_payment_method: Literal["cash", "check", "bank_transfer", "legacy_system"] | None = None
    manual_payment_reference: Annotated[str, Field(max_length=255)] | None = None
    manual_payment_date: Annotated[datetime, BeforeValidator(_a_moment)] | None = None
    applied_coupons: list[Any] | None = None


class UpdatePayment(Input):
    """What may change before money is held."""

    model_config: ClassVar[ConfigDict] = ConfigDict(json_schema_extra={"examples": [{"total_cents": 4900}]})

    amount_cents: PositiveCents | None = None
    """Another name of `total_cents`."""
    subtotal_cents: Cents | None = None
    tax_cents: Cents | None = None
    discount_cents: Cents | None = None
    total_cents: PositiveCents | None = None
    currency: Currency | None = None
    description: Annotated[str, Field(max_length=2000)] | None = None
    setup_future_usage: FutureUsage | None = None
    customer_id: Identity | None = None
    metadata: Metadata | None = None
    client_secret: Token | None = None
    """Proves an anonymous caller's right to this payment."""


class ConfirmPayment(Input):
    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={"examples": [{"payment_method_id": "pm_card_visa"}]}
    )

    payment_method_id: MethodToken | None = None
    return_url: Url | None = None
    save_payment_method: bool = False
    client_secret: Token | None = None
    """Proves an anonymous payer: with it a challenge's page is named in the answer."""


class SyncPayment(Input):
    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={"examples": [{"expected_status": "succeeded"}]}
    )

    save_payment_method: bool = False
    expected_status: Annotated[str, Field(max_length=50)] | None = None
    client_secret: Token | None = None
    """As in a confirm."""


class CapturePayment(Input):
    model_config: ClassVar[ConfigDict] = ConfigDict(json_schema_extra={"examples": [{"amount_cents": 5500}]})

    amount_cents: PositiveCents | None = None
    """Everything that is authorised without it."""
    final: bool = True
    """Release what is left of the authorisation."""


class CancelPayment(Input):
    model_config: ClassVar[ConfigDict] = ConfigDict(json_schema_extra={"examples": [{}]})

    client_secret: Token | None = None
    """Proves an anonymous caller's right to this payment."""


# --- out ------------------------------------------------------------------------------------------


class NextActionOut(Output):
    """What the payer does next: three kinds, and no others."""

    kind: NextActionKind
    url: str | None
    return_url: str | None


class PricingOut(Output):
    subtotal_cents: int
    tax_cents: int
    discount_cents: int
    total_cents: int


class GuestDataOut(Output):
    email: str
    name: str | None
    phone: str | None


class _Answer(Output):
    """What every answer about a payment says, and nothing that a stranger who knows an id must not see."""

    id: str
    status: PaymentStatus
    provider_id: str | None
    provider_intent_id: str | None
    currency: str
    total_cents: int
    updated_at: Moment
    unknown_operation_id: str | None = Field(default=None, exclude=True)

    @computed_field
    def amount_cents(self) -> int:
        """Another name of `total_cents`."""
        return self.total_cents

    @computed_field
    def outcome(self) -> Literal["unknown"] | None:
        """ "unknown" while nobody can say whether the instruction was executed: do not repeat it, wait."""
        return "unknown" if self.unknown_operation_id else None

    @computed_field
    def operation_id(self) -> str | None:
        """The instruction whose outcome is unknown."""
        return self.unknown_operation_id


class PaymentSummary(_Answer):
    """One payment in a list. Never its client secret."""

    subtotal_cents: int
    tax_cents: int
    discount_cents: int
    captured_amount_cents: int = Field(validation_alias="captured_cents")
    refunded_amount_cents: int = Field(validation_alias="refunded_cents")
    description: str | None
    concept: str | None
    reference_code: str | None
    category: str | None
    tags: str | None
    metadata: dict[str, Any]
    user_id: str | None
    organization_id: str | None
    project_id: str | None
    payment_method_id: str | None
    payment_method: PaymentMethodBrief | None = None
    """The stored method of that id, where one payment is read, and in lists with `include=payment_method`."""
    provider_payment_id: str | None
    is_guest_payment: bool
    guest_email: str | None
    is_manual_payment: bool
    livemode: bool | None
    created_at: Moment
    completed_at: Moment | None


class PaymentDetail(PaymentSummary):
    """One payment, for whoever may see all of it."""

    client_secret: str | None
    """For the owner, and only while the payment can still be paid."""
    next_action: NextActionOut | None
    guest_data: GuestDataOut | None
    """Admins only."""
    error_message: str | None
    """Admins only."""
    guest_token: None = None
    """Always null: guest tokens are issued elsewhere."""
    capture_method: CaptureMethod
    setup_future_usage: str | None
    authorized_amount_cents: int = Field(validation_alias="authorized_cents")
    disputed_amount_cents: int = Field(validation_alias="disputed_cents")
    decline_code: str | None
    review: bool
    customer_id: str | None
    billing_address_id: str | None
    subscription_id: str | None
    order_id: str | None
    applied_coupons: list[Any] | None
    manual_payment_method: str | None
    manual_payment_reference: str | None
    manual_payment_date: Moment | None
    paid_at: Moment | None
    version: int
    guest_name: str | None = None

    @computed_field
    def pricing(self) -> PricingOut:
        """The four amounts once more, as the older contract nests them."""
        return PricingOut(
            subtotal_cents=self.subtotal_cents,
            tax_cents=self.tax_cents,
            discount_cents=self.discount_cents,
            total_cents=self.total_cents,
        )

    @computed_field
    def requires_action(self) -> bool:
        return _payer_must_act(self)

    @classmethod
    def of(cls, payment: Payment, *, admin: bool) -> Self:
        """Return *payment* as its owner sees it; what only admins see is null for everybody else."""
        answer = cls.model_validate(payment)
        answer.guest_name = payment.guest_data.name if payment.guest_data else None
        if not admin:
            answer.guest_data = None
            answer.error_message = None
        return answer


class PaymentUpdated(_Answer):
    client_secret: str | None
    subtotal_cents: int
    tax_cents: int
    discount_cents: int
    setup_future_usage_updated: bool = False


class PaymentConfirmed(_Answer):
    next_action: NextActionOut | None
    decline_code: str | None
    payment_method_saved: bool = False
    """Whether this call stored the method; false when it was stored before."""

    @computed_field
    def requires_action(self) -> bool:
        """Whether the payer has to do `next_action` before the payment goes on."""
        return _payer_must_act(self)


class PaymentSynced(PaymentConfirmed):
    synced: Literal[True] = True

    @computed_field
    def synced_at(self) -> Moment:
        return self.updated_at


class PaymentCanceled(_Answer):
    captured_cents: int = Field(default=0, exclude=True)

    @computed_field
    def message(self) -> str:
        """What became of the wish: somebody may have been faster, and then `status` is the true one."""
        if self.unknown_operation_id:
            return "Cancellation requested; its outcome is not known yet"
        if self.status is PaymentStatus.CANCELED:
            return "Payment intent canceled successfully"
        if self.status is PaymentStatus.SUCCEEDED and 0 < self.captured_cents < self.total_cents:
            return "The payment is succeeded with what was captured; the rest was released"
        return f"The payment is {self.status.value}; it could not be canceled"


class PaymentCaptured(_Answer):
    authorized_amount_cents: int = Field(validation_alias="authorized_cents")
    captured_amount_cents: int = Field(validation_alias="captured_cents")
    completed_at: Moment | None

    @computed_field
    def remaining_amount_cents(self) -> int:
        """What is still authorised and not collected."""
        if self.status is not PaymentStatus.REQUIRES_CAPTURE:
            return 0
        return max(self.authorized_amount_cents - self.captured_amount_cents, 0)

    @computed_field
    def capture_status(self) -> Literal["uncaptured", "partially_captured", "captured", "unknown"]:
        if self.unknown_operation_id:
            return "unknown"
        if not self.captured_amount_cents:
            return "uncaptured"
        return "captured" if self.captured_amount_cents >= self.total_cents else "partially_captured"


def _payer_must_act(answer: _Answer) -> bool:
    # An unknown outcome never sends the payer anywhere: the money may have moved already (rule 28).
    return answer.status is PaymentStatus.REQUIRES_ACTION and answer.unknown_operation_id is None
