"""Products and subscriptions, as the API makes and changes them.

(2026-11, https://docs.stripe.com/api/subscriptions, https://docs.stripe.com/api/products). What is not
carried out here, proration for one, is refused by name.
"""

from __future__ import annotations

from typing import Final

from . import billing_shapes, parameters
from .amounts import amount_of
from .books import Books, Json
from .forms import Params
from .invoices import Invoices
from .methods import Methods
from .periods import after
from .problems import invalid, missing_object, wrong_state
from .setups import Setups

__all__ = ["Products", "Subscriptions"]

_INTERVALS: Final = ("day", "week", "month", "year")
_BEHAVIOURS: Final = ("allow_incomplete", "default_incomplete", "error_if_incomplete")
_ENDED: Final = ("canceled", "incomplete_expired")
_AFTERWARDS: Final = frozenset({"metadata", "cancellation_details", "expand"})


class Products:
    def __init__(self, books: Books) -> None:
        self._books = books

    def get(self, identity: str) -> Json:
        found = self._books.products.get(identity)
        if found is None:
            raise missing_object("product", identity, param="id")
        return found

    def create(self, params: Params) -> Json:
        params.allow(parameters.PRODUCT)
        identity = params.text("id") or f"prod_{self._books.new_short_id('x')[2:]}"
        name = params.required_text("name")
        if identity in self._books.products:
            # (seen 2026-11 in https://docs.stripe.com/error-codes#resource-already-exists)
            raise invalid("Product already exists.", code="resource_already_exists")
        product = billing_shapes.product(identity, name, now=self._books.now())
        product["metadata"] = params.metadata({})
        self._books.products[identity] = product
        self._books.emit("product.created", product)
        return product


