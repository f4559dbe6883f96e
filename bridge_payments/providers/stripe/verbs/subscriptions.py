"""Subscriptions, and what they have collected."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ....errors import ProviderError, ProviderNotFound
from ....models import ENDED_SUBSCRIPTION_STATUSES, SubscriptionStatus, Verb
from ...base import (
    Absent,
    CannotSay,
    Evidence,
    Found,
    Lookup,
    ProviderPayment,
    ProviderSubscription,
    Step,
    SubscriptionCancellation,
    SubscriptionPause,
    SubscriptionRequest,
    SubscriptionResumption,
    SubscriptionUpdate,
)
from ..account import SKEW, readable
from ..forms import CHARGE_AND_REFUNDS, REFERENCE, UPDATE_REFERENCE, Form, checked_id
from ..objects import Json, stamp_of
from ..subscriptions import (
    EXPANDED,
    cancel_form,
    create_form,
    end_form,
    intents_of,
    is_stopped,
    item_of,
    pause_form,
    product_form,
    product_id,
    resume_form,
    subscription_from,
    update_form,
)
from .payments import PaymentVerbs

if TYPE_CHECKING:
    from ..client import Answer

__all__ = ["SubscriptionVerbs"]

_INVOICES = 100
"""The newest ones are read: one that is older was seen by the reads before."""


class SubscriptionVerbs(PaymentVerbs):
    async def create_subscription(self, request: SubscriptionRequest, *, step: Step) -> ProviderSubscription:
        """The product first, under an id of our choice, then the subscription on it."""
        form: Any = create_form(request, product=product_id(request.name))
        await step.once("product", lambda key: self._product(request.name, step, key))
        answer = await self._write(
            lambda sdk, options: sdk.v1.subscriptions.create_async(form, options), step
        )
        return await self._told(answer)

    async def update_subscription(self, request: SubscriptionUpdate, *, step: Step) -> ProviderSubscription:
        subscription = checked_id(request.subscription, "subscription")
        item = None
        if request.amount is not None:
            # Stored, so that a repeat says the same whatever became of the subscription meanwhile.
            item = await step.once("item", lambda _: self._item(subscription))
        form = update_form(request, reference=step.reference, item=item)
        return await self._changed(subscription, form, step)

    async def cancel_subscription(
        self, request: SubscriptionCancellation, *, step: Step
    ) -> ProviderSubscription:
        """At the period's end it is a change; at once it is a deletion, which needs no key."""
        subscription = checked_id(request.subscription, "subscription")
        if request.at_period_end:
            return await self._changed(subscription, cancel_form(request, reference=step.reference), step)
        form: Any = end_form(request)
        try:
            answer = await self._write(
                lambda sdk, options: sdk.v1.subscriptions.cancel_async(subscription, form, options), step
            )
        except ProviderNotFound:
            # Stripe finds no subscription to cancel where it is canceled already, and still shows it.
            seen = await self.sync_subscription(subscription)
            if seen.status not in ENDED_SUBSCRIPTION_STATUSES:
                raise
            return seen
        return await self._told(answer)

    async def pause_subscription(self, request: SubscriptionPause, *, step: Step) -> ProviderSubscription:
        subscription = checked_id(request.subscription, "subscription")
        return await self._changed(subscription, pause_form(reference=step.reference), step)

    async def resume_subscription(
        self, request: SubscriptionResumption, *, step: Step
    ) -> ProviderSubscription:
        """Most pauses are taken back by a change; one that stopped the subscription has a call of its own."""
        subscription = checked_id(request.subscription, "subscription")
        if not await step.once("stopped", lambda _: self._is_stopped(subscription)):
            return await self._changed(subscription, resume_form(reference=step.reference), step)
        form: Any = {"expand": EXPANDED}
        answer = await self._write(
            lambda sdk, options: sdk.v1.subscriptions.resume_async(subscription, form, options), step
        )
        return await self._told(answer)

    async def sync_subscription(self, reference: str) -> ProviderSubscription:
        """Read it, its invoices, and the customer's intents since the oldest of them: three reads."""
        answer = await self._retrieved(checked_id(reference, "subscription"))
        return await self._with_charges(answer)

    # --- calls ------------------------------------------------------------------------------------

    async def _changed(self, subscription: str, form: Form, step: Step) -> ProviderSubscription:
        change: Any = form
        answer = await self._write(
            lambda sdk, options: sdk.v1.subscriptions.update_async(subscription, change, options), step
        )
        return await self._told(answer)

    async def _product(self, name: str, step: Step, key: str) -> str:
        """Make the product that all subscriptions of this name share, unless it is there."""
        product, form = product_id(name), product_form(name)
        try:
            await self._read(lambda sdk: sdk.v1.products.retrieve_async(product))
        except ProviderNotFound:
            fields: Any = form
            try:
                await self._write(
                    lambda sdk, options: sdk.v1.products.create_async(fields, options), step, key=key
                )
            except ProviderError as error:
                # Another subscription of this name made it meanwhile.
                if error.provider_code != "resource_already_exists":
                    raise
        return product

    async def _retrieved(self, subscription: str) -> Answer:
        return await self._read(
            lambda sdk: sdk.v1.subscriptions.retrieve_async(subscription, {"expand": EXPANDED})
        )

    async def _item(self, subscription: str) -> dict[str, Any]:
        answer = await self._retrieved(subscription)
        return readable(lambda: item_of(answer.body), answer)

    async def _is_stopped(self, subscription: str) -> bool:
        answer = await self._retrieved(subscription)
        return readable(lambda: is_stopped(answer.body), answer)

    # --- what it has collected --------------------------------------------------------------------

    async def _told(self, answer: Answer) -> ProviderSubscription:
        """Read what the call has collected, too; where that cannot be read, the call's answer stands."""
        plain = readable(lambda: subscription_from(answer.body, request_id=answer.request_id), answer)
        try:
            return await self._with_charges(answer)
        except ProviderError:
            return plain

    async def _with_charges(self, answer: Answer) -> ProviderSubscription:
        body = answer.body
        subscription = readable(lambda: subscription_from(body), answer)
        invoices, _ = await self._page(
            "invoices",
            {"subscription": subscription.reference, "limit": _INVOICES, "expand": ["data.payments"]},
        )
        intents = await self._intents(subscription.customer, invoices, answer)
        newest = next((intents[each] for each in _newest(body) if each in intents), None)
        charges = [replace(each, subscription=subscription.reference) for each in intents.values()]
        return readable(
            lambda: subscription_from(body, intent=newest, charges=charges, request_id=answer.request_id),
            answer,
        )

    async def _intents(
        self, customer: str | None, invoices: list[Json], answer: Answer
    ) -> dict[str, ProviderPayment]:
        """Return the intents of the invoices, newest first: out of the customer's, or each by itself."""
        wanted = readable(lambda: [each for invoice in invoices for each in intents_of(invoice)], answer)
        found: dict[str, ProviderPayment] = {}
        if customer is not None and len(wanted) > 1:
            oldest = min(int(invoice["created"]) for invoice in invoices) - SKEW
            query = {
                "customer": customer,
                "created": {"gte": oldest},
                "expand": [f"data.{path}" for path in CHARGE_AND_REFUNDS],
            }
            async for intent in self._list("payment_intents", query):
                if intent["id"] in wanted:
                    found[intent["id"]] = await self._whole(intent, answer, intent["id"])
        return {each: found.get(each) or await self.sync_payment_status(each) for each in wanted}

    # --- what became of it ------------------------------------------------------------------------

    async def _find_subscription(self, evidence: Evidence) -> Lookup:
        if evidence.verb is Verb.CREATE_SUBSCRIPTION:
            return await self._find_new_subscription(evidence)
        if evidence.subject is None:
            return CannotSay("the operation has no subscription that could be read")
        seen = await self.sync_subscription(evidence.subject)
        stamped = stamp_of(seen.raw, UPDATE_REFERENCE) == evidence.reference
        if stamped or _shows(evidence.verb, seen, evidence):
            return Found(subscription=seen)
        return Absent(f"the subscription is {seen.provider_status}, without the stamp of this change")

    async def _find_new_subscription(self, evidence: Evidence) -> Lookup:
        customer = evidence.inputs.get("customer")
        query = {"status": "all", **({"customer": customer} if customer else {})}
        count = 0
        async for each in self._since("subscriptions", evidence, query):
            count += 1
            if stamp_of(each, REFERENCE) == evidence.reference:
                return Found(subscription=await self.sync_subscription(each["id"]))
        return Absent(
            f"none of the {count} subscriptions made since carries the reference {evidence.reference}"
        )


def _newest(subscription: Json) -> list[str]:
    invoice = subscription.get("latest_invoice")
    return intents_of(invoice) if isinstance(invoice, dict) else []


def _shows(verb: Verb, seen: ProviderSubscription, evidence: Evidence) -> bool:
    """Whether it shows the two calls that leave no stamp: a cancellation at once, and a resumption."""
    if verb is Verb.CANCEL_SUBSCRIPTION:
        return seen.status in ENDED_SUBSCRIPTION_STATUSES
    stopped = evidence.results.get("stopped") is True
    return verb is Verb.RESUME_SUBSCRIPTION and stopped and seen.status is not SubscriptionStatus.PAUSED
