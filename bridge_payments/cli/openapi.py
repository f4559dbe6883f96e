"""bridge-payments openapi: print the OpenAPI document, or write it into a file. Needs no installation."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..http import ROUTES, openapi
from .console import OK

__all__ = ["HELP", "configure", "run"]

HELP = "print the OpenAPI 3.1 document of the HTTP API"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--prefix",
        default="/bridge-payment",
        metavar="PATH",
        help="where the API is mounted (default /bridge-payment)",
    )
    parser.add_argument("--output", metavar="FILE", help="write there instead of printing")


def run(arguments: Namespace) -> int:
    text = (
        json.dumps(openapi(ROUTES, prefix=arguments.prefix.rstrip("/")), indent=2, ensure_ascii=False) + "\n"
    )
    if arguments.output:
        Path(arguments.output).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    return OK
