"""The hosted card fields: a page of the gateway's that hands a shop a one-time token and never a number."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from .gateway import FakeAuthorizeNet

__all__ = ["routes"]

_STATIC: Final = Path(__file__).with_name("static")
_HEADERS: Final = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'self'; base-uri 'none'; frame-ancestors http://127.0.0.1:* "
    "http://localhost:*",
}


def routes(gateway: FakeAuthorizeNet) -> list[BaseRoute]:
    async def fields(_: Request) -> Response:
        text = Template((_STATIC / "fields.html").read_text(encoding="utf-8"))
        page = text.substitute(login=gateway.login_id, key=gateway.client_key)
        return HTMLResponse(page, headers=_HEADERS)

    return [Route("/_fields", fields), Mount("/_static", StaticFiles(directory=_STATIC))]
