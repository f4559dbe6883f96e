"""Reading a payment of a gateway that keeps no intents: by charge, by invoice, by an event."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ...errors import ProviderNotFound, ProviderUnknown
from ...models import Money, PaymentStatus
from ..base import KnownPayment, ProviderPayment
from . import forms, mapping
from .answers import Json
from .transactions import Transactions

__all__ = ["Reader"]

_BEFORE_CHARGE: Final = frozenset({PaymentStatus.PENDING, PaymentStatus.REQUIRES_CONFIRMATION})
_CLOSED: Final = frozenset({PaymentStatus.CANCELED, PaymentStatus.FAILED})


class Reader:
    def __init__(self, transactions: Transactions, *, currency: str, livemode: bool) -> None:
        self._transactions = transactions
        self._currency, self._livemode = currency, livemode

    async def payment(self, reference: str) -> ProviderPayment:
        """Read by the intent, or by the number of a transaction, without what our books know."""
        known = KnownPayment(
            reference=reference, total=Money(0, self._currency), status=PaymentStatus.PENDING
        )
        if reference.startswith(forms.PREFIX):
            payment = await self.known(known)
            if payment.charge is None and payment.decline is None:
                raise ProviderUnknown("nothing that has not settled carries it; the rest our books know")
            return payment
        transaction = await self._transactions.details(forms.checked_transaction(reference, "payment"))
        name = mapping.intent_from(transaction) or reference
        return self._transactions.payment(transaction, replace(known, reference=name))

    async def known(self, known: KnownPayment) -> ProviderPayment:
        """Read as our books have it."""
        invoice = forms.invoice_for(known.reference)
        if invoice is None:
            return await self._collected(known)
        seen = await self._transactions.details(known.charge) if known.charge is not None else None
        hinted = await self._transactions.hinted(known)
        if hinted is not None and not _took_money(seen):
            # A refund that was announced before its charge leads to it.
            original = await self._transactions.original_of(hinted, invoice)
            if original is not None:
                seen, known = original, replace(known, charge=str(original["transId"]))
        mine = hinted if hinted is not None and mapping.invoice_of(hinted) == invoice else None
        others: tuple[str, ...] = ()
        if not _took_money(seen):
            if mine is None:
                mine, others = await self._transactions.newest(known, invoice)
            seen = mine or seen
        elif mine is not None and mapping.takes_money(mapping.status_of(mine)):
            others = (str(mine["transId"]),)
        if seen is not None:
            return self._transactions.payment(seen, known, hinted, others=others)
        if known.status not in _BEFORE_CHARGE | _CLOSED:
            raise ProviderUnknown("our books say that a charge was begun, and no list shows it")
        status = known.status if known.status in _CLOSED else PaymentStatus.PENDING
        return mapping.local_payment(
            known.reference,
            known.total,
            status=status,
            livemode=self._livemode,
            final=not self._transactions.is_young(known),
        )

    async def _collected(self, known: KnownPayment) -> ProviderPayment:
        """Read what a subscription collected: there is one transaction, and it is never another one."""
        charge = known.charge or known.reference
        known = replace(known, charge=charge)
        seen = await self._transactions.details(charge)
        return self._transactions.payment(seen, known, await self._transactions.hinted(known))

    async def owner_of(self, reference: str) -> str | None:
        """A refund names its charge, and a charge says what its payment is called."""
        charge = await self._charge_of(reference)
        return mapping.intent_from(charge) if charge is not None else None

    async def collected_for(self, reference: str) -> str | None:
        charge = await self._charge_of(reference)
        return mapping.subscription_in(charge) if charge is not None else None

    async def _charge_of(self, reference: str) -> Json | None:
        if not forms.is_transaction(reference):
            return None
        try:
            transaction = await self._transactions.details(reference)
            if (original := mapping.original_of(transaction)) and forms.is_transaction(original):
                transaction = await self._transactions.details(original)
        except ProviderNotFound:
            return None
        return transaction


def _took_money(transaction: Json | None) -> bool:
    return transaction is not None and mapping.is_live(mapping.status_of(transaction))
