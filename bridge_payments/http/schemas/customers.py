"""Customers on the wire."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import ConfigDict, Field, computed_field

from ...models import Customer
from .base import Email, Identity, Input, Metadata, Moment, Output
from .people import GuestDataIn, Name, Phone

__all__ = ["CreateCustomer", "CustomerCreated", "CustomerOut", "UpdateCustomer"]


class CreateCustomer(Input):
    """A payer to make known to a provider account. Once per owner: the second time answers the first."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={"examples": [{"email": "ada@example.com", "name": "Ada Lovelace"}]}
    )

    email: Email | None = None
    """Without it, the caller's own or the guest's."""
    name: Name | None = None
    first_name: Name | None = None
    last_name: Name | None = None
    phone: Phone | None = None
    provider_id: Identity | None = None
    is_guest: bool = False
    organization_id: Identity | None = None
    metadata: Metadata = Field(default_factory=dict)
    guest_data: GuestDataIn | None = None

    @property
    def guest(self) -> GuestDataIn | None:
        """Who somebody says they are: in `guest_data`, or as the customer of an anonymous caller."""
        if self.guest_data is not None or not self.is_guest or self.email is None:
            return self.guest_data
        return GuestDataIn(email=self.email, name=self.full_name, phone=self.phone)

    @property
    def full_name(self) -> str | None:
        return self.name or " ".join(filter(None, (self.first_name, self.last_name))) or None


class UpdateCustomer(Input):
    """What may change; what is left out stays."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={"examples": [{"phone": "+34 600 000 000"}]}
    )

    email: Email | None = None
    name: Name | None = None
    phone: Phone | None = None
    metadata: Metadata | None = None


class CustomerOut(Output):
    """One customer of one account."""

    id: str
    user_id: str | None
    organization_id: str | None
    provider_id: str
    provider_customer_id: str | None
    email: str | None
    name: str | None
    phone: str | None
    is_guest: bool
    guest_email: str | None
    guest_name: str | None
    metadata: dict[str, Any]
    created_at: Moment
    updated_at: Moment

    @computed_field
    def first_name(self) -> str | None:
        """The name up to its first blank."""
        return (self.name or "").partition(" ")[0] or None

    @computed_field
    def last_name(self) -> str | None:
        """The rest of the name."""
        return (self.name or "").partition(" ")[2] or None


class CustomerCreated(CustomerOut):
    existed: bool = False
    """Whether the owner had this customer before: then nothing was changed."""

    @classmethod
    def of(cls, customer: Customer, *, existed: bool) -> Self:
        answer = cls.model_validate(customer)
        answer.existed = existed
        return answer
