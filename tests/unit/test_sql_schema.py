"""Tables, migrations and records say the same, and only one column ever holds a client secret."""

from __future__ import annotations

import dataclasses
import sys
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bridge_payments.errors import MissingExtra, StoreError
from bridge_payments.models import (
    Address,
    Customer,
    Delivery,
    Dispute,
    EndpointHealth,
    InboxEntry,
    NextAction,
    NextActionKind,
    Operation,
    OperationState,
    Payment,
    PaymentMethod,
    Refund,
    ScheduledJob,
    StoredEndpoint,
    Subscription,
)
from bridge_payments.stores.base import IdempotencyRecord, Unit
from bridge_payments.stores.sql import (
    HEAD,
    VERSION_TABLE,
    SQLStore,
    include_name,
    include_name_beside,
    metadata,
    offline_sql,
)
from bridge_payments.stores.sql import tables as t
from bridge_payments.testing.stores.samples import NOW, a_payment, a_refund, an_entry, an_event, an_operation

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("record", "table", "more"),
    [
        (Payment, t.payments, {"guest_email_key"}),
        (Operation, t.operations, set()),
        (Refund, t.refunds, set()),
        (Delivery, t.deliveries, set()),
        (InboxEntry, t.inbox, {"processed"}),
        (StoredEndpoint, t.endpoints, set()),
        (EndpointHealth, t.endpoint_health, set()),
        (ScheduledJob, t.jobs, {"lease_token"}),
        (IdempotencyRecord, t.keys, set()),
        (Customer, t.customers, {"guest_email_key", "owner", "living_reference"}),
        (PaymentMethod, t.payment_methods, {"guest_email_key", "owner", "living_reference"}),
        (Address, t.addresses, {"guest_email_key", "owner"}),
        (Subscription, t.subscriptions, {"guest_email_key"}),
        (Dispute, t.disputes, set()),
    ],
)
def test_every_field_has_its_column(record: Any, table: sa.Table, more: set[str]) -> None:
    told = {"payment_method_saved", "unknown_operation_id"}  # by an answer, and by no row
    fields = {field.name for field in dataclasses.fields(record)} - told
    assert set(table.columns.keys()) == fields | more


async def test_the_migrations_make_what_the_tables_say(tmp_path: Path) -> None:
    store = SQLStore(f"sqlite:///{tmp_path}/shop.db")
    await store.upgrade()
    assert await store.differences() == []
    await store.aclose()


def test_the_code_names_the_newest_version() -> None:
    from alembic.script import ScriptDirectory

    from bridge_payments.stores.sql.schema import _config

    assert ScriptDirectory.from_config(_config()).get_heads() == [HEAD]


async def test_check_tells_who_can_use_the_schema(tmp_path: Path) -> None:
    store = SQLStore(f"sqlite:///{tmp_path}/shop.db")
    with pytest.raises(StoreError, match="no tables"):
        await store.check()
    await store.upgrade()
    await store.check()
    engine = sa.create_engine(f"sqlite:///{tmp_path}/shop.db")

    async def told(version: str, usable_from: str | None) -> str:
        with engine.begin() as connection:
            values = {"version": version, "oldest": usable_from}
            statement = f"UPDATE {VERSION_TABLE} SET version_num = :version, usable_from = :oldest"
            connection.execute(sa.text(statement), values)
        try:
            await store.check()
        except StoreError as error:
            return error.message
        return ""

    assert await told("bp_9999", "bp_0005") == await told("bp_9999", HEAD) == ""
    for oldest in ("bp_9998", "bp_9999", None):
        assert f"bp_9999, for which this code is too old: it knows {HEAD}" in await told("bp_9999", oldest)
    assert f"bp_0005, this code needs {HEAD}: run" in await told("bp_0005", "bp_0005")
    engine.dispose()
    await store.aclose()


def test_each_step_leaves_the_database_to_the_release_before_it() -> None:
    from alembic.script import ScriptDirectory

    from bridge_payments.stores.sql.schema import _config

    every = ScriptDirectory.from_config(_config()).walk_revisions()
    steps = [step for step in every if step.revision > "bp_0005"]
    assert steps[0].revision == HEAD
    for newer, older in pairwise(steps):
        assert newer.module.usable_from >= older.module.usable_from, "who cannot use one cannot use the next"
    for step in steps:
        assert step.module.usable_from <= step.down_revision, "two releases run while one is rolled out"


async def test_an_upgrade_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/shop.db")
    with engine.begin() as connection:
        connection.execute(
            sa.text("CREATE TABLE webhook_deliveries (mine TEXT)")
        )  # in our way, in the middle
    store = SQLStore(f"sqlite:///{tmp_path}/shop.db")
    with pytest.raises(StoreError, match="upgrade"):
        await store.upgrade()
    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["webhook_deliveries"]
    engine.dispose()
    await store.aclose()


async def test_without_alembic_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "alembic", None)
    store = SQLStore("sqlite://")
    with pytest.raises(MissingExtra, match=r"bridge-payments\[migrations\]"):
        await store.upgrade()
    with pytest.raises(MissingExtra):
        offline_sql()
    with pytest.raises(StoreError, match="no tables"):
        await store.check()  # serving does without
    await store.aclose()


