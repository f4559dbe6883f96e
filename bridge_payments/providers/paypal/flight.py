"""One call of the SDK on its way: from a worker thread through our transport and back."""

from __future__ import annotations

import asyncio
import contextvars
import json
import time
from collections.abc import Mapping
from concurrent.futures import Future
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Final

import requests
from requests.adapters import BaseAdapter

from ...errors import ProviderError, ProviderNeverSent, ProviderUnknown
from ...transport import Transport, never_sent
from .refusals import token_error_from

if TYPE_CHECKING:
    import httpx

__all__ = ["Adapter", "Flight", "json_of"]

_TOKEN_PATH: Final = "/v1/oauth2/token"

# It names the operating system and the SDK's version.
_TALKATIVE: Final = frozenset({"user-agent"})


class Flight:
    """What became of one call: of the request that was asked for, and of the token it may have needed."""

    current: ClassVar[contextvars.ContextVar[Flight]] = contextvars.ContextVar(
        "bridge_payments_paypal_flight"
    )

    def __init__(self, transport: Transport, deadline: float) -> None:
        self.answer: httpx.Response | None = None
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._ends = time.monotonic() + deadline
        self._over = False
        self._began = False
        self._failure: ProviderError | None = None
        self._token_answer: httpx.Response | None = None
        self._under_way: Future[httpx.Response] | None = None

    def carry(self, request: requests.PreparedRequest) -> httpx.Response:
        """Send one request of the SDK's and wait for its answer. Called in a worker thread."""
        exchange = self._exchange(request)
        try:
            self._under_way = asyncio.run_coroutine_threadsafe(exchange, self._loop)
        except RuntimeError:
            exchange.close()
            raise ProviderNeverSent("the event loop of this call is closed") from None
        # A loop that stopped without cancelling would keep this thread, and with it the process, for ever.
        return self._under_way.result(timeout=max(self._ends - time.monotonic(), 0.0) + 5.0)

    def abandon(self) -> None:
        """Nobody waits any more: what is on its way is cancelled, what is not never begins."""
        self._over = True
        if self._under_way is not None:
            self._under_way.cancel()

    def verdict(self) -> ProviderError:
        """Say what a call without an answer means."""
        if self._began:
            return self._failure or ProviderUnknown("No answer from PayPal before the deadline")
        if self._token_answer is not None:
            answered = self._token_answer
            return token_error_from(
                answered.status_code,
                json_of(answered)[0],
                request_id=answered.headers.get("paypal-debug-id"),
            )
        if self._failure is not None:
            return ProviderNeverSent(f"No access token from PayPal: {self._failure.message}")
        return ProviderNeverSent("The request was not sent: no thread or no token before the deadline")

    async def _exchange(self, request: requests.PreparedRequest) -> httpx.Response:
        left = self._ends - time.monotonic()
        if self._over or left <= 0:
            raise ProviderNeverSent("given up before it was sent")
        for_token = str(request.path_url).startswith(_TOKEN_PATH)
        self._began = self._began or not for_token
        body = request.body.encode() if isinstance(request.body, str) else request.body
        assert body is None or isinstance(body, bytes), "the SDK sends no streams"
        try:
            response = await self._transport.request(
                str(request.method),
                str(request.url),
                headers=_headers_of(request.headers),
                content=body,
                timeout=left,
            )
        except Exception as error:  # noqa: BLE001 - whatever went wrong, all that counts is whether a byte left
            kind = ProviderNeverSent if never_sent(error) else ProviderUnknown
            failure = self._failure = kind(f"No answer from PayPal: {type(error).__name__}")
        else:
            if for_token:
                self._token_answer = response
            else:
                self.answer = response
            return response
        # Raised here, not in the except block: the transport's error holds the request and its credentials.
        raise failure


class Adapter(BaseAdapter):
    """What the SDK's session sends through: the flight of the running call."""

    def __init__(self) -> None:
        super().__init__()
        self.max_retries: Any = SimpleNamespace(allowed_methods=[])  # the SDK writes to it

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        answered = Flight.current.get().carry(request)
        response = requests.Response()
        response.status_code = answered.status_code
        response.reason = answered.reason_phrase
        response.headers.update(
            {name: value for name, value in answered.headers.items() if name.lower() != "location"}
        )
        response._content = answered.content  # noqa: SLF001 - the one place for a body that was read already
        response.encoding = "utf-8"
        response.request = request
        response.url = request.url or ""
        return response

    def close(self) -> None:
        """The transport is its owner's to close."""


def _headers_of(headers: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value.decode("latin-1") if isinstance(value, bytes) else str(value)
        for name, value in headers.items()
        if name.lower() not in _TALKATIVE
    }


def json_of(response: httpx.Response) -> tuple[Any, bool]:
    try:
        return json.loads(response.content), True
    except (ValueError, RecursionError):
        return None, False
