"""The fake keeps the gateway's rules, in both languages: else tests that trust it would prove nothing."""

from __future__ import annotations

import contextlib
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest

from bridge_payments.providers.authorize_net.encoders.json import JsonEncoder
from bridge_payments.sandbox.authorize_net import FakeAuthorizeNet
from bridge_payments.sandbox.authorize_net.cards import CARDS

PATH = "/xml/v1/request.api"
BOM = b"\xef\xbb\xbf"


@pytest.fixture(scope="module")
def listening() -> Iterator[FakeAuthorizeNet]:
    with FakeAuthorizeNet() as gateway:
        yield gateway


@pytest.fixture
def anet(listening: FakeAuthorizeNet) -> FakeAuthorizeNet:
    listening.reset(endpoints=True)
    return listening


class Caller:
    """Whoever holds the account's credentials."""

    def __init__(self, gateway: FakeAuthorizeNet, http: httpx.Client) -> None:
        self.gateway, self.http, self.count = gateway, http, 0
        self.login = {"name": gateway.login_id, "transactionKey": gateway.transaction_key}

    def ask(self, operation: str, **values: Any) -> Any:
        body = {operation: {"merchantAuthentication": self.login, **values}}
        answer = self.http.post(PATH, json=body)
        assert answer.status_code == 200
        assert answer.content.startswith(BOM)
        return JsonEncoder().decode(answer.content)[1]

    def make(self, kind: str, **values: Any) -> Any:
        return self.ask("createTransactionRequest", transactionRequest={"transactionType": kind, **values})

    def charge(self, token: str | None = None, kind: str = "authCaptureTransaction", **values: Any) -> Any:
        value = token if token is not None else self.gateway.token()
        self.count += 1
        facts: dict[str, Any] = {
            "amount": "20.00",
            "order": {"invoiceNumber": f"invoice-{self.count}"},
            "payment": {"opaqueData": {"dataDescriptor": "COMMON.ACCEPT.INAPP.PAYMENT", "dataValue": value}},
        }
        return self.make(kind, **{**facts, **values})

    def paid(self, **values: Any) -> str:
        made = str(self.charge(**values)["transactionResponse"]["transId"])
        assert made != "0"
        return made

    def details(self, transaction: str) -> Any:
        return self.ask("getTransactionDetailsRequest", transId=transaction)["transaction"]

    def refund(self, transaction: str, amount: str, last_four: str = "1111") -> Any:
        card = {"cardNumber": last_four, "expirationDate": "XXXX"}
        return self.make(
            "refundTransaction", amount=amount, payment={"creditCard": card}, refTransId=transaction
        )


@pytest.fixture
def caller(anet: FakeAuthorizeNet) -> Iterator[Caller]:
    with httpx.Client(base_url=anet.url, timeout=5, trust_env=False) as http:
        yield Caller(anet, http)


def error_of(answer: Mapping[str, Any]) -> str:
    errors = (answer.get("transactionResponse") or {}).get("errors") or []
    return str(errors[0]["errorCode"] if errors else answer["messages"]["message"][0]["code"])


def test_it_speaks_xml_to_whoever_does(anet: FakeAuthorizeNet, caller: Caller) -> None:
    body = (
        '<?xml version="1.0"?><authenticateTestRequest xmlns="AnetApi/xml/v1/schema/AnetApiSchema.xsd">'
        f"<merchantAuthentication><name>{anet.login_id}</name><transactionKey>{anet.transaction_key}"
        "</transactionKey></merchantAuthentication><refId>r-1</refId></authenticateTestRequest>"
    )
    answer = caller.http.post(PATH, content=body, headers={"content-type": "application/xml"})
    assert answer.content.startswith(BOM)
    root = ET.fromstring(answer.content.removeprefix(BOM))
    assert root.tag.endswith("}authenticateTestResponse")
    assert [each.text for each in root.iter() if each.tag.endswith("}resultCode")] == ["Ok"]
    assert [each.text for each in root.iter() if each.tag.endswith("}refId")] == ["r-1"]


