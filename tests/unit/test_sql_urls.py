"""One URL as a console prints it: each word becomes what its driver takes, or is refused by its name."""

from __future__ import annotations

import inspect
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncmy
import asyncpg
import psycopg.conninfo
import pymysql
import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bridge_payments.errors import ConfigurationError
from bridge_payments.stores.sql import SQLStore
from bridge_payments.stores.sql.engines import lane_for
from bridge_payments.stores.sql.urls import normal_url, preset

DRIVERS: dict[str, Callable[..., object]] = {
    "postgresql+asyncpg": inspect.signature(asyncpg.connect).bind,
    "postgresql+psycopg": lambda prepare_threshold=None, **words: psycopg.conninfo.make_conninfo(**words),
    "mysql+asyncmy": inspect.signature(asyncmy.connect).bind,
    "mariadb+pymysql": inspect.signature(pymysql.connect).bind,
}
"""What each driver can be called with: raises for a word that it does not know."""
WORDS = {
    "connect_timeout": "3",
    "application_name": "shop",
    "fallback_application_name": "shop",
    "options": "-csearch_path=shop",
    "sslmode": "require",
    "ssl": "true",
    "ssl-mode": "REQUIRED",
    "sslaccept": "strict",
    "sslrootcert": "AUTHORITY",
    "sslcert": "AUTHORITY",
    "sslkey": "AUTHORITY",
    "sslpassword": "hunter2",
    "sslnegotiation": "direct",
    "ssl_ca": "AUTHORITY",
    "ssl-ca": "AUTHORITY",
    "ssl_check_hostname": "false",
    "tls": "skip-verify",
    "connection_limit": "3",
    "pool_timeout": "5",
    "pgbouncer": "true",
    "channel_binding": "require",
    "target_session_attrs": "read-write",
    "keepalives_idle": "30",
    "gssencmode": "prefer",
    "client_encoding": "utf8",
    "charset": "utf8mb4",
    "schema": "public",
    "socket": "/run/mysqld.sock",
    "read_timeout": "20",
    "command_timeout": "20",
    "statement_cache_size": "50",
    "serverTimezone": "UTC",
    "hunter2": "hunter2",
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that signed itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "an authority")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    form = serialization.PrivateFormat.PKCS8
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


def called_with(given: str | sa.URL, **how: Any) -> dict[str, Any]:
    """What SQLAlchemy calls the driver of *given* with."""
    url, options = preset(normal_url(given), **how)
    _, words = url.get_dialect()().create_connect_args(url)
    return {**words, **options["connect_args"]}


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("driver", DRIVERS)
def test_every_word_becomes_what_its_driver_knows_or_is_refused_by_name(
    driver: str, word: str, authority: Path
) -> None:
    value = WORDS[word].replace("AUTHORITY", str(authority))
    url = sa.make_url(f"{driver}://u:p@h/db").update_query_dict({word: value})
    refused, words = "", {}
    try:
        words = called_with(url)
    except ConfigurationError as refusal:
        refused = str(refusal)
    if refused:
        assert f"{word} in it" in refused
        assert value not in refused.replace(word, "")
        return
    for name in ("prepared_statement_cache_size", "prepared_statement_name_func"):
        words.pop(name, None)  # SQLAlchemy's own
    DRIVERS[driver](**words)


def test_words_of_postgresql_become_what_asyncpg_calls_them(authority: Path) -> None:
    words = called_with(
        "postgresql+asyncpg://u@h/db?connect_timeout=3&application_name=shop&options=-csearch_path%3Dshop"
        f"&sslmode=verify-ca&sslrootcert={authority}&target_session_attrs=read-write"
    )
    assert words["timeout"] == 3
    assert words["server_settings"] == {"application_name": "shop", "options": "-csearch_path=shop"}
    assert words["ssl"] == "verify-ca"
    assert "target_session_attrs=read-write" in words["dsn"]
    assert "sslrootcert=" in words["dsn"]


def test_psycopg_hears_what_the_url_says_of_its_patience() -> None:
    assert called_with("postgresql+psycopg://u@h/db?connect_timeout=3")["connect_timeout"] == 3
    assert called_with("postgresql+psycopg://u@h/db")["connect_timeout"] == 10


def test_a_known_authority_is_asked_where_the_url_says_so() -> None:
    """As PlanetScale prints it for PostgreSQL; libpq has had the word since 16, asyncpg has it not."""
    printed = "?sslmode=verify-full&sslrootcert=system&sslnegotiation=direct"
    for query in (printed, "?sslrootcert=system"):
        words = called_with(f"postgresql+asyncpg://u:p@x.horizon.psdb.cloud:6432/postgres{query}")
        assert words["ssl"].verify_mode is ssl.CERT_REQUIRED
        assert words["ssl"].check_hostname
        assert words["statement_cache_size"] == 0
    kept = called_with(f"postgresql+psycopg://u:p@x.horizon.psdb.cloud:5432/postgres{printed}")
    assert (kept["sslmode"], kept["sslrootcert"]) == ("verify-full", "system")
    with pytest.raises(ConfigurationError, match="sslrootcert"):
        called_with("postgresql+asyncpg://u:p@h/db?sslmode=require&sslrootcert=system")


