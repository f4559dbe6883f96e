"""The adapter against a PayPal that remembers: whole payments, and every call lost at its worst moment.

What is sent and what is answered is judged by PayPal's own descriptions while it happens (tests/lab).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from bridge_payments.errors import (
    InvalidSignature,
    ProviderDeclined,
    ProviderNeverSent,
    ProviderRejected,
    ProviderStateConflict,
    ProviderUnknown,
    Unavailable,
)
from bridge_payments.messages import Request
from bridge_payments.models import CaptureMethod, Money, NextActionKind, PaymentStatus, RefundStatus, Verb
from bridge_payments.providers.base import (
    Absent,
    CancelRequest,
    CannotSay,
    CaptureRequest,
    ConfirmRequest,
    Evidence,
    Found,
    IntentRequest,
    ProviderPayment,
    RefundRequest,
    Step,
)
from bridge_payments.providers.paypal import PayPalProvider
from bridge_payments.sandbox.paypal import FakePayPal
from bridge_payments.transport import Transport

pytestmark = pytest.mark.anyio

BACK = "https://shop.example/back"
USD = Money(2000, "USD")
WEBHOOK = "8PT597110X687430L"


@pytest.fixture(scope="module")
def listening() -> Iterator[FakePayPal]:
    with FakePayPal() as gateway:
        yield gateway


@pytest.fixture
def gateway(listening: FakePayPal) -> FakePayPal:
    listening.reset(endpoints=True)
    return listening


class Shop:
    """One account, and an operation's key and reference for each thing it does."""

    def __init__(self, account: PayPalProvider, gateway: FakePayPal) -> None:
        self.account, self.gateway = account, gateway
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
        facts: dict[str, Any] = {
            "amount": USD, "payment_id": "pay_1", "reference": step.reference, "return_url": BACK,
        }  # fmt: skip
        return await self.account.create_payment_intent(IntentRequest(**{**facts, **changes}), step=step)

    async def approved(self, instrument: str = "balance", **changes: Any) -> ProviderPayment:
        begun = await self.begin(**changes)
        self.gateway.approve(begun.reference, instrument)
        return await self.account.sync_payment_status(begun.reference)

    async def pay(self, instrument: str = "balance", **changes: Any) -> ProviderPayment:
        return await self.confirm(await self.approved(instrument, **changes))

    async def hold(self, **changes: Any) -> ProviderPayment:
        return await self.pay(capture_method=CaptureMethod.MANUAL, **changes)

    async def confirm(self, payment: ProviderPayment, step: Step | None = None) -> ProviderPayment:
        asked = ConfirmRequest(payment=payment.reference, amount=payment.amount)
        return await self.account.confirm_payment(asked, step=step or self.step())

    async def refund(self, payment: ProviderPayment, cents: int, step: Step | None = None) -> Any:
        step = step or self.step()
        asked = RefundRequest(
            payment=payment.reference,
            charge=payment.charge,
            refund_id=f"ref_{step.key}",
            amount=Money(cents, payment.amount.currency),
            reference=step.reference,
        )
        return await self.account.refund_payment(asked, step=step)


@pytest.fixture
async def shop(gateway: FakePayPal) -> AsyncIterator[Shop]:
    transport = Transport()
    account = PayPalProvider(
        client_id=gateway.client_id,
        client_secret=gateway.client_secret,
        webhook_ids=[WEBHOOK],
        transport=transport,
        api_base=gateway.url,
    )
    gateway.add_webhook("http://127.0.0.1:9/nobody", webhook_id=WEBHOOK)
    gateway.webhooks.off = True
    yield Shop(account, gateway)
    await account.aclose()
    await transport.aclose()


# --- whole payments -------------------------------------------------------------------------------


