"""The fake gateway behaves as Stripe is documented to, so that what is proved against it means something."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import stripe as sdk
from stripe import StripeClient

from bridge_payments.sandbox.stripe import FakeStripe
from bridge_payments.sandbox.stripe.periods import after

INTENT = {"amount": "2000", "currency": "usd", "automatic_payment_methods[enabled]": "true",
          "automatic_payment_methods[allow_redirects]": "never"}  # fmt: skip
RETURN = "http://shop.example/back"

Post = Callable[..., httpx.Response]


@pytest.fixture
def post(raw: httpx.Client) -> Post:
    def send(path: str, key: str | None = None, **form: Any) -> httpx.Response:
        headers = {"idempotency-key": key} if key else {}
        return raw.post(
            f"/v1/{path}", data={name: str(value) for name, value in form.items()}, headers=headers
        )

    return send


def create(post: Post, **more: Any) -> dict[str, Any]:
    answer = post("payment_intents", **{**INTENT, **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def paid(post: Post, **more: Any) -> dict[str, Any]:
    return create(post, confirm="true", payment_method="pm_card_visa", **more)


def error_of(answer: httpx.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["type"], error.get("code")


# --- who may --------------------------------------------------------------------------------------


def test_a_wrong_key_is_refused_and_nothing_is_made(gateway: FakeStripe) -> None:
    answer = httpx.post(f"{gateway.url}/v1/payment_intents", data=INTENT, auth=("sk_test_wrong", ""))
    assert error_of(answer)[:2] == (401, "invalid_request_error")
    assert "sk_test_wrong" not in answer.text
    assert answer.headers["request-id"].startswith("req_")
    assert gateway.intents() == []


def test_the_key_may_come_as_basic_authentication(gateway: FakeStripe) -> None:
    basic = base64.b64encode(f"{gateway.secret_key}:".encode()).decode()
    answer = httpx.get(f"{gateway.url}/v1/account", headers={"authorization": f"Basic {basic}"})
    assert answer.json()["object"] == "account"


def test_a_browser_cannot_refund_list_or_capture(browser: httpx.Client, post: Post) -> None:
    intent = paid(post)
    for path in ("refunds", f"payment_intents/{intent['id']}/capture", "payment_intents"):
        assert error_of(browser.post(f"/v1/{path}", data={"payment_intent": intent["id"]}))[0] == 403
    assert browser.get("/v1/payment_intents").status_code == 403


def test_a_browser_sees_an_intent_only_with_its_client_secret(browser: httpx.Client, post: Post) -> None:
    intent = create(post, **{"metadata[order]": "7"})
    path = f"/v1/payment_intents/{intent['id']}"
    assert browser.get(path).status_code == 404
    assert browser.get(path, params={"client_secret": "pi_x_secret_y"}).status_code == 404
    seen = browser.get(path, params={"client_secret": intent["client_secret"]}).json()
    assert seen["status"] == "requires_payment_method"
    assert "metadata" not in seen


# --- shapes ---------------------------------------------------------------------------------------


def test_objects_have_the_shape_that_stripe_publishes(
    gateway: FakeStripe, post: Post, conforms: Callable[[str, Any], None]
) -> None:
    intent = paid(post)
    post("refunds", payment_intent=intent["id"], amount=100)
    create(post, capture_method="manual", confirm="true", payment_method="pm_card_amex")
    challenged = create(
        post, confirm="true", payment_method="pm_card_threeDSecure2Required", return_url=RETURN
    )
    refused = post("payment_intents", **INTENT, confirm="true", payment_method="pm_card_chargeDeclined")
    post("customers", email="a@b.example", **{"metadata[a]": "b"})
    assert challenged["next_action"]["type"] == "redirect_to_url"
    for one in gateway.intents():
        conforms("payment_intent", one)
    for one in gateway.charges():
        conforms("charge", one)
    for one in gateway.refunds():
        conforms("refund", one)
    for one in gateway.books.methods.values():
        conforms("payment_method", one)
    for one in gateway.books.customers.values():
        conforms("customer", one)
    conforms("error", refused.json())
    assert len(gateway.charges()) == 3


def test_the_official_client_reads_everything(stripe: StripeClient) -> None:
    intent = stripe.v1.payment_intents.create(
        {
            "amount": 2000,
            "currency": "usd",
            "confirm": True,
            "payment_method": "pm_card_visa",
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "metadata": {"order": "7"},
            "expand": ["latest_charge", "payment_method"],
        }
    )
    assert intent.id.startswith("pi_3")
    assert intent.client_secret is not None
    assert intent.client_secret.startswith(f"{intent.id}_secret_")
    assert isinstance(intent.latest_charge, sdk.Charge)
    assert intent.latest_charge.id.startswith("ch_3")
    assert isinstance(intent.payment_method, sdk.PaymentMethod)
    stripe.v1.refunds.create({"payment_intent": intent.id, "amount": 500})
    again = stripe.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge.refunds"]})
    assert isinstance(again.latest_charge, sdk.Charge)
    assert again.latest_charge.refunds is not None
    assert [refund.amount for refund in again.latest_charge.refunds.data] == [500]
    assert [one.id for one in stripe.v1.payment_intents.list({"limit": 1}).data] == [intent.id]


def test_lists_page_newest_first(post: Post, raw: httpx.Client) -> None:
    made = [create(post)["id"] for _ in range(5)][::-1]
    first = raw.get("/v1/payment_intents", params={"limit": "2"}).json()
    second = raw.get("/v1/payment_intents", params={"limit": "2", "starting_after": made[1]}).json()
    assert [one["id"] for one in first["data"] + second["data"]] == made[:4]
    assert first["has_more"] is second["has_more"] is True
    before = raw.get("/v1/payment_intents", params={"limit": "2", "ending_before": made[4]}).json()
    assert [one["id"] for one in before["data"]] == made[2:4]
    assert (
        raw.get("/v1/payment_intents", params={"created[gt]": str(int(time.time()) + 60)}).json()["data"]
        == []
    )


# --- input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"amount": ""}, "parameter_missing", "amount"),
        ({"amount": "12.50"}, "parameter_invalid_integer", "amount"),
        ({"amount": "0"}, "parameter_invalid_integer", "amount"),
        ({"amount": "49"}, "amount_too_small", "amount"),
        ({"amount": "100000000"}, "amount_too_large", "amount"),
        ({"currency": "zzz"}, None, "currency"),
        ({"colour": "red"}, "parameter_unknown", "colour"),
        ({"customer": "cus_nobody"}, "resource_missing", "customer"),
        ({"payment_method": "pm_nothing"}, "resource_missing", "payment_method"),
        ({"capture_method": "later"}, None, "capture_method"),
        ({"currency": "kwd", "amount": "1005"}, None, "amount"),
        ({"currency": "isk", "amount": "1050"}, None, "amount"),
        ({"return_url": RETURN}, None, "return_url"),
    ],
)
def test_malformed_input_is_refused_by_name(
    gateway: FakeStripe, post: Post, change: dict[str, str], code: str | None, param: str
) -> None:
    answer = post("payment_intents", key="k", **{**INTENT, **change})
    assert 400 <= answer.status_code < 500
    assert (answer.json()["error"].get("code"), answer.json()["error"]["param"]) == (code, param)
    assert gateway.intents() == []


def test_a_confirmation_on_the_server_needs_a_return_url_where_methods_may_redirect(post: Post) -> None:
    refused = post(
        "payment_intents", amount=2000, currency="usd", confirm="true", payment_method="pm_card_visa"
    )
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "return_url"


def test_a_secret_key_cannot_send_a_card_number(post: Post, gateway: FakeStripe) -> None:
    refused = post("payment_methods", type="card", **card_form("4242424242424242"))
    assert refused.status_code == 400
    assert gateway.books.methods == {}


# --- cards ----------------------------------------------------------------------------------------


def card_form(number: str, **change: str) -> dict[str, str]:
    year = datetime.now(UTC).year + 3
    form = {"number": number, "exp_month": "12", "exp_year": str(year), "cvc": "123", **change}
    return {f"card[{name}]": value for name, value in form.items()}


def tokenize(browser: httpx.Client, number: str, **change: str) -> httpx.Response:
    return browser.post("/v1/payment_methods", data={"type": "card", **card_form(number, **change)})


@pytest.mark.parametrize(
    ("number", "brand", "cvc"),
    [
        ("4242424242424242", "visa", "123"),
        ("5555 5555 5555 4444", "mastercard", "123"),
        ("378282246310005", "amex", "1234"),
        ("4000000000000341", "visa", "123"),
    ],
)
def test_a_card_becomes_a_payment_method_and_its_number_is_kept_nowhere(
    gateway: FakeStripe, browser: httpx.Client, number: str, brand: str, cvc: str
) -> None:
    answer = tokenize(browser, number, cvc=cvc)
    assert answer.status_code == 200, answer.text
    assert answer.headers["access-control-allow-origin"] == "*"
    method = answer.json()
    assert (method["card"]["brand"], method["card"]["last4"]) == (brand, number[-4:])
    kept = json.dumps([gateway.dump(), [str(exchange.params) for exchange in gateway.requests()]])
    assert number.replace(" ", "") not in kept.replace(" ", "")
    assert "cvc" not in str(gateway.requests()[-1].params)


@pytest.mark.parametrize(
    ("number", "change", "code"),
    [
        ("4242424242424241", {}, "incorrect_number"),
        ("4242424242424242", {"exp_year": "2019"}, "invalid_expiry_year"),
        ("4242424242424242", {"exp_month": "13"}, "invalid_expiry_month"),
        ("4242424242424242", {"cvc": "12"}, "invalid_cvc"),
        ("4539578763621486", {}, "card_declined"),
    ],
)
def test_a_card_that_cannot_be_is_refused_by_the_fields(
    browser: httpx.Client, gateway: FakeStripe, number: str, change: dict[str, str], code: str
) -> None:
    assert error_of(tokenize(browser, number, **change)) == (402, "card_error", code)
    assert gateway.books.methods == {}


@pytest.mark.parametrize(
    ("token", "code", "decline"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc"),
        ("pm_card_chargeDeclinedFraudulent", "card_declined", "fraudulent"),
        ("pm_card_chargeCustomerFail", "card_declined", "generic_decline"),
    ],
)
def test_a_declined_card_leaves_the_intent_payable_and_a_second_card_pays_it(
    gateway: FakeStripe, post: Post, token: str, code: str, decline: str
) -> None:
    intent = create(post)
    refused = post(f"payment_intents/{intent['id']}/confirm", payment_method=token)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["decline_code"]) == (402, code, decline)
    assert error["payment_intent"]["status"] == "requires_payment_method"
    assert error["payment_intent"]["last_payment_error"]["decline_code"] == decline
    assert error["payment_intent"]["payment_method"] is None
    done = post(f"payment_intents/{intent['id']}/confirm", payment_method="pm_card_visa").json()
    assert (done["status"], done["last_payment_error"], done["amount_received"]) == ("succeeded", None, 2000)
    assert [charge["status"] for charge in gateway.charges()] == ["failed", "succeeded"]


def test_a_method_without_a_customer_pays_once(browser: httpx.Client, post: Post) -> None:
    method = tokenize(browser, "4242424242424242").json()["id"]
    first = create(post, confirm="true", payment_method=method)
    assert first["status"] == "succeeded"
    again = post("payment_intents", **INTENT, confirm="true", payment_method=method)
    assert again.status_code == 400


def test_a_method_kept_for_later_belongs_to_its_customer(browser: httpx.Client, post: Post) -> None:
    owner, other = (post("customers", email=f"{n}@x.example").json()["id"] for n in "ab")
    method = tokenize(browser, "4242424242424242").json()["id"]
    create(post, confirm="true", payment_method=method, customer=owner, setup_future_usage="off_session")
    assert (
        create(post, confirm="true", payment_method=method, customer=owner, off_session="true")["status"]
        == "succeeded"
    )
    for customer in ({"customer": other}, {}):
        refused = post("payment_intents", **INTENT, confirm="true", payment_method=method, **customer)
        assert refused.status_code == 400


# --- 3-D Secure -----------------------------------------------------------------------------------


def challenged(post: Post, token: str = "pm_card_threeDSecure2Required") -> dict[str, Any]:
    intent = create(post, confirm="true", payment_method=token, return_url=RETURN)
    assert intent["status"] == "requires_action"
    return intent


def test_a_challenge_that_is_passed_collects_and_returns_the_payer(gateway: FakeStripe, post: Post) -> None:
    intent = challenged(post)
    page = httpx.get(intent["next_action"]["redirect_to_url"]["url"])
    assert page.status_code == 200
    assert "20.00" in page.text
    form = {"client_secret": intent["client_secret"], "outcome": "complete"}
    back = httpx.post(f"{gateway.url}/_3ds/{intent['id']}", data=form)
    assert back.status_code == 303
    assert back.headers["location"].startswith(f"{RETURN}?payment_intent={intent['id']}&")
    assert "redirect_status=succeeded" in back.headers["location"]
    assert gateway.intent(intent["id"])["status"] == "succeeded"
    assert len(gateway.charges(paid=True)) == 1


def test_pressing_complete_twice_charges_once(gateway: FakeStripe, post: Post) -> None:
    intent = challenged(post)
    form = {"client_secret": intent["client_secret"], "outcome": "complete"}
    for _ in range(2):
        assert httpx.post(f"{gateway.url}/_3ds/{intent['id']}", data=form).status_code == 303
    assert len(gateway.charges()) == 1


def test_a_challenge_that_fails_takes_no_money_and_another_card_may_pay(
    gateway: FakeStripe, post: Post
) -> None:
    intent = challenged(post)
    gateway.authenticate(intent["id"], passed=False)
    after = gateway.intent(intent["id"])
    assert after["status"] == "requires_payment_method"
    assert after["last_payment_error"]["code"] == "payment_intent_authentication_failure"
    assert gateway.charges() == []
    done = post(f"payment_intents/{intent['id']}/confirm", payment_method="pm_card_visa").json()
    assert done["status"] == "succeeded"


def test_a_stranger_cannot_answer_a_challenge(gateway: FakeStripe, post: Post) -> None:
    intent = challenged(post)
    form = {"client_secret": "pi_guess_secret_guess", "outcome": "complete"}
    assert httpx.post(f"{gateway.url}/_3ds/{intent['id']}", data=form).status_code == 404
    assert gateway.intent(intent["id"])["status"] == "requires_action"


def test_a_card_may_be_declined_after_its_challenge(gateway: FakeStripe, post: Post) -> None:
    intent = challenged(post, "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds")
    gateway.authenticate(intent["id"])
    after = gateway.intent(intent["id"])
    assert (after["status"], after["last_payment_error"]["decline_code"]) == (
        "requires_payment_method",
        "insufficient_funds",
    )


def test_nobody_present_means_a_decline_instead_of_a_challenge(post: Post) -> None:
    refused = post(
        "payment_intents",
        **INTENT,
        confirm="true",
        off_session="true",
        payment_method="pm_card_authenticationRequired",
    )
    assert error_of(refused) == (402, "card_error", "authentication_required")


def test_a_browser_confirms_directly_and_our_side_never_does(
    gateway: FakeStripe, browser: httpx.Client, post: Post
) -> None:
    intent = create(post)
    method = tokenize(browser, "4242424242424242").json()["id"]
    form = {"payment_method": method, "client_secret": intent["client_secret"]}
    path = f"/v1/payment_intents/{intent['id']}/confirm"
    assert browser.post(path, data={**form, "client_secret": "pi_x_secret_y"}).status_code == 404
    assert browser.post(path, data=form).json()["status"] == "succeeded"
    assert gateway.requests(path, caller="server") == []


def test_a_challenge_in_the_browser_asks_for_the_script(browser: httpx.Client, post: Post) -> None:
    intent = create(post)
    form = {"payment_method": "pm_card_threeDSecure2Required", "client_secret": intent["client_secret"]}
    seen = browser.post(f"/v1/payment_intents/{intent['id']}/confirm", data=form).json()
    assert seen["next_action"]["type"] == "use_stripe_sdk"


# --- capture, cancel, refund ----------------------------------------------------------------------


def held(post: Post) -> str:
    intent = paid(post, capture_method="manual")
    assert (intent["status"], intent["amount_capturable"]) == ("requires_capture", 2000)
    return str(intent["id"])


def test_a_partial_capture_releases_the_rest_and_no_refund_is_made_of_it(
    gateway: FakeStripe, post: Post
) -> None:
    intent = held(post)
    done = post(f"payment_intents/{intent}/capture", amount_to_capture=1500).json()
    assert (done["status"], done["amount_received"], done["amount_capturable"]) == ("succeeded", 1500, 0)
    [charge] = gateway.charges()
    assert (charge["amount_captured"], charge["amount_refunded"], charge["refunded"]) == (1500, 0, False)
    assert gateway.refunds() == []
    assert post("refunds", payment_intent=intent, amount=1501).status_code == 400
    assert post("refunds", payment_intent=intent, amount=1500).status_code == 200


def test_several_captures_need_to_be_asked_for_at_the_beginning(gateway: FakeStripe, post: Post) -> None:
    plain = held(post)
    part = {"amount_to_capture": 500, "final_capture": "false"}
    assert post(f"payment_intents/{plain}/capture", **part).status_code == 400
    asked = {"payment_method_options[card][request_multicapture]": "if_available"}
    several = paid(post, capture_method="manual", **asked)["id"]
    path = f"payment_intents/{several}/capture"
    first = post(path, **part).json()
    assert (first["status"], first["amount_received"], first["amount_capturable"]) == (
        "requires_capture",
        500,
        1500,
    )
    last = post(path, amount_to_capture=700).json()
    assert (last["status"], last["amount_received"], last["amount_capturable"]) == ("succeeded", 1200, 0)
    assert post("refunds", payment_intent=several, amount=1201).status_code == 400


@pytest.mark.parametrize("amount", [0, 2001])
def test_no_more_is_captured_than_is_held(post: Post, gateway: FakeStripe, amount: int) -> None:
    assert post(f"payment_intents/{held(post)}/capture", amount_to_capture=amount).status_code == 400
    assert gateway.charges()[0]["captured"] is False


def test_a_capture_happens_once(post: Post) -> None:
    intent = held(post)
    post(f"payment_intents/{intent}/capture")
    assert error_of(post(f"payment_intents/{intent}/capture")) == (
        400,
        "invalid_request_error",
        "payment_intent_unexpected_state",
    )


def test_cancel_releases_what_is_held_and_is_final(gateway: FakeStripe, post: Post) -> None:
    intent = held(post)
    assert post(f"payment_intents/{intent}/cancel").json()["status"] == "canceled"
    [charge] = gateway.charges()
    assert (charge["captured"], charge["amount_captured"], charge["refunded"]) == (False, 0, False)
    assert gateway.refunds() == []
    for verb in ("cancel", "confirm", "capture"):
        assert post(f"payment_intents/{intent}/{verb}").status_code == 400
    assert post("refunds", payment_intent=intent).status_code == 400


def test_what_was_paid_is_neither_confirmed_nor_canceled_nor_repriced(post: Post) -> None:
    intent = paid(post)["id"]
    for path, form in (
        ("/confirm", {"payment_method": "pm_card_visa"}),
        ("/cancel", {}),
        ("", {"amount": 100}),
    ):
        assert (
            error_of(post(f"payment_intents/{intent}{path}", **form))[2] == "payment_intent_unexpected_state"
        )


def test_an_update_changes_the_price_of_what_is_not_paid(post: Post) -> None:
    intent = create(post, **{"metadata[a]": "1", "metadata[b]": "2"})["id"]
    changed = post(f"payment_intents/{intent}", amount=3000, **{"metadata[a]": "", "metadata[c]": "3"}).json()
    assert (changed["amount"], changed["currency"], changed["metadata"]) == (
        3000,
        "usd",
        {"b": "2", "c": "3"},
    )


def test_no_more_is_refunded_than_was_captured(gateway: FakeStripe, post: Post) -> None:
    intent = paid(post)["id"]
    first = post("refunds", payment_intent=intent, amount=1500, reason="requested_by_customer")
    assert first.json()["status"] == "succeeded"
    over = post("refunds", payment_intent=intent, amount=501)
    assert (over.status_code, over.json()["error"]["param"]) == (400, "amount")
    assert post("refunds", payment_intent=intent).json()["amount"] == 500
    assert error_of(post("refunds", payment_intent=intent))[2] == "charge_already_refunded"
    assert sum(refund["amount"] for refund in gateway.refunds()) == 2000


def test_concurrent_refunds_never_give_back_more_than_was_captured(gateway: FakeStripe, post: Post) -> None:
    intent = paid(post)["id"]
    threads = [
        threading.Thread(target=post, args=("refunds",), kwargs={"payment_intent": intent, "amount": 900})
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(refund["amount"] for refund in gateway.refunds()) == 1800


def test_a_refund_can_come_back_days_later(gateway: FakeStripe, post: Post) -> None:
    intent = create(post, confirm="true", payment_method="pm_card_pendingRefund")["id"]
    refund = post("refunds", payment_intent=intent).json()
    assert refund["status"] == "pending"
    gateway.settle(refund["id"], succeeded=False)
    [charge] = gateway.charges()
    assert (charge["amount_refunded"], charge["refunded"]) == (0, False)
    assert gateway.events("refund.failed")


def test_a_payment_may_stay_in_processing_and_end_either_way(gateway: FakeStripe, post: Post) -> None:
    gateway.hold_next(2)
    first, second = paid(post), paid(post)
    assert first["status"] == second["status"] == "processing"
    assert gateway.charges() == []
    assert gateway.settle(first["id"])["status"] == "succeeded"
    assert gateway.settle(second["id"], succeeded=False)["status"] == "requires_payment_method"


# --- idempotency (https://docs.stripe.com/api/idempotent_requests) --------------------------------


def test_the_same_key_and_parameters_repeat_the_answer_and_charge_once(
    gateway: FakeStripe, post: Post
) -> None:
    form = {**INTENT, "confirm": "true", "payment_method": "pm_card_visa"}
    first, second = (post("payment_intents", key="k", **form) for _ in range(2))
    assert first.content == second.content
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert first.headers["request-id"] != second.headers["request-id"]
    assert len(gateway.charges()) == 1
    assert gateway.keys()["k"].replays == 1


def test_the_same_key_with_other_parameters_or_elsewhere_is_an_error(gateway: FakeStripe, post: Post) -> None:
    intent = post("payment_intents", key="k", **INTENT).json()["id"]
    for answer in (
        post("payment_intents", key="k", **{**INTENT, "amount": "2001"}),
        post(f"payment_intents/{intent}/cancel", key="k"),
    ):
        assert error_of(answer)[:2] == (400, "idempotency_error")
    assert len(gateway.intents()) == 1


def test_a_decline_is_repeated_under_its_key_although_the_card_is_good_now(post: Post) -> None:
    intent = create(post)["id"]
    form = {"payment_method": "pm_card_chargeDeclined"}
    first, second = (post(f"payment_intents/{intent}/confirm", key="k", **form) for _ in range(2))
    assert first.status_code == second.status_code == 402
    assert first.json()["error"]["charge"] == second.json()["error"]["charge"]


def test_refused_input_is_not_remembered(post: Post) -> None:
    assert post("payment_intents", key="k", **{**INTENT, "amount": "x"}).status_code == 400
    assert post("payment_intents", key="k", **INTENT).status_code == 200


def test_a_key_in_flight_is_a_conflict_and_charges_once(gateway: FakeStripe, post: Post) -> None:
    gateway.faults.add("slow", seconds=0.6)
    form = {**INTENT, "confirm": "true", "payment_method": "pm_card_visa"}
    answers: list[httpx.Response] = []
    first = threading.Thread(target=lambda: answers.append(post("payment_intents", key="k", **form)))
    first.start()
    while not gateway.keys():
        time.sleep(0.01)
    assert error_of(post("payment_intents", key="k", **form)) == (
        409,
        "idempotency_error",
        "idempotency_key_in_use",
    )
    first.join()
    assert answers[0].status_code == 200
    assert post("payment_intents", key="k", **form).headers["idempotent-replayed"] == "true"
    assert len(gateway.charges()) == 1


def test_a_key_is_worth_nothing_after_a_day(gateway: FakeStripe, post: Post) -> None:
    first = post("payment_intents", key="k", **INTENT).json()["id"]
    gateway.clock.move(timedelta(hours=23, minutes=59))
    assert post("payment_intents", key="k", **INTENT).json()["id"] == first
    gateway.clock.move(timedelta(minutes=2))
    assert post("payment_intents", key="k", **INTENT).json()["id"] != first


def test_a_key_has_at_most_255_characters(post: Post) -> None:
    assert post("payment_intents", key="k" * 255, **INTENT).status_code == 200
    assert post("payment_intents", key="k" * 256, **INTENT).status_code == 400


def test_a_gateway_told_to_ignore_keys_shows_who_asks_twice(gateway: FakeStripe, post: Post) -> None:
    gateway.charge_every_request = True
    form = {**INTENT, "confirm": "true", "payment_method": "pm_card_visa"}
    for _ in range(2):
        post("payment_intents", key="k", **form)
    assert len(gateway.charges()) == 2


# --- faults ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def impatient(gateway: FakeStripe) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {gateway.secret_key}", "idempotency-key": "k"}
    with httpx.Client(base_url=gateway.url, headers=headers, timeout=0.5, trust_env=False) as client:
        yield client


@pytest.mark.parametrize(
    ("fault", "seen", "charged", "afterwards"),
    [
        ("drop_before", httpx.RemoteProtocolError, 0, 200),
        ("drop_after", httpx.RemoteProtocolError, 1, 200),
        ("half_answer", httpx.RemoteProtocolError, 1, 200),
        ("hang_before", httpx.ReadTimeout, 0, 200),
        ("hang_after", httpx.ReadTimeout, 1, 200),
        ("error_before", 500, 0, 200),
        ("error_stored", 500, 0, 500),
        ("error_after", 500, 1, 500),
        ("unreadable", 200, 1, 200),
        ("rate_limited", 429, 0, 200),
        ("key_in_use", 409, 0, 200),
    ],
)
def test_each_fault_does_what_it_says_and_the_key_tells_afterwards(
    gateway: FakeStripe, fault: str, seen: type[Exception] | int, charged: int, afterwards: int
) -> None:
    form = {**INTENT, "confirm": "true", "payment_method": "pm_card_visa"}
    gateway.faults.add(fault, path="/v1/payment_intents")
    with impatient(gateway) as client:
        if isinstance(seen, int):
            assert client.post("/v1/payment_intents", data=form).status_code == seen
        else:
            with pytest.raises(seen):
                client.post("/v1/payment_intents", data=form)
        assert len(gateway.charges()) == charged
        again = client.post("/v1/payment_intents", data=form)
    assert again.status_code == afterwards
    assert len(gateway.charges()) == (0 if fault == "error_stored" else 1)
    assert gateway.requests()[0].fault == fault


def test_a_fault_waits_for_its_path_its_turn_and_its_caller(
    gateway: FakeStripe, post: Post, browser: httpx.Client
) -> None:
    gateway.faults.add("error_before", path="/v1/payment_intents/*/confirm", skip=1, times=2, status=503)
    intent = create(post)
    path, form = f"payment_intents/{intent['id']}/confirm", {"payment_method": "pm_card_chargeDeclined"}
    assert [post(path, **form).status_code for _ in range(4)] == [402, 503, 503, 402]
    gateway.faults.add("error_before", path="/v1/payment_methods")
    assert tokenize(browser, "4242424242424242").status_code == 200


def test_the_switches_are_there_over_http_and_not_for_other_peoples_pages(
    gateway: FakeStripe, post: Post
) -> None:
    url = f"{gateway.url}/_control"
    assert httpx.post(f"{url}/faults", json={"kind": "error_before"}).status_code == 403
    mine = {"x-sandbox-control": "1"}
    httpx.post(f"{url}/faults", json={"kind": "error_before", "path": "/v1/refunds"}, headers=mine)
    assert [fault["kind"] for fault in httpx.get(f"{url}/faults", headers=mine).json()["faults"]] == [
        "error_before"
    ]
    assert httpx.post(f"{url}/faults", json={"kind": "nonsense"}, headers=mine).status_code == 400
    paid(post)
    books = httpx.get(f"{url}/books", headers=mine).json()
    assert len(books["charges"]) == 1
    httpx.post(f"{url}/clock", json={"seconds": 3600}, headers=mine)
    assert gateway.clock() - datetime.now(UTC) > timedelta(minutes=59)
    httpx.delete(f"{url}/books", headers=mine)
    assert gateway.intents() == []


# --- webhooks -------------------------------------------------------------------------------------


def test_events_arrive_signed_as_the_official_client_verifies_them(
    gateway: FakeStripe, post: Post, receiver: Any, stripe: StripeClient
) -> None:
    secret = gateway.add_webhook(receiver.url).secret
    intent = paid(post)
    assert gateway.webhooks.wait_until_delivered()
    assert sorted(receiver.types) == [
        "charge.succeeded",
        "payment_intent.created",
        "payment_intent.succeeded",
    ]
    for headers, body in receiver.deliveries:
        event = stripe.construct_event(body, headers["stripe-signature"], secret)
        assert event.livemode is False
        with pytest.raises(sdk.SignatureVerificationError):
            stripe.construct_event(body, headers["stripe-signature"], "whsec_other")
    succeeded = next(one for one in gateway.events("payment_intent.succeeded"))
    assert succeeded["data"]["object"]["id"] == intent["id"]


@pytest.mark.parametrize(
    ("deed", "expected"),
    [
        ("decline", {"charge.failed", "payment_intent.payment_failed"}),
        ("challenge", {"payment_intent.requires_action"}),
        ("hold", {"charge.succeeded", "payment_intent.amount_capturable_updated"}),
        ("capture", {"charge.captured", "payment_intent.succeeded"}),
        ("cancel", {"payment_intent.canceled"}),
        ("refund", {"refund.created", "charge.refunded"}),
        ("process", {"payment_intent.processing"}),
    ],
)
def test_each_deed_announces_its_events(
    gateway: FakeStripe, post: Post, deed: str, expected: set[str]
) -> None:
    match deed:
        case "decline":
            post("payment_intents", **INTENT, confirm="true", payment_method="pm_card_chargeDeclined")
        case "challenge":
            challenged(post)
        case "hold":
            held(post)
        case "capture":
            post(f"payment_intents/{held(post)}/capture")
        case "cancel":
            post(f"payment_intents/{held(post)}/cancel")
        case "refund":
            post("refunds", payment_intent=paid(post)["id"])
        case "process":
            gateway.hold_next()
            paid(post)
    assert expected <= {event["type"] for event in gateway.events()}


def test_a_refused_delivery_is_tried_again(gateway: FakeStripe, post: Post, receiver: Any) -> None:
    receiver.statuses = [500]
    gateway.add_webhook(receiver.url)
    create(post)
    assert gateway.webhooks.wait_until_delivered()
    assert receiver.types == ["payment_intent.created"] * 2
    assert [attempt.status for attempt in gateway.webhooks.attempts] == [500, 200]


def test_held_events_are_delivered_in_any_order_and_number(
    gateway: FakeStripe, post: Post, receiver: Any
) -> None:
    gateway.add_webhook(receiver.url)
    gateway.webhooks.pause()
    paid(post)
    assert gateway.webhooks.wait_until_delivered()
    assert receiver.types == []
    order = [event["type"] for event in gateway.webhooks.held()]
    gateway.webhooks.deliver_all("newest", copies=2)
    assert receiver.types == [kind for kind in order[::-1] for _ in range(2)]
    assert gateway.webhooks.held() == []


def test_lost_and_doubled_events(gateway: FakeStripe, post: Post, receiver: Any) -> None:
    gateway.add_webhook(receiver.url)
    gateway.webhooks.off = True
    create(post)
    gateway.webhooks.off = False
    gateway.webhooks.copies = 2
    create(post)
    assert gateway.webhooks.wait_until_delivered()
    assert len(receiver.deliveries) == 2
    assert len({body for _, body in receiver.deliveries}) == 1


def test_an_event_can_be_signed_by_hand_with_any_time(
    gateway: FakeStripe, post: Post, stripe: StripeClient
) -> None:
    secret = gateway.add_webhook("http://127.0.0.1:9/", events=("nothing",)).secret
    create(post)
    headers, body = gateway.signed_webhook("payment_intent.created")
    assert stripe.construct_event(body, headers["stripe-signature"], secret).type == "payment_intent.created"
    headers, body = gateway.signed_webhook("payment_intent.created", timestamp=int(time.time()) - 301)
    with pytest.raises(sdk.SignatureVerificationError):
        stripe.construct_event(body, headers["stripe-signature"], secret)


# --- the account ----------------------------------------------------------------------------------


def test_what_is_done_in_the_dashboard_is_done(gateway: FakeStripe, post: Post) -> None:
    intent = paid(post)["id"]
    gateway.refund_in_dashboard(intent, 500)
    assert gateway.charges()[0]["amount_refunded"] == 500
    open_one = create(post)["id"]
    assert gateway.cancel_in_dashboard(open_one)["status"] == "canceled"


def test_the_books_survive_into_the_next_run(gateway: FakeStripe, post: Post) -> None:
    intent = paid(post)["id"]
    made = post("payment_intents", key="k", **INTENT).json()["id"]
    saved = json.loads(json.dumps(gateway.dump()))
    with FakeStripe(saved=saved, secret_key=gateway.secret_key) as again:
        assert again.intent(intent) == gateway.intent(intent)
        headers = {"authorization": f"Bearer {gateway.secret_key}"}
        refund = httpx.post(f"{again.url}/v1/refunds", data={"payment_intent": intent}, headers=headers)
        assert refund.json()["amount"] == 2000
        headers["idempotency-key"] = "k"
        assert (
            httpx.post(f"{again.url}/v1/payment_intents", data=INTENT, headers=headers).json()["id"] == made
        )


def test_live_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="test keys"):
        FakeStripe(secret_key="sk_live_" + "x" * 24)


# --- set-ups, subscriptions, disputes ---------------------------------------------------------------


@pytest.fixture
def customer(post: Post) -> str:
    return str(post("customers", email="ada@example.com").json()["id"])


def stored(post: Post, gateway: FakeStripe, customer: str, name: str = "pm_card_visa") -> str:
    method = gateway.new_method(name)
    assert post(f"payment_methods/{method}/attach", customer=customer).status_code == 200
    return method


def subscribe(post: Post, product: str, **more: Any) -> httpx.Response:
    price = {
        "items[0][price_data][currency]": "usd",
        "items[0][price_data][product]": product,
        "items[0][price_data][recurring][interval]": "month",
        "items[0][price_data][unit_amount]": "2000",
    }
    return post("subscriptions", **price, **more)


def test_a_deleted_customer_can_be_read_and_nothing_else(
    gateway: FakeStripe, raw: httpx.Client, post: Post, customer: str
) -> None:
    for status in (200, 404):
        assert raw.delete(f"/v1/customers/{customer}").status_code == status
    assert raw.get(f"/v1/customers/{customer}").json() == {
        "id": customer, "object": "customer", "deleted": True,
    }  # fmt: skip
    assert error_of(post(f"customers/{customer}", name="Ada"))[0] == 404


def test_a_confirmation_token_is_good_once(gateway: FakeStripe, post: Post, customer: str) -> None:
    form = {"customer": customer, "confirm": "true", "automatic_payment_methods[enabled]": "true",
            "automatic_payment_methods[allow_redirects]": "never"}  # fmt: skip
    token = gateway.new_token()
    assert post("setup_intents", confirmation_token=token, **form).json()["status"] == "succeeded"
    assert error_of(post("setup_intents", confirmation_token=token, **form))[0] == 400


def test_a_detached_method_is_never_good_again(gateway: FakeStripe, post: Post, customer: str) -> None:
    method = stored(post, gateway, customer)
    assert post(f"payment_methods/{method}/detach").json()["customer"] is None
    for path in (f"payment_methods/{method}/detach", f"payment_methods/{method}/attach"):
        assert error_of(post(path, **({"customer": customer} if "attach" in path else {})))[0] == 400


def test_the_banks_page_of_a_set_up_leads_back_and_decides(
    gateway: FakeStripe, post: Post, customer: str
) -> None:
    setup = post("setup_intents", customer=customer, confirm="true", return_url=RETURN,
                 payment_method=gateway.new_method("pm_card_threeDSecure2Required")).json()  # fmt: skip
    page = setup["next_action"]["redirect_to_url"]["url"]
    assert "Stored for later" in httpx.get(page).text
    back = httpx.post(page, data={"client_secret": setup["client_secret"], "outcome": "complete"})
    assert back.headers["location"].startswith(f"{RETURN}?setup_intent={setup['id']}")
    assert gateway.setups()[0]["status"] == "succeeded"
    assert gateway.methods(stored=True)[0]["customer"] == customer


def test_a_product_has_one_id_for_good(post: Post) -> None:
    assert post("products", id="bridge_1", name="Apples").status_code == 200
    assert error_of(post("products", id="bridge_1", name="Pears")) == (
        400,
        "invalid_request_error",
        "resource_already_exists",
    )


def test_a_subscription_without_a_method_needs_to_say_who_pays(post: Post, customer: str) -> None:
    post("products", id="bridge_1", name="Apples")
    assert error_of(subscribe(post, "bridge_1", customer=customer))[2] == "resource_missing"
    begun = subscribe(post, "bridge_1", customer=customer, payment_behavior="default_incomplete").json()
    assert begun["status"] == "incomplete"
    assert error_of(subscribe(post, "bridge_2", customer=customer))[2] == "resource_missing"


def test_what_this_gateway_would_have_to_pretend_is_refused_by_name(
    gateway: FakeStripe, post: Post, customer: str
) -> None:
    post("products", id="bridge_1", name="Apples")
    method = stored(post, gateway, customer)
    begun = subscribe(post, "bridge_1", customer=customer, default_payment_method=method).json()
    path = f"subscriptions/{begun['id']}"
    assert error_of(post(path, trial_end="now"))[2] == "parameter_unknown"
    dearer = {"items[0][id]": begun["items"]["data"][0]["id"], "items[0][price_data][currency]": "usd",
              "items[0][price_data][product]": "bridge_1", "items[0][price_data][unit_amount]": "3000",
              "items[0][price_data][recurring][interval]": "month"}  # fmt: skip
    assert "prorates" in post(path, **dearer).json()["error"]["message"]
    assert post(path, **dearer, proration_behavior="none").status_code == 200


def test_a_period_ends_on_the_day_of_its_anchor_or_on_the_months_last() -> None:
    def day(text: str) -> int:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())

    anchor = day("2026-01-31")
    assert after(anchor, "month", 1, anchor=anchor) == day("2026-02-28")
    assert after(day("2026-02-28"), "month", 1, anchor=anchor) == day("2026-03-31")
    assert after(day("2026-11-30"), "month", 3, anchor=anchor) == day("2027-02-28")
    assert after(anchor, "year", 1, anchor=anchor) == day("2027-01-31")
    assert after(anchor, "week", 2, anchor=anchor) == day("2026-02-14")


def test_the_books_outlive_their_process(gateway: FakeStripe, post: Post, customer: str) -> None:
    post("products", id="bridge_1", name="Apples")
    method = stored(post, gateway, customer, "pm_card_createDispute")
    subscribe(post, "bridge_1", customer=customer, default_payment_method=method)
    with FakeStripe(saved=json.loads(json.dumps(gateway.dump()))) as again:
        for name in ("customers", "methods", "products", "subscriptions", "invoices", "disputes"):
            assert getattr(again, name)() == getattr(gateway, name)() != [], name
        again.clock.move(timedelta(days=31))
        again.bill()
        assert len(again.charges(paid=True)) == 2