def test_strangers_and_nonsense_are_refused(caller: Caller) -> None:
    caller.login = {**caller.login, "transactionKey": "wrong"}
    assert error_of(caller.ask("authenticateTestRequest")) == "E00007"
    for content in (b"", b"[]", b"{}", b"<a>"):
        answer = caller.http.post(PATH, content=content, headers={"content-type": "application/json"})
        assert "E00003" in answer.text


def test_a_charge_is_kept_with_its_invoice_and_its_reference(caller: Caller) -> None:
    answer = caller.ask(
        "createTransactionRequest",
        refId="r-1",
        transactionRequest={
            "transactionType": "authCaptureTransaction", "amount": "20.00",
            "payment": {
                "opaqueData": {
                    "dataDescriptor": "COMMON.ACCEPT.INAPP.PAYMENT", "dataValue": caller.gateway.token(),
                }
            },
            "order": {"invoiceNumber": "i-1"},
        },
    )  # fmt: skip
    assert (answer["refId"], answer["messages"]["resultCode"]) == ("r-1", "Ok")
    made = answer["transactionResponse"]
    assert (made["responseCode"], made["accountNumber"]) == ("1", "XXXX1111")
    read = caller.ask("getTransactionDetailsRequest", transId=made["transId"])
    assert read["transrefId"] == "r-1"
    shown = read["transaction"]
    assert (shown["transactionStatus"], shown["order"]["invoiceNumber"]) == (
        "capturedPendingSettlement", "i-1",
    )  # fmt: skip
    assert str(shown["authAmount"]) == "20.0", "a number, as JSON libraries write it"
    assert error_of(caller.ask("getTransactionDetailsRequest", transId="1")) == "E00040"


@pytest.mark.parametrize("card", [name for name, card in CARDS.items() if card.code in (2, 3)])
def test_a_card_that_is_refused_is_refused_with_its_reason(caller: Caller, card: str) -> None:
    answer = caller.charge(caller.gateway.token(card))
    listed = CARDS[card]
    assert answer["transactionResponse"]["responseCode"] == str(listed.code)
    assert error_of(answer) == str(listed.reason)
    has_number = answer["transactionResponse"]["transId"] != "0"
    assert has_number is (listed.code == 2), "an error leaves no transaction, a decline does"
    assert caller.gateway.charges() == []


def test_a_token_is_good_once_for_a_quarter_of_an_hour_and_here_only(caller: Caller) -> None:
    token = caller.gateway.token("declined")
    caller.charge(token)
    assert error_of(caller.charge(token)) == "E00114", "used by the decline"
    assert error_of(caller.charge("unknown")) == "E00114"
    late = caller.gateway.token()
    caller.gateway.clock.move(timedelta(minutes=15, seconds=1))
    assert error_of(caller.charge(late)) == "E00115"
    other = {"opaqueData": {"dataDescriptor": "COMMON.VCO.ONLINE.PAYMENT", "dataValue": "x"}}
    assert error_of(caller.charge(payment=other)) == "E00113"
    assert error_of(caller.charge(currencyCode="EUR")) == "39"
    assert error_of(caller.charge(amount="0")) == error_of(caller.charge(amount="x")) == "5"


def test_the_browser_gets_a_token_and_nothing_else(anet: FakeAuthorizeNet, caller: Caller) -> None:
    caller.login = {"name": anet.login_id, "clientKey": anet.client_key}
    card = {"cardNumber": "4111 1111 1111 1111", "expirationDate": "1230", "cardCode": "123"}
    data = {"type": "TOKEN", "id": "1", "token": card}
    answer = caller.ask("securePaymentContainerRequest", data=data)
    token = answer["opaqueData"]["dataValue"]
    assert "4111" not in json.dumps(answer, default=str)
    assert error_of(caller.ask("getTransactionDetailsRequest", transId="1")) == "E00007"
    assert (
        error_of(caller.ask("securePaymentContainerRequest", data={"token": {"cardNumber": "1"}}))
        == "E_WC_05"
    )
    caller.login = {"name": anet.login_id, "transactionKey": anet.transaction_key}
    assert caller.charge(token)["transactionResponse"]["responseCode"] == "1"
    page = caller.http.get("/_fields")
    assert anet.transaction_key not in page.text
    assert anet.client_key in page.text
    assert caller.http.get("/_static/fields.js").status_code == 200


