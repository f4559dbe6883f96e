"""Profiles and schedules: what is sent of a payer and a price, and what a refusal or a date means."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from bridge_payments.errors import (
    InvalidRequest,
    ProviderDeclined,
    ProviderNotFound,
    ProviderRejected,
    ProviderStateConflict,
    ProviderUnknown,
)
from bridge_payments.models import (
    BillingInterval,
    CaptureMethod,
    DisputeStatus,
    Money,
    PaymentStatus,
    SubscriptionStatus,
)
from bridge_payments.providers.authorize_net import forms, mapping, profiles, schedules
from bridge_payments.providers.base import (
    UNRECOGNISED,
    BillingDetails,
    KnownPayment,
    PaymentMethodRequest,
    ProviderSubscription,
    SubscriptionRequest,
    SubscriptionUpdate,
)

USD = Money(2000, "USD")
MARK = "0123456789abcdefghjk"


def method(**more: Any) -> dict[str, Any]:
    facts = {"payment_method_id": "pm_1", "reference": MARK, "token": "tokentoken", **more}
    return profiles.method_payload(PaymentMethodRequest(**facts))


# --- payers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("Ada Lovelace", "Ada", "Lovelace"),
        ("Ada King Lovelace", "Ada King", "Lovelace"),
        ("Plato", "Plato", None),
        ("  ", None, None),
        ("A" * 60 + " " + "B" * 60, "A" * 50, "B" * 50),
    ],
)
def test_a_name_is_written_in_two_fields_of_fifty(name: str, first: str | None, last: str | None) -> None:
    billing = method(billing=BillingDetails(name=name)).get("billTo", {})
    assert (billing.get("firstName"), billing.get("lastName")) == (first, last)


def test_an_address_is_one_line_of_sixty_and_nothing_empty_is_sent() -> None:
    billing = BillingDetails(line1="14 Main St", line2="Flat " + "9" * 60, city="", country="US")
    assert method(billing=billing)["billTo"] == {
        "address": ("14 Main St, Flat " + "9" * 60)[:60], "country": "US",
    }  # fmt: skip
    assert "billTo" not in method(billing=BillingDetails())


def test_a_wallets_method_that_is_changed_sends_no_number() -> None:
    shown = {
        "billTo": {"zip": "1"},
        "payment": {"tokenInformation": {"tokenNumber": "XXXX1", "expirationDate": "X"}},
    }
    assert profiles.changed_billing(shown, BillingDetails(city="B")) == {"billTo": {"zip": "1", "city": "B"}}


def test_a_customer_that_somebody_else_made_is_shown_without_an_id_of_ours() -> None:
    foreign = {"customerProfileId": "31", "merchantCustomerId": "973", "description": "cus_9 Profile"}
    read = profiles.customer_from(foreign, livemode=True)
    assert (read.reference, read.customer_id, read.name, read.our_reference) == ("31", None, None, "973")
    with pytest.raises(ValueError, match="customerProfileId"):
        profiles.customer_from({"customerProfileId": "x"}, livemode=True)


@pytest.mark.parametrize(
    ("source", "wallet"), [("AppleInApp", "apple_pay"), ("Google Pay", "google_pay"), ("other", None)]
)
def test_a_stored_wallet_is_named(source: str, wallet: str | None) -> None:
    payment = {
        "tokenInformation": {"tokenSource": source, "tokenNumber": "XXXX1111", "expirationDate": "2031-08"}
    }
    read = profiles.method_from({"customerPaymentProfileId": "41", "payment": payment}, customer="31")
    assert (read.wallet_type, read.last_four, read.expiry_month) == (wallet, "1111", 8)


def test_what_looks_like_several_methods_is_none_of_them() -> None:
    def card(number: str, brand: str) -> dict[str, Any]:
        shown = {"cardNumber": f"XXXX{number}", "expirationDate": "XXXX", "cardType": brand}
        return {"customerPaymentProfileId": "1", "payment": {"creditCard": shown}}

    several = {"41": card("1111", "Visa"), "42": card("1111", "MasterCard"), "43": card("0015", "MasterCard")}
    assert profiles.mine_among(several, "1111", None) is None
    assert profiles.mine_among(several, "1111", "Visa") == "41"
    assert profiles.mine_among(several, "0015", None) == "43"
    assert profiles.mine_among(several, None, None) is None
    assert profiles.mine_among({}, "1111", "Visa") is None


# --- refusals -------------------------------------------------------------------------------------


def failed(code: str, text: str = "no", **more: Any) -> dict[str, Any]:
    return {"messages": {"resultCode": "Error", "message": [{"code": code, "text": text}]}, **more}


def line(code: str, reason: str, separator: str = ",") -> str:
    return separator.join([code, "1", reason, "This transaction has been declined.", *[""] * 60])


@pytest.mark.parametrize("separator", [",", "|"])
@pytest.mark.parametrize("name", ["validationDirectResponse", "validationDirectResponseList"])
def test_an_issuers_no_is_a_decline_whatever_separates_its_words(separator: str, name: str) -> None:
    said: Any = line("2", "2", separator)
    answer = failed("E00027", **{name: [said] if name.endswith("List") else said})
    error = profiles.refusal_from(answer, repeat=False, attempt="a")
    assert isinstance(error, ProviderDeclined)
    assert (error.decline_code, error.provider_code, error.payment) == ("declined", "2", None)
    assert isinstance(profiles.refusal_from(answer, repeat=True, attempt="a"), ProviderUnknown)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("E00040", ProviderNotFound),
        ("E00035", ProviderNotFound),
        ("E00037", ProviderStateConflict),
        ("E00038", ProviderStateConflict),
        ("E00042", ProviderRejected),
        ("E00105", ProviderRejected),
        ("E00001", ProviderUnknown),
    ],
)
def test_each_refusal_of_a_profile_or_a_subscription_means_one_thing(code: str, kind: type) -> None:
    assert type(profiles.refusal_from(failed(code), repeat=False, attempt="a")) is kind


def test_a_duplicate_is_named_in_a_field_or_in_words() -> None:
    words = failed("E00039", "A duplicate record with ID 1220992516 already exists.")
    assert profiles.duplicate_of(words, "customerProfileId") == "1220992516"
    assert profiles.duplicate_of(words, "customerPaymentProfileId") is None
    assert (
        profiles.duplicate_of(failed("E00039", customerPaymentProfileId="41"), "customerPaymentProfileId")
        == "41"
    )
    assert profiles.duplicate_of(failed("E00042", "ID 7"), "customerProfileId") is None
    again = failed("E00012", "You have submitted a duplicate of Subscription 2341621. A duplicate")
    assert schedules.duplicate_of(again) == "2341621"
    digits = line("1", "1").split(",")
    digits[50:52] = ["XXXX8888", "Visa"]
    assert profiles.digits_of({"validationDirectResponse": ",".join(digits)}) == ("8888", "Visa")
    assert profiles.digits_of({"validationDirectResponse": "1,1"}) == profiles.digits_of({}) == (None, None)


# --- schedules ------------------------------------------------------------------------------------


def shown(**more: Any) -> dict[str, Any]:
    return {
        "name": "x", "status": "active", "amount": "20.00",
        "paymentSchedule": {"interval": {"length": "1", "unit": "months"}, "startDate": "2026-01-31"},
        "order": {"invoiceNumber": MARK}, **more,
    }  # fmt: skip


def read(today: date, **more: Any) -> ProviderSubscription:
    return schedules.subscription_from("51", shown(**more), currency="USD", today=today, livemode=False)


def day(month: int, day_: int, year: int = 2026) -> datetime:
    return datetime(year, month, day_, tzinfo=UTC)


@pytest.mark.parametrize(
    ("today", "since", "until"),
    [
        (date(2026, 1, 31), day(1, 31), day(2, 28)),
        (date(2026, 2, 27), day(1, 31), day(2, 28)),
        (date(2026, 2, 28), day(2, 28), day(3, 31)),
        (date(2026, 12, 31), day(12, 31), day(1, 31, 2027)),
        (date(2028, 2, 29), day(2, 29, 2028), day(3, 31, 2028)),
    ],
)
def test_a_period_ends_on_the_last_of_a_month_that_is_too_short(
    today: date, since: datetime, until: datetime
) -> None:
    found = read(today)
    assert (found.current_period_start, found.current_period_end, found.next_billing_date) == (
        since,
        until,
        until,
    )


@pytest.mark.parametrize("wrapped", [True, False])
def test_an_attempt_that_failed_has_words_and_no_transaction(wrapped: bool) -> None:
    """As the gateway's reference shows one (2026-11), in XML and in JSON."""
    failed = {
        "response": "The credit card has expired.",
        "submitTimeUTC": "2026-02-28T10:00:00.247",
        "payNum": 2,
    }
    paid = {"transId": "60001", "response": "Approved", "submitTimeUTC": "2026-01-31T10:00:00Z", "payNum": 1}
    listed = {"arbTransaction": [paid, failed]} if wrapped else [paid, failed]
    tried = schedules.attempts_in(shown(arbTransactions=listed))
    assert [(each.transaction, each.words) for each in tried] == [
        (None, "The credit card has expired."), ("60001", "Approved"),
    ]  # fmt: skip
    suspended = read(date(2026, 3, 1), status="suspended", arbTransactions=listed)
    assert suspended.decline is not None
    assert (suspended.decline.code, suspended.decline.message) == ("declined", "The credit card has expired.")
    assert read(date(2026, 3, 1), arbTransactions=listed).decline is None
    assert schedules.attempts_in(shown()) == []


