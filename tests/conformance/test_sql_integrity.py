"""What `db check` finds on a server is what it finds on SQLite, and a good database is silent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from damages import DAMAGES, DIFFERENCES, broken_by, keep_a_shop
from databases import migrate

from bridge_payments.stores.sql import HEAD, SQLStore
from bridge_payments.testing.servers import MySQL

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["postgresql", "mariadb"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database that nobody else gets: it is not whole when the test is over."""
    if request.param == "postgresql":
        yield request.getfixturevalue("database").replace("postgresql://", "postgresql+psycopg://")
        return
    server: MySQL = request.getfixturevalue("mariadb")
    with server.database() as name:
        migrate(server.url_of(name))
        yield server.url_of(name, "pymysql")


TOGETHER = 8
"""So many rounds, each with every eighth damage: one at a time takes a minute, and SQLite has that."""


async def test_what_is_damaged_is_named_as_on_sqlite_and_a_good_database_is_silent(
    url: str, tmp_path: Path
) -> None:
    here, there = f"sqlite:///{tmp_path}/shop.db", url
    said: dict[str, list[set[tuple[str, str]]]] = {here: [], there: []}
    for each, rounds in said.items():
        store, engine = SQLStore(each), sa.create_engine(each)
        await store.upgrade()
        await store.run(keep_a_shop)
        assert await store.integrity() == []
        with broken_by(engine) as damage:
            for number in range(TOGETHER):
                damage(*list(DAMAGES)[number::TOGETHER])
                rounds.append({(found.table, found.what) for found in await store.integrity()})
        engine.dispose()
        await store.aclose()
    assert said[there] == said[here]
    assert all(said[here])


async def test_what_differs_from_the_schema_is_named(url: str) -> None:
    store, engine = SQLStore(url), sa.create_engine(url)
    known: list[str] = await store.differences()
    assert known == []
    for statement, (where, expected) in DIFFERENCES.items():
        if where not in ("everywhere", "servers", engine.dialect.name):
            continue
        of_its_table = " ON provider_payments" if statement.startswith("DROP INDEX") else ""
        with engine.begin() as connection:
            connection.exec_driver_sql(statement + of_its_table * (engine.dialect.name == "mariadb"))
        found = await store.differences()
        assert expected.replace("HEAD", HEAD) in set(found) - set(known), statement
        known = found
    engine.dispose()
    await store.aclose()