@pytest.mark.parametrize("dialect", ["postgresql", "mysql"])
def test_administrators_get_the_statements_in_their_dialect(dialect: str) -> None:
    text = offline_sql(dialect)
    for table in metadata.tables:
        assert f"CREATE TABLE {table} " in text
    assert "bp_0001" in text
    if dialect == "postgresql":
        assert 'provider_intent_id VARCHAR(255) COLLATE "C"' in text
        assert "TIMESTAMP WITH TIME ZONE" in text
        assert "WHERE next_sync_at IS NOT NULL" in text
    else:
        assert "idempotency_keys CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin" in text
        assert "DATETIME(6)" in text
        assert "LONGTEXT" in text


@pytest.mark.parametrize("dialect", ["postgresql", "mysql", "sqlite"])
def test_every_statement_compiles_for_every_database(dialect: str) -> None:
    import importlib
    import pkgutil

    import bridge_payments.stores.sql as package
    from bridge_payments.stores.sql.claims import Claim
    from bridge_payments.stores.sql.session import Insertion

    made = importlib.import_module(f"sqlalchemy.dialects.{dialect}").dialect()
    compiled = 0
    for found in pkgutil.iter_modules(package.__path__):
        if found.ispkg:
            continue
        module = importlib.import_module(f"{package.__name__}.{found.name}")
        for value in vars(module).values():
            statements = [value]
            if isinstance(value, Insertion):
                statements = [value._statements[dialect]]
            elif isinstance(value, Claim):
                statements = [value._candidates, value._find, value._lease, value._take]
            for statement in statements:
                if not isinstance(statement, sa.Select | sa.Update | sa.Insert | sa.Delete):
                    continue
                keys = list(statement.table.columns.keys()) if isinstance(statement, sa.Insert) else None
                text = str(statement.compile(dialect=made, column_keys=keys))
                assert " RETURNING " not in text, "MySQL has none"
                compiled += 1
    assert compiled > 50


def test_a_host_that_shares_the_database_keeps_its_hands_off() -> None:
    assert not any(include_name(table, "table", {}) for table in [*metadata.tables, VERSION_TABLE])
    assert include_name("orders", "table", {"schema_name": None})
    assert include_name("ix_orders", "index", {"table_name": "orders"})
    assert include_name(None, "schema", {})
    assert not any(include_name(f"provider_payments_{part}", "table", {}) for part in ("202611", "later"))
    assert include_name("outbox_messages", "table", {})


def test_a_host_that_shares_one_of_several_schemas_keeps_its_own_names() -> None:
    include = include_name_beside("payments")
    assert not include("refunds", "table", {"schema_name": "payments"})
    assert not include(VERSION_TABLE, "table", {"schema_name": "payments"})
    assert include("refunds", "table", {"schema_name": None})
    assert include("payments", "schema", {})


async def test_one_column_holds_the_client_secret_and_the_clean_up_empties_it(tmp_path: Path) -> None:
    secret = "pi_1_secret_XYZ"
    store = SQLStore(f"sqlite:///{tmp_path}/shop.db")
    await store.upgrade()
    url = f"https://hooks.example/3ds?payment_intent_client_secret={secret}&a=1"
    payment = a_payment(
        client_secret=secret,
        client_secret_expires_at=NOW,
        next_action=NextAction(kind=NextActionKind.REDIRECT, url=url),
    )
    hidden = {"client_secret": secret, "deeper": [{"payment_intent_client_secret": secret}]}
    operation = an_operation(payment.id, inputs=hidden, steps={"confirm": hidden})

    def fill(unit: Unit) -> None:
        unit.payments.add(payment)
        unit.operations.reserve(operation, lease_seconds=1)
        done = dataclasses.replace(operation, state=OperationState.SUCCEEDED, steps={"again": hidden})
        assert unit.operations.save(done, token="mine")
        unit.refunds.add(a_refund(payment.id, metadata=hidden))
        unit.events.add(an_event(payment, data=hidden))
        unit.inbox.add(an_entry(headers=hidden))

    def holders() -> set[str]:
        engine = sa.create_engine(f"sqlite:///{tmp_path}/shop.db")
        with engine.connect() as connection:
            found = {
                f"{table.name}.{column}"
                for table in metadata.tables.values()
                for row in connection.execute(sa.select(table)).mappings()
                for column, value in row.items()
                if secret in str(value)
            }
        engine.dispose()
        return found

    await store.run(fill)
    assert holders() == {"provider_payments.client_secret"}
    found = await store.run(lambda unit: unit.payments.get(payment.id), write=False)
    assert found == payment, "the payer's challenge needs its whole address while it lasts"
    (stale,) = await store.run(
        lambda unit: unit.payments.with_stale_secrets(before=NOW + timedelta(hours=25), limit=9)
    )
    await store.run(lambda unit: unit.payments.save(stale.without_secret(), expected_version=stale.version))
    assert holders() == set()
    found = await store.run(lambda unit: unit.payments.get(payment.id), write=False)
    assert found is not None
    assert found.next_action == NextAction(kind=NextActionKind.REDIRECT, url=None)
    await store.aclose()
