"""Behind the scenes: what the store holds, what the gateway holds, and the switches between them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from ..errors import BridgeError, InvalidRequest
from ..models import EXPONENTS, Delivery, Event, InboxEntry, Operation, Payment, Refund
from ..stores.base import PaymentQuery, Unit
from .catalogue import NAME
from .faults import FaultKind
from .pages import page
from .world import ADMIN_COOKIE, ADMIN_SESSION

if TYPE_CHECKING:
    from .tills import Till
    from .world import Sandbox

__all__ = ["live_routes"]

_HEADER: Final = "x-sandbox"
"""Another site's page cannot send it without asking, and nobody answers when it asks."""

_SHOWN: Final = 25


def live_routes(sandbox: Sandbox) -> list[Route]:
    desk = _Desk(sandbox)
    return [
        Route("/live", desk.page),
        Route("/dashboard", desk.dashboard),
        Route("/live/state", desk.state),
        Route("/live/switch", _guarded(desk.switch), methods=["POST"]),
        Route("/live/payments/{payment_id}/{verb}", _guarded(desk.instruct), methods=["POST"]),
    ]


class _Desk:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._references: dict[tuple[str, str], str | None] = {}
        """The merchant's reference of every payment that was charged; it never changes."""

    async def page(self, _: Request) -> Response:
        titles = {name: till.title for name, till in self._sandbox.tills.items()}
        data = {"exponents": dict(EXPONENTS), "gateways": titles}
        return page("live", title=f"Behind the scenes · {NAME}", data=data)

    async def dashboard(self, _: Request) -> Response:
        """Sign the merchant in and show them their dashboard."""
        answer = RedirectResponse("/bridge-payment/admin/ui", status_code=303)
        for path in ("/bridge-payment/admin", "/bridge-payment/webhooks"):
            answer.set_cookie(ADMIN_COOKIE, ADMIN_SESSION, path=path, httponly=True, samesite="strict")
        return answer

    # --- what there is ----------------------------------------------------------------------------

    async def state(self, _: Request) -> Response:
        tills = self._sandbox.tills
        collected = [(name, charge) for name, till in tills.items() for charge in till.charges()]
        unseen = {(name, charge.intent) for name, charge in collected} - self._references.keys()
        found = await self._sandbox.store.run(lambda unit: _Found(unit, unseen), write=False)
        self._references |= found.references
        charged: Counter[tuple[str, str]] = Counter()
        for name, charge in collected:
            charged[name, charge.intent] += charge.amount
        twice = too_many(
            (f"{name} {charge.intent}", self._references.get((name, charge.intent)))
            for name, charge in collected
            if not charge.given_back
        )
        payments = [_payment(payment, found, self._charged(payment, charged)) for payment in found.payments]
        return JSONResponse(
            {
                "payments": payments,
                "total": found.total,
                "inbox": [_entry(entry) for entry in found.inbox],
                "deliveries": [_delivery(delivery) for delivery in found.deliveries],
                "balance": {
                    "open": sum(1 for payment in payments if payment["unknown"]),
                    "apart": [payment["id"] for payment in payments if payment["apart"]],
                    "charged_twice": twice,
                },
                "gateway": self._gateway(),
                "subscriber": {
                    "broken": self._sandbox.sink.broken,
                    "received": len(self._sandbox.sink.received),
                },
            },
            headers={"cache-control": "no-store"},
        )

    def _charged(self, payment: Payment, charged: Mapping[tuple[str, str], int]) -> int:
        till = self._sandbox.tills.get(payment.provider_id or "")
        if till is None:
            return payment.captured_cents  # its gateway's books are not open: there is nothing to compare
        return charged.get((till.name, payment.provider_intent_id or ""), 0)

    def _gateway(self) -> dict[str, Any]:
        """One summary of all gateways: the switches are turned at each of them."""
        tills = self._sandbox.tills.values()
        hooks = [till.courier for till in tills]
        armed = {fault["kind"]: fault for till in tills for fault in till.faults.describe()}
        return {
            "faults": list(armed.values()),
            "webhooks": {
                "off": any(each.off for each in hooks),
                "paused": any(each.paused for each in hooks),
                "copies": max(each.copies for each in hooks),
                "reorder": any(each.reorder for each in hooks),
                "held": sum(len(each.held()) for each in hooks),
            },
            "requests": [
                {**exchange, "gateway": till.name}
                for till in tills
                for exchange in till.requests()[-_SHOWN:][::-1]
            ],
        }

    # --- what can be done -------------------------------------------------------------------------

    async def switch(self, _: Request, wish: dict[str, Any]) -> dict[str, Any]:
        for till in self._sandbox.tills.values():
            await self._turn(till, wish)
        if health := wish.get("subscriber"):
            self._sandbox.sink.broken = health == "broken"
        return {"done": True}

    async def _turn(self, till: Till, wish: dict[str, Any]) -> None:
        """Turn one switch at one gateway."""
        hooks = till.courier
        match wish:
            case {"fault": str(kind)} if kind in tuple(FaultKind):
                status = 503 if kind == FaultKind.ERROR_BEFORE else 500  # as its button says
                till.faults.add(kind, path=str(wish.get("path", "*")), seconds=3.0, status=status)
            case {"clear": True}:
                till.faults.clear()
            case {"webhooks": "on"}:
                hooks.off, hooks.copies, hooks.reorder, hooks.delay = False, 1, False, 0.0
                hooks.resume()
            case {"webhooks": "off"}:
                hooks.off = True
            case {"webhooks": "hold"}:
                hooks.pause()
            case {"webhooks": "twice"}:
                hooks.copies = 2
            case {"webhooks": "reorder"}:
                hooks.reorder = True
            case {"release": ("oldest" | "newest" | "shuffled") as order}:
                await anyio.to_thread.run_sync(hooks.deliver_all, order)
            case {"subscriber": "broken" | "well"}:
                pass  # of our webhooks, and not of a gateway's
            case _:
                raise InvalidRequest("there is no such switch")

    async def instruct(self, request: Request, wish: dict[str, Any]) -> dict[str, Any]:
        """What an admin of the shop would do; the engine decides whether it may be done."""
        engine = self._sandbox.bridge.engine
        payment_id, amount = request.path_params["payment_id"], wish.get("amount_cents")
        if amount is not None and not isinstance(amount, int):
            raise InvalidRequest("an amount is an integer", field="amount_cents")
        match request.path_params["verb"]:
            case "refund":
                refund = await engine.refund_payment(
                    payment_id, amount_cents=amount, idempotency_key=wish.get("key")
                )
                return {"status": refund.status, "id": refund.id}
            case "capture":
                payment = await engine.capture_payment(payment_id, amount_cents=amount)
            case "cancel":
                payment = await engine.cancel_payment(payment_id)
            case "sync":
                payment = await engine.sync_payment(payment_id)
            case _:
                raise InvalidRequest("there is no such instruction")
        return {"status": payment.status, "id": payment.id}


