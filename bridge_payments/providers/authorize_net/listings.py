"""The gateway's lists, read to where they prove something: newest first, page by page, then the batches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from ...errors import ProviderUnknown
from .answers import Json, many, moment_of, text_of
from .forms import PAGE, batches_payload, settled_payload, unsettled_payload
from .mapping import is_live

__all__ = ["Entry", "Listings", "Sighting"]

# A range of batches may span 31 days (2026-11,
# https://developer.authorize.net/api/reference/#transaction-reporting-get-settled-batch-list).
_LONGEST: Final = timedelta(days=30)
_MOST_PAGES: Final = 50

Read = Callable[[str, Mapping[str, Any]], Awaitable[Json]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a list: enough to decide whether its transaction is worth reading."""

    transaction: str
    status: str
    invoice: str | None
    submitted: datetime


@dataclass(frozen=True, slots=True)
class Sighting:
    """What carried an invoice, and how much was read to say so."""

    entries: tuple[Entry, ...]
    seen: int
    batches: int = 0


class Listings:
    """Looks for an invoice. Half a list proves nothing: what cannot be read to its end is unknown."""

    def __init__(self, read: Read) -> None:
        self._read = read

    async def unsettled(self, invoice: str, *, since: datetime) -> Sighting:
        """Look among what has not settled, back to *since*."""
        return await self._look(
            lambda page: self._read("getUnsettledTransactionListRequest", unsettled_payload(page)),
            invoice,
            since,
        )

    async def all_since(
        self, invoice: str, *, since: datetime, now: datetime, known: str | None = None
    ) -> Sighting:
        """Look among what has not settled and then in every batch since, unless it is found at once.
        *known* is not what is looked for.

        In this order: what settles meanwhile leaves the list that was read for a batch that is read yet.
        """
        found = await self.unsettled(invoice, since=since)
        if any(is_live(entry.status) and entry.transaction != known for entry in found.entries):
            return found
        if now - since > _LONGEST:
            if any(is_live(entry.status) for entry in found.entries):
                return found
            raise ProviderUnknown("it is too long ago: batches are listed for 31 days")
        answer = await self._read("getSettledBatchListRequest", batches_payload(since, now))
        seen, entries = found.seen, list(found.entries)
        batches = [text_of(batch["batchId"]) or "" for batch in many(answer.get("batchList"), "batch")]
        for batch in batches:
            page = await self._batch(batch, invoice, since)
            seen += page.seen
            entries += page.entries
        return Sighting(tuple(entries), seen, len(batches))

    async def _batch(self, batch: str, invoice: str, since: datetime) -> Sighting:
        return await self._look(
            lambda page: self._read("getTransactionListRequest", settled_payload(batch, page)),
            invoice,
            since,
        )

    async def _look(
        self, page_of: Callable[[int], Awaitable[Json]], invoice: str, since: datetime
    ) -> Sighting:
        entries: list[Entry] = []
        known: set[str] = set()
        async for entry in self._entries(page_of, known):
            if entry.submitted < since:
                break
            if entry.invoice == invoice:
                entries.append(entry)
        return Sighting(tuple(entries), len(known))

    async def _entries(
        self, page_of: Callable[[int], Awaitable[Json]], known: set[str]
    ) -> AsyncIterator[Entry]:
        for number in range(1, _MOST_PAGES + 1):
            listed = many((await page_of(number)).get("transactions"), "transaction")
            page = [_entry(each) for each in listed]
            fresh = [entry for entry in page if entry.transaction not in known]
            if len(page) >= PAGE and len(fresh) < len(page) // 2:
                # New transactions push a few down to the next page; the same page twice is not a page.
                raise ProviderUnknown("the list repeats itself instead of going on")
            for entry in fresh:
                known.add(entry.transaction)
                yield entry
            if len(page) < PAGE:
                return
        raise ProviderUnknown(f"the list is longer than {_MOST_PAGES * PAGE}: it was not read to its end")


def _entry(summary: Json) -> Entry:
    transaction, submitted = text_of(summary["transId"]), moment_of(summary["submitTimeUTC"])
    if transaction is None or submitted is None:
        raise ProviderUnknown("Unreadable list from Authorize.net")
    return Entry(
        transaction,
        text_of(summary.get("transactionStatus")) or "",
        text_of(summary.get("invoiceNumber")),
        submitted,
    )
