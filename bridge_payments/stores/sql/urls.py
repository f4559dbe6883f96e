"""What a database's URL decides: the driver, and the options that this database needs."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from ...errors import ConfigurationError
from . import libsql

__all__ = ["completed", "normal_url", "preset"]

_CONNECT_SECONDS: Final = 10
_CONNECTIONS: Final = 10
"""Of one process. What waits for one waits shorter than opening one takes."""
_WAIT_SECONDS: Final = 10
"""For a connection that others have. They need it for milliseconds, so whoever waits for so long has a
database that is stuck, and a caller who should hear of it."""
_RECYCLE_SECONDS: Final = 300
"""Hosted databases close connections that idle for longer, and some close every one after a day."""

_ASYNCPG_UNKNOWN: Final = ("sslmode", "channel_binding", "pgbouncer", "connection_limit", "pool_timeout")
_MYSQL_TLS: Final = ("sslaccept", "ssl-mode", "ssl_mode", "sslmode", "ssl")
_PLANETSCALE: Final = (".psdb.cloud", ".planetscale.com")
_POOLED_PORTS: Final = {6432: "PgBouncer's own", 6543: "Supabase's"}


def completed(given: str, *, auth_token: str | None = None, encrypted: bool = False) -> sa.URL:
    """Return *given* with what the environment says beside it; what the URL says itself stands."""
    url = _parsed(given)
    kind = url.drivername.partition("+")[0]
    if kind == "libsql" and auth_token and not url.password and "authToken" not in url.query:
        url = url.set(password=auth_token)  # where nothing prints it
    if encrypted and kind in ("postgres", "postgresql") and not {"sslmode", "ssl"} & set(url.query):
        url = url.update_query_dict({"sslmode": "require"})
    if encrypted and kind in ("mysql", "mariadb") and not set(_MYSQL_TLS) & set(url.query):
        verified = (url.host or "").endswith(_PLANETSCALE)
        url = url.update_query_dict({"ssl-mode": "VERIFY_IDENTITY" if verified else "REQUIRED"})
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
        case "libsql" | "sqlite+libsql":
            url = _libsql(url)
    try:
        driver = url.get_driver_name()
    except NoSuchModuleError:
        raise ConfigurationError(invalid={"DATABASE_URL": f"no database is {url.drivername}://"}) from None
    if driver == "asyncpg":
        # Hosted databases hand out libpq's words; asyncpg calls the first `ssl` and does without the others.
        if "sslmode" in url.query and "ssl" not in url.query:
            url = url.update_query_dict({"ssl": url.query["sslmode"]})
        url = url.difference_update_query([name for name in _ASYNCPG_UNKNOWN if name != "pgbouncer"])
    return url


def preset(
    url: sa.URL, *, pooler: bool | None = None, connections: int | None = None
) -> tuple[sa.URL, dict[str, Any]]:
    """Return *url* and the engine options that its database needs.

    No overflow: a unit is over in milliseconds, sooner than another connection would be open. No
    `pool_pre_ping`: a unit of work whose connection died before the commit runs again on a new
    one, which costs nothing while nothing dies.
    """
    options: dict[str, Any] = {
        "pool_size": connections or _CONNECTIONS,
        "max_overflow": 0,
        "pool_timeout": _WAIT_SECONDS,
        "pool_recycle": _RECYCLE_SECONDS,
        "hide_parameters": True,
        "isolation_level": "READ COMMITTED",
    }
    backend, driver = url.get_backend_name(), url.get_driver_name()
    if driver == "libsql":  # what there is to keep of a connection is kept by the HTTP client
        return url, {
            name: options[name] for name in ("pool_size", "max_overflow", "pool_timeout", "hide_parameters")
        }
    if backend == "postgresql":
        pooled = _is_pooled(url) if pooler is None else pooler
        url = url.difference_update_query(["pgbouncer"])
        url, options["connect_args"] = _postgresql(url, driver, pooled=pooled)
    elif backend in ("mysql", "mariadb"):
        url, options["connect_args"] = _mysql(url)
    return url, options


def _parsed(given: str | sa.URL) -> sa.URL:
    try:
        return sa.make_url(given)
    except (ArgumentError, ValueError):  # the latter of a port that is none: an @ in a password
        # `from None`: the message of the parser quotes the URL, and the URL may hold a password.
        raise ConfigurationError(invalid={"DATABASE_URL": "not a database URL"}) from None


def _installed(preferred: str, other: str) -> str:
    return preferred if find_spec(preferred) is not None or find_spec(other) is None else other


def _is_pooled(url: sa.URL) -> bool:
    """Tell whether a PgBouncer in transaction mode answers there: Neon's name, a pooler's port, or a word."""
    if "-pooler." in (url.host or "") or url.port in _POOLED_PORTS:
        return True
    return str(url.query.get("pgbouncer", "")).lower() == "true"


def _postgresql(url: sa.URL, driver: str, *, pooled: bool) -> tuple[sa.URL, dict[str, Any]]:
    if driver == "asyncpg":
        connect: dict[str, Any] = {"timeout": _CONNECT_SECONDS}
        if pooled:  # a prepared statement is on another of the server's connections next time
            url = url.update_query_dict({"prepared_statement_cache_size": "0"})
            connect |= {"statement_cache_size": 0, "prepared_statement_name_func": str}
        return url, connect
    connect = {"connect_timeout": _CONNECT_SECONDS}
    if driver == "psycopg" and pooled:
        connect |= {"prepare_threshold": None}
    return url, connect


def _libsql(url: sa.URL) -> sa.URL:
    """Return it with the token where passwords are: nothing prints those."""
    libsql.register()
    token = url.query.get("authToken")
    url = url.difference_update_query(["authToken"]).set(drivername="sqlite+libsql")
    return url.set(password=str(token)) if token else url


def _mysql(url: sa.URL) -> tuple[sa.URL, dict[str, Any]]:
    # TRADITIONAL: refuse what does not fit. A server may be set up to cut it, and to say nothing.
    connect: dict[str, Any] = {"connect_timeout": _CONNECT_SECONDS, "sql_mode": "TRADITIONAL"}
    verified = _mysql_tls(url)
    if verified is not None and "ssl_ca" not in url.query:
        connect["ssl"] = _encrypted(verified=verified)
    return url.difference_update_query(_MYSQL_TLS), connect


def _mysql_tls(url: sa.URL) -> bool | None:
    """Tell what the URL asks for: encryption with a verified server, encryption alone, or neither.

    Every console has its own words: MySQL's ``ssl-mode=REQUIRED``, Prisma's ``sslaccept=strict``,
    Node's ``ssl={"rejectUnauthorized":true}``. PlanetScale takes nothing unencrypted.
    """
    query: Mapping[str, Any] = url.query
    word = next((str(query[name]).lower() for name in _MYSQL_TLS if name in query), None)
    if word is None:
        return True if (url.host or "").endswith(_PLANETSCALE) else None
    if word in ("disabled", "disable", "false", "0", "preferred"):
        return None
    if word.startswith("{"):
        try:
            return bool(json.loads(word).get("rejectunauthorized", True))
        except ValueError:
            return True
    return word not in ("required", "require", "accept_invalid_certs")


def _encrypted(*, verified: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verified:  # what the URL's word means to every MySQL client
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
