"""What a command works on: the application's own bridge, or one built from the environment."""

from __future__ import annotations

import logging
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from ..telemetry import configure_logging

if TYPE_CHECKING:
    from ..bridge import Bridge
    from ..settings import Settings
    from ..stores.base import Store

__all__ = ["add_app_option", "load_bridge", "open_bridge", "open_store", "start_logging"]

APP_VARIABLE = "BRIDGE_APP"


def add_app_option(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--app",
        metavar="MODULE:NAME",
        default=os.environ.get(APP_VARIABLE),
        help="your application's Bridge, or a function that returns it; brings your handlers and your "
        f"approve hook along (default: ${APP_VARIABLE}, else a bridge built from the environment)",
    )


def load_bridge(arguments: Namespace) -> Bridge:
    """Return the bridge that the arguments name. Raises ConfigurationError; nothing is connected yet."""
    from ..bridge import Bridge

    if not arguments.app:
        return Bridge.from_env(os.environ)
    bridge = _named(arguments.app)
    if callable(bridge) and not isinstance(bridge, Bridge):
        bridge = bridge()
    if not isinstance(bridge, Bridge):
        raise ConfigurationError(f"--app {arguments.app} is not a Bridge")
    return bridge


@asynccontextmanager
async def open_bridge(arguments: Namespace) -> AsyncIterator[Bridge]:
    """Yield the bridge, without its background work, and close it."""
    bridge = load_bridge(arguments)
    try:
        yield bridge
    finally:
        await bridge.aclose()


@asynccontextmanager
async def open_store(arguments: Namespace) -> AsyncIterator[Store]:
    """Yield the store alone: an operator reads rows without any provider's credentials."""
    if arguments.app:
        async with open_bridge(arguments) as bridge:
            yield bridge.engine.store
        return
    from ..settings import Settings
    from ..stores.sql import SQLStore

    store = SQLStore.from_settings(Settings.from_env(os.environ))
    try:
        yield store
    finally:
        await store.aclose()


def start_logging(settings: Settings) -> None:
    """Log as the settings say, unless the application brought its own logging along."""
    loggers = (logging.getLogger(), logging.getLogger("bridge_payments"))
    # The library brings a NullHandler, as libraries should: it writes nothing.
    if all(isinstance(handler, logging.NullHandler) for logger in loggers for handler in logger.handlers):
        level = settings.log_level
        configure_logging("warn" if settings.log_mode and level != "error" else level, settings.log_format)


def _named(path: str) -> object:
    module_name, colon, attribute = path.partition(":")
    if not (module_name and colon and attribute):
        raise ConfigurationError("--app is written package.module:name")
    if "" not in sys.path:
        sys.path.insert(0, "")  # as the application's own server does: modules beside the current folder
    try:
        found: object = import_module(module_name)
        for name in attribute.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"--app {path}: {error}") from error
    return found
