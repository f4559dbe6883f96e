"""The approval page: where PayPal's payer agrees, chooses what to pay with, or goes back."""

from __future__ import annotations

import html
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from .books import Json
from .instruments import INSTRUMENTS

if TYPE_CHECKING:
    from .gateway import FakePayPal

__all__ = ["STATIC", "routes"]

STATIC: Final = Path(__file__).with_name("static")

_HEADERS: Final = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; style-src 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
}


def routes(gateway: FakePayPal) -> list[Route]:
    def known(request: Request) -> Json | None:
        return gateway.books.orders.get(request.path_params["order"])

    async def approval(request: Request) -> Response:
        with gateway.books.lock:
            order = known(request)
            if order is None or not gateway.api.orders.is_approvable(order):
                return _closed(404 if order is None else 410)
            amount = order["purchase_units"][0]["amount"]
            description = order["purchase_units"][0].get("description", "")
        choices = "".join(
            _CHOICE.substitute(
                name=name, title=html.escape(each.title), checked=" checked" * (name == "balance")
            )
            for name, each in INSTRUMENTS.items()
        )
        return _page(
            "approve.html",
            raw={"choices": choices},
            merchant=gateway.merchant,
            amount=amount["value"],
            currency=amount["currency_code"],
            description=description,
        )

    async def answer(request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        with gateway.books.lock:
            order = known(request)
            if order is None or not gateway.api.orders.is_approvable(order):
                return _closed(404 if order is None else 410)
            instrument = form.get("instrument", "balance")
            agreed = form.get("outcome") == "approve" and instrument in INSTRUMENTS
            if agreed:
                gateway.api.orders.approve(order["id"], instrument)
            back = gateway.books.instruments[f"{order['id']}.{'return' if agreed else 'cancel'}_url"]
        return _farewell(order["id"], back, agreed=agreed)

    return [
        Route("/_approve/{order}", approval, methods=["GET"]),
        Route("/_approve/{order}", answer, methods=["POST"]),
    ]


_CHOICE: Final = Template(
    '<label><input type="radio" name="instrument" value="$name"$checked><span>$title</span></label>'
)


def _farewell(order: str, back: str, *, agreed: bool) -> Response:
    """Send the payer back with what PayPal appends: the order, and the payer if they agreed."""
    if not back:
        title = "Thank you" if agreed else "Not approved"
        return _page("closed.html", title=title, text="You can close this window.")
    parts = urlsplit(back)
    added = urlencode({"token": order, **({"PayerID": "SANDBXPAYER22"} if agreed else {})})
    query = f"{parts.query}&{added}" if parts.query else added
    return RedirectResponse(
        urlunsplit(parts._replace(query=query)), status_code=303, headers={"cache-control": "no-store"}
    )


def _closed(status: int) -> Response:
    return _page("closed.html", status=status, title="This page has expired", text="Return to the shop.")


def _page(name: str, *, status: int = 200, raw: dict[str, str] | None = None, **values: str) -> Response:
    text = Template((STATIC / name).read_text(encoding="utf-8"))
    safe = {key: html.escape(value) for key, value in values.items()} | (raw or {})
    return HTMLResponse(text.substitute(safe), status_code=status, headers=_HEADERS)
