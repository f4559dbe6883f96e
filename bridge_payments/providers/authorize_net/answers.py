"""Answers as plain values, alike whether they came as XML or as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

__all__ = ["Json", "many", "messages_of", "moment_of", "text_of", "texts_of"]

Json = Mapping[str, Any]


def text_of(value: object) -> str | None:
    """Return a leaf as text: XML says everything in words, JSON counts some; nothing and "" are None."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    return str(value).strip() or None


def many(value: object, inner: str | None = None) -> list[Json]:
    """Return a list of objects: JSON's arrays, and XML's elements, of which one alone is no list.

    *inner* is the name of the element in XML's wrapper, which JSON leaves out.
    """
    if inner is not None and isinstance(value, Mapping):
        value = value.get(inner)
    if isinstance(value, Mapping):
        return [value]
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def texts_of(value: object, inner: str) -> list[str]:
    """Return a list of words: JSON's array, and XML's elements called *inner*, of which one is no list."""
    found = value.get(inner) if isinstance(value, Mapping) else value
    listed = found if isinstance(found, list) else [found]
    return [text for each in listed if (text := text_of(each)) is not None]


def messages_of(answer: Json) -> Iterator[tuple[str, str]]:
    """Yield code and text of the messages about the request itself."""
    messages = answer.get("messages")
    for each in many(messages.get("message") if isinstance(messages, Mapping) else None):
        yield text_of(each.get("code")) or "", text_of(each.get("text")) or ""


def moment_of(value: object) -> datetime | None:
    """Read a time in UTC; one without a zone is meant to be."""
    text = text_of(value)
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
