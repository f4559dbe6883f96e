"""Customers: what we send of them, and what Stripe's mean in our words. Pure."""

from __future__ import annotations

from typing import Final

from ...errors import ProviderNotFound
from ..base import CustomerRequest, CustomerUpdate, ProviderCustomer
from .forms import REFERENCE, UPDATE_REFERENCE, Form, marked
from .objects import Json, moment_of, text_of

__all__ = ["CUSTOMER_ID", "create_form", "customer_from", "forgotten", "update_form"]

CUSTOMER_ID: Final = "bridge_customer_id"


def create_form(request: CustomerRequest) -> Form:
    ours = {CUSTOMER_ID: request.customer_id, REFERENCE: request.reference}
    return {**_about(request), "metadata": marked(request.metadata, ours)}


def update_form(request: CustomerUpdate, *, reference: str) -> Form:
    """The change, stamped with the operation, so that a lost update can be told from one that never ran."""
    return {**_about(request), "metadata": marked(request.metadata or {}, {UPDATE_REFERENCE: reference})}


def _about(request: CustomerRequest | CustomerUpdate) -> Form:
    given = {"email": request.email, "name": request.name, "phone": request.phone}
    return {name: value for name, value in given.items() if value is not None}


def customer_from(customer: Json, *, request_id: str | None = None) -> ProviderCustomer:
    """Read a customer; of a deleted one Stripe keeps the id alone.

    Raises KeyError, TypeError or ValueError for what is not a customer.
    """
    if customer["object"] != "customer":
        raise ValueError("not a customer")
    metadata = customer.get("metadata") or {}
    return ProviderCustomer(
        reference=text_of(customer["id"]),
        email=customer.get("email"),
        name=customer.get("name"),
        phone=customer.get("phone"),
        deleted=customer.get("deleted") is True,
        livemode=customer.get("livemode"),
        customer_id=metadata.get(CUSTOMER_ID),
        our_reference=metadata.get(REFERENCE),
        created_at=moment_of(customer.get("created")),
        request_id=request_id,
        raw=customer,
    )


def forgotten(reference: str, gone: ProviderNotFound) -> ProviderCustomer:
    """Return the customer that Stripe does not know, which is what a deletion wants.

    Raises *gone* where it is known after all, in the mode that the key is not of (2026-11, seen as "a similar
    object exists in live mode, but a test mode key was used to make this request").
    """
    if "similar object exists" in gone.message:
        raise gone
    return ProviderCustomer(reference=reference, deleted=True, request_id=gone.request_id)
