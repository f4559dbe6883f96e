"""
A PayPal account that lives in this process and speaks HTTP: for trying, for demos and for tests.

    with FakePayPal() as gateway:
        account = PayPalProvider(..., api_base=gateway.url)
        gateway.approve(order_id)            # what the payer does on the approval page
        gateway.lose_next_answer("*/capture")
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from ...models import Clock, MovableClock, utc_now
from ..courier import Endpoint
from ..faults import Fault, FaultKind, Faults
from ..listening import Listening
from ..wire import App, build_app
from . import control, pages
from .api import Api, Exchange
from .books import Books, Json
from .keys import Keys
from .signing import signer
from .webhooks import Webhooks

__all__ = ["INSTRUCTIONS", "FakePayPal"]

_API: Final = ("/v1/", "/v2/", "/v3/")

INSTRUCTIONS: Final = "/v[123]/[!on]*"
"""A glob over everything that changes something: neither tokens nor the verification of webhooks."""


class FakePayPal(Listening):
    """The gateway and its controls. Objects it hands out are copies."""

    def __init__(
        self,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        clock: Clock = utc_now,
        port: int = 0,
        merchant: str = "Sandbox merchant",
        saved: Json | None = None,
    ) -> None:
        super().__init__(port=port, name="fake-paypal")
        self.client_id: str = client_id or f"sandbox_{secrets.token_hex(20)}"
        self.client_secret: str = client_secret or f"sandbox_{secrets.token_hex(24)}"
        self.merchant = merchant
        self.clock: MovableClock = clock if isinstance(clock, MovableClock) else MovableClock(clock)
        self.faults: Faults = Faults()
        self.keep: Callable[[], None] = lambda: None
        """Called after every change and before its answer leaves: whoever keeps a `dump` writes it here."""
        self.books: Books = Books(self.clock)
        self.webhooks: Webhooks = Webhooks(self.clock)
        self.books.url = self.webhooks.url = self.url
        self.api: Api = Api(
            self.books,
            Keys(self.clock),
            self.webhooks,
            client_id=self.client_id,
            client_secret=self.client_secret,
        )
        self.books.announce = self.webhooks.publish
        if saved is not None:
            self.books.load(saved["books"])
            self.api.keys.load(saved["keys"])

    def app(self) -> App:
        return build_app(
            self.api,
            prefixes=_API,
            faults=self.faults,
            courier=self.webhooks,
            beside=[
                *pages.routes(self),
                *control.routes(self),
                Mount("/_static", StaticFiles(directory=pages.STATIC)),
            ],
            cors={},
            keep=lambda: self.keep(),  # noqa: PLW0108 - replaced after the app is built
        )

    # --- what happened ----------------------------------------------------------------------------

    def orders(self) -> list[Json]:
        return self._copies(self.books.orders)

    def captures(self, *, taken: bool | None = None) -> list[Json]:
        """Return every capture, oldest first; with ``taken=True`` those that took money."""
        captures = self._copies(self.books.captures)
        words = ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")
        return (
            captures if taken is None else [each for each in captures if (each["status"] in words) is taken]
        )

    def authorizations(self) -> list[Json]:
        return self._copies(self.books.authorizations)

    def refunds(self) -> list[Json]:
        return self._copies(self.books.refunds)

    def payment_tokens(self) -> list[Json]:
        return self._copies(self.books.tokens)

    def setup_tokens(self) -> list[Json]:
        return self._copies(self.books.setups)

    def products(self) -> list[Json]:
        return self._copies(self.books.products)

    def plans(self) -> list[Json]:
        return self._copies(self.books.plans)

    def subscriptions(self) -> list[Json]:
        return self._copies(self.books.subscriptions)

    def collected(self) -> dict[str, str]:
        """Return which subscription each capture without an order was collected for."""
        with self.books.lock:
            return dict(self.books.subscription_of)

    def disputes(self) -> list[Json]:
        return self._copies(self.books.disputes)

    def events(self, kind: str | None = None) -> list[Json]:
        return [event for event in self._copies(self.books.events) if kind in (None, event["event_type"])]

    def order(self, identity: str) -> Json:
        with self.books.lock:
            return copy.deepcopy(self.books.orders[identity])

    def requests(self, path: str | tuple[str, ...] = "/v2/", *, method: str | None = None) -> list[Exchange]:
        """Return the log of API requests whose path begins with *path*."""
        with self.books.lock:
            return [
                exchange
                for exchange in self.api.exchanges
                if exchange.path.startswith(path) and method in (None, exchange.method)
            ]

    # --- making things happen ---------------------------------------------------------------------

    def approve(self, order_id: str, instrument: str = "balance") -> Json:
        """The payer agrees, with one of `instruments.INSTRUMENTS`."""
        with self.books.lock:
            return copy.deepcopy(self.api.orders.approve(order_id, instrument))

    def ask(self, order_id: str, instrument: str = "card_challenge") -> Json:
        """The payer's bank asks for them; `approve` is their answer."""
        with self.books.lock:
            return copy.deepcopy(self.api.orders.ask(order_id, instrument))

    def agree(self, setup_id: str, instrument: str = "balance") -> Json:
        """The payer agrees that an instrument is kept."""
        with self.books.lock:
            return copy.deepcopy(self.api.vault.agree(setup_id, instrument))

    def subscribe(self, subscription_id: str, instrument: str = "balance") -> Json:
        """The payer approves a subscription, and PayPal collects its first cycle."""
        with self.books.lock:
            return copy.deepcopy(self.api.billing.approve(subscription_id, instrument))

    def advance(self, **by: float) -> None:
        """Move the clock (``days=31``) and collect what became due meanwhile."""
        self.clock.move(timedelta(**by))
        self.bill()

    def bill(self) -> None:
        """Collect what subscriptions owe by now."""
        with self.books.lock:
            self.api.billing.run_due()

    def decline_renewals(self, subscription_id: str, *, declines: bool = True) -> None:
        """Let the next collections of a subscription be refused, or succeed again."""
        with self.books.lock:
            self.books.notes[subscription_id]["declines"] = declines

    def open_dispute(
        self, capture_id: str, amount: Json | None = None, *, reason: str = "UNAUTHORISED"
    ) -> Json:
        with self.books.lock:
            return copy.deepcopy(self.api.disputes.begin(capture_id, amount, reason))

    def resolve_dispute(self, dispute_id: str, outcome: str) -> Json:
        """Decide a dispute: ``RESOLVED_BUYER_FAVOUR``, ``RESOLVED_SELLER_FAVOUR`` …"""
        with self.books.lock:
            return copy.deepcopy(self.api.disputes.resolve(dispute_id, outcome))

    def keep_late(self, *, late: bool = True) -> None:
        """Let what orders keep be kept only by `finish_keeping`, as PayPal does at times."""
        with self.books.lock:
            self.api.vault.late = late

    def finish_keeping(self, order_id: str) -> Json:
        with self.books.lock:
            return copy.deepcopy(self.api.vault.finish(self.books.orders[order_id]))

    def lose_next_answer(self, path: str = INSTRUCTIONS, *, times: int = 1) -> Fault:
        """The next matching instruction is executed and its answer never arrives."""
        return self.faults.add(FaultKind.DROP_AFTER, path=path, times=times, method="POST|PATCH|DELETE")

    def settle(self, identity: str, *, succeeded: bool = True) -> Json:
        """Finish what is pending: a capture, an authorisation or a refund; a refund may also come back."""
        with self.books.lock:
            return copy.deepcopy(self.api.payments.settle(identity, succeeded=succeeded))

    def hold_refunds(self, count: int = 1) -> None:
        """Let the next refunds stay pending until `settle`."""
        with self.books.lock:
            self.api.payments.held += count

    def capture_elsewhere(self, order_id: str) -> Json:
        """Capture behind the merchant's server's back, as a script in the payer's browser does."""
        with self.books.lock:
            return copy.deepcopy(self.api.orders.capture(order_id))

    def refund_in_dashboard(self, capture_id: str, amount: Json | None = None) -> Json:
        """Refund as a person on PayPal's own pages does."""
        with self.books.lock:
            wish = {} if amount is None else {"amount": amount}
            return copy.deepcopy(self.api.payments.refund(capture_id, wish))

    def reprice(self, order_id: str, value: str) -> None:
        """Change what an order is about, as a script in the payer's browser may."""
        with self.books.lock:
            self.books.orders[order_id]["purchase_units"][0]["amount"]["value"] = value

    def forget_order(self, order_id: str) -> None:
        """An order that nobody paid is gone one day: reading it is a 404 then."""
        with self.books.lock:
            del self.books.orders[order_id]

    def revoke_tokens(self) -> None:
        """Let every access token end before its time."""
        with self.books.lock:
            self.api.tokens.clear()

    @property
    def charge_every_request(self) -> bool:
        """A gateway without request ids: every request is executed. Shows who sends two."""
        return self.api.keys.ignored

    @charge_every_request.setter
    def charge_every_request(self, on: bool) -> None:
        self.api.keys.ignored = on

    # --- webhooks ---------------------------------------------------------------------------------

    @property
    def certificate_roots(self) -> bytes:
        """PEM: what the chain of this gateway's certificate ends in."""
        return signer().roots

    def add_webhook(
        self, url: str, *, webhook_id: str | None = None, events: Collection[str] = ("*",)
    ) -> Endpoint:
        """Register an endpoint; the `secret` of what is returned is its webhook id."""
        return self.webhooks.add(url, secret=webhook_id, events=events)

    def signed_webhook(
        self, event: Json | str | bytes, *, webhook_id: str | None = None, at: datetime | None = None
    ) -> tuple[Mapping[str, str], bytes]:
        """Return headers and body of *event*: itself, its bytes, its id, or its type (then the last one)."""
        if isinstance(event, str):
            known = self.events()
            event = next(one for one in reversed(known) if event in (one["id"], one["event_type"]))
        return self.webhooks.signed(event, webhook_id or self.webhooks.endpoints[0].secret, at=at)

    # --- the account ------------------------------------------------------------------------------

    def reset(self, *, endpoints: bool = False) -> None:
        """Be as new, with the same credentials; with *endpoints* the webhook endpoints are forgotten too."""
        with self.books.lock:
            self.books.clear()
            self.api.keys.saved.clear()
            self.api.keys.ignored = False
            self.api.exchanges.clear()
            self.api.payments.held = 0
            self.api.vault.late = False
        self.clock.offset = timedelta()
        self.faults.clear()
        self.webhooks.clear(endpoints=endpoints)

    def dump(self) -> Json:
        """Return the books as JSON values, for a gateway of the next run."""
        with self.books.lock:
            return {"books": self.books.dump(), "keys": self.api.keys.dump()}

    def _copies(self, shelf: Mapping[str, Json]) -> list[Json]:
        with self.books.lock:
            return copy.deepcopy(list(shelf.values()))
