"""
What a provider's answer makes of a customer, a payment method or a subscription. Pure.

The provider outranks what is written here, but only for the object that our row means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from ..models import (
    Customer,
    Event,
    Operation,
    PaymentMethod,
    PaymentMethodStatus,
    Subscription,
    SubscriptionStatus,
    Verb,
    is_own_id,
    new_id,
)
from ..providers.base import (
    UNRECOGNISED,
    Decline,
    ProviderCustomer,
    ProviderMethod,
    ProviderSubscription,
)

__all__ = [
    "Change",
    "adopted",
    "customer_answered",
    "customer_synced",
    "customer_undone",
    "method_answered",
    "method_forgotten",
    "method_synced",
    "method_undone",
    "next_subscription_sync",
    "subscription_answered",
    "subscription_merged",
    "subscription_undone",
    "trial_ends_soon",
]

R = TypeVar("R", Customer, PaymentMethod, Subscription)

_TRIAL_NOTICE: Final = timedelta(days=3)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Generic[R]):
    """A row to write and what is told of it, together or not at all."""

    row: R
    events: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    """Type and data of each; the snapshot is the row as it is stored."""
    changed: bool = True
    decline: Decline | None = None
    """Why the provider refused, where it answered with an object all the same."""

    def told(self, row: R) -> list[Event]:
        """Return the events with *row*, which is as it is stored by now."""
        status = getattr(row, "status", None)
        if status is PaymentMethodStatus.DELETED and getattr(self.row, "status", None) is not status:
            return []  # it is another row's method
        now = row.updated_at
        return [_event(type_, row, now, data) for type_, data in self.events]


def _event(
    type_: str, row: Customer | PaymentMethod | Subscription, now: datetime, data: Mapping[str, Any]
) -> Event:
    match row:
        case Customer():
            return Event(id=new_id("evt"), type=type_, created_at=now, customer=row, data=data)
        case PaymentMethod():
            return Event(id=new_id("evt"), type=type_, created_at=now, payment_method=row, data=data)
        case Subscription():
            return Event(id=new_id("evt"), type=type_, created_at=now, subscription=row, data=data)


# --- customers ------------------------------------------------------------------------------------


def customer_answered(
    row: Customer, operation: Operation, truth: ProviderCustomer, now: datetime
) -> Change[Customer]:
    """The provider made, changed or forgot a customer."""
    match operation.verb:
        case Verb.CREATE_CUSTOMER:
            if row.provider_customer_id == truth.reference:
                return Change(row=row, changed=False)
            known = replace(row, provider_customer_id=truth.reference, updated_at=now)
            return Change(row=known, events=() if row.is_deleted else (("customer.created", {}),))
        case Verb.UPDATE_CUSTOMER:
            changed = replace(row, **operation.inputs.get("local", {}), updated_at=now)
            return Change(row=changed, events=(("customer.updated", {}),))
        case _:
            if row.is_deleted:
                return Change(row=row, changed=False)
            return Change(
                row=replace(row, deleted_at=now, updated_at=now, default_payment_method_id=None),
                events=(("customer.deleted", {}),),
            )


def customer_undone(row: Customer, operation: Operation, now: datetime) -> Change[Customer]:
    """A customer that never came to be gives its owner's place up; any other stays as it was."""
    if operation.verb is Verb.CREATE_CUSTOMER and row.provider_customer_id is None and not row.is_deleted:
        return Change(row=replace(row, deleted_at=now, updated_at=now))
    return Change(row=row, changed=False)


def customer_synced(row: Customer, truth: ProviderCustomer, now: datetime) -> Change[Customer]:
    """Apply what the provider shows of a customer."""
    if row.is_deleted:
        return Change(row=row, changed=False)
    if truth.deleted:
        return Change(row=replace(row, deleted_at=now, updated_at=now), events=(("customer.deleted", {}),))
    seen = replace(
        row,
        email=truth.email or row.email,
        name=truth.name or row.name,
        phone=truth.phone or row.phone,
    )
    if seen == row:
        return Change(row=row, changed=False)
    return Change(row=replace(seen, updated_at=now), events=(("customer.updated", {}),))


# --- payment methods ------------------------------------------------------------------------------


