"""Read again what providers keep: stored methods, and subscriptions with what they collected."""

from __future__ import annotations

import logging
from dataclasses import replace

from ..errors import ProviderNotFound, UnsupportedOperation
from ..models import Event, PaymentMethod, PaymentMethodStatus, Subscription, new_id
from ..stores.base import Unit
from .mirrors import Change, method_synced, subscription_merged, trial_ends_soon
from .operations import MERGE_ATTEMPTS
from .subjects import METHODS, SUBSCRIPTIONS, Subjects

__all__ = ["Refreshing"]

log = logging.getLogger(__name__)

_TRIAL_ENDS = "subscription.trial_will_end"


class Refreshing(Subjects):
    """The provider's word without an instruction, for rows that are not payments."""

    async def refresh_method(self, method_id: str) -> PaymentMethod | None:
        """Read one method, or set-up, at its provider and apply what it says.

        Raises: ProviderError when the provider does not say.
        """
        row = None
        for _ in range(MERGE_ATTEMPTS):
            row = await self.store.run(lambda unit: unit.payment_methods.get(method_id), write=False)
            if row is None or row.status is PaymentMethodStatus.DELETED:
                return row
            reference = row.provider_payment_method_id or row.provider_setup_id
            if reference is None:
                return row
            now = self.clock()
            try:
                change = method_synced(
                    row, await self.provider(row.provider_id).sync_payment_method(reference), now
                )
            except UnsupportedOperation:
                return row
            except ProviderNotFound:
                gone = replace(
                    row, status=PaymentMethodStatus.DELETED, is_default=False, client_secret=None,
                    next_action=None, updated_at=now,
                )  # fmt: skip
                change = Change(row=gone, events=(("payment_method.deleted", {}),))
            if not change.changed:
                return row
            if await self.apply_row(change, row.version, METHODS):
                return await self.store.run(lambda unit: unit.payment_methods.get(method_id), write=False)
        log.warning("payment method %s changes faster than it can be read", method_id)
        return row

    async def refresh_subscription(self, subscription_id: str, *, swept: bool = False) -> Subscription | None:
        """Read one subscription at its provider, write down what it collected, and apply what it says.

        Raises: ProviderError when the provider does not say.
        """
        row = None
        for _ in range(MERGE_ATTEMPTS):
            row = await self.store.run(lambda unit: unit.subscriptions.get(subscription_id), write=False)
            if row is None or row.provider_subscription_id is None:
                return row
            try:
                truth = await self.provider(row.provider_id).sync_subscription(row.provider_subscription_id)
            except UnsupportedOperation:
                return row
            change = subscription_merged(row, truth, self.clock(), swept=swept)
            if truth.reference == row.provider_subscription_id:
                await self.record_charges(row, truth)
            if change.changed and not await self.apply_row(change, row.version, SUBSCRIPTIONS):
                continue
            await self._tell_trial_end(change.row)
            return await self.store.run(lambda unit: unit.subscriptions.get(subscription_id), write=False)
        log.warning("subscription %s changes faster than it can be read", subscription_id)
        return row

    async def _tell_trial_end(self, row: Subscription) -> None:
        now = self.clock()
        if not trial_ends_soon(row, now):
            return
        event = Event(
            id=new_id("evt"), type=_TRIAL_ENDS, created_at=now, subscription=row,
            data={"trial_end": row.trial_end.isoformat() if row.trial_end else None},
        )  # fmt: skip

        def work(unit: Unit) -> bool:
            told = any(
                each.type == _TRIAL_ENDS and each.data.get("trial_end") == event.data["trial_end"]
                for each in unit.events.for_subject(row.id)
            )
            if not told:
                unit.events.add(event)
            return not told

        if await self.store.run(work):
            self.on_commit()
