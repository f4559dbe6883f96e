"""What is not written yet: the stubs of a provider and of its gateway, by what they say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from ...models import Verb
from .desk import Desk, a_delivery, a_payment
from .http import HttpGateway
from .questions import NOUN_VERBS, any_request

__all__ = ["stubs_of"]


async def stubs_of(desk: Desk) -> list[str]:
    """Call everything once, and return what the NotImplementedErrors say, each once."""
    found: list[str] = []
    for attempt in _attempts(desk):
        try:
            await attempt()
        except NotImplementedError as stub:
            found.append(str(stub))
        except Exception:  # noqa: BLE001, S112 - whatever else it says, it is written
            continue
    if isinstance(desk.gateway, HttpGateway):
        failures, desk.gateway.failures = desk.gateway.failures, []
        found += [str(stub) for stub in failures if isinstance(stub, NotImplementedError)]
    return list(dict.fromkeys(found))


def _attempts(desk: Desk) -> Iterator[Callable[[], Awaitable[object]]]:
    provider, gateway, payment = desk.provider, desk.gateway, a_payment()
    yield lambda: provider.create_payment_intent(desk.intent_request(), step=desk.step())
    yield lambda: provider.sync_payment_status("x_1")
    yield lambda: provider.read_webhook(a_delivery(b"{}", {}))
    yield lambda: provider.read_webhook(desk.delivery(b"{}"))
    for verb in Verb:
        if verb in NOUN_VERBS and desk.can(verb):
            yield partial(getattr(provider, verb.value), any_request(verb), step=desk.step())
        elif verb is not Verb.CREATE and desk.can(verb):
            yield partial(desk.call_of(verb, payment), desk.step())
    for look in (gateway.charges, gateway.refunds, gateway.requests, gateway.events):
        yield partial(_looked, look)


async def _looked(look: Callable[[], object]) -> None:
    look()
