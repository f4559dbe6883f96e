"""Whom we tell: events out of the outbox, to subscribers over HTTP and to handlers in the application."""

from __future__ import annotations

from .dispatcher import WebhookDispatcher
from .endpoints import Endpoint, EndpointKind, Handler, endpoint_from, endpoints_from_settings
from .schedule import DEFAULT_SCHEDULE, schedule_of
from .signing import new_signing_secret
from .stored import EndpointView, StoredEndpoints

__all__ = [
    "DEFAULT_SCHEDULE",
    "Endpoint",
    "EndpointKind",
    "EndpointView",
    "Handler",
    "StoredEndpoints",
    "WebhookDispatcher",
    "endpoint_from",
    "endpoints_from_settings",
    "new_signing_secret",
    "schedule_of",
]
