"""Addresses on the wire."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from pydantic import ConfigDict, Field, computed_field

from ...models import AddressType
from .base import Email, Input, Moment, Output
from .people import Country, GuestDataIn, Name, Phone, Text255

__all__ = ["AddressOut", "CreateAddress", "UpdateAddress", "columns_of"]

_KEPT_IN_METADATA: Final = ("is_partial", "is_business", "business_name", "tax_id", "tax_id_type")
_POSTAL: Final = (
    "line1",
    "line2",
    "city",
    "state",
    "postal_code",
    "country",
    "name",
    "phone",
    "email",
    "alias",
)


class _Parts(Input):
    name: Name | None = None
    line2: Text255 | None = None
    state: Text255 | None = None
    phone: Phone | None = None
    email: Email | None = None
    alias: Text255 | None = None
    is_default: bool | None = None
    """The one that is proposed first; the others of the same type stop being it."""
    is_partial: bool | None = None
    is_business: bool | None = None
    business_name: Text255 | None = None
    tax_id: Text255 | None = None
    tax_id_type: Annotated[str, Field(min_length=1, max_length=50)] | None = None
    guest_email: Email | None = None
    guest_name: Name | None = None
    guest_data: GuestDataIn | None = None
    """Who somebody says they are; `guest_email` and `guest_name` are other names of its parts."""

    @property
    def guest(self) -> GuestDataIn | None:
        if self.guest_data is not None or self.guest_email is None:
            return self.guest_data
        return GuestDataIn(email=self.guest_email, name=self.guest_name)


class CreateAddress(_Parts):
    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "address_type": "billing",
                    "name": "Ada Lovelace",
                    "line1": "Calle Mayor 1",
                    "city": "Madrid",
                    "postal_code": "28013",
                    "country": "ES",
                    "guest_data": {"email": "ada@example.com", "name": "Ada"},
                }
            ]
        }
    )

    address_type: AddressType | None = Field(default=None, strict=False)
    """Billing if nothing is said."""
    type: AddressType | None = Field(default=None, strict=False)
    """Another name of `address_type`."""
    line1: Text255
    city: Text255
    postal_code: Annotated[str, Field(min_length=1, max_length=50)]
    country: Country

    @property
    def kind(self) -> AddressType:
        return self.address_type or self.type or AddressType.BILLING


class UpdateAddress(_Parts):
    """What may change; what is left out or null stays."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={"examples": [{"city": "Bilbao", "postal_code": "48001"}]}
    )

    address_type: AddressType | None = Field(default=None, strict=False)
    type: AddressType | None = Field(default=None, strict=False)
    line1: Text255 | None = None
    city: Text255 | None = None
    postal_code: Annotated[str, Field(min_length=1, max_length=50)] | None = None
    country: Country | None = None

    @property
    def kind(self) -> AddressType | None:
        return self.address_type or self.type


def columns_of(body: CreateAddress | UpdateAddress) -> dict[str, Any]:
    """Return what *body* says of the address itself; what has no column of its own is kept in metadata."""
    said = {name: value for name in _POSTAL if (value := getattr(body, name)) is not None}
    more = {name: value for name in _KEPT_IN_METADATA if (value := getattr(body, name)) is not None}
    if more:
        said["metadata"] = more
    return said


class AddressOut(Output):
    id: str
    user_id: str | None
    organization_id: str | None
    address_type: AddressType
    is_default: bool
    name: str | None
    line1: str
    line2: str | None
    city: str
    state: str | None
    postal_code: str
    country: str
    phone: str | None
    email: str | None
    alias: str | None
    is_guest: bool
    guest_email: str | None
    guest_name: str | None
    metadata: dict[str, Any]
    created_at: Moment
    updated_at: Moment

    @computed_field
    def type(self) -> AddressType:
        """Another name of `address_type`."""
        return self.address_type

    @computed_field
    def is_guest_address(self) -> bool:
        """Another name of `is_guest`."""
        return self.is_guest

    @computed_field
    def is_partial(self) -> bool:
        return bool(self.metadata.get("is_partial"))

    @computed_field
    def is_business(self) -> bool:
        return bool(self.metadata.get("is_business"))

    @computed_field
    def business_name(self) -> str | None:
        return _text(self.metadata.get("business_name"))

    @computed_field
    def tax_id(self) -> str | None:
        return _text(self.metadata.get("tax_id"))

    @computed_field
    def tax_id_type(self) -> str | None:
        return _text(self.metadata.get("tax_id_type"))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
