"""The sweep: a browser confirms without us and the webhook is lost, so we ask until the payment is final."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta
from typing import Final

from ..arguments import typed
from ..errors import BridgeError, ProviderNotFound
from ..models import SYSTEM, Payment, PaymentFlag, PaymentStatus, Principal
from ..stores.base import Unit
from . import settlement
from .refreshing import Refreshing
from .rules import SWEEP_DELAYS

__all__ = ["SweepWork"]

log: logging.Logger = logging.getLogger(__name__)

LEASE_SECONDS: Final = 120.0
"""After a failed read the payment comes up again this much later."""
_CONCURRENT: Final = 8
_CHALLENGE_GRACE: Final = timedelta(minutes=50)
"""How much longer a secret lives while its payer stands before a challenge; the job runs often enough."""


class SweepWork(Refreshing):
    """The part of the engine that asks by itself."""

    async def cancel_payment(self, payment_id: str, *, principal: Principal = SYSTEM) -> Payment:
        """See `PaymentVerbs.cancel_payment`."""
        raise NotImplementedError

    async def retry_waiting_refunds(self, payment_id: str) -> int:
        """See `RefundVerbs.retry_waiting_refunds`."""
        raise NotImplementedError

    async def look_for_given_up(self, payment: Payment) -> bool:
        """See `Reconciliation.look_for_given_up`."""
        raise NotImplementedError

    @typed
    async def sweep(self, *, limit: int = 50) -> int:
        """Read every payment and subscription that is due at its provider; return how many were read."""
        due = await self.store.run(
            lambda unit: unit.payments.claim_due(limit=limit, lease_seconds=LEASE_SECONDS)
        )
        gate = asyncio.Semaphore(_CONCURRENT)

        async def one(payment: Payment) -> bool:
            async with gate:
                return await self.shielded(self._look_at(payment))

        read = sum(await asyncio.gather(*(one(payment) for payment in due)))
        return read + await self.sweep_subscriptions(limit=limit)

    async def _look_at(self, payment: Payment) -> bool:
        try:
            awaited = await self.look_for_given_up(payment)
            fresh = await self.refresh(payment.id, swept=True)
            if fresh is not None and fresh.provider_intent_id is None:
                await self._plan_again(payment.id, awaited=awaited)
            elif fresh is not None and fresh.refund_reserved_cents > 0:
                await self.retry_waiting_refunds(payment.id)
        except ProviderNotFound:
            await self._flag_missing(payment)
        except BridgeError as error:
            log.warning("payment %s could not be read: %s", payment.id, error)
            return False
        return True

    async def _plan_again(self, payment_id: str, *, awaited: bool) -> None:
        """Plan the next look at a payment that never began, while its charge may still come to light."""
        now = self.clock()

        def work(unit: Unit) -> None:
            row = unit.payments.get(payment_id)
            if row is None or row.provider_intent_id is not None:
                return
            delay = SWEEP_DELAYS[min(row.sync_count + 1, len(SWEEP_DELAYS) - 1)]
            due = now + delay if awaited else None
            planned = replace(row, sync_count=row.sync_count + 1, next_sync_at=due)
            unit.payments.save(planned, expected_version=row.version)

        await self.store.run(work)

    async def _flag_missing(self, payment: Payment) -> None:
        """The provider says that there is no such object: an operator has to look, nobody guesses."""
        log.error("payment %s: its provider does not know %s", payment.id, payment.provider_intent_id)
        now = self.clock()

        def work(unit: Unit) -> None:
            row = unit.payments.get(payment.id)
            if row is None:
                return
            flagged = replace(
                row,
                flag=PaymentFlag.MISMATCH,
                error_message="The provider has no such object",
                next_sync_at=now + timedelta(days=1),
                updated_at=now,
            )
            settled = settlement.Settlement(payment=flagged)
            if row.flag is not PaymentFlag.MISMATCH:
                settled = settled.tell("payment.mismatch", now, reason="the provider has no such object")
            if unit.payments.save(settled.payment, expected_version=row.version):
                for event in settled.events:
                    unit.events.add(event)

        await self.store.run(work)

    @typed
    async def clean_client_secrets(self, *, limit: int = 200) -> int:
        """Forget client secrets that are over their age; return how many.

        Deleting ours revokes nothing at the provider, so the payment is read there first; with
        ``CLIENT_SECRET_EXPIRE=cancel`` an unpaid intent is canceled. A payment with an operation under
        way, or a payer before a challenge, keeps its secret up to an hour more.
        """
        now = self.clock()
        stale = await self.store.run(
            lambda unit: unit.payments.with_stale_secrets(before=now, limit=limit), write=False
        )
        cleaned = sum([await self.shielded(self._clean(payment)) for payment in stale])
        return cleaned + await self.clean_other_secrets(limit=limit)

    async def _clean(self, payment: Payment) -> bool:
        now = self.clock()
        expired_at = payment.client_secret_expires_at or now
        grace_over = now >= expired_at + _CHALLENGE_GRACE
        holder = await self.store.run(lambda unit: unit.operations.holder_of(payment.id), write=False)
        if holder is not None and not grace_over:
            return False
        try:
            fresh = await self.refresh(payment.id) or payment
        except BridgeError as error:
            # Its account may have left the settings: one payment keeps no other's secret alive.
            log.warning("payment %s could not be read before its secret expires: %s", payment.id, error)
            if not grace_over:
                return False
            fresh = payment
        if fresh.status is PaymentStatus.REQUIRES_ACTION and not grace_over:
            return False
        if self.settings.client_secret_expire == "cancel" and holder is None and _is_unpaid(fresh):
            try:
                await self.cancel_payment(payment.id)
            except BridgeError as error:
                log.warning("payment %s could not be canceled at its expiry: %s", payment.id, error)
        return await self._wipe(payment.id)

    async def _wipe(self, payment_id: str) -> bool:
        now = self.clock()

        def work(unit: Unit) -> bool:
            row = unit.payments.get(payment_id)
            if row is None or row.client_secret is None:
                return False
            return unit.payments.save(settlement.wipe_secret(row, now), expected_version=row.version)

        return await self.store.run(work)


def _is_unpaid(payment: Payment) -> bool:
    return payment.status in (
        PaymentStatus.PENDING,
        PaymentStatus.REQUIRES_CONFIRMATION,
        PaymentStatus.REQUIRES_ACTION,
    )
