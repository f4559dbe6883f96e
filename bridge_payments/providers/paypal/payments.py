"""PayPal's orders and payments as the engine asks them: every method awaits one answer and maps it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ...errors import (
    ProviderDeclined,
    ProviderError,
    ProviderNotFound,
    ProviderRejected,
    ProviderStateConflict,
    ProviderUnknown,
)
from ...models import PaymentStatus
from ..base import (
    CancelRequest,
    CaptureRequest,
    ConfirmRequest,
    IntentRequest,
    KnownPayment,
    ProviderDispute,
    ProviderPayment,
    ProviderRefund,
    RefundRequest,
    Step,
)
from . import forms
from .account import READ, WHOLE, Account, Budget, refusal, unsent
from .declines import decline_from
from .disputes import dispute_from, ids_of, with_disputes
from .mapping import (
    capture_of,
    captures_of,
    charge_from,
    held_authorization,
    is_untouched,
    merged,
    order_of_capture,
    payment_from,
    refund_from,
    shows_capture,
)
from .objects import Json, parent_of
from .vault import charge_source, source_of

if TYPE_CHECKING:
    from .client import Answer

__all__ = ["Payments"]

log: logging.Logger = logging.getLogger("bridge_payments.providers.paypal")

_DISPUTES: Final = "/v1/customer/disputes"
_FORBIDDEN: Final = (401, 403)


class Payments(Account):
    """Orders, their captures, authorisations, refunds and disputes, and what subscriptions collected."""

    # --- the verbs --------------------------------------------------------------------------------

    async def create_payment_intent(self, request: IntentRequest, *, step: Step) -> ProviderPayment:
        """Make an order; with a stored method and `confirm`, charge it.

        Any other payer has to approve the order first, so no other create collects, confirmed or not. The
        charge is a call of its own: an order whose answer was lost harms nobody, and with the order known a
        lost charge can be looked up.
        """
        budget = Budget(step)
        if not (request.confirm and forms.is_stored(request.payment_method)):
            return self._payment(await self._made(request, step.key, step, budget))
        vault_id = forms.checked_id(request.payment_method, "payment_method")
        begun = await step.once("order", lambda key: self._begun(request, vault_id, key, step, budget))
        order = {**forms.create_form(request), "id": begun["order"], "status": "CREATED"}
        source = charge_source(begun["source"], vault_id, off_session=request.off_session)
        return await self._paid(order, step, budget, source=source, off_session=request.off_session)

    async def confirm_payment(self, request: ConfirmRequest, *, step: Step) -> ProviderPayment:
        """Capture or authorise the order, as its intent says, if its payer approved it or a method is kept.

        Read first: a payer who has not approved yet is sent on, and an order that was changed to another
        amount is not collected.
        """
        stored = forms.is_stored(forms.checked_method(request.payment_method))
        budget = Budget(step)
        order, seen = await self._before(request.payment, step, budget)
        if seen.status is PaymentStatus.CANCELED:
            raise refusal(ProviderStateConflict, "The order was voided", step)
        payable = {PaymentStatus.REQUIRES_CONFIRMATION, PaymentStatus.PENDING}
        if stored and is_untouched(order):
            payable.add(PaymentStatus.REQUIRES_ACTION)
        if seen.status not in payable:
            return seen
        if seen.amount != request.amount:
            raise refusal(ProviderRejected, f"The order is {seen.amount}, not {request.amount}", step)
        source = None
        if stored and request.payment_method is not None:
            kind = await self._kind(request.payment_method, step, budget)
            source = charge_source(kind, request.payment_method, off_session=False)
        return await self._paid(order, step, budget, source=source)

    async def capture_payment(self, request: CaptureRequest, *, step: Step) -> ProviderPayment:
        """Collect the authorisation of the order, or part of it, and read the order again."""
        budget = Budget(step)
        order, seen = await self._before(request.payment, step, budget)
        authorization = held_authorization(order)
        if authorization is None or seen.status is not PaymentStatus.REQUIRES_CAPTURE:
            raise refusal(ProviderStateConflict, f"Nothing is held for it ({seen.provider_status})", step)
        options = {
            "authorization_id": forms.checked_id(authorization["id"], "authorization"),
            "body": forms.capture_form(request, reference=step.reference),
            "paypal_request_id": step.key,
            "prefer": WHOLE,
        }
        answer = await self._client.write(
            lambda sdk: sdk.payments.capture_authorized_payment(options),
            deadline=budget.left,
            repeat=step.repeat,
        )
        refused = answer.read(lambda made: decline_from(made) if _is_refused(made) else None)
        if refused is not None:
            # The authorisation stays as it was: the merchant's call failed, and the payer is not asked.
            raise (ProviderUnknown if step.repeat else ProviderRejected)(
                refused.message,
                provider_code=refused.provider_code,
                decline_code=refused.code,
                request_id=answer.request_id,
                http_status=answer.status,
            )
        return await self._after(request.payment, answer, budget, made=answer.read(lambda made: made["id"]))

    async def cancel_payment(self, request: CancelRequest, *, step: Step) -> ProviderPayment:
        """Release the authorisation. An order that nobody paid is given up here, and nothing is sent.

        PayPal has no call for it (2026-11, https://developer.paypal.com/docs/api/orders/v2/); it lapses when
        nobody captures it, and nobody will: the engine asks for nothing after a cancel.
        """
        budget = Budget(step)
        order, seen = await self._before(request.payment, step, budget)
        if is_untouched(order) or seen.status in (PaymentStatus.CANCELED, PaymentStatus.PENDING):
            return replace(seen, status=PaymentStatus.CANCELED, next_action=None)
        authorization = held_authorization(order)
        if authorization is None:
            raise refusal(ProviderStateConflict, f"Nothing to release ({seen.provider_status})", step)
        options = {
            "authorization_id": forms.checked_id(authorization["id"], "authorization"),
            "paypal_request_id": step.key,
            "prefer": WHOLE,
        }
        answer = await self._client.write(
            lambda sdk: sdk.payments.void_payment(options), deadline=budget.left, repeat=step.repeat
        )
        return await self._after(request.payment, answer, budget)

    async def refund_payment(self, request: RefundRequest, *, step: Step) -> ProviderRefund:
        budget = Budget(step)
        charge = request.charge
        if charge is None:
            order, _ = await self._before(request.payment, step, budget)
            charge = capture_of(order)
            if charge is None:
                raise refusal(ProviderStateConflict, "Nothing was collected for this order", step)
        options = {
            "capture_id": forms.checked_id(charge, "charge"),
            "body": forms.refund_form(request),
            "paypal_request_id": step.key,
            "prefer": WHOLE,
        }
        answer = await self._client.write(
            lambda sdk: sdk.payments.refund_captured_payment(options),
            deadline=budget.left,
            repeat=step.repeat,
        )
        return answer.read(lambda made: refund_from(made, order=request.payment, asked=request.amount))

    # --- reading ----------------------------------------------------------------------------------

    async def sync_payment_status(self, reference: str) -> ProviderPayment:
        """Read the order, which shows its captures, authorisations and refunds, and what is disputed of it.

        What a subscription collected has no order; it is read by its capture.
        """
        return await self._synced(reference)

    async def sync_known_payment(self, known: KnownPayment) -> ProviderPayment:
        if known.charge == known.reference:
            return await self._charge(known.reference, known)
        # An event that names no order names a capture: it is a refund or a dispute, which must be read then.
        return await self._synced(known.reference, disputed=known.hint not in (None, known.reference))

    async def owner_of(self, reference: str) -> str | None:
        """A capture names its order: a refund from PayPal's own pages is announced with the capture only.

        What a subscription collected has no order, and its refund is announced by its own id.
        """
        try:
            return (await self._capture(reference, deadline=READ)).read(order_of_capture)
        except ProviderNotFound:
            pass
        try:
            refund = await self._refund(reference)
        except ProviderNotFound:
            return None
        return refund.read(lambda read: parent_of(read, "captures"))

    async def _read_order(self, reference: str) -> ProviderPayment:
        return self._payment(await self._order(reference, deadline=READ))

    async def _synced(self, reference: str, *, disputed: bool = False) -> ProviderPayment:
        try:
            answer = await self._order(reference, deadline=READ)
        except ProviderNotFound as error:
            missing = error
        else:
            payment = self._payment(answer)
            captures = answer.read(captures_of)
            disputes = await self._disputes(payment.reference, captures, needed=disputed)
            return payment if disputes is None else answer.read(lambda _: with_disputes(payment, disputes))
        try:
            return await self._charge(reference)
        except ProviderNotFound:
            raise missing from None

    async def _charge(self, reference: str, known: KnownPayment | None = None) -> ProviderPayment:
        """Read what a subscription collected: the capture, and each refund of it that we know of."""
        answer = await self._capture(reference, deadline=READ)
        if answer.read(order_of_capture) is not None:
            raise ProviderNotFound("A capture of an order is read with its order")
        names = [] if known is None else [each.reference for each in known.refunds]
        if known is not None and known.hint not in (None, reference):
            names.append(known.hint)
        refunds = [
            read
            for name in dict.fromkeys(names)
            if name is not None and (read := await self._refund_of(name, reference)) is not None
        ]
        payment = answer.read(
            lambda capture: charge_from(capture, refunds, livemode=self._live, request_id=answer.request_id)
        )
        disputes = await self._disputes(reference, [reference] if payment.captured else [])
        return payment if disputes is None else answer.read(lambda _: with_disputes(payment, disputes))

    async def _refund(self, reference: str) -> Answer:
        options = {"refund_id": forms.checked_id(reference, "refund")}
        return await self._client.read(lambda sdk: sdk.payments.get_refund(options), deadline=READ)

    async def _refund_of(self, reference: str, capture: str) -> Json | None:
        """Read a refund; None for one of another capture, or for what is none."""
        try:
            answer = await self._refund(reference)
        except ProviderNotFound:
            return None
        refund = answer.read(lambda read: read)
        return refund if parent_of(refund, "captures") in (None, capture) else None

    async def _disputes(
        self, payment: str, captures: Sequence[str], *, needed: bool = False
    ) -> list[ProviderDispute] | None:
        """Read every dispute about *captures*; None where PayPal does not say.

        The application may lack the permission, and a payment can be read without: only an event that may
        be about a dispute is tried again until it can be read.
        """
        found: list[ProviderDispute] = []
        try:
            for capture in captures:
                path = f"{_DISPUTES}?disputed_transaction_id={forms.checked_id(capture, 'charge')}"
                listing = await self._client.get(path, deadline=READ)
                for identity in listing.read(ids_of):
                    one = await self._client.get(
                        f"{_DISPUTES}/{forms.checked_id(identity, 'dispute')}", deadline=READ
                    )
                    found.append(one.read(lambda read: dispute_from(read, payment=payment, charge=capture)))  # noqa: B023 - read at once
        except ProviderError as error:
            if needed and error.http_status not in _FORBIDDEN:
                raise
            log.warning("disputes of %s cannot be read: %s", payment, error)
            return None
        return found

    # --- asking -----------------------------------------------------------------------------------

    async def _made(self, request: IntentRequest, key: str, step: Step, budget: Budget) -> Answer:
        options = {
            "body": forms.create_form(request),
            "paypal_request_id": key,
            "paypal_partner_attribution_id": self._partner_code,
            "prefer": WHOLE,
        }
        return await self._client.write(
            lambda sdk: sdk.orders.create_order(options), deadline=budget.left, repeat=step.repeat
        )

    async def _begun(
        self, request: IntentRequest, vault_id: str, key: str, step: Step, budget: Budget
    ) -> dict[str, str]:
        """Make the order that a stored method will pay, and note what kind of method that is."""
        kind = await self._kind(vault_id, step, budget)
        answer = await self._made(request, key, step, budget)
        return {"order": answer.read(lambda order: order["id"]), "source": kind}

    async def _kind(self, vault_id: str, step: Step, budget: Budget) -> str:
        try:
            token = await self._token(vault_id, deadline=min(budget.left, READ))
            return token.read(source_of)
        except ProviderError as error:
            raise unsent(error, step) from None

    async def _paid(
        self,
        order: Json,
        step: Step,
        budget: Budget,
        *,
        source: dict[str, Any] | None,
        off_session: bool = False,
    ) -> ProviderPayment:
        """Capture or authorise *order*, with what its payer chose or with *source*."""
        body = {} if source is None else {"payment_source": source}
        options = {"id": order["id"], "body": body, "paypal_request_id": step.key, "prefer": WHOLE}
        authorize = order["intent"] == "AUTHORIZE"
        try:
            answer = await self._client.write(
                lambda sdk: (sdk.orders.authorize_order if authorize else sdk.orders.capture_order)(options),
                deadline=budget.left,
                repeat=step.repeat,
                order=order["id"],
            )
        except ProviderStateConflict as error:
            if source is None or error.provider_code != "PAYER_ACTION_REQUIRED":
                raise
            refused = error
        else:
            payment = self._payment(answer, since=order)
            if not (off_session and payment.status is PaymentStatus.REQUIRES_ACTION):
                return payment
            refused = ProviderStateConflict("", request_id=answer.request_id, http_status=answer.status)
        if off_session:
            raise ProviderDeclined(
                "The payer has to agree, and is not there.",
                decline_code="authentication_required",
                payment=order["id"],
                attempt=f"{order['id']}:{refused.request_id}",
                provider_code="PAYER_ACTION_REQUIRED",
                request_id=refused.request_id,
                http_status=refused.http_status,
            )
        try:
            return self._payment(await self._order(order["id"], deadline=budget.left))
        except ProviderError as error:
            raise ProviderUnknown(
                f"the payer has to agree, and the order could not be read: {error.message}",
                request_id=refused.request_id,
            ) from None

    async def _before(self, reference: str, step: Step, budget: Budget) -> tuple[Json, ProviderPayment]:
        """Read the order before a call that moves money. What fails here has sent nothing that does."""
        try:
            answer = await self._order(reference, deadline=min(budget.left, READ))
            return answer.read(lambda order: order), self._payment(answer)
        except ProviderError as error:
            raise unsent(error, step) from None

    async def _after(
        self, reference: str, done: Answer, budget: Budget, *, made: str | None = None
    ) -> ProviderPayment:
        """Read what became of the order. The call before is done, so a failure here leaves it unknown."""
        try:
            answer = await self._order(reference, deadline=budget.left)
        except ProviderError as error:
            raise ProviderUnknown(
                f"done, and the order could not be read afterwards: {error.message}",
                request_id=done.request_id,
            ) from None
        if made is not None and not answer.read(lambda order: shows_capture(order, made)):
            raise ProviderUnknown("done, and the order does not show it yet", request_id=done.request_id)
        return self._payment(answer)

    def _payment(self, answer: Answer, *, since: Json | None = None) -> ProviderPayment:
        return answer.read(
            lambda order: payment_from(
                order if since is None else merged(since, order),
                livemode=self._live,
                request_id=answer.request_id,
            )
        )


def _is_refused(capture: Json) -> bool:
    return capture["status"] in ("DECLINED", "FAILED")
