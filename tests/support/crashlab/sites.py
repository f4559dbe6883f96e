"""Where a story is told: one of the gateways, and databases of one kind."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from databases import migrate

from bridge_payments.sandbox.authorize_net import FakeAuthorizeNet
from bridge_payments.sandbox.paypal import FakePayPal
from bridge_payments.sandbox.paypal.gateway import INSTRUCTIONS
from bridge_payments.sandbox.paypal.signing import signer
from bridge_payments.sandbox.stripe import FakeStripe
from bridge_payments.stores.sql.tables import TABLES
from bridge_payments.testing.servers import (
    MySQL,
    Postgres,
    running_mariadb,
    running_mysql,
    running_postgres,
)

from .ledger import Gateway
from .plugin import WEBHOOK_SECRET, Databases
from .premises import Address

__all__ = ["DATABASES", "Site", "gateways", "lenders", "site"]

DATABASES = ("sqlite", "postgresql", "mariadb")
YOURS = os.environ.get("BRIDGE_CRASH_DATABASE", "")
"""The kind of the one database that the run is about, where somebody named theirs."""

_WEBHOOK = "8PT597110X687430L"

Lender = Callable[[], AbstractContextManager[Callable[[], str]]]
"""Lends migrated, empty databases by their URLs; all of them come back when the block ends."""


class Site:
    """One gateway, and as many databases as a story needs."""

    def __init__(
        self, kind: str, database: str, gateway: Gateway, lend: Callable[[], str], room: Path
    ) -> None:
        self.kind, self.database, self.gateway = kind, database, gateway
        self._lend, self._room = lend, room
        self._count = 0

    def address(self) -> Address:
        """Return the address of a shop with a database of its own."""
        self._count += 1
        return Address(
            database=self._lend(),
            gateway=self.gateway.url,
            secret_key=self.gateway.secret_key if isinstance(self.gateway, FakeStripe) else "",
            webhook_secret=WEBHOOK_SECRET,
            kind=self.kind,
            account=_account(self.gateway),
            diary=str(self._room / f"{self._count}.diary"),
            offset=self.gateway.clock.offset.total_seconds(),
        )

    def now(self, address: Address) -> Address:
        """Return *address* at the time as it is by now."""
        return replace(address, offset=self.gateway.clock.offset.total_seconds())

    def clear(self) -> None:
        """Begin anew: empty books, and webhooks that a test delivers when it wants to."""
        self.gateway.reset(endpoints=True)
        if isinstance(self.gateway, FakePayPal):
            self.gateway.add_webhook("http://127.0.0.1:9/nobody", webhook_id=_WEBHOOK)
        self.gateway.webhooks.off = True

    def spoil(self, fault: str) -> None:
        """Let the next instruction that the shop gives meet a fault; reads go their way."""
        match self.gateway:
            case FakeAuthorizeNet():
                self.gateway.spoil(fault, "instruction", seconds=60)
            case FakePayPal():
                self.gateway.faults.add(fault, path=INSTRUCTIONS, seconds=60)
            case _:
                self.gateway.faults.add(fault, seconds=60)

    def arrived(self) -> int:
        """Count what the gateway was asked and is done with."""
        if isinstance(self.gateway, FakePayPal):
            return len(self.gateway.requests("/v"))
        return len(self.gateway.requests())


def _account(gateway: Gateway) -> Mapping[str, str]:
    match gateway:
        case FakePayPal():
            pem = signer().key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            return {
                "client_id": gateway.client_id,
                "client_secret": gateway.client_secret,
                "webhook_id": _WEBHOOK,
                "signing_key": pem.decode(),
            }
        case FakeAuthorizeNet():
            return {
                "login_id": gateway.login_id,
                "transaction_key": gateway.transaction_key,
                "signature_key": gateway.signature_key,
                "client_key": gateway.client_key,
            }
        case _:
            return {}


@pytest.fixture(scope="session")
def gateways() -> Iterator[Mapping[str, Gateway]]:
    with FakeStripe() as stripe, FakePayPal() as paypal, FakeAuthorizeNet() as authorize_net:
        yield {"stripe": stripe, "paypal": paypal, "authorize_net": authorize_net}


@pytest.fixture(scope="session")
def lenders(
    require: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Lender]]:
    """Return who lends databases of a kind; a server is started when it is first asked for."""
    known: dict[str, Lender] = {}
    with ExitStack() as open_:

        def lender(kind: str) -> Lender:
            if kind not in known:
                match kind:
                    case "sqlite":
                        known[kind] = _files(tmp_path_factory.mktemp("template"))
                    case "postgresql":
                        server = open_.enter_context(running_postgres(require("postgresql")))
                        template = open_.enter_context(server.database())
                        migrate(server.url_of(template))
                        known[kind] = _copies(open_, server, template)
                    case _:
                        running = running_mariadb if kind == "mariadb" else running_mysql
                        known[kind] = _twins(open_, open_.enter_context(running(require(kind))))
            return known[kind]

        yield lender


def _files(room: Path) -> Lender:
    template = room / "bridge.db"
    migrate(f"sqlite:///{template}")
    folder = Path(os.environ.get("BRIDGE_CRASH_FOLDER", room))

    @contextmanager
    def lending() -> Iterator[Callable[[], str]]:
        lent: list[Path] = []

        def lend() -> str:
            path = folder / f"bridge-crash-{os.getpid()}-{len(lent)}.db"
            shutil.copy(template, path)
            lent.append(path)
            return f"sqlite:///{path}"

        yield lend
        for path in lent:
            for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
                file.unlink(missing_ok=True)

    return lending


def _copies(open_: ExitStack, server: Postgres, template: str) -> Lender:
    return Databases(lambda: open_.enter_context(server.database(template)), server).lending


def _twins(open_: ExitStack, server: MySQL) -> Lender:
    """Make each database of the tables of the first: migrating costs a second."""
    first = open_.enter_context(server.database())
    migrate(server.url_of(first))
    tables = [str(table) for (table,) in server.execute("SHOW TABLES", database=first)]
    filled = sorted(set(tables) & set(TABLES))
    free: list[str] = []

    def make() -> str:
        name = open_.enter_context(server.database())
        server.execute(
            *(f"CREATE TABLE {table} LIKE {first}.{table}" for table in tables),
            *(f"INSERT INTO {table} SELECT * FROM {first}.{table}" for table in set(tables) - set(filled)),
            database=name,
        )
        return name

    @contextmanager
    def lending() -> Iterator[Callable[[], str]]:
        lent: list[str] = []

        def lend() -> str:
            name = free.pop() if free else make()
            lent.append(name)
            return server.url_of(name)

        yield lend
        for name in lent:
            server.execute(*(f"DELETE FROM {table}" for table in filled), database=name)
        free.extend(lent)

    return lending


@pytest.fixture
def site(
    request: pytest.FixtureRequest,
    gateways: Mapping[str, Gateway],
    lenders: Callable[[str], Lender],
    tmp_path: Path,
) -> Iterator[Site]:
    """The place that a test's parameters *kind* and *database* name."""
    parameters: Any = request.node.callspec.params
    kind, database = parameters["kind"], parameters["database"]
    with lenders(database)() as lend:
        here = Site(kind, database, gateways[kind], lend, tmp_path)
        here.clear()
        yield here
