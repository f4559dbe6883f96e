"""bridge-payments webhooks: received ones (list, show, replay) and sent ones (deliveries, redeliver)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from ..errors import NotFound
from ..models import Delivery, DeliveryState, InboxEntry, InboxState
from ..stores.base import Store, Unit
from .application import add_app_option, open_store
from .console import OK, add_json_option, execute, show, show_one

__all__ = ["HELP", "configure", "run"]

HELP = "received webhooks (list, show, replay) and sent ones (deliveries, redeliver)"


def configure(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="|".join(_ACTIONS))
    listing = actions.add_parser("list", help="what providers sent, newest first")
    listing.add_argument("--provider", metavar="ID", help="of one account")
    listing.add_argument("--state", choices=[state.value for state in InboxState])
    showing = actions.add_parser("show", help="one received webhook, with the reason if it failed")
    showing.add_argument("entry_id")
    showing.add_argument("--payload", action="store_true", help="its body too: it holds the payer's data")
    replaying = actions.add_parser("replay", help="process received webhooks again; they are due at once")
    replaying.add_argument("entry_id", nargs="+")
    sending = actions.add_parser("deliveries", help="what was sent or is on its way, newest first")
    sending.add_argument("--state", choices=[state.value for state in DeliveryState])
    sending.add_argument("--event", metavar="ID", help="of one event")
    sending.add_argument("--endpoint", metavar="ID", help="to one endpoint")
    again = actions.add_parser("redeliver", help="send deliveries again; they are due at once")
    again.add_argument("delivery_id", nargs="+")
    for action in (listing, sending):
        action.add_argument("--limit", type=int, default=50, metavar="N")
    for action in (listing, showing, replaying, sending, again):
        add_app_option(action)
        add_json_option(action)


def run(arguments: Namespace) -> int:
    return execute(_run(arguments))


async def _run(arguments: Namespace) -> int:
    async with open_store(arguments) as store:
        await _ACTIONS[arguments.action](store, arguments)
    return OK


async def _list(store: Store, arguments: Namespace) -> None:
    state = InboxState(arguments.state) if arguments.state else None

    def read(unit: Unit) -> list[InboxEntry]:
        return list(unit.inbox.list(provider_id=arguments.provider, state=state, limit=arguments.limit))

    show([_entry_line(entry) for entry in await store.run(read, write=False)], as_json=arguments.json)


async def _show(store: Store, arguments: Namespace) -> None:
    entry = await store.run(lambda unit: unit.inbox.get(arguments.entry_id), write=False)
    if entry is None:
        raise NotFound(f"there is no received webhook {arguments.entry_id}")
    whole = _entry_line(entry) | {
        "reference": entry.reference,
        "our reference": entry.our_reference,
        "livemode": entry.livemode,
        "api version": entry.api_version,
        "processed": entry.processed_at,
        "next try": entry.available_at,
        "headers": sorted(entry.headers),
        "sha256": entry.payload_hash,
        "error": entry.error_message,
    }
    show_one(whole | ({"payload": entry.payload} if arguments.payload else {}), as_json=arguments.json)


async def _replay(store: Store, arguments: Namespace) -> None:
    for entry_id in arguments.entry_id:
        if not await store.run(partial(_make_due, entry_id=entry_id)):
            raise NotFound(f"there is no received webhook {entry_id}")
    show([{"id": entry_id, "now": "due"} for entry_id in arguments.entry_id], as_json=arguments.json)


def _make_due(unit: Unit, *, entry_id: str) -> bool:
    return unit.inbox.replay(entry_id)


async def _deliveries(store: Store, arguments: Namespace) -> None:
    state = DeliveryState(arguments.state) if arguments.state else None

    def read(unit: Unit) -> list[Delivery]:
        return list(
            unit.deliveries.list(
                state=state, event_id=arguments.event, endpoint=arguments.endpoint, limit=arguments.limit
            )
        )

    show([_delivery_line(found) for found in await store.run(read, write=False)], as_json=arguments.json)


async def _redeliver(store: Store, arguments: Namespace) -> None:
    from ..webhooks import WebhookDispatcher

    webhooks = WebhookDispatcher(store)
    rows = []
    for delivery_id in arguments.delivery_id:
        revived = await webhooks.redeliver(delivery_id)
        rows.append({"id": delivery_id, "now": "due" if revived else "was due anyway"})
    show(rows, as_json=arguments.json)


def _entry_line(entry: InboxEntry) -> dict[str, object]:
    return {
        "id": entry.id,
        "account": entry.provider_id,
        "event": entry.provider_event_id,
        "type": entry.event_type,
        "state": entry.state.value,
        "tries": entry.attempts,
        "received": entry.created_at,
        "payment": entry.payment_id,
    }


def _delivery_line(delivery: Delivery) -> dict[str, object]:
    return {
        "id": delivery.id,
        "event": delivery.event_id,
        "type": delivery.event_type,
        "endpoint": delivery.endpoint,
        "state": delivery.state.value,
        "tries": delivery.attempts,
        "status": delivery.status_code,
        "next try": delivery.available_at if delivery.state is DeliveryState.PENDING else None,
        "delivered": delivery.delivered_at,
        "error": delivery.error,
    }


_ACTIONS: Final[dict[str, Callable[[Store, Namespace], Awaitable[None]]]] = {
    "list": _list,
    "show": _show,
    "replay": _replay,
    "deliveries": _deliveries,
    "redeliver": _redeliver,
}
