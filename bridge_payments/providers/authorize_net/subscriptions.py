"""Subscriptions: recurring billing that the gateway runs each night, one transaction at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from ...errors import (
    InvalidRequest,
    ProviderError,
    ProviderNotFound,
    ProviderRejected,
    ProviderStateConflict,
    ProviderUnknown,
)
from ...models import Clock, Money, PaymentStatus, SubscriptionStatus, Verb
from ..base import (
    Absent,
    Evidence,
    Found,
    KnownPayment,
    Lookup,
    PaymentMethodRequest,
    ProviderPayment,
    ProviderSubscription,
    Step,
    SubscriptionCancellation,
    SubscriptionRequest,
    SubscriptionUpdate,
)
from . import lookup, schedules
from .answers import Json, many, moment_of, text_of
from .client import Budget, Client, is_ok
from .customers import before_writing
from .forms import is_transaction, pair_of
from .payment_methods import PaymentMethods
from .refusals import error_from
from .transactions import Transactions, readable

__all__ = ["Subscriptions"]

METHOD: Final = "method"
"""The call that makes a stored method of a one-time token, before the subscription is begun with it."""

_AT_ONCE: Final = 5
"""How many of a subscription's transactions are read at the same time."""
_SKEW: Final = timedelta(minutes=5)
_RECENT: Final = timedelta(days=1)
_MOST_PAGES: Final = 50
_LISTS: Final = ("subscriptionActive", "subscriptionInactive")


