"""Fixtures: a gateway and a database of each kind, processes that may be killed, and what came of it."""

from __future__ import annotations

import asyncio
import operator
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import reduce
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from processes import heard, tell

if TYPE_CHECKING:
    # Imported where they are used: this plugin is loaded where no extra is installed, too.
    from bridge_payments.sandbox.stripe import FakeStripe
    from bridge_payments.testing.servers import Postgres

    from .books import Audit
    from .premises import Address, Row
    from .proof import Proof
    from .zygote import Zygote

__all__ = ["Premises"]

WEBHOOK_SECRET = "whsec_crash"

_WALKS = pytest.StashKey[list[str]]()
_PROOF = pytest.StashKey["Proof"]()


class Premises:
    """A gateway, and as many databases as a test needs; what each of them is, every process can be told."""

    def __init__(self, kind: str, gateway: FakeStripe, new_database: Callable[[], str]) -> None:
        self.kind = kind
        self.gateway = gateway
        self._new_database = new_database

    def address(self) -> Address:
        """Return the address of a shop with a database of its own, migrated and empty."""
        from .premises import Address

        return Address(
            database=self._new_database(),
            gateway=self.gateway.url,
            secret_key=self.gateway.secret_key,
            webhook_secret=WEBHOOK_SECRET,
            offset=self.gateway.clock.offset.total_seconds(),
        )

    def now(self, address: Address) -> Address:
        """Return *address* at the time as it is by now."""
        return replace(address, offset=self.gateway.clock.offset.total_seconds())

    def pay_in_browser(self, intent_id: str | None, card: str = "pm_card_visa") -> Mapping[str, Any]:
        """Confirm as a browser does, with the publishable key and the client secret; tell nobody."""
        import httpx

        assert intent_id
        secret = self.gateway.intent(intent_id)["client_secret"]
        answer = httpx.post(
            f"{self.gateway.url}/v1/payment_intents/{intent_id}/confirm",
            data={
                "payment_method": card,
                "client_secret": secret,
                "return_url": "https://shop.example/thanks",
            },
            headers={"authorization": f"Bearer {self.gateway.publishable_key}"},
            trust_env=False,
        )
        told: Mapping[str, Any] = answer.json()
        return told

    def audit(self, rows: Sequence[Row]) -> Audit:
        """Compare the gateway's books with our rows."""
        from .books import audit

        return audit(self.gateway.intents(), self.gateway.charges(), self.gateway.refunds(), rows)


def _migrate(url: str) -> None:
    from bridge_payments.stores.sql import SQLStore

    async def upgrade() -> None:
        store = SQLStore(url)
        await store.upgrade()
        await store.aclose()

    asyncio.run(upgrade())


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    if not hasattr(os, "fork"):
        pytest.skip("needs processes that can be forked and stopped")
    from .zygote import Zygote

    zygote = Zygote()
    yield zygote
    zygote.close()


@pytest.fixture(scope="session")
def _gateway() -> Iterator[FakeStripe]:
    from bridge_payments.sandbox.stripe import FakeStripe

    with FakeStripe() as gateway:
        yield gateway


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "bridge.db"
    _migrate(f"sqlite:///{path}")
    assert not path.with_name("bridge.db-wal").exists(), "closing the last connection folds the log in"
    return path


@pytest.fixture(scope="session")
def _postgres_server(require: Callable[[str], Path]) -> Iterator[Postgres]:
    from bridge_payments.testing.servers import running_postgres

    with running_postgres(require("postgresql")) as server:
        yield server


@pytest.fixture(scope="session")
def _postgres_databases(_postgres_server: Postgres) -> Iterator[Databases]:
    with ExitStack() as lent:
        template = lent.enter_context(_postgres_server.database())
        _migrate(_postgres_server.url_of(template))
        yield Databases(lambda: lent.enter_context(_postgres_server.database(template)), _postgres_server)


class Databases:
    """Databases that are emptied and lent again: making one costs more than most tests do with it."""

    def __init__(self, create: Callable[[], str], server: Postgres) -> None:
        self._create, self._server = create, server
        self._free: list[str] = []

    @contextmanager
    def lending(self) -> Iterator[Callable[[], str]]:
        """Yield a function that lends one more; all of them come back in the end."""
        lent: list[str] = []

        def lend() -> str:
            name = self._free.pop() if self._free else self._create()
            lent.append(name)
            return self._server.url_of(name)

        yield lend
        for name in lent:
            self._empty(name)
        self._free.extend(lent)

    def _empty(self, name: str) -> None:
        import psycopg

        from bridge_payments.stores.sql.tables import metadata

        tables = ", ".join(table.name for table in metadata.sorted_tables)
        with psycopg.connect(self._server.url_of(name), autocommit=True) as connection:
            connection.execute(f"TRUNCATE {tables}".encode())


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
def premises(request: pytest.FixtureRequest, _gateway: FakeStripe, tmp_path: Path) -> Iterator[Premises]:
    """Real pieces: a database that several processes open, and a gateway over HTTP with books of its own."""
    _gateway.reset(endpoints=True)
    _gateway.webhooks.off = True  # a test delivers what it wants delivered
    if request.param == "postgresql":
        databases: Databases = request.getfixturevalue("_postgres_databases")
        with databases.lending() as lend:
            yield Premises(request.param, _gateway, lend)
        return
    template: Path = request.getfixturevalue("_sqlite_template")

    def new_database() -> str:
        path = tmp_path / f"{len(list(tmp_path.glob('*.db')))}.db"
        shutil.copy(template, path)
        return f"sqlite:///{path}"

    yield Premises(request.param, _gateway, new_database)


# --- what is told in the end ----------------------------------------------------------------------


@pytest.fixture
def account(request: pytest.FixtureRequest) -> Proof:
    """Where the deaths of this process are counted."""
    from .proof import Proof

    return request.config.stash.setdefault(_PROOF, Proof())


@pytest.fixture
def walks(request: pytest.FixtureRequest) -> list[str]:
    """What the explorer, the rounds and the fleet saw, a line for each."""
    return request.config.stash.setdefault(_WALKS, [])


def pytest_sessionfinish(session: pytest.Session) -> None:
    tell(session.config, "walks", session.config.stash.get(_WALKS, []))
    if proof := session.config.stash.get(_PROOF, None):
        tell(session.config, "proof", proof)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in chain(*heard(config, "walks")):
        terminalreporter.write_line(f"explored {line}")
    counted: list[Proof] = heard(config, "proof")
    if not any(proof.points for proof in counted):
        return
    lines = list(reduce(operator.add, counted).lines())
    for line in lines:
        terminalreporter.write_line(line)
    if told := os.environ.get("BRIDGE_PROVED"):
        Path(told).write_text("\n".join(lines))
