"""What the tests promise: a missing counterpart is told or fails, and nothing leaves this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

NEEDY = "import pytest\n@pytest.mark.needs('chromium')\ndef test_the_shop() -> None: ...\n"
INSTALL = "apt-get install chromium"
SUPPORT = Path(__file__).parents[1] / "support"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A suite with one test that needs a browser, on a machine that has none."""
    tmp_path.joinpath("test_shop.py").write_text(NEEDY)
    return tmp_path


def run(suite: Path, **env: str) -> subprocess.CompletedProcess[str]:
    hidden = {"BRIDGE_CHROMIUM", "BRIDGE_REQUIRE", "BRIDGE_SKIPS"}
    quiet = {name: value for name, value in os.environ.items() if name not in hidden}
    pytest_there = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rs",
        "-p",
        "counterparts",
        "-p",
        "no:cacheprovider",
    ]
    return subprocess.run(
        [*pytest_there, "--rootdir", str(suite), str(suite)],
        env={**quiet, "PATH": str(suite), "PYTHONPATH": str(SUPPORT), **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_missing_counterpart_is_a_skip_that_says_what_to_type(elsewhere: Path) -> None:
    done = run(elsewhere)

    assert done.returncode == 0
    assert "1 skipped" in done.stdout
    assert f"needs chromium: {INSTALL}" in done.stdout


def test_a_skip_is_told_to_whoever_started_the_run(elsewhere: Path) -> None:
    told = elsewhere / "skips"

    run(elsewhere, BRIDGE_SKIPS=str(told))

    assert told.read_text() == f"chromium\t{INSTALL}\n"


def test_a_required_counterpart_that_is_missing_fails_the_run(elsewhere: Path) -> None:
    done = run(elsewhere, BRIDGE_REQUIRE="postgresql,chromium")

    assert done.returncode == 1
    assert INSTALL in done.stdout


def test_a_counterpart_that_is_there_is_used(elsewhere: Path) -> None:
    done = run(elsewhere, BRIDGE_REQUIRE="chromium", BRIDGE_CHROMIUM=sys.executable)

    assert "1 passed" in done.stdout


def test_a_test_that_leaves_this_machine_is_stopped_before_it_connects() -> None:
    with socket.socket() as outwards, pytest.raises(RuntimeError, match="loopback only"):
        outwards.connect(("192.0.2.1", 443))  # RFC 5737: nobody's address
