"""Authorize.net end to end: engine, SQLite, adapter and a gateway that remembers and has no keys.

Everything runs in both languages of the endpoint. What is sent and what is answered is judged by the
gateway's own schema while it happens (tests/lab).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge_payments.engine import PaymentEngine
from bridge_payments.errors import (
    Contradicted,
    IllegalState,
    InvalidRequest,
    OperationInProgress,
    PaymentDeclined,
    ProviderRejected,
    Unavailable,
    UnsupportedOperation,
)
from bridge_payments.messages import Request
from bridge_payments.models import (
    Money,
    Operation,
    OperationState,
    Payment,
    PaymentFlag,
    PaymentStatus,
    Refund,
    RefundStatus,
    Verb,
    new_reference,
)
from bridge_payments.providers.authorize_net import AuthorizeNetProvider
from bridge_payments.providers.base import Absent, Evidence, Found, KnownPayment
from bridge_payments.sandbox.authorize_net import FakeAuthorizeNet
from bridge_payments.settings import Settings
from bridge_payments.stores.sql import SQLStore
from bridge_payments.transport import Transport

pytestmark = pytest.mark.anyio

CHARGE, AUTHORISE = "authCaptureTransaction", "authOnlyTransaction"
CAPTURE, VOID, REFUND = "priorAuthCaptureTransaction", "voidTransaction", "refundTransaction"
DETAILS, UNSETTLED = "getTransactionDetailsRequest", "getUnsettledTransactionListRequest"
BATCHES = "getSettledBatchListRequest"

DONE = ("drop_after", "half_answer", "unreadable", "error_after")
NOT_DONE = ("drop_before", "error_before", "error_stored", "key_in_use")


@pytest.fixture(scope="module")
def listening() -> Iterator[FakeAuthorizeNet]:
    with FakeAuthorizeNet() as gateway:
        yield gateway


@pytest.fixture
def gateway(listening: FakeAuthorizeNet) -> FakeAuthorizeNet:
    listening.reset(endpoints=True)
    return listening


class Shop:
    """An engine on a database of its own, and the gateway's clock, which is everybody's."""

    def __init__(self, engine: PaymentEngine, gateway: FakeAuthorizeNet) -> None:
        self.engine, self.gateway = engine, gateway

    async def begin(self, cents: int = 2000, **more: Any) -> Payment:
        return await self.engine.create_payment_intent(total_cents=cents, currency="USD", **more)

    async def confirm(self, payment: Payment, card: str = "visa", **more: Any) -> Payment:
        token = self.gateway.token(card)
        return await self.engine.confirm_payment(payment.id, payment_method=token, **more)

    async def paid(self, cents: int = 2000, **more: Any) -> Payment:
        return await self.confirm(await self.begin(cents, **more))

    async def held(self, cents: int = 2000) -> Payment:
        return await self.paid(cents, capture_method="manual")

    async def row(self, payment: Payment) -> Payment:
        return await self.engine.get_payment(payment.id)

    async def told(self, payment: Payment) -> list[str]:
        return [event.type for event in await self.engine.list_events(payment.id)]

    async def refunds(self, payment: Payment) -> list[Refund]:
        return list(await self.engine.list_refunds(payment.id))

    async def last(self, payment: Payment) -> Operation:
        return (await self.engine.list_operations(payment.id))[-1]

    async def work(self, **by: float) -> None:
        self.gateway.clock.move(timedelta(**by))
        await self.engine.process_inbox()
        await self.engine.reconcile()
        await self.engine.sweep()

    async def resolve(self) -> None:
        """Let half an hour pass, in which everything that was lost is looked up."""
        for _ in range(20):
            await self.work(seconds=90)

    async def hear(self) -> None:
        """Receive every notification that the gateway wrote."""
        for event in self.gateway.events():
            await self.engine.receive_webhook("anet", signed(self.gateway, event))
        await self.engine.process_inbox()


def signed(gateway: FakeAuthorizeNet, event: dict[str, Any], **more: Any) -> Request:
    headers, body = gateway.signed_webhook(event, **more)
    return Request(method="POST", path="/webhooks/anet", headers=headers, body=body)


@pytest.fixture(params=["xml", "json"])
async def shop(
    request: pytest.FixtureRequest, gateway: FakeAuthorizeNet, tmp_path: Path
) -> AsyncIterator[Shop]:
    if request.param == "xml":
        pytest.importorskip("authorizenet", reason="the vendor's contracts are not installed")
    transport = Transport()
    store = SQLStore(f"sqlite:///{tmp_path / 'shop.db'}", clock=gateway.clock)
    await store.upgrade()
    provider = AuthorizeNetProvider(
        login_id=gateway.login_id,
        transaction_key=gateway.transaction_key,
        signature_keys=[gateway.signature_key],
        transport=transport,
        api_base=gateway.url,
        encoder=request.param,
    )
    provider.clock = gateway.clock
    engine = PaymentEngine(
        store, {"anet": provider}, settings=Settings(default_provider="anet"), clock=gateway.clock,
        transport=transport,
    )  # fmt: skip
    yield Shop(engine, gateway)
    await engine.aclose()
    await transport.aclose()
    await store.aclose()


# --- whole payments -------------------------------------------------------------------------------


async def test_an_intent_is_ours_alone_until_it_is_confirmed(shop: Shop, gateway: FakeAuthorizeNet) -> None:
    payment = await shop.begin(reference_code="order-1")
    assert payment.status is PaymentStatus.PENDING
    assert payment.provider_intent_id == f"anet_{payment.reference}"
    assert payment.client_secret is not None
    assert len(payment.client_secret) >= 43, "32 random bytes"
    dearer = await shop.engine.update_payment_intent(payment.id, total_cents=2500)
    assert dearer.total_cents == 2500
    ended = await shop.engine.cancel_payment((await shop.begin()).id)
    assert ended.status is PaymentStatus.CANCELED
    assert gateway.requests() == [], "nothing was sent"
    again = await shop.engine.sync_payment(ended.id)
    assert again.status is PaymentStatus.CANCELED, "a read does not open it again"
    synced = await shop.engine.sync_payment(payment.id)
    assert (synced.status, synced.total_cents) == (PaymentStatus.PENDING, 2500)
    paid = await shop.confirm(payment)
    assert paid.captured_cents == 2500


async def test_a_card_is_charged_once_and_read_by_its_transaction(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    payment = await shop.paid(1999, description="Two apples & one “pear”")
    assert (payment.status, payment.captured_cents) == (PaymentStatus.SUCCEEDED, 1999)
    assert payment.client_secret is None
    (charge,) = gateway.charges()
    assert payment.provider_payment_id == charge["id"]
    assert payment.provider_intent_id == f"anet_{payment.reference}", "the intent is the payment's for life"
    assert (charge["invoice"], str(charge["amount"])) == (payment.reference, "19.99")
    assert charge["reference"] == (await shop.last(payment)).reference
    assert charge["description"] == "Two apples & one “pear”"
    before = len(gateway.requests())
    synced = await shop.engine.sync_payment(payment.id)
    assert (synced.status, synced.flag) == (PaymentStatus.SUCCEEDED, None)
    assert [each.operation for each in gateway.requests()[before:]] == [DETAILS], "one call"
    assert await shop.told(payment) == ["payment.created", "payment.success"]


@pytest.mark.parametrize("wallet", ["apple_pay", "google_pay"])
async def test_a_wallets_payload_is_charged(shop: Shop, gateway: FakeAuthorizeNet, wallet: str) -> None:
    payload = f"{wallet}:" + "eyJ2ZXJzaW9uIjoi/Abc+" * 150 + "=="
    payment = await shop.engine.confirm_payment((await shop.begin()).id, payment_method=payload)
    assert payment.status is PaymentStatus.SUCCEEDED
    assert gateway.charges()[0]["wallet"] == wallet


async def test_a_bank_account_pays_by_its_token_is_refunded_and_may_be_returned(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    payment = await shop.begin()
    paid = await shop.engine.confirm_payment(payment.id, payment_method=gateway.bank_token())
    assert paid.status is PaymentStatus.SUCCEEDED
    gateway.settle()
    refund = await shop.engine.refund_payment(payment.id, amount_cents=500)
    assert refund.status is RefundStatus.SUCCEEDED
    assert (await shop.engine.sync_payment(payment.id)).status is PaymentStatus.PARTIALLY_REFUNDED
    other = await shop.begin()
    await shop.engine.confirm_payment(other.id, payment_method=gateway.bank_token())
    gateway.settle()
    gateway.return_echeck(gateway.charges()[-1]["id"])
    returned = await shop.engine.sync_payment(other.id)
    assert (returned.status, returned.captured_cents) == (PaymentStatus.FAILED, 2000)
    (failed,) = [e for e in await shop.engine.list_events(other.id) if e.type == "payment.failed"]
    assert failed.data["after_success"] is True


async def test_a_payment_is_made_at_its_creation(shop: Shop, gateway: FakeAuthorizeNet) -> None:
    paid = await shop.begin(
        confirm=True,
        payment_method=gateway.token(),
        extra={"customerIP": "192.0.2.7", "billTo": {"zip": "1"}},
    )
    assert paid.status is PaymentStatus.SUCCEEDED
    with pytest.raises(PaymentDeclined):
        await shop.begin(confirm=True, payment_method=gateway.token("declined"), idempotency_key="k")
    assert len(gateway.charges()) == 1
    (declined,) = gateway.transactions(status="declined")
    payment = await shop.engine.sync_payment(f"anet_{declined['invoice']}")
    assert (payment.status, payment.decline_code) == (PaymentStatus.PENDING, "declined")
    assert (await shop.confirm(payment)).status is PaymentStatus.SUCCEEDED


@pytest.mark.parametrize(
    ("card", "code", "theirs"),
    [
        ("declined", "declined", "2"),
        ("wrong_code", "incorrect_cvc", "65"),
        ("expired", "expired_card", "8"),
        ("unsupported", "card_not_supported", "17"),
    ],
)
async def test_a_refused_card_leaves_the_payment_to_another_one(
    shop: Shop, gateway: FakeAuthorizeNet, card: str, code: str, theirs: str
) -> None:
    payment = await shop.begin()
    with pytest.raises(PaymentDeclined) as refused:
        await shop.confirm(payment, card)
    assert (refused.value.decline_code, refused.value.provider_code) == (code, theirs)
    open_still = await shop.engine.sync_payment(payment.id)
    assert (open_still.status, open_still.decline_code) == (PaymentStatus.PENDING, code)
    assert (await shop.confirm(payment)).status is PaymentStatus.SUCCEEDED
    assert (await shop.told(payment)).count("payment.failed") == 1
    assert len(gateway.charges()) == 1


async def test_a_corrected_card_is_no_duplicate_of_the_refused_one(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    """Whoever mistyped the code pays with the same number a minute later, well within the eight hours."""
    payment = await shop.begin()
    for _ in range(2):
        with pytest.raises(PaymentDeclined):
            await shop.confirm(payment, "wrong_code")
    assert len(gateway.transactions(status="declined")) == 2


async def test_an_authorisation_is_collected_in_part_and_the_rest_is_released(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    held = await shop.held()
    assert (held.status, held.authorized_cents, held.captured_cents) == (
        PaymentStatus.REQUIRES_CAPTURE, 2000, 0,
    )  # fmt: skip
    assert (await shop.engine.sync_payment(held.id)).status is PaymentStatus.REQUIRES_CAPTURE
    taken = await shop.engine.capture_payment(held.id, amount_cents=700)
    assert (taken.status, taken.captured_cents) == (PaymentStatus.SUCCEEDED, 700)
    for _ in range(2):
        synced = await shop.engine.sync_payment(held.id)
        assert (synced.status, synced.captured_cents, synced.flag) == (PaymentStatus.SUCCEEDED, 700, None)
        gateway.settle()
    assert str(gateway.balance()) == "7.00"
    with pytest.raises(UnsupportedOperation):
        await shop.engine.capture_payment((await shop.held()).id, amount_cents=700, final=False)


async def test_an_authorisation_is_released_by_a_void(shop: Shop, gateway: FakeAuthorizeNet) -> None:
    held = await shop.held()
    ended = await shop.engine.cancel_payment(held.id)
    assert (ended.status, ended.captured_cents) == (PaymentStatus.CANCELED, 0)
    assert gateway.charges() == []
    assert (await shop.engine.sync_payment(held.id)).status is PaymentStatus.CANCELED


async def test_a_capture_after_somebody_voided_ends_in_the_truth(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    held = await shop.held()
    gateway.void_in_dashboard(str(held.provider_payment_id))
    seen = await shop.engine.capture_payment(held.id)
    assert (seen.status, seen.captured_cents) == (PaymentStatus.CANCELED, 0)


async def test_an_authorisation_that_expired_is_canceled(shop: Shop, gateway: FakeAuthorizeNet) -> None:
    held = await shop.held()
    gateway.expire(str(held.provider_payment_id))
    assert (await shop.engine.sync_payment(held.id)).status is PaymentStatus.CANCELED


# --- refunds and settlement -----------------------------------------------------------------------


async def test_all_of_an_unsettled_payment_is_given_back_by_a_void(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    payment = await shop.paid()
    refund = await shop.engine.refund_payment(payment.id)
    assert refund.status is RefundStatus.SUCCEEDED
    assert refund.provider_refund_id == f"void-{payment.provider_payment_id}"
    assert [each.transaction for each in gateway.requests(VOID)] == [VOID]
    assert gateway.requests(REFUND) == []
    for _ in range(2):
        row = await shop.engine.sync_payment(payment.id)
        assert (row.status, row.captured_cents, row.refunded_cents) == (PaymentStatus.REFUNDED, 2000, 2000)
    assert len(await shop.refunds(payment)) == 1
    assert gateway.balance() == 0


async def test_a_part_of_an_unsettled_payment_waits_and_is_given_back_after_settlement(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    payment = await shop.paid()
    refund = await shop.engine.refund_payment(payment.id, amount_cents=500)
    assert refund.status is RefundStatus.WAITING
    assert "settled" in (refund.error_message or "")
    row = await shop.row(payment)
    assert (row.status, row.refunded_cents, row.refund_reserved_cents) == (PaymentStatus.SUCCEEDED, 0, 500)
    with pytest.raises(InvalidRequest):
        await shop.engine.refund_payment(payment.id, amount_cents=1501)
    await shop.work(minutes=3)
    assert gateway.requests(REFUND) == gateway.requests(VOID) == [], "waiting moves nothing"
    for hours in (1, 6, 20, 25):  # the gateway settles meanwhile, after a day
        await shop.work(hours=hours)
    (refund,) = await shop.refunds(payment)
    assert refund.status is RefundStatus.SUCCEEDED
    row = await shop.row(payment)
    assert (row.status, row.refunded_cents) == (PaymentStatus.PARTIALLY_REFUNDED, 500)
    assert [str(each["amount"]) for each in gateway.refunds()] == ["5.00"]
    assert (await shop.told(payment)).count("refund.created") == 1


@pytest.mark.parametrize("heard", [True, False], ids=["heard", "unheard"])
async def test_a_waiting_refund_fails_when_the_payment_is_voided_in_the_dashboard(
    shop: Shop, gateway: FakeAuthorizeNet, heard: bool
) -> None:
    payment = await shop.paid()
    await shop.engine.refund_payment(payment.id, amount_cents=500)
    gateway.void_in_dashboard(str(payment.provider_payment_id))
    if heard:
        await shop.hear()
    for _ in range(3):
        await shop.work(days=1, minutes=1)
    row = await shop.row(payment)
    assert (row.status, row.refunded_cents, row.refund_reserved_cents) == (PaymentStatus.REFUNDED, 2000, 2000)
    mine, void = await shop.refunds(payment)
    assert (mine.amount_cents, mine.status) == (500, RefundStatus.FAILED)
    assert (void.amount_cents, void.status) == (2000, RefundStatus.SUCCEEDED)
    assert (await shop.told(payment)).count("refund.failed") == 1
    assert gateway.requests(REFUND) == []
    assert row.next_sync_at is None, "nothing is awaited any more"


async def test_a_waiting_refund_fails_when_the_charge_could_not_settle(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    payment = await shop.paid()
    await shop.engine.refund_payment(payment.id, amount_cents=500)
    with gateway.books.lock:
        gateway.books.transactions[str(payment.provider_payment_id)].status = "settlementError"
    for _ in range(3):
        await shop.work(days=1, minutes=1)
    row = await shop.row(payment)
    assert (row.status, row.refund_reserved_cents, row.next_sync_at) == (PaymentStatus.FAILED, 0, None)
    (mine,) = await shop.refunds(payment)
    assert mine.status is RefundStatus.FAILED
    assert (await shop.told(payment)).count("refund.failed") == 1


async def test_a_settled_payment_is_refunded_in_parts_and_not_one_cent_more(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    payment = await shop.paid()
    gateway.settle()
    for cents in (500, 700, 800):
        refund = await shop.engine.refund_payment(payment.id, amount_cents=cents)
        assert refund.status is RefundStatus.SUCCEEDED
    assert (await shop.row(payment)).status is PaymentStatus.REFUNDED
    with pytest.raises(IllegalState):
        await shop.engine.refund_payment(payment.id, amount_cents=1)
    gateway.settle()
    row = await shop.engine.sync_payment(payment.id)
    assert (row.refunded_cents, row.refund_reserved_cents) == (2000, 2000)
    assert len(await shop.refunds(payment)) == len(gateway.refunds()) == 3


async def test_what_was_refunded_in_the_dashboard_is_heard_and_cannot_be_refunded_again(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    payment = await shop.paid()
    gateway.settle()
    gateway.refund_in_dashboard(str(payment.provider_payment_id), "15.00")
    with pytest.raises(ProviderRejected):
        await shop.engine.refund_payment(payment.id, amount_cents=600)
    await shop.hear()
    row = await shop.row(payment)
    assert (row.status, row.refunded_cents) == (PaymentStatus.PARTIALLY_REFUNDED, 1500)
    made, failed = sorted(await shop.refunds(payment), key=lambda refund: -refund.amount_cents)
    assert (made.status, made.operation_id) == (RefundStatus.SUCCEEDED, None)
    assert failed.status is RefundStatus.FAILED
    await shop.hear()
    assert len(await shop.refunds(payment)) == 2, "a second copy changes nothing"


async def test_a_refund_that_was_voided_in_the_dashboard_did_not_happen(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    payment = await shop.paid()
    gateway.settle()
    refund = await shop.engine.refund_payment(payment.id, amount_cents=500)
    gateway.void_in_dashboard(str(refund.provider_refund_id))
    await shop.hear()
    row = await shop.row(payment)
    assert (row.status, row.refunded_cents, row.refundable_cents) == (PaymentStatus.SUCCEEDED, 0, 2000)
    assert (await shop.refunds(payment))[0].status is RefundStatus.CANCELED


async def test_a_payment_that_was_voided_in_the_dashboard_is_refunded(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    payment = await shop.paid()
    gateway.void_in_dashboard(str(payment.provider_payment_id))
    await shop.hear()
    row = await shop.row(payment)
    assert (row.status, row.captured_cents, row.refunded_cents) == (PaymentStatus.REFUNDED, 2000, 2000)


async def test_a_charge_back_is_a_dispute(shop: Shop, gateway: FakeAuthorizeNet) -> None:
    payment = await shop.paid()
    gateway.settle()
    gateway.charge_back(str(payment.provider_payment_id))
    assert (await shop.engine.sync_payment(payment.id)).disputed_cents == 2000
    with pytest.raises(IllegalState, match="disputed"):
        await shop.engine.refund_payment(payment.id, amount_cents=1)
    gateway.charge_back(str(payment.provider_payment_id), reversed_=True)
    assert (await shop.engine.sync_payment(payment.id)).disputed_cents == 0


# --- held for review ------------------------------------------------------------------------------


async def test_a_charge_that_is_held_is_processing_and_nothing_may_be_done_until_it_is_decided(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    payment = await shop.begin()
    held = await shop.confirm(payment, "held")
    assert (held.status, held.review, held.captured_cents) == (PaymentStatus.PROCESSING, True, 0)
    assert (await shop.confirm(payment)).status is PaymentStatus.PROCESSING, "answered, not charged again"
    with pytest.raises(IllegalState):
        await shop.engine.cancel_payment(payment.id)
    assert (await shop.engine.sync_payment(payment.id)).review is True
    assert len(gateway.charges()) == 1
    gateway.review(str(held.provider_payment_id), approved=True)
    await shop.work(minutes=3)  # the sweep, without any webhook
    row = await shop.row(payment)
    assert (row.status, row.review, row.captured_cents) == (PaymentStatus.SUCCEEDED, False, 2000)


async def test_a_held_charge_that_is_refused_leaves_the_payment_to_another_card(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    payment = await shop.begin()
    held = await shop.confirm(payment, "held")
    gateway.review(str(held.provider_payment_id), approved=False)
    await shop.hear()
    row = await shop.row(payment)
    assert (row.status, row.review, row.decline_code) == (PaymentStatus.PENDING, False, "fraudulent")
    paid = await shop.confirm(payment, "mastercard")
    assert paid.status is PaymentStatus.SUCCEEDED
    synced = await shop.engine.sync_payment(payment.id)
    assert (synced.status, synced.provider_payment_id) == (
        PaymentStatus.SUCCEEDED, paid.provider_payment_id,
    )  # fmt: skip


async def test_a_held_authorisation_is_collected_after_its_approval(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    payment = await shop.begin(capture_method="manual")
    held = await shop.confirm(payment, "held")
    gateway.review(str(held.provider_payment_id), approved=True)
    assert (await shop.engine.sync_payment(payment.id)).status is PaymentStatus.REQUIRES_CAPTURE
    assert (await shop.engine.capture_payment(payment.id)).captured_cents == 2000


# --- answers that never came: one charge on a gateway without keys --------------------------------


@pytest.mark.parametrize("fault", DONE + NOT_DONE)
async def test_a_lost_confirm_is_found_or_proved_absent_and_never_repeated(
    shop: Shop, gateway: FakeAuthorizeNet, fault: str
) -> None:
    payment = await shop.begin()
    token = gateway.token()
    gateway.spoil(fault, CHARGE)
    lost = await shop.engine.confirm_payment(payment.id, payment_method=token, idempotency_key="k")
    assert (lost.status, bool(lost.unknown_operation_id)) == (PaymentStatus.PROCESSING, True)
    with pytest.raises(OperationInProgress):
        await shop.engine.confirm_payment(payment.id, payment_method=gateway.token())
    await shop.resolve()
    row = await shop.row(payment)
    assert len(gateway.requests(CHARGE)) == 1, "nothing is repeated on a gateway without keys"
    operation = await shop.last(payment)
    if fault in DONE:
        assert (row.status, row.captured_cents) == (PaymentStatus.SUCCEEDED, 2000)
        assert operation.state is OperationState.SUCCEEDED
    else:
        assert (row.status, row.captured_cents) == (PaymentStatus.PENDING, 0)
        assert operation.state is OperationState.ABANDONED
        assert "carries the invoice" in (operation.resolution or "")
        assert (await shop.confirm(payment)).status is PaymentStatus.SUCCEEDED
    assert len(gateway.charges()) == 1
    assert (await shop.told(payment)).count("payment.success") == 1


async def test_absence_is_not_believed_before_fifteen_minutes_nor_at_the_first_look(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    """The lists are behind: at first they do not show a charge that was made."""
    payment = await shop.begin()
    gateway.lag(timedelta(minutes=14))
    gateway.lose_next_answer(CHARGE)
    await shop.confirm(payment)
    for _ in range(9):
        await shop.work(seconds=90)
        assert (await shop.last(payment)).is_open
    await shop.resolve()
    assert (await shop.row(payment)).captured_cents == 2000
    other = await shop.begin()
    gateway.spoil("drop_before", CHARGE)
    await shop.confirm(other)
    began = gateway.clock()
    while (await shop.last(other)).is_open:
        await shop.work(seconds=30)
    assert gateway.clock() - began >= timedelta(minutes=15, seconds=85 + 60)


async def test_a_lost_charge_that_settled_meanwhile_is_found_in_its_batch(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    await shop.paid()
    payment = await shop.begin()
    gateway.lose_next_answer(CHARGE)
    await shop.confirm(payment)
    gateway.settle()
    await shop.paid()
    await shop.resolve()
    row = await shop.row(payment)
    assert (row.status, row.captured_cents) == (PaymentStatus.SUCCEEDED, 2000)


async def test_a_lost_decline_is_found_as_a_decline(shop: Shop, gateway: FakeAuthorizeNet) -> None:
    payment = await shop.begin()
    with pytest.raises(PaymentDeclined):
        await shop.confirm(payment, "declined")
    gateway.lose_next_answer(CHARGE)
    await shop.confirm(payment, "wrong_code")
    await shop.resolve()
    row = await shop.row(payment)
    assert (row.status, row.decline_code) == (PaymentStatus.PENDING, "incorrect_cvc")
    assert (await shop.last(payment)).state is OperationState.REJECTED


async def test_a_decline_of_before_is_not_the_answer_to_a_lost_charge(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    """Where transactions do not show by which call they were made: ours is younger than what is known."""
    payment = await shop.begin()
    for card in ("declined", "wrong_code"):
        with pytest.raises(PaymentDeclined):
            await shop.confirm(payment, card)
    gateway.spoil("drop_before", CHARGE)
    await shop.confirm(payment)
    for made in gateway.books.transactions.values():
        made.reference = ""
    await shop.resolve()
    assert (await shop.last(payment)).state is OperationState.ABANDONED
    assert (await shop.told(payment)).count("payment.failed") == 2


@pytest.mark.parametrize("fault", ["drop_after", "drop_before"])
async def test_a_lost_payment_at_creation_is_found_or_never_began(
    shop: Shop, gateway: FakeAuthorizeNet, fault: str
) -> None:
    gateway.spoil(fault, CHARGE)
    lost = await shop.begin(confirm=True, payment_method=gateway.token())
    assert lost.unknown_operation_id
    await shop.resolve()
    row = await shop.row(lost)
    assert row.status is (PaymentStatus.SUCCEEDED if fault == "drop_after" else PaymentStatus.FAILED)
    assert len(gateway.charges()) == (1 if fault == "drop_after" else 0)


@pytest.mark.parametrize("fault", ["drop_after", "drop_before", "error_after"])
async def test_a_lost_capture_is_told_from_the_authorisation_itself(
    shop: Shop, gateway: FakeAuthorizeNet, fault: str
) -> None:
    held = await shop.held()
    gateway.spoil(fault, CAPTURE)
    await shop.engine.capture_payment(held.id, amount_cents=700)
    await shop.resolve()
    row = await shop.row(held)
    assert len(gateway.requests(CAPTURE)) == 1
    if fault == "drop_before":
        assert (row.status, row.captured_cents) == (PaymentStatus.REQUIRES_CAPTURE, 0)
        await shop.engine.capture_payment(held.id, amount_cents=700)
    assert (await shop.row(held)).captured_cents == 700
    assert str(gateway.balance()) == "7.00"


@pytest.mark.parametrize("fault", ["drop_after", "drop_before", "error_after"])
async def test_a_lost_release_is_told_from_the_authorisation_itself(
    shop: Shop, gateway: FakeAuthorizeNet, fault: str
) -> None:
    held = await shop.held()
    gateway.spoil(fault, VOID)
    await shop.engine.cancel_payment(held.id)
    await shop.resolve()
    released = fault != "drop_before"
    row = await shop.row(held)
    assert row.status is (PaymentStatus.CANCELED if released else PaymentStatus.REQUIRES_CAPTURE)
    assert bool(gateway.charges()) is not released


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("fault", ["drop_after", "drop_before", "error_after"])
async def test_a_lost_refund_is_made_once_or_proved_absent(
    shop: Shop, gateway: FakeAuthorizeNet, fault: str, settled: bool
) -> None:
    payment = await shop.paid()
    if settled:
        gateway.settle()
    gateway.spoil(fault, REFUND if settled else VOID)
    refund = await shop.engine.refund_payment(payment.id)
    assert refund.status is RefundStatus.PENDING
    # Somebody reads the payment meanwhile, and hears the gateway's own news.
    await shop.engine.sync_payment(payment.id)
    await shop.hear()
    await shop.resolve()
    (refund,) = await shop.refunds(payment)
    row = await shop.row(payment)
    if fault == "drop_before":
        assert (refund.status, row.refunded_cents) == (RefundStatus.FAILED, 0)
        assert row.refundable_cents == 2000
        await shop.engine.refund_payment(payment.id)
    else:
        assert (refund.status, row.refunded_cents) == (RefundStatus.SUCCEEDED, 2000)
    assert gateway.balance() == 0
    assert (await shop.row(payment)).status is PaymentStatus.REFUNDED


async def test_a_void_is_no_lost_refund_of_a_part(shop: Shop, gateway: FakeAuthorizeNet) -> None:
    """Its sender died before it asked, and somebody voided all of the charge in the dashboard meanwhile."""
    payment = await shop.paid()
    charge = str(payment.provider_payment_id)
    gateway.void_in_dashboard(charge)
    for cents, kind in ((500, Absent), (2000, Found)):
        known = KnownPayment(
            reference=str(payment.provider_intent_id), total=payment.total, status=payment.status,
            charge=charge, captured=2000,
        )  # fmt: skip
        lost = Evidence(
            verb=Verb.REFUND, reference=new_reference(), key="op_1", payment=known.reference, known=known,
            amount=Money(cents, "USD"), refund_id="ref_1", started_at=gateway.clock(),
        )  # fmt: skip
        assert isinstance(await shop.engine.provider("anet").find_operation(lost), kind)


async def test_a_gateway_that_cannot_be_read_before_a_refund_has_refunded_nothing(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    payment = await shop.paid()
    gateway.spoil("error_before", DETAILS, times=9)
    with pytest.raises(Unavailable, match="nothing was refunded"):
        await shop.engine.refund_payment(payment.id)
    assert gateway.requests(VOID) == gateway.requests(REFUND) == []
    gateway.faults.clear()
    assert (await shop.engine.refund_payment(payment.id)).status is RefundStatus.SUCCEEDED


async def test_a_webhook_finds_a_charge_whose_answer_was_lost_before_any_list_shows_it(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    payment = await shop.begin()
    gateway.lag(timedelta(hours=2))
    gateway.lose_next_answer(CHARGE)
    await shop.confirm(payment)
    await shop.hear()
    row = await shop.row(payment)
    assert (row.status, row.captured_cents) == (PaymentStatus.SUCCEEDED, 2000)
    assert row.provider_payment_id == gateway.charges()[0]["id"]
    assert (await shop.told(payment)).count("payment.success") == 1


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
async def test_events_end_in_the_same_row_in_any_order_and_in_any_number_of_copies(
    shop: Shop, gateway: FakeAuthorizeNet, order: tuple[int, ...]
) -> None:
    """The answer was lost, the list is silent, and people refunded twice: all that we have are events."""
    payment = await shop.begin()
    gateway.lose_next_answer(CHARGE)
    await shop.confirm(payment)
    gateway.settle()
    charge = gateway.charges()[0]["id"]
    for amount in ("3.00", "4.00"):
        gateway.refund_in_dashboard(charge, amount)
    events = gateway.events()
    for number in (*order, *order):
        await shop.engine.receive_webhook("anet", signed(gateway, events[number]))
        await shop.engine.process_inbox()
        gateway.clock.move(timedelta(seconds=61))
        await shop.engine.process_inbox()
    row = await shop.row(payment)
    assert (row.status, row.captured_cents, row.refunded_cents, row.refund_reserved_cents) == (
        PaymentStatus.PARTIALLY_REFUNDED, 2000, 700, 700,
    )  # fmt: skip
    assert sorted(refund.amount_cents for refund in await shop.refunds(payment)) == [300, 400]
    told = await shop.told(payment)
    assert (told.count("payment.success"), told.count("refund.succeeded")) == (1, 2)


async def test_an_operator_is_not_believed_that_something_else_is_a_refund_that_was_lost(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    """A charge shows no refunds of it, so the row that an operator's word had filled in passed for one."""
    payment, other = await shop.paid(), await shop.paid()
    gateway.settle()
    charge = gateway.charges()[0]["id"]
    strange = gateway.refund_in_dashboard(str(other.provider_payment_id), "5.00")
    gateway.lose_next_answer(REFUND)
    for lists in (UNSETTLED, BATCHES):
        gateway.spoil("error_before", lists, times=1_000_000)
    lost = await shop.engine.refund_payment(payment.id, amount_cents=500)
    assert lost.operation_id is not None
    [mine] = [each["id"] for each in gateway.refunds() if each["original"] == charge]
    gateway.clock.move(timedelta(minutes=2))
    for named in (charge, strange):
        with pytest.raises(Contradicted, match="shows no such refund"):
            await shop.engine.resolve_operation(
                lost.operation_id, outcome="executed", reference=named, evidence="the dashboard"
            )
    [refund] = await shop.refunds(payment)
    assert (refund.status, refund.provider_refund_id) == (RefundStatus.PENDING, None)
    ended = await shop.engine.resolve_operation(
        lost.operation_id, outcome="executed", reference=mine, evidence="the dashboard"
    )
    assert ended.state is OperationState.SUCCEEDED
    [refund] = await shop.refunds(payment)
    assert (refund.status, refund.provider_refund_id) == (RefundStatus.SUCCEEDED, mine)
    assert (await shop.row(payment)).refunded_cents == 500


