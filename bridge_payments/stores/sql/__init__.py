"""The store on a database. `include_name` is for the `env.py` of a host that uses Alembic itself."""

from __future__ import annotations

from .schema import HEAD, VERSION_TABLE, include_name, offline_sql
from .store import SQLStore
from .tables import metadata

__all__ = ["HEAD", "VERSION_TABLE", "SQLStore", "include_name", "metadata", "offline_sql"]
