"""What a subclass says about its provider, and the loop in which each promise is tried on a new desk."""

from __future__ import annotations

import asyncio
import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Concatenate, Final, ParamSpec, TypeVar

import pytest

from ...models import Money, MovableClock, Verb
from ...providers.base import PaymentProvider, ProviderPayment
from ...transport import Transport
from .desk import Desk, new_engine
from .gateway import GatewayControl, NotChecked
from .survey import stubs_of
from .wire import Wire

__all__ = ["LIST_OF_STUBS", "Promises", "on_a_desk"]

LIST_OF_STUBS: Final = "test_nothing_is_left_to_write"
"""The one test that runs while something is not written yet; the others are skipped and point to it."""

T = TypeVar("T", bound="Promises")
P = ParamSpec("P")


class Promises(ABC):
    """What a subclass says about its provider."""

    amount: ClassVar[Money] = Money(2000, "USD")
    """What the tests pay with: an account of one currency names its own."""
    several_captures: ClassVar[Mapping[str, Any]] = {}
    """What `extra` says when a payment is going to be captured more than once, where that has to be said."""
    free_text: ClassVar[str] = "note"
    """A field of the gateway's events that may hold any text, or one that it does not know."""
    pays_at_once: ClassVar[bool | None] = None
    """A payment is begun and paid in one call; by default so where the provider cannot confirm."""

    stubs: ClassVar[list[str]]
    """What is not written yet, found once per class."""
    clock: MovableClock
    """The clock of this test: a gateway that signs or forgets by time may use it."""
    gateway: GatewayControl
    """What `make_gateway` made for this test."""

    @abstractmethod
    def make_gateway(self) -> GatewayControl:
        """Return a gateway that listens and remembers nothing. Called once per test, first."""

    @abstractmethod
    def make_provider(self, transport: Transport) -> PaymentProvider:
        """Return the provider, with credentials that `self.gateway` accepts.

        *transport* leads every host to the gateway's `url`.
        """

    def recorded_answers(self) -> Mapping[str, Callable[[], ProviderPayment]]:
        """Return answers of the real service by name, each read by the provider's own mapping when called."""
        raise NotChecked("recorded_answers: no answer of the real service was recorded")


def on_a_desk(
    test: Callable[Concatenate[T, Desk, P], Awaitable[None]],
) -> Callable[Concatenate[T, P], None]:
    """Try *test* on a new desk. What cannot be checked is skipped by name; what is not written is named."""

    def run(self: T, /, *args: P.args, **kwargs: P.kwargs) -> None:
        if test.__name__ != LIST_OF_STUBS and (stubs := _stubs(self)):
            pytest.skip(f"not checked: {len(stubs)} things are not written yet, see {LIST_OF_STUBS}")
        missing: list[str] = []
        with _hearing_of_stubs(missing):
            try:
                asyncio.run(_at_a_desk(self, lambda desk: test(self, desk, *args, **kwargs)))
            except NotChecked as reason:
                pytest.skip(f"not checked: {reason}")
            except NotImplementedError as stub:
                missing.append(str(stub))
            except Exception:
                # The engine takes an adapter that fails in its own code for an unknown outcome.
                if not missing:
                    raise
        if missing:
            pytest.fail(f"missing: {missing[0]}", pytrace=False)

    # Not functools.wraps: pytest would look through it and take `desk` for a fixture.
    run.__name__, run.__qualname__, run.__doc__ = test.__name__, test.__qualname__, test.__doc__
    signature = inspect.signature(test)
    own = [parameter for name, parameter in signature.parameters.items() if name != "desk"]
    run.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]
    return run


async def _at_a_desk(self: Promises, work: Callable[[Desk], Awaitable[None]]) -> None:
    self.clock = MovableClock()
    self.gateway = self.make_gateway()
    wire = Wire(self.gateway.url)
    try:
        provider = self.make_provider(wire)
        at_once = self.pays_at_once
        desk = Desk(
            provider=provider,
            gateway=self.gateway,
            wire=wire,
            clock=self.clock,
            engine=new_engine(provider, self.clock, wire),
            amount=self.amount,
            at_once=not provider.supports(Verb.CONFIRM) if at_once is None else at_once,
            several_captures=self.several_captures,
        )
        try:
            await work(desk)
        finally:
            await desk.engine.aclose()
    finally:
        await wire.aclose()
        self.gateway.close()


def _stubs(self: Promises) -> list[str]:
    """Look once per class for what is not written yet."""
    known: list[str] | None = vars(type(self)).get("stubs")
    if known is None:
        known = []

        async def look(desk: Desk) -> None:
            known.extend(await stubs_of(desk))

        try:
            asyncio.run(_at_a_desk(self, look))
        except NotImplementedError as stub:
            known.append(str(stub))
        type(self).stubs = known
    return known


class _Listener(logging.Handler):
    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, NotImplementedError):
            self.found.append(str(error))


@contextmanager
def _hearing_of_stubs(found: list[str]) -> Iterator[None]:
    """Hear of methods that are not written yet, where the engine swallows that they are not."""
    handler, logger = _Listener(found), logging.getLogger("bridge_payments.engine")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
