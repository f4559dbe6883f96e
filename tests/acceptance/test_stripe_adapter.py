"""The adapter against a Stripe that remembers: whole payments, and every call lost at its worst moment.

What is sent and what is answered is judged by Stripe's own descriptions while it happens (tests/lab).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from bridge_payments.errors import (
    InvalidSignature,
    ProviderDeclined,
    ProviderRejected,
    ProviderStateConflict,
    ProviderUnknown,
)
from bridge_payments.messages import Request
from bridge_payments.models import CaptureMethod, Money, NextActionKind, PaymentStatus, RefundStatus, Verb
from bridge_payments.providers.base import (
    Absent,
    CancelRequest,
    CaptureRequest,
    ConfirmRequest,
    Evidence,
    Found,
    IntentRequest,
    ProviderPayment,
    RefundRequest,
    Step,
    UpdateRequest,
)
from bridge_payments.providers.stripe import StripeProvider
from bridge_payments.sandbox.stripe import FakeStripe
from bridge_payments.transport import Transport

pytestmark = pytest.mark.anyio

BACK = "https://shop.example/back"
USD = Money(2000, "USD")


@pytest.fixture(scope="module")
def listening() -> Iterator[FakeStripe]:
    with FakeStripe() as gateway:
        yield gateway


@pytest.fixture
def gateway(listening: FakeStripe) -> FakeStripe:
    listening.reset(endpoints=True)
    return listening


class Shop:
    """One account, and an operation's key and reference for each thing it does."""

    def __init__(self, account: StripeProvider) -> None:
        self.account = account
        self._count = 0

    def step(self, **changes: Any) -> Step:
        self._count += 1
        return Step(
            **{
                "key": f"op-{self._count}",
                "reference": f"reference{self._count:011}",
                "deadline": 5,
                **changes,
            }
        )

    async def begin(self, **changes: Any) -> ProviderPayment:
        step = self.step()
        facts: dict[str, Any] = {"amount": USD, "payment_id": "pay_1", "reference": step.reference}
        return await self.account.create_payment_intent(IntentRequest(**{**facts, **changes}), step=step)

    async def pay(self, card: str = "pm_card_visa", **changes: Any) -> ProviderPayment:
        return await self.begin(confirm=True, payment_method=card, return_url=BACK, **changes)

    async def hold(self) -> ProviderPayment:
        return await self.pay(capture_method=CaptureMethod.MANUAL)

    def refund(self, payment: str, cents: int, step: Step) -> Awaitable[Any]:
        asked = RefundRequest(
            payment=payment, refund_id=f"ref-{step.key}", amount=Money(cents, "USD"), reference=step.reference
        )
        return self.account.refund_payment(asked, step=step)


@pytest.fixture
async def shop(gateway: FakeStripe) -> AsyncIterator[Shop]:
    transport = Transport()
    yield Shop(
        StripeProvider(
            secret_key=gateway.secret_key,
            webhook_secrets=["whsec_1"],
            transport=transport,
            api_base=gateway.url,
        )
    )
    await transport.aclose()


# --- whole payments -------------------------------------------------------------------------------


async def test_a_payment_from_its_beginning_to_a_full_refund(shop: Shop, gateway: FakeStripe) -> None:
    begun = await shop.begin()
    assert begun.status is PaymentStatus.PENDING
    assert begun.client_secret
    asked = ConfirmRequest(
        payment=begun.reference, amount=USD, payment_method="pm_card_visa", return_url=BACK
    )
    paid = await shop.account.confirm_payment(asked, step=shop.step())
    assert (paid.status, paid.captured, paid.payment_id) == (PaymentStatus.SUCCEEDED, 2000, "pay_1")
    first = await shop.refund(paid.reference, 500, shop.step())
    assert first.status is RefundStatus.SUCCEEDED
    partly = await shop.account.sync_payment_status(paid.reference)
    assert (partly.refunded, partly.captured) == (500, 2000)
    await shop.refund(paid.reference, 1500, shop.step())
    whole = await shop.account.sync_payment_status(paid.reference)
    assert (whole.refunded, len(whole.refunds or ())) == (2000, 2)
    assert whole.status is PaymentStatus.SUCCEEDED, "a refund is a sum at Stripe, not a state"
    with pytest.raises(ProviderRejected):
        await shop.refund(paid.reference, 1, shop.step())
    assert len(gateway.charges(paid=True)) == 1


