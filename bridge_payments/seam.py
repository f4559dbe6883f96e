"""
The seams that reach everywhere: the numbered one, and the trace in which something is done.

The numbered seam: every statement, commit, send, receive and delivery passes through one function.

In production nobody watches and a pass costs one comparison. The crash proof
(`tests/crash`) watches: it counts the passes of a recorded run, then runs again
and kills the process at the n-th. A new statement becomes a new point by
itself, because the point is where the work is, not in a list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

__all__ = ["Point", "passing", "traced", "traced_by", "watched"]

Point = Literal["statement", "commit", "committed", "send", "receive", "deliver", "delivered"]

_watcher: Callable[[Point, str], None] | None = None


def passing(point: Point, what: str) -> None:
    """Say that *what* is about to happen (``receive``, ``committed``, ``delivered``: has happened)."""
    if _watcher is not None:
        _watcher(point, what)


@contextmanager
def watched(watcher: Callable[[Point, str], None]) -> Iterator[None]:
    """Let *watcher* see every pass of this process until the block ends."""
    global _watcher  # noqa: PLW0603 - one watcher per process is the point: it may kill the process
    before, _watcher = _watcher, watcher
    try:
        yield
    finally:
        _watcher = before


_tracer: Callable[[], str | None] | None = None


def traced() -> str | None:
    """Return the ``traceparent`` of the work under way; None where nobody traces.

    It is kept with operations, events and received webhooks, so that what follows from them later, in
    another process, can be linked to what caused it.
    """
    return _tracer() if _tracer is not None else None


def traced_by(tracer: Callable[[], str | None] | None) -> None:
    """Say how `traced` finds out: called by the tracer of this process."""
    global _tracer  # noqa: PLW0603 - a process has one current trace, whoever keeps it
    _tracer = tracer
