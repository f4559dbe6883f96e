"""Disputes at PayPal: read with their payment, each cent counted once, and never in a payment's way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from bridge_payments.errors import ProviderUnknown
from bridge_payments.models import DisputeStatus, Money, Noun, PaymentStatus
from bridge_payments.providers.base import ConfirmRequest, IntentRequest, KnownPayment, ProviderPayment, Step
from bridge_payments.providers.paypal import PayPalProvider
from bridge_payments.providers.paypal.events import event_from
from bridge_payments.sandbox.paypal import FakePayPal
from bridge_payments.transport import Transport

pytestmark = pytest.mark.anyio

USD = Money(2000, "USD")


@pytest.fixture(scope="module")
def listening() -> Iterator[FakePayPal]:
    with FakePayPal() as gateway:
        yield gateway


@pytest.fixture
def gateway(listening: FakePayPal) -> FakePayPal:
    listening.reset(endpoints=True)
    listening.webhooks.off = True
    return listening


@pytest.fixture
async def account(gateway: FakePayPal) -> AsyncIterator[PayPalProvider]:
    transport = Transport()
    account = PayPalProvider(
        client_id=gateway.client_id,
        client_secret=gateway.client_secret,
        webhook_ids=["8PT597110X687430L"],
        transport=transport,
        api_base=gateway.url,
    )
    yield account
    await account.aclose()
    await transport.aclose()


@pytest.fixture
async def paid(account: PayPalProvider, gateway: FakePayPal) -> ProviderPayment:
    asked = IntentRequest(
        amount=USD, payment_id="pay_1", reference="reference00000000001", payment_method="paypal"
    )
    begun = await account.create_payment_intent(asked, step=Step(key="op-1", reference=asked.reference))
    gateway.approve(begun.reference)
    confirm = ConfirmRequest(payment=begun.reference, amount=USD)
    return await account.confirm_payment(confirm, step=Step(key="op-2", reference="reference00000000002"))


def known(paid: ProviderPayment, hint: str | None = None) -> KnownPayment:
    return KnownPayment(
        reference=paid.reference,
        charge=paid.charge,
        total=USD,
        status=PaymentStatus.SUCCEEDED,
        captured=2000,
        hint=hint,
    )


@pytest.mark.parametrize(
    ("outcome", "status", "disputed"),
    [
        ("RESOLVED_BUYER_FAVOUR", DisputeStatus.LOST, 1500),
        ("ACCEPTED", DisputeStatus.LOST, 1500),
        ("RESOLVED_SELLER_FAVOUR", DisputeStatus.WON, 0),
        ("DENIED", DisputeStatus.WON, 0),
        ("CANCELED_BY_BUYER", DisputeStatus.CLOSED, 0),
        ("RESOLVED_WITH_PAYOUT", DisputeStatus.CLOSED, 0),
        ("NONE", DisputeStatus.CLOSED, 0),
    ],
)
async def test_a_dispute_is_read_with_its_payment_until_it_is_decided(
    account: PayPalProvider,
    gateway: FakePayPal,
    paid: ProviderPayment,
    outcome: str,
    status: DisputeStatus,
    disputed: int,
) -> None:
    assert (await account.sync_payment_status(paid.reference)).disputes == ()
    part = {"currency_code": "USD", "value": "15.00"}
    begun = gateway.open_dispute(str(paid.charge), part)
    event = event_from(gateway.events("CUSTOMER.DISPUTE.CREATED")[0])
    assert (event.noun, event.reference) == (Noun.PAYMENT, paid.charge)
    seen = await account.sync_known_payment(known(paid, event.reference))
    assert seen.disputes is not None
    (dispute,) = seen.disputes
    assert (dispute.reference, dispute.status, dispute.amount) == (
        begun["dispute_id"], DisputeStatus.OPEN, Money(1500, "USD"),
    )  # fmt: skip
    assert (dispute.payment, dispute.charge, dispute.reason) == (paid.reference, paid.charge, "UNAUTHORISED")
    assert dispute.evidence_due_by is not None
    assert (seen.status, seen.captured, seen.disputed) == (PaymentStatus.SUCCEEDED, 2000, 1500)
    gateway.resolve_dispute(begun["dispute_id"], outcome)
    seen = await account.sync_payment_status(paid.reference)
    assert seen.disputes is not None
    assert (seen.disputes[0].status, seen.disputed, seen.refunded) == (status, disputed, 0)


async def test_what_was_lost_whole_is_disputed_and_not_refunded_besides(
    account: PayPalProvider, gateway: FakePayPal, paid: ProviderPayment
) -> None:
    begun = gateway.open_dispute(str(paid.charge))
    gateway.resolve_dispute(begun["dispute_id"], "RESOLVED_BUYER_FAVOUR")
    assert gateway.captures()[0]["status"] == "REFUNDED"
    seen = await account.sync_payment_status(paid.reference)
    assert (seen.status, seen.captured, seen.disputed, seen.refunded) == (
        PaymentStatus.SUCCEEDED,
        2000,
        2000,
        0,
    )


async def test_a_refund_before_a_dispute_is_counted_as_a_refund(
    account: PayPalProvider, gateway: FakePayPal, paid: ProviderPayment
) -> None:
    gateway.refund_in_dashboard(str(paid.charge), {"currency_code": "USD", "value": "5.00"})
    begun = gateway.open_dispute(str(paid.charge), {"currency_code": "USD", "value": "15.00"})
    gateway.resolve_dispute(begun["dispute_id"], "ACCEPTED")
    seen = await account.sync_payment_status(paid.reference)
    assert (seen.disputed, seen.refunded) == (1500, 500)


@pytest.mark.parametrize("status", [403, 500])
async def test_a_payment_is_read_though_its_disputes_cannot_be(
    account: PayPalProvider, gateway: FakePayPal, paid: ProviderPayment, status: int, lab: Any
) -> None:
    lab.foreign.add(gateway.url)
    gateway.faults.add("error_before", path="/v1/customer/*", method="GET", status=status)
    seen = await account.sync_payment_status(paid.reference)
    assert (seen.status, seen.captured, seen.disputes) == (PaymentStatus.SUCCEEDED, 2000, None)
    gateway.faults.add("error_before", path="/v1/customer/*", method="GET", status=status)
    hinted = known(paid, paid.charge)
    if status == 403:  # the application may not: another try changes nothing
        assert (await account.sync_known_payment(hinted)).disputes is None
    else:
        with pytest.raises(ProviderUnknown):
            await account.sync_known_payment(hinted)
    assert lab.judge() == []
    lab.foreign.discard(gateway.url)  # PayPal publishes no 403 here, and says one all the same


async def test_an_order_that_took_nothing_is_not_asked_about(
    account: PayPalProvider, gateway: FakePayPal
) -> None:
    asked = IntentRequest(amount=USD, payment_id="pay_1", reference="reference00000000001")
    begun = await account.create_payment_intent(asked, step=Step(key="op-1", reference=asked.reference))
    await account.sync_payment_status(begun.reference)
    assert gateway.requests("/v1/customer") == []
