"""LibSQL and Turso: a SQLAlchemy dialect that speaks Hrana over HTTP, in Python alone.

    libsql://shop-acme.turso.io?authToken=…       over TLS, as Turso prints it
    libsql://127.0.0.1:8080?tls=0                 a server of your own

`hrana.py` knows the protocol and touches no network, `dbapi.py` sends what it says through our
transport, `dialect.py` is what SQLAlchemy sees. The dialect calls itself SQLite, which it is.
"""

from __future__ import annotations

from sqlalchemy.dialects import registry

__all__ = ["register"]


def register() -> None:
    """Make ``sqlite+libsql://`` known to SQLAlchemy; nothing is imported before such a URL is opened."""
    registry.register("sqlite.libsql", f"{__name__}.dialect", "LibsqlDialect")
