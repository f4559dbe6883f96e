"""What payers keep for the next time, over HTTP and through every mount."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hosts import MOUNTS, differences, numbered
from shops import ADA, EVE, GUEST, ROOT, Shop, open_shop

from bridge_payments import Principal

HOME = {"name": "Ada", "line1": "Calle Mayor 1", "city": "Madrid", "postal_code": "28013", "country": "es"}


@pytest.fixture(params=list(MOUNTS))
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    shop = open_shop(request.param)
    yield shop
    shop.bridge.close()


def data(shop: Shop, method: str, path: str, body: object = b"", status: int = 200, **who: str) -> Any:
    answer = shop.ask(method, path, body, **who)
    assert answer.status == status, answer.body
    return answer.json["data"]


def a_method(shop: Shop, token: str = "dummy_ok", **who: str) -> Any:
    body = {"payment_method_token": token, "type": "card", "metadata": None}
    return data(shop, "POST", "/payment-methods", body, 201, **who)


# --- customers ------------------------------------------------------------------------------------


def test_a_payer_is_one_customer_of_an_account(shop: Shop) -> None:
    body = {"email": "ada@example.com", "first_name": "Ada", "last_name": "Lovelace", "phone": None}
    made = data(shop, "POST", "/customers", body, 201, **ADA)
    assert (made["existed"], made["name"], made["last_name"]) == (False, "Ada Lovelace", "Lovelace")
    again = data(shop, "POST", "/customers", {**body, "name": "Somebody"}, **ADA)
    assert (again["id"], again["existed"], again["name"]) == (made["id"], True, "Ada Lovelace")
    theirs = made["provider_customer_id"]
    assert data(shop, "GET", f"/customers/{theirs}", **ADA)["id"] == made["id"]
    changed = data(shop, "PUT", f"/customers/{made['id']}", {"phone": "+34 600", "name": None}, **ADA)
    assert (changed["phone"], changed["name"]) == ("+34 600", "Ada Lovelace")

    assert shop.ask("GET", f"/customers/{made['id']}", **EVE).status in (403, 404)
    assert shop.ask("DELETE", f"/customers/{made['id']}", **EVE).status in (403, 404)
    assert shop.ask("GET", "/customers").status == 401
    assert data(shop, "GET", "/customers", **EVE) == []
    assert [row["id"] for row in data(shop, "GET", "/customers", **ROOT)] == [made["id"]]

    gone = data(shop, "DELETE", f"/customers/{made['id']}", **ADA)
    assert gone == {"id": made["id"], "message": "Customer deleted successfully"}
    assert data(shop, "GET", "/customers", **ADA) == []


def test_a_typed_address_leads_to_nobodys_customer(shop: Shop) -> None:
    first = data(shop, "POST", "/customers", {"guest_data": GUEST, "email": GUEST["email"]}, 201)
    second = data(shop, "POST", "/customers", {"guest_data": GUEST, "email": GUEST["email"]}, 201)
    assert second["id"] != first["id"]
    assert second["existed"] is False


# --- payment methods ------------------------------------------------------------------------------


def test_a_stored_method_pays_and_is_forgotten(shop: Shop) -> None:
    card = a_method(shop, **ADA)
    assert (card["status"], card["payment_type"], card["type"]) == ("active", "credit_card", "credit_card")
    assert isinstance(card["exp_month"], int)
    assert card["expiry_month"] == f"{card['exp_month']:02}"
    [listed] = data(shop, "GET", "/payment-methods?payment_type=card", **ADA)
    assert listed["id"] == card["id"]
    assert "client_secret" not in listed

    order = {"total_cents": 900, "currency": "USD", "confirm": True, "payment_method_id": card["id"]}
    paid = data(shop, "POST", "/payments/intents", order, 201, **ADA)
    assert (paid["status"], paid["payment_method_id"]) == ("succeeded", card["id"])

    named = data(shop, "PUT", f"/payment-methods/{card['id']}", {"alias": "work", "is_default": True}, **ADA)
    assert (named["alias"], named["is_default"]) == ("work", True)
    other = a_method(shop, **ADA)
    assert data(shop, "POST", f"/payment-methods/{other['id']}/set-default", {}, **ADA)["is_default"] is True
    assert data(shop, "GET", f"/payment-methods/{card['id']}", **ADA)["is_default"] is False

    gone = data(shop, "DELETE", f"/payment-methods/{card['id']}", **ADA)
    assert gone["message"] == "Payment method deleted successfully"
    assert [row["id"] for row in data(shop, "GET", "/payment-methods", **ADA)] == [other["id"]]
    charges = len(shop.gateway.charges)
    assert shop.ask("POST", "/payments/intents", order, **ADA).status in (400, 404)
    assert len(shop.gateway.charges) == charges


def test_a_payment_shows_the_stored_method_that_paid_it(shop: Shop) -> None:
    card = a_method(shop, **ADA)
    order = {"total_cents": 900, "currency": "USD", "confirm": True}
    paid = shop.new({**order, "payment_method_id": card["id"]}, **ADA)["id"]
    once = shop.new({**order, "payment_method_id": "dummy_ok"}, **ADA)["id"]
    shown = data(shop, "GET", f"/payments/{paid}", **ADA)["payment_method"]
    names = (
        "id payment_type wallet_type card_brand last_four expiry_month expiry_year alias is_guest metadata"
    )
    assert shown == {name: card[name] for name in names.split()}
    assert data(shop, "GET", f"/payments/{once}", **ADA)["payment_method"] is None, "a token is no method"

    for asks in ("include=payment_method", "include=refunds,payment_method", "include_pm=true"):
        found = data(shop, "GET", f"/payments?{asks}", **ADA)
        assert [row["payment_method"] for row in found] == [None, shown]
    for asks in ("", "?include=refunds", "?include_pm=false"):
        found = data(shop, "GET", f"/payments{asks}", **ADA)
        assert [row["payment_method"] for row in found] == [None, None]
    assert data(shop, "GET", "/payments?include=payment_method", **ROOT)[1]["payment_method"] == shown
    assert data(shop, "GET", "/payments?include=payment_method", **EVE) == []

    data(shop, "DELETE", f"/payment-methods/{card['id']}", **ADA)
    assert data(shop, "GET", f"/payments/{paid}", **ADA)["payment_method"] is None


def test_who_reads_one_thing_is_told_by_which_right(shop: Shop) -> None:
    card = a_method(shop, **ADA)
    address = data(shop, "POST", "/addresses", HOME, 201, **ADA)
    tea = data(shop, "POST", "/subscriptions", TEA, 201, **ADA)
    for path in (
        f"/payment-methods/{card['id']}",
        f"/customers/{card['customer_id']}",
        f"/addresses/{address['id']}",
        f"/subscriptions/{tea['id']}",
    ):
        mine, theirs = (shop.ask("GET", path, **who).json for who in (ADA, ROOT))
        assert mine["meta"]["total"] == mine["meta"]["limit"] == 1
        context = mine["user_context"]
        assert (context["user_id"], context["authenticated"]) == ("ada", True), path
        assert (context["access_method"], context["is_owner"], context["is_admin"]) == (
            "user_id_access", True, False,
        )  # fmt: skip
        context = theirs["user_context"]
        assert (context["access_method"], context["is_owner"], context["is_admin"]) == (
            "admin_access", False, True,
        )  # fmt: skip


def test_methods_of_a_customer_have_both_their_published_names(shop: Shop) -> None:
    card = a_method(shop, **ADA)
    found = shop.ask("GET", f"/payment-methods/customer/{card['customer_id']}", **ADA).json
    assert [row["id"] for row in found["data"]] == [card["id"]]
    assert (found["payment_methods"], found["total"]) == (found["data"], 1)
    assert found["success"] is True


def test_somebody_elses_method_pays_nothing(shop: Shop) -> None:
    card = a_method(shop, **ADA)
    order = {"total_cents": 900, "currency": "USD", "confirm": True, "guest_data": GUEST}
    for stolen in (card["id"], card["provider_payment_method_id"]):
        for who in (EVE, {}):
            answer = shop.ask("POST", "/payments/intents", {**order, "payment_method_id": stolen}, **who)
            assert answer.status in (400, 403, 404), answer.body
    assert not shop.gateway.charges
    for method, path in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/set-default")):
        assert shop.ask(method, f"/payment-methods/{card['id']}{path}", {}, **EVE).status in (403, 404)


def test_a_set_up_waits_for_the_payer(shop: Shop) -> None:
    begun = a_method(shop, "dummy_challenge", **ADA)
    assert begun["status"] == "requires_action"
    assert begun["next_action"]
    assert begun["client_secret"]
    assert "client_secret" not in data(shop, "GET", "/payment-methods", **ADA)[0]


def test_card_numbers_are_refused_everywhere(shop: Shop) -> None:
    card = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2031, "cvc": "123"}
    assert shop.ask("POST", "/payment-methods/direct", {"type": "card", "card": card}, **ADA).status in (
        400,
        403,
    )
    for body in (
        {"payment_method_token": "4242424242424242"},
        {"payment_method_token": "dummy_ok", "card_number": "4242 4242 4242 4242"},
        {"payment_method_token": "dummy_ok", "alias": "my 4242-4242-4242-4242"},
    ):
        answer = shop.ask("POST", "/payment-methods", body, **ADA)
        assert answer.status == 400, answer.body
        assert b"4242 4242" not in answer.body
        assert b"42424242" not in answer.body
    assert data(shop, "GET", "/payment-methods", **ADA) == []


# --- addresses ------------------------------------------------------------------------------------


def test_an_owner_has_one_default_address_of_a_type(shop: Shop) -> None:
    first = data(shop, "POST", "/addresses", {**HOME, "is_default": True}, 201, **ADA)
    assert (first["country"], first["type"], first["is_default"]) == ("ES", "billing", True)
    more = {**HOME, "type": "billing", "city": "Bilbao", "is_default": True, "tax_id": "B-1", "line2": None}
    second = data(shop, "POST", "/addresses", more, 201, **ADA)
    assert second["tax_id"] == "B-1"
    assert data(shop, "GET", f"/addresses/{first['id']}", **ADA)["is_default"] is False
    moved = data(shop, "PUT", f"/addresses/{second['id']}", {"line2": "2º", "is_business": True}, **ADA)
    assert (moved["line2"], moved["city"], moved["tax_id"], moved["is_business"]) == (
        "2º",
        "Bilbao",
        "B-1",
        True,
    )
    found = data(shop, "GET", "/addresses?search=bilb", **ADA)
    assert [row["id"] for row in found] == [second["id"]]

    for method in ("GET", "PUT", "DELETE"):
        assert shop.ask(method, f"/addresses/{first['id']}", {}, **EVE).status in (403, 404)
    gone = data(shop, "DELETE", f"/addresses/{first['id']}", **ADA)
    assert gone["message"] == "Address deleted successfully"
    assert shop.ask("GET", f"/addresses/{first['id']}", **ADA).status == 404


def test_a_guest_says_who_it_is(shop: Shop) -> None:
    assert shop.ask("POST", "/addresses", HOME).status == 400
    kept = data(shop, "POST", "/addresses", {**HOME, "guest_email": "g@example.com"}, 201)
    assert (kept["is_guest"], kept["guest_email"]) == (True, "g@example.com")
    assert shop.ask("GET", f"/addresses/{kept['id']}").status == 401


# --- subscriptions --------------------------------------------------------------------------------

TEA = {
    "price_cents": 900,
    "currency": "usd",
    "billing_interval": "quarterly",
    "payment_method_id": "dummy_ok",
}


def test_a_subscription_is_changed_paused_and_ended_by_its_owner(shop: Shop) -> None:
    begun = data(shop, "POST", "/subscriptions", {**TEA, "product_id": None}, 201, **ADA)
    assert (begun["status"], begun["total_cents"], begun["price_cents"]) == ("active", 900, 900)
    assert (begun["billing_interval"], begun["interval_multiplier"]) == ("monthly", 3)
    path = f"/subscriptions/{begun['id']}"
    [listed] = data(shop, "GET", "/subscriptions?status=active", **ADA)
    assert listed["id"] == begun["id"]
    assert "client_secret" not in listed
    assert data(shop, "GET", "/subscriptions?status=canceled", **ADA) == []
    assert data(shop, "PATCH", path, {"description": "Tea", "metadata": None}, **ADA)["description"] == "Tea"
    assert data(shop, "POST", f"{path}/pause", {}, **ADA)["status"] == "paused"
    assert data(shop, "POST", f"{path}/resume", {}, **ADA)["status"] == "active"
    later = data(shop, "POST", f"{path}/cancel", b"", **ADA)
    assert (later["status"], later["cancel_at_period_end"]) == ("active", True)
    back = data(shop, "POST", f"{path}/reactivate", {}, **ADA)
    assert back["cancel_at_period_end"] is False
    ended = data(shop, "POST", f"{path}/cancel", {"cancel_at_period_end": False}, **ADA)
    assert (ended["status"], ended["billing_status"]) == ("canceled", "cancelled")
    assert shop.ask("POST", f"{path}/cancel", {}, **ADA).status == 400

    for method, end in (("GET", ""), ("PATCH", ""), ("POST", "/cancel"), ("POST", "/pause")):
        assert shop.ask(method, path + end, {}, **EVE).status == 404
    assert data(shop, "GET", "/subscriptions", **EVE) == []


def test_two_names_of_one_price_agree_or_are_refused(shop: Shop) -> None:
    body = {**TEA, "total_cents": 901}
    assert shop.ask("POST", "/subscriptions", body, **ADA).status == 400
    assert data(shop, "GET", "/subscriptions", **ADA) == []


# --- guests who sign in ---------------------------------------------------------------------------


def test_a_guests_past_becomes_the_users_who_proved_the_address(shop: Shop) -> None:
    guest = {"guest_data": {"email": "grace@example.com", "name": "Grace"}}
    payment = shop.new({"total_cents": 900, "currency": "USD", **guest})["id"]
    data(shop, "POST", "/addresses", {**HOME, **guest}, 201)
    claim = {"guest_email": "Grace@Example.com"}
    assert shop.ask("POST", "/guest/convert", claim).status == 401
    assert shop.ask("POST", "/guest/convert", claim, **EVE).status == 403, "another's address"
    # The host's login says that Grace's address is hers, and does not say that she proved it.
    assert shop.ask("POST", "/guest/convert", claim, x_session_id="grace").status == 403

    seen = data(shop, "GET", "/guest/preview-guest/grace@example.com", x_session_id="grace-proved")
    assert (seen["summary"]["total_payments"], seen["summary"]["can_convert"]) == (1, True)
    for path in ("/convert-guest", "/guest/convert", "/guest/convert-guest", "/guest-conversion"):
        done = data(shop, "POST", path, claim, x_session_id="grace-proved")
        assert done["success"] is True
        counts = (done["payments_count"], done["addresses_count"])
        assert counts == ((1, 1) if path == "/convert-guest" else (0, 0)), "once, however often it is asked"
    # Older clients read the counts beside `data`, not in it.
    answer = shop.ask("POST", "/guest/convert", claim, x_session_id="grace-proved").json
    assert {name: answer[name] for name in answer["data"]} == answer["data"]
    mine = data(shop, "GET", f"/payments/{payment}", x_session_id="grace-proved")
    assert (mine["user_id"], mine["is_guest_payment"]) == ("grace", False)
    assert len(data(shop, "GET", "/addresses", x_session_id="grace-proved")) == 1


def test_a_user_takes_over_what_they_name_of_a_guests(shop: Shop) -> None:
    address, grace = "grace@example.com", {"x_session_id": "grace-proved"}
    named = {"customer_ids": None, "payment_method_ids": []}
    guest = Principal.guest(address)
    keep = shop.bridge.engine.create_payment_method
    first, second = (shop.bridge.call(keep, token="dummy_ok", principal=guest) for _ in range(2))
    hers = a_method(shop, **EVE)["id"]
    claim = {"guest_email": address, **named}
    for foreign in (hers, "pm_none"):
        refused = shop.ask(
            "POST", "/convert-guest", {**claim, "payment_method_ids": [second.id, foreign]}, **grace
        )
        assert (refused.status, refused.json["message"]) == (404, "Payment method not found")
    bad = {**claim, "payment_method_ids": "all"}
    assert shop.ask("POST", "/convert-guest", bad, **grace).status == 400
    done = data(shop, "POST", "/convert-guest", {**claim, "payment_method_ids": [second.id]}, **grace)
    assert (done["payment_methods_converted"], done["total_converted"]) == (1, 1)
    assert done["converted"] == {"customers": [], "payment_methods": [second.id]}
    assert [row["id"] for row in data(shop, "GET", "/payment-methods", **grace)] == [second.id]
    rest = data(shop, "POST", "/convert-guest", {**claim, "payment_method_ids": None}, **grace)
    assert rest["converted"] == {"customers": [first.customer_id], "payment_methods": [first.id]}


def test_where_guests_are_not_converted_nobody_is_and_nothing_is_shown() -> None:
    shop = open_shop("starlette", guest_allow_conversion=False)
    guest = {"guest_data": {"email": "grace@example.com", "name": "Grace"}}
    payment = shop.new({"total_cents": 900, "currency": "USD", **guest})["id"]
    claim = {"guest_email": "grace@example.com"}
    for method, path, body in (
        *(
            ("POST", path, claim)
            for path in ("/convert-guest", "/guest/convert", "/guest/convert-guest", "/guest-conversion")
        ),
        ("GET", "/guest/preview-guest/grace@example.com", b""),
        ("GET", "/guest/my-guest-data", b""),
    ):
        refused = shop.ask(method, path, body, x_session_id="grace-proved")
        assert (refused.status, refused.json["message"]) == (403, "Guest conversion is disabled"), path
        assert shop.ask(method, path, body).status == 401, path
    assert shop.ask("GET", f"/payments/{payment}", x_session_id="grace-proved").status == 403
    shop.bridge.close()


DAY: list[Callable[[Shop], None]] = [
    test_a_payer_is_one_customer_of_an_account,
    test_a_stored_method_pays_and_is_forgotten,
    test_somebody_elses_method_pays_nothing,
    test_an_owner_has_one_default_address_of_a_type,
    test_a_subscription_is_changed_paused_and_ended_by_its_owner,
    test_a_guests_past_becomes_the_users_who_proved_the_address,
    test_a_user_takes_over_what_they_name_of_a_guests,
]


@pytest.mark.parametrize("part", DAY, ids=lambda part: part.__name__.removeprefix("test_"))
def test_every_framework_answers_the_same_bytes(part: Callable[[Shop], None]) -> None:
    lived = {}
    for mount in MOUNTS:
        shop = open_shop(mount)
        part(shop)
        lived[mount] = numbered(shop.talk.transcript)
        shop.bridge.close()
    for mount in ("fastapi", "flask"):
        assert not differences(lived["starlette"], lived[mount])
