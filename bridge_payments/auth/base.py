"""Turn a request into a Principal: ask the host application first, then every other source in turn."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, Self, TypeGuard, runtime_checkable

from anyio import to_thread

from ..caching import CacheStats
from ..errors import BridgeError, NotAuthenticated, Unavailable
from ..messages import Request
from ..models import Clock, Principal, PrincipalKind, utc_now

if TYPE_CHECKING:
    from ..settings import Settings
    from ..transport import Transport
    from .sessions import SourceHealth

__all__ = ["AuthBridge", "Authenticator", "Heard", "Who"]

Answer = Principal | None
Who = Callable[[Request], Answer | Awaitable[Answer]]
"""The host application's own login. None and an anonymous Principal mean the same: nobody I know."""


class Authenticator(Protocol):
    """One source of identity."""

    async def identify(self, request: Request, *, max_age: float | None = None) -> Principal | None:
        """Return who asks, or None when the request carries nothing for this source.

        With *max_age* the credential was checked at its issuer at most that many seconds ago.

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

    Without any source everybody is anonymous. `from_settings` builds the sources that an environment names.
    """

    def __init__(
        self, who: Who | None = None, *, chain: Sequence[Authenticator] = (), clock: Clock = utc_now
    ) -> None:
        self._host = None if who is None else HostLogin(who)
        self._chain = tuple(chain)
        self._clock = clock
        self._transport: Transport | None = None

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        *,
        who: Who | None = None,
        clock: Clock = utc_now,
        timer: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Build what *settings* name: signed tokens (`jwt_jwks_url`), Flowless (`flowless_api_url`).

        *who* is the host's own login; it is asked first.

        Raises: ConfigurationError naming what is missing, MissingExtra.
        """
        from .building import sources  # the sources bring the transport, which a callable does not need

        chain, transport = sources(settings, clock=clock, timer=timer)
        bridge = cls(who, chain=chain, clock=clock)
        bridge._transport = transport
        return bridge

    async def identify(
        self, request: Request, *, heard: Heard | None = None, max_age: float | None = None
    ) -> Principal:
        """Return who sent *request*; `heard` is what `ask_here` brought from the request's own thread.

        With *max_age* nobody is believed whose credential was last checked longer ago than that. The host's
        own function is asked at every request, so its answer is a fresh one unless it says otherwise
        (`validated_at`).

        Raises: NotAuthenticated, Unavailable.
        """
        principal = None if self._host is None else await self._host.identify(request, heard=heard)
        if _known(principal):
            self._check_age(principal, max_age)
        else:
            for source in self._chain:
                principal = await source.identify(request, max_age=max_age)
                if _known(principal):
                    break
        if principal is None:
            return Principal.anonymous(peer=request.peer)
        return principal if principal.peer is not None else replace(principal, peer=request.peer)

    async def recheck(self, request: Request, principal: Principal, max_age: float) -> Principal:
        """Return who sent *request*, checked at most *max_age* seconds ago; `identify` said *principal*.

        What the host's own function said a moment ago is not asked again.
        """
        at = principal.validated_at
        if at is None or (self._clock() - at).total_seconds() <= max_age:
            return principal
        for source in self._chain:
            again = await source.identify(request, max_age=max_age)
            if _known(again):
                return again if again.peer is not None else replace(again, peer=request.peer)
        raise NotAuthenticated("This needs a session that was validated more recently")

    async def guest_beside(self, request: Request, *, max_age: float | None = None) -> Principal | None:
        """Return the guest whose token came with *request* beside a session; None without a valid one.

        Raises: Unavailable.
        """
        token = request.header("x-guest-token", "")
        if not token:
            return None
        alone = replace(request, headers={"x-guest-token": token}, query={})
        for source in self._chain:
            try:
                found = await source.identify(alone, max_age=max_age)
            except NotAuthenticated:
                return None
            if _known(found):
                return found if found.kind is PrincipalKind.GUEST else None
        return None

    def ask_here(self, request: Request) -> Heard | None:
        """Ask the host's plain function in the calling thread, where Flask's session lives."""
        return None if self._host is None else self._host.ask_here(request)

    # --- what is remembered -------------------------------------------------------------------------

    def stats(self) -> Mapping[str, CacheStats]:
        """Counters of every cache of every source."""
        found: dict[str, CacheStats] = {}
        for source in self._chain:
            found.update(source.stats() if isinstance(source, Remembering) else {})
        return found

    def clear(self) -> None:
        """Forget every remembered credential: the next use of each is checked anew."""
        for source in self._chain:
            if isinstance(source, Remembering):
                source.clear()

    def forget_credential(self, value: str) -> None:
        """Forget one session or guest token, as when its owner signs out."""
        for source in self._chain:
            if isinstance(source, Remembering):
                source.forget(value)

    async def health(self) -> SourceHealth | None:
        """Say whether the service that knows sessions answers; None where there is none to ask."""
        for source in self._chain:
            if isinstance(source, Checkable):
                return await source.health()
        return None

    async def aclose(self) -> None:
        """Close the connections that were opened to ask."""
        if self._transport is not None:
            await self._transport.aclose()

    def forget(self) -> None:
        """In a forked child: drop the parent's connections without closing them."""
        if self._transport is not None:
            self._transport.forget()

    def _check_age(self, principal: Principal, max_age: float | None) -> None:
        if max_age is None or principal.validated_at is None:
            return
        if (self._clock() - principal.validated_at).total_seconds() > max_age:
            raise NotAuthenticated("This needs a session that was validated more recently")


@runtime_checkable
class Checkable(Protocol):
    """A source that can say whether its service answers."""

    async def health(self) -> SourceHealth: ...


@runtime_checkable
class Remembering(Protocol):
    """A source with caches."""

    def stats(self) -> Mapping[str, CacheStats]: ...

    def clear(self) -> None: ...

    def forget(self, value: str) -> None: ...


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


def _known(principal: Principal | None) -> TypeGuard[Principal]:
    return principal is not None and not principal.is_anonymous


def _is_coroutine_function(function: Who) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object whose __call__ is `async def`
    )
