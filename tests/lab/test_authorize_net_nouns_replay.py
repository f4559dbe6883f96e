"""What Authorize.net was recorded saying of profiles and subscriptions means what a person read in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge_payments.errors import ProviderDeclined
from bridge_payments.providers.authorize_net import profiles, schedules
from bridge_payments.providers.authorize_net.answers import text_of, texts_of
from bridge_payments.providers.authorize_net.client import is_ok
from bridge_payments.providers.authorize_net.encoders.json import JsonEncoder
from bridge_payments.providers.authorize_net.refusals import read_error_from

pytestmark = pytest.mark.needs("specs")

EXPECTED = json.loads((Path(__file__).parent / "expected" / "authorize_net_nouns.json").read_text())
LEGACY = (
    "ProfileTransaction",
    "ShippingAddress",
    "SplitTender",
    "ProfileIds",
    "SubscriptionStatus",
    "validate",
)
"""Requests that are never sent: an older way to charge a profile, addresses, bare statuses."""


@pytest.fixture(scope="module")
def specs(require: Any) -> Path:
    return require("specs") / "authorizenet"


def answers(specs: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield file, operation and answer of whatever was recorded of customers and subscriptions."""
    xml = pytest.importorskip("bridge_payments.providers.authorize_net.encoders.xml").XmlEncoder()
    for file in sorted((specs / "recorded").glob("*/*")):
        content = file.read_bytes().strip()
        if file.suffix == ".xml":
            name, answer = xml.decode(content)
        elif file.name.startswith(("AuthnetJsonCim", "AuthnetJsonArb")):
            name = file.name.split("__test")[1].partition("Request")[0]
            name = name if name.startswith("ARB") else name[0].lower() + name[1:]
            answer = JsonEncoder().decode(content)[1]
        else:
            continue
        operation = str(name).removesuffix("Response")
        about = "Customer" in operation or "ARB" in operation
        if about and not any(word in operation or word in file.name for word in LEGACY):
            yield f"{file.parent.name}/{file.name}", operation, answer


def read(operation: str, answer: dict[str, Any]) -> str:
    """Say in one line what an answer means to the adapter."""
    if not is_ok(answer):
        return refused(operation, answer)
    match operation:
        case "createCustomerProfile":
            methods = texts_of(answer.get("customerPaymentProfileIdList"), "numericString")
            return f"customer {text_of(answer['customerProfileId'])} with {','.join(methods) or 'no method'}"
        case "createCustomerPaymentProfile":
            return f"method {text_of(answer['customerPaymentProfileId'])}"
        case "getCustomerProfile":
            return shown_customer(answer)
        case "getCustomerPaymentProfile":
            try:
                return shown_method(profiles.profile_of(answer, "paymentProfile"))
            except ValueError as error:
                return f"unreadable: {error}"
        case "ARBCreateSubscription":
            return f"subscription {text_of(answer['subscriptionId'])}"
        case _:
            return "done"


def shown_customer(answer: dict[str, Any]) -> str:
    try:
        profile = profiles.profile_of(answer)
        customer = profiles.customer_from(profile, livemode=False)
    except ValueError as error:
        return f"unreadable: {error}"
    methods = [shown_method(each) for each in profiles.methods_in(profile).values()]
    return f"customer {customer.reference} {customer.email} {customer.our_reference}: {'; '.join(methods)}"


def shown_method(profile: dict[str, Any]) -> str:
    method = profiles.method_from(profile, customer="1")
    return f"{method.type} {method.reference} {method.last_four} {method.expiry_year}"


def refused(operation: str, answer: dict[str, Any]) -> str:
    if operation.startswith("get"):
        error = read_error_from(answer)
        return f"{type(error).__name__} {error.provider_code}"
    named = schedules.duplicate_of(answer) or profiles.duplicate_of(
        answer, "customerPaymentProfileId" if "Payment" in operation else "customerProfileId"
    )
    error = profiles.refusal_from(answer, repeat=False, attempt="r")
    decline = f" {error.decline_code}" if isinstance(error, ProviderDeclined) else ""
    return f"{type(error).__name__} {error.provider_code}{decline}" + (
        f", the first is {named}" if named else ""
    )


def test_every_recorded_profile_and_subscription_means_what_a_person_read_in_it(specs: Path) -> None:
    seen = {name: read(operation, answer) for name, operation, answer in answers(specs)}
    assert seen == EXPECTED["answers"]
