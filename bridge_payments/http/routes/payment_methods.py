"""Stored payment methods over HTTP. A card number is never one of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from ...errors import (
    AccessDenied,
    Conflict,
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
from ...models import PaymentMethod
from ...providers.base import BillingDetails
from ..envelope import Reply
from ..queries import METHOD_PARAMETERS, read_methods
from ..route import Access, Call, Key, Route, Text
from ..schemas.payment_methods import (
    ConfirmPaymentMethod,
    CreatePaymentMethod,
    CustomerPaymentMethods,
    PaymentMethodBilling,
    PaymentMethodBillingUpdated,
    PaymentMethodDetail,
    PaymentMethodOut,
    RawCard,
    UpdatePaymentMethod,
)
from ..schemas.people import BillingDetailsIn, Deleted
from .owned import READ_ERRORS, guest_of, id_of, one_of, page_of, signed_in

__all__ = ["PAYMENT_METHOD_ROUTES"]

_MISSING: Final = "Payment method not found"


async def create_payment_method(call: Call) -> Reply:
    """Keep a method of payment for later, from a one-time token of the provider's script.

    Without a token a set-up begins that the payer completes elsewhere: the status is `requires_action`.
    """
    body = call.given(CreatePaymentMethod)
    row = await call.bridge.engine.create_payment_method(
        token=body.token,
        payment_type=body.payment_type,
        wallet_type=body.wallet,
        provider=body.provider_id,
        customer_id=body.customer_id,
        alias=body.alias,
        billing_address_id=body.billing_address_id,
        billing=_billing(body.billing_details),
        is_default=body.is_default,
        return_url=body.return_url,
        metadata=body.metadata,
        guest=guest_of(body.guest),
        idempotency_key=call.idempotency_key,
        principal=call.principal,
    )
    return Reply(data=PaymentMethodDetail.model_validate(row))


async def refuse_raw_card(_: Call) -> Reply:
    """Refuse a card number: it belongs into the provider's fields in the browser, and nowhere else."""
    raise AccessDenied(
        "Card numbers are never accepted here. Make a token with the provider's script in the browser"
        " and send it to /payment-methods"
    )


async def confirm_payment_method(call: Call) -> Reply:
    """Finish a set-up that the payer agreed to."""
    body = call.given(ConfirmPaymentMethod)
    row = await call.bridge.engine.confirm_payment_method(
        _id(call),
        client_secret=body.client_secret,
        idempotency_key=call.idempotency_key,
        principal=call.principal,
    )
    return Reply(data=PaymentMethodDetail.model_validate(row))


async def list_payment_methods(call: Call) -> Reply:
    """List the caller's payment methods; admins see everybody's."""
    reply, _ = await _page(call, None)
    return reply


async def list_customer_payment_methods(call: Call) -> Reply:
    """List the payment methods of one customer, who has to be the caller's."""
    reply, items = await _page(call, id_of(call, "customer_id", "Customer not found"))
    total = reply.meta.total if reply.meta is not None else len(items)
    return replace(reply, beside=CustomerPaymentMethods(payment_methods=items, total=total))


async def get_payment_method(call: Call) -> Reply:
    """Read one payment method."""
    row = await call.bridge.engine.get_payment_method(_id(call), principal=call.principal)
    return one_of(call, row, PaymentMethodDetail.model_validate(row))


async def update_payment_method(call: Call) -> Reply:
    """Change what only we keep of a method; what is left out or null stays."""
    body = call.given(UpdatePaymentMethod)
    changes: dict[str, Any] = {
        name: value
        for name in ("alias", "billing_address_id", "metadata", "is_default")
        if (value := getattr(body, name)) is not None
    }
    row = await call.bridge.engine.update_payment_method(_id(call), **changes, principal=call.principal)
    return Reply(data=PaymentMethodDetail.model_validate(row))


async def set_billing_address_of_payment_method(call: Call) -> Reply:
    """Change a method's billing address, here and at the provider."""
    body = call.given(PaymentMethodBilling)
    row, synced = await call.bridge.engine.set_billing_address(
        _id(call),
        body.billing_address_id,
        idempotency_key=call.idempotency_key,
        principal=call.principal,
    )
    answer = PaymentMethodBillingUpdated.model_validate(row)
    answer.provider_synced = synced
    return Reply(data=answer)


async def set_default_payment_method(call: Call) -> Reply:
    """Propose this method first."""
    row = await call.bridge.engine.set_default_payment_method(_id(call), principal=call.principal)
    return Reply(data=PaymentMethodDetail.model_validate(row))


async def delete_payment_method(call: Call) -> Reply:
    """Forget a method: nobody can charge it from now on, and the provider is told to detach it."""
    row: PaymentMethod = await call.bridge.engine.delete_payment_method(
        _id(call), idempotency_key=call.idempotency_key, principal=call.principal
    )
    return Reply(data=Deleted(id=row.id, message="Payment method deleted successfully"))


