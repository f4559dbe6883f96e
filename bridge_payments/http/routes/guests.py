"""Guest conversion over HTTP: one action, in every published spelling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ...engine.conversion import Conversion
from ...errors import (
    AccessDenied,
    BridgeError,
    Conflict,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    RateLimited,
    Unavailable,
)
from ...models import Principal, PrincipalKind
from ..envelope import Reply
from ..route import Access, Call, Route, Text
from ..schemas.guests import (
    ConversionSummary,
    Converted,
    ConvertGuest,
    GuestConverted,
    GuestPreview,
    PreviewSummary,
)

__all__ = ["GUEST_ROUTES"]


async def convert_guest(call: Call) -> Reply:
    """Give what a guest left behind to the user who is signed in.

    The address has to be the user's own, verified one, or a guest token for it comes with the request. With
    `customer_ids` or `payment_method_ids` these rows and no others; one that is not the guest's is 404, and
    nothing is converted then.
    """
    body = call.given(ConvertGuest)
    user = _user(call)
    done = await call.bridge.engine.convert_guest(
        body.guest_email,
        proof=await _proof(call),
        customer_ids=body.customer_ids,
        payment_method_ids=body.payment_method_ids,
        principal=user,
    )
    answer = _converted(done)
    return Reply(data=answer, beside=answer)


async def preview_guest(call: Call) -> Reply:
    """Say what a conversion would give to the user who is signed in. Nothing is written."""
    return Reply(data=await _preview(call, call.path["email"]))


async def my_guest_data(call: Call) -> Reply:
    """Say what guests with the caller's own address left behind."""
    if _user(call).email is None:
        raise InvalidRequest("This session has no e-mail address", field="email")
    return Reply(data=await _preview(call, call.principal.email or ""))


async def _preview(call: Call, email: str) -> GuestPreview:
    user = _user(call)
    found = await call.bridge.engine.preview_guest(email, proof=await _proof(call), principal=user)
    return GuestPreview(
        guest_email=email,
        preview={
            "customers": [{"id": each} for each in found.customers],
            "payment_methods": [{"id": each} for each in found.payment_methods],
        },
        summary=PreviewSummary(
            total_customers=len(found.customers),
            total_payment_methods=len(found.payment_methods),
            total_payments=len(found.payments),
            total_addresses=len(found.addresses),
            total_subscriptions=len(found.subscriptions),
            can_convert=found.total > 0,
        ),
    )


def _user(call: Call) -> Principal:
    if not call.bridge.settings.guest_allow_conversion:
        raise AccessDenied("Guest conversion is disabled")
    if call.principal.kind is PrincipalKind.GUEST:
        raise NotAuthenticated("A session is required: a guest token converts nothing by itself")
    return call.principal


async def _proof(call: Call) -> Principal | None:
    """Return the guest whose token came beside the session, if there is one that holds."""
    max_age = call.bridge.settings.money_session_max_age
    return await call.bridge.auth.guest_beside(call.request, max_age=max_age)


def _converted(done: Conversion) -> GuestConverted:
    customers, methods = len(done.customers), len(done.payment_methods)
    return GuestConverted(
        message="Guest data converted successfully" if done.total else "There was nothing to convert",
        payments_count=len(done.payments),
        payment_methods_count=methods,
        addresses_count=len(done.addresses),
        customers_count=customers,
        subscriptions_count=len(done.subscriptions),
        customers_converted=customers,
        payment_methods_converted=methods,
        total_converted=done.total,
        converted=Converted(customers=list(done.customers), payment_methods=list(done.payment_methods)),
        summary=ConversionSummary(
            total_customers_converted=customers, total_payment_methods_converted=methods
        ),
    )


_ERRORS: Final = (NotAuthenticated, AccessDenied, InvalidRequest, RateLimited, Unavailable)
_TEXTS: Final[Mapping[type[BridgeError], Text]] = {
    NotAuthenticated: Text("Authentication Required", "A session is required to convert guest data")
}

GUEST_ROUTES: Final = (
    Route(
        methods=("POST",),
        path="/convert-guest",
        aliases=("/guest/convert", "/guest/convert-guest", "/guest-conversion"),
        noun="guests",
        handler=convert_guest,
        takes=ConvertGuest,
        returns=GuestConverted,
        beside=GuestConverted,
        access=Access.SIGNED_IN,
        fresh=True,
        errors=(*_ERRORS, Conflict, NotFound),
        texts=_TEXTS,
    ),
    Route(
        methods=("GET",),
        path="/guest/preview-guest/{email}",
        aliases=("/guest-conversion/preview-guest/{email}",),
        noun="guests",
        handler=preview_guest,
        returns=GuestPreview,
        access=Access.SIGNED_IN,
        errors=_ERRORS,
        texts=_TEXTS,
    ),
    Route(
        methods=("GET",),
        path="/guest/my-guest-data",
        aliases=("/guest-conversion/my-guest-data",),
        noun="guests",
        handler=my_guest_data,
        returns=GuestPreview,
        access=Access.SIGNED_IN,
        errors=_ERRORS,
        texts=_TEXTS,
    ),
)
