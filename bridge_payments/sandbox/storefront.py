"""The shop on the wire: shelf, bag, checkout, receipts. The checkout page pays at our API, not here."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from ..errors import BridgeError, InvalidRequest, NotFound
from ..models import EXPONENTS, Money, Payment
from .catalogue import CURRENCIES, NAME, PRODUCTS
from .pages import Markup, markup, page, part
from .shop import Order
from .tills import Till

if TYPE_CHECKING:
    from .world import Sandbox

__all__ = ["storefront_routes"]

_EXPONENTS: Final = dict(EXPONENTS)


def storefront_routes(sandbox: Sandbox) -> list[Route]:
    front = _Storefront(sandbox)
    return [
        Route("/", front.store),
        Route("/bag", front.bag),
        Route("/pay", front.free),
        Route("/shop/orders", _answered(front.place), methods=["POST"]),
        Route("/shop/orders/{number}", _answered(front.order_state)),
        Route("/shop/orders/{number}/payment", _answered(front.regain), methods=["POST"]),
        Route("/shop/payments/{payment_id}", _answered(front.payment_state)),
        Route("/checkout/{number}", front.checkout),
        Route("/orders/{number}", front.order),
        Route("/receipts/{payment_id}", front.receipt),
    ]


class _Storefront:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._products = {
            sku: {"name": product.name, "prices": dict(product.prices)} for sku, product in PRODUCTS.items()
        }

    # --- pages ------------------------------------------------------------------------------------

    async def store(self, _: Request) -> Response:
        tiles = "".join(part("tile", sku=one.sku, name=one.name, line=one.line) for one in PRODUCTS.values())
        return self._page(
            "store", f"{NAME}: coffee and tools", kind="store", products=Markup(tiles), currencies=_options()
        )

    async def bag(self, _: Request) -> Response:
        return self._page("bag", f"Your bag · {NAME}", kind="bag")

    async def checkout(self, request: Request) -> Response:
        order = self._sandbox.shop.orders.get(request.path_params["number"])
        if order is None:
            return RedirectResponse("/", status_code=303)
        returning = request.query_params.get("payment")
        if order.state != "open" and not returning:
            return RedirectResponse(f"/orders/{order.number}", status_code=303)
        note = "The shop sets this price. A browser that sends another one pays this one all the same."
        data = {
            "order": order.number,
            "total": order.pricing.total,
            "currency": order.currency,
            "open_payment": order.payment_id,
            "payment_id": returning,
        }
        return self._page(
            "checkout",
            f"Checkout · {NAME}",
            data=data,
            heading="Checkout",
            layout="ordered",
            amount=Markup(""),
            summary=_summary(order, note),
        )

    async def free(self, request: Request) -> Response:
        data = {"order": None, "free": True, "payment_id": request.query_params.get("payment")}
        return self._page(
            "checkout",
            f"Pay an amount · {NAME}",
            data=data,
            heading="Pay an amount",
            layout="free",
            amount=part("free_amount", options=_options()),
            summary=part("free_summary"),
        )

    async def order(self, request: Request) -> Response:
        order = self._sandbox.shop.orders.get(request.path_params["number"])
        if order is None:
            return RedirectResponse("/", status_code=303)
        data = {"state_url": f"/shop/orders/{order.number}"}
        summary = _summary(order, f"Placed {order.placed_at[:10]}.")
        return self._page("receipt", f"Order {order.number} · {NAME}", data=data, summary=summary)

    async def receipt(self, request: Request) -> Response:
        payment = await self._payment(request.path_params["payment_id"])
        if payment is None:
            return RedirectResponse("/", status_code=303)
        summary = part(
            "payment",
            id=payment.id,
            description=payment.description or "A free amount",
            status=payment.status,
            total=payment.total,
        )
        data = {"state_url": f"/shop/payments/{payment.id}"}
        return self._page("receipt", f"Receipt · {NAME}", data=data, summary=summary)

    # --- data -------------------------------------------------------------------------------------

    async def place(self, request: Request) -> dict[str, Any]:
        try:
            wish = json.loads(await request.body())
            order = self._sandbox.shop.place(wish["items"], wish["currency"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InvalidRequest("an order has items and a currency") from None
        await anyio.to_thread.run_sync(self._sandbox.save)
        return {
            "number": order.number,
            "token": order.token,
            "pricing": asdict(order.pricing),
            "currency": order.currency,
        }

    async def regain(self, request: Request) -> dict[str, Any]:
        """Give the browser that made the order the secret of its payment, if the API's answer was lost.

        The API tells a guest the secret once. The shop's own server is trusted and may tell it again, to
        whoever holds the order's token.
        """
        try:
            wish = json.loads(await request.body())
            token, payment_id = str(wish["token"]), str(wish["payment_id"])
        except (ValueError, KeyError, TypeError):
            raise InvalidRequest("send the order's token and a payment_id") from None
        order = self._sandbox.shop.orders.get(request.path_params["number"])
        if order is None or not order.token or not hmac.compare_digest(order.token.encode(), token.encode()):
            raise NotFound("there is no such order")
        payment = await self._payment(payment_id)
        if payment is None or payment.reference_code != order.number:
            raise NotFound("there is no such payment")
        return {"id": payment.id, "client_secret": payment.client_secret}

    async def order_state(self, request: Request) -> dict[str, Any]:
        order = self._sandbox.shop.orders.get(request.path_params["number"])
        if order is None:
            raise NotFound("there is no such order")
        payment = await self._payment(order.payment_id) if order.payment_id else None
        return {
            "number": order.number,
            "state": order.state,
            "payment_id": order.payment_id,
            "email": payment.guest_email if payment else None,
            "heard": order.heard,
            "pricing": asdict(order.pricing),
            "currency": order.currency,
        }

    async def payment_state(self, request: Request) -> dict[str, Any]:
        payment = await self._payment(request.path_params["payment_id"])
        if payment is None:
            raise NotFound("there is no such payment")
        engine = self._sandbox.bridge.engine
        events = await engine.list_events(payment.id)
        operations = await engine.list_operations(payment.id)
        return {
            "state": _STATES.get(payment.status, "open"),
            "payment_id": payment.id,
            "email": payment.guest_email,
            "asking": any(operation.is_open for operation in operations),
            "provider": payment.provider_id,
            "facts": {"fact-status": payment.status},
            "heard": [
                {
                    "type": event.type,
                    "at": event.created_at.isoformat(timespec="milliseconds"),
                    "decline_code": event.data.get("decline_code"),
                }
                for event in events
            ],
        }

    async def _payment(self, payment_id: str) -> Payment | None:
        try:
            return await self._sandbox.bridge.engine.get_payment(payment_id)
        except NotFound:
            return None

    def _page(
        self, name: str, title: str, *, kind: str = "", data: dict[str, Any] | None = None, **values: str
    ) -> Response:
        tills = self._sandbox.tills
        shared: dict[str, Any] = {"kind": kind, "api": "/bridge-payment", "exponents": _EXPONENTS}
        if kind:
            shared["products"] = self._products
        if name == "checkout":
            shared["ways"] = {one.name: one.browser() for one in tills.values()}
            values["ways"] = _ways(tills.values(), (data or {}).get("currency"))
        script = tills["stripe"].gateway.url if "stripe" in tills else ""
        if name == "checkout" and script:
            values["elements"] = markup('<script src="$origin/_static/elements.js"></script>', origin=script)
        elif name == "checkout":
            values["elements"] = Markup("")
        return page(
            name,
            title=title,
            gateways=[one.gateway.url for one in tills.values()],
            script=script,
            data={**shared, **(data or {})},
            **values,
        )


_STATES: Final = {
    "succeeded": "paid",
    "requires_capture": "authorized",
    "refunded": "refunded",
    "partially_refunded": "partially_refunded",
    "failed": "failed",
    "canceled": "failed",
}


def _ways(tills: Iterable[Till], currency: str | None) -> Markup:
    """Return what a payer may choose; a way that does not take the order's currency is left out."""
    taken = [one for one in tills if currency is None or currency in one.currencies]
    return Markup(
        "".join(
            part("way", name=one.name, title=one.title, checked=Markup(" checked" if not number else ""))
            for number, one in enumerate(taken)
        )
    )