class Subscriptions:
    def __init__(
        self, books: Books, methods: Methods, products: Products, setups: Setups, invoices: Invoices
    ) -> None:
        self._books = books
        self._methods = methods
        self._products = products
        self._setups = setups
        self._invoices = invoices

    def get(self, identity: str) -> Json:
        found = self._books.subscriptions.get(identity)
        if found is None:
            raise missing_object("subscription", identity, param="id")
        return found

    def listed(self, params: Params) -> dict[str, Json]:
        """Return those of a status; canceled ones only where they are asked for."""
        status = params.text("status")
        return {
            identity: each
            for identity, each in self._books.subscriptions.items()
            if status == "all" or (each["status"] == status if status else each["status"] != "canceled")
        }

    def create(self, params: Params) -> Json:
        params.allow(parameters.SUBSCRIBE)
        customer = params.required_text("customer")
        if customer not in self._books.customers:
            raise missing_object("customer", customer, param="customer")
        behaviour = params.text("payment_behavior", one_of=_BEHAVIOURS) or "allow_incomplete"
        method = self._own_method(params, customer)
        trial = params.integer("trial_period_days") or 0
        metadata = params.metadata({})
        identity = self._books.new_id("sub")
        settings = params.nested("payment_settings")
        save = settings.text("save_default_payment_method", one_of=("off", "on_subscription")) or "off"
        price = self._price(params.items("items")[0].nested("price_data"))
        subscription = billing_shapes.subscription(
            identity, now=self._books.now(), customer=customer, currency=price["currency"]
        )
        subscription |= {"default_payment_method": method, "description": params.text("description")}
        subscription |= {"metadata": metadata}
        subscription["payment_settings"]["save_default_payment_method"] = save
        usable = self._invoices.method_of(subscription)
        if usable is None and behaviour != "default_incomplete" and not trial:
            # Recorded with API 2025-10-29.clover.
            raise wrong_state(
                "This customer has no attached payment source or default payment method. Please consider "
                "adding a default payment method.",
                code="resource_missing",
            )
        self._start(subscription, price, trial)
        self._books.subscriptions[identity] = subscription
        if trial:
            self._begin_trial(subscription, usable, behaviour)
        else:
            made = self._invoices.begin(
                subscription, reason="subscription_create", amount=price["unit_amount"]
            )
            if behaviour == "allow_incomplete":
                self._invoices.collect(made, off_session=params.flag("off_session"))
        self._books.emit("customer.subscription.created", subscription)
        return subscription

    def _start(self, subscription: Json, price: Json, trial: int) -> None:
        now = self._books.now()
        recurring = price["recurring"]
        ends = (
            now + trial * 86_400
            if trial
            else after(now, recurring["interval"], recurring["interval_count"], anchor=now)
        )
        item = billing_shapes.item(
            f"si_{self._books.new_short_id('x')[2:]}", subscription["id"], price, now=now, start=now, end=ends
        )
        subscription["items"] = {
            "object": "list",
            "data": [item],
            "has_more": False,
            "url": f"/v1/subscription_items?subscription={subscription['id']}",
        }
        if trial:
            subscription |= {"trial_start": now, "trial_end": ends, "billing_cycle_anchor": ends}

    def _begin_trial(self, subscription: Json, usable: str | None, behaviour: str) -> None:
        """A trial has an invoice of nothing; its method is set up by the payer where there is none."""
        subscription["status"] = "trialing"
        self._invoices.begin(subscription, reason="subscription_create", amount=0)
        if usable is None and behaviour == "default_incomplete":
            setup = self._setups.begin(customer=subscription["customer"], usage="off_session", metadata={})
            subscription["pending_setup_intent"] = setup["id"]
            self._books.emit("setup_intent.created", setup)

    def update(self, identity: str, params: Params) -> Json:
        params.allow(parameters.RESUBSCRIBE)
        subscription = self.get(identity)
        if subscription["status"] in _ENDED and set(params.data) - {
            "metadata",
            "cancellation_details",
            "expand",
        }:
            raise wrong_state(
                "A canceled subscription can only update its cancellation_details and metadata.",
                code="resource_missing",
            )
        method = self._own_method(params, subscription["customer"])
        price = self._new_price(subscription, params)
        metadata = params.metadata(subscription["metadata"])
        pause = params.nested("pause_collection")
        behaviour = pause.text("behavior", one_of=("keep_as_draft", "mark_uncollectible", "void"))
        if behaviour not in (None, "void"):
            raise invalid("This gateway voids the invoices of a pause", param="pause_collection[behavior]")
        comment = params.nested("cancellation_details").text("comment")
        subscription["metadata"] = metadata
        if method is not None:
            subscription["default_payment_method"] = method
        if price is not None:
            subscription["items"]["data"][0]["price"] = price
        if "description" in params:
            subscription["description"] = params.text("description")
        if "pause_collection" in params:
            subscription["pause_collection"] = behaviour and {"behavior": behaviour, "resumes_at": None}
        if "cancel_at_period_end" in params:
            self._plan_end(subscription, ends=params.flag("cancel_at_period_end"))
        if comment is not None:
            subscription["cancellation_details"]["comment"] = comment
        self._books.emit("customer.subscription.updated", subscription)
        return subscription

    def _plan_end(self, subscription: Json, *, ends: bool) -> None:
        end = subscription["items"]["data"][0]["current_period_end"] if ends else None
        subscription |= {
            "cancel_at_period_end": ends,
            "cancel_at": end,
            "canceled_at": self._books.now() if ends else None,
        }

    def cancel(self, identity: str, params: Params) -> Json:
        params.allow({"cancellation_details", "invoice_now", "prorate"})
        subscription = self.get(identity)
        if subscription["status"] in _ENDED:
            # One that has ended is found by a GET alone
            # (2026-11, https://docs.stripe.com/api/subscriptions/cancel).
            raise missing_object("subscription", identity, param="id")
        subscription["cancellation_details"]["comment"] = params.nested("cancellation_details").text(
            "comment"
        )
        self._invoices.end(subscription, reason="cancellation_requested")
        return subscription

    def resume(self, identity: str, params: Params) -> Json:
        """Bring a stopped subscription back; a pause of collections is taken back by an update."""
        params.allow({"billing_cycle_anchor", "proration_behavior"})
        subscription = self.get(identity)
        if subscription["status"] != "paused":
            raise wrong_state(f"The subscription is {subscription['status']} and cannot be resumed.")
        subscription["status"] = "active"
        self._books.emit("customer.subscription.resumed", subscription)
        return subscription

    def stop(self, identity: str) -> Json:
        """What the end of a trial without a method does, where the account wants it so."""
        subscription = self.get(identity)
        subscription["status"] = "paused"
        self._books.emit("customer.subscription.paused", subscription)
        return subscription

    def forget_customer(self, customer: str) -> None:
        """A deleted customer's subscriptions end at once (2026-11, https://docs.stripe.com/api/customers/delete)."""
        for subscription in self._books.subscriptions.values():
            if subscription["customer"] == customer and subscription["status"] not in _ENDED:
                self._invoices.end(subscription, reason="cancellation_requested")

    # --- what they are made of ----------------------------------------------------------------------

    def _own_method(self, params: Params, customer: str) -> str | None:
        identity = params.text("default_payment_method")
        if identity is None:
            return None
        method = self._methods.get(identity)
        if method["customer"] != customer:
            raise wrong_state(
                f"The customer does not have a payment method with the ID {identity}. The payment method "
                "must be attached to the customer.",
                code="resource_missing",
                param="default_payment_method",
            )
        return identity

    def _new_price(self, subscription: Json, params: Params) -> Json | None:
        if "items" not in params:
            return None
        item = params.items("items")[0]
        if item.required_text("id") != subscription["items"]["data"][0]["id"]:
            raise missing_object("subscription_item", item.required_text("id"), param="items[0][id]")
        if params.text("proration_behavior") != "none":
            raise invalid("This gateway prorates nothing", param="proration_behavior")
        price = self._price(item.nested("price_data"))
        if price["currency"] != subscription["currency"]:
            raise invalid("All prices on a subscription must have the same currency", param="items")
        return price

    def _price(self, data: Params) -> Json:
        data.allow({"currency", "product", "recurring", "tax_behavior", "unit_amount"})
        product = self._products.get(data.required_text("product"))
        if not product["active"]:
            raise wrong_state(f"The product {product['id']} is not active.", param="items[0][price_data]")
        recurring = data.nested("recurring")
        amount, currency = amount_of(
            Params({"amount": data.data.get("unit_amount"), "currency": data.data.get("currency")})
        )
        interval = recurring.text("interval", one_of=_INTERVALS)
        if interval is None:
            raise invalid("Missing required param: interval.", code="parameter_missing")
        return billing_shapes.price(
            self._books.new_id("price"),
            now=self._books.now(),
            product=product["id"],
            currency=currency,
            amount=amount,
            interval=interval,
            count=recurring.integer("interval_count") or 1,
        )