def method_answered(
    row: PaymentMethod,
    operation: Operation,
    truth: ProviderMethod,
    now: datetime,
    *,
    secret_max_age: timedelta,
) -> Change[PaymentMethod]:
    """The provider keeps a method, waits for its payer, refused it, changed it or forgot it."""
    if row.status is PaymentMethodStatus.DELETED:
        return Change(row=row, changed=False)
    if operation.verb is Verb.DELETE_METHOD:
        return method_forgotten(row, now)
    if operation.verb is Verb.UPDATE_METHOD:
        return method_synced(row, truth, now)
    change = method_synced(row, truth, now)
    if change.row.status is PaymentMethodStatus.REQUIRES_ACTION and truth.client_secret:
        secret = replace(
            change.row,
            client_secret=truth.client_secret,
            client_secret_expires_at=row.created_at + secret_max_age,
        )
        change = replace(change, row=secret, changed=True)
    declined = truth.decline if change.row.status is not PaymentMethodStatus.ACTIVE else None
    return replace(change, decline=declined)


def method_synced(row: PaymentMethod, truth: ProviderMethod, now: datetime) -> Change[PaymentMethod]:
    """Apply what the provider shows of a method."""
    if truth.payment_method_id is not None and truth.payment_method_id != row.id:
        return Change(row=row, changed=False)
    if row.status is PaymentMethodStatus.DELETED:
        return Change(row=row, changed=False)
    status = truth.status
    if status is PaymentMethodStatus.DELETED:
        return method_forgotten(row, now)
    waits = status in (PaymentMethodStatus.REQUIRES_ACTION, PaymentMethodStatus.PENDING)
    setup = truth.setup or (truth.reference if waits else None)
    active = status is PaymentMethodStatus.ACTIVE
    decline = truth.decline if not active else None
    seen = replace(
        row,
        status=status,
        provider_payment_method_id=truth.reference if active else row.provider_payment_method_id,
        provider_setup_id=setup or row.provider_setup_id,
        payment_type=truth.type or row.payment_type,
        wallet_type=truth.wallet_type or row.wallet_type,
        card_brand=truth.brand or row.card_brand,
        last_four=truth.last_four or row.last_four,
        expiry_month=truth.expiry_month or row.expiry_month,
        expiry_year=truth.expiry_year or row.expiry_year,
        next_action=truth.next_action if waits else None,
        client_secret=row.client_secret if waits else None,
        client_secret_expires_at=row.client_secret_expires_at if waits else None,
        decline_code=decline.code if decline else None,
        error_message=decline.message if decline else None,
    )
    if seen == row:
        return Change(row=row, changed=False)
    seen = replace(seen, updated_at=now)
    if active and row.status is not PaymentMethodStatus.ACTIVE:
        return Change(row=seen, events=(("payment_method.created", {}),))
    return Change(row=seen, events=(("payment_method.updated", {}),) if active else ())


def method_forgotten(row: PaymentMethod, now: datetime) -> Change[PaymentMethod]:
    """Nobody can charge it here any more; told once."""
    if row.status is PaymentMethodStatus.DELETED:
        return Change(row=row, changed=False)
    gone = replace(
        row, status=PaymentMethodStatus.DELETED, is_default=False, client_secret=None,
        client_secret_expires_at=None, next_action=None, updated_at=now,
    )  # fmt: skip
    return Change(row=gone, events=(("payment_method.deleted", {}),))


def method_undone(
    row: PaymentMethod, operation: Operation, why: str, decline: Decline | None, now: datetime
) -> Change[PaymentMethod]:
    """A method that was refused, or never reached the provider, has failed; a set-up may be tried again."""
    if operation.verb is Verb.CONFIRM_METHOD and decline is not None:
        told = replace(row, decline_code=decline.code, error_message=decline.message, updated_at=now)
        return Change(row=told)
    if operation.verb is not Verb.CREATE_METHOD or row.status is not PaymentMethodStatus.PENDING:
        return Change(row=row, changed=False)
    failed = replace(
        row,
        status=PaymentMethodStatus.FAILED,
        is_default=False,
        decline_code=decline.code if decline else None,
        error_message=why,
        updated_at=now,
    )
    return Change(row=failed)


# --- subscriptions --------------------------------------------------------------------------------


