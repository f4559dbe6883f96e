"""What Stripe's objects mean in our words. Pure: plain dicts in, frozen values out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ...models import NextAction, PaymentStatus, RefundStatus
from ..base import UNRECOGNISED, Decline, ProviderMethod, ProviderPayment, ProviderRefund, ProviderStatus
from .declines import DECLINES, charge_decline_from, decline_from, says_why
from .disputes import dispute_from, disputes_of, taken_by
from .events import event_from
from .forms import PAYMENT_ID, REFERENCE, REFUND_ID
from .money import from_stripe
from .next_actions import next_action_of
from .objects import Json, moment_of, reference_of, text_of
from .payment_methods import details_of
from .refusals import error_from, read_error_from

__all__ = [
    "DECLINES",
    "REFUND_STATUS",
    "STATUS",
    "charge_of",
    "decline_from",
    "dispute_from",
    "error_from",
    "event_from",
    "next_action_from",
    "payment_from",
    "read_error_from",
    "refund_from",
    "status_from",
]

# (2026-11, https://docs.stripe.com/payments/paymentintents/lifecycle). There is no failed intent: a
# refused one waits for another method. The two `source` words are older than 2019-02-11 and still come in
# the events of endpoints that are pinned to such a version.
STATUS: Final[Mapping[str, PaymentStatus]] = {
    "requires_payment_method": PaymentStatus.PENDING,
    "requires_source": PaymentStatus.PENDING,
    "requires_confirmation": PaymentStatus.REQUIRES_CONFIRMATION,
    "requires_action": PaymentStatus.REQUIRES_ACTION,
    "requires_source_action": PaymentStatus.REQUIRES_ACTION,
    "processing": PaymentStatus.PROCESSING,
    "requires_capture": PaymentStatus.REQUIRES_CAPTURE,
    "succeeded": PaymentStatus.SUCCEEDED,
    "canceled": PaymentStatus.CANCELED,
}

# (2026-11, https://docs.stripe.com/refunds#failed-refunds). `requires_action`: the payer has to say where
# the money should go; it is promised. A word that we do not know keeps its share too.
REFUND_STATUS: Final[Mapping[str, RefundStatus]] = {
    "pending": RefundStatus.PENDING,
    "requires_action": RefundStatus.PENDING,
    "succeeded": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.CANCELED,
}

_HELD_BACK: Final = frozenset({RefundStatus.FAILED, RefundStatus.CANCELED})

# The payer's agreement is complete, and with it that the method is kept.
_AGREED: Final = frozenset({"succeeded", "requires_capture"})


# --- payments -------------------------------------------------------------------------------------


def payment_from(
    intent: Json,
    *,
    refunds: Sequence[Json] | None = None,
    disputes: Sequence[Json] | None = None,
    request_id: str | None = None,
) -> ProviderPayment:
    """Read a PaymentIntent; *refunds* and *disputes* are all of its own, where they were listed.

    Raises KeyError, TypeError, ValueError or InvalidRequest for what is not a PaymentIntent.
    """
    if intent["object"] != "payment_intent":
        raise ValueError("not a payment intent")
    status = status_from(intent["status"])
    currency = intent["currency"]
    charge = charge_of(intent)
    captured = _captured(intent, status)
    listed = _refunds(intent, charge, refunds)
    metadata = intent.get("metadata") or {}
    return ProviderPayment(
        reference=text_of(intent["id"]),
        status=status,
        amount=from_stripe(intent["amount"], currency),
        authorized=_minor(_held(intent, status), currency),
        captured=_minor(captured, currency),
        refunded=_minor(_refunded(charge, listed), currency),
        disputed=_minor(taken_by(charge, disputes, captured), currency),
        charge=reference_of(charge or intent.get("latest_charge")),
        client_secret=intent.get("client_secret"),
        livemode=intent.get("livemode"),
        our_reference=metadata.get(REFERENCE),
        payment_id=metadata.get(PAYMENT_ID),
        next_action=next_action_from(intent.get("next_action"), status),
        decline=_decline_of(intent, status, charge),
        review=_in_review(intent.get("review")),
        method=_method(intent, charge),
        customer=reference_of(intent.get("customer")),
        refunds=None if listed is None else tuple(refund_from(refund) for refund in listed),
        disputes=disputes_of(charge, disputes),
        provider_status=intent["status"],
        request_id=request_id,
        created_at=moment_of(intent.get("created")),
        raw=intent,
    )


def status_from(word: str) -> ProviderStatus:
    return STATUS.get(word, UNRECOGNISED)


def charge_of(intent: Json) -> Json | None:
    """Return the intent's charge where the answer spells it out.

    `charges` was replaced by `latest_charge` in 2022-11-15; it lists the newest first
    (https://docs.stripe.com/changelog/2022-11-15/removes-charges-auto-expand).
    """
    latest = intent.get("latest_charge")
    if isinstance(latest, Mapping):
        return latest
    listed: list[Json] = (intent.get("charges") or {}).get("data") or []
    return next((charge for charge in listed if latest in (None, charge.get("id"))), None)


def _captured(intent: Json, status: ProviderStatus) -> int:
    if "amount_received" in intent:
        return int(intent["amount_received"])
    return int(intent["amount"]) if status is PaymentStatus.SUCCEEDED else 0


def _held(intent: Json, status: ProviderStatus) -> int:
    if "amount_capturable" in intent:
        return int(intent["amount_capturable"])
    return int(intent["amount"]) if status is PaymentStatus.REQUIRES_CAPTURE else 0


def _refunds(intent: Json, charge: Json | None, listed: Sequence[Json] | None) -> Sequence[Json] | None:
    """Return every refund, or None where the answer does not say them all."""
    if charge is None and intent.get("latest_charge", ...) is None:
        return ()
    if charge is not None and not charge.get("captured"):
        # Before 2025-03-31.basil a released authorisation came with a refund of its own, of money that
        # was never collected (https://docs.stripe.com/changelog/basil/2025-03-31/
        # remove-refund-from-partial-capture-and-payment-cancellation-flow).
        return ()
    if listed is not None:
        return listed
    expanded = (charge or {}).get("refunds")
    if isinstance(expanded, Mapping) and not expanded.get("has_more"):
        data: list[Json] = expanded["data"]
        return data
    return None


def _refunded(charge: Json | None, listed: Sequence[Json] | None) -> int:
    if listed is not None:
        return sum(int(each["amount"]) for each in listed if _refund_status(each) not in _HELD_BACK)
    # Counts pending refunds, and goes down again when one fails.
    return int((charge or {}).get("amount_refunded") or 0)


def _in_review(review: object) -> bool:
    """An unexpanded review does not say whether it is still open, and Stripe takes the money either way."""
    return isinstance(review, Mapping) and review.get("open") is True


def _method(intent: Json, charge: Json | None) -> ProviderMethod | None:
    given = intent.get("payment_method")
    reference = reference_of(given)
    if reference is None:
        return None
    shown: Json = (charge or {}).get("payment_method_details") or {}
    if not shown and isinstance(given, Mapping):
        shown = given
    customer = reference_of(intent.get("customer"))
    # Once it is paid, Stripe keeps what was to be kept with the customer
    # (2026-11, https://docs.stripe.com/payments/save-during-payment).
    saved = intent["status"] in _AGREED and customer is not None and bool(intent.get("setup_future_usage"))
    return ProviderMethod(
        reference=_made_of_it(shown) or reference, **details_of(shown), customer=customer, saved=saved
    )


def _made_of_it(shown: Json) -> str | None:
    """Return the direct debit that is kept in place of a method that pays once, as iDEAL does."""
    details = shown.get(shown.get("type") or "") or {}
    return reference_of(details.get("generated_sepa_debit"))


# --- declines and next actions --------------------------------------------------------------------


def _decline_of(intent: Json, status: ProviderStatus, charge: Json | None) -> Decline | None:
    if status in (PaymentStatus.SUCCEEDED, PaymentStatus.REQUIRES_CAPTURE, PaymentStatus.PROCESSING):
        return None
    error = intent.get("last_payment_error") or {}
    if says_why(error):
        return decline_from(error)
    # A failed charge under a challenge is the issuer asking for it, not a refusal.
    if status is PaymentStatus.PENDING and charge is not None and charge.get("status") == "failed":
        return charge_decline_from(charge)
    return None


def next_action_from(action: Json | None, status: ProviderStatus) -> NextAction | None:
    """Say what the payer has to do, where it is the payer's turn."""
    return next_action_of(action) if status is PaymentStatus.REQUIRES_ACTION else None


# --- refunds --------------------------------------------------------------------------------------


def refund_from(refund: Json) -> ProviderRefund:
    if refund["object"] != "refund":
        raise ValueError("not a refund")
    metadata = refund.get("metadata") or {}
    return ProviderRefund(
        reference=text_of(refund["id"]),
        payment=reference_of(refund.get("payment_intent")),
        amount=from_stripe(refund["amount"], refund["currency"]),
        status=_refund_status(refund),
        our_reference=metadata.get(REFERENCE),
        refund_id=metadata.get(REFUND_ID),
        reason=refund.get("reason"),
        failure=refund.get("failure_reason"),
        raw=refund,
    )


def _refund_status(refund: Json) -> RefundStatus:
    # Before 2016 a refund had no status: it had happened.
    word = refund.get("status") or "succeeded"
    return REFUND_STATUS.get(word, RefundStatus.PENDING)


def _minor(units: int, currency: str) -> int:
    return from_stripe(units, currency).minor_units if units else 0
