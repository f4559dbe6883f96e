"""Customers over HTTP."""

from __future__ import annotations

from typing import Any, Final

from ...errors import (
    AccessDenied,
    Conflict,
    IdempotencyMismatch,
    NotAuthenticated,
    NotFound,
    OperationInProgress,
    RateLimited,
    Unavailable,
    UnsupportedOperation,
)
from ..envelope import Reply
from ..queries import CUSTOMER_PARAMETERS, read_customers
from ..route import Access, Call, Key, Route, Text
from ..schemas.customers import CreateCustomer, CustomerCreated, CustomerOut, UpdateCustomer
from ..schemas.people import Deleted
from .owned import READ_ERRORS, guest_of, id_of, one_of, page_of, signed_in

__all__ = ["CUSTOMER_ROUTES"]

_MISSING: Final = "Customer not found"


async def create_customer(call: Call) -> Reply:
    """Make a payer known to a provider account.

    Once per owner and account: a second call answers 200 with the first record and `existed: true`.
    """
    body = call.given(CreateCustomer)
    made = await call.bridge.engine.create_customer(
        email=body.email,
        name=body.full_name,
        phone=body.phone,
        provider=body.provider_id,
        metadata=body.metadata,
        guest=guest_of(body.guest),
        organization_id=body.organization_id,
        idempotency_key=call.idempotency_key,
        principal=call.principal,
    )
    return Reply(
        data=CustomerCreated.of(made.customer, existed=made.existed), status=200 if made.existed else 201
    )


async def list_customers(call: Call) -> Reply:
    """List the caller's customers, one per provider account; admins see everybody's."""
    query, page = read_customers(call.request)
    found = await call.bridge.recall.list_customers(query, principal=call.principal, fresh=call.wants_fresh)
    return page_of(call, found, [CustomerOut.model_validate(row) for row in found.items], query, page)


async def get_customer(call: Call) -> Reply:
    """Read one customer. The id may be ours or the provider's."""
    row = await call.bridge.recall.get_customer(_id(call), principal=call.principal, fresh=call.wants_fresh)
    return one_of(call, row, CustomerOut.model_validate(row))


async def update_customer(call: Call) -> Reply:
    """Change what is known of a customer, here and at the provider."""
    body = call.given(UpdateCustomer)
    row = await call.bridge.engine.update_customer(
        _id(call),
        email=body.email,
        name=body.name,
        phone=body.phone,
        metadata=body.metadata,
        idempotency_key=call.idempotency_key,
        principal=call.principal,
    )
    return Reply(data=CustomerOut.model_validate(row))


async def delete_customer(call: Call) -> Reply:
    """Make the provider forget a customer, and with them their stored methods."""
    row = await call.bridge.engine.delete_customer(
        _id(call), idempotency_key=call.idempotency_key, principal=call.principal
    )
    return Reply(data=Deleted(id=row.id, message="Customer deleted successfully"))


def _id(call: Call) -> str:
    return id_of(call, "customer_id", _MISSING)


# --- the table ------------------------------------------------------------------------------------

_TEXTS: Final = {
    NotFound: Text("Not Found", _MISSING),
    AccessDenied: Text("Access Denied", "Access denied"),
    NotAuthenticated: signed_in("customers"),
}
_CHANGES: Final = (
    Conflict,
    OperationInProgress,
    IdempotencyMismatch,
    RateLimited,
    Unavailable,
    UnsupportedOperation,
)
_one: dict[str, Any] = {"noun": "customers", "texts": _TEXTS}

CUSTOMER_ROUTES: Final = (
    Route(
        methods=("POST",),
        path="/customers",
        handler=create_customer,
        takes=CreateCustomer,
        returns=CustomerCreated,
        status=201,
        also={200: CustomerCreated},
        key=Key.OPTIONAL,
        errors=(AccessDenied, NotFound, *_CHANGES),
        noun="customers",
    ),
    Route(
        methods=("GET",),
        path="/customers",
        handler=list_customers,
        returns=CustomerOut,
        many=True,
        access=Access.SIGNED_IN,
        query=CUSTOMER_PARAMETERS,
        errors=(NotAuthenticated,),
        **_one,
    ),
    Route(
        methods=("GET",),
        path="/customers/{customer_id}",
        handler=get_customer,
        returns=CustomerOut,
        access=Access.SIGNED_IN,
        reveals=True,
        errors=READ_ERRORS,
        **_one,
    ),
    Route(
        methods=("PUT", "PATCH"),
        path="/customers/{customer_id}",
        handler=update_customer,
        takes=UpdateCustomer,
        returns=CustomerOut,
        access=Access.SIGNED_IN,
        reveals=True,
        key=Key.OPTIONAL,
        errors=(*READ_ERRORS, *_CHANGES),
        **_one,
    ),
    Route(
        methods=("DELETE",),
        path="/customers/{customer_id}",
        handler=delete_customer,
        returns=Deleted,
        access=Access.SIGNED_IN,
        reveals=True,
        fresh=True,
        key=Key.OPTIONAL,
        errors=(*READ_ERRORS, *_CHANGES),
        **_one,
    ),
)
