"""bridge-payments unknown: operations of which nobody knows yet whether they were executed, and their end."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser, Namespace
from datetime import datetime

from ..errors import NotFound
from ..models import Claim, Operation, Principal, utc_now
from .application import add_app_option, open_bridge, open_store
from .console import OK, add_json_option, execute, show, show_one

__all__ = ["HELP", "configure", "run"]

HELP = "operations whose outcome is open"


def configure(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|show|resolve")
    listing = actions.add_parser("list", help="oldest first")
    listing.add_argument("--limit", type=int, default=50, metavar="N")
    showing = actions.add_parser("show", help="one operation: what is known of it, and its request id")
    showing.add_argument("operation_id")
    resolving = actions.add_parser(
        "resolve",
        help="say what became of one that the provider cannot tell by itself",
        description="Asks the provider first, and believes it. What is executed is read there by its "
        "reference and has to be this payment; what is not executed is given up and never sent again.",
    )
    resolving.add_argument("operation_id")
    outcome = resolving.add_mutually_exclusive_group(required=True)
    outcome.add_argument(
        "--executed", metavar="REFERENCE", help="the provider's reference of what came of it"
    )
    outcome.add_argument("--not-executed", action="store_true", help="nothing came of it")
    resolving.add_argument(
        "--evidence", required=True, metavar="TEXT", help="how you know: kept with the operation, for good"
    )
    resolving.add_argument("--by", metavar="NAME", help="who says so (default: your login on this machine)")
    for action in (listing, showing, resolving):
        add_app_option(action)
        add_json_option(action)


def run(arguments: Namespace) -> int:
    actions = {"list": _list, "show": _show, "resolve": _resolve}
    return execute(actions[arguments.action](arguments))


async def _list(arguments: Namespace) -> int:
    async with open_store(arguments) as store:
        found = await store.run(lambda unit: unit.operations.list_open(limit=arguments.limit), write=False)
    now = utc_now()
    show([_line(operation, now) for operation in found], as_json=arguments.json, empty="nothing is open")
    return OK


async def _show(arguments: Namespace) -> int:
    async with open_store(arguments) as store:
        found = await store.run(lambda unit: unit.operations.get(arguments.operation_id), write=False)
    if found is None:
        raise NotFound(f"there is no operation {arguments.operation_id}")
    show_one(_whole(found), as_json=arguments.json)
    return OK


async def _resolve(arguments: Namespace) -> int:
    by = arguments.by or getpass.getuser()
    async with open_bridge(arguments) as bridge:
        await bridge.engine.store.check()
        ended = await bridge.engine.resolve_operation(
            arguments.operation_id,
            outcome=Claim.NOT_EXECUTED if arguments.not_executed else Claim.EXECUTED,
            reference=arguments.executed,
            evidence=arguments.evidence,
            principal=Principal.admin(by),
        )
    show_one(_whole(ended), as_json=arguments.json)
    return OK


def _line(operation: Operation, now: datetime) -> dict[str, object]:
    return {
        "id": operation.id,
        "verb": operation.verb.value,
        "state": operation.state.value,
        "payment": operation.subject_id,
        "account": operation.provider_id,
        "minutes": int((now - operation.created_at).total_seconds() // 60),
        "looked at": operation.attempts,
        "error": operation.error_code,
    }


def _whole(operation: Operation) -> dict[str, object]:
    """Everything but inputs and step results: those may hold a payer's data or a secret."""
    return {
        "id": operation.id,
        "verb": operation.verb.value,
        "state": operation.state.value,
        "payment": operation.subject_id,
        "refund": operation.refund_id,
        "account": operation.provider_id,
        "reference": operation.reference,
        "asked by": operation.principal,
        "created": operation.created_at,
        "updated": operation.updated_at,
        "finished": operation.finished_at,
        "looked at": operation.attempts,
        "next look": operation.due_at,
        "leased until": operation.lease_until,
        "steps done": sorted(name for name in operation.steps if not name.startswith("-")),
        "inputs hash": operation.inputs_hash,
        "api version": operation.api_version,
        "request id": operation.request_id,
        "http status": operation.http_status,
        "error": operation.error_code,
        "message": operation.error_message,
        "decline code": operation.decline_code,
        "resolution": operation.resolution,
        "statements": [
            {
                "at": said.at,
                "by": said.by,
                "outcome": said.outcome.value,
                "reference": said.reference,
                "evidence": said.evidence,
                "came of": said.came_of,
            }
            for said in operation.statements
        ],
    }
