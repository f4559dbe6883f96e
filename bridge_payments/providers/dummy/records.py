"""The dummy gateway's customers, methods and subscriptions in our words, and ours in its. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from ...models import (
    BillingInterval,
    Money,
    NextAction,
    NextActionKind,
    PaymentMethodStatus,
    SubscriptionStatus,
)
from ..base import (
    UNRECOGNISED,
    CustomerRequest,
    CustomerUpdate,
    PaymentMethodRequest,
    ProviderCustomer,
    ProviderMethod,
    ProviderSubscription,
    SubscriptionRequest,
    SubscriptionUpdate,
)
from ..contract.declines import Unrecognised
from .billing import moment
from .mapping import payment_from

__all__ = [
    "body_for_customer",
    "body_for_method",
    "body_for_subscription",
    "body_for_update",
    "customer_from",
    "method_from",
    "subscription_from",
]

METHOD_STATUS: Final[Mapping[str, PaymentMethodStatus]] = {
    "setup": PaymentMethodStatus.REQUIRES_ACTION,
    "agreed": PaymentMethodStatus.REQUIRES_ACTION,
    "disagreed": PaymentMethodStatus.FAILED,
    "active": PaymentMethodStatus.ACTIVE,
    "gone": PaymentMethodStatus.DELETED,
}
SUBSCRIPTION_STATUS: Final[Mapping[str, SubscriptionStatus]] = {
    "incomplete": SubscriptionStatus.INCOMPLETE,
    "trialing": SubscriptionStatus.TRIALING,
    "active": SubscriptionStatus.ACTIVE,
    "past_due": SubscriptionStatus.PAST_DUE,
    "paused": SubscriptionStatus.PAUSED,
    "canceled": SubscriptionStatus.CANCELED,
}


def body_for_customer(request: CustomerRequest | CustomerUpdate) -> dict[str, Any]:
    return {
        "email": request.email,
        "name": request.name,
        "phone": request.phone,
        "metadata": dict(request.metadata or {}),
    }


def customer_from(customer: Mapping[str, Any]) -> ProviderCustomer:
    return ProviderCustomer(
        reference=customer["id"],
        email=customer["email"],
        name=customer["name"],
        phone=customer["phone"],
        deleted=customer["deleted"],
        livemode=False,
        customer_id=customer["metadata"].get("bridge_customer_id"),
        our_reference=customer["metadata"].get("bridge_reference"),
        raw=customer,
    )


def body_for_method(request: PaymentMethodRequest) -> dict[str, Any]:
    return {
        "token": request.token,
        "customer": request.customer,
        "billing": asdict(request.billing) if request.billing else None,
        "metadata": dict(request.metadata),
    }


def method_from(method: Mapping[str, Any]) -> ProviderMethod:
    status = METHOD_STATUS[method["state"]]
    waits = status is PaymentMethodStatus.REQUIRES_ACTION
    metadata = method.get("metadata", {})
    return ProviderMethod(
        reference=method["id"],
        type="credit_card",
        brand="visa" if method["last4"] else None,
        last_four=method["last4"],
        expiry_month=12 if method["last4"] else None,
        expiry_year=2040 if method["last4"] else None,
        customer=method["customer"],
        status=status,
        saved=status is PaymentMethodStatus.ACTIVE,
        setup=method["id"] if waits else None,
        client_secret=method["secret"] if waits else None,
        next_action=NextAction(kind=NextActionKind.USE_SDK) if waits else None,
        payment_method_id=metadata.get("bridge_payment_method_id"),
        our_reference=metadata.get("bridge_reference"),
        raw=method,
    )


def body_for_subscription(request: SubscriptionRequest) -> dict[str, Any]:
    return {
        "amount": request.amount.minor_units,
        "currency": request.amount.currency,
        "interval": request.interval.value,
        "count": request.interval_count,
        "customer": request.customer,
        "method": request.payment_method,
        "trial_days": request.trial_days,
        "metadata": dict(request.metadata),
    }


def body_for_update(request: SubscriptionUpdate) -> dict[str, Any]:
    body: dict[str, Any] = {"subscription": request.subscription}
    if request.amount is not None:
        body |= {"amount": request.amount.minor_units, "currency": request.amount.currency}
    if request.payment_method is not None:
        body["method"] = request.payment_method
    if request.metadata is not None:
        body["metadata"] = dict(request.metadata)
    return body


def subscription_from(subscription: Mapping[str, Any]) -> ProviderSubscription:
    status: SubscriptionStatus | Unrecognised = SUBSCRIPTION_STATUS.get(subscription["state"], UNRECOGNISED)
    charges = tuple(payment_from(intent) for intent in subscription["intents"])
    latest = charges[0] if charges else None
    waits = status is SubscriptionStatus.INCOMPLETE
    return ProviderSubscription(
        reference=subscription["id"],
        status=status,
        amount=Money(subscription["amount"], subscription["currency"]),
        interval=BillingInterval(subscription["interval"]),
        interval_count=subscription["count"],
        current_period_start=moment(subscription["start"]),
        current_period_end=moment(subscription["end"]),
        cancel_at_period_end=subscription["cancel_at_end"],
        canceled_at=moment(subscription["ended"]),
        trial_end=moment(subscription["trial_end"]),
        customer=subscription["customer"],
        payment_method=subscription["method"],
        client_secret=latest.client_secret if latest and waits else None,
        next_action=latest.next_action if latest and waits else None,
        decline=latest.decline if latest else None,
        charges=charges,
        livemode=False,
        subscription_id=subscription["metadata"].get("bridge_subscription_id"),
        our_reference=subscription["metadata"].get("bridge_reference"),
        provider_status=subscription["state"],
        created_at=moment(subscription["created"]),
        raw=subscription,
    )
