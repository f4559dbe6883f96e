"""What may be interrupted: each way in which money moves, as a merchant's code asks for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bridge_payments.errors import OperationInProgress, PaymentDeclined, Unavailable
from bridge_payments.models import Payment, PaymentStatus, Refund, RefundStatus

from .premises import RETURN_URL, Shop

__all__ = ["CARD", "FLOWS", "Flow", "Money"]

CARD: Final = "pm_card_visa"
DECLINED: Final = "pm_card_chargeDeclinedInsufficientFunds"
AMOUNT: Final = 2000


@dataclass(frozen=True, kw_only=True)
class Money:
    """What must have happened in the end, to the payer's account and in our row."""

    status: PaymentStatus
    charges: int = 1
    captured: int = AMOUNT
    refunded: int = 0
    total: int = AMOUNT


@dataclass(frozen=True, kw_only=True)
class Flow:
    name: str
    act: Callable[[Shop, str, str | None], Awaitable[Payment | Refund | None]]
    """What is killed, and what the client repeats afterwards with the same Idempotency-Key."""
    ends: Money
    prepare: Callable[[Shop, str], Awaitable[str | None]] | None = None
    """What happened before; returns the payment's id."""
    lapse: float = 0.0
    """Seconds between that and what is killed."""
    killed: bool = True
    """Whether the crash proof kills it; else it is only raced."""
    alone: bool = False
    """Whether it works on whatever is due: then each combination has a database of its own."""

    async def attempt(self, shop: Shop, name: str, payment_id: str | None) -> bool:
        """Let the client ask; return whether it has its answer, or is told to come again."""
        try:
            answer = await self.act(shop, name, payment_id)
        except (OperationInProgress, Unavailable):
            return False
        except PaymentDeclined:
            assert self.ends.charges == 0, "a good card was declined"
            return True
        if isinstance(answer, Refund):
            return answer.status is not RefundStatus.PENDING
        return answer is None or answer.unknown_operation_id is None


# --- before ---------------------------------------------------------------------------------------


async def begun(shop: Shop, name: str) -> str:
    payment = await shop.engine.create_payment_intent(
        total_cents=AMOUNT, currency="USD", reference_code=name, return_url=RETURN_URL
    )
    return payment.id


async def held(shop: Shop, name: str) -> str:
    return (await _paid(shop, name, capture_method="manual")).id


async def paid(shop: Shop, name: str) -> str:
    return (await _paid(shop, name)).id


async def _paid(shop: Shop, name: str, **more: Any) -> Any:
    return await shop.engine.create_payment_intent(
        total_cents=AMOUNT, currency="USD", reference_code=name, return_url=RETURN_URL,
        confirm=True, payment_method=CARD, **more,
    )  # fmt: skip


async def paid_by_browser(shop: Shop, name: str) -> str:
    """The browser confirms at the gateway. Nobody has told us."""
    payment_id = await begun(shop, name)
    row = (await shop.row(payment_id)).payment
    answer = await shop.desk.post(
        f"/v1/payment_intents/{row.provider_intent_id}/confirm",
        data={"payment_method": CARD, "return_url": RETURN_URL},
        headers={"authorization": f"Bearer {shop.address.secret_key}"},
    )
    answer.raise_for_status()
    return payment_id


async def confirm_without_answer(shop: Shop, name: str) -> str:
    """The gateway charged, its answer was lost, and what became of it is due to be looked up."""
    payment_id = await begun(shop, name)
    await shop.control("faults", kind="drop_after")
    await confirm(shop, name, payment_id)
    return payment_id


async def refund_without_request(shop: Shop, name: str) -> str:
    """A refund was reserved, never reached the gateway, and so long ago that it may be repeated."""
    payment_id = await paid(shop, name)
    await shop.control("faults", kind="drop_before")
    await refund(shop, name, payment_id)
    return payment_id


# --- what the client asks -------------------------------------------------------------------------


async def create(shop: Shop, name: str, _: str | None) -> Payment:
    return await shop.engine.create_payment_intent(
        total_cents=AMOUNT, currency="USD", reference_code=name, return_url=RETURN_URL, idempotency_key=name
    )