def test_a_duplicate_is_what_is_alike_within_the_window_that_was_asked_for(caller: Caller) -> None:
    def attempt(window: str = "28800", **values: Any) -> str:
        setting = [{"settingName": "duplicateWindow", "settingValue": window}]
        facts: dict[str, Any] = {"order": {"invoiceNumber": "i"}, "transactionSettings": {"setting": setting}}
        answer = caller.charge(**{**facts, **values})
        return str(answer["transactionResponse"]["responseCode"]) + error_of(answer)

    assert attempt() == "1I00001"
    assert attempt() == "311"
    assert attempt(order={"invoiceNumber": "j"}) == "1I00001"
    assert attempt(amount="21.00") == "1I00001"
    assert attempt(poNumber="60001") == "1I00001"
    caller.gateway.clock.move(timedelta(hours=8, seconds=1))
    assert attempt() == "1I00001"
    assert attempt(order={}, window="0") == attempt(order={}, window="0") == "1I00001"
    declined = caller.gateway.token("declined")
    assert attempt(token=declined, order={"invoiceNumber": "k"}) == "22"
    again = caller.gateway.token("declined")
    assert attempt(token=again, order={"invoiceNumber": "k"}) == "311", "a decline was submitted, too"


def test_an_authorisation_is_captured_once_and_never_for_more(caller: Caller) -> None:
    held = caller.paid(kind="authOnlyTransaction")
    assert error_of(caller.make("priorAuthCaptureTransaction", refTransId=held, amount="20.01")) == "47"
    taken = caller.make("priorAuthCaptureTransaction", refTransId=held, amount="7.00")
    assert taken["transactionResponse"]["transId"] == held, "under its own number"
    assert str(caller.details(held)["settleAmount"]) == "7.0"
    assert error_of(caller.make("priorAuthCaptureTransaction", refTransId=held, amount="1.00")) == "311"
    assert error_of(caller.make("priorAuthCaptureTransaction", refTransId="1", amount="1.00")) == "16"


def test_before_settlement_it_can_be_voided_and_afterwards_refunded(caller: Caller) -> None:
    charge = caller.paid()
    assert error_of(caller.refund(charge, "5.00")) == "54", "it is not settled"
    caller.gateway.settle()
    assert error_of(caller.make("voidTransaction", refTransId=charge)) == "16", "it is settled"
    assert error_of(caller.refund(charge, "5.00", last_four="9999")) == "54", "another card"
    assert caller.refund(charge, "5.00")["transactionResponse"]["refTransID"] == charge
    assert error_of(caller.refund(charge, "15.01")) == "55"
    caller.refund(charge, "15.00")
    assert caller.gateway.balance() == 0
    other = caller.paid()
    assert caller.make("voidTransaction", refTransId=other)["transactionResponse"]["transId"] == other
    assert error_of(caller.make("voidTransaction", refTransId=other)) == "310"
    caller.gateway.settle()
    assert caller.details(other)["transactionStatus"] == "voided"


def test_a_day_later_it_has_settled_by_itself(caller: Caller) -> None:
    charge, held = caller.paid(), caller.paid(kind="authOnlyTransaction", amount="1.00")
    caller.gateway.clock.move(timedelta(hours=23))
    assert caller.details(charge)["transactionStatus"] == "capturedPendingSettlement"
    caller.gateway.clock.move(timedelta(hours=2))
    assert caller.details(charge)["transactionStatus"] == "settledSuccessfully"
    assert caller.details(held)["transactionStatus"] == "authorizedPendingCapture"


