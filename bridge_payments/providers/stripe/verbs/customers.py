"""Customers."""

from __future__ import annotations

from typing import Any

from ....errors import ProviderNotFound
from ....models import Verb
from ...base import (
    Absent,
    CannotSay,
    CustomerDeletion,
    CustomerRequest,
    CustomerUpdate,
    Evidence,
    Found,
    Lookup,
    ProviderCustomer,
    Step,
)
from ..account import Account, readable
from ..customers import create_form, customer_from, forgotten, update_form
from ..forms import REFERENCE, UPDATE_REFERENCE, checked_id
from ..objects import stamp_of

__all__ = ["CustomerVerbs"]


class CustomerVerbs(Account):
    async def create_customer(self, request: CustomerRequest, *, step: Step) -> ProviderCustomer:
        form: Any = create_form(request)
        answer = await self._write(lambda sdk, options: sdk.v1.customers.create_async(form, options), step)
        return readable(lambda: customer_from(answer.body, request_id=answer.request_id), answer)

    async def update_customer(self, request: CustomerUpdate, *, step: Step) -> ProviderCustomer:
        customer = checked_id(request.customer, "customer")
        form: Any = update_form(request, reference=step.reference)
        answer = await self._write(
            lambda sdk, options: sdk.v1.customers.update_async(customer, form, options), step
        )
        return readable(lambda: customer_from(answer.body, request_id=answer.request_id), answer)

    async def delete_customer(self, request: CustomerDeletion, *, step: Step) -> ProviderCustomer:
        """Stripe knows no key for a deletion and needs none: the second one finds nothing."""
        customer = checked_id(request.customer, "customer")
        try:
            answer = await self._write(
                lambda sdk, options: sdk.v1.customers.delete_async(customer, {}, options), step
            )
        except ProviderNotFound as gone:
            return forgotten(customer, gone)
        return readable(lambda: customer_from(answer.body, request_id=answer.request_id), answer)

    async def _customer(self, reference: str) -> ProviderCustomer:
        customer = checked_id(reference, "customer")
        try:
            answer = await self._read(lambda sdk: sdk.v1.customers.retrieve_async(customer))
        except ProviderNotFound as gone:
            return forgotten(customer, gone)
        return readable(lambda: customer_from(answer.body, request_id=answer.request_id), answer)

    async def _find_customer(self, evidence: Evidence) -> Lookup:
        if evidence.verb is Verb.CREATE_CUSTOMER:
            return await self._find_new_customer(evidence)
        if evidence.subject is None:
            return CannotSay("the operation has no customer that could be read")
        seen = await self._customer(evidence.subject)
        if evidence.verb is Verb.DELETE_CUSTOMER:
            return Found(customer=seen) if seen.deleted else Absent("the customer is not deleted")
        if seen.deleted:
            return CannotSay("the customer is deleted, and does not show its updates any more")
        if stamp_of(seen.raw, UPDATE_REFERENCE) == evidence.reference:
            return Found(customer=seen)
        return Absent("the customer does not carry the stamp of this update")

    async def _find_new_customer(self, evidence: Evidence) -> Lookup:
        count = 0
        async for each in self._since("customers", evidence):
            count += 1
            if stamp_of(each, REFERENCE) == evidence.reference:
                return Found(customer=customer_from(each))
        return Absent(f"none of the {count} customers made since carries the reference {evidence.reference}")