async def test_a_card_that_is_refused_leaves_the_intent_to_another_card(shop: Shop) -> None:
    with pytest.raises(ProviderDeclined) as refused:
        await shop.pay("pm_card_chargeDeclinedInsufficientFunds")
    assert refused.value.decline_code == "insufficient_funds"
    assert refused.value.payment
    seen = await shop.account.sync_payment_status(refused.value.payment)
    assert seen.status is PaymentStatus.PENDING
    assert seen.decline is not None
    assert seen.decline.reference == refused.value.attempt, "both reads of one attempt carry one reference"
    assert seen.decline.code == "insufficient_funds"
    asked = ConfirmRequest(payment=seen.reference, amount=USD, payment_method="pm_card_visa", return_url=BACK)
    paid = await shop.account.confirm_payment(asked, step=shop.step())
    assert (paid.status, paid.decline) == (PaymentStatus.SUCCEEDED, None)


async def test_a_challenge_sends_the_payer_away_and_the_answer_decides(
    shop: Shop, gateway: FakeStripe
) -> None:
    for passed, status in ((True, PaymentStatus.SUCCEEDED), (False, PaymentStatus.PENDING)):
        asked = await shop.pay("pm_card_threeDSecure2Required")
        assert asked.status is PaymentStatus.REQUIRES_ACTION
        assert asked.next_action is not None
        assert asked.next_action.kind is NextActionKind.REDIRECT
        assert asked.next_action.url
        gateway.authenticate(asked.reference, passed=passed)
        seen = await shop.account.sync_payment_status(asked.reference)
        assert seen.status is status
        if not passed:
            assert seen.decline is not None
            assert seen.decline.code == "authentication_failed"


async def test_without_a_way_back_the_challenge_is_shown_by_the_script(shop: Shop) -> None:
    asked = await shop.begin(confirm=True, payment_method="pm_card_threeDSecure2Required")
    assert asked.next_action is not None
    assert asked.next_action.kind is NextActionKind.USE_SDK


async def test_an_authorisation_is_captured_in_part_and_the_rest_is_released(shop: Shop) -> None:
    held = await shop.hold()
    assert (held.status, held.authorized, held.captured) == (PaymentStatus.REQUIRES_CAPTURE, 2000, 0)
    asked = CaptureRequest(payment=held.reference, amount=Money(700, "USD"))
    taken = await shop.account.capture_payment(asked, step=shop.step())
    assert (taken.status, taken.captured, taken.authorized) == (PaymentStatus.SUCCEEDED, 700, 0)
    seen = await shop.account.sync_payment_status(held.reference)
    assert (seen.captured, seen.refunded) == (700, 0), "what was released was never collected, nor given back"
    with pytest.raises(ProviderStateConflict):
        await shop.account.capture_payment(asked, step=shop.step())


async def test_an_authorisation_is_captured_in_several_parts_and_a_lost_one_is_told_from_the_others(
    shop: Shop, gateway: FakeStripe
) -> None:
    several = {"payment_method_options": {"card": {"request_multicapture": "if_available"}}}
    held = await shop.pay(capture_method=CaptureMethod.MANUAL, extra=several)
    part = CaptureRequest(payment=held.reference, amount=Money(700, "USD"), final=False)
    first = await shop.account.capture_payment(part, step=shop.step())
    assert (first.status, first.captured, first.authorized) == (PaymentStatus.REQUIRES_CAPTURE, 700, 1300)
    for fault, verdict in (("drop_before", Absent), ("drop_after", Found)):
        step = shop.step()
        gateway.faults.add(fault)
        with pytest.raises(ProviderUnknown):
            await shop.account.capture_payment(part, step=step)
        found = await shop.account.find_operation(evidence(Verb.CAPTURE, step, held.reference, 700))
        assert isinstance(found, verdict)
    rest = CaptureRequest(payment=held.reference, amount=Money(600, "USD"))
    last = await shop.account.capture_payment(rest, step=shop.step())
    assert (last.status, last.captured, last.authorized) == (PaymentStatus.SUCCEEDED, 2000, 0)