def test_the_lists_show_what_they_should_and_lag_as_they_are_told(caller: Caller) -> None:
    first, second = caller.paid(), caller.paid(amount="21.00")
    listed = caller.ask("getUnsettledTransactionListRequest", paging={"limit": 1, "offset": 2},
                        sorting={"orderBy": "id", "orderDescending": True})  # fmt: skip
    assert [each["transId"] for each in listed["transactions"]] == [first]
    caller.gateway.settle()
    assert "transactions" not in caller.ask("getUnsettledTransactionListRequest")
    (batch,) = caller.ask("getSettledBatchListRequest")["batchList"]
    inside = caller.ask("getTransactionListRequest", batchId=batch["batchId"])
    assert sorted(each["transId"] for each in inside["transactions"]) == sorted([first, second])
    assert error_of(caller.ask("getTransactionListRequest", batchId="1")) == "E00040"
    wide = caller.ask(
        "getSettledBatchListRequest", firstSettlementDate="2026-01-01T00:00:00Z",
        lastSettlementDate="2026-03-01T00:00:00Z",
    )  # fmt: skip
    assert error_of(wide) == "E00080"
    caller.gateway.lag(timedelta(minutes=5))
    caller.paid(amount="22.00")
    assert "transactions" not in caller.ask("getUnsettledTransactionListRequest")
    caller.gateway.clock.move(timedelta(minutes=6))
    assert len(caller.ask("getUnsettledTransactionListRequest")["transactions"]) == 1


def test_a_held_charge_waits_for_a_person(caller: Caller) -> None:
    for approved, status in ((True, "capturedPendingSettlement"), (False, "failedReview")):
        answer = caller.charge(caller.gateway.token("held"))
        assert answer["transactionResponse"]["responseCode"] == "4"
        held = answer["transactionResponse"]["transId"]
        assert caller.details(held)["transactionStatus"] == "FDSAuthorizedPendingReview"
        caller.gateway.review(held, approved=approved)
        assert caller.details(held)["transactionStatus"] == status
    kinds = [event["eventType"].removeprefix("net.authorize.payment.") for event in caller.gateway.events()]
    assert kinds == ["fraud.held", "fraud.approved", "fraud.held", "fraud.declined"]


def test_test_mode_approves_everything_and_keeps_nothing(caller: Caller) -> None:
    caller.gateway.test_mode = True
    answer = caller.charge()
    assert (answer["transactionResponse"]["responseCode"], answer["transactionResponse"]["transId"]) == (
        "1",
        "0",
    )
    assert caller.gateway.transactions() == []


@pytest.mark.parametrize(
    ("fault", "charged"),
    [("drop_before", 0), ("drop_after", 1), ("error_before", 0), ("error_stored", 0), ("error_after", 1),
     ("unreadable", 1), ("half_answer", 1), ("key_in_use", 0), ("rate_limited", 0)],
)  # fmt: skip
def test_a_fault_spoils_what_it_names_and_nothing_else(caller: Caller, fault: str, charged: int) -> None:
    caller.gateway.spoil(fault, "authCaptureTransaction")
    caller.ask("authenticateTestRequest")
    with contextlib.suppress(httpx.HTTPError, AssertionError, ValueError):
        caller.charge()
    assert len(caller.gateway.charges()) == charged
    caller.charge(amount="1.00")
    assert len(caller.gateway.charges()) == charged + 1


def test_notifications_are_signed_with_the_keys_text_and_delivered(
    anet: FakeAuthorizeNet, caller: Caller, receiver: Any
) -> None:
    import hashlib
    import hmac

    anet.add_webhook(receiver.url)
    charge = caller.paid()
    assert anet.webhooks.wait_until_delivered()
    ((headers, body),) = receiver.deliveries
    signature = hmac.new(anet.signature_key.encode(), body, hashlib.sha512).hexdigest().upper()
    assert headers["x-anet-signature"] == f"sha512={signature}"
    event = json.loads(body)
    assert event["eventType"] == "net.authorize.payment.authcapture.created"
    assert (event["payload"]["entityName"], event["payload"]["id"]) == ("transaction", charge)


