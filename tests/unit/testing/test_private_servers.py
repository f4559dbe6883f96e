"""Servers of a test run end with it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its processes know no SIGKILL")

RUN = """
import sys, time
from pathlib import Path
from bridge_payments.testing.servers.private import PrivateServer

server = PrivateServer(Path(sys.argv[1]), root=True)
server.start(sys.executable, "-c", sys.argv[2])
print(server._process.pid, flush=True)
if sys.argv[3] == "stop":
    server.stop()
    assert Path(sys.argv[1]).exists()
else:
    time.sleep(600)
"""
OBEDIENT = "import time; time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def begin(folder: Path, program: str, then: str) -> tuple[subprocess.Popen[str], int]:
    folder.mkdir()
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, folder, program, then], stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    return run, int(run.stdout.readline())


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")  # where nobody inherits orphans, the dead keep their number
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def command_lines() -> Iterator[str]:
    """Of every process, where the system shows them."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ended meanwhile
            yield path.read_text()


def within_a_minute(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    "program",
    [pytest.param(OBEDIENT, id="obedient"), pytest.param(STUBBORN, id="stubborn", marks=pytest.mark.slow)],
)
def test_a_server_of_tests_that_were_killed_ends_and_its_folder_goes(tmp_path: Path, program: str) -> None:
    run, pid = begin(tmp_path / "server", program, "wait")
    try:
        assert lives(pid)
        run.send_signal(signal.SIGKILL)
        run.wait()
        within_a_minute(lambda: not lives(pid))
        within_a_minute(lambda: not (tmp_path / "server").exists())
    finally:
        run.kill()
        run.communicate()
        if lives(pid):
            os.kill(pid, signal.SIGKILL)


def test_who_stops_a_server_keeps_its_folder_and_leaves_nobody_behind(tmp_path: Path) -> None:
    run, pid = begin(tmp_path / "server", OBEDIENT, "stop")
    assert run.wait(60) == 0
    run.communicate()
    assert not lives(pid)
    assert (tmp_path / "server").exists()
    assert not any(str(tmp_path / "server") in line for line in command_lines())
