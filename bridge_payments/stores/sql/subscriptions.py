"""Subscriptions: what the provider bills again and again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

import sqlalchemy as sa

from ...models import Subscription
from ..base import Listing, SubscriptionQuery
from ..codec import guest_key
from .claims import Claim
from .records import Codec, Lists, Records, stale_secrets
from .tables import subscriptions

__all__ = ["Subscriptions"]

_C: Final = subscriptions.c


def _derived(subscription: Subscription) -> dict[str, Any]:
    return {"guest_email_key": guest_key(subscription.guest_email)}


class Subscriptions(Records[Subscription]):
    name = "subscriptions"
    table: ClassVar[sa.Table] = subscriptions
    codec: ClassVar[Codec[Any]] = Codec(Subscription, _derived)

    def get_by_reference(self, provider_id: str, reference: str) -> Subscription | None:
        return self.one("get_by_reference", _BY_REFERENCE, its_provider=provider_id, its_reference=reference)

    def get_by_our_reference(self, reference: str) -> Subscription | None:
        return self.one("get_by_our_reference", _BY_OUR_REFERENCE, its_reference=reference)

    def add(self, subscription: Subscription) -> None:
        self.insert(subscription)

    def list(self, query: SubscriptionQuery) -> Listing[Subscription]:
        wanted = query.statuses
        statuses = None if wanted is None else sorted(status.value for status in wanted)
        return _LIST.run(self._session, query, customer_id=query.customer_id, statuses=statuses)

    def claim_due(self, *, limit: int, lease_seconds: float) -> Sequence[Subscription]:
        rows = _DUE.run(self._session, limit=limit, lease_seconds=lease_seconds)
        return self.read([{**row, "next_sync_at": row["until"]} for row in rows])

    def with_stale_secrets(self, *, before: datetime, limit: int) -> Sequence[Subscription]:
        return self.all("stale_secrets", _STALE, before=before, limit=limit)


_READ: Final = Subscriptions.select()
_BY_REFERENCE: Final = _READ.where(
    _C.provider_id == sa.bindparam("its_provider"),
    _C.provider_subscription_id == sa.bindparam("its_reference"),
)
_BY_OUR_REFERENCE: Final = _READ.where(_C.reference == sa.bindparam("its_reference"))
_DUE: Final = Claim("subscriptions.claim_due", subscriptions, "next_sync_at")
_STALE: Final = stale_secrets(_READ, subscriptions)
_LIST: Final = Lists(
    Subscriptions,
    guest=_C.is_guest_subscription.is_(True),
    search=(_C.id, _C.guest_email, _C.description),
    orders=SubscriptionQuery.ORDERS,
    filters={
        "customer_id": _C.customer_id == sa.bindparam("customer_id"),
        "statuses": _C.status.in_(sa.bindparam("statuses", expanding=True)),
    },
)
