"""Disputes: money that a payer's bank asks back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import sqlalchemy as sa

from ...models import Dispute
from .records import Codec, Records
from .tables import disputes

__all__ = ["Disputes"]

_C: Final = disputes.c


class Disputes(Records[Dispute]):
    name = "disputes"
    table: ClassVar[sa.Table] = disputes
    codec: ClassVar[Codec[Any]] = Codec(Dispute)

    def get_by_reference(self, provider_id: str, reference: str) -> Dispute | None:
        return self.one("get_by_reference", _BY_REFERENCE, its_provider=provider_id, its_reference=reference)

    def for_payment(self, payment_id: str) -> Sequence[Dispute]:
        return self.all("for_payment", _FOR_PAYMENT, its_payment=payment_id)

    def add(self, dispute: Dispute) -> None:
        self.insert(dispute)


_BY_REFERENCE: Final = Disputes.select().where(
    _C.provider_id == sa.bindparam("its_provider"), _C.provider_dispute_id == sa.bindparam("its_reference")
)
_FOR_PAYMENT: Final = Disputes.select().where(_C.payment_id == sa.bindparam("its_payment")).order_by(_C.id)
