"""bridge-payments sandbox: a shop, a fake gateway and switches that break it. No account, no network."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import sys
import threading
import webbrowser
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Final

from ..errors import ConfigurationError, MissingExtra
from .console import FAILED, MISCONFIGURED, OK

if TYPE_CHECKING:
    import uvicorn

__all__ = ["HELP", "configure", "run"]

HELP = "try everything: a shop, a fake payment gateway, and switches that break it"

PROVIDERS: Final = ("stripe",)
DATABASE: Final = "sqlite:///bridge-sandbox.db"
_NEEDED: Final = ("starlette", "uvicorn", "stripe", "alembic")


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=8080, help="of the shop and the API (default 8080)")
    parser.add_argument("--provider", choices=PROVIDERS, default="stripe", help="which gateway is faked")
    parser.add_argument("--database", metavar="URL", default=DATABASE, help=f"default {DATABASE}")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")


def run(arguments: Namespace) -> int:
    try:
        return _serve(arguments)
    except ConfigurationError as error:
        print(f"bridge-payments: configuration: {error}", file=sys.stderr)
        return MISCONFIGURED


def _serve(arguments: Namespace) -> int:
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise MissingExtra("sandbox", needed_for="bridge-payments sandbox")
    import uvicorn

    from ..sandbox.app import build_app
    from ..sandbox.world import Sandbox, refuse_live_keys

    refuse_live_keys(os.environ)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    sandbox = Sandbox(database_url=arguments.database, port=arguments.port)
    config = uvicorn.Config(
        build_app(sandbox),
        host="127.0.0.1",
        port=arguments.port,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
        ws="none",
    )
    server = uvicorn.Server(config)
    threading.Thread(target=_announce, args=(server, sandbox.url, arguments), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):  # raised again by uvicorn after everything is closed
        server.run()
    return OK if server.started else FAILED


def _announce(server: uvicorn.Server, url: str, arguments: Namespace) -> None:
    """Say where everything is as soon as it is there, and show it."""
    pause = threading.Event()
    while not server.started:
        if server.should_exit:
            return
        pause.wait(0.05)
    print(
        f"\n  The shop            {url}"
        f"\n  Behind the scenes   {url}/live"
        f"\n  The API             {url}/bridge-payment"
        f"\n  The database        {arguments.database}"
        "\n\n  No real money moves here. Stop with Ctrl+C.\n",
        flush=True,
    )
    if not arguments.no_browser:
        webbrowser.open(url)
