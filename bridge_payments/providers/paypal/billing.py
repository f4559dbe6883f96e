"""PayPal's products, plans and subscriptions (v1): what is asked, and what a subscription means. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from ...errors import InvalidRequest
from ...models import (
    BillingInterval,
    Money,
    NextAction,
    NextActionKind,
    PaymentStatus,
    SubscriptionStatus,
)
from ..base import UNRECOGNISED, Decline, ProviderPayment, ProviderSubscription, SubscriptionRequest
from .declines import decline_from
from .money import from_paypal, to_paypal
from .objects import Json, items_of, link_of, moment_of, text_of, text_or_none

__all__ = [
    "SUBSCRIPTION_STATUS",
    "check",
    "mark",
    "our_marks",
    "plan_form",
    "plan_key",
    "price_patch",
    "product_form",
    "subscription_form",
    "subscription_from",
]

Form = dict[str, Any]

# (2026-11, billing_subscriptions_v1 1.6, subscription_status.) What ACTIVE and SUSPENDED mean depends on
# whether a trial runs and whether money is owed.
SUBSCRIPTION_STATUS: Final[Mapping[str, SubscriptionStatus]] = {
    "APPROVAL_PENDING": SubscriptionStatus.INCOMPLETE,
    "APPROVED": SubscriptionStatus.INCOMPLETE,
    "ACTIVE": SubscriptionStatus.ACTIVE,
    "SUSPENDED": SubscriptionStatus.PAUSED,
    "CANCELLED": SubscriptionStatus.CANCELED,
    "EXPIRED": SubscriptionStatus.CANCELED,
}

_UNITS: Final[Mapping[BillingInterval, str]] = {
    BillingInterval.DAILY: "DAY",
    BillingInterval.WEEKLY: "WEEK",
    BillingInterval.MONTHLY: "MONTH",
    BillingInterval.YEARLY: "YEAR",
}
_INTERVALS: Final = {unit: interval for interval, unit in _UNITS.items()}

# The longest distance of two payments is a year (2026-11, billing_subscriptions_v1 1.6, frequency).
_MOST: Final[Mapping[str, int]] = {"DAY": 365, "WEEK": 52, "MONTH": 12, "YEAR": 1}

_NAME: Final = 127

# (2026-11, billing_subscriptions_v1 1.6, failed_payment_details.reason_code.)
_FAILURES: Final[Mapping[str, str]] = {
    "PAYMENT_DENIED": "declined",
    "INTERNAL_SERVER_ERROR": "processing_error",
    "PAYEE_ACCOUNT_RESTRICTED": "processing_error",
    "PAYER_ACCOUNT_RESTRICTED": "invalid_account",
    "PAYER_CANNOT_PAY": "declined",
    "SENDING_LIMIT_EXCEEDED": "limit_exceeded",
    "TRANSACTION_RECEIVING_LIMIT_EXCEEDED": "limit_exceeded",
    "CURRENCY_MISMATCH": "currency_not_supported",
}

# (2026-11, the same, capture_status.)
_CHARGES: Final[Mapping[str, PaymentStatus]] = {
    "COMPLETED": PaymentStatus.SUCCEEDED,
    "PARTIALLY_REFUNDED": PaymentStatus.SUCCEEDED,
    "REFUNDED": PaymentStatus.SUCCEEDED,
    "PENDING": PaymentStatus.PROCESSING,
    "DECLINED": PaymentStatus.FAILED,
    "FAILED": PaymentStatus.FAILED,
}


# --- what we send -----------------------------------------------------------------------------------


def check(request: SubscriptionRequest) -> None:
    """Refuse what PayPal cannot bill, before anything is made for it."""
    unit = _UNITS[request.interval]
    if not 1 <= request.interval_count <= _MOST[unit]:
        raise InvalidRequest(
            f"PayPal bills every {_MOST[unit]} {request.interval} intervals at most", field="interval_count"
        )
    if not 0 <= request.trial_days <= _MOST["DAY"]:
        raise InvalidRequest(f"A trial at PayPal has {_MOST['DAY']} days at most", field="trial_days")
    if request.payment_method not in (None, "paypal"):
        # (2026-11, billing_subscriptions_v1 1.6: a subscriber's source is a card's number, and nothing kept.)
        raise InvalidRequest(
            "PayPal's subscriptions take no stored method: their payer agrees on PayPal's page",
            field="payment_method",
        )
    to_paypal(request.amount)


def product_form(request: SubscriptionRequest) -> Form:
    """One product for each name that is sold: its id is ours, so that a second one cannot come to be."""
    name = request.name.strip()[:_NAME] or "Subscription"
    digest = hashlib.sha256(name.encode()).hexdigest()
    return {"id": f"BRIDGE-{digest[:24].upper()}", "name": name, "type": "SERVICE"}


def plan_form(request: SubscriptionRequest, product: str) -> Form:
    """A plan of its own for each subscription: a new price is nobody else's."""
    cycles: list[Form] = []
    if request.trial_days:
        # A trial that is free needs no price (2026-11, the same, billing_cycle).
        cycles.append(
            {
                "frequency": {"interval_unit": "DAY", "interval_count": request.trial_days},
                "tenure_type": "TRIAL",
                "sequence": 1,
                "total_cycles": 1,
            }
        )
    cycles.append(
        {
            "frequency": {
                "interval_unit": _UNITS[request.interval],
                "interval_count": request.interval_count,
            },
            "tenure_type": "REGULAR",
            "sequence": len(cycles) + 1,
            "total_cycles": 0,
            "pricing_scheme": {"fixed_price": to_paypal(request.amount)},
        }
    )
    return {
        "product_id": product,
        "name": request.name.strip()[:_NAME] or "Subscription",
        "billing_cycles": cycles,
        "payment_preferences": {"auto_bill_outstanding": True},
        **({"description": request.description[:_NAME]} if request.description else {}),
    }


