"""Customers, stored methods, subscriptions and disputes, at a Stripe that remembers.

What is sent and what is answered is judged by Stripe's own descriptions while it happens (tests/lab).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from bridge_payments.errors import InvalidRequest, ProviderDeclined, ProviderRejected, ProviderUnknown
from bridge_payments.messages import Request
from bridge_payments.models import (
    BillingInterval,
    DisputeStatus,
    Money,
    NextActionKind,
    Noun,
    PaymentMethodStatus,
    PaymentStatus,
    ProviderEvent,
    SubscriptionStatus,
    Verb,
    utc_now,
)
from bridge_payments.providers.base import (
    Absent,
    BillingDetails,
    ConfirmRequest,
    CustomerDeletion,
    CustomerRequest,
    CustomerUpdate,
    Evidence,
    Found,
    IntentRequest,
    PaymentMethodConfirmation,
    PaymentMethodDeletion,
    PaymentMethodRequest,
    PaymentMethodUpdate,
    ProviderMethod,
    ProviderPayment,
    ProviderSubscription,
    Step,
    SubscriptionCancellation,
    SubscriptionPause,
    SubscriptionRequest,
    SubscriptionResumption,
    SubscriptionUpdate,
)
from bridge_payments.providers.stripe import StripeProvider
from bridge_payments.sandbox.stripe import FakeStripe
from bridge_payments.transport import Transport

pytestmark = pytest.mark.anyio

BACK = "https://shop.example/back"
USD = Money(2000, "USD")
MONTH = timedelta(days=31)
CHALLENGED = "pm_card_authenticationRequiredOnSetup"


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

    def __init__(self, account: StripeProvider, gateway: FakeStripe) -> None:
        self.account = account
        self.gateway = gateway
        self._count = 0

    def step(self, **changes: Any) -> Step:
        self._count += 1
        given = {"key": f"op-{self._count}", "reference": f"reference{self._count:011}", "deadline": 5}
        return Step(**{**given, **changes})

    async def customer(self, **changes: Any) -> str:
        step = self.step()
        about = {"email": "ada@example.com", "name": "Ada", **changes}
        request = CustomerRequest(customer_id="cus_ours", reference=step.reference, **about)
        return (await self.account.create_customer(request, step=step)).reference

    async def method(
        self, customer: str | None, name: str = "pm_card_visa", **changes: Any
    ) -> ProviderMethod:
        step = self.step()
        given = {"token": self.gateway.new_method(name), "customer": customer, **changes}
        request = PaymentMethodRequest(payment_method_id="pm_ours", reference=step.reference, **given)
        return await self.account.create_payment_method(request, step=step)

    async def subscribe(
        self, customer: str, method: str | None, *, step: Step | None = None, **changes: Any
    ) -> ProviderSubscription:
        step = step or self.step()
        given = {"amount": USD, "interval": BillingInterval.MONTHLY, "name": "Apples", **changes}
        request = SubscriptionRequest(
            subscription_id="sub_ours",
            reference=step.reference,
            customer=customer,
            payment_method=method,
            **given,
        )
        return await self.account.create_subscription(request, step=step)

    async def running(self, **changes: Any) -> ProviderSubscription:
        customer = await self.customer()
        return await self.subscribe(customer, (await self.method(customer)).reference, **changes)

    async def events(self) -> list[ProviderEvent]:
        read = []
        for event in self.gateway.events():
            headers, body = self.gateway.signed_webhook(event, secret="whsec_1")
            request = Request(method="POST", path="/webhooks/stripe", headers=dict(headers), body=body)
            read.append(await self.account.read_webhook(request))
        return read


@pytest.fixture
async def shop(gateway: FakeStripe) -> AsyncIterator[Shop]:
    transport = Transport()
    account = StripeProvider(
        secret_key=gateway.secret_key,
        webhook_secrets=["whsec_1"],
        transport=transport,
        api_base=gateway.url,
    )
    account.clock = gateway.clock
    yield Shop(account, gateway)
    await transport.aclose()


def evidence(verb: Verb, step: Step, **more: Any) -> Evidence:
    return Evidence(verb=verb, reference=step.reference, key=step.key, started_at=utc_now(), **more)


# --- customers ------------------------------------------------------------------------------------


async def test_a_customer_is_made_changed_and_forgotten(shop: Shop) -> None:
    account, step = shop.account, shop.step()
    request = CustomerRequest(customer_id="cus_ours", reference=step.reference, email="ada@example.com")
    made = await account.create_customer(request, step=step)
    assert (made.customer_id, made.our_reference, made.email) == (
        "cus_ours",
        step.reference,
        "ada@example.com",
    )
    changed = await account.update_customer(
        CustomerUpdate(customer=made.reference, name="Ada"), step=shop.step()
    )
    assert (changed.name, changed.email, changed.our_reference) == ("Ada", "ada@example.com", step.reference)
    for _ in range(2):
        gone = await account.delete_customer(CustomerDeletion(customer=made.reference), step=shop.step())
        assert (gone.deleted, gone.reference) == (True, made.reference)
    events = [(each.type, each.noun, each.reference) for each in await shop.events()]
    assert ("customer.updated", Noun.CUSTOMER, made.reference) in events


async def test_a_customer_that_stripe_does_not_know_is_deleted(shop: Shop) -> None:
    with pytest.raises(InvalidRequest):
        await shop.account.delete_customer(CustomerDeletion(customer="cus/1"), step=shop.step())
    unknown = await shop.account.delete_customer(CustomerDeletion(customer="cus_never"), step=shop.step())
    assert unknown.deleted


# --- stored methods -------------------------------------------------------------------------------


async def test_a_method_is_stored_for_when_the_payer_is_away_and_charged_then(
    shop: Shop, gateway: FakeStripe
) -> None:
    customer = await shop.customer()
    stored = await shop.method(customer)
    assert (stored.status, stored.saved, stored.customer) == (PaymentMethodStatus.ACTIVE, True, customer)
    assert (stored.brand, stored.last_four, stored.type) == ("visa", "4242", "credit_card")
    assert stored.payment_method_id == "pm_ours"
    assert stored.client_secret is None
    paid = await _charge_away(shop, customer, stored.reference)
    assert (paid.status, paid.captured) == (PaymentStatus.SUCCEEDED, 2000)
    assert gateway.setups()[0]["usage"] == "off_session"


async def test_a_method_for_a_payer_who_is_there_is_attached_and_nobody_is_asked(
    shop: Shop, gateway: FakeStripe
) -> None:
    customer = await shop.customer()
    stored = await shop.method(customer, "pm_card_threeDSecure2Required", off_session=False)
    assert (stored.status, stored.customer) == (PaymentMethodStatus.ACTIVE, customer)
    assert gateway.setups() == []
    with pytest.raises(ProviderDeclined) as refused:
        await _charge_away(shop, customer, stored.reference)
    assert refused.value.decline_code == "authentication_required"
    assert refused.value.http_status == 402
    assert refused.value.request_id
    assert [each["status"] for each in gateway.intents()] == ["requires_payment_method"]


async def test_the_bank_is_asked_at_the_set_up_and_not_at_the_charge(shop: Shop, gateway: FakeStripe) -> None:
    customer = await shop.customer()
    asked = await shop.method(customer, CHALLENGED, return_url=BACK)
    assert asked.status is PaymentMethodStatus.REQUIRES_ACTION
    assert asked.setup is not None
    assert asked.setup == asked.reference
    assert asked.client_secret
    assert asked.next_action is not None
    assert (asked.next_action.kind, asked.next_action.return_url) == (NextActionKind.REDIRECT, BACK)
    gateway.authenticate(asked.setup)
    confirmation = PaymentMethodConfirmation(payment_method_id="pm_ours", setup=asked.setup)
    for _ in range(2):
        done = await shop.account.confirm_payment_method(confirmation, step=shop.step())
        assert (done.status, done.saved, done.setup) == (PaymentMethodStatus.ACTIVE, True, asked.setup)
    assert done.reference.startswith("pm_")
    assert (await _charge_away(shop, customer, done.reference)).captured == 2000
    reads = [each for each in await shop.events() if each.type == "setup_intent.succeeded"]
    assert [(each.noun, each.reference) for each in reads] == [(Noun.PAYMENT_METHOD, asked.setup)]


async def test_a_challenge_that_fails_leaves_the_set_up_to_another_card(
    shop: Shop, gateway: FakeStripe
) -> None:
    asked = await shop.method(await shop.customer(), CHALLENGED, return_url=BACK)
    assert asked.setup is not None
    gateway.authenticate(asked.setup, passed=False)
    seen = await shop.account.sync_payment_method(asked.setup)
    assert seen.status is PaymentMethodStatus.REQUIRES_ACTION
    assert seen.decline is not None
    assert seen.decline.code == "authentication_failed"
    gateway.pay_in_browser(asked.setup, "pm_card_visa")
    assert (await shop.account.sync_payment_method(asked.setup)).status is PaymentMethodStatus.ACTIVE


async def test_a_set_up_without_a_token_waits_for_the_payers_browser(shop: Shop, gateway: FakeStripe) -> None:
    begun = await shop.method(await shop.customer(), token=None)
    assert begun.status is PaymentMethodStatus.REQUIRES_ACTION
    assert begun.next_action is not None
    assert begun.next_action.kind is NextActionKind.USE_SDK
    assert begun.client_secret
    gateway.pay_in_browser(begun.reference)
    seen = await shop.account.sync_payment_method(begun.reference)
    assert (seen.status, seen.setup, seen.last_four) == (PaymentMethodStatus.ACTIVE, begun.reference, "4242")


async def test_a_set_up_to_which_nobody_agreed_is_given_up(shop: Shop, gateway: FakeStripe) -> None:
    begun = await shop.method(await shop.customer(), token=None)
    for _ in range(2):
        deletion = PaymentMethodDeletion(payment_method=begun.reference)
        gone = await shop.account.delete_payment_method(deletion, step=shop.step())
        assert (gone.status, gone.client_secret) == (PaymentMethodStatus.DELETED, None)
    assert [each["status"] for each in gateway.setups()] == ["canceled"]


@pytest.mark.parametrize("off_session", [True, False])
async def test_a_card_that_its_bank_refuses_is_not_stored(
    shop: Shop, gateway: FakeStripe, off_session: bool
) -> None:
    customer = await shop.customer()
    with pytest.raises(ProviderDeclined) as refused:
        await shop.method(customer, "pm_card_chargeDeclinedInsufficientFunds", off_session=off_session)
    assert refused.value.decline_code == "insufficient_funds"
    assert gateway.methods(stored=True) == []


async def test_a_confirmation_token_of_the_script_is_stored_like_a_method(
    shop: Shop, gateway: FakeStripe
) -> None:
    customer, token = await shop.customer(), gateway.new_token()
    stored = await shop.method(customer, token=token)
    assert (stored.status, stored.customer) == (PaymentMethodStatus.ACTIVE, customer)


async def test_who_is_billed_is_said_and_changed_afterwards(shop: Shop, gateway: FakeStripe) -> None:
    customer = await shop.customer()
    ada = BillingDetails(name="Ada", line1="1 Way", city="London", postal_code="N1", country="GB")
    stored = await shop.method(customer, billing=ada)
    assert (stored.status, stored.setup is not None) == (PaymentMethodStatus.ACTIVE, True)
    update = PaymentMethodUpdate(payment_method=stored.reference, billing=BillingDetails(email="a@b.example"))
    await shop.account.update_payment_method(update, step=shop.step())
    [kept] = gateway.methods(stored=True)
    assert (kept["billing_details"]["name"], kept["billing_details"]["email"]) == ("Ada", "a@b.example")
    assert kept["billing_details"]["address"]["city"] == "London"
    assert kept["metadata"]["bridge_payment_method_id"] == "pm_ours"


async def test_a_method_whose_billing_details_are_refused_is_kept_without_them(
    shop: Shop, gateway: FakeStripe
) -> None:
    """It is stored by then: to call the whole a refusal would leave a method there that nobody knows of."""
    customer = await shop.customer()
    stored = await shop.method(customer, billing=BillingDetails(name="Ada", email="nowhere"))
    assert (stored.status, stored.setup is not None) == (PaymentMethodStatus.ACTIVE, True)
    [kept] = gateway.methods(stored=True)
    assert kept["id"] == stored.reference
    assert kept["billing_details"]["name"] is None


async def test_a_method_is_detached_for_good(shop: Shop, gateway: FakeStripe) -> None:
    customer = await shop.customer()
    stored = await shop.method(customer)
    deletion = PaymentMethodDeletion(payment_method=stored.reference, customer=customer)
    for _ in range(2):
        gone = await shop.account.delete_payment_method(deletion, step=shop.step())
        assert (gone.status, gone.saved) == (PaymentMethodStatus.DELETED, False)
    assert gateway.methods(stored=True) == []
    assert (await shop.account.sync_payment_method(stored.reference)).status is PaymentMethodStatus.DELETED
    with pytest.raises(ProviderRejected):
        await _charge_away(shop, customer, stored.reference)


async def test_only_what_belongs_to_nobody_may_be_brought(shop: Shop, gateway: FakeStripe) -> None:
    customer = await shop.customer()
    stored = await shop.method(customer)
    own = shop.account.owns_payment_method
    assert await own(gateway.new_method())
    assert await own(gateway.new_token())
    assert not await own(stored.reference), "somebody's stored card"
    assert not await own(gateway.new_token(stored.reference)), "a token of somebody's stored card"
    assert not await own("pm_never")
    assert not await own("cus_1")


async def test_a_method_without_a_customer_is_refused_before_anything_is_sent(
    shop: Shop, gateway: FakeStripe
) -> None:
    token = gateway.new_method()
    for off_session in (True, False):
        with pytest.raises(InvalidRequest):
            await shop.method(None, token=token, off_session=off_session)
    assert gateway.requests() == []


async def test_a_method_is_kept_with_the_payment_that_it_paid(shop: Shop, gateway: FakeStripe) -> None:
    """The customer is named by a call before the confirm, which cannot name one."""
    customer, step = await shop.customer(), shop.step()
    begun = await shop.account.create_payment_intent(
        IntentRequest(amount=USD, payment_id="pay_1", reference=step.reference), step=step
    )
    asked = ConfirmRequest(
        payment=begun.reference,
        amount=USD,
        payment_method=gateway.new_method(),
        customer=customer,
        setup_future_usage="off_session",
        return_url=BACK,
    )
    paid = await shop.account.confirm_payment(asked, step=shop.step())
    assert paid.method is not None
    assert (paid.captured, paid.method.saved, paid.method.customer) == (2000, True, customer)
    assert (await _charge_away(shop, customer, paid.method.reference)).captured == 2000
    keys = [each.key for each in gateway.requests("/v1/payment_intents") if each.method == "POST"]
    assert len(set(keys)) == len(keys) == 4


async def _charge_away(shop: Shop, customer: str, method: str) -> ProviderPayment:
    step = shop.step()
    request = IntentRequest(
        amount=USD,
        payment_id="pay_away",
        reference=step.reference,
        confirm=True,
        off_session=True,
        customer=customer,
        payment_method=method,
    )
    return await shop.account.create_payment_intent(request, step=step)


# --- subscriptions --------------------------------------------------------------------------------


async def test_a_subscription_collects_at_once_and_at_the_end_of_each_period(
    shop: Shop, gateway: FakeStripe
) -> None:
    begun = await shop.running()
    assert (begun.status, begun.amount, begun.interval) == (
        SubscriptionStatus.ACTIVE,
        USD,
        BillingInterval.MONTHLY,
    )
    assert (begun.subscription_id, begun.our_reference) == ("sub_ours", "reference00000000003")
    assert begun.charges is not None
    assert [(each.captured, each.subscription) for each in begun.charges] == [(2000, begun.reference)]
    gateway.clock.move(MONTH)
    gateway.bill()
    seen = await shop.account.sync_subscription(begun.reference)
    assert seen.charges is not None
    assert [each.captured for each in seen.charges] == [2000, 2000]
    assert seen.charges[-1].reference == begun.charges[0].reference, "newest first"
    assert seen.current_period_start == begun.current_period_end
    assert seen.next_billing_date == seen.current_period_end
    renewal = [each for each in await shop.events() if each.type == "invoice.paid"]
    assert {(each.noun, each.reference, each.our_reference) for each in renewal} == {
        (Noun.SUBSCRIPTION, begun.reference, begun.our_reference)
    }


async def test_a_renewal_that_is_refused_is_past_due_and_collects_nothing(
    shop: Shop, gateway: FakeStripe
) -> None:
    customer = await shop.customer()
    good = await shop.method(customer)
    bad = await shop.method(customer, "pm_card_chargeCustomerFail")
    begun = await shop.subscribe(customer, good.reference)
    await shop.account.update_subscription(
        SubscriptionUpdate(subscription=begun.reference, payment_method=bad.reference), step=shop.step()
    )
    gateway.clock.move(MONTH)
    seen = await shop.account.sync_subscription(begun.reference)
    assert seen.status is SubscriptionStatus.PAST_DUE
    assert seen.decline is not None
    assert (seen.decline.code, len(seen.charges or ())) == ("declined", 1)
    assert seen.client_secret, "the payer's browser can pay the open invoice"


async def test_without_a_method_the_payers_browser_makes_the_first_payment(
    shop: Shop, gateway: FakeStripe
) -> None:
    begun = await shop.subscribe(await shop.customer(), None)
    assert (begun.status, begun.charges) == (SubscriptionStatus.INCOMPLETE, ())
    assert begun.next_action is not None
    assert begun.next_action.kind is NextActionKind.USE_SDK
    assert begun.client_secret is not None
    gateway.pay_in_browser(begun.client_secret.partition("_secret_")[0])
    seen = await shop.account.sync_subscription(begun.reference)
    assert (seen.status, len(seen.charges or ()), seen.client_secret) == (SubscriptionStatus.ACTIVE, 1, None)
    assert seen.payment_method, "what paid is kept for the renewals"
    gateway.clock.move(MONTH)
    assert len((await shop.account.sync_subscription(begun.reference)).charges or ()) == 2


async def test_a_first_payment_that_is_challenged_waits_for_the_payer(
    shop: Shop, gateway: FakeStripe
) -> None:
    customer = await shop.customer()
    card = await shop.method(customer, "pm_card_threeDSecure2Required", off_session=False)
    begun = await shop.subscribe(customer, card.reference)
    assert (begun.status, begun.charges) == (SubscriptionStatus.INCOMPLETE, ())
    assert begun.next_action is not None
    assert begun.client_secret is not None
    gateway.authenticate(begun.client_secret.partition("_secret_")[0])
    assert (await shop.account.sync_subscription(begun.reference)).status is SubscriptionStatus.ACTIVE


async def test_a_first_payment_that_is_refused_is_said_with_its_reason(shop: Shop) -> None:
    customer = await shop.customer()
    card = await shop.method(customer, "pm_card_chargeCustomerFail")
    begun = await shop.subscribe(customer, card.reference)
    assert (begun.status, begun.charges) == (SubscriptionStatus.INCOMPLETE, ())
    assert begun.decline is not None
    assert begun.decline.code == "declined"


async def test_a_first_payment_that_nobody_makes_expires(shop: Shop, gateway: FakeStripe) -> None:
    begun = await shop.subscribe(await shop.customer(), None)
    gateway.clock.move(timedelta(days=1))
    seen = await shop.account.sync_subscription(begun.reference)
    assert (seen.status, seen.client_secret) == (SubscriptionStatus.INCOMPLETE_EXPIRED, None)


@pytest.mark.parametrize("with_method", [True, False])
async def test_a_trial_collects_nothing_until_it_ends(
    shop: Shop, gateway: FakeStripe, with_method: bool
) -> None:
    customer = await shop.customer()
    method = (await shop.method(customer)).reference if with_method else None
    begun = await shop.subscribe(customer, method, trial_days=14)
    assert (begun.status, begun.charges) == (SubscriptionStatus.TRIALING, ())
    assert begun.trial_end == begun.next_billing_date
    assert (begun.client_secret is None) == with_method
    gateway.clock.move(timedelta(days=15))
    seen = await shop.account.sync_subscription(begun.reference)
    expected = (SubscriptionStatus.ACTIVE, 1) if with_method else (SubscriptionStatus.PAST_DUE, 0)
    assert (seen.status, len(seen.charges or ())) == expected


async def test_a_new_price_holds_from_the_next_period_on(shop: Shop, gateway: FakeStripe) -> None:
    begun = await shop.running()
    dearer = SubscriptionUpdate(subscription=begun.reference, amount=Money(3000, "USD"))
    changed = await shop.account.update_subscription(dearer, step=shop.step())
    assert (changed.amount, len(changed.charges or ())) == (Money(3000, "USD"), 1)
    gateway.clock.move(MONTH)
    seen = await shop.account.sync_subscription(begun.reference)
    assert [each.captured for each in seen.charges or ()] == [3000, 2000]
    assert len(gateway.products()) == 1


async def test_a_pause_collects_nothing_and_ends_when_it_is_taken_back(
    shop: Shop, gateway: FakeStripe
) -> None:
    begun = await shop.running()
    paused = await shop.account.pause_subscription(
        SubscriptionPause(subscription=begun.reference), step=shop.step()
    )
    assert (paused.status, paused.next_billing_date) == (SubscriptionStatus.PAUSED, None)
    gateway.clock.move(MONTH)
    assert len((await shop.account.sync_subscription(begun.reference)).charges or ()) == 1
    resumption = SubscriptionResumption(subscription=begun.reference)
    going = await shop.account.resume_subscription(resumption, step=shop.step())
    assert going.status is SubscriptionStatus.ACTIVE
    gateway.clock.move(MONTH)
    assert len((await shop.account.sync_subscription(begun.reference)).charges or ()) == 2


async def test_a_subscription_that_stopped_is_resumed_by_its_own_call(
    shop: Shop, gateway: FakeStripe
) -> None:
    begun = await shop.running()
    gateway.stop_subscription(begun.reference)
    assert (await shop.account.sync_subscription(begun.reference)).status is SubscriptionStatus.PAUSED
    step = shop.step()
    going = await shop.account.resume_subscription(
        SubscriptionResumption(subscription=begun.reference), step=step
    )
    assert going.status is SubscriptionStatus.ACTIVE
    assert [each.path for each in gateway.requests() if each.key == step.key] == [
        f"/v1/subscriptions/{begun.reference}/resume"
    ]


async def test_a_cancellation_at_the_periods_end_can_be_taken_back_until_then(
    shop: Shop, gateway: FakeStripe
) -> None:
    begun = await shop.running()
    cancellation = SubscriptionCancellation(subscription=begun.reference, reason="too dear")
    leaving = await shop.account.cancel_subscription(cancellation, step=shop.step())
    assert (leaving.status, leaving.cancel_at_period_end) == (SubscriptionStatus.ACTIVE, True)
    assert leaving.next_billing_date is None
    staying = await shop.account.resume_subscription(
        SubscriptionResumption(subscription=begun.reference), step=shop.step()
    )
    assert (staying.cancel_at_period_end, staying.canceled_at) == (False, None)
    await shop.account.cancel_subscription(cancellation, step=shop.step())
    gateway.clock.move(MONTH)
    gone = await shop.account.sync_subscription(begun.reference)
    assert (gone.status, len(gone.charges or ())) == (SubscriptionStatus.CANCELED, 1)


async def test_a_cancellation_at_once_is_one_whether_it_is_asked_once_or_twice(
    shop: Shop, gateway: FakeStripe
) -> None:
    begun = await shop.running()
    now = SubscriptionCancellation(subscription=begun.reference, at_period_end=False)
    for _ in range(2):
        gone = await shop.account.cancel_subscription(now, step=shop.step())
        assert gone.status is SubscriptionStatus.CANCELED
        assert gone.canceled_at is not None
    assert len(gateway.events("customer.subscription.deleted")) == 1


async def test_subscriptions_of_one_name_share_one_product(shop: Shop, gateway: FakeStripe) -> None:
    await shop.running(name="Äpfel ✓")
    await shop.running(name="Äpfel ✓", amount=Money(900, "USD"))
    await shop.running(name="Pears")
    assert sorted(each["name"] for each in gateway.products()) == ["Pears", "Äpfel ✓"]
    assert len({each.reference for each in [await shop.running(), await shop.running()]}) == 2


async def test_money_of_another_kind_than_ours_is_not_rounded(shop: Shop) -> None:
    """Yen have no decimals, here as anywhere; Stripe's ISK have two."""
    yen = await shop.running(amount=Money(2000, "JPY"))
    krona = await shop.running(amount=Money(2000, "ISK"))
    assert (yen.amount, krona.amount) == (Money(2000, "JPY"), Money(2000, "ISK"))
    assert [each.captured for each in krona.charges or ()] == [2000]


