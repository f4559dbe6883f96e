"""The dashboard: what it asks for, and the page itself.

The page is the same text for everybody, and holds nothing of this installation: what it shows, it asks the
admin routes for, with the session of whoever looks at it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from ...errors import BridgeError, NotFound
from ...models import EXPONENTS, DeliveryState, Payment
from ...stores.base import Unit
from ..envelope import Content, Reply
from ..figures import edges_of, rate, series_of, success_of
from ..problems import RouteNotFound, ValidationFailed
from ..route import Access, Call, Parameter, Route, Text
from ..schemas.admin import OperationOut
from ..schemas.dashboard import (
    AdminSeries,
    AdminVitals,
    CacheRate,
    DeliveryRate,
    EventOut,
    LastCall,
    OpenOutcomes,
    PaymentTimeline,
    ResponseTimes,
)
from ..schemas.endpoints import DeliveryOut, ReceivedOut
from ..schemas.refunds import RefundOut
from .payments import payment_id

__all__ = ["DASHBOARD_ROUTES"]

_MOST: Final = 100
_MOST_DAYS: Final = 92
_DAYS: Final = 30


# --- figures --------------------------------------------------------------------------------------


async def admin_series(call: Call) -> Reply:
    """Count payments and money over time: by the hour for a day or two, otherwise by the day, in UTC.

    Payments are counted in the interval in which they were begun, as they are now. Reads the payments of
    those days, and no older ones.
    """
    days = _days(call, _DAYS)
    engine = call.bridge.engine
    edges = edges_of(days, engine.clock())
    rows = await engine.store.run(lambda unit: unit.payments.totals_over(edges), write=False)
    return Reply(data=series_of(days, edges, rows))


async def admin_vitals(call: Call) -> Reply:
    """Say how it is going: how many payments succeed, how many webhooks get through, what is not known."""
    days = _days(call, 1)
    engine = call.bridge.engine
    edges = edges_of(days, engine.clock())
    ends = [edges[0], edges[-1]]
    payments, deliveries = await engine.store.run(
        lambda unit: (unit.payments.totals_over(ends), unit.deliveries.count(since=ends[0])), write=False
    )
    unknown = await engine.list_unknown(limit=_MOST, principal=call.principal)
    delivered, dead = deliveries.get(DeliveryState.DELIVERED, 0), deliveries.get(DeliveryState.DEAD, 0)
    caches = call.bridge.cache_stats().values()
    hits, misses = sum(one.hits + one.joined for one in caches), sum(one.misses for one in caches)
    pulse = call.bridge.pulse
    return Reply(
        data=AdminVitals(
            days=days,
            payments=success_of(payments),
            webhooks=DeliveryRate(
                delivered=delivered,
                dead=dead,
                pending=deliveries.get(DeliveryState.PENDING, 0),
                delivery_rate=rate(delivered, dead),
            ),
            cache=CacheRate(hits=hits, misses=misses, hit_rate=rate(hits, misses)),
            responses=ResponseTimes.model_validate(pulse.times) if pulse and pulse.times else None,
            calls=[
                LastCall(
                    provider_id=name,
                    at=last.at,
                    outcome=last.outcome,
                    answered=last.answered,
                    milliseconds=last.milliseconds,
                )
                for name, last in sorted(pulse.calls.items() if pulse else ())
            ],
            unknown=OpenOutcomes(
                count=len(unknown), oldest_at=min((one.created_at for one in unknown), default=None)
            ),
        )
    )


async def admin_payment_timeline(call: Call) -> Reply:
    """Tell the whole story of one payment: what was asked, what was heard, what was told to whom."""
    payment = await call.bridge.engine.get_payment(payment_id(call), principal=call.principal)
    return Reply(data=await call.bridge.engine.store.run(lambda unit: _story(unit, payment), write=False))


def _story(unit: Unit, payment: Payment) -> PaymentTimeline:
    return PaymentTimeline(
        operations=[OperationOut.model_validate(one) for one in unit.operations.for_subject(payment.id)],
        refunds=[RefundOut.model_validate(one) for one in unit.refunds.for_payment(payment.id)],
        events=[
            EventOut(
                id=event.id,
                type=event.type,
                created_at=event.created_at,
                version=event.payment.version if event.payment else None,
                deliveries=[
                    DeliveryOut.of(one) for one in unit.deliveries.list(event_id=event.id, limit=_MOST)
                ],
            )
            for event in unit.events.for_subject(payment.id)[-_MOST:]
        ],
        received=[
            ReceivedOut.of(one) for one in reversed(unit.inbox.list(payment_id=payment.id, limit=_MOST))
        ],
    )


def _days(call: Call, default: int) -> int:
    given = call.request.query.get("days", "").strip() or str(default)
    if not re.fullmatch(r"[0-9]{1,3}", given) or not 1 <= int(given) <= _MOST_DAYS:
        raise ValidationFailed.of("days", f"is a number of days, from 1 to {_MOST_DAYS}")
    return int(given)


# --- the page -------------------------------------------------------------------------------------

_FOLDER: Final = Path(__file__).parent.parent / "dashboard"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
}


async def admin_ui(call: Call) -> Content:
    """Show the dashboard, where `ADMIN_UI_ENABLED` says so."""
    return _file(call, "dashboard.html")


async def admin_ui_file(call: Call) -> Content:
    """Serve its scripts and its style."""
    return _file(call, call.path["file"])


def _file(call: Call, name: str) -> Content:
    found = _files().get(name) if call.bridge.settings.admin_ui_enabled else None
    if found is None:
        raise RouteNotFound(call.request.method, call.request.path)
    return found


@lru_cache(maxsize=1)
def _files() -> Mapping[str, Content]:
    """Return what there is by name: a name that is none of these leads nowhere."""
    found = {path.name: path.read_bytes() for path in _FOLDER.iterdir() if path.suffix in _TYPES}
    # How many decimals a currency has is said in one place, and a browser's own table is another one.
    found["currencies.js"] = f"export const EXPONENTS = {json.dumps(dict(EXPONENTS))};\n".encode()
    return {
        name: Content(body=body, headers={**_HEADERS, "content-type": _TYPES[Path(name).suffix]})
        for name, body in found.items()
    }


# --- the table ------------------------------------------------------------------------------------

_common: Mapping[str, Any] = {"noun": "admin", "access": Access.ADMIN}
_page: Mapping[str, Any] = {"noun": "admin", "access": Access.OPEN, "listed": False, "wrapped": False}
_DAYS_BACK: Final = Parameter(
    name="days",
    description="How many days back; today counts.",
    schema={"type": "integer", "minimum": 1, "maximum": _MOST_DAYS},
)
_NO_PAYMENT: Final[Mapping[type[BridgeError], Text]] = {
    NotFound: Text("Payment not found", "Payment not found")
}

DASHBOARD_ROUTES: Final = (
    Route(
        methods=("GET",),
        path="/admin/stats/series",
        handler=admin_series,
        returns=AdminSeries,
        query=(_DAYS_BACK,),
        **_common,
    ),
    Route(
        methods=("GET",),
        path="/admin/vitals",
        handler=admin_vitals,
        returns=AdminVitals,
        query=(_DAYS_BACK,),
        **_common,
    ),
    Route(
        methods=("GET",),
        path="/admin/payments/{payment_id}/timeline",
        handler=admin_payment_timeline,
        returns=PaymentTimeline,
        texts=_NO_PAYMENT,
        **_common,
    ),
    Route(methods=("GET",), path="/admin/ui", handler=admin_ui, **_page),
    Route(
        methods=("GET",),
        path="/admin/ui/{file}",
        # Relative addresses of the page, where it was asked for with a slash at its end.
        aliases=("/admin/ui/ui/{file}",),
        handler=admin_ui_file,
        **_page,
    ),
)