async def test_an_authorisation_is_released(shop: Shop) -> None:
    held = await shop.hold()
    ended = await shop.account.cancel_payment(CancelRequest(payment=held.reference), step=shop.step())
    assert (ended.status, ended.captured, ended.refunded) == (PaymentStatus.CANCELED, 0, 0)
    with pytest.raises(ProviderStateConflict):
        await shop.account.cancel_payment(CancelRequest(payment=held.reference), step=shop.step())


async def test_a_price_changes_before_it_is_paid(shop: Shop) -> None:
    begun = await shop.begin()
    change = UpdateRequest(payment=begun.reference, amount=Money(2500, "USD"), metadata={"order": "7"})
    changed = await shop.account.update_payment_intent(change, step=shop.step())
    assert changed.amount == Money(2500, "USD")
    assert changed.our_reference == begun.our_reference, "an update must not lose whose payment it is"


async def test_a_yen_is_a_yen(shop: Shop, gateway: FakeStripe) -> None:
    paid = await shop.pay(amount=Money(2000, "JPY"))
    assert gateway.intent(paid.reference)["amount"] == 2000
    assert paid.amount == Money(2000, "JPY")


async def test_a_refund_in_the_dashboard_is_seen(shop: Shop, gateway: FakeStripe) -> None:
    paid = await shop.pay()
    gateway.refund_in_dashboard(paid.reference, 300)
    seen = await shop.account.sync_payment_status(paid.reference)
    assert seen.refunds is not None
    assert (seen.refunded, seen.refunds[0].our_reference) == (300, None)


async def test_a_bank_that_takes_its_time_is_processing(shop: Shop, gateway: FakeStripe) -> None:
    gateway.hold_next()
    begun = await shop.pay()
    assert (begun.status, begun.captured) == (PaymentStatus.PROCESSING, 0)
    gateway.settle(begun.reference)
    assert (await shop.account.sync_payment_status(begun.reference)).captured == 2000


async def test_a_signed_event_leads_to_its_payment(shop: Shop, gateway: FakeStripe) -> None:
    paid = await shop.pay()
    now = datetime.now(UTC)
    headers, body = gateway.signed_webhook(
        "payment_intent.succeeded", secret="whsec_1", timestamp=int(now.timestamp())
    )
    request = Request(
        method="POST", path="/", headers={name.lower(): value for name, value in headers.items()}, body=body
    )
    event = await shop.account.read_webhook(request)
    assert (event.reference, event.our_reference) == (paid.reference, paid.our_reference)
    assert paid.client_secret not in (None, "")
    assert str(paid.client_secret) not in event.body
    shop.account.clock = lambda: now + timedelta(minutes=6)
    with pytest.raises(InvalidSignature):
        await shop.account.read_webhook(request)


# --- every call lost ------------------------------------------------------------------------------

Ask = Callable[[Shop, ProviderPayment, Step], Awaitable[Any]]


def evidence(verb: Verb, step: Step, payment: str | None, cents: int | None = None) -> Evidence:
    return Evidence(
        verb=verb,
        reference=step.reference,
        key=step.key,
        payment_id="pay_1",
        payment=payment,
        amount=None if cents is None else Money(cents, "USD"),
        refund_id=f"ref-{step.key}" if verb is Verb.REFUND else None,
        started_at=datetime.now(UTC),
    )


CASES: dict[Verb, SimpleNamespace] = {
    Verb.UPDATE: SimpleNamespace(
        begin=lambda shop: shop.begin(),
        ask=lambda shop, payment, step: shop.account.update_payment_intent(
            UpdateRequest(payment=payment.reference, description="new"), step=step
        ),
    ),
    Verb.CONFIRM: SimpleNamespace(
        begin=lambda shop: shop.begin(),
        ask=lambda shop, payment, step: shop.account.confirm_payment(
            ConfirmRequest(
                payment=payment.reference, amount=USD, payment_method="pm_card_visa", return_url=BACK
            ),
            step=step,
        ),
    ),
    Verb.CAPTURE: SimpleNamespace(
        begin=lambda shop: shop.hold(),
        ask=lambda shop, payment, step: shop.account.capture_payment(
            CaptureRequest(payment=payment.reference, amount=Money(700, "USD")), step=step
        ),
    ),
    Verb.CANCEL: SimpleNamespace(
        begin=lambda shop: shop.hold(),
        ask=lambda shop, payment, step: shop.account.cancel_payment(
            CancelRequest(payment=payment.reference), step=step
        ),
    ),
    Verb.REFUND: SimpleNamespace(
        begin=lambda shop: shop.pay(),
        ask=lambda shop, payment, step: shop.refund(payment.reference, 500, step),
    ),
}
EXECUTED = ("drop_after", "half_answer", "unreadable", "error_after")
NOT_EXECUTED = ("drop_before", "error_before", "error_stored", "key_in_use")
CENTS = {Verb.CAPTURE: 700, Verb.REFUND: 500}


