"""What foreign keys would have kept is asked of the rows, and what Alembic passes over of the schema."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from damages import DAMAGES, DIFFERENCES, broken_by, keep_a_shop

from bridge_payments.errors import ConfigurationError
from bridge_payments.models.ids import id_bounds
from bridge_payments.stores.sql import HEAD, SQLStore, integrity
from bridge_payments.stores.sql.partitions import partition_sql
from bridge_payments.stores.sql.questions import QUESTIONS
from bridge_payments.testing.stores.samples import a_payment, keep

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLStore]:
    store = SQLStore(f"sqlite:///{tmp_path}/shop.db")
    await store.upgrade()
    yield store
    await store.aclose()


async def test_each_damage_is_named_and_a_good_database_is_silent(store: SQLStore, tmp_path: Path) -> None:
    await store.run(keep_a_shop)
    assert await store.integrity() == []
    engine = sa.create_engine(f"sqlite:///{tmp_path}/shop.db")
    with broken_by(engine) as damage:
        for statement, expected in DAMAGES.items():
            damage(statement)
            found = {(each.table, each.what) for each in await store.integrity()}
            assert found == expected, statement
    engine.dispose()


def test_every_question_has_a_damage_that_it_finds() -> None:
    asked = {(table.name, each.what) for table, questions in QUESTIONS.items() for each in questions}
    told = {said for expected in DAMAGES.values() for said in expected}
    assert told <= asked
    # Of several references to one noun, that of one table is tried.
    assert {what for _, what in asked} == {what for _, what in told}


async def test_rows_are_walked_in_steps_and_the_first_ones_are_named(
    store: SQLStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity, "_STEP", 7)
    await keep(store, *(a_payment(provider_intent_id=f"pi_{number}") for number in range(40)))
    engine = sa.create_engine(f"sqlite:///{tmp_path}/shop.db")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "DELETE FROM payment_references WHERE reference IN ('pi_0', 'pi_13', 'pi_39')"
        )
        connection.exec_driver_sql(
            "UPDATE payment_references SET payment_id = 'pay_gone' WHERE reference > 'pi_2'"
        )
    engine.dispose()
    asked: list[str] = []

    def seen(_c: object, _u: object, statement: str, values: object, *_: object) -> None:
        asked.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", seen)
    try:
        found = await store.integrity()
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", seen)
    lost = [each.row for each in found if each.table == "provider_payments"]
    assert lost == sorted(lost)
    assert len(lost) == 20, "and no more, however many there are"
    gone = {each.row for each in found if each.table == "payment_references"}
    assert len(gone) == 20
    assert all(reference > "pi_2" for reference in gone)
    assert all(" LIMIT " in each for each in asked if each.startswith("SELECT") and "min(" not in each)


REWRITTEN = {
    "CONSTRAINT uq_operations_reference UNIQUE (reference)": (
        "operations: the unique key uq_operations_reference is missing"
    ),
    "CONSTRAINT ck_provider_payments_prices CHECK": (
        "provider_payments: the check ck_provider_payments_prices is missing"
    ),
}
"""What SQLite cannot drop: its place in the table's own text is taken by something else."""


async def test_what_differs_from_the_schema_is_named(store: SQLStore, tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/shop.db")
    known: list[str] = await store.differences()
    assert known == []
    everywhere = {each: told for each, (where, told) in DIFFERENCES.items() if where == "everywhere"}
    for statement, expected in (everywhere | REWRITTEN).items():
        with engine.begin() as connection:
            if statement not in REWRITTEN:
                connection.exec_driver_sql(statement)
            else:
                _rewrite(connection, statement)
        engine.dispose()
        found = await store.differences()
        assert set(found) - set(known) == {expected.replace("HEAD", HEAD)}, statement
        known = found


def _rewrite(connection: sa.Connection, text: str) -> None:
    other = "CONSTRAINT another CHECK (1)" if "UNIQUE" in text else "CONSTRAINT another CHECK"
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    changed = connection.exec_driver_sql(
        "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table' AND instr(sql, ?)",
        (text, other, text),
    )
    assert changed.rowcount == 1


@pytest.mark.parametrize("dialect", ["postgresql", "mysql"])
def test_months_become_ranges_of_ids(dialect: str) -> None:
    text = partition_sql(dialect, since=datetime(2026, 11, 28, tzinfo=UTC), months=2)
    december, january = (
        id_bounds("pay", datetime(*day, tzinfo=UTC)) for day in ((2026, 12, 1), (2027, 1, 1))
    )
    assert december < january
    assert text.index(december) < text.index(january)
    assert id_bounds("evt", datetime(2026, 12, 1, tzinfo=UTC)) in text
    assert text.count("MAXVALUE") == 2, "what comes after the last month has its place, too"


def test_a_database_without_partitions_says_so() -> None:
    with pytest.raises(ConfigurationError, match="sqlite"):
        partition_sql("sqlite", since=datetime(2026, 11, 28, tzinfo=UTC), months=2)
