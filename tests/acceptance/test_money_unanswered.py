"""The answer never came: whatever the client does next, the payer pays once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from crashlab.flows import CARD
from crashlab.plugin import Premises
from crashlab.premises import RETURN_URL, Shop, open_shop

from bridge_payments.errors import DuplicateReference, OperationInProgress, Unavailable
from bridge_payments.models import Payment, PaymentStatus, RefundStatus

pytestmark = pytest.mark.anyio

ORDER = "order-1"

DONE = ("drop_after", "hang_after", "half_answer", "unreadable", "error_after")
NOT_DONE = ("drop_before", "hang_before", "error_before", "error_stored", "key_in_use")


@contextmanager
def impatience(fault: str) -> Iterator[None]:
    """A gateway that hangs is given up after a fraction of a second; no other call is timed."""
    with pytest.MonkeyPatch.context() as patch:
        if fault.startswith("hang"):
            patch.setattr("bridge_payments.engine.asking.CALL_DEADLINE", 0.4)
        yield


Ask = Callable[[Shop, Payment | None], Awaitable[Payment]]


async def begin(shop: Shop, **more: Any) -> Payment:
    return await shop.engine.create_payment_intent(
        total_cents=2000, currency="USD", return_url=RETURN_URL, reference_code=ORDER, unique_reference=True,
        **more,
    )  # fmt: skip


async def the_same_key(shop: Shop, begun: Payment | None) -> Payment:
    if begun is None:
        return await begin(shop, confirm=True, payment_method=CARD, idempotency_key="k")
    return await shop.engine.confirm_payment(begun.id, payment_method=CARD, idempotency_key="k")


async def confirm_again(shop: Shop, begun: Payment | None) -> Payment:
    """The client forgot its key; it knows the payment, from its own database or by listing."""
    if begun is None:
        begun = next(row.payment for row in await shop.rows())
        if begun.status is PaymentStatus.FAILED:
            return await begin(shop, confirm=True, payment_method=CARD)
    return await shop.engine.confirm_payment(begun.id, payment_method=CARD)


async def a_new_payment(shop: Shop, begun: Payment | None) -> Payment:
    """The client begins anew with its order number, and pays what it is pointed to."""
    try:
        return await begin(shop, confirm=True, payment_method=CARD)
    except DuplicateReference as known:
        return await shop.engine.confirm_payment(known.payment_id or "", payment_method=CARD)


@pytest.mark.parametrize("fault", DONE + NOT_DONE)
@pytest.mark.parametrize("again", [the_same_key, confirm_again, a_new_payment])
@pytest.mark.parametrize("verb", ["confirm", "create+confirm"])
async def test_whoever_hears_nothing_and_tries_again_pays_once(
    premises: Premises, verb: str, again: Ask, fault: str
) -> None:
    async with open_shop(premises.address()) as shop:
        begun = await begin(shop) if verb == "confirm" else None
        premises.gateway.faults.add(fault)
        with impatience(fault):
            answer = await the_same_key(shop, begun)
        assert answer.status is PaymentStatus.PROCESSING, "unknown, and not an error that invites a repeat"
        assert answer.unknown_operation_id

        heard = await insist(shop, lambda: again(shop, begun))
        assert heard.status is PaymentStatus.SUCCEEDED
        rows = await shop.rows()
        assert premises.audit(rows).findings == []
        assert len(premises.gateway.charges(paid=True)) == 1
        assert [row.payment.status for row in rows].count(PaymentStatus.SUCCEEDED) == 1


@pytest.mark.parametrize("fault", DONE + NOT_DONE)
async def test_a_refund_that_was_not_answered_is_made_once(premises: Premises, fault: str) -> None:
    async with open_shop(premises.address()) as shop:
        paid = await begin(shop, confirm=True, payment_method=CARD)
        premises.gateway.faults.add(fault)

        async def refund() -> Any:
            return await shop.engine.refund_payment(paid.id, amount_cents=1500, idempotency_key="r")

        with impatience(fault):
            first = await refund()
        assert first.status is RefundStatus.PENDING
        with pytest.raises(OperationInProgress):
            await shop.engine.refund_payment(paid.id, amount_cents=1500, idempotency_key="another")
        if fault == "error_stored":
            # The gateway repeats its stored 500 under this key for a day: only then is the refund given up,
            # as proved never made, and the client's repeat is another refund.
            for _ in range(25):
                await shop.move(hours=1)
                await shop.work()
        final = await insist(shop, refund)
        assert final.status is RefundStatus.SUCCEEDED
        assert (final.id == first.id) is (fault != "error_stored")
        assert premises.audit(await shop.rows()).findings == []
        assert [refund["amount"] for refund in premises.gateway.refunds()] == [1500]


async def insist(shop: Shop, ask: Callable[[], Awaitable[Any]]) -> Any:
    """Ask at once, and again whenever half a minute has passed, until there is an answer."""
    for _ in range(30):
        try:
            answer = await ask()
        except (OperationInProgress, Unavailable):
            pass
        else:
            if answer.status in (PaymentStatus.SUCCEEDED, RefundStatus.SUCCEEDED):
                return answer
        await shop.move(seconds=30)
        await shop.work()
    raise AssertionError("no answer in fifteen minutes")
