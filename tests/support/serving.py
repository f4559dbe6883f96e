"""Run `shopfront` in a server process of its own, ask it over HTTP, and stop it as an operator does."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hosts import PREFIX

__all__ = ["Answered", "Server", "serve", "until"]

HERE = Path(__file__).parent
_PATIENCE = 30.0


class Answered(NamedTuple):
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A running server and what it leaves behind."""

    port: int
    process: subprocess.Popen[bytes]
    folder: Path

    def ask(
        self, method: str, path: str, body: object = None, /, *, root: bool = False, **headers: str
    ) -> Answered:
        """Ask once, on a connection of its own; *root*: outside the payment prefix."""
        content = b"" if body is None else json.dumps(body).encode()
        sent = {"content-type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path if root else PREFIX + path, content, sent)
            answer = connection.getresponse()
            return Answered(answer.status, answer.read())

    def diary(self) -> list[dict[str, Any]]:
        """What the shop's own handler was told, in any process."""
        path = self.folder / "diary"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def children(self) -> set[int]:
        """The worker processes, by the system's own list."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return {int(pid) for pid in found.split()}

    def stop(self) -> int:
        """Stop gracefully and return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_PATIENCE)


def until(holds: Callable[[], object], seconds: float = 20) -> bool:
    """Look until something holds; return whether it did."""
    end = time.monotonic() + seconds
    while not (held := bool(holds())) and time.monotonic() < end:
        time.sleep(0.05)
    return held


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextlib.contextmanager
def serve(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> Iterator[Server]:
    """Run ``python -m`` *command*, in which ``{port}`` is replaced, until the block ends."""
    port = free_port()
    arguments = [sys.executable, "-m", *(part.format(port=port) for part in command)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            arguments,
            cwd=folder,
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "PYTHONPATH": str(HERE),
                "HOME": str(folder),  # where gunicorn leaves its control socket
                "SHOP_DIARY": str(folder / "diary"),
                **env,
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(port, process, folder)
    try:
        _wait_for(server)
        yield server
    finally:
        try:
            server.stop()
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(server: Server) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and server.process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"the server did not start:\n{server.log()}")
