"""Two languages, one request: the same names in the same order, whatever order they were given in."""

from __future__ import annotations

import json
import random
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from bridge_payments.errors import ConfigurationError, InvalidRequest, MissingExtra
from bridge_payments.models import BillingInterval, CaptureMethod, Money
from bridge_payments.providers.authorize_net import forms, profiles, schedules
from bridge_payments.providers.authorize_net.answers import many, moment_of, text_of
from bridge_payments.providers.authorize_net.encoders import choose
from bridge_payments.providers.authorize_net.encoders.json import ORDER, JsonEncoder
from bridge_payments.providers.base import (
    BillingDetails,
    CustomerRequest,
    CustomerUpdate,
    PaymentMethodRequest,
    SubscriptionRequest,
    SubscriptionUpdate,
)

pytest.importorskip("authorizenet", reason="the vendor's contracts are not installed")

LOGIN = {"merchantAuthentication": {"transactionKey": "key", "name": "login"}}
USD = Money(123456, "USD")
SHOWN = {"payment": {"creditCard": {"cardNumber": "XXXX1111", "expirationDate": "XXXX"}}}
BANK = {
    "payment": {
        "bankAccount": {"routingNumber": "XXXX2882", "accountNumber": "XXXX7890", "nameOnAccount": "Ada"}
    }
}
ADDRESS = {
    "zip": "98004", "firstName": "Zoë", "lastName": "O'Neil & <Sons>", "company": "ns1:abc", "city": "B",
    "address": "14 Main St", "state": "WA", "country": "US",
}  # fmt: skip
EXTRA = {
    "billTo": {"email": "a@b.example", "faxNumber": "2", "phoneNumber": "1", **ADDRESS},
    "shipTo": ADDRESS,
    "customerIP": "192.0.2.1",
    "customer": {"email": "a@b.example", "type": "individual", "id": "c-1"},
    "lineItems": {
        "lineItem": [
            {"unitPrice": "1.00", "quantity": "2", "itemId": str(n), "name": "apple", "taxable": True}
            for n in range(3)
        ]
    },
    "tax": {"name": "VAT", "amount": "0.10", "description": "d"},
    "duty": {"amount": "0.20"},
    "shipping": {"amount": "0.30"},
    "taxExempt": False,
    "cardholderAuthentication": {"cardholderAuthenticationValue": "v", "authenticationIndicator": "5"},
}


def charge(**more: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "amount": USD, "invoice": "0" * 20, "capture_method": CaptureMethod.AUTOMATIC,
        "payment_method": "tokentoken", "description": "an “order” & more",
    }  # fmt: skip
    return forms.charge_payload(**{**facts, **more})


