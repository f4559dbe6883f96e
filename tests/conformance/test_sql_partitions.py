"""Months are added to tables that were partitioned long ago, whatever came into ``later`` meanwhile."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from databases import migrate

from bridge_payments.errors import ConfigurationError
from bridge_payments.models import utc_now
from bridge_payments.models.ids import id_bounds
from bridge_payments.stores.sql import SQLStore
from bridge_payments.stores.sql.partitions import PARTITIONED, partition_sql
from bridge_payments.testing.servers import MySQL, Postgres
from bridge_payments.testing.stores.samples import a_payment, an_event, keep

pytestmark = pytest.mark.anyio

Database = tuple[str, Callable[[str], object]]


@pytest.fixture(
    params=[
        pytest.param("postgres", marks=pytest.mark.needs("postgresql")),
        pytest.param("mariadb", marks=pytest.mark.needs("mariadb")),
    ]
)
def migrated_one(request: pytest.FixtureRequest) -> Iterator[Database]:
    """The URL of a database that is not partitioned, and what executes statements on it."""
    server: Postgres | MySQL = request.getfixturevalue(request.param)
    with server.database() as name:
        url = server.url_of(name)
        migrate(url)
        if isinstance(server, Postgres):
            yield url, lambda script: server.execute(script, database=name)
        else:
            ends = re.compile(r";\n")
            yield url, lambda script: server.execute(*filter(None, ends.split(script)), database=name)


NAMES = {
    "postgresql": (
        "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'provider_payments'::regclass"
    ),
    "mariadb": (
        "SELECT partition_name FROM information_schema.partitions"
        " WHERE table_schema = DATABASE() AND table_name = 'provider_payments'"
    ),
}
HOLDS = {
    "postgresql": "SELECT count(*) FROM {name} WHERE id = :id",
    "mariadb": "SELECT count(*) FROM provider_payments PARTITION ({name}) WHERE id = :id",
}


async def months_of(store: SQLStore, payment_id: str) -> tuple[list[str], str]:
    """The partitions of the payments, and which of them has that one."""
    dialect = "postgresql" if store._lane.dialect == "postgresql" else "mariadb"

    def look(unit: Any) -> tuple[list[str], str]:
        connection: sa.Connection = unit.payments._session._connection
        names = sorted(connection.scalars(sa.text(NAMES[dialect])).all())
        (there,) = (
            name
            for name in names
            if connection.scalar(sa.text(HOLDS[dialect].format(name=name)), {"id": payment_id})
        )
        return names, there

    return await store.run(look, write=False)


async def test_a_year_later_the_same_command_adds_the_months_that_are_missing(migrated_one: Database) -> None:
    url, execute = migrated_one
    dialect = url.partition(":")[0]
    a_year_ago = utc_now() - timedelta(days=365)
    execute(partition_sql(dialect, since=a_year_ago, months=3))
    store, payment = SQLStore(url), a_payment()
    old = a_payment(id=f"{id_bounds('pay', utc_now() - timedelta(days=100))[:-1]}7")
    await keep(store, payment, old, an_event(payment))
    before, where = await months_of(store, payment.id)
    assert where.endswith("later")
    assert len(before) == 4

    text = await store.partitions(months=2)
    assert "holds 2 rows" in text
    assert "holds 1 rows" in text
    execute(text)
    after, where = await months_of(store, payment.id)
    assert where.endswith(f"{utc_now():%Y%m}")
    assert set(after) > set(before)
    assert len(after) == 12 + 2 + 1
    for each in (payment, old):
        assert await store.run(lambda unit, one=each: unit.payments.get(one.id), write=False) == each  # type: ignore[misc]
    assert (await store.differences(), await store.integrity()) == ([], [])

    again = await store.partitions(months=2)
    assert again.count("there is nothing to do") == len(PARTITIONED)
    assert "TABLE" not in again
    more = await store.partitions(months=3)
    assert "holds" not in more, "nothing has come into it since"
    execute(more)
    assert len((await months_of(store, payment.id))[0]) == len(after) + 1
    await store.aclose()


async def test_tables_that_have_none_are_partitioned(migrated_one: Database) -> None:
    url, execute = migrated_one
    store, payment = SQLStore(url), a_payment()
    await keep(store, payment)
    execute(await store.partitions(months=2))
    found, where = await months_of(store, payment.id)
    assert len(found) == 3
    assert where.endswith(f"{utc_now():%Y%m}")
    await store.aclose()


async def test_partitions_that_somebody_made_otherwise_are_left_alone(migrated_one: Database) -> None:
    url, execute = migrated_one
    a_day = id_bounds("pay", utc_now().replace(day=2, hour=0, minute=0, second=0, microsecond=0))
    text = partition_sql(url.partition(":")[0], since=utc_now(), months=1)
    month = re.search(r"'(pay_[^']*)'", text)
    assert month is not None
    execute(text.replace(month[1], a_day))
    store = SQLStore(url)
    with pytest.raises(ConfigurationError, match="provider_payments are not months: divide them by hand"):
        await store.partitions(months=2)
    await store.aclose()


async def test_where_there_are_no_partitions_is_said() -> None:
    store = SQLStore("sqlite://")
    with pytest.raises(ConfigurationError, match="sqlite has no partitions"):
        await store.partitions(months=2)
    await store.aclose()
