"""
What payers look at again and again: their payment methods and their customers, remembered for a while.

For what is shown, never for what is decided: the engine reads the store (rule 22). A row that changes makes
this process forget what it remembers of the row's owner, whoever changed it here: a verb, a webhook, a sweep.
What another process changes is seen when the entry's time is over, at the latest.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any, Final, Self, TypeVar

from cachetools import LRUCache

from .caching import Cache, CacheStats
from .engine import PaymentEngine
from .models import Customer, PaymentMethod, Principal, PrincipalKind
from .settings import Settings
from .stores.base import CustomerQuery, Listing, PaymentMethodQuery
from .stores.codec import owner_key

__all__ = ["Recall"]

T = TypeVar("T")

_METHODS: Final = "payment_methods"
_CUSTOMERS: Final = "customers"


class Recall:
    """Reads as the engine does, for users and for guests who proved their address; admins read the store.

    Each owner has an edition, which is part of the key of everything remembered of them. Whoever forgets an
    owner throws the edition away, and no number is drawn twice: what a read that began before will bring is
    filed under an edition that nobody asks for any more.
    """

    def __init__(
        self,
        engine: PaymentEngine,
        *,
        ttl: float = 300.0,
        max_entries: int = 2_000,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._caches: Mapping[str, Cache[bytes, Any]] = {
            noun: Cache(max_entries=max_entries, ttl=ttl, timer=timer) for noun in (_METHODS, _CUSTOMERS)
        }
        self._editions: LRUCache[str, int] = LRUCache(max_entries)
        self._numbers = count()
        self._lock = threading.Lock()  # a store tells in the thread of its commit
        # A store that does not tell of its changes would show a payer yesterday's cards.
        self.enabled: bool = ttl > 0 and engine.store.tell_of_changes(self.forget_owners)

    @classmethod
    def from_settings(cls, engine: PaymentEngine, settings: Settings) -> Self:
        """Build what *settings* say."""
        return cls(
            engine,
            ttl=settings.cache_ttl if settings.cache_enabled else 0.0,
            max_entries=settings.cache_max_entries,
        )

    async def list_payment_methods(
        self, query: PaymentMethodQuery, *, principal: Principal, fresh: bool = False
    ) -> Listing[PaymentMethod]:
        """Return what the engine's `list_payment_methods` says, or said; with *fresh* what it says now."""
        load = partial(self._engine.list_payment_methods, query, principal=principal)
        return await self._recalled(_METHODS, repr(query), load, principal, fresh=fresh)

    async def list_customers(
        self, query: CustomerQuery, *, principal: Principal, fresh: bool = False
    ) -> Listing[Customer]:
        """Return what the engine's `list_customers` says, or said; with *fresh* what it says now."""
        load = partial(self._engine.list_customers, query, principal=principal)
        return await self._recalled(_CUSTOMERS, repr(query), load, principal, fresh=fresh)

    async def get_customer(self, customer_id: str, *, principal: Principal, fresh: bool = False) -> Customer:
        """Return what the engine's `get_customer` says, or said; with *fresh* what it says now."""
        load = partial(self._engine.get_customer, customer_id, principal=principal)
        return await self._recalled(_CUSTOMERS, customer_id, load, principal, fresh=fresh)

    def forget_owners(self, rows: Sequence[Customer | PaymentMethod]) -> None:
        """Forget what is remembered of whom these rows belong to, and belonged to as a guest."""
        with self._lock:
            for row in rows:
                self._editions.pop(owner_key(user_id=row.user_id, guest_email=None) or "", None)
                self._editions.pop(owner_key(user_id=None, guest_email=row.guest_email) or "", None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._editions.clear()
        for cache in self._caches.values():
            cache.clear()

    def stats(self) -> Mapping[str, CacheStats]:
        """Counters of each cache."""
        return {noun: cache.stats for noun, cache in self._caches.items()}

    async def _recalled(
        self, noun: str, what: str, load: Callable[[], Awaitable[T]], principal: Principal, *, fresh: bool
    ) -> T:
        owner = _owner(principal)
        if not self.enabled or owner is None:
            return await load()
        cache, key = self._caches[noun], self._key(owner, what)
        if fresh:
            cache.drop(key)
        found: T = await cache.get(key, load)
        return found

    def _key(self, owner: str, what: str) -> bytes:
        with self._lock:
            edition = self._editions.get(owner)
            if edition is None:
                edition = self._editions[owner] = next(self._numbers)
        # Hashed: a search holds an e-mail address, and a key no more than it has to.
        return hashlib.sha256(f"{edition}\n{owner}\n{what}".encode()).digest()


def _owner(principal: Principal) -> str | None:
    """Return whose rows the principal sees; None for whom nothing is remembered."""
    match principal.kind:
        case PrincipalKind.USER:
            return owner_key(user_id=principal.id, guest_email=None)
        case PrincipalKind.GUEST if principal.email_verified:
            return owner_key(user_id=None, guest_email=principal.email)
        case _:
            return None
