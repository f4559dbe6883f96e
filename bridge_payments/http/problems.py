"""From an error to an answer: one table, so that one error has one status on every route."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ..errors import (
    AccessDenied,
    BridgeError,
    ConfigurationError,
    Conflict,
    IdempotencyMismatch,
    InvalidRequest,
    InvalidSignature,
    NotAuthenticated,
    NotFound,
    NotYours,
    OperationInProgress,
    PayloadTooLarge,
    PaymentDeclined,
    ProviderDeclined,
    ProviderError,
    ProviderNotFound,
    ProviderRejected,
    ProviderStateConflict,
    RateLimited,
    StoreError,
    Unavailable,
    UnsupportedOperation,
)
from ..messages import Response
from .route import Text
from .schemas.base import rfc3339

__all__ = [
    "INTERNAL",
    "BodyTimedOut",
    "MethodNotAllowed",
    "RouteNotFound",
    "ValidationFailed",
    "internal_problem",
    "problem",
    "status_of",
    "unrevealed",
]


class ValidationFailed(InvalidRequest):
    """The request does not have the declared shape."""

    code = "validation_failed"

    def __init__(self, causes: list[dict[str, Any]]) -> None:
        self.causes = causes
        self.fields: list[dict[str, Any]] = [
            {"field": _dotted(cause["path"]), "message": cause["message"]} for cause in causes
        ]
        first = self.fields[0]
        super().__init__(f"{first['field']}: {first['message']}", field=first["field"])

    @classmethod
    def of(cls, field: str, message: str, code: str = "invalid") -> ValidationFailed:
        return cls([{"path": [field], "message": message, "code": code}])


class RouteNotFound(NotFound):
    """No such path."""

    def __init__(self, method: str, path: str) -> None:
        self.method: str = method
        self.path: str = path
        super().__init__(f"Route {method} {path} not found")


class MethodNotAllowed(BridgeError):
    """The path exists, the method does not."""

    code = "method_not_allowed"

    def __init__(self, method: str, path: str, *, allow: str) -> None:
        self.method: str = method
        self.path: str = path
        self.allow: str = allow
        super().__init__(f"{method} is not allowed here; use {allow}")


class BodyTimedOut(BridgeError):
    """The request body did not arrive in time."""

    code = "request_timeout"


@dataclass(frozen=True, slots=True)
class Kind:
    """The status of a class of errors and its title; without a title the message itself is the `error`."""

    status: int
    title: str | None = None
    retry_after: int | None = None
    discreet: str | None = None
    """What is said instead of the message, where the message is for the operator's eyes."""


KINDS: Final[Mapping[type[BridgeError], Kind]] = {
    # The class itself or its nearest ancestor; statuses and titles from the wire contract.
    ValidationFailed: Kind(400, "Validation failed"),
    UnsupportedOperation: Kind(400, "Unsupported operation"),
    InvalidRequest: Kind(400),
    IdempotencyMismatch: Kind(422, "Idempotency-Key mismatch"),
    PayloadTooLarge: Kind(413, "Payload Too Large"),
    BodyTimedOut: Kind(408, "Request Timeout"),
    MethodNotAllowed: Kind(405, "Method Not Allowed"),
    NotAuthenticated: Kind(401, "Authentication Required"),
    AccessDenied: Kind(403, "Access Denied"),
    NotFound: Kind(404, "Not Found"),
    InvalidSignature: Kind(401, "Invalid signature"),
    OperationInProgress: Kind(409, "Operation in progress", retry_after=5),
    Conflict: Kind(409, "Conflict"),
    RateLimited: Kind(429),
    Unavailable: Kind(503, "Service Unavailable"),
    PaymentDeclined: Kind(400, "Payment failed"),
    # A provider's refusal that the engine did not turn into anything better.
    ProviderDeclined: Kind(400, "Payment failed"),
    ProviderNotFound: Kind(400, "Provider rejected the request"),
    ProviderStateConflict: Kind(409, "Conflict"),
    ProviderRejected: Kind(400, "Provider rejected the request"),
    # Never sent, or lost on something that moves no money (create without confirm): try again, rule 28.
    ProviderError: Kind(503, "Provider unavailable", retry_after=5),
    StoreError: Kind(503, "Service Unavailable", retry_after=5, discreet="The database does not answer"),
    ConfigurationError: Kind(500, "Internal Server Error", discreet="The installation is misconfigured"),
}
INTERNAL: Final = Kind(500, "Internal Server Error", discreet="Something went wrong on our side")


