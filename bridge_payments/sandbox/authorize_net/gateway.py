"""
An Authorize.net account that lives in this process and speaks HTTP: for trying, for demos and for tests.

    with FakeAuthorizeNet() as gateway:
        token = gateway.token("visa")
        gateway.lose_next_answer("authCaptureTransaction")
"""

from __future__ import annotations

import copy
import json
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from ...models import Clock, MovableClock, utc_now
from ..courier import Endpoint
from ..faults import Fault, Faults
from ..listening import Listening
from ..wire import App
from .api import Api, Exchange, is_instruction
from .books import CAPTURED, LIVE, Batch, Books, Json, Method, Transaction
from .cards import CARDS
from .saved import dump, load
from .server import build_app
from .webhooks import Webhooks

__all__ = ["FakeAuthorizeNet"]

SETTLES_AFTER: Final = timedelta(hours=24)
"""A batch is closed once a day; here each transaction settles a day after it was captured."""


class FakeAuthorizeNet(Listening):
    """The gateway and its controls. Objects it hands out are copies."""

    def __init__(
        self,
        *,
        login_id: str | None = None,
        transaction_key: str | None = None,
        client_key: str | None = None,
        currency: str = "USD",
        clock: Clock = utc_now,
        port: int = 0,
        merchant: str = "Sandbox merchant",
        saved: Json | None = None,
    ) -> None:
        super().__init__(port=port, name="fake-authorize-net")
        self.login_id: str = login_id or f"sandbox{secrets.token_hex(4)}"
        self.transaction_key: str = transaction_key or secrets.token_hex(8)
        self.client_key: str = client_key or secrets.token_hex(38)
        self.signature_key: str = secrets.token_hex(64).upper()
        self.merchant: str = merchant
        self.currency: str = currency
        self.clock: MovableClock = clock if isinstance(clock, MovableClock) else MovableClock(clock)
        self.settles_after: timedelta = SETTLES_AFTER
        self.books: Books = Books(self.clock, currency=currency)
        self.faults: _Faults = _Faults()
        self.keep: Callable[[], None] = lambda: None
        """Called after every change and before its answer leaves: whoever keeps a `dump` writes it here."""
        self.webhooks: Webhooks = Webhooks()
        self.api: Api = Api(
            self.books,
            login_id=self.login_id,
            transaction_key=self.transaction_key,
            client_key=self.client_key,
            currency=currency,
        )
        self.api.before = self._let_time_pass
        self.books.announce = self.webhooks.publish
        if saved is not None:
            load(self.books, saved["books"])

    def app(self) -> App:
        return build_app(self)

    # --- tokens -----------------------------------------------------------------------------------

    def token(self, card: str = "visa") -> str:
        """Return a one-time token, as Accept.js would for a card of `cards.CARDS`."""
        with self.books.lock:
            return self.books.new_token(number=CARDS[card].number).value

    def bank_token(self, *, name: str = "Ada Lovelace") -> str:
        """Return a one-time token of a bank account (eCheck)."""
        account = {"routingNumber": "121042882", "accountNumber": "1234567890", "nameOnAccount": name}
        with self.books.lock:
            return self.books.new_token(bank=account).value

    # --- the books --------------------------------------------------------------------------------

    def transactions(self, **where: Any) -> list[Json]:
        """Return transactions, oldest first, of which each field named is as given."""
        with self.books.lock:
            found = self.books.listed()
        return [each for each in found if all(each[name] == value for name, value in where.items())]

    def transaction(self, identity: str) -> Json:
        return next(each for each in self.transactions() if each["id"] == identity)

    def charges(self) -> list[Json]:
        """Return what the payers' banks saw: every charge that holds or took money and was not given up."""
        return [
            each
            for each in self.transactions()
            if each["type"] != "refundTransaction" and each["status"] in LIVE
        ]

    def refunds(self) -> list[Json]:
        return [
            each
            for each in self.transactions(type="refundTransaction")
            if each["status"].startswith("refund")
        ]

    def customers(self) -> list[Json]:
        """Return the customer profiles with their payment profiles, without a number."""
        with self.books.lock:
            return [
                {"id": each.id, **each.marks, "methods": [_shown(method) for method in each.methods.values()]}
                for each in self.books.customers.values()
            ]

    def subscriptions(self) -> list[Json]:
        with self.books.lock:
            return [
                {name: value for name, value in asdict(each).items() if name != "identity"}
                for each in self.books.subscriptions.values()
            ]

    def events(self) -> list[Json]:
        with self.books.lock:
            return copy.deepcopy(self.books.events)

    def requests(self, transaction: str | None = None) -> list[Exchange]:
        """Return what arrived, in order; with *transaction* only requests of that type."""
        with self.books.lock:
            return [each for each in self.api.exchanges if transaction in (None, each.transaction)]

    # --- time -------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Close a batch now, with everything that was captured."""
        with self.books.lock:
            self._settle([each for each in self.books.transactions.values() if _can_settle(each)])

    def _let_time_pass(self) -> None:
        """What the gateway does by itself: the nightly collections, then the batches."""
        self.api.recurring.run()
        self._settle_due()

    def collect(self) -> None:
        """Let every subscription collect what is due by now, as the next night would."""
        with self.books.lock:
            self._let_time_pass()

    def _settle_due(self) -> None:
        horizon = self.clock() - self.settles_after
        due = [each for each in self.books.transactions.values() if _can_settle(each)]
        self._settle([each for each in due if each.submitted <= horizon])

    def _settle(self, due: list[Transaction]) -> None:
        if not due:
            return
        batch = Batch(id=self.books.new_id(), settled=self.clock())
        self.books.batches[batch.id] = batch
        for each in due:
            each.batch = batch.id
            each.status = "refundSettledSuccessfully" if each.is_refund else "settledSuccessfully"

    def lag(self, by: timedelta) -> None:
        """Let the lists be behind what they list."""
        self.api.reports.lag = self.api.recurring.lag = by

    # --- what people do in the dashboard ----------------------------------------------------------

    def hold_next(self, times: int = 1) -> None:
        """Hold the next approved charges for review."""
        self.api.charges.held = times

    def review(self, identity: str, *, approved: bool) -> None:
        """Decide about a held charge (2026-11, https://developer.authorize.net/api/reference/features/fraud-management.html)."""
        with self.books.lock:
            held = self.books.transactions[identity]
            if approved:
                only = held.type == "authOnlyTransaction"
                held.status = "authorizedPendingCapture" if only else "capturedPendingSettlement"
                held.code = 1
            else:
                held.status, held.code = "failedReview", 2
            self.books.emit("fraud.approved" if approved else "fraud.declined", held)

    def cancel_subscription_in_dashboard(self, identity: str) -> None:
        with self.books.lock:
            self.api.recurring.cancel({"subscriptionId": identity})

    def void_in_dashboard(self, identity: str) -> None:
        with self.books.lock:
            self.api.charges.make(
                {"transactionType": "voidTransaction", "refTransId": identity}, reference=""
            )

    def refund_in_dashboard(self, identity: str, amount: str) -> str:
        with self.books.lock:
            original = self.books.transactions[identity]
            made = self.api.charges.make(
                {
                    "transactionType": "refundTransaction",
                    "refTransId": identity,
                    "amount": amount,
                    "payment": {"creditCard": {"cardNumber": original.number}},
                    "order": {"invoiceNumber": original.invoice},
                },
                reference="",
            )
            return made.id

    def charge_back(self, identity: str, *, reversed_: bool = False) -> None:
        with self.books.lock:
            self.books.transactions[identity].status = "chargebackReversal" if reversed_ else "chargeback"

    def return_echeck(self, identity: str) -> None:
        """Let the payer's bank return a settled eCheck."""
        with self.books.lock:
            self.books.transactions[identity].status = "returnedItem"

    def expire(self, identity: str) -> None:
        """Let thirty days pass for one authorisation."""
        with self.books.lock:
            self.books.transactions[identity].status = "expired"

    @property
    def test_mode(self) -> bool:
        return self.api.charges.test_mode

    @test_mode.setter
    def test_mode(self, on: bool) -> None:
        self.api.charges.test_mode = on

    # --- faults -----------------------------------------------------------------------------------

    def spoil(self, kind: str, what: str = "*", **options: Any) -> Fault:
        """Arm a fault for *what*: a glob over transaction types and the names of the other requests.

        ``*Transaction`` is whatever may move money, ``instruction`` whatever may change anything.
        """
        return self.faults.add(kind, path=f"*/{what}", **options)

    def lose_next_answer(self, what: str = "*Transaction") -> None:
        self.spoil("drop_after", what)

    # --- webhooks ---------------------------------------------------------------------------------

    def add_webhook(
        self, url: str, *, secret: str | None = None, events: Collection[str] = ("*",)
    ) -> Endpoint:
        return self.webhooks.add(url, secret=secret or self.signature_key, events=events)

    def signed_webhook(self, event: Json, *, key: str | None = None) -> tuple[Mapping[str, str], bytes]:
        """Return headers and body of one notification, as a test may post them itself."""
        endpoint = Endpoint(url="", secret=key or self.signature_key)
        return self.webhooks.headers_and_body({"body": event}, endpoint)

    # --- the account ------------------------------------------------------------------------------

    def balance(self) -> Decimal:
        """Return what the merchant has: collected less given back."""
        collected = sum(
            (each["settles"] for each in self.charges() if each["status"] in CAPTURED), Decimal(0)
        )
        return collected - sum((each["amount"] for each in self.refunds()), Decimal(0))

    def reset(self, *, endpoints: bool = False) -> None:
        """Be as new, with the same credentials; with *endpoints* the webhook endpoints are forgotten too."""
        with self.books.lock:
            self.books.clear()
            self.api.exchanges.clear()
            self.api.charges.held = 0
            self.api.charges.test_mode = False
            self.api.reports.lag = self.api.recurring.lag = timedelta()
        self.settles_after = SETTLES_AFTER
        self.clock.offset = timedelta()
        self.faults.clear()
        self.webhooks.clear(endpoints=endpoints)

    def dump(self) -> Json:
        """Return the books as JSON values, for a gateway of the next run."""
        with self.books.lock:
            return {"books": dump(self.books)}

    def describe(self) -> Json:
        """Return the books as JSON values, for a person or a script to read."""
        with self.books.lock:
            return {
                "transactions": [
                    {**each, "amount": str(each["amount"]), "settles": str(each["settles"]),
                     "submitted": each["submitted"].isoformat()}
                    for each in self.books.listed()
                ],
                "batches": [
                    {**asdict(each), "settled": each.settled.isoformat()}
                    for each in self.books.batches.values()
                ],
                "customers": self.customers(),
                "subscriptions": json.loads(json.dumps(self.subscriptions(), default=str)),
                "events": copy.deepcopy(self.books.events),
            }  # fmt: skip


class _Faults(Faults):
    """Every request has one address, so what is asked stands at the end of it."""

    def take(self, method: str, path: str, caller: str) -> Fault | None:
        names = [f"{path}/{caller}", *([f"{path}/instruction"] if is_instruction(caller) else [])]
        return self._take(method, names, "server")


def _shown(method: Method) -> Json:
    return {
        "id": method.id,
        "last_four": method.last_four,
        "brand": method.brand,
        "billing": dict(method.billing),
    }


def _can_settle(transaction: Transaction) -> bool:
    return transaction.status in ("capturedPendingSettlement", "refundPendingSettlement")
