"""A word anywhere in a text, however it is written: what databases fold, and what they do not.

Each has a ``lower()``, and they differ in what they know: MySQL every alphabet, PostgreSQL that of the
database's locale, SQLite and LibSQL the letters of ASCII alone. A word with others in it is therefore looked
for in the three ways in which words are written: small, in capitals, and with a capital at its beginning.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import sqlalchemy as sa

__all__ = ["SEARCHES", "searched", "searches"]

SEARCHES: Final = ("plain_word", "small_word", "capital_word", "titled_word")
"""What a statement may bind; by its first or its second it is told which of the two it is."""


def searched(columns: Iterable[sa.ColumnElement[Any]]) -> dict[str, sa.ColumnElement[bool]]:
    """Return the condition for a word in ASCII, and that for one in any alphabet, by names of `SEARCHES`."""
    plain, *ways = (sa.bindparam(name, type_=sa.String()) for name in SEARCHES)
    folded = [sa.func.lower(column) for column in columns]
    return {
        "plain_word": sa.or_(*(text.like(plain, escape="!") for text in folded)),
        "small_word": sa.or_(*(text.like(way, escape="!") for text in folded for way in ways)),
    }


def searches(words: str | None) -> dict[str, str]:
    """Return what is to be bound for *words*, whose signs mean nothing; nothing without any."""
    if not words:
        return {}
    if words.isascii():
        return {"plain_word": _pattern(words.lower())}
    ways = (words.lower(), words.upper(), words.title())
    return {name: _pattern(way) for name, way in zip(SEARCHES[1:], ways, strict=True)}


def _pattern(words: str) -> str:
    """Return it as ``lower()`` leaves it that knows ASCII alone; to one that knows more, the first way is."""
    text = "".join(letter.lower() if letter.isascii() else letter for letter in words)
    for special in "!%_":
        text = text.replace(special, "!" + special)
    return f"%{text}%"
