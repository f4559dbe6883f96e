"""Guest conversion on the wire: what a guest left behind becomes a user's."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from .base import Email, Identity, Input, Output

__all__ = ["ConvertGuest", "GuestConverted", "GuestPreview"]


Named = Annotated[list[Identity], Field(max_length=100)]


class ConvertGuest(Input):
    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={"examples": [{"guest_email": "ada@example.com"}]}
    )

    guest_email: Email
    """The caller's own proved address, or one that a guest token proves."""
    customer_ids: Named | None = None
    """With one of these lists what it names is converted, and nothing else."""
    payment_method_ids: Named | None = None


class Converted(Output):
    customers: list[str] = Field(default_factory=list)
    payment_methods: list[str] = Field(default_factory=list)


class ConversionSummary(Output):
    total_customers_converted: int
    total_payment_methods_converted: int


class GuestConverted(Output):
    """Every published spelling of one answer."""

    success: Literal[True] = True
    message: str
    payments_count: int
    payment_methods_count: int
    addresses_count: int
    customers_count: int
    subscriptions_count: int
    customers_converted: int
    payment_methods_converted: int
    total_converted: int
    converted: Converted
    summary: ConversionSummary


class PreviewSummary(Output):
    total_customers: int
    total_payment_methods: int
    total_payments: int
    total_addresses: int
    total_subscriptions: int
    can_convert: bool


class GuestPreview(Output):
    guest_email: str
    preview: dict[str, list[dict[str, Any]]]
    summary: PreviewSummary
