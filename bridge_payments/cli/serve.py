"""bridge-payments serve: the HTTP API in a process of its own, from the environment."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from ..errors import BridgeError, ConfigurationError, MissingExtra
from .application import add_app_option, load_bridge, start_logging
from .console import FAILED, MISCONFIGURED, OK

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from ..bridge import Bridge

__all__ = ["HELP", "application", "configure", "run"]

HELP = "serve the HTTP API"

PREFIX = "/bridge-payment"


def configure(parser: ArgumentParser) -> None:
    add_app_option(parser)
    parser.add_argument("--host", help="address to listen on (default: $HOST, else 0.0.0.0)")
    parser.add_argument("--port", type=int, help="port to listen on (default: $PORT, else 3001)")
    parser.add_argument("--prefix", default=PREFIX, help=f"where the API begins (default {PREFIX})")


def run(arguments: Namespace) -> int:
    try:
        bridge = load_bridge(arguments)
        app = application(bridge, prefix=arguments.prefix)
        _listen(app, bridge, arguments)
    except ConfigurationError as error:
        print(f"bridge-payments: configuration: {error}", file=sys.stderr)
        return MISCONFIGURED
    except BridgeError as error:
        print(f"bridge-payments: {error}", file=sys.stderr)
        return FAILED
    return OK


def application(bridge: Bridge, *, prefix: str = PREFIX) -> Starlette:
    """Return the API under *prefix* and its health routes at the root."""
    try:
        from starlette.applications import Starlette
    except ImportError:
        raise MissingExtra("starlette", needed_for="bridge-payments serve") from None
    from ..mounts.starlette import health_routes, payments_mount

    routes = [*health_routes(bridge), payments_mount(bridge, prefix.rstrip("/"))]
    return Starlette(routes=routes, lifespan=bridge.lifespan)


def _listen(app: Starlette, bridge: Bridge, arguments: Namespace) -> None:
    try:
        import uvicorn
    except ImportError:
        raise MissingExtra("sandbox", needed_for="bridge-payments serve (uvicorn)") from None
    settings = bridge.settings
    start_logging(settings)
    uvicorn.run(
        app,
        host=arguments.host or settings.host,
        port=settings.port if arguments.port is None else arguments.port,
        log_level="warning" if settings.log_level == "warn" else settings.log_level,
        server_header=False,
        proxy_headers=False,  # the mount reads them itself, and only from BRIDGE_TRUSTED_PROXIES
    )
