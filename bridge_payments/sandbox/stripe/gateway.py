"""
A Stripe account that lives in this process and speaks HTTP: for trying, for demos and for tests.

    with FakeStripe() as gateway:
        client = StripeClient(gateway.secret_key, base_addresses={"api": gateway.url})
        gateway.lose_next_answer("/v1/payment_intents")
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta

from ...models import Clock, MovableClock, utc_now
from ..faults import Fault, FaultKind, Faults
from ..listening import Listening
from ..wire import App
from .api import Api, Exchange
from .books import Books, Json
from .forms import Params
from .idempotency import Keys, Saved
from .server import build_app
from .webhooks import Endpoint, Webhooks

__all__ = ["FakeStripe"]


class FakeStripe(Listening):
    """The gateway and its controls. Objects it hands out are copies."""

    def __init__(
        self,
        *,
        secret_key: str | None = None,
        publishable_key: str | None = None,
        clock: Clock = utc_now,
        port: int = 0,
        merchant: str = "Sandbox merchant",
        saved: Json | None = None,
    ) -> None:
        self.secret_key: str = secret_key or f"sk_test_{secrets.token_hex(24)}"
        self.publishable_key: str = publishable_key or f"pk_test_{secrets.token_hex(24)}"
        if not (self.secret_key.startswith("sk_test_") and self.publishable_key.startswith("pk_test_")):
            raise ValueError("a sandbox takes test keys only")
        self.merchant = merchant
        self.clock: MovableClock = clock if isinstance(clock, MovableClock) else MovableClock(clock)
        self.books: Books = Books(self.clock)
        self.faults: Faults = Faults()
        self.webhooks: Webhooks = Webhooks(self.clock)
        self.keep: Callable[[], None] = lambda: None
        """Called after every change and before its answer leaves: whoever keeps a `dump` writes it here."""
        super().__init__(port=port, name="fake-stripe")
        self.api: Api = Api(
            self.books,
            Keys(self.clock),
            secret_key=self.secret_key,
            publishable_key=self.publishable_key,
            url=self.url,
        )
        self.books.announce = self.webhooks.publish
        if saved is not None:
            self.books.load(saved["books"])
            self.api.keys.load(saved["keys"])

    def app(self) -> App:
        return build_app(self)

    # --- what happened ----------------------------------------------------------------------------

    def intents(self) -> list[Json]:
        return self._copies(self.books.intents)

    def setups(self) -> list[Json]:
        return self._copies(self.books.setups)

    def customers(self) -> list[Json]:
        return self._copies(self.books.customers)

    def methods(self, *, stored: bool = False) -> list[Json]:
        """Return every payment method; with *stored* those that belong to a customer."""
        return [each for each in self._copies(self.books.methods) if each["customer"] or not stored]

    def products(self) -> list[Json]:
        return self._copies(self.books.products)

    def subscriptions(self) -> list[Json]:
        return self._copies(self.books.subscriptions)

    def invoices(self) -> list[Json]:
        return self._copies(self.books.invoices)

    def disputes(self) -> list[Json]:
        return self._copies(self.books.disputes)

    def charges(self, *, paid: bool | None = None) -> list[Json]:
        """Return every charge, oldest first; with ``paid=True`` those that took or hold money."""
        charges = self._copies(self.books.charges)
        return charges if paid is None else [charge for charge in charges if charge["paid"] is paid]

    def refunds(self) -> list[Json]:
        return self._copies(self.books.refunds)

    def events(self, kind: str | None = None) -> list[Json]:
        return [event for event in self._copies(self.books.events) if kind in (None, event["type"])]

    def keys(self) -> Mapping[str, Saved]:
        """Return every idempotency key that was used, with what is saved under it."""
        with self.books.lock:
            return dict(self.api.keys.saved)

    def requests(self, path: str = "", *, caller: str | None = None) -> list[Exchange]:
        """Return the log of API requests whose path begins with *path*."""
        with self.books.lock:
            return [
                exchange
                for exchange in self.api.exchanges
                if exchange.path.startswith(path) and caller in (None, exchange.caller)
            ]

    def intent(self, identity: str) -> Json:
        with self.books.lock:
            return copy.deepcopy(self.books.intents[identity])

    # --- making things happen ---------------------------------------------------------------------

    def lose_next_answer(self, path: str = "*", *, times: int = 1) -> Fault:
        """The next matching instruction is executed and its answer never arrives."""
        return self.faults.add(FaultKind.DROP_AFTER, path=path, times=times, method="POST|DELETE")

    def authenticate(self, intent_id: str, *, passed: bool = True) -> Json:
        """Answer the 3-D Secure challenge for the payer: of a payment, or of a set-up."""
        with self.books.lock:
            if intent_id in self.books.setups:
                setup = self.api.setups.get(intent_id)
                self.api.setups.authenticate(setup, passed=passed)
                return copy.deepcopy(setup)
            intent = self.api.intents.get(intent_id)
            self.api.intents.attempts.authenticate(intent, passed=passed)
            return copy.deepcopy(intent)

    def hold_next(self, count: int = 1) -> None:
        """Let the next collections stay in `processing` until `settle`."""
        with self.books.lock:
            self.api.intents.attempts.held += count

    def settle(self, identity: str, *, succeeded: bool = True) -> Json:
        """Finish what is pending at the bank: an intent in `processing`, or a refund."""
        with self.books.lock:
            if identity in self.books.refunds:
                return copy.deepcopy(self.api.refunds.settle(identity, succeeded=succeeded))
            intent = self.api.intents.get(identity)
            self.api.intents.attempts.settle(intent, succeeded=succeeded)
            return copy.deepcopy(intent)

    def new_method(self, name: str = "pm_card_visa") -> str:
        """Return a method as a payer's browser makes one of the hosted fields: it belongs to nobody."""
        with self.books.lock:
            return str(self.api.methods.get(name)["id"])

    def new_token(self, name: str = "pm_card_visa") -> str:
        """Return a confirmation token of such a method, or of the stored one that is named."""
        with self.books.lock:
            return str(self.api.methods.create_token(self.api.methods.get(name))["id"])

    def pay_in_browser(self, intent_id: str, method: str = "pm_card_visa") -> Json:
        """Let the payer's browser confirm an intent, or a set-up, with nothing but its client secret."""
        setup = intent_id in self.books.setups
        params = Params({"payment_method": method})
        with self.books.lock:
            confirm = self.api.setups.confirm if setup else self.api.intents.confirm
            return copy.deepcopy(confirm(intent_id, params, from_browser=True))

    def bill(self) -> None:
        """Renew what has come to the end of its period on the gateway's clock; every request does so, too."""
        with self.books.lock:
            self.api.invoices.run()

    def stop_subscription(self, identity: str) -> Json:
        """Let it stop, as a trial that ends without a method may: only the resume call brings it back."""
        with self.books.lock:
            return copy.deepcopy(self.api.subscriptions.stop(identity))

    def dispute(self, intent_id: str, amount: int | None = None, *, inquiry: bool = False) -> Json:
        """Let the payer's bank dispute a payment, or ask about it first."""
        with self.books.lock:
            charge = self.books.charges[self.api.intents.get(intent_id)["latest_charge"]]
            return copy.deepcopy(self.api.disputes.open(charge, amount=amount, inquiry=inquiry))

    def close_dispute(self, identity: str, *, won: bool) -> Json:
        with self.books.lock:
            return copy.deepcopy(self.api.disputes.close(identity, won=won))

    def refund_in_dashboard(self, intent_id: str, amount: int | None = None) -> Json:
        """Refund behind the merchant's back, as a person in the gateway's dashboard does."""
        wish = {"payment_intent": intent_id} | ({} if amount is None else {"amount": str(amount)})
        return self._by_hand("/v1/refunds", wish)

    def cancel_in_dashboard(self, intent_id: str) -> Json:
        return self._by_hand(f"/v1/payment_intents/{intent_id}/cancel", {})

    def _by_hand(self, path: str, wish: Mapping[str, str]) -> Json:
        with self.books.lock:
            return copy.deepcopy(self.api.do(path, wish))

    @property
    def charge_every_request(self) -> bool:
        """A gateway without keys: every request is executed. Shows who sends two."""
        return self.api.keys.ignored

    @charge_every_request.setter
    def charge_every_request(self, on: bool) -> None:
        self.api.keys.ignored = on

    def expire_keys(self) -> None:
        """Let 24 hours pass for the keys and for nothing else."""
        with self.books.lock:
            for saved in self.api.keys.saved.values():
                saved.created_at -= timedelta(hours=24)
            self.api.keys.prune()

    # --- webhooks ---------------------------------------------------------------------------------

    def add_webhook(
        self, url: str, *, secret: str | None = None, events: Collection[str] = ("*",)
    ) -> Endpoint:
        return self.webhooks.add(url, secret=secret, events=events)

    def signed_webhook(
        self, event: Json | str, *, secret: str | None = None, timestamp: int | None = None
    ) -> tuple[Mapping[str, str], bytes]:
        """Return headers and body of *event* (the event, its id or its type: then the last of that type)."""
        if isinstance(event, str):
            known = self.events()
            event = next(one for one in reversed(known) if event in (one["id"], one["type"]))
        if secret is None:
            secret = self.webhooks.endpoints[0].secret
        return self.webhooks.signed(event, secret, timestamp=timestamp)

    # --- the account ------------------------------------------------------------------------------

    def reset(self, *, endpoints: bool = False) -> None:
        """Be as new, with the same API keys; with *endpoints* the webhook endpoints are forgotten too."""
        with self.books.lock:
            self.books.clear()
            self.api.keys.saved.clear()
            self.api.keys.ignored = False
            self.api.exchanges.clear()
            self.api.intents.attempts.held = 0
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
