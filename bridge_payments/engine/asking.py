"""Ask the provider: one call, one total deadline, and every ending is an answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, cast

import tenacity

from ..errors import InvalidRequest, ProviderNeverSent, ProviderRejected, ProviderUnknown
from ..models import Operation, Verb
from ..providers.base import PaymentProvider, ProviderPayment, ProviderRefund, ProviderStatus, Step
from ..transport import sending_before
from .inputs import ProviderRequest, request_of
from .outcome import Answer

__all__ = ["CALL_DEADLINE", "LEASE_SECONDS", "ask"]

log = logging.getLogger(__name__)

CALL_DEADLINE: Final = 25.0
"""Seconds for one call to a provider, all in."""
LEASE_SECONDS: Final = 60.0
"""How long a sender owns its operation; longer than a call and its retries before the first byte."""

_NEVER_SENT_RETRY: Final = tenacity.AsyncRetrying(
    # Nothing left this process, so the same key and body may go again: the only retry without a look-up.
    retry=tenacity.retry_if_exception_type(ProviderNeverSent),
    stop=tenacity.stop_after_attempt(3),
    wait=tenacity.wait_exponential_jitter(multiplier=0.1, max=1.0, jitter=0.1),
    reraise=True,
)


async def ask(
    provider: PaymentProvider, operation: Operation, *, leased_at: float, repeat: bool = False
) -> Answer:
    """Send what the operation says. Raises nothing but the cancellation of its own loop.

    *leased_at* is the monotonic time before the lease was written: whoever was frozen since so long that
    the lease would not outlive the call hands the operation back unsent.
    """
    request = request_of(operation.verb, operation.inputs)
    step = Step(
        key=operation.id,
        reference=operation.reference,
        deadline=CALL_DEADLINE,
        repeat=repeat,
        api_version=operation.api_version,
    )

    async def send() -> ProviderPayment | ProviderRefund | None:
        last_moment = leased_at + LEASE_SECONDS - CALL_DEADLINE
        if time.monotonic() >= last_moment:
            return None
        with sending_before(last_moment):
            async with asyncio.timeout(CALL_DEADLINE + 1):
                return await _call(provider, operation.verb, request, step)

    try:
        answer: ProviderPayment | ProviderRefund | None = await _NEVER_SENT_RETRY.copy()(send)
    except ProviderNeverSent as error:
        return Answer(unsent=error)
    except ProviderRejected as error:
        return Answer(refused=error)
    except (ProviderUnknown, TimeoutError) as error:
        return Answer(lost=str(error) or "the provider did not answer in time")
    except InvalidRequest as error:
        # An adapter refuses inputs before it sends: the contract of PaymentProvider.
        return Answer(refused=ProviderRejected(error.message, provider_code=error.code))
    except Exception as error:
        # An adapter that fails in its own code may have sent: that is unknown, never failed.
        log.exception("%s of %s failed in the adapter", operation.verb, operation.provider_id)
        return Answer(lost=f"the adapter failed with {type(error).__name__}")
    if answer is None:
        return Answer(lost="handed back unsent: the lease would not have outlived the call")
    if isinstance(answer, ProviderRefund):
        return Answer(refund=answer)
    if not _keeps_contract(answer):
        # It answered, so it may have moved money; what it said cannot be read.
        log.error(
            "%s of %s answered with something else than its contract says",
            operation.verb,
            operation.provider_id,
        )
        return Answer(lost="the adapter's answer is not what its contract says")
    return Answer(payment=answer)


async def _call(
    provider: PaymentProvider, verb: Verb, request: ProviderRequest, step: Step
) -> ProviderPayment | ProviderRefund:
    # The verb is the method's name: a provider that claims a verb has the method.
    method = cast("Callable[..., Awaitable[ProviderPayment | ProviderRefund]]", getattr(provider, verb.value))
    return await method(request, step=step)


def _keeps_contract(answer: object) -> bool:
    """Whether an adapter, which may be anybody's, answered with what the engine can read."""
    return isinstance(answer, ProviderPayment) and isinstance(answer.status, ProviderStatus)
