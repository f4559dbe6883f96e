"""
Processes that are cheap enough to kill by the hundred: forked from one that has imported everything.

The zygote is an interpreter of its own. It imports, then waits; it never has a loop, a thread or a pool,
so that a fork of it is a clean process. It knows nothing of what its children do: each gets a socket, reads
its job from it and answers there, or is dead and the socket ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

__all__ = ["Child", "ChildFailed", "Job", "Zygote"]

Job = Callable[..., Awaitable[Any]]
"""A coroutine function of a module; its first argument is the child's `Connection`."""

PATIENCE = 60.0
"""Seconds after which a child that says nothing is a failure and not a slow one."""
PATIENCE_FOR_MANY = 170.0
"""The same for a child that brings many orders forward."""


class ChildFailed(AssertionError):
    """A child ended with an error; its traceback is the message."""


class Child:
    """One forked process. It answers, or it was killed."""

    def __init__(self, link: Connection, what: str) -> None:
        self.link = link
        self._what = what
        self.pid: int = link.recv()

    def hear(self, *, timeout: float = PATIENCE) -> Any:
        """Return the next thing that the child says by itself."""
        kind, value = self._next(timeout)
        assert kind == "said", f"{self._what} ended: {kind} {value}"
        return value

    def say(self, value: object) -> None:
        self.link.send(value)

    def result(self, *, timeout: float = PATIENCE) -> Any:
        """Return what the job returned. Raises ChildFailed with its traceback, or if it was killed."""
        outcome = self.ending(timeout=timeout)
        if outcome is None:
            raise ChildFailed(f"{self._what} was killed")
        return outcome[0]

    def ending(self, *, timeout: float = PATIENCE) -> tuple[Any] | None:
        """Return what the job returned, in a tuple, or None for a process that was killed."""
        try:
            kind, value = self._next(timeout)
        except EOFError:
            return None
        finally:
            self.link.close()
        if kind == "failed":
            raise ChildFailed(f"{self._what}\n{value}")
        assert kind == "done", f"{self._what} said {value!r}"
        return (value,)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def _next(self, timeout: float) -> Any:
        if not self.link.poll(timeout):
            with contextlib.suppress(ProcessLookupError):
                self.signal(signal.SIGKILL)
            raise ChildFailed(f"{self._what} said nothing for {timeout:.0f} s")
        try:
            return self.link.recv()
        except ConnectionResetError:
            raise EOFError from None


class Zygote:
    """The parent's hold on it."""

    def __init__(self) -> None:
        mine, theirs = socket.socketpair()
        support = str(Path(__file__).parents[1])
        path = os.pathsep.join(filter(None, [support, os.environ.get("PYTHONPATH")]))
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "crashlab.zygote"],
                stdin=theirs,
                env={**os.environ, "PYTHONPATH": path},
            )
        self._control = mine
        assert mine.recv(1) == b"!", "the zygote did not start"

    def fork(self, job: Job, *args: Any, **kwargs: Any) -> Child:
        """Start *job* in a process of its own."""
        mine, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"f"], [theirs.fileno()])
        link = Connection(mine.detach())
        link.send((job, args, kwargs))
        return Child(link, textwrap.shorten(f"{job.__name__}{args[1:]}", 200))

    def run(self, job: Job, *args: Any, **kwargs: Any) -> Any:
        """Run *job*, about any number of orders, in a process of its own and return its result."""
        return self.fork(job, *args, **kwargs).result(timeout=PATIENCE_FOR_MANY)

    def close(self) -> None:
        self._control.close()
        self._process.wait(10)


# --- inside the zygote ----------------------------------------------------------------------------

_LAZY = (
    "anyio._backends._asyncio",
    "asyncpg",
    "asyncmy",
    "bridge_payments.providers.authorize_net",
    "bridge_payments.providers.paypal",
    "bridge_payments.providers.paypal.client",
    "bridge_payments.providers.stripe.client",
    "bridge_payments.sandbox.paypal.webhooks",
    "bridge_payments.transport.wire",
    "cryptography.hazmat.primitives.asymmetric.rsa",
    "crashlab.jobs",
    "crashlab.lives",
    "crashlab.racing",
    "sqlalchemy.dialects.mysql.asyncmy",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.sqlite.pysqlite",
)
"""What the jobs import, and what that imports when it is first needed."""


_SERVICES = (
    "customers", "invoices", "payment_intents", "payment_methods", "products", "refunds", "setup_intents",
    "subscriptions",
)  # fmt: skip
_NOUNS = (
    "charge", "customer", "event", "invoice", "list", "payment_intent", "payment_method", "product", "refund",
    "setup_intent", "subscription", "subscription_item",
)  # fmt: skip


def serve() -> None:
    control = socket.socket(fileno=os.dup(0))
    _import_everything()
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead: their sockets tell
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control.send(b"!")
    while True:
        _, fds, _, _ = socket.recv_fds(control, 1, 1)
        if not fds:
            return
        if os.fork() == 0:
            control.close()
            _live(Connection(fds[0]))
        os.close(fds[0])


def _import_everything() -> None:
    for name in _LAZY:
        importlib.import_module(name)

    import stripe
    from stripe._object_classes import get_object_class

    # What the SDK imports when it first meets it.
    services = stripe.StripeClient("sk_test_1").v1
    for service in _SERVICES:
        getattr(services, service)
    for noun in _NOUNS:
        get_object_class("V1", noun)


def _live(link: Connection) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        link.send(os.getpid())
        job, args, kwargs = link.recv()
        link.send(("done", asyncio.run(job(link, *args, **kwargs))))
    except BaseException:  # noqa: BLE001 - whatever it was, the parent shows it
        with contextlib.suppress(OSError):
            link.send(("failed", traceback.format_exc()))
    finally:
        sys.stderr.flush()
        os._exit(0)


if __name__ == "__main__":
    serve()
