"""The fake PayPal keeps PayPal's rules: who pays, what is held, what a request id is worth, what it signs."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from bridge_payments.sandbox.paypal import FakePayPal

JSON = dict[str, Any]
USD = {"currency_code": "USD", "value": "20.00"}
BACK = "http://127.0.0.1:9/back?cart=7"


@pytest.fixture(scope="module")
def _listening_paypal() -> Iterator[FakePayPal]:
    with FakePayPal() as gateway:
        yield gateway


@pytest.fixture
def gateway(_listening_paypal: FakePayPal) -> FakePayPal:
    _listening_paypal.reset(endpoints=True)
    return _listening_paypal


class Merchant:
    """A merchant's server, by hand."""

    def __init__(self, gateway: FakePayPal, client: httpx.Client) -> None:
        self.gateway, self.client = gateway, client
        self.count = 0
        self.renew()

    def renew(self) -> None:
        answer = self.client.post(
            "/v1/oauth2/token",
            auth=(self.gateway.client_id, self.gateway.client_secret),
            data={"grant_type": "client_credentials"},
        )
        self.headers = {"authorization": f"Bearer {answer.json()['access_token']}"}

    def post(self, path: str, body: Any = None, *, key: str | None = "", **headers: str) -> httpx.Response:
        self.count += 1
        sent = {**self.headers, "prefer": "return=representation", **headers}
        if key is not None:
            sent["paypal-request-id"] = key or f"key-{self.count}"
        return self.client.post(path, json=body if body is not None else {}, headers=sent)

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path, headers=self.headers)

    def order(self, intent: str = "CAPTURE", **unit: Any) -> JSON:
        answer = self.post(
            "/v2/checkout/orders", {"intent": intent, "purchase_units": [{"amount": USD, **unit}]}
        )
        assert answer.status_code == 201, answer.text
        return answer.json()

    def paid(self, instrument: str = "balance", intent: str = "CAPTURE", **unit: Any) -> JSON:
        order = self.order(intent, **unit)
        self.gateway.approve(order["id"], instrument)
        word = "capture" if intent == "CAPTURE" else "authorize"
        answer = self.post(f"/v2/checkout/orders/{order['id']}/{word}")
        assert answer.status_code == 201, answer.text
        return answer.json()

    def capture(self, **more: Any) -> JSON:
        return self.paid(**more)["purchase_units"][0]["payments"]["captures"][0]

    def held(self) -> str:
        return self.paid(intent="AUTHORIZE")["purchase_units"][0]["payments"]["authorizations"][0]["id"]


@pytest.fixture
def merchant(gateway: FakePayPal) -> Iterator[Merchant]:
    with httpx.Client(base_url=gateway.url, timeout=5, trust_env=False) as client:
        yield Merchant(gateway, client)


