"""What the crash proof counted, for the last line of the run."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

_WALKS = pytest.StashKey[list[str]]()
_TALLY = pytest.StashKey[dict[str, Counter[str]]]()


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> dict[str, Counter[str]]:
    """Counters by database."""
    return request.config.stash.setdefault(_TALLY, defaultdict(Counter))


@pytest.fixture
def walks(request: pytest.FixtureRequest) -> list[str]:
    """What the explorer saw, a line for each walk."""
    return request.config.stash.setdefault(_WALKS, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for kind, counted in config.stash.get(_TALLY, {}).items():
        told = ", ".join(
            f"{counted[name]} {name}" for name in ("points", "combinations", "lost", "doubled", "unknown")
        )
        terminalreporter.write_line(f"killed on {kind}: {told}")
    for line in config.stash.get(_WALKS, []):
        terminalreporter.write_line(f"explored {line}")
