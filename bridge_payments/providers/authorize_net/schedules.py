"""Subscriptions as the gateway runs them (ARB): their intervals, what is sent, and what is read. Pure."""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from ...errors import InvalidRequest
from ...models import BillingInterval, Money, SubscriptionStatus
from ..base import (
    UNRECOGNISED,
    Decline,
    ProviderPayment,
    ProviderSubscription,
    SubscriptionRequest,
    SubscriptionUpdate,
)
from .answers import Json, many, messages_of, moment_of, text_of
from .forms import is_reference
from .money import from_gateway, to_gateway
from .profiles import checked_pair, reference_of_pair
from .refusals import safe

__all__ = [
    "DUPLICATE",
    "PAGE",
    "STATUS",
    "Attempt",
    "attempts_in",
    "begun",
    "changed_payload",
    "checked_subscription",
    "duplicate_of",
    "invoice_of",
    "is_changed",
    "list_payload",
    "subscription_from",
    "subscription_of",
    "subscription_payload",
]

DUPLICATE: Final = "E00012"
ENDLESS: Final = 9999
"""As many occurrences mean: until it is canceled
(2026-11, https://developer.authorize.net/api/reference/#recurring-billing-create-a-subscription)."""

# (2026-11, https://developer.authorize.net/api/reference/features/recurring-billing.html). What is suspended
# is not charged until its method is changed, and ends with the next date on which it is not.
STATUS: Final[Mapping[str, SubscriptionStatus]] = {
    "active": SubscriptionStatus.ACTIVE,
    "suspended": SubscriptionStatus.PAST_DUE,
    "canceled": SubscriptionStatus.CANCELED,
    "terminated": SubscriptionStatus.CANCELED,
    "expired": SubscriptionStatus.CANCELED,
}

_NAMED: Final = re.compile(r"\bSubscription (\d{1,19})\b")
_NUMBER: Final = re.compile(r"[1-9]\d{0,12}\Z")
PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to collect: with a transaction, or without one and with a reason."""

    transaction: str | None
    words: str
    at: datetime | None


def checked_subscription(subscription: str) -> str:
    if not _NUMBER.match(subscription):
        raise InvalidRequest("is not a subscription of Authorize.net's", field="subscription")
    return subscription


# --- what is sent ---------------------------------------------------------------------------------


def subscription_payload(request: SubscriptionRequest, method: str, today: date) -> dict[str, Any]:
    """Return a subscription that begins today, or after its trial, which is free: nothing is charged before.

    *today* is UTC's: no place at which the gateway counts its days is ahead of it.
    """
    order = {"invoiceNumber": request.reference}
    if request.description:
        order["description"] = request.description[:255]
    return {
        "name": request.name[:50],
        "paymentSchedule": {
            "interval": _interval(request.interval, request.interval_count),
            "startDate": (today + timedelta(days=request.trial_days)).isoformat(),
            "totalOccurrences": ENDLESS,
        },
        "amount": to_gateway(request.amount),
        "order": order,
        "profile": _profile(method, request.customer),
    }


def changed_payload(request: SubscriptionUpdate, before: Json | None) -> dict[str, Any]:
    """Return what changes; *before* is read where the description does, because an order is written whole."""
    changes: dict[str, Any] = {}
    if request.amount is not None:
        changes["amount"] = to_gateway(request.amount)
    if request.description is not None:
        invoice = invoice_of(before or {})
        kept = {"invoiceNumber": invoice} if invoice else {}
        changes["order"] = {**kept, "description": request.description[:255]}
    if request.payment_method is not None:
        changes["profile"] = _profile(request.payment_method, request.customer)
    return changes


def list_payload(search: str, page: int) -> dict[str, Any]:
    return {
        "searchType": search,
        "sorting": {"orderBy": "createTimeStampUTC", "orderDescending": True},
        "paging": {"limit": PAGE, "offset": page},
    }


def _profile(method: str, customer: str | None) -> dict[str, str]:
    profile, number = checked_pair(method, customer)
    return {"customerProfileId": profile, "customerPaymentProfileId": number}


def _interval(interval: BillingInterval, count: int) -> dict[str, Any]:
    """Write an interval in the gateway's two units: 7 to 365 days, or 1 to 12 months (its E00022)."""
    days = {BillingInterval.DAILY: 1, BillingInterval.WEEKLY: 7}.get(interval)
    if days is not None:
        length, unit, shortest, longest = days * count, "days", 7, 365
    else:
        months = 12 if interval is BillingInterval.YEARLY else 1
        length, unit, shortest, longest = months * count, "months", 1, 12
    if not shortest <= length <= longest:
        raise InvalidRequest(
            "Authorize.net bills every 7 to 365 days or every 1 to 12 months", field="billing_interval"
        )
    return {"length": length, "unit": unit}


# --- what comes back ------------------------------------------------------------------------------


def begun(
    subscription: str, payload: Json, request: SubscriptionRequest, *, today: date, livemode: bool | None
) -> ProviderSubscription:
    """Return a subscription that was made just now: it is as it was asked for, and has collected nothing."""
    profile = payload["profile"]
    shown = {
        **payload,
        "status": "active",
        "profile": {
            "customerProfileId": profile["customerProfileId"],
            "paymentProfile": {"customerPaymentProfileId": profile["customerPaymentProfileId"]},
        },
    }
    return subscription_from(
        subscription, shown, currency=request.amount.currency, today=today, livemode=livemode, charges=(),
        subscription_id=request.subscription_id,
    )  # fmt: skip


