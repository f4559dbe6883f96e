"""New objects in the shape that Stripe's published schema gives them; nothing here decides anything."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from .books import Json
from .cards import Card

__all__ = [
    "CARD_OPTIONS",
    "challenge",
    "charge",
    "confirmation_token",
    "customer",
    "dispute",
    "expand",
    "for_browser",
    "intent",
    "listing",
    "method",
    "refund",
    "setup",
]

CARD_OPTIONS: Final[Json] = {
    "installments": None,
    "mandate_options": None,
    "network": None,
    "request_three_d_secure": "automatic",
}


def intent(identity: str, secret: str, *, now: int, amount: int, currency: str) -> Json:
    return {
        "id": identity,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": secret,
        "confirmation_method": "automatic",
        "created": now,
        "currency": currency,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": dict(CARD_OPTIONS)},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }


def charge(
    identity: str,
    parent: Mapping[str, Any],
    paid_with: Mapping[str, Any],
    *,
    now: int,
    captured: bool,
    refusal: Mapping[str, Any] | None,
    authenticated: bool,
) -> Json:
    """One attempt to collect. *refusal* is the decline, if the issuer or the risk check said no."""
    card = paid_with["card"]
    several = parent["payment_method_options"]["card"].get("request_multicapture") == "if_available"
    amount = parent["amount"]
    return {
        "id": identity,
        "object": "charge",
        "amount": amount,
        "amount_captured": amount if captured and not refusal else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": dict(paid_with["billing_details"]),
        "calculated_statement_descriptor": "SANDBOX SHOP",
        "captured": captured and not refusal,
        "created": now,
        "currency": parent["currency"],
        "customer": parent["customer"],
        "description": parent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": refusal["code"] if refusal else None,
        "failure_message": refusal["message"] if refusal else None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(parent["metadata"]),
        "on_behalf_of": None,
        "outcome": _outcome(refusal),
        "paid": refusal is None,
        "payment_intent": parent["id"],
        "payment_method": paid_with["id"],
        "payment_method_details": {
            "card": {
                "amount_authorized": None if refusal else amount,
                "authorization_code": None if refusal else identity[-6:].upper(),
                "brand": card["brand"],
                "checks": card["checks"],
                "country": card["country"],
                "exp_month": card["exp_month"],
                "exp_year": card["exp_year"],
                "extended_authorization": {"status": "disabled"},
                "fingerprint": card["fingerprint"],
                "funding": card["funding"],
                "incremental_authorization": {"status": "unavailable"},
                "installments": None,
                "last4": card["last4"],
                "mandate": None,
                "multicapture": {"status": "available" if several else "unavailable"},
                "network": card["brand"],
                "network_token": {"used": False},
                "network_transaction_id": None,
                "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
                "regulated_status": "unregulated",
                "three_d_secure": _three_d_secure() if authenticated else None,
                "transaction_link_id": None,
                "wallet": None,
            },
            "type": "card",
        },
        "radar_options": {},
        "receipt_email": parent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "failed" if refusal else "succeeded",
        "transfer_data": None,
        "transfer_group": None,
    }


def _outcome(refusal: Mapping[str, Any] | None) -> Json:
    outcome: Json = {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network",
        "reason": None,
        "risk_level": "normal",
        "risk_score": 12,
        "seller_message": "Payment complete.",
        "type": "authorized",
    }
    if refusal is None:
        return outcome
    if refusal.get("decline_code") == "fraudulent":
        return outcome | {
            "network_status": "not_sent_to_network",
            "reason": "highest_risk_level",
            "risk_level": "highest",
            "risk_score": 91,
            "seller_message": "The gateway blocked this payment as too risky.",
            "type": "blocked",
        }
    return outcome | {
        "advice_code": "try_again_later",
        "network_decline_code": "01",
        "network_status": "declined_by_network",
        "reason": refusal.get("decline_code"),
        "seller_message": "The bank declined this payment.",
        "type": "issuer_declined",
    }


def _three_d_secure() -> Json:
    return {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05",
        "exemption_indicator": None,
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": None,
        "version": "2.2.0",
    }


def refund(identity: str, of: Mapping[str, Any], *, now: int, amount: int, status: str) -> Json:
    return {
        "id": identity,
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": of["id"],
        "created": now,
        "currency": of["currency"],
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        "metadata": {},
        "payment_intent": of["payment_intent"],
        "payment_method": of["payment_method"],
        "reason": None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }


def challenge(page: str, *, return_url: str | None, in_script: bool) -> Json:
    """The next action of a payer whose bank asks: a page to go to, or a job for Stripe's script."""
    if return_url and not in_script:
        return {"type": "redirect_to_url", "redirect_to_url": {"return_url": return_url, "url": page}}
    job = {"type": "three_d_secure_redirect", "stripe_js": page, "source": "src_sandbox"}
    return {"type": "use_stripe_sdk", "use_stripe_sdk": job}


