"""What each of the gateway's words means, which refusals are a no, and what may be sent."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge_payments.errors import (
    AmountNotRepresentable,
    InvalidRequest,
    ProviderDeclined,
    ProviderNotFound,
    ProviderRejected,
    ProviderStateConflict,
    ProviderUnknown,
)
from bridge_payments.models import CaptureMethod, Money, Noun, PaymentStatus, RefundStatus
from bridge_payments.providers.authorize_net import forms, mapping
from bridge_payments.providers.authorize_net.declines import DECLINES
from bridge_payments.providers.authorize_net.lookup import is_approved
from bridge_payments.providers.authorize_net.money import cents_of, from_gateway, to_gateway
from bridge_payments.providers.base import DECLINE_CODES, UNRECOGNISED, KnownPayment, KnownRefund

REFERENCE = "0123456789abcdefghjk"
INTENT = f"anet_{REFERENCE}"
USD = Money(2000, "USD")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def known(**more: Any) -> KnownPayment:
    facts: dict[str, Any] = {
        "reference": INTENT, "total": USD, "status": PaymentStatus.PENDING, "charge": "60001",
    }  # fmt: skip
    return KnownPayment(**{**facts, **more})


def seen(status: str, **more: Any) -> dict[str, Any]:
    return {
        "transId": "60001", "submitTimeUTC": "2026-11-23T12:00:00.123Z", "transactionStatus": status,
        "transactionType": "authCaptureTransaction", "responseCode": 1, "responseReasonCode": 1,
        "responseReasonDescription": "Approval", "authAmount": "20.00", "settleAmount": "20.00",
        "order": {"invoiceNumber": REFERENCE},
        "payment": {"creditCard": {"cardNumber": "XXXX1111", "expirationDate": "XXXX", "cardType": "Visa"}},
        **more,
    }  # fmt: skip


def read(status: str, *, of: KnownPayment | None = None, **more: Any) -> Any:
    facts = seen(status, **more)
    return mapping.payment_from(facts, known=of or known(), currency="USD", livemode=False, now=NOW)


MEANINGS = {
    "authorizedPendingCapture": (PaymentStatus.REQUIRES_CAPTURE, 2000, 0, False),
    "capturedPendingSettlement": (PaymentStatus.SUCCEEDED, 0, 2000, False),
    "pendingFinalSettlement": (PaymentStatus.SUCCEEDED, 0, 2000, False),
    "pendingSettlement": (PaymentStatus.SUCCEEDED, 0, 2000, False),
    "updatingSettlement": (PaymentStatus.SUCCEEDED, 0, 2000, False),
    "settledSuccessfully": (PaymentStatus.SUCCEEDED, 0, 2000, False),
    "approvedReview": (PaymentStatus.SUCCEEDED, 0, 2000, False),
    "chargeback": (PaymentStatus.SUCCEEDED, 0, 2000, False),
    "chargebackReversal": (PaymentStatus.SUCCEEDED, 0, 2000, False),
    "FDSPendingReview": (PaymentStatus.PROCESSING, 0, 0, True),
    "FDSAuthorizedPendingReview": (PaymentStatus.PROCESSING, 0, 0, True),
    "underReview": (PaymentStatus.PROCESSING, 0, 0, True),
    "authorizedPendingRelease": (PaymentStatus.PROCESSING, 0, 0, False),
    "declined": (PaymentStatus.PENDING, 0, 0, False),
    "generalError": (PaymentStatus.PENDING, 0, 0, False),
    "communicationError": (PaymentStatus.PENDING, 0, 0, False),
    "failedReview": (PaymentStatus.PENDING, 0, 0, False),
    "expired": (PaymentStatus.CANCELED, 0, 0, False),
    "voided": (PaymentStatus.CANCELED, 0, 0, False),
    "returnedItem": (PaymentStatus.FAILED, 0, 0, False),
    "settlementError": (PaymentStatus.FAILED, 0, 0, False),
    # What does not say what became of a charge is not recognised, and a refund is no charge.
    "couldNotVoid": (UNRECOGNISED, 0, 0, False),
    "refundSettledSuccessfully": (UNRECOGNISED, 0, 0, False),
    "refundPendingSettlement": (UNRECOGNISED, 0, 0, False),
}


@pytest.mark.parametrize(("word", "meaning"), MEANINGS.items())
def test_each_status_means_one_thing(word: str, meaning: tuple[Any, ...]) -> None:
    payment = read(word)
    assert (payment.status, payment.authorized, payment.captured, payment.review) == meaning
    assert (payment.our_reference, payment.reference, payment.provider_status) == (REFERENCE, INTENT, word)
    assert (payment.decline is not None) == (meaning[0] is PaymentStatus.PENDING)


@pytest.mark.needs("specs")
def test_no_status_of_the_schema_is_forgotten(require: Any) -> None:
    text = (require("specs") / "authorizenet" / "AnetApiSchema.xsd").read_text()
    block = text[text.index('name="transactionStatusEnum"') :]
    words = set(re.findall(r'enumeration value="(\w+)"', block[: block.index("</xs:simpleType>")]))
    assert words == set(MEANINGS)


def test_a_status_from_the_future_is_never_pending() -> None:
    assert read("somethingNew").status is UNRECOGNISED


def test_a_voided_collection_is_a_refund_of_all_of_it_and_belongs_to_the_operation_that_asked() -> None:
    waiting = KnownRefund(id="ref_1", amount=USD, status=RefundStatus.PENDING)
    payment = read("voided", of=known(captured=2000, status=PaymentStatus.SUCCEEDED, refunds=(waiting,)))
    assert (payment.status, payment.captured, payment.refunded) == (PaymentStatus.SUCCEEDED, 2000, 2000)
    (refund,) = payment.refunds
    assert (refund.reference, refund.refund_id, refund.amount) == ("void-60001", "ref_1", USD)
    recorded = KnownRefund(id="ref_1", amount=USD, status=RefundStatus.SUCCEEDED, reference="void-60001")
    again = read("voided", of=known(captured=2000, refunds=(recorded,)))
    assert [each.reference for each in again.refunds] == ["void-60001"]
    assert again.refunded == 2000


def test_refunds_are_what_our_books_say_and_what_was_seen() -> None:
    rows = (
        KnownRefund(id="ref_1", amount=Money(500, "USD"), status=RefundStatus.SUCCEEDED, reference="7"),
        KnownRefund(id="ref_2", amount=Money(600, "USD"), status=RefundStatus.FAILED, reference="8"),
        KnownRefund(id="ref_3", amount=Money(700, "USD"), status=RefundStatus.WAITING),
    )
    payment = read("settledSuccessfully", of=known(captured=2000, refunds=rows))
    assert payment.refunded == 500
    assert [each.reference for each in payment.refunds] == ["7", "8"]


def test_a_part_that_was_collected_is_no_other_amount() -> None:
    payment = read("capturedPendingSettlement", of=known(captured=700), settleAmount="7.00")
    assert (payment.amount, payment.captured) == (USD, 700)
    shown = read("settledSuccessfully", of=known(captured=700), settleAmount="7.00", authAmount="7.00")
    assert (shown.amount, shown.captured) == (USD, 700)
    other = read("capturedPendingSettlement", authAmount="40.00", settleAmount="40.00")
    assert other.amount == Money(4000, "USD"), "the engine compares it with the row"


@pytest.mark.parametrize("word", ["declined", "generalError", "communicationError", "failedReview"])
def test_what_failed_after_we_had_it_is_a_failure(word: str) -> None:
    assert read(word, of=known(captured=2000)).status is PaymentStatus.FAILED


def refund(**more: Any) -> dict[str, Any]:
    facts = {
        "transId": "70001", "refTransId": "60001", "transactionType": "refundTransaction",
        "authAmount": "5.00", "order": {"invoiceNumber": "zzzzzzzzzzzzzzzzzzzz"},
    }  # fmt: skip
    return seen("refundPendingSettlement", **{**facts, **more})


def test_a_refund_is_believed_only_of_its_own_charge_and_left_to_its_operation() -> None:
    def look(transaction: dict[str, Any], *rows: KnownRefund) -> Any:
        return mapping.refund_seen(transaction, known=known(refunds=rows), currency="USD")

    mine = KnownRefund(id="ref_1", amount=Money(500, "USD"), status=RefundStatus.PENDING)
    assert look(refund()).amount == Money(500, "USD")
    assert look(refund(refTransId="60002")) is None
    assert look(refund(transactionType="authCaptureTransaction")) is None
    assert look(refund(transactionStatus="somethingNew")) is None
    assert look(refund(), mine) is None, "the operation that waits for its answer records it"
    assert look(refund(order={"invoiceNumber": REFERENCE}), mine) is not None, "made in the dashboard"
    assert look(refund(order={"invoiceNumber": "INV-7"}), mine) is not None
    assert look(refund(transactionStatus="voided")).status is RefundStatus.CANCELED
    assert look(refund(transactionStatus="declined")).status is RefundStatus.FAILED


# --- refusals -------------------------------------------------------------------------------------


def answer(
    code: str | None = None,
    reason: str | None = None,
    *,
    request: str = "E00027",
    result: str = "Error",
    **more: Any,
) -> dict[str, Any]:
    said: dict[str, Any] = {"messages": {"resultCode": result, "message": [{"code": request, "text": "no"}]}}
    if code is not None:
        errors = {"errors": [{"errorCode": reason, "errorText": "because"}]} if reason else {}
        said["transactionResponse"] = {"responseCode": code, "transId": "0", **errors, **more}
    return said


@pytest.mark.parametrize(
    ("said", "kind", "decline"),
    [
        (answer("2", "2", transId="60001"), ProviderDeclined, "declined"),
        (answer("2", "4", transId="60001"), ProviderDeclined, "lost_or_stolen"),
        (answer("2", "2", transId="60001", cvvResultCode="N"), ProviderDeclined, "incorrect_cvc"),
        (answer("3", "6"), ProviderDeclined, "incorrect_number"),
        (answer("3", "8"), ProviderDeclined, "expired_card"),
        (answer("3", "17"), ProviderDeclined, "card_not_supported"),
        (answer("3", "27"), ProviderDeclined, "incorrect_address"),
        (answer("3", "19"), ProviderDeclined, "try_again_later"),
        (answer(request="E00118"), ProviderDeclined, "fraudulent"),
        (answer("3", "11"), ProviderStateConflict, None),
        (answer("3", "16"), ProviderStateConflict, None),
        (answer("3", "54"), ProviderStateConflict, None),
        (answer("3", "311"), ProviderStateConflict, None),
        (answer("3", "5"), ProviderRejected, None),
        (answer("3", "39"), ProviderRejected, None),
        (answer(request="E00003"), ProviderRejected, None),
        (answer(request="E00007"), ProviderRejected, None),
        (answer(request="E00114"), ProviderRejected, None),
        (answer(request="E00104"), ProviderRejected, None),
        (answer(request="E00040"), ProviderNotFound, None),
        # The gateway failed, or does not say.
        (answer(request="E00001"), ProviderUnknown, None),
        (answer(request="E00053"), ProviderUnknown, None),
        (answer("3", "36"), ProviderUnknown, None),
        (answer("3", "120"), ProviderUnknown, None),
        (answer("3", "181"), ProviderUnknown, None),
        (answer("3"), ProviderUnknown, None),
        (answer("5"), ProviderUnknown, None),
        (answer("1", transId="60001"), ProviderUnknown, None),
        (answer(request="I00001", result="Ok"), ProviderUnknown, None),
        (answer(request="somethingNew"), ProviderUnknown, None),
        ({"messages": {"resultCode": "Error"}}, ProviderUnknown, None),
    ],
)
def test_each_refusal_is_judged_and_on_a_repeat_none_is_an_answer(
    said: dict[str, Any], kind: type[Exception], decline: str | None
) -> None:
    assert not is_approved(said)
    error = mapping.error_from(said, repeat=False, intent=INTENT, attempt="reference")
    assert type(error) is kind
    assert error.decline_code == decline
    assert error.http_status == 200, "the gateway refuses with that"
    transaction = said.get("transactionResponse", {}).get("transId")
    assert error.request_id == (transaction if transaction != "0" else None)
    if isinstance(error, ProviderDeclined):
        assert error.payment == INTENT
        assert error.attempt, "every attempt has a name, or a read would be needed for it"
    again = mapping.error_from(said, repeat=True, intent=INTENT, attempt="reference")
    assert type(again) is ProviderUnknown


def test_a_sentence_with_a_number_in_it_is_blanked() -> None:
    said = answer("2", "2")
    said["transactionResponse"]["errors"][0]["errorText"] = "card 4111 1111 1111 1111 refused " + "x" * 500
    error = mapping.error_from(said, repeat=False, intent=INTENT, attempt="r")
    assert "4111" not in str(error)
    assert len(str(error)) <= 300


def test_our_declines_are_words_that_everybody_shares() -> None:
    assert set(DECLINES.values()) <= DECLINE_CODES


@pytest.mark.needs("specs")
def test_our_declines_are_codes_that_the_gateway_has(require: Any) -> None:
    import json

    codes = json.loads((require("specs") / "authorizenet" / "responseCodes.json").read_text())
    assert set(DECLINES) <= {each["code"] for each in codes}


def test_only_what_is_approved_twice_is_approved() -> None:
    assert is_approved(answer("1", request="I00001", result="Ok"))
    assert is_approved(answer("4", request="I00001", result="Ok"))
    for code, result in (("1", "Error"), ("2", "Ok"), ("3", "Ok"), ("5", "Ok"), ("", "Ok")):
        assert not is_approved(answer(code, request="I00001", result=result))


@pytest.mark.parametrize(
    "more",
    [
        {"prePaidCard": {"requestedAmount": "20.00", "approvedAmount": "5.00"}},
        {"errors": [{"errorCode": "295"}]},
    ],
)
def test_a_part_that_a_prepaid_card_covered_is_not_taken_for_the_whole(more: dict[str, Any]) -> None:
    said = answer("4", request="I00001", result="Ok", **{"transId": "60001", **more})
    with pytest.raises(ValueError, match="part"):
        mapping.charge_from(
            said,
            intent=INTENT,
            amount=USD,
            capture_method=CaptureMethod.AUTOMATIC,
            livemode=False,
            payload={},
        )


# --- what is sent ---------------------------------------------------------------------------------


def opaque(method: str | None, **more: Any) -> Any:
    payload = forms.charge_payload(
        amount=USD, invoice=REFERENCE, capture_method=CaptureMethod.AUTOMATIC, payment_method=method,
        description=None, **more,
    )  # fmt: skip
    return payload["payment"]["opaqueData"]


@pytest.mark.parametrize(
    ("method", "descriptor", "value"),
    [
        ("eyJjb2RlIjoiNTBf==", "COMMON.ACCEPT.INAPP.PAYMENT", "eyJjb2RlIjoiNTBf=="),
        ("9487144136149109304602", "COMMON.ACCEPT.INAPP.PAYMENT", "9487144136149109304602"),
        ("accept:abcdefgh", "COMMON.ACCEPT.INAPP.PAYMENT", "abcdefgh"),
        ("apple_pay:QUJD/+QUJD==", "COMMON.APPLE.INAPP.PAYMENT", "QUJD/+QUJD=="),
        ("COMMON.GOOGLE.INAPP.PAYMENT:abcdefgh", "COMMON.GOOGLE.INAPP.PAYMENT", "abcdefgh"),
    ],
)
def test_a_one_time_token_says_whose_it_is(method: str, descriptor: str, value: str) -> None:
    assert opaque(method) == {"dataDescriptor": descriptor, "dataValue": value}


@pytest.mark.parametrize(
    "method",
    [None, "", "short", "1:2:3", "profile:123456789", "visa:abcdefgh", "4111111111111111",
     "accept:4111111111111111", "accept:", "abc defgh", "<abcdefgh>"],
)  # fmt: skip
def test_anything_else_is_refused(method: str | None) -> None:
    with pytest.raises(InvalidRequest) as refused:
        opaque(method)
    assert refused.value.field == "payment_method_id"
    assert "4111" not in str(refused.value)


@pytest.mark.parametrize(
    "name", ["amount", "transactionType", "currencyCode", "payment", "profile", "order", "refTransId",
             "transactionSettings", "anything"],
)  # fmt: skip
def test_nothing_that_decides_about_money_can_be_replaced(name: str) -> None:
    with pytest.raises(InvalidRequest):
        opaque("abcdefgh", extra={name: "1"})


def test_every_charge_is_protected_for_eight_hours_and_knows_the_refused_attempt_before_it() -> None:
    payload = forms.charge_payload(
        amount=USD, invoice=REFERENCE, capture_method=CaptureMethod.MANUAL, payment_method="abcdefgh",
        description="d" * 300, after="60001",
    )  # fmt: skip
    settings = {
        each["settingName"]: each["settingValue"] for each in payload["transactionSettings"]["setting"]
    }
    assert settings == {"duplicateWindow": "28800", "allowPartialAuth": "false"}
    assert (payload["order"]["invoiceNumber"], payload["poNumber"]) == (REFERENCE, "60001")
    assert len(payload["order"]["description"]) == 255


def test_a_payment_that_shows_no_account_cannot_be_refunded_blindly() -> None:
    with pytest.raises(InvalidRequest):
        forms.refund_payload("60001", USD, {"payment": {"tokenInformation": {}}}, invoice=REFERENCE)


@pytest.mark.parametrize("nonsense", ["", "60001", "anet_", "anet_short", "anet_" + "A" * 20, "pi_123"])
def test_only_our_own_intents_are_intents(nonsense: str) -> None:
    with pytest.raises(InvalidRequest):
        forms.reference_of(nonsense)


@pytest.mark.parametrize("nonsense", [None, "", "0", "abc", "1/2", "60001\n", "-1", "1" * 20])
def test_only_numbers_are_transactions(nonsense: str | None) -> None:
    with pytest.raises(InvalidRequest):
        forms.checked_transaction(nonsense)


@pytest.mark.parametrize(
    "card", ["4111111111111111", "4111-1111-1111-1111", "4111111111111111=2512", "accept:4111111111111111x"]
)
def test_a_card_number_is_no_token(card: str) -> None:
    """The engine refuses it before; who calls the provider without one is told the same."""
    with pytest.raises(InvalidRequest):
        forms.opaque_of(card)


def test_amounts_are_exact_in_both_languages() -> None:
    assert to_gateway(Money(5, "USD")) == "0.05"
    for shown, cents in (("20.00", 2000), ("5.0", 500), ("0.1", 10), ("12", 1200), ("1.2300", 123)):
        assert from_gateway(shown, "USD").minor_units == cents
    assert cents_of(None, "USD") == 0
    with pytest.raises(AmountNotRepresentable):
        from_gateway("1.005", "USD")
    with pytest.raises(ValueError, match="missing"):
        from_gateway("", "USD")


def test_a_notification_names_the_transaction_and_the_call_that_made_it() -> None:
    body = {
        "notificationId": "n-1", "eventType": "net.authorize.payment.refund.created",
        "eventDate": "2026-11-23T12:00:00.1234567Z",
        "payload": {"entityName": "transaction", "id": "70001", "merchantReferenceId": REFERENCE},
    }  # fmt: skip
    event = mapping.event_from(body)
    assert (event.id, event.reference, event.our_reference) == ("n-1", "70001", REFERENCE)
    assert event.created_at == datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
    assert event.noun is Noun.PAYMENT
    for broken in ({}, {**body, "payload": []}, {**body, "notificationId": ""}):
        with pytest.raises((KeyError, ValueError)):
            mapping.event_from(broken)


# --- what may still come to nothing ---------------------------------------------------------------

LATER = "2026-11-26T12:00:00Z"
BANK = {"bankAccount": {"accountNumber": "XXXX1111", "echeckType": "WEB"}}


@pytest.mark.parametrize(
    ("word", "more", "days", "final"),
    [
        ("capturedPendingSettlement", {}, 1, False),
        ("capturedPendingSettlement", {}, 89, False),
        ("capturedPendingSettlement", {}, 91, True),  # nobody waits for ever
        ("pendingSettlement", {}, 1, False),
        ("updatingSettlement", {}, 1, False),
        ("settledSuccessfully", {}, 1, True),
        ("voided", {}, 1, True),
        ("settlementError", {}, 1, True),
        ("settledSuccessfully", {"payment": BANK}, 59, False),
        ("settledSuccessfully", {"payment": BANK}, 61, True),
        ("settledSuccessfully", {"payment": BANK, "batch": {"settlementTimeUTC": LATER}}, 61, False),
        ("returnedItem", {"payment": BANK}, 1, True),
    ],
)  # fmt: skip
def test_a_charge_is_final_when_it_has_settled_and_a_banks_when_it_can_be_returned_no_more(
    word: str, more: dict[str, Any], days: int, final: bool
) -> None:
    submitted = datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert mapping.is_final(seen(word, **more), now=submitted + timedelta(days=days)) is final


@pytest.mark.parametrize(
    ("word", "takes"),
    [
        ("authorizedPendingCapture", True), ("capturedPendingSettlement", True),
        ("settledSuccessfully", True), ("FDSPendingReview", True), ("approvedReview", True),
        ("couldNotVoid", True), ("declined", False),
        ("voided", False), ("expired", False), ("settlementError", False), ("returnedItem", False),
        ("refundPendingSettlement", False), ("refundSettledSuccessfully", False),
    ],
)  # fmt: skip
def test_another_charge_is_one_that_takes_money_and_no_refund(word: str, takes: bool) -> None:
    assert mapping.takes_money(word) is takes
