"""Fixture: a Redis of this test's own, on a socket nobody else knows. Imported by name."""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["PrivateRedis", "redis_server"]

_PATIENCE = 20.0


@dataclass
class PrivateRedis:
    """A server that can be stopped and started again; it keeps nothing on disk."""

    binary: Path
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.folder}/redis.sock"

    def start(self) -> None:
        options = ["--port", "0", "--unixsocket", "redis.sock", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(
            [self.binary, *options],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + _PATIENCE
        while not (self.folder / "redis.sock").exists():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("redis-server did not start")
            time.sleep(0.01)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(_PATIENCE)
            self.process = None
            (self.folder / "redis.sock").unlink(missing_ok=True)


@pytest.fixture
def redis_server(require: Callable[[str], Path]) -> Iterator[PrivateRedis]:
    # A socket's path has at most 107 bytes: not under the tests' own folder.
    with tempfile.TemporaryDirectory(prefix="bridge-redis-") as folder:
        server = PrivateRedis(require("redis"), Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
