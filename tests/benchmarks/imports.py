"""What importing this package costs, beside what it keeps away: medians of fresh processes."""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys
from pathlib import Path

NAMES = ("bridge_payments", "stripe", "pydantic", "sqlalchemy", "httpx")
ROUNDS = 7
HERE = str(Path(__file__).parent)
PROGRAM = """
import sys, time
sys.path.insert(0, {here!r})
from memory import resident
modules, mebibytes, start = len(sys.modules), resident(), time.perf_counter()
import {name}
seconds = time.perf_counter() - start
print(seconds * 1000, resident() - mebibytes, len(sys.modules) - modules)
"""


def measure(name: str) -> list[float]:
    """Return milliseconds, MiB and loaded modules."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(name=name, here=HERE)],
        check=True,
        capture_output=True,
        text=True,
    )
    return [float(figure) for figure in done.stdout.split()]


def measured(rounds: int) -> dict[str, list[float]]:
    """Return the medians by name: milliseconds, MiB and loaded modules."""
    names = [name for name in NAMES if importlib.util.find_spec(name)]
    # Taken in turns, so that a busy minute of the machine falls on all of them.
    turns = [{name: measure(name) for name in names} for _ in range(rounds)]
    return {name: [statistics.median(turn[name][n] for turn in turns) for n in range(3)] for name in names}


def main() -> None:
    print(f"{'import':<16} {'ms':>7} {'MiB':>6} {'modules':>8}")
    for name, (milliseconds, mebibytes, modules) in measured(ROUNDS).items():
        print(f"{name:<16} {milliseconds:7.1f} {mebibytes:6.1f} {modules:8.0f}")


if __name__ == "__main__":
    main()
