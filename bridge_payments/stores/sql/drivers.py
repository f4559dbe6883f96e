"""What the words of a URL become for each driver: one URL as a console prints it, whoever takes it."""

from __future__ import annotations

import json
import ssl
from typing import Any, Final
from urllib.parse import urlencode

import sqlalchemy as sa

from .words import Words, unfit

__all__ = ["MYSQL_TLS", "SILENCE", "connect_args", "only_encrypted", "read_by_sqlite"]

_CONNECT_SECONDS: Final = 10
_SILENT_SECONDS: Final = 30
"""As long as a unit of work may take where it can be interrupted."""
SILENCE: Final = ("read_timeout", "write_timeout")
"""For how long a blocking driver of MySQL waits for one answer, or for one question to be taken."""
_ENCRYPTED: Final = (".psdb.cloud", ".planetscale.com", ".neon.tech")
"""Whose hosts take nothing unencrypted: a URL that asks for it is a mistake, and never a fallback."""

_SSLMODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_TO_ASYNCPG: Final = (
    "sslpassword",
    "sslnegotiation",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "target_session_attrs",
    "krbsrvname",
    "gsslib",
    "service",
)
"""libpq's words that asyncpg reads from a URL of its own, and only there."""
_TO_LIBPQ: Final = (
    *("host", "hostaddr", "port", "passfile", "service", "require_auth", "requirepeer", "channel_binding"),
    *("client_encoding", "options", "application_name", "fallback_application_name"),
    *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"),
    *("sslnegotiation", "sslcompression", "sslcertmode", "sslpassword", "sslcrldir", "sslsni"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "min_protocol_version", "max_protocol_version"),
    *("gssencmode", "krbsrvname", "gsslib", "gssdelegation", "target_session_attrs", "load_balance_hosts"),
)
_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")

MYSQL_TLS: Final = ("sslaccept", "ssl-mode", "ssl_mode", "sslmode", "ssl", "tls")
_OFF, _ENCRYPT, _AUTHORITY, _IDENTITY = range(4)
_LEVELS: Final = {
    _OFF: ("disabled", "disable", "false", "0", "off", "preferred", "prefer", "allow"),
    _ENCRYPT: ("required", "require", "accept_invalid_certs", "skip-verify"),
    _AUTHORITY: ("verify_ca", "verify-ca"),
    _IDENTITY: ("verify_identity", "verify-full", "verify_full", "strict", "true", "1", "on"),
}


def connect_args(words: Words, url: sa.URL, *, pooled: bool) -> dict[str, Any]:
    """Return what the driver of *url* is to be called with; reads every one of its words or refuses it."""
    driver = url.get_driver_name()
    if url.get_backend_name() in ("mysql", "mariadb"):
        connect = _mysql(words, url)
    else:
        words.drop("schema", "public", why="say options=-csearch_path=… instead")
        words.take("supa")  # Supabase counts by it from where its URLs were copied
        match driver:
            case "asyncpg":
                connect = _asyncpg(words, url, pooled=pooled)
            case "psycopg":
                connect = _psycopg(words, url, pooled=pooled)
            case _:
                connect = {"connect_timeout": words.number("connect_timeout") or _CONNECT_SECONDS}
                words.keep_all()
    words.finish(driver)
    return connect


def only_encrypted(url: sa.URL) -> bool:
    """Tell whether that host takes nothing unencrypted."""
    return (url.host or "").lower().rstrip(".").endswith(_ENCRYPTED)


def read_by_sqlite(url: sa.URL) -> None:
    """Refuse a word that SQLite would overlook; with ``uri=true`` SQLite reads all of them itself."""
    words = Words(url)
    if not words.flag("uri"):
        words.keep(("timeout", "isolation_level", "detect_types", "check_same_thread", "cached_statements"))
        words.finish("sqlite")


# --- PostgreSQL -----------------------------------------------------------------------------------


def _asyncpg(words: Words, url: sa.URL, *, pooled: bool) -> dict[str, Any]:
    connect: dict[str, Any] = {"timeout": words.number("connect_timeout", "timeout") or _CONNECT_SECONDS}
    for name in ("command_timeout", "max_cached_statement_lifetime", "max_cacheable_statement_size"):
        if (number := words.number(name)) is not None:
            connect[name] = number
    # It binds no channel, speaks UTF-8 and encrypts with TLS alone.
    words.take("channel_binding")
    words.drop("client_encoding", "utf8", "utf-8", why="utf8, which it is anyway")
    words.drop("gssencmode", "disable", "prefer", why="asyncpg encrypts with TLS alone")
    if server := _server_settings(words):
        connect["server_settings"] = server
    mode, of_system = _sslmode(words, url), words.take("sslrootcert") if _by_system(words) else None
    files = {name: path for name in _FILES if (path := words.file(name)) is not None}
    if of_system:
        connect["ssl"] = _by_known_authorities(mode, files)
    elif mode is not None:
        connect["ssl"] = mode
    told = files | {name: text for name in _TO_ASYNCPG if (text := words.take(name)) is not None}
    if told:
        connect["dsn"] = f"postgresql://?{urlencode(told)}"
    words.keep(("host", "port", "prepared_statement_cache_size"))
    if pooled:  # a prepared statement is on another of the server's connections next time
        words.kept["prepared_statement_cache_size"] = "0"
        connect |= {"statement_cache_size": 0, "prepared_statement_name_func": str}
    if (number := words.number("statement_cache_size")) is not None:
        connect.setdefault("statement_cache_size", number)
    return connect


def _server_settings(words: Words) -> dict[str, str]:
    fallback = words.take("fallback_application_name")
    told = {"application_name": words.take("application_name") or fallback, "options": words.take("options")}
    return {name: text for name, text in told.items() if text}


