"""The dummy provider: who is asked is a gateway in this process. Copy this folder to begin a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self, TypeVar

from ...errors import ProviderNotFound
from ...messages import Request
from ...models import ProviderEvent, Verb
from ...transport import Transport
from ..base import (
    Absent,
    CancelRequest,
    CannotSay,
    Capability,
    CaptureRequest,
    ConfirmRequest,
    Evidence,
    Found,
    IntentRequest,
    KeyRules,
    Lookup,
    PaymentProvider,
    ProviderPayment,
    ProviderRefund,
    RefundRequest,
    Step,
    UpdateRequest,
)
from . import inbox, mapping
from .gateway import DummyGateway, Refused

__all__ = ["DummyProvider"]

T = TypeVar("T")


class DummyProvider(PaymentProvider):
    """Pays by token: ``dummy_ok``, ``dummy_challenge``, and the refusals named in `gateway.DECLINED`."""

    kind: ClassVar[str] = "dummy"
    keys: ClassVar[KeyRules] = KeyRules(max_length=64, window_hours=24)
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.MANUAL_CAPTURE, Capability.PARTIAL_REFUND, Capability.CLIENT_SECRET}
    )
    sandbox_only: ClassVar[bool] = True

    def __init__(
        self, gateway: DummyGateway | None = None, *, webhook_secret: str = "dummy-webhook-secret"
    ) -> None:
        self.gateway = gateway or DummyGateway()
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
        body = {"intent": request.payment, "method": request.payment_method}
        return mapping.payment_from(await self._post("confirm", body, step))

    async def capture_payment(self, request: CaptureRequest, *, step: Step) -> ProviderPayment:
        body = {"intent": request.payment, "amount": request.amount.minor_units}
        return mapping.payment_from(await self._post("capture", body, step))

    async def cancel_payment(self, request: CancelRequest, *, step: Step) -> ProviderPayment:
        return mapping.payment_from(await self._post("cancel", {"intent": request.payment}, step))

    async def refund_payment(self, request: RefundRequest, *, step: Step) -> ProviderRefund:
        return mapping.refund_from(await self._post("refunds", mapping.body_for_refund(request), step))

    async def find_operation(self, evidence: Evidence) -> Lookup:
        """The dummy's reads do not lag, so each of them proves."""
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
