"""Two releases on one database, and upgrades that die on the way."""

from __future__ import annotations

import asyncio
import re
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.config import Config

from bridge_payments.errors import ConfigurationError, StoreError
from bridge_payments.stores.sql import HEAD, SQLStore, schema
from bridge_payments.testing.servers import MySQL, Postgres
from bridge_payments.testing.stores.samples import a_payment, keep

pytestmark = pytest.mark.anyio

NEXT_STEP = f"""
import sqlalchemy as sa
from alembic import op

revision = "bp_9000"
down_revision = "{HEAD}"
usable_from = "USABLE_FROM"


def upgrade():
    op.add_column("provider_payments", sa.Column("colour", sa.String(20)))
    op.create_index("ix_provider_payments_colour", "provider_payments", ["colour"])
    op.create_table("loyalty", sa.Column("id", sa.String(64), primary_key=True))
"""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shop.db"
    database: str = request.getfixturevalue("database")
    return database


@pytest.fixture
def next_release(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Upgrade as a release does that has one step more, which says from which version on it is usable."""
    plain = schema._config

    def with_one_more(**how: Any) -> Config:
        config: Config = plain(**how)
        ours = Path(schema.__file__).with_name("migrations") / "versions"
        config.set_main_option("path_separator", "newline")
        config.set_main_option("version_locations", f"{ours}\n{tmp_path / 'more'}")
        return config

    async def upgrade(usable_from: str) -> None:
        (tmp_path / "more").mkdir()
        (tmp_path / "more" / "bp_9000.py").write_text(NEXT_STEP.replace("USABLE_FROM", usable_from))
        with monkeypatch.context() as newer:
            newer.setattr(schema, "_config", with_one_more)
            newer.setattr(schema, "HEAD", "bp_9000")
            store = SQLStore(url)
            await store.upgrade()
            await store.aclose()

    return upgrade


async def test_this_release_goes_on_where_the_next_one_has_been(url: str, next_release: Any) -> None:
    await next_release(HEAD)
    store, payment = SQLStore(url), a_payment()
    await store.check()
    await store.upgrade()  # a deployment of the old release that begins late
    assert await store.version() == "bp_9000"
    await keep(store, payment)
    assert await store.run(lambda unit: unit.payments.get(payment.id), write=False) == payment
    assert await store.differences() == []
    assert await store.integrity() == []
    await store.aclose()


async def test_it_does_not_where_the_next_one_says_that_it_cannot(url: str, next_release: Any) -> None:
    await next_release("bp_9000")
    store = SQLStore(url)
    for refused in (store.check, store.upgrade):
        with pytest.raises(StoreError, match=f"bp_9000, for which this code is too old: it knows {HEAD}"):
            await refused()
    await store.aclose()


# --- an upgrade by an administrator's hand --------------------------------------------------------


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.needs("postgresql")),
        pytest.param("mariadb", marks=pytest.mark.needs("mariadb")),
    ]
)
def by_hand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Callable[[str], object]]]:
    """The URL of an empty database, and what executes statements on it."""
    if request.param == "sqlite":
        connection = sqlite3.connect(tmp_path / "shop.db")
        yield f"sqlite:///{tmp_path}/shop.db", connection.executescript
        connection.close()
        return
    server: Postgres | MySQL = request.getfixturevalue("postgres" if "post" in request.param else "mariadb")
    with server.database() as name:
        if isinstance(server, Postgres):
            yield server.url_of(name), lambda script: server.execute(script, database=name)
        else:
            statements = re.compile(r";\n\s*")
            yield (
                server.url_of(name),
                lambda script: server.execute(*filter(None, statements.split(script)), database=name),
            )


async def test_the_statements_of_one_upgrade_alone_bring_it_there(by_hand: Any) -> None:
    url, execute = by_hand
    dialect = url.partition(":")[0]
    execute(schema.offline_sql(dialect, end="bp_0004"))
    store = SQLStore(url)
    assert await store.version() == "bp_0004"
    upgrade = schema.offline_sql(dialect, start="bp_0004")
    assert "CREATE TABLE" not in upgrade
    execute(upgrade)
    assert await store.version() == HEAD
    await store.aclose()
    assert await whole(url)


def test_an_upgrade_from_nowhere_is_refused() -> None:
    for start, end in (("bp_0002", HEAD), (HEAD, HEAD), (None, "head"), (HEAD, "bp_0001")):
        with pytest.raises(ConfigurationError, match="there is no"):
            schema.offline_sql(start=start, end=end)


# --- an upgrade that dies, where each statement is a commit ---------------------------------------


class Died(Exception):
    """The process, as far as the database can tell."""


def upgraded(url: str, dies: Callable[[str], bool]) -> bool:
    """Upgrade and die behind the first statement of which *dies* is true; tell whether it came through."""
    engine = sa.create_engine(url)

    @sa.event.listens_for(engine, "after_cursor_execute")
    def _(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.split(maxsplit=1)[0] in ("CREATE", "ALTER", "INSERT", "UPDATE") and dies(statement):
            raise Died

    told = ""
    with engine.connect() as connection:
        try:
            schema.upgrade(connection)
        except StoreError as error:
            told = error.message
    engine.dispose()
    assert not told or "Died" in told
    return not told


async def whole(url: str) -> bool:
    """Whether everything is there, nothing is missing, and the store works on it."""
    store, payment = SQLStore(url), a_payment()
    await store.check()
    assert (await store.differences(), await store.integrity()) == ([], [])
    await keep(store, payment)
    found = await store.run(lambda unit: unit.payments.get(payment.id), write=False)
    await store.aclose()
    return found == payment


@pytest.mark.slow
async def test_an_upgrade_goes_on_wherever_it_died(mariadb: MySQL) -> None:
    """It dies behind each of its statements in turn; the next try comes one statement further."""
    passed: set[str] = set()

    def at_a_new_one(statement: str) -> bool:
        before = len(passed)
        passed.add(statement)
        return len(passed) > before

    with mariadb.database() as name:
        url = mariadb.url_of(name, "pymysql")
        while not upgraded(url, at_a_new_one):
            pass
        assert len(passed) > 90
        assert await whole(url)


KILLED = """
import os, signal, sys, sqlalchemy as sa
from bridge_payments.stores.sql import schema

engine, left = sa.create_engine(sys.argv[1]), list(range(20))

@sa.event.listens_for(engine, "after_cursor_execute")
def _(conn, cursor, statement, *rest):
    if statement.split()[0] == "CREATE" and left.pop() == 0:
        os.kill(os.getpid(), signal.SIGKILL)

with engine.connect() as connection:
    schema.upgrade(connection)
"""


async def test_an_upgrade_that_is_killed_goes_on(mariadb: MySQL) -> None:
    with mariadb.database() as name:
        url = mariadb.url_of(name, "pymysql").replace("mariadb+", "mysql+")  # some call every one of them so
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, url)
        assert await process.wait() == -signal.SIGKILL
        store = SQLStore(url)
        with pytest.raises(StoreError, match="no tables"):
            await store.check()
        await store.upgrade()
        await store.aclose()
        assert await whole(url)


async def test_a_server_that_is_too_old_is_told_before_anything_is_made(
    mariadb: MySQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "bytewise", lambda dialect: "utf8mb4_of_tomorrow")
    with mariadb.database() as name:
        store = SQLStore(mariadb.url_of(name, "pymysql"))
        with pytest.raises(StoreError, match=r"no utf8mb4_of_tomorrow: it takes MySQL 8\.0\.17"):
            await store.upgrade()
        assert mariadb.execute("SHOW TABLES", database=name) == []
        await store.aclose()


async def test_a_table_of_somebody_else_is_not_taken_for_one_of_an_earlier_try(mariadb: MySQL) -> None:
    with mariadb.database() as name:
        mariadb.execute("CREATE TABLE refunds (mine TEXT)", database=name)
        store = SQLStore(mariadb.url_of(name, "pymysql"))
        with pytest.raises(StoreError, match="a table refunds that is not ours is in the way"):
            await store.upgrade()
        await store.aclose()
