"""Which events an endpoint wants: globs over event types, blind to the two spellings of one word."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

__all__ = ["matches", "spellings"]

_SAME_WORD: Final = (
    frozenset({"success", "succeeded"}),
    frozenset({"canceled", "cancelled"}),
)
"""Both spellings are in published clients and guides; nobody may miss a payment over one letter."""


def spellings(event_type: str) -> tuple[str, ...]:
    """Return *event_type* in every spelling that somebody may have subscribed to, its own first."""
    family, dot, word = event_type.rpartition(".")
    others = {other for group in _SAME_WORD if word in group for other in group} - {word}
    return (event_type, *(f"{family}{dot}{other}" for other in sorted(others)))


def matches(patterns: Iterable[str], event_type: str) -> bool:
    """Say whether one of *patterns* (``payment.*``, ``refund.succeeded``, ``*``) means *event_type*."""
    names = spellings(event_type)
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)
