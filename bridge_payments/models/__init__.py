"""What we talk about: frozen dataclasses on the standard library alone."""

from __future__ import annotations

from .clock import Clock, MovableClock, utc_now
from .events import EVENT_TYPES, Delivery, DeliveryState, Event, InboxEntry, InboxState, ProviderEvent
from .ids import ID_PATTERN, METHOD_PATTERN, id_bounds, new_id, new_reference, new_secret
from .money import EXPONENTS, MAX_MINOR_UNITS, Money, exponent_of
from .operations import OPEN_OPERATION_STATES, Operation, OperationState, Verb
from .payments import (
    OPEN_STATUSES,
    PAID_STATUSES,
    CaptureMethod,
    GuestData,
    NextAction,
    NextActionKind,
    Payment,
    PaymentFlag,
    PaymentStatus,
    Pricing,
)
from .principals import SYSTEM, Principal, PrincipalKind
from .refunds import Refund, RefundStatus

__all__ = [
    "EVENT_TYPES",
    "EXPONENTS",
    "ID_PATTERN",
    "MAX_MINOR_UNITS",
    "METHOD_PATTERN",
    "OPEN_OPERATION_STATES",
    "OPEN_STATUSES",
    "PAID_STATUSES",
    "SYSTEM",
    "CaptureMethod",
    "Clock",
    "Delivery",
    "DeliveryState",
    "Event",
    "GuestData",
    "InboxEntry",
    "InboxState",
    "Money",
    "MovableClock",
    "NextAction",
    "NextActionKind",
    "Operation",
    "OperationState",
    "Payment",
    "PaymentFlag",
    "PaymentStatus",
    "Pricing",
    "Principal",
    "PrincipalKind",
    "ProviderEvent",
    "Refund",
    "RefundStatus",
    "Verb",
    "exponent_of",
    "id_bounds",
    "new_id",
    "new_reference",
    "new_secret",
    "utc_now",
]
