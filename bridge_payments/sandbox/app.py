"""The sandbox as one ASGI application: shop, API, health, subscriber and the page behind the scenes."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ..mounts.starlette import health_routes, payments_app
from .live import live_routes
from .pages import STATIC
from .storefront import storefront_routes
from .world import Sandbox

__all__ = ["build_app"]


def build_app(sandbox: Sandbox) -> Starlette:
    """Return the application; its lifespan starts and stops everything."""
    return Starlette(
        routes=[
            Mount("/bridge-payment", app=payments_app(sandbox.bridge)),
            *health_routes(sandbox.bridge),
            *storefront_routes(sandbox),
            *live_routes(sandbox),
            Route("/sandbox/subscriber", sandbox.sink.receive, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        # A page of another site could point its own name at this machine and then read what is here.
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "testserver"])
        ],
        lifespan=sandbox.lifespan,
    )
