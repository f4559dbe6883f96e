"""One installation behind one mount, a gateway on a clock of its own, and the two ledgers to be compared."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from databases import migrate
from hosts import MOUNTS, Conversation, who

from bridge_payments import AuthBridge, Bridge, PaymentEngine
from bridge_payments.models import Money, Payment
from bridge_payments.providers.base import PaymentProvider
from bridge_payments.settings import Settings
from bridge_payments.stores.sql import SQLStore
from bridge_payments.testing.mounts import Answer
from bridge_payments.transport import Transport

__all__ = ["ADA", "ROOT", "Merchant", "open_merchant"]

ADA = {"x-session-id": "ada"}
ROOT = {"x-session-id": "root"}


_UNAVAILABLE = 503
_TRIES = 5


class Merchant:
    """A shop over HTTP, with one account at *gateway*, and its worker."""

    def __init__(self, bridge: Bridge, gateway: Any, kind: str, database: Path, ledger: Path) -> None:
        self.bridge, self.gateway, self.kind = bridge, gateway, kind
        self.database, self.ledger = database, ledger
        self.talk = Conversation(MOUNTS["starlette"](bridge))
        self._heard = self._guests = 0

    def ask(self, method: str, path: str, body: object = b"", /, **headers: str) -> Answer:
        return self.talk.ask(method, path, body, **headers)

    def data(self, method: str, path: str, body: object = b"", /, **headers: str) -> Any:
        answer = self.ask(method, path, body, **headers)
        assert answer.status < 300, answer.body
        return answer.json["data"]

    def begin(self, cents: int, /, **more: Any) -> Any:
        """Let another guest begin a payment."""
        self._guests += 1
        guest = {"email": f"guest-{self._guests}@example.com", "name": "Grace"}
        order = {"total_cents": cents, "currency": "USD", "guest_data": guest, **more}
        return self.insist("/payments/intents", order, idempotency_key=f"order-{self._guests}")

    def insist(self, path: str, body: object, /, **headers: str) -> Any:
        """Post until there is an answer, some minutes apart, as a browser with a key does."""
        answer = self.ask("POST", path, body, **headers)
        for _ in range(_TRIES):
            if answer.status != _UNAVAILABLE and b'"outcome":"unknown"' not in answer.body:
                break
            self.work(minutes=3)
            answer = self.ask("POST", path, body, **headers)
        assert answer.status < 300, answer.body
        return answer.json["data"]

    def confirm(self, payment: str, body: Mapping[str, Any] | None = None, /, **headers: str) -> Answer:
        return self.ask("POST", f"/payments/intents/{payment}/confirm", body or {}, **headers)

    def refund(self, payment: str, cents: int, key: str) -> Answer:
        return self.ask(
            "POST", f"/payments/{payment}/refund", {"amount_cents": cents}, **ROOT, idempotency_key=key
        )

    def charge(self, method: str, cents: int) -> Payment:
        """Charge a stored method while its owner is away, as a job of the shop's own does."""
        charge = self.bridge.engine.charge_saved_method
        return self.bridge.blocking.call(charge, Money(cents, "USD"), payment_method=method)

    def unfinished(self) -> list[Any]:
        """Return the instructions whose outcome nobody knows."""
        operations: list[Any] = self.data("GET", "/admin/operations", **ROOT)
        return operations

    def seen(self, payment: str) -> Any:
        return self.data("GET", f"/payments/{payment}", **ROOT)

    def hear(
        self,
        signed: Callable[[Any], tuple[Mapping[str, str], bytes]],
        *,
        copies: int = 1,
        again: bool = False,
    ) -> None:
        """Receive what the gateway told since the last time, the newest first, each some times.

        With *again* everything that it ever told comes once more, which is how late copies look.
        """
        events = self.gateway.events()
        news = events if again else events[self._heard :]
        self._heard = len(events)
        for event in reversed(news):
            headers, body = signed(event)
            sent = {name.replace("-", "_"): value for name, value in headers.items()}
            for _ in range(copies):
                assert self.ask("POST", f"/webhooks/{self.kind}", body, **sent).status == 200

    def deafen(self) -> None:
        """Lose what the gateway told since the last time: no delivery of it ever arrives."""
        self._heard = len(self.gateway.events())

    def work(self, *, minutes: float = 12) -> None:
        """Let time pass, with the worker at it."""
        for _ in range(int(minutes / 1.5)):
            self.gateway.clock.move(timedelta(seconds=90))
            self.work_once()

    def work_once(self) -> None:
        self.bridge.blocking.call(self.bridge.run_worker, once=True)

    def differences(self, tampering: str | None = None) -> str:
        """Run the ledger's script in a process of its own; over tables that were tampered with, if wanted."""
        database = self.database
        if tampering is not None:
            database = database.with_name("tampered.db")
            with (
                closing(sqlite3.connect(self.database)) as ours,
                closing(sqlite3.connect(database)) as theirs,
            ):
                ours.backup(theirs)
                theirs.execute(tampering)
                theirs.commit()
        script = [sys.executable, str(self.ledger), str(database), self.gateway.url]
        done = subprocess.run(script, check=False, capture_output=True, text=True)
        assert done.stderr == ""
        assert done.returncode == bool(done.stdout)
        return done.stdout


@contextmanager
def open_merchant(
    gateway: Any, kind: str, account: Callable[[Transport], PaymentProvider], *, folder: Path, ledger: Any
) -> Iterator[Merchant]:
    """Open a shop whose one account is called *kind*, with its tables in *folder*; *ledger* is the script."""
    database = folder / "payments.db"
    migrate(f"sqlite:///{database}")
    transport = Transport()
    store = SQLStore(f"sqlite:///{database}", clock=gateway.clock)
    engine = PaymentEngine(
        store,
        {kind: account(transport)},
        settings=Settings(default_provider=kind, inprocess_worker=False),
        clock=gateway.clock,
        transport=transport,
    )
    bridge = Bridge(engine, auth=AuthBridge(who))
    try:
        yield Merchant(bridge, gateway, kind, database, Path(ledger.__file__))
    finally:
        bridge.blocking.call(transport.aclose)
        bridge.blocking.call(store.aclose)
        bridge.close()
