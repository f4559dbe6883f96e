"""bridge-payments sandbox: a shop, fake gateways and switches that break them. No account, no network."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import socket
import sys
import threading
import webbrowser
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Final

from ..errors import BridgeError, ConfigurationError, MissingExtra
from ..sandbox import GATEWAYS, NEEDED
from .console import FAILED, MISCONFIGURED, OK

if TYPE_CHECKING:
    import uvicorn

    from ..sandbox.world import Sandbox

__all__ = ["HELP", "configure", "run"]

HELP = "try everything: a shop, fake payment gateways, and switches that break them"

ALL: Final = "all"
DATABASE: Final = "sqlite:///bridge-sandbox.db"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=8080, help="of the shop and the API (default 8080)")
    parser.add_argument(
        "--provider", choices=(*GATEWAYS, ALL), default=ALL, help="which gateway is faked (default: all)"
    )
    parser.add_argument("--database", metavar="URL", default=DATABASE, help=f"default {DATABASE}")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")


def run(arguments: Namespace) -> int:
    try:
        return _serve(arguments)
    except ConfigurationError as error:
        print(f"bridge-payments: configuration: {error}", file=sys.stderr)
        return MISCONFIGURED


def _serve(arguments: Namespace) -> int:
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        raise MissingExtra("sandbox", needed_for="bridge-payments sandbox")
    from ..sandbox.world import Sandbox, refuse_live_keys

    refuse_live_keys(os.environ)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    with _listening(arguments.port) as door:
        asyncio.run(_reach(arguments.database))
        chosen = GATEWAYS if arguments.provider == ALL else (arguments.provider,)
        sandbox = Sandbox(database_url=arguments.database, port=arguments.port, providers=chosen)
        return _open(sandbox, door, arguments)


def _open(sandbox: Sandbox, door: socket.socket, arguments: Namespace) -> int:
    import uvicorn

    from ..sandbox.app import build_app

    config = uvicorn.Config(
        build_app(sandbox),
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
        ws="none",
    )
    server = uvicorn.Server(config)
    threading.Thread(target=_announce, args=(server, sandbox.url, arguments), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):  # raised again by uvicorn after everything is closed
        server.run(sockets=[door])
    return OK if server.started else FAILED


def _listening(port: int) -> socket.socket:
    """Take the shop's port before anything else is opened, or say why that cannot be."""
    if not 0 < port < 65536:
        raise ConfigurationError(f"--port {port}: a port is a number from 1 to 65535")
    # Said to be TCP, or asyncio leaves Nagle on and every answer waits 40 ms for an acknowledgement.
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(("127.0.0.1", port))
        door.listen()  # on Linux only this tells that somebody else is listening
    except OSError as error:
        door.close()
        raise ConfigurationError(f"--port {port}: {error.strerror}; try another one") from None
    return door


async def _reach(url: str) -> None:
    """Open the database once before the shop does, so that an error is one line about the database."""
    from ..stores.sql import SQLStore

    try:
        store = SQLStore(url)
        try:
            await store.upgrade()
        finally:
            await store.aclose()
    except ConfigurationError:
        raise
    except BridgeError as error:
        raise ConfigurationError(f"--database: {error}") from None


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
        f"\n  The dashboard       {url}/dashboard"
        f"\n  The API             {url}/bridge-payment"
        f"\n  The database        {arguments.database}"
        "\n\n  No real money moves here. Stop with Ctrl+C.\n",
        flush=True,
    )
    if not arguments.no_browser:
        webbrowser.open(url)
