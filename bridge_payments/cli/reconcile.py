"""bridge-payments reconcile: ask the providers about every operation whose outcome is open, once."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .application import add_app_option, open_bridge
from .console import OK, add_json_option, execute, show_one

__all__ = ["HELP", "configure", "run"]

HELP = "ask the providers about operations whose outcome is open"


def configure(parser: ArgumentParser) -> None:
    add_app_option(parser)
    add_json_option(parser)
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="how many at a time (default 50)")


def run(arguments: Namespace) -> int:
    return execute(_reconcile(arguments))


async def _reconcile(arguments: Namespace) -> int:
    async with open_bridge(arguments) as bridge:
        await bridge.engine.store.check()
        looked_at = 0
        while handled := await bridge.engine.reconcile(limit=arguments.limit):
            looked_at += handled
        still_open = await bridge.engine.list_unknown(limit=1000)
        show_one({"looked at": looked_at, "still open": len(still_open)}, as_json=arguments.json)
    return OK
