"""What the crash proof counted, for the last line of the run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from crashlab.proof import Proof
from crashlab.sites import gateways, lenders, site

__all__ = ["account", "gateways", "lenders", "pytest_terminal_summary", "site", "walks"]

_WALKS = pytest.StashKey[list[str]]()
_PROOF = pytest.StashKey[Proof]()


@pytest.fixture
def account(request: pytest.FixtureRequest) -> Proof:
    """Where everything is counted."""
    return request.config.stash.setdefault(_PROOF, Proof())


@pytest.fixture
def walks(request: pytest.FixtureRequest) -> list[str]:
    """What the explorer saw, a line for each walk."""
    return request.config.stash.setdefault(_WALKS, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(_WALKS, []):
        terminalreporter.write_line(f"explored {line}")
    proof = config.stash.get(_PROOF, None)
    if proof is None or not proof.points:
        return
    lines = list(proof.lines())
    for line in lines:
        terminalreporter.write_line(line)
    if told := os.environ.get("BRIDGE_PROVED"):
        Path(told).write_text("\n".join(lines))
