"""Every route, as everybody who should not get in would try it: generated from the route table.

A new route is tried without a line here. One with a new path variable says in `SPECIMENS` how to make the
thing that it names.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from strangers import CREATE, HOME, NOBODIES, OWNER, STRANGERS, World, flowless

from bridge_payments.http import ROUTES, Access, Route
from bridge_payments.http.openapi import operations
from bridge_payments.messages import Response
from bridge_payments.sandbox.flowless import FakeFlowless

__all__ = ["flowless"]

pytestmark = pytest.mark.anyio

CARD = "4242424242424242"

REVEALING = {
    # Where the contract fixes 403 for somebody else's object (money rule 31). A route that is not in this
    # list says 404, word for word as for an object that is not there.
    "GET /payments/{payment_id}",
    "PUT /payments/intents/{payment_id}",
    "POST /payments/intents/{payment_id}/confirm",
    "POST /payments/intents/{payment_id}/sync",
    "POST /payments/{payment_id}/cancel",
    "GET /customers/{customer_id}",
    "PUT /customers/{customer_id}",
    "DELETE /customers/{customer_id}",
    "PUT /payment-methods/{payment_method_id}",
    "PATCH /payment-methods/{payment_method_id}/billing-address",
    "POST /payment-methods/{payment_method_id}/set-default",
    "DELETE /payment-methods/{payment_method_id}",
}

FRESH = {
    # It charges a method, which may be stored.
    "POST /payments/intents/{payment_id}/confirm",
    # It may tell a client secret.
    "GET /payments/{payment_id}",
    "PUT /payments/intents/{payment_id}",
    "PATCH /payments/intents/{payment_id}",
    "GET /payment-methods/{payment_method_id}",
    "PUT /payment-methods/{payment_method_id}",
    "PATCH /payment-methods/{payment_method_id}",
    "GET /admin/payments/{payment_id}",
    "GET /subscriptions/{subscription_id}",
    "PUT /subscriptions/{subscription_id}",
    "PATCH /subscriptions/{subscription_id}",
    "PATCH /subscriptions/{subscription_id}/billing-address",
    # It cannot be taken back.
    "DELETE /payment-methods/{payment_method_id}",
    "DELETE /customers/{customer_id}",
    "POST /convert-guest",
}
FRESH_BY_BODY: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # What a session of five minutes ago may ask, and what makes it too old.
    "POST /payments/intents": ({**CREATE, "payment_method_id": "pm_1"}, {"confirm": True}),
    "POST /subscriptions": ({"total_cents": 900, "currency": "USD"}, {"payment_method_id": "pm_1"}),
}

REFUSED = {"/payment-methods/direct"}
"""Routes of the contract that are there to refuse."""

BODIES: dict[str, dict[str, Any]] = {
    "create_payment_intent": {**CREATE, "guest_data": {"email": OWNER, "name": "Owner"}},
    "refund_payment": {"amount_cents": 100},
    "confirm_payment": {"payment_method_id": "dummy_ok"},
    "update_payment_intent": {"description": "changed"},
    "create_customer": {"email": OWNER, "guest_data": {"email": OWNER, "name": "Owner"}},
    "create_payment_method": {"payment_method_token": "dummy_ok", "guest_data": {"email": OWNER}},
    "create_address": {**HOME, "guest_data": {"email": OWNER}},
    "create_subscription": {
        "total_cents": 900,
        "currency": "USD",
        "payment_method_id": "dummy_ok",
        "guest_data": {"email": OWNER},
    },
    "convert_guest": {"guest_email": OWNER},
    "create_endpoint": {"name": "shop", "url": "https://shop.example/hooks", "events": ["payment.*"]},
}


async def _of(name: str) -> str:
    return name


SPECIMENS: dict[str, Callable[[World], Awaitable[str]]] = {
    "payment_id": World.payment,
    "customer_id": World.customer,
    "payment_method_id": World.method,
    "address_id": World.address,
    "subscription_id": World.subscription,
    "email": lambda world: _of(OWNER),
    "provider_id": lambda world: _of("dummy"),
    # Only admins come that far, and what there is none of is 404 to them.
    "id": lambda world: _of("whe_1"),
    "delivery_id": lambda world: _of("whd_1"),
    "operation_id": lambda world: _of("op_1"),
    "entry_id": lambda world: _of("inb_1"),
    "file": lambda world: _of("dashboard.js"),
}


@pytest.fixture
async def world(flowless: FakeFlowless) -> AsyncIterator[World]:
    world = World(flowless)
    yield world
    await world.bridge.aclose()


EVERY = [pytest.param(*found, id=f"{found[1]} {found[2]}") for found in operations(ROUTES)]
KINDS = {
    "payment_id": "pay",
    "customer_id": "cust",
    "payment_method_id": "pm",
    "address_id": "addr",
    "subscription_id": "sub",
}
OWNED = [one for one in EVERY if any(f"{{{name}}}" in one.values[2] for name in KINDS)]  # type: ignore[operator]


async def spelled(world: World, path: str) -> str:
    for name, make in SPECIMENS.items():
        if f"{{{name}}}" in path:
            path = path.replace(f"{{{name}}}", await make(world))
    assert "{" not in path, f"say in SPECIMENS how to make what {path} names"
    return path


def body_of(route: Route) -> dict[str, Any] | None:
    return BODIES.get(route.operation_id, {}) if route.takes else None


def told(answer: Response) -> dict[str, Any]:
    """Return what an answer says, without the moment."""
    return {name: value for name, value in json.loads(answer.body).items() if name != "timestamp"}


def nameless(answer: Response) -> str:
    return re.sub(r"\b[a-z]+_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", json.dumps(told(answer)))


def test_the_routes_that_reveal_are_those_that_the_contract_fixes() -> None:
    assert {f"{route.methods[0]} {route.path}" for route in ROUTES if route.reveals} == REVEALING


def test_whatever_an_admin_changes_needs_a_fresh_look() -> None:
    for route, method, _ in operations(ROUTES):
        if route.access is Access.ADMIN:
            assert method == "GET" or route.needs_fresh(method)


def test_what_charges_a_method_or_tells_a_client_secret_needs_a_fresh_look() -> None:
    """Rule 25, beside what admins change: the table and its bodies, and nothing else."""
    always = {
        f"{method} {path}"
        for route, method, path in operations(ROUTES)
        if (route.access is not Access.ADMIN or method == "GET")
        and path == route.path
        and route.needs_fresh(method)
    }
    assert always == FRESH
    by_body = {f"{route.methods[0]} {route.path}": route for route in ROUTES if callable(route.fresh)}
    for name, (old, moment) in FRESH_BY_BODY.items():
        route = by_body.pop(name)
        assert route.takes is not None
        assert not route.body_needs_fresh(route.takes.model_validate(old))
        assert route.body_needs_fresh(route.takes.model_validate(old | moment))
    assert not by_body


@pytest.mark.parametrize(("route", "method", "path"), EVERY)
async def test_everybody_meets_the_door_that_the_table_says(
    world: World, route: Route, method: str, path: str
) -> None:
    target = await spelled(world, path)
    for caller in world.callers:
        answer = await world.ask(caller, method, target, body_of(route))
        where = f"{caller}: {answer.status} {answer.body!r}"
        assert answer.status < 500, where
        if route.access is Access.OPEN:
            assert answer.status not in (403, 429), where
        elif route.access is Access.ADMIN:
            expected = {"admin": (200, 201, 400, 404), **dict.fromkeys(NOBODIES, (401,))}
            assert answer.status in expected.get(caller, (403,)), where
        elif route.access is Access.SIGNED_IN and caller in NOBODIES:
            assert answer.status == 401, where
        elif path in REFUSED:
            assert answer.status == 403, where
        elif caller in ("owner", "admin"):
            gone = method == "DELETE" and caller == "admin"  # the owner was there before
            assert answer.status in (200, 201, 400, *([404] if gone else [])), where


@pytest.mark.parametrize(("route", "method", "path"), OWNED)
async def test_somebody_elses_object_is_not_revealed_and_nothing_is_sent(
    world: World, route: Route, method: str, path: str
) -> None:
    """Strangers hear what they hear of what is not there, or the contract's 403; nothing is sent."""
    target = await spelled(world, path)
    absent = path
    for name, prefix in KINDS.items():
        absent = absent.replace(f"{{{name}}}", f"{prefix}_01938e5f-0000-7000-8000-000000000000")
    before = list(world.gateway.requests)
    for caller in (*STRANGERS, *NOBODIES):
        answer = await world.ask(caller, method, target, body_of(route))
        if route.access is not Access.ANYONE and caller in NOBODIES:
            assert answer.status == 401
        elif route.access is Access.ADMIN or route.reveals:
            assert answer.status == 403, f"{caller}: {answer.body!r}"
        else:
            nothing = await world.ask(caller, method, absent, body_of(route))
            unseen = (401,) if caller in NOBODIES else ()  # who proved nothing may be asked to, of anything
            assert answer.status in (404, *unseen)
            assert nothing.status == answer.status
            assert nameless(answer) == nameless(nothing)
        assert b"the-owners" not in answer.body
        assert b"secret" not in answer.body
    assert world.gateway.requests == before


