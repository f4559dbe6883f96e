"""What a command prints: plain tables for people, JSON for machines, one line for an error, an exit code."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from ..errors import BridgeError, ConfigurationError

__all__ = ["FAILED", "MISCONFIGURED", "OK", "add_json_option", "execute", "show", "show_one"]

OK: Final = 0
FAILED: Final = 1
MISCONFIGURED: Final = 2
_INTERRUPTED: Final = 130
_WIDEST: Final = 60


def add_json_option(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def execute(work: Coroutine[Any, Any, int]) -> int:
    """Run a command to its end and return its exit code; an error of ours is one line, never a traceback."""
    try:
        return asyncio.run(work)
    except ConfigurationError as error:
        print(f"bridge-payments: configuration: {error}", file=sys.stderr)
        return MISCONFIGURED
    except BridgeError as error:
        print(f"bridge-payments: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    except (
        BrokenPipeError
    ):  # whoever reads us (`head`) has seen enough; nothing may be flushed at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def show(rows: Sequence[Mapping[str, object]], *, as_json: bool, empty: str = "none") -> None:
    """Print *rows*; the keys of the first are the columns. Long cells are cut, except the last column's."""
    if as_json:
        print(json.dumps([{name: _plain(value) for name, value in row.items()} for row in rows], indent=2))
        return
    if not rows:
        print(empty)
        return
    columns = list(rows[0])
    cells = [
        columns,
        *([_cell(row.get(name), whole=name == columns[-1]) for name in columns] for row in rows),
    ]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def show_one(row: Mapping[str, object], *, as_json: bool) -> None:
    """Print one thing, a field a line, in full."""
    if as_json:
        print(json.dumps({name: _plain(value) for name, value in row.items()}, indent=2))
        return
    width = max(len(name) for name in row)
    for name, value in row.items():
        lines = _text(value).splitlines() or ["-"]
        print(f"{name.ljust(width)}  {lines[0]}")
        for line in lines[1:]:
            print(f"{' ' * width}  {line}")


def _cell(value: object, *, whole: bool) -> str:
    text = " ".join(_text(value).split())
    return text if whole or len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _text(value: object) -> str:
    match _plain(value):
        case None | "":
            return "-"
        case bool(truth):
            return "yes" if truth else "no"
        case list(items):
            return ", ".join(_text(item) for item in items) or "-"
        case other:
            return str(other)


def _plain(value: object) -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        case Mapping():
            return {str(name): _plain(item) for name, item in value.items()}
        case tuple() | list() | set() | frozenset():
            return [_plain(item) for item in value]
        case _:
            return str(value)