def issue(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["details"][0]["issue"]


# --- who may --------------------------------------------------------------------------------------


def test_only_the_right_credentials_bring_a_token_and_only_a_token_opens_the_rest(
    gateway: FakePayPal, merchant: Merchant
) -> None:
    wrong = merchant.client.post("/v1/oauth2/token", auth=("a", "b"), data={"grant_type": "x"})
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    merchant.order()
    gateway.clock.move(timedelta(hours=10))
    assert merchant.post("/v2/checkout/orders").status_code == 401, "tokens end"
    merchant.renew()
    merchant.order()
    merchant.headers = {"authorization": "Bearer made-up"}
    assert merchant.get("/v2/checkout/orders/X").status_code == 401


# --- orders ---------------------------------------------------------------------------------------


def test_an_order_is_captured_after_its_payer_approved_and_only_once(merchant: Merchant) -> None:
    order = merchant.order()
    capture = f"/v2/checkout/orders/{order['id']}/capture"
    assert order["status"] == "CREATED"
    assert issue(merchant.post(capture)) == (422, "ORDER_NOT_APPROVED")
    merchant.gateway.approve(order["id"])
    assert merchant.get(f"/v2/checkout/orders/{order['id']}").json()["status"] == "APPROVED"
    assert issue(merchant.post(f"/v2/checkout/orders/{order['id']}/authorize")) == (
        422, "ACTION_DOES_NOT_MATCH_INTENT",
    )  # fmt: skip
    paid = merchant.post(capture).json()
    assert (paid["status"], paid["purchase_units"][0]["payments"]["captures"][0]["status"]) == (
        "COMPLETED", "COMPLETED",
    )  # fmt: skip
    assert issue(merchant.post(capture)) == (422, "ORDER_ALREADY_CAPTURED")
    assert len(merchant.gateway.captures()) == 1


def test_a_declined_card_completes_its_order_with_a_201_and_takes_nothing(merchant: Merchant) -> None:
    paid = merchant.paid("card_declined")
    capture = paid["purchase_units"][0]["payments"]["captures"][0]
    assert (paid["status"], capture["status"]) == ("COMPLETED", "DECLINED")
    assert capture["processor_response"]["response_code"] == "5120"
    assert merchant.gateway.captures(taken=True) == []


def test_a_refused_instrument_leaves_the_order_to_another(merchant: Merchant) -> None:
    order = merchant.order()
    merchant.gateway.approve(order["id"], "refused")
    capture = f"/v2/checkout/orders/{order['id']}/capture"
    refused = merchant.post(capture, key="one")
    assert issue(refused) == (422, "INSTRUMENT_DECLINED")
    assert refused.json()["links"][0]["rel"] == "redirect"
    merchant.gateway.approve(order["id"], "balance")
    assert issue(merchant.post(capture, key="one")) == (422, "INSTRUMENT_DECLINED"), (
        "the same key: the same no"
    )
    assert merchant.post(capture, key="two").status_code == 201


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ({"amount": {"currency_code": "USD", "value": "1.005"}}, (422, "DECIMAL_PRECISION")),
        ({"amount": {"currency_code": "JPY", "value": "100.00"}}, (422, "DECIMALS_NOT_SUPPORTED")),
        ({"amount": {"currency_code": "HUF", "value": "100.5"}}, (422, "DECIMALS_NOT_SUPPORTED")),
        ({"amount": {"currency_code": "XXX", "value": "1"}}, (422, "INVALID_CURRENCY_CODE")),
        ({"amount": {"currency_code": "USD", "value": "0.00"}}, (422, "CANNOT_BE_ZERO_OR_NEGATIVE")),
        ({"amount": {"currency_code": "USD", "value": "-1"}}, (422, "CANNOT_BE_ZERO_OR_NEGATIVE")),
        ({"amount": {"currency_code": "USD", "value": "ten"}}, (400, "INVALID_PARAMETER_SYNTAX")),
        ({"amount": {"currency_code": "USD", "value": 20}}, (400, "MISSING_REQUIRED_PARAMETER")),
        (
            {"amount": {**USD, "breakdown": {"item_total": {**USD, "value": "1.00"}}}},
            (422, "AMOUNT_MISMATCH"),
        ),
    ],
)
def test_amounts_are_read_strictly(merchant: Merchant, unit: JSON, said: tuple[int, str]) -> None:
    answer = merchant.post("/v2/checkout/orders", {"intent": "CAPTURE", "purchase_units": [unit]})
    assert issue(answer) == said
    assert merchant.gateway.orders() == []


def test_an_answer_is_short_unless_it_is_asked_to_be_whole(merchant: Merchant) -> None:
    body = {"intent": "CAPTURE", "purchase_units": [{"amount": USD}]}
    short = merchant.post("/v2/checkout/orders", body, prefer="return=minimal").json()
    assert set(short) == {"id", "status", "links"}
    assert "purchase_units" in merchant.post("/v2/checkout/orders", body).json()


def test_what_is_captured_and_refunded_by_hand_is_answered_in_short(merchant: Merchant) -> None:
    captured = merchant.post(
        f"/v2/payments/authorizations/{merchant.held()}/capture", prefer="return=minimal"
    )
    assert (captured.status_code, set(captured.json())) == (201, {"id", "status", "links"})
    refund = f"/v2/payments/captures/{captured.json()['id']}/refund"
    refunded = merchant.post(refund, prefer="return=minimal")
    assert (refunded.status_code, set(refunded.json())) == (201, {"id", "status", "links"})


