"""A payment that somebody asks for, before the merchant has agreed to it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from ..errors import InvalidRequest
from ..models import BillingInterval, CaptureMethod, GuestData, Money, Pricing, Principal
from ..tripwire import refuse_card_numbers

__all__ = ["Approve", "PaymentDraft", "Recurring", "approved", "full_price"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurring:
    """The terms of a subscription: the draft's price is what is charged each time."""

    interval: BillingInterval
    interval_multiplier: int = 1
    trial_days: int = 0
    product_id: str | None = None
    subscription_id: str | None = None
    """Set when an existing subscription is about to cost something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentDraft:
    """What an `approve` hook sees. It returns the draft, priced or changed, or raises a refusal.

    The browser does not set the price: everything here may have been typed by a stranger.
    """

    currency: str
    pricing: Pricing
    provider_id: str | None = None
    payment_id: str | None = None
    """Set when an existing payment is about to change."""
    payment_method: str | None = field(default=None, repr=False)
    confirm: bool = False
    off_session: bool = False
    """The payer is not there: a method that they agreed to keep is charged."""
    capture_method: CaptureMethod = CaptureMethod.AUTOMATIC
    return_url: str | None = None
    setup_future_usage: str | None = None
    description: str | None = None
    concept: str | None = None
    reference_code: str | None = None
    category: str | None = None
    tags: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    guest: GuestData | None = field(default=None, repr=False)
    customer_id: str | None = None
    organization_id: str | None = None
    project_id: str | None = None
    billing_address_id: str | None = None
    applied_coupons: tuple[Any, ...] | None = None
    is_manual_payment: bool = False
    manual_payment_method: str | None = None
    manual_payment_reference: str | None = None
    manual_payment_date: datetime | None = None
    recurring: Recurring | None = None
    """Set when this is no payment but a subscription."""
    claims_accepted: bool = False
    """Whether the host vouches for `organization_id` and `project_id`; else they stay mere claims."""

    @property
    def amount(self) -> Money:
        """What is to be paid."""
        return Money(self.pricing.total, self.currency)

    def priced(self, total: Money | int | Pricing) -> PaymentDraft:
        """Return this draft at the merchant's price: an amount, or minor units of the draft's currency."""
        if isinstance(total, Pricing):
            return replace(self, pricing=total)
        if isinstance(total, Money):
            return replace(self, pricing=full_price(total.minor_units), currency=total.currency)
        return replace(self, pricing=full_price(total))

    def with_claims(self) -> PaymentDraft:
        """Return this draft with its organization and project vouched for."""
        return replace(self, claims_accepted=True)


Approve = Callable[[PaymentDraft, Principal], PaymentDraft | Awaitable[PaymentDraft]]
"""Runs before every create and update, and before a subscription begins or its price changes.

Returns the draft to go on with, or raises a refusal.
"""


def full_price(total: int) -> Pricing:
    """Return a price without tax and discount."""
    return Pricing(subtotal=total, tax=0, discount=0, total=total)


async def approved(draft: PaymentDraft, principal: Principal, approve: Approve | None) -> PaymentDraft:
    """Ask the merchant's hook, if there is one; a plain function runs in a worker thread."""
    if approve is None:
        return draft
    # A plain function may block (a database of the shop's); a coroutine function only returns its coroutine.
    ask: Callable[..., Any] = approve
    if inspect.iscoroutinefunction(approve):
        answer = ask(draft, principal)
    else:
        answer = await asyncio.to_thread(ask, draft, principal)
    result = await answer if inspect.isawaitable(answer) else answer
    if not isinstance(result, PaymentDraft):
        raise InvalidRequest("this payment was not approved")
    refuse_card_numbers({part.name: getattr(result, part.name) for part in fields(result)})
    return result
