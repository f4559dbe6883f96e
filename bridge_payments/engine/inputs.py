"""The exact inputs of an operation, as JSON values: what a repeat sends again, or nothing is sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from ..models import BillingInterval, CaptureMethod, Money, Verb
from ..providers.base import (
    BillingDetails,
    CancelRequest,
    CaptureRequest,
    ConfirmRequest,
    CustomerDeletion,
    CustomerRequest,
    CustomerUpdate,
    IntentRequest,
    PaymentMethodConfirmation,
    PaymentMethodDeletion,
    PaymentMethodRequest,
    PaymentMethodUpdate,
    RefundRequest,
    SubscriptionCancellation,
    SubscriptionPause,
    SubscriptionRequest,
    SubscriptionResumption,
    SubscriptionUpdate,
    UpdateRequest,
)

__all__ = ["ProviderRequest", "digest", "inputs_of", "request_of"]

ProviderRequest = (
    IntentRequest
    | UpdateRequest
    | ConfirmRequest
    | CaptureRequest
    | CancelRequest
    | RefundRequest
    | CustomerRequest
    | CustomerUpdate
    | CustomerDeletion
    | PaymentMethodRequest
    | PaymentMethodConfirmation
    | PaymentMethodUpdate
    | PaymentMethodDeletion
    | SubscriptionRequest
    | SubscriptionUpdate
    | SubscriptionCancellation
    | SubscriptionPause
    | SubscriptionResumption
)

_REQUESTS: Final[Mapping[Verb, type[ProviderRequest]]] = {
    Verb.CREATE: IntentRequest,
    Verb.UPDATE: UpdateRequest,
    Verb.CONFIRM: ConfirmRequest,
    Verb.CAPTURE: CaptureRequest,
    Verb.CANCEL: CancelRequest,
    Verb.REFUND: RefundRequest,
    Verb.CREATE_CUSTOMER: CustomerRequest,
    Verb.UPDATE_CUSTOMER: CustomerUpdate,
    Verb.DELETE_CUSTOMER: CustomerDeletion,
    Verb.CREATE_METHOD: PaymentMethodRequest,
    Verb.CONFIRM_METHOD: PaymentMethodConfirmation,
    Verb.UPDATE_METHOD: PaymentMethodUpdate,
    Verb.DELETE_METHOD: PaymentMethodDeletion,
    Verb.CREATE_SUBSCRIPTION: SubscriptionRequest,
    Verb.UPDATE_SUBSCRIPTION: SubscriptionUpdate,
    Verb.CANCEL_SUBSCRIPTION: SubscriptionCancellation,
    Verb.PAUSE_SUBSCRIPTION: SubscriptionPause,
    Verb.RESUME_SUBSCRIPTION: SubscriptionResumption,
}


def inputs_of(request: ProviderRequest) -> dict[str, Any]:
    """Return *request* as JSON values, without the fields that were left at None."""
    values = {field.name: getattr(request, field.name) for field in fields(request)}
    return {name: _plain(value) for name, value in values.items() if value is not None}


def request_of(verb: Verb, inputs: Mapping[str, Any]) -> ProviderRequest:
    """Return the request that *inputs* were made of: equal to the first one, field by field."""
    type_ = _REQUESTS[verb]
    known = {field.name for field in fields(type_)}
    return type_(**{name: _rich(name, value) for name, value in inputs.items() if name in known})


def digest(values: Mapping[str, Any]) -> str:
    """Return a hash that is equal for equal JSON values, whatever their order."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Money):
        return {"minor_units": value.minor_units, "currency": value.currency}
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, CaptureMethod | BillingInterval):
        return value.value
    if isinstance(value, BillingDetails):
        return {part.name: getattr(value, part.name) for part in fields(value)}
    return value


def _rich(name: str, value: Any) -> Any:
    if name in ("amount", "total"):
        return Money(value["minor_units"], value["currency"])
    if name == "capture_method":
        return CaptureMethod(value)
    if name == "interval":
        return BillingInterval(value)
    if name == "billing":
        return BillingDetails(**value)
    return value
