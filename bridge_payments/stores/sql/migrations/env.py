"""Run by Alembic: uses the connection that `schema.upgrade` opened and locked, and our own version table."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import context

from bridge_payments.stores.sql.schema import VERSION_TABLE
from bridge_payments.stores.sql.tables import metadata


@sa.event.listens_for(sa.Table, "before_create")
def _every_letter(table: sa.Table, _connection: object, **_: object) -> None:
    """On MySQL, whatever the database's own default is: all of Unicode, compared byte by byte."""
    for dialect in ("mysql", "mariadb"):
        table.kwargs.setdefault(f"{dialect}_default_charset", "utf8mb4")
        table.kwargs.setdefault(f"{dialect}_collate", "utf8mb4_bin")


def _run(**options: Any) -> None:
    context.configure(target_metadata=metadata, version_table=VERSION_TABLE, **options)
    with context.begin_transaction():
        context.run_migrations()


try:
    if context.is_offline_mode():
        _run(dialect_name=context.config.attributes["dialect"], literal_binds=True, as_sql=True)
    else:
        connection = context.config.attributes["connection"]
        _run(
            connection=connection,
            render_as_batch=connection.dialect.name == "sqlite",
            transaction_per_migration=connection.dialect.name in ("mysql", "mariadb"),
        )
finally:
    sa.event.remove(sa.Table, "before_create", _every_letter)  # the host's tables are the host's