class _Found:
    """One reading of the store, in one transaction."""

    def __init__(self, unit: Unit, unseen: Iterable[tuple[str, str]]) -> None:
        query = PaymentQuery(limit=_SHOWN)
        listed = unit.payments.list(query)
        self.payments = listed.items
        self.total = listed.total
        self.operations = {one.id: unit.operations.for_subject(one.id) for one in self.payments}
        self.refunds = {one.id: unit.refunds.for_payment(one.id) for one in self.payments}
        self.events = {one.id: unit.events.for_subject(one.id) for one in self.payments}
        self.inbox = unit.inbox.list(limit=_SHOWN)
        self.deliveries = unit.deliveries.list(limit=_SHOWN * 2)
        known = {one: unit.payments.get_by_reference(*one) for one in unseen}
        self.references = {one: payment.reference_code for one, payment in known.items() if payment}


def too_many(charges: Iterable[tuple[str, str | None]]) -> int:
    """Count the charges over one per order; what belongs to no order is one per intent."""
    return sum(count - 1 for count in Counter(reference or intent for intent, reference in charges).values())


def _payment(payment: Payment, found: _Found, charged: int) -> dict[str, Any]:
    operations = found.operations[payment.id]
    unknown = [one.id for one in operations if one.is_open]
    return {
        "id": payment.id,
        "status": payment.status,
        "currency": payment.currency,
        "total_cents": payment.total_cents,
        "captured_cents": payment.captured_cents,
        "authorized_cents": payment.authorized_cents,
        "refunded_cents": payment.refunded_cents,
        "refundable_cents": payment.refundable_cents,
        "charged_cents": charged,
        "apart": charged != payment.captured_cents,
        "unknown": bool(unknown),
        "provider_id": payment.provider_id,
        "reference_code": payment.reference_code,
        "provider_intent_id": payment.provider_intent_id,
        "decline_code": payment.decline_code,
        "flag": payment.flag,
        "version": payment.version,
        "guest_email": payment.guest_email,
        "created_at": _moment(payment.created_at),
        "operations": [_operation(one) for one in operations],
        "refunds": [_refund(one) for one in found.refunds[payment.id]],
        "events": [_event(one) for one in found.events[payment.id]],
    }


def _operation(operation: Operation) -> dict[str, Any]:
    return {
        "id": operation.id,
        "verb": operation.verb,
        "state": operation.state,
        "attempts": operation.attempts,
        "decline_code": operation.decline_code,
        "error_code": operation.error_code,
        "resolution": operation.resolution,
        "created_at": _moment(operation.created_at),
        "finished_at": _moment(operation.finished_at),
    }


def _refund(refund: Refund) -> dict[str, Any]:
    return {"id": refund.id, "amount_cents": refund.amount_cents, "status": refund.status}


def _event(event: Event) -> dict[str, Any]:
    return {"id": event.id, "type": event.type, "at": _moment(event.created_at)}


def _entry(entry: InboxEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "type": entry.event_type,
        "state": entry.state,
        "attempts": entry.attempts,
        "payment_id": entry.payment_id,
        "at": _moment(entry.created_at),
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "type": delivery.event_type,
        "endpoint": delivery.endpoint,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "status_code": delivery.status_code,
        "error": delivery.error,
        "at": _moment(delivery.created_at),
    }


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="milliseconds") if moment else None


def _guarded(
    deed: Callable[[Request, dict[str, Any]], Awaitable[dict[str, Any]]],
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if _HEADER not in request.headers:
            return JSONResponse({"error": f"send the header {_HEADER}"}, status_code=403)
        try:
            return JSONResponse(await deed(request, dict(json.loads(await request.body() or b"{}"))))
        except BridgeError as error:
            return JSONResponse({"error": error.message, "code": error.code}, status_code=400)
        except (ValueError, TypeError):
            return JSONResponse({"error": "send a JSON object"}, status_code=400)

    return endpoint
