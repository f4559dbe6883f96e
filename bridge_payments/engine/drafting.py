"""From a draft to a row and a request: the checks and the translations, without any I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..errors import AccessDenied, InvalidRequest
from ..models import (
    METHOD_PATTERN,
    CaptureMethod,
    GuestData,
    Money,
    Payment,
    PaymentStatus,
    Pricing,
    Principal,
    PrincipalKind,
    new_id,
    new_reference,
)
from ..providers.base import Capability, IntentRequest, PaymentProvider
from ..settings import Settings
from . import rules
from .drafts import PaymentDraft
from .fitting import fitting
from .owners import owner_of

if TYPE_CHECKING:
    from .choosing import Chosen

__all__ = [
    "capture_method_of",
    "changed_draft",
    "check_account",
    "check_draft",
    "check_method",
    "guest_values",
    "intent_request",
    "money_inputs_differ",
    "new_payment",
    "plain_texts",
    "price_values",
    "provider_metadata",
]


def check_draft(
    draft: PaymentDraft, principal: Principal, extra: Mapping[str, Any] | None, settings: Settings
) -> None:
    """Refuse what no hook should have to look at. Nothing has been written or sent."""
    if draft.pricing.total <= 0:
        raise InvalidRequest("must be positive", field="total_cents")
    rules.check_metadata(draft.metadata)
    rules.check_json(extra=dict(extra or {}), applied_coupons=draft.applied_coupons)
    rules.check_tracking(
        concept=draft.concept, reference_code=draft.reference_code, category=draft.category,
        tags=draft.tags, description=draft.description,
    )  # fmt: skip
    if draft.is_manual_payment and not principal.is_trusted:
        raise AccessDenied("Only the merchant records payments that were made by hand")
    if extra and principal.kind is not PrincipalKind.SYSTEM:
        raise InvalidRequest("is for Python callers", field="extra")
    if draft.setup_future_usage not in (None, "on_session", "off_session"):
        raise InvalidRequest("is on_session or off_session", field="setup_future_usage")
    check_method(draft.payment_method)
    if principal.is_anonymous:
        if not settings.guest_checkout_enabled:
            raise AccessDenied("Guest checkout is disabled")
        if draft.guest is None:
            raise InvalidRequest("Guest data is required for guest payments", field="guest_data")
    if draft.guest is not None:
        if settings.guest_require_name and not (draft.guest.name or "").strip():
            raise InvalidRequest("is required", field="guest_data.name")
        if settings.guest_require_phone and not (draft.guest.phone or "").strip():
            raise InvalidRequest("is required", field="guest_data.phone")


def check_account(draft: PaymentDraft, gateway: PaymentProvider) -> None:
    """Refuse what this account cannot do, before anything is written."""
    gateway.check_amount(draft.amount)
    if draft.capture_method is CaptureMethod.MANUAL:
        gateway.require(Capability.MANUAL_CAPTURE, instead="create it with capture_method=automatic")
    if draft.confirm and draft.payment_method is None:
        raise InvalidRequest("is required to confirm", field="payment_method_id")


def new_payment(
    draft: PaymentDraft,
    provider_id: str | None,
    principal: Principal,
    now: datetime,
    *,
    secret_max_age: timedelta,
    chosen: Chosen | None = None,
) -> Payment:
    """Return the row of a payment that is about to begin.

    What the merchant collects with a stored method is its owner's payment.
    """
    is_user = principal.kind is PrincipalKind.USER
    guest = draft.guest if not is_user else None
    email = principal.email if principal.kind is PrincipalKind.GUEST else guest.email if guest else None
    user_id = principal.id if is_user else None
    if principal.is_trusted and guest is None and chosen is not None and chosen.method is not None:
        owner = owner_of(chosen.method)
        user_id, guest, email = owner.user_id, owner.guest, owner.guest_email
    vouched = draft.claims_accepted or principal.is_trusted
    organization = (
        draft.organization_id if vouched or draft.organization_id == principal.organization_id else None
    )
    project = draft.project_id if vouched else None
    claims = {
        name: value
        for name, value, kept in (
            ("claimed_organization_id", draft.organization_id, organization),
            ("claimed_project_id", draft.project_id, project),
        )
        if value is not None and kept is None
    }
    payment = Payment(
        id=new_id("pay"),
        provider_id=provider_id,
        status=PaymentStatus.PENDING,
        currency=draft.currency,
        subtotal_cents=draft.pricing.subtotal,
        tax_cents=draft.pricing.tax,
        discount_cents=draft.pricing.discount,
        total_cents=draft.pricing.total,
        created_at=now,
        updated_at=now,
        reference=new_reference(),
        client_secret_expires_at=now + secret_max_age,
        capture_method=draft.capture_method,
        setup_future_usage=draft.setup_future_usage,
        return_url=draft.return_url,
        user_id=user_id,
        organization_id=organization,
        project_id=project,
        customer_id=chosen.customer.id if chosen is not None and chosen.customer else draft.customer_id,
        # A wallet's token is longer than an identity, and worth nothing once it was used.
        payment_method_id=chosen.method_id if chosen is not None else None,
        billing_address_id=draft.billing_address_id,
        is_guest_payment=email is not None,
        guest_email=email,
        guest_data=guest or (GuestData(email=email, name=principal.name) if email else None),
        description=draft.description,
        concept=draft.concept,
        reference_code=draft.reference_code,
        category=draft.category,
        tags=draft.tags,
        metadata={**draft.metadata, **claims},
        applied_coupons=draft.applied_coupons,
        is_manual_payment=draft.is_manual_payment,
        manual_payment_method=draft.manual_payment_method,
        manual_payment_reference=draft.manual_payment_reference,
        manual_payment_date=draft.manual_payment_date,
    )
    return fitting(payment)


def capture_method_of(value: CaptureMethod | str) -> CaptureMethod:
    try:
        return CaptureMethod(value)
    except ValueError:
        raise InvalidRequest("is automatic or manual", field="capture_method") from None


def check_method(value: str | None) -> None:
    """Refuse what is neither an identity nor a one-time token."""
    if value is not None and not METHOD_PATTERN.match(value):
        raise InvalidRequest("is not an identity", field="payment_method_id")


def guest_values(guest: GuestData | None) -> tuple[str | None, ...] | None:
    return None if guest is None else (guest.email, guest.name, guest.phone)


def intent_request(
    draft: PaymentDraft, payment: Payment, chosen: Chosen, extra: Mapping[str, Any] | None
) -> IntentRequest:
    assert payment.reference is not None
    return IntentRequest(
        amount=draft.amount,
        payment_id=payment.id,
        reference=payment.reference,
        capture_method=draft.capture_method,
        confirm=draft.confirm,
        payment_method=chosen.reference,
        customer=chosen.customer_reference,
        off_session=draft.off_session,
        setup_future_usage=draft.setup_future_usage,
        return_url=draft.return_url,
        description=draft.description or draft.concept,
        metadata=provider_metadata(payment, draft.metadata),
        extra=dict(extra or {}),
    )


def provider_metadata(payment: Payment, metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the merchant's plain values and ours as the texts that every provider takes."""
    texts = plain_texts(metadata)
    if payment.reference_code:
        texts.setdefault("reference_code", payment.reference_code)
    if payment.is_guest_payment and payment.guest_data is not None:
        guest = payment.guest_data
        known = {"guest_email": guest.email, "guest_name": guest.name, "guest_phone": guest.phone}
        texts.update({key: value for key, value in known.items() if value})
        texts["is_guest_payment"] = "true"
    texts["bridge_payment_id"] = payment.id
    texts["bridge_reference"] = payment.reference or ""
    return texts