def plan_key(request: SubscriptionRequest, form: Form) -> str | None:
    """Return the key of a plan, by what was wished for and its terms; None where no wish has a name.

    A plan has no id of ours and cannot be deleted. The key of the operation would make another one when a
    try is given up after its plan and the caller repeats it. PayPal does not compare the bodies of a key,
    and a price may change between two tries: therefore the terms.
    """
    if request.wish is None:
        return None
    terms = json.dumps([request.wish, form], sort_keys=True)
    return f"{hashlib.sha256(terms.encode()).hexdigest()[:40]}-plan"


def subscription_form(request: SubscriptionRequest, plan: str) -> Form:
    form: Form = {"plan_id": plan, "custom_id": mark(request.subscription_id, request.reference)}
    if request.email:
        form["subscriber"] = {"email_address": request.email}
    if request.return_url is not None:
        form["application_context"] = {
            "user_action": "SUBSCRIBE_NOW",
            "shipping_preference": "NO_SHIPPING",
            "return_url": request.return_url,
            "cancel_url": request.return_url,
        }
    return form


def mark(subscription_id: str, reference: str) -> str:
    return f"{subscription_id}.{reference}"


def price_patch(subscription: Json, amount: Money) -> list[Form]:
    """Replace the price of the regular cycle, which the plan of *subscription* numbers."""
    sequence = _regular(subscription["plan"])["sequence"]
    return [
        {
            "op": "replace",
            "path": f"/plan/billing_cycles/@sequence=={sequence}/pricing_scheme/fixed_price",
            "value": to_paypal(amount),
        }
    ]


# --- what PayPal answers ----------------------------------------------------------------------------


def subscription_from(
    subscription: Json,
    *,
    transactions: Sequence[Json] | None = None,
    livemode: bool | None = None,
    request_id: str | None = None,
) -> ProviderSubscription:
    """Read a subscription; with its plan in it (``fields=plan``) also what it costs, and how often.

    Raises KeyError, TypeError or ValueError for what is not one.
    """
    word = text_of(subscription["status"])
    billing: Json = subscription.get("billing_info") or {}
    plan = subscription.get("plan")
    regular = _regular(plan) if plan else None
    owes = _owes(billing)
    trial = _in_trial(billing)
    status = SUBSCRIPTION_STATUS.get(word, UNRECOGNISED)
    if status is SubscriptionStatus.ACTIVE and owes:
        status = SubscriptionStatus.PAST_DUE
    elif status is SubscriptionStatus.ACTIVE and trial:
        status = SubscriptionStatus.TRIALING
    elif status is SubscriptionStatus.PAUSED and owes:
        # Suspended by PayPal after too many failures, and not by us.
        status = SubscriptionStatus.UNPAID
    subscription_id, reference = _marks(subscription)
    due = moment_of(billing.get("next_billing_time"))
    reference_of_it = text_of(subscription["id"])
    return ProviderSubscription(
        reference=reference_of_it,
        status=status,
        amount=_price(regular) if regular else None,
        interval=_INTERVALS.get(regular["frequency"]["interval_unit"]) if regular else None,
        interval_count=int(regular["frequency"].get("interval_count") or 1) if regular else 1,
        current_period_start=_period_start(subscription, billing) if due else None,
        current_period_end=due,
        canceled_at=(
            moment_of(subscription.get("status_update_time"))
            if status is SubscriptionStatus.CANCELED
            else None
        ),
        trial_end=due if status is SubscriptionStatus.TRIALING else None,
        next_billing_date=due,
        next_action=_next_action(subscription, word),
        decline=_decline(billing) if owes else None,
        charges=(
            None
            if transactions is None
            else tuple(
                _charge(each, subscription=reference_of_it, livemode=livemode)
                for each in sorted(transactions, key=lambda each: str(each["time"]), reverse=True)
            )
        ),
        livemode=livemode,
        subscription_id=subscription_id,
        our_reference=reference,
        provider_status=word,
        created_at=moment_of(subscription.get("create_time")),
        request_id=request_id,
        raw=subscription,
    )


