"""The SDK's own parameter types as a judge: unknown names at any depth, missing ones, wrong types."""

from __future__ import annotations

import importlib
import re
import typing
from collections.abc import Iterable
from functools import cache
from typing import Any

import typing_extensions
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import core_schema

from .exchanges import Exchange

__all__ = ["request_problems"]

_OPERATIONS: tuple[tuple[str, str, str], ...] = (
    ("POST", r"/v1/payment_intents", "PaymentIntentCreate"),
    ("GET", r"/v1/payment_intents", "PaymentIntentList"),
    ("GET", r"/v1/payment_intents/[^/]+", "PaymentIntentRetrieve"),
    ("POST", r"/v1/payment_intents/[^/]+", "PaymentIntentUpdate"),
    ("POST", r"/v1/payment_intents/[^/]+/confirm", "PaymentIntentConfirm"),
    ("POST", r"/v1/payment_intents/[^/]+/capture", "PaymentIntentCapture"),
    ("POST", r"/v1/payment_intents/[^/]+/cancel", "PaymentIntentCancel"),
    ("POST", r"/v1/refunds", "RefundCreate"),
    ("GET", r"/v1/refunds", "RefundList"),
    ("GET", r"/v1/refunds/[^/]+", "RefundRetrieve"),
    ("GET", r"/v1/disputes", "DisputeList"),
    ("POST", r"/v1/customers", "CustomerCreate"),
    ("GET", r"/v1/customers", "CustomerList"),
    ("GET", r"/v1/customers/[^/]+", "CustomerRetrieve"),
    ("POST", r"/v1/customers/[^/]+", "CustomerUpdate"),
    ("DELETE", r"/v1/customers/[^/]+", "CustomerDelete"),
    ("GET", r"/v1/payment_methods/[^/]+", "PaymentMethodRetrieve"),
    ("POST", r"/v1/payment_methods/[^/]+", "PaymentMethodUpdate"),
    ("POST", r"/v1/payment_methods/[^/]+/attach", "PaymentMethodAttach"),
    ("POST", r"/v1/payment_methods/[^/]+/detach", "PaymentMethodDetach"),
    ("GET", r"/v1/confirmation_tokens/[^/]+", "ConfirmationTokenRetrieve"),
    ("POST", r"/v1/setup_intents", "SetupIntentCreate"),
    ("GET", r"/v1/setup_intents", "SetupIntentList"),
    ("GET", r"/v1/setup_intents/[^/]+", "SetupIntentRetrieve"),
    ("POST", r"/v1/setup_intents/[^/]+/confirm", "SetupIntentConfirm"),
    ("POST", r"/v1/setup_intents/[^/]+/cancel", "SetupIntentCancel"),
    ("POST", r"/v1/products", "ProductCreate"),
    ("GET", r"/v1/products/[^/]+", "ProductRetrieve"),
    ("POST", r"/v1/subscriptions", "SubscriptionCreate"),
    ("GET", r"/v1/subscriptions", "SubscriptionList"),
    ("GET", r"/v1/subscriptions/[^/]+", "SubscriptionRetrieve"),
    ("POST", r"/v1/subscriptions/[^/]+", "SubscriptionUpdate"),
    ("DELETE", r"/v1/subscriptions/[^/]+", "SubscriptionCancel"),
    ("POST", r"/v1/subscriptions/[^/]+/resume", "SubscriptionResume"),
    ("GET", r"/v1/invoices", "InvoiceList"),
)


def request_problems(exchange: Exchange) -> list[str]:
    """Hold one request against the TypedDict of its operation in the newest API."""
    for method, pattern, operation in _OPERATIONS:
        if method == exchange.method and re.fullmatch(pattern, exchange.path):
            return _problems(operation, exchange.sent)
    return [
        f"the laboratory knows no parameters for {exchange.method} {exchange.path}: add them to sdk_params"
    ]


def _problems(operation: str, sent: dict[str, Any]) -> list[str]:
    try:
        _adapter(operation).validate_python(sent)
    except ValidationError as error:
        return [f"{'.'.join(map(str, each['loc']))}: {each['type']}" for each in error.errors()]
    return []


@cache
def _adapter(operation: str) -> TypeAdapter[Any]:
    words = re.findall("[A-Z][a-z]+", operation)
    module = importlib.import_module(f"stripe.params._{'_'.join(words).lower()}_params")
    for each in _typed_dicts(vars(module).values()):
        each.__pydantic_config__ = ConfigDict(extra="forbid")
    adapter: TypeAdapter[Any] = TypeAdapter(getattr(module, f"{operation}Params"))
    adapter.rebuild(force=True, _types_namespace=_names(module))
    return adapter


def _typed_dicts(things: Iterable[Any]) -> Iterable[Any]:
    return (each for each in things if typing_extensions.is_typeddict(each))


def _names(module: Any) -> dict[str, Any]:
    """Everything that the annotations may name; the SDK imports some of it for type checkers only."""
    import stripe._request_options as options
    from stripe._stripe_object import StripeObject, UntypedStripeObject

    for each in (StripeObject, UntypedStripeObject):
        # A form never carries one of these: they are what a caller of the SDK may pass on.
        each.__get_pydantic_core_schema__ = classmethod(  # type: ignore[attr-defined]
            lambda cls, source, handler: core_schema.none_schema()
        )
    return {**vars(options), **vars(module), **vars(typing), "StripeContext": Any}
