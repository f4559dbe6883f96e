"""What importing this package costs, beside what it keeps away: medians of fresh processes."""

from __future__ import annotations

import importlib.util
import json
import statistics
import subprocess
import sys

NAMES = ("bridge_payments", "stripe", "pydantic", "sqlalchemy", "httpx")
ROUNDS = 7
PROGRAM = """
import json, resource, sys, time
memory = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
modules, mebibytes, start = len(sys.modules), memory(), time.perf_counter()
import {name}
seconds = time.perf_counter() - start
print(json.dumps([seconds * 1000, memory() - mebibytes, len(sys.modules) - modules]))
"""


def measure(name: str) -> list[float]:
    """Return milliseconds, MiB and loaded modules."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(name=name)], check=True, capture_output=True, text=True
    )
    figures: list[float] = json.loads(done.stdout)
    return figures


def main() -> None:
    names = [name for name in NAMES if importlib.util.find_spec(name)]
    # Taken in turns, so that a busy minute of the machine falls on all of them.
    rounds = [{name: measure(name) for name in names} for _ in range(ROUNDS)]
    print(f"{'import':<16} {'ms':>7} {'MiB':>6} {'modules':>8}")
    for name in names:
        milliseconds, mebibytes, modules = map(
            statistics.median, zip(*(turn[name] for turn in rounds), strict=True)
        )
        print(f"{name:<16} {milliseconds:7.1f} {mebibytes:6.1f} {modules:8.0f}")


if __name__ == "__main__":
    main()
