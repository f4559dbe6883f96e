"""Everything that a database holds, as text: for asking whether something is in there at all."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import sqlalchemy as sa

__all__ = ["dump", "leftovers"]


def dump(url: str) -> str:
    """Return every row of every table."""
    if (path := _path(url)) is not None:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return "\n".join(connection.iterdump())
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    try:
        tables = sa.MetaData()
        with engine.connect() as connection:
            tables.reflect(connection)
            return "\n".join(
                repr(dict(row))
                for table in tables.sorted_tables
                for row in connection.execute(sa.select(table)).mappings()
            )
    finally:
        engine.dispose()


def leftovers(url: str, folder: Path) -> bytes:
    """Return the bytes of a compacted copy of a SQLite file: indexes and all, and no page that was freed.

    What SQLite freed stays in the file until it is written over, as what is deleted stays on every disk; that
    is for ``PRAGMA secure_delete``, for ``VACUUM`` and for encrypted disks, and no promise of ours.
    """
    path = _path(url)
    if path is None:
        return b""
    copy = folder / "compacted.db"
    copy.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", [str(copy)])
    return copy.read_bytes()


def _path(url: str) -> Path | None:
    given = sa.make_url(url)
    return Path(given.database) if given.get_backend_name() == "sqlite" and given.database else None
