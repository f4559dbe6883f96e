"""Stored payment methods."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

import sqlalchemy as sa

from ...models import PaymentMethod, PaymentMethodStatus
from ..base import Listing, PaymentMethodQuery
from ..codec import guest_key
from .records import Codec, Lists, Records, owner_of, stale_secrets
from .tables import payment_methods

__all__ = ["PaymentMethods"]

_C: Final = payment_methods.c
_LISTED: Final = (PaymentMethodStatus.ACTIVE.value, PaymentMethodStatus.REQUIRES_ACTION.value)


def _derived(method: PaymentMethod) -> dict[str, Any]:
    gone = method.status is PaymentMethodStatus.DELETED
    return {
        "living_reference": None if gone else method.provider_payment_method_id,
        "owner": owner_of(method),
        "guest_email_key": guest_key(method.guest_email),
    }


class PaymentMethods(Records[PaymentMethod]):
    name = "payment_methods"
    table: ClassVar[sa.Table] = payment_methods
    codec: ClassVar[Codec[Any]] = Codec(PaymentMethod, _derived)

    def get_by_reference(self, provider_id: str, reference: str) -> PaymentMethod | None:
        return self.one("get_by_reference", _BY_REFERENCE, its_provider=provider_id, its_reference=reference)

    def add(self, method: PaymentMethod) -> None:
        self._session.changed.append(method)
        self.insert(method)

    def save(self, method: PaymentMethod, /, *, expected_version: int) -> bool:
        self._session.changed.append(method)
        return super().save(method, expected_version=expected_version)

    def clear_default(self, method: PaymentMethod) -> int:
        self._session.changed.append(method)
        values = {"its_id": method.id, "its_owner": owner_of(method)}
        return self._session.write("payment_methods.clear_default", _CLEAR, values)

    def list(self, query: PaymentMethodQuery) -> Listing[PaymentMethod]:
        return _LIST.run(
            self._session,
            query,
            customer_id=query.customer_id,
            payment_type=query.payment_type,
            card_brand=query.card_brand,
        )

    def with_stale_secrets(self, *, before: datetime, limit: int) -> Sequence[PaymentMethod]:
        return self.all("stale_secrets", _STALE, before=before, limit=limit)


_OF_ACCOUNT: Final = _C.provider_id == sa.bindparam("its_provider")
"""On both sides of an OR: before them both it would have SQLite read all that the account has."""
_BY_REFERENCE: Final = (
    PaymentMethods.select()
    .where(
        sa.or_(
            sa.and_(_OF_ACCOUNT, _C.living_reference == sa.bindparam("its_reference")),
            sa.and_(
                _OF_ACCOUNT,
                _C.provider_setup_id == sa.bindparam("its_reference"),
                _C.status != PaymentMethodStatus.DELETED.value,
            ),
        ),
    )
    .order_by(sa.case((_C.living_reference == sa.bindparam("its_reference"), 0), else_=1), _C.id)
    .limit(1)
)
_CLEAR: Final = (
    payment_methods.update()
    .where(_C.owner == sa.bindparam("its_owner"), _C.is_default.is_(True), _C.id != sa.bindparam("its_id"))
    .values(is_default=False, version=_C.version + 1)
)
_STALE: Final = stale_secrets(PaymentMethods.select(), payment_methods)
_LIST: Final = Lists(
    PaymentMethods,
    guest=_C.is_guest.is_(True),
    search=(_C.alias, _C.last_four, _C.card_brand),
    orders=PaymentMethodQuery.ORDERS,
    filters={name: _C[name] == sa.bindparam(name) for name in ("customer_id", "payment_type", "card_brand")},
    always=(_C.status.in_(_LISTED),),
)
