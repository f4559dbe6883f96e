"""Refunds, one row per sum given back or promised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from ...models import Refund
from .rows import refund_from, refund_row
from .session import Repository
from .tables import refunds

__all__ = ["Refunds"]

_C: Final = refunds.c
_READ: Final = sa.select(refunds)
_GET: Final = _READ.where(_C.id == sa.bindparam("id"))
_BY_REFERENCE: Final = _READ.where(
    _C.provider_id == sa.bindparam("provider_id"), _C.provider_refund_id == sa.bindparam("its_reference")
)
_FOR_PAYMENT: Final = _READ.where(_C.payment_id == sa.bindparam("its_payment")).order_by(_C.id)
_ADD: Final = refunds.insert()
_SAVE: Final = refunds.update().where(
    _C.id == sa.bindparam("its_id"), _C.version == sa.bindparam("its_version")
)


class Refunds(Repository):
    def get(self, refund_id: str) -> Refund | None:
        row = self._session.row("refunds.get", _GET, id=refund_id)
        return refund_from(row) if row is not None else None

    def get_by_reference(self, provider_id: str, reference: str) -> Refund | None:
        row = self._session.row(
            "refunds.get_by_reference", _BY_REFERENCE, provider_id=provider_id, its_reference=reference
        )
        return refund_from(row) if row is not None else None

    def for_payment(self, payment_id: str) -> Sequence[Refund]:
        rows = self._session.rows("refunds.for_payment", _FOR_PAYMENT, its_payment=payment_id)
        return [refund_from(row) for row in rows]

    def add(self, refund: Refund) -> None:
        self._session.write("refunds.add", _ADD, refund_row(refund))

    def save(self, refund: Refund, *, expected_version: int) -> bool:
        row = refund_row(refund)
        row.update(its_id=row.pop("id"), its_version=expected_version, version=expected_version + 1)
        return self._session.write("refunds.save", _SAVE, row) == 1
