"""
bridge_payments: one API, one set of records and one stream of events in front of payment providers.

The names below are the public face. Importing this package loads `errors` and
`models`, which need the standard library alone; everything else is loaded at
the first use of its name, so that a program pays for what it uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from .errors import (
    AccessDenied,
    AmountNotRepresentable,
    BridgeError,
    ConcurrentUpdate,
    ConfigurationError,
    Conflict,
    Contradicted,
    DuplicateReference,
    IdempotencyMismatch,
    IllegalState,
    InvalidRequest,
    InvalidSignature,
    MissingExtra,
    NotAuthenticated,
    NotFound,
    NotYours,
    OperationInProgress,
    PayloadTooLarge,
    PaymentDeclined,
    ProviderDeclined,
    ProviderError,
    ProviderNeverSent,
    ProviderNotFound,
    ProviderRejected,
    ProviderStateConflict,
    ProviderUnknown,
    RateLimited,
    StoreError,
    Unavailable,
    UnsupportedOperation,
)
from .models import (
    Address,
    Customer,
    Event,
    Money,
    Operation,
    Payment,
    PaymentMethod,
    Principal,
    ProviderEvent,
    Refund,
    Subscription,
)

if TYPE_CHECKING:
    from .auth import AuthBridge
    from .bridge import Bridge
    from .engine import PaymentEngine
    from .messages import Request, Response
    from .providers.base import PaymentProvider
    from .settings import Settings
    from .stores.base import Store
    from .webhooks import WebhookDispatcher

__all__ = [
    "AccessDenied",
    "Address",
    "AmountNotRepresentable",
    "AuthBridge",
    "Bridge",
    "BridgeError",
    "ConcurrentUpdate",
    "ConfigurationError",
    "Conflict",
    "Contradicted",
    "Customer",
    "DuplicateReference",
    "Event",
    "IdempotencyMismatch",
    "IllegalState",
    "InvalidRequest",
    "InvalidSignature",
    "MissingExtra",
    "Money",
    "NotAuthenticated",
    "NotFound",
    "NotYours",
    "Operation",
    "OperationInProgress",
    "PayloadTooLarge",
    "Payment",
    "PaymentDeclined",
    "PaymentEngine",
    "PaymentMethod",
    "PaymentProvider",
    "Principal",
    "ProviderDeclined",
    "ProviderError",
    "ProviderEvent",
    "ProviderNeverSent",
    "ProviderNotFound",
    "ProviderRejected",
    "ProviderStateConflict",
    "ProviderUnknown",
    "RateLimited",
    "Refund",
    "Request",
    "Response",
    "Settings",
    "Store",
    "StoreError",
    "Subscription",
    "Unavailable",
    "UnsupportedOperation",
    "WebhookDispatcher",
]

_HOME: Final = {
    "AuthBridge": ".auth",
    "Bridge": ".bridge",
    "PaymentEngine": ".engine",
    "PaymentProvider": ".providers.base",
    "Request": ".messages",
    "Response": ".messages",
    "Settings": ".settings",
    "Store": ".stores.base",
    "WebhookDispatcher": ".webhooks",
}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home, __name__), name)
    globals()[name] = value  # the next use does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
