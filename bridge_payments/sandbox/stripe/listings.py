"""Lists as Stripe pages them, and single objects by their id."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from . import shapes
from .books import Json
from .forms import Params
from .problems import invalid, missing_object

__all__ = ["found", "page"]


def found(shelf: Mapping[str, Json], noun: str, identity: str) -> Json:
    if identity not in shelf:
        raise missing_object(noun, identity, param="id")
    return shelf[identity]


def page(url: str, shelf: Mapping[str, Json], params: Params) -> Json:
    """List newest first, with Stripe's cursors and the filters that its objects carry as fields."""
    items = list(shelf.values())[::-1]
    for name in ("customer", "payment_intent", "charge", "type", "email"):
        if wanted := params.text(name):
            items = [item for item in items if item.get(name) == wanted]
    if kinds := params.strings("types"):
        items = [item for item in items if item["type"] in kinds]
    items = _created_within(items, params)
    ids = [item["id"] for item in items]
    limit = min(max(params.integer("limit") or 10, 1), 100)
    if after := params.text("starting_after"):
        rest = items[_place(ids, after) + 1 :]
        return shapes.listing(url, rest[:limit], has_more=len(rest) > limit)
    if before := params.text("ending_before"):
        rest = items[: _place(ids, before)]
        return shapes.listing(url, rest[-limit:], has_more=len(rest) > limit)
    return shapes.listing(url, items[:limit], has_more=len(items) > limit)


def _created_within(items: list[Json], params: Params) -> list[Json]:
    if isinstance(params.data.get("created"), str):
        exactly = params.integer("created")
        return [item for item in items if item["created"] == exactly]
    created = params.nested("created")
    tests: dict[str, Callable[[int, int], bool]] = {
        "gte": lambda moment, bound: moment >= bound,
        "gt": lambda moment, bound: moment > bound,
        "lte": lambda moment, bound: moment <= bound,
        "lt": lambda moment, bound: moment < bound,
    }
    for name, holds in tests.items():
        if (bound := created.integer(name)) is not None:
            items = [item for item in items if holds(item["created"], bound)]
    return items


def _place(ids: list[str], identity: str) -> int:
    if identity not in ids:
        raise invalid(f"No such object: '{identity}'", code="resource_missing", param="starting_after")
    return ids.index(identity)