@pytest.mark.parametrize(("route", "method", "path"), EVERY)
async def test_lists_hold_only_what_is_the_callers(
    world: World, route: Route, method: str, path: str
) -> None:
    payment = await world.payment()
    if route.access is not Access.SIGNED_IN or not route.many:
        return
    target = await spelled(world, path)
    for caller in STRANGERS:
        assert payment.encode() not in (await world.ask(caller, method, target)).body
    assert b"client_secret" not in (await world.ask("owner", method, target)).body


@pytest.mark.parametrize("caller", [*STRANGERS, *NOBODIES])
async def test_a_guests_payment_is_the_guests(world: World, caller: str) -> None:
    """Who knows its id may go on paying; reading it takes a proof of the address."""
    made = await world.ask("anonymous", "POST", "/payments/intents", BODIES["create_payment_intent"])
    payment = json.loads(made.body)["data"]["id"]
    read = await world.ask(caller, "GET", f"/payments/{payment}")
    assert read.status == (401 if caller in NOBODIES else 403)
    listed = await world.ask(caller, "GET", f"/payments/guest/{OWNER}")
    assert listed.status == (401 if caller in NOBODIES else 403)
    world.callers["the guest"] = {"x-guest-token": world.flowless.guest(OWNER.upper())}
    assert (await world.ask("the guest", "GET", f"/payments/{payment}")).status == 200


