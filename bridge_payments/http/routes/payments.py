"""Payments over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from ...errors import (
    AccessDenied,
    BridgeError,
    IdempotencyMismatch,
    IllegalState,
    NotAuthenticated,
    NotFound,
    OperationInProgress,
    PaymentDeclined,
    RateLimited,
    Unavailable,
    UnsupportedOperation,
)
from ...models import ID_PATTERN, GuestData, Payment, PaymentMethod, Principal, PrincipalKind, email_key
from ..envelope import ONE, Reply, list_context, one_context, page_meta
from ..problems import ValidationFailed
from ..queries import INCLUDE, LIST_PARAMETERS, includes, read_query
from ..route import Access, Call, Key, Route, Text
from ..schemas.briefs import PaymentMethodBrief
from ..schemas.payments import (
    CancelPayment,
    CapturePayment,
    ConfirmPayment,
    CreatePayment,
    PaymentCanceled,
    PaymentCaptured,
    PaymentConfirmed,
    PaymentDetail,
    PaymentSummary,
    PaymentSynced,
    PaymentUpdated,
    SyncPayment,
    UpdatePayment,
)

__all__ = ["PAYMENT_ROUTES", "payment_id"]

S = TypeVar("S", bound=PaymentSummary)


# --- handlers -------------------------------------------------------------------------------------


async def create_payment_intent(call: Call) -> Reply:
    """Begin a payment and return its client secret.

    Give any combination of amounts that adds up. With `confirm` and `payment_method_id` the payment is made
    at once. Anonymous callers give `guest_data`; a repeat of their `Idempotency-Key` is answered without the
    client secret, because a stranger behind the same address may have sent the same.
    """
    body = call.given(CreatePayment)
    guest = body.guest_data
    subtotal, metadata = body.subtotal_cents, body.metadata
    if body.shipping_cents:
        # Shipping has no column: it is part of what is charged, so it counts into the subtotal, in the open.
        metadata = {**metadata, "shipping_cents": body.shipping_cents}
        subtotal = None if subtotal is None else subtotal + body.shipping_cents
    payment = await call.bridge.engine.create_payment_intent(
        subtotal_cents=subtotal,
        tax_cents=body.tax_cents,
        discount_cents=body.discount_cents,
        total_cents=_one_total(body.total_cents, body.amount_cents),
        currency=body.currency,
        provider=body.provider_id,
        payment_method=body.payment_method_id,
        confirm=body.confirm,
        capture_method=body.capture_method,
        return_url=body.return_url,
        description=body.description,
        concept=body.concept,
        reference_code=body.reference_code,
        category=body.category,
        tags=body.tags,
        metadata=metadata,
        guest=GuestData(email=guest.email, name=guest.name, phone=guest.phone) if guest else None,
        setup_future_usage=body.setup_future_usage,
        save_payment_method=body.save_payment_method,
        customer_id=body.customer_id,
        organization_id=body.organization_id,
        project_id=body.project_id,
        billing_address_id=body.billing_address_id,
        applied_coupons=body.applied_coupons,
        is_manual_payment=body.is_manual_payment,
        manual_payment_method=body.manual_payment_method,
        manual_payment_reference=body.manual_payment_reference,
        manual_payment_date=body.manual_payment_date,
        idempotency_key=call.idempotency_key,
        principal=call.principal,
    )
    return Reply(data=_detail(payment, call.principal))


async def update_payment_intent(call: Call) -> Reply:
    """Change a payment before money is held.

    An anonymous caller presents the payment's `client_secret`.
    """
    body = call.given(UpdatePayment)
    payment = await call.bridge.engine.update_payment_intent(
        payment_id(call),
        subtotal_cents=body.subtotal_cents,
        tax_cents=body.tax_cents,
        discount_cents=body.discount_cents,
        total_cents=_one_total(body.total_cents, body.amount_cents),
        currency=body.currency,
        description=body.description,
        metadata=body.metadata,
        setup_future_usage=body.setup_future_usage,
        customer_id=body.customer_id,
        client_secret=body.client_secret,
        idempotency_key=call.idempotency_key,
        principal=call.principal,
    )
    answer = PaymentUpdated.model_validate(payment)
    answer.setup_future_usage_updated = body.setup_future_usage is not None
    return Reply(data=answer)


async def confirm_payment(call: Call) -> Reply:
    """Pay: the payer agrees to the amount with a method of payment.

    When the provider does not answer the status is `processing` and the outcome `unknown`: the payment is
    looked up and settled by itself, and must not be made again.
    """
    body = call.given(ConfirmPayment)
    payment = await call.bridge.engine.confirm_payment(
        payment_id(call),
        payment_method=body.payment_method_id,
        return_url=body.return_url,
        save_payment_method=body.save_payment_method,
        client_secret=body.client_secret,
        idempotency_key=call.idempotency_key,
        principal=call.principal,
    )
    return Reply(data=PaymentConfirmed.model_validate(payment))


async def sync_payment(call: Call) -> Reply:
    """Read the payment at its provider and record what it says.

    Changes nothing at the provider. The id may be ours or the provider's.
    """
    body = call.given(SyncPayment)
    payment = await call.bridge.engine.sync_payment(
        payment_id(call),
        expected_status=body.expected_status,
        client_secret=body.client_secret,
        principal=call.principal,
    )
    return Reply(data=PaymentSynced.model_validate(payment))


async def capture_payment(call: Call) -> Reply:
    """Collect an authorised payment, or part of it.

    What is left of the authorisation is released unless `final` is false. Of a pending payment that is
    collected by hand (`is_manual_payment`) it says that the money is there: no provider is asked.
    """
    body = call.given(CapturePayment)
    payment = await call.bridge.engine.capture_payment(
        payment_id(call),
        amount_cents=body.amount_cents,
        final=body.final,
        idempotency_key=call.idempotency_key,
        principal=call.principal,
    )
    return Reply(data=PaymentCaptured.model_validate(payment))


async def cancel_payment(call: Call) -> Reply:
    """Give a payment up before money is held; admins also release an authorisation.

    An anonymous caller presents the payment's `client_secret`.
    """
    body = call.given(CancelPayment)
    payment = await call.bridge.engine.cancel_payment(
        payment_id(call),
        client_secret=body.client_secret,
        idempotency_key=call.idempotency_key,
        principal=call.principal,
    )
    return Reply(data=PaymentCanceled.model_validate(payment))


async def get_payment(call: Call) -> Reply:
    """Read one payment, with its client secret while its owner can still pay it."""
    engine = call.bridge.engine
    payment = await engine.get_payment(payment_id(call), principal=call.principal)
    answer = _detail(payment, call.principal)
    methods = await engine.methods_of([payment], principal=call.principal)
    return Reply(
        data=_with_methods([answer], methods)[0],
        meta=ONE,
        user_context=one_context(call.principal, payment),
    )


async def list_payments(call: Call) -> Reply:
    """List the caller's payments, newest first; admins see everybody's."""
    return await _page(call, call.principal, None)


async def list_guest_payments(call: Call) -> Reply:
    """List the payments of one guest e-mail address, for admins and for whoever proved that address."""
    principal, email = call.principal, call.path["email"]
    if principal.kind is not PrincipalKind.ADMIN:
        # An e-mail address identifies nobody until it is proved (rule 23): by a guest token or by an account.
        if not principal.email_verified or email_key(principal.email or "") != email_key(email):
            raise AccessDenied("Insufficient privileges for this e-mail address")
        principal = Principal.guest(email)
    return await _page(call, principal, email)


# --- reading requests -----------------------------------------------------------------------------


def payment_id(call: Call) -> str:
    """Return the id in the path; what cannot be an id is not found, and never reaches a database."""
    given = call.path["payment_id"]
    if not ID_PATTERN.fullmatch(given):
        raise NotFound("Payment not found")
    return given


def _one_total(total: int | None, amount: int | None) -> int | None:
    if total is not None and amount is not None and total != amount:
        raise ValidationFailed.of("amount_cents", "is another name of total_cents and says something else")
    return total if total is not None else amount


async def _page(call: Call, principal: Principal, guest_email: str | None) -> Reply:
    query, page = read_query(call.request)
    query = replace(query, guest_email=guest_email)
    found = await call.bridge.engine.list_payments(query, principal=principal)
    items = [PaymentSummary.model_validate(payment) for payment in found.items]
    if "payment_method" in includes(call.request):
        methods = await call.bridge.engine.methods_of(found.items, principal=principal)
        items = _with_methods(items, methods)
    return Reply(
        data=items,
        meta=page_meta(
            page=page,
            limit=query.limit,
            total=found.total,
            query=query.search or "",
            order_by=query.order_by,
            descending=query.descending,
        ),
        user_context=list_context(call.principal),
    )


def _detail(payment: Payment, principal: Principal) -> PaymentDetail:
    return PaymentDetail.of(payment, admin=principal.kind is PrincipalKind.ADMIN)


def _with_methods(items: list[S], methods: Mapping[str, PaymentMethod]) -> list[S]:
    """Return answers that show the stored methods of their payments."""
    for item in items:
        if (method := methods.get(item.payment_method_id or "")) is not None:
            item.payment_method = PaymentMethodBrief.model_validate(method)
    return items


def _charges_a_method(body: CreatePayment) -> bool:
    """Whether the body pays with a named method. It may be a stored one: a reference does not tell."""
    return body.confirm and body.payment_method_id is not None


# --- the table ------------------------------------------------------------------------------------

_NOT_FOUND: Final[Mapping[type[BridgeError], Text]] = {
    NotFound: Text("Payment not found", "Payment not found")
}
_MONEY: Final = (
    AccessDenied,
    NotFound,
    OperationInProgress,
    IdempotencyMismatch,
    RateLimited,
    Unavailable,
)

_common: dict[str, Any] = {"noun": "payments"}

PAYMENT_ROUTES: Final = (
    Route(
        methods=("POST",),
        path="/payments/intents",
        handler=create_payment_intent,
        fresh=_charges_a_method,
        takes=CreatePayment,
        returns=PaymentDetail,
        status=201,
        key=Key.OPTIONAL,
        errors=(PaymentDeclined, UnsupportedOperation, *_MONEY),
        **_common,
    ),
    Route(
        methods=("PUT", "PATCH"),
        path="/payments/intents/{payment_id}",
        handler=update_payment_intent,
        reveals=True,
        takes=UpdatePayment,
        returns=PaymentUpdated,
        key=Key.OPTIONAL,
        errors=(IllegalState, UnsupportedOperation, *_MONEY),
        texts=_NOT_FOUND,
        **_common,
    ),
    Route(
        methods=("POST",),
        path="/payments/intents/{payment_id}/confirm",
        aliases=("/payments/confirm/{payment_id}",),
        handler=confirm_payment,
        reveals=True,
        fresh=True,  # it charges a method, which may be a stored one: if not named now, then when it began
        takes=ConfirmPayment,
        returns=PaymentConfirmed,
        key=Key.OPTIONAL,
        errors=(PaymentDeclined, IllegalState, UnsupportedOperation, *_MONEY),
        texts=_NOT_FOUND,
        **_common,
    ),
    Route(
        methods=("POST",),
        path="/payments/intents/{payment_id}/sync",
        aliases=("/payments/sync/{payment_id}",),
        handler=sync_payment,
        reveals=True,
        takes=SyncPayment,
        returns=PaymentSynced,
        errors=(AccessDenied, NotFound, RateLimited, Unavailable),
        texts=_NOT_FOUND,
        **_common,
    ),
    Route(
        methods=("GET",),
        path="/payments",
        handler=list_payments,
        returns=PaymentSummary,
        many=True,
        access=Access.SIGNED_IN,
        query=(*LIST_PARAMETERS, INCLUDE),
        errors=(NotAuthenticated,),
        texts={
            NotAuthenticated: Text("Authentication Required", "Authentication required to view payments"),
        },
        **_common,
    ),
    Route(
        methods=("GET",),
        path="/payments/{payment_id}",
        aliases=("/payments/intents/{payment_id}",),
        handler=get_payment,
        reveals=True,
        returns=PaymentDetail,
        access=Access.SIGNED_IN,
        errors=(NotAuthenticated, AccessDenied, NotFound),
        texts={
            NotAuthenticated: Text("Authentication Required", "Authentication required to view payments"),
            AccessDenied: Text("Access Denied", "Insufficient privileges for this payment"),
            NotFound: Text("Not Found", "Resource with ID {payment_id} not found"),
        },
        **_common,
    ),
    Route(
        methods=("POST",),
        path="/payments/{payment_id}/cancel",
        handler=cancel_payment,
        reveals=True,
        takes=CancelPayment,
        returns=PaymentCanceled,
        key=Key.OPTIONAL,
        errors=(IllegalState, UnsupportedOperation, *_MONEY),
        texts=_NOT_FOUND,
        **_common,
    ),
    Route(
        methods=("POST",),
        path="/payments/{payment_id}/capture",
        handler=capture_payment,
        takes=CapturePayment,
        returns=PaymentCaptured,
        access=Access.ADMIN,
        key=Key.OPTIONAL,
        errors=(NotAuthenticated, IllegalState, UnsupportedOperation, *_MONEY),
        texts=_NOT_FOUND,
        **_common,
    ),
    Route(
        methods=("GET",),
        path="/payments/guest/{email}",
        handler=list_guest_payments,
        returns=PaymentSummary,
        many=True,
        access=Access.SIGNED_IN,
        query=(*LIST_PARAMETERS, INCLUDE),
        errors=(NotAuthenticated, AccessDenied),
        texts={
            NotAuthenticated: Text("Authentication Required", "Authentication required to view payments"),
        },
        **_common,
    ),
)
