"""Customers, methods and subscriptions of Stripe, where its answers are not what a good day brings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bridge_payments.errors import InvalidRequest, ProviderNotFound, ProviderRejected, ProviderUnknown
from bridge_payments.models import BillingInterval, Money, Noun, PaymentMethodStatus, SubscriptionStatus, Verb
from bridge_payments.providers.base import (
    UNRECOGNISED,
    Absent,
    CannotSay,
    CustomerDeletion,
    CustomerRequest,
    Evidence,
    PaymentMethodDeletion,
    PaymentMethodRequest,
    Step,
    SubscriptionRequest,
)
from bridge_payments.providers.stripe import StripeProvider
from bridge_payments.providers.stripe.customers import CUSTOMER_ID, create_form
from bridge_payments.providers.stripe.events import event_from
from bridge_payments.providers.stripe.payment_methods import details_of, is_free, setup_from
from bridge_payments.providers.stripe.subscriptions import product_id, subscription_from

pytestmark = pytest.mark.anyio

Make = Callable[..., Any]


def a_subscription(**changes: Any) -> dict[str, Any]:
    price = {"unit_amount": 2000, "currency": "usd", "product": "prod_1"}
    price |= {"recurring": {"interval": "month", "interval_count": 1}}
    item = {"id": "si_1", "price": price, "quantity": 1}
    item |= {"current_period_start": 1_790_000_000, "current_period_end": 1_792_592_000}
    return {
        "id": "sub_1", "object": "subscription", "status": "active", "customer": "cus_1", "livemode": False,
        "metadata": {}, "items": {"data": [item]}, "cancel_at_period_end": False, **changes,
    }  # fmt: skip


def a_setup(**changes: Any) -> dict[str, Any]:
    given = {"id": "seti_1", "object": "setup_intent", "status": "succeeded", "payment_method": "pm_1"}
    return {**given, "customer": "cus_1", "metadata": {}, "client_secret": "seti_1_secret_x", **changes}


# --- what is made of an answer --------------------------------------------------------------------


async def test_a_customer_of_the_other_mode_is_not_taken_for_a_forgotten_one(
    stripe_account: StripeProvider, scripted: Any, step: Make
) -> None:
    said = "No such customer: 'cus_1'; a similar object exists in live mode, but a test mode key was used"
    scripted.refuse(404, code="resource_missing", message=said)
    with pytest.raises(ProviderNotFound):
        await stripe_account.delete_customer(CustomerDeletion(customer="cus_1"), step=step())


async def test_a_detachment_that_is_refused_for_another_reason_is_refused(
    stripe_account: StripeProvider, scripted: Any, step: Make
) -> None:
    scripted.refuse(400, message="Something else is wrong with it")
    scripted.break_(b'{"id": "pm_1", "object": "payment_method", "type": "card", "customer": "cus_1"}')
    with pytest.raises(ProviderRejected):
        await stripe_account.delete_payment_method(PaymentMethodDeletion(payment_method="pm_1"), step=step())


@pytest.mark.parametrize(
    ("status", "read"),
    [
        ("requires_payment_method", PaymentMethodStatus.REQUIRES_ACTION),
        ("requires_confirmation", PaymentMethodStatus.REQUIRES_ACTION),
        ("requires_action", PaymentMethodStatus.REQUIRES_ACTION),
        ("processing", PaymentMethodStatus.PENDING),
        ("succeeded", PaymentMethodStatus.ACTIVE),
        ("canceled", PaymentMethodStatus.FAILED),
        ("sparkling", PaymentMethodStatus.PENDING),
    ],
)
def test_a_set_up_is_chargeable_only_once_it_succeeded(status: str, read: PaymentMethodStatus) -> None:
    method = setup_from(a_setup(status=status))
    assert method.status is read
    assert method.reference == ("pm_1" if status == "succeeded" else "seti_1")
    assert method.saved == (status == "succeeded")
    assert (method.client_secret is not None) == (read is PaymentMethodStatus.REQUIRES_ACTION)


def test_a_set_up_whose_method_was_detached_since_is_deleted() -> None:
    gone = {"id": "pm_1", "object": "payment_method", "type": "card", "customer": None}
    assert setup_from(a_setup(payment_method=gone)).status is PaymentMethodStatus.DELETED


@pytest.mark.parametrize("wallet", ["apple_pay", "google_pay"])
def test_a_wallets_card_is_a_card_in_a_wallet(wallet: str) -> None:
    shown = details_of(
        {"type": "card", "card": {"brand": "visa", "last4": "4242", "wallet": {"type": wallet}}}
    )
    assert (shown["type"], shown["wallet_type"], shown["last_four"]) == ("credit_card", wallet, "4242")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, SubscriptionStatus.ACTIVE),
        ({"status": "trialing"}, SubscriptionStatus.TRIALING),
        ({"status": "past_due"}, SubscriptionStatus.PAST_DUE),
        ({"status": "paused"}, SubscriptionStatus.PAUSED),
        ({"pause_collection": {"behavior": "void"}}, SubscriptionStatus.PAUSED),
        ({"pause_collection": {"behavior": "void"}, "status": "canceled"}, SubscriptionStatus.CANCELED),
        ({"status": "sparkling"}, UNRECOGNISED),
        ({"status": "sparkling", "pause_collection": {"behavior": "void"}}, UNRECOGNISED),
    ],
)
def test_a_pause_is_a_status_here_and_none_at_stripe(changes: dict[str, Any], status: object) -> None:
    assert subscription_from(a_subscription(**changes)).status is status


def test_the_amount_is_price_times_quantity_in_our_unit() -> None:
    one = a_subscription()
    one["items"]["data"][0]["quantity"] = 3
    assert subscription_from(one).amount == Money(6000, "USD")


def test_a_planned_end_within_the_period_is_an_end_at_the_periods_end() -> None:
    at_the_end = subscription_from(a_subscription(cancel_at=1_792_592_000))
    much_later = subscription_from(a_subscription(cancel_at=1_892_592_000))
    assert (at_the_end.cancel_at_period_end, at_the_end.next_billing_date) == (True, None)
    assert (much_later.cancel_at_period_end, much_later.next_billing_date) == (
        False,
        much_later.current_period_end,
    )


def test_an_end_that_is_not_of_this_kind_is_refused() -> None:
    for read in (subscription_from, setup_from):
        with pytest.raises(ValueError, match="not a"):
            read({"object": "balance"})


def test_a_token_of_a_stored_method_is_not_free() -> None:
    preview = {"type": "card", "customer": None}
    assert is_free({"object": "confirmation_token", "payment_method_preview": preview})
    for name in ("customer", "customer_account"):
        taken = {**preview, name: "cus_1"}
        assert not is_free({"object": "confirmation_token", "payment_method_preview": taken})
        assert not is_free({"object": "payment_method", **taken})
    assert not is_free({"object": "source", "customer": None})


# --- what is sent ---------------------------------------------------------------------------------


async def test_a_subscription_without_a_customer_or_with_a_crooked_amount_sends_nothing(
    stripe_account: StripeProvider, scripted: Any, step: Make
) -> None:
    for changes in ({"customer": None}, {"customer": "cus_1", "amount": Money(5, "MGA")}):
        request = SubscriptionRequest(
            **{
                "subscription_id": "sub_ours",
                "reference": "r",
                "amount": Money(2000, "USD"),
                "interval": BillingInterval.MONTHLY,
                **changes,
            }
        )
        with pytest.raises(InvalidRequest):
            await stripe_account.create_subscription(request, step=step())
    assert scripted.received == []


def test_our_marks_are_on_it_and_cannot_be_replaced() -> None:
    asked = CustomerRequest(
        customer_id="cus_ours", reference="r1", metadata={CUSTOMER_ID: "cus_ours", "a": "b"}
    )
    assert create_form(asked)["metadata"] == {CUSTOMER_ID: "cus_ours", "bridge_reference": "r1", "a": "b"}
    for forged in ({CUSTOMER_ID: "cus_other"}, {"bridge_reference": "r2"}, {"bridge_update": "r3"}):
        with pytest.raises(InvalidRequest):
            create_form(CustomerRequest(customer_id="cus_ours", reference="r1", metadata=forged))


def test_a_products_id_is_its_names() -> None:
    assert product_id("Apples") == product_id("Apples") != product_id("apples")
    assert len(product_id("Ä" * 500)) < 40


async def test_a_call_of_several_that_stripe_refuses_is_a_refusal_of_the_verb(
    stripe_account: StripeProvider, scripted: Any, step: Make
) -> None:
    scripted.refuse(404, code="resource_missing", message="No such product: 'bridge_1'")
    scripted.refuse(403, message="The provided key does not have the required permissions")
    request = SubscriptionRequest(
        subscription_id="sub_ours", reference="r", amount=Money(2000, "USD"), customer="cus_1",
        interval=BillingInterval.MONTHLY,
    )  # fmt: skip
    with pytest.raises(ProviderRejected):
        await stripe_account.create_subscription(request, step=step())
    assert [each.method for each in scripted.received] == ["GET", "POST"]
    assert scripted.received[1].headers["idempotency-key"] == "op_1-product"


async def test_a_product_that_somebody_made_meanwhile_is_the_one(
    stripe_account: StripeProvider, scripted: Any, step: Make
) -> None:
    scripted.refuse(404, code="resource_missing", message="No such product: 'bridge_1'")
    scripted.refuse(400, code="resource_already_exists", message="Product already exists.")
    scripted.break_(b"{}")
    request = SubscriptionRequest(
        subscription_id="sub_ours", reference="r", amount=Money(2000, "USD"), customer="cus_1",
        interval=BillingInterval.MONTHLY,
    )  # fmt: skip
    with pytest.raises(ProviderUnknown):
        await stripe_account.create_subscription(request, step=step())
    assert [each.path for each in scripted.received][-1] == "/v1/subscriptions"


# --- what was lost --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "verb", [Verb.UPDATE_CUSTOMER, Verb.DELETE_METHOD, Verb.CONFIRM_METHOD, Verb.CANCEL_SUBSCRIPTION]
)
async def test_what_names_no_object_cannot_be_looked_up(
    stripe_account: StripeProvider, verb: Verb, when: Any
) -> None:
    found = await stripe_account.find_operation(Evidence(verb=verb, reference="r", key="k", started_at=when))
    assert isinstance(found, CannotSay)


@pytest.mark.parametrize("verb", [Verb.CREATE_CUSTOMER, Verb.CREATE_METHOD, Verb.CREATE_SUBSCRIPTION])
async def test_a_look_up_that_stripe_refuses_proves_nothing(
    stripe_account: StripeProvider, scripted: Any, verb: Verb, when: Any
) -> None:
    scripted.refuse(401, message="Invalid API Key provided")
    found = await stripe_account.find_operation(Evidence(verb=verb, reference="r", key="k", started_at=when))
    assert isinstance(found, CannotSay)


async def test_an_empty_list_of_what_was_made_since_is_a_proof(
    stripe_account: StripeProvider, scripted: Any, listing: Make, when: Any
) -> None:
    scripted.answer(listing())
    lost = Evidence(verb=Verb.CREATE_CUSTOMER, reference="r", key="k", started_at=when)
    assert isinstance(await stripe_account.find_operation(lost), Absent)
    (sent,) = scripted.received
    assert sent.form["created"] == {"gte": str(int(when.timestamp()) - 300)}


# --- events ---------------------------------------------------------------------------------------


def test_an_invoices_event_leads_to_its_subscription_in_both_shapes() -> None:
    marks = {"bridge_reference": "r1"}
    new = {"parent": {"subscription_details": {"subscription": "sub_1", "metadata": marks}}}
    old = {"subscription": "sub_1", "subscription_details": {"metadata": marks}, "parent": None}
    for shape in (new, old):
        event = {"id": "evt_1", "object": "event", "type": "invoice.paid"}
        event["data"] = {"object": {"id": "in_1", "object": "invoice", **shape}}  # type: ignore[assignment]
        read = event_from(event)
        assert (read.noun, read.reference, read.our_reference) == (Noun.SUBSCRIPTION, "sub_1", "r1")


async def test_a_stored_step_is_not_made_again(
    stripe_account: StripeProvider, scripted: Any, step: Callable[..., Step]
) -> None:
    scripted.break_(b"{}")
    request = PaymentMethodRequest(payment_method_id="pm_ours", reference="r", token="pm_1", customer="cus_1")
    with pytest.raises(ProviderUnknown):
        await stripe_account.create_payment_method(request, step=step())
    assert [each.path for each in scripted.received] == ["/v1/setup_intents"]
