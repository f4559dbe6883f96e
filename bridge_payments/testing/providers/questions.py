"""How each verb that is not about a payment is asked: below the engine, with the engine's own requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from ...engine.inputs import ProviderRequest, inputs_of
from ...models import BillingInterval, Money, Noun, PaymentMethodStatus, SubscriptionStatus, Verb, new_id
from ...providers.base import (
    BillingDetails,
    CustomerDeletion,
    CustomerRequest,
    CustomerUpdate,
    Evidence,
    PaymentMethodConfirmation,
    PaymentMethodDeletion,
    PaymentMethodRequest,
    PaymentMethodUpdate,
    ProviderCustomer,
    ProviderMethod,
    ProviderSubscription,
    Step,
    SubscriptionCancellation,
    SubscriptionPause,
    SubscriptionRequest,
    SubscriptionResumption,
    SubscriptionUpdate,
)
from .desk import RETURN_URL, Desk

__all__ = [
    "CREATING",
    "NOUN_OF",
    "NOUN_VERBS",
    "Question",
    "Questions",
    "Thing",
    "any_request",
    "method_request",
]

Thing = ProviderCustomer | ProviderMethod | ProviderSubscription

NOUN_OF: Final[Mapping[Verb, Noun]] = {
    **dict.fromkeys((Verb.CREATE_CUSTOMER, Verb.UPDATE_CUSTOMER, Verb.DELETE_CUSTOMER), Noun.CUSTOMER),
    **dict.fromkeys(
        (Verb.CREATE_METHOD, Verb.CONFIRM_METHOD, Verb.UPDATE_METHOD, Verb.DELETE_METHOD), Noun.PAYMENT_METHOD
    ),
    **dict.fromkeys(
        (
            Verb.CREATE_SUBSCRIPTION,
            Verb.UPDATE_SUBSCRIPTION,
            Verb.CANCEL_SUBSCRIPTION,
            Verb.PAUSE_SUBSCRIPTION,
            Verb.RESUME_SUBSCRIPTION,
        ),
        Noun.SUBSCRIPTION,
    ),
}
NOUN_VERBS: Final = tuple(NOUN_OF)
CREATING: Final = (Verb.CREATE_CUSTOMER, Verb.CREATE_METHOD, Verb.CREATE_SUBSCRIPTION)


@dataclass(frozen=True, kw_only=True)
class Question:
    """One verb, led to where it may be asked."""

    verb: Verb
    desk: Desk
    build: Callable[[Step], ProviderRequest]
    subject: str | None = None
    """The provider's reference of what it is about; None for a create."""
    subject_id: str = field(default_factory=lambda: new_id("obj"))

    async def ask(self, step: Step) -> Thing:
        method = cast("Callable[..., Awaitable[Thing]]", getattr(self.desk.provider, self.verb.value))
        return await method(self.build(step), step=step)

    def evidence(self, step: Step) -> Evidence:
        """What the engine would know of this question if its answer was lost."""
        request = self.build(step)
        amount = getattr(request, "amount", None)
        return Evidence(
            verb=self.verb,
            reference=step.reference,
            key=step.key,
            subject_id=self.subject_id,
            subject=self.subject,
            results=dict(step.results),
            amount=amount if isinstance(amount, Money) else None,
            started_at=self.desk.clock(),
            inputs=inputs_of(request),
        )


