"""
Authorize.net, as the engine asks it: every method awaits one answer and maps it.

The gateway has no intent: there is nothing before the charge. So an intent is
ours alone, called ``anet_`` and the payment's 20-character reference, and
create, update and cancel of one that was not charged send nothing. A confirm is
the charge; its number (`transId`) is the payment's `charge` for life, and the
reference travels as its invoice number, the operation's as `refId`.

A read begins at the charge that our books name. Where they name none, the
transactions that have not settled are looked through, newest first, for our
invoice, as long as the payment is young: a charge of which we do not know can
only come from a confirm whose answer was lost, and that operation has its own
look-up, with the batches. Refunds do not show on a charge: our books say them,
and a webhook names those that were made in the dashboard.

There are no idempotency keys, so the engine repeats nothing here. Whatever may
have been executed is looked up until it is found, or was seen to be absent
twice, 15 minutes after the last moment at which it could have been sent.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, Final, Self

from ...errors import (
    BridgeError,
    ConfigurationError,
    InvalidRequest,
    ProviderError,
    ProviderNeverSent,
    ProviderNotFound,
    ProviderRejected,
    ProviderStateConflict,
    ProviderUnknown,
)
from ...messages import Request
from ...models import CaptureMethod, Money, PaymentStatus, ProviderEvent
from ...transport import Transport
from ..base import (
    CancelRequest,
    CannotSay,
    Capability,
    CaptureRequest,
    ConfirmRequest,
    Evidence,
    IntentRequest,
    KeyRules,
    KnownPayment,
    Lookup,
    PaymentProvider,
    ProviderPayment,
    ProviderRefund,
    RefundRequest,
    Step,
    UpdateRequest,
)
from . import forms, lookup, mapping
from .account import account_from
from .answers import Json
from .client import Client
from .encoders import choose
from .finding import Finder
from .inbox import SIGNATURE_HEADER, read_event, verify
from .money import from_gateway
from .transactions import Transactions, readable

__all__ = ["AuthorizeNetProvider"]

_LOOK_SECONDS: Final = 8.0
"""For a look before a call that moves money: what it takes is taken from the call's own deadline."""

_BEFORE_CHARGE: Final = frozenset({PaymentStatus.PENDING, PaymentStatus.REQUIRES_CONFIRMATION})
_CLOSED: Final = frozenset({PaymentStatus.CANCELED, PaymentStatus.FAILED})


