"""PayPal's own descriptions as a judge: every request we send it, and every answer of a fake.

Two generations: the complete one of 2024-02 (orders 2.13, payments 2.5, vault 3.1, subscriptions,
products, disputes, webhooks), and what there is of the newest (orders 2.32, payments 2.12). They forbid no
unknown names, so those are looked for here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from .exchanges import Exchange
from .openapi import OpenApi

__all__ = ["PayPalDescriptions"]

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_KEYLESS = frozenset({"/v1/oauth2/token", "/v1/notifications/verify-webhook-signature"})
_TOKEN = "/v1/oauth2/token"
_STATES = re.compile(r"/v1/billing/subscriptions/[^/]+/(suspend|activate|cancel)")
"""Calls that PayPal takes no request id for: they ask for a state."""

_AT_ODDS = re.compile(r"payment_source/(card|paypal|venmo)/attributes/vault: ")
"""Of what an order keeps, orders 2.32 forbids the customer in one part and describes it in the next; real
orders have it."""

_BASE64 = re.compile(r"transmission_sig: '[+/][A-Za-z0-9+/]{20}")
"""One signature in 32 begins with a sign of base64's that its pattern does not foresee. It goes back to
PayPal as it came (2026-11)."""

_LIST = ("GET", "/v1/billing/subscriptions")
"""Newer than these descriptions, too (2026-11, paypal-server-sdk 2.4.0, list_subscriptions)."""

_NEWER = (
    # What PayPal's documentation has and these descriptions do not: a set-up token as what is kept, and the
    # merchant's own number of a customer (2026-11, paypal-server-sdk 2.4.0, VaultTokenRequestType, and
    # https://developer.paypal.com/sdk/vault/v2/definitions/setup_token_request).
    ("/v3/vault/payment-tokens", "'SETUP_TOKEN' is not one of ['BILLING_AGREEMENT']"),
    ("/v3/vault/setup-tokens", "/customer/merchant_customer_id: an unknown name"),
)


class PayPalDescriptions:
    def __init__(self, specs: Path) -> None:
        self._specs = specs / "paypal"

    @cached_property
    def complete(self) -> OpenApi:
        return OpenApi(self._specs / "prism_merged.json")

    @cached_property
    def disputes(self) -> OpenApi:
        return OpenApi(self._specs / "customer_disputes_v1.json")

    def _described(self, exchange: Exchange) -> tuple[OpenApi, dict[str, Any]] | None:
        for description in (self.complete, self.disputes):
            if operation := description.operation(exchange.method, exchange.path):
                return description, operation
        return None

    @cached_property
    def newest(self) -> list[OpenApi]:
        return [
            OpenApi(self._specs / "checkout_orders_v2.32.subset.json"),
            OpenApi(self._specs / "payments_payment_v2.12.subset.json"),
        ]

    def request_problems(self, exchange: Exchange) -> list[str]:
        """Judge a request by every description that has its path."""
        if (exchange.method, exchange.path) == _LIST:
            return []
        described = self._described(exchange)
        if described is None:
            return [f"PayPal has no {exchange.method} {exchange.path}"]
        complete, operation = described
        problems = [*self._query_problems(complete, operation, exchange)]
        if exchange.method != "GET":
            problems += self._body_problems(complete, operation, exchange)
        for description in self.newest:
            newer = description.operation(exchange.method, exchange.path)
            if newer is not None and exchange.method != "GET":
                problems += self._body_problems(description, newer, exchange)
        if (
            exchange.method == "POST"
            and exchange.path not in _KEYLESS
            and not _STATES.fullmatch(exchange.path)
            and not exchange.headers.get("paypal-request-id")
        ):
            problems.append("a POST without a PayPal-Request-Id")
        return problems

    def answer_problems(self, exchange: Exchange) -> list[str]:
        """Judge an answer by the newest description that has its path."""
        if exchange.path == _TOKEN or (exchange.method, exchange.path) == _LIST:
            return []
        described = [*self.newest, self.complete, self.disputes]
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
            # 401 and 429 are described in prose for every call (2026-11,
            # https://developer.paypal.com/api/rest/responses/), and every error has one shape.
            return [] if exchange.status in (401, 429) else [f"PayPal does not answer with {exchange.status}"]
        response = description.resolved(response)
        if not response.get("content"):
            return [] if not exchange.answer else ["an answer without a body has one"]
        try:
            body = exchange.body
        except ValueError:
            return ["the answer is not JSON"]
        problems = description.problems(response["content"][_JSON]["schema"], body)
        return [problem for problem in problems if not _AT_ODDS.match(problem)]

    def object_problems(self, noun: str, value: Any) -> list[str]:
        """Hold one object against the newest schema of its noun, ``order`` for instance."""
        for description in self.newest:
            if description.knows(noun):
                return description.object_problems(noun, value)
        raise LookupError(noun)

    def _query_problems(
        self, description: OpenApi, operation: dict[str, Any], exchange: Exchange
    ) -> Iterator[str]:
        """Look at the names in the query: each has to be known, and the required ones there."""
        given = parse_qs(urlsplit(exchange.url).query)
        known = [description.resolved(each) for each in operation.get("parameters", [])]
        queried = {each["name"]: each for each in known if each["in"] == "query"}
        for name in given.keys() - queried.keys():
            yield f"{name}: a query that PayPal does not have here"
        for name, each in queried.items():
            if each.get("required") and name not in given:
                yield f"{name}: a query that PayPal wants here"

    def _body_problems(
        self, description: OpenApi, operation: dict[str, Any], exchange: Exchange
    ) -> list[str]:
        content = description.resolved(operation.get("requestBody") or {}).get("content") or {}
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
            if not any(exchange.path == path and words in problem for path, words in _NEWER)
            and not _BASE64.match(problem)
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
