"""A PgBouncer in transaction mode, before a PostgreSQL."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from .postgres import Postgres
from .private import PrivateServer, ServerMissing, free_port, private_folder

__all__ = ["pgbouncer_binary", "running_pgbouncer"]

_SETTINGS = """
[databases]
* = {upstream}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 500
server_reset_query =
server_idle_timeout = 1
ignore_startup_parameters = extra_float_digits
logfile =
"""


def pgbouncer_binary() -> Path:
    """Return the path of `pgbouncer`. Raises ServerMissing."""
    for found in (shutil.which("pgbouncer"), "/usr/sbin/pgbouncer"):
        if found and Path(found).exists():
            return Path(found)
    raise ServerMissing("no PgBouncer here: apt-get install pgbouncer")


@contextmanager
def running_pgbouncer(
    postgres: Postgres, binary: Path | None = None, *, connections: int = 3
) -> Iterator[Postgres]:
    """Run a pooler before *postgres* until the block ends; its `url_of` leads through it.

    *connections* is how many it has to the server: fewer than its clients, so that their
    transactions do land on connections that others have just used.
    """
    binary = binary or pgbouncer_binary()
    with private_folder("bridge-pgb-") as folder:
        port = free_port()
        process = PrivateServer(folder, user="postgres")
        file = folder / "pgbouncer.ini"
        upstream = _upstream(postgres.url)
        file.write_text(_SETTINGS.format(upstream=upstream, port=port, connections=connections))
        file.chmod(0o644)
        process.start(binary, file)
        try:
            process.wait_until(lambda: _listens(port))
            yield Pooled(postgres, port)
        finally:
            process.stop()


class Pooled(Postgres):
    """The databases of a server, by way of a pooler."""

    def __init__(self, behind: Postgres, port: int) -> None:
        user = urlsplit(behind.url).username or "postgres"
        super().__init__(f"postgresql://{user}@127.0.0.1:{port}/postgres", Path("psql"))
        self.behind = behind


def _upstream(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or parse_qs(parts.query).get("host", ["127.0.0.1"])[0]
    found = f"host={host} user={unquote(parts.username or 'postgres')}"
    if parts.port:
        found += f" port={parts.port}"
    return found + (f" password={unquote(parts.password)}" if parts.password else "")


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
