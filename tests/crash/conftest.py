"""What the crash proof counted, for the last line of the run."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

_TALLY = pytest.StashKey[dict[str, Counter[str]]]()


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> dict[str, Counter[str]]:
    """Counters by database."""
    return request.config.stash.setdefault(_TALLY, defaultdict(Counter))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for kind, counted in config.stash.get(_TALLY, {}).items():
        told = ", ".join(
            f"{counted[name]} {name}" for name in ("points", "combinations", "lost", "doubled", "unknown")
        )
        terminalreporter.write_line(f"killed on {kind}: {told}")
