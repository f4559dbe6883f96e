"""bridge-payments endpoints: whom we tell. Make, change, switch, rotate, try, redeliver, delete."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

from ..errors import InvalidRequest, NotFound
from ..models import EndpointHealth
from ..webhooks import Endpoint, EndpointView, WebhookDispatcher, endpoint_from, endpoints_from_settings
from .application import add_app_option, open_store
from .console import OK, add_json_option, execute, show, show_one

__all__ = ["HELP", "configure", "run"]

HELP = "whom we tell of events: list, add, update, on, off, rotate, test, redeliver, delete"


def configure(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="|".join(_ACTIONS))
    listing = actions.add_parser("list", help="everybody who is told, and how they are doing")
    adding = actions.add_parser("add", help="tell one more address; prints its signing secret, once")
    adding.add_argument("name")
    adding.add_argument("url")
    adding.add_argument(
        "events", nargs="+", metavar="PATTERN", help="for instance payment.* refund.succeeded"
    )
    updating = actions.add_parser("update", help="change a stored endpoint")
    updating.add_argument("endpoint_id", help="its id or its name")
    updating.add_argument("--name")
    updating.add_argument("--url")
    updating.add_argument("--event", dest="events", action="append", metavar="PATTERN", help="repeatable")
    for action in (adding, updating):
        action.add_argument("--header", action="append", metavar="NAME=VALUE", help="repeatable")
        action.add_argument("--timeout", type=float, metavar="SECONDS")
        action.add_argument("--tries", type=int, metavar="N", help="how many (default 8 in a day)")
        action.add_argument("--at-once", type=int, metavar="N", help="how many in the air (default 8)")
        action.add_argument("--format", choices=("generic", "slack", "discord"))
        action.add_argument("--user", action="append", metavar="ID", help="only their payments; repeatable")
        action.add_argument("--organization", action="append", metavar="ID", help="only theirs; repeatable")
        action.add_argument("--metadata", action="append", metavar="NAME=VALUE", help="repeatable")
        action.add_argument("--description")
    simple = [
        actions.add_parser("on", help="tell it again; also what switched itself off"),
        actions.add_parser("off", help="tell it nothing until it is switched on"),
        actions.add_parser("test", help="tell it a webhook.test"),
        actions.add_parser("redeliver", help="send everything again that it did not get, and switch it on"),
        actions.add_parser("delete", help="forget a stored endpoint"),
        rotating := actions.add_parser("rotate", help="sign with a new secret too; prints it, once"),
    ]
    rotating.add_argument(
        "--overlap", type=float, default=24.0, metavar="HOURS", help="how long the old one signs on (24)"
    )
    for action in simple:
        action.add_argument("endpoint_id", help="its id or its name")
    for action in (listing, adding, updating, *simple):
        add_app_option(action)
        add_json_option(action)


def run(arguments: Namespace) -> int:
    return execute(_run(arguments))


async def _run(arguments: Namespace) -> int:
    async with open_store(arguments) as store:
        webhooks = WebhookDispatcher(store)
        if "endpoint_id" in arguments:
            arguments.endpoint_id = await _meant(webhooks, arguments)
        await _ACTIONS[arguments.action](webhooks, arguments)
    return OK


async def _meant(webhooks: WebhookDispatcher, arguments: Namespace) -> str:
    """Return the id of the endpoint that a person names, by its id or by its name.

    Raises: InvalidRequest where several have that name.
    """
    wanted: str = arguments.endpoint_id
    if any(each.name == wanted for each in _configured(arguments)):
        return wanted
    stored = [view.endpoint for view in await webhooks.stored.list()]
    if any(each.id == wanted for each in stored):
        return wanted
    named = [each.id for each in stored if each.name == wanted]
    if len(named) > 1:
        ids = ", ".join(named)
        raise InvalidRequest(f"{len(named)} endpoints are called {wanted}; name one by its id: {ids}")
    return named[0] if named else wanted


async def _list(webhooks: WebhookDispatcher, arguments: Namespace) -> None:
    health = await webhooks.stored.health()
    rows = [_line(each, health.get(each.name), "configured") for each in _configured(arguments)]
    rows += [_line(_made(view), view.health, "stored") for view in await webhooks.stored.list()]
    known = {row["id"] for row in rows}
    rows += [
        {"id": each.endpoint, "name": each.endpoint, "from": "not here"} | _doing(each)
        for each in health.values()
        if each.endpoint not in known
    ]
    show(rows, as_json=arguments.json)


async def _add(webhooks: WebhookDispatcher, arguments: Namespace) -> None:
    view = await webhooks.stored.create(
        name=arguments.name, url=arguments.url, events=arguments.events, **_options(arguments)
    )
    secret = view.endpoint.secrets[0].value if view.endpoint.secrets else None
    show_one(_line(_made(view), view.health, "stored") | {"secret": secret}, as_json=arguments.json)


async def _update(webhooks: WebhookDispatcher, arguments: Namespace) -> None:
    changes = {name: getattr(arguments, name) for name in ("name", "url", "events")}
    changes = {name: value for name, value in changes.items() if value is not None} | _options(arguments)
    view = await webhooks.stored.update(arguments.endpoint_id, **changes)
    show_one(_line(_made(view), view.health, "stored"), as_json=arguments.json)


async def _on(webhooks: WebhookDispatcher, arguments: Namespace) -> None:
    await _switch(webhooks, arguments, on=True)


async def _off(webhooks: WebhookDispatcher, arguments: Namespace) -> None:
    await _switch(webhooks, arguments, on=False)


async def _switch(webhooks: WebhookDispatcher, arguments: Namespace, *, on: bool) -> None:
    changed = await webhooks.stored.switch(arguments.endpoint_id, on=on)
    word = ("" if changed else "was ") + ("on" if on else "off")
    show_one({"id": arguments.endpoint_id, "now": word}, as_json=arguments.json)


async def _rotate(webhooks: WebhookDispatcher, arguments: Namespace) -> None:
    overlap = timedelta(hours=arguments.overlap)
    view, secret = await webhooks.stored.rotate_secret(arguments.endpoint_id, overlap=overlap)
    until = max((each.expires_at for each in view.endpoint.secrets if each.expires_at), default=None)
    told = {"id": view.endpoint.id, "secret": secret, "old one signs until": until}
    show_one(told, as_json=arguments.json)


async def _test(webhooks: WebhookDispatcher, arguments: Namespace) -> None:
    if not any(each.name == arguments.endpoint_id for each in _configured(arguments)):
        await webhooks.stored.get(arguments.endpoint_id)
    delivery = await webhooks.stored.send_test(arguments.endpoint_id)
    show_one({"delivery": delivery.id, "now": "due; a worker sends it"}, as_json=arguments.json)


async def _redeliver(webhooks: WebhookDispatcher, arguments: Namespace) -> None:
    known = {each.name for each in _configured(arguments)} | (await webhooks.stored.health()).keys()
    if arguments.endpoint_id not in known:  # of one that is configured elsewhere there is health only
        await webhooks.stored.get(arguments.endpoint_id)
    revived = await webhooks.redeliver_dead(arguments.endpoint_id)
    show_one({"id": arguments.endpoint_id, "due again": revived}, as_json=arguments.json)


async def _delete(webhooks: WebhookDispatcher, arguments: Namespace) -> None:
    if any(each.name == arguments.endpoint_id for each in _configured(arguments)):
        raise NotFound(f"{arguments.endpoint_id} is not stored: it is removed where it is configured")
    await webhooks.stored.delete(arguments.endpoint_id)
    show_one({"id": arguments.endpoint_id, "now": "deleted"}, as_json=arguments.json)


def _configured(arguments: Namespace) -> tuple[Endpoint, ...]:
    if arguments.app:
        from .application import load_bridge

        return load_bridge(arguments).webhooks.endpoints
    from ..settings import Settings

    return endpoints_from_settings(Settings.from_env(os.environ))


def _options(arguments: Namespace) -> dict[str, Any]:
    given = {
        "headers": _pairs(arguments.header),
        "timeout_seconds": arguments.timeout,
        "tries": arguments.tries,
        "concurrency": arguments.at_once,
        "format": arguments.format,
        "user_ids": tuple(arguments.user) if arguments.user else None,
        "organization_ids": tuple(arguments.organization) if arguments.organization else None,
        "metadata": _pairs(arguments.metadata),
        "description": arguments.description,
    }
    return {name: value for name, value in given.items() if value is not None}


def _pairs(given: list[str] | None) -> dict[str, str] | None:
    if not given:
        return None
    return {name: value for name, _, value in (each.partition("=") for each in given)}


def _made(view: EndpointView) -> Endpoint:
    return endpoint_from(view.endpoint, now=view.endpoint.updated_at)


def _line(endpoint: Endpoint, health: EndpointHealth | None, source: str) -> dict[str, object]:
    about = {
        "id": endpoint.name,
        "name": endpoint.label or endpoint.name,
        "from": source,
        "host": endpoint.host,
        "format": endpoint.kind,
        "events": list(endpoint.events),
    }
    return about | _doing(health or EndpointHealth(endpoint=endpoint.name))


def _doing(health: EndpointHealth) -> dict[str, object]:
    return {
        "on": health.disabled_at is None,
        "off because": health.disabled_reason,
        "failures": health.failures,
        "failing since": health.failing_since,
    }


_ACTIONS: Final[dict[str, Callable[[WebhookDispatcher, Namespace], Awaitable[None]]]] = {
    "list": _list,
    "add": _add,
    "update": _update,
    "on": _on,
    "off": _off,
    "rotate": _rotate,
    "test": _test,
    "redeliver": _redeliver,
    "delete": _delete,
}
