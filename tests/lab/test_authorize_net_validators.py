"""Authorize.net's schema is on, in both languages: it takes what was recorded and refuses a known-bad one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bridge_lab.authorize_net import AnetExchange, AnetRecorder, AnetSchema

from bridge_payments.errors import ProviderUnknown
from bridge_payments.providers.authorize_net import AuthorizeNetProvider
from bridge_payments.transport import Transport

pytestmark = pytest.mark.needs("specs")
pytest.importorskip("lxml")

GOOD: dict[str, Any] = {
    "createTransactionRequest": {
        "merchantAuthentication": {"name": "login", "transactionKey": "key"},
        "refId": "reference",
        "transactionRequest": {
            "transactionType": "authCaptureTransaction",
            "amount": "5.00",
            "payment": {"opaqueData": {"dataDescriptor": "D", "dataValue": "V"}},
            "order": {"invoiceNumber": "i"},
            "transactionSettings": {"setting": [{"settingName": "a", "settingValue": "b"}]},
        },
    }
}


@pytest.fixture(scope="module")
def schema(require: Any) -> AnetSchema:
    return AnetSchema(require("specs"))


def test_what_was_recorded_passes_and_what_is_marked_does_not(require: Any, schema: AnetSchema) -> None:
    verdicts: dict[bool, set[bool]] = {True: set(), False: set()}
    passed = 0
    for file in sorted((require("specs") / "authorizenet" / "recorded" / "active_merchant").glob("*.xml")):
        valid = schema.problems(file.read_bytes().strip()) == []
        verdicts[".notxsd" not in file.name].add(valid)
        passed += valid
    assert verdicts == {True: {True}, False: {False}}
    assert passed > 25


def changed(**changes: Any) -> bytes:
    request = json.loads(json.dumps(GOOD))
    request["createTransactionRequest"].update(changes)
    return json.dumps(request).encode()


def test_a_good_request_passes(schema: AnetSchema) -> None:
    assert schema.problems(changed()) == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (changed(refId="x" * 21), "a reference of 21 characters"),
        (changed(bogus="1"), "a name that the gateway does not have"),
        (changed(transactionRequest={"amount": "5.00", "transactionType": "x"}), "another order"),
        (changed(transactionRequest={"transactionType": "x", "amount": "five"}), "no number"),
        (
            changed(merchantAuthentication={"name": "l" * 26, "transactionKey": "k"}),
            "a login that is too long",
        ),
        (b"{]", "not JSON"),
        (b"<a", "not XML"),
        (b"<createTransactionRequest/>", "no namespace"),
    ],
)
def test_a_bad_request_is_refused(schema: AnetSchema, content: bytes, why: str) -> None:
    assert schema.problems(content), why


def test_an_answer_that_drifts_is_refused(schema: AnetSchema) -> None:
    messages = {"resultCode": "Ok", "message": [{"code": "I00001", "text": "Successful."}]}
    good = {"messages": messages, "transactions": [], "totalNumInResultSet": 0}
    root = "getUnsettledTransactionListResponse"
    assert schema.problems(json.dumps(good).encode(), root=root) == []
    for bad in (
        {**good, "messages": {**messages, "resultCode": "Fine"}},
        {"transactions": [], "messages": messages},
        {**good, "transactions": [{"transId": "1"}]},
        {**good, "totalNumInResultSet": "many"},
    ):
        assert schema.problems(json.dumps(bad).encode(), root=root)


def test_each_exchange_is_judged_once(require: Any) -> None:
    recorder = AnetRecorder(require("specs"))
    recorder.exchanges.append(AnetExchange(changed(bogus="1"), 200, "application/json", b"{}"))
    recorder.exchanges.append(AnetExchange(changed(), 500, "text/plain", b"oops"))
    recorder.exchanges.append(AnetExchange(changed(), 200, "text/html", b"<html>"))
    problems = recorder.judge()
    assert [each.split(":")[1].strip() for each in problems] == ["request", "answer"]
    assert recorder.judge() == []
    assert recorder.exchanges[0].name == "createTransactionRequest"


@pytest.mark.anyio
@pytest.mark.parametrize("encoder", ["auto", "json"])
async def test_what_the_adapter_sends_is_heard(anet_lab: AnetRecorder, scripted: Any, encoder: str) -> None:
    transport = Transport()
    account = AuthorizeNetProvider(
        login_id="login", transaction_key="key", signature_keys=["k"], transport=transport,
        api_base=scripted.url, encoder=encoder,
    )  # fmt: skip
    before = len(anet_lab.exchanges)
    scripted.break_(b"", status=500)
    with pytest.raises(ProviderUnknown):
        await account.sync_payment_status("60001")
    await transport.aclose()
    (heard,) = anet_lab.exchanges[before:]
    assert heard.name == "getTransactionDetailsRequest"


def test_the_schema_is_a_file_of_the_tests_and_not_ours_to_ship() -> None:
    package = Path(__file__).parents[2] / "bridge_payments"
    assert not list(package.rglob("*.xsd"))
