"""Run by Alembic: uses the connection that `schema.upgrade` opened and locked, and our own version table."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import context

from bridge_payments.stores.sql.resuming import look_first
from bridge_payments.stores.sql.schema import VERSION_TABLE, usable_from
from bridge_payments.stores.sql.tables import metadata
from bridge_payments.stores.sql.types import bytewise


@sa.event.listens_for(sa.Table, "before_create")
def _every_letter(table: sa.Table, _connection: object, **_: object) -> None:
    """On MySQL, whatever the database's own default is: all of Unicode, compared byte by byte."""
    for dialect in ("mysql", "mariadb"):
        table.kwargs.setdefault(f"{dialect}_default_charset", "utf8mb4")
        table.kwargs.setdefault(f"{dialect}_collate", bytewise(context.get_context().dialect))


def _say_who_can_use_it(*, ctx: Any, step: Any, **_: object) -> None:
    """Write beside the version which releases this step leaves able to use the database."""
    oldest = getattr(step.up_revision.module, "usable_from", None)
    if oldest is not None:
        ctx.execute(usable_from.update().values(usable_from=oldest))


def _run(**options: Any) -> None:
    options |= {"on_version_apply": _say_who_can_use_it, "version_table": VERSION_TABLE}
    context.configure(target_metadata=metadata, **options)
    if not context.is_offline_mode():
        look_first(context.get_context().impl, context.get_bind())
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
