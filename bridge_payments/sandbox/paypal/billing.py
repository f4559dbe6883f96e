"""Products, plans, subscriptions and what they collect (catalogs_products_v1, billing_subscriptions_v1).

* a product's id may be the merchant's, and is taken once: DUPLICATE_RESOURCE_IDENTIFIER
  (2026-11, https://developer.paypal.com/docs/api/catalog-products/v1/);
* nothing is collected before the payer approved; then the first cycle is at once, the others by the clock;
* suspend, activate and cancel have no request id and ask for a state: SUBSCRIPTION_STATUS_INVALID
  (billing_subscriptions_v1 1.6);
* each collection is a sale in the webhooks and a capture to who reads or refunds it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from . import amounts
from .books import Books, Json
from .instruments import INSTRUMENTS
from .payments import Payments
from .problems import invalid, missing_object, refused

__all__ = ["Billing"]

_DAYS: Final = {"DAY": 1, "WEEK": 7, "MONTH": 30, "YEAR": 365}
_LONGEST: Final = {"DAY": 365, "WEEK": 52, "MONTH": 12, "YEAR": 1}
_RETRY: Final = timedelta(days=5)
_PRICE: Final = re.compile(r"/plan/billing_cycles/@sequence==(\d+)/pricing_scheme/fixed_price")
_TURNS: Final[Mapping[str, tuple[tuple[str, ...], str, str]]] = {
    "suspend": (("ACTIVE",), "SUSPENDED", "active"),
    "activate": (("SUSPENDED",), "ACTIVE", "suspended"),
    "cancel": (("ACTIVE", "SUSPENDED"), "CANCELLED", "active or suspended"),
}
"""In which states each may be asked, which state it leads to, and how PayPal says the former."""
_PRODUCT_TYPES: Final = ("PHYSICAL", "DIGITAL", "SERVICE")


class Billing:
    def __init__(self, books: Books, payments: Payments) -> None:
        self._books, self._payments = books, payments

    # --- products and plans -------------------------------------------------------------------------

    def create_product(self, wish: Json) -> Json:
        if not wish.get("name") or wish.get("type") not in _PRODUCT_TYPES:
            raise invalid("MISSING_REQUIRED_PARAMETER", "A required field is missing.")
        identity = wish.get("id") or f"PROD-{self._books.new_id()}"
        if identity in self._books.products:
            raise refused("DUPLICATE_RESOURCE_IDENTIFIER", "Identifier must be unique.")
        made: Json = {
            "id": identity,
            **{name: wish[name] for name in ("name", "description", "type") if wish.get(name)},
            "create_time": self._books.now(),
            "update_time": self._books.now(),
            "links": [self._books.link(f"/v1/catalogs/products/{identity}", "self")],
        }
        self._books.products[identity] = made
        return made

    def create_plan(self, wish: Json) -> Json:
        if wish.get("product_id") not in self._books.products:
            raise missing_object()
        cycles = wish.get("billing_cycles")
        if not wish.get("name") or not isinstance(cycles, list) or "payment_preferences" not in wish:
            raise invalid("MISSING_REQUIRED_PARAMETER", "A required field is missing.")
        for cycle in cycles:
            self._check_cycle(cycle)
        identity = f"P-{self._books.new_id()}{self._books.new_id()[:7]}"
        made: Json = {
            "id": identity,
            "product_id": wish["product_id"],
            "name": wish["name"],
            **({"description": wish["description"]} if wish.get("description") else {}),
            "status": "ACTIVE",
            "billing_cycles": cycles,
            "payment_preferences": {
                "auto_bill_outstanding": True,
                "setup_fee_failure_action": "CANCEL",
                "payment_failure_threshold": 0,
                **wish["payment_preferences"],
            },
            "create_time": self._books.now(),
            "update_time": self._books.now(),
            "links": [self._books.link(f"/v1/billing/plans/{identity}", "self")],
        }
        self._books.plans[identity] = made
        return made

    def _check_cycle(self, cycle: Json) -> None:
        frequency = cycle["frequency"]
        unit, count = frequency["interval_unit"], frequency.get("interval_count", 1)
        if unit not in _LONGEST or not 1 <= count <= _LONGEST[unit]:
            raise refused("INVALID_INTERVAL_COUNT", "The interval is longer than a year.")
        if cycle["tenure_type"] == "REGULAR" or "pricing_scheme" in cycle:
            amounts.read(cycle["pricing_scheme"]["fixed_price"])

    # --- subscriptions ------------------------------------------------------------------------------

    def create(self, wish: Json) -> Json:
        plan = self._books.plans.get(wish.get("plan_id", ""))
        if plan is None:
            raise missing_object()
        identity = f"I-{self._books.new_id()[:12]}"
        made: Json = {
            "id": identity,
            "status": "APPROVAL_PENDING",
            "status_update_time": self._books.now(),
            "plan_id": plan["id"],
            "start_time": self._books.now(),
            "quantity": "1",
            "subscriber": dict(wish.get("subscriber") or {}),
            **({"custom_id": wish["custom_id"]} if wish.get("custom_id") else {}),
            "create_time": self._books.now(),
            "links": [],
        }
        self._books.subscriptions[identity] = made
        self._books.notes[identity] = {
            "back": (wish.get("application_context") or {}).get("return_url", ""),
            "prices": {},
        }
        self._link(made)
        self._told("CREATED", made)
        return made

    def get(self, identity: str) -> Json:
        found = self._books.subscriptions.get(identity)
        if found is None:
            raise missing_object()
        return found

    def listed(self, plan: str) -> Json:
        """Return the subscriptions of a plan (2026-11, paypal-server-sdk 2.4.0, list_subscriptions)."""
        names = ("id", "plan_id", "status", "create_time", "links")
        found = [
            {name: each[name] for name in names}
            for each in self._books.subscriptions.values()
            if plan in ("", each["plan_id"])
        ]
        return {
            "subscriptions": found,
            "links": [self._books.link(f"/v1/billing/subscriptions?plan_ids={plan}", "self")],
        }

    def plan_of(self, subscription: Json) -> Json:
        """Return the plan as this subscription has it: with its own prices."""
        plan = self._books.plans[subscription["plan_id"]]
        prices = self._books.notes[subscription["id"]]["prices"]
        cycles = [
            {**cycle, "pricing_scheme": {"fixed_price": prices[str(cycle["sequence"])]}}
            if str(cycle["sequence"]) in prices
            else cycle
            for cycle in plan["billing_cycles"]
        ]
        return {**plan, "billing_cycles": cycles}

    def approve(self, identity: str, instrument: str = "balance") -> Json:
        """The payer agrees on PayPal's page; PayPal begins at once."""
        subscription = self.get(identity)
        if subscription["status"] != "APPROVAL_PENDING":
            raise refused("SUBSCRIPTION_STATUS_INVALID", "It was approved before.")
        self._books.notes[identity]["instrument"] = instrument
        subscription |= {
            "status": "ACTIVE",
            "status_update_time": self._books.now(),
            "start_time": self._books.now(),
            "billing_info": {
                "outstanding_balance": self._zero(subscription),
                "cycle_executions": [
                    {
                        "tenure_type": cycle["tenure_type"],
                        "sequence": cycle["sequence"],
                        "cycles_completed": 0,
                        "cycles_remaining": cycle.get("total_cycles", 1),
                        "total_cycles": cycle.get("total_cycles", 1),
                    }
                    for cycle in self.plan_of(subscription)["billing_cycles"]
                ],
                "next_billing_time": self._books.now(),
                "failed_payments_count": 0,
            },
        }
        subscription["subscriber"] |= {
            "email_address": "payer@example.com",
            "payer_id": "SANDBXPAYER22",
            "name": {"given_name": "Ada", "surname": "Sandbox"},
        }
        self._link(subscription)
        self._told("ACTIVATED", subscription)
        self.run_due()
        return subscription

    def patch(self, identity: str, wish: Any) -> Json:
        subscription = self.get(identity)
        if subscription["status"] not in ("ACTIVE", "SUSPENDED"):
            raise _wrong_status("patch", "either active or suspended")
        for change in wish if isinstance(wish, list) else [wish]:
            found = _PRICE.fullmatch(change.get("path", ""))
            if found is None or change.get("op") != "replace":
                raise invalid("INVALID_PATCH_PATH", "The specified field cannot be patched.")
            currency, value = amounts.read(change["value"])
            if currency != self._zero(subscription)["currency_code"]:
                raise refused(
                    "CURRENCY_MISMATCH",
                    "The currency code is different from the subscription's currency code.",
                )
            self._books.notes[identity]["prices"][found[1]] = amounts.write(currency, value)
        self._told("UPDATED", subscription)
        return subscription

    def suspend(self, identity: str, wish: Json) -> Json:
        return self._turn(identity, wish, "suspend")

    def activate(self, identity: str, wish: Json) -> Json:
        found = self._turn(identity, wish, "activate")
        due = found["billing_info"]["next_billing_time"]
        while due <= self._books.now():
            due = self._after(found, due)
        found["billing_info"]["next_billing_time"] = due
        return found

    def cancel(self, identity: str, wish: Json) -> Json:
        found = self._turn(identity, wish, "cancel")
        found["billing_info"].pop("next_billing_time", None)
        return found

    def _turn(self, identity: str, wish: Json, verb: str) -> Json:
        before, after, wanted = _TURNS[verb]
        subscription = self.get(identity)
        if not wish.get("reason"):
            raise invalid("MISSING_REQUIRED_PARAMETER", "A required field is missing.")
        if subscription["status"] not in before:
            raise _wrong_status(verb, wanted)
        subscription |= {
            "status": after,
            "status_change_note": wish["reason"],
            "status_update_time": self._books.now(),
        }
        self._link(subscription)
        self._told({"ACTIVE": "RE-ACTIVATED"}.get(after, after), subscription)
        return subscription

    # --- collecting ---------------------------------------------------------------------------------

    def run_due(self) -> None:
        """Collect everything that is due by the clock; PayPal needs nobody for it."""
        for subscription in list(self._books.subscriptions.values()):
            while (
                subscription["status"] == "ACTIVE"
                and subscription["billing_info"]["next_billing_time"] <= self._books.now()
            ):
                self._execute(subscription)

    def _execute(self, subscription: Json) -> None:
        billing = subscription["billing_info"]
        cycles = self.plan_of(subscription)["billing_cycles"]
        done = {each["sequence"]: each for each in billing["cycle_executions"]}
        cycle = next(
            each
            for each in sorted(cycles, key=lambda each: int(each["sequence"]))
            if not each.get("total_cycles", 1)
            or done[each["sequence"]]["cycles_completed"] < each["total_cycles"]
        )
        due = billing["next_billing_time"]
        billing["next_billing_time"] = self._after(subscription, due, cycle)
        execution = done[cycle["sequence"]]
        price = (cycle.get("pricing_scheme") or {}).get("fixed_price")
        if price is not None and not self._collect(subscription, price):
            return
        execution["cycles_completed"] += 1
        if cycle.get("total_cycles", 1):
            execution["cycles_remaining"] = cycle["total_cycles"] - execution["cycles_completed"]

    def _collect(self, subscription: Json, price: Json) -> bool:
        billing = subscription["billing_info"]
        note = self._books.notes[subscription["id"]]
        currency, value = price["currency_code"], Decimal(price["value"])
        owed = Decimal(billing["outstanding_balance"]["value"])
        if note.get("declines") or INSTRUMENTS[note["instrument"]].outcome in ("refused", "declined"):
            billing["outstanding_balance"] = amounts.write(currency, owed + value)
            billing["failed_payments_count"] += 1
            billing["last_failed_payment"] = {
                "amount": price,
                "time": self._books.now(),
                "reason_code": "PAYMENT_DENIED",
                "next_payment_retry_time": self._books.later(_RETRY),
            }
            self._told("PAYMENT.FAILED", subscription)
            threshold = self.plan_of(subscription)["payment_preferences"]["payment_failure_threshold"]
            if threshold and billing["failed_payments_count"] >= threshold:
                self._turn(subscription["id"], {"reason": "Too many failures"}, "suspend")
            return False
        made = self._payments.collect(amounts.write(currency, value + owed), subscription)
        billing |= {
            "outstanding_balance": amounts.write(currency, Decimal()),
            "failed_payments_count": 0,
            "last_payment": {"amount": made["amount"], "time": made["create_time"]},
        }
        billing.pop("last_failed_payment", None)
        return True

    def transactions(self, identity: str, start: str, end: str) -> Json:
        self.get(identity)
        if not start or not end:
            raise invalid("MISSING_REQUIRED_PARAMETER", "A required field is missing.")
        found = [
            self._transaction(self._books.captures[capture])
            for capture, subscription in self._books.subscription_of.items()
            if subscription == identity and start <= self._books.captures[capture]["create_time"] <= end
        ]
        return {
            "transactions": found,
            "total_items": len(found),
            "total_pages": 1,
            "links": [self._books.link(f"/v1/billing/subscriptions/{identity}/transactions", "self")],
        }

    def _transaction(self, capture: Json) -> Json:
        breakdown = capture.get("seller_receivable_breakdown") or {}
        return {
            "id": capture["id"],
            "status": capture["status"],
            "payer_email": "payer@example.com",
            "payer_name": {"given_name": "Ada", "surname": "Sandbox"},
            "amount_with_breakdown": {
                "gross_amount": capture["amount"],
                "fee_amount": breakdown.get("paypal_fee", capture["amount"]),
                "net_amount": breakdown.get("net_amount", capture["amount"]),
            },
            "time": capture["create_time"],
        }

    def _after(self, subscription: Json, moment: str, cycle: Json | None = None) -> str:
        if cycle is None:
            cycle = self.plan_of(subscription)["billing_cycles"][-1]
        frequency = cycle["frequency"]
        days = _DAYS[frequency["interval_unit"]] * int(frequency.get("interval_count", 1))
        after = datetime.fromisoformat(moment) + timedelta(days=days)
        return after.strftime("%Y-%m-%dT%H:%M:%SZ")

    def _zero(self, subscription: Json) -> Json:
        price = self._books.plans[subscription["plan_id"]]["billing_cycles"][-1]["pricing_scheme"][
            "fixed_price"
        ]
        return amounts.write(price["currency_code"], Decimal())

    def _link(self, subscription: Json) -> None:
        path = f"/v1/billing/subscriptions/{subscription['id']}"
        pending = subscription["status"] == "APPROVAL_PENDING"
        subscription["links"] = [
            *([self._books.link(f"/_subscribe/{subscription['id']}", "approve")] if pending else []),
            self._books.link(path, "edit", "PATCH"),
            self._books.link(path, "self"),
        ]

    def _told(self, word: str, subscription: Json) -> None:
        self._books.emit(
            f"BILLING.SUBSCRIPTION.{word}", "subscription", subscription, f"Subscription {word.lower()}"
        )


def _wrong_status(verb: str, wanted: str) -> Exception:
    return refused(
        "SUBSCRIPTION_STATUS_INVALID",
        f"Invalid subscription status for {verb} action; subscription status should be {wanted}.",
    )
