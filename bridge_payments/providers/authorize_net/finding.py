"""What became of a call whose answer was lost: read, and told from what else carries our invoice."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ...errors import BridgeError
from ...models import Money, PaymentStatus, Verb
from ..base import Absent, Evidence, Found, KnownPayment, Lookup, ProviderPayment, RefundRequest
from . import forms, lookup, mapping
from .charging import CHARGE
from .customers import Customers
from .payment_methods import PaymentMethods
from .subscriptions import Subscriptions
from .transactions import Transactions, by_worth, charges_in

__all__ = ["Finder"]


_NOTHING_SENT: Final = Absent("the intent is ours alone, and our books do not show it", at_once=True)


class Finder:
    def __init__(
        self,
        transactions: Transactions,
        customers: Customers,
        methods: PaymentMethods,
        subscriptions: Subscriptions,
        *,
        currency: str,
        livemode: bool,
    ) -> None:
        self._transactions = transactions
        self._customers, self._methods, self._subscriptions = customers, methods, subscriptions
        self._currency, self._livemode = currency, livemode

    async def find(self, evidence: Evidence) -> Lookup:
        """Read whatever would show that the operation was executed."""
        mark = str(evidence.inputs.get("reference") or evidence.reference)
        match evidence.verb:
            case Verb.CREATE_CUSTOMER | Verb.UPDATE_CUSTOMER | Verb.DELETE_CUSTOMER:
                return await self._customers.find(evidence, mark)
            case Verb.CREATE_METHOD:
                return await self._methods.find_created(evidence, evidence.inputs.get("customer"), mark)
            case Verb.UPDATE_METHOD | Verb.DELETE_METHOD:
                return await self._methods.find_changed(evidence)
            case Verb.CREATE_SUBSCRIPTION | Verb.UPDATE_SUBSCRIPTION | Verb.CANCEL_SUBSCRIPTION:
                return await self._subscriptions.find(evidence, mark)
            case _:
                return await self._find_on_payment(evidence)

    async def _find_on_payment(self, evidence: Evidence) -> Lookup:
        charge = evidence.known.charge if evidence.known else None
        match evidence.verb:
            case Verb.CREATE if not evidence.inputs.get("confirm", True):
                return _NOTHING_SENT
            case Verb.UPDATE:
                return _NOTHING_SENT
            case Verb.CANCEL if charge is None:
                return _NOTHING_SENT
            case Verb.CREATE | Verb.CONFIRM:
                return await self._find_charge(evidence)
            case Verb.REFUND:
                return await self._find_refund(evidence, forms.checked_transaction(charge))
            case _:
                known = self._known(evidence)
                transaction = await self._transactions.details(forms.checked_transaction(charge))
                return lookup.judge(
                    transaction, evidence, lambda: self._transactions.payment(transaction, known)
                )

    def _known(self, evidence: Evidence) -> KnownPayment:
        return evidence.known or KnownPayment(
            reference=evidence.payment or forms.intent_of(evidence.reference),
            total=evidence.amount or Money(0, self._currency),
            status=PaymentStatus.PENDING,
        )

    async def _find_charge(self, evidence: Evidence) -> Lookup:
        known = self._known(evidence)
        invoice = forms.reference_of(known.reference)
        found = await self._transactions.since(invoice, evidence)
        others = charges_in(found.entries)
        for entry in by_worth(found.entries, first=known.charge):
            if entry.transaction == evidence.baseline.get("decline_reference"):
                break  # known when the operation began, as is whatever was refused before it
            transaction = await self._transactions.details(entry.transaction)
            if lookup.is_of(transaction, evidence):
                paid = self._transactions.payment(transaction, known, others=others)
                return Found(await self._with_what_was_kept(paid, evidence))
        return Absent(lookup.nowhere(found, invoice))

    async def _with_what_was_kept(self, paid: ProviderPayment, evidence: Evidence) -> ProviderPayment:
        """Name the stored method, where the call that makes one may have followed the charge."""
        customer = evidence.inputs.get("customer")
        if CHARGE not in evidence.results or not isinstance(customer, str):
            return paid
        try:
            kept = await self._methods.like(customer, paid.method)
        except BridgeError:
            return paid  # what was paid is known, and that is what was asked
        return replace(paid, method=kept, customer=customer) if kept is not None else paid

    async def _find_refund(self, evidence: Evidence, charge: str) -> Lookup:
        known = self._known(evidence)
        assert evidence.amount is not None
        assert evidence.refund_id is not None
        transaction = await self._transactions.details(charge)
        if mapping.status_of(transaction) == "voided":
            if evidence.amount.minor_units != known.captured:
                # A void gives all of it back; it is the refund of whoever asked for that (`mapping._void`).
                return Absent(f"all of {charge} was voided, and of that a part cannot be refunded")
            request = RefundRequest(
                payment=known.reference, charge=charge, refund_id=evidence.refund_id,
                amount=evidence.amount, reference=evidence.reference,
            )  # fmt: skip
            return Found(refund=mapping.void_refund(charge, request))
        found = await self._transactions.since(evidence.reference, evidence)
        for entry in found.entries:
            made = await self._transactions.details(entry.transaction)
            refund = mapping.refund_seen(made, known=replace(known, refunds=()), currency=self._currency)
            if refund is not None:
                return Found(
                    refund=replace(refund, refund_id=evidence.refund_id, our_reference=evidence.reference)
                )
        return Absent(lookup.nowhere(found, evidence.reference))
