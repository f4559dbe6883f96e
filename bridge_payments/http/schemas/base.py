"""What every shape on the wire has in common: null is absent, integers are integers, times end in Z."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from ...models import MAX_MINOR_UNITS

__all__ = [
    "Cents",
    "Currency",
    "Email",
    "Envelope",
    "Identity",
    "Input",
    "ListEnvelope",
    "Meta",
    "Metadata",
    "MethodToken",
    "Moment",
    "Output",
    "Pagination",
    "PositiveCents",
    "Sparse",
    "Token",
    "Url",
    "UserContext",
    "rfc3339",
]

# --- in -------------------------------------------------------------------------------------------


class Input(BaseModel):
    """A body from a stranger. Unknown fields are ignored and null is absent: published clients send both."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="ignore", strict=True, frozen=True, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, given: Any) -> Any:
        if isinstance(given, dict):
            return {name: value for name, value in given.items() if value is not None}
        return given

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Say in the document, too, that what may be left out may be null.

        What is taken for it then is said in words: generators take `default` for "always there", and their
        clients would have to send every field.
        """
        found = handler(core_schema)
        shape = handler.resolve_ref_schema(found)
        needed = shape.get("required", ())
        for name, field in shape.get("properties", {}).items():
            if name in needed:
                continue
            taken = field.pop("default", None)
            about = {word: field.pop(word) for word in ("description", "title") if word in field}
            if taken not in (None, {}, []):
                usual = f"Default: {json.dumps(taken)}."
                about["description"] = f"{about.get('description', '')} {usual}".strip()
            nullable = (
                field if {"type": "null"} in field.get("anyOf", ()) else {"anyOf": [field, {"type": "null"}]}
            )
            shape["properties"][name] = {**nullable, **about}
        return found


_CURRENCY: Final = re.compile(r"[A-Za-z]{3}")
_VISIBLE: Final = re.compile(r"[\x21-\x7e]*")
_EMAIL: Final = re.compile(r"[^@\s\x00-\x1f,;<>()\[\]\\\"]{1,64}@[^@\s\x00-\x1f,;<>()\[\]\\\"]{1,189}")
_URL: Final = re.compile(r"[a-z][a-z0-9+.\-]*://[^\s\x00-\x1f\x7f\\]+", re.IGNORECASE)
_SCHEMES_THAT_RUN: Final = ("javascript:", "data:", "vbscript:", "file:")


def _a_currency(value: str) -> str:
    if not _CURRENCY.fullmatch(value):
        raise ValueError("is three letters (ISO 4217)")
    return value


def _visible(value: str) -> str:
    if not _VISIBLE.fullmatch(value):
        raise ValueError("has visible ASCII characters only")
    return value


def _an_email(value: str) -> str:
    if not _EMAIL.fullmatch(value):
        raise ValueError("is not an e-mail address")
    return value


def _a_url(value: str) -> str:
    # Custom schemes are welcome: a mobile application comes back through its own.
    if not _URL.fullmatch(value) or value.lower().startswith(_SCHEMES_THAT_RUN):
        raise ValueError("is not an absolute URL")
    return value


Cents = Annotated[int, Field(ge=0, le=MAX_MINOR_UNITS, examples=[5500])]
"""Minor units of the currency: cents for USD, yen for JPY."""
PositiveCents = Annotated[int, Field(ge=1, le=MAX_MINOR_UNITS, examples=[5500])]
Currency = Annotated[
    str, AfterValidator(_a_currency), Field(json_schema_extra={"pattern": "^[A-Za-z]{3}$"}, examples=["USD"])
]
Identity = Annotated[
    str,
    AfterValidator(_visible),
    Field(min_length=1, max_length=191, json_schema_extra={"pattern": r"^[\x21-\x7e]+$"}),
]
"""An id of ours, a provider's or the host's: no blanks, no control characters; otherwise opaque."""
Token = Annotated[
    str,
    AfterValidator(_visible),
    Field(min_length=1, max_length=4096, json_schema_extra={"pattern": r"^[\x21-\x7e]+$"}),
]
"""A reference that may be a one-time token: Accept.js makes some of more than a thousand characters."""
MethodToken = Annotated[
    str,
    AfterValidator(_visible),
    Field(min_length=1, max_length=8192, json_schema_extra={"pattern": r"^[\x21-\x7e]+$"}),
]
"""A payment method: an id, a one-time token, or a wallet's payload with its certificates."""
Email = Annotated[
    str,
    AfterValidator(_an_email),
    Field(max_length=254, json_schema_extra={"format": "email"}, examples=["ada@example.com"]),
]
Url = Annotated[
    str,
    AfterValidator(_a_url),
    Field(max_length=2048, json_schema_extra={"format": "uri"}, examples=["https://shop.example/done"]),
]


Metadata = Annotated[
    dict[str, Any],
    Field(json_schema_extra={"maxProperties": 40, "propertyNames": {"minLength": 1, "maxLength": 40}}),
]


# --- out ------------------------------------------------------------------------------------------


def rfc3339(moment: datetime) -> str:
    """Return *moment* in UTC with milliseconds and a Z: the form that every published client parses."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


Moment = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-15T10:30:00.000Z"]}),
]


class Output(BaseModel):
    """An answer: exactly the declared fields, all of them."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        from_attributes=True,
        extra="ignore",
        use_attribute_docstrings=True,
        json_schema_serialization_defaults_required=True,
    )


class Sparse(Output):
    """An answer in which what is not said is left out."""

    model_config: ClassVar[ConfigDict] = ConfigDict(json_schema_serialization_defaults_required=False)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Say no default of what may be missing: generators take it for always there."""
        found = handler(core_schema)
        shape = handler.resolve_ref_schema(found)
        for field in shape.get("properties", {}).values():
            field.pop("default", None)
        return found


T = TypeVar("T", bound=BaseModel)


class Pagination(Output):
    total: int
    page: int
    pageSize: int  # noqa: N815 - the published name
    totalPages: int  # noqa: N815


class Meta(Output):
    """Where in a list this answer is. Both published spellings."""

    query: str = ""
    page: int
    limit: int
    total: int
    totalPages: int  # noqa: N815 - the published name
    hasMore: bool  # noqa: N815
    orderBy: str | None = None  # noqa: N815
    orderDir: Literal["asc", "desc"] | None = None  # noqa: N815
    pagination: Pagination


class UserContext(Sparse):
    """As whom the request was answered."""

    authenticated: bool
    user_id: str | None
    user_type: str | None
    user_email: str | None
    search_method: Literal["user_id", "guest_email", "admin"] | None = None
    access_method: Literal["user_id_access", "guest_token_access", "admin_access"] | None = None
    is_owner: bool | None = None
    is_admin: bool | None = None


class Envelope(Sparse, Generic[T]):
    """How one thing is answered."""

    success: Literal[True]
    data: T
    meta: Meta | None = None
    user_context: UserContext | None = None


class ListEnvelope(Sparse, Generic[T]):
    """How a list is answered."""

    success: Literal[True]
    data: list[T]
    meta: Meta
    user_context: UserContext | None = None
