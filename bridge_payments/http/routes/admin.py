"""The merchant's own view: figures, every payment, outcomes that are not known yet, what is remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from ...errors import BridgeError, Contradicted, NotFound, OperationInProgress, Unavailable
from ...models import ID_PATTERN, OPEN_STATUSES, PaymentStatus
from ...stores.base import PaymentTotals
from ..envelope import ONE, Reply, page_meta
from ..figures import COMPLETED, FAILED, volumes_of
from ..queries import LIST_PARAMETERS, read_query
from ..route import Access, Call, Parameter, Route, Text
from ..schemas.admin import (
    AdminOverview,
    AdminPayments,
    AdminStats,
    CacheCleared,
    CacheReport,
    OperationOut,
    PagesOut,
    PaymentFigures,
    ResolveOperation,
)
from ..schemas.health import HealthDetailed
from ..schemas.payments import PaymentDetail, PaymentSummary
from .health import cache_figures, health_detailed
from .payments import payment_id

__all__ = ["ADMIN_ROUTES"]

_MOST: Final = 100
_RECENT: Final = 10


async def admin_overview(call: Call) -> Reply:
    """Say what there is for an admin, and what this installation has switched on."""
    settings = call.bridge.settings
    endpoints: dict[str, list[str]] = {}
    for route in call.routes:
        if route.access is Access.ADMIN:
            lines = [f"{method} {call.request.prefix}{route.path}" for method in route.methods]
            endpoints.setdefault(route.noun, []).extend(lines)
    features = {
        "guest_checkout": settings.guest_checkout_enabled,
        "rate_limiting": settings.rate_limit_enabled,
        "external_webhooks": settings.external_webhooks_enabled,
        "provider_failover": False,
        "cache": settings.cache_enabled,
    }
    providers = list(call.bridge.engine.provider_ids)
    return Reply(data=AdminOverview(endpoints=endpoints, features=features, providers=providers))


async def admin_stats(call: Call) -> Reply:
    """Count payments and money. Reads every payment: not for a page that reloads itself."""
    engine = call.bridge.engine
    totals = await engine.store.run(lambda unit: unit.payments.totals(), write=False)
    query, _ = read_query(replace(call.request, query={"limit": str(_RECENT)}))
    recent = await engine.list_payments(query, principal=call.principal)
    unknown = await engine.list_unknown(limit=_MOST, principal=call.principal)
    return Reply(
        data=AdminStats(
            payments=_counted(totals),
            revenue=volumes_of(totals),
            unknown_outcomes=len(unknown),
            recent_payments=[PaymentSummary.model_validate(payment) for payment in recent.items],
        )
    )


async def admin_list_payments(call: Call) -> Reply:
    """List everybody's payments, a hundred on a page at most."""
    query, page = read_query(call.request, most=_MOST)
    provider = call.request.query.get("provider", "").strip() or None
    query = replace(query, provider_id=provider)
    found = await call.bridge.engine.list_payments(query, principal=call.principal)
    pages = -(-found.total // query.limit)
    return Reply(
        data=AdminPayments(
            payments=[PaymentDetail.of(payment, admin=True) for payment in found.items],
            pagination=PagesOut(page=page, limit=query.limit, total=found.total, pages=pages),
            filters={
                "status": call.request.query.get("status") or None,
                "provider": provider,
                "search": query.search,
            },
        )
    )


async def admin_get_payment(call: Call) -> Reply:
    """Read one payment, whosever it is; without its client secret."""
    payment = await call.bridge.engine.get_payment(payment_id(call), principal=call.principal)
    return Reply(data=PaymentDetail.of(payment.without_secret(), admin=True), meta=ONE)


async def list_unknown_operations(call: Call) -> Reply:
    """List the instructions whose outcome is not known yet, oldest first."""
    found = await call.bridge.engine.list_unknown(limit=_MOST, principal=call.principal)
    items = [OperationOut.model_validate(operation) for operation in found]
    return Reply(data=items, meta=page_meta(page=1, limit=_MOST, total=len(items)))


async def get_operation(call: Call) -> Reply:
    """Read one instruction: what was asked of whom, and what became of it."""
    operation_id = _operation_id(call)
    store = call.bridge.engine.store
    operation = await store.run(lambda unit: unit.operations.get(operation_id), write=False)
    if operation is None:
        raise NotFound("Operation not found")
    return Reply(data=OperationOut.model_validate(operation))


async def look_up_operation(call: Call) -> Reply:
    """Ask the provider now what became of an instruction, instead of when it is due.

    The answer is the instruction as it is afterwards: it may still be unknown.
    """
    engine = call.bridge.engine
    operation = await engine.look_up_operation(_operation_id(call), principal=call.principal)
    return Reply(data=OperationOut.model_validate(operation))


async def resolve_operation(call: Call) -> Reply:
    """Say what became of an instruction that the library cannot finish by itself.

    The provider is asked first and is believed: a statement that it contradicts is refused with 409, and kept
    all the same. What is named as executed is read there, and has to be this payment, with its amount and
    currency. While a call may be under way nothing can be called absent: that is 409, too, and says until
    when.
    """
    body = call.given(ResolveOperation)
    operation = await call.bridge.engine.resolve_operation(
        _operation_id(call),
        outcome=body.outcome,
        reference=body.provider_reference,
        evidence=body.evidence,
        principal=call.principal,
    )
    return Reply(data=OperationOut.model_validate(operation))


async def cache_stats(call: Call) -> Reply:
    """Say how well this process remembers who asks, and what payers have."""
    return Reply(data=CacheReport(cache_stats=cache_figures(call)))


async def clear_cache(call: Call) -> Reply:
    """Forget what this process remembers: sessions and tokens, which are checked anew at their next use, and
    the lists of payers.
    """
    call.bridge.clear_caches()
    return Reply(data=CacheCleared())


async def delete_cache(call: Call) -> Reply:
    """Do the same under its other published name."""
    return await clear_cache(call)


async def admin_health(call: Call) -> Reply:
    """Say what `/health/detailed` says, for admins."""
    return await health_detailed(call)


# --- helpers ----------------------------------------------------------------------------------------


def _operation_id(call: Call) -> str:
    given = call.path["operation_id"]
    if not ID_PATTERN.fullmatch(given):
        raise NotFound("Operation not found")
    return given


def _counted(totals: Sequence[PaymentTotals]) -> PaymentFigures:
    by_status: dict[str, int] = {}
    for one in totals:
        by_status[one.status.value] = by_status.get(one.status.value, 0) + one.count

    def among(statuses: frozenset[PaymentStatus]) -> int:
        return sum(by_status.get(status.value, 0) for status in statuses)

    return PaymentFigures(
        total=sum(by_status.values()),
        completed=among(COMPLETED),
        failed=among(FAILED),
        pending=among(OPEN_STATUSES),
        by_status=dict(sorted(by_status.items())),
    )


# --- the table --------------------------------------------------------------------------------------

_common: Mapping[str, Any] = {"noun": "admin", "access": Access.ADMIN}
_NO_PAYMENT: Final[Mapping[type[BridgeError], Text]] = {
    NotFound: Text("Payment not found", "Payment not found")
}
_PROVIDER: Final = Parameter(name="provider", description="Only payments of this account.")

ADMIN_ROUTES: Final = (
    Route(
        methods=("GET",),
        path="/admin",
        aliases=("/admin/overview",),
        handler=admin_overview,
        returns=AdminOverview,
        **_common,
    ),
    Route(methods=("GET",), path="/admin/stats", handler=admin_stats, returns=AdminStats, **_common),
    Route(
        methods=("GET",),
        path="/admin/payments",
        handler=admin_list_payments,
        returns=AdminPayments,
        query=(*LIST_PARAMETERS, _PROVIDER),
        **_common,
    ),
    Route(
        methods=("GET",),
        path="/admin/payments/{payment_id}",
        handler=admin_get_payment,
        returns=PaymentDetail,
        texts=_NO_PAYMENT,
        **_common,
    ),
    Route(
        methods=("GET",),
        path="/admin/operations",
        aliases=("/admin/unknown",),
        handler=list_unknown_operations,
        returns=OperationOut,
        many=True,
        **_common,
    ),
    Route(
        methods=("GET",),
        path="/admin/operations/{operation_id}",
        handler=get_operation,
        returns=OperationOut,
        **_common,
    ),
    Route(
        methods=("POST",),
        path="/admin/operations/{operation_id}/look-up",
        handler=look_up_operation,
        returns=OperationOut,
        errors=(OperationInProgress,),
        **_common,
    ),
    Route(
        methods=("POST",),
        path="/admin/operations/{operation_id}/resolve",
        handler=resolve_operation,
        takes=ResolveOperation,
        returns=OperationOut,
        errors=(Contradicted, OperationInProgress, Unavailable),
        **_common,
    ),
    Route(
        methods=("GET",),
        path="/admin/cache/stats",
        aliases=("/admin/cache",),
        handler=cache_stats,
        returns=CacheReport,
        **_common,
    ),
    Route(methods=("POST",), path="/admin/cache/clear", handler=clear_cache, returns=CacheCleared, **_common),
    Route(methods=("DELETE",), path="/admin/cache", handler=delete_cache, returns=CacheCleared, **_common),
    Route(
        methods=("GET",),
        path="/admin/health",
        handler=admin_health,
        returns=HealthDetailed,
        wrapped=False,
        also={503: HealthDetailed},
        **_common,
    ),
)