@pytest.mark.parametrize(
    "name", ["reference_id", "description", "custom_id", "invoice_id", "soft_descriptor"]
)
def test_a_mark_that_is_no_text_is_refused(merchant: Merchant, name: str) -> None:
    unit = {"amount": USD, name: ["x"]}
    answer = merchant.post("/v2/checkout/orders", {"intent": "CAPTURE", "purchase_units": [unit]})
    assert issue(answer) == (400, "INVALID_PARAMETER_SYNTAX")


def test_an_order_with_a_source_needs_a_request_id(merchant: Merchant) -> None:
    body = {"intent": "CAPTURE", "purchase_units": [{"amount": USD}], "payment_source": {"paypal": {}}}
    assert issue(merchant.post("/v2/checkout/orders", body, key=None)) == (400, "PAYPAL_REQUEST_ID_REQUIRED")
    made = merchant.post("/v2/checkout/orders", body).json()
    assert (made["status"], [link["rel"] for link in made["links"]][1]) == (
        "PAYER_ACTION_REQUIRED", "payer-action",
    )  # fmt: skip


def test_an_invoice_is_paid_once(merchant: Merchant) -> None:
    merchant.capture(invoice_id="INV-1")
    order = merchant.order(invoice_id="INV-1")
    merchant.gateway.approve(order["id"])
    answer = merchant.post(f"/v2/checkout/orders/{order['id']}/capture")
    assert issue(answer) == (422, "DUPLICATE_INVOICE_ID")


# --- request ids ------------------------------------------------------------------------------------


def test_a_repeat_brings_the_first_ones_latest_state_and_makes_nothing(merchant: Merchant) -> None:
    body = {"intent": "CAPTURE", "purchase_units": [{"amount": USD}]}
    first = merchant.post("/v2/checkout/orders", body, key="order")
    merchant.gateway.approve(first.json()["id"])
    again = merchant.post("/v2/checkout/orders", {"intent": "AUTHORIZE"}, key="order")
    assert (first.status_code, again.status_code) == (201, 200)
    assert (again.json()["id"], again.json()["status"]) == (first.json()["id"], "APPROVED")


def test_orders_forget_an_id_after_six_hours_and_payments_after_45_days(merchant: Merchant) -> None:
    capture = merchant.capture()
    refund = f"/v2/payments/captures/{capture['id']}/refund"
    one = {"amount": {"currency_code": "USD", "value": "1.00"}}
    body = {"intent": "CAPTURE", "purchase_units": [{"amount": USD}]}
    merchant.post("/v2/checkout/orders", body, key="order")
    merchant.post(refund, one, key="refund")
    for days, orders, refunds in ((0.2, 2, 1), (0.3, 3, 1), (44, 3, 1), (46, 3, 2)):
        merchant.gateway.clock.offset = timedelta(days=days)
        merchant.renew()
        if days < 1:
            merchant.post("/v2/checkout/orders", body, key="order")
        merchant.post(refund, one, key="refund")
        assert (len(merchant.gateway.orders()), len(merchant.gateway.refunds())) == (orders, refunds), days


def test_a_failure_is_not_kept_and_a_gateway_without_ids_executes_every_request(merchant: Merchant) -> None:
    capture = merchant.capture()
    refund = f"/v2/payments/captures/{capture['id']}/refund"
    one = {"amount": {"currency_code": "USD", "value": "1.00"}}
    merchant.gateway.faults.add("error_before")
    assert merchant.post(refund, one, key="r").status_code == 500
    assert merchant.post(refund, one, key="r").status_code == 201
    merchant.gateway.charge_every_request = True
    assert merchant.post(refund, one, key="r").status_code == 201
    assert len(merchant.gateway.refunds()) == 2
    assert issue(merchant.post(refund, one, key="x" * 109)) == (400, "INVALID_STRING_LENGTH")


def test_a_lost_answer_was_executed_and_a_dropped_request_was_not(merchant: Merchant) -> None:
    body = {"intent": "CAPTURE", "purchase_units": [{"amount": USD}]}
    for fault, made in (("drop_before", 0), ("drop_after", 1), ("half_answer", 2)):
        merchant.gateway.faults.add(fault)
        with pytest.raises(httpx.TransportError):
            merchant.post("/v2/checkout/orders", body)
        assert len(merchant.gateway.orders()) == made


# --- held money -------------------------------------------------------------------------------------


