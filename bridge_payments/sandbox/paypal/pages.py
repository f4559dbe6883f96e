"""PayPal's own pages: a payer agrees to pay, to be kept or to subscribe, says with what, or goes back."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from .instruments import INSTRUMENTS
from .problems import Problem

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What one of PayPal's pages asks its payer."""

    heading: str
    amount: str = ""
    currency: str = ""
    description: str = ""
    button: str
    instruments: Collection[str]
    agree: Callable[[str], object]
    """Gets the instrument that the payer chose."""
    back: Callable[[bool], str]
    """Where the payer goes then, by whether they agreed."""
    added: Mapping[str, str]
    """What PayPal appends to that address."""


Ask = Callable[[str], _Question | None]
"""Returns the question about an object; None if it can be asked no more. Raises KeyError for no object."""


def routes(gateway: FakePayPal) -> list[Route]:
    asked: Mapping[str, Ask] = {
        "approve": lambda identity: _payment(gateway, identity),
        "agree": lambda identity: _keeping(gateway, identity),
        "subscribe": lambda identity: _subscription(gateway, identity),
    }

    def page_of(ask: Ask) -> Callable[[Request], Awaitable[Response]]:
        async def page(request: Request) -> Response:
            form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
            with gateway.books.lock:
                try:
                    question = ask(request.path_params["identity"])
                except (KeyError, Problem):
                    return _closed(404)
                if question is None:
                    return _closed(410)
                if request.method == "GET":
                    return _shown(question, gateway.merchant)
                instrument = form.get("instrument", next(iter(question.instruments)))
                agreed = form.get("outcome") == "approve" and instrument in question.instruments
                if agreed:
                    question.agree(instrument)
            return _farewell(question, agreed=agreed)

        return page

    return [
        Route(f"/_{name}/{{identity}}", page_of(ask), methods=[method])
        for name, ask in asked.items()
        for method in ("GET", "POST")
    ]


def _payment(gateway: FakePayPal, identity: str) -> _Question | None:
    order = gateway.books.orders[identity]
    if not gateway.api.orders.is_approvable(order):
        return None
    unit = order["purchase_units"][0]
    back = gateway.books.instruments
    return _Question(
        heading=f"Pay {gateway.merchant}",
        amount=unit["amount"]["value"],
        currency=unit["amount"]["currency_code"],
        description=unit.get("description", ""),
        button="Agree and pay",
        instruments=INSTRUMENTS,
        agree=lambda instrument: gateway.api.orders.approve(identity, instrument),
        back=lambda agreed: back.get(f"{identity}.{'return' if agreed else 'cancel'}_url", ""),
        added={"token": identity},
    )


def _keeping(gateway: FakePayPal, identity: str) -> _Question | None:
    setup = gateway.api.vault.setup(identity)
    if setup["status"] not in ("CREATED", "PAYER_ACTION_REQUIRED"):
        return None
    source = next(iter(setup["payment_source"]))
    return _Question(
        heading=f"Let {gateway.merchant} keep this for later",
        description="It is charged when you say so there, also when you are not present.",
        button="Agree",
        instruments=[name for name, each in INSTRUMENTS.items() if each.source == source],
        agree=lambda instrument: gateway.api.vault.agree(identity, instrument),
        back=lambda _: str(gateway.books.notes[identity]["back"]),
        added={"approval_token_id": identity},
    )


def _subscription(gateway: FakePayPal, identity: str) -> _Question | None:
    subscription = gateway.books.subscriptions[identity]
    if subscription["status"] != "APPROVAL_PENDING":
        return None
    plan = gateway.api.billing.plan_of(subscription)
    cycle = plan["billing_cycles"][-1]
    price, frequency = cycle["pricing_scheme"]["fixed_price"], cycle["frequency"]
    count = int(frequency.get("interval_count", 1))
    each = (
        frequency["interval_unit"].lower() if count == 1 else f"{count} {frequency['interval_unit'].lower()}s"
    )
    return _Question(
        heading=f"Subscribe to {plan['name']}",
        amount=price["value"],
        currency=f"{price['currency_code']} every {each}",
        description=f"Billed by {gateway.merchant} until you or they end it.",
        button="Agree and subscribe",
        instruments=[name for name, one in INSTRUMENTS.items() if one.source == "paypal"],
        agree=lambda instrument: gateway.api.billing.approve(identity, instrument),
        back=lambda _: str(gateway.books.notes[identity]["back"]),
        added={"subscription_id": identity},
    )


def _shown(question: _Question, merchant: str) -> Response:
    choices = "".join(
        _CHOICE.substitute(
            name=name, title=html.escape(INSTRUMENTS[name].title), checked="" if number else " checked"
        )
        for number, name in enumerate(question.instruments)
    )
    return _page(
        "approve.html",
        raw={"choices": choices},
        heading=question.heading,
        merchant=merchant,
        amount=question.amount,
        currency=question.currency,
        description=question.description,
        button=question.button,
    )


_CHOICE: Final = Template(
    '<label><input type="radio" name="instrument" value="$name"$checked><span>$title</span></label>'
)


def _farewell(question: _Question, *, agreed: bool) -> Response:
    """Send the payer back with what PayPal appends: the object, and the payer if they agreed."""
    back = question.back(agreed)
    if not back:
        title = "Thank you" if agreed else "Not approved"
        return _page("closed.html", title=title, text="You can close this window.")
    parts = urlsplit(back)
    added = urlencode({**question.added, **({"PayerID": "SANDBXPAYER22"} if agreed else {})})
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
