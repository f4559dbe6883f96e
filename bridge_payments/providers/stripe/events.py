"""What a verified event is about, and what has to be read again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ...models import Noun, ProviderEvent
from .forms import REFERENCE
from .objects import Json, moment_of, reference_of, stamp_of, text_of

__all__ = ["event_from"]

# What an event is about, by the object that it carries, and the field that names what has to be read again:
# its own id, or its parent's (2026-11, https://docs.stripe.com/api/events/types).
_ABOUT: Final[Mapping[str, tuple[Noun, str]]] = {
    "payment_intent": (Noun.PAYMENT, "id"),
    "charge": (Noun.PAYMENT, "payment_intent"),
    "refund": (Noun.PAYMENT, "payment_intent"),
    "dispute": (Noun.PAYMENT, "payment_intent"),
    "review": (Noun.PAYMENT, "payment_intent"),
    "radar.early_fraud_warning": (Noun.PAYMENT, "payment_intent"),
    "customer": (Noun.CUSTOMER, "id"),
    "payment_method": (Noun.PAYMENT_METHOD, "id"),
    "setup_intent": (Noun.PAYMENT_METHOD, "id"),
    "subscription": (Noun.SUBSCRIPTION, "id"),
}


def event_from(event: Json, *, body: str = "") -> ProviderEvent:
    """Read a verified event. *body* is what may be stored of it.

    Raises KeyError, TypeError or ValueError for what is not an event.
    """
    thin = event["object"] == "v2.core.event"
    if not thin and event["object"] != "event":
        raise ValueError("not an event")
    target: Json = {} if thin else event["data"]["object"]
    noun, reference, ours = _subject(target)
    if event.get("account"):
        # A connected account's object: our key reads another account, where it does not exist.
        reference = None
    return ProviderEvent(
        id=text_of(event["id"]),
        type=text_of(event["type"]),
        noun=noun,
        reference=reference,
        livemode=event.get("livemode"),
        our_reference=ours,
        # The version of the endpoint, not ours: the body may have another shape than our answers.
        api_version=event.get("api_version"),
        created_at=moment_of(event.get("created")),
        body=body,
    )


def _subject(target: Json) -> tuple[Noun, str | None, str | None]:
    """Return what the object is about, what has to be read again, and our reference where it is carried."""
    if target.get("object") == "invoice":
        subscription, carried = _of_invoice(target)
        return Noun.SUBSCRIPTION, reference_of(subscription), stamp_of(carried, REFERENCE)
    noun, field = _ABOUT.get(target.get("object") or "", (Noun.PAYMENT, ""))
    named = target if field == "id" else target.get(field)
    return noun, reference_of(named), stamp_of(target, REFERENCE)


def _of_invoice(invoice: Json) -> tuple[object, object]:
    """Return the subscription that an invoice is of, and what carries its metadata.

    `subscription` became `parent.subscription_details.subscription` in 2025-03-31
    (https://docs.stripe.com/changelog/basil/2025-03-31/adds-new-parent-field-to-invoicing-objects).
    """
    parent: Json = invoice.get("parent") or {}
    details: Json = parent.get("subscription_details") or invoice.get("subscription_details") or {}
    return details.get("subscription") or invoice.get("subscription"), details
