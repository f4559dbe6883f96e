"""What several nouns share on the wire: who a guest is, where somebody is billed, what a deletion answers."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from .base import Email, Input, Output

__all__ = [
    "BillingDetailsIn",
    "Country",
    "Deleted",
    "GuestDataIn",
    "Name",
    "Phone",
    "PostalAddressIn",
    "Text255",
]

Text255 = Annotated[str, Field(min_length=1, max_length=255)]


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("is blank")
    return value


Name = Annotated[
    str,
    AfterValidator(_not_blank),
    Field(min_length=1, max_length=255, json_schema_extra={"pattern": r"\S"}, examples=["Ada Lovelace"]),
]
Phone = Annotated[str, Field(min_length=1, max_length=50)]

_COUNTRY_LETTERS: Final = 2


def _a_country(value: str) -> str:
    if len(value) != _COUNTRY_LETTERS or not (value.isascii() and value.isalpha()):
        raise ValueError("is two letters (ISO 3166-1)")
    return value.upper()


Country = Annotated[
    str,
    AfterValidator(_a_country),
    Field(json_schema_extra={"pattern": "^[A-Za-z]{2}$"}, examples=["ES"]),
]


class GuestDataIn(Input):
    """Who somebody says they are: required when nobody is signed in."""

    email: Email
    name: Name | None = None
    phone: Annotated[str, Field(min_length=1, max_length=50)] | None = None


class PostalAddressIn(Input):
    line1: Text255 | None = None
    line2: Text255 | None = None
    city: Text255 | None = None
    state: Text255 | None = None
    postal_code: Annotated[str, Field(min_length=1, max_length=50)] | None = None
    country: Country | None = None


class BillingDetailsIn(Input):
    """Who is billed, and where. Wins over a stored address, field by field."""

    name: Name | None = None
    email: Email | None = None
    phone: Phone | None = None
    address: PostalAddressIn | None = None


class Deleted(Output):
    """What a deletion answers: always 200 with a body, which published clients need."""

    id: str
    message: str