async def test_a_payment_from_its_beginning_to_a_full_refund(shop: Shop, gateway: FakePayPal) -> None:
    begun = await shop.begin()
    assert begun.status is PaymentStatus.REQUIRES_ACTION
    assert begun.next_action is not None
    assert begun.next_action.kind is NextActionKind.REDIRECT
    assert str(begun.next_action.url).startswith(gateway.url)
    gateway.approve(begun.reference)
    approved = await shop.account.sync_payment_status(begun.reference)
    assert approved.status is PaymentStatus.REQUIRES_CONFIRMATION, "approved is not paid"
    assert (approved.captured, approved.next_action) == (0, None)
    paid = await shop.confirm(approved)
    assert (paid.status, paid.captured, paid.payment_id) == (PaymentStatus.SUCCEEDED, 2000, "pay_1")
    assert paid.our_reference == begun.our_reference
    first = await shop.refund(paid, 1)
    assert (first.status, first.refund_id) == (RefundStatus.SUCCEEDED, "ref_op-3")
    partly = await shop.account.sync_payment_status(paid.reference)
    assert (partly.refunded, partly.captured, partly.status) == (1, 2000, PaymentStatus.SUCCEEDED)
    await shop.refund(paid, 1999)
    whole = await shop.account.sync_payment_status(paid.reference)
    assert (whole.refunded, len(whole.refunds or ())) == (2000, 2)
    with pytest.raises(ProviderStateConflict):
        await shop.refund(paid, 1)
    assert len(gateway.captures(taken=True)) == 1


async def test_more_than_is_left_is_refused_to_the_cent(shop: Shop, gateway: FakePayPal) -> None:
    paid = await shop.pay()
    await shop.refund(paid, 500)
    with pytest.raises(ProviderRejected):
        await shop.refund(paid, 1501)
    await shop.refund(paid, 1500)
    assert [each["amount"]["value"] for each in gateway.refunds()] == ["5.00", "15.00"]


async def test_a_payer_who_has_not_approved_is_sent_on_and_nothing_is_asked(
    shop: Shop, gateway: FakePayPal
) -> None:
    begun = await shop.begin()
    seen = await shop.confirm(begun)
    assert seen.status is PaymentStatus.REQUIRES_ACTION
    assert seen.next_action is not None
    assert [each.path for each in gateway.requests(method="POST")] == ["/v2/checkout/orders"]


async def test_a_create_that_is_confirmed_waits_for_the_payer_all_the_same(shop: Shop) -> None:
    begun = await shop.begin(confirm=True, payment_method="paypal")
    assert (begun.status, begun.captured) == (PaymentStatus.REQUIRES_ACTION, 0)


@pytest.mark.parametrize(
    ("instrument", "method"), [("card", None), ("venmo", "venmo"), ("balance", "paypal")]
)
async def test_an_order_without_a_way_back_is_open_for_the_script_in_the_browser(
    shop: Shop, gateway: FakePayPal, instrument: str, method: str | None
) -> None:
    begun = await shop.begin(return_url=None, payment_method=method)
    assert ("payment_source" in gateway.order(begun.reference)) is (method is not None)
    gateway.approve(begun.reference, instrument)
    paid = await shop.confirm(begun)
    assert paid.status is PaymentStatus.SUCCEEDED
    assert (paid.method.wallet_type if paid.method else None) == {"balance": "paypal"}.get(
        instrument, None if instrument == "card" else instrument
    )


async def test_an_instrument_that_is_refused_ends_this_confirm_and_the_next_may_succeed(
    shop: Shop, gateway: FakePayPal
) -> None:
    approved = await shop.approved("refused")
    attempts = []
    for _ in range(2):
        with pytest.raises(ProviderDeclined) as refused:
            await shop.confirm(approved)
        attempts.append(refused.value.attempt)
        assert (refused.value.provider_code, refused.value.payment) == (
            "INSTRUMENT_DECLINED", approved.reference,
        )  # fmt: skip
    assert len(set(attempts)) == 2, "two attempts are two"
    gateway.approve(approved.reference, "balance")
    assert (await shop.confirm(approved)).status is PaymentStatus.SUCCEEDED