def test_every_period_follows_the_one_before_without_a_gap() -> None:
    for length, unit in ((7, "days"), (10, "days"), (1, "months"), (5, "months"), (12, "months")):
        schedule = {"interval": {"length": length, "unit": unit}, "startDate": "2026-01-31"}
        end = day(1, 31)
        for _ in range(30):
            found = read(end.date(), paymentSchedule=schedule)
            assert found.current_period_start == end
            assert found.current_period_end is not None
            assert found.current_period_end > end
            end = found.current_period_end


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("active", SubscriptionStatus.ACTIVE),
        ("suspended", SubscriptionStatus.PAST_DUE),
        ("canceled", SubscriptionStatus.CANCELED),
        ("terminated", SubscriptionStatus.CANCELED),
        ("expired", SubscriptionStatus.CANCELED),
        ("sparkling", UNRECOGNISED),
    ],
)
def test_each_word_of_a_subscription_means_one_thing(word: str, status: object) -> None:
    found = read(date(2026, 3, 1), status=word)
    assert (found.status, found.provider_status) == (status, word)
    assert (found.next_billing_date is not None) is (word in ("active", "suspended"))
    early = read(date(2026, 1, 1), status=word)
    assert (early.status is SubscriptionStatus.TRIALING) is (word == "active")