def test_the_switches_are_there_for_another_process(anet: FakeAuthorizeNet, caller: Caller) -> None:
    assert caller.http.get("/_control/books").status_code == 403
    desk = {"x-sandbox-control": "1"}
    caller.paid()
    books = caller.http.get("/_control/books", headers=desk).json()
    assert [each["status"] for each in books["transactions"]] == ["capturedPendingSettlement"]
    caller.http.post(
        "/_control/settings", headers=desk, json={"settle": True, "hold_next": 1, "test_mode": False}
    )
    assert anet.transactions()[0]["status"] == "settledSuccessfully"
    held = caller.charge(amount="3.00")["transactionResponse"]
    assert held["responseCode"] == "4"
    caller.http.post("/_control/settings", headers=desk, json={"review": held["transId"], "approved": True})
    caller.http.post("/_control/clock", headers=desk, json={"seconds": 60})
    caller.http.post("/_control/faults", headers=desk, json={"kind": "drop_before"})
    with pytest.raises(httpx.HTTPError):
        caller.charge()
    seen = caller.http.get("/_control/requests", headers=desk).json()["requests"]
    assert seen[-1]["fault"] == "drop_before"
    assert anet.transaction_key not in json.dumps(seen)
    caller.http.request("DELETE", "/_control/books", headers=desk)
    assert anet.transactions() == []


# --- profiles and subscriptions -------------------------------------------------------------------


def profile(caller: Caller, mark: str = "m-1", **more: Any) -> str:
    answer = caller.ask(
        "createCustomerProfileRequest", profile={"merchantCustomerId": mark, "email": "a@b.example", **more}
    )
    return str(answer["customerProfileId"])


def keep(caller: Caller, customer: str, token: str | None = None, mode: str = "none", **billing: Any) -> Any:
    opaque = {"dataDescriptor": "COMMON.ACCEPT.INAPP.PAYMENT", "dataValue": token or caller.gateway.token()}
    return caller.ask(
        "createCustomerPaymentProfileRequest", customerProfileId=customer,
        paymentProfile={"billTo": {"zip": "1", **billing}, "payment": {"opaqueData": opaque}},
        validationMode=mode,
    )  # fmt: skip


def subscribe(caller: Caller, customer: str, method: str, **more: Any) -> Any:
    today = caller.gateway.clock().date().isoformat()
    schedule = {"interval": {"length": 1, "unit": "months"}, "startDate": today, "totalOccurrences": 9999}
    wish = {
        "name": "n", "paymentSchedule": schedule, "amount": "20.00", "order": {"invoiceNumber": "s-1"},
        "profile": {"customerProfileId": customer, "customerPaymentProfileId": method}, **more,
    }  # fmt: skip
    return caller.ask("ARBCreateSubscriptionRequest", subscription=wish)


def test_a_second_customer_with_the_same_marks_is_refused_and_the_first_is_named_in_words(
    anet: FakeAuthorizeNet, caller: Caller
) -> None:
    first = profile(caller)
    answer = caller.ask(
        "createCustomerProfileRequest", profile={"merchantCustomerId": "m-1", "email": "a@b.example"}
    )
    assert error_of(answer) == "E00039"
    assert first in answer["messages"]["message"][0]["text"]
    assert "customerProfileId" not in answer
    assert profile(caller, description="another") != first
    assert error_of(caller.ask("createCustomerProfileRequest", profile={})) == "E00041"
    read = caller.ask("getCustomerProfileRequest", merchantCustomerId="m-1")["profile"]
    assert read["customerProfileId"] == first
    for which in ({"customerProfileId": "7"}, {"merchantCustomerId": "m-7"}, {}):
        assert error_of(caller.ask("getCustomerProfileRequest", **which)) == "E00040"