class Questions:
    """Makes what a verb needs to be there, by the provider itself, and then the question."""

    def __init__(self, desk: Desk, *, with_method: bool) -> None:
        self._desk = desk
        self._with_method = with_method

    async def about(self, verb: Verb) -> Question:
        self._desk.need(verb)
        match NOUN_OF[verb]:
            case Noun.CUSTOMER:
                return await self._about_customer(verb)
            case Noun.PAYMENT_METHOD:
                return await self._about_method(verb)
            case _:
                return await self._about_subscription(verb)

    # --- what has to be there ---------------------------------------------------------------------

    async def customer(self) -> str | None:
        if not self._desk.can(Verb.CREATE_CUSTOMER):
            return None
        step = self._desk.step()
        made = await self._desk.provider.create_customer(_customer(step), step=step)
        return made.reference

    async def method(self) -> ProviderMethod:
        """A method that is stored and can be charged, once the payer agreed where that is needed."""
        self._desk.need(Verb.CREATE_METHOD)
        question = await self._about_method(Verb.CREATE_METHOD)
        made = cast("ProviderMethod", await question.ask(self._desk.step()))
        return await self.agreed(made)

    async def agreed(self, made: ProviderMethod) -> ProviderMethod:
        if made.status is not PaymentMethodStatus.REQUIRES_ACTION:
            return made
        setup = made.setup or made.reference
        self._desk.gateway.agree(setup)
        if not self._desk.can(Verb.CONFIRM_METHOD):
            return await self._desk.provider.sync_payment_method(setup)
        confirmation = PaymentMethodConfirmation(
            payment_method_id=new_id("pm"), setup=setup, customer=made.customer
        )
        return await self._desk.provider.confirm_payment_method(confirmation, step=self._desk.step())

    async def subscription(self) -> ProviderSubscription:
        """One that runs, once the payer agreed where that is needed."""
        self._desk.need(Verb.CREATE_SUBSCRIPTION)
        question = await self._about_subscription(Verb.CREATE_SUBSCRIPTION)
        made = cast("ProviderSubscription", await question.ask(self._desk.step()))
        if made.status is SubscriptionStatus.INCOMPLETE:
            self._desk.gateway.agree(made.reference)
        return await self._desk.provider.sync_subscription(made.reference)

    # --- the questions ----------------------------------------------------------------------------

    async def _about_customer(self, verb: Verb) -> Question:
        if verb is Verb.CREATE_CUSTOMER:
            return Question(verb=verb, desk=self._desk, build=_customer)
        return self._of(verb, await self.customer() or "")

    async def _about_method(self, verb: Verb) -> Question:
        if verb is Verb.CREATE_METHOD:
            customer, token = await self.customer(), self._desk.gateway.new_token()
            return Question(
                verb=verb, desk=self._desk, build=lambda step: method_request(step, customer, token)
            )
        if verb is Verb.CONFIRM_METHOD:
            customer = await self.customer()
            step = self._desk.step()
            begun = await self._desk.provider.create_payment_method(
                method_request(step, customer, None), step=step
            )
            setup = begun.setup or begun.reference
            self._desk.gateway.agree(setup)
            return Question(
                verb=verb,
                desk=self._desk,
                subject=setup,
                build=lambda _: PaymentMethodConfirmation(
                    payment_method_id="pm_ours", setup=setup, customer=customer
                ),
            )
        method = await self.method()
        return self._of(verb, method.reference, customer=method.customer)

    async def _about_subscription(self, verb: Verb) -> Question:
        if verb is Verb.CREATE_SUBSCRIPTION:
            customer, method = await self._payer()
            amount = self._desk.amount
            return Question(
                verb=verb, desk=self._desk, build=lambda step: _subscription(step, amount, customer, method)
            )
        reference = (await self.subscription()).reference
        if verb is Verb.RESUME_SUBSCRIPTION:
            self._desk.need(Verb.PAUSE_SUBSCRIPTION)
            pause = SubscriptionPause(subscription=reference)
            await self._desk.provider.pause_subscription(pause, step=self._desk.step())
        return self._of(verb, reference)

    async def _payer(self) -> tuple[str | None, str | None]:
        if self._with_method and self._desk.can(Verb.CREATE_METHOD):
            method = await self.method()
            return method.customer, method.reference
        return await self.customer(), None

    def _of(self, verb: Verb, subject: str, *, customer: str | None = None) -> Question:
        request = any_request(verb, subject, customer=customer, amount=self._desk.updated)
        return Question(verb=verb, desk=self._desk, subject=subject, build=lambda _: request)


def any_request(
    verb: Verb, reference: str = "x_1", *, customer: str | None = None, amount: Money | None = None
) -> ProviderRequest:
    """Return a request for *verb* on the object *reference*, whether or not there is one."""
    step = Step(key="op_any", reference="any00000000000000000")
    made: dict[Verb, ProviderRequest] = {
        Verb.CREATE_CUSTOMER: _customer(step),
        Verb.UPDATE_CUSTOMER: CustomerUpdate(customer=reference, name="Ada King"),
        Verb.DELETE_CUSTOMER: CustomerDeletion(customer=reference),
        Verb.CREATE_METHOD: method_request(step, reference, "x_token"),
        Verb.CONFIRM_METHOD: PaymentMethodConfirmation(payment_method_id="pm_ours", setup=reference),
        Verb.UPDATE_METHOD: PaymentMethodUpdate(
            payment_method=reference, customer=customer, billing=BillingDetails(name="Ada King")
        ),
        Verb.DELETE_METHOD: PaymentMethodDeletion(payment_method=reference, customer=customer),
        Verb.CREATE_SUBSCRIPTION: _subscription(step, amount or Money(2000, "USD"), reference, None),
        Verb.UPDATE_SUBSCRIPTION: SubscriptionUpdate(
            subscription=reference, amount=amount, interval=BillingInterval.MONTHLY, interval_count=1
        ),
        Verb.CANCEL_SUBSCRIPTION: SubscriptionCancellation(subscription=reference, at_period_end=False),
        Verb.PAUSE_SUBSCRIPTION: SubscriptionPause(subscription=reference),
        Verb.RESUME_SUBSCRIPTION: SubscriptionResumption(subscription=reference),
    }
    return made[verb]


def _customer(step: Step) -> CustomerRequest:
    return CustomerRequest(
        customer_id="cus_ours", reference=step.reference, email="ada@example.com", name="Ada Lovelace"
    )


def method_request(step: Step, customer: str | None, token: str | None) -> PaymentMethodRequest:
    return PaymentMethodRequest(
        payment_method_id="pm_ours",
        reference=step.reference,
        customer=customer,
        token=token,
        return_url=RETURN_URL,
    )


def _subscription(
    step: Step, amount: Money, customer: str | None, method: str | None, **more: Any
) -> SubscriptionRequest:
    return SubscriptionRequest(
        subscription_id="sub_ours",
        reference=step.reference,
        amount=amount,
        interval=BillingInterval.MONTHLY,
        customer=customer,
        payment_method=method,
        name="Apples of the month",
        email="ada@example.com",
        return_url=RETURN_URL,
        **more,
    )