async def test_a_card_that_is_declined_arrives_as_a_success_of_http_and_is_none(
    shop: Shop, gateway: FakePayPal
) -> None:
    failed = await shop.pay("card_declined", return_url=None)
    assert (failed.status, failed.captured, failed.charge) == (PaymentStatus.FAILED, 0, None)
    assert failed.decline is not None
    assert (failed.decline.code, failed.decline.provider_code) == ("insufficient_funds", "5120")
    seen = await shop.account.sync_payment_status(failed.reference)
    assert seen.decline == failed.decline, "both reads of one attempt carry one reference"
    held = await shop.pay("card_declined", return_url=None, capture_method=CaptureMethod.MANUAL)
    assert (held.status, held.authorized) == (PaymentStatus.FAILED, 0)
    assert gateway.captures(taken=True) == []


@pytest.mark.parametrize(("instrument", "review"), [("echeck", False), ("review", True)])
@pytest.mark.parametrize("succeeded", [True, False])
async def test_money_that_is_pending_is_not_there_yet(
    shop: Shop, gateway: FakePayPal, instrument: str, review: bool, succeeded: bool
) -> None:
    begun = await shop.pay(instrument)
    assert (begun.status, begun.captured, begun.review) == (PaymentStatus.PROCESSING, 0, review)
    gateway.settle(gateway.captures()[0]["id"], succeeded=succeeded)
    seen = await shop.account.sync_payment_status(begun.reference)
    assert seen.status is (PaymentStatus.SUCCEEDED if succeeded else PaymentStatus.FAILED)
    assert (seen.captured, seen.review) == (2000 if succeeded else 0, False)


async def test_an_authorisation_is_captured_in_part_and_the_rest_is_released(
    shop: Shop, gateway: FakePayPal
) -> None:
    held = await shop.hold()
    assert (held.status, held.authorized, held.captured) == (PaymentStatus.REQUIRES_CAPTURE, 2000, 0)
    asked = CaptureRequest(payment=held.reference, amount=Money(701, "USD"))
    taken = await shop.account.capture_payment(asked, step=shop.step())
    assert (taken.status, taken.captured, taken.authorized) == (PaymentStatus.SUCCEEDED, 701, 0)
    assert gateway.captures()[0]["amount"] == {"currency_code": "USD", "value": "7.01"}
    with pytest.raises(ProviderStateConflict):
        await shop.account.capture_payment(asked, step=shop.step())


async def test_an_authorisation_is_released(shop: Shop, gateway: FakePayPal) -> None:
    held = await shop.hold()
    ended = await shop.account.cancel_payment(CancelRequest(payment=held.reference), step=shop.step())
    assert (ended.status, ended.captured, ended.authorized) == (PaymentStatus.CANCELED, 0, 0)
    assert gateway.authorizations()[0]["status"] == "VOIDED"
    paid = await shop.pay()
    with pytest.raises(ProviderStateConflict):
        await shop.account.cancel_payment(CancelRequest(payment=paid.reference), step=shop.step())


@pytest.mark.parametrize("approve", [True, False])
async def test_an_order_that_nobody_paid_is_given_up_without_a_word_to_paypal(
    shop: Shop, gateway: FakePayPal, approve: bool
) -> None:
    begun = await (shop.approved() if approve else shop.begin())
    ended = await shop.account.cancel_payment(CancelRequest(payment=begun.reference), step=shop.step())
    assert (ended.status, ended.next_action) == (PaymentStatus.CANCELED, None)
    assert len(gateway.requests(method="POST")) == 1, "the create"


async def test_what_was_captured_elsewhere_is_a_state_and_not_a_failure(
    shop: Shop, gateway: FakePayPal
) -> None:
    approved = await shop.approved()
    gateway.capture_elsewhere(approved.reference)
    assert (await shop.confirm(approved)).status is PaymentStatus.SUCCEEDED
    assert len(gateway.captures()) == 1


