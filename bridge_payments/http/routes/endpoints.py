"""Whom we tell, what was told, what providers sent: for admins."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, TypeVar

from pydantic import BaseModel

from ...errors import (
    AccessDenied,
    BridgeError,
    Conflict,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    StoreError,
)
from ...models import ID_PATTERN, DeliveryState, EndpointHealth, InboxState
from ...webhooks import Endpoint, EndpointView, endpoint_from
from ..envelope import Reply, page_meta
from ..problems import ValidationFailed
from ..queries import MAX_LIMIT
from ..route import Access, Call, Parameter, Route, Text
from ..schemas.endpoints import (
    ChangeEndpoint,
    CleanedUp,
    CreateEndpoint,
    DeliveryOut,
    EndpointDeleted,
    EndpointOut,
    EndpointSecret,
    ReceivedDetail,
    ReceivedOut,
    Redelivered,
    Replayed,
    WebhooksProcessed,
    WebhookStats,
)

__all__ = ["ENDPOINT_ROUTES"]

E = TypeVar("E", bound=StrEnum)
Texts = Mapping[type[BridgeError], Text]

_ROUNDS: Final = 20


# --- endpoints ------------------------------------------------------------------------------------


async def list_webhook_endpoints(call: Call) -> Reply:
    """List everybody who is told of events: stored endpoints, and configured ones with their handlers."""
    webhooks = call.bridge.webhooks
    health = await webhooks.stored.health()
    found = [_configured(endpoint, health.get(endpoint.name)) for endpoint in webhooks.endpoints]
    found += [_stored(view) for view in await webhooks.stored.list()]
    return _page(found, limit=max(len(found), 1))


async def create_webhook_endpoint(call: Call) -> Reply:
    """Tell events to one more address, from the next one on.

    The answer shows the signing secret, this once.
    """
    body = call.given(CreateEndpoint)
    given = body.model_dump()
    for name in ("user_ids", "organization_ids"):
        given[name] = tuple(given[name])
    view = await call.bridge.webhooks.stored.create(**given)
    secret = view.endpoint.secrets[0].value if view.endpoint.secrets else None
    return Reply(data=EndpointSecret(**_stored(view).model_dump(), secret=secret))


async def get_webhook_endpoint(call: Call) -> Reply:
    """Read one endpoint and how it is doing."""
    return Reply(data=await _found(call))


async def change_webhook_endpoint(call: Call) -> Reply:
    """Change an endpoint, or switch it on or off.

    A configured one can only be switched.
    """
    body = call.given(ChangeEndpoint)
    changes = body.model_dump(exclude_none=True)
    enabled = changes.pop("enabled", None)
    known = await _found(call)
    stored = call.bridge.webhooks.stored
    if changes and known.source == "configured":
        raise InvalidRequest("it is changed where it is configured", field=next(iter(changes)))
    for name in ("user_ids", "organization_ids"):
        if name in changes:
            changes[name] = tuple(changes[name])
    if changes:
        await stored.update(known.id, **changes)
    if enabled is not None:
        await stored.switch(known.id, on=enabled)
    return Reply(data=await _found(call))


async def delete_webhook_endpoint(call: Call) -> Reply:
    """Tell an endpoint nothing more. What was told stays on record."""
    known = await _found(call)
    if known.source == "configured":
        raise InvalidRequest("it is removed where it is configured", field="id")
    await call.bridge.webhooks.stored.delete(known.id)
    return Reply(data=EndpointDeleted(id=known.id))


async def rotate_webhook_secret(call: Call) -> Reply:
    """Sign with a new secret; for a day with the old one, too.

    The answer shows the new secret, this once.
    """
    known = await _found(call)
    if known.source == "configured":
        raise InvalidRequest("its secret is changed where it is configured", field="id")
    view, secret = await call.bridge.webhooks.stored.rotate_secret(known.id)
    return Reply(data=EndpointSecret(**_stored(view).model_dump(), secret=secret))


async def test_webhook_endpoint(call: Call) -> Reply:
    """Tell one endpoint a `webhook.test`; how it went is in its deliveries, a moment later."""
    known = await _found(call)
    return Reply(data=DeliveryOut.of(await call.bridge.webhooks.stored.send_test(known.id)))


# --- deliveries -----------------------------------------------------------------------------------


async def list_endpoint_deliveries(call: Call) -> Reply:
    """List what one endpoint was told or is going to be told, newest first."""
    return await _deliveries(call, endpoint=call.path["id"])


async def list_webhook_deliveries(call: Call) -> Reply:
    """List what was told or is going to be told, newest first."""
    return await _deliveries(call, endpoint=_given(call, "endpoint"))


async def redeliver_webhook(call: Call) -> Reply:
    """Send one delivery again, under the same id; an endpoint that was switched off is switched on."""
    delivery_id = _id(call.path["delivery_id"], "Delivery not found")
    webhooks = call.bridge.webhooks
    await webhooks.redeliver(delivery_id)
    found = await call.bridge.engine.store.run(lambda unit: unit.deliveries.get(delivery_id), write=False)
    if found is None:
        raise NotFound("Delivery not found")
    return Reply(data=DeliveryOut.of(found))


async def redeliver_to_endpoint(call: Call) -> Reply:
    """Send an endpoint everything again that it did not get, and switch it on."""
    known = await _found(call)
    return Reply(data=Redelivered(redelivered=await call.bridge.webhooks.redeliver_dead(known.id)))


# --- what providers sent --------------------------------------------------------------------------


async def list_received_webhooks(call: Call) -> Reply:
    """List what providers sent, newest first."""
    return await _received(call, provider_id=_given(call, "provider_id"))


async def list_webhooks_of_provider(call: Call) -> Reply:
    """List what one provider sent, newest first."""
    return await _received(call, provider_id=call.path["provider_id"])


async def get_received_webhook(call: Call) -> Reply:
    """Read one received webhook: what became of it, and with which error."""
    entry_id = _id(call.path["entry_id"], "Webhook not found")
    entry = await call.bridge.engine.store.run(lambda unit: unit.inbox.get(entry_id), write=False)
    if entry is None:
        raise NotFound("Webhook not found")
    return Reply(data=ReceivedDetail.of(entry))


async def replay_received_webhook(call: Call) -> Reply:
    """Process one received webhook again, whatever became of it: its object is read at the provider."""
    entry_id = _id(call.path["entry_id"], "Webhook not found")
    if not await call.bridge.engine.replay_webhook(entry_id, principal=call.principal):
        raise NotFound("Webhook not found")
    return Reply(data=Replayed(id=entry_id))


async def webhook_stats(call: Call) -> Reply:
    """Count what providers sent, and what is told."""
    provider_id = _given(call, "provider_id")
    inbox, events = await call.bridge.engine.store.run(
        lambda unit: (unit.inbox.count(provider_id=provider_id), unit.events.count_by_type()), write=False
    )
    by_entity: dict[str, int] = {}
    for name, how_many in events.items():
        family = name.partition(".")[0]
        by_entity[family] = by_entity.get(family, 0) + how_many
    done = inbox.get(InboxState.PROCESSED, 0) + inbox.get(InboxState.IGNORED, 0)
    dead = inbox.get(InboxState.DEAD, 0)
    total = sum(inbox.values())
    return Reply(
        data=WebhookStats.model_validate(
            {
                "webhooks": {
                    "total": total,
                    "processed": done,
                    "pending": total - done - dead,
                    "dead": dead,
                },
                "events": {
                    "total": sum(events.values()),
                    "by_entity_type": by_entity,
                    "by_event_type": dict(events),
                },
            }
        )
    )


async def process_webhooks(call: Call) -> Reply:
    """Process what was received and is due, now and here."""
    handled = 0
    for _ in range(_ROUNDS):
        more = await call.bridge.engine.process_inbox()
        handled += more
        if not more:
            break
    return Reply(data=WebhooksProcessed(handled=handled))


async def clean_webhooks_up(call: Call) -> Reply:
    """Forget bodies of received webhooks that are older than `days`, and told events three times as old."""
    given = _given(call, "days") or "30"
    if not re.fullmatch(r"[0-9]{1,5}", given) or not 1 <= int(given) <= 36500:
        raise ValidationFailed.of("days", "is a number of days, from 1")
    forgotten = await call.bridge.engine.forget_old(days=int(given))
    return Reply(data=CleanedUp(deleted_webhooks=forgotten.webhooks, deleted_events=forgotten.events))


# --- helpers --------------------------------------------------------------------------------------


async def _found(call: Call) -> EndpointOut:
    name, webhooks = call.path["id"], call.bridge.webhooks
    for endpoint in webhooks.endpoints:
        if endpoint.name == name:
            return _configured(endpoint, (await webhooks.stored.health()).get(name))
    return _stored(await webhooks.stored.get(_id(name, "Webhook endpoint not found")))


def _configured(endpoint: Endpoint, health: EndpointHealth | None) -> EndpointOut:
    return EndpointOut.of(endpoint, health or EndpointHealth(endpoint=endpoint.name))


def _stored(view: EndpointView) -> EndpointOut:
    return EndpointOut.of(endpoint_from(view.endpoint, now=view.endpoint.updated_at), view.health, view)


async def _deliveries(call: Call, *, endpoint: str | None) -> Reply:
    state, limit = _one_of(call, "state", DeliveryState), _limit(call)
    event_id, before = _given(call, "event_id"), _given(call, "before")
    found = await call.bridge.engine.store.run(
        lambda unit: unit.deliveries.list(
            state=state, event_id=event_id, endpoint=endpoint, before_id=before, limit=limit
        ),
        write=False,
    )
    return _page([DeliveryOut.of(delivery) for delivery in found], limit=limit)


async def _received(call: Call, *, provider_id: str | None) -> Reply:
    state, limit, before = _one_of(call, "state", InboxState), _limit(call), _given(call, "before")
    found = await call.bridge.engine.store.run(
        lambda unit: unit.inbox.list(provider_id=provider_id, state=state, before_id=before, limit=limit),
        write=False,
    )
    return _page([ReceivedOut.of(entry) for entry in found], limit=limit)


def _page(found: Sequence[BaseModel], *, limit: int) -> Reply:
    return Reply(data=found, meta=page_meta(page=1, limit=limit, total=len(found)))


def _given(call: Call, name: str) -> str | None:
    text = call.request.query.get(name, "").strip()
    if not text:
        return None
    if not ID_PATTERN.fullmatch(text):
        raise ValidationFailed.of(name, "is not something that there could be")
    return text


def _limit(call: Call) -> int:
    text = call.request.query.get("limit", "").strip()
    given = int(text[:6]) if re.fullmatch(r"[0-9]+", text) else MAX_LIMIT
    return min(max(given, 1), MAX_LIMIT)


def _one_of(call: Call, name: str, kind: type[E]) -> E | None:
    text = call.request.query.get(name, "").strip()
    try:
        return kind(text) if text else None
    except ValueError:
        raise ValidationFailed.of(name, f"is one of {', '.join(kind)}") from None


def _id(text: str, message: str) -> str:
    if not ID_PATTERN.fullmatch(text):
        raise NotFound(message)
    return text


# --- the table ------------------------------------------------------------------------------------

_ERRORS: Final = (NotAuthenticated, AccessDenied, InvalidRequest, StoreError)
_LIMIT: Final = Parameter(
    name="limit",
    description="How many at most.",
    schema={"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": MAX_LIMIT},
)
_BEFORE: Final = Parameter(name="before", description="The last id of the page before this one.")
_OF_ACCOUNT: Final = Parameter(name="provider_id", description="Of one account.")
_DELIVERY: Final = (
    Parameter(
        name="state",
        description="One state.",
        schema={"type": "string", "enum": [state.value for state in DeliveryState]},
    ),
    Parameter(name="event_id", description="Of one event."),
    _BEFORE,
    _LIMIT,
)
_ENTRY: Final = (
    Parameter(
        name="state",
        description="One state.",
        schema={"type": "string", "enum": [state.value for state in InboxState]},
    ),
    _BEFORE,
    _LIMIT,
)
_NO_ENDPOINT: Final[Texts] = {NotFound: Text("Webhook endpoint not found", "Webhook endpoint not found")}
_NO_DELIVERY: Final[Texts] = {NotFound: Text("Delivery not found", "Delivery not found")}
_NO_ENTRY: Final[Texts] = {NotFound: Text("Webhook not found", "Webhook not found")}


def _route(method: str, path: str, **more: object) -> Route:
    errors = (*_ERRORS, NotFound) if "texts" in more else _ERRORS
    noun = str(more.pop("noun", "webhook endpoints"))
    methods = tuple(method.split())
    return Route(methods=methods, path=path, noun=noun, access=Access.ADMIN, errors=errors, **more)  # type: ignore[arg-type]


ENDPOINT_ROUTES: Final = (
    _route("GET", "/webhooks", handler=list_webhook_endpoints, returns=EndpointOut, many=True),
    _route(
        "POST",
        "/webhooks",
        handler=create_webhook_endpoint,
        takes=CreateEndpoint,
        returns=EndpointSecret,
        status=201,
    ),
    _route(
        "GET",
        "/webhooks/deliveries",
        handler=list_webhook_deliveries,
        returns=DeliveryOut,
        many=True,
        query=(Parameter(name="endpoint", description="Of one endpoint."), *_DELIVERY),
    ),
    _route(
        "POST",
        "/webhooks/deliveries/{delivery_id}/redeliver",
        handler=redeliver_webhook,
        returns=DeliveryOut,
        texts=_NO_DELIVERY,
    ),
    _route(
        "GET",
        "/webhooks/received",
        noun="webhooks",
        handler=list_received_webhooks,
        returns=ReceivedOut,
        many=True,
        query=(_OF_ACCOUNT, *_ENTRY),
    ),
    _route(
        "GET",
        "/webhooks/received/{entry_id}",
        noun="webhooks",
        handler=get_received_webhook,
        returns=ReceivedDetail,
        texts=_NO_ENTRY,
    ),
    _route(
        "POST",
        "/webhooks/received/{entry_id}/replay",
        noun="webhooks",
        handler=replay_received_webhook,
        returns=Replayed,
        texts=_NO_ENTRY,
    ),
    _route(
        "GET",
        "/webhooks/provider/{provider_id}",
        noun="webhooks",
        handler=list_webhooks_of_provider,
        returns=ReceivedOut,
        many=True,
        query=_ENTRY,
    ),
    _route(
        "GET",
        "/webhooks/stats",
        noun="webhooks",
        handler=webhook_stats,
        returns=WebhookStats,
        query=(_OF_ACCOUNT,),
    ),
    _route("POST", "/webhooks/process", noun="webhooks", handler=process_webhooks, returns=WebhooksProcessed),
    _route(
        "DELETE",
        "/webhooks/cleanup",
        noun="webhooks",
        handler=clean_webhooks_up,
        returns=CleanedUp,
        query=(
            Parameter(
                name="days",
                description="How old.",
                schema={"type": "integer", "minimum": 1, "maximum": 36500, "default": 30},
            ),
        ),
    ),
    _route("GET", "/webhooks/{id}", handler=get_webhook_endpoint, returns=EndpointOut, texts=_NO_ENDPOINT),
    Route(
        methods=("PUT", "PATCH"),
        path="/webhooks/{id}",
        noun="webhook endpoints",
        handler=change_webhook_endpoint,
        takes=ChangeEndpoint,
        returns=EndpointOut,
        access=Access.ADMIN,
        errors=(*_ERRORS, NotFound, Conflict),
        texts=_NO_ENDPOINT,
    ),
    _route(
        "DELETE",
        "/webhooks/{id}",
        handler=delete_webhook_endpoint,
        returns=EndpointDeleted,
        texts=_NO_ENDPOINT,
    ),
    _route(
        "POST",
        "/webhooks/{id}/test",
        handler=test_webhook_endpoint,
        returns=DeliveryOut,
        status=202,
        texts=_NO_ENDPOINT,
    ),
    _route(
        "POST",
        "/webhooks/{id}/rotate-secret",
        handler=rotate_webhook_secret,
        returns=EndpointSecret,
        texts=_NO_ENDPOINT,
    ),
    _route(
        "POST",
        "/webhooks/{id}/redeliver",
        handler=redeliver_to_endpoint,
        returns=Redelivered,
        texts=_NO_ENDPOINT,
    ),
    _route(
        "GET",
        "/webhooks/{id}/deliveries",
        handler=list_endpoint_deliveries,
        returns=DeliveryOut,
        many=True,
        query=_DELIVERY,
    ),
)
