"""Addresses over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from ...errors import AccessDenied, IdempotencyMismatch, NotAuthenticated, NotFound, RateLimited
from ..envelope import Reply
from ..queries import ADDRESS_PARAMETERS, read_addresses
from ..route import Access, Call, Key, Route, Text
from ..schemas.addresses import AddressOut, CreateAddress, UpdateAddress, columns_of
from ..schemas.people import Deleted
from .owned import READ_ERRORS, guest_of, id_of, one_of, page_of, signed_in

__all__ = ["ADDRESS_ROUTES"]

_MISSING: Final = "Address not found"
_NO_CUSTOMER: Final = "Customer not found"


async def create_address(call: Call) -> Reply:
    """Keep a billing or shipping address.

    Anonymous callers give `guest_data`, or `guest_email`.
    """
    body = call.given(CreateAddress)
    row = await call.bridge.engine.create_address(
        **columns_of(body),
        address_type=body.kind,
        is_default=bool(body.is_default),
        guest=guest_of(body.guest),
        idempotency_key=call.idempotency_key,
        principal=call.principal,
    )
    return Reply(data=AddressOut.model_validate(row))


async def list_addresses(call: Call) -> Reply:
    """List the caller's addresses; admins see everybody's."""
    query, page = read_addresses(call.request)
    found = await call.bridge.engine.list_addresses(query, principal=call.principal)
    return page_of(call, found, [AddressOut.model_validate(row) for row in found.items], query, page)


async def list_customer_addresses(call: Call) -> Reply:
    """List the addresses of the owner of one customer, who has to be the caller's."""
    engine = call.bridge.engine
    try:
        customer = await engine.get_customer(
            id_of(call, "customer_id", _NO_CUSTOMER), principal=call.principal
        )
    except AccessDenied:
        raise NotFound(_NO_CUSTOMER) from None
    query, page = read_addresses(call.request)
    email = None if customer.user_id is not None else customer.guest_email
    query = replace(query, user_id=customer.user_id, guest_email=email)
    if customer.user_id is None and email is None:  # the merchant's own: nobody's addresses are its
        query = replace(query, user_id=customer.id)
    found = await engine.list_addresses(query, principal=call.principal)
    return page_of(call, found, [AddressOut.model_validate(row) for row in found.items], query, page)


async def get_address(call: Call) -> Reply:
    """Read one address."""
    row = await call.bridge.engine.get_address(_id(call), principal=call.principal)
    return one_of(call, row, AddressOut.model_validate(row))


async def update_address(call: Call) -> Reply:
    """Change an address; what is left out or null stays."""
    body = call.given(UpdateAddress)
    changes = columns_of(body)
    if "metadata" in changes:
        known = await call.bridge.engine.get_address(_id(call), principal=call.principal)
        changes["metadata"] = {**known.metadata, **changes["metadata"]}
    row = await call.bridge.engine.update_address(
        _id(call),
        **changes,
        address_type=body.kind,
        is_default=body.is_default,
        principal=call.principal,
    )
    return Reply(data=AddressOut.model_validate(row))


async def set_default_address(call: Call) -> Reply:
    """Propose this address first among those of its type."""
    row = await call.bridge.engine.set_default_address(_id(call), principal=call.principal)
    return Reply(data=AddressOut.model_validate(row))


async def delete_address(call: Call) -> Reply:
    """Remove an address."""
    row = await call.bridge.engine.delete_address(_id(call), principal=call.principal)
    return Reply(data=Deleted(id=row.id, message="Address deleted successfully"))


def _id(call: Call) -> str:
    return id_of(call, "address_id", _MISSING)


# --- the table ------------------------------------------------------------------------------------

_one: dict[str, Any] = {
    "noun": "addresses",
    "texts": {NotFound: Text("Not Found", _MISSING), NotAuthenticated: signed_in("addresses")},
}
_ERRORS: Final = (*READ_ERRORS, RateLimited)

ADDRESS_ROUTES: Final = (
    Route(
        methods=("POST",),
        path="/addresses",
        handler=create_address,
        takes=CreateAddress,
        returns=AddressOut,
        status=201,
        key=Key.OPTIONAL,
        errors=(AccessDenied, IdempotencyMismatch, RateLimited),
        **_one,
    ),
    Route(
        methods=("GET",),
        path="/addresses",
        handler=list_addresses,
        returns=AddressOut,
        many=True,
        access=Access.SIGNED_IN,
        query=ADDRESS_PARAMETERS,
        errors=(NotAuthenticated,),
        **_one,
    ),
    Route(
        methods=("GET",),
        path="/addresses/customer/{customer_id}",
        handler=list_customer_addresses,
        returns=AddressOut,
        many=True,
        access=Access.SIGNED_IN,
        query=ADDRESS_PARAMETERS,
        errors=READ_ERRORS,
        noun="addresses",
        texts={NotAuthenticated: signed_in("addresses")},
    ),
    Route(
        methods=("GET",),
        path="/addresses/{address_id}",
        handler=get_address,
        returns=AddressOut,
        access=Access.SIGNED_IN,
        errors=READ_ERRORS,
        **_one,
    ),
    Route(
        methods=("PUT", "PATCH"),
        path="/addresses/{address_id}",
        handler=update_address,
        takes=UpdateAddress,
        returns=AddressOut,
        access=Access.SIGNED_IN,
        errors=_ERRORS,
        **_one,
    ),
    Route(
        methods=("POST",),
        path="/addresses/{address_id}/set-default",
        handler=set_default_address,
        returns=AddressOut,
        access=Access.SIGNED_IN,
        errors=_ERRORS,
        **_one,
    ),
    Route(
        methods=("DELETE",),
        path="/addresses/{address_id}",
        handler=delete_address,
        returns=Deleted,
        access=Access.SIGNED_IN,
        errors=_ERRORS,
        **_one,
    ),
)