def _psycopg(words: Words, url: sa.URL, *, pooled: bool) -> dict[str, Any]:
    connect: dict[str, Any] = {"connect_timeout": words.number("connect_timeout") or _CONNECT_SECONDS}
    if pooled:
        connect |= {"prepare_threshold": None}
    if (mode := _sslmode(words, url)) is not None:
        words.kept["sslmode"] = mode
    if _by_system(words):
        words.keep(["sslrootcert"])
    words.kept |= {name: path for name in _FILES if (path := words.file(name)) is not None}
    words.keep(_TO_LIBPQ)
    return connect


def _sslmode(words: Words, url: sa.URL) -> str | None:
    """Return libpq's word for how the connection is encrypted; None leaves it to the driver."""
    name, mode = words.first("sslmode", "ssl")
    if mode is None:
        return "require" if only_encrypted(url) and not _by_system(words) else None
    mode = {"true": "require", "1": "require", "false": "disable", "0": "disable"}.get(mode.lower(), mode)
    if mode not in _SSLMODES:
        raise unfit(name, f"one of {', '.join(_SSLMODES)}")
    if only_encrypted(url) and _SSLMODES.index(mode) < _SSLMODES.index("require"):
        raise unfit(name, "this host takes nothing unencrypted")
    return mode


def _by_system(words: Words) -> bool:
    return words.says("sslrootcert") == "system"


def _by_known_authorities(mode: str | None, files: dict[str, str]) -> ssl.SSLContext:
    """Return libpq's ``sslrootcert=system``, which asyncpg does not know; it takes the host's name along."""
    if mode not in (None, "verify-full"):
        raise unfit("sslrootcert", "system goes with sslmode=verify-full alone")
    context = ssl.create_default_context()
    context.set_alpn_protocols(["postgresql"])
    if "sslcert" in files:
        _own_certificate(context, "sslcert", files.pop("sslcert"), files.pop("sslkey", None))
    return context


# --- MySQL and MariaDB ----------------------------------------------------------------------------


def _mysql(words: Words, url: sa.URL) -> dict[str, Any]:
    # TRADITIONAL: refuse what does not fit. A server may be set up to cut it, and to say nothing.
    connect: dict[str, Any] = {
        "connect_timeout": words.number("connect_timeout") or _CONNECT_SECONDS,
        "sql_mode": "TRADITIONAL",
    }
    driver = url.get_driver_name()
    words.drop("charset", "utf8mb4", why="utf8mb4, which it is anyway")
    for name in ("sslcert", "sslidentity"):
        words.drop(name, why="say ssl_ca for the authority's file, ssl_cert and ssl_key for yours")
    context = _mysql_tls(words, url)
    if context is not None:
        connect["ssl"] = context
    for name in ("read_timeout",) if driver == "asyncmy" else SILENCE:
        if (number := words.number(name)) is not None:
            connect[name] = number
        elif driver in ("pymysql", "mysqldb"):  # nobody outside can interrupt them
            connect[name] = _SILENT_SECONDS
    told = {
        "unix_socket": words.take("unix_socket", "socket"),
        "program_name": words.take("program_name", "application_name"),
        "init_command": words.take("init_command"),
    }
    connect |= {name: text for name, text in told.items() if text}
    if driver not in ("asyncmy", "pymysql"):
        words.keep_all()
    return connect


def _mysql_tls(words: Words, url: sa.URL) -> ssl.SSLContext | None:
    """Return what the URL asks for: a verified server, encryption alone, or neither.

    Every console has its own words: MySQL's ``ssl-mode=REQUIRED``, Prisma's ``sslaccept=strict``,
    Node's ``ssl={"rejectUnauthorized":true}``, Go's ``tls=skip-verify``.
    """
    name, word = words.first(*MYSQL_TLS)
    authority, folder = words.file("ssl_ca", "ssl-ca", "sslca", "sslrootcert"), words.file("ssl_capath")
    mine, key = words.file("ssl_cert", "ssl-cert"), words.file("ssl_key", "ssl-key")
    cipher, named = words.take("ssl_cipher", "ssl-cipher"), words.flag("ssl_check_hostname")
    if word is not None:
        level = _mysql_level(name, word.lower())
    else:
        level = _IDENTITY if only_encrypted(url) or authority or folder or mine else _OFF
    if level == _OFF:
        if only_encrypted(url):
            raise unfit(name, "this host takes nothing unencrypted")
        return None
    if authority or folder:
        level = max(level, _AUTHORITY)  # whoever names one means it
    if named is not None and level >= _AUTHORITY:
        level = _IDENTITY if named else _AUTHORITY
    try:
        context = ssl.create_default_context(cafile=authority, capath=folder)
    except ssl.SSLError:
        raise unfit("ssl_ca", "there is no certificate in it") from None
    context.check_hostname = level == _IDENTITY
    context.verify_mode = ssl.CERT_REQUIRED if level >= _AUTHORITY else ssl.CERT_NONE
    if mine:
        _own_certificate(context, "ssl_cert", mine, key)
    if cipher:
        context.set_ciphers(cipher)
    return context


def _mysql_level(name: str, word: str) -> int:
    if word.startswith("{"):
        try:
            return _IDENTITY if json.loads(word).get("rejectunauthorized", True) else _ENCRYPT
        except ValueError:  # a shell ate its quotes
            return _IDENTITY
    for level, spellings in _LEVELS.items():
        if word in spellings:
            return level
    raise unfit(name, "REQUIRED, VERIFY_CA, VERIFY_IDENTITY or DISABLED")


def _own_certificate(context: ssl.SSLContext, name: str, certificate: str, key: str | None) -> None:
    try:
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError):
        raise unfit(name, "no certificate with its key, in a form that this machine reads") from None
