"""The gateway's own pages: the hosted card fields that a shop frames, and the bank's 3-D Secure page."""

from __future__ import annotations

import html
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from ...models import Money
from .books import Json

if TYPE_CHECKING:
    from .gateway import FakeStripe

__all__ = ["STATIC", "routes"]

STATIC: Final = Path(__file__).with_name("static")

_HEADERS: Final = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'self'; base-uri 'none'; frame-ancestors http://127.0.0.1:* "
    "http://localhost:*",
}


def routes(gateway: FakeStripe) -> list[Route]:
    async def fields(_: Request) -> Response:
        return _page("fields.html")

    async def challenge(request: Request) -> Response:
        secret = request.query_params.get("client_secret", "")
        with gateway.books.lock:
            intent = _known(gateway, request.path_params["intent"], secret)
            if intent is None:
                return _page(
                    "closed.html", status=404, title="This page has expired", text="Return to the shop."
                )
            if intent["status"] != "requires_action":
                return _farewell(gateway, intent)
            card = gateway.books.methods[intent["payment_method"]]["card"]
            asked = "Stored for later" if intent["object"] == "setup_intent" else _amount(intent)
        return _page(
            "challenge.html",
            secret=secret,
            merchant=gateway.merchant,
            amount=asked,
            last4=card["last4"],
            brand=card["brand"].title(),
        )

    async def answer(request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        with gateway.books.lock:
            intent = _known(gateway, request.path_params["intent"], form.get("client_secret", ""))
            if intent is None:
                return _page(
                    "closed.html", status=404, title="This page has expired", text="Return to the shop."
                )
            gateway.authenticate(intent["id"], passed=form.get("outcome") == "complete")
            return _farewell(gateway, intent)

    return [
        Route("/_fields", fields),
        Route("/_3ds/{intent}", challenge, methods=["GET"]),
        Route("/_3ds/{intent}", answer, methods=["POST"]),
    ]


def _known(gateway: FakeStripe, identity: str, secret: str) -> Json | None:
    intent = gateway.books.intents.get(identity) or gateway.books.setups.get(identity)
    return intent if intent is not None and intent["client_secret"] == secret else None


def _amount(intent: Json) -> str:
    amount = Money(intent["amount"], intent["currency"])
    return f"{amount.to_decimal()} {amount.currency}"


def _farewell(gateway: FakeStripe, intent: Json) -> Response:
    """Send the payer back with the parameters that Stripe appends (2026-11, "
    "https://docs.stripe.com/payments/3d-secure)."""
    done = intent["status"] in ("succeeded", "requires_capture", "processing")
    back = gateway.books.return_urls.get(intent["id"])
    if back is None:
        text = "You can close this window." if done else "The bank did not confirm this payment."
        return _page("closed.html", title="Thank you" if done else "Not confirmed", text=text)
    parts = urlsplit(back)
    kind = intent["object"]
    added = urlencode(
        {
            kind: intent["id"],
            f"{kind}_client_secret": intent["client_secret"],
            "redirect_status": "succeeded" if done else "failed",
        }
    )
    query = f"{parts.query}&{added}" if parts.query else added
    return RedirectResponse(
        urlunsplit(parts._replace(query=query)), status_code=303, headers={"cache-control": "no-store"}
    )


def _page(name: str, *, status: int = 200, **values: str) -> Response:
    text = Template((STATIC / name).read_text(encoding="utf-8"))
    safe = {key: html.escape(value) for key, value in values.items()}
    return HTMLResponse(text.substitute(safe), status_code=status, headers=_HEADERS)
