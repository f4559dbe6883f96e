"""
Does what docs/quickstart.md says, and nothing else, in an empty folder: its commands, its files, in order.

Prints how long each step took. Two things differ from a reader's: `BRIDGE` is this clone, and the port is
one that is free here.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "quickstart.md"
TEN_MINUTES = 600


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bridge-quickstart-") as folder:
        home = Path(folder)
        began = time.monotonic()
        try:
            steps(home)
            check(home)
        finally:
            for pid in home.glob("*.pid"):
                os.kill(int(pid.read_text()), signal.SIGTERM)
        total = time.monotonic() - began
        print(f"{total:6.1f} s  from nothing to a paid payment")
        assert total < TEN_MINUTES


def steps(home: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    (home / "env").write_text(f"export BRIDGE={ROOT}\n")
    for title, body in re.findall(
        r"^## \d+\. (.+?)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL
    ):
        began = time.monotonic()
        for language, block in re.findall(r"^```(\w+)\n(.*?)^```", body, re.MULTILINE | re.DOTALL):
            if language == "python":
                [name] = re.findall(r"Save this as `([\w.]+)`", body)
                (home / name).write_text(block)
            else:
                run(home, block.replace("8000", port))
        print(f"{time.monotonic() - began:6.1f} s  {title}", flush=True)


def run(home: Path, block: str) -> None:
    """Run a block as the same shell would: its variables are kept for the next one."""
    script = f"""set -e
. ./env
[ ! -e .venv/bin/activate ] || . .venv/bin/activate
{block}
[ -z "$!" ] || echo $! > server.pid
export -p > env
[ -z "$ID" ] || echo "export ID=$ID" >> env
"""
    log = home / "log"
    with log.open("a") as lines:
        done = subprocess.run(
            ["bash", "-c", script], cwd=home, stdout=lines, stderr=lines, check=False, timeout=TEN_MINUTES
        )
    if done.returncode:
        sys.exit(f"{log.read_text()}\nthis failed:\n{block}")


def check(home: Path) -> None:
    """What the page says that its reader sees."""
    assert json.loads((home / "payment.json").read_text())["data"]["total_cents"] == 2000
    assert json.loads((home / "paid.json").read_text())["data"]["status"] == "succeeded"
    until = time.monotonic() + 60
    while "paid: order-1" not in (home / "log").read_text():
        assert time.monotonic() < until, (home / "log").read_text()
        time.sleep(0.2)


if __name__ == "__main__":
    main()
