"""Payments and refunds: PaymentIntents and Refunds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from ....models import Verb
from ...base import (
    Absent,
    CancelRequest,
    CannotSay,
    CaptureRequest,
    ConfirmRequest,
    Evidence,
    Found,
    IntentRequest,
    Lookup,
    ProviderPayment,
    ProviderRefund,
    RefundRequest,
    Step,
    UpdateRequest,
)
from .. import forms
from ..account import Account, readable
from ..lookup import judge
from ..mapping import charge_of, payment_from, refund_from
from ..objects import Json

if TYPE_CHECKING:
    import stripe

    from ..client import Answer

__all__ = ["PaymentVerbs"]


class PaymentVerbs(Account):
    async def create_payment_intent(self, request: IntentRequest, *, step: Step) -> ProviderPayment:
        form: Any = forms.create_form(request)
        return await self._payment(
            lambda sdk, options: sdk.v1.payment_intents.create_async(form, options), step=step
        )

    async def update_payment_intent(self, request: UpdateRequest, *, step: Step) -> ProviderPayment:
        intent = forms.checked_id(request.payment, "payment")
        form: Any = forms.update_form(request, reference=step.reference)
        return await self._payment(
            lambda sdk, options: sdk.v1.payment_intents.update_async(intent, form, options),
            step=step,
            intent=intent,
        )

    async def confirm_payment(self, request: ConfirmRequest, *, step: Step) -> ProviderPayment:
        """A confirm cannot name the customer who is to keep the method: that is a call before it."""
        intent = forms.checked_id(request.payment, "payment")
        form: Any = forms.confirm_form(request)
        if request.customer is not None:
            customer = forms.checked_id(request.customer, "customer")
            await step.once("customer", lambda key: self._belongs_to(customer, intent, step, key))
        return await self._payment(
            lambda sdk, options: sdk.v1.payment_intents.confirm_async(intent, form, options),
            step=step,
            intent=intent,
        )

    async def capture_payment(self, request: CaptureRequest, *, step: Step) -> ProviderPayment:
        intent = forms.checked_id(request.payment, "payment")
        form: Any = forms.capture_form(request, reference=step.reference)
        return await self._payment(
            lambda sdk, options: sdk.v1.payment_intents.capture_async(intent, form, options),
            step=step,
            intent=intent,
        )

    async def cancel_payment(self, request: CancelRequest, *, step: Step) -> ProviderPayment:
        intent = forms.checked_id(request.payment, "payment")
        form: Any = forms.cancel_form(request)
        return await self._payment(
            lambda sdk, options: sdk.v1.payment_intents.cancel_async(intent, form, options),
            step=step,
            intent=intent,
        )

    async def refund_payment(self, request: RefundRequest, *, step: Step) -> ProviderRefund:
        form: Any = forms.refund_form(request)
        answer = await self._write(lambda sdk, options: sdk.v1.refunds.create_async(form, options), step)
        return readable(lambda: refund_from(answer.body), answer)

    async def sync_payment_status(self, reference: str) -> ProviderPayment:
        """One read; a second for many refunds, and one for disputes, where the charge says that there are."""
        intent = forms.checked_id(reference, "payment")
        answer = await self._read(
            lambda sdk: sdk.v1.payment_intents.retrieve_async(intent, {"expand": forms.CHARGE_AND_REFUNDS})
        )
        return await self._whole(answer.body, answer, intent)

    # --- what else belongs to a payment -----------------------------------------------------------

    async def _whole(self, intent: Json, answer: Answer, reference: str) -> ProviderPayment:
        """Read an intent of *answer* together with what of its refunds and disputes was not spelled out."""
        charge = readable(lambda: charge_of(intent), answer) or {}
        refunds = disputes = None
        if (charge.get("refunds") or {}).get("has_more"):
            refunds = await self._refunds(reference)
        if charge.get("disputed"):
            disputes = [each async for each in self._list("disputes", {"payment_intent": reference})]
        return readable(
            lambda: _same(
                payment_from(intent, refunds=refunds, disputes=disputes, request_id=answer.request_id),
                reference,
            ),
            answer,
        )

    async def _refunds(self, intent: str) -> list[Json]:
        return [each async for each in self._list("refunds", {"payment_intent": intent})]

    async def _belongs_to(self, customer: str, intent: str, step: Step, key: str) -> bool:
        form: Any = {"customer": customer}
        await self._write(
            lambda sdk, options: sdk.v1.payment_intents.update_async(intent, form, options), step, key=key
        )
        return True

    async def _payment(
        self,
        call: Callable[[stripe.StripeClient, Any], Awaitable[Any]],
        *,
        step: Step,
        intent: str | None = None,
    ) -> ProviderPayment:
        answer = await self._write(call, step)
        return readable(
            lambda: _same(payment_from(answer.body, request_id=answer.request_id), intent), answer
        )

    # --- what became of it ------------------------------------------------------------------------

    async def _find_payment(self, evidence: Evidence) -> Lookup:
        """Read what would show it: the intent, the refunds of the intent, or the intents since it began."""
        if evidence.verb is Verb.CREATE:
            return await self._find_intent(evidence)
        if evidence.payment is None:
            return CannotSay("the operation has no intent that could be read")
        if evidence.verb is Verb.REFUND:
            return await self._find_refund(evidence, forms.checked_id(evidence.payment, "payment"))
        return judge(await self.sync_payment_status(evidence.payment), evidence)

    async def _find_intent(self, evidence: Evidence) -> Lookup:
        seen = 0
        async for intent in self._since("payment_intents", evidence):
            seen += 1
            if (intent.get("metadata") or {}).get(forms.REFERENCE) == evidence.reference:
                return Found(await self.sync_payment_status(intent["id"]))
        return Absent(f"none of the {seen} intents made since carries the reference {evidence.reference}")

    async def _find_refund(self, evidence: Evidence, intent: str) -> Lookup:
        refunds = await self._refunds(intent)
        for refund in refunds:
            metadata = refund.get("metadata") or {}
            if evidence.reference == metadata.get(forms.REFERENCE) or (
                evidence.refund_id is not None and evidence.refund_id == metadata.get(forms.REFUND_ID)
            ):
                return Found(await self.sync_payment_status(intent), refund_from(refund))
        return Absent(
            f"none of the intent's {len(refunds)} refunds carries the reference {evidence.reference}"
        )


def _same(payment: ProviderPayment, intent: str | None) -> ProviderPayment:
    if intent is not None and payment.reference != intent:
        raise ValueError("another intent than the one that was asked for")
    return payment
