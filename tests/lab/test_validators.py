"""The judges of the laboratory are on: each accepts what Stripe accepted and refuses a known-bad one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bridge_lab import sdk_params
from bridge_lab.exchanges import Exchange
from bridge_lab.forms import decode_form
from bridge_lab.openapi import StripeOpenApi

pytestmark = pytest.mark.needs("specs")


@pytest.fixture(scope="module")
def specs(require: Any) -> Path:
    return require("specs") / "stripe"


@pytest.fixture(scope="module")
def openapi(require: Any) -> StripeOpenApi:
    return StripeOpenApi(require("specs"))


def post(path: str, form: str) -> Exchange:
    return Exchange(method="POST", url=f"http://127.0.0.1:1/below{path}", content=form.encode())


GOOD = "amount=1000&currency=usd&metadata[a]=b&expand[0]=latest_charge"


def test_a_bracketed_form_is_read_back_as_it_was_meant() -> None:
    form = "amount=1&metadata[a b]=c%26d&expand[0]=x&expand[1]=y&list[]=p&list[]=q&deep[one][0][two]=z&empty="
    assert decode_form(form) == {
        "amount": "1",
        "metadata": {"a b": "c&d"},
        "expand": ["x", "y"],
        "list": ["p", "q"],
        "deep": {"one": [{"two": "z"}]},
        "empty": "",
    }


def test_a_form_that_says_one_thing_twice_is_not_read() -> None:
    with pytest.raises(ValueError, match="twice"):
        decode_form("amount=1&amount=2")


def test_a_good_request_passes_both_judges(openapi: StripeOpenApi) -> None:
    exchange = post("/v1/payment_intents", GOOD)
    assert (sdk_params.request_problems(exchange), openapi.request_problems(exchange)) == ([], [])


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ("currency=usd", "the amount is missing"),
        ("amount=x&currency=usd", "the amount is no number"),
        ("amount=10.5&currency=usd", "the amount is no whole number"),
        (f"{GOOD}&bogus=1", "a name that Stripe does not have"),
    ],
)
def test_both_judges_refuse_a_bad_request(openapi: StripeOpenApi, form: str, why: str) -> None:
    exchange = post("/v1/payment_intents", form)
    assert sdk_params.request_problems(exchange), why
    assert openapi.request_problems(exchange), why


def test_the_sdks_types_refuse_an_unknown_name_at_any_depth() -> None:
    """OpenAPI forbids unknown names at the top only; that is why there are two judges."""
    nested = f"{GOOD}&automatic_payment_methods[enabled]=true&automatic_payment_methods[zzz]=1"
    assert sdk_params.request_problems(post("/v1/payment_intents", nested))


def test_openapi_refuses_a_word_that_is_not_in_an_enumeration(openapi: StripeOpenApi) -> None:
    assert openapi.request_problems(post("/v1/payment_intents", f"{GOOD}&capture_method=later"))


def test_a_query_is_judged_too(openapi: StripeOpenApi) -> None:
    good = Exchange(method="GET", url="http://127.0.0.1:1/v1/payment_intents?limit=100&created[gte]=1")
    bad = Exchange(method="GET", url="http://127.0.0.1:1/v1/payment_intents?limit=100&since=1")
    assert (sdk_params.request_problems(good), openapi.request_problems(good)) == ([], [])
    assert sdk_params.request_problems(bad)
    assert openapi.request_problems(bad)


def test_an_address_that_stripe_does_not_have_is_refused(openapi: StripeOpenApi) -> None:
    assert openapi.request_problems(post("/v1/payment_intentions", GOOD))
    assert sdk_params.request_problems(post("/v1/payment_intentions", GOOD))


def answered(body: Any, status: int = 200) -> Exchange:
    return Exchange(
        method="GET",
        url="http://127.0.0.1:1/v1/payment_intents/pi_1",
        status=status,
        answer=json.dumps(body).encode(),
    )


def test_stripes_own_example_passes_and_a_fake_that_drifts_does_not(
    specs: Path, openapi: StripeOpenApi
) -> None:
    intent = json.loads((specs / "fixtures3-2026-07-29.json").read_text())["resources"]["payment_intent"]
    assert openapi.answer_problems(answered(intent)) == []
    assert openapi.answer_problems(answered({**intent, "status": "done"}))
    assert openapi.answer_problems(answered({**intent, "amount": "1000"}))
    assert openapi.answer_problems(answered({name: intent[name] for name in intent if name != "livemode"}))
    assert openapi.answer_problems(answered({"error": {"type": "no_such_type"}}, 402))
    assert openapi.answer_problems(
        Exchange(method="GET", url="http://h/v1/payment_intents/pi_1", status=200, answer=b"<")
    )


def test_what_stripe_once_accepted_passes_but_for_what_it_removed_since(
    specs: Path, openapi: StripeOpenApi
) -> None:
    """Every recorded payment, refund and read is judged as it was judged by Stripe itself."""
    recorded = json.loads((specs / "recorded" / "pay_rails_interactions.json").read_text())
    verdicts: dict[str, list[int]] = {"sdk": [0, 0], "openapi": [0, 0]}
    for each in recorded:
        path = each["path"].partition("?")[0]
        if each["status"] != 200 or path.split("/")[2] not in ("payment_intents", "refunds"):
            continue
        exchange = Exchange(
            method=each["method"],
            url=f"http://127.0.0.1:1{each['path']}",
            content=each["request_form"].encode(),
        )
        verdicts["sdk"][bool(sdk_params.request_problems(exchange))] += 1
        verdicts["openapi"][bool(openapi.request_problems(exchange))] += 1
    assert verdicts == {"sdk": [33, 0], "openapi": [33, 0]}


def test_recorded_answers_of_stripe_pass_the_newest_description(specs: Path, openapi: StripeOpenApi) -> None:
    recorded = json.loads((specs / "recorded" / "pay_rails_interactions.json").read_text())
    wrong = [
        (each["path"], problems)
        for each in recorded
        if each["response"].get("object") in ("payment_intent", "charge", "refund")
        and (problems := openapi.newest.object_problems(each["response"]["object"], each["response"]))
    ]
    assert wrong == []
