"""Keeps every exchange with Stripe that passes the transport during a test session, and judges it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bridge_payments.transport import Transport

from .exchanges import Exchange

__all__ = ["Recorder"]

_SECRET_HEADERS = frozenset({"authorization"})


class Recorder:
    def __init__(self, specs: Path | None) -> None:
        self.exchanges: list[Exchange] = []
        self.foreign: set[str] = set()
        """Addresses whose answers somebody else wrote: what we send there is judged, what they say is not."""
        self.judged = 0
        self.answers_judged = 0
        self._specs = specs
        self._original: Any = None
        self._openapi: Any = None

    def install(self) -> None:
        """Listen at `Transport.request`: below it there are only bytes, above it every adapter."""
        original = self._original = Transport.request
        recorder = self

        async def request(self: Transport, method: str, url: str, **more: Any) -> Any:
            headers = {name.lower(): value for name, value in (more.get("headers") or {}).items()}
            if "stripe-version" not in headers:
                return await original(self, method, url, **more)
            sent = {
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
                    answer=response.content,
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
        return [f"{exchange}: {problem}" for exchange in fresh for problem in self._problems(exchange)]

    def _problems(self, exchange: Exchange) -> list[str]:
        if self._specs is None:
            return []
        from . import sdk_params
        from .openapi import StripeOpenApi

        self._openapi = self._openapi or StripeOpenApi(self._specs)
        problems = [f"request, by the SDK's types: {each}" for each in sdk_params.request_problems(exchange)]
        problems += [f"request, by OpenAPI: {each}" for each in self._openapi.request_problems(exchange)]
        if exchange.method == "POST" and not exchange.headers.get("idempotency-key"):
            problems.append("a POST without an idempotency key")
        if exchange.claims_to_be_stripe and not exchange.url.startswith(tuple(self.foreign)):
            self.answers_judged += 1
            problems += [f"answer, by OpenAPI: {each}" for each in self._openapi.answer_problems(exchange)]
        return problems