async def test_who_is_faster_between_our_read_and_our_capture_makes_a_conflict(
    shop: Shop, gateway: FakePayPal, monkeypatch: pytest.MonkeyPatch
) -> None:
    approved = await shop.approved()
    order = shop.account._order

    async def slow(*args: Any, **kwargs: Any) -> Any:
        answer = await order(*args, **kwargs)
        gateway.capture_elsewhere(approved.reference)
        return answer

    monkeypatch.setattr(shop.account, "_order", slow)
    with pytest.raises(ProviderStateConflict) as conflict:
        await shop.confirm(approved)
    assert conflict.value.provider_code == "ORDER_ALREADY_CAPTURED"


async def test_an_order_whose_amount_was_changed_in_the_browser_is_not_collected(
    shop: Shop, gateway: FakePayPal
) -> None:
    approved = await shop.approved()
    gateway.reprice(approved.reference, "1.00")
    with pytest.raises(ProviderRejected, match=r"1\.00 USD"):
        await shop.confirm(approved)
    assert gateway.captures() == []


@pytest.mark.parametrize(
    ("amount", "value"),
    [(Money(2000, "JPY"), "2000"), (Money(200000, "HUF"), "2000"), (Money(1999, "EUR"), "19.99")],
)
async def test_each_currency_is_written_with_its_own_decimals(
    shop: Shop, gateway: FakePayPal, amount: Money, value: str
) -> None:
    paid = await shop.pay(amount=amount)
    assert gateway.order(paid.reference)["purchase_units"][0]["amount"]["value"] == value
    assert (paid.amount, paid.captured) == (amount, amount.minor_units)
    await shop.refund(paid, amount.minor_units)
    assert gateway.refunds()[0]["amount"]["value"] == value


async def test_a_refund_on_paypals_own_pages_is_seen(shop: Shop, gateway: FakePayPal) -> None:
    paid = await shop.pay()
    gateway.refund_in_dashboard(str(paid.charge), {"currency_code": "USD", "value": "3.00"})
    seen = await shop.account.sync_payment_status(paid.reference)
    assert seen.refunds is not None
    assert (seen.refunded, seen.refunds[0].our_reference, seen.refunds[0].refund_id) == (300, None, None)


async def test_a_refund_that_waits_and_then_fails_gives_its_share_back(
    shop: Shop, gateway: FakePayPal
) -> None:
    paid = await shop.pay()
    gateway.hold_refunds()
    waiting = await shop.refund(paid, 500)
    assert waiting.status is RefundStatus.PENDING
    assert (await shop.account.sync_payment_status(paid.reference)).refunded == 500
    gateway.settle(waiting.reference, succeeded=False)
    seen = await shop.account.sync_payment_status(paid.reference)
    assert seen.refunds is not None
    assert (seen.refunded, seen.refunds[0].status) == (0, RefundStatus.FAILED)


async def test_what_the_payer_is_shown_can_be_said_with_extra(shop: Shop, gateway: FakePayPal) -> None:
    begun = await shop.begin(
        description="Two cups",
        extra={
            "payment_source": {"paypal": {"experience_context": {"brand_name": "Cups", "locale": "en-GB"}}},
            "purchase_units": [
                {
                    "amount": {"breakdown": {"item_total": {"currency_code": "USD", "value": "20.00"}}},
                    "items": [
                        {
                            "name": "Cup",
                            "quantity": "2",
                            "unit_amount": {"currency_code": "USD", "value": "10.00"},
                        }
                    ],
                }
            ],
        },
    )
    unit = gateway.order(begun.reference)["purchase_units"][0]
    assert (unit["description"], unit["custom_id"]) == ("Two cups", "pay_1")
    assert unit["items"][0]["name"] == "Cup"


# --- webhooks -------------------------------------------------------------------------------------


def delivered(gateway: FakePayPal, event: Any, **more: Any) -> Request:
    headers, body = gateway.signed_webhook(event, webhook_id=WEBHOOK, **more)
    return Request(
        method="POST", path="/", headers={name.lower(): value for name, value in headers.items()}, body=body
    )


