"""No zombie sends: the last look at the clock, between the decision to send and the first byte."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["LeaseOver", "check_lease", "sending_before"]

_before: ContextVar[float | None] = ContextVar("bridge_payments_sending_before", default=None)


class LeaseOver(Exception):
    """The sender was stopped for so long that somebody else may own its operation now."""


@contextmanager
def sending_before(moment: float) -> Iterator[None]:
    """Refuse to send anything in this block once `time.monotonic()` has reached *moment*."""
    token = _before.set(moment)
    try:
        yield
    finally:
        _before.reset(token)


def check_lease() -> None:
    """Raise LeaseOver if the running block may not send any more. Called right before the first byte."""
    before = _before.get()
    if before is not None and time.monotonic() >= before:
        raise LeaseOver("the lease would not outlive this request")
