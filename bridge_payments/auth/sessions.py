"""Flowless as a source of identity: what it said is remembered for a while, and asked again in time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from ..caching import Cache, CacheStats
from ..errors import NotAuthenticated, Unavailable
from ..messages import Request
from ..models import Clock, Principal, PrincipalKind, utc_now
from ..telemetry import note
from .binding import Binding
from .credentials import Carriers, Credential, CredentialKind, Surroundings
from .flowless import Flowless, Identity
from .guesses import Guesses

__all__ = ["FlowlessLogin", "SourceHealth", "principal_of"]

_log: Final = logging.getLogger(__name__)

_NEGATIVE_TTL: Final = 10.0
"""Seconds for which a credential that was refused is not asked about again."""
_HEALTH_TTL: Final = 10.0
_PAUSE: Final = 15.0
"""Seconds until a refresh that failed is tried again; until its lifetime ends the entry is believed."""
_FOREVER: Final = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceHealth:
    """Whether a source of identity answers."""

    healthy: bool
    latency_ms: float
    error: str | None
    """What kind of failure; never an address or a credential."""


@dataclass(slots=True)
class _Known:
    """A credential that was good. *checked* is when the question was sent: the answer is not younger."""

    principal: Principal
    checked: float
    expires: float
    refresh_at: float
    first: Surroundings


class FlowlessLogin:
    """Sessions and guest tokens of Flowless.

    A remembered credential costs a hash and a look-up. When it is older than *refresh_after* the next request
    asks again and waits for the answer, at most *patience* seconds: when Flowless is slow or away, what is
    remembered is believed until its lifetime ends. `max_age` is different: there nothing older is believed.
    """

    def __init__(
        self,
        flowless: Flowless,
        *,
        carriers: Carriers | None = None,
        binding: Binding | None = None,
        admin_types: Iterable[str] = ("admin",),
        session_ttl: float = 300.0,
        guest_ttl: float = 3600.0,
        refresh_after: float = 180.0,
        max_entries: int = 10_000,
        guesses: Guesses | None = None,
        patience: float = 1.0,
        timer: Callable[[], float] = time.monotonic,
        clock: Clock = utc_now,
    ) -> None:
        self.flowless = flowless
        self._carriers = carriers or Carriers()
        self._binding = binding or Binding()
        self._admin_types = frozenset(admin_types)
        self._guesses = guesses
        self._patience = patience
        self._timer = timer
        self._clock = clock
        self._refresh_after = {CredentialKind.SESSION: refresh_after, CredentialKind.GUEST: _FOREVER}

        def remembering(ttl: float) -> Cache[bytes, _Known]:
            return Cache(
                max_entries=max_entries, ttl=lambda known: min(ttl, known.expires - timer()), timer=timer
            )

        self._known: Mapping[CredentialKind, Cache[bytes, _Known]] = {
            CredentialKind.SESSION: remembering(session_ttl),
            CredentialKind.GUEST: remembering(guest_ttl),
        }
        self._health: Cache[None, SourceHealth] = Cache(max_entries=1, ttl=_HEALTH_TTL, timer=timer)
        # Apart from the good ones: strangers who make up sessions cannot push real ones out.
        self._refused: Cache[bytes, bool] = Cache(
            max_entries=max_entries, ttl=min(_NEGATIVE_TTL, session_ttl), timer=timer
        )

    async def health(self) -> SourceHealth:
        """Say whether Flowless is there; asked at most every ten seconds, however many monitors there are."""
        return await self._health.get(None, self._look)

    async def _look(self) -> SourceHealth:
        began = self._timer()
        why = await self.flowless.health()
        return SourceHealth(
            healthy=why is None, latency_ms=round((self._timer() - began) * 1000, 1), error=why
        )

    async def identify(self, request: Request, *, max_age: float | None = None) -> Principal | None:
        """Return whose credential *request* carries, checked at Flowless at most *max_age* seconds ago.

        Raises: NotAuthenticated, NotAskedAbout (too many from there were refused), Unavailable.
        """
        credential = self._carriers.find(request)
        if credential is None:
            return None
        cache, key = self._known[credential.kind], credential.key
        known = cache.hit(key)
        note(cache_hit=known is not None)
        if known is None:
            if self._refused.hit(key):
                raise _invalid(credential)
            if self._guesses is not None:
                self._guesses.check(request.peer)
            known = await cache.get(key, partial(self._validate, credential, request))
        self._check(known, credential, request)
        now = self._timer()
        if max_age is not None and now - known.checked > max_age:
            known = await self._recent(credential, request, max_age)
        elif now >= known.refresh_at:
            known = await self._refreshed(known, credential, request)
        principal = known.principal
        return principal if principal.peer == request.peer else replace(principal, peer=request.peer)

    def forget(self, value: str) -> None:
        """Forget a session or a guest token, as when its owner signed out: its next use asks Flowless."""
        for kind, cache in self._known.items():
            key = Credential(kind, value).key
            cache.drop(key)
            self._refused.drop(key)

    def clear(self) -> None:
        """Forget every credential."""
        for cache in self._known.values():
            cache.clear()
        self._refused.clear()

    def stats(self) -> Mapping[str, CacheStats]:
        """Counters of each cache."""
        found = {f"{kind}s": cache.stats for kind, cache in self._known.items()}
        return {**found, "refused": self._refused.stats}

    # --- asking -----------------------------------------------------------------------------------

    async def _validate(self, credential: Credential, request: Request) -> _Known:
        began, at = self._timer(), self._clock()
        seen = Surroundings.of(request)
        cache, key = self._known[credential.kind], credential.key
        before = cache.peek(key)
        identity = await self.flowless.ask(credential, seen)
        if identity is None:
            cache.drop(key)
            self._refused.put(key, True)
            if self._guesses is not None:
                self._guesses.count(request.peer)
            raise _invalid(credential)
        self._refused.drop(key)
        expires = _FOREVER
        if identity.expires_at is not None:
            expires = began + (identity.expires_at - at).total_seconds()
        principal = replace(
            principal_of(identity, credential.kind, self._admin_types), validated_at=at, peer=request.peer
        )
        return _Known(
            principal=principal,
            checked=began,
            expires=expires,
            refresh_at=began + self._refresh_after[credential.kind],
            # A session stays bound to where it was first seen, however often it is asked about.
            first=before.first if before is not None else seen,
        )

    async def _recent(self, credential: Credential, request: Request, max_age: float) -> _Known:
        cache, key = self._known[credential.kind], credential.key
        for _ in range(2):  # the first may have joined a call that began before this request did
            known = await cache.renew(key, partial(self._validate, credential, request))
            if self._timer() - known.checked <= max_age:
                return known
        raise Unavailable("Authentication service unavailable")

    async def _refreshed(self, known: _Known, credential: Credential, request: Request) -> _Known:
        # Said first: while one request waits for the answer, the others go on.
        known.refresh_at = self._timer() + _PAUSE
        cache = self._known[credential.kind]
        try:
            async with asyncio.timeout(self._patience):
                return await cache.renew(credential.key, partial(self._validate, credential, request))
        except (TimeoutError, Unavailable):
            return known

    # --- where it is used -------------------------------------------------------------------------

    def _check(self, known: _Known, credential: Credential, request: Request) -> None:
        binding = self._binding
        if binding.mode == "DISABLED" or (binding.mode == "STANDARD" and known.first.ip == request.peer):
            return  # what the default mode looks at, without building what it does not
        violations = binding.violations(known.first, Surroundings.of(request))
        if not violations:
            return
        if binding.log:
            _log.warning("%s is used from elsewhere: %s", credential.name, ", ".join(violations))
        if binding.ends(violations):
            self._known[credential.kind].drop(credential.key)
        if binding.denies(violations):
            raise NotAuthenticated(f"Session validation failed: {', '.join(violations)}")


def principal_of(identity: Identity, kind: CredentialKind, admin_types: frozenset[str]) -> Principal:
    """Return who that is to us: a guest is an e-mail address, everybody else an id."""
    if kind is CredentialKind.GUEST:
        assert identity.email is not None
        return Principal.guest(identity.email, name=identity.name)
    admin = identity.user_type in admin_types
    return Principal(
        kind=PrincipalKind.ADMIN if admin else PrincipalKind.USER,
        id=identity.id,
        email=identity.email,
        email_verified=identity.is_verified,
        name=identity.name,
        user_type=identity.user_type,
        organization_id=identity.organization_id,
    )


def _invalid(credential: Credential) -> NotAuthenticated:
    session = credential.kind is CredentialKind.SESSION
    return NotAuthenticated("Invalid or expired session" if session else "Invalid or expired token")
