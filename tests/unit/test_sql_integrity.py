"""What foreign keys would have kept is asked of the rows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from bridge_payments.errors import ConfigurationError
from bridge_payments.models.ids import id_bounds
from bridge_payments.stores.base import Unit
from bridge_payments.stores.sql import SQLStore
from bridge_payments.stores.sql.partitions import partition_sql
from bridge_payments.testing.stores.samples import (
    a_delivery,
    a_payment,
    a_refund,
    an_event,
    an_operation,
)

pytestmark = pytest.mark.anyio


async def test_rows_that_fit_together_are_not_complained_of_and_others_are_named(tmp_path: Path) -> None:
    store = SQLStore(f"sqlite:///{tmp_path}/shop.db")
    await store.upgrade()
    payment = a_payment(provider_intent_id="pi_1")
    event, operation = an_event(payment), an_operation(payment.id)

    def whole(unit: Unit) -> None:
        unit.payments.add(payment)
        unit.operations.reserve(operation, lease_seconds=60)
        unit.refunds.add(a_refund(payment.id))
        unit.events.add(event)
        unit.deliveries.add(a_delivery(event.id))

    await store.run(whole)
    assert await store.integrity() == []

    engine = sa.create_engine(f"sqlite:///{tmp_path}/shop.db")
    with engine.begin() as connection:
        for statement in (
            "UPDATE refunds SET payment_id = 'pay_gone'",
            "UPDATE webhook_deliveries SET event_id = 'evt_gone'",
            "DELETE FROM operation_slots",
            "INSERT INTO operation_slots (subject_id, operation_id) VALUES ('pay_2', 'op_gone')",
            "DELETE FROM payment_references",
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()
    found = {(each.table, each.what) for each in await store.integrity()}
    assert found == {
        ("refunds", "its payment_id names no row of provider_payments"),
        ("webhook_deliveries", "its event_id names no row of outbox"),
        ("operations", "an open operation without a slot"),
        ("operation_slots", "a slot of an operation that is not open"),
        ("provider_payments", "another payment holds its provider's reference, or nobody does"),
    }
    await store.aclose()


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