def setup(identity: str, secret: str, *, now: int, usage: str) -> Json:
    return {
        "id": identity,
        "object": "setup_intent",
        "application": None,
        "automatic_payment_methods": None,
        "cancellation_reason": None,
        "client_secret": secret,
        "created": now,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "mandate": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {"mandate_options": None, "network": None, "request_three_d_secure": "automatic"}
        },
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": usage,
    }


def dispute(identity: str, of: Mapping[str, Any], *, now: int, due: int, amount: int, inquiry: bool) -> Json:
    return {
        "id": identity,
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": of["id"],
        "created": now,
        "currency": of["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": due,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": of["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": of["payment_method_details"]["card"]["brand"],
                "case_type": "inquiry" if inquiry else "chargeback",
                "network": "visa",
                "network_reason_code": "10.4",
            },
            "type": "card",
        },
        "reason": "fraudulent",
        "status": "warning_needs_response" if inquiry else "needs_response",
    }


def confirmation_token(identity: str, method: Mapping[str, Any], *, now: int) -> Json:
    shown = ("allow_redisplay", "billing_details", "card", "customer", "customer_account", "type")
    return {
        "id": identity,
        "object": "confirmation_token",
        "created": now,
        "expires_at": now + 43_200,  # twelve hours (2026-11, https://docs.stripe.com/api/confirmation_tokens)
        "livemode": False,
        "mandate_data": None,
        "payment_intent": None,
        "payment_method_options": None,
        "payment_method_preview": {name: method[name] for name in shown},
        "return_url": None,
        "setup_future_usage": None,
        "setup_intent": None,
        "shipping": None,
        "use_stripe_sdk": True,
    }


def method(
    identity: str, card: Card, *, now: int, exp_month: int, exp_year: int, billing: Mapping[str, Any]
) -> Json:
    fingerprint = hashlib.sha256(f"{card.brand}{card.last4}".encode()).hexdigest()[:16]
    return {
        "id": identity,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {
            "address": dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state")),
            "email": billing.get("email"),
            "name": billing.get("name"),
            "phone": billing.get("phone"),
            "tax_id": None,
        },
        "card": {
            "brand": card.brand,
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": card.country,
            "display_brand": card.brand,
            "exp_month": exp_month,
            "exp_year": exp_year,
            "fingerprint": fingerprint,
            "funding": card.funding,
            "generated_from": None,
            "last4": card.last4,
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": now,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": "card",
    }


def customer(identity: str, *, now: int) -> Json:
    return {
        "id": identity,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": now,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": identity[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def listing(url: str, items: list[Json], *, has_more: bool) -> Json:
    return {"object": "list", "data": items, "has_more": has_more, "url": url}


# What Stripe leaves out of an object until it is asked for by `expand`.
_ONLY_WHEN_ASKED: Final = frozenset(
    {("charge", "refunds"), ("invoice", "payments"), ("invoice", "confirmation_secret")}
)

_SHOWN_TO_BROWSERS = (
    "id object amount automatic_payment_methods canceled_at cancellation_reason capture_method client_secret "
    "confirmation_method created currency description last_payment_error livemode next_action payment_method "
    "payment_method_types processing receipt_email setup_future_usage shipping source status amount_details "
    "last_setup_error usage"
).split()


def for_browser(whole: Mapping[str, Any]) -> Json:
    """Return what a publishable key may see of an intent: no metadata, no customer, no charge."""
    return {name: whole[name] for name in _SHOWN_TO_BROWSERS if name in whole}


def expand(found: Json, paths: list[str], look_up: Callable[[str], Json | None]) -> Json:
    """Replace ids by their objects along *paths* (``latest_charge.refunds``, ``data.payment_method``)."""
    for path in paths:
        _expand_one(found, path.split("."), look_up)
    return found


def _expand_one(branch: Any, path: list[str], look_up: Callable[[str], Json | None]) -> None:
    if isinstance(branch, list):
        for item in branch:
            _expand_one(item, path, look_up)
        return
    if not isinstance(branch, dict) or not path:
        return
    head, *tail = path
    if isinstance(branch.get(head), str) and (whole := look_up(branch[head])) is not None:
        branch[head] = whole
    if (branch.get("object"), head) in _ONLY_WHEN_ASKED and head not in branch:
        branch[head] = look_up(f"{branch['id']}/{head}")
    _expand_one(branch.get(head), tail, look_up)
