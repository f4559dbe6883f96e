"""The sandbox as its shop's browser sees it: one order is one payment, whoever asks how often."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from bridge_payments.sandbox.app import build_app
from bridge_payments.sandbox.world import Sandbox

pytestmark = pytest.mark.anyio

INTENTS = "/bridge-payment/payments/intents"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    # Nobody listens for the gateway's webhooks here: what is proved must not need them.
    sandbox = Sandbox(database_url=f"sqlite:///{tmp_path}/shop.db", port=free_port())
    sandbox.gateway.webhooks.off = True
    async with sandbox.lifespan():
        yield sandbox


@asynccontextmanager
async def visiting(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=build_app(sandbox))
    async with httpx.AsyncClient(transport=transport, base_url=sandbox.url) as client:
        yield client


@pytest.fixture
async def guest(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with visiting(sandbox) as client:
        yield client


def wish(reference: str | None, **more: Any) -> dict[str, Any]:
    named = {} if reference is None else {"reference_code": reference}
    who = {"email": "ada@example.com", "name": "Ada"}
    return {"total_cents": 1998, "currency": "USD", "guest_data": who, **named, **more}


async def test_four_payments_for_one_order_are_one_payment(
    sandbox: Sandbox, guest: httpx.AsyncClient
) -> None:
    number = sandbox.shop.place({"guji": 1}, "USD").number
    pay = {"confirm": True, "payment_method_id": "pm_card_visa"}
    answers = await asyncio.gather(*(guest.post(INTENTS, json=wish(number, **pay)) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    [first] = [answer.json()["data"]["id"] for answer in answers if answer.status_code == 201]
    named = [answer.json()["details"]["payment_id"] for answer in answers if answer.status_code == 409]
    assert named == [first] * 3
    assert len(sandbox.gateway.charges(paid=True)) == 1


async def test_a_second_tab_goes_on_with_the_payment_of_the_first(
    sandbox: Sandbox, guest: httpx.AsyncClient
) -> None:
    number = sandbox.shop.place({"guji": 1}, "USD").number
    first = (await guest.post(INTENTS, json=wish(number))).json()["data"]["id"]
    second = await guest.post(INTENTS, json=wish(number))
    assert (second.status_code, second.json()["details"]["payment_id"]) == (409, first)
    confirm = f"{INTENTS}/{first}/confirm"
    paid = {"payment_method_id": "pm_card_visa", "return_url": f"{sandbox.url}/checkout/{number}"}
    one = await guest.post(confirm, json=paid)
    assert one.status_code == 200, one.text
    assert one.json()["data"]["status"] == "succeeded"
    again = await guest.post(confirm, json=paid)
    assert again.status_code == 200, again.text
    assert again.json()["data"]["status"] == "succeeded", (
        "who confirms a paid payment is shown that it is paid"
    )
    assert len(sandbox.gateway.charges(paid=True)) == 1


async def test_free_amounts_do_not_get_in_each_others_way(guest: httpx.AsyncClient) -> None:
    answers = [await guest.post(INTENTS, json=wish(None)) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 201]


async def test_the_live_page_sees_an_order_that_was_charged_twice(
    sandbox: Sandbox, guest: httpx.AsyncClient
) -> None:
    number = sandbox.shop.place({"guji": 1}, "USD").number
    engine = sandbox.bridge.engine
    for _ in range(2):  # what the shop's own setting prevents, forced
        await engine.create_payment_intent(
            subtotal_cents=1998,
            currency="USD",
            reference_code=number,
            confirm=True,
            payment_method="pm_card_visa",
            unique_reference=False,
        )
    for reference in (None, None):  # free amounts have nothing in common
        await guest.post(INTENTS, json=wish(reference, confirm=True, payment_method_id="pm_card_visa"))
    state = (await guest.get("/live/state")).json()
    assert len(sandbox.gateway.charges(paid=True)) == 4
    assert state["balance"]["charged_twice"] == 1


async def test_the_shop_tells_the_secret_again_to_the_browser_that_ordered_and_to_nobody_else(
    sandbox: Sandbox, guest: httpx.AsyncClient
) -> None:
    bag = {"items": {"guji": 1}, "currency": "USD"}
    mine, other = [(await guest.post("/shop/orders", json=bag)).json() for _ in range(2)]
    made = (await guest.post(INTENTS, json=wish(mine["number"]))).json()["data"]
    path = f"/shop/orders/{mine['number']}/payment"
    told = await guest.post(path, json={"token": mine["token"], "payment_id": made["id"]})
    assert told.json() == {"id": made["id"], "client_secret": made["client_secret"]}
    for token in ("", "x", "é", other["token"]):
        refused = await guest.post(path, json={"token": token, "payment_id": made["id"]})
        assert refused.status_code == 404
        assert made["client_secret"] not in refused.text
    elsewhere = f"/shop/orders/{other['number']}/payment"
    refused = await guest.post(elsewhere, json={"token": other["token"], "payment_id": made["id"]})
    assert refused.status_code == 404
    assert mine["token"] not in (await guest.get(f"/shop/orders/{mine['number']}")).text


async def test_the_switches_break_what_their_buttons_say(sandbox: Sandbox, guest: httpx.AsyncClient) -> None:
    for fault, status in (("error_before", 503), ("error_after", 500)):
        told = await guest.post("/live/switch", json={"fault": fault}, headers={"x-sandbox": "1"})
        assert told.status_code == 200
        refused = await guest.post(INTENTS, json=wish(None))
        assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (503, True)
        asked = (await guest.get("/live/state")).json()["gateway"]["requests"]
        [broken] = [request for request in asked if request["fault"] == fault]
        assert (broken["path"], broken["status"]) == ("/v1/payment_intents", status)


async def test_what_authorize_net_took_it_still_knows_after_a_restart(tmp_path: Path) -> None:
    where: dict[str, Any] = {"database_url": f"sqlite:///{tmp_path}/shop.db", "providers": ["authorize_net"]}

    async def seen(guest: httpx.AsyncClient) -> list[tuple[int, int]]:
        payments = (await guest.get("/live/state")).json()["payments"]
        return [(each["captured_cents"], each["charged_cents"]) for each in payments]

    first = Sandbox(port=free_port(), **where)
    async with first.lifespan(), visiting(first) as guest:
        token = first.tills["authorize_net"].gateway.token()  # type: ignore[attr-defined]
        paid = wish(None, provider_id="authorize_net", confirm=True, payment_method_id=token)
        made = await guest.post(INTENTS, json=paid)
        assert made.json()["data"]["status"] == "succeeded", made.text
        assert await seen(guest) == [(1998, 1998)]
    later = Sandbox(port=free_port(), **where)
    async with later.lifespan(), visiting(later) as guest:
        assert await seen(guest) == [(1998, 1998)]
        await later.bridge.engine.sync_payment(made.json()["data"]["id"])
        assert await seen(guest) == [(1998, 1998)]
