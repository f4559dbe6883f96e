"""Read again what providers keep: stored methods, and subscriptions with what they collected."""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Final

from ..errors import BridgeError, ProviderNotFound, UnsupportedOperation
from ..models import (
    Customer,
    Event,
    InboxEntry,
    Noun,
    PaymentMethod,
    PaymentMethodStatus,
    Subscription,
    new_id,
)
from ..providers.base import ProviderCustomer
from ..stores.base import Unit
from .mirrors import (
    Change,
    adopted,
    customer_synced,
    method_synced,
    subscription_merged,
    trial_ends_soon,
)
from .operations import MERGE_ATTEMPTS
from .subjects import CUSTOMERS, METHODS, SUBSCRIPTIONS, Subjects

__all__ = ["Refreshing"]

log: logging.Logger = logging.getLogger(__name__)

_LEASE_SECONDS: Final = 120.0
_TRIAL_ENDS: Final = "subscription.trial_will_end"


class Refreshing(Subjects):
    """The provider's word without an instruction, for rows that are not payments."""

    # --- what a provider's event is about -------------------------------------------------------------

    async def apply_event(self, entry: InboxEntry) -> str | None:
        """Read again what an event hints at; return our id of it, None if it is not known here (yet).

        Raises: ProviderError when the provider does not say.
        """
        assert entry.reference is not None
        reference = entry.reference
        match entry.noun:
            case Noun.CUSTOMER:
                customer = await self.store.run(
                    lambda unit: unit.customers.get_by_reference(entry.provider_id, reference), write=False
                )
                return await self.refresh_customer(customer) if customer is not None else None
            case Noun.PAYMENT_METHOD:
                method = await self.store.run(
                    lambda unit: unit.payment_methods.get_by_reference(entry.provider_id, reference),
                    write=False,
                )
                if method is not None:
                    await self.refresh_method(method.id)
                return method.id if method is not None else None
            case _:
                return await self._apply_subscription(entry, reference)

    async def _apply_subscription(self, entry: InboxEntry, reference: str) -> str | None:
        ours = entry.our_reference

        def find(unit: Unit) -> tuple[Subscription | None, bool]:
            row = unit.subscriptions.get_by_reference(entry.provider_id, reference)
            if row is None and ours is not None:
                row = unit.subscriptions.get_by_our_reference(ours)
            known = row if row is not None and row.provider_id == entry.provider_id else None
            return known, known is not None and unit.operations.holder_of(known.id) is not None

        row, is_busy = await self.store.run(find, write=False)
        if row is not None and row.provider_subscription_id is not None:
            await self.refresh_subscription(row.id)
            return row.id
        if is_busy:
            return None  # the answer to its create is on its way: the operation is finished first
        return await self.adopt_subscription(entry.provider_id, reference)

    async def adopt_subscription(self, provider_id: str, reference: str) -> str | None:
        """Take over a subscription of ours that our books do not name (rule 13); None if it is not ours.

        Its row was given up before it began after all, or is missing: then it is its customer's, who has to
        be ours.
        """
        try:
            with self.asking(provider_id, "sync_subscription"):
                truth = await self.provider(provider_id).sync_subscription(reference)
        except UnsupportedOperation:
            return None
        if truth.subscription_id is None and truth.our_reference is None:
            return None

        def find(unit: Unit) -> tuple[Subscription | None, Customer | None]:
            row = unit.subscriptions.get(truth.subscription_id) if truth.subscription_id else None
            if row is None and truth.our_reference is not None:
                row = unit.subscriptions.get_by_our_reference(truth.our_reference)
            owner = unit.customers.get_by_reference(provider_id, truth.customer) if truth.customer else None
            return row, owner

        row, owner = await self.store.run(find, write=False)
        if row is None:
            row = adopted(truth, owner, provider_id, self.clock())
            if row is None:
                log.error(
                    "account %s bills %s, which carries our mark and has no row", provider_id, reference
                )
                return None
            fresh = row
            await self.store.run(lambda unit: unit.subscriptions.add(fresh))
        log.error("subscription %s was not known to be %s: adopted", row.id, reference)
        change = subscription_merged(row, truth, self.clock())
        if change.changed and change.row.provider_subscription_id == reference:
            if not await self.apply_row(change, row.version, SUBSCRIPTIONS):
                return None  # somebody else is at it; the event is looked at again
            await self.refresh_subscription(row.id)
        return row.id

    async def refresh_customer(self, customer: Customer) -> str:
        """Read one customer at its provider and apply what it says; return its id.

        Raises: ProviderError when the provider does not say.
        """
        if customer.provider_customer_id is None:
            return customer.id
        now = self.clock()
        try:
            with self.asking(customer.provider_id, "sync_customer"):
                truth = await self.provider(customer.provider_id).sync_customer(customer.provider_customer_id)
        except UnsupportedOperation:
            return customer.id
        except ProviderNotFound:
            truth = ProviderCustomer(reference=customer.provider_customer_id, deleted=True)

        def change(_: Unit, row: Customer | None) -> Change[Customer]:
            assert row is not None
            return customer_synced(row, truth, now)

        await self.change_row(CUSTOMERS, customer.id, change)
        return customer.id

    async def sweep_subscriptions(self, *, limit: int = 50) -> int:
        """Read every subscription that is due; return how many were read."""
        due = await self.store.run(
            lambda unit: unit.subscriptions.claim_due(limit=limit, lease_seconds=_LEASE_SECONDS)
        )
        return sum([await self.shielded(self._look_at_subscription(row)) for row in due])

    async def _look_at_subscription(self, row: Subscription) -> bool:
        try:
            await self.refresh_subscription(row.id, swept=True)
        except BridgeError as error:
            log.warning("subscription %s could not be read: %s", row.id, error)
            return False
        return True

    async def clean_other_secrets(self, *, limit: int = 200) -> int:
        """Forget the client secrets of set-ups and first payments that are over their age."""
        now = self.clock()

        def stale(unit: Unit) -> tuple[list[str], list[str]]:
            methods = unit.payment_methods.with_stale_secrets(before=now, limit=limit)
            subscriptions = unit.subscriptions.with_stale_secrets(before=now, limit=limit)
            return [row.id for row in methods], [row.id for row in subscriptions]

        methods, subscriptions = await self.store.run(stale, write=False)
        for method_id in methods:
            await self._read_before_wiping(self.refresh_method(method_id))
            await self.change_row(METHODS, method_id, _wiped_method)
        for subscription_id in subscriptions:
            await self._read_before_wiping(self.refresh_subscription(subscription_id))
            await self.change_row(SUBSCRIPTIONS, subscription_id, _wiped_subscription)
        return len(methods) + len(subscriptions)

    async def _read_before_wiping(self, read: Coroutine[Any, Any, object]) -> None:
        try:
            await self.shielded(read)
        except BridgeError as error:
            log.warning("not read before its client secret expires: %s", error)

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
                with self.asking(row.provider_id, "sync_payment_method"):
                    seen = await self.provider(row.provider_id).sync_payment_method(reference)
                change = method_synced(row, seen, now)
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
                with self.asking(row.provider_id, "sync_subscription"):
                    truth = await self.provider(row.provider_id).sync_subscription(
                        row.provider_subscription_id
                    )
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


def _wiped_method(_: Unit, row: PaymentMethod | None) -> Change[PaymentMethod]:
    assert row is not None
    return Change(row=replace(row, client_secret=None, client_secret_expires_at=None))


def _wiped_subscription(_: Unit, row: Subscription | None) -> Change[Subscription]:
    assert row is not None
    return Change(row=replace(row, client_secret=None, client_secret_expires_at=None))
