"""SQLAlchemy's view: SQLite's sentences, sent over HTTP."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.pool import AsyncAdaptedQueuePool, Pool

from . import dbapi
from .errors import OperationalError

__all__ = ["LibsqlDialect"]


class LibsqlDialect(SQLiteDialect):
    """``sqlite+libsql://``; to be used through an asynchronous engine."""

    driver = "libsql"
    is_async = True
    has_terminate = True
    supports_statement_cache = True
    default_paramstyle = "qmark"

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        return dbapi

    @classmethod
    def get_pool_class(cls, url: sa.URL) -> type[Pool]:
        return AsyncAdaptedQueuePool  # its connections cost nothing; it keeps a process to so many at a time

    def create_connect_args(self, url: sa.URL) -> tuple[list[Any], dict[str, Any]]:
        tls = str(url.query.get("tls", "1")).lower() not in ("0", "false")
        port = f":{url.port}" if url.port else ""
        address = f"{'https' if tls else 'http'}://{url.host}{port}"
        return [], {"url": address, "token": url.password}

    def on_connect(self) -> None:
        return None

    def get_driver_connection(self, connection: Any) -> Any:
        return connection

    def do_ping(self, dbapi_connection: Any) -> bool:
        return True  # between two transactions there is no connection that could have died

    def do_terminate(self, dbapi_connection: Any) -> None:
        dbapi_connection.forget()

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        return isinstance(e, OperationalError) and e.gone

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:
        return dbapi.sqlite_version_info

    # Each statement that follows no BEGIN is its own transaction, which is what AUTOCOMMIT means.
    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        return "SERIALIZABLE"

    def get_default_isolation_level(self, dbapi_conn: Any) -> Any:
        return "SERIALIZABLE"

    def get_isolation_level_values(self, dbapi_conn: Any) -> Any:
        return ["SERIALIZABLE"]

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        """There is one level, and a server of its own to keep it."""