def unrevealed(error: NotYours) -> NotFound:
    """Return what a stranger hears of somebody else's thing: the same as of one that is not there."""
    return NotFound(error.absent)


def status_of(error: type[BridgeError]) -> int:
    """Return the status that an error class is answered with."""
    return _kind(error).status


def problem(
    error: BridgeError, *, now: datetime, text: Text | None = None, variables: Mapping[str, str] | None = None
) -> Response:
    """Answer *error* in the contract's shape, in a route's own words where it has some."""
    kind = _kind(type(error))
    status, title, message = kind.status, kind.title, kind.discreet or error.message
    details: object = None if kind.discreet else error.details
    extra: dict[str, object] = {}
    headers: dict[str, str] = {}

    if isinstance(error, ValidationFailed):
        details = error.fields
        extra = {"validation_errors": error.fields, "cause": error.causes}
    elif isinstance(error, InvalidRequest) and error.field is not None:
        fields = [{"field": error.field, "message": error.message}]
        details = fields if details is None else details
        if not error.message[:1].isupper():
            # "must be positive" says something of its field; "Currency X is not supported by …" is a sentence
            # of the contract and stands alone.
            title, message = "Validation failed", f"{error.field}: {error.message}"
        extra = {
            "validation_errors": fields,
            "cause": [{"path": error.field.split("."), "message": error.message, "code": error.code}],
        }
    elif isinstance(error, InvalidSignature) and error.missing:
        status, title = 400, "Missing signature"
    elif isinstance(error, (RouteNotFound, MethodNotAllowed)):
        extra = {"path": error.path, "method": error.method}
        if isinstance(error, MethodNotAllowed):
            headers["allow"] = error.allow

    if isinstance(error, NotAuthenticated):
        headers["www-authenticate"] = 'Bearer realm="bridge-payments"'
    if (seconds := getattr(error, "retry_after", kind.retry_after)) is not None:
        headers["retry-after"] = str(seconds)
    if text is not None:
        title, message = text.error, text.message.format_map(variables or {})
        details = None
    return _response(
        status,
        {
            "success": False,
            "error": title or message,
            "message": message,
            "details": message if details is None else details,
            "status": status,
            "code": error.code,
            "timestamp": rfc3339(now),
            **extra,
        },
        headers,
    )


def internal_problem(*, now: datetime) -> Response:
    """Answer something that nobody expected, without a word about what it was."""
    message = INTERNAL.discreet
    body = {
        "success": False,
        "error": INTERNAL.title,
        "message": message,
        "details": message,
        "status": INTERNAL.status,
        "code": "internal_error",
        "timestamp": rfc3339(now),
    }
    return _response(INTERNAL.status, body, {})


def _response(status: int, body: Mapping[str, object], headers: Mapping[str, str]) -> Response:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=str)
    return Response(
        status=status,
        body=text.encode("utf-8", "backslashreplace"),  # a path may hold a lone surrogate
        headers={"content-type": "application/json", **headers},
    )


def _kind(error: type[BridgeError]) -> Kind:
    for ancestor in error.__mro__:
        if ancestor in KINDS:
            return KINDS[ancestor]
    return INTERNAL


def _dotted(path: list[str | int]) -> str:
    return ".".join(str(part) for part in path) or "body"