def plain_texts(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the merchant's plain values as texts; what is not plain stays with us."""
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in metadata.items()
        if isinstance(value, str | int | float) and len(str(value)) <= 500
    }


def changed_draft(
    payment: Payment,
    asked: Mapping[str, Any],
    metadata: Mapping[str, Any] | None,
    description: str | None,
    setup_future_usage: str | None,
) -> PaymentDraft:
    """Return what the payment would be after the update, for the approve hook and the checks."""
    priced = any(asked[name] is not None for name in ("subtotal", "tax", "discount", "total"))
    if priced:
        pricing = rules.price(
            subtotal=asked["subtotal"], tax=asked["tax"], discount=asked["discount"], total=asked["total"]
        )
    else:
        pricing = Pricing(
            subtotal=payment.subtotal_cents, tax=payment.tax_cents,
            discount=payment.discount_cents, total=payment.total_cents,
        )  # fmt: skip
    return PaymentDraft(
        payment_id=payment.id,
        currency=Money(pricing.total, asked["currency"] or payment.currency).currency,
        pricing=pricing,
        provider_id=payment.provider_id,
        capture_method=payment.capture_method,
        return_url=payment.return_url,
        setup_future_usage=setup_future_usage or payment.setup_future_usage,
        description=description or payment.description,
        concept=payment.concept,
        reference_code=payment.reference_code,
        category=payment.category,
        tags=payment.tags,
        metadata=dict(metadata) if metadata is not None else payment.metadata,
        guest=payment.guest_data,
        organization_id=payment.organization_id,
        project_id=payment.project_id,
    )


def price_values(pricing: Pricing) -> dict[str, int]:
    return {
        "subtotal": pricing.subtotal,
        "tax": pricing.tax,
        "discount": pricing.discount,
        "total": pricing.total,
    }


def money_inputs_differ(now: Payment, seen: Payment) -> bool:
    """Whether what we are about to ask was computed from money columns that have changed since."""
    names = ("total_cents", "currency", "authorized_cents", "captured_cents", "provider_intent_id")
    return any(getattr(now, name) != getattr(seen, name) for name in names)
