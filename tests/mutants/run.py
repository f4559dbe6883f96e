"""
Does a test notice? Each fault of `faults.py` is put into a copy of the tree, alone, and the tests must fail.

    python tests/mutants/run.py                 all of them, two at a time
    python tests/mutants/run.py yen engine/     those with one of these words in their names or files

A survivor is a fault that nobody would have noticed. A change that no longer fits the code is an error, too.
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from faults import FAULTS, Fault

ROOT = Path(__file__).parents[2]
AT_ONCE = 2
SECONDS = 180


class Verdict(NamedTuple):
    fault: Fault
    word: str
    """``killed``, ``SURVIVED`` or ``BROKEN``."""
    by: str
    seconds: float


def copy_of_the_tree(into: Path) -> Path:
    for name in (
        "bridge_payments",
        "tests",
        "examples",
        "docs",
        "pyproject.toml",
        "README.md",
        "CHANGELOG.md",
    ):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, into / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, into / name)
    return into


def run(tree: Path, tests: Iterable[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *tests],
        check=False,
        capture_output=True,
        text=True,
        cwd=tree,
        timeout=SECONDS,
        # Before the installed package, which may be a link to the tree that this is a copy of.
        env={
            **os.environ,
            "PYTHONPATH": str(tree),
            "PYTHONDONTWRITEBYTECODE": "1",
            "BRIDGE_SPECS": "",  # to judge every exchange by its schema takes most of the time
        },
    )


def judged(fault: Fault, tree: Path) -> Verdict:
    file = tree / "bridge_payments" / fault.file
    original = file.read_text()
    began = time.monotonic()
    if original.count(fault.old) != 1:
        return Verdict(fault, "BROKEN", f"its text is {original.count(fault.old)} times in {fault.file}", 0)
    file.write_text(original.replace(fault.old, fault.new))
    try:
        compile(file.read_text(), fault.file, "exec")
        done = run(tree, fault.tests)
    except SyntaxError as error:
        return Verdict(fault, "BROKEN", str(error), 0)
    except subprocess.TimeoutExpired:
        return Verdict(fault, "killed", f"nothing came to an end within {SECONDS} s", SECONDS)
    finally:
        file.write_text(original)
    took = time.monotonic() - began
    if done.returncode == 0:
        return Verdict(fault, "SURVIVED", " ".join(fault.tests), took)
    noticed = [
        line.split(" ", 1)[1]
        for line in done.stdout.splitlines()
        if line.startswith(("FAILED tests", "ERROR tests"))
    ]
    if done.returncode != 1 or not noticed:
        return Verdict(
            fault, "BROKEN", f"the tests did not run: {done.stdout[-300:]}{done.stderr[-300:]}", took
        )
    return Verdict(fault, "killed", noticed[0].split("::", 1)[-1].split(" - ")[0], took)


def main(words: Sequence[str]) -> int:
    chosen = [
        fault for fault in FAULTS if not words or any(word in f"{fault.file}: {fault.name}" for word in words)
    ]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bridge-mutants-") as folder:
        trees: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(AT_ONCE):
            trees.put(copy_of_the_tree(Path(folder) / str(number)))
        for tests in dict.fromkeys(fault.tests for fault in chosen):
            tree = trees.get()
            sound = run(tree, tests)
            trees.put(tree)
            if sound.returncode != 0:
                print(f"without any fault, {' '.join(tests)} does not pass:\n{sound.stdout[-3000:]}")
                return 2

        def one(fault: Fault) -> Verdict:
            tree = trees.get()
            try:
                return judged(fault, tree)
            finally:
                trees.put(tree)

        verdicts: list[Verdict] = []
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for verdict in pool.map(one, chosen):
                verdicts.append(verdict)
                print(
                    f"{verdict.word:8}  {verdict.seconds:4.0f} s  {verdict.fault.name}  <- {verdict.by}",
                    flush=True,
                )
    left = [verdict for verdict in verdicts if verdict.word != "killed"]
    took = time.monotonic() - began
    print(f"\n{len(verdicts) - len(left)} of {len(verdicts)} faults noticed in {took:.0f} seconds")
    for verdict in left:
        print(f"{verdict.word}: {verdict.fault.file}: {verdict.fault.name} ({verdict.by})")
    return 1 if left or not verdicts else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
