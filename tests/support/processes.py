"""One suite in several processes (pytest-xdist): what each of them says to the one that prints the end.

With one process it says so to itself, so that nobody has to ask how many there are.
"""

from __future__ import annotations

import pickle
from typing import Any

import pytest

__all__ = ["fail_in_the_end", "heard", "tell"]

_HEARD = pytest.StashKey[dict[str, list[Any]]]()
_OURS = "bridge_payments "
"""Before our names: what a process says in the end is other plugins' place, too."""


def tell(config: pytest.Config, name: str, value: object) -> None:
    """Say *value* under *name* to whoever prints the end. Call it when the session finishes."""
    output: dict[str, Any] | None = getattr(config, "workeroutput", None)
    if output is None:
        heard(config, name).append(value)
    else:
        output[_OURS + name] = pickle.dumps(value)  # what crosses is of builtin types


def heard(config: pytest.Config, name: str) -> list[Any]:
    """Return what every process said under *name*: the others' at once, this one's when it finishes."""
    return config.stash.setdefault(_HEARD, {}).setdefault(name, [])


def fail_in_the_end(session: pytest.Session, name: str) -> None:
    """Let the run fail if any process said under *name* that something is wrong."""
    if any(heard(session.config, name)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)  # where pytest-xdist is not installed, nobody calls it
def pytest_testnodedown(node: Any, error: object) -> None:
    for name, value in (getattr(node, "workeroutput", None) or {}).items():
        if name.startswith(_OURS):
            heard(node.config, name.removeprefix(_OURS)).append(pickle.loads(value))
