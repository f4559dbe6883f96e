"""From a URL to an engine: the driver, the options each database needs, and what is not ours."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import ssl
import subprocess
import sys
import threading
import traceback
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from bridge_payments.errors import ConfigurationError, MissingExtra, NotFound, StoreError
from bridge_payments.models import MovableClock
from bridge_payments.settings import Settings
from bridge_payments.stores.sql import SQLStore
from bridge_payments.stores.sql.engines import lane_for
from bridge_payments.stores.sql.urls import completed, normal_url, preset
from bridge_payments.testing.stores.samples import a_payment, keep

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("postgresql://shop", "postgresql+asyncpg"),
        ("postgres://shop", "postgresql+asyncpg"),
        ("postgresql+psycopg://shop", "postgresql+psycopg"),
        ("mysql://shop", "mysql+asyncmy"),
        ("mariadb://shop", "mariadb+asyncmy"),
        ("sqlite:///shop.db", "sqlite+pysqlite"),
    ],
)
def test_a_url_without_a_driver_gets_the_preferred_one(given: str, driver: str) -> None:
    assert normal_url(given).drivername == driver


def test_what_hosted_databases_hand_out_works_with_asyncpg() -> None:
    url, options = preset(normal_url("postgresql://u:p@h/db?sslmode=require&channel_binding=require"))
    assert (dict(url.query), options["connect_args"]["ssl"]) == ({}, "require")
    kept, _ = preset(normal_url("postgresql+psycopg://u:p@h/db?sslmode=require&channel_binding=require"))
    assert set(kept.query) == {"sslmode", "channel_binding"}


def test_behind_a_pooler_no_statement_is_prepared() -> None:
    for host, told, pooled in [
        ("ep-1-pooler.neon.example", None, True),
        ("ep-1-pooler.neon.example", False, False),
        ("db", None, False),
        ("db", True, True),
        ("db:6432", None, True),
        ("db:6543", None, True),
        ("db:5432", None, False),
    ]:
        url, options = preset(normal_url(f"postgresql+asyncpg://u@{host}/db"), pooler=told)
        assert ("prepared_statement_cache_size" in url.query) is pooled
        assert ("statement_cache_size" in options["connect_args"]) is pooled
        _, options = preset(normal_url(f"postgresql+psycopg://u@{host}/db"), pooler=told)
        assert ("prepare_threshold" in options["connect_args"]) is pooled
        assert options["isolation_level"] == "READ COMMITTED"


def test_a_url_may_say_itself_that_it_leads_to_a_pooler() -> None:
    url, options = preset(normal_url("postgresql+asyncpg://u@db/shop?pgbouncer=true&connection_limit=1"))
    assert options["connect_args"]["statement_cache_size"] == 0
    assert set(url.query) == {"prepared_statement_cache_size"}
    assert options["pool_size"] == 1
    _, options = preset(normal_url("postgresql+asyncpg://u@db:6432/shop?pgbouncer=false"))
    assert "statement_cache_size" not in options["connect_args"], "it may say that there is none, too"


@pytest.mark.parametrize(
    ("host", "query", "encrypted", "verified"),
    [
        ("aws.connect.psdb.cloud", "", True, True),
        ("aws.connect.psdb.cloud", "?sslaccept=strict", True, True),
        ("aws.connect.psdb.cloud", '?ssl={"rejectUnauthorized":true}', True, True),
        ("aws.connect.psdb.cloud", '?ssl={"rejectUnauthorized":false}', True, False),
        ("db.example", "?ssl-mode=REQUIRED", True, False),
        ("db.example", "?ssl-mode=VERIFY_IDENTITY", True, True),
        ("db.example", "?ssl-mode=DISABLED", False, False),
        ("db.example", "", False, False),
        ("evilpsdb.cloud.example", "", False, False),
    ],
)
def test_a_mysql_url_is_read_as_its_console_prints_it(
    host: str, query: str, encrypted: bool, verified: bool
) -> None:
    url, options = preset(normal_url(f"mysql://u:p@{host}/shop{query}"))
    context = options["connect_args"].get("ssl")
    assert (context is not None) is encrypted
    if context is not None:
        assert (context.verify_mode is ssl.CERT_REQUIRED) is verified
        assert context.check_hostname is verified
    assert dict(url.query) == {}, "the driver knows none of these words"
    assert options["isolation_level"] == "READ COMMITTED"


@pytest.mark.parametrize(
    ("env", "query"),
    [
        ({"DATABASE_URL": "postgresql+asyncpg://u@h/db", "DATABASE_SSL": "true"}, {"sslmode": "require"}),
        ({"DATABASE_URL": "postgresql+psycopg://u@h/db", "DATABASE_SSL": "true"}, {"sslmode": "require"}),
        (
            {"DATABASE_URL": "postgresql+psycopg://u@h/db?sslmode=verify-full", "DATABASE_SSL": "true"},
            {"sslmode": "verify-full"},
        ),
        ({"DATABASE_URL": "postgresql+asyncpg://u@h/db"}, {}),
        ({"DATABASE_URL": "mysql://u@h/db", "DATABASE_SSL": "true"}, {"ssl-mode": "REQUIRED"}),
        ({"DATABASE_URL": "mysql://u@x.psdb.cloud/db", "DATABASE_SSL": "1"}, {"ssl-mode": "VERIFY_IDENTITY"}),
        ({"DATABASE_URL": "mysql://u@h/db?sslaccept=strict", "DATABASE_SSL": "1"}, {"sslaccept": "strict"}),
        ({"DATABASE_URL": "sqlite:///shop.db", "DATABASE_SSL": "true"}, {}),
    ],
)
def test_database_ssl_encrypts_what_the_url_says_nothing_of(env: dict[str, str], query: object) -> None:
    settings = Settings.from_env(env)
    assert settings.database_url is not None
    url = completed(settings.database_url.get_secret_value(), encrypted=settings.database_ssl)
    assert dict(normal_url(url).query) == query


async def test_the_environment_sizes_the_pool_and_keeps_its_token_to_itself() -> None:
    env = {"DATABASE_URL": "postgresql+asyncpg://u@h/db", "DATABASE_POOL_MAX": "3"}
    store = SQLStore.from_settings(Settings.from_env(env))
    pool: Any = store._lane.engine().sync_engine.pool  # type: ignore[attr-defined]
    assert (pool.size(), pool._max_overflow, store._ready) == (3, 0, 2)
    fewer = SQLStore.from_settings(Settings.from_env(env | {"DATABASE_POOL_MAX": "1"}))
    assert fewer._ready == 1, "no more are ready than there may be"
    for name in ("DATABASE_AUTH_TOKEN", "LIBSQL_AUTH_TOKEN"):
        turso = SQLStore.from_settings(Settings.from_env({"DATABASE_URL": "libsql://h", name: "s3cr3t"}))
        url: sa.URL = turso._lane.engine().url  # type: ignore[attr-defined]
        assert url.password == "s3cr3t"
        assert "s3cr3t" not in str(url)
    with pytest.raises(ConfigurationError, match="DATABASE_URL"):
        SQLStore.from_settings(Settings())
    for each in (store, fewer, turso):
        await each.aclose()


def test_what_is_no_url_is_refused_without_being_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        lane_for("postgres//shop:hunter2@db")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_missing_driver_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge_payments.stores.sql.engines.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"bridge-payments\[postgresql\]"):
        SQLStore("postgresql+asyncpg://u@h/db")
    with pytest.raises(MissingExtra, match=r"bridge-payments\[mysql\]"):
        SQLStore("mysql://u@h/db")


def test_nothing_connects_at_construction(tmp_path: Path) -> None:
    store = SQLStore(f"sqlite:///{tmp_path}/shop.db")
    assert list(tmp_path.iterdir()) == []
    asyncio.run(store.aclose())


async def test_sqlite_survives_a_power_cut_and_lets_readers_in(tmp_path: Path) -> None:
    store = SQLStore(f"sqlite:///{tmp_path}/shop.db")

    def pragmas(unit: object) -> list[object]:
        connection = unit.payments._session._connection  # type: ignore[attr-defined]
        names = ("journal_mode", "synchronous", "busy_timeout")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    await store.upgrade()
    assert await store.run(pragmas, write=False) == ["wal", 2, 15000]
    await store.aclose()


async def test_an_engine_of_the_host_is_used_as_it_is_and_never_closed(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/shop.db")
    store, payment = SQLStore(engine), a_payment()
    await store.upgrade()
    await keep(store, payment)
    checked_in = engine.pool.checkedin()
    await store.aclose()
    assert engine.pool.checkedin() == checked_in > 0
    assert await store.run(lambda unit: unit.payments.get(payment.id), write=False) == payment
    with engine.begin() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM provider_payments")).scalar() == 1
    await store.aclose()
    engine.dispose()


@pytest.mark.parametrize("hook", ["BEGIN", "BEGIN IMMEDIATE"])
async def test_an_engine_whose_host_says_begin_itself_works_too(tmp_path: Path, hook: str) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/shop.db")

    @sa.event.listens_for(engine, "connect")
    def _(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None

    @sa.event.listens_for(engine, "begin")
    def _(connection: sa.Connection) -> None:
        connection.exec_driver_sql(hook)

    store, payment = SQLStore(engine), a_payment()
    await store.upgrade()
    await keep(store, payment)
    with pytest.raises(StoreError):
        await keep(store, a_payment(), payment)
    assert await store.run(lambda unit: unit.payments.get(payment.id), write=False) == payment
    await store.aclose()
    engine.dispose()


async def test_an_asynchronous_engine_for_sqlite_works_too(tmp_path: Path) -> None:
    pytest.importorskip("aiosqlite", reason="pip install aiosqlite")
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/shop.db")
    store, payment = SQLStore(engine), a_payment()
    await store.upgrade()
    await asyncio.gather(keep(store, payment), *(keep(store, a_payment()) for _ in range(5)))
    assert await store.run(lambda unit: unit.payments.get(payment.id), write=False) == payment
    await store.aclose()
    await engine.dispose()


async def test_a_unit_that_fails_after_its_caller_has_gone_is_one_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, entered, leave = SQLStore(f"sqlite:///{tmp_path}/shop.db"), threading.Event(), threading.Event()
    reported: list[object] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: reported.append(context))

    def work(unit: object) -> None:
        entered.set()
        leave.wait(30)
        raise NotFound("no such thing")

    caller = asyncio.ensure_future(store.run(work))
    await asyncio.to_thread(entered.wait, 30)
    caller.cancel()
    await asyncio.wait({caller})
    leave.set()
    await store.aclose()
    gc.collect()
    loop.set_exception_handler(before)
    assert reported == []
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "a unit of work failed after its caller had gone: no such thing"
    ]


def test_one_store_serves_one_loop_after_another(tmp_path: Path) -> None:
    store, payment = SQLStore(f"sqlite:///{tmp_path}/shop.db"), a_payment()
    asyncio.run(store.upgrade())
    asyncio.run(keep(store, payment))
    found = asyncio.run(store.run(lambda unit: unit.payments.get(payment.id), write=False))
    assert found == payment
    asyncio.run(store.aclose())


@pytest.mark.skipif(sys.platform == "win32", reason="no fork on Windows: nothing installs one")
def test_a_child_after_fork_uses_connections_of_its_own(tmp_path: Path) -> None:
    store, mine, theirs = SQLStore(f"sqlite:///{tmp_path}/shop.db"), a_payment(), a_payment()
    asyncio.run(store.upgrade())
    asyncio.run(keep(store, mine))
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # 3.12 warns of threads; that is what is tried here
        child = os.fork()
    if child == 0:
        try:
            asyncio.run(keep(store, theirs))
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    found = asyncio.run(
        store.run(lambda unit: [unit.payments.get(each.id) for each in (mine, theirs)], write=False)
    )
    assert found == [mine, theirs]
    asyncio.run(store.aclose())


def test_a_process_that_ends_takes_its_background_work_along_without_a_word(tmp_path: Path) -> None:
    """The loop's thread still asks the database when the interpreter has already ended the worker threads."""
    program = tmp_path / "ends.py"
    program.write_text(
        "import asyncio, sys, threading\n"
        "from bridge_payments.stores.sql import SQLStore\n"
        "store, asked, cut = SQLStore(sys.argv[1]), threading.Event(), []\n"
        "async def ask():\n"
        "    await store.upgrade()\n"
        "    while True:\n"
        "        try:\n"
        "            await store.check()\n"
        "        except asyncio.CancelledError:\n"
        "            print('cut off', flush=True)\n"
        "            return\n"
        "        asked.set()\n"
        "def last():\n"
        "    thread.join(20)\n"
        "thread = threading.Thread(target=asyncio.run, args=(ask(),), daemon=True)\n"
        "thread.start()\n"
        "assert asked.wait(20)\n"
        "threading._register_atexit(last)\n"
        "import concurrent.futures.thread as pool\n"
        "threading._threading_atexits.reverse()\n"
    )
    done = subprocess.run(
        [sys.executable, str(program), f"sqlite:///{tmp_path}/x.db"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr, done.returncode) == ("cut off\n", "", 0)


def test_a_password_with_an_at_sign_is_not_shown_by_the_parser() -> None:
    secret = "Secret" + str(9)  # a traceback shows this line, too
    with pytest.raises(ConfigurationError) as refusal:
        normal_url(f"postgresql://u:p@ss:{secret}@host/shop")
    assert secret not in "".join(traceback.format_exception(refusal.value))


async def test_figures_of_a_clock_that_was_moved_hold_what_its_lists_hold(tmp_path: Path) -> None:
    """A practice clock: ids are drawn today, and rows say that they are of a month later."""
    clock = MovableClock()
    clock.move(timedelta(days=60))
    store = SQLStore(f"sqlite:///{tmp_path}/x.db", clock=clock)
    await store.upgrade()
    await keep(store, a_payment(created_at=clock()))
    edges = [clock() - timedelta(days=1), clock() + timedelta(days=1)]
    [found] = await store.run(lambda unit: unit.payments.totals_over(edges), write=False)
    assert found.count == 1
    await store.aclose()


async def test_a_full_pool_is_told_as_what_it_is(tmp_path: Path) -> None:
    engine = sa.create_engine(
        f"sqlite:///{tmp_path}/shop.db",
        poolclass=sa.QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=0.05,
    )
    store = SQLStore(engine)
    await store.upgrade()
    with engine.connect(), pytest.raises(StoreError, match=r"is taken.*DATABASE_POOL_MAX") as caught:
        await keep(store, a_payment())
    assert "refused" not in caught.value.message
    await keep(store, a_payment())
    await store.aclose()
    engine.dispose()
