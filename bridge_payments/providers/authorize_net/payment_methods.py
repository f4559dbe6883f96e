"""Payment methods: payment profiles inside a customer's, made of one-time tokens or of a charge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...errors import BridgeError, ProviderNotFound, ProviderUnknown
from ...models import PaymentMethodStatus, Verb
from ..base import (
    Absent,
    CannotSay,
    Evidence,
    Found,
    Lookup,
    PaymentMethodDeletion,
    PaymentMethodRequest,
    PaymentMethodUpdate,
    ProviderMethod,
    Step,
)
from . import profiles
from .answers import Json, text_of, texts_of
from .client import Budget, Client, is_ok
from .customers import Customers, before_writing, refusal_of
from .transactions import readable

__all__ = ["PaymentMethods"]

SEEN = "seen"
"""The call that reads which methods a customer has before one more is made: what is new after it is ours."""


class PaymentMethods:
    """*validation* is what the gateway does with a card before it keeps it: ``liveMode`` asks its issuer."""

    def __init__(self, client: Client, customers: Customers, *, validation: str) -> None:
        self._client, self._customers, self._validation = client, customers, validation

    async def create(self, request: PaymentMethodRequest, *, step: Step) -> ProviderMethod:
        budget = Budget(step.deadline)
        method = profiles.method_payload(request)
        if request.customer is None:
            return await self._create_with_customer(request, step, budget)
        customer = profiles.checked_profile(request.customer)
        seen = await step.once(SEEN, lambda _: self._numbers(customer, budget))
        if step.repeat and (made := await self._newest(customer, seen, budget)) is not None:
            return replace(made, payment_method_id=request.payment_method_id)
        payload = {"customerProfileId": customer, "paymentProfile": method, **self._validated(request)}
        operation = "createCustomerPaymentProfileRequest"
        answer = await self._client.ask(operation, payload, reference=step.reference, deadline=budget.left)
        number = text_of(answer.get("customerPaymentProfileId"))
        if not is_ok(answer):
            # The customer has this card already: then that is the method, and nothing was made.
            number = await self._first_of(answer, customer, budget)
            if number is None:
                raise profiles.refusal_from(answer, repeat=step.repeat, attempt=step.reference)
        return await self._shown(customer, number, request, budget)

    async def _create_with_customer(
        self, request: PaymentMethodRequest, step: Step, budget: Budget
    ) -> ProviderMethod:
        """Make a customer of its own together with the method: one call, which leaves no half of it."""
        if step.repeat and (made := await self._of_mark(request.reference, budget)) is not None:
            return replace(made, payment_method_id=request.payment_method_id)
        payload = {"profile": profiles.newcomer_payload(request), **self._validated(request)}
        operation = "createCustomerProfileRequest"
        answer = await self._client.ask(operation, payload, reference=step.reference, deadline=budget.left)
        if not is_ok(answer):
            if profiles.is_duplicate(answer):
                made = await self._of_mark(request.reference, budget)
                if made is not None:
                    return replace(made, payment_method_id=request.payment_method_id)
            raise profiles.refusal_from(answer, repeat=step.repeat, attempt=step.reference)
        numbers = texts_of(answer.get("customerPaymentProfileIdList"), "numericString")
        customer = text_of(answer.get("customerProfileId"))
        return await self._shown(customer, numbers[0] if numbers else None, request, budget)

    async def update(self, request: PaymentMethodUpdate, *, step: Step) -> ProviderMethod:
        budget = Budget(step.deadline)
        customer, number = profiles.checked_pair(request.payment_method, request.customer)
        if request.billing is None:  # nothing else of it can change, and metadata has no place there
            return await self.sync(request.payment_method)
        before = await before_writing(self._read(customer, number, budget.left, unmasked=False))
        whole = profiles.changed_billing(before, request.billing)
        payload = {
            "customerProfileId": customer,
            "paymentProfile": {**whole, "customerPaymentProfileId": number},
        }
        operation = "updateCustomerPaymentProfileRequest"
        answer = await self._client.ask(operation, payload, reference=step.reference, deadline=budget.left)
        if not is_ok(answer):
            raise refusal_of(answer, step)
        return readable(lambda: profiles.method_from({**before, **whole}, customer=customer))

    async def delete(self, request: PaymentMethodDeletion, *, step: Step) -> ProviderMethod:
        customer, number = profiles.checked_pair(request.payment_method, request.customer)
        payload = {"customerProfileId": customer, "customerPaymentProfileId": number}
        operation = "deleteCustomerPaymentProfileRequest"
        answer = await self._client.ask(operation, payload, reference=step.reference, deadline=step.deadline)
        if not is_ok(answer):
            error = refusal_of(answer, step)
            if not isinstance(error, ProviderNotFound):
                raise error
        return _deleted(request.payment_method, customer)

    async def sync(self, reference: str) -> ProviderMethod:
        customer, number = profiles.checked_pair(reference)
        profile = await self._read(customer, number, 25.0)
        return readable(lambda: profiles.method_from(profile, customer=customer))

    async def keep(
        self,
        charge: str,
        *,
        customer: str | None,
        reference: str,
        shown: ProviderMethod | None,
        step: Step,
        deadline: float,
    ) -> ProviderMethod | None:
        """Make a method of what a charge was paid with; None where the gateway does not make one.

        The money has moved: nothing that goes wrong here may hide that, so nothing is raised.
        """  # fmt: skip
        budget = Budget(deadline)
        payload: dict[str, Any] = {"transId": charge}
        if customer is None:
            payload["customer"] = {"merchantCustomerId": reference}
        else:
            payload["customerProfileId"] = customer
        operation = "createCustomerProfileFromTransactionRequest"
        try:
            answer = await self._client.ask(
                operation, payload, reference=step.reference, deadline=budget.left
            )
            if not is_ok(answer) and not profiles.is_duplicate(answer):
                return None
            number = next(iter(texts_of(answer.get("customerPaymentProfileIdList"), "numericString")), None)
            owner = customer or text_of(answer.get("customerProfileId"))
            if owner is None:
                return None
            if number is None:
                return await self.like(owner, shown, deadline=budget.left)
            profile = await self._read(owner, number, budget.left)
            return profiles.method_from(profile, customer=owner)
        except (BridgeError, ValueError):
            return None

    async def like(
        self, customer: str, shown: ProviderMethod | None, *, deadline: float = 25.0
    ) -> ProviderMethod | None:
        """Return the one method of a customer that looks like what a charge was paid with."""
        profile = await self._customers.profile(customerProfileId=customer, deadline=deadline)
        methods = readable(lambda: profiles.methods_in(profile))
        number = profiles.mine_among(
            methods, shown.last_four if shown else None, shown.brand if shown else None
        )
        return readable(lambda: profiles.method_from(methods[number], customer=customer)) if number else None

    # --- what became of a lost call ---------------------------------------------------------------

    async def find_created(self, evidence: Evidence, customer: str | None, reference: str) -> Lookup:
        budget = Budget(25.0)
        if customer is None:
            made = await self._of_mark(reference, budget)
            proof = f"no customer carries the mark {reference}"
        elif SEEN not in evidence.results:
            return Absent(
                "the customer's methods were not read yet, and nothing is sent before", at_once=True
            )
        else:
            seen = evidence.results[SEEN]
            if len(await self._fresh(customer, seen, budget)) > 1:
                return CannotSay("the customer has several new methods: which one was meant is not said")
            made = await self._newest(customer, seen, budget)
            proof = f"the customer has the {len(seen)} methods that it had before"
        return Absent(proof) if made is None else Found(method=made)

    async def find_changed(self, evidence: Evidence) -> Lookup:
        assert evidence.subject is not None
        customer, number = profiles.checked_pair(evidence.subject)
        deleting = evidence.verb is Verb.DELETE_METHOD
        try:
            profile = await self._read(customer, number, 25.0, unmasked=deleting)
        except ProviderNotFound:
            if deleting:
                return Found(method=_deleted(evidence.subject, customer))
            raise
        if deleting:
            return Absent("the method is still there")
        billing = evidence.inputs.get("billing")
        asked = profiles.changed_billing(profile, profiles.billing_of(billing))
        if dict(asked.get("billTo") or {}) == profiles.changed_billing(profile, None).get("billTo", {}):
            return Found(method=readable(lambda: profiles.method_from(profile, customer=customer)))
        return Absent("the method itself is as it was")

    # --- reading ----------------------------------------------------------------------------------

    async def _first_of(self, answer: Json, customer: str, budget: Budget) -> str | None:
        """Return the method of which the new one would be a duplicate; it is not always named (recorded)."""
        named = profiles.duplicate_of(answer, "customerPaymentProfileId")
        if named is not None or not profiles.is_duplicate(answer):
            return named
        profile = await self._customers.profile(customerProfileId=customer, deadline=budget.left)
        return profiles.mine_among(
            readable(lambda: profiles.methods_in(profile)), *profiles.digits_of(answer)
        )

    async def _numbers(self, customer: str, budget: Budget) -> list[str]:
        profile = await before_writing(
            self._customers.profile(customerProfileId=customer, deadline=budget.left)
        )
        return sorted(readable(lambda: profiles.methods_in(profile)))

    async def _fresh(self, customer: str, seen: list[str], budget: Budget) -> dict[str, Json]:
        profile = await self._customers.profile(customerProfileId=customer, deadline=budget.left)
        methods = readable(lambda: profiles.methods_in(profile))
        return {number: each for number, each in methods.items() if number not in seen}

    async def _newest(self, customer: str, seen: list[str], budget: Budget) -> ProviderMethod | None:
        fresh = await self._fresh(customer, seen, budget)
        if len(fresh) > 1:
            raise ProviderUnknown("the customer has several new methods: which one was meant is not said")
        for profile in fresh.values():
            return profiles.method_from(profile, customer=customer)
        return None

    async def _of_mark(self, reference: str, budget: Budget) -> ProviderMethod | None:
        """Return the method of the customer that was made together with it."""
        try:
            profile = await self._customers.profile(merchantCustomerId=reference, deadline=budget.left)
        except ProviderNotFound:
            return None
        customer = readable(lambda: profiles.customer_from(profile, livemode=None)).reference
        for each in readable(lambda: profiles.methods_in(profile)).values():
            return profiles.method_from(each, customer=customer)
        return None

    async def _shown(
        self, customer: str | None, number: str | None, request: PaymentMethodRequest, budget: Budget
    ) -> ProviderMethod:
        """Read what was made, so that it can be recognised; it is there, whether that works or not."""
        bare: Mapping[str, Any] = {"customerPaymentProfileId": number}
        made = readable(
            lambda: profiles.method_from(
                bare, customer=profiles.checked_profile(customer), payment_method_id=request.payment_method_id
            )
        )
        assert customer is not None
        assert number is not None
        try:
            profile = await self._read(customer, number, budget.left)
            seen = profiles.method_from(profile, customer=customer)
        except (BridgeError, ValueError):
            return replace(made, type=request.payment_type)
        return replace(seen, payment_method_id=request.payment_method_id)

    async def _read(self, customer: str, number: str, deadline: float, *, unmasked: bool = True) -> Json:
        payload = {
            "customerProfileId": customer,
            "customerPaymentProfileId": number,
            "unmaskExpirationDate": unmasked,
        }
        answer = await self._client.read("getCustomerPaymentProfileRequest", payload, deadline=deadline)
        return readable(lambda: profiles.profile_of(answer, "paymentProfile"))

    def _validated(self, request: PaymentMethodRequest) -> dict[str, str]:
        # An account at a bank has nobody who could be asked.
        return {} if request.payment_type == "bank_account" else {"validationMode": self._validation}


def _deleted(reference: str, customer: str) -> ProviderMethod:
    return ProviderMethod(reference=reference, customer=customer, status=PaymentMethodStatus.DELETED)
