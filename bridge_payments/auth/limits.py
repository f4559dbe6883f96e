"""How often somebody may ask: a count per caller and window, in this process or shared through Redis."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import ipaddress
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from cachetools import TTLCache

from ..errors import MissingExtra, RateLimited
from ..models import Principal, PrincipalKind, email_key

if TYPE_CHECKING:
    from ..settings import Settings

__all__ = [
    "Counters",
    "FailedConfirms",
    "Limits",
    "MemoryCounters",
    "Quota",
    "RedisCounters",
    "counters_from",
    "network_of",
]

_log: Final = logging.getLogger(__name__)

_MOST_KEYS: Final = 100_000
_PATIENCE: Final = 0.25
"""Seconds that a request waits for Redis before this instance's own count has to do."""
_PAUSE: Final = 5.0
"""Seconds for which Redis is left alone after it failed."""


class Counters(Protocol):
    """Counts in windows that begin at multiples of their length, so that every instance has the same ones."""

    async def add(self, name: str, window: float, amount: int = 1) -> int:
        """Count *amount* for *name* in the present window and return the sum; 0 only asks, -1 takes back."""

    async def aclose(self) -> None: ...

    def forget(self) -> None:
        """In a forked child: drop the parent's connections."""


class MemoryCounters:
    """Counts of this process. When there are too many names, those not heard of for longest are forgotten."""

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._counts: dict[float, TTLCache[str, int]] = {}

    def count(self, name: str, window: float, amount: int = 1) -> int:
        """Do what `add` does, without anything to wait for."""
        counts = self._counts.get(window)
        if counts is None:
            counts = self._counts[window] = TTLCache(_MOST_KEYS, ttl=window, timer=self._now)
        name = f"{name}:{int(self._now() // window)}"
        total = counts.get(name, 0) + amount
        if amount:
            counts[name] = total
        return total

    async def add(self, name: str, window: float, amount: int = 1) -> int:
        return self.count(name, window, amount)

    async def aclose(self) -> None: ...

    def forget(self) -> None: ...


class RedisCounters:
    """Counts that every instance on one Redis shares. While it is away each instance enforces its own."""

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "bridge-payments:limit:",
        patience: float = _PATIENCE,
        now: Callable[[], float] = time.time,
    ) -> None:
        if importlib.util.find_spec("redis") is None:
            raise MissingExtra("redis", needed_for="RATE_LIMIT_STORE=redis")
        self._url = url
        self._prefix = prefix
        self._patience = patience
        self._now = now
        self._own = MemoryCounters(now=now)
        self._clients: dict[asyncio.AbstractEventLoop, Any] = {}
        self._away_until = 0.0
        self._away = False

    async def add(self, name: str, window: float, amount: int = 1) -> int:
        own = self._own.count(name, window, amount)
        if time.monotonic() < self._away_until:
            return own
        try:
            client = self._client()  # the first one imports the package, which is not Redis's fault
            async with asyncio.timeout(self._patience):
                shared = await self._shared(client, name, window, amount)
        except Exception as error:  # noqa: BLE001 - a limit that cannot be shared must not stop a payment
            if not self._away:
                _log.warning("limits are not shared: Redis does not answer (%s)", type(error).__name__)
            self._away, self._away_until = True, time.monotonic() + _PAUSE
            return own
        if self._away:
            self._away = False
            _log.info("limits are shared again")
        # What was counted here while Redis was away is not in its sum.
        return max(shared, own)

    async def _shared(self, client: Any, name: str, window: float, amount: int) -> int:
        key = f"{self._prefix}{name}:{int(self._now() // window)}"
        if not amount:
            return int(await client.get(key) or 0)
        async with client.pipeline(transaction=False) as both:
            both.incrby(key, amount)
            both.expire(key, int(window) + 1)
            return int((await both.execute())[0])

    def _client(self) -> Any:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            from redis.asyncio import Redis

            client = self._clients[loop] = Redis.from_url(
                self._url, socket_timeout=self._patience, socket_connect_timeout=self._patience
            )
        return client

    async def aclose(self) -> None:
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def forget(self) -> None:
        # Kept, not closed: the parent still uses the sockets.
        self._forgotten = self._clients
        self._clients = {}


def counters_from(settings: Settings) -> Counters:
    """Return what *settings* name. Raises ConfigurationError, MissingExtra."""
    if settings.rate_limit_store == "memory":
        return MemoryCounters()
    settings.require("redis_url")
    assert settings.redis_url is not None
    return RedisCounters(settings.redis_url.get_secret_value())


