"""PayPal's subscriptions over HTTP: product, plan, approval, renewals by the clock, and every call lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge_payments.errors import (
    InvalidRequest,
    ProviderNotFound,
    ProviderRejected,
    ProviderStateConflict,
    ProviderUnknown,
)
from bridge_payments.models import (
    BillingInterval,
    DisputeStatus,
    Money,
    NextActionKind,
    Noun,
    PaymentStatus,
    SubscriptionStatus,
    Verb,
)
from bridge_payments.providers.base import (
    Absent,
    CannotSay,
    Evidence,
    Found,
    KnownPayment,
    ProviderSubscription,
    RefundRequest,
    Step,
    SubscriptionCancellation,
    SubscriptionPause,
    SubscriptionRequest,
    SubscriptionResumption,
    SubscriptionUpdate,
)
from bridge_payments.providers.paypal import PayPalProvider
from bridge_payments.providers.paypal.events import event_from
from bridge_payments.sandbox.paypal import FakePayPal
from bridge_payments.transport import Transport

pytestmark = pytest.mark.anyio

BACK = "https://shop.example/back"
USD = Money(1000, "USD")


@pytest.fixture(scope="module")
def listening() -> Iterator[FakePayPal]:
    with FakePayPal() as gateway:
        yield gateway


@pytest.fixture
def gateway(listening: FakePayPal) -> FakePayPal:
    listening.reset(endpoints=True)
    listening.webhooks.off = True
    return listening


class Club:
    """One account that bills members."""

    def __init__(self, account: PayPalProvider, gateway: FakePayPal) -> None:
        self.account, self.gateway = account, gateway
        self._count = 0

    def step(self, **changes: Any) -> Step:
        self._count += 1
        named = {"key": f"op-{self._count}", "reference": f"reference{self._count:011}", "deadline": 5}
        return Step(**{**named, **changes})

    async def begin(self, step: Step | None = None, **changes: Any) -> ProviderSubscription:
        step = step or self.step()
        facts: dict[str, Any] = {
            "subscription_id": "sub_1",
            "reference": step.reference,
            "amount": USD,
            "interval": BillingInterval.MONTHLY,
            "name": "Coffee club",
            "return_url": BACK,
        }
        return await self.account.create_subscription(SubscriptionRequest(**{**facts, **changes}), step=step)

    async def running(self, instrument: str = "balance", **changes: Any) -> ProviderSubscription:
        begun = await self.begin(**changes)
        self.gateway.subscribe(begun.reference, instrument)
        return await self.sync(begun)

    async def sync(self, subscription: ProviderSubscription) -> ProviderSubscription:
        return await self.account.sync_subscription(subscription.reference)

    async def ask(self, verb: Verb, reference: str, step: Step | None = None) -> ProviderSubscription:
        step = step or self.step()
        match verb:
            case Verb.CANCEL_SUBSCRIPTION:
                cancel = SubscriptionCancellation(subscription=reference)
                return await self.account.cancel_subscription(cancel, step=step)
            case Verb.PAUSE_SUBSCRIPTION:
                return await self.account.pause_subscription(
                    SubscriptionPause(subscription=reference), step=step
                )
            case Verb.RESUME_SUBSCRIPTION:
                return await self.account.resume_subscription(
                    SubscriptionResumption(subscription=reference), step=step
                )
            case _:
                update = SubscriptionUpdate(subscription=reference, amount=Money(1500, "USD"))
                return await self.account.update_subscription(update, step=step)


@pytest.fixture
async def club(gateway: FakePayPal) -> AsyncIterator[Club]:
    transport = Transport()
    account = PayPalProvider(
        client_id=gateway.client_id,
        client_secret=gateway.client_secret,
        webhook_ids=["8PT597110X687430L"],
        transport=transport,
        api_base=gateway.url,
    )
    account.clock = gateway.clock  # type: ignore[method-assign] # as whoever builds a provider does
    yield Club(account, gateway)
    await account.aclose()
    await transport.aclose()


def lost(verb: Verb, step: Step, **facts: Any) -> Evidence:
    return Evidence(verb=verb, reference=step.reference, key=step.key, started_at=datetime.now(UTC), **facts)


# --- a whole life -----------------------------------------------------------------------------------


async def test_a_subscription_is_approved_renews_and_ends(club: Club, gateway: FakePayPal) -> None:
    begun = await club.begin()
    assert begun.status is SubscriptionStatus.INCOMPLETE
    assert begun.next_action is not None
    assert begun.next_action.kind is NextActionKind.REDIRECT
    assert (begun.subscription_id, begun.our_reference) == ("sub_1", "reference00000000001")
    assert gateway.captures() == [], "nobody agreed yet"
    gateway.subscribe(begun.reference)
    seen = await club.sync(begun)
    assert (seen.status, seen.amount, seen.interval, seen.interval_count) == (
        SubscriptionStatus.ACTIVE, USD, BillingInterval.MONTHLY, 1,
    )  # fmt: skip
    assert seen.next_action is None
    assert seen.charges is not None
    assert [(each.status, each.captured, each.subscription) for each in seen.charges] == [
        (PaymentStatus.SUCCEEDED, 1000, begun.reference)
    ]
    gateway.advance(days=61)
    seen = await club.sync(begun)
    assert seen.charges is not None
    assert len(seen.charges) == 3
    assert len({each.reference for each in seen.charges}) == 3
    assert [each.created_at for each in seen.charges] == sorted(
        (each.created_at for each in seen.charges), reverse=True
    )
    assert seen.current_period_end == seen.next_billing_date is not None
    assert seen.current_period_start is not None
    assert seen.current_period_start < seen.next_billing_date
    ended = await club.ask(Verb.CANCEL_SUBSCRIPTION, begun.reference)
    assert ended.status is SubscriptionStatus.CANCELED
    assert ended.canceled_at is not None
    assert (ended.next_billing_date, ended.cancel_at_period_end) == (None, False), "PayPal ends it at once"
    gateway.advance(days=90)
    assert len((await club.sync(begun)).charges or ()) == 3


async def test_a_trial_collects_nothing_until_it_is_over(club: Club, gateway: FakePayPal) -> None:
    seen = await club.running(trial_days=14, interval=BillingInterval.WEEKLY, interval_count=2)
    assert (seen.status, seen.charges) == (SubscriptionStatus.TRIALING, ())
    assert seen.trial_end is not None
    assert (seen.trial_end - gateway.clock()).days in (13, 14)
    assert (seen.interval, seen.interval_count) == (BillingInterval.WEEKLY, 2)
    gateway.advance(days=15)
    seen = await club.sync(seen)
    assert (seen.status, len(seen.charges or ()), seen.trial_end) == (SubscriptionStatus.ACTIVE, 1, None)


async def test_paused_it_collects_nothing_and_resumed_it_goes_on(club: Club, gateway: FakePayPal) -> None:
    seen = await club.running()
    for _ in range(2):
        paused = await club.ask(Verb.PAUSE_SUBSCRIPTION, seen.reference)
        assert paused.status is SubscriptionStatus.PAUSED
    gateway.advance(days=100)
    assert len((await club.sync(seen)).charges or ()) == 1
    for _ in range(2):
        resumed = await club.ask(Verb.RESUME_SUBSCRIPTION, seen.reference)
        assert resumed.status is SubscriptionStatus.ACTIVE
    gateway.advance(days=31)
    assert len((await club.sync(seen)).charges or ()) == 2
    told = [each["event_type"] for each in gateway.events()]
    assert (
        told.count("BILLING.SUBSCRIPTION.SUSPENDED") == told.count("BILLING.SUBSCRIPTION.RE-ACTIVATED") == 1
    )


async def test_a_new_price_is_the_next_periods(club: Club, gateway: FakePayPal) -> None:
    seen = await club.running(trial_days=3)
    other = await club.running()
    changed = await club.ask(Verb.UPDATE_SUBSCRIPTION, seen.reference)
    assert changed.amount == Money(1500, "USD")
    assert (await club.sync(other)).amount == USD, "a plan of its own: nobody else's price changed"
    gateway.advance(days=4)
    charges = (await club.sync(seen)).charges or ()
    assert [each.amount for each in charges] == [Money(1500, "USD")]


async def test_a_refused_renewal_is_past_due_and_paid_with_the_next(club: Club, gateway: FakePayPal) -> None:
    seen = await club.running()
    gateway.decline_renewals(seen.reference)
    gateway.advance(days=31)
    owing = await club.sync(seen)
    assert owing.status is SubscriptionStatus.PAST_DUE
    assert owing.decline is not None
    assert (owing.decline.code, owing.decline.provider_code) == ("declined", "PAYMENT_DENIED")
    gateway.decline_renewals(seen.reference, declines=False)
    gateway.advance(days=30)
    paid = await club.sync(seen)
    assert (paid.status, paid.decline) == (SubscriptionStatus.ACTIVE, None)
    assert [each.captured for each in paid.charges or ()] == [2000, 1000]


async def test_the_payer_comes_back_only_where_a_way_back_is_said(club: Club, gateway: FakePayPal) -> None:
    begun = await club.begin(return_url=None, email="ada@example.com")
    assert '"application_context"' not in gateway.requests("/v1/billing/subscriptions")[0].body
    assert gateway.subscriptions()[0]["subscriber"] == {"email_address": "ada@example.com"}
    assert begun.status is SubscriptionStatus.INCOMPLETE


# --- what PayPal cannot do --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"payment_method": "8kk8451t"},
        {"interval": BillingInterval.YEARLY, "interval_count": 2},
        {"interval_count": 13},
        {"trial_days": 366},
        {"amount": Money(1000, "KWD")},
    ],
)
async def test_what_paypal_cannot_bill_is_refused_with_nothing_sent(
    club: Club, gateway: FakePayPal, changes: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest):
        await club.begin(**changes)
    assert gateway.requests("/v") == []


async def test_what_nobody_approved_cannot_be_canceled_or_paused(club: Club, gateway: FakePayPal) -> None:
    begun = await club.begin()
    for verb in (Verb.CANCEL_SUBSCRIPTION, Verb.PAUSE_SUBSCRIPTION, Verb.RESUME_SUBSCRIPTION):
        with pytest.raises(ProviderStateConflict):
            await club.ask(verb, begun.reference)
    assert [each.path for each in gateway.requests("/v1/billing/subscriptions/", method="POST")] == []
    assert (await club.sync(begun)).status is SubscriptionStatus.INCOMPLETE


async def test_a_canceled_one_cannot_be_resumed_and_another_currency_is_refused(club: Club) -> None:
    seen = await club.running()
    other = SubscriptionUpdate(subscription=seen.reference, amount=Money(1500, "EUR"))
    method = SubscriptionUpdate(subscription=seen.reference, payment_method="8kk8451t")
    for wish in (other, method):
        with pytest.raises(InvalidRequest):
            await club.account.update_subscription(wish, step=club.step())
    await club.ask(Verb.CANCEL_SUBSCRIPTION, seen.reference)
    for _ in range(2):
        ended = await club.ask(Verb.CANCEL_SUBSCRIPTION, seen.reference)
        assert ended.status is SubscriptionStatus.CANCELED, "to end it twice is to end it"
    with pytest.raises(ProviderStateConflict):
        await club.ask(Verb.RESUME_SUBSCRIPTION, seen.reference)
    with pytest.raises(ProviderNotFound):
        await club.account.sync_subscription("I-NOBODYS12345")


# --- every call lost --------------------------------------------------------------------------------

CALLS = ("/v1/catalogs/products", "/v1/billing/plans", "/v1/billing/subscriptions")


class Keeper:
    """What the engine does with the results of single calls; dies before it keeps the call named."""

    def __init__(self, dies_before: str | None = None) -> None:
        self.results: dict[str, Any] = {}
        self.dies_before = dies_before

    async def keep(self, name: str, result: Any) -> None:
        if name == self.dies_before:
            self.dies_before = None
            raise RuntimeError("killed before it was stored")
        self.results[name] = result


@pytest.mark.parametrize("fault", ["drop_after", "drop_before", "error_after", "unreadable"])
@pytest.mark.parametrize("path", CALLS)
async def test_a_create_that_lost_one_answer_goes_on_where_it_stopped(
    club: Club, gateway: FakePayPal, path: str, fault: str
) -> None:
    keeper = Keeper()
    step = club.step(results=keeper.results, keep=keeper.keep)
    gateway.faults.add(fault, path=path)
    with pytest.raises(ProviderUnknown):
        await club.begin(step)
    begun = await club.begin(replace(step, repeat=True))
    assert begun.status is SubscriptionStatus.INCOMPLETE
    counts = [len(each) for each in (gateway.products(), gateway.plans(), gateway.subscriptions())]
    assert counts == [1, 1, 1]


@pytest.mark.parametrize("name", ["product", "plan"])
async def test_a_create_that_is_killed_between_two_calls_makes_nothing_twice(
    club: Club, gateway: FakePayPal, name: str
) -> None:
    keeper = Keeper(dies_before=name)
    step = club.step(results=keeper.results, keep=keeper.keep)
    with pytest.raises(RuntimeError):
        await club.begin(step)
    await club.begin(replace(step, repeat=True))
    counts = [len(each) for each in (gateway.products(), gateway.plans(), gateway.subscriptions())]
    assert counts == [1, 1, 1]
    keys = [each.key for each in gateway.requests("/v1/", method="POST") if each.key]
    assert {f"{step.key}-product", f"{step.key}-plan", step.key} == set(keys)


async def test_a_try_that_left_a_plan_behind_is_taken_up_by_the_next_under_the_same_terms(
    club: Club, gateway: FakePayPal
) -> None:
    for fault in ("drop_after", "error_after"):
        gateway.faults.add(fault, path="/v1/billing/plans")
        with pytest.raises(ProviderUnknown):
            await club.begin(club.step(), wish=fault)
        begun = await club.begin(club.step(), wish=fault)
        assert begun.status is SubscriptionStatus.INCOMPLETE
    assert len(gateway.plans()) == 2, "one for each wish"
    dearer = await club.sync(await club.begin(club.step(), wish="drop_after", amount=Money(1500, "USD")))
    assert (dearer.amount, len(gateway.plans())) == (Money(1500, "USD"), 3), "at another price another plan"
    await club.begin()
    await club.begin()
    assert len(gateway.plans()) == 5, "a wish without a name is nobody else's"


async def test_what_is_sold_under_one_name_is_one_product(club: Club, gateway: FakePayPal) -> None:
    await club.begin()
    await club.begin()
    await club.begin(name="Tea club")
    assert (len(gateway.products()), len(gateway.plans())) == (2, 3)


async def test_a_lost_create_is_found_by_its_plan_and_collects_nothing(
    club: Club, gateway: FakePayPal
) -> None:
    for fault, kind in (("drop_after", Found), ("drop_before", Absent)):
        keeper = Keeper()
        step = club.step(results=keeper.results, keep=keeper.keep)
        gateway.faults.add(fault, path="/v1/billing/subscriptions")
        with pytest.raises(ProviderUnknown):
            await club.begin(step)
        seen = await club.account.find_operation(lost(Verb.CREATE_SUBSCRIPTION, step, results=keeper.results))
        assert isinstance(seen, kind), "the plan was made for it alone"
        early = await club.account.find_operation(lost(Verb.CREATE_SUBSCRIPTION, step))
        assert isinstance(early, Absent), "without a plan it was never asked for"
        if isinstance(seen, Found):
            assert seen.subscription is not None
            assert seen.subscription.next_action is not None
    assert gateway.captures() == []


@pytest.mark.parametrize(
    ("verb", "path", "method"),
    [
        (Verb.UPDATE_SUBSCRIPTION, "/v1/billing/subscriptions/*", "PATCH"),
        (Verb.PAUSE_SUBSCRIPTION, "*/suspend", "POST"),
        (Verb.RESUME_SUBSCRIPTION, "*/activate", "POST"),
        (Verb.CANCEL_SUBSCRIPTION, "*/cancel", "POST"),
    ],
)
async def test_a_lost_change_is_found_or_proved_absent(
    club: Club, gateway: FakePayPal, verb: Verb, path: str, method: str
) -> None:
    for fault, kind in (("drop_before", Absent), ("drop_after", Found)):
        seen = await club.running()
        if verb is Verb.RESUME_SUBSCRIPTION:
            await club.ask(Verb.PAUSE_SUBSCRIPTION, seen.reference)
        step = club.step()
        gateway.faults.add(fault, path=path, method=method)
        with pytest.raises(ProviderUnknown):
            await club.ask(verb, seen.reference, step)
        amount = Money(1500, "USD") if verb is Verb.UPDATE_SUBSCRIPTION else None
        found = await club.account.find_operation(lost(verb, step, subject=seen.reference, amount=amount))
        assert isinstance(found, kind)
        again = await club.ask(verb, seen.reference, replace(step, repeat=True))
        if isinstance(found, Found):
            assert found.subscription is not None
            assert found.subscription.status is again.status
            told = [
                each
                for each in gateway.requests("/v1/", method=method)
                if each.path.startswith("/v1/billing")
            ]
            assert (
                len([each for each in told if each.path.endswith(seen.reference + path.removeprefix("*"))])
                <= 1
            )


async def test_a_change_that_was_done_and_cannot_be_read_afterwards_is_unknown(
    club: Club, gateway: FakePayPal
) -> None:
    seen = await club.running()
    gateway.faults.add("error_before", path="/v1/billing/subscriptions/*", method="GET", skip=1)
    with pytest.raises(ProviderUnknown, match="done"):
        await club.ask(Verb.PAUSE_SUBSCRIPTION, seen.reference)


# --- what was collected, by itself ------------------------------------------------------------------


async def test_a_renewal_is_a_payment_that_is_read_and_refunded_alone(
    club: Club, gateway: FakePayPal
) -> None:
    seen = await club.running()
    assert seen.charges is not None
    charge = seen.charges[0]
    assert charge.charge == charge.reference
    read = await club.account.sync_payment_status(charge.reference)
    assert (read.status, read.captured, read.refunded, read.disputes) == (
        PaymentStatus.SUCCEEDED, 1000, 0, (),
    )  # fmt: skip
    step = club.step()
    asked = RefundRequest(
        payment=charge.reference,
        charge=charge.charge,
        refund_id="ref_1",
        amount=Money(400, "USD"),
        reference=step.reference,
    )
    refund = await club.account.refund_payment(asked, step=step)
    event = event_from(gateway.events("PAYMENT.SALE.REFUNDED")[0])
    assert (event.noun, event.reference) == (Noun.PAYMENT, refund.reference)
    assert await club.account.owner_of(refund.reference) == charge.reference
    known = KnownPayment(
        reference=charge.reference,
        charge=charge.reference,
        total=USD,
        status=PaymentStatus.SUCCEEDED,
        captured=1000,
        hint=refund.reference,
    )
    partly = await club.account.sync_known_payment(known)
    assert (partly.status, partly.captured, partly.refunded) == (PaymentStatus.SUCCEEDED, 1000, 400)
    assert partly.refunds is not None
    assert partly.refunds[0].refund_id == "ref_1"
    assert [
        (each.captured, each.refunded, each.refunds) for each in (await club.sync(seen)).charges or ()
    ] == [(1000, 0, None)], "how much of it was refunded is not in the list"
    with pytest.raises(ProviderRejected):
        await club.account.refund_payment(replace(asked, amount=Money(601, "USD")), step=club.step())


async def test_a_lost_refund_of_a_renewal_is_absent_found_or_not_to_be_said(
    club: Club, gateway: FakePayPal
) -> None:
    charge = ((await club.running()).charges or ())[0]
    known = KnownPayment(
        reference=charge.reference,
        charge=charge.reference,
        total=USD,
        status=PaymentStatus.SUCCEEDED,
        captured=1000,
    )
    step = club.step()
    evidence = lost(Verb.REFUND, step, payment=charge.reference, known=known, refund_id="ref_1")
    assert isinstance(await club.account.find_operation(evidence), Absent)
    made = gateway.refund_in_dashboard(charge.reference, {"currency_code": "USD", "value": "1.00"})
    assert isinstance(await club.account.find_operation(evidence), CannotSay)
    with gateway.books.lock:
        gateway.books.refunds[made["id"]]["invoice_id"] = step.reference
    hinted = replace(evidence, known=replace(known, hint=made["id"]))
    found = await club.account.find_operation(hinted)
    assert isinstance(found, Found)
    assert found.refund is not None
    assert found.refund.amount == Money(100, "USD")


async def test_a_disputed_renewal_is_read_with_its_dispute(club: Club, gateway: FakePayPal) -> None:
    charge = ((await club.running()).charges or ())[0]
    dispute = gateway.open_dispute(charge.reference)
    seen = await club.account.sync_payment_status(charge.reference)
    assert seen.disputes is not None
    assert (seen.disputed, seen.disputes[0].status) == (1000, DisputeStatus.OPEN)
    gateway.resolve_dispute(dispute["dispute_id"], "RESOLVED_BUYER_FAVOUR")
    seen = await club.account.sync_payment_status(charge.reference)
    assert (seen.disputed, seen.refunded) == (1000, 0), "it was taken once, and not refunded besides"


async def test_events_of_subscriptions_lead_to_the_subscription(club: Club, gateway: FakePayPal) -> None:
    seen = await club.running()
    gateway.decline_renewals(seen.reference)
    gateway.advance(days=31)
    await club.ask(Verb.CANCEL_SUBSCRIPTION, seen.reference)
    read = [event_from(each) for each in gateway.events()]
    assert {each.type for each in read} == {
        "BILLING.SUBSCRIPTION.CREATED",
        "BILLING.SUBSCRIPTION.ACTIVATED",
        "BILLING.SUBSCRIPTION.PAYMENT.FAILED",
        "BILLING.SUBSCRIPTION.CANCELLED",
        "PAYMENT.SALE.COMPLETED",
    }
    assert {(each.noun, each.reference, each.our_reference) for each in read} == {
        (Noun.SUBSCRIPTION, seen.reference, "reference00000000001")
    }
