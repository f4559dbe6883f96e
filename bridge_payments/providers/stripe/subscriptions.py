"""Subscriptions: what we send of them, and what Stripe's mean in our words. Pure.

Stripe makes the price from the amount by itself (`price_data`), and wants a product to exist. One product
stands for all subscriptions of one name, under an id that we choose: a second one of it cannot come to be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from ...errors import InvalidRequest
from ...models import (
    ENDED_SUBSCRIPTION_STATUSES,
    BillingInterval,
    Money,
    NextAction,
    NextActionKind,
    PaymentStatus,
    SubscriptionStatus,
)
from ..base import (
    UNRECOGNISED,
    ProviderPayment,
    ProviderSubscription,
    SubscriptionCancellation,
    SubscriptionRequest,
    SubscriptionUpdate,
)
from .forms import REFERENCE, UPDATE_REFERENCE, Form, checked_id, marked
from .money import from_stripe, to_stripe
from .objects import Json, moment_of, reference_of, stamp_of, text_of

__all__ = [
    "EXPANDED",
    "SUBSCRIPTION_ID",
    "SUBSCRIPTION_STATUS",
    "cancel_form",
    "create_form",
    "end_form",
    "intents_of",
    "is_stopped",
    "item_of",
    "pause_form",
    "product_form",
    "product_id",
    "resume_form",
    "subscription_from",
    "update_form",
]

SUBSCRIPTION_ID: Final = "bridge_subscription_id"

EXPANDED: Final = ["latest_invoice.confirmation_secret", "latest_invoice.payments", "pending_setup_intent"]
"""Neither secret nor payments of an invoice come by themselves since 2025-03-31
(https://docs.stripe.com/changelog/basil/2025-03-31/add-support-for-multiple-partial-payments-on-invoices)."""

# (2026-11, https://docs.stripe.com/api/subscriptions/object#subscription_object-status)
SUBSCRIPTION_STATUS: Final[Mapping[str, SubscriptionStatus]] = {
    "incomplete": SubscriptionStatus.INCOMPLETE,
    "incomplete_expired": SubscriptionStatus.INCOMPLETE_EXPIRED,
    "trialing": SubscriptionStatus.TRIALING,
    "active": SubscriptionStatus.ACTIVE,
    "past_due": SubscriptionStatus.PAST_DUE,
    "unpaid": SubscriptionStatus.UNPAID,
    "paused": SubscriptionStatus.PAUSED,
    "canceled": SubscriptionStatus.CANCELED,
}

_INTERVALS: Final[Mapping[BillingInterval, str]] = {
    BillingInterval.DAILY: "day",
    BillingInterval.WEEKLY: "week",
    BillingInterval.MONTHLY: "month",
    BillingInterval.YEARLY: "year",
}
_INTERVAL_OF: Final = {word: interval for interval, word in _INTERVALS.items()}

# The payer may still have to do something about the newest invoice.
_WAITING: Final = frozenset(
    {SubscriptionStatus.INCOMPLETE, SubscriptionStatus.PAST_DUE, SubscriptionStatus.UNPAID}
)
_COLLECTED: Final = frozenset(
    {PaymentStatus.SUCCEEDED, PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_CAPTURE}
)


# --- what we send ---------------------------------------------------------------------------------


def product_id(name: str) -> str:
    return f"bridge_{hashlib.sha256(name.encode()).hexdigest()[:24]}"


def product_form(name: str) -> Form:
    return {"id": product_id(name), "name": name}


def create_form(request: SubscriptionRequest, *, product: str) -> Form:
    """With a stored method it is charged now; without one the payer's browser makes the first payment.

    Then the method is kept with the subscription, for the renewals
    (2026-11, https://docs.stripe.com/billing/subscriptions/build-subscriptions).
    """
    if request.customer is None:
        raise InvalidRequest("Stripe runs a subscription for a customer only", field="customer_id")
    form: Form = {
        "customer": checked_id(request.customer, "customer"),
        "items": [{"price_data": _price(request.amount, request.interval, request.interval_count, product)}],
        "metadata": marked(
            request.metadata, {SUBSCRIPTION_ID: request.subscription_id, REFERENCE: request.reference}
        ),
        "expand": EXPANDED,
    }
    if request.payment_method is None:
        form["payment_behavior"] = "default_incomplete"
        form["payment_settings"] = {"save_default_payment_method": "on_subscription"}
    else:
        form["payment_behavior"] = "allow_incomplete"
        form["default_payment_method"] = checked_id(request.payment_method, "payment_method")
    if request.trial_days:
        form["trial_period_days"] = request.trial_days
    if request.description is not None:
        form["description"] = request.description
    return form


def update_form(request: SubscriptionUpdate, *, reference: str, item: Json | None) -> Form:
    """The change, stamped. A new price needs the *item* that it replaces, and holds from the next period."""
    form = _stamped(reference, request.metadata)
    if request.amount is not None and item is not None:
        interval = request.interval or BillingInterval(item["interval"])
        count = request.interval_count or item["interval_count"]
        price = _price(request.amount, interval, count, item["product"])
        form["items"] = [{"id": item["id"], "price_data": price}]
        form["proration_behavior"] = "none"
    if request.payment_method is not None:
        form["default_payment_method"] = checked_id(request.payment_method, "payment_method")
    if request.description is not None:
        form["description"] = request.description
    return form


def cancel_form(request: SubscriptionCancellation, *, reference: str) -> Form:
    return {**_stamped(reference), "cancel_at_period_end": True, **_comment(request.reason)}


def end_form(request: SubscriptionCancellation) -> Form:
    return {"expand": EXPANDED, **_comment(request.reason)}


def pause_form(*, reference: str) -> Form:
    """Invoices of the pause are voided: nothing is collected, and nothing is owed for it afterwards.

    The other way to pause (POST …/pause) is not in the older of the versions that we speak
    (2026-11, https://docs.stripe.com/billing/subscriptions/pause-payment).
    """
    return {**_stamped(reference), "pause_collection": {"behavior": "void"}}


def resume_form(*, reference: str) -> Form:
    return {**_stamped(reference), "pause_collection": "", "cancel_at_period_end": False}


def _stamped(reference: str, metadata: Mapping[str, str] | None = None) -> Form:
    return {"metadata": marked(metadata or {}, {UPDATE_REFERENCE: reference}), "expand": EXPANDED}


def _comment(reason: str | None) -> Form:
    return {"cancellation_details": {"comment": reason[:500]}} if reason else {}


def _price(amount: Money, interval: BillingInterval, count: int, product: str) -> Form:
    return {
        "currency": amount.currency.lower(),
        "product": product,
        "recurring": {"interval": _INTERVALS[interval], "interval_count": count},
        "unit_amount": to_stripe(amount),
    }


# --- what it means --------------------------------------------------------------------------------


def item_of(subscription: Json) -> dict[str, Any]:
    """Return what a new price has to know of the one that it replaces, as JSON values."""
    item = _item(subscription)
    recurring = item["price"]["recurring"]
    return {
        "id": text_of(item["id"]),
        "product": reference_of(item["price"]["product"]),
        "interval": _INTERVAL_OF[recurring["interval"]].value,
        "interval_count": int(recurring["interval_count"]),
    }


def subscription_from(
    subscription: Json,
    *,
    intent: ProviderPayment | None = None,
    charges: Sequence[ProviderPayment] | None = None,
    request_id: str | None = None,
) -> ProviderSubscription:
    """Read a Subscription; *intent* is its newest invoice's, and *charges* all that it has collected.

    Raises KeyError, TypeError, ValueError or InvalidRequest for what is not a Subscription.
    """
    if subscription["object"] != "subscription":
        raise ValueError("not a subscription")
    status = _status(subscription)
    item = _item(subscription)
    recurring = item["price"].get("recurring") or {}
    waiting = intent if status in _WAITING else None
    started, ends = _period(subscription, item)
    return ProviderSubscription(
        reference=text_of(subscription["id"]),
        status=status,
        amount=_amount(item),
        interval=_INTERVAL_OF.get(recurring.get("interval") or ""),
        interval_count=int(recurring.get("interval_count") or 1),
        current_period_start=started,
        current_period_end=ends,
        cancel_at_period_end=_ends_with_its_period(subscription, ends),
        canceled_at=moment_of(subscription.get("canceled_at")),
        trial_end=moment_of(subscription.get("trial_end")),
        next_billing_date=_next_billing(subscription, status, ends),
        customer=reference_of(subscription.get("customer")),
        payment_method=reference_of(subscription.get("default_payment_method")),
        client_secret=_secret(subscription, status),
        next_action=_next_action(subscription, status, waiting),
        decline=waiting.decline if waiting is not None else None,
        charges=None if charges is None else tuple(each for each in charges if _is_collected(each)),
        livemode=subscription.get("livemode"),
        subscription_id=stamp_of(subscription, SUBSCRIPTION_ID),
        our_reference=stamp_of(subscription, REFERENCE),
        provider_status=subscription["status"],
        created_at=moment_of(subscription.get("created")),
        request_id=request_id,
        raw=subscription,
    )


def is_stopped(subscription: Json) -> bool:
    """Whether it goes on by another call than the one that takes a pause of collections back."""
    return bool(subscription["status"] == "paused")


def intents_of(invoice: Json) -> list[str]:
    """Return the intents that pay, or are to pay, an invoice."""
    listed: Sequence[Json] = (invoice.get("payments") or {}).get("data") or []
    paid_with = [
        reference_of((each.get("payment") or {}).get("payment_intent"))
        for each in listed
        if each.get("status") != "canceled"
    ]
    # Until 2025-03-31 an invoice had one intent and named it itself.
    return [each for each in (*paid_with, reference_of(invoice.get("payment_intent"))) if each is not None]


def _item(subscription: Json) -> Json:
    items: Sequence[Json] = subscription["items"]["data"]
    return items[0]


def _status(subscription: Json) -> Any:
    status = SUBSCRIPTION_STATUS.get(subscription["status"], UNRECOGNISED)
    paused = bool(subscription.get("pause_collection"))
    if paused and status not in ENDED_SUBSCRIPTION_STATUSES and status is not UNRECOGNISED:
        # While collecting is paused Stripe goes on calling it active.
        return SubscriptionStatus.PAUSED
    return status


def _amount(item: Json) -> Money | None:
    price = item["price"]
    units = price.get("unit_amount")
    if not isinstance(units, int):
        return None
    return from_stripe(units * int(item.get("quantity") or 1), price["currency"])


def _period(subscription: Json, item: Json) -> tuple[datetime | None, datetime | None]:
    """Since 2025-03-31 each item has a period of its own; before, the subscription had one."""
    holder = item if item.get("current_period_end") is not None else subscription
    return moment_of(holder.get("current_period_start")), moment_of(holder.get("current_period_end"))


def _ends_with_its_period(subscription: Json, ends: datetime | None) -> bool:
    if subscription.get("cancel_at_period_end"):
        return True
    planned = moment_of(subscription.get("cancel_at"))
    return planned is not None and ends is not None and planned <= ends


def _next_billing(subscription: Json, status: object, ends: datetime | None) -> datetime | None:
    billed = status in (SubscriptionStatus.TRIALING, SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE)
    return ends if billed and not _ends_with_its_period(subscription, ends) else None


def _secret(subscription: Json, status: object) -> str | None:
    """Return what the payer's browser pays the newest invoice with, or sets a method up for a trial."""
    invoice, setup = subscription.get("latest_invoice"), subscription.get("pending_setup_intent")
    if status in _WAITING and isinstance(invoice, Mapping):
        secret = (invoice.get("confirmation_secret") or {}).get("client_secret")
        return secret if isinstance(secret, str) else None
    if isinstance(setup, Mapping) and status not in ENDED_SUBSCRIPTION_STATUSES:
        return setup.get("client_secret")
    return None


def _next_action(subscription: Json, status: object, waiting: ProviderPayment | None) -> NextAction | None:
    if waiting is not None and waiting.next_action is not None:
        return waiting.next_action
    return NextAction(kind=NextActionKind.USE_SDK) if _secret(subscription, status) else None


def _is_collected(charge: ProviderPayment) -> bool:
    return charge.captured > 0 or charge.status in _COLLECTED
