"""How it is asked: the HTTP contract as a table of routes, without any framework."""

from __future__ import annotations

from .openapi import openapi
from .route import Access, Call, Route
from .router import Router
from .routes import HEALTH_ROUTES, ROUTES

__all__ = ["HEALTH_ROUTES", "ROUTES", "Access", "Call", "Route", "Router", "openapi"]