def subscription_answered(
    row: Subscription,
    operation: Operation,
    truth: ProviderSubscription,
    now: datetime,
    *,
    done: bool,
    secret_max_age: timedelta,
) -> Change[Subscription]:
    """The provider answered an instruction on a subscription; without *done* it only said how it is."""
    creates = operation.verb is Verb.CREATE_SUBSCRIPTION
    local = operation.inputs.get("local", {}) if done else {}
    base = replace(row, **local)
    if creates:
        base = replace(
            base,
            client_secret=truth.client_secret or base.client_secret,
            client_secret_expires_at=row.created_at + secret_max_age,
        )
    change = subscription_merged(base, truth, now)
    events = change.events
    if local and not any(type_ == "subscription.updated" for type_, _ in events):
        events = (*events, ("subscription.updated", {}))
    unbegun = change.row.status in (SubscriptionStatus.INCOMPLETE, SubscriptionStatus.INCOMPLETE_EXPIRED)
    return replace(
        change,
        row=replace(change.row, updated_at=now) if local else change.row,
        events=events,
        changed=change.changed or bool(local) or base != row,
        decline=truth.decline if creates and unbegun else None,
    )


def subscription_merged(
    row: Subscription, truth: ProviderSubscription, now: datetime, *, swept: bool = False
) -> Change[Subscription]:
    """Apply a re-fetched subscription. Any order, any number of times, the last one read decides."""
    if wrong := _foreign(row, truth):
        flagged = replace(row, error_message=f"The provider's object does not match: {wrong}")
        return _planned(row, flagged, now, (), swept=swept)
    known = replace(
        row,
        provider_subscription_id=row.provider_subscription_id or truth.reference,
        livemode=row.livemode if row.livemode is not None else truth.livemode,
        provider_status=truth.provider_status or row.provider_status,
    )
    if truth.status is UNRECOGNISED:
        odd = replace(known, error_message="The provider reports a status that this version does not know")
        return _planned(row, odd, now, _first(row), swept=swept)
    assert isinstance(truth.status, SubscriptionStatus)
    status = truth.status
    open_still = status in (SubscriptionStatus.INCOMPLETE, SubscriptionStatus.PAST_DUE)
    decline = (
        truth.decline if status not in (SubscriptionStatus.ACTIVE, SubscriptionStatus.TRIALING) else None
    )
    priced, remark = _priced(known, truth)
    merged = replace(
        priced,
        status=status,
        billing_interval=truth.interval or row.billing_interval,
        interval_multiplier=truth.interval_count if truth.interval else row.interval_multiplier,
        current_period_start=truth.current_period_start or row.current_period_start,
        current_period_end=truth.current_period_end or row.current_period_end,
        cancel_at_period_end=truth.cancel_at_period_end and status is not SubscriptionStatus.CANCELED,
        canceled_at=truth.canceled_at
        or row.canceled_at
        or (now if status is SubscriptionStatus.CANCELED else None),
        trial_end=truth.trial_end or row.trial_end,
        next_billing_date=_next_billing(truth),
        next_action=truth.next_action if open_still else None,
        client_secret=row.client_secret if open_still else None,
        client_secret_expires_at=row.client_secret_expires_at if open_still else None,
        decline_code=decline.code if decline else None,
        error_message=decline.message if decline else remark,
    )
    if not truth.cancel_at_period_end and status is not SubscriptionStatus.CANCELED:
        merged = replace(merged, canceled_at=truth.canceled_at)  # a cancellation was taken back
    return _planned(row, merged, now, (*_first(row), *_told(row, merged)), swept=swept)


def subscription_undone(
    row: Subscription, operation: Operation, why: str, decline: Decline | None, now: datetime
) -> Change[Subscription]:
    """A subscription that never began has expired; what was asked of any other one left it as it was."""
    if operation.verb is not Verb.CREATE_SUBSCRIPTION or row.provider_subscription_id is not None:
        return Change(row=row, changed=False)
    never = replace(
        row,
        status=SubscriptionStatus.INCOMPLETE_EXPIRED,
        decline_code=decline.code if decline else None,
        error_message=why,
        client_secret=None,
        next_action=None,
        next_sync_at=None,
        updated_at=now,
    )
    told = (("subscription.payment_failed", {"decline_code": decline.code}),) if decline else ()
    return Change(row=never, events=told)


def _foreign(row: Subscription, truth: ProviderSubscription) -> str | None:
    if row.provider_subscription_id is not None and truth.reference != row.provider_subscription_id:
        return "another object"
    if row.livemode is not None and truth.livemode is not None and truth.livemode != row.livemode:
        return f"livemode is {truth.livemode}"
    if truth.our_reference is not None and row.reference is not None and truth.our_reference != row.reference:
        return "another reference"
    if truth.subscription_id is not None and truth.subscription_id != row.id:
        return "another subscription id"
    return None


