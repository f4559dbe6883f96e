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
and a webhook names those that were made in the dashboard. What a subscription
collects has no intent: such a payment is called by its transaction.

There are no idempotency keys, so the engine repeats nothing here. Whatever may
have been executed is looked up until it is found, or was seen to be absent
twice, 15 minutes after the last moment at which it could have been sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import ClassVar, Self

from ...errors import (
    BridgeError,
    ConfigurationError,
    InvalidRequest,
    ProviderRejected,
    ProviderStateConflict,
)
from ...messages import Request
from ...models import Money, PaymentStatus, ProviderEvent
from ...transport import Transport
from ..base import (
    CancelRequest,
    CannotSay,
    Capability,
    CaptureRequest,
    ConfirmRequest,
    CustomerDeletion,
    CustomerRequest,
    CustomerUpdate,
    Evidence,
    IntentRequest,
    KeyRules,
    KnownPayment,
    Lookup,
    PaymentMethodDeletion,
    PaymentMethodRequest,
    PaymentMethodUpdate,
    PaymentProvider,
    ProviderCustomer,
    ProviderMethod,
    ProviderPayment,
    ProviderRefund,
    ProviderSubscription,
    RefundRequest,
    Step,
    SubscriptionCancellation,
    SubscriptionRequest,
    SubscriptionUpdate,
    UpdateRequest,
)
from . import forms, lookup, mapping
from .account import account_from
from .answers import Json
from .charging import Charge, Charging
from .client import Budget, Client
from .customers import Customers
from .encoders import choose
from .finding import Finder
from .inbox import SIGNATURE_HEADER, read_event, verify
from .money import from_gateway
from .payment_methods import PaymentMethods
from .reading import Reader
from .subscriptions import Subscriptions
from .transactions import Transactions, readable