# --- card numbers (money rule 27) -----------------------------------------------------------------------


@pytest.mark.parametrize(("route", "method", "path"), EVERY)
async def test_a_card_number_is_refused_on_every_route_before_anybody_hears_of_it(
    world: World, route: Route, method: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    if route.raw:
        return  # what a provider signed is the provider's to say
    target = await spelled(world, path)
    before = list(world.gateway.requests)
    answers = [await world.ask("admin", method, target, body_of(route), search=CARD)]
    if route.takes:
        places = ({"description": CARD}, {"card": {"number": CARD}}, {"card_number": int(CARD)})
        bodies = [{**(body_of(route) or {}), **place} for place in places]
        answers.extend([await world.ask("admin", method, target, body) for body in bodies])
    if "{" in path:
        answers.append(await world.ask("admin", method, path[: path.index("{")] + CARD, body_of(route)))
    for answer in answers:
        assert answer.status == 400, answer.body
        assert CARD.encode() not in answer.body
    assert world.gateway.requests == before
    assert CARD not in caplog.text


# --- bodies as the published clients send them -------------------------------------------------------------


def every_field_null(route: Route) -> dict[str, Any]:
    assert route.takes is not None
    needed = body_of(route) or {}
    return {**dict.fromkeys(route.takes.model_fields), **needed}


@pytest.mark.parametrize(("route", "method", "path"), [one for one in EVERY if one.values[0].takes])  # type: ignore[union-attr]
async def test_every_route_reads_what_the_published_clients_send(
    world: World, route: Route, method: str, path: str
) -> None:
    """Nulls for what is unset (Rust), extra organization_id and project_id (JavaScript): as if not there."""
    answers = []
    for body in (
        body_of(route),
        every_field_null(route),
        {**(body_of(route) or {}), "organization_id": "org_1", "project_id": "proj_1"},
    ):
        answer = await world.ask("admin", method, await spelled(world, path), body)
        # 200 and 201 alike: the second time an owner has the customer already.
        answers.append((200 if answer.status == 201 else answer.status, sorted(json.loads(answer.body))))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0] in ((403,) if path in REFUSED else (200, 400, 404))


@pytest.mark.parametrize(("route", "method", "path"), EVERY)
async def test_an_empty_body_with_a_json_content_type_is_an_empty_object(
    world: World, route: Route, method: str, path: str
) -> None:
    if route.raw:
        return
    target = await spelled(world, path)
    empty, braces = [await world.ask("admin", method, target, body) for body in (None, {})]
    if empty.status < 300 and method != "GET":
        assert empty.status in (200, 201), "and never 204: a published client cannot read it"
    if not is_json(empty):
        return
    assert isinstance(json.loads(empty.body), dict)
    if empty.status >= 400:
        assert isinstance(json.loads(empty.body)["error"], str)
        assert empty.status == braces.status


def is_json(answer: Response) -> bool:
    """Return whether an answer is one for clients; figures for a monitor are plain text."""
    return answer.headers["content-type"].startswith("application/json")


def moments(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield every field of an answer that holds a time."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from moments(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from moments(item, name)
    elif isinstance(value, str) and (name.endswith("_at") or name in ("timestamp", "lease_until")):
        yield name, value


async def test_times_are_rfc_3339_in_utc_on_every_route(world: World) -> None:
    """A published client fails on anything else."""
    payment = await world.payment()
    await world.ask("owner", "POST", f"/payments/intents/{payment}/confirm", BODIES["confirm_payment"])
    seen: set[str] = set()
    for route, method, path in operations(ROUTES):
        target = (await spelled(world, path)).replace("{payment_id}", payment)
        answer = await world.ask("admin", method, target, body_of(route))
        for name, value in moments(json.loads(answer.body) if is_json(answer) else {}):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value), (path, name, value)
            seen.add(name)
    assert {"created_at", "updated_at", "completed_at", "timestamp"} <= seen
