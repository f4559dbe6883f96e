"""
The SDK on our transport: it writes the requests and keeps the token, we send and read.

The SDK is synchronous, so each call of it runs in a thread of a bounded pool that is ours. The
bytes travel in the caller's event loop all the same: an adapter under the SDK's session hands every
request to our transport and waits. So there is one total deadline, a call that was given up is
cancelled or never begins, and "never sent" is proved and not guessed.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from ...errors import ProviderError, ProviderUnknown
from ...transport import Transport
from .flight import Flight, json_of
from .refusals import error_from, read_error_from
from .sdk import Workshop

__all__ = ["Answer", "Client"]

_VERIFY_PATH: Final = "/v1/notifications/verify-webhook-signature"

T = TypeVar("T")
Judge = Callable[[int, Any, str | None], ProviderError]


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx of PayPal's: its object, or None for an answer without a body (204)."""

    status: int
    body: dict[str, Any] | None = field(repr=False)
    request_id: str | None = None

    def read(self, reading: Callable[[dict[str, Any]], T]) -> T:
        """Read the object. Raises ProviderUnknown: what cannot be read may still have moved money."""
        failure: ProviderUnknown
        try:
            if self.body is None:
                raise ValueError("an answer without an object")
            return reading(self.body)
        except Exception as error:  # noqa: BLE001 - an answer of any shape may come back, and all of them are unknown
            failure = ProviderUnknown(
                f"Unreadable answer from PayPal: {type(error).__name__}", request_id=self.request_id
            )
        raise failure


class Client:
    """One account: its credentials, its token, its threads."""

    def __init__(
        self, *, client_id: str, client_secret: str, live: bool, api_base: str, transport: Transport
    ) -> None:
        self._credentials = (client_id, client_secret)
        self._live = live
        self._base = api_base.rstrip("/")
        self._transport = transport
        self._made: Workshop | None = None

    def __repr__(self) -> str:
        return "Client(…)"

    def close(self) -> None:
        made, self._made = self._made, None
        if made is not None:
            made.pool.shutdown(wait=False, cancel_futures=True)

    async def write(
        self,
        call: Callable[[Any], object],
        *,
        deadline: float,
        repeat: bool,
        order: str | None = None,
        instrument: bool = False,
    ) -> Answer:
        """Make one call that changes something. Raises what `error_from` makes of a refusal."""
        return await self._ask(
            lambda shop: call(shop.sdk), deadline, _judge(repeat=repeat, order=order, instrument=instrument)
        )

    async def post(self, path: str, body: object, *, key: str, deadline: float, repeat: bool) -> Answer:
        """Make something that the SDK has no call for, under *key*. Raises as `write`."""
        content = json.dumps(body).encode()
        headers = {"PayPal-Request-Id": key, "Prefer": "return=representation"}
        return await self._ask(
            lambda shop: shop.send("POST", path, content, headers), deadline, _judge(repeat=repeat)
        )

    async def get(self, path: str, *, deadline: float) -> Answer:
        """Read something that the SDK has no call for. Raises as `read`."""
        return await self._read(lambda shop: shop.send("GET", path), deadline)

    async def read(self, call: Callable[[Any], object], *, deadline: float) -> Answer:
        """Make one call that moves nothing. Raises ProviderNotFound, ProviderUnknown, ProviderNeverSent."""
        return await self._read(lambda shop: call(shop.sdk), deadline)

    async def verify(self, content: bytes, *, deadline: float) -> Answer:
        """Ask PayPal whether it signed; the SDK has no such call. Raises as `read`."""
        return await self._read(lambda shop: shop.send("POST", _VERIFY_PATH, content), deadline)

    async def _read(self, call: Callable[[Workshop], object], deadline: float) -> Answer:
        def judge(status: int, body: Any, request: str | None) -> ProviderError:
            return read_error_from(status, body, request_id=request)

        try:
            return await self._ask(call, deadline, judge)
        except ProviderUnknown as error:
            if error.http_status != 401:
                raise
        # The token was revoked before its time; the next one is new, and a read may be asked again.
        return await self._ask(call, deadline, judge)

    async def _ask(
        self,
        call: Callable[[Workshop], object],
        deadline: float,
        judge: Judge,
    ) -> Answer:
        shop = self._workshop()
        flight = await self._fly(shop, call, deadline)
        response = flight.answer
        if response is None:
            raise flight.verdict()
        body, readable = json_of(response)
        request_id = response.headers.get("paypal-debug-id")
        if not 200 <= response.status_code < 300:
            if response.status_code == 401:
                shop.tokens.forget()
            raise judge(response.status_code, body, request_id)
        if response.status_code == 204 or not response.content:
            return Answer(response.status_code, None, request_id)
        if not readable or not isinstance(body, dict):
            raise ProviderUnknown(
                "Unreadable answer from PayPal", http_status=response.status_code, request_id=request_id
            )
        return Answer(response.status_code, body, request_id)

    async def _fly(self, shop: Workshop, call: Callable[[Workshop], object], deadline: float) -> Flight:
        flight = Flight(self._transport, deadline)
        context = contextvars.copy_context()
        context.run(Flight.current.set, flight)
        loop = asyncio.get_running_loop()
        try:
            # The transport keeps the deadline; this one is for what waits for a thread or for a token.
            async with asyncio.timeout(deadline + 0.5):
                await loop.run_in_executor(shop.pool, context.run, _quietly, call, shop)
        except TimeoutError:
            pass
        finally:
            flight.abandon()
        return flight

    def _workshop(self) -> Workshop:
        """Return this process's own: a parent's threads are gone here, and its lock may be held."""
        if self._made is None or self._made.pid != os.getpid():
            self._made = Workshop(self._credentials, live=self._live, base=self._base)
        return self._made


def _judge(*, repeat: bool, order: str | None = None, instrument: bool = False) -> Judge:
    def judge(status: int, body: Any, request: str | None) -> ProviderError:
        return error_from(status, body, request_id=request, repeat=repeat, order=order, instrument=instrument)

    return judge


def _quietly(call: Callable[[Workshop], object], shop: Workshop) -> None:
    """Make the call; the flight knows what came of it.

    The SDK's errors hold the request with its token, fail when they are printed and do not exist for a
    200 with a page of HTML (paypal-server-sdk 2.4.0, 2026-11): none of them is looked at.
    """
    try:
        call(shop)
    except Exception:  # noqa: BLE001 - see above
        return
