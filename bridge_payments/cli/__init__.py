"""The command bridge-payments: one file per command, imported only when it is called."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from typing import Any, Final

__all__ = ["COMMANDS", "main"]

COMMANDS: Final = {
    "sandbox": "try everything: a shop, a fake payment gateway, and switches that break it",
    "serve": "serve the HTTP API",
    "worker": "do the background work: deliveries, inbox, reconciliation, sweep, clean-up",
    "reconcile": "ask the providers about operations whose outcome is open",
    "sweep": "read payments that are not final at their providers",
    "unknown": "operations whose outcome is open",
    "endpoints": "whom we tell of events: list, add, update, on, off, rotate, test, redeliver, delete",
    "webhooks": "received webhooks (list, show, replay) and sent ones (deliveries, redeliver)",
    "db": "the database's schema: upgrade, current, check, sql, partitions",
    "new-provider": "begin a provider of your own: a package that says what it is still missing",
    "providers": "installed kinds, enabled accounts, and what each can do",
    "openapi": "print the OpenAPI 3.1 document of the HTTP API",
    "doctor": "look for what is wrong with this installation",
}
"""Each is the module of that name beside this one (a hyphen is an underscore there), with ``HELP``,
``configure`` and ``run``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="bridge-payments", description="Payments that are not lost and not made twice."
    )
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    commands = parser.add_subparsers(dest="command", metavar="command")
    for name, text in _present().items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if name in argv[:1]:  # only the command that is called is imported
            _module(name).configure(command)
    arguments = parser.parse_args(argv)
    if arguments.version:
        print(_version())
        return 0
    if arguments.command is None:
        parser.print_help()
        return 2
    result: int = _module(arguments.command).run(arguments)
    return result


def _module(command: str) -> Any:
    return importlib.import_module(_path(command), __name__)


def _path(command: str) -> str:
    return "." + command.replace("-", "_")


def _present() -> dict[str, str]:
    return {name: text for name, text in COMMANDS.items() if importlib.util.find_spec(_path(name), __name__)}


def _version() -> str:
    from importlib.metadata import version

    return version("bridge-payments")
