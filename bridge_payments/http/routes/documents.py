"""What this API says about itself."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from ..envelope import Reply
from ..openapi import openapi
from ..route import Access, Call, Route
from ..schemas.documents import Document
from ..schemas.health import Index
from ..version import release

__all__ = ["DOCUMENT_ROUTES"]


async def index(call: Call) -> Reply:
    """Name this API and its endpoints."""
    endpoints: dict[str, list[str]] = {}
    for route in call.routes:
        if not route.listed:
            continue
        lines = [f"{method} {call.request.prefix}{route.path}" for method in route.methods]
        endpoints.setdefault(route.noun, []).extend(lines)
    return Reply(
        data=Index(
            name="Bridge Payments API",
            version=release(),
            environment=call.bridge.settings.environment,
            timestamp=call.bridge.engine.clock(),
            endpoints=endpoints,
        )
    )


async def openapi_document(call: Call) -> Reply:
    """Describe this API as OpenAPI 3.1."""
    return Reply(data=_document(tuple(call.routes), call.request.prefix))


@lru_cache(maxsize=8)  # a prefix may hold a variable that anybody fills
def _document(routes: tuple[Route, ...], prefix: str) -> Document:
    return Document(openapi(routes, prefix=prefix))


DOCUMENT_ROUTES: Final = (
    Route(
        methods=("GET",),
        path="/",
        noun="documents",
        handler=index,
        returns=Index,
        wrapped=False,
        access=Access.OPEN,
    ),
    Route(
        methods=("GET",),
        path="/openapi.json",
        noun="documents",
        handler=openapi_document,
        returns=Document,
        wrapped=False,
        access=Access.OPEN,
    ),
)
