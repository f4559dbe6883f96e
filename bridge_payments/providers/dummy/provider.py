"""The dummy provider: who is asked is a gateway in this process. Copy this folder to begin a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, ClassVar, Self, TypeVar

from ...errors import ProviderNotFound
from ...messages import Request
from ...models import PAYMENT_VERBS, ProviderEvent, Verb
from ...transport import Transport
from ..base import (
    Absent,
    CancelRequest,
    CannotSay,
    Capability,
    CaptureRequest,
    ConfirmRequest,
    CustomerDeletion,
    CustomerRequest,
    CustomerUpdate,
    Evidence,
    Found,
    IntentRequest,
    KeyRules,
    Lookup,
    PaymentMethodConfirmation,
    PaymentMethodDeletion,
    PaymentMethodRequest,
    PaymentMethodUpdate,
    PaymentProvider,
    ProviderCustomer,
    ProviderMethod,
    ProviderPayment,
    ProviderRefund,
    ProviderSubscription,
    RefundRequest,
    Step,
    SubscriptionCancellation,
    SubscriptionPause,
    SubscriptionRequest,
    SubscriptionResumption,
    SubscriptionUpdate,
    UpdateRequest,
)
from . import inbox, mapping, records
from .gateway import DummyGateway
from .vault import DECLINED, NEEDS_ACTION, SUCCEEDS, Refused

__all__ = ["DummyProvider"]

T = TypeVar("T")


class DummyProvider(PaymentProvider):
    """Pays by token: ``dummy_ok``, ``dummy_challenge``, and the refusals named in `gateway.DECLINED`."""

    kind: ClassVar[str] = "dummy"
    keys: ClassVar[KeyRules] = KeyRules(max_length=64, window_hours=24)
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.MANUAL_CAPTURE, Capability.PARTIAL_REFUND, Capability.CLIENT_SECRET}
    )
    signature_headers: ClassVar[tuple[str, ...]] = (inbox.SIGNATURE,)
    sandbox_only: ClassVar[bool] = True

    def __init__(
        self, gateway: DummyGateway | None = None, *, webhook_secret: str = "dummy-webhook-secret"
    ) -> None:
        self.gateway: DummyGateway = gateway or DummyGateway()
        self._secret = webhook_secret

    @classmethod
    def from_env(cls, env: Mapping[str, str], *, transport: Transport) -> Self:
        return cls()

    @property
    def livemode(self) -> bool | None:
        return False

    async def create_payment_intent(self, request: IntentRequest, *, step: Step) -> ProviderPayment:
        return mapping.payment_from(await self._post("intents", mapping.body_for_intent(request), step))

    async def sync_payment_status(self, reference: str) -> ProviderPayment:
        return mapping.payment_from(await self._ask(lambda: self.gateway.get(reference), repeat=False))

    async def read_webhook(self, request: Request) -> ProviderEvent:
        return inbox.event_from(request, secret=self._secret)

    async def update_payment_intent(self, request: UpdateRequest, *, step: Step) -> ProviderPayment:
        body: dict[str, Any] = {"intent": request.payment}
        if request.amount is not None:
            body |= {"amount": request.amount.minor_units, "currency": request.amount.currency}
        if request.metadata is not None:
            body["metadata"] = dict(request.metadata)
        return mapping.payment_from(await self._post("update", body, step))

    async def confirm_payment(self, request: ConfirmRequest, *, step: Step) -> ProviderPayment:
        body = {
            "intent": request.payment,
            "method": request.payment_method,
            "customer": request.customer,
            "keep": request.setup_future_usage is not None,
        }
        return mapping.payment_from(await self._post("confirm", body, step))

    async def capture_payment(self, request: CaptureRequest, *, step: Step) -> ProviderPayment:
        body = {"intent": request.payment, "amount": request.amount.minor_units}
        return mapping.payment_from(await self._post("capture", body, step))

    async def cancel_payment(self, request: CancelRequest, *, step: Step) -> ProviderPayment:
        return mapping.payment_from(await self._post("cancel", {"intent": request.payment}, step))

    async def refund_payment(self, request: RefundRequest, *, step: Step) -> ProviderRefund:
        return mapping.refund_from(await self._post("refunds", mapping.body_for_refund(request), step))

    # --- payers and what they pay with ----------------------------------------------------------------

    async def create_customer(self, request: CustomerRequest, *, step: Step) -> ProviderCustomer:
        body = records.body_for_customer(request)
        return records.customer_from(await self._post("customers", body, step))

    async def update_customer(self, request: CustomerUpdate, *, step: Step) -> ProviderCustomer:
        body = {"customer": request.customer, **records.body_for_customer(request)}
        return records.customer_from(await self._post("customers/update", body, step))

    async def delete_customer(self, request: CustomerDeletion, *, step: Step) -> ProviderCustomer:
        return records.customer_from(
            await self._post("customers/delete", {"customer": request.customer}, step)
        )

    async def sync_customer(self, reference: str) -> ProviderCustomer:
        return records.customer_from(
            await self._ask(lambda: dict(self.gateway.customer(reference)), repeat=False)
        )

    async def create_payment_method(self, request: PaymentMethodRequest, *, step: Step) -> ProviderMethod:
        return records.method_from(await self._post("methods", records.body_for_method(request), step))

    async def confirm_payment_method(
        self, request: PaymentMethodConfirmation, *, step: Step
    ) -> ProviderMethod:
        return records.method_from(await self._post("methods/confirm", {"setup": request.setup}, step))

    async def update_payment_method(self, request: PaymentMethodUpdate, *, step: Step) -> ProviderMethod:
        billing = asdict(request.billing) if request.billing is not None else None
        body = {"method": request.payment_method, "billing": billing}
        return records.method_from(await self._post("methods/update", body, step))

    async def delete_payment_method(self, request: PaymentMethodDeletion, *, step: Step) -> ProviderMethod:
        return records.method_from(
            await self._post("methods/delete", {"method": request.payment_method}, step)
        )

    async def sync_payment_method(self, reference: str) -> ProviderMethod:
        return records.method_from(
            await self._ask(lambda: dict(self.gateway.method(reference)), repeat=False)
        )

    async def owns_payment_method(self, token: str) -> bool:
        """A token is whoever's brings it; what is stored here is its customer's alone."""
        return token in (SUCCEEDS, NEEDS_ACTION, *DECLINED)

    # --- what is billed again and again ---------------------------------------------------------------

    async def create_subscription(self, request: SubscriptionRequest, *, step: Step) -> ProviderSubscription:
        body = records.body_for_subscription(request)
        return records.subscription_from(await self._post("subscriptions", body, step))

    async def update_subscription(self, request: SubscriptionUpdate, *, step: Step) -> ProviderSubscription:
        body = records.body_for_update(request)
        return records.subscription_from(await self._post("subscriptions/update", body, step))

    async def cancel_subscription(
        self, request: SubscriptionCancellation, *, step: Step
    ) -> ProviderSubscription:
        body = {"subscription": request.subscription, "at_end": request.at_period_end}
        return records.subscription_from(await self._post("subscriptions/cancel", body, step))

    async def pause_subscription(self, request: SubscriptionPause, *, step: Step) -> ProviderSubscription:
        body = {"subscription": request.subscription}
        return records.subscription_from(await self._post("subscriptions/pause", body, step))

    async def resume_subscription(
        self, request: SubscriptionResumption, *, step: Step
    ) -> ProviderSubscription:
        body = {"subscription": request.subscription}
        return records.subscription_from(await self._post("subscriptions/resume", body, step))

    async def sync_subscription(self, reference: str) -> ProviderSubscription:
        read = await self._ask(lambda: self.gateway.get_subscription(reference), repeat=False)
        return records.subscription_from(read)

    async def find_operation(self, evidence: Evidence) -> Lookup:
        """The dummy's reads do not lag, so each of them proves."""
        if evidence.verb not in PAYMENT_VERBS:
            return self._find_record(evidence)
        if evidence.payment is None:
            since = await self._ask(lambda: self.gateway.list_since(evidence.started_at), repeat=False)
            intents = (mapping.payment_from(intent) for intent in since)
            mine = next((intent for intent in intents if intent.our_reference == evidence.reference), None)
            return Found(mine) if mine else Absent("no intent since then carries our reference")
        try:
            payment = await self.sync_payment_status(evidence.payment)
        except ProviderNotFound:
            return CannotSay("the intent itself is not there")
        return judged(evidence, payment)

    def _find_record(self, evidence: Evidence) -> Lookup:
        """The dummy remembers every key. A real gateway is asked for what carries our reference."""
        answer = self.gateway.answer_to(evidence.key)
        if answer is None or "refused" in answer:
            return Absent("nothing was answered under that key")
        if evidence.verb.value.endswith("customer"):
            return Found(customer=records.customer_from(answer))
        if evidence.verb.value.endswith("payment_method"):
            return Found(method=records.method_from(answer))
        now = self.gateway.get_subscription(answer["id"])
        return Found(subscription=records.subscription_from(now))

    async def _post(self, path: str, body: Mapping[str, Any], step: Step) -> dict[str, Any]:
        return await self._ask(lambda: self.gateway.post(path, body, key=step.key), repeat=step.repeat)

    async def _ask(self, call: Callable[[], T], *, repeat: bool) -> T:
        await asyncio.sleep(0)  # a real gateway lets others run meanwhile; so does this one
        try:
            return call()
        except Refused as refused:
            raise mapping.error_from(refused, repeat=repeat) from None


def judged(evidence: Evidence, payment: ProviderPayment) -> Lookup:
    """Say from one read of the intent whether the operation was executed. Pure."""
    state = payment.provider_status
    match evidence.verb:
        case Verb.REFUND:
            refunds = payment.refunds or ()
            mine = next((refund for refund in refunds if refund.refund_id == evidence.refund_id), None)
            return Found(payment, mine) if mine else Absent("the intent shows no refund with our id")
        case Verb.CONFIRM:
            fresh = (
                payment.decline is not None
                and payment.decline.reference != evidence.baseline["decline_reference"]
            )
            return (
                Found(payment)
                if state != "open" or fresh
                else Absent("the intent is open and shows no new attempt")
            )
        case Verb.CAPTURE:
            return Absent("the money is still held") if state == "held" else Found(payment)
        case Verb.CANCEL:
            return (
                Absent("the intent is not canceled")
                if state in ("open", "challenge", "held")
                else Found(payment)
            )
        case Verb.UPDATE:
            same = evidence.amount is None or payment.amount == evidence.amount
            return Found(payment) if same else Absent("the intent has the amount that it had before")
        case _:
            return Found(payment)
