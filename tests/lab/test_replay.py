"""Everything that Stripe was ever recorded saying is understood: no word unknown, no shape that stumbles.

What the recordings mean was checked by hand once and is kept in `expected/stripe.json`; a mapping that
reads them in another way has to change that file, and say why.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bridge_payments.errors import InvalidSignature
from bridge_payments.models import PaymentStatus
from bridge_payments.providers.base import DECLINE_CODES, UNRECOGNISED
from bridge_payments.providers.stripe.customers import customer_from
from bridge_payments.providers.stripe.disputes import dispute_from
from bridge_payments.providers.stripe.inbox import read_event, verify
from bridge_payments.providers.stripe.mapping import error_from, payment_from, refund_from
from bridge_payments.providers.stripe.payment_methods import method_from, setup_from
from bridge_payments.providers.stripe.subscriptions import subscription_from

pytestmark = pytest.mark.needs("specs")

EXPECTED = json.loads((Path(__file__).parent / "expected" / "stripe.json").read_text())

# Their author left out what their test did not need: a currency.
TRIMMED = {"pi_3Rb1nsAWOtgoysog0dvaUwZM"}


@pytest.fixture(scope="module")
def specs(require: Any) -> Path:
    return require("specs") / "stripe"


def answers(specs: Path) -> Iterator[Any]:
    for exchange in json.loads((specs / "recorded" / "pay_rails_interactions.json").read_text()):
        yield exchange["response"]
    for file in sorted((specs / "recorded" / "active_merchant").iterdir()):
        yield json.loads(file.read_text())
    yield json.loads((specs / "fixtures3-2026-07-29.json").read_text())


def objects(value: Any, noun: str) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if value.get("object") == noun:
            yield value
        for inner in value.values():
            yield from objects(inner, noun)
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner, noun)


def test_every_recorded_intent_is_read_as_checked_by_hand(specs: Path) -> None:
    read = [
        payment_from(intent)
        for answer in answers(specs)
        for intent in objects(answer, "payment_intent")
        if intent["id"] not in TRIMMED
    ]
    assert all(payment.status is not UNRECOGNISED for payment in read)
    assert Counter(str(payment.status) for payment in read) == EXPECTED["payments_by_status"]
    assert all(payment.decline.code in DECLINE_CODES for payment in read if payment.decline)
    # No money is invented: nothing collected unless it succeeded, nothing refunded that was not collected.
    for payment in read:
        assert (payment.captured > 0) == (payment.status is PaymentStatus.SUCCEEDED), payment.reference
        assert 0 <= payment.refunded <= payment.captured, payment.reference


@pytest.mark.parametrize("line", EXPECTED["payments"], ids=lambda line: line["reference"])
def test_a_recorded_intent_means_what_a_person_read_in_it(specs: Path, line: Mapping[str, Any]) -> None:
    found = next(
        intent
        for answer in answers(specs)
        for intent in objects(answer, "payment_intent")
        if intent["id"] == line["reference"]
    )
    payment = payment_from(found)
    seen = {
        "reference": payment.reference,
        "status": str(payment.status),
        "amount": str(payment.amount),
        "authorized": payment.authorized,
        "captured": payment.captured,
        "refunded": payment.refunded,
        "charge": payment.charge,
        "decline": payment.decline
        and [payment.decline.code, payment.decline.provider_code, payment.decline.reference],
        "next_action": payment.next_action and str(payment.next_action.kind),
        "refunds": None if payment.refunds is None else len(payment.refunds),
        "last_four": payment.method.last_four if payment.method else None,
    }
    assert seen == line


def test_every_recorded_refund_is_read_as_checked_by_hand(specs: Path) -> None:
    read = [
        refund_from(refund)
        for answer in answers(specs)
        for refund in objects(answer, "refund")
        if "currency" in refund
    ]
    assert Counter(str(refund.status) for refund in read) == EXPECTED["refunds_by_status"]


def test_every_recorded_error_is_judged_as_checked_by_hand(specs: Path) -> None:
    """The status is taken from the recording; the older bodies that have none were all declines."""
    exchanges = json.loads((specs / "recorded" / "pay_rails_interactions.json").read_text())
    judged = Counter(
        f"{each['status']} {type(error_from(each['status'], each['response']['error'])).__name__}"
        for each in exchanges
        if "error" in each["response"]
    )
    for file in sorted((specs / "recorded" / "active_merchant").iterdir()):
        error = json.loads(file.read_text()).get("error")
        if isinstance(error, dict) and error.get("type") == "card_error":
            refused = error_from(402, error)
            assert refused.decline_code in DECLINE_CODES, file.name
            judged[f"402 {type(refused).__name__} {refused.decline_code}"] += 1
    assert judged == EXPECTED["errors"]


NOUNS: Mapping[str, Callable[[Any], str]] = {
    "customer": lambda each: _line(each := customer_from(each), f"deleted {each.deleted}"),
    "payment_method": lambda each: _line(
        each := method_from(each), each.type, each.brand, each.last_four, each.customer, each.status
    ),
    "setup_intent": lambda each: _line(
        each := setup_from(each), each.setup, each.customer, each.status, each.decline and each.decline.code
    ),
    "subscription": lambda each: _line(
        each := subscription_from(each),
        each.status,
        each.amount,
        each.interval and f"{each.interval_count} {each.interval}",
        each.current_period_end and f"until {each.current_period_end.date()}",
        each.cancel_at_period_end and "then it ends",
        each.trial_end and f"trial {each.trial_end.date()}",
    ),
    "dispute": lambda each: _line(
        each := dispute_from(each), each.status, each.amount, each.payment, each.charge, each.reason
    ),
}


def _line(read: Any, *facts: object) -> str:
    return " ".join([read.reference, *(str(fact) for fact in facts if fact)])


@pytest.mark.parametrize("noun", NOUNS)
def test_every_recorded_object_of_the_other_nouns_means_what_a_person_read_in_it(
    specs: Path, noun: str
) -> None:
    kept = (json.loads(file.read_text()) for file in sorted((specs / "events").glob("*/*.json")))
    read = {NOUNS[noun](each) for answer in (*answers(specs), *kept) for each in objects(answer, noun)}
    assert sorted(read) == EXPECTED[noun]


def test_every_kept_event_names_what_has_to_be_read_again(specs: Path) -> None:
    """Some files are whole events, some their `data`, some only the object: all are delivered as events."""
    named = {}
    for file in sorted((specs / "events").glob("*/*.json")):
        content = json.loads(file.read_text())
        if content.get("object") != "event":
            data = content if isinstance(content.get("object"), dict) else {"object": content}
            content = {"id": "evt_1", "object": "event", "type": file.stem, "data": data}
        event = read_event(json.dumps(content).encode())
        assert not re.search(r'"client_secret":"(?!\[blanked\]")', event.body), file.name
        if event.reference:
            named[f"{file.parent.name}/{file.name}"] = f"{event.noun} {event.reference}"
    assert named == EXPECTED["events"]


def test_the_published_signature_vector_is_accepted_and_its_forgeries_are_not(require: Any) -> None:
    vectors = json.loads((require("specs") / "webhook_vectors" / "vectors.json").read_text())
    vector = next(each for each in vectors if each["name"] == "stripe_async_stripe")
    body, header = vector["body"].encode(), vector["headers"]["Stripe-Signature"]
    moment = datetime.fromtimestamp(vector["timestamp"], UTC)
    verify(body, header, [vector["secret"]], now=moment)
    for forged_body, secret in ((body + b" ", vector["secret"]), (body, "another")):
        with pytest.raises(InvalidSignature, match="fits"):
            verify(forged_body, header, [secret], now=moment)
