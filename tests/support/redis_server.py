"""Fixture: a Redis of this test's own, on a socket nobody else knows. Imported by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bridge_payments.testing.servers.private import PrivateServer, private_folder

__all__ = ["PrivateRedis", "redis_server"]


class PrivateRedis:
    """A server that can be stopped and started again; it keeps nothing on disk."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self._binary = binary
        self._socket = folder / "redis.sock"
        self._process = PrivateServer(folder, root=True)

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    def start(self) -> None:
        options = ["--port", "0", "--unixsocket", "redis.sock", "--save", "", "--appendonly", "no"]
        self._process.start(self._binary, *options)
        self._process.wait_until(self._socket.exists)

    def frozen(self) -> AbstractContextManager[None]:
        """It is there and says nothing."""
        return self._process.frozen()

    def stop(self) -> None:
        self._process.stop()
        self._socket.unlink(missing_ok=True)


@pytest.fixture
def redis_server(require: Callable[[str], Path]) -> Iterator[PrivateRedis]:
    # A socket's path has at most 107 bytes: not under the tests' own folder.
    with private_folder("bridge-redis-") as folder:
        server = PrivateRedis(require("redis"), folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
