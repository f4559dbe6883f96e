"""Stripe's OpenAPI description as a judge: enums and shapes of requests, and every answer of a fake."""

from __future__ import annotations

import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from .exchanges import Exchange

__all__ = ["OpenApi", "StripeOpenApi"]

_URN = "urn:spec"
# Newer than the one description, and cut out of the other: the SDK's types judge what is sent.
_NEITHER_HAS = re.compile(r"/v1/confirmation_tokens/[^/]+")
_FORM = "application/x-www-form-urlencoded"


def as_draft4(schema: Any) -> Any:
    """Say OpenAPI 3.0's ``nullable`` in the words of JSON Schema; it stands beside `anyOf` without a type."""
    if isinstance(schema, list):
        return [as_draft4(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    converted = {name: as_draft4(each) for name, each in schema.items()}
    if isinstance(converted.get("$ref"), str):
        # Absolute, so that any part of the document can be held up by itself.
        converted["$ref"] = f"{_URN}{converted['$ref']}"
    if converted.pop("nullable", None) is True and "$ref" not in converted:
        if isinstance(converted.get("enum"), list):
            converted["enum"] = [*converted["enum"], None]
        return {"anyOf": [converted, {"type": "null"}]}
    return converted


class OpenApi:
    """One description file."""

    def __init__(self, path: Path) -> None:
        self._document = as_draft4(json.loads(path.read_text()))
        resource = Resource(contents=self._document, specification=DRAFT4)
        self._registry: Registry[Any] = Registry().with_resource(_URN, resource)
        self._paths = [
            (re.compile(re.sub(r"\{[^}]+\}", "[^/]+", template) + "$"), methods)
            for template, methods in self._document["paths"].items()
        ]

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        for pattern, methods in self._paths:
            if pattern.match(path) and method.lower() in methods:
                found: dict[str, Any] = methods[method.lower()]
                return found
        return None

    def request_problems(self, operation: dict[str, Any], exchange: Exchange) -> list[str]:
        schema = self._request_schema(operation, exchange.method)
        return self._problems(schema, self._typed(exchange.sent, schema))

    def answer_problems(self, operation: dict[str, Any], exchange: Exchange) -> list[str]:
        responses = operation["responses"]
        response = responses.get(str(exchange.status)) or responses["default"]
        try:
            body = exchange.body
        except ValueError:
            return ["the answer is not JSON"]
        return self._problems(response["content"]["application/json"]["schema"], body)

    def object_problems(self, noun: str, value: Any) -> list[str]:
        """Hold one object against the schema of its noun, ``payment_intent`` for instance."""
        return self._problems({"$ref": f"{_URN}#/components/schemas/{noun}"}, value)

    def problems(self, schema: dict[str, Any], value: Any) -> list[str]:
        """Hold a value against any part of this description."""
        return self._problems(schema, value)

    def resolved(self, part: dict[str, Any]) -> dict[str, Any]:
        """Follow a reference of this description, if *part* is one."""
        while "$ref" in part:
            found: Any = self._document
            for name in part["$ref"].partition("#/")[2].split("/"):
                found = found[name.replace("~1", "/").replace("~0", "~")]
            part = found
        return part

    @property
    def title(self) -> str:
        info = self._document["info"]
        return f"{info['title']} {info['version']}"

    def knows(self, noun: str) -> bool:
        return noun in self._document["components"]["schemas"]

    def _request_schema(self, operation: dict[str, Any], method: str) -> dict[str, Any]:
        if method == "POST":
            content = (operation.get("requestBody") or {}).get("content") or {}
            schema: dict[str, Any] = content.get(_FORM, {}).get("schema") or {}
            return schema
        queries = [each for each in operation.get("parameters", []) if each["in"] == "query"]
        schema = {
            "type": "object",
            "properties": {each["name"]: each["schema"] for each in queries},
            "additionalProperties": False,
        }
        required = [each["name"] for each in queries if each.get("required")]
        return {**schema, "required": required} if required else schema  # draft 4 takes no empty list

    def _problems(self, schema: dict[str, Any], value: Any) -> list[str]:
        return [
            f"{'/'.join(map(str, error.absolute_path)) or 'the whole'}: {error.message[:200]}"
            for error in self._validator(schema).iter_errors(value)
        ]

    def _validator(self, schema: dict[str, Any]) -> Draft4Validator:
        return Draft4Validator(schema, registry=self._registry)

    def _typed(self, value: Any, schema: dict[str, Any]) -> Any:
        """Give the strings of a form the types that the schema wants."""
        if "$ref" in schema:
            schema = self._document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
        for alternative in schema.get("anyOf", []):
            typed = self._typed(value, alternative)
            if self._validator(alternative).is_valid(typed):
                return typed
        if isinstance(value, dict):
            known = schema.get("properties") or {}
            others = schema.get("additionalProperties")
            others = others if isinstance(others, dict) else {}
            return {name: self._typed(each, known.get(name, others)) for name, each in value.items()}
        if isinstance(value, list):
            return [self._typed(each, schema.get("items") or {}) for each in value]
        return _scalar(value, schema.get("type"))


class StripeOpenApi:
    """The newest description, and for the paths that it lacks the last complete one."""

    def __init__(self, specs: Path) -> None:
        self._specs = specs / "stripe"

    @cached_property
    def newest(self) -> OpenApi:
        return OpenApi(self._specs / "spec3-2026-07-29.subset.json")

    @cached_property
    def complete(self) -> OpenApi:
        return OpenApi(self._specs / "spec3-2023-09-12.trimmed.json")

    def request_problems(self, exchange: Exchange) -> list[str]:
        """Judge a request. What an older description does not name may be newer: the SDK's types know."""
        if operation := self.newest.operation(exchange.method, exchange.path):
            return self.newest.request_problems(operation, exchange)
        if operation := self.complete.operation(exchange.method, exchange.path):
            problems = self.complete.request_problems(operation, exchange)
            return [problem for problem in problems if "Additional properties" not in problem]
        if _NEITHER_HAS.fullmatch(exchange.path):
            return []
        return [f"Stripe has no {exchange.method} {exchange.path}"]

    def answer_problems(self, exchange: Exchange) -> list[str]:
        """Judge an answer. Only the newest description judges objects; an older one has lost its time."""
        if operation := self.newest.operation(exchange.method, exchange.path):
            return self.newest.answer_problems(operation, exchange)
        try:
            body = exchange.body
        except ValueError:
            return ["the answer is not JSON"]
        if not isinstance(body, dict):
            return ["the answer is not an object"]
        if exchange.status is not None and exchange.status >= 400:
            return self.newest.object_problems("error", body)
        noun = body.get("object")
        if noun == "confirmation_token":
            return self._fields_missing(noun, body)
        if body.get("deleted") is True:
            noun = f"deleted_{noun}"
        if noun == "list":
            return [
                problem
                for each in body.get("data", [])
                if self.newest.knows(each.get("object", ""))
                for problem in self.newest.object_problems(each["object"], each)
            ]
        if not isinstance(noun, str) or not self.newest.knows(noun):
            return [f"the answer is no object of Stripe's: {noun!r}"]
        return self.newest.object_problems(noun, body)

    def _fields_missing(self, noun: str, body: dict[str, Any]) -> list[str]:
        """Hold an object against the published example, where no description at hand has its schema."""
        example = json.loads((self._specs / "fixtures3-2026-07-29.json").read_text())["resources"][noun]
        return [f"{name} is not in Stripe's example, or only there" for name in sorted({*example} ^ {*body})]


def _scalar(value: Any, wanted: object) -> Any:
    if not isinstance(value, str):
        return value
    if wanted == "integer" and re.fullmatch(r"-?\d+", value):
        return int(value)
    if wanted == "number":
        try:
            return float(value)
        except ValueError:
            return value
    if wanted == "boolean" and value in ("true", "false"):
        return value == "true"
    return value
