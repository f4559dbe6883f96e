"""Subscriptions (ARB): what is asked of them, and what the gateway collects at night by itself.

What becomes of a declined payment: the first one of a subscription, or of a new card, suspends it; a later
one is skipped. What is suspended when its next date comes is terminated; a new method makes it active again,
and it is tried the next night (2026-11, community threads m-p/49965 and m-p/33369, and
https://developer.authorize.net/api/reference/features/recurring-billing.html).
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from .books import Books, Json, Subscription, Transaction
from .cards import card_of
from .formats import Items
from .profiles import Profiles
from .refusal import Refusal

__all__ = ["Recurring"]

_NIGHT: Final = timedelta(hours=10)
"""2 o'clock in the gateway's time zone, by UTC."""
_SHOWN: Final = 20
_LISTS: Final = {
    "subscriptionActive": ("active",),
    "subscriptionInactive": ("canceled", "terminated", "expired", "suspended"),
}


class Recurring:
    def __init__(self, books: Books, profiles: Profiles) -> None:
        self._books, self._profiles = books, profiles
        self.lag: timedelta = timedelta()
        """How far the list is behind."""

    # --- what is asked ----------------------------------------------------------------------------

    def create(self, wish: Mapping[str, Any]) -> Json:
        given = wish.get("subscription") or {}
        schedule, order = given.get("paymentSchedule") or {}, given.get("order") or {}
        length, unit = _interval(schedule.get("interval") or {})
        starts = date.fromisoformat(str(schedule.get("startDate") or ""))
        if starts < (self._books.clock() - timedelta(hours=8)).date():
            raise Refusal("E00017", "Start Date must not occur before the submission date.")
        customer, method = self._profiles.of_pair(given.get("profile") or {})
        made = Subscription(
            id=self._books.new_small_id(),
            name=str(given.get("name") or ""),
            customer=customer.id,
            method=method.id,
            amount=_amount(given),
            length=length,
            unit=unit,
            starts=starts,
            occurrences=int(schedule.get("totalOccurrences") or 1),
            invoice=str(order.get("invoiceNumber") or ""),
            description=str(order.get("description") or ""),
            created=self._books.clock(),
            identity=(method.identity, customer.marks["merchantCustomerId"], str(_amount(given)),
                      str(order.get("invoiceNumber") or ""), starts.isoformat(), str(length), unit),
        )  # fmt: skip
        for other in self._books.subscriptions.values():
            # (recorded; the compared fields are those of the gateway's page on E00012).
            if other.runs and other.identity == made.identity:
                raise Refusal(
                    "E00012",
                    f"You have submitted a duplicate of Subscription {other.id}. A duplicate subscription"
                    " will not be created.",
                )
        self._books.subscriptions[made.id] = made
        self._books.emit_subscription("created", made)
        profile = {"customerProfileId": customer.id, "customerPaymentProfileId": method.id}
        return {"subscriptionId": made.id, "profile": profile}

    def update(self, wish: Mapping[str, Any]) -> Json:
        found, given = self._found(wish), wish.get("subscription") or {}
        if not found.runs:
            raise Refusal("E00037", f"Subscriptions that are {found.status} cannot be updated.")
        schedule = given.get("paymentSchedule") or {}
        if schedule.get("startDate"):
            raise Refusal("E00033", "The start date cannot be changed.")
        if schedule.get("interval"):
            raise Refusal("E00034", "The interval information cannot be changed.")
        if "amount" in given:
            found.amount = _amount(given)
        if "order" in given:
            found.invoice = str(given["order"].get("invoiceNumber") or "")
            found.description = str(given["order"].get("description") or "")
        if "profile" in given:
            customer, method = self._profiles.of_pair(given["profile"])
            found.customer, found.method, found.paid_with = customer.id, method.id, ""
            if found.status == "suspended":
                found.status, found.retry_at = "active", self._books.clock()
        self._books.emit_subscription("updated", found)
        return {}

    def cancel(self, wish: Mapping[str, Any]) -> Json:
        found = self._found(wish)
        if found.status in ("expired", "terminated"):
            raise Refusal("E00038", f"Subscriptions that are {found.status} cannot be canceled.")
        if found.status != "canceled":
            found.status = "canceled"
            self._books.emit_subscription("cancelled", found)
        return {}

    def read(self, wish: Mapping[str, Any]) -> Json:
        found = self._found(wish)
        customer = self._books.customers.get(found.customer)
        shown: Json = {
            "name": found.name,
            "paymentSchedule": {
                "interval": {"length": found.length, "unit": found.unit},
                "startDate": found.starts.isoformat(),
                "totalOccurrences": found.occurrences,
                "trialOccurrences": 0,
            },
            "amount": found.amount,
            "trialAmount": Decimal("0.00"),
            "status": found.status,
        }
        if customer is not None:
            method = customer.methods[found.method]
            shown["profile"] = {
                **{name: value for name, value in customer.marks.items() if value},
                "customerProfileId": customer.id,
                "paymentProfile": {
                    "customerPaymentProfileId": method.id,
                    "payment": {
                        "creditCard": {"cardNumber": f"XXXX{method.last_four}", "expirationDate": "XXXX"}
                    },
                },
            }
        order = {"invoiceNumber": found.invoice, "description": found.description}
        if any(order.values()):
            shown["order"] = {name: value for name, value in order.items() if value}
        if str(wish.get("includeTransactions")).lower() == "true" and found.attempts:
            shown["arbTransactions"] = Items("arbTransaction", found.attempts[-_SHOWN:])
        return {"subscription": shown}

    def listed(self, wish: Mapping[str, Any]) -> Json:
        paging = wish.get("paging") or {}
        limit, page = int(paging.get("limit") or 1000), int(paging.get("offset") or 1)
        horizon = self._books.clock() - self.lag
        seen = [
            each
            for each in self._books.subscriptions.values()
            if each.status in _LISTS[str(wish.get("searchType"))] and each.created <= horizon
        ]
        seen.sort(key=lambda each: (each.created, int(each.id)), reverse=True)
        shown = [self._summary(each) for each in seen[(page - 1) * limit : page * limit]]
        return {
            "totalNumInResultSet": len(seen),
            "subscriptionDetails": Items("subscriptionDetail", shown),
        }

    # --- what happens by itself -------------------------------------------------------------------

    def run(self) -> None:
        """Collect everything that is due by now, each in its own night."""
        for each in list(self._books.subscriptions.values()):
            while each.runs and (due := self._due(each)) is not None and due <= self._books.clock():
                self._collect(each, due)

    def _due(self, subscription: Subscription) -> datetime | None:
        if subscription.retry_at is not None:
            tomorrow = subscription.retry_at.date() + timedelta(days=1)
            return datetime.combine(tomorrow, time(), tzinfo=UTC) + _NIGHT
        if subscription.passed >= subscription.occurrences:
            return None
        day = _after(subscription.starts, subscription.passed * subscription.length, subscription.unit)
        night = datetime.combine(day, time(), tzinfo=UTC) + _NIGHT
        return night if night > subscription.created else night + timedelta(days=1)

    def _collect(self, subscription: Subscription, at: datetime) -> None:
        retried, subscription.retry_at = subscription.retry_at is not None, None
        if not retried:
            subscription.passed += 1
        if subscription.status == "suspended":
            subscription.status = "terminated"
            self._books.emit_subscription("terminated", subscription)
            return
        method = self._books.customers[subscription.customer].methods[subscription.method]
        card = card_of(method.number)
        attempt: Json = {"response": card.sentence}
        if method.bank is not None or card.code == 1:
            made = Transaction(
                id=self._books.new_id(), type="authCaptureTransaction", status="capturedPendingSettlement",
                amount=subscription.amount, settles=subscription.amount, submitted=at,
                invoice=subscription.invoice, description=subscription.description, number=method.last_four,
                brand="eCheck" if method.bank else card.brand, bank=method.bank, auth_code="A1B2C3",
                profile=(subscription.customer, subscription.method),
                subscription=(subscription.id, subscription.passed),
            )  # fmt: skip
            self._books.transactions[made.id] = made
            self._books.emit("authcapture.created", made)
            attempt = {"transId": made.id, **attempt}
            subscription.paid_with = subscription.method
        elif subscription.paid_with != subscription.method:
            subscription.status = "suspended"
            self._books.emit_subscription("suspended", subscription)
        subscription.attempts.append(
            {**attempt, "submitTimeUTC": at.strftime("%Y-%m-%dT%H:%M:%S.000"),
             "payNum": subscription.passed, "attemptNum": 1}
        )  # fmt: skip
        if subscription.passed >= subscription.occurrences and subscription.status == "active":
            subscription.status = "expired"

    def _found(self, wish: Mapping[str, Any]) -> Subscription:
        found = self._books.subscriptions.get(str(wish.get("subscriptionId") or ""))
        if found is None:
            raise Refusal("E00035", "The subscription cannot be found.")
        return found

    def _summary(self, each: Subscription) -> Json:
        shown: Json = {
            "id": int(each.id),
            "name": each.name,
            "status": each.status,
            "createTimeStampUTC": each.created.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3],
            "totalOccurrences": each.occurrences,
            "pastOccurrences": each.passed,
            "paymentMethod": "creditCard",
        }
        if each.invoice:
            shown["invoice"] = each.invoice
        return shown | {
            "amount": each.amount,
            "currencyCode": self._books.currency,
            "customerProfileId": int(each.customer),
            "customerPaymentProfileId": int(each.method),
        }


def _interval(given: Mapping[str, Any]) -> tuple[int, str]:
    length, unit = int(given.get("length") or 0), str(given.get("unit") or "")
    shortest, longest = {"days": (7, 365), "months": (1, 12)}.get(unit, (1, 0))
    if not shortest <= length <= longest:
        raise Refusal("E00022", "The interval length cannot exceed 365 days or 12 months.")
    return length, unit


def _amount(given: Mapping[str, Any]) -> Decimal:
    try:
        return Decimal(str(given.get("amount") or "")).quantize(Decimal("0.01"))
    except InvalidOperation:
        raise Refusal("E00014", "A required field is not present: amount.") from None


def _after(starts: date, length: int, unit: str) -> date:
    """A day that a month does not have is its last."""
    if unit == "days":
        return starts + timedelta(days=length)
    year, month = divmod(starts.year * 12 + starts.month - 1 + length, 12)
    return date(year, month + 1, min(starts.day, calendar.monthrange(year, month + 1)[1]))
