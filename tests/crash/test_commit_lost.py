"""
The connection to the database breaks at a COMMIT, and nobody here knows whether it was done.

Each COMMIT of each way in which money moves is cut, once before the server hears it and once after it was
done. The client comes again with its Idempotency-Key, reconciliation runs, and both books must agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from databases import Lending, database, emptied, mariadb, migrated, postgres
from house import FLOWS, House, check, insist, open_house
from severed import severed

from bridge_payments.errors import StoreError, Unavailable
from bridge_payments.testing.servers import MySQL

__all__ = ["database", "emptied", "mariadb", "migrated", "postgres"]

pytestmark = pytest.mark.anyio

MOST_COMMITS = 6
"""More than any of these takes: where it ends is seen, not known."""


@pytest.fixture(
    params=[
        pytest.param("postgresql", marks=pytest.mark.needs("postgresql")),
        pytest.param("mariadb", marks=pytest.mark.needs("mariadb")),
    ]
)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "postgresql":
        given: str = request.getfixturevalue("database")
        yield given.replace("postgresql://", "postgresql+asyncpg://")
        return
    server: MySQL = request.getfixturevalue("mariadb")
    lend: Lending = request.getfixturevalue("emptied")
    with lend(server) as name:
        yield server.url_of(name, "asyncmy")


@pytest.mark.parametrize("moment", ["undone", "done"])
@pytest.mark.parametrize("flow", FLOWS)
async def test_a_commit_of_which_nobody_knows_costs_nobody_anything(url: str, flow: str, moment: Any) -> None:
    act, before, status, captured, refunded = FLOWS[flow]
    async with severed(url) as wire, open_house(wire.url) as house:
        seen: Counter[str] = Counter()
        for at in range(1, MOST_COMMITS):
            if before is not None:
                await house.begin(**before)
            made = len(house.gateway.intents)
            wire.cut(at, moment)
            try:
                await act(house)
            except (Unavailable, StoreError):
                seen["told to come again"] += 1
            cut = wire.was_cut
            wire.cut(0, moment)
            if not cut:
                break
            seen["cut"] += 1
            await insist(house, act)
            await house.engine.reconcile()
            check(house, await house.rows(), made + (before is None), status, captured, refunded)
            await start_over(house)
        assert seen["cut"] >= 2, "both transactions of an operation were to be cut"


async def start_over(house: House) -> None:
    """Empty both books: each cut begins with nothing."""
    from bridge_payments.stores.sql.tables import metadata

    def empty(unit: Any) -> None:
        for table in metadata.sorted_tables:
            if table.name != "alembic_version":
                unit.payments._session._connection.execute(table.delete())

    await house.engine.store.run(empty)
    for books in (house.gateway.intents, house.gateway.refunds, house.gateway.charges):
        books.clear()  # type: ignore[attr-defined] # dictionaries and a list
