"""What the routes of owned records share: ids in paths, pages, the contract's words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from ...engine.owners import Owned
from ...errors import AccessDenied, NotAuthenticated, NotFound
from ...models import ID_PATTERN, GuestData, Principal, PrincipalKind, email_key
from ...stores.base import Listing, OwnedQuery
from ..envelope import ONE, Reply, list_context, one_context, page_meta
from ..route import Call, Text
from ..schemas.people import GuestDataIn

__all__ = ["READ_ERRORS", "guest_of", "guests_own", "id_of", "one_of", "page_of", "signed_in"]

READ_ERRORS: Final = (NotAuthenticated, AccessDenied, NotFound)


def id_of(call: Call, name: str, missing: str) -> str:
    """Return an id of the path; what cannot be one is not found, and never reaches a database."""
    given = call.path[name]
    if not ID_PATTERN.fullmatch(given):
        raise NotFound(missing)
    return given


def guest_of(given: GuestDataIn | None) -> GuestData | None:
    return GuestData(email=given.email, name=given.name, phone=given.phone) if given is not None else None


Q = TypeVar("Q", bound=OwnedQuery)


def guests_own(call: Call, query: Q, email: str) -> tuple[Q, Principal]:
    """Return the query of one guest's rows and as whom to ask it: an admin, or whoever proved that address.

    An e-mail address identifies nobody until it is proved (rule 23): by a guest token or by an account.
    """
    principal = call.principal
    if principal.kind is not PrincipalKind.ADMIN:
        if not principal.email_verified or email_key(principal.email or "") != email_key(email):
            raise AccessDenied("Insufficient privileges for this e-mail address")
        principal = Principal.guest(email)
    return replace(query, guest_email=email), principal


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


def one_of(call: Call, row: Owned, item: BaseModel) -> Reply:
    """Return the answer to a read of one row."""
    return Reply(data=item, meta=ONE, user_context=one_context(call.principal, row))


def signed_in(noun: str) -> Text:
    return Text("Authentication Required", f"Authentication required to view {noun}")