def test_a_card_is_kept_once_per_customer_and_billing_and_ten_at_most(
    anet: FakeAuthorizeNet, caller: Caller
) -> None:
    customer = profile(caller)
    first = keep(caller, customer)["customerPaymentProfileId"]
    again = keep(caller, customer)
    assert (error_of(again), again["customerPaymentProfileId"]) == ("E00039", first)
    token = anet.token()
    assert keep(caller, customer, token, zip="2")["messages"]["resultCode"] == "Ok"
    assert error_of(keep(caller, customer, token, zip="3")) == "E00114", "a token makes one method"
    for number in range(8):
        assert keep(caller, customer, zip=f"9{number}")["messages"]["resultCode"] == "Ok"
    assert error_of(keep(caller, customer, zip="99")) == "E00042"


def test_a_card_is_asked_about_only_if_it_is_wished(anet: FakeAuthorizeNet, caller: Caller) -> None:
    customer = profile(caller)
    refused = keep(caller, customer, anet.token("declined"), "liveMode")
    assert (error_of(refused), refused["validationDirectResponse"][:5]) == ("E00027", "2,1,2")
    assert "customerPaymentProfileId" not in refused
    assert keep(caller, customer, anet.token("declined"), "testMode")["messages"]["resultCode"] == "Ok"


def test_what_is_not_sent_with_a_change_is_taken_off(anet: FakeAuthorizeNet, caller: Caller) -> None:
    customer = profile(caller, description="d")
    caller.ask(
        "updateCustomerProfileRequest", profile={"email": "b@c.example", "customerProfileId": customer}
    )
    read = caller.ask("getCustomerProfileRequest", customerProfileId=customer)["profile"]
    assert (read.get("merchantCustomerId"), read["email"]) == (None, "b@c.example")
    method = keep(caller, customer, city="B")["customerPaymentProfileId"]
    change = {"billTo": {"zip": "2"}, "customerPaymentProfileId": method}
    for number, code in (("XXXX1111", "I00001"), ("XXXX2222", "E00014"), ("4111111111111111", "E00014")):
        card = {"creditCard": {"cardNumber": number, "expirationDate": "XXXX"}}
        asked = {"billTo": {"zip": "2"}, "payment": card, "customerPaymentProfileId": method}
        answer = caller.ask(
            "updateCustomerPaymentProfileRequest", customerProfileId=customer, paymentProfile=asked
        )
        assert error_of(answer) == code
    assert change["billTo"] == anet.customers()[0]["methods"][0]["billing"]


def test_a_charge_can_be_kept_unless_a_wallet_paid(anet: FakeAuthorizeNet, caller: Caller) -> None:
    customer, paid = profile(caller), caller.paid()
    made = caller.ask("createCustomerProfileFromTransactionRequest", transId=paid, customerProfileId=customer)
    assert len(made["customerPaymentProfileIdList"]) == 1
    for which, code in (
        ({"transId": paid, "customerProfileId": customer}, "E00039"),
        ({"transId": "7", "customerProfileId": customer}, "E00099"),
        ({"transId": paid}, "E00102"),
        ({"transId": paid, "customerProfileId": "7"}, "E00040"),
    ):
        assert error_of(caller.ask("createCustomerProfileFromTransactionRequest", **which)) == code
    opaque = {"dataDescriptor": "COMMON.APPLE.INAPP.PAYMENT", "dataValue": "abcdefgh" * 9}
    wallet = caller.paid(payment={"opaqueData": opaque})
    refused = caller.ask(
        "createCustomerProfileFromTransactionRequest", transId=wallet, customerProfileId=customer
    )
    assert error_of(refused) == "E00103"


def test_a_stored_method_is_charged_by_its_numbers_and_not_with_another_ones_data(caller: Caller) -> None:
    customer = profile(caller)
    method = keep(caller, customer)["customerPaymentProfileId"]
    stored = {"customerProfileId": customer, "paymentProfile": {"paymentProfileId": method}}
    order = {"invoiceNumber": "x"}
    made = caller.make("authCaptureTransaction", amount="5.00", profile=stored, order=order)
    assert made["transactionResponse"]["profile"]["customerPaymentProfileId"] == method
    assert caller.details(made["transactionResponse"]["transId"])["profile"]["customerProfileId"] == customer
    again = caller.make("authCaptureTransaction", amount="5.00", profile=stored, order=order)
    assert error_of(again) == "11", "the window looks at stored cards as well"
    mixed = caller.make("authCaptureTransaction", amount="5.00", profile=stored, billTo={"zip": "1"})
    assert error_of(mixed) == "E00090"


