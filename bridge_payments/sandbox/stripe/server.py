"""Stripe's API on the wire, and the pages and switches beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from ..wire import App
from ..wire import build_app as build
from . import control, pages

if TYPE_CHECKING:
    from .gateway import FakeStripe

__all__ = ["build_app"]

# Stripe's API answers browsers of every origin, as its own script needs (2026-11, seen on api.stripe.com).
_CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, POST, DELETE, OPTIONS",
    "access-control-allow-headers": "authorization, content-type, idempotency-key, stripe-version",
    "access-control-expose-headers": "Request-Id, Idempotent-Replayed",
    "access-control-max-age": "300",
}


def build_app(gateway: FakeStripe) -> App:
    """Return the ASGI application of one gateway."""
    return build(
        gateway.api,
        prefixes=("/v1/",),
        faults=gateway.faults,
        courier=gateway.webhooks,
        beside=[
            *pages.routes(gateway),
            *control.routes(gateway),
            Mount("/_static", StaticFiles(directory=pages.STATIC)),
        ],
        cors=_CORS,
        keep=lambda: gateway.keep(),  # noqa: PLW0108 - replaced after the app is built
    )
