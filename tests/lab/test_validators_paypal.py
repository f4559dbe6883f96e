"""The judge of PayPal's traffic is on: it accepts what PayPal publishes and refuses a known-bad one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bridge_lab.exchanges import Exchange
from bridge_lab.paypal import PayPalDescriptions
from bridge_lab.recorder import Recorder

pytestmark = pytest.mark.needs("specs")

AMOUNT = {"currency_code": "USD", "value": "20.00"}
UNIT = {"amount": AMOUNT, "custom_id": "pay_1", "invoice_id": "r" * 20}
GOOD: dict[str, Any] = {"intent": "CAPTURE", "purchase_units": [UNIT]}


@pytest.fixture(scope="module")
def judge(require: Any) -> PayPalDescriptions:
    return PayPalDescriptions(require("specs"))


def post(path: str, body: Any, **more: Any) -> Exchange:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"headers": {"paypal-request-id": "op_1"}, "service": "PayPal", **more}
    return Exchange(method="POST", url=f"http://127.0.0.1:1{path}", content=content, **given)


def test_a_good_order_passes_both_generations(judge: PayPalDescriptions) -> None:
    wallet = {"paypal": {"experience_context": {"return_url": "https://a.b/c", "user_action": "PAY_NOW"}}}
    assert judge.request_problems(post("/v2/checkout/orders", GOOD)) == []
    assert judge.request_problems(post("/v2/checkout/orders", {**GOOD, "payment_source": wallet})) == []


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"intent": "CAPTURE"}, "no purchase units"),
        ({**GOOD, "intent": "LATER"}, "no such intent"),
        ({**GOOD, "purchase_units": []}, "none"),
        ({**GOOD, "purchase_units": [{**UNIT, "amount": {**AMOUNT, "value": "abc"}}]}, "no amount"),
        ({**GOOD, "purchase_units": [{**UNIT, "amount": {**AMOUNT, "value": 20}}]}, "a number"),
        ({**GOOD, "purchase_units": [{**UNIT, "amount": {"value": "1"}}]}, "no currency"),
        ({**GOOD, "purchase_units": [{**UNIT, "metadata": {}}]}, "an unknown name"),
        ({**GOOD, "payment_source": {"paypal": {"experience_context": {"colour": "x"}}}}, "deeper"),
        ({**GOOD, "payment_source": {"venmo": {"experience_context": {"return_url": "x"}}}}, "not Venmo's"),
        (b"{", "no JSON"),
    ],
)
def test_a_bad_order_is_refused(judge: PayPalDescriptions, body: Any, why: str) -> None:
    assert judge.request_problems(post("/v2/checkout/orders", body)), why


@pytest.mark.parametrize(
    ("path", "good", "bad"),
    [
        (
            "/v2/payments/captures/C1/refund",
            {"amount": AMOUNT, "custom_id": "O.ref_1", "invoice_id": "r"},
            {"amount": AMOUNT, "reason": "x"},
        ),
        (
            "/v2/payments/authorizations/A1/capture",
            {"amount": AMOUNT, "final_capture": True, "invoice_id": "r"},
            {"amount": AMOUNT, "final_capture": "yes"},
        ),
        ("/v2/checkout/orders/O1/capture", {}, {"amount": AMOUNT}),
        (
            "/v2/checkout/orders/O1/capture",
            {"payment_source": {"card": {"vault_id": "8kk8451t"}}},
            {"payment_source": {"card": {"vault": "8kk8451t"}}},
        ),
        (
            "/v3/vault/setup-tokens",
            {"customer": {"merchant_customer_id": "pm_1"}, "payment_source": {"card": {}}},
            {"customer": {"merchant_customer": "pm_1"}, "payment_source": {"card": {}}},
        ),
        (
            "/v3/vault/payment-tokens",
            {"payment_source": {"token": {"id": "5C991763VB2781612", "type": "SETUP_TOKEN"}}},
            {"payment_source": {"token": {"id": "5C991763VB2781612", "type": "SETUP"}}},
        ),
        ("/v1/catalogs/products", {"name": "Club", "type": "SERVICE"}, {"name": "Club", "type": "CLUB"}),
        ("/v1/billing/subscriptions", {"plan_id": "P-1"}, {"plan_id": "P-1", "price": "1"}),
        ("/v1/billing/subscriptions/I-1/cancel", {"reason": "x"}, {}),
    ],
)
def test_each_of_our_calls_is_judged(judge: PayPalDescriptions, path: str, good: Any, bad: Any) -> None:
    assert judge.request_problems(post(path, good)) == []
    assert judge.request_problems(post(path, bad))


def test_a_write_without_a_request_id_and_an_address_that_paypal_has_not_are_refused(
    judge: PayPalDescriptions,
) -> None:
    assert judge.request_problems(post("/v2/checkout/orders", GOOD, headers={}))
    assert judge.request_problems(post("/v2/checkout/order", GOOD))
    assert judge.request_problems(
        Exchange(method="GET", url="http://127.0.0.1:1/v2/checkout/orders/O1?colour=x", service="PayPal")
    )


def test_a_read_has_the_queries_that_paypal_knows_and_wants(judge: PayPalDescriptions) -> None:
    def read(path: str) -> list[str]:
        return judge.request_problems(
            Exchange(method="GET", url=f"http://127.0.0.1:1{path}", service="PayPal")
        )

    assert read("/v3/vault/payment-tokens?customer_id=c1&page=1") == []
    assert read("/v3/vault/payment-tokens?page=1"), "whose?"
    assert read("/v1/customer/disputes?disputed_transaction_id=C1") == []
    assert read("/v1/customer/disputes?transaction=C1")
    assert read("/v1/billing/subscriptions/I-1?fields=plan") == []
    assert read("/v1/billing/subscriptions/I-1/transactions?start_time=2026-01-01T00:00:00Z"), "until when?"


def test_the_verification_of_webhooks_is_judged(judge: PayPalDescriptions) -> None:
    path = "/v1/notifications/verify-webhook-signature"
    asked = {
        "auth_algo": "SHA256withRSA",
        "cert_url": "https://api.paypal.com/v1/notifications/certs/C",
        "transmission_id": "69cd13f0-d67a-11e5-baa3-778b53f4ae55",
        "transmission_sig": "x" * 300,
        "transmission_time": "2016-02-18T20:01:35Z",
        "webhook_id": "W1",
        "webhook_event": {"id": "WH-1"},
    }
    assert judge.request_problems(post(path, asked, headers={})) == []
    assert judge.request_problems(post(path, {**asked, "webhook_id": 7}, headers={}))
    for signature in ("+/A" * 100 + "==", "/" + "x" * 300):
        assert judge.request_problems(post(path, {**asked, "transmission_sig": signature}, headers={})) == []
    for no_signature in ("+ x", "-" + "x" * 300, "12345"):
        assert judge.request_problems(post(path, {**asked, "transmission_sig": no_signature}, headers={}))
    del asked["transmission_sig"]
    assert judge.request_problems(post(path, asked, headers={}))


def test_a_fake_that_drifts_is_found(judge: PayPalDescriptions) -> None:
    order = {
        "id": "5O190127TN364715T",
        "intent": "CAPTURE",
        "status": "CREATED",
        "purchase_units": [UNIT],
        "links": [{"href": "https://api.paypal.com/x", "rel": "self", "method": "GET"}],
    }

    def answered(body: Any, status: int = 201) -> list[str]:
        return judge.answer_problems(
            post("/v2/checkout/orders", GOOD, status=status, answer=json.dumps(body).encode())
        )

    assert answered(order) == []
    assert answered({**order, "status": "DONE"})
    assert answered({**order, "purchase_units": "none"})
    assert answered({**order, "links": [{"rel": "self"}]})
    assert answered(order, status=299)
    assert answered({"name": "UNPROCESSABLE_ENTITY", "message": "x", "debug_id": "d"}, 422) == []
    assert answered({"error": "x"}, 422)


def test_paypals_own_recorded_answers_pass(specs_folder: Path, judge: PayPalDescriptions) -> None:
    folder = specs_folder / "paypal" / "recorded" / "srmklive"
    wrong = {}
    for noun, names in {
        "order": ("Orders__mockCreateOrdersResponse", "Orders__mockOrderPaymentCapturedResponse"),
        "refund": ("PaymentRefunds__mockGetRefundDetailsResponse",),
    }.items():
        for name in names:
            problems = judge.object_problems(noun, json.loads((folder / f"{name}.json").read_text()))
            if problems:
                wrong[name] = problems
    assert wrong == {}


@pytest.fixture(scope="module")
def specs_folder(require: Any) -> Path:
    return require("specs")


def test_the_recorder_knows_whose_traffic_it_hears(specs_folder: Path) -> None:
    recorder = Recorder(specs_folder)
    recorder.exchanges.append(post("/v2/checkout/orders", {"intent": "CAPTURE"}))
    problems = recorder.judge()
    assert problems
    assert all(
        problem.startswith("not what PayPal publishes: POST /v2/checkout/orders") for problem in problems
    )
