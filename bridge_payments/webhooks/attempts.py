"""One attempt to tell: over HTTP to a subscriber, or by calling a function of the application."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Final

from ..errors import BridgeError
from ..models import Event
from ..transport import Transport, never_sent
from .endpoints import Endpoint, EndpointKind, Handler
from .formats import body_for_discord, body_for_slack
from .outcomes import Outcome, answered, failed
from .payloads import body_for
from .signing import key_of, sign

__all__ = ["call", "headers_for", "post"]

logger: logging.Logger = logging.getLogger(__name__)

_BODIES: Final[Mapping[EndpointKind | None, Callable[[Event], bytes]]] = {
    EndpointKind.GENERIC: body_for,
    EndpointKind.SLACK: body_for_slack,
    EndpointKind.DISCORD: body_for_discord,
}
_MAX_ANSWER_BYTES: Final = 2**20
"""Nobody reads the answer's body; a subscriber must not fill our memory with it."""
_USER_AGENT: Final = "Bridge-Payments/1.0"


async def post(endpoint: Endpoint, event: Event, *, transport: Transport, now: datetime) -> Outcome:
    """Send *event* to an address and judge the answer. Never raises for what a subscriber did."""
    assert endpoint.url is not None
    body = _BODIES[endpoint.kind](event)
    try:
        async with asyncio.timeout(endpoint.timeout_seconds):
            answer = await transport.request(
                "POST",
                endpoint.url,
                headers=headers_for(endpoint, event, body=body, now=now),
                content=body,
                timeout=endpoint.timeout_seconds,
                max_bytes=_MAX_ANSWER_BYTES,
            )
    except TimeoutError:
        return failed(f"no answer within {endpoint.timeout_seconds:g} s")
    except BridgeError as error:
        return failed(error.message)
    except Exception as error:  # noqa: BLE001 - whatever a transport raises is one failed attempt
        return failed(_what_failed(error))
    return answered(answer.status_code, answer.headers, now=now)


def _what_failed(error: Exception) -> str:
    """Name a failure by its class alone: a message may quote the address, which may be a credential."""
    from ..transport import AddressRefused  # brings the HTTP client, which a failure of it has loaded anyway

    if isinstance(error, AddressRefused):
        return "not sent: the address is not public"
    return f"{'not sent' if never_sent(error) else 'no answer'}: {type(error).__name__}"


def headers_for(endpoint: Endpoint, event: Event, *, body: bytes, now: datetime) -> dict[str, str]:
    """Return the headers of one attempt: same id for all attempts, the time and signature of this one."""
    headers = {"user-agent": _USER_AGENT}
    headers |= {name.lower(): value for name, value in endpoint.headers.items()}
    headers["content-type"] = "application/json"
    if endpoint.kind is EndpointKind.GENERIC:
        timestamp = int(now.timestamp())
        headers |= {
            "webhook-id": event.id,
            "webhook-timestamp": str(timestamp),
            "x-webhook-event": event.type,
        }
        if keys := [key_of(secret) for secret in endpoint.secrets]:
            headers["webhook-signature"] = sign(keys, message_id=event.id, timestamp=timestamp, body=body)
    return headers


async def call(endpoint: Endpoint, event: Event) -> Outcome:
    """Run the application's handler; whatever it raises is a failed attempt."""
    assert endpoint.handler is not None
    try:
        async with asyncio.timeout(endpoint.timeout_seconds) as limit:
            await _run(endpoint.handler, event, thread_name=f"webhook {endpoint.name}")
    except Exception as error:  # the handler is the application's code: it may raise anything
        if limit.expired():
            return failed(f"handler did not finish within {endpoint.timeout_seconds:g} s")
        logger.warning("webhook handler %s failed for event %s", endpoint.name, event.id, exc_info=True)
        return failed(f"handler raised {type(error).__name__}")
    return Outcome(delivered=True, retry=False)


async def _run(handler: Handler, event: Event, *, thread_name: str) -> None:
    if inspect.iscoroutinefunction(handler):
        await handler(event)
        return
    # A thread of its own: a handler that hangs takes no thread away from another one, and nothing
    # is shared with a process that forked.
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=thread_name)
    try:
        work = partial(contextvars.copy_context().run, handler, event)
        result = await asyncio.get_running_loop().run_in_executor(thread, work)
    finally:
        thread.shutdown(wait=False)
    if inspect.isawaitable(result):  # a partial, or an object whose __call__ is a coroutine function
        await result
