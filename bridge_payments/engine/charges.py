"""What a subscription collects: each charge of the provider becomes one Payment, whoever sees it first."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime

from ..errors import StoreError
from ..models import Dispute, Payment, PaymentStatus, Pricing, Refund, Subscription, new_id
from ..providers.base import ProviderPayment, ProviderSubscription
from ..stores.base import Unit
from . import settlement
from .mirrors import subscription_merged
from .operations import MERGE_ATTEMPTS, Operations, write_settlement

__all__ = ["Charges"]

log: logging.Logger = logging.getLogger(__name__)


class Charges(Operations):
    """The part of the engine that writes down what others collect for us (rule 18)."""

    async def record_charges(self, subscription: Subscription, truth: ProviderSubscription) -> int:
        """Write down every charge that the read shows, oldest first; return how many were new.

        Before the subscription's own row: what dies in between reads everything again.
        """
        if not truth.charges:
            return 0
        renewed = subscription_merged(subscription, truth, self.clock()).row
        renewed = replace(renewed, version=subscription.version + 1)
        return sum([await self._record_charge(renewed, charge) for charge in reversed(truth.charges)])

    async def _record_charge(self, subscription: Subscription, charge: ProviderPayment) -> bool:
        # What a charge carries of ours is the subscription's reference, not its payment's.
        truth = replace(charge, our_reference=None, payment_id=None)
        for attempt in range(MERGE_ATTEMPTS):
            known, refunds, disputes = await self.store.run(
                lambda unit: _known(unit, subscription.provider_id, charge), write=False
            )
            if known is None:
                try:
                    await self._add(subscription, truth)
                except StoreError:
                    # Another process wrote it down meanwhile, as the next look shows.
                    if attempt == MERGE_ATTEMPTS - 1:
                        raise
                    continue
                self.on_commit()
                return True
            if truth.refunds is None:
                # A list of charges does not show what was given back of them: our books do.
                truth = replace(truth, refunded=max(charge.refunded, known.refunded_cents))
            settled = settlement.merge(
                known,
                truth,
                self.clock(),
                refunds=refunds,
                disputes=disputes,
                wipe_in=self.policy.wipe_in,
            )
            if known.subscription_id is None:
                linked = replace(settled.payment, subscription_id=subscription.id)
                settled = replace(settled, payment=linked, changed=True)
            if await self.apply(known, settled, subscription=subscription):
                return False
        raise StoreError("a charge of a subscription changes faster than it can be recorded")

    async def _add(self, subscription: Subscription, truth: ProviderPayment) -> None:
        now = self.clock()
        payment = charge_payment(subscription, truth, now)
        begun = settlement.Settlement(payment=payment).tell("payment.created", now)
        settled = settlement.merge(payment, truth, now, wipe_in=self.policy.wipe_in)
        settled = replace(settled, events=(*begun.events, *settled.events))

        def work(unit: Unit) -> None:
            # Under version 0 it is not there yet: added as version 1.
            write_settlement(unit, settled, expected_version=0, subscription=subscription)

        await self.store.run(work)


def _known(
    unit: Unit, provider_id: str, charge: ProviderPayment
) -> tuple[Payment | None, tuple[Refund, ...], tuple[Dispute, ...]]:
    payment = unit.payments.get_by_reference(provider_id, charge.reference)
    if payment is None:
        return None, (), ()
    refunds = tuple(unit.refunds.for_payment(payment.id)) if payment.captured_cents else ()
    disputes = tuple(unit.disputes.for_payment(payment.id)) if charge.disputes else ()
    return payment, refunds, disputes


def charge_payment(subscription: Subscription, charge: ProviderPayment, now: datetime) -> Payment:
    """Return the row of a charge that the provider made, before what it says of it is applied. Pure."""
    price = _pricing(subscription, charge)
    return Payment(
        id=new_id("pay"),
        provider_id=subscription.provider_id,
        status=PaymentStatus.PENDING,
        currency=charge.amount.currency,
        subtotal_cents=price.subtotal,
        tax_cents=price.tax,
        discount_cents=price.discount,
        total_cents=price.total,
        created_at=now,
        updated_at=now,
        version=0,
        livemode=charge.livemode,
        provider_intent_id=charge.reference,
        subscription_id=subscription.id,
        user_id=subscription.user_id,
        organization_id=subscription.organization_id,
        project_id=subscription.project_id,
        customer_id=subscription.customer_id,
        payment_method_id=subscription.payment_method_id,
        billing_address_id=subscription.billing_address_id,
        is_guest_payment=subscription.is_guest_subscription,
        guest_email=subscription.guest_email,
        guest_data=subscription.guest_data,
        description=subscription.description,
        concept=subscription.concept,
        reference_code=subscription.reference_code,
        category=subscription.category,
        tags=subscription.tags,
    )


def _pricing(subscription: Subscription, charge: ProviderPayment) -> Pricing:
    total = charge.amount.minor_units
    if charge.amount == subscription.total:
        return Pricing(
            subtotal=subscription.subtotal_cents,
            tax=subscription.tax_cents,
            discount=subscription.discount_cents,
            total=total,
        )
    return Pricing(subtotal=total, tax=0, discount=0, total=total)