@pytest.fixture
async def offline(gateway: FakePayPal) -> AsyncIterator[PayPalProvider]:
    transport = Transport()
    account = PayPalProvider(
        client_id=gateway.client_id,
        client_secret=gateway.client_secret,
        webhook_ids=["ANOTHER", WEBHOOK],
        transport=transport,
        api_base=gateway.url,
        verify_offline=True,
        certificate_roots=gateway.certificate_roots,
    )
    yield account
    await account.aclose()
    await transport.aclose()


@pytest.fixture(params=["api", "offline"])
def listener(request: pytest.FixtureRequest, shop: Shop, offline: PayPalProvider) -> PayPalProvider:
    return shop.account if request.param == "api" else offline


async def test_every_event_of_a_payment_leads_to_its_order_or_to_its_capture(
    shop: Shop, gateway: FakePayPal, listener: PayPalProvider
) -> None:
    paid = await shop.pay()
    await shop.refund(paid, 500)
    gateway.refund_in_dashboard(str(paid.charge))
    held = await shop.hold()
    await shop.account.capture_payment(CaptureRequest(payment=held.reference, amount=USD), step=shop.step())
    seen = {}
    for event in gateway.events():
        read = await listener.read_webhook(delivered(gateway, event))
        assert (read.id, read.livemode) == (event["id"], False)
        seen.setdefault(read.type, []).append(read.reference)
    assert seen == {
        "CHECKOUT.ORDER.APPROVED": [paid.reference, held.reference],
        "PAYMENT.CAPTURE.COMPLETED": [paid.reference, held.reference],
        "CHECKOUT.ORDER.COMPLETED": [paid.reference],
        "PAYMENT.CAPTURE.REFUNDED": [paid.reference, paid.charge],
        "PAYMENT.AUTHORIZATION.CREATED": [held.reference],
    }


async def test_a_capture_that_our_books_do_not_know_names_its_order(shop: Shop, gateway: FakePayPal) -> None:
    paid = await shop.pay()
    assert await shop.account.owner_of(str(paid.charge)) == paid.reference
    assert await shop.account.owner_of("SOMEBODYELSES1234") is None
    gateway.faults.add("error_before", path="/v2/*", method="GET")
    with pytest.raises(ProviderUnknown):
        await shop.account.owner_of(str(paid.charge))


async def test_a_body_that_is_not_the_very_bytes_is_refused(
    shop: Shop, gateway: FakePayPal, listener: PayPalProvider
) -> None:
    await shop.pay()
    request = delivered(gateway, "PAYMENT.CAPTURE.COMPLETED")
    assert (await listener.read_webhook(request)).reference
    for forged in (
        replace(request, body=request.body.replace(b"20.00", b"20.01")),
        replace(request, body=request.body.replace(b": ", b":")),
        replace(request, body=request.body + b" "),
        replace(request, headers={**request.headers, "paypal-transmission-time": "2026-11-23T00:00:00Z"}),
        replace(request, headers={**request.headers, "paypal-transmission-id": "another"}),
    ):
        with pytest.raises(InvalidSignature):
            await listener.read_webhook(forged)


async def test_an_event_of_another_webhook_is_refused(
    shop: Shop, gateway: FakePayPal, listener: PayPalProvider
) -> None:
    await shop.pay()
    headers, body = gateway.signed_webhook("PAYMENT.CAPTURE.COMPLETED", webhook_id="SOMEBODYELSES")
    with pytest.raises(InvalidSignature):
        await listener.read_webhook(Request(method="POST", path="/", headers=dict(headers), body=body))


async def test_while_paypal_is_down_nothing_is_believed_and_nothing_is_lost(
    shop: Shop, gateway: FakePayPal
) -> None:
    await shop.pay()
    request = delivered(gateway, "PAYMENT.CAPTURE.COMPLETED")
    for fault in ("error_before", "drop_before", "unreadable", "rate_limited"):
        gateway.faults.add(fault, path="/v1/notifications/verify*")
        with pytest.raises(Unavailable):
            await shop.account.read_webhook(request)
    assert (await shop.account.read_webhook(request)).reference


