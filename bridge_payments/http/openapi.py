"""Derive the OpenAPI 3.1 document from the route table: it cannot disagree with what is served."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from pydantic import BaseModel, GetCoreSchemaHandler, create_model
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from pydantic_core import CoreSchema, core_schema

from ..errors import (
    AccessDenied,
    BridgeError,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    Unavailable,
)
from .problems import ValidationFailed, status_of
from .route import UNSAFE, Access, Key, Route
from .schemas.base import Envelope, ListEnvelope
from .schemas.documents import Document
from .schemas.problems import Problem
from .version import release

__all__ = [
    "SECURITY_SCHEMES",
    "Shown",
    "answer_model",
    "needs_a_body",
    "openapi",
    "operation_id",
    "operations",
    "other_answers",
    "parameters",
    "refusals",
    "security_scheme",
]

_REF: Final = "#/components/schemas/{model}"

SECURITY_SCHEMES: Final[Mapping[str, Mapping[str, str]]] = {
    "session": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Session-ID",
        "description": "The session of somebody signed in. What it is, the host application decides.",
    },
    "bearer": {"type": "http", "scheme": "bearer", "description": "The same session as a bearer token."},
    "guest": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Guest-Token",
        "description": "A guest token: it proves an e-mail address.",
    },
}


def security_scheme(name: str) -> dict[str, str]:
    """Return what a framework's own security classes want to know of a scheme."""
    return {key: value for key, value in SECURITY_SCHEMES[name].items() if key in ("name", "description")}


_NOUNS: Final = {
    "payments": "Begin, confirm, collect, give up and read payments.",
    "refunds": "Give captured money back. Admins only.",
    "providers": "The accounts that payments can be made through.",
    "webhooks": "What providers tell us.",
    "webhook endpoints": "Whom we tell, and what became of it. Admins only.",
    "admin": "The merchant's own view. Admins only.",
    "health": "Whether payments can be taken.",
    "documents": "What this API says about itself.",
}
_ABOUT: Final = (
    "One API in front of payment providers. Amounts are integers in the minor unit of their currency. "
    "Unknown fields are ignored, null means absent. An answer whose `outcome` is `unknown` is not a failure: "
    "the instruction may have been executed and is being looked up, so it must not be given again."
)


def openapi(routes: Sequence[Route], *, prefix: str = "") -> dict[str, Any]:
    """Return the document of *routes*, mounted at *prefix*."""
    routes = [route for route in routes if route.listed]
    references, definitions = _schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route, method, path in operations(routes):
        paths.setdefault(path, {})[method.lower()] = operation(route, method, path, references)
    nouns = list(dict.fromkeys(route.noun for route in routes))
    return {
        "openapi": "3.1.0",
        "info": {"title": "Bridge Payments API", "version": release(), "description": _ABOUT},
        "servers": [{"url": prefix or "/"}],
        "tags": [{"name": noun, "description": _NOUNS.get(noun, noun)} for noun in nouns],
        "paths": paths,
        "components": {"schemas": definitions, "securitySchemes": dict(SECURITY_SCHEMES)},
    }


def operations(routes: Iterable[Route]) -> Iterator[tuple[Route, str, str]]:
    """Yield every (route, method, path) that is served, aliases included."""
    for route in routes:
        for path in (route.path, *route.aliases):
            for method in route.methods:
                yield route, method, path


def operation_id(route: Route, method: str, path: str) -> str:
    """Return an id that is unique in the document: the handler's name for the first spelling."""
    name = route.operation_id
    if path != route.path:
        name += "_alias" + (str(route.aliases.index(path) + 1) if len(route.aliases) > 1 else "")
    return name if method == route.methods[0] else f"{name}_{method.lower()}"


def answer_model(route: Route) -> type[BaseModel] | None:
    """Return the shape of a route's whole answer, envelope included."""
    if route.returns is None or not route.wrapped:
        return route.returns
    return _enveloped(route.returns, route.many, route.beside)


def other_answers(route: Route) -> dict[int, tuple[type[BaseModel], str]]:
    """Return the shapes of a route's other answers by status, envelope included, and why they are given."""
    whole = answer_model(route)
    return {
        status: (whole, "There was one already.")
        if route.wrapped and other is route.returns and whole is not None
        else (other, "The same, and it is not well.")  # health is answered bare
        for status, other in route.also.items()
    }


@cache
def _enveloped(model: type[BaseModel], many: bool, beside: type[BaseModel] | None) -> type[BaseModel]:
    # A class of its own, because a document names a generic one Envelope_PaymentDetail_.
    base: Any = ListEnvelope if many else Envelope
    name = model.__name__.removesuffix("Out") + ("ListAnswer" if many else "Answer")
    bases: tuple[Any, ...] = (base[model],)
    if beside is not None:
        # The envelope last: what may be left out of it is what its own config says, and the last one counts.
        name, bases = (name if beside is model else f"{beside.__name__}Answer"), (beside, base[model])
    found: type[BaseModel] = create_model(name, __base__=bases, __doc__=base.__doc__)
    return found