@pytest.mark.parametrize("fault", EXECUTED + NOT_EXECUTED)
@pytest.mark.parametrize("verb", CASES)
async def test_a_lost_call_is_looked_up_truly(
    shop: Shop, gateway: FakeStripe, verb: Verb, fault: str
) -> None:
    """Whatever the wire did: unknown first, and then exactly what the gateway's books hold."""
    payment = await CASES[verb].begin(shop)
    step = shop.step()
    gateway.faults.add(fault)
    with pytest.raises(ProviderUnknown):
        await CASES[verb].ask(shop, payment, step)
    found = await shop.account.find_operation(evidence(verb, step, payment.reference, CENTS.get(verb)))
    assert isinstance(found, Found if fault in EXECUTED else Absent), found


@pytest.mark.parametrize("fault", EXECUTED + NOT_EXECUTED)
@pytest.mark.parametrize("confirm", [False, True])
async def test_a_lost_create_is_found_among_others_or_proved_absent(
    shop: Shop, gateway: FakeStripe, confirm: bool, fault: str
) -> None:
    await shop.begin(payment_id="pay_0")
    step = shop.step()
    asked = IntentRequest(
        amount=USD, payment_id="pay_1", reference=step.reference, confirm=confirm,
        payment_method="pm_card_visa" if confirm else None, return_url=BACK,
    )  # fmt: skip
    gateway.faults.add(fault)
    with pytest.raises(ProviderUnknown):
        await shop.account.create_payment_intent(asked, step=step)
    await shop.begin(payment_id="pay_2")
    found = await shop.account.find_operation(evidence(Verb.CREATE, step, None))
    if fault in NOT_EXECUTED:
        assert isinstance(found, Absent)
        return
    assert isinstance(found, Found)
    assert found.payment is not None
    assert found.payment.payment_id == "pay_1"
    assert found.payment.captured == (2000 if confirm else 0)


async def test_a_lost_confirm_that_was_declined_is_found_as_a_decline(
    shop: Shop, gateway: FakeStripe
) -> None:
    begun = await shop.begin()
    step = shop.step()
    gateway.lose_next_answer()
    asked = ConfirmRequest(
        payment=begun.reference, amount=USD, payment_method="pm_card_chargeDeclined", return_url=BACK
    )
    with pytest.raises(ProviderUnknown):
        await shop.account.confirm_payment(asked, step=step)
    found = await shop.account.find_operation(evidence(Verb.CONFIRM, step, begun.reference))
    assert isinstance(found, Found)
    assert found.payment is not None
    assert found.payment.decline is not None


@pytest.mark.parametrize("verb", CASES)
async def test_a_repeat_with_the_same_key_does_it_once(shop: Shop, gateway: FakeStripe, verb: Verb) -> None:
    payment = await CASES[verb].begin(shop)
    step = shop.step()
    gateway.lose_next_answer()
    with pytest.raises(ProviderUnknown):
        await CASES[verb].ask(shop, payment, step)
    again = Step(key=step.key, reference=step.reference, deadline=5, repeat=True)
    answer = await CASES[verb].ask(shop, payment, again)
    assert answer is not None
    assert len(gateway.charges(paid=True)) <= 1
    assert len(gateway.refunds()) == (1 if verb is Verb.REFUND else 0)


async def test_one_key_for_two_instructions_is_unknown_and_moves_nothing(
    shop: Shop, gateway: FakeStripe
) -> None:
    paid = await shop.pay()
    step = shop.step()
    await shop.refund(paid.reference, 500, step)
    with pytest.raises(ProviderUnknown):
        await shop.refund(paid.reference, 600, step)
    assert [refund["amount"] for refund in gateway.refunds()] == [500]
