"""A MariaDB or a MySQL of its own for a test run."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from .private import PrivateServer, ServerMissing, free_port, private_folder

__all__ = ["MySQL", "mariadb_binary", "mysql_binary", "running_mariadb", "running_mysql"]

_FOLDERS: Final = ("/usr/sbin", "/usr/libexec", "/usr/local/sbin", "/opt/homebrew/opt/mariadb/bin")
_SETTINGS: Final = (
    "--bind-address=127.0.0.1",
    "--innodb-buffer-pool-size=64M",
    "--max-connections=200",
)


class _Kind(NamedTuple):
    scheme: str
    variable: str
    settings: Sequence[str]


_MARIADB: Final = _Kind("mariadb", "BRIDGE_MARIADB_URL", ("--skip-log-bin",))
_MYSQL: Final = _Kind(
    "mysql", "BRIDGE_MYSQL_URL", ("--skip-log-bin", "--mysqlx=OFF", "--secure-file-priv=NULL")
)


class MySQL:
    """A server, and databases on it."""

    def __init__(self, url: str, *, process: PrivateServer | None = None) -> None:
        self.url = url
        """``mysql://…`` or ``mariadb://…`` without a driver and without a database."""
        self._process = process

    @contextmanager
    def database(self) -> Iterator[str]:
        """Lend an empty database and yield its name."""
        name = f"bridge_{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE {name}")
        try:
            yield name
        finally:
            if self._process is None:
                self.execute(f"DROP DATABASE IF EXISTS {name}")

    def url_of(self, database: str, driver: str = "") -> str:
        """Return the URL of one database; *driver* is ``asyncmy`` or ``pymysql``."""
        scheme, rest = self.url.split("://", 1)
        return f"{scheme}{'+' + driver if driver else ''}://{rest.rstrip('/')}/{database}"

    def execute(self, *statements: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run statements on one connection of their own; return the rows of the last."""
        import pymysql

        parts = urlsplit(self.url)
        connection = pymysql.connect(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or 3306,
            user=unquote(parts.username or "root"),
            password=unquote(parts.password or ""),
            database=database,
            autocommit=True,
        )
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop the server; SIGKILL is a crash. Only for one that we started."""
        self._own.stop(how)

    def start(self) -> None:
        """Start it again, on its own data."""
        self._own.start()
        self._own.wait_until(self.answers)

    def frozen(self) -> AbstractContextManager[None]:
        """Let it hear and say nothing, as if a cable were cut. Only for one that we started."""
        return self._own.frozen()

    def answers(self) -> bool:
        import pymysql

        try:
            self.execute("SELECT 1")
        except pymysql.MySQLError:
            return False
        return True

    @property
    def _own(self) -> PrivateServer:
        if self._process is None:
            raise RuntimeError("this server was named by the environment: it is not ours to stop")
        return self._process


def mariadb_binary() -> Path:
    """Return the path of `mariadbd`. Raises ServerMissing."""
    for found in _candidates("mariadbd", "mysqld"):
        if "MariaDB" in _version(found):
            return found
    raise ServerMissing("no MariaDB here: apt-get install mariadb-server")


def mysql_binary() -> Path:
    """Return the path of MySQL's own `mysqld`, or what ``BRIDGE_MYSQLD`` names. Raises ServerMissing."""
    if named := os.environ.get("BRIDGE_MYSQLD"):
        return Path(named)
    for found in _candidates("mysqld"):
        if "MariaDB" not in _version(found):
            return found
    raise ServerMissing("no MySQL here: export BRIDGE_MYSQLD=<path of mysqld 8 or 9>")


@contextmanager
def running_mariadb(binary: Path | None = None, *, durable: bool = False) -> Iterator[MySQL]:
    """Run a MariaDB until the block ends, or use the one that ``BRIDGE_MARIADB_URL`` names.

    With *durable* a crash of the server costs it nothing that it confirmed.
    """
    with _running(_MARIADB, binary or mariadb_binary, durable=durable) as server:
        yield server


@contextmanager
def running_mysql(binary: Path | None = None, *, durable: bool = False) -> Iterator[MySQL]:
    """Run a MySQL until the block ends, or use the one that ``BRIDGE_MYSQL_URL`` names.

    With *durable* a crash of the server costs it nothing that it confirmed.
    """
    with _running(_MYSQL, binary or mysql_binary, durable=durable) as server:
        yield server


@contextmanager
def _running(kind: _Kind, binary: Path | Callable[[], Path], *, durable: bool) -> Iterator[MySQL]:
    if given := os.environ.get(kind.variable):
        yield MySQL(given)
        return
    path = binary() if callable(binary) else binary
    with private_folder("bridge-my-") as folder:
        process = PrivateServer(folder, user="mysql")
        # Whole paths: of what is relative, each of the two makes something else.
        data = f"--datadir={folder / 'data'}"
        if kind is _MARIADB:
            install = shutil.which("mariadb-install-db") or "mariadb-install-db"
            process.prepare(
                install, "--no-defaults", data, "--auth-root-authentication-method=normal", "--skip-test-db"
            )
        else:
            process.prepare(path, "--no-defaults", data, "--initialize-insecure")
        port = free_port()
        # Where somebody took it meanwhile, the server ends at once, and so does the run.
        own = [f"--port={port}", f"--socket={folder / 's.sock'}", f"--pid-file={folder / 'pid'}"]
        own.append(f"--innodb-flush-log-at-trx-commit={2 if durable else 0}")  # 2: written, not synced
        process.start(path, "--no-defaults", data, *own, *_SETTINGS, *kind.settings)
        server = MySQL(f"{kind.scheme}://root@127.0.0.1:{port}", process=process)
        try:
            process.wait_until(server.answers)
            yield server
        finally:
            process.stop()


def _candidates(*names: str) -> Iterator[Path]:
    for name in names:
        if found := shutil.which(name):
            yield Path(found)
        yield from (path for folder in _FOLDERS if (path := Path(folder, name)).exists())


def _version(binary: Path) -> str:
    done = subprocess.run([binary, "--version"], check=False, capture_output=True, text=True)  # noqa: S603
    return done.stdout
