"""Subscriptions over HTTP: the provider bills, we mirror."""

from __future__ import annotations

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
from ...models import Subscription
from ...stores.base import SubscriptionQuery
from ..envelope import Reply
from ..problems import ValidationFailed
from ..queries import SUBSCRIPTION_PARAMETERS, read_subscriptions
from ..route import Access, Call, Key, Route, Text
from ..schemas.subscriptions import (
    CancelSubscription,
    CreateSubscription,
    PauseSubscription,
    SubscriptionBilling,
    SubscriptionCanceled,
    SubscriptionDetail,
    SubscriptionOut,
    SubscriptionUpdated,
    UpdateSubscription,
)
from .owned import READ_ERRORS, guest_of, guests_own, id_of, one_of, page_of, signed_in

__all__ = ["SUBSCRIPTION_ROUTES"]

_MISSING: Final = "Subscription not found"


async def create_subscription(call: Call) -> Reply:
    """Have a payer billed again and again by their provider.

    The answer may be `incomplete` with a `next_action`: the payer has still to agree. Renewals are the
    provider's; each becomes a payment here.
    """
    body = call.given(CreateSubscription)
    interval, multiplier = body.interval
    row = await call.bridge.engine.create_subscription(
        subtotal_cents=body.subtotal_cents,
        tax_cents=body.tax_cents,
        discount_cents=body.discount_cents,
        total_cents=_one_total(body),
        currency=body.currency,
        billing_interval=interval,
        interval_multiplier=multiplier,
        trial_days=body.trial_days if body.custom_trial_days is None else body.custom_trial_days,
        customer_id=body.customer_id,
        payment_method=body.payment_method_id,
        provider=body.provider_id,
        product_id=body.product_id,
        billing_address_id=body.billing_address_id,
        return_url=body.return_url,
        description=body.description,
        concept=body.concept,
        reference_code=body.reference_code,
        category=body.category,
        tags=body.tags,
        metadata=body.metadata,
        guest=guest_of(body.guest_data),
        organization_id=body.organization_id,
        project_id=body.project_id,
        idempotency_key=call.idempotency_key,
        principal=call.principal,
    )
    return Reply(data=SubscriptionDetail.model_validate(row))


async def list_subscriptions(call: Call) -> Reply:
    """List the caller's subscriptions; admins see everybody's."""
    return await _page(call, *read_subscriptions(call.request))


async def list_guest_subscriptions(call: Call) -> Reply:
    """List the subscriptions of one guest e-mail address, for admins and for whoever proved that address."""
    query, page = read_subscriptions(call.request)
    query, principal = guests_own(call, query, call.path["email"])
    found = await call.bridge.engine.list_subscriptions(query, principal=principal)
    return page_of(call, found, [SubscriptionOut.model_validate(row) for row in found.items], query, page)


async def get_subscription(call: Call) -> Reply:
    """Read one subscription. The id may be ours or the provider's."""
    row = await call.bridge.engine.get_subscription(_id(call), principal=call.principal)
    return one_of(call, row, SubscriptionDetail.model_validate(row))


async def update_subscription(call: Call) -> Reply:
    """Change a subscription from the next period on; what is left out or null stays."""
    body = call.given(UpdateSubscription)
    more: dict[str, Any] = (
        {} if body.billing_address_id is None else {"billing_address_id": body.billing_address_id}
    )
    row = await call.bridge.engine.update_subscription(
        _id(call),
        total_cents=body.total_cents,
        payment_method=body.payment_method_id,
        description=body.description,
        metadata=body.metadata,
        idempotency_key=call.idempotency_key,
        principal=call.principal,
        **more,
    )
    return Reply(
        data=_updated(row, synced=body.payment_method_id is not None or body.total_cents is not None)
    )


async def set_billing_address_of_subscription(call: Call) -> Reply:
    """Change the billing address that we keep with a subscription."""
    body = call.given(SubscriptionBilling)
    row = await call.bridge.engine.update_subscription(
        _id(call),
        billing_address_id=body.billing_address_id,
        idempotency_key=call.idempotency_key,
        principal=call.principal,
    )
    return Reply(data=_updated(row, synced=False))


async def cancel_subscription(call: Call) -> Reply:
    """End a subscription: when its period ends, or at once with `cancel_at_period_end: false`."""
    body = call.given(CancelSubscription)
    row = await call.bridge.engine.cancel_subscription(
        _id(call),
        at_period_end=body.cancel_at_period_end,
        reason=body.reason,
        client_secret=body.client_secret,
        idempotency_key=call.idempotency_key,
        principal=call.principal,
    )
    return Reply(data=SubscriptionCanceled.model_validate(row))