# --- disputes -------------------------------------------------------------------------------------


async def test_a_dispute_is_read_with_its_payment_from_its_beginning_to_its_end(
    shop: Shop, gateway: FakeStripe
) -> None:
    customer = await shop.customer()
    card = await shop.method(customer)
    paid = await _charge_away(shop, customer, card.reference)
    assert (await shop.account.sync_payment_status(paid.reference)).disputes == ()
    opened = gateway.dispute(paid.reference, 1500)
    seen = await shop.account.sync_payment_status(paid.reference)
    assert seen.disputes is not None
    [dispute] = seen.disputes
    assert (dispute.reference, dispute.status, dispute.amount) == (
        opened["id"],
        DisputeStatus.OPEN,
        Money(1500, "USD"),
    )
    assert (seen.disputed, dispute.reason, dispute.payment) == (1500, "fraudulent", paid.reference)
    assert dispute.evidence_due_by is not None
    gateway.close_dispute(opened["id"], won=True)
    won = await shop.account.sync_payment_status(paid.reference)
    assert (won.disputed, [each.status for each in won.disputes or ()]) == (0, [DisputeStatus.WON])
    told = [each for each in await shop.events() if each.type.startswith("charge.dispute")]
    assert {(each.noun, each.reference) for each in told} == {(Noun.PAYMENT, paid.reference)}
    assert len(told) == 4


