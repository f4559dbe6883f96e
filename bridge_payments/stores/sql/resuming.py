"""An upgrade that died half-way on MySQL or MariaDB goes on where it stopped.

They commit at every statement that changes a table, so that the steps of a migration cannot be undone
together. Each looks first instead whether an earlier try has made what it would make. What a step
does otherwise, an UPDATE for instance, has to bear being done twice.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from ...errors import StoreError

__all__ = ["look_first"]


def look_first(implementation: Any, connection: sa.Connection) -> None:
    """Let Alembic's *implementation* of this one upgrade leave out what is there."""
    if connection.dialect.name not in ("mysql", "mariadb"):
        return  # everything there is one transaction
    make_table, make_index, add_column = (
        implementation.create_table,
        implementation.create_index,
        implementation.add_column,
    )

    def create_table(table: sa.Table, **how: Any) -> None:
        if not sa.inspect(connection).has_table(table.name):
            make_table(table, **how)
        elif _columns(connection, table.name) != {column.name for column in table.columns}:
            raise StoreError(f"upgrade: a table {table.name} that is not ours is in the way")

    def create_index(index: sa.Index, **how: Any) -> None:
        assert index.table is not None
        if index.name not in {each["name"] for each in sa.inspect(connection).get_indexes(index.table.name)}:
            make_index(index, **how)

    def column_added(table_name: str, column: sa.Column[Any], **how: Any) -> None:
        if column.name not in _columns(connection, table_name):
            add_column(table_name, column, **how)

    implementation.create_table = create_table
    implementation.create_index = create_index
    implementation.add_column = column_added


def _columns(connection: sa.Connection, table: str) -> set[str]:
    return {column["name"] for column in sa.inspect(connection).get_columns(table)}
