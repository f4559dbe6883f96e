"""PayPal's subscriptions as the engine asks them: a product, a plan, a subscription, and its collections."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from ...errors import (
    InvalidRequest,
    ProviderError,
    ProviderStateConflict,
    ProviderUnknown,
)
from ...models import ENDED_SUBSCRIPTION_STATUSES, SubscriptionStatus, Verb
from ..base import (
    UNRECOGNISED,
    Absent,
    CannotSay,
    Evidence,
    Found,
    Lookup,
    ProviderSubscription,
    Step,
    SubscriptionCancellation,
    SubscriptionPause,
    SubscriptionRequest,
    SubscriptionResumption,
    SubscriptionUpdate,
)
from . import billing, forms
from .account import READ, WHOLE, Account, Budget, refusal, unsent
from .objects import Json, items_of, moment_of

if TYPE_CHECKING:
    from .client import Answer

__all__ = ["Subscriptions"]

_PRODUCTS: Final = "/v1/catalogs/products"
_EXISTS: Final = "DUPLICATE_RESOURCE_IDENTIFIER"
"""Of a product: the id is ours, so that it is the same product (2026-11, catalogs_products_v1 1.2)."""

_REASON: Final = 127
_NEVER_APPROVED: Final = Absent(
    "a subscription collects nothing until its payer approves it, and nobody has the address of this one"
)
_RUNNING: Final = frozenset(
    {SubscriptionStatus.ACTIVE, SubscriptionStatus.TRIALING, SubscriptionStatus.PAST_DUE}
)
_HALTED: Final = frozenset({SubscriptionStatus.PAUSED, SubscriptionStatus.UNPAID})


class Subscriptions(Account):
    """Recurring billing that PayPal runs once its payer approved it."""

    async def create_subscription(self, request: SubscriptionRequest, *, step: Step) -> ProviderSubscription:
        """Make product, plan and subscription, each under its own key; its payer then approves it."""
        billing.check(request)
        budget = Budget(step)
        product = await step.once("product", lambda key: self._product(request, key, step, budget))
        plan = await step.once("plan", lambda key: self._plan(request, product, key, step, budget))
        options = {
            "body": billing.subscription_form(request, plan),
            "paypal_request_id": step.key,
            "prefer": WHOLE,
        }
        answer = await self._client.write(
            lambda sdk: sdk.subscriptions.create_subscription(options),
            deadline=budget.left,
            repeat=step.repeat,
        )
        return self._read_subscription(answer)

    async def update_subscription(self, request: SubscriptionUpdate, *, step: Step) -> ProviderSubscription:
        """Change the price of the next periods. PayPal leaves what is due within ten days as it was."""
        if request.payment_method is not None:
            raise InvalidRequest(
                "PayPal lets only its payer change how a subscription is paid", field="payment_method"
            )
        budget = Budget(step)
        answer, seen = await self._seen(request.subscription, step, budget)
        if request.amount is None or seen.amount == request.amount:
            return seen
        if seen.amount is not None and seen.amount.currency != request.amount.currency:
            raise InvalidRequest("A subscription keeps its currency", field="currency")
        amount = request.amount
        options = {
            "id": seen.reference,
            "body": answer.read(lambda read: billing.price_patch(read, amount)),
        }
        done = await self._client.write(
            lambda sdk: sdk.subscriptions.patch_subscription(options),
            deadline=budget.left,
            repeat=step.repeat,
        )
        return await self._again(seen.reference, done, budget)

    async def cancel_subscription(
        self, request: SubscriptionCancellation, *, step: Step
    ) -> ProviderSubscription:
        """End it at once, which is all that PayPal can. One that has ended is a success."""
        budget = Budget(step)
        _, seen = await self._seen(request.subscription, step, budget)
        if seen.status in ENDED_SUBSCRIPTION_STATUSES:
            return seen
        if seen.status is SubscriptionStatus.INCOMPLETE:
            raise refusal(
                ProviderStateConflict,
                "Nobody approved it yet, and PayPal cancels only what was approved; "
                "unapproved it collects nothing",
                step,
            )
        return await self._told("cancel", seen, request.reason or "Canceled", step, budget)

    async def pause_subscription(self, request: SubscriptionPause, *, step: Step) -> ProviderSubscription:
        """Suspend it. One that is suspended is a success."""
        budget = Budget(step)
        _, seen = await self._seen(request.subscription, step, budget)
        if seen.status in _HALTED:
            return seen
        if seen.status not in _RUNNING:
            raise refusal(ProviderStateConflict, f"It is {seen.provider_status}", step)
        return await self._told("suspend", seen, request.reason or "Paused", step, budget)

    async def resume_subscription(
        self, request: SubscriptionResumption, *, step: Step
    ) -> ProviderSubscription:
        """Activate what was suspended. One that runs is a success; a canceled one is gone for good."""
        budget = Budget(step)
        _, seen = await self._seen(request.subscription, step, budget)
        if seen.status in _RUNNING:
            return seen
        if seen.status not in _HALTED:
            raise refusal(ProviderStateConflict, f"It is {seen.provider_status}", step)
        return await self._told("activate", seen, request.reason or "Resumed", step, budget)

    async def sync_subscription(self, reference: str) -> ProviderSubscription:
        """Read the subscription with its plan, and everything that it collected."""
        answer = await self._subscription(reference, deadline=READ)
        begun = answer.read(lambda read: moment_of(read.get("create_time")))
        now = self.clock()
        options = {
            "id": reference,
            "start_time": _text((begun or now - timedelta(days=366)) - timedelta(days=1)),
            "end_time": _text(now + timedelta(days=1)),
        }
        listing = await self._client.read(
            lambda sdk: sdk.subscriptions.list_subscription_transactions(options), deadline=READ
        )
        # How much of a charge was refunded in part is not in this list, nor in its capture: the refund's own
        # event says it, or our books do.
        collected = listing.read(lambda read: list(items_of(read, "transactions")))
        return self._read_subscription(answer, transactions=collected)

    # --- look-up ----------------------------------------------------------------------------------

    async def _find_subscription(self, evidence: Evidence) -> Lookup:
        """Its own state tells what was done to it; a create that nobody heard of collects nothing."""
        if evidence.subject is None:
            if evidence.verb is Verb.CREATE_SUBSCRIPTION:
                return await self._find_created(evidence)
            return CannotSay("the operation has no subscription that could be read")
        seen = self._read_subscription(await self._subscription(evidence.subject, deadline=READ))
        if seen.status is UNRECOGNISED:
            return CannotSay("PayPal reports a status that this version does not know")
        done = {
            Verb.CREATE_SUBSCRIPTION: True,
            Verb.UPDATE_SUBSCRIPTION: evidence.amount is None or seen.amount == evidence.amount,
            Verb.CANCEL_SUBSCRIPTION: seen.status in ENDED_SUBSCRIPTION_STATUSES,
            Verb.PAUSE_SUBSCRIPTION: seen.status in _HALTED,
            Verb.RESUME_SUBSCRIPTION: seen.status in _RUNNING,
        }[evidence.verb]
        if done:
            return Found(subscription=seen)
        return Absent(f"the subscription is {seen.provider_status} at {seen.amount}")

    async def _find_created(self, evidence: Evidence) -> Lookup:
        """Look among the subscriptions of the plan, which was made for this one. Without it nothing was sent.

        One that the list does not show yet collects nothing either: nobody was given its address.
        """
        plan = evidence.results.get("plan")
        if plan is None:
            return _NEVER_APPROVED
        options = {"plan_ids": plan, "page_size": 20, "page": 1}
        listing = await self._client.read(
            lambda sdk: sdk.subscriptions.list_subscriptions(options), deadline=READ
        )
        found = listing.read(lambda read: [str(each["id"]) for each in items_of(read, "subscriptions")])
        for reference in found:
            seen = self._read_subscription(await self._subscription(reference, deadline=READ))
            if seen.our_reference == evidence.reference:
                return Found(subscription=seen)
        return _NEVER_APPROVED

    # --- asking -----------------------------------------------------------------------------------

    async def _product(self, request: SubscriptionRequest, key: str, step: Step, budget: Budget) -> str:
        form = billing.product_form(request)
        product: str = form["id"]
        try:
            answer = await self._client.post(
                _PRODUCTS, form, key=key, deadline=budget.left, repeat=step.repeat
            )
        except ProviderError as error:
            if error.provider_code != _EXISTS:
                raise
            return product
        return answer.read(lambda made: str(made["id"]))

    async def _plan(
        self, request: SubscriptionRequest, product: str, key: str, step: Step, budget: Budget
    ) -> str:
        form = billing.plan_form(request, product)
        options = {
            "body": form,
            "paypal_request_id": billing.plan_key(request, form) or key,
            "prefer": WHOLE,
        }
        answer = await self._client.write(
            lambda sdk: sdk.subscriptions.create_billing_plan(options),
            deadline=budget.left,
            repeat=step.repeat,
        )
        return answer.read(lambda made: str(made["id"]))

    async def _subscription(self, reference: str, *, deadline: float) -> Answer:
        identity = forms.checked_id(reference, "subscription")
        options = {"id": identity, "fields": "plan"}
        answer = await self._client.read(
            lambda sdk: sdk.subscriptions.get_subscription(options), deadline=deadline
        )
        if answer.read(lambda read: read["id"]) != identity:
            raise ProviderUnknown("PayPal answered with another subscription", request_id=answer.request_id)
        return answer

    async def _seen(self, reference: str, step: Step, budget: Budget) -> tuple[Answer, ProviderSubscription]:
        """Read it before a call: PayPal has no keys for these, and its state tells what is left to do."""
        try:
            answer = await self._subscription(reference, deadline=min(budget.left, READ))
            return answer, self._read_subscription(answer)
        except ProviderError as error:
            raise unsent(error, step) from None

    async def _told(
        self, verb: str, seen: ProviderSubscription, reason: str, step: Step, budget: Budget
    ) -> ProviderSubscription:
        options = {"id": seen.reference, "body": {"reason": reason[:_REASON]}}
        done = await self._client.write(
            lambda sdk: getattr(sdk.subscriptions, f"{verb}_subscription")(options),
            deadline=budget.left,
            repeat=step.repeat,
        )
        return await self._again(seen.reference, done, budget)

    async def _again(self, reference: str, done: Answer, budget: Budget) -> ProviderSubscription:
        """Read what became of it. The call before is done, so a failure here leaves it unknown."""
        try:
            return self._read_subscription(await self._subscription(reference, deadline=budget.left))
        except ProviderError as error:
            raise ProviderUnknown(
                f"done, and the subscription could not be read afterwards: {error.message}",
                request_id=done.request_id,
            ) from None

    def _read_subscription(
        self, answer: Answer, *, transactions: list[Json] | None = None
    ) -> ProviderSubscription:
        return answer.read(
            lambda read: billing.subscription_from(
                read, transactions=transactions, livemode=self._live, request_id=answer.request_id
            )
        )


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