@pytest.mark.needs("specs")
def test_no_word_of_the_schema_is_forgotten(require: Any) -> None:
    import re

    text = (require("specs") / "authorizenet" / "AnetApiSchema.xsd").read_text()
    block = text[text.index('name="ARBSubscriptionStatusEnum"') :]
    words = set(re.findall(r'enumeration value="(\w+)"', block[: block.index("</xs:simpleType>")]))
    assert words == set(schedules.STATUS)


@pytest.mark.parametrize(
    ("interval", "count", "fits"),
    [
        (BillingInterval.DAILY, 6, False),
        (BillingInterval.DAILY, 7, True),
        (BillingInterval.WEEKLY, 12, True),
        (BillingInterval.MONTHLY, 12, True),
        (BillingInterval.YEARLY, 1, True),
        (BillingInterval.YEARLY, 2, False),
    ],
)
def test_only_what_the_gateway_bills_is_sent(interval: BillingInterval, count: int, fits: bool) -> None:
    request = SubscriptionRequest(
        subscription_id="sub_1", reference=MARK, amount=USD, interval=interval, interval_count=count,
        customer="31", payment_method="31:41",
    )  # fmt: skip
    if fits:
        payload = schedules.subscription_payload(request, "31:41", date(2026, 1, 1))
        assert payload["paymentSchedule"]["totalOccurrences"] == 9999
        return
    with pytest.raises(InvalidRequest, match="7 to 365 days"):
        schedules.subscription_payload(request, "31:41", date(2026, 1, 1))


def test_a_change_is_seen_only_if_all_of_it_is_there() -> None:
    profile = {"customerProfileId": "31", "paymentProfile": {"customerPaymentProfileId": "41"}}
    there = shown(profile=profile, order={"invoiceNumber": MARK, "description": "d"})
    for more, done in (
        ({"amount": USD}, True),
        ({"amount": Money(2001, "USD")}, False),
        ({"payment_method": "31:41"}, True),
        ({"payment_method": "31:42"}, False),
        ({"description": "d"}, True),
        ({"description": "e"}, False),
        ({"amount": USD, "description": "e"}, False),
        ({}, True),
    ):
        request = SubscriptionUpdate(subscription="51", **more)  # type: ignore[arg-type]
        assert schedules.is_changed(there, request, "USD") is done, more


# --- payments -------------------------------------------------------------------------------------


def test_a_stored_method_is_not_another_customers() -> None:
    facts: dict[str, Any] = {
        "amount": USD, "invoice": MARK, "capture_method": CaptureMethod.AUTOMATIC, "description": None,
        "payment_method": "31:41",
    }  # fmt: skip
    for customer in ("", "3", "32", "31:41"):
        with pytest.raises(InvalidRequest):
            forms.charge_payload(customer=customer, **facts)
    payload = forms.charge_payload(customer="31", **facts)
    assert forms.charge_payload(customer=None, **facts) == payload, "a method may belong to none of our rows"
    assert payload["profile"] == {"customerProfileId": "31", "paymentProfile": {"paymentProfileId": "41"}}
    assert "payment" not in payload


@pytest.mark.parametrize(
    ("word", "disputed", "status"),
    [("chargeback", 2000, DisputeStatus.OPEN), ("chargebackReversal", 0, DisputeStatus.WON)],
)
def test_a_charge_back_is_a_dispute_of_the_whole_amount(
    word: str, disputed: int, status: DisputeStatus
) -> None:
    seen = {
        "transId": "60001", "transactionStatus": word, "authAmount": "20.00", "settleAmount": "20.00",
        "transactionType": "authCaptureTransaction",
    }  # fmt: skip
    known = KnownPayment(reference=f"anet_{MARK}", total=USD, status=PaymentStatus.SUCCEEDED, charge="60001")
    facts: dict[str, Any] = {"known": known, "currency": "USD", "livemode": False, "now": datetime.now(UTC)}
    payment = mapping.payment_from(seen, **facts)
    assert payment.disputes is not None
    (dispute,) = payment.disputes
    assert (payment.disputed, dispute.status, dispute.amount) == (disputed, status, USD)
    assert dispute.reference == "chargeback-60001"
    settled = mapping.payment_from({**seen, "transactionStatus": "settledSuccessfully"}, **facts)
    assert settled.disputes is None, "that nothing is said of one does not undo one"
