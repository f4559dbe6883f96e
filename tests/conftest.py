"""What every test may ask for: one event loop, this machine's counterparts, no network but loopback."""

from __future__ import annotations

import ipaddress
import logging
import sys
from collections.abc import Iterator

import pytest

# tests/lab, tests/support
pytest_plugins = [
    "processes",  # before those that import it
    "bridge_lab.plugin",
    "bridge_lab.authorize_net",
    "counterparts",
    "crashlab.plugin",
]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """One event loop per process is part of the design, and it is asyncio's."""
    return "asyncio"


def _loopback_only(event: str, args: tuple[object, ...]) -> None:
    """Refuse to leave this machine: a test that reaches a real provider is a bug, whatever it proves."""
    if event != "socket.connect" or not isinstance(args[1], tuple):
        return
    host = str(args[1][0])
    try:
        allowed = ipaddress.ip_address(host).is_loopback
    except ValueError:
        allowed = host in ("localhost", "")
    if not allowed:
        raise RuntimeError(f"a test tried to connect to {host}: tests talk to loopback only")


sys.addaudithook(_loopback_only)


@pytest.fixture(autouse=True)
def the_log_as_it_was() -> Iterator[None]:
    """Whoever sets the log up, a page's code for instance, does it for one test."""
    log = logging.getLogger("bridge_payments")
    handlers, level, spreads = list(log.handlers), log.level, log.propagate
    yield
    log.handlers[:], log.propagate = handlers, spreads
    log.setLevel(level)
