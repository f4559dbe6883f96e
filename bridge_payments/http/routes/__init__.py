"""The route table. Read this folder to know the whole HTTP surface: one file per noun."""

from __future__ import annotations

from ..route import Route
from .addresses import ADDRESS_ROUTES
from .admin import ADMIN_ROUTES
from .customers import CUSTOMER_ROUTES
from .dashboard import DASHBOARD_ROUTES
from .documents import DOCUMENT_ROUTES
from .endpoints import ENDPOINT_ROUTES
from .guests import GUEST_ROUTES
from .health import HEALTH_ROUTES
from .payment_methods import PAYMENT_METHOD_ROUTES
from .payments import PAYMENT_ROUTES
from .providers import PROVIDER_ROUTES
from .refunds import REFUND_ROUTES
from .subscriptions import SUBSCRIPTION_ROUTES
from .webhooks import WEBHOOK_ROUTES

__all__ = ["HEALTH_ROUTES", "ROUTES"]

ROUTES: tuple[Route, ...] = (
    *PAYMENT_ROUTES,
    *REFUND_ROUTES,
    *PAYMENT_METHOD_ROUTES,
    *CUSTOMER_ROUTES,
    *ADDRESS_ROUTES,
    *SUBSCRIPTION_ROUTES,
    *GUEST_ROUTES,
    *PROVIDER_ROUTES,
    *WEBHOOK_ROUTES,
    *ENDPOINT_ROUTES,
    *ADMIN_ROUTES,
    *DASHBOARD_ROUTES,
    *HEALTH_ROUTES,
    *DOCUMENT_ROUTES,
)
