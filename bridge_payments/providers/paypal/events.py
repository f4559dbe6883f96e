"""What a verified event of PayPal's is about: which of our nouns, and what is read again. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ...models import Noun, ProviderEvent
from .billing import our_marks
from .objects import Json, items_of, moment_of, parent_of, text_of, text_or_none

__all__ = ["event_from", "order_of_capture", "reference_from", "subject_of"]

_REFERENCE: Final = re.compile(r"[0-9a-z]{20}")


def subject_of(event: Json) -> tuple[Noun, str | None]:
    """Return the noun and the reference of what an event is about."""
    resource = event.get("resource")
    resource = resource if isinstance(resource, Mapping) else {}
    kind = text_of(event["event_type"])
    identity = text_or_none(resource.get("id"))
    if kind.startswith("BILLING.SUBSCRIPTION."):
        return Noun.SUBSCRIPTION, identity
    if kind.startswith("PAYMENT.SALE."):
        return _of_sale(resource, identity)
    if kind.startswith("VAULT.PAYMENT-TOKEN."):
        # What an order was told to keep is read with its order: no row of ours knows it before that.
        order = text_or_none((resource.get("metadata") or {}).get("order_id"))
        if order is not None and kind.endswith(".CREATED"):
            return Noun.PAYMENT, order
        return Noun.PAYMENT_METHOD, identity
    return Noun.PAYMENT, _of_payment(event, resource, kind, identity)


def _of_sale(resource: Json, identity: str | None) -> tuple[Noun, str | None]:
    """What a subscription collects is called a sale (2026-11,
    https://developer.paypal.com/api/rest/webhooks/event-names/#subscriptions)."""
    if text_or_none(resource.get("sale_id")):
        return Noun.PAYMENT, identity  # a refund: only by its own id is read how much it was
    return Noun.SUBSCRIPTION, text_or_none(resource.get("billing_agreement_id"))


def _of_payment(event: Json, resource: Json, kind: str, identity: str | None) -> str | None:
    """Return the order that an event is about, or the capture of it: refunds and disputes name no more."""
    if kind.startswith("CHECKOUT.ORDER."):
        return identity
    if kind.startswith("CUSTOMER.DISPUTE."):
        disputed = items_of(resource, "disputed_transactions")
        return text_or_none(disputed[0].get("seller_transaction_id")) if disputed else None
    if not kind.startswith("PAYMENT."):
        return None
    if order := text_or_none(_related(resource).get("order_id")):
        return order
    if event.get("resource_type") == "refund" or parent_of(resource, "captures"):
        order, _, ours = (text_or_none(resource.get("custom_id")) or "").rpartition(".")
        return order if order and ours.startswith("ref") else parent_of(resource, "captures")
    # The first generation of the API has no orders; its objects say `state` where ours say `status`.
    return identity if kind.startswith("PAYMENT.CAPTURE.") and "status" in resource else None


def reference_from(event: Json) -> str | None:
    return subject_of(event)[1]


def order_of_capture(capture: Json) -> str | None:
    return text_or_none(_related(capture).get("order_id"))


def event_from(event: Json, *, livemode: bool | None = None, body: str = "") -> ProviderEvent:
    """Read a verified event. *body* is what may be stored of it.

    Raises KeyError, TypeError or ValueError for what is not an event.
    """
    resource: Any = event.get("resource")
    noun, reference = subject_of(event)
    return ProviderEvent(
        id=text_of(event["id"]),
        type=text_of(event["event_type"]),
        reference=reference,
        noun=noun,
        livemode=livemode,
        our_reference=_marked(resource) if isinstance(resource, Mapping) else None,
        api_version=text_or_none(event.get("resource_version")),
        created_at=moment_of(event.get("create_time")),
        body=body,
    )


def _related(resource: Json) -> Json:
    related: Json = (resource.get("supplementary_data") or {}).get("related_ids") or {}
    return related


def _marked(resource: Json) -> str | None:
    """Our 20 characters; a number of somebody else's is no claim to be ours."""
    units = items_of(resource, "purchase_units")
    thing = units[0] if units else resource
    text = text_or_none(thing.get("invoice_id"))
    if text and _REFERENCE.fullmatch(text):
        return text
    return our_marks(thing.get("custom_id") or thing.get("custom"))[1]