def transaction(payload: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "createTransactionRequest", {**LOGIN, "refId": "r" * 20, "transactionRequest": payload}


NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
WRITE = {**LOGIN, "refId": "r" * 20}
CUSTOMER = CustomerRequest(customer_id="cus_1", reference="0" * 20, email="a@b.example", name="Ada & Zoë")
METHOD = PaymentMethodRequest(
    payment_method_id="pm_1", reference="0" * 20, token="tokentoken", customer="31",
    billing=BillingDetails(
        name="Zoë van der Berg", email="a@b.example", phone="1", line1="14 Main St", line2="Flat 2",
        city="B", state="WA", postal_code="98004", country="US",
    ),
)  # fmt: skip
PROFILE = {"merchantCustomerId": "0" * 20, "description": "cus_1 Ada", "email": "a@b.example"}
SUBSCRIPTION = SubscriptionRequest(
    subscription_id="sub_1", reference="0" * 20, amount=USD, interval=BillingInterval.MONTHLY,
    interval_count=3, customer="31", payment_method="31:41", trial_days=14, name="Zoë's", description="d",
)  # fmt: skip
CHANGE = SubscriptionUpdate(
    subscription="51", amount=USD, customer="31", payment_method="31:41", description="d"
)
REQUESTS = [
    transaction(charge()),
    transaction(charge(capture_method=CaptureMethod.MANUAL, description=None, after="60001")),
    transaction(charge(extra=EXTRA)),
    transaction(charge(payment_method="apple_pay:QUJD/+==QUJD")),
    transaction(forms.capture_payload("60001", USD)),
    transaction(forms.void_payload("60001")),
    transaction(forms.refund_payload("60001", USD, SHOWN, invoice="0" * 20)),
    transaction(forms.refund_payload("60001", USD, BANK, invoice="0" * 20)),
    ("getTransactionDetailsRequest", {**LOGIN, "transId": "60001"}),
    ("getUnsettledTransactionListRequest", {**LOGIN, **forms.unsettled_payload(2)}),
    ("getTransactionListRequest", {**LOGIN, **forms.settled_payload("7", 1)}),
    ("getSettledBatchListRequest", {**LOGIN, **forms.batches_payload(NOW, NOW)}),
    ("authenticateTestRequest", LOGIN),
    transaction(charge(payment_method="31:41", customer="31", off_session=True)),
    transaction(charge(keep=True)),
    ("createCustomerProfileRequest", {**WRITE, "profile": profiles.customer_payload(CUSTOMER)}),
    ("createCustomerProfileRequest",
     {**WRITE, "profile": profiles.newcomer_payload(METHOD), "validationMode": "liveMode"}),
    ("getCustomerProfileRequest", {**LOGIN, "merchantCustomerId": "0" * 20, "unmaskExpirationDate": True}),
    ("updateCustomerProfileRequest",
     {**WRITE, "profile": profiles.changed_customer(PROFILE, CustomerUpdate(customer="31", name="Zoë"))}),
    ("deleteCustomerProfileRequest", {**WRITE, "customerProfileId": "31"}),
    ("createCustomerPaymentProfileRequest",
     {**WRITE, "customerProfileId": "31", "paymentProfile": profiles.method_payload(METHOD),
      "validationMode": "none"}),
    ("getCustomerPaymentProfileRequest",
     {**LOGIN, "customerProfileId": "31", "customerPaymentProfileId": "41", "unmaskExpirationDate": False}),
    *(
        ("updateCustomerPaymentProfileRequest",
         {**WRITE, "customerProfileId": "31",
          "paymentProfile": {
              **profiles.changed_billing(shown, METHOD.billing), "customerPaymentProfileId": "41",
          }})
        for shown in (SHOWN, BANK)
    ),
    ("deleteCustomerPaymentProfileRequest",
     {**WRITE, "customerProfileId": "31", "customerPaymentProfileId": "41"}),
    ("createCustomerProfileFromTransactionRequest", {**WRITE, "transId": "60001", "customerProfileId": "31"}),
    ("createCustomerProfileFromTransactionRequest",
     {**WRITE, "transId": "60001", "customer": {"merchantCustomerId": "0" * 20}}),
    ("ARBCreateSubscriptionRequest",
     {**WRITE, "subscription": schedules.subscription_payload(SUBSCRIPTION, "31:41", NOW.date())}),
    ("ARBUpdateSubscriptionRequest",
     {**WRITE, "subscriptionId": "51", "subscription": schedules.changed_payload(CHANGE, None)}),
    ("ARBCancelSubscriptionRequest", {**WRITE, "subscriptionId": "51"}),
    ("ARBGetSubscriptionRequest", {**LOGIN, "subscriptionId": "51", "includeTransactions": True}),
    ("ARBGetSubscriptionListRequest", {**LOGIN, **schedules.list_payload("subscriptionActive", 1)}),
]  # fmt: skip


def shuffled(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict):
        names = list(value)
        chance.shuffle(names)
        return {name: shuffled(value[name], chance) for name in names}
    return [shuffled(each, chance) for each in value] if isinstance(value, list) else value


def names_of_json(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            for each in inner if isinstance(inner, list) else [inner]:
                yield name
                yield from names_of_json(each)


def names_of_xml(element: ET.Element) -> Iterator[str]:
    yield element.tag.rpartition("}")[2]
    for child in element:
        yield from names_of_xml(child)


@pytest.mark.parametrize(("operation", "payload"), REQUESTS)
def test_both_encoders_write_the_same_names_in_the_same_order(
    operation: str, payload: dict[str, Any]
) -> None:
    chance = random.Random(operation)
    for _ in range(20):
        given = shuffled(payload, chance)
        as_json = json.loads(choose("json").encode(operation, given))
        as_xml = ET.fromstring(choose("xml").encode(operation, given))
        assert list(names_of_json(as_json)) == list(names_of_xml(as_xml))


def test_our_order_is_a_part_of_the_vendors() -> None:
    from bridge_payments.providers.authorize_net.encoders.xml import contracts, elements_of

    types = {
        "merchantAuthentication": "merchantAuthenticationType", "sorting": "TransactionListSorting",
        "paging": "Paging", "transactionRequest": "transactionRequestType", "payment": "paymentType",
        "creditCard": "creditCardType", "bankAccount": "bankAccountType", "opaqueData": "opaqueDataType",
        "order": "orderType", "lineItems": "ArrayOfLineItem", "lineItem": "lineItemType",
        "tax": "extendedAmountType", "duty": "extendedAmountType", "shipping": "extendedAmountType",
        "customer": "customerDataType", "billTo": "customerAddressType", "shipTo": "nameAndAddressType",
        "cardholderAuthentication": "ccAuthenticationType", "transactionSettings": "ArrayOfSetting",
        "setting": "settingType",
    }  # fmt: skip
    types |= {
        "transactionRequest.profile": "customerProfilePaymentType",
        "transactionRequest.profile.paymentProfile": "paymentProfile",
        "processingOptions": "processingOptions", "subscription": "ARBSubscriptionType",
        "createCustomerProfileRequest.profile": "customerProfileType",
        "updateCustomerProfileRequest.profile": "customerProfileInfoExType",
        "createCustomerProfileFromTransactionRequest.customer": "customerProfileBaseType",
        "paymentProfiles": "customerPaymentProfileType", "paymentProfile": "customerPaymentProfileExType",
        "subscription.profile": "customerProfileIdType", "paymentSchedule": "paymentScheduleType",
    }  # fmt: skip
    for name, ours in ORDER.items():
        if name == "interval":  # without a name of its own: the requests above are held against it
            continue
        found = getattr(contracts, types.get(name, name))
        theirs = list(elements_of(found if name in types else found.typeDefinition()))
        assert [each for each in theirs if each in ours] == list(ours), name


def test_what_a_payer_wrote_arrives_as_it_was_written() -> None:
    text = "pay ns1:abc & <b>Zoë</b> “1”"
    payload = transaction(charge(description=text))
    for encoder in (choose("xml"), choose("json")):
        sent = encoder.encode(*payload)
        _, read = encoder.decode(sent)
        body = read.get("createTransactionRequest", read)
        assert body["transactionRequest"]["order"]["description"] == text


def test_the_amount_is_the_same_number_in_both() -> None:
    payload = transaction(charge(amount=Money(1000, "USD")))
    _, read = choose("xml").decode(choose("xml").encode(*payload))
    assert Decimal(read["transactionRequest"]["amount"]) == Decimal("10.00")
    assert b'"amount":"10.00"' in choose("json").encode(*payload)


@pytest.mark.parametrize("name", ["xml", "json"])
@pytest.mark.parametrize(
    "payload",
    [
        {
            **LOGIN,
            "transactionRequest": {"transactionType": "voidTransaction", "secretname": "4111111111111111"},
        },
        {**LOGIN, "bogus": "4111111111111111"},
    ],
)
def test_a_name_that_the_gateway_does_not_have_is_refused_without_its_value(
    name: str, payload: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        choose(name).encode("createTransactionRequest", payload)
    assert "4111" not in str(refused.value)
    assert refused.value.__context__ is None or "4111" not in str(refused.value.__cause__)


def test_the_schema_refuses_what_is_too_long_without_saying_it() -> None:
    with pytest.raises(InvalidRequest) as refused:
        choose("xml").encode("createTransactionRequest", {**LOGIN, "refId": "hush" * 6})
    assert "hush" not in str(refused.value)


def test_answers_are_alike_with_and_without_a_byte_order_mark() -> None:
    body = b"<a xmlns='x'><refId>007</refId><b><c>1</c></b><b/><d>Zo\xc3\xab</d></a>"
    for mark in (b"", b"\xef\xbb\xbf"):
        name, answer = choose("xml").decode(mark + body)
        assert (name, answer) == ("a", {"refId": "007", "b": [{"c": "1"}, ""], "d": "Zoë"})
        assert JsonEncoder().decode(mark + b'{"a": 1.10}') == (None, {"a": Decimal("1.10")})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("xml", b""),
        ("xml", b"<html>"),
        ("xml", b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'),
        ("xml", b"\xff\xfe"),
        ("json", b""),
        ("json", b"[]"),
        ("json", b'{"a": NaN}'),
        ("json", b"\xff"),
    ],
)
def test_an_answer_that_nobody_can_read_is_said_to_be_one(name: str, content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - every kind of it
        choose(name).decode(content)


def test_without_the_vendors_package_json_is_spoken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "bridge_payments.providers.authorize_net.encoders.xml", raising=False)
    monkeypatch.setitem(sys.modules, "pyxb", None)
    assert choose("auto").name == "json"
    with pytest.raises(MissingExtra, match="authorizenet"):
        choose("xml")
    with pytest.raises(ConfigurationError, match="AUTHORIZE_NET_ENCODER"):
        choose("yaml")


def test_importing_the_provider_loads_nothing_of_the_vendors() -> None:
    import subprocess

    code = (
        "import sys, bridge_payments.providers.authorize_net as a;"
        "assert not {'pyxb', 'authorizenet', 'lxml', 'requests', 'httpx'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_leaves_and_lists_are_the_same_from_both_languages() -> None:
    assert [text_of(each) for each in ("a", " a ", "", 7, Decimal("5.0"), None, True, {}, [])] == [
        "a", "a", None, "7", "5.0", None, None, None, None,
    ]  # fmt: skip
    one = {"code": "1"}
    for given in ([one], {"message": one}, {"message": [one]}):
        assert many(given, "message") == [one]
    assert many("", "message") == many(None) == []
    assert moment_of("2026-11-23T12:00:00.1234567Z") == NOW.replace(microsecond=123456)
    assert moment_of("2026-11-23T12:00:00") == NOW
    assert moment_of("") is None