async def test_an_inquiry_is_a_dispute_that_has_not_taken_anything(shop: Shop, gateway: FakeStripe) -> None:
    customer = await shop.customer()
    card = await shop.method(customer, "pm_card_createDisputeInquiry")
    paid = await _charge_away(shop, customer, card.reference)
    seen = await shop.account.sync_payment_status(paid.reference)
    assert (seen.disputed, [each.status for each in seen.disputes or ()]) == (0, [DisputeStatus.OPEN])
    gateway.close_dispute(gateway.disputes()[0]["id"], won=False)
    seen = await shop.account.sync_payment_status(paid.reference)
    assert [each.status for each in seen.disputes or ()] == [DisputeStatus.CLOSED]


# --- secrets --------------------------------------------------------------------------------------


async def test_what_may_be_stored_of_their_events_has_no_secret(shop: Shop, gateway: FakeStripe) -> None:
    await shop.method(await shop.customer(), token=None)
    begun = await shop.subscribe(await shop.customer(), None)
    secrets = [each["client_secret"] for each in (*gateway.setups(), *gateway.intents())]
    assert len(secrets) == 2
    for event in await shop.events():
        assert not [secret for secret in secrets if secret in event.body]
    assert not [secret for secret in secrets if secret in repr(begun)]
    assert json.dumps(secrets) != "[]"