class AuthorizeNetProvider(PaymentProvider):
    """One merchant account, in its one currency."""

    kind: ClassVar[str] = "authorize_net"
    keys: ClassVar[KeyRules] = KeyRules(max_length=0, window_hours=0)
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.MANUAL_CAPTURE, Capability.PARTIAL_REFUND}
    )
    # The lists are written behind the transactions, and nobody says how far (money rule 10).
    absence_margin_seconds: ClassVar[float] = 900.0
    absence_looks: ClassVar[int] = 2

    def __init__(
        self,
        *,
        login_id: str,
        transaction_key: str,
        signature_keys: Sequence[str],
        transport: Transport,
        currency: str = "USD",
        environment: str = "sandbox",
        public_client_key: str | None = None,
        signature_key_encoding: str = "text",
        encoder: str = "auto",
        api_base: str | None = None,
    ) -> None:
        """Raises: ConfigurationError naming what is wrong by its variable; MissingExtra without the SDK."""
        self._account = account = account_from(
            login_id=login_id,
            transaction_key=transaction_key,
            signature_keys=signature_keys,
            currency=currency,
            environment=environment,
            public_client_key=public_client_key,
            signature_key_encoding=signature_key_encoding,
            api_base=api_base,
        )
        self.currency = account.currency
        self._live = account.livemode
        self._client = Client(
            login_id=account.login_id,
            transaction_key=account.transaction_key,
            api_base=account.api_base,
            transport=transport,
            encoder=choose(encoder),
        )
        self._transactions = Transactions(
            self._client, currency=currency, livemode=self._live, clock=self._now
        )
        self._finder = Finder(self._transactions, currency=currency, livemode=self._live)

    @classmethod
    def from_env(cls, env: Mapping[str, str], *, transport: Transport) -> Self:
        # The name without _ID is what the service that this library follows used first.
        login = env.get("AUTHORIZE_NET_API_LOGIN_ID") or env.get("AUTHORIZE_NET_API_LOGIN")
        needed = {
            "AUTHORIZE_NET_API_LOGIN_ID": login,
            "AUTHORIZE_NET_TRANSACTION_KEY": env.get("AUTHORIZE_NET_TRANSACTION_KEY"),
            "AUTHORIZE_NET_SIGNATURE_KEY": env.get("AUTHORIZE_NET_SIGNATURE_KEY"),
        }
        if missing := [name for name, value in needed.items() if not value]:
            raise ConfigurationError(missing=missing)
        return cls(
            login_id=(login or "").strip(),
            transaction_key=env["AUTHORIZE_NET_TRANSACTION_KEY"].strip(),
            signature_keys=env["AUTHORIZE_NET_SIGNATURE_KEY"].split(","),
            transport=transport,
            currency=(env.get("AUTHORIZE_NET_CURRENCY") or "USD").strip().upper(),
            environment=(env.get("AUTHORIZE_NET_ENVIRONMENT") or "sandbox").strip().lower(),
            public_client_key=env.get("AUTHORIZE_NET_PUBLIC_CLIENT_KEY") or None,
            signature_key_encoding=(env.get("AUTHORIZE_NET_SIGNATURE_KEY_ENCODING") or "text").lower(),
            encoder=(env.get("AUTHORIZE_NET_ENCODER") or "auto").lower(),
            api_base=env.get("AUTHORIZE_NET_API_BASE") or None,
        )

    def __repr__(self) -> str:
        return f"AuthorizeNetProvider(livemode={self._live}, currency={self.currency!r})"

    @property
    def livemode(self) -> bool | None:
        return self._live

    @property
    def encoder(self) -> str:
        """How requests are written: ``xml`` or ``json``."""
        return self._client.encoder.name

    @property
    def publishable(self) -> Mapping[str, str]:
        return self._account.publishable

    def _now(self) -> datetime:
        return self.clock()  # which may be replaced after we were built

    def check_amount(self, amount: Money) -> None:
        if amount.currency != self.currency:
            raise InvalidRequest(f"this account charges {self.currency} only", field="currency")
        super().check_amount(amount)

    # --- the verbs --------------------------------------------------------------------------------

    async def create_payment_intent(self, request: IntentRequest, *, step: Step) -> ProviderPayment:
        """Without `confirm` nothing is sent: the intent is ours, and the engine gave it its secret."""
        self.check_amount(request.amount)
        if request.customer is not None or request.setup_future_usage is not None:
            raise InvalidRequest(
                "customers and stored methods are not offered with Authorize.net", field="setup_future_usage"
            )
        intent = forms.intent_of(request.reference)
        if not request.confirm:
            if request.extra:
                raise InvalidRequest("is for a payment that is confirmed at once", field="extra")
            return mapping.local_payment(
                intent, request.amount, livemode=self._live, payment_id=request.payment_id
            )
        paid = await self._charge(
            intent,
            request.amount,
            step,
            capture_method=request.capture_method,
            payment_method=request.payment_method,
            description=request.description,
            extra=request.extra,
        )
        return replace(paid, payment_id=request.payment_id)

    async def update_payment_intent(self, request: UpdateRequest, *, step: Step) -> ProviderPayment:
        """Nothing is sent: the next confirm charges what our books say then."""
        amount = request.amount or request.total or Money(0, self.currency)
        if request.amount is not None:
            self.check_amount(request.amount)
        return mapping.local_payment(request.payment, amount, livemode=self._live)

    async def confirm_payment(self, request: ConfirmRequest, *, step: Step) -> ProviderPayment:
        self.check_amount(request.amount)
        return await self._charge(
            request.payment,
            request.amount,
            step,
            capture_method=request.capture_method,
            payment_method=request.payment_method,
            description=request.description,
            after=request.after,
        )

    async def capture_payment(self, request: CaptureRequest, *, step: Step) -> ProviderPayment:
        self.check_amount(request.amount)
        charge = forms.checked_transaction(request.charge)
        answer = await self._write(
            forms.capture_payload(charge, request.amount), step, intent=request.payment
        )
        return readable(
            lambda: mapping.captured_from(
                answer,
                intent=request.payment,
                charge=charge,
                amount=request.amount,
                total=request.total or request.amount,
                livemode=self._live,
            )
        )

    async def cancel_payment(self, request: CancelRequest, *, step: Step) -> ProviderPayment:
        """Void what is held. An intent that holds nothing is canceled in our books alone."""
        ended = mapping.local_payment(
            request.payment,
            request.total or Money(0, self.currency),
            status=PaymentStatus.CANCELED,
            livemode=self._live,
        )
        if request.charge is None:
            return ended
        charge, began = forms.checked_transaction(request.charge), time.monotonic()
        word = mapping.status_of(await self._look(charge, step))
        if word in lookup.GIVEN_UP:
            return ended
        if word not in lookup.HELD:
            raise ProviderStateConflict(f"the transaction is {word}", provider_code=word or None)
        await self._write(forms.void_payload(charge), step, intent=request.payment, began=began)
        return replace(ended, charge=charge, provider_status="voided")

    async def refund_payment(self, request: RefundRequest, *, step: Step) -> ProviderRefund:
        """Refund what has settled, void all of what has not, and let a part of it wait."""
        self.check_amount(request.amount)
        charge, began = forms.checked_transaction(request.charge), time.monotonic()
        transaction = await self._look(charge, step)
        word = mapping.status_of(transaction)
        if word in mapping.SETTLED:
            return await self._refund_settled(charge, transaction, request, step, began)
        whole = from_gateway(transaction.get("settleAmount"), self.currency)
        if word in mapping.UNSETTLED and request.amount == whole:
            try:
                answer = await self._write(
                    forms.void_payload(charge), step, intent=request.payment, began=began
                )
            except ProviderStateConflict:
                # It began to settle between our look and the void.
                return mapping.waiting_refund(request)
            return mapping.void_refund(charge, request, raw=answer)
        if mapping.STATUS.get(word) is PaymentStatus.SUCCEEDED:
            return mapping.waiting_refund(request)
        raise ProviderStateConflict(f"the transaction is {word}", provider_code=word or None)

    async def _refund_settled(
        self, charge: str, transaction: Json, request: RefundRequest, step: Step, began: float
    ) -> ProviderRefund:
        payload = forms.refund_payload(charge, request.amount, transaction, invoice=step.reference)
        try:
            answer = await self._write(payload, step, intent=request.payment, began=began)
        except ProviderRejected as refused:
            if refused.provider_code == "50":  # it is awaiting settlement after all
                return mapping.waiting_refund(request)
            raise
        return readable(
            lambda: mapping.refund_from(
                answer,
                intent=request.payment,
                amount=request.amount,
                refund_id=request.refund_id,
                reference=step.reference,
                reason=request.reason,
            )
        )

    # --- reading ----------------------------------------------------------------------------------

    async def sync_payment_status(self, reference: str) -> ProviderPayment:
        """Read by the intent, or by the number of a transaction, without what our books know."""
        known = KnownPayment(reference=reference, total=Money(0, self.currency), status=PaymentStatus.PENDING)
        if reference.startswith(forms.PREFIX):
            payment = await self.sync_known_payment(known)
            if payment.charge is None and payment.decline is None:
                raise ProviderUnknown("nothing that has not settled carries it; the rest our books know")
            return payment
        transaction = await self._transactions.details(forms.checked_transaction(reference, "payment"))
        intent = forms.intent_of(mapping.invoice_of(transaction) or "")
        return self._transactions.payment(transaction, replace(known, reference=intent))

    async def sync_known_payment(self, known: KnownPayment) -> ProviderPayment:
        invoice = forms.reference_of(known.reference)
        seen = await self._transactions.details(known.charge) if known.charge is not None else None
        hinted = await self._transactions.hinted(known)
        if hinted is not None and (seen is None or not mapping.is_live(mapping.status_of(seen))):
            # A refund that was announced before its charge leads to it.
            original = await self._transactions.original_of(hinted, invoice)
            if original is not None:
                seen, known = original, replace(known, charge=str(original["transId"]))
        if seen is None or not mapping.is_live(mapping.status_of(seen)):
            mine = hinted is not None and mapping.invoice_of(hinted) == invoice
            seen = (
                hinted if mine and hinted is not None else await self._transactions.newest(known, invoice)
            ) or seen
        if seen is not None:
            return self._transactions.payment(seen, known, hinted)
        if known.status not in _BEFORE_CHARGE | _CLOSED:
            raise ProviderUnknown("our books say that a charge was begun, and no list shows it")
        status = known.status if known.status in _CLOSED else PaymentStatus.PENDING
        return mapping.local_payment(known.reference, known.total, status=status, livemode=self._live)

    async def owner_of(self, reference: str) -> str | None:
        """A refund names its charge, and a charge carries its intent as the invoice."""
        if not forms.is_transaction(reference):
            return None
        try:
            transaction = await self._transactions.details(reference)
            if (original := mapping.original_of(transaction)) and forms.is_transaction(original):
                transaction = await self._transactions.details(original)
        except ProviderNotFound:
            return None
        return mapping.intent_from(transaction)

    async def read_webhook(self, request: Request) -> ProviderEvent:
        verify(request.body, request.header(SIGNATURE_HEADER), self._account.signature_keys)
        return read_event(request.body)

    async def find_operation(self, evidence: Evidence) -> Lookup:
        """Read the original for a void or a capture; for the rest every list since it began."""
        try:
            return await self._finder.find(evidence)
        except BridgeError as error:
            # "No such record" proves nothing either: the credentials may be another account's by now.
            return CannotSay(error.message)

    # --- asking -----------------------------------------------------------------------------------

    async def _charge(
        self,
        intent: str,
        amount: Money,
        step: Step,
        *,
        capture_method: CaptureMethod,
        payment_method: str | None,
        description: str | None,
        after: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> ProviderPayment:
        payload = forms.charge_payload(
            amount=amount,
            invoice=forms.reference_of(intent),
            capture_method=capture_method,
            payment_method=payment_method,
            description=description,
            after=after,
            extra=extra,
        )
        try:
            answer = await self._write(payload, step, intent=intent)
        except ProviderStateConflict as refused:
            if (made := await self._transactions.made_before(intent, amount)) is not None:
                return made
            raise refused from None
        return readable(
            lambda: mapping.charge_from(
                answer,
                intent=intent,
                amount=amount,
                capture_method=capture_method,
                livemode=self._live,
                payload=payload,
            )
        )

    async def _look(self, charge: str, step: Step) -> Json:
        """Read before a call that moves money. If that fails, nothing of the call has left."""
        try:
            return await self._transactions.details(charge, deadline=min(_LOOK_SECONDS, step.deadline / 2))
        except ProviderRejected:
            raise
        except ProviderError as error:
            failure = ProviderNeverSent(
                f"not sent, because the transaction could not be read: {error.message}"
            )
        raise failure

    async def _write(
        self, payload: Mapping[str, Any], step: Step, *, intent: str, began: float | None = None
    ) -> Json:
        """Send the one call that moves money and return its approval, or that it is held for review."""
        spent = time.monotonic() - began if began is not None else 0.0
        answer = await self._client.write(
            payload, reference=step.reference, deadline=max(step.deadline - spent, 1.0)
        )
        if lookup.is_approved(answer):
            if mapping.is_test(answer) and not step.repeat:
                raise ProviderRejected(
                    "the account is in Test Mode: nothing was charged", provider_code="test_mode"
                )
            return answer
        raise readable(
            lambda: mapping.error_from(answer, repeat=step.repeat, intent=intent, attempt=step.reference)
        )
