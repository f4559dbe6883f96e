"""Run by Alembic: uses the connection that `schema.upgrade` opened and locked, and our own version table."""

from __future__ import annotations

from typing import Any

from alembic import context

from bridge_payments.stores.sql.schema import VERSION_TABLE
from bridge_payments.stores.sql.tables import metadata


def _run(**options: Any) -> None:
    context.configure(target_metadata=metadata, version_table=VERSION_TABLE, **options)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    _run(dialect_name=context.config.attributes["dialect"], literal_binds=True, as_sql=True)
else:
    connection = context.config.attributes["connection"]
    _run(
        connection=connection,
        render_as_batch=connection.dialect.name == "sqlite",
        transaction_per_migration=connection.dialect.name in ("mysql", "mariadb"),
    )
