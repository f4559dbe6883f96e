"""The SDK on our transport: one account, one key, no retries, no telemetry, no globals of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

import stripe
from stripe import _util as stripe_util

from ...errors import ProviderError, ProviderNeverSent, ProviderUnknown
from ...transport import Transport, never_sent
from .mapping import error_from, read_error_from

__all__ = ["Answer", "Client", "TransportClient"]

_log = logging.getLogger("bridge_payments.providers.stripe")

# With telemetry on, the SDK writes ~/.config/stripe/telemetry_id and sends it with every request
# (stripe 16.1.0, 2026-11). The switch exists per process only.
stripe.enable_telemetry = False

# At debug level the SDK prints every form and every answer, client secrets included, to the log and,
# with STRIPE_LOG=debug, to stderr (stripe 16.1.0, 2026-11). A filter outlives whoever sets the level.
stripe.log = None
stripe_util.STRIPE_LOG = None
logging.getLogger("stripe").addFilter(lambda record: record.levelno >= logging.WARNING)

_deadline: ContextVar[float | None] = ContextVar("bridge_payments_stripe_deadline", default=None)

# They carry the platform, the Python version and which assistant's variables the process has.
_TALKATIVE: Final = frozenset({"user-agent", "x-stripe-client-user-agent"})


@dataclass(frozen=True, slots=True)
class Answer:
    body: dict[str, Any] = field(repr=False)
    request_id: str | None = None


class TransportClient(stripe.HTTPClient):
    """What the SDK sends through: our transport, so that its deadline and its "never sent" are ours.

    The SDK's own httpx client belongs to one event loop, warns on every call and reports a
    programming error as a connection error (stripe 16.1.0, 2026-11).
    """

    name = "bridge_payments"

    def __init__(self, transport: Transport) -> None:
        super().__init__()
        self._transport = transport

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Any]:
        try:
            response = await self._transport.request(
                method.upper(),
                url,
                headers={name: value for name, value in headers.items() if name.lower() not in _TALKATIVE},
                content=post_data.encode() if isinstance(post_data, str) else post_data,
                timeout=_deadline.get(),
            )
        except Exception as error:  # noqa: BLE001 - whatever went wrong, all that counts is whether a byte left
            kind = ProviderNeverSent if never_sent(error) else ProviderUnknown
            failure = kind(f"No answer from Stripe: {type(error).__name__}")
        else:
            answered = response.headers.copy()
            if notice := answered.pop("stripe-notice", None):
                # The SDK makes a warning of it, and a warning may be an error.
                _log.info("Stripe notice: %s", notice[:300])
            return response.content, response.status_code, answered
        # Raised here, not in the except block: the transport's error holds the request and its credentials.
        raise failure

    def sleep_async(self, secs: float) -> Awaitable[None]:
        return asyncio.sleep(secs)

    async def close_async(self) -> None:
        """The transport is its owner's to close."""

    def close(self) -> None:
        """The transport is its owner's to close."""


class Client:
    def __init__(self, *, secret_key: str, api_base: str, api_version: str, transport: Transport) -> None:
        self._sdk = stripe.StripeClient(
            secret_key,
            http_client=TransportClient(transport),
            max_network_retries=0,
            base_addresses={"api": api_base},
            stripe_version=api_version,
        )

    def __repr__(self) -> str:
        return "Client(…)"

    async def write(
        self,
        call: Callable[[stripe.StripeClient], Awaitable[Any]],
        *,
        deadline: float,
        repeat: bool,
    ) -> Answer:
        """Make one call that may move money. Raises what `error_from` makes of a refusal."""
        token = _deadline.set(deadline)
        try:
            return await self._send(
                call,
                lambda status, error, request: error_from(status, error, request_id=request, repeat=repeat),
            )
        finally:
            _deadline.reset(token)

    async def read(self, call: Callable[[stripe.StripeClient], Awaitable[Any]]) -> Answer:
        """Make one call that moves nothing. Raises ProviderNotFound, ProviderUnknown, ProviderNeverSent."""
        return await self._send(
            call, lambda status, error, request: read_error_from(status, error, request_id=request)
        )

    async def _send(
        self,
        call: Callable[[stripe.StripeClient], Awaitable[Any]],
        judge: Callable[[int | None, Mapping[str, Any] | None, str | None], ProviderError],
    ) -> Answer:
        try:
            answered = await call(self._sdk)
            return Answer(answered.to_dict(), answered.last_response.request_id)
        except ProviderError:
            raise
        except stripe.StripeError as error:
            failure = judge(error.http_status, _error_of(error), error.request_id)
        except Exception as error:  # noqa: BLE001 - the SDK stumbled over an answer: it may have been executed
            failure = ProviderUnknown(f"Unreadable answer from Stripe: {type(error).__name__}")
        # Raised here, not in the except block: the SDK's errors hold the whole body, client secrets included.
        raise failure


def _error_of(error: stripe.StripeError) -> Mapping[str, Any] | None:
    body = error.json_body
    said = body.get("error") if isinstance(body, Mapping) else None
    return said if isinstance(said, Mapping) else None
