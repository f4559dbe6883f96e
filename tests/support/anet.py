"""An Authorize.net account and its fake gateway, asked below the engine as the engine asks."""

from __future__ import annotations

import json
from typing import Any

from bridge_payments.models import BillingInterval, Money, new_id, new_reference
from bridge_payments.providers.authorize_net import AuthorizeNetProvider
from bridge_payments.providers.base import (
    BillingDetails,
    ConfirmRequest,
    CustomerRequest,
    Evidence,
    Lookup,
    PaymentMethodRequest,
    ProviderCustomer,
    ProviderMethod,
    ProviderSubscription,
    Step,
    SubscriptionRequest,
)
from bridge_payments.sandbox.authorize_net import FakeAuthorizeNet
from bridge_payments.transport import Transport

__all__ = ["USD", "Caller", "Killed", "open_account"]

USD = Money(2000, "USD")


class Killed(BaseException):
    """The process dies here: before the result of a call was stored, or after."""


class Caller:
    """One operation after the other, each with the results of its calls kept as the engine keeps them."""

    def __init__(self, provider: AuthorizeNetProvider, gateway: FakeAuthorizeNet) -> None:
        self.provider, self.gateway = provider, gateway
        self.results: dict[str, Any] = {}
        self.die_before: str | None = None
        self.die_after: str | None = None

    def step(self, **more: Any) -> Step:
        facts = {"key": new_id("op"), "reference": new_reference(), "deadline": 5.0, **more}
        return Step(results=self.results, keep=self.keep, **facts)

    async def keep(self, name: str, result: Any) -> None:
        if name == self.die_before:
            raise Killed
        self.results[name] = json.loads(json.dumps(result))
        if name == self.die_after:
            raise Killed

    # --- requests ---------------------------------------------------------------------------------

    def customer(self, **more: Any) -> CustomerRequest:
        facts = {"customer_id": new_id("cus"), "email": "ada@shop.example", "name": "Ada Lovelace", **more}
        return CustomerRequest(reference=new_reference(), **facts)

    def method(self, card: str = "visa", **more: Any) -> PaymentMethodRequest:
        facts: dict[str, Any] = {
            "token": self.gateway.token(card),
            "billing": BillingDetails(name="Ada King Lovelace", line1="1 Main St", postal_code="98004"),
            **more,
        }
        return PaymentMethodRequest(payment_method_id=new_id("pm"), reference=new_reference(), **facts)

    def subscription(self, method: ProviderMethod, **more: Any) -> SubscriptionRequest:
        facts: dict[str, Any] = {
            "amount": USD, "interval": BillingInterval.MONTHLY, "customer": method.customer,
            "payment_method": method.reference, "name": "Tea of the month", **more,
        }  # fmt: skip
        return SubscriptionRequest(subscription_id=new_id("sub"), reference=new_reference(), **facts)

    def confirmation(self, **more: Any) -> ConfirmRequest:
        facts = {"payment": f"anet_{new_reference()}", "amount": USD, **more}
        return ConfirmRequest(**facts)

    # --- deeds ------------------------------------------------------------------------------------

    async def a_customer(self, **more: Any) -> ProviderCustomer:
        return await self.provider.create_customer(self.customer(**more), step=self.step())

    async def a_method(self, card: str = "visa", **more: Any) -> ProviderMethod:
        customer = more.pop("customer", None) or (await self.a_customer()).reference
        asked = self.method(card, customer=customer, **more)
        self.results.clear()
        made = await self.provider.create_payment_method(asked, step=self.step())
        self.results.clear()
        return made

    async def a_subscription(self, method: ProviderMethod | None = None, **more: Any) -> ProviderSubscription:
        asked = self.subscription(method or await self.a_method(), **more)
        return await self.provider.create_subscription(asked, step=self.step())

    async def look_up(self, verb: Any, request: Any, **more: Any) -> Lookup:
        """Ask what became of a lost call, with what the engine stored of it."""
        from bridge_payments.engine.inputs import inputs_of

        facts: dict[str, Any] = {
            "reference": new_reference(), "key": "op_1", "started_at": self.gateway.clock(),
            "inputs": _plain(request, inputs_of), "results": dict(self.results), **more,
        }  # fmt: skip
        return await self.provider.find_operation(Evidence(verb=verb, **facts))


def _plain(request: Any, inputs_of: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(inputs_of(request), default=_fields))
    return found


def _fields(value: Any) -> Any:
    return {name: getattr(value, name) for name in value.__slots__}


def open_account(gateway: FakeAuthorizeNet, transport: Transport, **more: Any) -> AuthorizeNetProvider:
    provider = AuthorizeNetProvider(
        login_id=gateway.login_id,
        transaction_key=gateway.transaction_key,
        signature_keys=[gateway.signature_key],
        transport=transport,
        api_base=gateway.url,
        **more,
    )
    provider.clock = gateway.clock
    return provider