__all__ = ["AuthorizeNetProvider"]


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
    # A day: by then it has settled, and batches are listed, too.
    late_hours: ClassVar[float] = 48.0
    signature_headers: ClassVar[tuple[str, ...]] = ("x-anet-",)
    loggers: ClassVar[tuple[str, ...]] = ("authorizenet.sdk", "pyxb")

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
        validation_mode: str = "liveMode",
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
            validation_mode=validation_mode,
            api_base=api_base,
        )
        self.currency: str = account.currency
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
        self._reader = Reader(self._transactions, currency=currency, livemode=self._live)
        self._customers = Customers(self._client, livemode=self._live)
        self._methods = PaymentMethods(self._client, self._customers, validation=account.validation_mode)
        self._charging = Charging(self._client, self._transactions, self._methods, livemode=self._live)
        self._subscriptions = Subscriptions(
            self._client, self._transactions, self._methods, currency=currency, livemode=self._live,
            clock=self._now,
        )  # fmt: skip
        self._finder = Finder(
            self._transactions, self._customers, self._methods, self._subscriptions, currency=currency,
            livemode=self._live,
        )  # fmt: skip

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
            validation_mode=env.get("AUTHORIZE_NET_VALIDATION_MODE") or "liveMode",
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
        intent = forms.intent_of(request.reference)
        if not request.confirm:
            if request.extra:
                raise InvalidRequest("is for a payment that is confirmed at once", field="extra")
            return mapping.local_payment(
                intent, request.amount, livemode=self._live, payment_id=request.payment_id
            )
        charge = Charge(
            intent=intent,
            amount=request.amount,
            capture_method=request.capture_method,
            payment_method=request.payment_method,
            description=request.description,
            customer=request.customer,
            off_session=request.off_session,
            keep=request.setup_future_usage is not None,
            extra=request.extra,
        )
        paid = await self._charging.charge(charge, step)
        return replace(paid, payment_id=request.payment_id)

    async def update_payment_intent(self, request: UpdateRequest, *, step: Step) -> ProviderPayment:
        """Nothing is sent: the next confirm charges what our books say then."""
        amount = request.amount or request.total or Money(0, self.currency)
        if request.amount is not None:
            self.check_amount(request.amount)
        return mapping.local_payment(request.payment, amount, livemode=self._live)

    async def confirm_payment(self, request: ConfirmRequest, *, step: Step) -> ProviderPayment:
        self.check_amount(request.amount)
        charge = Charge(
            intent=request.payment,
            amount=request.amount,
            capture_method=request.capture_method,
            payment_method=request.payment_method,
            description=request.description,
            customer=request.customer,
            keep=request.setup_future_usage is not None,
            after=request.after,
        )
        return await self._charging.charge(charge, step)

    async def capture_payment(self, request: CaptureRequest, *, step: Step) -> ProviderPayment:
        self.check_amount(request.amount)
        charge = forms.checked_transaction(request.charge)
        answer = await self._charging.write(
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
            # A charge that no list showed yet may turn up: the sweep looks once more.
            final=request.charge is not None,
        )
        if request.charge is None:
            return ended
        charge, budget = forms.checked_transaction(request.charge), Budget(step.deadline)
        word = mapping.status_of(await self._charging.look(charge, step))
        if word in lookup.GIVEN_UP:
            return ended
        if word not in lookup.HELD:
            raise ProviderStateConflict(f"the transaction is {word}", provider_code=word or None)
        await self._charging.write(forms.void_payload(charge), step, intent=request.payment, budget=budget)
        return replace(ended, charge=charge, provider_status="voided")

    async def refund_payment(self, request: RefundRequest, *, step: Step) -> ProviderRefund:
        """Refund what has settled, void all of what has not, and let a part of it wait."""
        self.check_amount(request.amount)
        charge, budget = forms.checked_transaction(request.charge), Budget(step.deadline)
        transaction = await self._charging.look(charge, step)
        word = mapping.status_of(transaction)
        if word in mapping.SETTLED:
            return await self._refund_settled(charge, transaction, request, step, budget)
        whole = from_gateway(transaction.get("settleAmount"), self.currency)
        if word in mapping.UNSETTLED and request.amount == whole:
            try:
                answer = await self._charging.write(
                    forms.void_payload(charge), step, intent=request.payment, budget=budget
                )
            except ProviderStateConflict:
                # It began to settle between our look and the void.
                return mapping.waiting_refund(request)
            return mapping.void_refund(charge, request, raw=answer)
        if mapping.STATUS.get(word) is PaymentStatus.SUCCEEDED:
            return mapping.waiting_refund(request)
        raise ProviderStateConflict(f"the transaction is {word}", provider_code=word or None)

    async def _refund_settled(
        self, charge: str, transaction: Json, request: RefundRequest, step: Step, budget: Budget
    ) -> ProviderRefund:
        payload = forms.refund_payload(charge, request.amount, transaction, invoice=step.reference)
        try:
            answer = await self._charging.write(payload, step, intent=request.payment, budget=budget)
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

    # --- customers, payment methods, subscriptions ------------------------------------------------

    async def create_customer(self, request: CustomerRequest, *, step: Step) -> ProviderCustomer:
        return await self._customers.create(request, step=step)

    async def update_customer(self, request: CustomerUpdate, *, step: Step) -> ProviderCustomer:
        return await self._customers.update(request, step=step)

    async def delete_customer(self, request: CustomerDeletion, *, step: Step) -> ProviderCustomer:
        return await self._customers.delete(request, step=step)

    async def create_payment_method(self, request: PaymentMethodRequest, *, step: Step) -> ProviderMethod:
        return await self._methods.create(request, step=step)

    async def update_payment_method(self, request: PaymentMethodUpdate, *, step: Step) -> ProviderMethod:
        return await self._methods.update(request, step=step)

    async def delete_payment_method(self, request: PaymentMethodDeletion, *, step: Step) -> ProviderMethod:
        return await self._methods.delete(request, step=step)

    async def sync_payment_method(self, reference: str) -> ProviderMethod:
        return await self._methods.sync(reference)

    async def owns_payment_method(self, token: str) -> bool:
        """A one-time token is its bearer's; a stored method never is on its word alone."""
        return forms.is_token(token)

    async def create_subscription(self, request: SubscriptionRequest, *, step: Step) -> ProviderSubscription:
        self.check_amount(request.amount)
        return await self._subscriptions.create(request, step=step)

    async def update_subscription(self, request: SubscriptionUpdate, *, step: Step) -> ProviderSubscription:
        if request.amount is not None:
            self.check_amount(request.amount)
        return await self._subscriptions.update(request, step=step)

    async def cancel_subscription(
        self, request: SubscriptionCancellation, *, step: Step
    ) -> ProviderSubscription:
        return await self._subscriptions.cancel(request, step=step)

    async def sync_subscription(self, reference: str) -> ProviderSubscription:
        return await self._subscriptions.sync(reference)

    # --- reading ----------------------------------------------------------------------------------

    async def sync_payment_status(self, reference: str) -> ProviderPayment:
        """Read by the intent, or by the number of a transaction, without what our books know."""
        return await self._reader.payment(reference)

    async def sync_known_payment(self, known: KnownPayment) -> ProviderPayment:
        return await self._reader.known(known)

    async def owner_of(self, reference: str) -> str | None:
        return await self._reader.owner_of(reference)

    async def collected_for(self, reference: str) -> str | None:
        return await self._reader.collected_for(reference)

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