@pytest.mark.parametrize(
    ("schedule", "code"),
    [
        ({"interval": {"length": 6, "unit": "days"}}, "E00022"),
        ({"interval": {"length": 13, "unit": "months"}}, "E00022"),
        ({"startDate": "2020-01-01"}, "E00017"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(caller: Caller, schedule: dict[str, Any], code: str) -> None:
    customer = profile(caller)
    method = keep(caller, customer)["customerPaymentProfileId"]
    today = caller.gateway.clock().date().isoformat()
    whole = {"interval": {"length": 1, "unit": "months"}, "startDate": today, "totalOccurrences": 9999}
    answer = subscribe(caller, customer, method, paymentSchedule={**whole, **schedule})
    assert error_of(answer) == code
    assert caller.gateway.subscriptions() == []


def test_a_subscription_is_refused_twice_changed_ended_and_listed(
    anet: FakeAuthorizeNet, caller: Caller
) -> None:
    customer = profile(caller)
    method = keep(caller, customer)["customerPaymentProfileId"]
    number = subscribe(caller, customer, method)["subscriptionId"]
    again = subscribe(caller, customer, method)
    assert error_of(again) == "E00012"
    assert number in again["messages"]["message"][0]["text"]
    assert "subscriptionId" in subscribe(caller, customer, method, order={"invoiceNumber": "s-2"})

    def change(**more: Any) -> str:
        return error_of(caller.ask("ARBUpdateSubscriptionRequest", subscriptionId=number, subscription=more))

    assert change(amount="9.00") == "I00001"
    assert change(paymentSchedule={"interval": {"length": 2, "unit": "months"}}) == "E00034"
    assert change(paymentSchedule={"startDate": "2030-01-01"}) == "E00033"
    assert change(profile={"customerProfileId": customer, "customerPaymentProfileId": "7"}) == "E00040"
    assert error_of(caller.ask("ARBGetSubscriptionRequest", subscriptionId="7")) == "E00035"
    deletion = {"customerProfileId": customer, "customerPaymentProfileId": method}
    assert error_of(caller.ask("deleteCustomerPaymentProfileRequest", **deletion)) == "E00105"

    def names(search: str) -> list[str]:
        answer = caller.ask("ARBGetSubscriptionListRequest", searchType=search)
        return [each["invoice"] for each in answer["subscriptionDetails"]]

    assert set(names("subscriptionActive")) == {"s-1", "s-2"}
    for _ in range(2):
        assert error_of(caller.ask("ARBCancelSubscriptionRequest", subscriptionId=number)) == "I00001"
    assert change(amount="8.00") == "E00037"
    assert (names("subscriptionActive"), names("subscriptionInactive")) == (["s-2"], ["s-1"])
    anet.lag(timedelta(hours=1))
    assert names("subscriptionActive") == []


def test_nights_collect_once_each_and_stop_where_it_ends(anet: FakeAuthorizeNet, caller: Caller) -> None:
    customer = profile(caller)
    method = keep(caller, customer)["customerPaymentProfileId"]
    schedule = {
        "interval": {"length": 7, "unit": "days"}, "startDate": anet.clock().date().isoformat(),
        "totalOccurrences": 3,
    }  # fmt: skip
    number = subscribe(caller, customer, method, paymentSchedule=schedule)["subscriptionId"]
    anet.clock.move(timedelta(days=2))
    for _ in range(2):
        anet.collect()
    assert len(anet.charges()) == 1
    anet.clock.move(timedelta(days=100))
    read = caller.ask("ARBGetSubscriptionRequest", subscriptionId=number, includeTransactions=True)
    assert read["subscription"]["status"] == "expired"
    tried = read["subscription"]["arbTransactions"]
    assert [each["payNum"] for each in tried] == [1, 2, 3]
    made = caller.details(tried[0]["transId"])
    assert (str(made["subscription"]["id"]), made["order"]["invoiceNumber"]) == (number, "s-1")
    assert {each["status"] for each in anet.charges()} == {"settledSuccessfully"}
    events = [event["eventType"] for event in anet.events()]
    assert events.count("net.authorize.payment.authcapture.created") == 3


def test_a_later_decline_is_skipped_and_a_first_one_suspends(anet: FakeAuthorizeNet, caller: Caller) -> None:
    customer = profile(caller)
    good = keep(caller, customer)["customerPaymentProfileId"]
    bad = keep(caller, customer, anet.token("declined"))["customerPaymentProfileId"]
    number = subscribe(caller, customer, good)["subscriptionId"]
    anet.clock.move(timedelta(days=2))
    anet.collect()
    with anet.books.lock:  # the card that paid is declined from now on
        anet.books.customers[customer].methods[good].number = "4000000000000002"
    anet.clock.move(timedelta(days=32))
    anet.collect()
    (seen,) = anet.subscriptions()
    assert (seen["status"], [each.get("transId") is not None for each in seen["attempts"]]) == (
        "active", [True, False],
    )  # fmt: skip
    update = {"profile": {"customerProfileId": customer, "customerPaymentProfileId": bad}}
    caller.ask("ARBUpdateSubscriptionRequest", subscriptionId=number, subscription=update)
    anet.clock.move(timedelta(days=32))
    anet.collect()
    assert anet.subscriptions()[0]["status"] == "suspended"


# --- the next run ---------------------------------------------------------------------------------


def test_a_gateway_of_the_next_run_knows_everything_but_numbers(
    anet: FakeAuthorizeNet, caller: Caller
) -> None:
    settled = caller.paid()
    anet.settle()
    caller.refund(settled, "5.00")
    held = caller.paid(kind="authOnlyTransaction", token=anet.token("mastercard"))
    banked = caller.paid(token=anet.bank_token())
    customer = profile(caller)
    method = keep(caller, customer)["customerPaymentProfileId"]
    unlisted = anet.books.new_token(number="4012888888881881").value
    other = keep(caller, customer, unlisted, firstName="Eve")["customerPaymentProfileId"]
    subscribe(caller, customer, method)
    again = {"order": {"invoiceNumber": "again"}}
    caller.paid(**again)

    saved = json.dumps(anet.dump())
    for number in ("4111111111111111", "5424000000000015", "4012888888881881", "1234567890"):
        assert number not in saved
    with (
        FakeAuthorizeNet(saved=json.loads(saved)) as next_run,
        httpx.Client(base_url=next_run.url, timeout=5, trust_env=False) as http,
    ):
        kept: list[int] = []
        next_run.keep = lambda: kept.append(len(next_run.charges()))
        later = Caller(next_run, http)
        before = json.dumps(anet.describe()).replace("1234567890", "XXXXXX7890")
        assert next_run.describe() == json.loads(before)
        assert error_of(later.charge(**again)) == "11", "the duplicate window goes on"
        assert error_of(later.refund(settled, "15.01")) == "55"
        later.make("priorAuthCaptureTransaction", refTransId=held, amount="20.00")
        paid = [later.make("authCaptureTransaction", amount="3.00", profile=pair(customer, each))
                for each in (method, other)]  # fmt: skip
        numbers = [each["transactionResponse"]["transId"] for each in paid]
        assert min(map(int, numbers)) > max(map(int, (settled, held, banked))), (
            "numbers go on where they were"
        )
        assert kept[-1] == len(next_run.charges()), "the last change is written before its answer leaves"
        assert [next_run.transaction(each)["number"] for each in numbers] == ["1111", "1881"]
        assert next_run.balance() == anet.balance() + 20 + 3 + 3
        next_run.clock.move(timedelta(days=2))
        next_run.collect()
        assert [len(each["attempts"]) for each in next_run.subscriptions()] == [1]


def pair(customer: str, method: str) -> dict[str, Any]:
    return {"customerProfileId": customer, "paymentProfile": {"paymentProfileId": method}}