async def test_a_forgery_that_is_plain_to_see_costs_paypal_no_question(
    shop: Shop, gateway: FakePayPal
) -> None:
    await shop.pay()
    request = delivered(gateway, "PAYMENT.CAPTURE.COMPLETED")
    headers = request.headers
    before = len(gateway.requests("/v1/notifications"))
    for changed in (
        {"paypal-transmission-sig": ""},
        {"paypal-auth-algo": "SHA1withRSA"},
        {"paypal-transmission-sig": "@@@"},
        {"paypal-transmission-time": "yesterday"},
        {"paypal-cert-url": "https://api.paypal.com.example/v1/notifications/certs/CERT-1"},
        {"paypal-cert-url": headers["paypal-cert-url"] + "/../../oauth2/token"},
    ):
        with pytest.raises(InvalidSignature):
            await shop.account.read_webhook(replace(request, headers={**headers, **changed}))
    assert len(gateway.requests("/v1/notifications")) == before


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
        refund_id=f"ref_{step.key}" if verb is Verb.REFUND else None,
        started_at=datetime.now(UTC),
    )


CASES: dict[Verb, SimpleNamespace] = {
    Verb.CONFIRM: SimpleNamespace(
        begin=lambda shop: shop.approved(),
        ask=lambda shop, payment, step: shop.confirm(payment, step),
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
        ask=lambda shop, payment, step: shop.refund(payment, 500, step),
    ),
}
EXECUTED = ("drop_after", "half_answer", "unreadable", "error_after")
NOT_EXECUTED = ("drop_before", "error_before", "key_in_use")


@pytest.mark.parametrize("fault", EXECUTED + NOT_EXECUTED)
@pytest.mark.parametrize("verb", CASES)
async def test_a_lost_call_is_looked_up_truly(
    shop: Shop, gateway: FakePayPal, verb: Verb, fault: str
) -> None:
    """Whatever the wire did: unknown first, and then exactly what the gateway's books hold."""
    payment = await CASES[verb].begin(shop)
    step = shop.step()
    gateway.faults.add(fault, path="/v2/*")
    with pytest.raises(ProviderUnknown):
        await CASES[verb].ask(shop, payment, step)
    found = await shop.account.find_operation(evidence(verb, step, payment.reference))
    assert isinstance(found, Found if fault in EXECUTED else Absent), found


async def test_one_capture_is_told_from_another_by_its_reference(shop: Shop, gateway: FakePayPal) -> None:
    held = await shop.hold()
    await shop.account.capture_payment(
        CaptureRequest(payment=held.reference, amount=Money(700, "USD"), final=False), step=shop.step()
    )
    step = shop.step()
    gateway.faults.add("drop_before", path="/v2/*")
    part = CaptureRequest(payment=held.reference, amount=Money(700, "USD"))
    with pytest.raises(ProviderUnknown):
        await shop.account.capture_payment(part, step=step)
    found = await shop.account.find_operation(evidence(Verb.CAPTURE, step, held.reference, 700))
    assert isinstance(found, Absent)


@pytest.mark.parametrize("verb", CASES)
async def test_when_the_order_cannot_be_read_first_nothing_is_sent(
    shop: Shop, gateway: FakePayPal, verb: Verb
) -> None:
    payment = await CASES[verb].begin(shop)
    if verb is Verb.REFUND:
        payment = replace(payment, charge=None)
    sent = len(gateway.requests(method="POST"))
    gateway.faults.add("error_before", path="/v2/*", method="GET")
    with pytest.raises(ProviderNeverSent):
        await CASES[verb].ask(shop, payment, shop.step())
    assert len(gateway.requests(method="POST")) == sent


@pytest.mark.parametrize("verb", [Verb.CAPTURE, Verb.CANCEL])
async def test_what_was_done_and_cannot_be_read_afterwards_is_unknown(
    shop: Shop, gateway: FakePayPal, verb: Verb
) -> None:
    payment = await CASES[verb].begin(shop)
    step = shop.step()
    gateway.faults.add("error_before", path="/v2/*", method="GET", skip=1)
    with pytest.raises(ProviderUnknown):
        await CASES[verb].ask(shop, payment, step)
    found = await shop.account.find_operation(evidence(verb, step, payment.reference))
    assert isinstance(found, Found)