async def create_and_confirm(shop: Shop, name: str, _: str | None) -> Payment:
    return await _paid(shop, name, idempotency_key=name, unique_reference=True)


async def order_once(shop: Shop, name: str, _: str | None) -> Payment:
    """Begin and pay one order under whatever key: the merchant's own number is all that is common."""
    return await shop.engine.create_payment_intent(
        total_cents=AMOUNT, currency="USD", reference_code="the order", unique_reference=True,
        return_url=RETURN_URL, confirm=True, payment_method=CARD, idempotency_key=name,
    )  # fmt: skip


async def update(shop: Shop, name: str, payment_id: str | None) -> Payment:
    assert payment_id
    return await shop.engine.update_payment_intent(payment_id, total_cents=2500, idempotency_key=name)


async def confirm(shop: Shop, name: str, payment_id: str | None, card: str = CARD) -> Payment:
    assert payment_id
    return await shop.engine.confirm_payment(payment_id, payment_method=card, idempotency_key=name)


async def confirm_in_vain(shop: Shop, name: str, payment_id: str | None) -> Payment:
    return await confirm(shop, name, payment_id, card=DECLINED)


async def capture(shop: Shop, name: str, payment_id: str | None) -> Payment:
    assert payment_id
    return await shop.engine.capture_payment(payment_id, amount_cents=1500, idempotency_key=name)


async def cancel(shop: Shop, name: str, payment_id: str | None) -> Payment:
    assert payment_id
    return await shop.engine.cancel_payment(payment_id, idempotency_key=name)


async def refund(shop: Shop, name: str, payment_id: str | None) -> Refund:
    assert payment_id
    return await shop.engine.refund_payment(payment_id, amount_cents=600, idempotency_key=name)


# --- what runs in the background ------------------------------------------------------------------


async def hear_of_it(shop: Shop, name: str, _: str | None) -> None:
    books = await shop.books()
    (event,) = (
        event
        for event in books["events"]
        if event["type"] == "payment_intent.succeeded"
        and event["data"]["object"]["metadata"]["reference_code"] == name
    )
    await shop.engine.receive_webhook("stripe", shop.signed(event))
    await shop.engine.process_inbox()


async def sweep(shop: Shop, name: str, _: str | None) -> None:
    await shop.engine.sweep()


async def reconcile(shop: Shop, name: str, _: str | None) -> None:
    await shop.engine.reconcile()


def _by_name(*flows: Flow) -> Mapping[str, Flow]:
    return {flow.name: flow for flow in flows}


SUCCEEDED: Final = Money(status=PaymentStatus.SUCCEEDED)
REFUNDED: Final = Money(status=PaymentStatus.PARTIALLY_REFUNDED, refunded=600)
UNPAID: Final = Money(status=PaymentStatus.PENDING, charges=0, captured=0)

FLOWS: Final = _by_name(
    Flow(name="create", act=create, ends=UNPAID),
    Flow(name="create+confirm", act=create_and_confirm, ends=SUCCEEDED),
    Flow(
        name="update", act=update, prepare=begun,
        ends=Money(status=PaymentStatus.PENDING, charges=0, captured=0, total=2500),
    ),
    Flow(name="confirm", act=confirm, prepare=begun, ends=SUCCEEDED),
    Flow(name="decline", act=confirm_in_vain, prepare=begun, ends=UNPAID),
    Flow(
        name="capture", act=capture, prepare=held, ends=Money(status=PaymentStatus.SUCCEEDED, captured=1500)
    ),
    Flow(name="cancel", act=cancel, prepare=held, ends=Money(status=PaymentStatus.CANCELED, captured=0)),
    Flow(name="refund", act=refund, prepare=paid, ends=REFUNDED),
    Flow(name="order", act=order_once, ends=SUCCEEDED, killed=False),
    Flow(name="webhook", act=hear_of_it, prepare=paid_by_browser, ends=SUCCEEDED, alone=True),
    Flow(name="lookup", act=reconcile, prepare=confirm_without_answer, ends=SUCCEEDED, alone=True, lapse=3),
    Flow(name="repeat", act=reconcile, prepare=refund_without_request, ends=REFUNDED, alone=True, lapse=600),
)  # fmt: skip
