"""Customers: profiles of the gateway's, found again by our reference, so that none is made twice."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from ...errors import (
    ProviderError,
    ProviderNeverSent,
    ProviderNotFound,
    ProviderRejected,
    ProviderStateConflict,
)
from ...models import Verb
from ..base import (
    Absent,
    CustomerDeletion,
    CustomerRequest,
    CustomerUpdate,
    Evidence,
    Found,
    Lookup,
    ProviderCustomer,
    Step,
)
from . import profiles
from .answers import Json
from .client import Budget, Client, is_ok
from .refusals import GONE, error_from
from .transactions import readable

__all__ = ["Customers", "before_writing"]


class Customers:
    def __init__(self, client: Client, *, livemode: bool) -> None:
        self._client, self._livemode = client, livemode

    async def create(self, request: CustomerRequest, *, step: Step) -> ProviderCustomer:
        """Make one. The gateway refuses a second one of the same mark and names the first, which is it."""
        budget = Budget(step.deadline)
        payload = {"profile": profiles.customer_payload(request)}
        operation = "createCustomerProfileRequest"
        answer = await self._client.ask(operation, payload, reference=step.reference, deadline=budget.left)
        if is_ok(answer):
            made = {**payload["profile"], "customerProfileId": answer.get("customerProfileId")}
            return readable(lambda: profiles.customer_from(made, livemode=self._livemode, raw=answer))
        first = profiles.duplicate_of(answer, "customerProfileId")
        if first is not None:
            found = self._customer(await self.profile(customerProfileId=first, deadline=budget.left))
            if found.our_reference == request.reference:
                return found
            raise ProviderStateConflict("another customer is like this one", provider_code=profiles.DUPLICATE)
        raise error_from(answer, repeat=step.repeat, attempt=step.reference)

    async def update(self, request: CustomerUpdate, *, step: Step) -> ProviderCustomer:
        """Read it, and write all of it: what is not sent is taken off."""
        budget = Budget(step.deadline)
        customer = profiles.checked_profile(request.customer)
        before = await before_writing(self.profile(customerProfileId=customer, deadline=budget.left))
        payload = profiles.changed_customer(before, request)
        await self._done(
            "updateCustomerProfileRequest", {"profile": payload}, step=step, deadline=budget.left
        )
        return readable(lambda: profiles.customer_from(payload, livemode=self._livemode))

    async def delete(self, request: CustomerDeletion, *, step: Step) -> ProviderCustomer:
        customer = profiles.checked_profile(request.customer)
        payload = {"customerProfileId": customer}
        with contextlib.suppress(ProviderNotFound):  # it is gone, whoever did that
            await self._done("deleteCustomerProfileRequest", payload, step=step, deadline=step.deadline)
        return ProviderCustomer(reference=customer, deleted=True, livemode=self._livemode)

    async def find(self, evidence: Evidence, reference: str) -> Lookup:
        """Say what became of a lost creation (by *reference*, its mark), change or deletion."""
        if evidence.subject is None:
            try:
                profile = await self.profile(merchantCustomerId=reference)
            except ProviderNotFound:
                return Absent(f"no customer carries the mark {reference}")
            return Found(customer=self._customer(profile))
        customer = profiles.checked_profile(evidence.subject)
        changes = evidence.inputs
        try:
            profile = await self.profile(customerProfileId=customer)
        except ProviderNotFound:
            if evidence.verb is Verb.DELETE_CUSTOMER:
                return Found(customer=ProviderCustomer(reference=customer, deleted=True))
            raise
        if evidence.verb is Verb.DELETE_CUSTOMER:
            return Absent("the customer is still there")
        asked = CustomerUpdate(customer=customer, email=changes.get("email"), name=changes.get("name"))
        if _alike(profile, profiles.changed_customer(profile, asked)):
            return Found(customer=self._customer(profile))
        return Absent("the customer itself is as it was")

    async def profile(self, *, deadline: float = 25.0, **which: str) -> Json:
        """Read a customer, by its number or by our mark, with its payment profiles."""
        payload: Mapping[str, Any] = {**which, "unmaskExpirationDate": True}
        answer = await self._client.read("getCustomerProfileRequest", payload, deadline=deadline)
        return readable(lambda: profiles.profile_of(answer))

    def _customer(self, profile: Json) -> ProviderCustomer:
        return readable(lambda: profiles.customer_from(profile, livemode=self._livemode, raw=profile))

    async def _done(self, operation: str, payload: Mapping[str, Any], *, step: Step, deadline: float) -> None:
        answer = await self._client.ask(operation, payload, reference=step.reference, deadline=deadline)
        if not is_ok(answer):
            raise refusal_of(answer, step)


def refusal_of(answer: Json, step: Step) -> ProviderError:
    """Judge the refusal of a change that may be made again without harm: that it is gone is always true."""
    error = profiles.refusal_from(answer, repeat=step.repeat, attempt=step.reference)
    return (
        ProviderNotFound(error.message, provider_code=error.provider_code)
        if error.provider_code in GONE
        else error
    )


async def before_writing(read: Any) -> Json:
    """Await a read that comes before a call that changes something: if it fails, nothing has left."""
    failure: ProviderError
    try:
        found: Json = await read
    except ProviderRejected:
        raise
    except ProviderError as error:
        failure = ProviderNeverSent(f"not sent, because it could not be read: {error.message}")
    else:
        return found
    raise failure


def _alike(profile: Json, whole: Mapping[str, Any]) -> bool:
    names = ("merchantCustomerId", "description", "email")
    return all(str(profile.get(name) or "") == str(whole.get(name) or "") for name in names)
