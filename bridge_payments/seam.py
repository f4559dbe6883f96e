"""
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

__all__ = ["Point", "passing", "watched"]

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
