"""PayPal from the engine's side, on a real database: whatever is lost, one charge, and rows that are true."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge_payments.engine import PaymentEngine
from bridge_payments.errors import (
    IllegalState,
    InvalidRequest,
    PaymentDeclined,
    Unavailable,
    UnsupportedOperation,
)
from bridge_payments.messages import Request
from bridge_payments.models import (
    CaptureMethod,
    InboxState,
    Money,
    MovableClock,
    NextActionKind,
    Payment,
    PaymentFlag,
    PaymentStatus,
    Principal,
    RefundStatus,
)
from bridge_payments.providers import registry
from bridge_payments.sandbox.paypal import FakePayPal
from bridge_payments.settings import Settings
from bridge_payments.stores.base import PaymentQuery
from bridge_payments.stores.sql import SQLStore
from bridge_payments.transport import Transport

pytestmark = pytest.mark.anyio

BACK = "https://shop.example/back"
WEBHOOK = "8PT597110X687430L"


@pytest.fixture(scope="module")
def listening() -> Iterator[FakePayPal]:
    with FakePayPal() as gateway:
        yield gateway


@pytest.fixture
def gateway(listening: FakePayPal) -> FakePayPal:
    listening.reset(endpoints=True)
    listening.add_webhook("http://127.0.0.1:9/nobody", webhook_id=WEBHOOK)
    listening.webhooks.off = True
    return listening


class House:
    """An engine built as from an environment, its gateway, and the time."""

    def __init__(self, engine: PaymentEngine, gateway: FakePayPal, clock: MovableClock) -> None:
        self.engine, self.gateway, self.clock = engine, gateway, clock

    async def begin(self, cents: int = 2000, **more: Any) -> Payment:
        return await self.engine.create_payment_intent(
            total_cents=cents, currency="USD", **{"return_url": BACK, **more}
        )

    async def approved(self, instrument: str = "balance", **more: Any) -> Payment:
        payment = await self.begin(**more)
        self.gateway.approve(str(payment.provider_intent_id), instrument)
        return payment

    async def paid(self, **more: Any) -> Payment:
        return await self.engine.confirm_payment((await self.approved(**more)).id)

    async def held(self) -> Payment:
        return await self.paid(capture_method=CaptureMethod.MANUAL)

    async def settle(self, *, steps: int = 14) -> None:
        """Let time pass in steps, with the background work running in each."""
        for _ in range(steps):
            self.clock.move(timedelta(seconds=30))
            await self.engine.process_inbox()
            await self.engine.reconcile()

    async def hear(self, event: Any) -> Any:
        headers, body = self.gateway.signed_webhook(event, webhook_id=WEBHOOK)
        return await self.engine.receive_webhook(
            "paypal", Request(method="POST", path="/", headers=dict(headers), body=body)
        )

    async def told(self, payment: Payment) -> list[str]:
        return [event.type for event in await self.engine.list_events(payment.id)]


@pytest.fixture
async def house(gateway: FakePayPal, tmp_path: Path) -> AsyncIterator[House]:
    clock = MovableClock()
    store = SQLStore(f"sqlite:///{tmp_path / 'payments.db'}", clock=clock)
    await store.upgrade()
    transport = Transport()
    env = {
        "PAYPAL_CLIENT_ID": gateway.client_id,
        "PAYPAL_CLIENT_SECRET": gateway.client_secret,
        "PAYPAL_WEBHOOK_ID": WEBHOOK,
        "PAYPAL_API_BASE": gateway.url,
    }
    providers = registry.build(registry.parse_accounts("paypal"), env, transport=transport)
    engine = PaymentEngine(
        store,
        providers,
        settings=Settings(default_provider="paypal", guest_max_payments_per_email=0),
        clock=clock,
        transport=transport,
    )
    yield House(engine, gateway, clock)
    await engine.aclose()
    await transport.aclose()
    await store.aclose()


async def test_a_payer_approves_comes_back_and_has_paid_once(house: House, gateway: FakePayPal) -> None:
    payment = await house.begin()
    assert payment.status is PaymentStatus.REQUIRES_ACTION
    assert payment.next_action is not None
    assert payment.next_action.kind is NextActionKind.REDIRECT
    assert payment.client_secret not in (None, payment.provider_intent_id)
    early = await house.engine.confirm_payment(payment.id)
    assert early.status is PaymentStatus.REQUIRES_ACTION, "nobody approved yet"
    gateway.approve(str(payment.provider_intent_id))
    assert (await house.engine.sync_payment(payment.id)).status is PaymentStatus.REQUIRES_CONFIRMATION
    paid = await house.engine.confirm_payment(payment.id)
    assert (paid.status, paid.captured_cents, paid.client_secret) == (PaymentStatus.SUCCEEDED, 2000, None)
    again = await house.engine.confirm_payment(payment.id)
    assert again.status is PaymentStatus.SUCCEEDED
    assert len(gateway.captures()) == 1
    assert await house.told(payment) == ["payment.created", "payment.requires_action", "payment.success"]


async def test_ten_clicks_at_once_are_one_capture(house: House, gateway: FakePayPal) -> None:
    gateway.charge_every_request = True
    payment = await house.approved()
    clicks = [house.engine.confirm_payment(payment.id, idempotency_key="click") for _ in range(10)]
    await asyncio.gather(*clicks, return_exceptions=True)
    assert (await house.engine.get_payment(payment.id)).status is PaymentStatus.SUCCEEDED
    assert len(gateway.requests(f"/v2/checkout/orders/{payment.provider_intent_id}/capture")) == 1


async def test_a_declined_card_ends_the_payment_and_a_refused_account_does_not(
    house: House, gateway: FakePayPal
) -> None:
    carded = await house.approved("card_declined", return_url=None)
    with pytest.raises(PaymentDeclined) as declined:
        await house.engine.confirm_payment(carded.id)
    assert declined.value.decline_code == "insufficient_funds"
    failed = await house.engine.get_payment(carded.id)
    assert (failed.status, failed.captured_cents) == (PaymentStatus.FAILED, 0)

    wallet = await house.approved("refused")
    for _ in range(2):
        with pytest.raises(PaymentDeclined):
            await house.engine.confirm_payment(wallet.id)
    keys = [each.key for each in gateway.requests(f"/v2/checkout/orders/{wallet.provider_intent_id}/capture")]
    assert len(set(keys)) == 2, "the next confirm is another operation with another key"
    gateway.approve(str(wallet.provider_intent_id), "balance")
    assert (await house.engine.confirm_payment(wallet.id)).status is PaymentStatus.SUCCEEDED
    assert (await house.told(wallet)).count("payment.failed") == 2


@pytest.mark.parametrize(
    ("instrument", "kind", "away", "code", "status"),
    [
        ("refused", "paypal", True, "declined", PaymentStatus.REQUIRES_CONFIRMATION),
        ("refused", "paypal", False, "declined", PaymentStatus.REQUIRES_CONFIRMATION),
        ("card_challenge", "credit_card", True, "authentication_required", PaymentStatus.REQUIRES_ACTION),
    ],
)
async def test_a_refusal_of_a_stored_method_is_a_decline_of_its_payment_which_stays_open(
    house: House,
    gateway: FakePayPal,
    instrument: str,
    kind: str,
    away: bool,
    code: str,
    status: PaymentStatus,
) -> None:
    ada = Principal.user("ada", email="ada@shop.example", email_verified=True)
    begun = await house.engine.create_payment_method(payment_type=kind, return_url=BACK, principal=ada)
    gateway.agree(str(gateway.setup_tokens()[-1]["id"]), instrument)
    method = await house.engine.confirm_payment_method(begun.id, principal=ada)

    async def charge() -> Payment:
        usd = Money(1500, "USD")
        if away:
            return await house.engine.charge_saved_method(usd, payment_method=method.id, idempotency_key="k")
        return await house.engine.create_payment_intent(
            usd, payment_method=method.id, confirm=True, idempotency_key="k", principal=ada
        )

    refused = []
    for _ in range(2):
        with pytest.raises(PaymentDeclined) as declined:
            await charge()
        refused.append((declined.value.decline_code, declined.value.payment_id))
    assert len(set(refused)) == 1, "the repeat of a key hears what the first call heard"
    assert refused[0][0] == code
    (row,) = (await house.engine.list_payments(PaymentQuery())).items
    assert (row.id, row.status, row.decline_code, row.captured_cents) == (refused[0][1], status, code, 0)
    told = [each for each in await house.engine.list_events(row.id) if each.type == "payment.failed"]
    assert [(each.data["final"], each.data["decline_code"]) for each in told] == [(False, code)]
    again = await house.engine.sync_payment(row.id)
    assert (again.status, again.decline_code) == (status, code), "a read that does not show it keeps it"
    await house.settle()
    assert (await house.told(row)).count("payment.failed") == 1
    assert len(gateway.orders()) == 1


async def test_held_money_is_collected_in_part_once_and_other_held_money_is_released(
    house: House, gateway: FakePayPal
) -> None:
    held = await house.held()
    assert (held.status, held.authorized_cents) == (PaymentStatus.REQUIRES_CAPTURE, 2000)
    with pytest.raises(UnsupportedOperation):
        await house.engine.capture_payment(held.id, amount_cents=1, final=False)
    with pytest.raises(InvalidRequest):
        await house.engine.capture_payment(held.id, amount_cents=2001)
    taken = await house.engine.capture_payment(held.id, amount_cents=701)
    assert (taken.status, taken.captured_cents) == (PaymentStatus.SUCCEEDED, 701)
    with pytest.raises(IllegalState):
        await house.engine.capture_payment(held.id)
    other = await house.held()
    released = await house.engine.cancel_payment(other.id)
    assert (released.status, released.captured_cents) == (PaymentStatus.CANCELED, 0)
    assert [each["status"] for each in gateway.authorizations()] == ["PARTIALLY_CAPTURED", "VOIDED"]


async def test_refunds_add_up_to_what_was_captured_and_not_one_cent_more(
    house: House, gateway: FakePayPal
) -> None:
    paid = await house.paid()
    for cents in (1, 999, 500):
        refund = await house.engine.refund_payment(paid.id, amount_cents=cents, idempotency_key=str(cents))
        assert refund.status is RefundStatus.SUCCEEDED
    with pytest.raises(InvalidRequest):
        await house.engine.refund_payment(paid.id, amount_cents=501)
    gateway.refund_in_dashboard(str(paid.provider_payment_id), {"currency_code": "USD", "value": "4.00"})
    seen = await house.engine.sync_payment(paid.id)
    assert (seen.status, seen.refunded_cents) == (PaymentStatus.PARTIALLY_REFUNDED, 1900)
    with pytest.raises(InvalidRequest):
        await house.engine.refund_payment(paid.id, amount_cents=101)
    await house.engine.refund_payment(paid.id)
    whole = await house.engine.sync_payment(paid.id)
    assert (whole.status, whole.refunded_cents) == (PaymentStatus.REFUNDED, 2000)
    assert len(await house.engine.list_refunds(paid.id)) == 5


# --- what is lost -----------------------------------------------------------------------------------

FAULTS = ("drop_before", "drop_after", "half_answer", "unreadable", "error_before", "error_after")
EXECUTED = ("drop_after", "half_answer", "unreadable", "error_after")

Act = Callable[[House, Payment], Awaitable[Any]]


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_lost_confirm_charges_once_or_never(house: House, gateway: FakePayPal, fault: str) -> None:
    payment = await house.approved()
    gateway.charge_every_request = True
    gateway.faults.add(fault, path="*/capture")
    unknown = await house.engine.confirm_payment(payment.id)
    assert (unknown.status, bool(unknown.unknown_operation_id)) == (PaymentStatus.PROCESSING, True)
    await house.settle()
    seen = await house.engine.get_payment(payment.id)
    assert not await house.engine.list_unknown()
    if fault in EXECUTED:
        assert (seen.status, len(gateway.captures())) == (PaymentStatus.SUCCEEDED, 1)
        return
    assert gateway.captures() == [], "what needs the payer is never executed late"
    assert (await house.engine.confirm_payment(payment.id)).status is PaymentStatus.SUCCEEDED
    assert len(gateway.captures()) == 1


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("path", "begin", "act"),
    [
        ("*/authorizations/*/capture", House.held, lambda house, row: house.engine.capture_payment(row.id)),
        ("*/authorizations/*/void", House.held, lambda house, row: house.engine.cancel_payment(row.id)),
        (
            "*/refund",
            House.paid,
            lambda house, row: house.engine.refund_payment(row.id, amount_cents=700),
        ),
    ],
    ids=["capture", "void", "refund"],
)
async def test_what_the_merchant_may_have_is_finished_exactly_once(
    house: House, gateway: FakePayPal, *, fault: str, path: str, begin: Any, act: Act
) -> None:
    row = await begin(house)
    gateway.faults.add(fault, path=path)
    await act(house, row)
    assert await house.engine.list_unknown()
    await house.settle()
    assert not await house.engine.list_unknown()
    seen = await house.engine.get_payment(row.id)
    if path.endswith("refund"):
        assert (seen.refunded_cents, len(gateway.refunds())) == (700, 1)
        assert [each.status for each in await house.engine.list_refunds(row.id)] == [RefundStatus.SUCCEEDED]
    elif path.endswith("void"):
        assert (seen.status, gateway.captures()) == (PaymentStatus.CANCELED, [])
    else:
        assert (seen.captured_cents, len(gateway.captures())) == (2000, 1)
    made = [each.key for each in gateway.requests(method="POST") if not each.path.endswith("/orders")]
    assert len(set(made)) == 2, "a repeat carries the key of the first send"


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_lost_create_ends_as_one_order(house: House, gateway: FakePayPal, fault: str) -> None:
    gateway.faults.add(fault, path="/v2/checkout/orders")
    with pytest.raises(Unavailable):
        await house.begin(idempotency_key="cart-7")
    await house.settle()
    payment = await house.begin(idempotency_key="cart-7")
    assert payment.status is PaymentStatus.REQUIRES_ACTION
    assert payment.client_secret
    assert [order["id"] for order in gateway.orders()] == [payment.provider_intent_id]


async def test_a_process_that_died_before_it_sent_is_not_charged_late(
    house: House, gateway: FakePayPal
) -> None:
    payment = await house.approved()
    gateway.faults.add("drop_before", path="*/capture")
    await house.engine.confirm_payment(payment.id)
    house.clock.move(timedelta(minutes=30))
    await house.settle(steps=4)
    assert gateway.captures() == []
    assert not await house.engine.list_unknown()


# --- cancelled here ---------------------------------------------------------------------------------


@pytest.mark.parametrize("approve_first", [True, False])
async def test_after_a_cancel_here_nothing_is_collected_by_us_whatever_paypal_says(
    house: House, gateway: FakePayPal, approve_first: bool
) -> None:
    payment = await (house.approved() if approve_first else house.begin())
    order = str(payment.provider_intent_id)
    assert (await house.engine.cancel_payment(payment.id)).status is PaymentStatus.CANCELED
    if not approve_first:
        gateway.approve(order)
    await house.hear("CHECKOUT.ORDER.APPROVED")
    await house.settle(steps=3)
    assert (await house.engine.sync_payment(payment.id)).status is PaymentStatus.CANCELED
    with pytest.raises(IllegalState):
        await house.engine.confirm_payment(payment.id)
    assert gateway.captures() == []
    assert await house.told(payment) == ["payment.created", "payment.requires_action", "payment.canceled"]


async def test_a_capture_made_elsewhere_after_our_cancel_is_recorded(
    house: House, gateway: FakePayPal
) -> None:
    payment = await house.approved()
    await house.engine.cancel_payment(payment.id)
    gateway.capture_elsewhere(str(payment.provider_intent_id))
    await house.hear("PAYMENT.CAPTURE.COMPLETED")
    await house.settle(steps=1)
    seen = await house.engine.get_payment(payment.id)
    assert (seen.status, seen.captured_cents) == (PaymentStatus.SUCCEEDED, 2000)
    assert "payment.success" in await house.told(payment)


async def test_a_capture_made_elsewhere_for_another_sum_is_not_taken_for_ours(
    house: House, gateway: FakePayPal
) -> None:
    payment = await house.approved()
    gateway.reprice(str(payment.provider_intent_id), "1.00")
    gateway.capture_elsewhere(str(payment.provider_intent_id))
    seen = await house.engine.sync_payment(payment.id)
    assert (seen.status, seen.flag) == (PaymentStatus.PROCESSING, PaymentFlag.MISMATCH)
    assert "payment.mismatch" in await house.told(payment)


# --- webhooks ---------------------------------------------------------------------------------------


async def test_events_in_any_order_any_number_of_times_make_the_same_row(
    house: House, gateway: FakePayPal
) -> None:
    rows = []
    for reverse in (False, True):
        payment = await house.paid()
        await house.engine.refund_payment(payment.id, amount_cents=300)
        order = str(payment.provider_intent_id)
        events = [
            event
            for event in gateway.events()
            if order in str(event) or str(payment.provider_payment_id) in str(event)
        ]
        assert len(events) == 4
        for event in (events[::-1] if reverse else events) * 2:
            await house.hear(event)
            await house.engine.process_inbox()
        seen = await house.engine.get_payment(payment.id)
        rows.append((seen.status, seen.captured_cents, seen.refunded_cents))
        assert (await house.told(payment)).count("payment.success") == 1
        assert len(await house.engine.list_refunds(payment.id)) == 1
    assert rows == [(PaymentStatus.PARTIALLY_REFUNDED, 2000, 300)] * 2
    states = {entry.state for entry in await house.engine.list_inbox()}
    assert states == {InboxState.PROCESSED}


async def test_money_that_arrives_later_is_heard_of_by_webhook_or_by_the_sweep(
    house: House, gateway: FakePayPal
) -> None:
    for heard in (True, False):
        payment = await house.engine.confirm_payment((await house.approved("echeck")).id)
        assert payment.status is PaymentStatus.PROCESSING
        gateway.settle(str(payment.provider_payment_id))
        if heard:
            await house.hear("PAYMENT.CAPTURE.COMPLETED")
            await house.engine.process_inbox()
        else:
            house.clock.move(timedelta(minutes=3))
            await house.engine.sweep()
        assert (await house.engine.get_payment(payment.id)).status is PaymentStatus.SUCCEEDED


async def test_what_is_held_for_review_cannot_be_charged_a_second_time(house: House) -> None:
    payment = await house.engine.confirm_payment((await house.approved("review")).id)
    assert (payment.status, payment.review) == (PaymentStatus.PROCESSING, True)
    again = await house.engine.confirm_payment(payment.id)
    assert again.status is PaymentStatus.PROCESSING
    with pytest.raises(IllegalState):
        await house.engine.cancel_payment(payment.id)


async def test_a_refund_on_paypals_own_pages_reaches_the_row_by_its_event(
    house: House, gateway: FakePayPal
) -> None:
    payment = await house.paid()
    gateway.refund_in_dashboard(str(payment.provider_payment_id), {"currency_code": "USD", "value": "3.00"})
    await house.hear("PAYMENT.CAPTURE.REFUNDED")
    await house.engine.process_inbox()
    assert (await house.engine.get_payment(payment.id)).refunded_cents == 300


async def test_a_pending_refund_that_fails_unheard_is_found_by_the_sweep(
    house: House, gateway: FakePayPal
) -> None:
    payment = await house.paid()
    gateway.hold_refunds()
    refund = await house.engine.refund_payment(payment.id)
    assert refund.status is RefundStatus.PENDING
    assert (await house.engine.get_payment(payment.id)).next_sync_at is not None
    gateway.settle(str(refund.provider_refund_id), succeeded=False)
    house.clock.move(timedelta(minutes=3))
    await house.engine.sweep()
    row = await house.engine.get_payment(payment.id)
    assert (row.status, row.refunded_cents, row.refundable_cents) == (PaymentStatus.SUCCEEDED, 0, 2000)
    assert [each.status for each in await house.engine.list_refunds(payment.id)] == [RefundStatus.FAILED]
    assert (await house.told(payment))[-1] == "refund.failed"


async def test_an_event_of_somebody_elses_order_is_put_aside(house: House, gateway: FakePayPal) -> None:
    payment = await house.paid()
    event = gateway.events("CHECKOUT.ORDER.APPROVED")[0]
    event["resource"]["id"] = "5O190127TN364715T"
    event["resource"]["purchase_units"][0]["invoice_id"] = "THEIRS-1"
    await house.hear(event)
    await house.engine.process_inbox()
    (entry,) = await house.engine.list_inbox()
    assert entry.state is InboxState.PARKED
    assert (await house.engine.get_payment(payment.id)).status is PaymentStatus.SUCCEEDED
