"""One provider, its gateway and an engine between them: where each promise is tried."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from ...engine import PaymentEngine
from ...engine.inputs import request_of
from ...engine.operations import known_payment
from ...messages import Request
from ...models import (
    Event,
    Money,
    MovableClock,
    Operation,
    Payment,
    PaymentStatus,
    Refund,
    Verb,
    new_id,
    new_reference,
    utc_now,
)
from ...providers.base import (
    CancelRequest,
    Capability,
    CaptureRequest,
    ConfirmRequest,
    Evidence,
    IntentRequest,
    KnownPayment,
    PaymentProvider,
    ProviderPayment,
    ProviderRefund,
    RefundRequest,
    Step,
    UpdateRequest,
)
from ...settings import Settings
from ...stores import MemoryStore
from .gateway import GatewayControl, NotChecked
from .wire import Wire

__all__ = [
    "ACCOUNT",
    "RETURN_URL",
    "Ask",
    "Desk",
    "a_delivery",
    "a_payment",
    "new_engine",
    "reference_of",
]

RETURN_URL: Final = "https://shop.example/return"
ACCOUNT: Final = "account"
"""The provider id of the tests: not the kind, so that nobody takes one for the other."""

Answer = ProviderPayment | ProviderRefund
Ask = Callable[[Step], Awaitable[Answer]]


@dataclass(kw_only=True)
class Desk:
    """Everything a promise is tried with. What it pays, it pays through the engine."""

    provider: PaymentProvider
    gateway: GatewayControl
    wire: Wire
    clock: MovableClock
    engine: PaymentEngine
    amount: Money
    at_once: bool
    several_captures: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return self.provider.kind

    def can(self, what: Verb | Capability) -> bool:
        return self.provider.supports(what)

    def need(self, what: Verb | Capability) -> None:
        """Name a test that is about something which the provider does not claim."""
        if not self.can(what):
            raise NotChecked(f"{self.kind} does not declare {what}")

    # --- payments through the engine ---------------------------------------------------------------

    async def begin(self, amount: Money | None = None, **more: Any) -> Payment:
        """Begin a payment, and let the payer agree where that comes first. No money moves."""
        if self.at_once:
            raise NotChecked(f"{self.kind} begins and pays a payment in one call")
        return await self.engine.create_payment_intent(
            amount or self.amount, **{"return_url": RETURN_URL, **more}
        )

    async def pay(self, payment: Payment, method: str | None = None) -> Payment:
        return await self.engine.confirm_payment(payment.id, payment_method=self.chosen(payment, method))

    def chosen(self, payment: Payment, method: str | None = None) -> str | None:
        """Let the payer agree to *method* where that is the gateway's; return what a confirm has to name."""
        method = method or self.gateway.succeeds
        self.gateway.approve(reference_of(payment), method)
        return None if self.gateway.payer_chooses else method

    async def paid(self, amount: Money | None = None, method: str | None = None, **more: Any) -> Payment:
        """Begin and pay, in one call or in two."""
        if self.at_once:
            asked = {"confirm": True, "payment_method": method or self.gateway.succeeds, **more}
            return await self.engine.create_payment_intent(
                amount or self.amount, **{"return_url": RETURN_URL, **asked}
            )
        return await self.pay(await self.begin(amount, **more), method)

    async def refundable(self) -> Payment:
        """A payment that is paid and, where that takes time, settled."""
        payment = await self.paid()
        if self.gateway.settles_later:
            self.gateway.settle()
        return payment

    async def held(self, **more: Any) -> Payment:
        """A payment whose money is authorised and not collected."""
        self.need(Capability.MANUAL_CAPTURE)
        return await self.paid(capture_method="manual", **more)

    # --- one verb ----------------------------------------------------------------------------------

    async def prepare(self, verb: Verb) -> tuple[Payment | None, Callable[[], Awaitable[Payment | Refund]]]:
        """Lead a payment to where *verb* may be asked; return it and the question to the engine."""
        self.need(verb)
        engine = self.engine
        match verb:
            case Verb.CREATE:
                return None, lambda: self.paid() if self.at_once else self.begin()
            case Verb.UPDATE:
                payment = await self.begin()
                total = self.updated.minor_units
                return payment, lambda: engine.update_payment_intent(payment.id, total_cents=total)
            case Verb.CONFIRM:
                payment = await self.begin()
                method = self.chosen(payment)
                return payment, lambda: engine.confirm_payment(payment.id, payment_method=method)
            case Verb.CAPTURE:
                payment = await self.held()
                return payment, lambda: engine.capture_payment(payment.id)
            case Verb.CANCEL:
                holds = self.can(Capability.MANUAL_CAPTURE)
                payment = await (self.held() if holds else self.begin())
                return payment, lambda: engine.cancel_payment(payment.id)
            case Verb.REFUND:
                payment = await self.refundable()
                return payment, lambda: engine.refund_payment(payment.id, amount_cents=self.share.minor_units)
            case _:
                raise NotChecked(f"{verb} is not about a payment")

    async def prepare_call(self, verb: Verb) -> tuple[str | None, Ask]:
        """The same below the engine: the payment's reference, and the provider's own method."""
        provider = self.provider
        if verb is Verb.CREATE:
            self.need(verb)
            request = self.intent_request()
            return None, lambda step: provider.create_payment_intent(request, step=step)
        payment, _ = await self.prepare(verb)
        assert payment is not None
        return reference_of(payment), self.call_of(verb, payment)

    def call_of(self, verb: Verb, payment: Payment) -> Ask:
        """The provider's method for *verb* on an existing payment."""
        provider, reference = self.provider, reference_of(payment)
        match verb:
            case Verb.UPDATE:
                return lambda step: provider.update_payment_intent(
                    UpdateRequest(payment=reference, amount=self.updated, total=payment.total), step=step
                )
            case Verb.CONFIRM:
                return lambda step: provider.confirm_payment(
                    ConfirmRequest(
                        payment=reference,
                        amount=payment.total,
                        payment_method=None if self.gateway.payer_chooses else self.gateway.succeeds,
                        return_url=RETURN_URL,
                        capture_method=payment.capture_method,
                    ),
                    step=step,
                )
            case Verb.CAPTURE:
                return lambda step: provider.capture_payment(
                    self.capture_request(payment, payment.total), step=step
                )
            case Verb.CANCEL:
                charge = payment.provider_payment_id
                request = CancelRequest(payment=reference, charge=charge, total=payment.total)
                return lambda step: provider.cancel_payment(request, step=step)
            case _:
                return lambda step: provider.refund_payment(
                    self.refund_request(payment, self.share, reference=step.reference), step=step
                )

    def intent_request(self, **changes: Any) -> IntentRequest:
        payment_id, reference = new_id("pay"), new_reference()
        given: dict[str, Any] = {
            "amount": self.amount,
            "payment_id": payment_id,
            "reference": reference,
            "confirm": self.at_once,
            "payment_method": self.gateway.succeeds if self.at_once else None,
            "return_url": RETURN_URL,
            "metadata": {"bridge_payment_id": payment_id, "bridge_reference": reference},
        }
        return IntentRequest(**{**given, **changes})

    def capture_request(self, payment: Payment, amount: Money) -> CaptureRequest:
        return CaptureRequest(
            payment=reference_of(payment),
            amount=amount,
            charge=payment.provider_payment_id,
            total=payment.total,
        )

    def refund_request(self, payment: Payment, amount: Money, *, reference: str) -> RefundRequest:
        refund_id = f"ref_{reference}"
        return RefundRequest(
            payment=reference_of(payment),
            charge=payment.provider_payment_id,
            refund_id=refund_id,
            amount=amount,
            reference=reference,
            metadata={
                "bridge_payment_id": payment.id,
                "bridge_refund_id": refund_id,
                "bridge_reference": reference,
            },
        )

    @property
    def updated(self) -> Money:
        return Money(self.amount.minor_units * 3, self.amount.currency)

    @property
    def share(self) -> Money:
        """What one refund of the tests gives back: a part, where parts can be given back."""
        whole = self.amount.minor_units
        part = whole // 4 if self.can(Capability.PARTIAL_REFUND) else whole
        return Money(part, self.amount.currency)

    def step(self, **changes: Any) -> Step:
        """A call that nobody made before; the key has the form that the engine's keys have."""
        return Step(**{"key": new_id("op"), "reference": new_reference(), "deadline": 5.0, **changes})

    # --- what became of it -------------------------------------------------------------------------

    async def row(self, payment_id: str) -> Payment:
        found = await self.engine.store.run(lambda unit: unit.payments.get(payment_id), write=False)
        assert found is not None
        return found

    async def operations(self, payment_id: str) -> Sequence[Operation]:
        return await self.engine.list_operations(payment_id)

    async def events(self, payment_id: str) -> Sequence[Event]:
        return await self.engine.list_events(payment_id)

    async def known(self, payment: Payment) -> KnownPayment:
        """What the books say of a payment now: a provider without books of its own is told."""
        row = await self.row(payment.id)
        refunds = await self.engine.list_refunds(payment.id)
        return known_payment(row, refunds, reference=reference_of(row))

    async def truth(self, payment: Payment) -> ProviderPayment:
        """Read the payment as the engine reads it."""
        return await self.provider.sync_known_payment(await self.known(payment))

    async def evidence(self, operation: Operation) -> Evidence:
        """What the engine knows of an operation that it lost sight of."""
        row = await self.row(operation.subject_id)
        request = request_of(operation.verb, operation.inputs)
        amount = getattr(request, "amount", None)
        return Evidence(
            verb=operation.verb,
            reference=operation.reference,
            key=operation.id,
            payment_id=row.id,
            payment=row.provider_intent_id,
            amount=amount if isinstance(amount, Money) else None,
            refund_id=operation.refund_id,
            started_at=operation.created_at,
            baseline=operation.inputs["baseline"],
            inputs=operation.inputs,
            known=await self.known(row) if row.provider_intent_id else None,
        )

    async def until_known(self, payment_id: str) -> Payment:
        """Let time pass, with reconciliation at work, until no operation of the payment is open."""
        for _ in range(16):
            if not any(operation.is_open for operation in await self.operations(payment_id)):
                return await self.row(payment_id)
            self.clock.move(timedelta(seconds=30))
            await self.engine.reconcile()
        [stuck] = [each for each in await self.operations(payment_id) if each.is_open]
        raise NotChecked(
            f"find_operation of {self.kind} cannot say what became of a lost {stuck.verb}"
            f" ({stuck.resolution}): it stays unknown until an operator looks"
        )

    async def arrived(self, before: int, asked: asyncio.Future[Any]) -> None:
        """Wait until the gateway has one more instruction."""
        async with asyncio.timeout(5):
            while len(self.gateway.requests()) <= before:
                if asked.done():
                    asked.result()
                    self.was_asked(before)
                await asyncio.sleep(0.005)

    def was_asked(self, before: int) -> None:
        """Name a test about the wire where nothing went over it."""
        if len(self.gateway.requests()) == before:
            raise NotChecked(f"{self.kind} answers this by itself: its gateway is not asked")

    def told(self) -> tuple[int, int]:
        """How much the gateway has heard: instructions, and requests of any kind that took our way."""
        return len(self.gateway.requests()), self.wire.sent

    def delivery(self, body: bytes, **options: Any) -> Request:
        """*body* as a webhook that arrives now; *options* as of `GatewayControl.signed_webhook`."""
        headers = self.gateway.signed_webhook(body, **{"at": self.clock(), **options})
        return a_delivery(body, headers)


def a_delivery(body: bytes, headers: Mapping[str, str]) -> Request:
    return Request(
        method="POST",
        path=f"/webhooks/{ACCOUNT}",
        headers={name.lower(): value for name, value in headers.items()},
        body=body,
    )


def reference_of(payment: Payment) -> str:
    assert payment.provider_intent_id is not None, "the provider gave the payment no reference"
    return payment.provider_intent_id


def a_payment(**changes: Any) -> Payment:
    """A row of a payment that no gateway knows."""
    now = utc_now()
    given: dict[str, Any] = {
        "id": new_id("pay"), "provider_id": ACCOUNT, "provider_intent_id": "x_1", "currency": "USD",
        "status": PaymentStatus.PENDING, "subtotal_cents": 2000, "tax_cents": 0, "discount_cents": 0,
        "total_cents": 2000, "created_at": now, "updated_at": now,
    }  # fmt: skip
    return Payment(**{**given, **changes})


def new_engine(provider: PaymentProvider, clock: MovableClock, wire: Wire) -> PaymentEngine:
    settings = Settings(allow_sandbox=True, default_provider=ACCOUNT)
    return PaymentEngine(
        MemoryStore(clock=clock), {ACCOUNT: provider}, settings=settings, clock=clock, transport=wire
    )
