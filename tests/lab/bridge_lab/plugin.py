"""The laboratory in every test session: a test that sends a provider what it does not take, fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from processes import fail_in_the_end, heard, tell

from .gateway import ScriptedGateway, serving
from .recorder import Recorder

_RECORDER = pytest.StashKey[Recorder]()
_LEFT, _JUDGED = "lab left", "lab judged"
_JUDGES = {"Stripe": "the SDK's types and by OpenAPI", "PayPal": "OpenAPI"}


def specs_folder() -> Path | None:
    given = os.environ.get("BRIDGE_SPECS")
    folder = Path(given) if given else Path(__file__).parents[4] / "shared" / "specs"
    return folder if (folder / "stripe").is_dir() else None


def pytest_configure(config: pytest.Config) -> None:
    recorder = config.stash[_RECORDER] = Recorder(specs_folder())
    recorder.install()
    config.add_cleanup(recorder.uninstall)


@pytest.fixture(autouse=True)
def _lab_judges_every_exchange(request: pytest.FixtureRequest) -> Iterator[None]:
    recorder = request.config.stash[_RECORDER]
    yield
    if problems := recorder.judge():
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.fixture
def stripe_lab(request: pytest.FixtureRequest) -> Recorder:
    """The recorder itself: what was sent, in order."""
    return request.config.stash[_RECORDER]


@pytest.fixture
def lab(stripe_lab: Recorder) -> Recorder:
    """The same recorder, for a test that is not about Stripe."""
    return stripe_lab


@pytest.fixture
def scripted() -> Iterator[ScriptedGateway]:
    """A real HTTP server on loopback that answers what the test tells it to, and remembers what it got."""
    with serving() as gateway:
        yield gateway


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """What a fixture sent after its test was over is judged here."""
    recorder = session.config.stash[_RECORDER]
    tell(session.config, _LEFT, recorder.judge())
    counts = {name: (len(recorder.of(name)), recorder.answers_judged[name]) for name in _JUDGES}
    tell(session.config, _JUDGED, counts)
    fail_in_the_end(session, _LEFT)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for problem in chain(*heard(config, _LEFT)):
        terminalreporter.write_line(problem, red=True)
    for service, judges in _JUDGES.items():
        requests, answers = (
            sum(counts) for counts in zip(*(each[service] for each in heard(config, _JUDGED)), strict=True)
        )
        if requests and specs_folder() is None:
            terminalreporter.write_line(
                f"lab: {requests} exchanges with {service} NOT judged (BRIDGE_SPECS is not set)"
            )
        elif requests:
            terminalreporter.write_line(
                f"lab: {requests} requests to {service} judged by {judges}, {answers} answers by OpenAPI"
            )