def refusals(route: Route) -> dict[int, str]:
    """Return every status that a route may refuse with, and why."""
    errors: list[type[BridgeError]] = list(route.errors)
    if route.takes is not None or route.key is not Key.UNUSED or route.query:
        errors.append(ValidationFailed)
    if set(route.methods) & UNSAFE:
        errors.extend((InvalidRequest, PayloadTooLarge))
    if "{" in route.path:
        errors.append(NotFound)
    if route.access in (Access.SIGNED_IN, Access.ADMIN):
        errors.append(NotAuthenticated)
    if route.access is Access.ADMIN:
        errors.append(AccessDenied)
    if route.limited:  # whoever says who asks may be away, and everybody is counted
        errors.extend((RateLimited, Unavailable))
    reasons: dict[int, list[str]] = {}
    for error in errors:
        sentence = (error.__doc__ or "").strip().split("\n")[0]
        found = reasons.setdefault(status_of(error), [])
        if sentence not in found:
            found.append(sentence)
    return {status: " ".join(sentences) for status, sentences in sorted(reasons.items())}


def security(route: Route) -> list[dict[str, list[str]]]:
    """Return who may ask, as the document says it; an empty requirement is "nobody in particular"."""
    if route.access is Access.OPEN:
        return []
    named: list[dict[str, list[str]]] = [{"session": []}, {"bearer": []}]
    if route.access is not Access.ADMIN:
        named.append({"guest": []})
    return [*named, {}] if route.access is Access.ANYONE else named


def parameters(route: Route, path: str) -> list[dict[str, Any]]:
    """Return the parameters of one spelling of a route."""
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ]
    found.extend(
        {"name": one.name, "in": "query", "description": one.description, "schema": dict(one.schema)}
        for one in route.query
    )
    if route.key is not Key.UNUSED:
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": route.key is Key.REQUIRED,
                "description": "The same key and body get the same answer again, and never a second payment.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[\x21-\x7e]+$"},
            }
        )
    return found


def operation(
    route: Route, method: str, path: str, references: Mapping[type[BaseModel], Any]
) -> dict[str, Any]:
    """Return one operation."""
    found: dict[str, Any] = {
        "operationId": operation_id(route, method, path),
        "tags": [route.noun],
        "summary": route.summary,
        "parameters": parameters(route, path),
        "responses": _responses(route, references),
        "security": security(route),
    }
    if path != route.path:
        found["description"] = f"Another spelling of `{method} {route.path}`."
        found["deprecated"] = True
    elif route.description:
        found["description"] = route.description
    if route.raw:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": {}}}}
    elif route.takes is not None:
        found["requestBody"] = {
            "required": needs_a_body(route),
            "content": {"application/json": {"schema": references[route.takes]}},
        }
    return found


def _responses(route: Route, references: Mapping[type[BaseModel], Any]) -> dict[str, Any]:
    model = answer_model(route)
    found: dict[str, Any] = {str(route.status): _content("As asked.", references[model] if model else {})}
    for status, (other, why) in other_answers(route).items():
        found[str(status)] = _content(why, references[other])
    for status, reason in refusals(route).items():
        if str(status) in found:  # health that is not well, or somebody else who is not
            schema = found[str(status)]["content"]["application/json"]["schema"]
            found[str(status)] = _content(reason, {"anyOf": [schema, references[Problem]]})
            continue
        found[str(status)] = {
            "description": reason,
            "content": {
                "application/json": {"schema": references[Problem], "example": _example(status, reason)}
            },
        }
    found["default"] = _content("Anything else that went wrong.", references[Problem])
    return found


def _example(status: int, reason: str) -> dict[str, Any]:
    return {
        "success": False,
        "error": reason.partition(".")[0].partition(";")[0],
        "message": reason,
        "details": reason,
        "status": status,
        "code": "error",
        "timestamp": "2026-01-15T10:30:00.000Z",
    }


def _content(description: str, schema: Any) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _schemas(routes: Sequence[Route]) -> tuple[dict[type[BaseModel], Any], dict[str, Any]]:
    taken = {route.takes for route in routes if route.takes is not None}
    answers = (model for route in routes for model in (answer_model(route), *route.also.values()))
    given = {model for model in answers if model is not None}
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        *((model, "validation") for model in sorted(taken, key=lambda model: model.__name__)),
        *((model, "serialization") for model in sorted(given | {Problem}, key=lambda model: model.__name__)),
    ]
    found, definitions = models_json_schema(wanted, ref_template=_REF)
    references: dict[Any, Any] = {model: reference for (model, _), reference in found.items()}
    if Document in references:  # a document describes itself badly: any object will do
        references[Document] = {"type": "object"}
    return references, definitions.get("$defs", {})


def needs_a_body(route: Route) -> bool:
    """Whether an empty body can not be right."""
    return route.takes is not None and any(field.is_required() for field in route.takes.model_fields.values())


class Shown:
    """Documents a body as a model and lets everything through: the route table reads it and words errors."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(
            lambda given, _: given, handler.generate_schema(self._model)
        )
