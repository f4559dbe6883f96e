"""Reading the fields that all of Stripe's objects share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

__all__ = ["Json", "moment_of", "reference_of", "stamp_of", "text_of"]

Json = Mapping[str, Any]


def reference_of(thing: object) -> str | None:
    """Return the id of an expandable field, expanded or not."""
    value = thing.get("id") if isinstance(thing, Mapping) else thing
    return value if isinstance(value, str) and value else None


def text_of(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("an identity is missing")
    return value


def moment_of(seconds: object) -> datetime | None:
    """Read a time; events of the second API generation say theirs as text, and nobody needs it."""
    return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int) else None


def stamp_of(thing: object, name: str) -> str | None:
    """Return what the metadata of an object says under *name*."""
    metadata = thing.get("metadata") if isinstance(thing, Mapping) else None
    value = metadata.get(name) if isinstance(metadata, Mapping) else None
    return value if isinstance(value, str) else None