# --- requests ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left of somebody's requests in this window."""

    limit: int
    used: int
    resets_at: int
    """Seconds since 1970."""
    now: float
    counted_as: str = ""

    @property
    def remaining(self) -> int:
        return max(self.limit - self.used, 0)

    @property
    def exceeded(self) -> bool:
        return self.used > self.limit

    @property
    def retry_after(self) -> int:
        return max(int(self.resets_at - self.now), 1)


PER_WINDOW: Final[Mapping[PrincipalKind, int]] = {
    PrincipalKind.ADMIN: 1000,
    PrincipalKind.USER: 500,
    PrincipalKind.GUEST: 100,
    PrincipalKind.ANONYMOUS: 50,
}
"""Requests in fifteen minutes, as the contract has it."""


class Limits:
    """How many requests a caller may send in a window: users by id, guests by e-mail, others by address."""

    def __init__(
        self,
        counters: Counters,
        *,
        window: float = 900.0,
        requests: int | None = None,
        skip_successful: bool = False,
        enabled: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._counters = counters
        self._window = window
        self._requests = requests
        self._skip_successful = skip_successful
        self._enabled = enabled
        self._now = now

    @classmethod
    def from_settings(cls, settings: Settings, counters: Counters) -> Self:
        """Build what *settings* say."""
        return cls(
            counters,
            window=settings.rate_limit_window,
            requests=settings.rate_limit_requests,
            skip_successful=settings.rate_limit_skip_successful,
            enabled=settings.rate_limit_enabled,
        )

    async def take(self, principal: Principal) -> Quota | None:
        """Count one request of *principal* and return what is left; None for whom no limit counts."""
        limit = self._requests or PER_WINDOW.get(principal.kind)
        if not self._enabled or limit is None or principal.kind is PrincipalKind.SYSTEM:
            return None
        name = f"requests:{_caller(principal)}"
        used = await self._counters.add(name, self._window)
        now = self._now()
        return Quota(limit, used, int((now // self._window + 1) * self._window), now, name)

    async def answered(self, quota: Quota, *, status: int) -> Quota:
        """Give back what `take` counted where successful requests are free; return what is left then.

        It counts while it is under way: a thousand at once are not free because all of them will succeed.
        """
        over = self._now() >= quota.resets_at  # another window counts by now
        if not self._skip_successful or status >= 400 or over:
            return quota
        return replace(quota, used=await self._counters.add(quota.counted_as, self._window, -1))


# --- declined cards -----------------------------------------------------------------------------------


class FailedConfirms:
    """A shop is no place to find out which cards work: declines are counted per address and per e-mail.

    (Per payment the engine counts them itself, in the database.)
    """

    def __init__(
        self,
        counters: Counters,
        *,
        per_ip: int = 30,
        per_email: int = 10,
        window: float = 3600.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._counters = counters
        self._per_ip = per_ip
        self._per_email = per_email
        self._window = window
        self._now = now

    async def check(self, *, peer: str | None, email: str | None) -> None:
        """Raise RateLimited when too many methods were declined from there, or for that address."""
        for name, limit in self._names(peer, email):
            if await self._counters.add(name, self._window, 0) >= limit:
                left = self._window - self._now() % self._window
                raise RateLimited("Too many declined attempts; try again later", retry_after=int(left) + 1)

    async def count(self, *, peer: str | None, email: str | None) -> None:
        """Remember that a method was declined."""
        for name, _ in self._names(peer, email):
            await self._counters.add(name, self._window)

    def _names(self, peer: str | None, email: str | None) -> list[tuple[str, int]]:
        found = []
        if peer:
            found.append((f"declined:ip:{_short(network_of(peer))}", self._per_ip))
        if email:
            found.append((f"declined:email:{_short(email_key(email))}", self._per_email))
        return found


def _caller(principal: Principal) -> str:
    match principal.kind:
        case PrincipalKind.ADMIN | PrincipalKind.USER:
            return f"{principal.kind}:{_short(principal.id or '')}"
        case PrincipalKind.GUEST:
            return f"guest:{_short(email_key(principal.email or ''))}"
        case _:
            return f"ip:{_short(network_of(principal.peer or ''))}"


def network_of(peer: str) -> str:
    """Return the address, or of IPv6 the network that one subscriber has."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv4Address):
        return peer
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))


def _short(text: str) -> str:
    """Return a hash: neither addresses nor ids stand in Redis."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]
