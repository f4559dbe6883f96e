"""bridge-payments sweep: read every due payment at its provider, once."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .application import add_app_option, open_bridge
from .console import OK, add_json_option, execute, show_one

__all__ = ["HELP", "configure", "run"]

HELP = "read payments that are not final at their providers"


def configure(parser: ArgumentParser) -> None:
    add_app_option(parser)
    add_json_option(parser)
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="how many at a time (default 50)")


def run(arguments: Namespace) -> int:
    return execute(_sweep(arguments))


async def _sweep(arguments: Namespace) -> int:
    async with open_bridge(arguments) as bridge:
        await bridge.engine.store.check()
        synced = 0
        while handled := await bridge.engine.sweep(limit=arguments.limit):
            synced += handled
        show_one({"synced": synced}, as_json=arguments.json)
    return OK
