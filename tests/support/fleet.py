"""Two instances of `shopfront` and two workers on one database; each may be killed and started again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from serving import HERE, free_port, until

__all__ = ["Fleet"]

_PATIENCE = 90
_SERVE = (sys.executable, "-m", "uvicorn", "--factory", "--log-level=warning", "shopfront:starlette_app")
_WORK = (str(Path(sys.executable).with_name("bridge-payments")), "worker", "--app", "shopfront:open_bridge")


class Fleet:
    """Start and kill them by name; the block's end stops all."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.folder = folder
        self.ports = [free_port(), free_port()]
        self.commands = {
            **{f"instance-{n}": (*_SERVE, f"--port={port}") for n, port in enumerate(self.ports, 1)},
            "worker-1": _WORK,
            "worker-2": _WORK,
        }
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.workers: set[int] = set()
        """Every process that ever was a worker."""
        self._env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": str(HERE),
            "HOME": str(folder),
            "SHOP_DIARY": str(folder / "diary"),
            "INPROCESS_WORKER": "false",
            **env,
        }

    def __enter__(self) -> Self:
        with ExitStack() as started:
            started.callback(self.stop)
            for name in self.commands:
                self.start(name)
            self.wait()
            started.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait(self) -> None:
        """Block until both instances answer and both workers have begun."""
        assert until(self._are_up, _PATIENCE), self.log()

    def start(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                self.commands[name],
                cwd=self.folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.running[name] = process
        if name.startswith("worker"):
            self.workers.add(process.pid)

    def kill(self, name: str) -> None:
        """End one as a power cut does. It has to be alive: whoever died by itself did so with an error."""
        assert self.running[name].poll() is None, self.log()
        self.running[name].send_signal(signal.SIGKILL)
        self.running[name].wait()

    def stop(self) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
                continue
            process.kill()
            process.wait()

    def diary(self) -> list[dict[str, Any]]:
        """What the shop's own handler was told, in any process; a line that a death cut off is no line."""
        path = self.folder / "diary"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def log(self) -> str:
        return "\n".join(f"{path.name}:\n{path.read_text()}" for path in sorted(self.folder.glob("*.log")))

    def _are_up(self) -> bool:
        return all(map(_listens, self.ports)) and all(
            "working;" in (self.folder / f"{name}.log").read_text() for name in ("worker-1", "worker-2")
        )


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