async def _page(call: Call, customer_id: str | None) -> tuple[Reply, list[PaymentMethodOut]]:
    query, page = read_methods(call.request)
    query = replace(query, customer_id=customer_id)
    found = await call.bridge.recall.list_payment_methods(
        query, principal=call.principal, fresh=call.wants_fresh
    )
    items = [PaymentMethodOut.model_validate(row) for row in found.items]
    return page_of(call, found, items, query, page), items


def _id(call: Call) -> str:
    return id_of(call, "payment_method_id", _MISSING)


def _billing(given: BillingDetailsIn | None) -> BillingDetails | None:
    if given is None:
        return None
    address = given.address.model_dump() if given.address is not None else {}
    return BillingDetails(name=given.name, email=given.email, phone=given.phone, **address)


# --- the table ------------------------------------------------------------------------------------

_NOT_FOUND: Final = Text("Not Found", "Payment method with ID {payment_method_id} not found")
_CHANGES: Final = (
    Conflict,
    OperationInProgress,
    IdempotencyMismatch,
    RateLimited,
    Unavailable,
    UnsupportedOperation,
)


_TEXTS: Final = {NotFound: _NOT_FOUND, NotAuthenticated: signed_in("payment methods")}


def _one(denied: str | None = None) -> dict[str, Any]:
    """Return what routes of one method share; *denied* is the contract's word where it fixes 403."""
    if denied is None:
        return {"noun": "payment methods", "texts": _TEXTS}
    refusal = Text("Access Denied", f"Insufficient privileges to {denied} this payment method")
    return {"noun": "payment methods", "reveals": True, "texts": {**_TEXTS, AccessDenied: refusal}}


PAYMENT_METHOD_ROUTES: Final = (
    Route(
        methods=("POST",),
        path="/payment-methods",
        aliases=("/payment-methods/with-token",),
        handler=create_payment_method,
        takes=CreatePaymentMethod,
        returns=PaymentMethodDetail,
        status=201,
        key=Key.OPTIONAL,
        errors=(PaymentDeclined, AccessDenied, NotFound, *_CHANGES),
        noun="payment methods",
    ),
    Route(
        methods=("POST",),
        path="/payment-methods/direct",
        handler=refuse_raw_card,
        takes=RawCard,
        returns=PaymentMethodDetail,
        status=201,
        errors=(AccessDenied,),
        noun="payment methods",
    ),
    Route(
        methods=("GET",),
        path="/payment-methods",
        handler=list_payment_methods,
        returns=PaymentMethodOut,
        many=True,
        access=Access.SIGNED_IN,
        query=METHOD_PARAMETERS,
        errors=(NotAuthenticated,),
        noun="payment methods",
        texts={NotAuthenticated: signed_in("payment methods")},
    ),
    Route(
        methods=("GET",),
        path="/payment-methods/customer/{customer_id}",
        handler=list_customer_payment_methods,
        returns=PaymentMethodOut,
        many=True,
        beside=CustomerPaymentMethods,
        access=Access.SIGNED_IN,
        query=METHOD_PARAMETERS,
        errors=READ_ERRORS,
        noun="payment methods",
        texts={NotAuthenticated: signed_in("payment methods")},
    ),
    Route(
        methods=("GET",),
        path="/payment-methods/{payment_method_id}",
        handler=get_payment_method,
        returns=PaymentMethodDetail,
        access=Access.SIGNED_IN,
        errors=READ_ERRORS,
        **_one(),
    ),
    Route(
        methods=("PUT", "PATCH"),
        path="/payment-methods/{payment_method_id}",
        handler=update_payment_method,
        takes=UpdatePaymentMethod,
        returns=PaymentMethodDetail,
        access=Access.SIGNED_IN,
        errors=(*READ_ERRORS, RateLimited),
        **_one("update"),
    ),
    Route(
        methods=("PATCH",),
        path="/payment-methods/{payment_method_id}/billing-address",
        handler=set_billing_address_of_payment_method,
        takes=PaymentMethodBilling,
        returns=PaymentMethodBillingUpdated,
        access=Access.SIGNED_IN,
        key=Key.OPTIONAL,
        errors=(*READ_ERRORS, *_CHANGES),
        **_one("update"),
    ),
    Route(
        methods=("POST",),
        path="/payment-methods/{payment_method_id}/set-default",
        handler=set_default_payment_method,
        returns=PaymentMethodDetail,
        access=Access.SIGNED_IN,
        errors=(*READ_ERRORS, IllegalState, RateLimited),
        **_one("update"),
    ),
    Route(
        methods=("POST",),
        path="/payment-methods/{payment_method_id}/confirm",
        handler=confirm_payment_method,
        takes=ConfirmPaymentMethod,
        returns=PaymentMethodDetail,
        key=Key.OPTIONAL,
        errors=(PaymentDeclined, AccessDenied, NotFound, IllegalState, *_CHANGES),
        noun="payment methods",
        texts={NotFound: _NOT_FOUND},
    ),
    Route(
        methods=("DELETE",),
        path="/payment-methods/{payment_method_id}",
        handler=delete_payment_method,
        returns=Deleted,
        access=Access.SIGNED_IN,
        fresh=True,
        key=Key.OPTIONAL,
        errors=(*READ_ERRORS, *_CHANGES),
        **_one("delete"),
    ),
)
