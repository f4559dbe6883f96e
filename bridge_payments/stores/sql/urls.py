"""What a database's URL decides: the driver, and the options that this database needs."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from ...errors import ConfigurationError
from . import libsql
from .drivers import MYSQL_TLS, connect_args, only_encrypted
from .words import Words

__all__ = ["completed", "normal_url", "preset"]

_CONNECTIONS: Final = 10
"""Of one process. What waits for one waits shorter than opening one takes."""
_WAIT_SECONDS: Final = 10
"""For a connection that others have. They need it for milliseconds, so whoever waits for so long has a
database that is stuck, and a caller who should hear of it."""
_RECYCLE_SECONDS: Final = 300
"""Hosted databases close connections that idle for longer, and some close every one after a day."""

_POOLED_PORTS: Final = {6432: "PgBouncer's own", 6543: "Supabase's"}


def completed(given: str, *, auth_token: str | None = None, encrypted: bool = False) -> sa.URL:
    """Return *given* with what the environment says beside it; what the URL says itself stands."""
    url = _parsed(given)
    kind = url.drivername.partition("+")[0]
    if kind == "libsql" and auth_token and not url.password and "authToken" not in url.query:
        url = url.set(password=auth_token)  # where nothing prints it
    if encrypted and kind in ("postgres", "postgresql") and not {"sslmode", "ssl"} & set(url.query):
        url = url.update_query_dict({"sslmode": "require"})
    if encrypted and kind in ("mysql", "mariadb") and not set(MYSQL_TLS) & set(url.query):
        url = url.update_query_dict({"ssl-mode": "VERIFY_IDENTITY" if only_encrypted(url) else "REQUIRED"})
    return url


def normal_url(given: str | sa.URL) -> sa.URL:
    """Return *given* with the driver that we prefer, and with options that this driver knows."""
    url = _parsed(given)
    match url.drivername:
        case "postgres" | "postgresql":
            url = url.set(drivername=f"postgresql+{_installed('asyncpg', 'psycopg')}")
        case "mysql" | "mariadb":
            url = url.set(drivername=f"{url.drivername}+{_installed('asyncmy', 'pymysql')}")
        case "sqlite":
            url = url.set(drivername="sqlite+pysqlite")
        case "libsql" | "sqlite+libsql" | "libsql+https" | "libsql+http":
            url = _libsql(url)
    try:
        url.get_dialect()
    except (NoSuchModuleError, ArgumentError):
        raise ConfigurationError(invalid={"DATABASE_URL": f"no database is {url.drivername}://"}) from None
    return url


def preset(
    url: sa.URL, *, pooler: bool | None = None, connections: int | None = None
) -> tuple[sa.URL, dict[str, Any]]:
    """Return *url* and the engine options that its database needs.

    No overflow: a unit is over in milliseconds, sooner than another connection would be open. No
    `pool_pre_ping`: a unit of work whose connection died before the commit runs again on a new
    one, which costs nothing while nothing dies.
    """
    words = Words(url)
    options: dict[str, Any] = {
        "pool_size": words.number("connection_limit") or connections or _CONNECTIONS,
        "max_overflow": 0,
        "pool_timeout": words.number("pool_timeout") or _WAIT_SECONDS,
        "pool_recycle": _RECYCLE_SECONDS,
        "hide_parameters": True,
        "isolation_level": "READ COMMITTED",
    }
    if url.get_driver_name() == "libsql":  # what there is to keep of a connection is kept by the HTTP client
        words.keep(["tls"])
        words.finish("libsql")
        for name in ("pool_recycle", "isolation_level"):
            del options[name]
        return url.set(query=words.kept), options
    told = words.flag("pgbouncer") if pooler is None else pooler
    pooled = _is_pooled(url) if told is None else told
    options["connect_args"] = connect_args(words, url, pooled=pooled)
    return url.set(query=words.kept), options


def _parsed(given: str | sa.URL) -> sa.URL:
    try:
        return sa.make_url(given)
    except (ArgumentError, ValueError):  # the latter of a port that is none: an @ in a password
        # `from None`: the message of the parser quotes the URL, and the URL may hold a password.
        raise ConfigurationError(invalid={"DATABASE_URL": "not a database URL"}) from None


def _installed(preferred: str, other: str) -> str:
    return preferred if find_spec(preferred) is not None or find_spec(other) is None else other


def _is_pooled(url: sa.URL) -> bool:
    """Tell whether a PgBouncer in transaction mode answers there, by Neon's name or a pooler's port."""
    return "-pooler." in (url.host or "") or url.port in _POOLED_PORTS


def _libsql(url: sa.URL) -> sa.URL:
    """Return it with the token where passwords are: nothing prints those."""
    libsql.register()
    token = url.query.get("authToken")
    tls = {"libsql+http": "0", "libsql+https": "1"}.get(url.drivername) or url.query.get("secure")
    if tls is not None:
        url = url.update_query_dict({"tls": tls})
    url = url.difference_update_query(["authToken", "secure"]).set(drivername="sqlite+libsql")
    return url.set(password=str(token)) if token else url
