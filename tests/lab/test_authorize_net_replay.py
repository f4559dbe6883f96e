"""Everything that Authorize.net was ever recorded saying is understood, in both of its languages.

What the recordings mean was read by hand once, line by line, and is kept in
`expected/authorize_net.json`; a mapping that reads them in another way has to change that file, and say why.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bridge_lab.recorded import authorize_net_transactions

from bridge_payments.errors import InvalidSignature, ProviderDeclined, ProviderNotFound
from bridge_payments.models import CaptureMethod, Money
from bridge_payments.providers.authorize_net import lookup, mapping
from bridge_payments.providers.authorize_net.encoders.json import JsonEncoder
from bridge_payments.providers.authorize_net.inbox import read_event, verify
from bridge_payments.providers.authorize_net.listings import Listings
from bridge_payments.providers.base import DECLINE_CODES

pytestmark = [pytest.mark.needs("specs"), pytest.mark.anyio]

EXPECTED = json.loads((Path(__file__).parent / "expected" / "authorize_net.json").read_text())
INTENT = "anet_00000000000000000001"


@pytest.fixture(scope="module")
def specs(require: Any) -> Path:
    return require("specs") / "authorizenet"


def answers(specs: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return every recorded answer about a transaction, by the name of its file."""
    xml = pytest.importorskip("bridge_payments.providers.authorize_net.encoders.xml").XmlEncoder()
    return authorize_net_transactions(specs.parent, xml)


def read(answer: dict[str, Any]) -> str:
    """Say in one line what an answer to a charge means to the engine."""
    if lookup.is_approved(answer):
        if mapping.is_test(answer):
            return "test mode"
        payment = mapping.charge_from(
            answer, intent=INTENT, amount=Money(500, "USD"), capture_method=CaptureMethod.AUTOMATIC,
            livemode=False, payload={},
        )  # fmt: skip
        method = payment.method
        shown = f" {method.type} {method.brand} {method.last_four}" if method else ""
        return f"{payment.status} {payment.charge}{' in review' if payment.review else ''}{shown}"
    error = mapping.error_from(answer, repeat=False, intent=INTENT, attempt="reference")
    line = f"{type(error).__name__} {error.provider_code}"
    if isinstance(error, ProviderDeclined):
        assert error.decline_code in DECLINE_CODES
        line += f" {error.decline_code} {error.attempt}"
    return line


def test_every_recorded_answer_means_what_a_person_read_in_it(specs: Path) -> None:
    seen = {name: read(answer) for name, answer in answers(specs)}
    assert seen == EXPECTED["answers"]


def test_on_a_repeat_no_recorded_refusal_is_an_answer(specs: Path) -> None:
    judged = [
        type(mapping.error_from(answer, repeat=True, intent=INTENT, attempt="r")).__name__
        for _, answer in answers(specs)
        if not lookup.is_approved(answer)
    ]
    assert set(judged) == {"ProviderUnknown"}
    assert len(judged) == EXPECTED["refusals"]


async def test_the_recorded_lists_are_read(specs: Path) -> None:
    folder = specs / "recorded" / "authnetjson"
    unsettled, batches, none = (
        JsonEncoder().decode((folder / f"AuthnetJsonReporting__{name}.json").read_bytes())[1]
        for name in (
            "testGetUnsettledTransactionListRequestSuccess",
            "testGetSettledBatchListRequestSuccess",
            "testGetBatchStatisticsRequestNoRecords",
        )
    )
    asked: list[str] = []

    async def ask(operation: str, payload: Any) -> Any:
        asked.append(operation)
        return {
            "getUnsettledTransactionListRequest": unsettled,
            "getSettledBatchListRequest": batches,
        }.get(operation, none)

    lists, since = Listings(ask), datetime(2015, 2, 16, 3, 30, tzinfo=UTC)
    found = await lists.unsettled("1324567890", since=since)
    assert [(each.transaction, each.status) for each in found.entries] == [
        ("2228546203", "authorizedPendingCapture"), ("2228546083", "authorizedPendingCapture"),
    ]  # fmt: skip
    nowhere = await lists.all_since("another", since=since, now=datetime(2015, 2, 17, tzinfo=UTC))
    assert (nowhere.entries, nowhere.batches) == ((), 2)
    assert asked[-4:] == [
        "getUnsettledTransactionListRequest", "getSettledBatchListRequest",
        "getTransactionListRequest", "getTransactionListRequest",
    ]  # fmt: skip


def test_a_recorded_read_that_found_nothing_is_not_found(specs: Path) -> None:
    answer = {"messages": {"resultCode": "Error", "message": [{"code": "E00040", "text": "x"}]}}
    assert isinstance(mapping.read_error_from(answer), ProviderNotFound)


def test_the_published_delivery_verifies_with_the_keys_text_and_not_with_its_bytes(require: Any) -> None:
    vectors = json.loads((require("specs") / "webhook_vectors" / "vectors.json").read_text())
    vector = next(each for each in vectors if each["name"] == "authorizenet_stymiee_valid")
    body = vector["body"].encode()
    (header,) = vector["headers"].values()
    key = vector["signature_key"]
    verify(body, header, [key.encode()])
    verify(body, header.replace("sha512=", "SHA512=").lower(), [b"old", key.encode()])
    event = read_event(body)
    assert (event.id, event.reference) == (EXPECTED["event"]["id"], EXPECTED["event"]["reference"])
    assert event.type == EXPECTED["event"]["type"]
    reserialised = json.dumps(json.loads(body)).encode()
    for wrong_body, wrong_header, wrong_key in (
        (body, header, bytes.fromhex(key)),
        (body, header, key.lower().encode()),
        (reserialised, header, key.encode()),
        (body, header.replace("sha512=", "sha256="), key.encode()),
        (body, "nonsense", key.encode()),
        (body, "", key.encode()),
        (body, None, key.encode()),
        (body, header, b""),
    ):
        with pytest.raises(InvalidSignature):
            verify(wrong_body, wrong_header, [wrong_key])
