"""What can be made to go wrong on the wire, per next request: the sandbox's and the tests' switches."""

from __future__ import annotations

import fnmatch
import threading
from collections.abc import Collection
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Fault", "FaultKind", "Faults"]


class FaultKind(StrEnum):
    DROP_BEFORE = "drop_before"
    """The connection closes and nothing was done."""
    DROP_AFTER = "drop_after"
    """It is done and the connection closes without an answer."""
    HANG_BEFORE = "hang_before"
    """Nothing is done and no answer ever comes."""
    HANG_AFTER = "hang_after"
    """It is done and no answer ever comes."""
    HALF_ANSWER = "half_answer"
    """It is done; half of the answer arrives, then the connection closes."""
    UNREADABLE = "unreadable"
    """It is done; the answer is 200 with a page of HTML, as a proxy in between would send it."""
    ERROR_BEFORE = "error_before"
    """A 5xx from the edge: nothing was done, nothing is remembered."""
    ERROR_STORED = "error_stored"
    """A 500 after execution began and before anything was done: remembered under the key for good."""
    ERROR_AFTER = "error_after"
    """It is done and the answer is a 500: remembered under the key for good."""
    SLOW = "slow"
    """The key is in use for `seconds`, then everything goes its way."""
    RATE_LIMITED = "rate_limited"
    """429: nothing was done."""
    KEY_IN_USE = "key_in_use"
    """409: nothing was done."""


@dataclass(slots=True, kw_only=True)
class Fault:
    kind: FaultKind
    path: str = "*"
    """A glob over the path: ``/v1/payment_intents/*/confirm``."""
    method: str = "POST"
    """``*`` for every method, ``POST|DELETE`` for two of them."""
    times: int = 1
    skip: int = 0
    """How many matching requests pass before it begins."""
    status: int = 500
    seconds: float = 1.0
    caller: str = "server"
    """``server`` (secret key), ``browser`` (publishable key) or ``any``."""

    def matches(self, method: str, path: str, caller: str) -> bool:
        return (
            (self.method == "*" or method in self.method.split("|"))
            and self.caller in ("any", caller)
            and fnmatch.fnmatchcase(path, self.path)
        )


class Faults:
    """The armed faults, first in first out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[Fault] = []
        self.cleared: int = 0
        """Counts the calls of `clear`, which also end every hanging request."""

    def add(self, kind: FaultKind | str, **options: Any) -> Fault:
        """Arm a fault: ``add("drop_after", path="/v1/refunds", times=2)``."""
        fault = Fault(kind=FaultKind(kind), **options)
        with self._lock:
            self._armed.append(fault)
        return fault

    def take(self, method: str, path: str, caller: str) -> Fault | None:
        """Return the fault that this request meets and count it."""
        return self._take(method, (path,), caller)

    def _take(self, method: str, paths: Collection[str], caller: str) -> Fault | None:
        """The same for a request that has several names."""
        with self._lock:
            for fault in self._armed:
                if not any(fault.matches(method, path, caller) for path in paths):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self._armed.remove(fault)
                return fault
        return None

    def clear(self) -> None:
        with self._lock:
            self._armed.clear()
            self.cleared += 1

    def describe(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(fault) for fault in self._armed]
