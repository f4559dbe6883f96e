"""What the routes of owned records share: ids in paths, pages, the contract's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel

from ...errors import AccessDenied, NotAuthenticated, NotFound
from ...models import ID_PATTERN, GuestData
from ...stores.base import Listing, OwnedQuery
from ..envelope import Reply, list_context, page_meta
from ..route import Call, Text
from ..schemas.people import GuestDataIn

__all__ = ["READ_ERRORS", "guest_of", "id_of", "page_of", "signed_in"]

READ_ERRORS: Final = (NotAuthenticated, AccessDenied, NotFound)


def id_of(call: Call, name: str, missing: str) -> str:
    """Return an id of the path; what cannot be one is not found, and never reaches a database."""
    given = call.path[name]
    if not ID_PATTERN.fullmatch(given):
        raise NotFound(missing)
    return given


def guest_of(given: GuestDataIn | None) -> GuestData | None:
    return GuestData(email=given.email, name=given.name, phone=given.phone) if given is not None else None


def page_of(
    call: Call, found: Listing[Any], items: Sequence[BaseModel], query: OwnedQuery, page: int
) -> Reply:
    return Reply(
        data=items,
        meta=page_meta(
            page=page,
            limit=query.limit,
            total=found.total,
            query=query.search or "",
            order_by=query.order_by,
            descending=query.descending,
        ),
        user_context=list_context(call.principal),
    )


def signed_in(noun: str) -> Text:
    return Text("Authentication Required", f"Authentication required to view {noun}")
