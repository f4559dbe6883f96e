"""The blocking face: run coroutine functions from ordinary threads, on one event loop per process."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Final, ParamSpec, TypeVar

from .errors import ConfigurationError

__all__ = ["Blocking"]

P = ParamSpec("P")
T = TypeVar("T")

_forgotten: list[object] = []
"""Loops of a parent process. They are kept, because a loop that is collected takes its own wake-up socket
out of the epoll set that both processes share, and the parent would never wake again."""

_living: weakref.WeakSet[Blocking] = weakref.WeakSet()


class Blocking:
    """Runs coroutine functions for synchronous code: Flask views, scripts, Django, a REPL.

    Every call of this process shares one loop in one thread, because connections belong to the loop that
    opened them: a loop per call, or per thread, breaks pools that are shared. Nothing starts before the
    first call. A forked child gets its own loop at its first call; what belonged to the parent's loop is
    to be dropped by the callbacks of :meth:`on_fork`, without closing it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._on_fork: list[Callable[[], None]] = []
        _living.add(self)

    def call(self, func: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Await ``func(*args, **kwargs)`` on the shared loop and return its result, or raise its error.

        An interrupt (Ctrl-C, a worker's timeout) cancels the call on the loop.

        Raises: RuntimeError when the caller runs on an event loop itself: `await` there instead.
        ConfigurationError under gevent or eventlet.
        """
        _refuse_running_loop()
        loop = self._started()
        future = asyncio.run_coroutine_threadsafe(func(*args, **kwargs), loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def on_fork(self, callback: Callable[[], None]) -> None:
        """Run *callback* in every forked child: forget pools and clients there, do not close them."""
        self._on_fork.append(callback)

    @property
    def running(self) -> bool:
        """Whether this process has a loop to call on."""
        return self._loop is not None

    def close(self) -> None:
        """Stop the loop and wait for its thread; a later call starts a new one."""
        _refuse_running_loop()
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                _refuse_green_threads()
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_run, args=(self._loop,), name="bridge-payments", daemon=True
                )
                self._thread.start()
            return self._loop

    def _forget(self) -> None:
        # The parent's thread does not exist here, and whoever held the lock does not either.
        self._lock = threading.Lock()
        if self._loop is not None:
            _forgotten.append(self._loop)
        self._loop = self._thread = None
        for callback in self._on_fork:
            callback()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        for task in (left := asyncio.all_tasks(loop)):
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _refuse_running_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "this thread runs an event loop, which a blocking call would stop: await the function instead"
    )


_GREEN: Final = {
    "gevent.monkey": ("is_module_patched", "gevent"),
    "eventlet.patcher": ("is_monkey_patched", "eventlet"),
}


def _refuse_green_threads() -> None:
    """Refuse patched threads: the loop's thread would be a greenlet, and waiting for it stops everything."""
    for module, (asks, name) in _GREEN.items():
        is_patched = getattr(sys.modules.get(module), asks, None)
        if is_patched is not None and (is_patched("threading") or is_patched("thread")):
            raise ConfigurationError(
                f"{name} has replaced threads in this process, and an event loop cannot run in one of its "
                "greenlets: use real threads (gunicorn --threads) or an ASGI server"
            )


def _forget_all() -> None:
    for blocking in list(_living):
        blocking._forget()  # noqa: SLF001 - a fork happens to the module, not to one object


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
