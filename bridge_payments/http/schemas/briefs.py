"""What is shown of one thing beside another."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, computed_field

from .base import Output

__all__ = ["PaymentMethodBrief"]


class PaymentMethodBrief(Output):
    """A method as it is shown beside the payment that it paid."""

    id: str
    payment_type: str
    wallet_type: str | None
    card_brand: str | None
    last_four: str | None
    expiry_month_number: int | None = Field(validation_alias="expiry_month", exclude=True)
    expiry_year_number: int | None = Field(validation_alias="expiry_year", exclude=True)
    alias: str | None
    is_guest: bool
    metadata: dict[str, Any]

    @computed_field
    def expiry_month(self) -> Annotated[str | None, Field(examples=["12"])]:
        return f"{self.expiry_month_number:02}" if self.expiry_month_number else None

    @computed_field
    def expiry_year(self) -> Annotated[str | None, Field(examples=["2031"])]:
        return str(self.expiry_year_number) if self.expiry_year_number else None