@pytest.mark.parametrize("verb", CASES)
async def test_a_repeat_with_the_same_key_does_it_once(shop: Shop, gateway: FakePayPal, verb: Verb) -> None:
    payment = await CASES[verb].begin(shop)
    step = shop.step()
    gateway.faults.add("error_after", path="/v2/*")
    with pytest.raises(ProviderUnknown):
        await CASES[verb].ask(shop, payment, step)
    try:
        answer = await CASES[verb].ask(shop, payment, replace(step, repeat=True))
    except ProviderUnknown:
        # The order shows that nothing is held any more: a refusal of a repeat proves nothing.
        assert verb is Verb.CAPTURE
    else:
        assert answer is not None
    assert len(gateway.captures(taken=True)) <= 1
    assert len(gateway.refunds()) == (1 if verb is Verb.REFUND else 0)


async def test_a_lost_create_is_made_once_by_a_repeat(shop: Shop, gateway: FakePayPal) -> None:
    step = shop.step()
    asked = IntentRequest(amount=USD, payment_id="pay_1", reference=step.reference, return_url=BACK)
    gateway.lose_next_answer()
    with pytest.raises(ProviderUnknown):
        await shop.account.create_payment_intent(asked, step=step)
    found = await shop.account.find_operation(evidence(Verb.CREATE, step, None))
    assert isinstance(found, Absent), "nobody was given the address at which it could be approved"
    again = await shop.account.create_payment_intent(asked, step=replace(step, repeat=True))
    assert [order["id"] for order in gateway.orders()] == [again.reference]


async def test_a_refusal_of_a_repeat_proves_nothing(shop: Shop, gateway: FakePayPal) -> None:
    paid = await shop.pay()
    await shop.refund(paid, 2000)
    with pytest.raises(ProviderUnknown):
        await shop.refund(paid, 1, shop.step(repeat=True))
    held = await shop.hold()
    gateway.forget_order(held.reference)
    for verb in (Verb.CAPTURE, Verb.CANCEL):
        with pytest.raises(ProviderUnknown):
            await CASES[verb].ask(shop, held, shop.step(repeat=True))
        found = await shop.account.find_operation(evidence(verb, shop.step(), held.reference))
        assert isinstance(found, CannotSay)


# --- the token ------------------------------------------------------------------------------------


async def test_a_token_that_was_revoked_is_replaced_without_anybody_noticing(
    shop: Shop, gateway: FakePayPal
) -> None:
    approved = await shop.approved()
    gateway.revoke_tokens()
    assert (await shop.confirm(approved)).status is PaymentStatus.SUCCEEDED
    assert len(gateway.requests("/v1/oauth2/token")) == 2


async def test_without_a_token_nothing_was_sent(shop: Shop, gateway: FakePayPal) -> None:
    for fault in ("error_before", "drop_before", "drop_after", "unreadable"):
        gateway.faults.add(fault, path="/v1/oauth2/token", caller="any")
        with pytest.raises(ProviderNeverSent):
            await shop.begin()
    assert gateway.orders() == []


async def test_credentials_that_paypal_does_not_know_are_a_clear_no(gateway: FakePayPal) -> None:
    transport = Transport()
    account = PayPalProvider(
        client_id="nobody", client_secret="hush-hush", transport=transport, api_base=gateway.url
    )
    step = Step(key="op", reference="r" * 20, deadline=5)
    asked = IntentRequest(amount=USD, payment_id="pay_1", reference="r" * 20)
    with pytest.raises(ProviderRejected) as refused:
        await account.create_payment_intent(asked, step=step)
    assert "hush" not in f"{refused.value!r}{refused.value.__dict__}"
    await account.aclose()
    await transport.aclose()