def test_held_money_is_captured_in_parts_until_a_final_one(merchant: Merchant) -> None:
    held = merchant.held()
    path = f"/v2/payments/authorizations/{held}/capture"

    def take(value: str, **more: Any) -> httpx.Response:
        return merchant.post(path, {"amount": {"currency_code": "USD", "value": value}, **more})

    assert take("7.00").json()["final_capture"] is False
    assert merchant.get(f"/v2/payments/authorizations/{held}").json()["status"] == "PARTIALLY_CAPTURED"
    assert issue(take("16.01")) == (422, "MAX_CAPTURE_AMOUNT_EXCEEDED"), "115 percent at most"
    assert take("1.00", final_capture=True).status_code == 201
    assert issue(take("1.00")) == (422, "AUTHORIZATION_ALREADY_CAPTURED")
    assert issue(merchant.post(path, {"amount": {"currency_code": "EUR", "value": "1.00"}}))[0] == 422


def test_held_money_is_released_once_or_lapses_after_29_days(merchant: Merchant) -> None:
    held = merchant.held()
    void = f"/v2/payments/authorizations/{held}/void"
    assert merchant.post(void).json()["status"] == "VOIDED"
    assert issue(merchant.post(void)) == (422, "PREVIOUSLY_VOIDED")
    assert issue(merchant.post(f"/v2/payments/authorizations/{held}/capture")) == (
        422, "AUTHORIZATION_VOIDED",
    )  # fmt: skip
    late = merchant.held()
    merchant.gateway.clock.move(timedelta(days=30))
    merchant.renew()
    assert issue(merchant.post(f"/v2/payments/authorizations/{late}/capture")) == (
        422, "AUTHORIZATION_EXPIRED",
    )  # fmt: skip
    assert merchant.post(void, prefer="return=minimal").status_code == 422
    third = merchant.held()
    path = f"/v2/payments/authorizations/{third}/void"
    assert merchant.post(path, prefer="return=minimal").status_code == 204


# --- refunds ----------------------------------------------------------------------------------------


def test_never_more_is_given_back_than_was_taken(merchant: Merchant) -> None:
    capture = merchant.capture()["id"]
    path = f"/v2/payments/captures/{capture}/refund"

    def give(value: str) -> httpx.Response:
        return merchant.post(path, {"amount": {"currency_code": "USD", "value": value}})

    assert give("19.99").json()["status"] == "COMPLETED"
    assert merchant.get(f"/v2/payments/captures/{capture}").json()["status"] == "PARTIALLY_REFUNDED"
    assert issue(give("0.02")) == (422, "REFUND_AMOUNT_EXCEEDED")
    assert merchant.post(path).json()["amount"]["value"] == "0.01", "without an amount: all that is left"
    assert issue(give("0.01")) == (422, "CAPTURE_FULLY_REFUNDED")


def test_a_refund_may_wait_and_fail_and_pending_money_cannot_be_given_back(merchant: Merchant) -> None:
    capture = merchant.capture()["id"]
    path = f"/v2/payments/captures/{capture}/refund"
    merchant.gateway.hold_refunds()
    waiting = merchant.post(path).json()
    assert waiting["status"] == "PENDING"
    assert issue(merchant.post(path)) == (422, "CAPTURE_FULLY_REFUNDED")
    merchant.gateway.settle(waiting["id"], succeeded=False)
    assert merchant.get(f"/v2/payments/captures/{capture}").json()["status"] == "COMPLETED"
    pending = merchant.capture(instrument="echeck")["id"]
    assert issue(merchant.post(f"/v2/payments/captures/{pending}/refund")) == (422, "PENDING_CAPTURE")


# --- the approval page ------------------------------------------------------------------------------


def approval(merchant: Merchant, **unit: Any) -> tuple[str, str]:
    context = {"experience_context": {"return_url": BACK, "cancel_url": BACK + "&no=1"}}
    body = {
        "intent": "CAPTURE",
        "purchase_units": [{"amount": USD, **unit}],
        "payment_source": {"paypal": context},
    }
    order = merchant.post("/v2/checkout/orders", body).json()
    page = next(link["href"] for link in order["links"] if link["rel"] == "payer-action")
    return order["id"], page