def _options() -> Markup:
    return Markup("".join(markup('<option value="$name">$name</option>', name=name) for name in CURRENCIES))


def _summary(order: Order, note: str) -> Markup:
    lines = "".join(
        part(
            "line",
            sku=sku,
            name=PRODUCTS[sku].name,
            quantity=quantity,
            each=_text(PRODUCTS[sku].prices[order.currency], order.currency),
            sum=_text(PRODUCTS[sku].prices[order.currency] * quantity, order.currency),
        )
        for sku, quantity in order.items.items()
    )
    price = order.pricing
    return part(
        "summary",
        number=order.number,
        lines=Markup(lines),
        subtotal=_text(price.subtotal, order.currency),
        tax=_text(price.tax, order.currency),
        total=_text(price.total, order.currency),
        note=note,
    )


_SIGNS: Final = {"USD": "$", "EUR": "€", "JPY": "¥"}


def _text(amount: int, currency: str) -> str:
    return f"{_SIGNS[currency]}{Money(amount, currency).to_decimal():,f}"


def _answered(
    handler: Callable[[Request], Awaitable[dict[str, Any]]],
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        headers = {"cache-control": "no-store"}
        try:
            return JSONResponse(await handler(request), headers=headers)
        except NotFound as error:
            return JSONResponse({"error": error.message}, status_code=404, headers=headers)
        except BridgeError as error:
            return JSONResponse({"error": error.message}, status_code=400, headers=headers)

    return endpoint
