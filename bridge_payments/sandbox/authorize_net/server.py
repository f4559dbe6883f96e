"""Authorize.net's endpoint on the wire, and the page and switches beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..wire import App
from ..wire import build_app as build
from . import control, pages
from .api import PATH

if TYPE_CHECKING:
    from .gateway import FakeAuthorizeNet

__all__ = ["build_app"]

# Accept.js asks from the shop's page, so the endpoint answers every origin (2026-11, its features page).
_CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "POST, OPTIONS",
    "access-control-allow-headers": "content-type",
    "access-control-max-age": "300",
}


def build_app(gateway: FakeAuthorizeNet) -> App:
    """Return the ASGI application of one gateway."""
    return build(
        gateway.api,
        prefixes=(PATH,),
        faults=gateway.faults,
        courier=gateway.webhooks,
        beside=[*pages.routes(gateway), *control.routes(gateway)],
        cors=_CORS,
        keep=lambda: gateway.keep(),  # noqa: PLW0108 - replaced after the app is built
    )