def test_the_payer_agrees_and_is_sent_back_with_the_order(merchant: Merchant) -> None:
    order, page = approval(merchant, description="<b>Cups</b>")
    shown = merchant.client.get(page)
    assert "20.00" in shown.text
    assert "<b>Cups" not in shown.text
    agreed = merchant.client.post(page, data={"outcome": "approve", "instrument": "balance"})
    assert agreed.status_code == 303
    assert agreed.headers["location"].startswith(f"{BACK}&token={order}&PayerID=")
    assert merchant.gateway.order(order)["status"] == "APPROVED"


def test_the_payer_goes_back_and_nothing_was_approved(merchant: Merchant) -> None:
    order, page = approval(merchant)
    left = merchant.client.post(page, data={"outcome": "cancel"})
    assert left.headers["location"] == f"{BACK}&no=1&token={order}"
    assert merchant.gateway.order(order)["status"] == "PAYER_ACTION_REQUIRED"


def test_after_three_hours_or_a_capture_the_page_is_closed(merchant: Merchant) -> None:
    order, page = approval(merchant)
    merchant.gateway.clock.move(timedelta(hours=4))
    assert merchant.client.get(page).status_code == 410
    assert merchant.client.post(page, data={"outcome": "approve"}).status_code == 410
    assert merchant.gateway.order(order)["status"] == "PAYER_ACTION_REQUIRED"
    assert merchant.client.get("/_approve/NOBODY").status_code == 404


# --- what is kept, subscribed and disputed ------------------------------------------------------------


