"""What we talk about: frozen dataclasses on the standard library alone."""

from __future__ import annotations

from .addresses import Address, AddressType
from .clock import Clock, MovableClock, utc_now
from .customers import Customer
from .disputes import Dispute, DisputeStatus
from .endpoints import EndpointHealth, SigningSecret, StoredEndpoint, SwitchedOff
from .events import EVENT_TYPES, Delivery, DeliveryState, Event, InboxEntry, InboxState, Noun, ProviderEvent
from .ids import ID_PATTERN, METHOD_PATTERN, id_bounds, is_own_id, new_id, new_reference, new_secret
from .jobs import ScheduledJob
from .money import EXPONENTS, MAX_MINOR_UNITS, Money, exponent_of
from .operations import (
    OPEN_OPERATION_STATES,
    PAYMENT_VERBS,
    Claim,
    OpenOperations,
    Operation,
    OperationState,
    Statement,
    Verb,
)
from .payment_methods import PaymentMethod, PaymentMethodStatus
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
from .principals import SYSTEM, Principal, PrincipalKind, email_key
from .refunds import Refund, RefundStatus
from .subscriptions import (
    ENDED_SUBSCRIPTION_STATUSES,
    BillingInterval,
    Subscription,
    SubscriptionStatus,
)

__all__ = [
    "ENDED_SUBSCRIPTION_STATUSES",
    "EVENT_TYPES",
    "EXPONENTS",
    "ID_PATTERN",
    "MAX_MINOR_UNITS",
    "METHOD_PATTERN",
    "OPEN_OPERATION_STATES",
    "OPEN_STATUSES",
    "PAID_STATUSES",
    "PAYMENT_VERBS",
    "SYSTEM",
    "Address",
    "AddressType",
    "BillingInterval",
    "CaptureMethod",
    "Claim",
    "Clock",
    "Customer",
    "Delivery",
    "DeliveryState",
    "Dispute",
    "DisputeStatus",
    "EndpointHealth",
    "Event",
    "GuestData",
    "InboxEntry",
    "InboxState",
    "Money",
    "MovableClock",
    "NextAction",
    "NextActionKind",
    "Noun",
    "OpenOperations",
    "Operation",
    "OperationState",
    "Payment",
    "PaymentFlag",
    "PaymentMethod",
    "PaymentMethodStatus",
    "PaymentStatus",
    "Pricing",
    "Principal",
    "PrincipalKind",
    "ProviderEvent",
    "Refund",
    "RefundStatus",
    "ScheduledJob",
    "SigningSecret",
    "Statement",
    "StoredEndpoint",
    "Subscription",
    "SubscriptionStatus",
    "SwitchedOff",
    "Verb",
    "email_key",
    "exponent_of",
    "id_bounds",
    "is_own_id",
    "new_id",
    "new_reference",
    "new_secret",
    "utc_now",
]