@pytest.mark.parametrize(
    ("query", "verified", "named"),
    [
        ("ssl_ca={}", True, True),
        ("sslrootcert={}", True, True),
        ("ssl-mode=REQUIRED&ssl-ca={}", True, False),
        ("ssl-mode=VERIFY_CA&ssl-ca={}", True, False),
        ("ssl_ca={}&ssl_check_hostname=false", True, False),
        ("ssl-mode=REQUIRED", False, False),
        ("tls=skip-verify", False, False),
        ("tls=true", True, True),
    ],
)
def test_mysql_is_verified_as_far_as_the_url_says(
    query: str, verified: bool, named: bool, authority: Path
) -> None:
    for driver in ("mysql+asyncmy", "mariadb+pymysql"):
        context = called_with(f"{driver}://u@h/db?{query.format(authority)}")["ssl"]
        assert (context.verify_mode is ssl.CERT_REQUIRED, context.check_hostname) == (verified, named)
        if "{}" in query:
            assert len(context.get_ca_certs()) == 1, "no other authority than the one that is named"


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:p@aws.connect.psdb.cloud/db?ssl-mode=DISABLED",
        "mysql://u:p@aws.connect.psdb.cloud/db?ssl=false",
        "mysql://u:p@aws.connect.psdb.cloud/db?sslmode=preferred",
        "mysql+pymysql://u:p@AWS.connect.psdb.cloud./db?tls=0",
        "postgresql://u:p@x.horizon.psdb.cloud/db?sslmode=disable",
        "postgresql://u:p@x.horizon.psdb.cloud/db?sslmode=prefer",
        "postgresql+psycopg://u:p@ep-1.eu.aws.neon.tech/db?sslmode=allow",
        "postgresql://u:p@ep-1-pooler.eu.aws.neon.tech/db?ssl=false",
    ],
)
def test_a_host_that_takes_nothing_unencrypted_is_never_asked_to(url: str) -> None:
    with pytest.raises(ConfigurationError, match="nothing unencrypted"):
        SQLStore(url)


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_such_a_host_is_encrypted_where_the_url_says_nothing(driver: str) -> None:
    words = called_with(f"postgresql+{driver}://u:p@ep-1.eu.aws.neon.tech/db")
    assert (words.get("ssl") or words.get("sslmode")) == "require"
    plain = called_with(f"postgresql+{driver}://u:p@db.example/db")
    assert (plain.get("ssl") or plain.get("sslmode")) is None


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("postgresql://u@h/db?connect_timeout=soon", "connect_timeout"),
        ("postgresql://u@h/db?connect_timeout=0", "connect_timeout"),
        ("mysql://u@h/db?connection_limit=-1", "connection_limit"),
        ("postgresql://u@h/db?sslmode=sometimes", "sslmode"),
        ("postgresql://u@h/db?sslrootcert=/nowhere.pem", "sslrootcert"),
        ("mysql://u@h/db?ssl_ca=/nowhere.pem", "ssl_ca"),
        ("mysql://u@h/db?ssl-mode=SOMETIMES", "ssl-mode"),
        ("mysql://u@h/db?charset=latin1", "charset"),
        ("mysql://u@h/db?serverTimezone=UTC", "serverTimezone"),
        ("postgresql://u@h/db?schema=shop", "schema"),
        ("postgresql://u@h/db?gssencmode=require", "gssencmode"),
        ("sqlite:///shop.db?mode=ro", "mode"),
        ("libsql://h?authtoken=hunter2", "authtoken"),
        ("libsql://h?hunter2%24=1", "a word"),
    ],
)
def test_what_nobody_can_do_is_refused_before_anybody_connects(url: str, word: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        SQLStore(url)
    assert f"DATABASE_URL: {word} in it: " in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_a_file_that_is_no_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("hello")
    for query in ("ssl_ca={0}", "ssl_ca={0}&ssl_cert={0}&ssl_key={0}"):
        with pytest.raises(ConfigurationError, match="ssl_ca in it"):
            SQLStore(f"mysql://u@h/db?{query.format(tmp_path / 'ca.pem')}")


def test_the_url_says_how_many_connections_there_are() -> None:
    for url in ("postgresql://u@h/db?{}", "mysql+pymysql://u@h/db?{}", "libsql://h?{}"):
        _, options = preset(normal_url(url.format("connection_limit=3&pool_timeout=7")), connections=10)
        assert (options["pool_size"], options["pool_timeout"]) == (3, 7)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("libsql://h", "https://h"),
        ("libsql://127.0.0.1:8080?tls=0", "http://127.0.0.1:8080"),
        ("libsql+https://h", "https://h"),
        ("libsql+http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("sqlite+libsql://h?secure=true", "https://h"),
        ("sqlite+libsql://h?secure=false", "http://h"),
    ],
)
def test_libsql_has_several_names(given: str, address: str) -> None:
    url, _ = preset(normal_url(f"{given}{'&' if '?' in given else '?'}authToken=t0ken"))
    _, words = url.get_dialect()().create_connect_args(url)
    assert words == {"url": address, "token": "t0ken"}


@pytest.mark.parametrize("scheme", ["libsql+wss", "mysql+nothing", "mongodb", "postgresql+https"])
def test_a_scheme_that_is_none_is_named(scheme: str) -> None:
    with pytest.raises(ConfigurationError, match=f"no database is {scheme}".replace("+", r"\+")):
        lane_for(f"{scheme}://u:hunter2@h/db")


def test_a_driver_that_nobody_can_interrupt_gives_up_by_itself() -> None:
    def told(url: str) -> dict[str, Any]:
        _, options = preset(sa.make_url(url))
        connect: dict[str, Any] = options["connect_args"]
        return {name: connect[name] for name in ("read_timeout", "write_timeout") if name in connect}

    assert told("mysql+pymysql://u@h/db") == {"read_timeout": 30, "write_timeout": 30}
    assert told("mysql+pymysql://u@h/db?read_timeout=7") == {"read_timeout": 7, "write_timeout": 30}
    assert told("mysql+asyncmy://u@h/db") == {}