class Subscriptions:
    def __init__(
        self,
        client: Client,
        transactions: Transactions,
        methods: PaymentMethods,
        *,
        currency: str,
        livemode: bool,
        clock: Clock,
    ) -> None:
        self._client, self._transactions, self._methods = client, transactions, methods
        self._currency, self._livemode, self._clock = currency, livemode, clock

    async def create(self, request: SubscriptionRequest, *, step: Step) -> ProviderSubscription:
        budget = Budget(step.deadline)
        if request.payment_method is None:
            raise InvalidRequest("is required: a stored method", field="payment_method_id")
        schedules.subscription_payload(
            request, _any_pair(request), self._today
        )  # refuses before anything is sent
        method = request.payment_method
        if pair_of(method) is None:
            method = await step.once(METHOD, lambda key: self._stored(request, step, key))
        if step.repeat:
            if (made := await self._carrying(request.reference, since=self._clock() - _RECENT)) is not None:
                return replace(await self._read(made), subscription_id=request.subscription_id)
            raise ProviderUnknown("a subscription is not begun twice where there are no keys")
        payload = schedules.subscription_payload(request, method, self._today)
        answer = await self._client.ask(
            "ARBCreateSubscriptionRequest",
            {"subscription": payload},
            reference=step.reference,
            deadline=budget.left,
        )
        number = text_of(answer.get("subscriptionId"))
        if is_ok(answer) and number is not None:
            return readable(
                lambda: schedules.begun(number, payload, request, today=self._today, livemode=self._livemode)
            )
        first = schedules.duplicate_of(answer)
        if first is not None:
            # One that carries our mark is the one that was asked for, by a send of which we heard nothing.
            found = await self._read(first)
            if found.our_reference == request.reference:
                return replace(found, subscription_id=request.subscription_id)
            raise ProviderStateConflict(
                "another subscription is like this one", provider_code=schedules.DUPLICATE
            )
        error = readable(lambda: error_from(answer, repeat=step.repeat, attempt=step.reference))
        if isinstance(error, ProviderNotFound):
            # It is the customer or the method that is not there, or not yet: profiles take a while to show.
            error = ProviderRejected(error.message, provider_code=error.provider_code)
        raise error

    async def update(self, request: SubscriptionUpdate, *, step: Step) -> ProviderSubscription:
        budget = Budget(step.deadline)
        number = schedules.checked_subscription(request.subscription)
        before = None
        if request.description is not None:
            before = await before_writing(self._shown(number, budget.left))
        changes = schedules.changed_payload(request, before)
        if changes:
            payload = {"subscriptionId": number, "subscription": changes}
            await self._done("ARBUpdateSubscriptionRequest", payload, step, budget)
        try:
            return await self.sync(number, deadline=budget.left)
        except ProviderError as error:
            failure = ProviderUnknown(f"changed, and it cannot be read what it is now: {error.message}")
        raise failure

    async def cancel(self, request: SubscriptionCancellation, *, step: Step) -> ProviderSubscription:
        """End it at once, whatever was asked: the gateway knows no end of a period."""
        budget = Budget(step.deadline)
        number = schedules.checked_subscription(request.subscription)
        await self._done("ARBCancelSubscriptionRequest", {"subscriptionId": number}, step, budget)
        try:
            ended = await self.sync(number, deadline=budget.left)
        except ProviderError:
            ended = ProviderSubscription(reference=number, status=SubscriptionStatus.CANCELED)
        return replace(
            ended,
            status=SubscriptionStatus.CANCELED,
            canceled_at=self._clock(),
            next_billing_date=None,
            livemode=self._livemode,
        )

    async def sync(self, reference: str, *, deadline: float = 25.0) -> ProviderSubscription:
        return await self._read(schedules.checked_subscription(reference), deadline=deadline)

    async def find(self, evidence: Evidence, reference: str) -> Lookup:
        """Say what became of a lost beginning (by *reference*, its mark), change or end."""
        if evidence.verb is Verb.CREATE_SUBSCRIPTION:
            return await self._find_created(evidence, reference)
        assert evidence.subject is not None
        shown = await self._shown(schedules.checked_subscription(evidence.subject), 25.0)
        if evidence.verb is Verb.CANCEL_SUBSCRIPTION:
            done = text_of(shown.get("status")) in ("canceled", "terminated", "expired")
        else:
            done = schedules.is_changed(shown, _update_of(evidence), self._currency)
        if not done:
            return Absent("the subscription itself is as it was")
        return Found(subscription=await self._with_charges(evidence.subject, shown))

    async def _find_created(self, evidence: Evidence, reference: str) -> Lookup:
        asked = str(evidence.inputs.get("payment_method") or "")
        if pair_of(asked) is None and METHOD not in evidence.results:
            return Absent("the method was not stored yet, and nothing is begun before")
        made = await self._carrying(reference, since=evidence.started_at)
        if made is None:
            return Absent(f"none of the account's subscriptions since carries the mark {reference}")
        return Found(subscription=await self._read(made))

    # --- calls ------------------------------------------------------------------------------------

    async def _stored(self, request: SubscriptionRequest, step: Step, key: str) -> str:
        asked = PaymentMethodRequest(
            payment_method_id=request.subscription_id,
            reference=request.reference,
            token=request.payment_method,
            customer=request.customer,
        )
        return (await self._methods.create(asked, step=replace(step, key=key))).reference

    async def _done(self, operation: str, payload: Mapping[str, Any], step: Step, budget: Budget) -> None:
        answer = await self._client.ask(operation, payload, reference=step.reference, deadline=budget.left)
        if not is_ok(answer):
            raise readable(lambda: error_from(answer, repeat=step.repeat, attempt=step.reference))

    # --- reading ----------------------------------------------------------------------------------

    @property
    def _today(self) -> date:
        return self._clock().date()

    async def _shown(self, number: str, deadline: float) -> Json:
        payload = {"subscriptionId": number, "includeTransactions": True}
        answer = await self._client.read("ARBGetSubscriptionRequest", payload, deadline=deadline)
        return readable(lambda: schedules.subscription_of(answer))

    async def _read(self, number: str, *, deadline: float = 25.0) -> ProviderSubscription:
        return await self._with_charges(number, await self._shown(number, deadline))

    async def _with_charges(self, number: str, shown: Json) -> ProviderSubscription:
        tried = readable(lambda: schedules.attempts_in(shown))
        read = await self._payments([each.transaction for each in tried if each.transaction is not None])
        found = readable(
            lambda: schedules.subscription_from(
                number, shown, currency=self._currency, today=self._today, livemode=self._livemode,
                charges=tuple(each for each in read if each.provider_status not in lookup.GIVEN_UP),
            )
        )  # fmt: skip
        refused = read[0].decline if read and tried and tried[0].transaction == read[0].reference else None
        return replace(found, decline=refused) if found.decline and refused else found

    async def _payments(self, transactions: list[str]) -> list[ProviderPayment]:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def payment(transaction: str) -> ProviderPayment:
            async with gate:
                details = await self._details(transaction)
            known = KnownPayment(
                reference=transaction, total=Money(0, self._currency), status=PaymentStatus.PENDING
            )
            # What was given back of it does not show on it: who knows it reads it as a payment.
            return replace(self._transactions.payment(details, known), refunds=None)

        return list(await asyncio.gather(*(payment(each) for each in transactions if is_transaction(each))))

    async def _details(self, transaction: str) -> Json:
        try:
            return await self._transactions.details(transaction)
        except ProviderNotFound:
            # "No such object" would be said of the subscription.
            raise ProviderUnknown(f"transaction {transaction} is not shown yet") from None

    async def _carrying(self, mark: str, *, since: datetime) -> str | None:
        """Return the subscription that carries our mark, of those that run and those that do not."""
        for search in _LISTS:
            for page in range(1, _MOST_PAGES + 1):
                answer = await self._client.read(
                    "ARBGetSubscriptionListRequest", schedules.list_payload(search, page), deadline=25.0
                )
                listed = many(answer.get("subscriptionDetails"), "subscriptionDetail")
                for each in listed:
                    if text_of(each.get("invoice")) == mark:
                        return text_of(each["id"])
                made = [moment_of(each.get("createTimeStampUTC")) for each in listed]
                is_last = len(listed) < schedules.PAGE
                is_older = any(at and at < since - _SKEW for at in made)
                if is_last or is_older:
                    break
            else:
                raise ProviderUnknown("the list of subscriptions was not read to its end")
        return None


def _any_pair(request: SubscriptionRequest) -> str:
    """Return the stored method, or one as it will be called: the rest is checked before it is made."""
    if pair_of(request.payment_method) is not None:
        return str(request.payment_method)
    if request.customer is None:
        raise InvalidRequest("is required: the customer who is to keep the method", field="customer_id")
    return f"{request.customer}:1"


def _update_of(evidence: Evidence) -> SubscriptionUpdate:
    inputs = evidence.inputs
    amount = inputs.get("amount")
    if isinstance(amount, Mapping):
        amount = Money(int(amount["minor_units"]), str(amount["currency"]))
    return SubscriptionUpdate(
        subscription=str(evidence.subject),
        amount=evidence.amount or amount,
        payment_method=inputs.get("payment_method"),
        description=inputs.get("description"),
    )
