"""In which ways a database is not what `tables.py` says, a sentence each.

Alembic compares tables, columns, indexes and unique keys. What it passes over is asked here: primary
keys, CHECKs, collations, and the row that says which version this is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa

from .tables import TABLES, metadata

__all__ = ["compared"]

_SCHEMA: Final = {
    "postgresql": sa.func.current_schema(),
    "mysql": sa.func.database(),
    "mariadb": sa.func.database(),
}
"""Where our tables are, by dialects whose columns have collations that an administrator may choose."""
_COLUMNS: Final = sa.table(
    "columns",
    *(sa.column(name, sa.String) for name in ("table_schema", "table_name", "column_name", "collation_name")),
    schema="information_schema",
)


def compared(
    connection: sa.Connection, *, version_table: str, version: str, ahead: bool = False
) -> list[str]:
    """Return what differs. *version_table* is to have one row, which says *version*.

    With *ahead* it says a newer one: what that has more is no difference, and what is missing is.
    """
    if ahead:
        return [_told(*one) for one in _by_alembic(connection, version_table) if one[0].startswith("add_")]
    inspector = sa.inspect(connection)
    present = [table for table in metadata.sorted_tables if inspector.has_table(table.name)]
    return [
        *_versions(connection, version_table, version),
        *(_told(*one) for one in _by_alembic(connection, version_table)),
        *(told for table in present for told in _constraints(inspector, table)),
        *_collations(connection, present),
    ]


def _versions(connection: sa.Connection, table: str, version: str) -> Iterator[str]:
    found = connection.execute(sa.select(sa.column("version_num", sa.String)).select_from(sa.table(table)))
    said = sorted(str(row) for row in found.scalars())
    if said != [version]:
        yield f"{table}: it says {' and '.join(said) or 'nothing'} instead of {version}"


def _by_alembic(connection: sa.Connection, version_table: str) -> Iterator[tuple[Any, ...]]:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    options = {"version_table": version_table, "include_name": _only_ours, "compare_type": True}
    context = MigrationContext.configure(connection, opts=options)
    found: list[Any] = compare_metadata(context, metadata)
    for difference in found:
        # What several differences of one column are is a list; every other is alone.
        yield from difference if isinstance(difference, list) else [difference]


def _only_ours(name: str | None, type_: str, _parents: object) -> bool:
    return type_ != "table" or name in TABLES


def _told(kind: str, *what: Any) -> str:
    """Say what Alembic would do to the database as what is wrong with it."""
    match kind, what:
        case "add_table", [table]:
            return f"{table.name}: it is missing"
        case "add_column", [_, table, column]:
            return f"{table}: the column {column.name} is missing"
        case "remove_column", [_, table, column]:
            return f"{table}: the column {column.name} is not ours"
        case (("add_index" | "add_constraint"), [item]):
            return f"{item.table.name}: {_kind_of(item)} {item.name} is missing"
        case (("remove_index" | "remove_constraint"), [item]):
            return f"{item.table.name}: {_kind_of(item)} {item.name} is not ours"
        case str(), [_, str(table), str(column), _, found, wanted] if kind.startswith("modify_"):
            about = kind.removeprefix("modify_")
            return f"{table}: {about} of the column {column} is {found!r} instead of {wanted!r}"
        case _:
            return f"{kind}: {what}"


def _kind_of(item: object) -> str:
    return "the index" if isinstance(item, sa.Index) else "the unique key"


def _constraints(inspector: sa.Inspector, table: sa.Table) -> Iterator[str]:
    key = inspector.get_pk_constraint(table.name)["constrained_columns"]
    wanted = [column.name for column in table.primary_key.columns]
    if key != wanted:
        yield f"{table.name}: its primary key is {key} instead of {wanted}"
    known = {check["name"] for check in inspector.get_check_constraints(table.name)}
    ours = {str(each.name) for each in table.constraints if isinstance(each, sa.CheckConstraint)}
    for name in sorted(ours - known):
        yield f"{table.name}: the check {name} is missing"


def _collations(connection: sa.Connection, tables: list[sa.Table]) -> Iterator[str]:
    """Yield columns that are not compared byte by byte: two references would be one, or ids out of order."""
    schema = _SCHEMA.get(connection.dialect.name)
    if schema is None:
        return
    c = _COLUMNS.c
    asked = sa.select(c.table_name, c.column_name, c.collation_name).where(c.table_schema == schema)
    found = {(table, column): collation for table, column, collation in connection.execute(asked)}
    for table in tables:
        for column in table.columns:
            wanted = getattr(column.type.dialect_impl(connection.dialect), "collation", None)
            has = found.get((table.name, column.name), wanted)
            if wanted is not None and has != wanted:
                yield f"{table.name}: the column {column.name} is compared by {has} instead of {wanted}"
