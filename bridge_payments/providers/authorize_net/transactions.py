"""Reading: one transaction, what a webhook named, and the lists that show what our books do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from ...errors import ProviderError, ProviderNotFound, ProviderUnknown
from ...models import Clock, Money, PaymentStatus
from ..base import Evidence, KnownPayment, ProviderPayment
from . import forms, mapping
from .answers import Json
from .client import Client
from .listings import Entry, Listings, Sighting

__all__ = ["Transactions", "by_worth", "charges_in", "readable"]

_SKEW: Final = timedelta(minutes=5)
"""By which our clock and the gateway's may differ when a list is read back to a moment."""
_YOUNG: Final = timedelta(hours=30)
"""How long a read looks for a charge that our books do not name."""
_WINDOW: Final = timedelta(seconds=int(forms.DUPLICATE_WINDOW))

T = TypeVar("T")


class Transactions:
    """The reading half of an account. Changes nothing and may be asked at will."""

    def __init__(self, client: Client, *, currency: str, livemode: bool, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._currency, self._livemode = currency, livemode
        self._listings = Listings(self._read)

    async def details(self, transaction: str, *, deadline: float = 25.0) -> Json:
        answer = await self._read("getTransactionDetailsRequest", {"transId": transaction}, deadline)

        def read() -> Json:
            found = mapping.transaction_of(answer)
            if str(found["transId"]) != transaction:
                raise ValueError("another transaction than the one that was asked for")
            mapping.status_of(found)
            return found

        return readable(read)

    async def hinted(self, known: KnownPayment) -> Json | None:
        """Read what a webhook named, unless it is the charge itself."""
        if known.hint is None or known.hint == known.charge or not forms.is_transaction(known.hint):
            return None
        try:
            return await self.details(known.hint)
        except ProviderNotFound:
            # It was announced and is not shown yet; "no such object" would be said of the payment.
            raise ProviderUnknown(f"transaction {known.hint} is not shown yet") from None

    async def original_of(self, refund: Json, invoice: str) -> Json | None:
        """Read the charge of a refund, if it is the one that carries *invoice*."""
        original = mapping.original_of(refund)
        if original is None or not forms.is_transaction(original):
            return None
        charge = await self.details(original)
        return charge if mapping.invoice_of(charge) == invoice else None

    async def newest(self, known: KnownPayment, invoice: str) -> tuple[Json | None, tuple[str, ...]]:
        """Look for a charge that our books do not name; the newest attempt, if there were only attempts.

        With it comes whatever else took money under this invoice.
        """
        if not self.is_young(known):
            return None, ()
        began = known.created_at or self._clock() - _WINDOW
        found = await self._listings.unsettled(invoice, since=began - _SKEW)
        best = next(iter(by_worth(found.entries)), None)
        return (await self.details(best.transaction) if best else None), charges_in(found.entries)

    def is_young(self, known: KnownPayment) -> bool:
        """Whether a charge that our books do not name may still turn up among what has not settled."""
        now = self._clock()
        return now - (known.created_at or now) <= _YOUNG

    async def made_before(self, intent: str, amount: Money) -> ProviderPayment | None:
        """Read the charge of which the gateway says that ours would be a duplicate.

        Raises: ProviderUnknown when the gateway does not show what it saw.
        """
        known = KnownPayment(reference=intent, total=amount, status=PaymentStatus.PENDING)
        since = self._clock() - _WINDOW - _SKEW
        try:
            found = await self._listings.unsettled(forms.reference_of(intent), since=since)
            best = next(iter(by_worth(found.entries)), None)
            if best is None or not mapping.is_live(best.status):
                return None
            others = charges_in(found.entries)
            return self.payment(await self.details(best.transaction), known, others=others)
        except ProviderError as error:
            failure = ProviderUnknown(f"what was made before cannot be read: {error.message}")
        raise failure

    async def since(self, invoice: str, evidence: Evidence) -> Sighting:
        """Look through every list since an operation began, also for more than the charge of our books."""
        return await self._listings.all_since(
            invoice,
            since=evidence.started_at - _SKEW,
            now=self._clock(),
            known=evidence.known.charge if evidence.known else None,
        )

    def payment(
        self,
        transaction: Json,
        known: KnownPayment,
        hinted: Json | None = None,
        *,
        others: tuple[str, ...] = (),
    ) -> ProviderPayment:
        def read() -> ProviderPayment:
            refund = None
            if hinted is not None and hinted is not transaction:
                refund = mapping.refund_seen(hinted, known=known, currency=self._currency)
            return mapping.payment_from(
                transaction,
                known=known,
                currency=self._currency,
                livemode=self._livemode,
                refunds=(refund,) if refund else (),
                others=others,
                now=self._clock(),
            )

        return readable(read)

    async def _read(self, operation: str, payload: Mapping[str, Any], deadline: float = 25.0) -> Json:
        return await self._client.read(operation, payload, deadline=deadline)


def by_worth(entries: Sequence[Entry], *, first: str | None = None) -> list[Entry]:
    """Sort what carries our invoice: what took money first, of that the charge *first*, then the newest."""

    def worth(entry: Entry) -> tuple[bool, bool, datetime]:
        return mapping.is_live(entry.status), entry.transaction == first, entry.submitted

    return sorted(entries, key=worth, reverse=True)


def charges_in(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return what took money of that which carries our invoice. More than one is one too many."""
    return tuple(entry.transaction for entry in entries if mapping.takes_money(entry.status))


def readable(read: Callable[[], T]) -> T:
    """Read an answer; one that cannot be read may still have moved money."""
    failure: ProviderUnknown
    try:
        return read()
    except Exception as error:  # noqa: BLE001 - an answer of any shape may come back, and all of them are unknown
        failure = ProviderUnknown(f"Unreadable answer from Authorize.net: {type(error).__name__}")
    raise failure
