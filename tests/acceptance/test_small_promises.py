"""Promises of the contract that are too small for a file of their own, over the route table."""

from __future__ import annotations

import json
import warnings
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI
from strangers import CREATE, World, flowless

from bridge_payments.engine import PaymentDraft
from bridge_payments.models import Principal
from bridge_payments.mounts.fastapi import payments_router
from bridge_payments.sandbox.flowless import FakeFlowless

__all__ = ["flowless"]

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(flowless: FakeFlowless) -> AsyncIterator[World]:
    world = World(flowless)
    yield world
    await world.bridge.aclose()


async def health(world: World, path: str) -> tuple[int, dict[str, Any]]:
    answer = await world.ask("anonymous", "GET", path)
    return answer.status, json.loads(answer.body)


async def test_health_says_whether_flowless_answers(world: World) -> None:
    status, found = await health(world, "/health/flowless")
    assert (status, found["status"], found["healthy"]) == (200, "connected", True)
    assert found["latency_ms"] >= 0
    assert (await health(world, "/health"))[1]["services"]["flowless_bridge"]["status"] == "connected"


async def test_health_survives_flowless_and_asks_it_once(world: World, flowless: FakeFlowless) -> None:
    """A monitor must not take the shop away from guests and remembered sessions, nor knock every second."""
    flowless.faults.add("error_before", method="*", times=1, status=500)
    before = len(flowless.calls)
    status, found = await health(world, "/health/flowless")
    assert (status, found["status"], found["error"]) == (503, "unavailable", "HTTP 500")
    status, found = await health(world, "/health")
    assert (status, found["status"]) == (200, "healthy")
    assert found["services"]["flowless_bridge"]["healthy"] is False
    assert len(flowless.calls) == before + 1


async def test_a_method_is_kept_by_the_create_that_pays_with_it(world: World) -> None:
    """Published clients say so at the create as well as at the confirm."""
    body = {**CREATE, "confirm": True, "payment_method_id": "dummy_ok", "save_payment_method": True}
    made = await world.made("/payments/intents", body)
    assert made["status"] == "succeeded"
    listed = json.loads((await world.ask("owner", "GET", "/payment-methods")).body)
    assert [method["id"] for method in listed["data"]] == [made["payment_method_id"]]


@pytest.mark.parametrize("name", ["", " ", "\t\n"])
async def test_a_blank_name_is_none(world: World, name: str) -> None:
    body = {**CREATE, "guest_data": {"email": "a@example.com", "name": name}}
    answer = await world.ask("anonymous", "POST", "/payments/intents", body)
    assert answer.status == 400
    assert json.loads(answer.body)["validation_errors"][0]["field"] == "guest_data.name"
    assert world.gateway.requests == []


async def test_the_hook_has_the_last_word_on_what_an_update_says(world: World) -> None:
    payment = await world.payment()

    def approve(draft: PaymentDraft, principal: Principal) -> PaymentDraft:
        return replace(draft, description="Tea", metadata={**draft.metadata, "checked": True})

    world.bridge.engine.approve = approve
    await world.ask("owner", "PUT", f"/payments/intents/{payment}", {"total_cents": 4000})
    found = json.loads((await world.ask("owner", "GET", f"/payments/{payment}")).body)["data"]
    assert (found["total_cents"], found["description"], found["metadata"]) == (4000, "Tea", {"checked": True})


async def test_a_customers_addresses_are_those_of_its_owner(world: World) -> None:
    customer, address = await world.customer(), await world.address()
    for caller, expected in (("owner", 200), ("admin", 200), ("other user", 404), ("other guest", 404)):
        answer = await world.ask(caller, "GET", f"/addresses/customer/{customer}")
        assert answer.status == expected
        if expected == 200:
            assert [row["id"] for row in json.loads(answer.body)["data"]] == [address]


async def test_accounts_are_named_without_asking_them(world: World) -> None:
    answer = await world.ask("owner", "GET", "/providers/test")
    assert json.loads(answer.body)["data"] == {"dummy": {"status": "configured", "mode": "test"}}
    assert world.gateway.requests == []
    assert (await world.ask("anonymous", "GET", "/providers/test")).status == 401


def test_two_bridges_in_one_application_do_not_share_names(flowless: FakeFlowless) -> None:
    app = FastAPI()
    app.include_router(payments_router(World(flowless).bridge), prefix="/eu")
    app.include_router(payments_router(World(flowless).bridge, name="us"), prefix="/us")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paths = app.openapi()["paths"]
    assert paths["/eu/payments/intents"]["post"]["operationId"] == "create_payment_intent"
    assert paths["/us/payments/intents"]["post"]["operationId"] == "us_create_payment_intent"