def our_marks(custom_id: object) -> tuple[str | None, str | None]:
    """Return our id and our reference, if the text is a mark of ours."""
    ours, _, reference = (text_or_none(custom_id) or "").rpartition(".")
    known = ours.startswith("sub") and len(reference) == 20 and reference.isalnum()
    return (ours, reference) if known else (None, None)


def _marks(subscription: Json) -> tuple[str | None, str | None]:
    return our_marks(subscription.get("custom_id"))


def _regular(plan: Json) -> Json:
    cycles = [each for each in items_of(plan, "billing_cycles") if each["tenure_type"] == "REGULAR"]
    if len(cycles) != 1:
        raise ValueError("a plan of ours has one regular cycle")
    return cycles[0]


def _price(cycle: Json) -> Money | None:
    price = (cycle.get("pricing_scheme") or {}).get("fixed_price")
    return from_paypal(price) if price else None


def _owes(billing: Json) -> bool:
    outstanding = billing.get("outstanding_balance")
    failed = int(billing.get("failed_payments_count") or 0)
    return failed > 0 and outstanding is not None and from_paypal(outstanding).minor_units > 0


def _in_trial(billing: Json) -> bool:
    """A trial runs until the regular cycle was executed once."""
    cycles = items_of(billing, "cycle_executions")
    kinds = {each["tenure_type"]: each for each in cycles}
    regular = kinds.get("REGULAR")
    return "TRIAL" in kinds and (regular is None or not regular.get("cycles_completed"))


def _period_start(subscription: Json, billing: Json) -> datetime | None:
    paid = moment_of((billing.get("last_payment") or {}).get("time"))
    begun = moment_of(subscription.get("start_time"))
    return paid or begun


def _next_action(subscription: Json, word: str) -> NextAction | None:
    if word == "APPROVED":
        return NextAction(kind=NextActionKind.WAIT)
    if word != "APPROVAL_PENDING":
        return None
    page = link_of(subscription, "approve")
    if page is None:
        return NextAction(kind=NextActionKind.USE_SDK)
    return NextAction(kind=NextActionKind.REDIRECT, url=page)


def _decline(billing: Json) -> Decline | None:
    failed: Json | None = billing.get("last_failed_payment")
    if not failed:
        return None
    code = text_or_none(failed.get("reason_code"))
    return Decline(
        code=_FAILURES.get(code or "", "declined"),
        message="The payment for the subscription was declined.",
        provider_code=code,
        reference=text_or_none(failed.get("time")),
    )


def _charge(transaction: Json, *, subscription: str, livemode: bool | None) -> ProviderPayment:
    """Read one collection. Its id is a capture's, by which it is read and refunded alone."""
    identity = text_of(transaction["id"])
    word = text_of(transaction["status"])
    amount = from_paypal(transaction["amount_with_breakdown"]["gross_amount"])
    status = _CHARGES.get(word, UNRECOGNISED)
    taken = amount.minor_units if status is PaymentStatus.SUCCEEDED else 0
    return ProviderPayment(
        reference=identity,
        status=status,
        amount=amount,
        captured=taken,
        # How much of a part was refunded is not said here; the payment is read by itself for that.
        refunded=taken if word == "REFUNDED" else 0,
        charge=identity,
        livemode=livemode,
        decline=decline_from(transaction) if status is PaymentStatus.FAILED else None,
        subscription=subscription,
        provider_status=f"capture {word}",
        created_at=moment_of(transaction.get("time")),
        raw=transaction,
    )
