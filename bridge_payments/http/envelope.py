"""How an answer is wrapped. The compatibility switches live here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from ..engine.owners import Owned
from ..models import Principal, PrincipalKind
from .schemas.base import Meta, Pagination, UserContext

__all__ = ["ONE", "Content", "Reply", "Wrapping", "list_context", "one_context", "page_meta"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a handler hands back: declared shapes only."""

    data: BaseModel | Sequence[BaseModel]
    meta: Meta | None = None
    user_context: UserContext | None = None
    beside: BaseModel | None = None
    """What an older contract has at the top, beside `data`."""
    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """An answer that is no JSON: a page, a script."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Wrapping:
    """Which of the published shapes this installation speaks.

    ``{"success": true, "data": …}`` by default. `flat` gives single resources as clients of July 2025
    read them: the resource itself, mirrored under ``data``, without ``success``. (Flat *with* ``success``
    breaks a published client whose envelope has a numeric ``status``.) `rows` puts every ``data`` under
    ``rows`` and wins over `flat`.
    """

    flat: bool = False
    rows: bool = False

    def wrap(self, reply: Reply, *, wrapped: bool = True) -> bytes:
        """Return the body of *reply*."""
        many = not isinstance(reply.data, BaseModel)
        data = _json(reply.data)
        if not wrapped:
            return data
        if self.flat and not many and not self.rows:
            return data[:-1] + b',"data":' + data + b"}"
        body = b'{"success":true,"data":' + (b'{"rows":' + data + b"}" if self.rows else data)
        if reply.meta is not None:
            body += b',"meta":' + _json(reply.meta)
        if reply.user_context is not None:
            body += b',"user_context":' + reply.user_context.model_dump_json(exclude_unset=True).encode()
        if reply.beside is not None:
            body += b"," + reply.beside.model_dump_json(exclude={"success"}).encode()[1:-1]
        return body + b"}"


def _json(data: BaseModel | Sequence[BaseModel]) -> bytes:
    if isinstance(data, BaseModel):
        return data.model_dump_json().encode()
    return b"[" + b",".join(item.model_dump_json().encode() for item in data) + b"]"


def page_meta(
    *,
    page: int,
    limit: int,
    total: int,
    query: str = "",
    order_by: str | None = None,
    descending: bool = True,
) -> Meta:
    """Say where in a list an answer is, in both published spellings."""
    pages = -(-total // limit)
    return Meta(
        query=query,
        page=page,
        limit=limit,
        total=total,
        totalPages=pages,
        hasMore=page < pages,
        orderBy=order_by,
        orderDir="desc" if descending else "asc",
        pagination=Pagination(total=total, page=page, pageSize=limit, totalPages=pages),
    )


ONE = Meta(
    page=1,
    limit=1,
    total=1,
    totalPages=1,
    hasMore=False,
    pagination=Pagination(total=1, page=1, pageSize=1, totalPages=1),
)
"""The meta of a single thing, as the contract has it."""


def list_context(principal: Principal) -> UserContext:
    """Say as whom a list was answered."""
    method = {PrincipalKind.ADMIN: "admin", PrincipalKind.GUEST: "guest_email"}.get(principal.kind, "user_id")
    return UserContext.model_validate({**_identity(principal), "search_method": method})


def one_context(principal: Principal, row: Owned) -> UserContext:
    """Say as whom one thing was answered, and by which right."""
    kind = principal.kind
    access = {PrincipalKind.ADMIN: "admin_access", PrincipalKind.GUEST: "guest_token_access"}.get(
        kind, "user_id_access"
    )
    return UserContext.model_validate(
        {
            **_identity(principal),
            "access_method": access,
            "is_owner": kind is PrincipalKind.GUEST
            or (principal.id is not None and row.user_id == principal.id),
            "is_admin": kind is PrincipalKind.ADMIN,
        }
    )


def _identity(principal: Principal) -> dict[str, object]:
    return {
        "authenticated": not principal.is_anonymous,
        "user_id": principal.id,
        "user_type": principal.user_type,
        "user_email": principal.email,
    }
