"""Keeps every exchange with a provider that passes the transport during a test session, and judges it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bridge_payments.transport import Transport

from .exchanges import Exchange

__all__ = ["Recorder"]

_SECRET_HEADERS = frozenset({"authorization"})
_PAYPAL = re.compile(
    r"/v2/(checkout/orders|payments)\b|/v1/(oauth2/token|notifications/verify-webhook-signature)$"
    r"|/v3/vault/|/v1/(billing|catalogs|customer/disputes)\b"
)
_TOKEN = "/v1/oauth2/token"


def _service_of(url: str, headers: dict[str, str]) -> str | None:
    if "stripe-version" in headers:
        return "Stripe"
    try:
        path = urlsplit(url).path
    except ValueError:  # a URL that leads nowhere leads to no service
        return None
    return "PayPal" if _PAYPAL.search(path) else None


class Recorder:
    def __init__(self, specs: Path | None) -> None:
        self.exchanges: list[Exchange] = []
        self.foreign: set[str] = set()
        """Addresses whose answers somebody else wrote: what we send there is judged, what they say is not."""
        self.judged = 0
        self.answers_judged: Counter[str] = Counter()
        self._specs = specs
        self._original: Any = None
        self._stripe: Any = None
        self._paypal: Any = None

    def install(self) -> None:
        """Listen at `Transport.request`: below it there are only bytes, above it every adapter."""
        original = self._original = Transport.request
        recorder = self

        async def request(self: Transport, method: str, url: str, **more: Any) -> Any:
            headers = {name.lower(): value for name, value in (more.get("headers") or {}).items()}
            service = _service_of(url, headers)
            if service is None:
                return await original(self, method, url, **more)
            sent = {
                "service": service,
                "method": method,
                "url": url,
                "headers": {name: value for name, value in headers.items() if name not in _SECRET_HEADERS},
                "content": more.get("content") or b"",
            }
            try:
                response = await original(self, method, url, **more)
            except BaseException:
                recorder.exchanges.append(Exchange(**sent))
                raise
            recorder.exchanges.append(
                Exchange(
                    **sent,
                    status=response.status_code,
                    answered=dict(response.headers),
                    answer=b"" if url.endswith(_TOKEN) else response.content,
                )
            )
            return response

        Transport.request = request  # type: ignore[method-assign] # this is the recorder

    def uninstall(self) -> None:
        Transport.request = self._original  # type: ignore[method-assign] # and this takes it out again

    def judge(self) -> list[str]:
        """Judge what was recorded since the last time; return what is wrong, one line each."""
        fresh = self.exchanges[self.judged :]
        self.judged = len(self.exchanges)
        return [
            f"not what {exchange.service} publishes: {exchange}: {problem}"
            for exchange in fresh
            for problem in self._problems(exchange)
        ]

    def of(self, service: str) -> list[Exchange]:
        return [exchange for exchange in self.exchanges if exchange.service == service]

    def _problems(self, exchange: Exchange) -> list[str]:
        if self._specs is None:
            return []
        judge = self._judge_of(exchange.service)
        problems: list[str] = []
        if exchange.service == "Stripe":
            from . import sdk_params

            problems += [
                f"request, by the SDK's types: {each}" for each in sdk_params.request_problems(exchange)
            ]
            if exchange.method == "POST" and not exchange.headers.get("idempotency-key"):
                problems.append("a POST without an idempotency key")
        problems += [f"request, by OpenAPI: {each}" for each in judge.request_problems(exchange)]
        if exchange.claims_to_be_real and not exchange.url.startswith(tuple(self.foreign)):
            self.answers_judged[exchange.service] += 1
            problems += [f"answer, by OpenAPI: {each}" for each in judge.answer_problems(exchange)]
        return problems

    def _judge_of(self, service: str) -> Any:
        assert self._specs is not None
        if service == "Stripe":
            from .openapi import StripeOpenApi

            self._stripe = self._stripe or StripeOpenApi(self._specs)
            return self._stripe
        from .paypal import PayPalDescriptions

        self._paypal = self._paypal or PayPalDescriptions(self._specs)
        return self._paypal
