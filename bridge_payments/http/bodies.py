"""Read what a stranger sent: the bytes, the content type, the JSON, the Idempotency-Key."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from ..errors import InvalidRequest, PayloadTooLarge
from ..messages import Request
from ..tripwire import CARD, holds_card_number, is_guarded
from .problems import ValidationFailed
from .route import Key

__all__ = ["check_path", "check_query", "check_size", "idempotency_key", "is_json", "read_body"]

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_CARD_LENGTH: Final = 14
_LARGEST: Final = 2**63 - 1


def check_size(request: Request, limit: int) -> None:
    """Refuse a body over *limit*. Mounts read one byte more than the limit and stop there."""
    declared = request.headers.get("content-length", "")
    if len(request.body) > limit or (declared.isdecimal() and int(declared[:20]) > limit):
        raise PayloadTooLarge(f"The request body is over the limit of {limit} bytes")


def is_json(request: Request) -> bool:
    """Whether the caller says that the body is JSON."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def check_path(path: str) -> None:
    """Refuse a path with a card number in it: the answer, and every log on the way, would repeat it."""
    if holds_card_number(path):
        raise ValidationFailed.of("path", CARD, "refused")


def check_query(request: Request) -> None:
    """Refuse a query with a card number in it, outside identities and credentials."""
    for name, value in request.query.items():
        if is_guarded(name) and name != "token":
            _check_text(value, [name], lambda _: True)
        _check_text(name, ["query"], lambda _: True)


def read_body(request: Request, schema: type[BaseModel]) -> BaseModel:
    """Read the body as *schema*. An empty body is an empty object: published clients send that."""
    given = _parse(request.body)
    _walk(given, [], lambda path: is_guarded(path[-1]) if path and isinstance(path[-1], str) else True)
    try:
        return schema.model_validate(given)
    except ValidationError as error:
        raise ValidationFailed(list(_causes(error))) from None


def idempotency_key(request: Request, key: Key) -> str | None:
    """Return the Idempotency-Key, which must be there where money is given back (rule 29)."""
    if key is Key.UNUSED:
        return None
    given = request.header("idempotency-key")
    if given is None:
        if key is Key.REQUIRED:
            raise ValidationFailed.of("Idempotency-Key", "is required: one key per refund", "missing")
        return None
    if not _KEY.fullmatch(given):
        raise ValidationFailed.of("Idempotency-Key", "has 1 to 255 visible ASCII characters")
    _check_text(given, ["Idempotency-Key"], lambda _: True)
    return given


def _parse(body: bytes) -> dict[str, Any]:
    if not body.strip(b" \t\r\n"):
        return {}
    try:
        given = from_json(body, allow_inf_nan=False)
    except ValueError:
        raise InvalidRequest("Invalid JSON in request body") from None
    if not isinstance(given, dict):
        raise InvalidRequest("The request body must be a JSON object")
    return given


def _walk(value: Any, path: list[str | int], guarded: Callable[[list[str | int]], bool]) -> None:
    """Look at every text and number once: nothing that a database cannot keep, no card number."""
    if isinstance(value, dict):
        for name, item in value.items():
            _check_text(name, [*path, "…"], guarded)
            _walk(item, [*path, name], guarded)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _walk(item, [*path, index], guarded)
    elif isinstance(value, str):
        _check_text(value, path, guarded)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _wrong(path, "is not a finite number")
        _check_text(format(value, ".0f"), path, guarded)
    elif isinstance(value, int) and (size := abs(value)) >= 10 ** (_CARD_LENGTH - 1):
        if size > _LARGEST:  # a number of a million digits would cost a minute to print
            raise _wrong(path, "is absurdly large")
        _check_text(str(size), path, guarded)


def _check_text(text: str, path: list[str | int], guarded: Callable[[list[str | int]], bool]) -> None:
    if "\x00" in text:
        raise _wrong(path, "holds a NUL character")
    if guarded(path) and holds_card_number(text):
        raise _wrong(path, CARD)


def _wrong(path: list[str | int], message: str) -> ValidationFailed:
    return ValidationFailed([{"path": path, "message": message, "code": "refused"}])


def _causes(error: ValidationError) -> Iterable[dict[str, Any]]:
    for found in error.errors(include_url=False, include_context=False, include_input=False):
        message = found["msg"].removeprefix("Value error, ")
        yield {"path": list(found["loc"]), "message": message, "code": found["type"]}
