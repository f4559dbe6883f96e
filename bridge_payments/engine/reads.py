"""Reading: what we know of payments, and what their providers say now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ..arguments import typed
from ..errors import NotAuthenticated, NotFound, ProviderError, Unavailable
from ..models import (
    ID_PATTERN,
    SYSTEM,
    Event,
    Operation,
    Payment,
    PaymentMethod,
    PaymentMethodStatus,
    PaymentStatus,
    Principal,
    PrincipalKind,
    is_own_id,
)
from ..stores.base import Backlog, Page, PaymentQuery, Unit
from . import rules
from .instructions import Instructions
from .outcome import unknown_view
from .owners import is_owner, the_one

__all__ = ["Reads"]


class Reads(Instructions):
    """The part of the engine that looks."""

    @typed
    async def sync_payment(
        self,
        payment_id: str,
        *,
        provider: str | None = None,
        expected_status: PaymentStatus | str | None = None,
        client_secret: str | None = None,
        principal: Principal = SYSTEM,
    ) -> Payment:
        """Read the payment at its provider and record what it says: one fetch, no waiting.

        *payment_id* is ours or, failing that, a provider's reference (of *provider*, or of any account).
        *expected_status* is accepted for older clients and changes nothing.

        Raises: AccessDenied, NotFound, Unavailable.
        """
        payment = await self._by_any_id(payment_id, provider, principal)
        rules.may_confirm_or_sync(principal, payment)
        fresh = await self.shielded(self._refreshed(payment))
        if fresh.is_open:
            fresh = await self.store.run(lambda unit: _with_doubt(unit, fresh), write=False)
        return self.seen_by(principal, fresh, client_secret)

    @typed
    async def get_payment(self, payment_id: str, *, principal: Principal = SYSTEM) -> Payment:
        """Return one payment; the client secret only while its owner still needs it.

        Raises: NotAuthenticated, AccessDenied, NotFound.
        """
        if principal.is_anonymous:
            raise NotAuthenticated("Authentication required to view payments")
        payment = await self.visible(payment_id, as_seen=_with_doubt)
        rules.may_read(principal, payment)
        return rules.visible_secret(payment, self.clock())

    @typed
    async def list_payments(self, query: PaymentQuery, *, principal: Principal = SYSTEM) -> Page:
        """Return a page of payments without client secrets; users and guests see only their own.

        `PaymentQuery` is in `bridge_payments.stores.base`, and says what may be asked. Totals are counted up
        to `TOTAL_CAP`. Nothing is asked at a provider.

        Raises: NotAuthenticated.
        """
        match principal.kind:
            case PrincipalKind.ANONYMOUS:
                raise NotAuthenticated("Authentication required to view payments")
            case PrincipalKind.USER:
                query = replace(query, user_id=principal.id, guest_email=None)
            case PrincipalKind.GUEST:
                query = replace(query, user_id=None, guest_email=principal.email)
            case _:
                pass
        page = await self.store.run(lambda unit: unit.payments.list(query), write=False)
        return replace(page, items=tuple(payment.without_secret() for payment in page.items))

    async def methods_of(
        self, payments: Iterable[Payment], *, principal: Principal = SYSTEM
    ) -> Mapping[str, PaymentMethod]:
        """Return the stored methods that these payments were made with, by id, without client secrets.

        Those that the principal owns and that are not deleted; a one-time token is none. Raises nothing of
        its own.
        """
        ids = {payment.payment_method_id for payment in payments}
        wanted = sorted(method_id for method_id in ids if method_id and is_own_id("pm", method_id))
        if not wanted:
            return {}

        def read(unit: Unit) -> list[PaymentMethod | None]:
            return [unit.payment_methods.get(method_id) for method_id in wanted]

        return {
            row.id: replace(row, client_secret=None, client_secret_expires_at=None)
            for row in await self.store.run(read, write=False)
            if row is not None and row.status is not PaymentMethodStatus.DELETED and is_owner(principal, row)
        }

    @typed
    async def list_operations(self, payment_id: str, *, principal: Principal = SYSTEM) -> Sequence[Operation]:
        """Return every instruction that was given on a payment, oldest first. The merchant's view.

        Raises: AccessDenied, NotAuthenticated, NotFound.
        """
        rules.require_trusted(principal, await self.visible(payment_id))
        return await self.store.run(lambda unit: unit.operations.for_subject(payment_id), write=False)

    @typed
    async def list_events(self, payment_id: str, *, principal: Principal = SYSTEM) -> Sequence[Event]:
        """Return every event of a payment, oldest first. The merchant's view.

        Raises: AccessDenied, NotAuthenticated, NotFound.
        """
        rules.require_trusted(principal, await self.visible(payment_id))
        return await self.store.run(lambda unit: unit.events.for_subject(payment_id), write=False)

    async def backlog(self) -> Backlog:
        """Return what waits: open and unknown operations, the outbox, deliveries, the inbox; with ages.

        Each is counted up to `TOTAL_CAP`. Raises: StoreError.
        """
        return await self.store.run(lambda unit: unit.backlog(), write=False)

    async def _by_any_id(self, payment_id: str, provider: str | None, principal: Principal) -> Payment:
        if not ID_PATTERN.match(payment_id):
            raise NotFound("Payment not found")
        accounts = (provider,) if provider else self.provider_ids

        def find(unit: Unit) -> Payment | None:
            own = unit.payments.get(payment_id)
            if own is not None:
                return own
            found = (unit.payments.get_by_reference(account, payment_id) for account in accounts)
            return the_one(found, principal)

        payment = await self.store.run(find, write=False)
        if payment is None:
            raise NotFound("Payment not found")
        return payment

    async def _refreshed(self, payment: Payment) -> Payment:
        try:
            return await self.refresh(payment.id) or payment
        except ProviderError as error:
            raise Unavailable(f"The provider does not answer: {error}") from None


def _with_doubt(unit: Unit, payment: Payment) -> Payment:
    """Say that the outcome is unknown while an instruction that may pay is open (rule 28).

    A client that polls would read "pending" as an invitation to pay again.
    """
    if not payment.is_open or payment.provider_id is None:
        return payment
    holder_id = unit.operations.holder_of(payment.id)
    operation = unit.operations.get(holder_id) if holder_id else None
    return unknown_view(payment, operation) if operation and rules.may_pay(operation) else payment
