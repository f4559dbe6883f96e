"""Turn a request into a Principal: ask the host application first, then every other source in turn."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from anyio import to_thread

from ..errors import BridgeError, Unavailable
from ..messages import Request
from ..models import Principal, PrincipalKind

__all__ = ["AuthBridge", "Authenticator", "Heard", "Who"]

Answer = Principal | None
Who = Callable[[Request], Answer | Awaitable[Answer]]
"""The host application's own login. None and an anonymous Principal mean the same: nobody I know."""


class Authenticator(Protocol):
    """One source of identity."""

    async def identify(self, request: Request) -> Principal | None:
        """Return who asks, or None when the request carries nothing for this source.

        Raises: NotAuthenticated when it carries something invalid (routes that anybody may use then go
        on with an anonymous caller), Unavailable when whoever could say does not answer.
        """


@dataclass(frozen=True, slots=True)
class Heard:
    """What the host's plain function said in the thread of the request, before the hop to the event loop."""

    answer: Answer | Awaitable[Answer] = None
    error: Exception | None = None


class AuthBridge:
    """Says who asks. The first source that knows the caller is believed, the others are not asked.

    Without any source everybody is anonymous.
    """

    def __init__(self, who: Who | None = None, *, chain: Sequence[Authenticator] = ()) -> None:
        self._host = None if who is None else HostLogin(who)
        self._chain = tuple(chain)

    async def identify(self, request: Request, *, heard: Heard | None = None) -> Principal:
        """Return who sent *request*; `heard` is what `ask_here` brought from the request's own thread."""
        principal = None if self._host is None else await self._host.identify(request, heard=heard)
        for source in () if _known(principal) else self._chain:
            principal = await source.identify(request)
            if _known(principal):
                break
        if principal is None:
            return Principal.anonymous(peer=request.peer)
        return principal if principal.peer is not None else replace(principal, peer=request.peer)

    def ask_here(self, request: Request) -> Heard | None:
        """Ask the host's plain function in the calling thread, where Flask's session lives."""
        return None if self._host is None else self._host.ask_here(request)


class HostLogin:
    """The application's own function: plain ones run in a worker thread, coroutine functions are awaited."""

    def __init__(self, who: Who) -> None:
        self._who = who
        self._plain = not _is_coroutine_function(who)

    async def identify(self, request: Request, *, heard: Heard | None = None) -> Principal | None:
        try:
            return _checked(await self._ask(request, heard))
        except BridgeError:
            raise
        except OSError as error:  # ConnectionError, TimeoutError: its database or session store is away
            raise Unavailable("Authentication service unavailable") from error

    def ask_here(self, request: Request) -> Heard | None:
        if not self._plain:
            return None
        try:
            return Heard(answer=self._who(request))
        except Exception as error:  # noqa: BLE001 - raised again on the other side of the hop
            return Heard(error=error)

    async def _ask(self, request: Request, heard: Heard | None) -> Answer:
        if heard is not None:
            if heard.error is not None:
                raise heard.error
            answer = heard.answer
        elif self._plain:
            answer = await to_thread.run_sync(self._who, request)
        else:
            answer = self._who(request)
        return await answer if inspect.isawaitable(answer) else answer


def _checked(answer: object) -> Principal | None:
    if answer is None:
        return None
    if not isinstance(answer, Principal):
        raise TypeError(f"who() returns a Principal or None, not {type(answer).__name__}")
    if answer.kind is PrincipalKind.SYSTEM:
        # SYSTEM is code inside this process. Whoever came over HTTP and may do everything is an admin.
        raise TypeError("who() must not return the SYSTEM principal: use Principal.admin(id)")
    return answer


def _known(principal: Principal | None) -> bool:
    return principal is not None and not principal.is_anonymous


def _is_coroutine_function(function: Who) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object whose __call__ is `async def`
    )
