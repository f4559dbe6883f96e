"""Reading the fields that all of PayPal's objects share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Json", "items_of", "link_of", "moment_of", "parent_of", "text_of", "text_or_none"]

Json = Mapping[str, Any]


def text_of(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("an identity is missing")
    return value


def text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def items_of(thing: Json, *path: str) -> Sequence[Json]:
    """Return the list of objects at *path*; an absent one is empty."""
    found: Any = thing
    for name in path:
        found = (found or {}).get(name)
    return list(found or ())


def link_of(thing: Json, *relations: str) -> str | None:
    """Return the address of the first of *relations* that the object links to."""
    links = {link.get("rel"): link.get("href") for link in items_of(thing, "links")}
    return next((text for name in relations if (text := text_or_none(links.get(name)))), None)


def parent_of(thing: Json, noun: str) -> str | None:
    """Return the identity of the *noun* (``captures``) that the object says it came from."""
    address = link_of(thing, "up")
    if address is None:
        return None
    *_, kind, identity = ["", "", *urlsplit(address).path.strip("/").split("/")]
    return identity if kind == noun else None


def moment_of(value: object) -> datetime | None:
    """Read a time as PayPal writes it; nobody depends on one that cannot be read."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
