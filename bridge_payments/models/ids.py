"""Identities: a constant prefix per noun and a UUIDv7, so that ids sort by time and partition by date."""

from __future__ import annotations

import os
import re
import secrets
import threading
import time
from datetime import datetime
from typing import Final

__all__ = [
    "ID_PATTERN",
    "METHOD_PATTERN",
    "id_bounds",
    "is_own_id",
    "new_id",
    "new_reference",
    "new_secret",
]

ID_PATTERN: Final = re.compile(r"[A-Za-z0-9_\-:.]{1,191}\Z")
"""What we accept as an identity from strangers: ours, a provider's, or nonsense without a trap in it.

``\\Z`` and not ``$``, which would let a newline follow."""

METHOD_PATTERN: Final = re.compile(
    r"(?:[A-Za-z0-9_\-:.+=]{1,8192}|[A-Za-z0-9_.]{1,64}:[A-Za-z0-9_\-.+/=]{1,8192})\Z"
)
"""What we accept as a payment method: an identity, or a one-time token of a wallet in base64.

A slash only behind the wallet's name and a colon: ``apple_pay:…``."""

_OWN: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_REFERENCE_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_lock = threading.Lock()
_last: tuple[int, int] = (0, 0)


def new_id(prefix: str) -> str:
    """Return ``prefix_`` + a UUIDv7 (RFC 9562), increasing within this process.

    The 12 bits after the version count within one millisecond, so two ids that
    one process draws in a row sort in that order.
    """
    global _last  # noqa: PLW0603 - the counter is what makes the ids monotonic
    with _lock:
        milliseconds = max(time.time_ns() // 1_000_000, _last[0])
        counter = _last[1] + 1 if milliseconds == _last[0] else secrets.randbelow(1 << 11)
        if counter >= 1 << 12:
            milliseconds, counter = milliseconds + 1, 0
        _last = (milliseconds, counter)
    tail = (0b10 << 62) | (int.from_bytes(secrets.token_bytes(8), "big") >> 2)
    return f"{prefix}_{_text((milliseconds << 80) | (7 << 76) | (counter << 64) | tail)}"


def is_own_id(prefix: str, text: str | None) -> bool:
    """Whether *text* has the form of our ids with that prefix; Stripe's ``pm_…`` for instance has not."""
    return text is not None and text.startswith(f"{prefix}_") and bool(_OWN.match(text, len(prefix) + 1))


def id_bounds(prefix: str, moment: datetime) -> str:
    """Return the smallest id of that prefix drawn at *moment* or later; for date filters and partitions."""
    milliseconds = int(moment.timestamp() * 1000)
    return f"{prefix}_{_text(max(milliseconds, 0) << 80)}"


def new_reference() -> str:
    """Return 20 random characters (100 bits) that every provider's reference fields accept.

    Authorize.net's refId and invoiceNumber take 20 characters; that is the shortest of the three.
    """
    number = int.from_bytes(secrets.token_bytes(13), "big")
    letters = []
    for _ in range(20):
        number, index = divmod(number, 32)
        letters.append(_REFERENCE_ALPHABET[index])
    return "".join(letters)


def new_secret() -> str:
    """Return a client secret of our own making: 32 random bytes as text."""
    return secrets.token_urlsafe(32)


def _text(number: int) -> str:
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - a thread that does not exist in the child may hold it
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
