"""One server process in a folder of its own, ended by the handle that started it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

__all__ = ["PrivateServer", "ServerMissing", "free_port", "private_folder"]

START_SECONDS: Final = 60
_MOURNER: Final = Path(__file__).with_name("mourner.py")


class ServerMissing(Exception):
    """A server is not installed here; the message names the command that brings it."""


@contextmanager
def private_folder(prefix: str) -> Iterator[Path]:
    """Lend a folder that a server may own; short, because a socket's path has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
        yield Path(name)


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class PrivateServer:
    """Runs commands in *folder*, never as root, and one of them until `stop`."""

    def __init__(
        self,
        folder: Path,
        *,
        user: str = "nobody",
        root: bool = False,
        gentle: signal.Signals = signal.SIGTERM,
    ) -> None:
        """*user* is whom to be instead of root, where there is one; *root* if the server does not mind.

        *gentle* is the signal at which it ends whatever its clients do.
        """
        self.folder = folder
        self.log: Path = folder / "log"
        self._options: dict[str, Any] = {
            "cwd": folder,
            "stdin": subprocess.DEVNULL,
            "env": {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "HOME": str(folder)},
        }
        self._gentle = gentle
        self._process: subprocess.Popen[bytes] | None = None
        self._mourner: subprocess.Popen[bytes] | None = None
        self._command: Sequence[str | Path] = ()
        if os.geteuid() == 0 and not root:
            uid, gid = _unprivileged(user)
            os.chown(folder, uid, gid)
            self._options |= {"user": uid, "group": gid, "extra_groups": []}

    def prepare(self, *command: str | Path) -> None:
        """Run *command* to its end. Raises RuntimeError with what it said when it fails."""
        done = subprocess.run(  # noqa: S603 - paths that we found ourselves
            command, check=False, capture_output=True, text=True, **self._options
        )
        if done.returncode != 0:
            raise RuntimeError(f"{Path(command[0]).name} failed: {(done.stdout + done.stderr)[-2000:]}")

    def start(self, *command: str | Path) -> None:
        """Start the server; *command* is remembered, so that `start` without one starts it again."""
        self._command = command or self._command
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                self._command,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the tests; they stop the server in their own time
                **self._options,
            )
        # Tests that are killed stop nothing. A signal at the parent's death would be Linux's alone, and comes
        # when the thread dies that started the server.
        numbers = [str(self._process.pid), str(int(self._gentle))]
        self._mourner = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", str(_MOURNER), *numbers, str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def stop(self, how: signal.Signals | None = None) -> None:
        """End the process, by force if it takes its time."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(self._gentle if how is None else how)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._dismiss()

    def _dismiss(self) -> None:
        """Let nobody wait for our end: the server has had its own."""
        mourner, self._mourner = self._mourner, None
        if mourner is not None:
            mourner.kill()  # before its input ends, at which it would remove the folder
            mourner.wait()
            assert mourner.stdin is not None
            mourner.stdin.close()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it hear and say nothing while the block lasts, as if a cable were cut."""
        if self._process is None:
            raise RuntimeError("it does not run")
        pid = self._process.pid
        os.kill(pid, signal.SIGSTOP)
        children = Path(f"/proc/{pid}/task/{pid}/children")  # PostgreSQL has one for each session
        pids = [pid, *map(int, children.read_text().split() if children.exists() else ())]
        for each in pids:
            os.kill(each, signal.SIGSTOP)
        try:
            yield
        finally:
            for each in pids:
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGCONT)

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.stop(signal.SIGKILL)

    def wait_until(self, answers: Callable[[], bool]) -> None:
        """Return when *answers* does; raises RuntimeError with the end of the log when it never will."""
        end = time.monotonic() + START_SECONDS
        while not answers():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > end:
                raise RuntimeError(f"the server did not start: {self.log.read_text()[-2000:]}")
            time.sleep(0.02)


def _unprivileged(wanted: str) -> tuple[int, int]:
    import pwd  # not on Windows, where nobody is root

    for name in (wanted, "nobody"):
        try:
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
        except KeyError:
            continue
    raise ServerMissing(f"root may not run this server, and there is no user `{wanted}` or `nobody`")
