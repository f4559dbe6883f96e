"""Stored payment methods: PaymentMethods, and the SetupIntents that they come from."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ....errors import ProviderNotFound, ProviderRejected
from ....models import PaymentMethodStatus, Verb
from ...base import (
    Absent,
    CannotSay,
    Evidence,
    Found,
    Lookup,
    PaymentMethodConfirmation,
    PaymentMethodDeletion,
    PaymentMethodRequest,
    PaymentMethodUpdate,
    ProviderMethod,
    Step,
)
from ..account import Account, readable
from ..forms import REFERENCE, UPDATE_REFERENCE, checked_id
from ..objects import Json, stamp_of
from ..payment_methods import (
    attach_form,
    billing_form,
    is_attached_only,
    is_free,
    is_setup,
    method_from,
    setup_form,
    setup_from,
    update_form,
)

__all__ = ["MethodVerbs"]

_log = logging.getLogger("bridge_payments.providers.stripe")


class MethodVerbs(Account):
    async def create_payment_method(self, request: PaymentMethodRequest, *, step: Step) -> ProviderMethod:
        """Attach or set up; a second call says who is billed, which Stripe takes of a stored method only.

        If Stripe refuses those details, the method is stored without them.
        """
        if request.billing is None or request.token is None:
            return await self._stored(request, step, step.key)
        kept = await step.once("store", lambda key: self._stored_reference(request, step, key))
        method = await self.sync_payment_method(kept)
        if method.status is not PaymentMethodStatus.ACTIVE:
            return method
        form: Any = billing_form(
            request.billing, method_id=request.payment_method_id, reference=request.reference
        )
        try:
            answer = await self._write(
                lambda sdk, options: sdk.v1.payment_methods.update_async(method.reference, form, options),
                step,
            )
        except ProviderRejected as error:
            # It is stored by now: to call the whole a refusal would leave a method that nobody knows of.
            _log.warning("the billing details of %s were refused: %s", method.reference, error.provider_code)
            return method
        billed = readable(lambda: method_from(answer.body, request_id=answer.request_id), answer)
        return replace(billed, setup=kept) if is_setup(kept) else billed

    async def confirm_payment_method(
        self, request: PaymentMethodConfirmation, *, step: Step
    ) -> ProviderMethod:
        """The payer agrees in Stripe's script, which confirms: most often there is nothing left to do."""
        setup = checked_id(request.setup, "setup")
        seen = await self._setup(setup)
        if not _waits_for_us(seen):
            return seen
        form: Any = {"expand": ["payment_method"]}
        answer = await self._write(
            lambda sdk, options: sdk.v1.setup_intents.confirm_async(setup, form, options), step
        )
        return readable(lambda: setup_from(answer.body, request_id=answer.request_id), answer)

    async def update_payment_method(self, request: PaymentMethodUpdate, *, step: Step) -> ProviderMethod:
        method = checked_id(request.payment_method, "payment_method")
        form: Any = update_form(request, reference=step.reference)
        answer = await self._write(
            lambda sdk, options: sdk.v1.payment_methods.update_async(method, form, options), step
        )
        return readable(lambda: method_from(answer.body, request_id=answer.request_id), answer)

    async def delete_payment_method(self, request: PaymentMethodDeletion, *, step: Step) -> ProviderMethod:
        """Detach a method for good, or give up a set-up to which the payer did not agree."""
        reference = checked_id(request.payment_method, "payment_method")
        try:
            if is_setup(reference):
                given_up = await self._write(
                    lambda sdk, options: sdk.v1.setup_intents.cancel_async(reference, {}, options), step
                )
                return _deleted(readable(lambda: setup_from(given_up.body), given_up))
            answer = await self._write(
                lambda sdk, options: sdk.v1.payment_methods.detach_async(reference, {}, options), step
            )
        except ProviderNotFound:
            return ProviderMethod(reference=reference, status=PaymentMethodStatus.DELETED)
        except ProviderRejected:
            # Of one that belongs to nobody any more Stripe says that detachment is impossible.
            seen = await self.sync_payment_method(reference)
            if not _is_gone(seen):
                raise
            return _deleted(seen)
        return readable(lambda: method_from(answer.body, request_id=answer.request_id), answer)

    async def sync_payment_method(self, reference: str) -> ProviderMethod:
        checked = checked_id(reference, "payment_method")
        if is_setup(checked):
            return await self._setup(checked)
        answer = await self._read(lambda sdk: sdk.v1.payment_methods.retrieve_async(checked))
        return readable(lambda: method_from(answer.body, request_id=answer.request_id), answer)

    async def owns_payment_method(self, token: str) -> bool:
        """Whether it is unattached, or a confirmation token of one that is; nothing else may be brought."""
        checked = checked_id(token, "payment_method")
        try:
            if checked.startswith("ctoken_"):
                answer = await self._read(lambda sdk: sdk.v1.confirmation_tokens.retrieve_async(checked))
            elif checked.startswith("pm_"):
                answer = await self._read(lambda sdk: sdk.v1.payment_methods.retrieve_async(checked))
            else:
                return False
        except ProviderNotFound:
            return False
        return readable(lambda: is_free(answer.body), answer)

    # --- calls ------------------------------------------------------------------------------------

    async def _stored(self, request: PaymentMethodRequest, step: Step, key: str) -> ProviderMethod:
        if is_attached_only(request.token, off_session=request.off_session):
            token = checked_id(request.token, "payment_method")
            owner: Any = attach_form(request)
            attached = await self._write(
                lambda sdk, options: sdk.v1.payment_methods.attach_async(token, owner, options), step, key=key
            )
            return readable(lambda: method_from(attached.body, request_id=attached.request_id), attached)
        form: Any = setup_form(request)
        answer = await self._write(
            lambda sdk, options: sdk.v1.setup_intents.create_async(form, options), step, key=key
        )
        return readable(lambda: setup_from(answer.body, request_id=answer.request_id), answer)

    async def _stored_reference(self, request: PaymentMethodRequest, step: Step, key: str) -> str:
        """What the next call and a repeat need to know of the first one: no secret is in it."""
        method = await self._stored(request, step, key)
        return method.setup or method.reference

    async def _setup(self, reference: str) -> ProviderMethod:
        answer = await self._read(
            lambda sdk: sdk.v1.setup_intents.retrieve_async(reference, {"expand": ["payment_method"]})
        )
        return readable(lambda: setup_from(answer.body, request_id=answer.request_id), answer)

    # --- what became of it ------------------------------------------------------------------------

    async def _find_method(self, evidence: Evidence) -> Lookup:
        if evidence.verb is Verb.CREATE_METHOD:
            return await self._find_new_method(evidence)
        if evidence.subject is None:
            return CannotSay("the operation has no payment method that could be read")
        try:
            seen = await self.sync_payment_method(evidence.subject)
        except ProviderNotFound:
            if evidence.verb is not Verb.DELETE_METHOD:
                raise
            seen = ProviderMethod(reference=evidence.subject, status=PaymentMethodStatus.DELETED)
        match evidence.verb:
            case Verb.DELETE_METHOD:
                return Found(method=_deleted(seen)) if _is_gone(seen) else Absent("it is not detached")
            case Verb.CONFIRM_METHOD:
                return Absent("the set-up is not confirmed") if _waits_for_us(seen) else Found(method=seen)
            case _:
                if stamp_of(seen.raw, UPDATE_REFERENCE) == evidence.reference:
                    return Found(method=seen)
                return Absent("the payment method does not carry the stamp of this update")

    async def _find_new_method(self, evidence: Evidence) -> Lookup:
        token, customer = evidence.inputs.get("token"), evidence.inputs.get("customer")
        if is_attached_only(token, off_session=evidence.inputs.get("off_session", True)):
            seen = await self.sync_payment_method(str(token))
            if seen.customer is not None and seen.customer == customer:
                return Found(method=seen)
            return Absent("the payment method is not attached to the customer")
        count = 0
        query = {"customer": customer} if customer else {}
        async for each in self._since("setup_intents", evidence, query):
            count += 1
            if stamp_of(each, REFERENCE) == evidence.reference:
                return Found(method=await self._setup(each["id"]))
        return Absent(f"none of the {count} set-ups made since carries the reference {evidence.reference}")


def _waits_for_us(seen: ProviderMethod) -> bool:
    raw: Json = seen.raw if isinstance(seen.raw, Mapping) else {}
    return raw.get("status") == "requires_confirmation"


def _is_gone(seen: ProviderMethod) -> bool:
    return seen.status in (PaymentMethodStatus.DELETED, PaymentMethodStatus.FAILED)


def _deleted(seen: ProviderMethod) -> ProviderMethod:
    return replace(
        seen, status=PaymentMethodStatus.DELETED, saved=False, client_secret=None, next_action=None
    )