# --- the first payment is lost --------------------------------------------------------------------


async def test_a_lost_subscription_is_found_with_what_it_collected(shop: Shop, gateway: FakeStripe) -> None:
    customer = await shop.customer()
    method = (await shop.method(customer)).reference
    asked = {"inputs": {"customer": customer}}
    another = await shop.subscribe(customer, method)
    for fault, verdict in (("drop_before", Absent), ("drop_after", Found)):
        step = shop.step()
        gateway.faults.add(fault, path="/v1/subscriptions")
        with pytest.raises(ProviderUnknown):
            await shop.subscribe(customer, method, step=step)
        found = await shop.account.find_operation(evidence(Verb.CREATE_SUBSCRIPTION, step, **asked))
        assert isinstance(found, verdict)
    assert isinstance(found, Found)
    assert found.subscription is not None
    assert [each.captured for each in found.subscription.charges or ()] == [2000]
    assert found.subscription.reference != another.reference
    assert len(gateway.subscriptions()) == 2
    ended = SubscriptionCancellation(subscription=found.subscription.reference, at_period_end=False)
    await shop.account.cancel_subscription(ended, step=shop.step())
    found = await shop.account.find_operation(evidence(Verb.CREATE_SUBSCRIPTION, step, **asked))
    assert isinstance(found, Found), "one that has ended meanwhile was made all the same"