def set_up(merchant: Merchant, source: str = "paypal", *, several: bool = True) -> JSON:
    details = {"usage_type": "MERCHANT", "permit_multiple_payment_tokens": several}
    body = {
        "customer": {"merchant_customer_id": "pm_1"},
        "payment_source": {
            source: {**(details if source != "card" else {}), "experience_context": {"return_url": BACK}}
        },
    }
    answer = merchant.post("/v3/vault/setup-tokens", body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def keep(merchant: Merchant, setup: JSON, **more: Any) -> httpx.Response:
    token = {"payment_source": {"token": {"id": setup["id"], "type": "SETUP_TOKEN"}}}
    return merchant.post("/v3/vault/payment-tokens", token, **more)


def subscription(merchant: Merchant, *, price: str = "10.00", **form: Any) -> JSON:
    if not merchant.gateway.products():
        merchant.post("/v1/catalogs/products", {"id": "CLUB-1", "name": "Club", "type": "SERVICE"})
    cycle = {
        "frequency": {"interval_unit": "MONTH", "interval_count": 1},
        "tenure_type": "REGULAR",
        "sequence": 1,
        "total_cycles": 0,
        "pricing_scheme": {"fixed_price": {"currency_code": "USD", "value": price}},
    }
    plan = {"product_id": "CLUB-1", "name": "Club", "billing_cycles": [cycle], "payment_preferences": {}}
    made = merchant.post("/v1/billing/plans", plan).json()
    context = {"return_url": BACK, "cancel_url": BACK}
    body = {"plan_id": made["id"], "application_context": context, **form}
    answer = merchant.post("/v1/billing/subscriptions", body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_set_up_is_kept_once_and_only_after_its_payer_agreed(merchant: Merchant) -> None:
    setup = set_up(merchant)
    assert (setup["status"], setup["customer"]["merchant_customer_id"]) == ("PAYER_ACTION_REQUIRED", "pm_1")
    early = keep(merchant, setup)
    assert (early.status_code, early.json()["details"][0]["issue"]) == (422, "PAYER_ACTION_REQUIRED")
    page = next(link["href"] for link in setup["links"] if link["rel"] == "approve")
    assert "keep this for later" in merchant.client.get(page).text
    agreed = merchant.client.post(page, data={"outcome": "approve", "instrument": "balance"})
    assert f"approval_token_id={setup['id']}" in agreed.headers["location"]
    assert merchant.client.get(page).status_code == 410
    first = keep(merchant, setup, key="one")
    assert first.status_code == 201
    again = keep(merchant, setup, key="one")
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    other = keep(merchant, setup, key="two")
    assert other.json()["details"][0]["issue"] == "SETUP_TOKEN_ALREADY_TOKENIZED"
    assert merchant.get(f"/v3/vault/setup-tokens/{setup['id']}").json()["status"] == "VAULTED"


def test_without_permission_for_several_one_payer_has_one_token(merchant: Merchant) -> None:
    tokens = []
    for several in (False, False, True):
        setup = set_up(merchant, several=several)
        merchant.gateway.agree(setup["id"])
        tokens.append(keep(merchant, setup).json()["id"])
    assert tokens[0] == tokens[1] != tokens[2]


def test_a_set_up_ends_after_three_days_and_a_key_of_the_vault_after_three_hours(merchant: Merchant) -> None:
    body = {"payment_source": {"card": {}}}
    made = [merchant.post("/v3/vault/setup-tokens", body, key="one").json()["id"] for _ in range(2)]
    assert made[0] == made[1]
    merchant.gateway.clock.move(timedelta(hours=3, minutes=1))
    assert merchant.post("/v3/vault/setup-tokens", body, key="one").json()["id"] != made[0]
    merchant.gateway.clock.move(timedelta(days=3))
    merchant.renew()
    assert merchant.get(f"/v3/vault/setup-tokens/{made[0]}").status_code == 404


def test_what_is_deleted_is_gone_and_pays_nothing(merchant: Merchant) -> None:
    setup = set_up(merchant, "card")
    merchant.gateway.agree(setup["id"], "card")
    token = keep(merchant, setup).json()["id"]
    order = merchant.order()
    source = {"payment_source": {"card": {"vault_id": token}}}
    for _ in range(2):
        gone = merchant.client.delete(f"/v3/vault/payment-tokens/{token}", headers=merchant.headers)
        assert gone.status_code == 204
    assert merchant.get(f"/v3/vault/payment-tokens/{token}").status_code == 404
    assert merchant.post(f"/v2/checkout/orders/{order['id']}/capture", source).status_code == 404
    assert merchant.gateway.captures() == []


def test_a_product_has_one_name_and_a_plan_needs_a_product(merchant: Merchant) -> None:
    product = {"id": "CLUB-1", "name": "Club", "type": "SERVICE"}
    assert merchant.post("/v1/catalogs/products", product).status_code == 201
    again = merchant.post("/v1/catalogs/products", product)
    assert (again.status_code, again.json()["details"][0]["issue"]) == (422, "DUPLICATE_RESOURCE_IDENTIFIER")
    plan = {"product_id": "OTHER-1", "name": "x", "billing_cycles": [], "payment_preferences": {}}
    assert merchant.post("/v1/billing/plans", plan).status_code == 404


def test_a_subscription_collects_by_the_clock_after_its_payer_agreed(merchant: Merchant) -> None:
    made = subscription(merchant, custom_id="sub_1.x")
    merchant.gateway.advance(days=40)
    assert merchant.gateway.captures() == []
    page = next(link["href"] for link in made["links"] if link["rel"] == "approve")
    assert "10.00" in merchant.client.get(page).text
    assert merchant.client.post(page, data={"outcome": "cancel"}).status_code == 303
    agreed = merchant.client.post(page, data={"outcome": "approve", "instrument": "balance"})
    assert f"subscription_id={made['id']}" in agreed.headers["location"]
    assert len(merchant.gateway.captures(taken=True)) == 1
    merchant.gateway.advance(days=65)
    assert len(merchant.gateway.captures(taken=True)) == 3
    sales = merchant.gateway.events("PAYMENT.SALE.COMPLETED")
    assert [each["resource"]["billing_agreement_id"] for each in sales] == [made["id"]] * 3


def test_suspend_activate_and_cancel_ask_for_a_state_and_a_reason(merchant: Merchant) -> None:
    made = subscription(merchant)
    path = f"/v1/billing/subscriptions/{made['id']}"

    def ask(verb: str, reason: str | None = "x") -> str:
        answer = merchant.post(f"{path}/{verb}", {"reason": reason} if reason else {}, key=None)
        return "done" if answer.status_code == 204 else answer.json()["details"][0]["issue"]

    assert [ask(verb) for verb in ("suspend", "activate", "cancel")] == ["SUBSCRIPTION_STATUS_INVALID"] * 3
    merchant.gateway.subscribe(made["id"])
    assert ask("suspend", None) == "MISSING_REQUIRED_PARAMETER"
    assert [ask("suspend"), ask("suspend")] == ["done", "SUBSCRIPTION_STATUS_INVALID"]
    merchant.gateway.advance(days=90)
    merchant.renew()
    assert [ask("activate"), ask("cancel"), ask("activate")] == [
        "done",
        "done",
        "SUBSCRIPTION_STATUS_INVALID",
    ]
    merchant.gateway.advance(days=90)
    assert len(merchant.gateway.captures(taken=True)) == 1


def test_a_collection_is_refunded_like_a_capture_and_told_like_a_sale(merchant: Merchant) -> None:
    made = subscription(merchant)
    merchant.gateway.subscribe(made["id"])
    [capture] = merchant.gateway.captures()
    part = {"amount": {"currency_code": "USD", "value": "4.00"}}
    for total in ("4.00", "8.00"):
        refund = merchant.post(f"/v2/payments/captures/{capture['id']}/refund", part).json()
        assert refund["seller_payable_breakdown"]["total_refunded_amount"]["value"] == total
    [first, _] = merchant.gateway.events("PAYMENT.SALE.REFUNDED")
    assert first["resource"]["sale_id"] == capture["id"]
    over = merchant.post(f"/v2/payments/captures/{capture['id']}/refund", part)
    assert over.json()["details"][0]["issue"] == "REFUND_AMOUNT_EXCEEDED"
    listing = merchant.client.get(
        f"/v1/billing/subscriptions/{made['id']}/transactions",
        params={"start_time": "2020-01-01T00:00:00Z", "end_time": "2100-01-01T00:00:00Z"},
        headers=merchant.headers,
    ).json()
    assert [each["status"] for each in listing["transactions"]] == ["PARTIALLY_REFUNDED"]


def test_a_dispute_that_a_payer_wins_shows_on_the_capture_and_is_no_refund(merchant: Merchant) -> None:
    capture = merchant.capture()
    dispute = merchant.gateway.open_dispute(capture["id"])
    about = merchant.get(f"/v1/customer/disputes?disputed_transaction_id={capture['id']}").json()
    assert [each["dispute_id"] for each in about["items"]] == [dispute["dispute_id"]]
    merchant.gateway.resolve_dispute(dispute["dispute_id"], "RESOLVED_BUYER_FAVOUR")
    assert merchant.gateway.captures()[0]["status"] == "REFUNDED"
    assert merchant.gateway.refunds() == []
    told = [each["event_type"] for each in merchant.gateway.events()]
    assert told[-3:] == ["CUSTOMER.DISPUTE.CREATED", "PAYMENT.CAPTURE.REVERSED", "CUSTOMER.DISPUTE.RESOLVED"]


def test_what_was_kept_and_subscribed_outlives_a_restart(merchant: Merchant) -> None:
    setup = set_up(merchant)
    merchant.gateway.agree(setup["id"])
    token = keep(merchant, setup).json()["id"]
    made = subscription(merchant)
    merchant.gateway.subscribe(made["id"])
    saved = json.loads(json.dumps(merchant.gateway.dump()))
    with FakePayPal(saved=saved) as again:
        assert [each["id"] for each in again.payment_tokens()] == [token]
        again.advance(days=31)
        assert len(again.captures(taken=True)) == 2


# --- webhooks ---------------------------------------------------------------------------------------


def verify(merchant: Merchant, headers: Any, body: bytes, webhook_id: str) -> str:
    named = {"auth_algo": "auth-algo", "cert_url": "cert-url", "transmission_id": "transmission-id",
             "transmission_sig": "transmission-sig", "transmission_time": "transmission-time"}  # fmt: skip
    question = {name: headers[f"paypal-{header}"] for name, header in named.items()}
    asked = (
        json.dumps({**question, "webhook_id": webhook_id})[:-1].encode() + b',"webhook_event":' + body + b"}"
    )
    answer = merchant.client.post(
        "/v1/notifications/verify-webhook-signature", content=asked, headers=merchant.headers
    )
    return str(answer.json()["verification_status"])


def test_a_delivery_verifies_for_its_webhook_and_to_the_last_byte(merchant: Merchant) -> None:
    hook = merchant.gateway.add_webhook("http://127.0.0.1:9/")
    other = merchant.gateway.add_webhook("http://127.0.0.1:9/other")
    merchant.gateway.webhooks.off = True
    merchant.capture()
    headers, body = merchant.gateway.signed_webhook("PAYMENT.CAPTURE.COMPLETED", webhook_id=hook.secret)
    assert verify(merchant, headers, body, hook.secret) == "SUCCESS"
    assert verify(merchant, headers, body, other.secret) == "FAILURE"
    assert verify(merchant, headers, body.replace(b": ", b":"), hook.secret) == "FAILURE"
    late = {**headers, "paypal-transmission-time": "2020-01-01T00:00:00Z"}
    assert verify(merchant, late, body, hook.secret) == "FAILURE"
    changed = bytearray(base64.b64decode(headers["paypal-transmission-sig"]))
    changed[0] ^= 1
    forged = {**headers, "paypal-transmission-sig": base64.b64encode(changed).decode()}
    assert verify(merchant, forged, body, hook.secret) == "FAILURE"
    assert merchant.client.get(headers["paypal-cert-url"]).text.count("BEGIN CERTIFICATE") == 2


def test_a_delivery_is_repeated_until_it_is_taken(merchant: Merchant, receiver: Any) -> None:
    merchant.gateway.add_webhook(receiver.url)
    receiver.statuses = [503, 200]
    merchant.gateway.approve(merchant.order()["id"])
    assert merchant.gateway.webhooks.wait_until_delivered()
    events = [json.loads(body) for _, body in receiver.deliveries]
    assert [event["event_type"] for event in events] == ["CHECKOUT.ORDER.APPROVED"] * 2
    assert len({event["id"] for event in events}) == 1
    assert len({headers["paypal-transmission-id"] for headers, _ in receiver.deliveries}) == 2


def test_a_refunds_event_names_its_capture_and_not_its_order(merchant: Merchant) -> None:
    capture = merchant.capture()["id"]
    merchant.post(f"/v2/payments/captures/{capture}/refund")
    (event,) = merchant.gateway.events("PAYMENT.CAPTURE.REFUNDED")
    assert event["resource"]["links"][1]["href"].endswith(capture)
    assert "order_id" not in json.dumps(event)


# --- the account ------------------------------------------------------------------------------------


def test_a_gateway_of_the_next_run_knows_everything(merchant: Merchant) -> None:
    capture = merchant.capture()
    saved = json.loads(json.dumps(merchant.gateway.dump()))
    with FakePayPal(saved=saved) as next_run, httpx.Client(base_url=next_run.url, trust_env=False) as client:
        again = Merchant(next_run, client)
        path = f"/v2/payments/captures/{capture['id']}/refund"
        assert again.post(path).status_code == 201
        order = next_run.orders()[0]
        assert order["purchase_units"][0]["payments"]["captures"][0]["status"] == "REFUNDED"


def test_the_switches_are_there_over_http_for_who_says_so(merchant: Merchant) -> None:
    asked = {"x-sandbox-control": "yes"}
    assert merchant.client.get("/_control/books").status_code == 403
    order = merchant.order()["id"]
    merchant.client.post("/_control/settings", json={"approve": order, "instrument": "review"}, headers=asked)
    books = merchant.client.get("/_control/books", headers=asked).json()
    assert books["orders"][0]["status"] == "APPROVED"
    merchant.client.post("/_control/faults", json={"kind": "rate_limited"}, headers=asked)
    assert merchant.post("/v2/checkout/orders").status_code == 429
    moved = merchant.client.post("/_control/clock", json={"seconds": 60}, headers=asked)
    assert moved.status_code == 200
    log = merchant.client.get("/_control/requests", headers=asked).json()["requests"]
    assert merchant.gateway.client_secret not in json.dumps(log)
    merchant.client.request("DELETE", "/_control/books", headers=asked)
    assert merchant.gateway.orders() == []


def test_the_log_holds_no_credentials(gateway: FakePayPal, merchant: Merchant) -> None:
    merchant.order()
    told = repr(gateway.requests("/"))
    assert gateway.client_secret not in told
    assert merchant.headers["authorization"].split()[1] not in told
