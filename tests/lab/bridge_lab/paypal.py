"""PayPal's own descriptions as a judge: every request we send it, and every answer of a fake.

Two generations: the complete one of 2024-02 (orders 2.13, payments 2.5, webhooks), and what there is of the
newest (orders 2.32, payments 2.12). Their schemas forbid no unknown names, so those are looked for here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .exchanges import Exchange
from .openapi import OpenApi

__all__ = ["PayPalDescriptions"]

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_KEYLESS = frozenset({"/v1/oauth2/token", "/v1/notifications/verify-webhook-signature"})
_TOKEN = "/v1/oauth2/token"


class PayPalDescriptions:
    def __init__(self, specs: Path) -> None:
        self._specs = specs / "paypal"

    @cached_property
    def complete(self) -> OpenApi:
        return OpenApi(self._specs / "prism_merged.json")

    @cached_property
    def newest(self) -> list[OpenApi]:
        return [
            OpenApi(self._specs / "checkout_orders_v2.32.subset.json"),
            OpenApi(self._specs / "payments_payment_v2.12.subset.json"),
        ]

    def request_problems(self, exchange: Exchange) -> list[str]:
        """Judge a request by every description that has its path."""
        operation = self.complete.operation(exchange.method, exchange.path)
        if operation is None:
            return [f"PayPal has no {exchange.method} {exchange.path}"]
        problems = [] if exchange.method == "GET" else self._body_problems(self.complete, operation, exchange)
        for description in self.newest:
            newer = description.operation(exchange.method, exchange.path)
            if newer is not None and exchange.method != "GET":
                problems += self._body_problems(description, newer, exchange)
        if exchange.method == "GET" and urlsplit(exchange.url).query:
            problems.append("a query, where none of our reads has one")
        if (
            exchange.method == "POST"
            and exchange.path not in _KEYLESS
            and not exchange.headers.get("paypal-request-id")
        ):
            problems.append("a POST without a PayPal-Request-Id")
        return problems

    def answer_problems(self, exchange: Exchange) -> list[str]:
        """Judge an answer by the newest description that has its path."""
        if exchange.path == _TOKEN:
            return []
        described = [*self.newest, self.complete]
        found = next(
            (
                (each, operation)
                for each in described
                if (operation := each.operation(exchange.method, exchange.path)) is not None
            ),
            None,
        )
        if found is None:
            return [f"PayPal has no {exchange.method} {exchange.path}"]
        description, operation = found
        response = operation["responses"].get(str(exchange.status))
        if response is None:
            # 429 is described in prose only, and every error has one shape.
            return [] if exchange.status == 429 else [f"PayPal does not answer with {exchange.status}"]
        response = description.resolved(response)
        if not response.get("content"):
            return [] if not exchange.answer else ["an answer without a body has one"]
        try:
            body = exchange.body
        except ValueError:
            return ["the answer is not JSON"]
        return description.problems(response["content"][_JSON]["schema"], body)

    def object_problems(self, noun: str, value: Any) -> list[str]:
        """Hold one object against the newest schema of its noun, ``order`` for instance."""
        for description in self.newest:
            if description.knows(noun):
                return description.object_problems(noun, value)
        raise LookupError(noun)

    def _body_problems(
        self, description: OpenApi, operation: dict[str, Any], exchange: Exchange
    ) -> list[str]:
        content = (operation.get("requestBody") or {}).get("content") or {}
        if exchange.path == _TOKEN:
            form = dict(parse_qsl(exchange.content.decode()))
            return description.problems(content[_FORM]["schema"], form)
        if not content:
            return [] if not exchange.content else ["a body, where none is taken"]
        schema = content[_JSON]["schema"]
        try:
            body = json.loads(exchange.content)
        except ValueError:
            return ["the request is not JSON"]
        version = description.title
        return [
            f"{version}: {problem}"
            for problem in (*description.problems(schema, body), *_unknown_names(description, schema, body))
        ]


def _unknown_names(description: OpenApi, schema: dict[str, Any], value: Any, at: str = "") -> Iterator[str]:
    """Find names that no part of the schema has, at any depth; what is not described is let be."""
    parts = list(_parts(description, schema))
    if isinstance(value, list):
        for number, item in enumerate(value):
            for part in parts:
                if "items" in part:
                    yield from _unknown_names(description, part["items"], item, f"{at}/{number}")
                    break
    if not isinstance(value, dict):
        return
    known: dict[str, list[dict[str, Any]]] = {}
    for part in parts:
        for name, inner in (part.get("properties") or {}).items():
            known.setdefault(name, []).append(inner)
    if not known:
        return
    for name, inner in value.items():
        if name not in known:
            yield f"{at}/{name}: an unknown name"
        else:
            yield from _unknown_names(description, {"allOf": known[name]}, inner, f"{at}/{name}")


def _parts(description: OpenApi, schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    schema = description.resolved(schema)
    yield schema
    for word in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(word, []):
            yield from _parts(description, part)
