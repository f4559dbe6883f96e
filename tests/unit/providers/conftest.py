"""Stripe's objects, small and valid, and an account that talks to the scripted gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from bridge_payments.providers.base import Step
from bridge_payments.providers.stripe import StripeProvider
from bridge_payments.transport import Transport

Make = Callable[..., dict[str, Any]]

SECRET = "sk_test_51LabLabLab"
WEBHOOK_SECRET = "whsec_lab"


def _intent(**changes: Any) -> dict[str, Any]:
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 2000,
        "amount_capturable": 0,
        "amount_received": 0,
        "created": 1_790_000_000,
        "currency": "usd",
        "client_secret": "pi_1_secret_abc",
        "livemode": False,
        "latest_charge": None,
        "last_payment_error": None,
        "metadata": {"bridge_payment_id": "pay_1", "bridge_reference": "ref00000000000000001"},
        "next_action": None,
        "payment_method": None,
        "status": "requires_payment_method",
        **changes,
    }


def _charge(**changes: Any) -> dict[str, Any]:
    return {
        "id": "ch_1",
        "object": "charge",
        "amount": 2000,
        "amount_captured": 2000,
        "amount_refunded": 0,
        "billing_details": {"address": None, "email": None, "name": None, "phone": None, "tax_id": None},
        "captured": True,
        "created": 1_790_000_010,
        "currency": "usd",
        "disputed": False,
        "livemode": False,
        "metadata": {},
        "paid": True,
        "payment_intent": "pi_1",
        "payment_method_details": {
            "type": "card",
            "card": {
                "brand": "visa", "checks": None, "country": "US", "exp_month": 8, "exp_year": 2031,
                "funding": "credit", "installments": None, "last4": "4242", "mandate": None,
                "network": "visa", "three_d_secure": None,
                "wallet": {"type": "apple_pay", "dynamic_last4": None, "apple_pay": {"type": "apple_pay"}},
            },
        },
        "refunded": False,
        "refunds": {"object": "list", "data": [], "has_more": False, "url": "/v1/charges/ch_1/refunds"},
        "status": "succeeded",
        **changes,
    }  # fmt: skip


def _refund(**changes: Any) -> dict[str, Any]:
    return {
        "id": "re_1",
        "object": "refund",
        "amount": 500,
        "created": 1_790_000_020,
        "currency": "usd",
        "charge": "ch_1",
        "metadata": {"bridge_refund_id": "ref_1", "bridge_reference": "ref00000000000000009"},
        "payment_intent": "pi_1",
        "reason": None,
        "status": "succeeded",
        **changes,
    }


@pytest.fixture
def intent() -> Make:
    return _intent


@pytest.fixture
def paid() -> Make:
    """A paid intent with its charge and its refunds spelled out."""

    def make(*, charge: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        facts = {"status": "succeeded", "amount_received": 2000, "payment_method": "pm_1"}
        return _intent(**facts, latest_charge=_charge(**(charge or {})), **changes)

    return make


@pytest.fixture
def charge() -> Make:
    return _charge


@pytest.fixture
def refund() -> Make:
    return _refund


@pytest.fixture
def dispute() -> Make:
    def make(**changes: Any) -> dict[str, Any]:
        return {
            "id": "dp_1", "object": "dispute", "amount": 2000, "balance_transactions": [], "charge": "ch_1",
            "created": 1_790_000_030, "currency": "usd", "enhanced_eligibility_types": [], "livemode": False,
            "evidence": {"enhanced_evidence": {}}, "is_charge_refundable": False, "metadata": {},
            "evidence_details": {
                "due_by": 1_790_900_000, "enhanced_eligibility": {}, "has_evidence": False,
                "past_due": False, "submission_count": 0,
            },
            "payment_intent": "pi_1", "reason": "fraudulent", "status": "needs_response", **changes,
        }  # fmt: skip

    return make


@pytest.fixture
def listing() -> Callable[..., dict[str, Any]]:
    def make(*items: dict[str, Any], has_more: bool = False) -> dict[str, Any]:
        noun = items[0]["object"] if items else "refund"
        return {"object": "list", "data": list(items), "has_more": has_more, "url": f"/v1/{noun}s"}

    return make


@pytest.fixture
def step() -> Callable[..., Step]:
    def make(**changes: Any) -> Step:
        return Step(**{"key": "op_1", "reference": "ref00000000000000009", "deadline": 5.0, **changes})

    return make


@pytest.fixture
def when() -> datetime:
    """When an operation began."""
    return datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def make(intent: Make, paid: Make, refund: Make, listing: Make, step: Callable[..., Step]) -> SimpleNamespace:
    """All of them, for a test that needs several."""
    return SimpleNamespace(intent=intent, paid=paid, refund=refund, listing=listing, step=step)


@pytest.fixture
async def stripe_account(scripted: Any) -> AsyncIterator[StripeProvider]:
    transport = Transport()
    yield StripeProvider(
        secret_key=SECRET, webhook_secrets=[WEBHOOK_SECRET], transport=transport, api_base=scripted.url
    )
    await transport.aclose()