async def test_a_duplicate_of_a_charge_that_we_lost_is_that_charge(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    """The lists were silent for too long, and the payer came back with the same card."""
    payment = await shop.begin()
    gateway.lag(timedelta(minutes=40))
    gateway.lose_next_answer(CHARGE)
    await shop.confirm(payment)
    await shop.resolve()
    assert (await shop.last(payment)).state is OperationState.ABANDONED, "this gateway lags beyond reason"
    gateway.lag(timedelta())
    paid = await shop.confirm(payment)
    assert (paid.status, paid.captured_cents) == (PaymentStatus.SUCCEEDED, 2000)
    assert len(gateway.charges()) == 1, "refused as a duplicate, and read instead"


async def _lost_for_good(shop: Shop, **more: Any) -> Payment:
    """A payment whose charge no list shows, for longer than anybody believes."""
    payment = await shop.begin(**more)
    shop.gateway.lag(timedelta(minutes=40))
    shop.gateway.lose_next_answer(CHARGE)
    await shop.confirm(payment)
    await shop.resolve()
    assert (await shop.last(payment)).state is OperationState.ABANDONED
    return payment


@pytest.mark.parametrize("by", ["webhook", "sweep"])
async def test_a_charge_that_comes_to_light_after_the_payer_paid_again_is_told_once(
    shop: Shop, gateway: FakeAuthorizeNet, by: str, caplog: pytest.LogCaptureFixture
) -> None:
    payment = await _lost_for_good(shop)
    paid = await shop.confirm(payment, "mastercard")
    first, second = gateway.charges()
    assert paid.provider_payment_id == second["id"]
    if by == "webhook":
        await shop.hear()
        await shop.hear()
    else:
        gateway.lag(timedelta())
        gateway.settle()
    for _ in range(3):
        await shop.work(days=1, minutes=1)
    row = await shop.row(payment)
    assert (row.status, row.captured_cents, row.flag) == (
        PaymentStatus.SUCCEEDED, 2000, PaymentFlag.ANOTHER_CHARGE,
    )  # fmt: skip
    assert row.provider_payment_id == second["id"]
    assert first["id"] in (row.error_message or "")
    events = await shop.engine.list_events(payment.id)
    (told,) = [event for event in events if event.type == "payment.mismatch"]
    assert told.data == {"reason": "another charge", "charges": [first["id"]]}
    assert [each.type for each in events].count("payment.success") == 1
    assert sum("another charge" in record.getMessage() for record in caplog.records) == 1
    assert gateway.requests(REFUND) == gateway.requests(VOID) == [], "nothing is given back by itself"
    assert row.next_sync_at is None, "the looks are bounded"
    synced = await shop.engine.sync_payment(payment.id)
    assert synced.flag is PaymentFlag.ANOTHER_CHARGE, "the mark stays"


async def test_a_charge_that_comes_to_light_after_a_cancel_is_the_payments(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    payment = await _lost_for_good(shop)
    ended = await shop.engine.cancel_payment(payment.id)
    assert ended.status is PaymentStatus.CANCELED
    gateway.lag(timedelta())
    gateway.settle()
    await shop.work(days=1, minutes=1)
    row = await shop.row(payment)
    assert (row.status, row.captured_cents, row.flag) == (PaymentStatus.SUCCEEDED, 2000, None)
    other = await shop.begin()
    await shop.engine.cancel_payment(other.id)
    for _ in range(3):
        await shop.work(days=1, minutes=1)
    row = await shop.row(other)
    assert (row.status, row.next_sync_at) == (PaymentStatus.CANCELED, None)


@pytest.mark.parametrize("made", [True, False])
async def test_a_payment_that_was_given_up_at_its_creation_is_looked_for_for_two_days(
    shop: Shop, gateway: FakeAuthorizeNet, made: bool
) -> None:
    gateway.lag(timedelta(minutes=40))
    gateway.spoil("drop_after" if made else "drop_before", CHARGE)
    lost = await shop.begin(confirm=True, payment_method=gateway.token())
    await shop.resolve()
    assert (await shop.row(lost)).status is PaymentStatus.FAILED
    gateway.lag(timedelta())
    for hours in (0.1, 1, 7, 25, 25):
        await shop.work(hours=hours)
    row = await shop.row(lost)
    assert row.status is (PaymentStatus.SUCCEEDED if made else PaymentStatus.FAILED)
    assert row.captured_cents == (2000 if made else 0)
    assert row.next_sync_at is None
    assert (await shop.told(lost)).count("payment.success") == int(made)


async def test_two_charges_in_one_list_are_one_too_many(shop: Shop, gateway: FakeAuthorizeNet) -> None:
    payment = await shop.begin()
    gateway.lose_next_answer(CHARGE)
    await shop.confirm(payment)
    (lost,) = gateway.charges()
    with gateway.books.lock:
        twin = replace(gateway.books.transactions[lost["id"]], id=str(int(lost["id"]) + 1))
        gateway.books.transactions[twin.id] = twin
    await shop.resolve()
    row = await shop.row(payment)
    assert (row.status, row.flag) == (PaymentStatus.SUCCEEDED, PaymentFlag.ANOTHER_CHARGE)
    assert (await shop.told(payment)).count("payment.mismatch") == 1


async def test_a_paid_charge_is_read_until_it_has_settled_and_no_longer(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    payment = await shop.paid()
    before = len(gateway.requests())
    for _ in range(10):
        await shop.work(hours=2)
    assert len(gateway.requests()) == before, "before its first day is over nobody asks"
    for _ in range(5):
        await shop.work(days=1)
    assert [each.operation for each in gateway.requests()[before:]] == [DETAILS], "one look"
    assert (await shop.row(payment)).next_sync_at is None
    failed = await shop.paid()
    with gateway.books.lock:
        gateway.books.transactions[str(failed.provider_payment_id)].status = "settlementError"
    await shop.work(days=1, minutes=1)
    row = await shop.row(failed)
    assert (row.status, row.next_sync_at) == (PaymentStatus.FAILED, None), "no webhook said so"


async def test_an_echeck_is_read_until_it_can_be_returned_no_more(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    payment, other = await shop.begin(), await shop.begin()
    for each in (payment, other):
        await shop.engine.confirm_payment(each.id, payment_method=gateway.bank_token())
    before = len(gateway.requests())
    for _ in range(20):
        await shop.work(days=1, minutes=1)
    gateway.return_echeck(str((await shop.row(other)).provider_payment_id))
    for _ in range(60):
        await shop.work(days=1, minutes=1)
    row = await shop.row(other)
    assert (row.status, row.next_sync_at) == (PaymentStatus.FAILED, None), "returned after weeks"
    row = await shop.row(payment)
    assert (row.status, row.next_sync_at) == (PaymentStatus.SUCCEEDED, None)
    assert len(gateway.requests()) - before <= 2 * 15, "a look a week"


# --- what is refused ------------------------------------------------------------------------------


async def test_another_currency_sends_nothing_and_writes_nothing(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    with pytest.raises(InvalidRequest, match="USD only"):
        await shop.engine.create_payment_intent(total_cents=100, currency="EUR")
    assert gateway.requests() == []


@pytest.mark.parametrize(
    ("method", "refusal"),
    [
        ("4111111111111111", InvalidRequest),
        ("4111-1111-1111-1111", InvalidRequest),
        ("accept:4111111111111111x", InvalidRequest),
        ("profile:1", ProviderRejected),
        ("short", ProviderRejected),
        (None, ProviderRejected),
    ],
)
async def test_a_card_number_or_nonsense_is_refused_before_a_byte_is_sent(
    shop: Shop, gateway: FakeAuthorizeNet, method: str | None, refusal: type[Exception]
) -> None:
    payment = await shop.begin()
    with pytest.raises(refusal):
        await shop.engine.confirm_payment(payment.id, payment_method=method)
    assert gateway.requests() == []
    assert (await shop.row(payment)).status is PaymentStatus.PENDING


async def test_a_token_is_good_once_and_for_a_quarter_of_an_hour(
    shop: Shop, gateway: FakeAuthorizeNet
) -> None:
    token = gateway.token()
    await shop.engine.confirm_payment((await shop.begin()).id, payment_method=token)
    payment = await shop.begin()
    with pytest.raises(ProviderRejected) as used:
        await shop.engine.confirm_payment(payment.id, payment_method=token)
    assert used.value.provider_code == "E00114"
    late = gateway.token()
    gateway.clock.move(timedelta(minutes=16))
    with pytest.raises(ProviderRejected) as expired:
        await shop.engine.confirm_payment(payment.id, payment_method=late)
    assert expired.value.provider_code == "E00115"
    assert (await shop.confirm(payment)).status is PaymentStatus.SUCCEEDED


async def test_an_account_in_test_mode_has_charged_nothing(shop: Shop, gateway: FakeAuthorizeNet) -> None:
    gateway.test_mode = True
    payment = await shop.begin()
    with pytest.raises(ProviderRejected, match="Test Mode"):
        await shop.confirm(payment)
    assert (await shop.row(payment)).captured_cents == 0


async def test_another_amount_at_the_gateway_is_a_mismatch(shop: Shop, gateway: FakeAuthorizeNet) -> None:
    payment = await shop.begin()
    gateway.lose_next_answer(CHARGE)
    await shop.confirm(payment)
    with gateway.books.lock:
        (charge,) = gateway.books.transactions.values()
        charge.amount = charge.settles = charge.amount * 2
    await shop.resolve()
    row = await shop.row(payment)
    assert (row.status, row.flag) == (PaymentStatus.PROCESSING, PaymentFlag.MISMATCH)
    assert "payment.mismatch" in await shop.told(payment)


async def test_a_notification_of_somebody_else_changes_nothing(shop: Shop, gateway: FakeAuthorizeNet) -> None:
    payment = await shop.paid()
    (event,) = gateway.events()
    with pytest.raises(Exception, match="does not fit"):
        await shop.engine.receive_webhook("anet", signed(gateway, event, key="A" * 128))
    stranger = {**event, "notificationId": "n-2", "payload": {"entityName": "transaction", "id": "1"}}
    await shop.engine.receive_webhook("anet", signed(gateway, stranger))
    await shop.engine.process_inbox()
    assert (await shop.row(payment)).version == payment.version
    first = await shop.engine.receive_webhook("anet", signed(gateway, event))
    second = await shop.engine.receive_webhook("anet", signed(gateway, event))
    assert (first.duplicate, second.duplicate) == (False, True)