async def pause_subscription(call: Call) -> Reply:
    """Collect nothing until it is resumed."""
    body = call.given(PauseSubscription)
    row = await call.bridge.engine.pause_subscription(
        _id(call), reason=body.reason, idempotency_key=call.idempotency_key, principal=call.principal
    )
    return Reply(data=SubscriptionDetail.model_validate(row))


async def resume_subscription(call: Call) -> Reply:
    """Go on after a pause, or take back a cancellation before its period ends."""
    body = call.given(PauseSubscription)
    row = await call.bridge.engine.resume_subscription(
        _id(call), reason=body.reason, idempotency_key=call.idempotency_key, principal=call.principal
    )
    return Reply(data=SubscriptionDetail.model_validate(row))


async def _page(call: Call, query: SubscriptionQuery, page: int) -> Reply:
    found = await call.bridge.engine.list_subscriptions(query, principal=call.principal)
    return page_of(call, found, [SubscriptionOut.model_validate(row) for row in found.items], query, page)


def _id(call: Call) -> str:
    return id_of(call, "subscription_id", _MISSING)


def _updated(row: Subscription, *, synced: bool) -> SubscriptionUpdated:
    answer = SubscriptionUpdated.model_validate(row)
    answer.provider_synced = synced
    return answer


def _one_total(body: CreateSubscription) -> int | None:
    given = {
        value for value in (body.total_cents, body.price_cents, body.custom_price_cents) if value is not None
    }
    if len(given) > 1:
        raise ValidationFailed.of("price_cents", "is another name of total_cents and says something else")
    return next(iter(given), None)


def _charges_a_method(body: CreateSubscription) -> bool:
    """Whether the first payment is made with a named method. It may be a stored one."""
    return body.payment_method_id is not None


# --- the table ------------------------------------------------------------------------------------

_CHANGES: Final = (
    IllegalState,
    Conflict,
    OperationInProgress,
    IdempotencyMismatch,
    RateLimited,
    Unavailable,
    UnsupportedOperation,
)
_one: dict[str, Any] = {
    "noun": "subscriptions",
    "texts": {NotFound: Text("Not Found", _MISSING), NotAuthenticated: signed_in("subscriptions")},
}
_change: dict[str, Any] = {
    **_one,
    "methods": ("POST",),
    "access": Access.SIGNED_IN,
    "key": Key.OPTIONAL,
    "errors": (*READ_ERRORS, *_CHANGES),
}

SUBSCRIPTION_ROUTES: Final = (
    Route(
        methods=("POST",),
        path="/subscriptions",
        handler=create_subscription,
        fresh=_charges_a_method,
        takes=CreateSubscription,
        returns=SubscriptionDetail,
        status=201,
        key=Key.OPTIONAL,
        errors=(PaymentDeclined, AccessDenied, NotFound, *_CHANGES),
        noun="subscriptions",
    ),
    Route(
        methods=("GET",),
        path="/subscriptions",
        handler=list_subscriptions,
        returns=SubscriptionOut,
        many=True,
        access=Access.SIGNED_IN,
        query=SUBSCRIPTION_PARAMETERS,
        errors=(NotAuthenticated,),
        **_one,
    ),
    Route(
        methods=("GET",),
        path="/subscriptions/guest/{email}",
        handler=list_guest_subscriptions,
        returns=SubscriptionOut,
        many=True,
        access=Access.SIGNED_IN,
        query=SUBSCRIPTION_PARAMETERS,
        errors=(NotAuthenticated, AccessDenied),
        **_one,
    ),
    Route(
        methods=("GET",),
        path="/subscriptions/{subscription_id}",
        handler=get_subscription,
        returns=SubscriptionDetail,
        access=Access.SIGNED_IN,
        errors=READ_ERRORS,
        **_one,
    ),
    Route(
        path="/subscriptions/{subscription_id}",
        handler=update_subscription,
        takes=UpdateSubscription,
        returns=SubscriptionUpdated,
        **{**_change, "methods": ("PUT", "PATCH")},
    ),
    Route(
        path="/subscriptions/{subscription_id}/billing-address",
        handler=set_billing_address_of_subscription,
        takes=SubscriptionBilling,
        returns=SubscriptionUpdated,
        **{**_change, "methods": ("PATCH",)},
    ),
    Route(
        path="/subscriptions/{subscription_id}/cancel",
        handler=cancel_subscription,
        takes=CancelSubscription,
        returns=SubscriptionCanceled,
        **{**_change, "access": Access.ANYONE},
    ),
    Route(
        path="/subscriptions/{subscription_id}/pause",
        handler=pause_subscription,
        takes=PauseSubscription,
        returns=SubscriptionDetail,
        **_change,
    ),
    Route(
        path="/subscriptions/{subscription_id}/resume",
        aliases=("/subscriptions/{subscription_id}/reactivate",),
        handler=resume_subscription,
        takes=PauseSubscription,
        returns=SubscriptionDetail,
        **_change,
    ),
)
