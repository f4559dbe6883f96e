"""The store on a database. `include_name` is for the `env.py` of a host that uses Alembic itself.

`include_name_beside` is for one whose own tables have names of ours, in another schema.
"""

from __future__ import annotations

from .schema import HEAD, VERSION_TABLE, include_name, include_name_beside, offline_sql
from .store import SQLStore
from .tables import metadata

__all__ = [
    "HEAD",
    "VERSION_TABLE",
    "SQLStore",
    "include_name",
    "include_name_beside",
    "metadata",
    "offline_sql",
]
