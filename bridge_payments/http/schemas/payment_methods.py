"""Stored payment methods on the wire. Card numbers are no field of any body."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import ConfigDict, Field, computed_field

from ...models import PaymentMethodStatus
from ...published import MethodType
from .base import Identity, Input, Metadata, MethodToken, Moment, Output, Token, Url
from .briefs import PaymentMethodBrief
from .payments import NextActionOut
from .people import BillingDetailsIn, GuestDataIn, Text255

__all__ = [
    "ConfirmPaymentMethod",
    "CreatePaymentMethod",
    "CustomerPaymentMethods",
    "PaymentMethodBilling",
    "PaymentMethodBillingUpdated",
    "PaymentMethodDetail",
    "PaymentMethodOut",
    "RawCard",
    "UpdatePaymentMethod",
]

_TYPES = {"card": "credit_card", "apple_pay": "wallet", "google_pay": "wallet"}


class CreatePaymentMethod(Input):
    """A one-time token from the provider's script in the browser, to be kept for later."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "payment_method_token": "pm_card_visa",
                    "type": "card",
                    "guest_data": {"email": "ada@example.com", "name": "Ada"},
                }
            ]
        }
    )

    payment_method_token: MethodToken | None = None
    provider_payment_method_token: MethodToken | None = None
    """Another name of `payment_method_token`."""
    provider_id: Identity | None = None
    type: MethodType = "credit_card"
    wallet_type: Literal["apple_pay", "google_pay", "samsung_pay"] | None = None
    customer_id: Identity | None = None
    """Ours or the provider's, the caller's own."""
    alias: Text255 | None = None
    billing_address_id: Identity | None = None
    billing_details: BillingDetailsIn | None = None
    save_for_future: bool = False
    is_default: bool = False
    return_url: Url | None = None
    """Where the payer comes back to, if they have to agree elsewhere."""
    metadata: Metadata = Field(default_factory=dict)
    guest_data: GuestDataIn | None = None

    @property
    def token(self) -> str | None:
        return self.payment_method_token or self.provider_payment_method_token

    @property
    def payment_type(self) -> str:
        return _TYPES.get(self.type, self.type)

    @property
    def wallet(self) -> str | None:
        """Return which wallet: said in `wallet_type`, or by the type itself."""
        return self.wallet_type or (self.type if _TYPES.get(self.type) == "wallet" else None)

    @property
    def guest(self) -> GuestDataIn | None:
        """Who pays, as they say: in `guest_data`, or in the billing details as an older contract has it."""
        billing = self.billing_details
        if self.guest_data is not None or billing is None or billing.email is None:
            return self.guest_data
        return GuestDataIn(email=billing.email, name=billing.name, phone=billing.phone)


class RawCard(Input):
    """Nothing of it is read: raw card numbers are refused everywhere."""


class ConfirmPaymentMethod(Input):
    """The payer has agreed elsewhere."""

    model_config: ClassVar[ConfigDict] = ConfigDict(json_schema_extra={"examples": [{}]})

    client_secret: Token | None = None
    """Proves an anonymous caller's right to this set-up."""


class UpdatePaymentMethod(Input):
    """What may change; what is left out or null stays. The card itself never changes."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={"examples": [{"alias": "work card", "is_default": True}]}
    )

    is_default: bool | None = None
    alias: Text255 | None = None
    billing_address_id: Identity | None = None
    metadata: Metadata | None = None


class PaymentMethodBilling(Input):
    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={"examples": [{"billing_address_id": None}]}
    )

    billing_address_id: Identity | None = None
    """Without it the method has no billing address any more."""


class PaymentMethodOut(PaymentMethodBrief):
    """A handle to a card, an account or a wallet."""

    user_id: str | None
    organization_id: str | None
    provider_id: str
    provider_payment_method_id: str | None
    customer_id: str | None
    is_default: bool
    guest_email: str | None
    guest_name: str | None
    billing_address_id: str | None
    status: PaymentMethodStatus
    created_at: Moment
    updated_at: Moment

    @computed_field
    def type(self) -> str:
        """Another name of `payment_type`."""
        return self.payment_type

    @computed_field
    def brand(self) -> str | None:
        """Another name of `card_brand`."""
        return self.card_brand

    @computed_field
    def last4(self) -> str | None:
        """Another name of `last_four`."""
        return self.last_four

    @computed_field
    def exp_month(self) -> int | None:
        """`expiry_month` as a number."""
        return self.expiry_month_number

    @computed_field
    def exp_year(self) -> int | None:
        """`expiry_year` as a number."""
        return self.expiry_year_number


class CustomerPaymentMethods(Output):
    """The same list once more, as an older contract has it."""

    payment_methods: list[PaymentMethodOut]
    total: int


class PaymentMethodDetail(PaymentMethodOut):
    """One method, for its owner."""

    next_action: NextActionOut | None
    client_secret: str | None
    """Of a set-up that the payer has still to agree to."""
    decline_code: str | None


class PaymentMethodBillingUpdated(PaymentMethodOut):
    provider_synced: bool = False
    """Whether the provider was told, too."""
