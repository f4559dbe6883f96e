"""What providers tell us: verified, written down once, answered, and then read again at the provider."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import secrets
import time
import traceback
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Final

from ..arguments import typed
from ..errors import BridgeError, InvalidRequest, NotFound, ProviderError, ProviderNotFound
from ..messages import Request
from ..models import (
    ID_PATTERN,
    SYSTEM,
    InboxEntry,
    InboxState,
    Noun,
    Payment,
    Principal,
    ProviderEvent,
    new_id,
)
from ..seam import traced
from ..stores.base import Unit
from ..stores.grouping import Grouped
from ..telemetry import Kind
from . import rules
from .asking import CALL_DEADLINE
from .refreshing import Refreshing

__all__ = ["InboxWork", "WebhookReceipt"]

log: logging.Logger = logging.getLogger(__name__)

LEASE_SECONDS: Final = 60.0
_CONCURRENT: Final = 8
"""How many objects of one account are read at once."""
_RETRIES: Final = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0)
_PARK_OURS: Final = timedelta(hours=1)
_PARK_OTHERS: Final = timedelta(minutes=15)
_PARK_DELAY: Final = 60.0
_OWNER_ASKED: Final = 2
"""How many of the first looks at an unknown object ask its provider whose it is."""
_EVENT_ID: Final = re.compile(r"[\x21-\x7e]{1,255}")
_NOT_TEXT: Final = re.compile("[\x00\ud800-\udfff]")
_TRACE: Final = "traceparent"
_KEPT_HEADERS: Final = ("content-type", "user-agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookReceipt:
    """What the provider is told: we have it. Processing comes after the answer."""

    event_id: str
    entry_id: str
    duplicate: bool


class _NotApplied(Exception):
    """An event that is true and not for us to act on."""


class InboxWork(Refreshing):
    """The part of the engine that listens."""

    @cached_property
    def _received(self) -> Grouped[InboxEntry, WebhookReceipt]:
        # What providers send in a burst is written down in few commits; each is answered after its own.
        return Grouped(self.store, _keep)

    @typed
    async def receive_webhook(self, provider_id: str, request: Request) -> WebhookReceipt:
        """Verify one delivery with that account's secrets only, and write it down once.

        Raises: NotFound (no such account), InvalidSignature, InvalidRequest, Unavailable.
        """
        if provider_id not in self.provider_ids:
            raise NotFound("Provider not supported")
        try:
            event = await self.provider(provider_id).read_webhook(request)
        except BridgeError as error:
            self.watch.count("webhook", provider=provider_id, outcome=error.code)
            raise
        if not _can_be_kept(event):
            raise InvalidRequest("The webhook's body is not an event", field="body")
        entry = self._entry(provider_id, event, request)
        receipt = await self._received.add(entry)
        self.watch.count(
            "webhook", provider=provider_id, outcome="duplicate" if receipt.duplicate else "received"
        )
        if not receipt.duplicate:
            self.on_receipt(provider_id)
        return receipt

    @typed
    async def process_inbox(self, *, provider_id: str | None = None, limit: int = 50) -> int:
        """Work off what was received, from one account or all; return how many entries were handled.

        Entries of one object are answered by one fetch, which begins after they were claimed. What is not
        begun when the caller is cancelled, or before its lease is nearly over, is given back.
        """
        token = secrets.token_hex(8)
        leased_at = time.monotonic()
        entries = await self.store.run(
            lambda unit: unit.inbox.claim_due(
                limit=limit, lease_seconds=LEASE_SECONDS, token=token, provider_id=provider_id
            )
        )
        groups: dict[tuple[str, Noun, str | None], list[InboxEntry]] = defaultdict(list)
        for entry in entries:
            groups[entry.provider_id, entry.noun, entry.reference].append(entry)
        waiting = list(groups.values())

        async def work_off() -> None:
            while waiting and time.monotonic() - leased_at < LEASE_SECONDS - CALL_DEADLINE:
                await self.shielded(self._process(waiting.pop(0), token))

        try:
            hands = (work_off() for _ in range(min(_CONCURRENT, len(waiting))))
            for failure in await asyncio.gather(*hands, return_exceptions=True):
                if isinstance(failure, BaseException):
                    raise failure
        finally:
            left = [entry.id for group_ in waiting for entry in group_]
            if left:
                await self.store.run(lambda unit: unit.inbox.release(left, token=token))
        return len(entries) - len(left)

    @typed
    async def list_inbox(
        self, *, provider_id: str | None = None, state: InboxState | None = None, limit: int = 50
    ) -> Sequence[InboxEntry]:
        """Return received webhooks, newest first."""
        return await self.store.run(
            lambda unit: unit.inbox.list(provider_id=provider_id, state=state, limit=limit), write=False
        )

    @typed
    async def replay_webhook(self, entry_id: str, *, principal: Principal = SYSTEM) -> bool:
        """Make one received webhook due again, whatever became of it; False if there is none.

        Raises: AccessDenied.
        """
        rules.require_admin(principal)
        if not ID_PATTERN.match(entry_id):
            return False

        def work(unit: Unit) -> InboxEntry | None:
            return unit.inbox.get(entry_id) if unit.inbox.replay(entry_id) else None

        entry = await self.store.run(work)
        if entry is not None:
            self.on_receipt(entry.provider_id)
        return entry is not None

    def _entry(self, provider_id: str, event: ProviderEvent, request: Request) -> InboxEntry:
        return InboxEntry(
            id=new_id("wh"),
            provider_id=provider_id,
            provider_event_id=event.id,
            event_type=event.type,
            state=InboxState.RECEIVED,
            created_at=self.clock(),
            reference=event.reference,
            noun=event.noun,
            our_reference=event.our_reference,
            livemode=event.livemode,
            api_version=event.api_version,
            payload=event.body,
            payload_hash=hashlib.sha256(request.body).hexdigest(),
            headers=_kept(request.headers, self.provider(provider_id).signature_headers),
        )

    async def _process(self, entries: Sequence[InboxEntry], token: str) -> None:
        first = entries[0]
        with self.watch.activity(
            Kind.INBOX,
            first.event_type,
            links=tuple(trace for entry in entries if (trace := entry.headers.get(_TRACE))),
            provider=first.provider_id,
            event_type=first.event_type,
            entry_id=first.id,
            entries=len(entries),
        ) as seen:
            seen.outcome = (await self._worked_off(entries, token)).value

    async def _worked_off(self, entries: Sequence[InboxEntry], token: str) -> InboxState:
        """Apply what entries of one object hint at; return what became of the first."""
        first = entries[0]
        try:
            subject_id = await self._apply(first)
        except _NotApplied as reason:
            for entry in entries:
                await self._finish_entry(entry, token, InboxState.IGNORED, error=str(reason))
            return InboxState.IGNORED
        except ProviderError as error:
            return await self._retry(entries, token, f"{type(error).__name__}: {error}")
        except Exception:
            # A poison entry must neither stop the others nor be lost: its traceback is kept.
            log.exception("inbox entry %s (%s) failed", first.id, first.event_type)
            return await self._retry(entries, token, traceback.format_exc(limit=20))
        states = []
        for entry in entries:
            if subject_id is not None:
                await self._finish_entry(entry, token, InboxState.PROCESSED, payment_id=subject_id)
                states.append(InboxState.PROCESSED)
            elif entry.reference is None:
                await self._finish_entry(entry, token, InboxState.IGNORED)
                states.append(InboxState.IGNORED)
            else:
                states.append(await self._park(entry, token))
        return states[0]

    async def _apply(self, entry: InboxEntry) -> str | None:
        """Read what an event hints at; return our id of it, None if it is not known here."""
        if entry.reference is None:
            return None
        if entry.livemode is not None and self.provider(entry.provider_id).livemode not in (
            None,
            entry.livemode,
        ):
            log.error("inbox entry %s: its livemode is not that of account %s", entry.id, entry.provider_id)
            raise _NotApplied("its livemode is not that of the account: stored, never applied")
        if entry.noun is not Noun.PAYMENT:
            return await self.apply_event(entry)
        reference, ours = entry.reference, entry.our_reference

        def find(unit: Unit) -> Payment | None:
            found = unit.payments.get_by_reference(entry.provider_id, reference)
            if found is None and ours is not None:
                found = unit.payments.get_by_our_reference(ours) or _of_operation(unit, ours)
            return found if found is not None and found.provider_id == entry.provider_id else None

        payment = await self.store.run(find, write=False)
        if payment is None and entry.attempts <= _OWNER_ASKED:
            with self.asking(entry.provider_id, "owner_of"):
                owner = await self.provider(entry.provider_id).owner_of(reference)
            if owner is not None:
                payment = await self.store.run(
                    lambda unit: unit.payments.get_by_reference(entry.provider_id, owner), write=False
                )
            if payment is None:
                with self.asking(entry.provider_id, "collected_for"):
                    subscription = await self.provider(entry.provider_id).collected_for(reference)
                if subscription is not None:
                    return await self.apply_event(
                        replace(entry, noun=Noun.SUBSCRIPTION, reference=subscription)
                    )
        if payment is None or payment.provider_intent_id is None:
            # Ours, and the answer to its create is still on its way: the operation is finished first.
            return None
        try:
            await self.refresh(payment.id, hint=reference)
        except ProviderNotFound:
            log.warning("payment %s: its provider does not know %s", payment.id, reference)
        return payment.id

    async def _park(self, entry: InboxEntry, token: str) -> InboxState:
        """An object that we do not know: perhaps not yet. Asked again for a while, then left with a word."""
        age = self.clock() - entry.created_at
        ours = entry.our_reference is not None and await self._is_ours(entry.our_reference)
        if age < (_PARK_OURS if ours else _PARK_OTHERS):
            await self._finish_entry(entry, token, InboxState.PARKED, retry_in=_PARK_DELAY)
            return InboxState.PARKED
        if ours:
            log.error("inbox entry %s names our payment, which has no intent: adopt it", entry.id)
            await self._finish_entry(
                entry, token, InboxState.DEAD, error="carries our reference; nothing to apply it to"
            )
            return InboxState.DEAD
        await self._finish_entry(entry, token, InboxState.IGNORED, error="names an object that is not ours")
        return InboxState.IGNORED

    async def _is_ours(self, reference: str) -> bool:
        return await self.store.run(
            lambda unit: (
                unit.payments.get_by_our_reference(reference) is not None
                or unit.operations.get_by_reference(reference) is not None
            ),
            write=False,
        )

    async def _retry(self, entries: Sequence[InboxEntry], token: str, error: str) -> InboxState:
        states = []
        for entry in entries:
            if entry.attempts > len(_RETRIES):
                log.critical("inbox entry %s is given up: replay it by hand", entry.id)
                await self._finish_entry(entry, token, InboxState.DEAD, error=error)
                states.append(InboxState.DEAD)
            else:
                delay = _RETRIES[max(entry.attempts - 1, 0)]
                await self._finish_entry(entry, token, InboxState.RECEIVED, error=error, retry_in=delay)
                states.append(InboxState.RECEIVED)
        return states[0]

    async def _finish_entry(
        self,
        entry: InboxEntry,
        token: str,
        state: InboxState,
        *,
        payment_id: str | None = None,
        error: str | None = None,
        retry_in: float | None = None,
    ) -> None:
        row = replace(entry, payment_id=payment_id or entry.payment_id, error_message=error)
        await self.store.run(
            lambda unit: unit.inbox.finish(row, token=token, state=state, retry_in_seconds=retry_in)
        )


def _keep(unit: Unit, entries: Sequence[InboxEntry]) -> list[WebhookReceipt]:
    """Write entries down, each unless it is known; in one order everywhere, so that nobody deadlocks."""
    receipts = {}
    for entry in sorted(entries, key=lambda entry: (entry.provider_id, entry.provider_event_id)):
        known = None if unit.inbox.add(entry) else _known(unit, entry)
        receipts[entry.id] = WebhookReceipt(
            event_id=entry.provider_event_id,
            entry_id=known.id if known is not None else entry.id,
            duplicate=known is not None,
        )
    return [receipts[entry.id] for entry in entries]


def _known(unit: Unit, entry: InboxEntry) -> InboxEntry:
    return unit.inbox.get_by_event(entry.provider_id, entry.provider_event_id) or entry


def _of_operation(unit: Unit, reference: str) -> Payment | None:
    """Find the payment by one of its operations: a provider may carry the reference of the call alone."""
    operation = unit.operations.get_by_reference(reference)
    return None if operation is None else unit.payments.get(operation.subject_id)


def _can_be_kept(event: ProviderEvent) -> bool:
    """Whether a database takes what names the event: refused, or it would be sent again for days."""
    texts = (event.type, event.reference or "", event.our_reference or "", event.api_version or "")
    return bool(_EVENT_ID.fullmatch(event.id)) and not any(_NOT_TEXT.search(text) for text in texts)


def _kept(headers: Mapping[str, str], signed: tuple[str, ...]) -> dict[str, str]:
    """Keep the headers that a later look needs: signatures and versions, no credentials; and our trace."""
    beginnings = (*_KEPT_HEADERS, *signed)
    kept = {name: value for name, value in headers.items() if name.startswith(beginnings)}
    if trace := traced():
        kept[_TRACE] = trace
    return kept
