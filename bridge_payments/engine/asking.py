"""Ask the provider: one call, one total deadline, and every ending is an answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final, cast

import tenacity

from ..errors import InvalidRequest, ProviderNeverSent, ProviderRejected, ProviderUnknown, StoreError
from ..models import Operation, PaymentMethodStatus, SubscriptionStatus, Verb
from ..providers.base import (
    PaymentProvider,
    ProviderCustomer,
    ProviderMethod,
    ProviderPayment,
    ProviderRefund,
    ProviderStatus,
    ProviderSubscription,
    Step,
)
from ..providers.contract.declines import Unrecognised
from ..stores.base import Store
from ..transport import sending_before
from .inputs import ProviderRequest, request_of
from .outcome import Answer

__all__ = ["CALL_DEADLINE", "LEASE_SECONDS", "OUR_NOTE", "REPEATED_NOTE", "Calls", "ask", "finished_calls"]

log: logging.Logger = logging.getLogger(__name__)

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


OUR_NOTE: Final = "-"
"""What our own notes in `Operation.steps` begin with, as no name of a call does."""
REPEATED_NOTE: Final = f"{OUR_NOTE}repeated"
"""The name in `Operation.steps` of when reconciliation sent it last."""


def finished_calls(operation: Operation) -> dict[str, Any]:
    """Return what the finished calls of this verb came to, by their name."""
    return {name: result for name, result in operation.steps.items() if not name.startswith(OUR_NOTE)}


class Calls:
    """The calls of one verb: what each came to is stored under the sender's lease before the next begins."""

    def __init__(self, store: Store, operation: Operation) -> None:
        self._store = store
        self.operation: Operation = operation
        """As it is stored by now: whoever records its outcome goes on from here."""
        self.results: dict[str, Any] = finished_calls(operation)

    async def keep(self, name: str, result: Any) -> None:
        """Store the result of one call. Raises ProviderUnknown where that cannot be: no call may follow."""
        changed = replace(self.operation, steps={**self.operation.steps, name: result})
        try:
            kept = await self._store.run(
                lambda unit: unit.operations.save(changed, token=self.operation.lease_token)
            )
        except StoreError:
            raise ProviderUnknown(f"the result of the call {name!r} could not be stored") from None
        if not kept:
            raise ProviderUnknown(f"somebody else took the operation over during the call {name!r}")
        self.operation = changed
        self.results[name] = result


async def ask(
    provider: PaymentProvider,
    operation: Operation,
    *,
    calls: Calls,
    leased_at: float,
    repeat: bool = False,
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
        results=calls.results,
        keep=calls.keep,
    )

    async def send() -> ProviderAnswer | None:
        last_moment = leased_at + LEASE_SECONDS - CALL_DEADLINE
        if time.monotonic() >= last_moment:
            return None
        with sending_before(last_moment):
            async with asyncio.timeout(CALL_DEADLINE + 1):
                return await _call(provider, operation.verb, request, step)

    try:
        answer: ProviderAnswer | None = await _NEVER_SENT_RETRY.copy()(send)
    except ProviderNeverSent as error:
        if calls.results:
            # An earlier call of this verb was executed: what is left of it is for reconciliation to finish.
            why = f"interrupted after {', '.join(calls.results)}: {error}"
            return Answer(lost=why, unsure=error)
        return Answer(unsent=error)
    except ProviderRejected as error:
        return Answer(refused=error)
    except ProviderUnknown as error:
        return Answer(lost=str(error), unsure=error)
    except TimeoutError:
        return Answer(lost="the provider did not answer in time")
    except InvalidRequest as error:
        # An adapter refuses inputs before it sends: the contract of PaymentProvider.
        return Answer(refused=ProviderRejected(error.message, provider_code=error.code))
    except Exception as error:
        # An adapter that fails in its own code may have sent: that is unknown, never failed.
        log.exception("%s of %s failed in the adapter", operation.verb, operation.provider_id)
        return Answer(lost=f"the adapter failed with {type(error).__name__}")
    if answer is None:
        return Answer(lost="handed back unsent: the lease would not have outlived the call")
    if not _keeps_contract(operation.verb, answer):
        # It answered, so it may have moved money; what it said cannot be read.
        log.error(
            "%s of %s answered with something else than its contract says",
            operation.verb,
            operation.provider_id,
        )
        return Answer(lost="the adapter's answer is not what its contract says")
    return _told(answer)


ProviderAnswer = ProviderPayment | ProviderRefund | ProviderCustomer | ProviderMethod | ProviderSubscription

_ANSWERS: Final[Mapping[Verb, type[ProviderAnswer]]] = {
    Verb.REFUND: ProviderRefund,
    **dict.fromkeys((Verb.CREATE_CUSTOMER, Verb.UPDATE_CUSTOMER, Verb.DELETE_CUSTOMER), ProviderCustomer),
    **dict.fromkeys(
        (Verb.CREATE_METHOD, Verb.CONFIRM_METHOD, Verb.UPDATE_METHOD, Verb.DELETE_METHOD), ProviderMethod
    ),
    **dict.fromkeys(
        (
            Verb.CREATE_SUBSCRIPTION,
            Verb.UPDATE_SUBSCRIPTION,
            Verb.CANCEL_SUBSCRIPTION,
            Verb.PAUSE_SUBSCRIPTION,
            Verb.RESUME_SUBSCRIPTION,
        ),
        ProviderSubscription,
    ),
}


async def _call(
    provider: PaymentProvider, verb: Verb, request: ProviderRequest, step: Step
) -> ProviderAnswer:
    # The verb is the method's name: a provider that claims a verb has the method.
    method = cast("Callable[..., Awaitable[ProviderAnswer]]", getattr(provider, verb.value))
    return await method(request, step=step)


def _keeps_contract(verb: Verb, answer: object) -> bool:
    """Whether an adapter, which may be anybody's, answered with what the engine can read."""
    if not isinstance(answer, _ANSWERS.get(verb, ProviderPayment)):
        return False
    match answer:
        case ProviderPayment(status=status):
            return isinstance(status, ProviderStatus)
        case ProviderSubscription(status=status):
            return isinstance(status, SubscriptionStatus | Unrecognised)
        case ProviderMethod(status=status):
            return isinstance(status, PaymentMethodStatus)
        case _:
            return True


def _told(answer: ProviderAnswer) -> Answer:
    match answer:
        case ProviderPayment():
            return Answer(payment=answer)
        case ProviderRefund():
            return Answer(refund=answer)
        case ProviderCustomer():
            return Answer(customer=answer)
        case ProviderMethod():
            return Answer(method=answer)
        case ProviderSubscription():
            return Answer(subscription=answer)
