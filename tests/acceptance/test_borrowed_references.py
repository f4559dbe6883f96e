"""
Somebody else's card, customer or address, named in every field that can name one (money rule 22).

The fields are those of the OpenAPI document. A field that looks like a reference and is in neither list below
fails a test: whoever adds one says whose it may be.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, NamedTuple

import pytest
from strangers import CREATE, HOME, NOBODIES, NOBODY, OWNER, STRANGERS, World, flowless

from bridge_payments.http import ROUTES, Access, Route
from bridge_payments.http.openapi import openapi, operations
from bridge_payments.sandbox.flowless import FakeFlowless

__all__ = ["flowless"]

pytestmark = pytest.mark.anyio

KINDS = {
    "payment_method_id": "method",
    "payment_method_token": "method",
    "provider_payment_method_token": "method",
    "customer_id": "customer",
    "billing_address_id": "address",
}
"""Which fields name what belongs to somebody."""

NOBODYS = {
    "provider_id": "an account of the merchant's",
    "product_id": "kept as it was typed; nothing is looked up by it",
    "organization_id": "a claim (rule 24), see test_tenants.py",
    "project_id": "a claim (rule 24)",
    "organization_ids": "a filter of the merchant's endpoints",
    "user_ids": "a filter of the merchant's endpoints",
    "reference_code": "the merchant's own order number",
    "manual_payment_reference": "the merchant's own receipt",
    "tax_id": "the payer's own number",
    "provider_reference": "what an operator names to end an unknown outcome: it is read at the provider",
    "event_id": "a filter of the merchant's deliveries",
}
"""Which fields look like it and do not, and why."""

A_GUESTS = {
    "customer_ids": "what the guest had whose things a user takes over: tests/unit/engine/test_conversion.py",
    "payment_method_ids": "the same",
}
"""Which fields name what belongs to a guest who becomes a user, and where strangers' are tried."""

LOOKS_LIKE_A_REFERENCE = re.compile(
    r"(^|_)(id|ids|token|reference|ref|code|number)$|customer|payment_method$|address$|subscription|intent"
)

NAMES_NOTHING = {
    "address": "the parts of one, in billing details",
    "manual_payment_method": "cash or a cheque",
    "save_payment_method": "whether to keep it",
    "postal_code": "a part of an address",
}


class Place(NamedTuple):
    """One field of one route."""

    route: Route
    method: str
    path: str
    name: str

    @property
    def label(self) -> str:
        return f"{self.method} {self.path} {self.name}"


def properties(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield the name of every field of a schema, at every depth."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for part in (*schema.get("anyOf", ()), *schema.get("allOf", ()), *schema.get("oneOf", ())):
        yield from properties(document, part)
    if "items" in schema:
        yield from properties(document, schema["items"])
    for name, part in schema.get("properties", {}).items():
        yield name
        yield from properties(document, part)


def places() -> Iterator[Place]:
    document = openapi(ROUTES)
    for route, method, path in operations(ROUTES):
        if not route.listed:
            continue  # a page for people, which takes no field
        operation = document["paths"][path][method.lower()]
        names = [one["name"] for one in operation["parameters"] if one["in"] == "query"]
        if (body := operation.get("requestBody")) is not None:
            names.extend(properties(document, body["content"]["application/json"]["schema"]))
        for name in dict.fromkeys(names):
            yield Place(route, method, path, name)


PLACES = list(places())
BORROWED = [place for place in PLACES if place.name in KINDS]


def test_every_field_that_looks_like_a_reference_is_known() -> None:
    seen = {place.name for place in PLACES}
    like = {name for name in seen if LOOKS_LIKE_A_REFERENCE.search(name)}
    told = KINDS.keys() | NOBODYS.keys() | A_GUESTS.keys()
    assert like - told - NAMES_NOTHING.keys() == set(), "say whose it may be"
    assert told - seen == set(), "no such field any more"


# --- one place, one caller --------------------------------------------------------------------------

BODIES: dict[str, dict[str, Any]] = {
    "create_payment_intent": {**CREATE, "confirm": True, "payment_method_id": "dummy_ok"},
    "create_payment_method": {"payment_method_token": "dummy_ok"},
    "create_subscription": {**CREATE, "payment_method_id": "dummy_ok"},
}
"""What goes without the field; every other body is empty."""

OWN = {
    "payment_id": World.payment,
    "payment_method_id": World.method,
    "subscription_id": World.subscription,
    "customer_id": World.customer,
    "address_id": World.address,
}


async def owners(world: World, kind: str) -> list[str]:
    """Return every name of one thing of the owner's: ours, and the provider's."""
    match kind:
        case "method":
            made = await world.made("/payment-methods", {"payment_method_token": "dummy_ok"})
            return [made["id"], made["provider_payment_method_id"]]
        case "customer":
            made = await world.made("/customers", {"email": OWNER})
            return [made["id"], made["provider_customer_id"]]
        case _:
            return [(await world.made("/addresses", HOME))["id"]]


async def question(world: World, caller: str, place: Place, value: str) -> tuple[str, dict[str, Any]]:
    """Return the path, below which everything is the caller's own, and the body with one borrowed field."""
    path, body = place.path, {**BODIES.get(place.route.operation_id, {}), place.name: value}
    if place.name == "provider_payment_method_token":
        body.pop("payment_method_token", None)
    for name in re.findall(r"{(\w+)}", path):
        own = await OWN[name](world, caller)
        path = path.replace(f"{{{name}}}", own)
        if caller in NOBODIES and name == "payment_id":
            body["client_secret"] = world.secrets[own]
    if caller in NOBODIES and "{" not in place.path:
        body["guest_data"] = NOBODY
    return path, body


@pytest.fixture
async def world(flowless: FakeFlowless) -> AsyncIterator[World]:
    world = World(flowless)
    yield world
    await world.bridge.aclose()


def possible(place: Place, caller: str) -> bool:
    return place.route.access is Access.ANYONE or (
        place.route.access is Access.SIGNED_IN and caller not in NOBODIES
    )


@pytest.mark.parametrize("place", BORROWED, ids=lambda place: place.label)
async def test_somebody_elses_is_refused_with_nothing_written_and_nothing_sent(
    world: World, place: Place
) -> None:
    for value in await owners(world, KINDS[place.name]):
        for caller in (*STRANGERS, *NOBODIES):
            if not possible(place, caller):
                continue
            path, body = await question(world, caller, place, value)
            before, rows = list(world.gateway.requests), world.rows()
            answer = await world.ask(caller, place.method, path, body)
            where = f"{caller}, {value}: {answer.status} {answer.body!r}"
            assert answer.status in (400, 404), where
            assert world.gateway.requests == before, where
            assert world.rows() == rows, where
            assert isinstance(json.loads(answer.body)["error"], str)


@pytest.mark.parametrize("place", BORROWED, ids=lambda place: place.label)
async def test_ones_own_is_accepted_in_the_same_words(world: World, place: Place) -> None:
    """So that the refusals above are about whose it is, and about nothing else."""
    own, *_ = await owners(world, KINDS[place.name])
    path, body = await question(world, "owner", place, own)
    answer = await world.ask("owner", place.method, path, body)
    assert answer.status in (200, 201), answer.body