def _priced(row: Subscription, truth: ProviderSubscription) -> tuple[Subscription, str | None]:
    """Take the provider's price over; one that we did not ask for is remarked on."""
    if truth.amount is None or truth.amount == row.total:
        return row, None
    total, currency = truth.amount.minor_units, truth.amount.currency
    subtotal = total - row.tax_cents + row.discount_cents
    if currency == row.currency and subtotal >= 0:
        priced = replace(row, total_cents=total, subtotal_cents=subtotal)
    else:
        priced = replace(
            row, total_cents=total, subtotal_cents=total, tax_cents=0, discount_cents=0, currency=currency
        )
    return priced, f"The provider charges {truth.amount}, where {row.total} was recorded"


def _next_billing(truth: ProviderSubscription) -> datetime | None:
    if truth.status in (SubscriptionStatus.CANCELED, SubscriptionStatus.INCOMPLETE_EXPIRED):
        return None
    return None if truth.cancel_at_period_end else truth.next_billing_date or truth.current_period_end


def _first(row: Subscription) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    return (("subscription.created", {}),) if row.provider_subscription_id is None else ()


def _told(old: Subscription, new: Subscription) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    if old.provider_subscription_id is None:
        return ()
    told: list[tuple[str, Mapping[str, Any]]] = []
    moved = new.status is not old.status
    if moved and new.status is SubscriptionStatus.CANCELED:
        told.append(("subscription.cancelled", {}))
    elif moved and new.status in (SubscriptionStatus.PAST_DUE, SubscriptionStatus.UNPAID):
        told.append(("subscription.payment_failed", {"decline_code": new.decline_code}))
    elif _terms(old) != _terms(new):
        told.append(("subscription.updated", {}))
    return tuple(told)


def _terms(row: Subscription) -> tuple[object, ...]:
    return (
        row.status, row.total_cents, row.currency, row.billing_interval, row.interval_multiplier,
        row.cancel_at_period_end, row.trial_end, row.current_period_end, row.payment_method_id,
    )  # fmt: skip


def _planned(
    old: Subscription,
    new: Subscription,
    now: datetime,
    events: tuple[tuple[str, Mapping[str, Any]], ...],
    *,
    swept: bool,
) -> Change[Subscription]:
    if new == old and not swept:
        return Change(row=old, changed=False)
    if new != old:
        new = replace(new, updated_at=now)
    return Change(row=replace(new, next_sync_at=next_subscription_sync(new, now)), events=events)


def next_subscription_sync(row: Subscription, now: datetime) -> datetime | None:
    """Return when the provider is asked next by itself (rule 13); None once it has ended.

    Before it began: soon, then less and less often. Afterwards a day after the period's end, and once when a
    trial's end comes near.
    """
    if row.has_ended or row.provider_subscription_id is None:
        return None
    if row.status is SubscriptionStatus.INCOMPLETE:
        return now + min(max(now - row.created_at, timedelta(minutes=2)), _DAY)
    moments = [(row.current_period_end or now) + _DAY]
    if row.status is SubscriptionStatus.TRIALING and row.trial_end is not None:
        moments.append(row.trial_end - _TRIAL_NOTICE)
    if row.status in (SubscriptionStatus.PAST_DUE, SubscriptionStatus.UNPAID):
        moments.append(now + _DAY)
    ahead = [moment for moment in moments if moment > now]
    return min(ahead, default=now + _DAY)


def adopted(
    truth: ProviderSubscription, owner: Customer | None, provider_id: str, now: datetime
) -> Subscription | None:
    """Return a row for a subscription of ours that has none, if its customer and its price are known."""
    if owner is None or truth.amount is None or truth.interval is None:
        return None
    named = truth.subscription_id
    return Subscription(
        id=named if named is not None and is_own_id("sub", named) else new_id("sub"),
        provider_id=provider_id,
        customer_id=owner.id,
        status=SubscriptionStatus.INCOMPLETE,
        subtotal_cents=truth.amount.minor_units,
        total_cents=truth.amount.minor_units,
        currency=truth.amount.currency,
        billing_interval=truth.interval,
        interval_multiplier=truth.interval_count,
        created_at=truth.created_at or now,
        updated_at=now,
        reference=truth.our_reference,
        user_id=owner.user_id,
        organization_id=owner.organization_id,
        category="subscription",
        is_guest_subscription=owner.user_id is None and owner.guest_email is not None,
        guest_email=owner.guest_email,
    )


def trial_ends_soon(row: Subscription, now: datetime) -> bool:
    """Whether the payer is to be told that a trial ends."""
    return (
        row.status is SubscriptionStatus.TRIALING
        and row.trial_end is not None
        and now <= row.trial_end <= now + _TRIAL_NOTICE
    )