def subscription_of(answer: Json) -> Json:
    found = answer.get("subscription")
    if not isinstance(found, Mapping):
        raise ValueError("no subscription")  # noqa: TRY004 - an unreadable answer, not a wrong argument
    return found


def subscription_from(
    subscription: str,
    shown: Json,
    *,
    currency: str,
    today: date,
    livemode: bool | None,
    charges: tuple[ProviderPayment, ...] | None = None,
    subscription_id: str | None = None,
) -> ProviderSubscription:
    """Read a subscription. Raises KeyError, TypeError or ValueError for what is none."""
    word = text_of(shown["status"]) or ""
    status = STATUS.get(word, UNRECOGNISED)
    schedule = shown["paymentSchedule"]
    starts = date.fromisoformat(str(text_of(schedule["startDate"]))[:10])
    step = schedule["interval"]
    length, unit = int(str(text_of(step["length"]))), text_of(step["unit"])
    interval, count = _interval_from(length, unit)
    runs = status in (SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE)
    waits = runs and starts > today
    if status is SubscriptionStatus.ACTIVE and waits:
        status = SubscriptionStatus.TRIALING
    since, until = _period(starts, length, unit, today)
    customer, method = _payer(shown.get("profile"))
    invoice = invoice_of(shown)
    return ProviderSubscription(
        reference=subscription,
        status=status,
        amount=_amount(shown.get("amount"), currency),
        interval=interval,
        interval_count=count,
        current_period_start=_midnight(since) if runs and not waits else None,
        current_period_end=_midnight(until) if runs else None,
        trial_end=_midnight(starts) if waits else None,
        next_billing_date=_midnight(until) if runs else None,
        customer=customer,
        payment_method=method,
        decline=_decline(shown) if status is SubscriptionStatus.PAST_DUE else None,
        charges=charges,
        livemode=livemode,
        subscription_id=subscription_id,
        our_reference=invoice,
        provider_status=word,
        raw=shown,
    )


def invoice_of(shown: Json) -> str | None:
    """Return the mark of a subscription, which its charges carry as their invoice, too."""
    order = shown.get("order")
    invoice = text_of(order.get("invoiceNumber")) if isinstance(order, Mapping) else None
    return invoice if invoice is not None and is_reference(invoice) else None


def attempts_in(shown: Json) -> Sequence[Attempt]:
    """Return what was tried lately, newest first: the gateway shows the last 20."""
    tried = [
        Attempt(
            text_of(each.get("transId")),
            text_of(each.get("response")) or "",
            moment_of(each.get("submitTimeUTC")),
        )
        for each in many(shown.get("arbTransactions"), "arbTransaction")
    ]
    return sorted(tried, key=lambda each: each.at or datetime.min.replace(tzinfo=UTC), reverse=True)


def duplicate_of(answer: Json) -> str | None:
    """Return the subscription of which the gateway says that ours would be a duplicate (recorded)."""
    for code, sentence in messages_of(answer):
        if code == DUPLICATE and (named := _NAMED.search(sentence)):
            return named[1]
    return None


def is_changed(shown: Json, request: SubscriptionUpdate, currency: str) -> bool:
    """Whether a subscription is as a change wanted it."""
    order = shown.get("order")
    description = text_of(order.get("description")) if isinstance(order, Mapping) else None
    _, method = _payer(shown.get("profile"))
    return (
        (request.amount is None or _amount(shown.get("amount"), currency) == request.amount)
        and (request.payment_method is None or method == request.payment_method)
        and (request.description is None or description == (request.description[:255] or None))
    )


def _decline(shown: Json) -> Decline | None:
    for attempt in attempts_in(shown):
        message = safe(attempt.words) or "The payment method was declined."
        return Decline(code="declined", message=message, reference=attempt.transaction)
    return None


def _payer(profile: object) -> tuple[str | None, str | None]:
    if not isinstance(profile, Mapping):
        return None, None
    customer, method = text_of(profile.get("customerProfileId")), profile.get("paymentProfile")
    number = text_of(method.get("customerPaymentProfileId")) if isinstance(method, Mapping) else None
    return customer, reference_of_pair(customer, number) if customer and number else None


def _amount(value: object, currency: str) -> Money | None:
    return from_gateway(value, currency) if text_of(value) is not None else None


def _interval_from(length: int, unit: str | None) -> tuple[BillingInterval, int]:
    if unit == "months":
        return (BillingInterval.YEARLY, 1) if length == 12 else (BillingInterval.MONTHLY, length)
    if unit != "days":
        raise ValueError("a unit that nobody knows")
    return (BillingInterval.WEEKLY, length // 7) if length % 7 == 0 else (BillingInterval.DAILY, length)


def _period(starts: date, length: int, unit: str | None, today: date) -> tuple[date, date]:
    """Return the period that *today* is in: from one date of billing to the next."""
    if today < starts:
        return starts, starts
    passed = 0
    if unit == "days":
        passed = (today - starts).days // length
    else:
        passed = ((today.year - starts.year) * 12 + today.month - starts.month) // length
        if _after(starts, passed * length, unit) > today:
            passed -= 1
    return _after(starts, passed * length, unit), _after(starts, (passed + 1) * length, unit)


def _after(starts: date, length: int, unit: str | None) -> date:
    """Return the date so many days or months later; one that a month does not have is its last."""
    if unit == "days":
        return starts + timedelta(days=length)
    months = starts.year * 12 + starts.month - 1 + length
    year, month = divmod(months, 12)
    return date(year, month + 1, min(starts.day, calendar.monthrange(year, month + 1)[1]))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)
